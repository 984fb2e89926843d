/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A database from its records alone: what each says of itself is checked, and
 * what follows from them (counts, maps, lists, who has which quanta) is made
 * anew, so that ulv_database_check() holds afterwards. Needs an empty database;
 * a failure leaves one that can only be destroyed.
 */
#include <ultravisor/abi/block.h>

#include "database/journal_priv.h"

#define PROCESSORS_MAX 4096u
#define POOLS_MAX      1024u
#define ADDRESS_MAX    (UINT64_C(1) << 47) /* of a guest */

static ulv_status
above(const struct restore *w, ulv_id id, uint64_t value, uint64_t bound,
      const char *what)
{
    const struct staged *s = ulv_stage_find(w->stage, id);

    if (w->stage->name != NULL)
        return ulv_fail(w->diag, ULV_E_FORMAT, id, value, bound,
                        "%s:%u: object %u: %s (%u); nothing was changed",
                        w->stage->name, (uint64_t)(s == NULL ? 0 : s->line),
                        id, what, value);
    return ulv_fail(w->diag, ULV_E_FORMAT, id, value, bound,
                    "the journal is damaged: object %u: %s (%u); nothing was "
                    "changed",
                    id, what, value);
}

static ulv_status
wrong(const struct restore *w, ulv_id id, uint64_t value, const char *what)
{
    return above(w, id, value, 0, what);
}

ulv_status
ulv_restore_wrong(const struct restore *w, ulv_id id, uint64_t value,
                  const char *what)
{
    return wrong(w, id, value, what);
}

/* ---- order --------------------------------------------------------------- */

typedef bool less(const struct staged *a, const struct staged *b);

static bool
less_by_id(const struct staged *a, const struct staged *b)
{
    return a->id < b->id;
}

/* Extents first, by partition and address. */
static bool
less_by_place(const struct staged *a, const struct staged *b)
{
    const struct ulv_journal_extent *x = (const void *)(a + 1);
    const struct ulv_journal_extent *y = (const void *)(b + 1);

    if (a->kind != ULV_JOURNAL_EXTENT || b->kind != ULV_JOURNAL_EXTENT)
        return a->kind == ULV_JOURNAL_EXTENT && b->kind != ULV_JOURNAL_EXTENT;
    if (x->partition != y->partition)
        return x->partition < y->partition;
    return x->guest_address < y->guest_address;
}

static void
sift_down(struct staged **a, uint32_t at, uint32_t count, less *is_less)
{
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        struct staged *s = a[at];

        if (child + 1 < count && is_less(a[child], a[child + 1]))
            child++;
        if (!is_less(s, a[child]))
            return;
        a[at] = a[child];
        a[child] = s;
        at = child;
    }
}

/* Heapsort: no recursion, and no order of the input makes it slow. */
static void
sort(struct staged **a, uint32_t count, less *is_less)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(a, i, count, is_less);
    for (uint32_t left = count; left-- > 1;) {
        struct staged *s = a[0];

        a[0] = a[left];
        a[left] = s;
        sift_down(a, 0, left, is_less);
    }
}

/* ---- records of each kind ------------------------------------------------ */

static ulv_status
insert(const struct restore *w, ulv_id id, uint64_t version, uint32_t kind,
       size_t bytes, struct record **ret)
{
    ulv_status status;

    if (version > w->db->revision)
        return above(w, id, version, w->db->revision,
                     "a version of the future");
    status = ulv_db_record_insert(w->db, id, kind, bytes, ret, w->diag);
    if (status != ULV_OK)
        return status;
    (*ret)->version = version;
    ulv_index_grow(&w->db->ids, w->db->host);
    return ULV_OK;
}

ulv_status
ulv_restore_insert(const struct restore *w, ulv_id id, uint64_t version,
                   uint32_t kind, size_t bytes, struct record **ret)
{
    return insert(w, id, version, kind, bytes, ret);
}

static ulv_status
restore_idle(const struct restore *w, const struct ulv_journal_partition *in)
{
    if (in->kind != ULV_PARTITION_IDLE || in->share_count != 0 ||
        in->zone != 0)
        return wrong(w, in->id, in->kind, "it is not idle");
    w->db->idle->r.version = in->version;
    return ULV_OK;
}

/* To a part of the policy, or to none. */
static bool
is_reference(const char name[32])
{
    return name[0] == '\0' || ulv_db_check_name(name, 0, NULL) == ULV_OK;
}

static ulv_status
restore_zone(struct restore *w, const void *content)
{
    const struct ulv_journal_zone *in = content;
    struct zone *zone;
    struct record *r;
    ulv_status status;

    if (ulv_db_check_name(in->name, in->id, NULL) != ULV_OK ||
        !is_reference(in->policy))
        return wrong(w, in->id, 0, "the name or policy of a zone");
    for (r = w->db->first[ULV_QUERY_ZONES]; r != NULL; r = r->after) {
        zone = (struct zone *)(void *)r;
        if (ulv_string_equal(zone->name, in->name, sizeof(in->name)))
            return wrong(w, in->id, r->id, "the name of another zone");
    }
    status = insert(w, in->id, in->version, ULV_QUERY_ZONES, sizeof(*zone),
                    &r);
    if (status != ULV_OK)
        return status;
    zone = (struct zone *)(void *)r;
    memcpy(zone->quota.limit, in->limit, sizeof(in->limit));
    memcpy(zone->name, in->name, sizeof(in->name));
    memcpy(zone->policy, in->policy, sizeof(in->policy));
    return ULV_OK;
}

static ulv_status
check_partition(const struct restore *w,
                const struct ulv_journal_partition *in)
{
    if (!ulv_db_kind_is_known(in->kind))
        return wrong(w, in->id, in->kind, "its kind");
    if (in->state > ULV_STATE_LOST || in->intent > ULV_INTENT_PAUSED)
        return wrong(w, in->id, in->state, "its state");
    if (in->window % 4096 != 0 || in->window > ADDRESS_MAX)
        return wrong(w, in->id, in->window, "the address of its view");
    if (in->ran > 1 || in->restarts > ULV_RESTARTS_MAX)
        return wrong(w, in->id, in->restarts, "its restarts");
    if (in->kind == ULV_PARTITION_ULTRAVISOR && w->db->ultravisor != NULL)
        return wrong(w, in->id, in->kind, "a second ultravisor");
    if (ulv_db_check_name(in->name, in->id, NULL) != ULV_OK ||
        ulv_db_find_name(w->db, in->name) != NULL)
        return wrong(w, in->id, 0, "its name");
    if (!is_reference(in->policy))
        return wrong(w, in->id, 0, "its policy");
    if (in->zone != 0 &&
        (in->kind != ULV_PARTITION_GUEST ||
         ulv_db_find(w->db, in->zone, ULV_QUERY_ZONES) == NULL))
        return wrong(w, in->id, in->zone, "its zone");
    return ULV_OK;
}

static ulv_status
restore_partition(struct restore *w, const void *content)
{
    const struct ulv_journal_partition *in = content;
    struct ulv_database *db = w->db;
    struct partition *p;
    struct record *r;
    ulv_status status;

    if (in->id == ULV_ID_IDLE)
        return restore_idle(w, in);
    status = check_partition(w, in);
    if (status == ULV_OK)
        status = insert(w, in->id, in->version, ULV_QUERY_PARTITIONS,
                        sizeof(*p), &r);
    if (status != ULV_OK)
        return status;
    p = (struct partition *)(void *)r;
    p->kind = in->kind;
    p->state = in->state;
    p->intent = in->intent;
    p->end_reason = in->end_reason;
    p->end_code = in->end_code;
    p->capabilities = in->capabilities;
    p->silence_limit = in->silence_limit;
    p->window = in->window;
    p->ran = in->ran != 0;
    p->restarts = in->restarts;
    p->restart_window = in->restart_window;
    p->extents_end = &p->extents;
    p->top = ulv_db_ram_base(p);
    p->zone = (void *)ulv_db_find(db, in->zone, ULV_QUERY_ZONES);
    memcpy(p->quota.limit, in->limit, sizeof(in->limit));
    memcpy(p->name, in->name, sizeof(p->name));
    memcpy(p->policy, in->policy, sizeof(p->policy));
    if (in->kind == ULV_PARTITION_ULTRAVISOR)
        db->ultravisor = p;
    (void)ulv_index_add(db, &db->names, &p->by_name,
                        ulv_db_hash_name(p->name));
    ulv_index_grow(&db->names, db->host);
    return ULV_OK;
}

static ulv_status
restore_processor(struct restore *w, const void *content)
{
    const struct ulv_journal_processor *in = content;
    struct processor *p;
    struct record *r;
    uint32_t count = 0;
    ulv_status status;

    for (r = w->db->first[ULV_QUERY_PROCESSORS]; r != NULL; r = r->after) {
        if (((struct processor *)(void *)r)->os_number == in->os_number ||
            ++count == PROCESSORS_MAX)
            return wrong(w, in->id, in->os_number, "the number of a processor");
    }
    if (in->retired > ULV_RETIRED_OFFLINE)
        return wrong(w, in->id, in->retired, "why a processor is retired");
    status = insert(w, in->id, in->version, ULV_QUERY_PROCESSORS, sizeof(*p),
                    &r);
    if (status != ULV_OK)
        return status;
    p = (struct processor *)(void *)r;
    p->owner = w->db->idle;
    p->package = in->package;
    p->core = in->core;
    p->thread = in->thread;
    p->node = in->node;
    p->os_number = in->os_number;
    p->retired = in->retired;
    return ULV_OK;
}

static ulv_status
restore_pool(struct restore *w, const void *content)
{
    const struct ulv_journal_pool *in = content;
    struct pool *p;
    struct record *r;
    uint32_t count = 0;
    uint64_t end;
    ulv_status status;

    if (!ulv_add_u64(in->base, in->bytes, &end))
        return wrong(w, in->id, in->bytes, "the size of a pool");
    for (r = w->db->first[ULV_QUERY_MEMORY]; r != NULL; r = r->after) {
        p = (struct pool *)(void *)r;
        if (ulv_ranges_overlap(p->map.base, p->map.bytes, in->base,
                               in->bytes) ||
            ++count == POOLS_MAX)
            return wrong(w, in->id, in->base, "pools that overlap");
    }
    status = insert(w, in->id, in->version, ULV_QUERY_MEMORY, sizeof(*p), &r);
    if (status != ULV_OK)
        return status;
    p = (struct pool *)(void *)r;
    p->node = in->node;
    p->born = in->version;
    status = ulv_page_map_init(&p->map, &w->db->map_memory, in->base,
                               in->bytes);
    if (status == ULV_E_NO_MEMORY)
        return ulv_db_no_memory(w->diag);
    return status == ULV_OK ? ULV_OK
                            : wrong(w, in->id, in->bytes, "the size of a pool");
}

static ulv_status
restore_device(struct restore *w, const void *content)
{
    const struct ulv_journal_device *in = content;
    struct partition *serving = find_partition(w->db, in->serving);
    struct partition *standby = find_partition(w->db, in->standby);
    struct device *d;
    struct record *r;
    ulv_status status;

    if (serving == NULL || serving->kind != ULV_PARTITION_IO)
        return wrong(w, in->id, in->serving, "who serves the device");
    if (in->standby != 0 &&
        (standby == NULL || standby->kind != ULV_PARTITION_IO ||
         standby == serving))
        return wrong(w, in->id, in->standby, "who stands by for the device");
    if ((in->kind != ULV_DEVICE_BLOCK && in->kind != ULV_DEVICE_CONSOLE) ||
        ulv_db_check_name(in->name, in->id, NULL) != ULV_OK)
        return wrong(w, in->id, in->kind, "the kind or name of a device");
    status = insert(w, in->id, in->version, ULV_QUERY_DEVICES, sizeof(*d), &r);
    if (status != ULV_OK)
        return status;
    d = (struct device *)(void *)r;
    d->serving = serving;
    d->standby = standby;
    d->medium_bytes = in->bytes;
    d->kind = in->kind;
    d->flags = in->flags;
    memcpy(d->name, in->name, sizeof(d->name));
    serving->device_count++;
    if (standby != NULL)
        standby->device_count++;
    return ULV_OK;
}

/* ---- what belongs to somebody -------------------------------------------- */

static ulv_status
restore_share(const struct restore *w, struct partition *p,
              const struct ulv_journal_share *in, struct share ***end)
{
    const struct ulv_host *host = w->db->host;
    struct processor *processor =
        (void *)ulv_db_find(w->db, in->processor, ULV_QUERY_PROCESSORS);
    bool dedicated = in->mode == ULV_PROCESSOR_DEDICATED;
    struct share *share;

    if (processor == NULL || in->mode > ULV_PROCESSOR_DEDICATED ||
        processor->owner != w->db->idle ||
        (dedicated && (processor->share_count != 0 || in->quanta != 0)) ||
        (in->quanta & processor->taken) != 0)
        return wrong(w, p->r.id, in->processor, "its share of a processor");
    for (share = p->shares; share != NULL; share = share->next) {
        if (share->processor == processor)
            return wrong(w, p->r.id, in->processor,
                         "two shares of a processor");
    }
    share = host->alloc(host->self, sizeof(*share), 8);
    if (share == NULL)
        return ulv_db_no_memory(w->diag);
    share->processor = processor;
    share->vcpu_idx = in->vcpu_idx;
    share->mode = in->mode;
    share->quanta = in->quanta;
    processor->share_count++;
    processor->taken |= in->quanta;
    if (dedicated)
        processor->owner = p;
    **end = share;
    *end = &share->next;
    return ULV_OK;
}

/* The newest is the first, so that the index falls. */
static ulv_status
restore_shares(struct restore *w, const void *content)
{
    const struct ulv_journal_partition *in = content;
    const struct ulv_journal_share *share = (const void *)(in + 1);
    struct partition *p = find_partition(w->db, in->id);
    struct share **end = &p->shares;

    if (in->share_count != 0 && p->kind != ULV_PARTITION_GUEST)
        return wrong(w, in->id, in->share_count,
                     "processors, though it is no guest");
    for (uint32_t i = 0; i < in->share_count; i++) {
        ulv_status status =
            share[i].vcpu_idx == in->share_count - 1 - i
                ? restore_share(w, p, &share[i], &end)
                : wrong(w, in->id, share[i].vcpu_idx, "a processor's number");

        if (status != ULV_OK)
            return status;
        p->processor_count++;
    }
    return ULV_OK;
}

/* Who has no quanta of its own runs in those that are left over. */
static ulv_status
check_gaps(struct restore *w, const void *content)
{
    const struct ulv_journal_partition *in = content;
    const struct partition *p = find_partition(w->db, in->id);

    for (const struct share *s = p->shares; s != NULL; s = s->next) {
        if (s->quanta == 0 && s->processor->taken == UINT64_MAX)
            return wrong(w, in->id, s->vcpu_idx, "no quanta to run in");
    }
    return ULV_OK;
}

/* Pages that nobody has yet. */
static ulv_status
take_pages(const struct restore *w, ulv_id id, uint64_t frame, uint64_t bytes,
           ulv_id owner, uint32_t *ret_node)
{
    struct pool *pool = ulv_db_pool_of(w->db, frame);
    ulv_status status = ULV_E_ARG;

    if (pool != NULL)
        status = ulv_page_map_set(&pool->map, frame, bytes, ULV_PAGE_FREE,
                                  owner);
    if (status == ULV_E_NO_MEMORY)
        return ulv_db_no_memory(w->diag);
    if (status != ULV_OK)
        return wrong(w, id, frame, "pages that are not there, or another's");
    ulv_page_map_settle(&pool->map, frame, bytes);
    *ret_node = pool->node;
    return ULV_OK;
}

static ulv_status
check_extent(const struct restore *w, const struct ulv_journal_extent *in,
             const struct partition *p)
{
    if (p == NULL || p == w->db->idle || p->extent_count == ULV_EXTENTS_MAX)
        return wrong(w, in->id, in->partition, "whose extent it is");
    if (in->guest_address % 4096 != 0 || in->guest_address < p->top ||
        in->bytes > ADDRESS_MAX || in->guest_address > ADDRESS_MAX - in->bytes)
        return wrong(w, in->id, in->guest_address,
                     "the guest address of an extent");
    if ((in->flags & ~ULV_JOURNAL_DRAINING) != 0 ||
        (in->flags == 0 && in->heir != 0))
        return wrong(w, in->id, in->flags, "the flags of an extent");
    return ULV_OK;
}

/* They come by partition, ascending address. */
static ulv_status
restore_extent(struct restore *w, const void *content)
{
    const struct ulv_journal_extent *in = content;
    struct ulv_database *db = w->db;
    struct partition *p = find_partition(db, in->partition);
    struct partition *heir = find_partition(db, in->heir);
    struct extent *e = (void *)ulv_db_find(db, in->id, ULV_QUERY_EXTENTS);
    ulv_status status = check_extent(w, in, p);

    if (status == ULV_OK)
        status = take_pages(w, in->id, in->frame, in->bytes, p->r.id, &e->node);
    if (status != ULV_OK)
        return status;
    e->partition = p;
    e->frame = in->frame;
    e->bytes = in->bytes;
    e->guest_address = in->guest_address;
    e->draining = in->flags != 0;
    e->heir = in->heir;
    if (p->extents_end != &p->extents)
        e->before = ULV_CONTAINER_OF(p->extents_end, struct extent, next);
    *p->extents_end = e;
    p->extents_end = &e->next;
    p->top = e->guest_address + e->bytes;
    p->ram_bytes += e->bytes;
    p->extent_count++;
    if (heir != NULL && heir->kind == ULV_PARTITION_GUEST)
        heir->quota.used[ULV_QUOTA_MEMORY] += e->bytes;
    (void)ulv_index_add(db, &db->places, &e->by_place,
                        ulv_db_hash_place(p->r.id, e->guest_address));
    ulv_index_grow(&db->places, db->host);
    return ULV_OK;
}

/* Its place in the list of all extents, which is by id. */
static ulv_status
reserve_extent(struct restore *w, const void *content)
{
    const struct ulv_journal_extent *in = content;
    struct record *r;

    return insert(w, in->id, in->version, ULV_QUERY_EXTENTS,
                  sizeof(struct extent), &r);
}

static bool
take_slot(struct partition *p, struct channel *c, uint32_t slot)
{
    p->channel_count++;
    if (p->kind != ULV_PARTITION_GUEST)
        return slot == 0;
    if (slot >= ULV_SLOT_COUNT || p->slot[slot] != NULL)
        return false;
    p->slot[slot] = c;
    p->slots |= UINT64_C(1) << slot;
    return true;
}

static ulv_status
check_channel(const struct restore *w, const struct ulv_journal_channel *in,
              const struct device *d)
{
    const struct partition *server = find_partition(w->db, in->server);
    const struct partition *client = find_partition(w->db, in->client);

    if (server == NULL || client == NULL || server == client ||
        server == w->db->idle || client == w->db->idle)
        return wrong(w, in->id, in->server, "the ends of a channel");
    if (in->device != 0 &&
        (d == NULL || d->channel != NULL || d->serving != server ||
         client->kind != ULV_PARTITION_GUEST))
        return wrong(w, in->id, in->device, "the device behind a channel");
    if ((in->flags & ~ULV_JOURNAL_DRAINING) != 0 || in->epoch == 0 ||
        in->bytes < 8192 + UINT64_C(2) * in->ring_bytes)
        return wrong(w, in->id, in->bytes, "the shape of a channel");
    if (w->db->ultravisor == NULL)
        return wrong(w, in->id, 0, "a channel whose pages nobody owns");
    return ULV_OK;
}

static ulv_status
restore_channel(struct restore *w, const void *content)
{
    const struct ulv_journal_channel *in = content;
    struct device *d =
        (void *)ulv_db_find(w->db, in->device, ULV_QUERY_DEVICES);
    ulv_status status = check_channel(w, in, d);
    struct channel *c;
    struct record *r;
    uint32_t node;

    if (status == ULV_OK)
        status = take_pages(w, in->id, in->frame, in->bytes,
                            w->db->ultravisor->r.id, &node);
    if (status == ULV_OK)
        status = insert(w, in->id, in->version, ULV_QUERY_CHANNELS, sizeof(*c),
                        &r);
    if (status != ULV_OK)
        return status;
    c = (struct channel *)(void *)r;
    c->server = find_partition(w->db, in->server);
    c->client = find_partition(w->db, in->client);
    c->device = d;
    if (d != NULL) {
        d->channel = c;
        d->channel_count = 1;
    }
    c->frame = in->frame;
    c->bytes = in->bytes;
    c->epoch = in->epoch;
    c->draining = in->flags != 0;
    c->server_slot = in->server_slot;
    c->client_slot = in->client_slot;
    c->ring_bytes = in->ring_bytes;
    memcpy(c->type, in->type, 16);
    memcpy(c->instance, in->instance, 16);
    if (!take_slot(c->server, c, c->server_slot) ||
        !take_slot(c->client, c, c->client_slot))
        return wrong(w, in->id, in->client_slot, "the slot of a channel");
    return ULV_OK;
}

/* ---- what is counted ----------------------------------------------------- */

static ulv_status
check_quota(const struct restore *w, ulv_id id, const struct quota *quota)
{
    for (uint32_t i = 0; i < ULV_QUOTA_COUNT; i++) {
        if (quota->used[i] > quota->limit[i])
            return above(w, id, quota->used[i], quota->limit[i],
                         "more than its quota");
    }
    return ULV_OK;
}

static ulv_status
count_quota(struct restore *w, const void *content)
{
    const struct ulv_journal_partition *in = content;
    struct partition *p = find_partition(w->db, in->id);
    uint64_t *used = p->quota.used;

    if (p->kind != ULV_PARTITION_GUEST)
        return ULV_OK;
    used[ULV_QUOTA_MEMORY] += p->ram_bytes; /* beside what comes to it */
    used[ULV_QUOTA_PROCESSORS] = p->processor_count;
    used[ULV_QUOTA_CHANNELS] = p->channel_count;
    used[ULV_QUOTA_PARTITIONS] = 1;
    for (const struct share *s = p->shares; s != NULL; s = s->next)
        used[ULV_QUOTA_QUANTA] +=
            ulv_db_quanta_of(s->mode, ulv_db_count(s->quanta));
    for (uint32_t i = 0; p->zone != NULL && i < ULV_QUOTA_COUNT; i++)
        p->zone->quota.used[i] += used[i];
    return check_quota(w, in->id, &p->quota);
}

static ulv_status
check_zone_quota(struct restore *w, const void *content)
{
    const struct ulv_journal_zone *in = content;
    const struct zone *zone =
        (void *)ulv_db_find(w->db, in->id, ULV_QUERY_ZONES);

    return check_quota(w, in->id, &zone->quota);
}

/* ---- labels -------------------------------------------------------------- */

static ulv_status
restore_label(struct restore *w, const void *content)
{
    const struct ulv_journal_label *in = content;
    struct record *object = ulv_db_find_any(w->db, in->object), *r;
    struct label *label, **end;
    uint32_t count = 0;
    ulv_status status;

    if (object == NULL || !ulv_db_can_be_labelled(object->kind) ||
        !ulv_db_key_is_good(in->key) || in->value[0] == '\0' ||
        !ulv_db_value_is_good(in->value))
        return wrong(w, in->id, in->object, "a label");
    for (end = &object->labels; *end != NULL; end = &(*end)->next, count++) {
        if (count == ULV_LABELS_MAX - 1 ||
            ulv_string_equal((*end)->key, in->key, sizeof(in->key)))
            return wrong(w, in->id, in->object, "a label too many");
    }
    status = insert(w, in->id, in->version, ULV_QUERY_LABELS, sizeof(*label),
                    &r);
    if (status != ULV_OK)
        return status;
    label = (struct label *)(void *)r;
    label->object = object;
    memcpy(label->key, in->key, sizeof(in->key));
    memcpy(label->value, in->value, sizeof(in->value));
    *end = label;
    return ULV_OK;
}

/* ---- all of them --------------------------------------------------------- */

static ulv_status
each(struct restore *w, uint32_t kind,
     ulv_status (*restore)(struct restore *w, const void *content))
{
    for (uint32_t i = 0; i < w->count; i++) {
        ulv_status status = ULV_OK;

        if (w->record[i]->kind == kind)
            status = restore(w, w->record[i] + 1);
        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

static ulv_status
check_share_count(struct restore *w, const void *content)
{
    const struct ulv_journal_partition *in = content;
    const struct staged *s =
        (const void *)((const uint8_t *)content - sizeof(struct staged));

    if (s->bytes != sizeof(*in) +
                        (uint64_t)in->share_count *
                            sizeof(struct ulv_journal_share))
        return wrong(w, in->id, in->share_count, "the number of its shares");
    return ULV_OK;
}

static ulv_status
make_all(struct restore *w)
{
    static const struct {
        uint32_t kind;
        ulv_status (*restore)(struct restore *w, const void *content);
    } step[] = {
        { ULV_JOURNAL_PARTITION, check_share_count },
        { ULV_JOURNAL_ZONE, restore_zone },
        { ULV_JOURNAL_PARTITION, restore_partition },
        { ULV_JOURNAL_PROCESSOR, restore_processor },
        { ULV_JOURNAL_PARTITION, restore_shares },
        { ULV_JOURNAL_PARTITION, check_gaps },
        { ULV_JOURNAL_POOL, restore_pool },
        { ULV_JOURNAL_DEVICE, restore_device },
        { ULV_JOURNAL_CHANNEL, restore_channel },
        { ULV_JOURNAL_EXTENT, reserve_extent },
        { ULV_JOURNAL_RANGE, ulv_restore_range },
        { ULV_JOURNAL_HARDWARE, ulv_restore_hardware },
        { ULV_JOURNAL_HARDWARE, ulv_restore_parent },
    };

    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < ULV_COUNT_OF(step) && status == ULV_OK; i++)
        status = each(w, step[i].kind, step[i].restore);
    if (status != ULV_OK)
        return status;
    sort(w->record, w->count, less_by_place);
    status = each(w, ULV_JOURNAL_EXTENT, restore_extent);
    if (status == ULV_OK)
        status = each(w, ULV_JOURNAL_RETIRED, ulv_restore_retired);
    if (status == ULV_OK)
        status = each(w, ULV_JOURNAL_POOL, ulv_restore_gone);
    if (status == ULV_OK)
        status = each(w, ULV_JOURNAL_PARTITION, count_quota);
    if (status == ULV_OK)
        status = each(w, ULV_JOURNAL_ZONE, check_zone_quota);
    return status == ULV_OK ? each(w, ULV_JOURNAL_LABEL, restore_label)
                            : status;
}

ulv_status
ulv_database_restore(struct ulv_database *db, const struct stage *stage,
                     struct ulv_diag *diag)
{
    const struct ulv_host *host = db->host;
    const size_t bytes = (stage->count + 1u) * sizeof(struct staged *);
    struct restore w = { .db = db, .stage = stage, .diag = diag };
    ulv_status status;

    db->revision = stage->revision;
    w.record = host->alloc(host->self, bytes, 8);
    if (w.record == NULL)
        return ulv_db_no_memory(diag);
    for (uint32_t i = 0; i < stage->bucket_count; i++) {
        for (struct staged *s = stage->bucket[i]; s != NULL; s = s->next)
            w.record[w.count++] = s;
    }
    sort(w.record, w.count, less_by_id);
    status = make_all(&w);
    host->free(host->self, w.record, bytes);
    return status;
}
