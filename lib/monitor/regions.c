/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "monitor/regions.h"

#include "base/base.h"
#include "monitor/exception.h"

#define PAGE UINT64_C(4096)

void
ulv_regions_init(struct ulv_regions *r, uint64_t low, uint64_t high,
                 uint32_t max)
{
    r->low = low;
    r->high = high;
    r->max = max;
    r->count = 0;
}

ulv_status
ulv_regions_check(const struct ulv_regions *r, uint64_t guest, uint64_t bytes)
{
    uint64_t end;

    if (bytes == 0 || bytes % PAGE != 0 || guest % PAGE != 0 ||
        !ulv_add_u64(guest, bytes, &end))
        return ULV_E_ARG;
    if (end > r->high || r->count == r->max)
        return ULV_E_LIMIT;
    if (guest < r->low)
        return ULV_E_EXISTS;
    for (uint32_t i = 0; i < r->count; i++) {
        if (ulv_ranges_overlap(guest, bytes, r->region[i].guest,
                               r->region[i].bytes))
            return ULV_E_EXISTS;
    }
    return ULV_OK;
}

struct ulv_region *
ulv_regions_add(struct ulv_regions *r, uint64_t guest, uint64_t bytes, void *p,
                uint32_t access)
{
    struct ulv_region *region = &r->region[r->count++];

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
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->region[i].guest == guest && r->region[i].bytes == bytes)
            return &r->region[i];
    }
    return NULL;
}

void
ulv_regions_remove(struct ulv_regions *r, struct ulv_region *region)
{
    *region = r->region[--r->count];
}

uint8_t *
ulv_regions_at(const struct ulv_regions *r, uint64_t guest, uint64_t bytes,
               uint32_t access)
{
    for (uint32_t i = 0; i < r->count; i++) {
        const struct ulv_region *region = &r->region[i];

        if (guest >= region->guest &&
            ulv_range_inside(guest - region->guest, bytes, region->bytes) &&
            (region->access & access) == access)
            return region->p + (guest - region->guest);
    }
    return NULL;
}

void
ulv_regions_take_instruction(const struct ulv_regions *r,
                             struct ulv_exit_fault *fault)
{
    for (uint32_t i = 0; i < r->count; i++)
        ulv_fault_take_instruction(fault, r->region[i].guest,
                                   r->region[i].bytes, r->region[i].p);
}
