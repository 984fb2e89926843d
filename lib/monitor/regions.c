/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "monitor/regions.h"

#include "base/base.h"
#include "monitor/exception.h"

#define PAGE UINT64_C(4096)

void
ulv_regions_init(struct ulv_regions *r, uint64_t low, uint64_t high,
                 struct ulv_region *region, uint32_t max)
{
    r->low = low;
    r->high = high;
    r->region = region;
    r->max = max;
    r->count = 0;
}

/* How many of them begin at guest or below. */
static uint32_t
count_to(const struct ulv_regions *r, uint64_t guest)
{
    uint32_t low = 0, high = r->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (r->region[middle].guest <= guest)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The one that guest lies in; NULL: none. */
static struct ulv_region *
region_of(const struct ulv_regions *r, uint64_t guest)
{
    uint32_t below = count_to(r, guest);
    struct ulv_region *region;

    if (below == 0)
        return NULL;
    region = &r->region[below - 1];
    return guest - region->guest < region->bytes ? region : NULL;
}

ulv_status
ulv_regions_check(const struct ulv_regions *r, uint64_t guest, uint64_t bytes)
{
    uint64_t end;
    uint32_t next;

    if (bytes == 0 || bytes % PAGE != 0 || guest % PAGE != 0 ||
        !ulv_add_u64(guest, bytes, &end))
        return ULV_E_ARG;
    if (end > r->high || r->count == r->max)
        return ULV_E_LIMIT;
    next = count_to(r, guest);
    if (guest < r->low || region_of(r, guest) != NULL ||
        (next < r->count && r->region[next].guest < end))
        return ULV_E_EXISTS;
    return ULV_OK;
}

struct ulv_region *
ulv_regions_add(struct ulv_regions *r, uint64_t guest, uint64_t bytes, void *p,
                uint32_t access)
{
    struct ulv_region *region = &r->region[count_to(r, guest)];
    size_t after = (size_t)(&r->region[r->count++] - region);

    memmove(region + 1, region, after * sizeof(*region));
    region->guest = guest;
    region->bytes = bytes;
    region->p = p;
    region->access = access;
    region->slot = 0;
    return region;
}

struct ulv_region *
ulv_regions_find(struct ulv_regions *r, uint64_t guest, uint64_t bytes)
{
    struct ulv_region *region = region_of(r, guest);

    return region != NULL && region->guest == guest && region->bytes == bytes
               ? region
               : NULL;
}

void
ulv_regions_remove(struct ulv_regions *r, struct ulv_region *region)
{
    size_t after = (size_t)(&r->region[--r->count] - region);

    memmove(region, region + 1, after * sizeof(*region));
}

uint8_t *
ulv_regions_at(const struct ulv_regions *r, uint64_t guest, uint64_t bytes,
               uint32_t access)
{
    const struct ulv_region *region = region_of(r, guest);

    if (region == NULL || (region->access & access) != access ||
        !ulv_range_inside(guest - region->guest, bytes, region->bytes))
        return NULL;
    return region->p + (guest - region->guest);
}

void
ulv_regions_take_instruction(const struct ulv_regions *r,
                             struct ulv_exit_fault *fault)
{
    const struct ulv_region *region = region_of(r, fault->registers.rip);

    if (region != NULL)
        ulv_fault_take_instruction(fault, region->guest, region->bytes,
                                   region->p);
}
