/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A memory node that becomes larger or smaller, or is gone and comes back. Its
 * pool is what it ever was; what the machine has no more lies at its end, and
 * is given to nobody: at once where it is free, else when it comes back. Who
 * has some of it keeps it, as he does on a machine that has moved its content
 * elsewhere, and his view says so.
 */
#include "database/journal_priv.h"

/* Of [at, end), inside the pool, what one has becomes another's. */
static ulv_status
hand_over(struct pool *pool, uint64_t at, uint64_t end, uint64_t from,
          uint64_t to)
{
    while (at < end) {
        uint64_t bytes;
        const uint64_t owner = ulv_page_map_run(&pool->map, at, &bytes);

        bytes = ULV_MIN(bytes, end - at);
        if (owner == from &&
            ulv_page_map_set(&pool->map, at, bytes, from, to) != ULV_OK)
            return ULV_E_NO_MEMORY;
        at += bytes;
    }
    return ULV_OK;
}

/* Where what is gone begins. */
static uint64_t
end_of(const struct pool *pool)
{
    return pool->map.base + pool->map.bytes - pool->gone;
}

bool
ulv_database_is_gone(const struct ulv_database *db, uint64_t frame,
                     uint64_t bytes)
{
    const struct pool *pool = db->gone == 0 ? NULL : ulv_db_pool_of(db, frame);

    return pool != NULL && frame + bytes > end_of(pool);
}

/* Of pages that were just given back, those that are gone. */
ulv_status
ulv_db_gone_returned(struct ulv_database *db, struct pool *pool,
                     uint64_t frame, uint64_t bytes)
{
    if (ulv_db_remember_range(db, pool, frame, bytes) != ULV_OK)
        return ULV_E_NO_MEMORY;
    return hand_over(pool, ULV_MAX(frame, end_of(pool)), frame + bytes,
                     ULV_PAGE_FREE, ULV_PAGE_NEVER);
}

/* Whoever has some of [first, end) is told by his view. */
static ulv_status
tell_owners(struct ulv_database *db, uint64_t first, uint64_t end,
            struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    for (struct record *r = db->first[ULV_QUERY_EXTENTS];
         r != NULL && status == ULV_OK; r = r->after) {
        struct extent *e = (struct extent *)(void *)r;

        if (ulv_ranges_overlap(e->frame, e->bytes, first, end - first))
            status = ulv_db_extent_retire(db, e, false, diag);
    }
    return status;
}

/* More of what was there before. What is broken stays so. */
static ulv_status
come_back(struct ulv_database *db, struct pool *pool, uint64_t bytes)
{
    const uint64_t first = end_of(pool), end = first + bytes;

    pool->gone -= bytes;
    db->gone -= bytes;
    if (hand_over(pool, first, end, ULV_PAGE_NEVER, ULV_PAGE_FREE) != ULV_OK)
        return ULV_E_NO_MEMORY;
    return ulv_db_retire_returned(db, first, bytes);
}

static ulv_status
go_away(struct ulv_database *db, struct pool *pool, uint64_t bytes)
{
    const uint64_t end = end_of(pool);

    pool->gone += bytes;
    db->gone += bytes;
    return hand_over(pool, end - bytes, end, ULV_PAGE_FREE, ULV_PAGE_NEVER);
}

static ulv_status
too_much(const struct pool *pool, uint64_t bytes, struct ulv_diag *diag)
{
    return ulv_fail(diag, ULV_E_ARG, pool->r.id, bytes, pool->map.bytes,
                    "node %u: %z are more than a pool can have",
                    (uint64_t)pool->node, bytes);
}

static ulv_status
check_resize(const struct ulv_database *db, const struct pool *pool,
             const struct ulv_op_resize_memory *op, struct ulv_diag *diag)
{
    uint64_t end;

    if (pool == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->id, op->bytes, 0,
                        "memory %u does not exist", op->id);
    if (op->bytes == pool->map.bytes - pool->gone)
        return ulv_fail(diag, ULV_E_EXISTS, op->id, op->bytes, op->bytes,
                        "node %u has %z already", (uint64_t)pool->node,
                        op->bytes);
    if (op->bytes % ULV_PAGE_MAP_BLOCK != 0)
        return ulv_fail(diag, ULV_E_ARG, op->id, op->bytes, ULV_PAGE_MAP_BLOCK,
                        "node %u: %u bytes are not whole blocks of %z",
                        (uint64_t)pool->node, op->bytes, ULV_PAGE_MAP_BLOCK);
    if (!ulv_add_u64(pool->map.base, op->bytes, &end))
        return too_much(pool, op->bytes, diag);
    return ulv_db_check_pool(db, pool, pool->node, pool->map.base, op->bytes,
                             diag);
}

ulv_status
ulv_db_resize_memory(struct ulv_database *db,
                     const struct ulv_op_resize_memory *op,
                     struct ulv_diag *diag)
{
    struct pool *pool = (void *)ulv_db_find(db, op->id, ULV_QUERY_MEMORY);
    ulv_status status = check_resize(db, pool, op, diag);
    uint64_t first, end;

    if (status != ULV_OK)
        return status;
    first = ULV_MIN(end_of(pool), pool->map.base + op->bytes);
    end = ULV_MAX(end_of(pool), pool->map.base + op->bytes);
    if (!ulv_db_change(db, &pool->r) || !TOUCH(db, &db->gone) ||
        ulv_db_remember_range(db, pool, first, end - first) != ULV_OK)
        return ulv_db_no_memory(diag);
    if (first == pool->map.base + op->bytes) {
        status = go_away(db, pool, end - first);
    } else {
        const uint64_t back = ULV_MIN(pool->gone, end - first);

        status = come_back(db, pool, back);
        if (status == ULV_OK && back < end - first)
            status = ulv_page_map_grow(&pool->map, op->bytes);
    }
    if (status == ULV_E_ARG)
        return too_much(pool, op->bytes, diag);
    return status == ULV_OK ? tell_owners(db, first, end, diag)
                            : ulv_db_no_memory(diag);
}

uint64_t
ulv_database_gone_bytes(const struct ulv_database *db, ulv_id memory,
                        ulv_id partition)
{
    const struct pool *pool = (void *)ulv_db_find(db, memory, ULV_QUERY_MEMORY);
    const struct partition *p = find_partition(db, partition);
    const struct extent *e = p == NULL ? NULL : p->extents;
    uint64_t bytes = 0;

    for (; pool != NULL && e != NULL; e = e->next) {
        const uint64_t end = e->frame + e->bytes;

        if (ulv_range_inside(e->frame - pool->map.base, 1, pool->map.bytes) &&
            end > end_of(pool))
            bytes += end - ULV_MAX(e->frame, end_of(pool));
    }
    return bytes;
}

/* ---- the invariant, and the journal -------------------------------------- */

/* Of what is gone, bytes that are nobody's and not those of a retired piece;
 * free is none of it. */
static bool
count_gone(const struct pool *pool, uint64_t *ret)
{
    uint64_t at = end_of(pool);
    const uint64_t end = at + pool->gone;

    while (at < end) {
        uint64_t bytes;
        const uint64_t owner = ulv_page_map_run(&pool->map, at, &bytes);

        if (owner == ULV_PAGE_FREE)
            return false;
        bytes = ULV_MIN(bytes, end - at);
        *ret += owner == ULV_PAGE_NEVER ? bytes : 0;
        at += bytes;
    }
    return true;
}

ulv_status
ulv_db_check_gone(const struct ulv_database *db, uint64_t *ret,
                  struct ulv_diag *diag)
{
    uint64_t gone = 0;

    *ret = 0;
    for (const struct record *r = db->first[ULV_QUERY_MEMORY]; r != NULL;
         r = r->after) {
        const struct pool *pool = (const void *)r;

        if (pool->gone > pool->map.bytes || !count_gone(pool, ret))
            return ulv_db_wrong(diag, r, pool->gone, pool->map.bytes,
                                "what is gone of a node");
        gone += pool->gone;
    }
    if (gone == db->gone)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_INTERNAL, 0, db->gone, gone,
                    "%u bytes of memory are gone, and not %u", gone, db->gone);
}

ulv_status
ulv_restore_gone(struct restore *w, const void *content)
{
    const struct ulv_journal_pool *in = content;
    struct pool *pool = (void *)ulv_db_find(w->db, in->id, ULV_QUERY_MEMORY);
    const uint64_t gone = in->gone_blocks * ULV_JOURNAL_POOL_BLOCK;

    if (gone > pool->map.bytes || gone % ULV_PAGE_MAP_BLOCK != 0)
        return ulv_restore_wrong(w, in->id, gone, "what is gone of a pool");
    if (go_away(w->db, pool, gone) != ULV_OK)
        return ulv_db_no_memory(w->diag);
    ulv_page_map_settle(&pool->map, end_of(pool), gone);
    return ULV_OK;
}
