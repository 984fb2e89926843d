/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Invariants of memory as a whole, ranges, hardware and what is retired. */
#include "database/database_priv.h"

static ulv_status
check_range(const struct range_record *range, struct ulv_diag *diag)
{
    const struct record *r = &range->r;

    if (!ulv_db_range_is_good(range->kind, range->first, range->count))
        return ulv_db_wrong(diag, r, range->first, 0, "a range");
    for (r = r->after; r != NULL; r = r->after) {
        const struct range_record *other = (const void *)r;

        if (other->kind == range->kind &&
            ulv_ranges_overlap(other->first, other->count, range->first,
                               range->count))
            return ulv_db_wrong(diag, r, other->first, range->first,
                                "a range that overlaps");
    }
    return ULV_OK;
}

static ulv_status
check_hardware(const struct ulv_database *db, const struct hardware *h,
               struct ulv_diag *diag)
{
    if (h->parent != NULL &&
        ulv_db_find(db, h->parent->r.id, ULV_QUERY_HARDWARE) != &h->parent->r)
        return ulv_db_wrong(diag, &h->r, 0, 0, "what it is a function of");
    return ULV_OK;
}

/* Never's, or somebody's still; and not free. */
static ulv_status
check_retired(const struct ulv_database *db, const struct retired *x,
              struct ulv_diag *diag)
{
    const struct pool *pool = ulv_db_pool_of(db, x->frame);

    for (uint64_t at = x->frame; at < x->frame + x->bytes; at += 4096) {
        if (ulv_page_map_owner(&pool->map, at) == ULV_PAGE_FREE)
            return ulv_db_wrong(diag, &x->r, ULV_PAGE_FREE, ULV_PAGE_NEVER,
                                "owner of a retired page");
    }
    return ULV_OK;
}

/* Bytes that would be free, were they not retired. */
static uint64_t
retired_only(const struct ulv_database *db, const struct retired *x)
{
    const struct pool *pool = ulv_db_pool_of(db, x->frame);
    uint64_t bytes = 0;

    for (uint64_t at = x->frame; at < x->frame + x->bytes; at += 4096) {
        if (ulv_page_map_owner(&pool->map, at) == ULV_PAGE_NEVER &&
            !ulv_database_is_gone(db, at, 4096))
            bytes += 4096;
    }
    return bytes;
}

/* Every page is free, somebody's, retired or gone. */
static ulv_status
check_sum(const struct ulv_database *db, struct ulv_diag *diag)
{
    uint64_t all = 0, found;
    const struct record *r;
    ulv_status status = ulv_db_check_gone(db, &found, diag);

    if (status != ULV_OK)
        return status;
    for (r = db->first[ULV_QUERY_MEMORY]; r != NULL; r = r->after) {
        const struct ulv_page_map *map = &((const struct pool *)(const void *)
                                               r)->map;

        all += map->bytes;
        found += ulv_page_map_free_bytes(map);
    }
    for (r = db->first[ULV_QUERY_PARTITIONS]; r != NULL; r = r->after)
        found += ((const struct partition *)(const void *)r)->ram_bytes;
    for (r = db->first[ULV_QUERY_CHANNELS]; r != NULL; r = r->after)
        found += ((const struct channel *)(const void *)r)->bytes;
    for (r = db->first[ULV_QUERY_RETIRED]; r != NULL; r = r->after)
        found += retired_only(db, (const void *)r);
    if (found == all)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_INTERNAL, 0, found, all,
                    "memory of %u bytes has owners for %u", all, found);
}

ulv_status
ulv_db_check_machine(const struct ulv_database *db, struct ulv_diag *diag)
{
    ulv_status status = check_sum(db, diag);
    const struct record *r;

    for (r = db->first[ULV_QUERY_RANGES]; r != NULL && status == ULV_OK;
         r = r->after)
        status = check_range((const void *)r, diag);
    for (r = db->first[ULV_QUERY_HARDWARE]; r != NULL && status == ULV_OK;
         r = r->after)
        status = check_hardware(db, (const void *)r, diag);
    for (r = db->first[ULV_QUERY_RETIRED]; r != NULL && status == ULV_OK;
         r = r->after)
        status = check_retired(db, (const void *)r, diag);
    return status;
}
