/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Life of a database, and reading it. */
#include "database/database_priv.h"

#include <ultravisor/abi/channel.h>

static void *
map_allocate(void *self, size_t bytes)
{
    return ulv_db_allocate(self, bytes);
}

static bool
map_touch(void *self, void *p, size_t bytes)
{
    return ULV_FAST_DATABASE && bytes == 8 ? ulv_db_touch_word(self, p)
                                           : ulv_db_touch(self, p, bytes);
}

static void
map_release(void *self, void *p, size_t bytes)
{
    ulv_db_free(self, p, bytes);
}

ulv_status
ulv_database_lease(struct ulv_database *db, ulv_id *ret_first)
{
    const struct ulv_host *host = db->host;

    if (db->lease_count == db->lease_capacity) {
        uint32_t more = db->lease_capacity * 2 + 8;
        struct lease *leases =
            host->alloc(host->self, more * sizeof(*leases), 8);

        if (leases == NULL)
            return ULV_E_NO_MEMORY;
        if (db->lease_count != 0)
            memcpy(leases, db->leases, db->lease_count * sizeof(*leases));
        host->free(host->self, db->leases,
                   db->lease_capacity * sizeof(*leases));
        db->leases = leases;
        db->lease_capacity = more;
    }
    *ret_first = (ulv_id)db->lease_count * ULV_ID_LEASE_COUNT;
    db->leases[db->lease_count++].next = *ret_first;
    return ULV_OK;
}

static ulv_status
make_idle(struct ulv_database *db)
{
    struct record *r;
    ulv_id first;
    ulv_status status = ulv_database_lease(db, &first);

    if (status == ULV_OK)
        status = ulv_db_record_add(db, ULV_ID_IDLE, ULV_QUERY_PARTITIONS,
                                   sizeof(struct partition), &r, NULL);
    if (status != ULV_OK)
        return status;
    db->leases[first / ULV_ID_LEASE_COUNT].own = true;
    db->own_next = ULV_ID_IDLE + 1;
    db->own_end = ULV_ID_LEASE_COUNT;
    db->idle = (struct partition *)(void *)r;
    db->idle->kind = ULV_PARTITION_IDLE;
    db->idle->state = ULV_STATE_RUNNING;
    db->idle->extents_end = &db->idle->extents;
    db->idle->top = ULV_GUEST_RAM_BASE;
    ulv_db_quota_init(&db->idle->quota);
    ulv_string_copy(db->idle->name, sizeof(db->idle->name), "idle");
    (void)ulv_index_add(db, &db->names, &db->idle->by_name,
                        ulv_db_hash_name(db->idle->name));
    return ULV_OK;
}

ulv_status
ulv_database_create(const struct ulv_host *host, struct ulv_database **ret)
{
    struct ulv_database *db = host->alloc(host->self, sizeof(*db), 8);
    ulv_status status;

    if (db == NULL)
        return ULV_E_NO_MEMORY;
    db->host = host;
    db->chunk_bytes = CHUNK_BYTES;
    ulv_db_init_spares(db);
    db->start = host->now(host->self);
    db->map_memory.self = db;
    db->map_memory.allocate = map_allocate;
    db->map_memory.touch = map_touch;
    db->map_memory.release = map_release;
    status = ulv_index_init(&db->ids, host);
    if (status == ULV_OK)
        status = ulv_index_init(&db->names, host);
    if (status == ULV_OK)
        status = ulv_index_init(&db->places, host);
    if (status == ULV_OK)
        status = make_idle(db);
    if (status != ULV_OK) {
        ulv_database_destroy(db);
        return status;
    }
    *ret = db;
    return ULV_OK;
}

static void
free_record(struct ulv_database *db, struct record *r)
{
    const struct ulv_host *host = db->host;

    if (r->kind == ULV_QUERY_MEMORY)
        ulv_page_map_fini(&((struct pool *)(void *)r)->map);
    if (r->kind == ULV_QUERY_PARTITIONS) {
        struct partition *p = (struct partition *)(void *)r;

        while (p->shares != NULL) {
            struct share *share = p->shares;

            p->shares = share->next;
            host->free(host->self, share, sizeof(*share));
        }
    }
    host->free(host->self, r, r->bytes);
}

static void
free_plan(const struct ulv_host *host, struct ulv_plan *plan)
{
    host->free(host->self, plan->effects,
               plan->effect_capacity * sizeof(*plan->effects));
    host->free(host->self, plan->touched,
               plan->touched_capacity * sizeof(*plan->touched));
    host->free(host->self, plan->changes,
               plan->change_capacity * sizeof(*plan->changes));
    if (plan->chunks != NULL)
        host->free(host->self, plan->chunks,
                   sizeof(*plan->chunks) + plan->chunks->bytes);
}

void
ulv_database_destroy(struct ulv_database *db)
{
    const struct ulv_host *host;

    if (db == NULL)
        return;
    host = db->host;
    if (db->plan != NULL)
        ulv_database_abort(db, db->plan);
    if (db->observer != NULL)
        db->observer->end(db);
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        while (db->first[kind] != NULL) {
            struct record *r = db->first[kind];

            db->first[kind] = r->after;
            free_record(db, r);
        }
    }
    ulv_db_free_spares(db);
    free_plan(host, &db->only_plan);
    host->free(host->self, db->leases,
               db->lease_capacity * sizeof(*db->leases));
    ulv_index_fini(&db->ids, host);
    ulv_index_fini(&db->names, host);
    ulv_index_fini(&db->places, host);
    host->free(host->self, db, sizeof(*db));
}

uint64_t
ulv_database_revision(const struct ulv_database *db)
{
    return db->revision;
}

void
ulv_database_channel_seen(struct ulv_database *db, ulv_id channel,
                          const uint32_t state[2])
{
    struct channel *c =
        (void *)ulv_db_find(db, channel, ULV_QUERY_CHANNELS);

    if (c != NULL)
        memcpy(c->seen, state, sizeof(c->seen));
}

/* ---- queries ------------------------------------------------------------- */

static void
write_partition(const struct record *r, void *ret)
{
    const struct partition *p = (const void *)r;
    struct ulv_partition_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->kind = p->kind;
    out->state = p->state;
    out->intent = p->intent;
    out->end_reason = p->end_reason;
    out->end_code = p->end_code;
    out->memory_bytes = p->ram_bytes;
    out->processor_count = p->processor_count;
    out->channel_count = p->channel_count;
    out->capabilities = p->capabilities;
    out->zone = p->zone == NULL ? 0 : p->zone->r.id;
    memcpy(out->name, p->name, sizeof(out->name));
    memcpy(out->policy, p->policy, sizeof(out->policy));
    if (!ULV_RESTARTS) /* nothing is made of its records */
        return;
    out->silence_limit = p->silence_limit;
    out->window = p->window;
    out->restarts = p->restarts;
    out->restart_window = p->restart_window;
    out->ran = p->ran;
}

static void
write_channel(const struct record *r, void *ret)
{
    const struct channel *c = (const void *)r;
    struct ulv_channel_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->server = c->server->r.id;
    out->client = c->client->r.id;
    out->device = c->device == NULL ? 0 : c->device->r.id;
    out->bytes = c->bytes;
    out->epoch = c->epoch;
    memcpy(out->state, c->seen, sizeof(out->state));
    out->flags = c->draining ? ULV_CHANNEL_DRAINING : 0;
    memcpy(out->type, c->type, 16);
    if (!ULV_RESTARTS)
        return;
    out->frame = c->frame;
    out->server_slot = c->server_slot;
    out->client_slot = c->client_slot;
    out->ring_bytes = c->ring_bytes;
    memcpy(out->instance, c->instance, 16);
}

static void
write_device(const struct record *r, void *ret)
{
    const struct device *d = (const void *)r;
    struct ulv_device_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->serving = d->serving->r.id;
    out->standby = d->standby == NULL ? 0 : d->standby->r.id;
    out->bytes = d->medium_bytes;
    out->kind = d->kind;
    out->flags = d->flags;
    memcpy(out->name, d->name, sizeof(out->name));
}

static void
write_processor(const struct record *r, void *ret)
{
    const struct processor *p = (const void *)r;
    struct ulv_processor_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->owner = p->owner->r.id;
    out->package = p->package;
    out->core = p->core;
    out->thread = p->thread;
    out->node = p->node;
    out->os_number = p->os_number;
    out->mode = p->owner->kind == ULV_PARTITION_IDLE
                    ? ULV_PROCESSOR_SHARED
                    : ULV_PROCESSOR_DEDICATED;
    out->share_count = p->share_count;
    out->retired = p->retired;
    if (p->owner->kind == ULV_PARTITION_IDLE && !p->retired)
        out->idle_quanta = ulv_db_count(~p->taken);
}

static void
write_pool(const struct record *r, void *ret)
{
    const struct pool *p = (const void *)r;
    struct ulv_memory_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->base = p->map.base;
    out->bytes = p->map.bytes;
    out->free_bytes = ulv_page_map_free_bytes(&p->map);
    out->node = p->node;
    out->gone_bytes = p->gone;
}

static void
write_extent(const struct record *r, void *ret)
{
    const struct extent *e = (const void *)r;
    struct ulv_extent_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->partition = e->partition->r.id;
    out->guest_address = e->guest_address;
    out->frame = e->frame;
    out->bytes = e->bytes;
    out->node = e->node;
    out->flags = e->draining ? ULV_EXTENT_DRAINING : 0;
    out->heir = e->heir;
}

static void
write_zone(const struct record *r, void *ret)
{
    const struct zone *zone = (const void *)r;
    struct ulv_zone_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    memcpy(out->limit, zone->quota.limit, sizeof(out->limit));
    memcpy(out->used, zone->quota.used, sizeof(out->used));
    memcpy(out->name, zone->name, sizeof(out->name));
    memcpy(out->policy, zone->policy, sizeof(out->policy));
}

static void
write_label(const struct record *r, void *ret)
{
    const struct label *label = (const void *)r;
    struct ulv_label_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->object = label->object->id;
    memcpy(out->key, label->key, sizeof(out->key));
    memcpy(out->value, label->value, sizeof(out->value));
}

static void
write_quota(const struct record *r, void *ret)
{
    const struct partition *p = (const void *)r;
    struct ulv_quota_record *out = ret;

    out->id = r->id;
    memcpy(out->limit, p->quota.limit, sizeof(out->limit));
    memcpy(out->used, p->quota.used, sizeof(out->used));
}

static void
write_range(const struct record *r, void *ret)
{
    const struct range_record *range = (const void *)r;
    struct ulv_range_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->owner = range->owner->r.id;
    out->first = range->first;
    out->count = range->count;
    out->kind = range->kind;
}

static void
write_hardware(const struct record *r, void *ret)
{
    const struct hardware *h = (const void *)r;
    struct ulv_hardware_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->owner = h->owner->r.id;
    out->parent = h->parent == NULL ? 0 : h->parent->r.id;
    out->address = h->address;
    out->bytes = h->bytes;
    out->kind = h->kind;
    out->device_class = h->device_class;
    out->node = h->node;
    out->model = h->model;
    memcpy(out->name, h->name, sizeof(out->name));
    memcpy(out->driver, h->driver, sizeof(out->driver));
}

/* What somebody has still: see ulv_db_write_record(). */
static void
write_retired(const struct record *r, void *ret)
{
    const struct retired *x = (const void *)r;
    struct ulv_retired_record *out = ret;

    out->id = r->id;
    out->version = r->version;
    out->frame = x->frame;
    out->bytes = x->bytes;
}

/* What its virtual processors have together; idle: what nobody has. */
static void
count_quanta(const struct ulv_database *db, const struct partition *p,
             struct ulv_usage_record *out)
{
    for (const struct share *s = p->shares; s != NULL; s = s->next) {
        out->quanta += ulv_db_count(s->quanta);
        out->dedicated += s->mode == ULV_PROCESSOR_DEDICATED ? 1 : 0;
    }
    if (p != db->idle)
        return;
    for (const struct record *r = db->first[ULV_QUERY_PROCESSORS]; r != NULL;
         r = r->after) {
        const struct processor *processor = (const void *)r;

        if (processor->owner == p && !processor->retired)
            out->quanta += ulv_db_count(~processor->taken);
    }
}

static uint64_t
elapsed_time(const struct ulv_database *db)
{
    uint64_t time = db->host->now(db->host->self) - db->start, all = 0;

    for (const struct record *r = db->first[ULV_QUERY_PROCESSORS]; r != NULL;
         r = r->after)
        all += time;
    return all;
}

static void
write_usage(const struct ulv_database *db, const struct record *r,
            uint64_t elapsed, struct ulv_usage_record *out)
{
    const struct partition *p = (const void *)r;

    out->id = r->id;
    out->used = p == db->idle ? ulv_db_time_idle(db, elapsed) : p->used;
    out->elapsed = elapsed;
    out->gone = db->used_gone;
    count_quanta(db, p, out);
}

static const struct {
    uint32_t bytes;
    void (*write)(const struct record *r, void *ret);
} query_kind[] = {
    [ULV_QUERY_PARTITIONS] = { sizeof(struct ulv_partition_record),
                               write_partition },
    [ULV_QUERY_CHANNELS] = { sizeof(struct ulv_channel_record),
                             write_channel },
    [ULV_QUERY_DEVICES] = { sizeof(struct ulv_device_record), write_device },
    [ULV_QUERY_PROCESSORS] = { sizeof(struct ulv_processor_record),
                               write_processor },
    [ULV_QUERY_MEMORY] = { sizeof(struct ulv_memory_record), write_pool },
    [ULV_QUERY_EXTENTS] = { sizeof(struct ulv_extent_record), write_extent },
    [ULV_QUERY_ZONES] = { sizeof(struct ulv_zone_record), write_zone },
    [ULV_QUERY_LABELS] = { sizeof(struct ulv_label_record), write_label },
    [ULV_QUERY_QUOTAS] = { sizeof(struct ulv_quota_record), write_quota },
    [ULV_QUERY_RANGES] = { sizeof(struct ulv_range_record), write_range },
    [ULV_QUERY_HARDWARE] = { sizeof(struct ulv_hardware_record),
                             write_hardware },
    [ULV_QUERY_RETIRED] = { sizeof(struct ulv_retired_record),
                            write_retired },
};

uint32_t
ulv_db_record_bytes(uint32_t kind)
{
    return kind < ULV_COUNT_OF(query_kind) ? query_kind[kind].bytes : 0;
}

void
ulv_db_write_record(const struct ulv_database *db, const struct record *r,
                    uint32_t kind, void *ret)
{
    struct ulv_retired_record *retired = ret;

    memset(ret, 0, query_kind[kind].bytes);
    query_kind[kind].write(r, ret);
    if (kind == ULV_QUERY_RETIRED)
        retired->pending_bytes = ulv_db_retired_pending(db, (const void *)r);
}

/* Of the records that such a query is about. */
uint32_t
ulv_db_list_of(uint32_t kind)
{
    return kind == ULV_QUERY_USAGE || kind == ULV_QUERY_QUOTAS ||
                   kind == ULV_QUERY_SHARES
               ? ULV_QUERY_PARTITIONS
               : kind;
}

static void
query_log(const struct ulv_database *db, uint64_t after, void *buf,
          uint32_t room, uint32_t *ret_count, bool *ret_more)
{
    struct ulv_log_record *out = buf;
    uint64_t revision = after + 1;

    if (db->revision >= ULV_LOG_COUNT)
        revision = ULV_MAX(revision, db->revision - ULV_LOG_COUNT + 1);
    while (revision <= db->revision && *ret_count < room)
        out[(*ret_count)++] = db->log[revision++ % ULV_LOG_COUNT];
    *ret_more = revision <= db->revision;
}

/* Where a query goes on: behind the record it ended with, if that is there. */
static struct record *
first_after(const struct ulv_database *db, uint32_t kind, ulv_id after)
{
    struct record *r = ulv_db_find(db, after, kind);

    if (r != NULL)
        return r->after;
    r = db->first[kind];
    while (r != NULL && r->id <= after)
        r = r->after;
    return r;
}

ulv_status
ulv_database_query(const struct ulv_database *db, uint32_t kind,
                   uint64_t after, void *buf, size_t bytes,
                   uint32_t *ret_bytes, uint32_t *ret_count, bool *ret_more)
{
    bool usage = kind == ULV_QUERY_USAGE;
    uint64_t elapsed = usage ? elapsed_time(db) : 0;
    uint8_t *out = buf;
    uint32_t room;

    *ret_count = 0;
    *ret_more = false;
    if (kind == ULV_QUERY_LOG)
        *ret_bytes = sizeof(struct ulv_log_record);
    else if (usage)
        *ret_bytes = sizeof(struct ulv_usage_record);
    else if (kind >= 1 && kind < ULV_COUNT_OF(query_kind))
        *ret_bytes = query_kind[kind].bytes;
    else
        return ULV_E_ARG;
    room = (uint32_t)ULV_MIN(bytes / *ret_bytes, (size_t)UINT32_MAX);
    if (room == 0)
        return ULV_E_ARG;
    if (kind == ULV_QUERY_LOG) {
        query_log(db, after, buf, room, ret_count, ret_more);
        return ULV_OK;
    }
    for (struct record *r = first_after(db, ulv_db_list_of(kind), after);
         r != NULL; r = r->after) {
        if (*ret_count == room) {
            *ret_more = true;
            break;
        }
        memset(out, 0, *ret_bytes);
        if (usage)
            write_usage(db, r, elapsed, (void *)out);
        else
            ulv_db_write_record(db, r, kind, out);
        out += *ret_bytes;
        (*ret_count)++;
    }
    return ULV_OK;
}

ulv_status
ulv_database_find(const struct ulv_database *db, uint32_t kind, ulv_id id,
                  void *ret)
{
    const struct record *r;

    if (kind == 0 || kind >= ULV_COUNT_OF(query_kind))
        return ULV_E_ARG;
    r = query_kind[kind].write == NULL ? NULL
                                       : ulv_db_find(db, id,
                                                     ulv_db_list_of(kind));
    if (r == NULL)
        return ULV_E_NOT_FOUND;
    ulv_db_write_record(db, r, kind, ret);
    return ULV_OK;
}

bool
ulv_database_take_restart(struct ulv_database *db, ulv_id id, uint64_t now)
{
    struct partition *p = find_partition(db, id);
    uint64_t window = ULV_RESTART_WINDOW;

    if (p == NULL || p->restarts == 0)
        return false;
    if (p->restart_window != 0)
        window = p->restart_window * UINT64_C(1000000);
    if (p->restarted == 0 || now - p->restart_since >= window) {
        p->restarted = 0;
        p->restart_since = now;
    }
    if (p->restarted >= p->restarts) /* or fewer are allowed now */
        return false;
    p->restarted++;
    return true;
}
