/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Memory: where it comes from, who gets it, and how it is taken away. What a
 * running partition loses drains first: it stays its own, marked in its view,
 * until its monitor has let go of it.
 */
#include "database/database_priv.h"

static struct pool *
first_pool(const struct ulv_database *db)
{
    return (struct pool *)(void *)db->first[ULV_QUERY_MEMORY];
}

static struct pool *
next_pool(const struct pool *pool)
{
    return (struct pool *)(void *)pool->r.after;
}

/* ---- pools --------------------------------------------------------------- */

ulv_status
ulv_db_check_pool(const struct ulv_database *db, const struct pool *but,
                  uint32_t node, uint64_t base, uint64_t bytes,
                  struct ulv_diag *diag)
{
    for (struct pool *p = first_pool(db); p != NULL; p = next_pool(p)) {
        if (p != but &&
            ulv_ranges_overlap(p->map.base, p->map.bytes, base, bytes))
            return ulv_fail(diag, ULV_E_EXISTS, p->r.id, base, p->map.base,
                            "node %u: memory at %x overlaps that of node %u",
                            (uint64_t)node, base, (uint64_t)p->node);
    }
    return ULV_OK;
}

ulv_status
ulv_db_add_memory(struct ulv_database *db, const struct ulv_op_add_memory *op,
                  struct ulv_diag *diag)
{
    struct record *r;
    struct pool *pool;
    ulv_status status =
        ulv_db_check_pool(db, NULL, op->node, op->base, op->bytes, diag);

    if (status == ULV_OK)
        status = ulv_db_record_add(db, op->id, ULV_QUERY_MEMORY, sizeof(*pool),
                                   &r, diag);
    if (status != ULV_OK)
        return status;
    pool = (struct pool *)(void *)r;
    pool->node = op->node;
    pool->born = db->revision + 1;
    status = ulv_page_map_init(&pool->map, &db->map_memory, op->base,
                               op->bytes);
    if (status != ULV_OK)
        return ulv_fail(diag, status, op->id, op->bytes, ULV_PAGE_MAP_BLOCK,
                        "node %u: %z at %x cannot be a pool",
                        (uint64_t)op->node, op->bytes, op->base);
    return ULV_OK;
}

static uint64_t
free_on(const struct ulv_database *db, uint32_t node)
{
    uint64_t bytes = 0;

    for (struct pool *p = first_pool(db); p != NULL; p = next_pool(p)) {
        if (node == ULV_NODE_ANY || node == p->node)
            bytes += ulv_page_map_free_bytes(&p->map);
    }
    return bytes;
}

static void
add_range(struct ulv_database *db, struct range *range, struct pool *pool,
          uint64_t address, uint64_t bytes)
{
    range->pool = pool;
    range->address = address;
    range->bytes = bytes;
    range->next = db->plan->ranges;
    db->plan->ranges = range;
}

ulv_status
ulv_db_remember_range(struct ulv_database *db, struct pool *pool,
                      uint64_t address, uint64_t bytes)
{
    struct range *range = ulv_db_scratch(db, sizeof(*range));

    if (range == NULL)
        return ULV_E_NO_MEMORY;
    add_range(db, range, pool, address, bytes);
    return ULV_OK;
}

ulv_status
ulv_db_set_pages(struct ulv_database *db, struct pool *pool, uint64_t address,
                 uint64_t bytes, uint64_t from, uint64_t to)
{
    struct range *range = ulv_db_scratch(db, sizeof(*range));
    ulv_status status;

    if (range == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_page_map_set(&pool->map, address, bytes, from, to);
    if (!pool->map.settled)
        add_range(db, range, pool, address, bytes);
    return status;
}

/* Runs of at most bytes in all from pool for owner. */
static ulv_status
take_some(struct ulv_database *db, struct pool *pool, uint64_t bytes,
          uint64_t owner, struct ulv_page_run run[ULV_GATHER_RUNS],
          uint32_t *ret_count)
{
    struct range *range = ulv_db_scratch(db, sizeof(*range));
    ulv_status status;

    if (range == NULL)
        return ULV_E_NO_MEMORY;
    run[0].bytes = 0; /* as long as nothing was found */
    status = ulv_page_map_take(&pool->map, bytes, owner, run, ULV_GATHER_RUNS,
                               ret_count);
    if (run[0].bytes != 0 && !pool->map.settled)
        add_range(db, range, pool, run[0].address, run[0].bytes);
    return status;
}

struct pool *
ulv_db_pool_of(const struct ulv_database *db, uint64_t frame)
{
    struct pool *pool = first_pool(db);

    while (pool != NULL &&
           !ulv_range_inside(frame - pool->map.base, 1, pool->map.bytes))
        pool = next_pool(pool);
    return pool;
}

void
ulv_db_fetch_pages(const struct ulv_database *db, uint64_t frame)
{
    const struct pool *pool = ulv_db_pool_of(db, frame);

    if (pool != NULL)
        ulv_page_map_fetch(&pool->map, frame);
}

ulv_status
ulv_db_take_run(struct ulv_database *db, uint64_t bytes, uint64_t owner,
                uint64_t *ret_frame)
{
    for (struct pool *pool = first_pool(db); pool != NULL;
         pool = next_pool(pool)) {
        uint64_t frame;

        if (ulv_page_map_find_run(&pool->map, bytes, &frame) != ULV_OK)
            continue;
        *ret_frame = frame;
        return ulv_db_set_pages(db, pool, frame, bytes, ULV_PAGE_FREE, owner);
    }
    return ULV_E_NO_MEMORY;
}

ulv_status
ulv_db_give_back(struct ulv_database *db, uint64_t frame, uint64_t bytes,
                 uint64_t owner)
{
    struct pool *pool = ulv_db_pool_of(db, frame);
    ulv_status status =
        ulv_db_set_pages(db, pool, frame, bytes, owner, ULV_PAGE_FREE);

    if (status == ULV_OK && db->first[ULV_QUERY_RETIRED] != NULL)
        status = ulv_db_retire_returned(db, frame, bytes);
    return status == ULV_OK && ulv_database_is_gone(db, frame, bytes)
               ? ulv_db_gone_returned(db, pool, frame, bytes)
               : status;
}

/* ---- extents ------------------------------------------------------------- */

uint64_t
ulv_db_hash_place(ulv_id partition, uint64_t address)
{
    uint64_t mixed = partition * UINT64_C(0xc2b2ae3d27d4eb4f) + address / 4096;

    return mixed * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

struct extent *
ulv_db_extent_at(const struct ulv_database *db, const struct partition *p,
                 uint64_t address)
{
    struct link *link =
        *ulv_index_bucket(&db->places, ulv_db_hash_place(p->r.id, address));

    for (; link != NULL; link = link->next) {
        struct extent *e = ULV_CONTAINER_OF(link, struct extent, by_place);

        if (e->partition == p && e->guest_address == address)
            return e;
    }
    return NULL;
}

static struct extent **
link_to(struct extent *e)
{
    return e->before == NULL ? &e->partition->extents : &e->before->next;
}

/* The lowest guest address with room for so many bytes, and the link behind
 * which the extent belongs. What a running partition gets lies beside its
 * window. */
static struct extent **
place(struct partition *p, uint64_t bytes, uint64_t *ret_address)
{
    const uint64_t window = ulv_db_window(p);
    const uint64_t above =
        window + (ULV_SLOT_COUNT + 1) * ULV_GUEST_SLOT_BYTES;
    struct extent **at = &p->extents;
    uint64_t address = ulv_db_ram_base(p);

    if (p->top - address == p->ram_bytes) { /* no holes */
        at = p->extents_end;
        address = p->top;
    }
    for (;; at = &(*at)->next) {
        if (ulv_db_ram_base(p) == 0 && address < ULV_STOCK_HOLE_END &&
            address + bytes > ULV_STOCK_HOLE)
            address = ULV_STOCK_HOLE_END;
        if (ulv_db_runs(p) && address < above && address + bytes > window)
            address = above;
        if (*at == NULL || (*at)->guest_address >= address + bytes)
            break;
        address = ULV_MAX(address, (*at)->guest_address + (*at)->bytes);
    }
    *ret_address = address;
    return at;
}

static ulv_status
add_extent(struct ulv_database *db, struct partition *p, struct pool *pool,
           uint64_t frame, uint64_t bytes)
{
    struct ulv_effect *effect;
    struct extent *e, **at;
    struct record *r;
    ulv_id id;
    ulv_status status = ulv_db_fresh_id(db, &id);

    if (status == ULV_OK)
        status = ulv_db_record_add(db, id, ULV_QUERY_EXTENTS, sizeof(*e), &r,
                                   NULL);
    if (status != ULV_OK)
        return status;
    e = (struct extent *)(void *)r;
    at = place(p, bytes, &e->guest_address);
    effect = ulv_db_effect(db, ULV_EFFECT_EXTENT_GRANT);
    if (effect == NULL || !TOUCH(db, at) || !ulv_db_touched(db, p) ||
        (*at != NULL && !TOUCH(db, &(*at)->before)) ||
        !ulv_index_add(db, &db->places, &e->by_place,
                       ulv_db_hash_place(p->r.id, e->guest_address)))
        return ULV_E_NO_MEMORY;
    e->partition = p;
    if (at != &p->extents)
        e->before = ULV_CONTAINER_OF(at, struct extent, next);
    if (*at != NULL)
        (*at)->before = e;
    e->frame = frame;
    e->bytes = bytes;
    e->node = pool->node;
    e->next = *at;
    *at = e;
    ulv_db_view_changes(&p->changed_extent,
                        e->next == NULL ? p->extent_count : 0);
    if (e->next == NULL) {
        p->extents_end = &e->next;
        p->top = e->guest_address + bytes;
    }
    p->extent_count++;
    p->ram_bytes += bytes;
    effect->u.extent.id = id;
    effect->u.extent.partition = p->r.id;
    effect->u.extent.frame = frame;
    effect->u.extent.bytes = bytes;
    effect->u.extent.guest_address = e->guest_address;
    return ULV_OK;
}

/* Unlink and remove the extent; its pages are free. */
static ulv_status
drop_extent(struct ulv_database *db, struct extent *e)
{
    struct ulv_effect *effect = ulv_db_effect(db, ULV_EFFECT_EXTENT_REVOKE);
    struct extent **at = link_to(e);
    const struct extent *before = e->before;
    struct partition *p = e->partition, *heir = find_partition(db, e->heir);
    ulv_status status;

    if (effect == NULL || !ulv_db_touched(db, p) ||
        !ulv_db_discharge(db, p, ULV_QUOTA_MEMORY, e->bytes) ||
        !TOUCH(db, at) ||
        (e->next != NULL && !TOUCH(db, &e->next->before)) ||
        !ulv_index_remove(db, &db->places, &e->by_place))
        return ULV_E_NO_MEMORY;
    effect->u.removal.id = e->r.id;
    *at = e->next;
    if (e->next != NULL)
        e->next->before = e->before;
    if (e->next == NULL) {
        p->extents_end = at;
        p->top = before == NULL ? ulv_db_ram_base(p)
                                : before->guest_address + before->bytes;
    }
    p->extent_count--;
    ulv_db_view_changes(&p->changed_extent,
                        e->next == NULL ? p->extent_count : 0);
    p->ram_bytes -= e->bytes;
    if (heir != NULL && !ulv_db_discharge(db, heir, ULV_QUOTA_MEMORY, e->bytes))
        return ULV_E_NO_MEMORY;
    status = ulv_db_give_back(db, e->frame, e->bytes, p->r.id);
    if (status != ULV_OK)
        return status;
    return ulv_db_record_remove(db, &e->r);
}

ulv_status
ulv_db_extents_drop(struct ulv_database *db, struct partition *p)
{
    while (p->extents != NULL) {
        ulv_status status = drop_extent(db, p->extents);

        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

/* ---- operations ---------------------------------------------------------- */

/* How much may follow in one piece: of a stock guest, up to its hole. */
static uint64_t
room_at_top(const struct partition *p)
{
    return ulv_db_ram_base(p) == 0 && p->top < ULV_STOCK_HOLE
               ? ULV_STOCK_HOLE - p->top
               : UINT64_MAX;
}

static ulv_status
add_extents(struct ulv_database *db, struct partition *p, struct pool *pool,
            const struct ulv_page_run *run, uint32_t count, uint64_t *left)
{
    for (uint32_t i = 0; i < count; i++) {
        ulv_status status = ULV_E_LIMIT;

        if (p->extent_count < ULV_EXTENTS_MAX)
            status = add_extent(db, p, pool, run[i].address, run[i].bytes);
        if (status != ULV_OK)
            return status;
        *left -= run[i].bytes;
    }
    return ULV_OK;
}

static ulv_status
gather(struct ulv_database *db, struct partition *p, uint32_t node,
       uint64_t bytes)
{
    struct pool *pool = first_pool(db);

    while (bytes > 0 && pool != NULL) {
        struct ulv_page_run run[ULV_GATHER_RUNS];
        uint32_t count;
        ulv_status status = ULV_E_NO_MEMORY;

        if (node == ULV_NODE_ANY || node == pool->node)
            status = take_some(db, pool, ULV_MIN(bytes, room_at_top(p)),
                               p->r.id, run, &count);
        if (status == ULV_E_NO_MEMORY &&
            (node != ULV_NODE_ANY && node != pool->node)) {
            pool = next_pool(pool);
            continue;
        }
        if (status != ULV_OK) {
            if (ulv_page_map_free_bytes(&pool->map) != 0)
                return status; /* not the pool: our own memory ran out */
            pool = next_pool(pool);
            continue;
        }
        status = add_extents(db, p, pool, run, count, &bytes);
        if (status != ULV_OK)
            return status;
    }
    return bytes == 0 ? ULV_OK : ULV_E_NO_MEMORY;
}

/* A stock kernel hears of no change of its memory. */
static ulv_status
may_change(const struct partition *p, struct ulv_diag *diag)
{
    if (ulv_db_ram_base(p) != 0 || !ulv_db_runs(p))
        return ULV_OK;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, p->r.id, 0, 0,
                    "%s runs a stock kernel, whose memory cannot change: stop "
                    "it first",
                    p->name);
}

ulv_status
ulv_db_assign_memory(struct ulv_database *db,
                     const struct ulv_op_assign_memory *op,
                     struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    uint64_t there = free_on(db, op->node);
    ulv_status status;

    if (p == NULL || p == db->idle)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->partition, 0, 0,
                        "partition %u does not exist", op->partition);
    if (op->bytes == 0 || op->bytes % 4096 != 0)
        return ulv_fail(diag, ULV_E_ARG, p->r.id, op->bytes, 4096,
                        "%s: %u bytes is not a whole number of pages", p->name,
                        op->bytes);
    status = may_change(p, diag);
    if (status != ULV_OK)
        return status;
    if (op->bytes > there && op->node == ULV_NODE_ANY)
        return ulv_fail(diag, ULV_E_NO_MEMORY, p->r.id, op->bytes, there,
                        "%s: %z asked, %z free on any node", p->name,
                        op->bytes, there);
    if (op->bytes > there)
        return ulv_fail(diag, ULV_E_NO_MEMORY, p->r.id, op->bytes, there,
                        "%s: %z asked, %z free on node %u", p->name,
                        op->bytes, there, (uint64_t)op->node);
    status = ulv_db_charge(db, p, ULV_QUOTA_MEMORY, op->bytes, diag);
    if (status != ULV_OK)
        return status;
    status = gather(db, p, op->node, op->bytes);
    if (status == ULV_E_LIMIT)
        return ulv_fail(diag, status, p->r.id, p->extent_count,
                        ULV_EXTENTS_MAX, "%s: more than %u extents", p->name,
                        (uint64_t)ULV_EXTENTS_MAX);
    return status == ULV_OK ? ULV_OK : ulv_db_no_memory(diag);
}

/* The first of the whole extents that make up a range, none of which drains. */
static ulv_status
find_range(const struct ulv_database *db, const struct partition *p,
           uint64_t address, uint64_t bytes, struct extent **ret,
           struct ulv_diag *diag)
{
    struct extent *const first = ulv_db_extent_at(db, p, address);
    uint64_t next = address;

    for (struct extent *e = first; e != NULL && e->guest_address == next &&
                  next - address < bytes;
         e = e->next) {
        if (e->draining)
            return ulv_fail(diag, ULV_E_BUSY, p->r.id, e->guest_address, 0,
                            "%s: memory at %x is being taken away already",
                            p->name, e->guest_address);
        next += e->bytes;
    }
    if (bytes == 0 || next - address != bytes)
        return ulv_fail(diag, ULV_E_ARG, p->r.id, bytes, next - address,
                        "%s: %u bytes from %x are not whole extents: %u are",
                        p->name, bytes, address, next - address);
    *ret = first;
    return ULV_OK;
}

static ulv_status
drain_extent(struct ulv_database *db, struct extent *e, struct partition *heir)
{
    struct ulv_effect *effect = ulv_db_effect(db, ULV_EFFECT_DRAIN);

    if (effect == NULL || !ulv_db_change(db, &e->r) ||
        !ulv_db_touched(db, e->partition))
        return ULV_E_NO_MEMORY;
    ulv_db_view_changes(&e->partition->changed_extent, 0);
    e->draining = true;
    e->heir = heir == NULL ? 0 : heir->r.id;
    effect->u.removal.id = e->r.id;
    return ULV_OK;
}

/* Some of it is broken, or gone. What a stock kernel has it keeps until it is
 * stopped: that hears of no change. */
ulv_status
ulv_db_extent_retire(struct ulv_database *db, struct extent *e, bool take,
                     struct ulv_diag *diag)
{
    struct partition *p = e->partition, *heir = find_partition(db, e->heir);
    ulv_status status = ULV_OK;

    if (!ulv_db_touched(db, p) || !ulv_db_change(db, &e->r) ||
        (heir != NULL &&
         !ulv_db_discharge(db, heir, ULV_QUOTA_MEMORY, e->bytes)))
        return ulv_db_no_memory(diag);
    ulv_db_view_changes(&p->changed_extent, 0);
    e->heir = 0;
    if (!take || e->draining || may_change(p, NULL) != ULV_OK)
        status = ulv_db_changed(db, e->r.id, ULV_QUERY_EXTENTS)
                     ? ULV_OK
                     : ULV_E_NO_MEMORY;
    else
        status = ulv_db_runs(p) ? drain_extent(db, e, NULL)
                                : drop_extent(db, e);
    return status == ULV_OK ? ULV_OK : ulv_db_no_memory(diag);
}

ulv_status
ulv_db_release_memory(struct ulv_database *db,
                      const struct ulv_op_release_memory *op,
                      struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct extent *e, *next;
    ulv_status status;

    if (p == NULL || p == db->idle)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->partition, 0, 0,
                        "partition %u does not exist", op->partition);
    status = find_range(db, p, op->guest_address, op->bytes, &e, diag);
    if (status == ULV_OK)
        status = may_change(p, diag);
    if (status != ULV_OK)
        return status;
    for (uint64_t left = op->bytes; left > 0; e = next) {
        next = e->next;
        left -= e->bytes;
        status = ulv_db_runs(p) ? drain_extent(db, e, NULL)
                                : drop_extent(db, e);
        if (status != ULV_OK)
            return ulv_db_no_memory(diag);
    }
    return ULV_OK;
}

ulv_status
ulv_db_move_memory(struct ulv_database *db,
                   const struct ulv_op_move_memory *op, struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct partition *to = find_partition(db, op->to);
    struct extent *e;
    uint32_t count = 0;
    ulv_status status;

    if (p == NULL || p->kind != ULV_PARTITION_GUEST || to == NULL ||
        to->kind != ULV_PARTITION_GUEST)
        return ulv_fail(diag, ULV_E_NOT_FOUND,
                        p == NULL ? op->partition : op->to, 0, 0,
                        "memory is moved from guest to guest, and %u or %u "
                        "is none",
                        op->partition, op->to);
    if (p == to)
        return ulv_fail(diag, ULV_E_ARG, p->r.id, op->to, 0,
                        "%s has that memory already", p->name);
    status = find_range(db, p, op->guest_address, op->bytes, &e, diag);
    if (status == ULV_OK)
        status = may_change(p, diag);
    if (status == ULV_OK)
        status = may_change(to, diag);
    if (status == ULV_OK)
        status = ulv_db_charge(db, to, ULV_QUOTA_MEMORY, op->bytes, diag);
    if (status != ULV_OK)
        return status;
    for (uint64_t left = op->bytes; left > 0; count++, e = e->next) {
        left -= e->bytes;
        if (ulv_db_is_retired(db, e->frame, e->bytes))
            return ulv_fail(diag, ULV_E_STATE, e->r.id, e->frame, e->bytes,
                            "%s: some of its memory at %x is retired, and "
                            "can be released only",
                            p->name, e->guest_address);
        if (drain_extent(db, e, to) != ULV_OK)
            return ulv_db_no_memory(diag);
    }
    if (count > ULV_EXTENTS_MAX - to->extent_count)
        return ulv_fail(diag, ULV_E_LIMIT, to->r.id,
                        (uint64_t)to->extent_count + count, ULV_EXTENTS_MAX,
                        "%s: more than %u extents", to->name,
                        (uint64_t)ULV_EXTENTS_MAX);
    return ULV_OK;
}

ulv_status
ulv_db_settle_extent(struct ulv_database *db, struct extent *e,
                     struct ulv_diag *diag)
{
    if (!e->draining)
        return ulv_fail(diag, ULV_E_STATE, e->r.id, e->guest_address, 0,
                        "extent %u was not to be taken away", e->r.id);
    return drop_extent(db, e) == ULV_OK ? ULV_OK : ulv_db_no_memory(diag);
}

ulv_status
ulv_db_grant(struct ulv_database *db, const struct ulv_op_grant *op,
             struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct pool *pool = ulv_db_pool_of(db, op->frame);
    ulv_status status;

    if (p == NULL || p->kind != ULV_PARTITION_GUEST)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->partition, op->frame, 0,
                        "partition %u is gone: memory at %x stays free",
                        op->partition, op->frame);
    if (pool == NULL ||
        !ulv_range_inside(op->frame - pool->map.base, op->bytes,
                          pool->map.bytes) ||
        p->extent_count == ULV_EXTENTS_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, p->r.id, op->frame,
                        ULV_EXTENTS_MAX, "%s cannot have memory at %x",
                        p->name, op->frame);
    status = ulv_db_set_pages(db, pool, op->frame, op->bytes, ULV_PAGE_FREE,
                              p->r.id);
    if (status == ULV_E_DENIED)
        return ulv_fail(diag, ULV_E_BUSY, p->r.id, op->frame, 0,
                        "memory at %x is not free", op->frame);
    if (status != ULV_OK)
        return ulv_db_no_memory(diag);
    status = ulv_db_charge(db, p, ULV_QUOTA_MEMORY, op->bytes, diag);
    if (status == ULV_E_QUOTA)
        return status;
    if (status == ULV_OK)
        status = add_extent(db, p, pool, op->frame, op->bytes);
    return status == ULV_OK ? ULV_OK : ulv_db_no_memory(diag);
}

bool
ulv_database_draining(const struct ulv_database *db, ulv_id object,
                      struct ulv_effect_extent *ret)
{
    const struct extent *e = (void *)ulv_db_find(db, object, ULV_QUERY_EXTENTS);
    const struct channel *c =
        (void *)ulv_db_find(db, object, ULV_QUERY_CHANNELS);

    memset(ret, 0, sizeof(*ret));
    if (e != NULL && e->draining) {
        ret->partition = e->heir;
        ret->frame = e->frame;
        ret->bytes = e->bytes;
        return true;
    }
    return c != NULL && c->draining;
}
