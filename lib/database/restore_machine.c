/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Ranges, hardware and what is retired, from their records alone. */
#include "database/journal_priv.h"

/* It counts for its owner. */
static struct partition *
find_owner(const struct restore *w, ulv_id id)
{
    struct partition *p = find_partition(w->db, id);

    if (p != NULL && p != w->db->idle)
        p->owned_count++;
    return p;
}

ulv_status
ulv_restore_range(struct restore *w, const void *content)
{
    const struct ulv_journal_range *in = content;
    struct partition *p = find_owner(w, in->owner);
    struct range_record *range;
    struct record *r;
    uint32_t count;
    ulv_status status;

    if (p == NULL || p == w->db->idle ||
        !ulv_db_range_is_good(in->kind, in->first, in->count))
        return ulv_restore_wrong(w, in->id, in->first, "a range");
    if (ulv_db_range_at(w->db, in->kind, in->first, in->count, &count) != NULL)
        return ulv_restore_wrong(w, in->id, in->first, "ranges that overlap");
    status = ulv_restore_insert(w, in->id, in->version, ULV_QUERY_RANGES,
                                sizeof(*range), &r);
    if (status != ULV_OK)
        return status;
    range = (struct range_record *)(void *)r;
    range->owner = p;
    range->kind = in->kind;
    range->first = in->first;
    range->count = in->count;
    return ULV_OK;
}

ulv_status
ulv_restore_hardware(struct restore *w, const void *content)
{
    const struct ulv_journal_hardware *in = content;
    struct partition *p = find_owner(w, in->owner);
    struct hardware *h;
    struct record *r;
    uint32_t count;
    ulv_status status;

    if (p == NULL ||
        !ulv_db_hardware_is_good(in->kind, in->name, in->driver))
        return ulv_restore_wrong(w, in->id, in->owner, "hardware");
    if (ulv_db_hardware_named(w->db, in->kind, in->name, &count) != NULL ||
        count == ULV_DB_HARDWARE_MAX)
        return ulv_restore_wrong(w, in->id, count, "the name of hardware");
    status = ulv_restore_insert(w, in->id, in->version, ULV_QUERY_HARDWARE,
                                sizeof(*h), &r);
    if (status != ULV_OK)
        return status;
    h = (struct hardware *)(void *)r;
    h->owner = p;
    h->address = in->address;
    h->bytes = in->bytes;
    h->kind = in->kind;
    h->device_class = in->device_class;
    h->node = in->node;
    h->model = in->model;
    memcpy(h->name, in->name, sizeof(h->name));
    memcpy(h->driver, in->driver, sizeof(h->driver));
    if (p->kind == ULV_PARTITION_GUEST)
        p->quota.used[ULV_QUOTA_DEVICES]++;
    return ULV_OK;
}

ulv_status
ulv_restore_parent(struct restore *w, const void *content)
{
    const struct ulv_journal_hardware *in = content;
    struct hardware *h = (void *)ulv_db_find(w->db, in->id, ULV_QUERY_HARDWARE);
    struct hardware *parent =
        (void *)ulv_db_find(w->db, in->parent, ULV_QUERY_HARDWARE);

    if (in->parent == 0)
        return ULV_OK;
    if (parent == NULL || h->kind != ULV_HARDWARE_FUNCTION ||
        parent->kind != ULV_HARDWARE_PCI)
        return ulv_restore_wrong(w, in->id, in->parent,
                                 "what hardware is a function of");
    h->parent = parent;
    return ULV_OK;
}

ulv_status
ulv_restore_retired(struct restore *w, const void *content)
{
    const struct ulv_journal_retired *in = content;
    struct pool *pool = ulv_db_pool_of(w->db, in->frame);
    struct retired *x;
    struct record *r;
    ulv_status status;

    if (pool == NULL || in->frame % 4096 != 0 || in->bytes == 0 ||
        in->bytes % 4096 != 0 || in->bytes > ULV_RETIRE_BYTES_MAX ||
        !ulv_range_inside(in->frame - pool->map.base, in->bytes,
                          pool->map.bytes) ||
        ulv_db_is_retired(w->db, in->frame, in->bytes))
        return ulv_restore_wrong(w, in->id, in->frame, "retired memory");
    status = ulv_restore_insert(w, in->id, in->version, ULV_QUERY_RETIRED,
                                sizeof(*x), &r);
    if (status != ULV_OK)
        return status;
    x = (struct retired *)(void *)r;
    x->frame = in->frame;
    x->bytes = in->bytes;
    for (uint64_t at = x->frame; at < x->frame + x->bytes; at += 4096) {
        if (ulv_page_map_owner(&pool->map, at) != ULV_PAGE_FREE)
            continue; /* when it is given back */
        if (ulv_page_map_set(&pool->map, at, 4096, ULV_PAGE_FREE,
                             ULV_PAGE_NEVER) != ULV_OK)
            return ulv_db_no_memory(w->diag);
    }
    ulv_page_map_settle(&pool->map, x->frame, x->bytes);
    return ULV_OK;
}
