/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Memory and processors: where they come from and who gets them. */
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

uint64_t
ulv_db_window(const struct partition *p)
{
    uint64_t end =
        ulv_round_up(ULV_GUEST_RAM_BASE + p->ram_bytes, ULV_GIB(1));

    return ULV_MAX(end, ULV_GUEST_WINDOW);
}

/* ---- processors ---------------------------------------------------------- */

ulv_status
ulv_db_add_processor(struct ulv_database *db,
                     const struct ulv_op_add_processor *op,
                     struct ulv_diag *diag)
{
    struct record *r;
    struct processor *processor;
    ulv_status status;

    for (r = db->first[ULV_QUERY_PROCESSORS]; r != NULL; r = r->after) {
        processor = (struct processor *)(void *)r;
        if (processor->os_number == op->os_number)
            return ulv_fail(diag, ULV_E_EXISTS, r->id, op->os_number, 0,
                            "processor %u is there already",
                            (uint64_t)op->os_number);
    }
    status = ulv_db_record_add(db, op->id, ULV_QUERY_PROCESSORS,
                               sizeof(*processor), &r, diag);
    if (status != ULV_OK)
        return status;
    processor = (struct processor *)(void *)r;
    processor->owner = db->idle;
    processor->package = op->package;
    processor->core = op->core;
    processor->thread = op->thread;
    processor->node = op->node;
    processor->os_number = op->os_number;
    return ULV_OK;
}

/* The processor fewest share, that nobody has for himself. */
static struct processor *
least_shared(const struct ulv_database *db, const struct partition *p,
             bool dedicated)
{
    struct processor *best = NULL;

    for (struct record *r = db->first[ULV_QUERY_PROCESSORS]; r != NULL;
         r = r->after) {
        struct processor *processor = (struct processor *)(void *)r;
        const struct share *share = p->shares;

        while (share != NULL && share->processor != processor)
            share = share->next;
        if (share != NULL || processor->owner != db->idle ||
            (dedicated && processor->share_count > 0))
            continue;
        if (best == NULL || processor->share_count < best->share_count)
            best = processor;
    }
    return best;
}

static ulv_status
assign_processor(struct ulv_database *db, struct partition *p, uint32_t mode,
                 struct ulv_diag *diag)
{
    bool dedicated = mode == ULV_PROCESSOR_DEDICATED;
    struct processor *processor = least_shared(db, p, dedicated);
    struct share *share;

    if (processor == NULL)
        return ulv_fail(diag, ULV_E_LIMIT, p->r.id, p->processor_count + 1,
                        p->processor_count,
                        "%s: no further processor can be %s", p->name,
                        dedicated ? "dedicated" : "shared");
    share = ulv_db_allocate(db, sizeof(*share));
    if (share == NULL || !TOUCH(db, processor) || !ulv_db_touched(db, p))
        return ulv_db_no_memory(diag);
    share->processor = processor;
    share->mode = mode;
    share->vcpu_idx = p->processor_count++;
    share->next = p->shares;
    p->shares = share;
    processor->share_count++;
    processor->r.version = db->revision + 1;
    if (dedicated)
        processor->owner = p;
    return ULV_OK;
}

ulv_status
ulv_db_assign_processors(struct ulv_database *db,
                         const struct ulv_op_assign_processors *op,
                         struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);

    if (p == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->partition, 0, 0,
                        "partition %u does not exist", op->partition);
    if (p->kind != ULV_PARTITION_GUEST)
        return ulv_fail(diag, ULV_E_DENIED, p->r.id, p->kind, 0,
                        "%s is no guest: processors are given to guests",
                        p->name);
    if (op->mode > ULV_PROCESSOR_DEDICATED || op->count == 0)
        return ulv_fail(diag, ULV_E_ARG, op->partition, op->mode, 1,
                        "%s: %u processors in mode %u", p->name,
                        (uint64_t)op->count, (uint64_t)op->mode);
    for (uint32_t i = 0; i < op->count; i++) {
        ulv_status status = assign_processor(db, p, op->mode, diag);

        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

ulv_status
ulv_db_shares_drop(struct ulv_database *db, struct partition *p)
{
    for (struct share *share = p->shares; share != NULL; share = share->next) {
        struct processor *processor = share->processor;

        if (!TOUCH(db, processor) ||
            ulv_db_bury(db, share, sizeof(*share)) != ULV_OK)
            return ULV_E_NO_MEMORY;
        processor->share_count--;
        processor->owner = db->idle;
        processor->r.version = db->revision + 1;
    }
    p->shares = NULL;
    p->processor_count = 0;
    return ULV_OK;
}

/* ---- memory -------------------------------------------------------------- */

ulv_status
ulv_db_add_memory(struct ulv_database *db, const struct ulv_op_add_memory *op,
                  struct ulv_diag *diag)
{
    struct record *r;
    struct pool *pool;
    ulv_status status;

    for (pool = first_pool(db); pool != NULL; pool = next_pool(pool)) {
        if (ulv_ranges_overlap(pool->map.base, pool->map.bytes, op->base,
                               op->bytes))
            return ulv_fail(diag, ULV_E_EXISTS, pool->r.id, op->base,
                            pool->map.base,
                            "memory at %x overlaps that of node %u", op->base,
                            (uint64_t)pool->node);
    }
    status = ulv_db_record_add(db, op->id, ULV_QUERY_MEMORY, sizeof(*pool), &r,
                               diag);
    if (status != ULV_OK)
        return status;
    pool = (struct pool *)(void *)r;
    pool->node = op->node;
    pool->born = db->revision + 1;
    status = ulv_page_map_init(&pool->map, &db->map_memory, op->base,
                               op->bytes);
    if (status != ULV_OK)
        return ulv_fail(diag, status, op->id, op->bytes, ULV_MIB(2),
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

static ulv_status
remember_range(struct ulv_database *db, struct pool *pool, uint64_t address,
               uint64_t bytes)
{
    const struct ulv_host *host = db->host;
    struct range *range = host->alloc(host->self, sizeof(*range), 8);

    if (range == NULL)
        return ULV_E_NO_MEMORY;
    range->pool = pool;
    range->address = address;
    range->bytes = bytes;
    range->next = db->plan->ranges;
    db->plan->ranges = range;
    return ULV_OK;
}

/* One run of at most bytes from pool for owner. */
static ulv_status
take_some(struct ulv_database *db, struct pool *pool, uint64_t bytes,
          uint64_t owner, uint64_t *ret_frame, uint64_t *ret_bytes)
{
    ulv_status status =
        ulv_page_map_find(&pool->map, bytes, ret_frame, ret_bytes);

    if (status == ULV_OK)
        status = remember_range(db, pool, *ret_frame, *ret_bytes);
    if (status != ULV_OK)
        return status;
    return ulv_page_map_set(&pool->map, *ret_frame, *ret_bytes, ULV_PAGE_FREE,
                            owner);
}

static struct pool *
pool_of(const struct ulv_database *db, uint64_t frame)
{
    struct pool *pool = first_pool(db);

    while (pool != NULL &&
           !ulv_range_inside(frame - pool->map.base, 1, pool->map.bytes))
        pool = next_pool(pool);
    return pool;
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
        if (remember_range(db, pool, frame, bytes) != ULV_OK)
            return ULV_E_NO_MEMORY;
        *ret_frame = frame;
        return ulv_page_map_set(&pool->map, frame, bytes, ULV_PAGE_FREE,
                                owner);
    }
    return ULV_E_NO_MEMORY;
}

ulv_status
ulv_db_give_back(struct ulv_database *db, uint64_t frame, uint64_t bytes,
                 uint64_t owner)
{
    struct pool *pool = pool_of(db, frame);
    ulv_status status = remember_range(db, pool, frame, bytes);

    if (status != ULV_OK)
        return status;
    return ulv_page_map_set(&pool->map, frame, bytes, owner, ULV_PAGE_FREE);
}

static ulv_status
add_extent(struct ulv_database *db, struct partition *p, struct pool *pool,
           uint64_t frame, uint64_t bytes)
{
    struct ulv_effect *effect;
    struct extent *e;
    struct record *r;
    ulv_id id;
    ulv_status status = ulv_db_fresh_id(db, &id);

    if (status == ULV_OK)
        status = ulv_db_record_add(db, id, KIND_EXTENT, sizeof(*e), &r, NULL);
    if (status != ULV_OK)
        return status;
    effect = ulv_db_effect(db, ULV_EFFECT_EXTENT_GRANT);
    if (effect == NULL || !ulv_db_touch(db, p->extents_end, sizeof(void *)) ||
        !ulv_db_touched(db, p))
        return ULV_E_NO_MEMORY;
    e = (struct extent *)(void *)r;
    e->partition = p;
    e->frame = frame;
    e->bytes = bytes;
    e->guest_address = ULV_GUEST_RAM_BASE + p->ram_bytes;
    e->node = pool->node;
    *p->extents_end = e;
    p->extents_end = &e->next;
    p->extent_count++;
    p->ram_bytes += bytes;
    effect->u.extent.id = id;
    effect->u.extent.partition = p->r.id;
    effect->u.extent.frame = frame;
    effect->u.extent.bytes = bytes;
    effect->u.extent.guest_address = e->guest_address;
    return ULV_OK;
}

static ulv_status
gather(struct ulv_database *db, struct partition *p, uint32_t node,
       uint64_t bytes)
{
    struct pool *pool = first_pool(db);

    while (bytes > 0 && pool != NULL) {
        uint64_t frame, some;
        ulv_status status = ULV_E_NO_MEMORY;

        if (node == ULV_NODE_ANY || node == pool->node)
            status = take_some(db, pool, bytes, p->r.id, &frame, &some);
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
        if (p->extent_count == ULV_EXTENTS_MAX)
            return ULV_E_LIMIT;
        status = add_extent(db, p, pool, frame, some);
        if (status != ULV_OK)
            return status;
        bytes -= some;
    }
    return bytes == 0 ? ULV_OK : ULV_E_NO_MEMORY;
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
    if (p->state == ULV_STATE_STARTING || p->state == ULV_STATE_RUNNING)
        return ulv_fail(diag, ULV_E_STATE, p->r.id, p->state, 0,
                        "%s runs: memory is given before the start", p->name);
    if (op->bytes > there && op->node == ULV_NODE_ANY)
        return ulv_fail(diag, ULV_E_NO_MEMORY, p->r.id, op->bytes, there,
                        "%s: %z asked, %z free on any node", p->name,
                        op->bytes, there);
    if (op->bytes > there)
        return ulv_fail(diag, ULV_E_NO_MEMORY, p->r.id, op->bytes, there,
                        "%s: %z asked, %z free on node %u", p->name,
                        op->bytes, there, (uint64_t)op->node);
    status = gather(db, p, op->node, op->bytes);
    if (status == ULV_E_LIMIT)
        return ulv_fail(diag, status, p->r.id, p->extent_count,
                        ULV_EXTENTS_MAX, "%s: more than %u extents", p->name,
                        (uint64_t)ULV_EXTENTS_MAX);
    return status == ULV_OK ? ULV_OK : ulv_db_no_memory(diag);
}

ulv_status
ulv_db_extent_drop(struct ulv_database *db, struct extent *e)
{
    struct ulv_effect *effect = ulv_db_effect(db, ULV_EFFECT_EXTENT_REVOKE);
    ulv_status status;

    if (effect == NULL)
        return ULV_E_NO_MEMORY;
    effect->u.removal.id = e->r.id;
    status = ulv_db_give_back(db, e->frame, e->bytes, e->partition->r.id);
    if (status != ULV_OK)
        return status;
    return ulv_db_record_remove(db, &e->r);
}

/* Whole extents from the end of the partition's memory. */
ulv_status
ulv_db_release_memory(struct ulv_database *db,
                      const struct ulv_op_release_memory *op,
                      struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct extent **at;
    uint64_t bytes = 0;

    if (p == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->partition, 0, 0,
                        "partition %u does not exist", op->partition);
    if (p->state == ULV_STATE_STARTING || p->state == ULV_STATE_RUNNING)
        return ulv_fail(diag, ULV_E_STATE, p->r.id, p->state, 0,
                        "%s runs: its memory cannot be released", p->name);
    at = &p->extents;
    while (*at != NULL && (*at)->guest_address < op->guest_address)
        at = &(*at)->next;
    for (struct extent *e = *at; e != NULL; e = e->next)
        bytes += e->bytes;
    if (*at == NULL || (*at)->guest_address != op->guest_address ||
        bytes != op->bytes)
        return ulv_fail(diag, ULV_E_ARG, p->r.id, op->guest_address, bytes,
                        "%s: only whole extents up to the end of memory can "
                        "be released; %u bytes from %x are not that",
                        p->name, op->bytes, op->guest_address);
    if (!ulv_db_touched(db, p) || !ulv_db_touch(db, at, sizeof(*at)))
        return ulv_db_no_memory(diag);
    for (struct extent *e = *at; e != NULL; e = e->next) {
        if (ulv_db_extent_drop(db, e) != ULV_OK)
            return ulv_db_no_memory(diag);
        p->extent_count--;
    }
    *at = NULL;
    p->extents_end = at;
    p->ram_bytes -= bytes;
    return ULV_OK;
}
