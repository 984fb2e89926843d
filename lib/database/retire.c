/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What is broken is given to nobody any more. A page that is free is never's at
 * once; one that is in use is taken away like all that is taken away, its view
 * says why, and when it comes back it is never's. A processor keeps who runs on
 * it, and gets nobody new.
 */
#include "database/database_priv.h"

static ulv_status
retire_free(struct ulv_database *db, uint64_t frame)
{
    struct pool *pool = ulv_db_pool_of(db, frame);

    return ulv_db_set_pages(db, pool, frame, 4096, ULV_PAGE_FREE,
                            ULV_PAGE_NEVER);
}

/* Of pages that were just given back, those that are retired. */
ulv_status
ulv_db_retire_returned(struct ulv_database *db, uint64_t frame, uint64_t bytes)
{
    for (const struct record *r = db->first[ULV_QUERY_RETIRED]; r != NULL;
         r = r->after) {
        const struct retired *x = (const void *)r;
        const uint64_t first = ULV_MAX(x->frame, frame);
        const uint64_t end = ULV_MIN(x->frame + x->bytes, frame + bytes);

        for (uint64_t at = first; at < end; at += 4096) {
            if (retire_free(db, at) != ULV_OK)
                return ULV_E_NO_MEMORY;
        }
    }
    return ULV_OK;
}

bool
ulv_db_is_retired(const struct ulv_database *db, uint64_t frame,
                  uint64_t bytes)
{
    if (ulv_database_is_gone(db, frame, bytes))
        return true;
    for (const struct record *r = db->first[ULV_QUERY_RETIRED]; r != NULL;
         r = r->after) {
        const struct retired *x = (const void *)r;

        if (ulv_ranges_overlap(x->frame, x->bytes, frame, bytes))
            return true;
    }
    return false;
}

uint64_t
ulv_db_retired_pending(const struct ulv_database *db, const struct retired *x)
{
    const struct pool *pool = ulv_db_pool_of(db, x->frame);
    uint64_t bytes = 0;

    for (uint64_t at = x->frame; at < x->frame + x->bytes; at += 4096) {
        if (ulv_page_map_owner(&pool->map, at) != ULV_PAGE_NEVER)
            bytes += 4096;
    }
    return bytes;
}

static struct extent *
extent_with(const struct partition *p, uint64_t frame)
{
    struct extent *e = p->extents;

    while (e != NULL && !ulv_range_inside(frame - e->frame, 4096, e->bytes))
        e = e->next;
    return e;
}

static const struct channel *
channel_with(const struct ulv_database *db, uint64_t frame)
{
    for (const struct record *r = db->first[ULV_QUERY_CHANNELS]; r != NULL;
         r = r->after) {
        const struct channel *c = (const void *)r;

        if (ulv_range_inside(frame - c->frame, 4096, c->bytes))
            return c;
    }
    return NULL;
}

/* Take the page from who has it. */
static ulv_status
retire_owned(struct ulv_database *db, uint64_t frame, ulv_id owner,
             struct ulv_diag *diag)
{
    const struct channel *c =
        db->ultravisor != NULL && owner == db->ultravisor->r.id
            ? channel_with(db, frame)
            : NULL;
    struct partition *p = find_partition(db, owner);
    struct extent *e = p == NULL ? NULL : extent_with(p, frame);

    if (c != NULL && c->draining)
        return ULV_OK;
    if (c != NULL) {
        const struct ulv_op_revoke revoke = { c->r.id };

        return ulv_db_revoke_channel(db, &revoke, diag);
    }
    return e == NULL ? ULV_OK : ulv_db_extent_retire(db, e, true, diag);
}

static ulv_status
check_retire(const struct ulv_database *db,
             const struct ulv_op_retire_memory *op, struct ulv_diag *diag)
{
    const struct pool *pool = ulv_db_pool_of(db, op->frame);
    uint32_t count = 0;

    if (op->bytes == 0 || op->bytes % 4096 != 0 || op->frame % 4096 != 0 ||
        op->bytes > ULV_RETIRE_BYTES_MAX || pool == NULL ||
        !ulv_range_inside(op->frame - pool->map.base, op->bytes,
                          pool->map.bytes))
        return ulv_fail(diag, ULV_E_ARG, pool == NULL ? 0 : pool->r.id,
                        op->frame, ULV_RETIRE_BYTES_MAX,
                        "%u bytes at frame %x are not whole pages of a "
                        "memory, at most %z",
                        op->bytes, op->frame, ULV_RETIRE_BYTES_MAX);
    for (const struct record *r = db->first[ULV_QUERY_RETIRED]; r != NULL;
         r = r->after, count++) {
        const struct retired *x = (const void *)r;

        if (ulv_ranges_overlap(x->frame, x->bytes, op->frame, op->bytes))
            return ulv_fail(diag, ULV_E_EXISTS, r->id, op->frame, x->frame,
                            "memory at %x is retired already", x->frame);
    }
    if (count == ULV_DB_RETIRED_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, pool->r.id, count + 1,
                        ULV_DB_RETIRED_MAX,
                        "more than %u pieces of memory are retired",
                        (uint64_t)ULV_DB_RETIRED_MAX);
    return ULV_OK;
}

ulv_status
ulv_db_retire_memory(struct ulv_database *db,
                     const struct ulv_op_retire_memory *op,
                     struct ulv_diag *diag)
{
    struct pool *pool = ulv_db_pool_of(db, op->frame);
    struct retired *x;
    struct record *r;
    ulv_status status = check_retire(db, op, diag);

    if (status == ULV_OK)
        status = ulv_db_record_add(db, op->id, ULV_QUERY_RETIRED, sizeof(*x),
                                   &r, diag);
    if (status != ULV_OK)
        return status;
    x = (struct retired *)(void *)r;
    x->frame = op->frame;
    x->bytes = op->bytes;
    if (!ulv_db_changed(db, op->id, ULV_QUERY_RETIRED) ||
        !ulv_db_change(db, &pool->r))
        return ulv_db_no_memory(diag);
    for (uint64_t at = op->frame; at < op->frame + op->bytes; at += 4096) {
        const uint64_t owner = ulv_page_map_owner(&pool->map, at);

        if (owner == ULV_PAGE_FREE && retire_free(db, at) != ULV_OK)
            return ulv_db_no_memory(diag);
        if (owner != ULV_PAGE_FREE && owner != ULV_PAGE_NEVER) {
            status = retire_owned(db, at, owner, diag);
            if (status != ULV_OK)
                return status;
        }
    }
    return ULV_OK;
}

/* ---- processors ---------------------------------------------------------- */

static ulv_status
check_processor(const struct processor *p,
                const struct ulv_op_retire_processor *op,
                struct ulv_diag *diag)
{
    if (p == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->processor, 0, 0,
                        "processor %u does not exist", op->processor);
    if (op->how > ULV_RETIRE_ONLINE)
        return ulv_fail(diag, ULV_E_ARG, op->processor, op->how,
                        ULV_RETIRE_ONLINE,
                        "processor %u: how is %u, at most %u", op->processor,
                        (uint64_t)op->how, (uint64_t)ULV_RETIRE_ONLINE);
    if (op->how == ULV_RETIRE_ONLINE && p->retired != ULV_RETIRED_OFFLINE)
        return ulv_fail(diag, ULV_E_STATE, op->processor, p->retired,
                        ULV_RETIRED_OFFLINE, "processor %u is not offline",
                        op->processor);
    if (p->retired == ULV_RETIRED_BROKEN ||
        (op->how == ULV_RETIRE_OFFLINE && p->retired != 0))
        return ulv_fail(diag, ULV_E_EXISTS, op->processor, p->os_number, 0,
                        "processor %u is retired already", op->processor);
    return ULV_OK;
}

/* Who runs on it is changed too, for those that watch it. */
static bool
touch_sharers(struct ulv_database *db, const struct processor *processor)
{
    for (struct record *r = db->first[ULV_QUERY_PARTITIONS]; r != NULL;
         r = r->after) {
        struct partition *p = (struct partition *)(void *)r;
        const struct share *s = p->shares;

        while (s != NULL && s->processor != processor)
            s = s->next;
        if (s != NULL && !ulv_db_touched(db, p))
            return false;
    }
    return true;
}

ulv_status
ulv_db_retire_processor(struct ulv_database *db,
                        const struct ulv_op_retire_processor *op,
                        struct ulv_diag *diag)
{
    static const uint32_t retired[] = {
        [ULV_RETIRE_BROKEN] = ULV_RETIRED_BROKEN,
        [ULV_RETIRE_OFFLINE] = ULV_RETIRED_OFFLINE,
        [ULV_RETIRE_ONLINE] = 0,
    };
    struct processor *p =
        (void *)ulv_db_find(db, op->processor, ULV_QUERY_PROCESSORS);
    ulv_status status = check_processor(p, op, diag);

    if (status != ULV_OK)
        return status;
    if (!ulv_db_change(db, &p->r) || !touch_sharers(db, p))
        return ulv_db_no_memory(diag);
    p->retired = retired[op->how];
    return ULV_OK;
}
