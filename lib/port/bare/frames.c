/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The frames of node 0: free runs in order of address. */
#include "port/bare/bare_priv.h"

ulv_status
bare_frames_init(struct ulv_bare *b)
{
    struct ulv_bare_run **tail = &b->runs;

    for (uint32_t i = 0; i < b->range_count; i++) {
        struct ulv_bare_run *run;

        if (b->ranges[i].type != ULV_BARE_RANGE_RAM)
            continue;
        run = bare_alloc(b, sizeof(*run), _Alignof(struct ulv_bare_run));
        if (run == NULL)
            return ULV_E_NO_MEMORY;
        run->start = b->ranges[i].start;
        run->bytes = b->ranges[i].bytes;
        b->frames_bytes += run->bytes;
        *tail = run;
        tail = &run->next;
    }
    b->frames_free = b->frames_bytes;
    return ULV_OK;
}

static struct ulv_bare_run *
new_run(struct ulv_bare *b, uint64_t start, uint64_t bytes)
{
    struct ulv_bare_run *run =
        bare_alloc(b, sizeof(*run), _Alignof(struct ulv_bare_run));

    if (run != NULL) {
        run->start = start;
        run->bytes = bytes;
    }
    return run;
}

/* Cut [start, start + bytes) out of the run that *link points to. */
static ulv_status
cut(struct ulv_bare *b, struct ulv_bare_run **link, uint64_t start,
    uint64_t bytes, struct ulv_bare_run **ret)
{
    struct ulv_bare_run *run = *link, *taken, *rest = NULL;
    uint64_t before = start - run->start;
    uint64_t after = run->bytes - before - bytes;

    if (before == 0 && after == 0) {
        *link = run->next;
        *ret = run;
        b->frames_free -= bytes;
        return ULV_OK;
    }
    taken = new_run(b, start, bytes);
    if (before != 0 && after != 0)
        rest = new_run(b, start + bytes, after);
    if (taken == NULL || (before != 0 && after != 0 && rest == NULL)) {
        bare_free(b, taken, sizeof(*taken));
        bare_free(b, rest, sizeof(*rest));
        return ULV_E_NO_MEMORY;
    }
    if (rest != NULL) {
        rest->next = run->next;
        run->next = rest;
    }
    if (before == 0)
        run->start = start + bytes;
    run->bytes = before != 0 ? before : after;
    b->frames_free -= bytes;
    *ret = taken;
    return ULV_OK;
}

ulv_status
bare_frames_take_at(struct ulv_bare *b, uint64_t start, uint64_t bytes,
                    struct ulv_bare_run **ret)
{
    for (struct ulv_bare_run **link = &b->runs;
         *link != NULL && (*link)->start <= start; link = &(*link)->next) {
        if (ulv_range_inside(start - (*link)->start, bytes, (*link)->bytes))
            return cut(b, link, start, bytes, ret);
    }
    return ULV_E_EXISTS;
}

void
bare_frames_give(struct ulv_bare *b, struct ulv_bare_run *run)
{
    struct ulv_bare_run *previous = NULL, *next = b->runs;

    b->frames_free += run->bytes;
    while (next != NULL && next->start < run->start) {
        previous = next;
        next = next->next;
    }
    run->next = next;
    if (next != NULL && run->start + run->bytes == next->start) {
        run->bytes += next->bytes;
        run->next = next->next;
        bare_free(b, next, sizeof(*next));
    }
    if (previous == NULL) {
        b->runs = run;
    } else if (previous->start + previous->bytes == run->start) {
        previous->bytes += run->bytes;
        previous->next = run->next;
        bare_free(b, run, sizeof(*run));
    } else {
        previous->next = run;
    }
}
