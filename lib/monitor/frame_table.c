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
    if (frame % PAGE != 0)
        return ulv_fail(diag, ULV_E_ARG, 0, frame, PAGE,
                        "frame %x does not start a page", frame);
    if (!ulv_add_u64(frame, bytes, &end))
        return ulv_fail(diag, ULV_E_ARG, 0, frame, UINT64_MAX - bytes,
                        "frames at %x, %u bytes, wrap around", frame, bytes);
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

/* What is granted stays a run of its own, so that giving it back splits
 * nothing and needs no memory. */
static bool
is_one_run(const struct ulv_frame_run *a, const struct ulv_frame_run *b)
{
    return a->frame + a->bytes == b->frame && a->state == b->state &&
           (a->state == ULV_FRAME_FREE || a->state == ULV_FRAME_NEVER);
}

/* Join run at and the one after it if they are one. */
static void
merge_after(struct ulv_frame_table *t, uint32_t at)
{
    struct ulv_frame_run *a = &t->run[at], *b = a + 1;

    if (at + 1 >= t->count || !is_one_run(a, b))
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
    if (state != ULV_FRAME_FREE && state != ULV_FRAME_NEVER)
        return ulv_fail(diag, ULV_E_ARG, 0, state, 0,
                        "frames cannot be added in state %u", (uint64_t)state);
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
 * Give [frame, frame + bytes), all of which is in runs, another holder.
 * Splitting before joining needs two more runs at most.
 */
static ulv_status
change_holder(struct ulv_frame_table *t, const struct ulv_frame_run *to,
              struct ulv_diag *diag)
{
    uint64_t end = to->frame + to->bytes;
    uint32_t first = find_run(t, to->frame), last = find_run(t, end - 1);
    bool below = t->run[first].frame != to->frame;
    bool above = t->run[last].frame + t->run[last].bytes != end;
    uint32_t more = (below ? 1U : 0U) + (above ? 1U : 0U);
    ulv_status status = ensure_room(t, more, diag);

    if (status != ULV_OK)
        return status;
    split_at(t, to->frame);
    split_at(t, end);
    first = find_run(t, to->frame);
    last = find_run(t, end - 1);
    t->run[first] = *to;
    memmove(&t->run[first + 1], &t->run[last + 1],
            (t->count - last - 1) * sizeof(*to));
    t->count -= last - first;
    merge_after(t, first);
    if (first > 0)
        merge_after(t, first - 1);
    return ULV_OK;
}

/* Whether [frame, frame + bytes) is all in runs that fit. */
static bool
all_fit(const struct ulv_frame_table *t, uint64_t frame, uint64_t bytes,
        bool (*fits)(const struct ulv_frame_run *run, uint64_t who),
        uint64_t who)
{
    uint64_t end = frame + bytes;

    for (uint32_t at = find_run(t, frame); frame < end; at++) {
        const struct ulv_frame_run *run;

        if (at == t->count)
            return false;
        run = &t->run[at];
        if (run->frame > frame || !fits(run, who))
            return false;
        frame = run->frame + run->bytes;
    }
    return true;
}

static bool
is_free(const struct ulv_frame_run *run, uint64_t who)
{
    (void)who;
    return run->state == ULV_FRAME_FREE;
}

static bool
is_had_by(const struct ulv_frame_run *run, uint64_t object)
{
    return (run->state == ULV_FRAME_OWNED ||
            run->state == ULV_FRAME_CHANNEL) &&
           run->object == object;
}

static bool
is_open_to(const struct ulv_frame_run *run, uint64_t partition)
{
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

/* Say which of the frames is not free, and who has it. */
static ulv_status
refuse_grant(const struct ulv_frame_table *t,
             const struct ulv_frame_run *wanted, struct ulv_diag *diag)
{
    uint64_t frame = wanted->frame;
    uint32_t at = find_run(t, frame);

    if (at < t->count && t->run[at].frame <= frame &&
        t->run[at].state == ULV_FRAME_FREE) {
        frame = t->run[at].frame + t->run[at].bytes;
        at++;
    }
    if (at == t->count || t->run[at].frame > frame ||
        t->run[at].state == ULV_FRAME_NEVER)
        return ulv_fail(diag, ULV_E_DENIED, wanted->object, frame, 0,
                        "frame %x may never be granted", frame);
    return ulv_fail(diag, ULV_E_DENIED, wanted->object, frame,
                    t->run[at].object, "frame %x is not free: %u has it",
                    frame, t->run[at].object);
}

ulv_status
ulv_frame_table_grant(struct ulv_frame_table *t,
                      const struct ulv_frame_run *wanted,
                      struct ulv_diag *diag)
{
    ulv_status status = check_range(wanted->frame, wanted->bytes, diag);

    if (status != ULV_OK)
        return status;
    if (wanted->state != ULV_FRAME_OWNED && wanted->state != ULV_FRAME_CHANNEL)
        return ulv_fail(diag, ULV_E_ARG, wanted->object, wanted->state, 0,
                        "frames cannot be granted to state %u",
                        (uint64_t)wanted->state);
    if (!all_fit(t, wanted->frame, wanted->bytes, is_free, 0))
        return refuse_grant(t, wanted, diag);
    return change_holder(t, wanted, diag);
}

ulv_status
ulv_frame_table_release(struct ulv_frame_table *t, uint64_t frame,
                        uint64_t bytes, uint64_t object,
                        struct ulv_diag *diag)
{
    struct ulv_frame_run freed = { .frame = frame, .bytes = bytes };
    ulv_status status = check_range(frame, bytes, diag);

    if (status != ULV_OK)
        return status;
    if (!all_fit(t, frame, bytes, is_had_by, object))
        return ulv_fail(diag, ULV_E_DENIED, object, frame, 0,
                        "frames at %x, %z: %u does not have all of them",
                        frame, bytes, object);
    return change_holder(t, &freed, diag);
}

static bool
move_end_of(struct ulv_frame_run *run, uint64_t from, uint64_t to)
{
    for (uint32_t e = 0; e < ULV_FRAME_ENDS_MAX; e++) {
        if (run->end[e] == from) {
            run->end[e] = to;
            return true;
        }
    }
    return false;
}

ulv_status
ulv_frame_table_move_end(struct ulv_frame_table *t, uint64_t channel,
                         uint64_t from, uint64_t to)
{
    ulv_status status = ULV_E_NOT_FOUND;

    for (uint32_t i = 0; i < t->count; i++) {
        struct ulv_frame_run *run = &t->run[i];

        if (run->state != ULV_FRAME_CHANNEL || run->object != channel)
            continue;
        if (move_end_of(run, from, to))
            status = ULV_OK;
        else if (status != ULV_OK)
            status = ULV_E_DENIED;
    }
    return status;
}

bool
ulv_frame_table_may_map(const struct ulv_frame_table *t, uint64_t frame,
                        uint64_t bytes, uint64_t partition)
{
    return check_range(frame, bytes, NULL) == ULV_OK && partition != 0 &&
           all_fit(t, frame, bytes, is_open_to, partition);
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
        if (i > 0 && is_one_run(run - 1, run))
            return ulv_fail(diag, ULV_E_INTERNAL, run->object, run->frame,
                            above, "frame table: unmerged run at %x",
                            run->frame);
        above = run->frame + run->bytes;
    }
    return ULV_OK;
}
