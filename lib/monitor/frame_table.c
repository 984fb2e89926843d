/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "monitor/frame_table.h"

#include "base/base.h"

#define PAGE UINT64_C(4096)

void
ulv_frame_table_init(struct ulv_frame_table *t, const struct ulv_host *host)
{
    memset(t, 0, sizeof(*t));
    t->host = host;
}

void
ulv_frame_table_fini(struct ulv_frame_table *t)
{
    t->host->free(t->host->self, t->run, t->capacity * sizeof(*t->run));
    memset(t, 0, sizeof(*t));
}

static ulv_status
check_range(uint64_t frame, uint64_t bytes, struct ulv_diag *diag)
{
    uint64_t end;

    if (bytes == 0 || bytes % PAGE != 0)
        return ulv_fail(diag, ULV_E_ARG, 0, bytes, PAGE,
                        "%u bytes is not a whole number of pages", bytes);
    if (frame % PAGE != 0 || !ulv_add_u64(frame, bytes, &end))
        return ulv_fail(diag, ULV_E_ARG, 0, frame, PAGE,
                        "frame %x does not start a page", frame);
    return ULV_OK;
}

/* Index of the first run that ends above frame. */
static uint32_t
find_run(const struct ulv_frame_table *t, uint64_t frame)
{
    uint32_t low = 0, high = t->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct ulv_frame_run *run = &t->run[middle];

        if (run->frame + run->bytes <= frame)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static ulv_status
ensure_room(struct ulv_frame_table *t, uint32_t more, struct ulv_diag *diag)
{
    struct ulv_frame_run *run;
    uint32_t capacity;

    if (t->count + more <= t->capacity)
        return ULV_OK;
    capacity = t->capacity * 2 + 16;
    run = t->host->alloc(t->host->self, capacity * sizeof(*run), 8);
    if (run == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, capacity * sizeof(*run), 0,
                        "no memory for a frame table of %u runs",
                        (uint64_t)capacity);
    if (t->count != 0)
        memcpy(run, t->run, t->count * sizeof(*run));
    t->host->free(t->host->self, t->run, t->capacity * sizeof(*run));
    t->run = run;
    t->capacity = capacity;
    return ULV_OK;
}

static void
insert_run(struct ulv_frame_table *t, uint32_t at,
           const struct ulv_frame_run *run)
{
    memmove(&t->run[at + 1], &t->run[at], (t->count - at) * sizeof(*run));
    t->run[at] = *run;
    t->count++;
}

static bool
same_holder(const struct ulv_frame_run *a, const struct ulv_frame_run *b)
{
    return a->state == b->state && a->object == b->object &&
           memcmp(a->end, b->end, sizeof(a->end)) == 0;
}

/* Join run at and the one after it if they are one. */
static void
merge_after(struct ulv_frame_table *t, uint32_t at)
{
    struct ulv_frame_run *a = &t->run[at], *b = a + 1;

    if (at + 1 >= t->count || a->frame + a->bytes != b->frame ||
        !same_holder(a, b))
        return;
    a->bytes += b->bytes;
    t->count--;
    memmove(b, b + 1, (t->count - at - 1) * sizeof(*b));
}

/* Split so that a run starts at frame; there is room for one more. */
static void
split_at(struct ulv_frame_table *t, uint64_t frame)
{
    uint32_t at = find_run(t, frame);
    struct ulv_frame_run upper;

    if (at == t->count || t->run[at].frame >= frame)
        return;
    upper = t->run[at];
    upper.bytes -= frame - upper.frame;
    upper.frame = frame;
    t->run[at].bytes = frame - t->run[at].frame;
    insert_run(t, at + 1, &upper);
}

ulv_status
ulv_frame_table_add(struct ulv_frame_table *t, uint64_t frame, uint64_t bytes,
                    uint32_t state, struct ulv_diag *diag)
{
    struct ulv_frame_run run = { .frame = frame, .bytes = bytes };
    uint32_t at;
    ulv_status status = check_range(frame, bytes, diag);

    if (status != ULV_OK)
        return status;
    at = find_run(t, frame);
    if (at < t->count && t->run[at].frame < frame + bytes)
        return ulv_fail(diag, ULV_E_EXISTS, 0, frame, t->run[at].frame,
                        "frame %x is in the table already", frame);
    status = ensure_room(t, 1, diag);
    if (status != ULV_OK)
        return status;
    run.state = state;
    insert_run(t, at, &run);
    merge_after(t, at);
    if (at > 0)
        merge_after(t, at - 1);
    return ULV_OK;
}

/*
 * Give [frame, frame + bytes), which lies inside one run, another holder.
 * Splitting before merging needs two more runs at most.
 */
static ulv_status
change_holder(struct ulv_frame_table *t, const struct ulv_frame_run *to,
              struct ulv_diag *diag)
{
    const struct ulv_frame_run *old = &t->run[find_run(t, to->frame)];
    bool below = old->frame != to->frame;
    bool above = old->frame + old->bytes != to->frame + to->bytes;
    uint32_t more = (below ? 1U : 0U) + (above ? 1U : 0U);
    ulv_status status = ensure_room(t, more, diag);
    uint32_t at;

    if (status != ULV_OK)
        return status;
    split_at(t, to->frame);
    split_at(t, to->frame + to->bytes);
    at = find_run(t, to->frame);
    t->run[at] = *to;
    merge_after(t, at);
    if (at > 0)
        merge_after(t, at - 1);
    return ULV_OK;
}

/* The run that holds all of the range, or NULL: neighbours are merged, so a
 * range with one holder lies inside one run. */
static const struct ulv_frame_run *
covering_run(const struct ulv_frame_table *t, uint64_t frame, uint64_t bytes)
{
    uint32_t at = find_run(t, frame);
    const struct ulv_frame_run *run = &t->run[at];

    if (at == t->count || run->frame > frame ||
        !ulv_range_inside(frame - run->frame, bytes, run->bytes))
        return NULL;
    return run;
}

ulv_status
ulv_frame_table_grant(struct ulv_frame_table *t,
                      const struct ulv_frame_run *wanted,
                      struct ulv_diag *diag)
{
    const struct ulv_frame_run *run;
    uint64_t frame = wanted->frame;
    ulv_status status = check_range(frame, wanted->bytes, diag);

    if (status != ULV_OK)
        return status;
    if (wanted->state != ULV_FRAME_OWNED && wanted->state != ULV_FRAME_CHANNEL)
        return ulv_fail(diag, ULV_E_ARG, wanted->object, wanted->state, 0,
                        "frames cannot be granted to state %u",
                        (uint64_t)wanted->state);
    run = covering_run(t, frame, wanted->bytes);
    if (run != NULL && run->state == ULV_FRAME_FREE)
        return change_holder(t, wanted, diag);
    if (run == NULL)
        run = &t->run[find_run(t, frame)];
    if (run == t->run + t->count || run->frame > frame ||
        run->state == ULV_FRAME_NEVER)
        return ulv_fail(diag, ULV_E_DENIED, wanted->object, frame, 0,
                        "frame %x may never be granted", frame);
    return ulv_fail(diag, ULV_E_DENIED, wanted->object, frame, 0,
                    "frames at %x, %z: not all free", frame, wanted->bytes);
}

ulv_status
ulv_frame_table_release(struct ulv_frame_table *t, uint64_t frame,
                        uint64_t bytes, uint64_t object,
                        struct ulv_diag *diag)
{
    struct ulv_frame_run freed = { .frame = frame, .bytes = bytes };
    const struct ulv_frame_run *run;
    ulv_status status = check_range(frame, bytes, diag);

    if (status != ULV_OK)
        return status;
    run = covering_run(t, frame, bytes);
    if (run == NULL || run->object != object ||
        (run->state != ULV_FRAME_OWNED && run->state != ULV_FRAME_CHANNEL))
        return ulv_fail(diag, ULV_E_DENIED, object, frame, 0,
                        "frames at %x, %z: %u does not have all of them",
                        frame, bytes, object);
    return change_holder(t, &freed, diag);
}

ulv_status
ulv_frame_table_move_end(struct ulv_frame_table *t, uint64_t channel,
                         uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct ulv_frame_run *run = &t->run[i];

        if (run->state != ULV_FRAME_CHANNEL || run->object != channel)
            continue;
        for (uint32_t e = 0; e < ULV_FRAME_ENDS_MAX; e++) {
            if (run->end[e] == from) {
                run->end[e] = to;
                return ULV_OK;
            }
        }
        return ULV_E_DENIED;
    }
    return ULV_E_NOT_FOUND;
}

bool
ulv_frame_table_may_map(const struct ulv_frame_table *t, uint64_t frame,
                        uint64_t bytes, uint64_t partition)
{
    const struct ulv_frame_run *run;

    if (check_range(frame, bytes, NULL) != ULV_OK || partition == 0)
        return false;
    run = covering_run(t, frame, bytes);
    if (run == NULL)
        return false;
    if (run->state == ULV_FRAME_OWNED)
        return run->object == partition;
    if (run->state != ULV_FRAME_CHANNEL)
        return false;
    for (uint32_t e = 0; e < ULV_FRAME_ENDS_MAX; e++) {
        if (run->end[e] == partition)
            return true;
    }
    return false;
}

ulv_status
ulv_frame_table_check(const struct ulv_frame_table *t, struct ulv_diag *diag)
{
    uint64_t above = 0;

    for (uint32_t i = 0; i < t->count; i++) {
        const struct ulv_frame_run *run = &t->run[i];

        if (check_range(run->frame, run->bytes, NULL) != ULV_OK ||
            run->frame < above || run->state > ULV_FRAME_NEVER)
            return ulv_fail(diag, ULV_E_INTERNAL, run->object, run->frame,
                            above, "frame table: bad run at %x", run->frame);
        if (i > 0 && run->frame == above && same_holder(run, run - 1))
            return ulv_fail(diag, ULV_E_INTERNAL, run->object, run->frame,
                            above, "frame table: unmerged run at %x",
                            run->frame);
        above = run->frame + run->bytes;
    }
    return ULV_OK;
}
