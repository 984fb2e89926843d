/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Ranges of I/O ports and interrupt vectors. What nobody has is idle's and has
 * no record: of each port and vector there is at most one. */
#include "database/database_priv.h"

static struct range_record *
find_range_record(const struct ulv_database *db, ulv_id id)
{
    return (struct range_record *)(void *)ulv_db_find(db, id,
                                                      ULV_QUERY_RANGES);
}

static const char *
kind_name(uint32_t kind)
{
    return kind == ULV_RANGE_PORTS ? "I/O ports" : "interrupt vectors";
}

bool
ulv_db_range_is_good(uint32_t kind, uint64_t first, uint64_t count)
{
    if (kind == ULV_RANGE_PORTS)
        return count != 0 &&
               ulv_range_inside(first, count, ULV_RANGE_PORTS_END);
    return kind == ULV_RANGE_VECTORS && count != 0 &&
           first >= ULV_RANGE_VECTORS_FIRST &&
           ulv_range_inside(first, count, ULV_RANGE_VECTORS_END);
}

/* One that lies where this would, of that kind. */
const struct range_record *
ulv_db_range_at(const struct ulv_database *db, uint32_t kind, uint64_t first,
                uint64_t count, uint32_t *ret_count)
{
    *ret_count = 0;
    for (const struct record *r = db->first[ULV_QUERY_RANGES]; r != NULL;
         r = r->after) {
        const struct range_record *range = (const void *)r;

        if (range->kind == kind &&
            ulv_ranges_overlap(range->first, range->count, first, count))
            return range;
        ++*ret_count;
    }
    return NULL;
}

/* Who can have ranges and hardware, and may get or lose some now. */
ulv_status
ulv_db_may_own(const struct ulv_database *db, const struct partition *p,
               ulv_id id, struct ulv_diag *diag)
{
    if (p == NULL || p == db->idle)
        return ulv_fail(diag, ULV_E_NOT_FOUND, id, 0, 0,
                        "partition %u does not exist", id);
    if (p->kind == ULV_PARTITION_GUEST && ulv_db_runs(p))
        return ulv_fail(diag, ULV_E_BUSY, id, p->state, 0,
                        "%s runs: stop it first", p->name);
    return ULV_OK;
}

static ulv_status
check_range(const struct ulv_database *db, const struct ulv_op_assign_range *op,
            const struct partition *p, struct ulv_diag *diag)
{
    const struct range_record *there;
    uint32_t count;

    if (op->kind != ULV_RANGE_PORTS && op->kind != ULV_RANGE_VECTORS)
        return ulv_fail(diag, ULV_E_ARG, op->id, op->kind, ULV_RANGE_VECTORS,
                        "%s: unknown kind of range %u", p->name,
                        (uint64_t)op->kind);
    if (!ulv_db_range_is_good(op->kind, op->first, op->count))
        return ulv_fail(diag, ULV_E_ARG, op->id, op->first,
                        op->kind == ULV_RANGE_PORTS ? ULV_RANGE_PORTS_END
                                                    : ULV_RANGE_VECTORS_END,
                        "%s: there are no %u %s from %u", p->name, op->count,
                        kind_name(op->kind), op->first);
    there = ulv_db_range_at(db, op->kind, op->first, op->count, &count);
    if (there != NULL)
        return ulv_fail(diag, ULV_E_EXISTS, there->r.id, op->first,
                        there->first, "%s: %s from %u: %s has those from %u",
                        p->name, kind_name(op->kind), op->first,
                        there->owner->name, there->first);
    if (count == ULV_DB_RANGES_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, op->id, count + 1,
                        ULV_DB_RANGES_MAX, "%s: more than %u ranges", p->name,
                        (uint64_t)ULV_DB_RANGES_MAX);
    return ULV_OK;
}

ulv_status
ulv_db_assign_range(struct ulv_database *db,
                    const struct ulv_op_assign_range *op,
                    struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct range_record *range;
    struct record *r;
    ulv_status status = ulv_db_may_own(db, p, op->partition, diag);

    if (status == ULV_OK)
        status = check_range(db, op, p, diag);
    if (status == ULV_OK)
        status = ulv_db_record_add(db, op->id, ULV_QUERY_RANGES,
                                   sizeof(*range), &r, diag);
    if (status != ULV_OK)
        return status;
    range = (struct range_record *)(void *)r;
    range->owner = p;
    range->kind = op->kind;
    range->first = op->first;
    range->count = op->count;
    if (!ulv_db_touched(db, p) ||
        !ulv_db_changed(db, op->id, ULV_QUERY_RANGES))
        return ulv_db_no_memory(diag);
    p->owned_count++;
    return ULV_OK;
}

static ulv_status
no_range(struct ulv_diag *diag, ulv_id id)
{
    return ulv_fail(diag, ULV_E_NOT_FOUND, id, 0, 0, "range %u does not exist",
                    id);
}

static ulv_status
drop_range(struct ulv_database *db, struct range_record *range)
{
    if (!ulv_db_touched(db, range->owner) ||
        ulv_db_labels_drop(db, &range->r) != ULV_OK ||
        !ulv_db_changed(db, range->r.id, ULV_QUERY_RANGES) ||
        ulv_db_record_remove(db, &range->r) != ULV_OK)
        return ULV_E_NO_MEMORY;
    range->owner->owned_count--;
    return ULV_OK;
}

ulv_status
ulv_db_release_range(struct ulv_database *db,
                     const struct ulv_op_release_range *op,
                     struct ulv_diag *diag)
{
    struct range_record *range = find_range_record(db, op->id);
    ulv_status status;

    if (range == NULL)
        return no_range(diag, op->id);
    status = ulv_db_may_own(db, range->owner, range->owner->r.id, diag);
    if (status != ULV_OK)
        return status;
    return drop_range(db, range) == ULV_OK ? ULV_OK : ulv_db_no_memory(diag);
}

ulv_status
ulv_db_move_range(struct ulv_database *db, const struct ulv_op_move_range *op,
                  struct ulv_diag *diag)
{
    struct range_record *range = find_range_record(db, op->id);
    struct partition *to = find_partition(db, op->to);
    ulv_status status;

    if (range == NULL)
        return no_range(diag, op->id);
    status = ulv_db_may_own(db, range->owner, range->owner->r.id, diag);
    if (status == ULV_OK)
        status = ulv_db_may_own(db, to, op->to, diag);
    if (status != ULV_OK)
        return status;
    if (range->owner == to)
        return ulv_fail(diag, ULV_E_ARG, op->id, op->to, 0,
                        "%s has that range already", to->name);
    if (!ulv_db_change(db, &range->r) || !ulv_db_touched(db, range->owner) ||
        !ulv_db_touched(db, to) ||
        !ulv_db_changed(db, op->id, ULV_QUERY_RANGES))
        return ulv_db_no_memory(diag);
    range->owner->owned_count--;
    to->owned_count++;
    range->owner = to;
    return ULV_OK;
}

ulv_status
ulv_db_ranges_drop(struct ulv_database *db, const struct partition *p)
{
    struct record *next;

    if (p->owned_count == 0)
        return ULV_OK;
    for (struct record *r = db->first[ULV_QUERY_RANGES]; r != NULL; r = next) {
        struct range_record *range = (struct range_record *)(void *)r;

        next = r->after;
        if (range->owner == p && drop_range(db, range) != ULV_OK)
            return ULV_E_NO_MEMORY;
    }
    return ULV_OK;
}
