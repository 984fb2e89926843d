/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Memory objects, seen at their physical addresses. All parts
 * share one address space: rights belong to handles, not to mappings. */
#include "port/bare/bare_priv.h"

/* Of the heap: the frames of node 0 are for memory_at alone. */
static ulv_status
bare_memory_create(void *self, const char *name, uint64_t bytes, uint32_t flags,
                   ulv_handle *ret)
{
    struct ulv_bare *b = self;
    ulv_status status;
    void *p;

    (void)name;
    if (bytes == 0 || bytes % BARE_PAGE != 0 || (flags & ~ULV_MEMORY_LAZY) != 0)
        return ULV_E_ARG;
    p = bare_alloc(b, bytes,
                   bytes >= BARE_LARGE_PAGE ? BARE_LARGE_PAGE : BARE_PAGE);
    if (p == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_object_memory(&b->objects, p, bytes, NULL, ret);
    if (status != ULV_OK)
        bare_free(b, p, bytes);
    return status;
}

static ulv_status
bare_memory_at(void *self, uint64_t physical, uint64_t bytes, ulv_handle *ret)
{
    struct ulv_bare *b = self;
    struct ulv_bare_run *run = NULL;
    ulv_status status;

    if (bytes == 0 || physical % BARE_PAGE != 0 || bytes % BARE_PAGE != 0)
        return ULV_E_ARG;
    if (!bare_ranges_are(b, physical, bytes, ULV_BARE_RANGE_RAM))
        return ULV_E_DENIED;
    status = bare_frames_take_at(b, physical, bytes, &run);
    if (status != ULV_OK)
        return status;
    memset(bare_at(physical), 0, bytes);
    status = ulv_object_memory(&b->objects, bare_at(physical), bytes, run, ret);
    if (status != ULV_OK)
        bare_frames_give(b, run);
    return status;
}

/* Appends a range that is not empty; counts also what finds no room. */
static void
append(struct ulv_host_frames *ret, uint32_t capacity, uint32_t *count,
       struct ulv_host_frames range)
{
    if (range.bytes == 0)
        return;
    if (*count < capacity)
        ret[*count] = range;
    (*count)++;
}

/* RAM in whole large pages is usable; what is left of it, and what else is RAM
 * but taken, is not. What is no RAM is not there at all. */
static ulv_status
bare_frames(void *self, struct ulv_host_frames *ret, uint32_t capacity,
            uint32_t *ret_count)
{
    const struct ulv_bare *b = self;

    *ret_count = 0;
    for (uint32_t i = 0; i < b->range_count; i++) {
        const struct ulv_bare_range *range = &b->ranges[i];
        uint64_t start = range->start, end = start + range->bytes;
        uint64_t first = end, last = end;

        if (range->type >= ULV_BARE_RANGE_RESERVED &&
            range->type <= ULV_BARE_RANGE_BAD)
            continue;
        if (range->type == ULV_BARE_RANGE_RAM) {
            first = ULV_MIN(ulv_round_up(start, BARE_LARGE_PAGE), end);
            last = ULV_MAX(ulv_round_down(end, BARE_LARGE_PAGE), first);
        }
        append(ret, capacity, ret_count,
               (struct ulv_host_frames){ .base = start,
                                         .bytes = first - start });
        append(ret, capacity, ret_count,
               (struct ulv_host_frames){ .base = first,
                                         .bytes = last - first,
                                         .usable = 1 });
        append(ret, capacity, ret_count,
               (struct ulv_host_frames){ .base = last, .bytes = end - last });
    }
    return ULV_OK;
}

static uint64_t
bare_physical(void *self, const void *p)
{
    (void)self;
    return (uint64_t)(uintptr_t)p;
}

void
bare_memory_members(struct ulv_host *host)
{
    host->memory_create = bare_memory_create;
    host->memory_at = bare_memory_at;
    host->frames = bare_frames;
    host->physical = bare_physical;
}
