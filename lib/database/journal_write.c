/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* From the database to bytes: what a plan has changed, and everything. */
#include "database/journal_priv.h"

#define FRAME_BYTES_MIN 4096u
#define PART_BYTES      65536u /* of a checkpoint, in one frame */

/* Room for an entry, zeroed; NULL: frame->status says why. */
static void *
add_entry(struct ulv_journal *j, struct frame_buffer *f, uint32_t kind,
          size_t bytes)
{
    const struct ulv_host *host = j->host;
    size_t used = ULV_MAX(f->used, sizeof(struct ulv_journal_frame));
    size_t more = sizeof(struct ulv_journal_entry) + bytes;
    struct ulv_journal_entry *entry;

    if (f->status != ULV_OK)
        return NULL;
    if (f->capacity - used < more || f->p == NULL) {
        size_t capacity = ULV_MAX(2 * (used + more), FRAME_BYTES_MIN);
        uint8_t *p = NULL;

        if (used + more <= ULV_JOURNAL_FRAME_BYTES_MAX)
            p = host->alloc(host->self, capacity, 8);
        if (p == NULL) {
            f->status = ULV_E_NO_MEMORY;
            return NULL;
        }
        if (f->p != NULL)
            memcpy(p, f->p, used);
        host->free(host->self, f->p, f->capacity);
        f->p = p;
        f->capacity = capacity;
    }
    entry = (void *)(f->p + used);
    memset(entry, 0, more);
    entry->kind = kind;
    entry->bytes = (uint32_t)bytes;
    f->used = used + more;
    f->entry_count++;
    return entry + 1;
}

/* ---- records ------------------------------------------------------------- */

static void
put_partition(struct ulv_journal *j, struct frame_buffer *f,
              const struct record *r)
{
    const struct partition *p = (const void *)r;
    struct ulv_journal_partition *out;
    struct ulv_journal_share *share;

    out = add_entry(j, f, ULV_JOURNAL_PARTITION,
                    sizeof(*out) + p->processor_count * sizeof(*share));
    if (out == NULL)
        return;
    out->id = r->id;
    out->version = r->version;
    out->kind = p->kind;
    out->state = p->state;
    out->intent = p->intent;
    out->end_reason = p->end_reason;
    out->end_code = p->end_code;
    out->capabilities = p->capabilities;
    out->silence_limit = p->silence_limit;
    out->window = p->window;
    out->ran = p->ran;
    out->restarts = p->restarts;
    out->restart_window = p->restart_window;
    out->share_count = p->processor_count;
    out->zone = p->zone == NULL ? 0 : p->zone->r.id;
    memcpy(out->limit, p->quota.limit, sizeof(out->limit));
    memcpy(out->name, p->name, sizeof(out->name));
    memcpy(out->policy, p->policy, sizeof(out->policy));
    share = (void *)(out + 1);
    for (const struct share *s = p->shares; s != NULL; s = s->next, share++) {
        share->processor = s->processor->r.id;
        share->quanta = s->quanta;
        share->vcpu_idx = s->vcpu_idx;
        share->mode = s->mode;
    }
}

static void
put_processor(struct ulv_journal *j, struct frame_buffer *f,
              const struct record *r)
{
    const struct processor *p = (const void *)r;
    struct ulv_journal_processor *out =
        add_entry(j, f, ULV_JOURNAL_PROCESSOR, sizeof(*out));

    if (out == NULL)
        return;
    out->id = r->id;
    out->version = r->version;
    out->package = p->package;
    out->core = p->core;
    out->thread = p->thread;
    out->node = p->node;
    out->os_number = p->os_number;
    out->retired = p->retired;
}

static void
put_pool(struct ulv_journal *j, struct frame_buffer *f, const struct record *r)
{
    const struct pool *p = (const void *)r;
    struct ulv_journal_pool *out =
        add_entry(j, f, ULV_JOURNAL_POOL, sizeof(*out));

    if (out == NULL)
        return;
    out->id = r->id;
    out->version = r->version;
    out->base = p->map.base;
    out->bytes = p->map.bytes;
    out->node = p->node;
    out->gone_blocks = (uint32_t)(p->gone / ULV_JOURNAL_POOL_BLOCK);
}

static void
put_device(struct ulv_journal *j, struct frame_buffer *f,
           const struct record *r)
{
    const struct device *d = (const void *)r;
    struct ulv_journal_device *out =
        add_entry(j, f, ULV_JOURNAL_DEVICE, sizeof(*out));

    if (out == NULL)
        return;
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
put_extent(struct ulv_journal *j, struct frame_buffer *f,
           const struct record *r)
{
    const struct extent *e = (const void *)r;
    struct ulv_journal_extent *out =
        add_entry(j, f, ULV_JOURNAL_EXTENT, sizeof(*out));

    if (out == NULL)
        return;
    out->id = r->id;
    out->version = r->version;
    out->partition = e->partition->r.id;
    out->guest_address = e->guest_address;
    out->frame = e->frame;
    out->bytes = e->bytes;
    out->node = e->node;
    out->flags = e->draining ? ULV_JOURNAL_DRAINING : 0;
    out->heir = e->heir;
}

static void
put_channel(struct ulv_journal *j, struct frame_buffer *f,
            const struct record *r)
{
    const struct channel *c = (const void *)r;
    struct ulv_journal_channel *out =
        add_entry(j, f, ULV_JOURNAL_CHANNEL, sizeof(*out));

    if (out == NULL)
        return;
    out->id = r->id;
    out->version = r->version;
    out->server = c->server->r.id;
    out->client = c->client->r.id;
    out->device = c->device == NULL ? 0 : c->device->r.id;
    out->frame = c->frame;
    out->bytes = c->bytes;
    out->epoch = c->epoch;
    out->flags = c->draining ? ULV_JOURNAL_DRAINING : 0;
    out->server_slot = c->server_slot;
    out->client_slot = c->client_slot;
    out->ring_bytes = c->ring_bytes;
    memcpy(out->type, c->type, 16);
    memcpy(out->instance, c->instance, 16);
}

static void
put_zone(struct ulv_journal *j, struct frame_buffer *f, const struct record *r)
{
    const struct zone *zone = (const void *)r;
    struct ulv_journal_zone *out =
        add_entry(j, f, ULV_JOURNAL_ZONE, sizeof(*out));

    if (out == NULL)
        return;
    out->id = r->id;
    out->version = r->version;
    memcpy(out->limit, zone->quota.limit, sizeof(out->limit));
    memcpy(out->name, zone->name, sizeof(out->name));
    memcpy(out->policy, zone->policy, sizeof(out->policy));
}

static void
put_label(struct ulv_journal *j, struct frame_buffer *f,
          const struct record *r)
{
    const struct label *label = (const void *)r;
    struct ulv_journal_label *out =
        add_entry(j, f, ULV_JOURNAL_LABEL, sizeof(*out));

    if (out == NULL)
        return;
    out->id = r->id;
    out->version = r->version;
    out->object = label->object->id;
    memcpy(out->key, label->key, sizeof(out->key));
    memcpy(out->value, label->value, sizeof(out->value));
}

static void
put_range(struct ulv_journal *j, struct frame_buffer *f,
          const struct record *r)
{
    const struct range_record *range = (const void *)r;
    struct ulv_journal_range *out =
        add_entry(j, f, ULV_JOURNAL_RANGE, sizeof(*out));

    if (out == NULL)
        return;
    out->id = r->id;
    out->version = r->version;
    out->owner = range->owner->r.id;
    out->first = range->first;
    out->count = range->count;
    out->kind = range->kind;
}

static void
put_hardware(struct ulv_journal *j, struct frame_buffer *f,
             const struct record *r)
{
    const struct hardware *h = (const void *)r;
    struct ulv_journal_hardware *out =
        add_entry(j, f, ULV_JOURNAL_HARDWARE, sizeof(*out));

    if (out == NULL)
        return;
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

static void
put_retired(struct ulv_journal *j, struct frame_buffer *f,
            const struct record *r)
{
    const struct retired *x = (const void *)r;
    struct ulv_journal_retired *out =
        add_entry(j, f, ULV_JOURNAL_RETIRED, sizeof(*out));

    if (out == NULL)
        return;
    out->id = r->id;
    out->version = r->version;
    out->frame = x->frame;
    out->bytes = x->bytes;
}

typedef void put(struct ulv_journal *j, struct frame_buffer *f,
                 const struct record *r);
static put *const put_kind[KIND_COUNT] = {
    [ULV_QUERY_PARTITIONS] = put_partition,
    [ULV_QUERY_PROCESSORS] = put_processor,
    [ULV_QUERY_MEMORY] = put_pool,
    [ULV_QUERY_DEVICES] = put_device,
    [ULV_QUERY_EXTENTS] = put_extent,
    [ULV_QUERY_CHANNELS] = put_channel,
    [ULV_QUERY_ZONES] = put_zone,
    [ULV_QUERY_LABELS] = put_label,
    [ULV_QUERY_RANGES] = put_range,
    [ULV_QUERY_HARDWARE] = put_hardware,
    [ULV_QUERY_RETIRED] = put_retired,
};

/* As it is now; what is not there any more was removed by another effect. */
static void
put_if_there(struct ulv_journal *j, uint32_t kind, ulv_id id)
{
    const struct record *r = ulv_db_find(j->db, id, kind);

    if (r != NULL)
        put_kind[kind](j, &j->frame, r);
}

static void
put_removal(struct ulv_journal *j, ulv_id id)
{
    struct ulv_journal_remove *out =
        add_entry(j, &j->frame, ULV_JOURNAL_REMOVE, sizeof(*out));

    if (out != NULL)
        out->id = id;
}

/* ---- what a plan has changed --------------------------------------------- */

static void
put_device_and_channel(struct ulv_journal *j, ulv_id id)
{
    const struct device *d =
        (void *)ulv_db_find(j->db, id, ULV_QUERY_DEVICES);

    if (d == NULL)
        return;
    put_device(j, &j->frame, &d->r);
    if (d->channel != NULL)
        put_channel(j, &j->frame, &d->channel->r);
}

/* Those of a partition that is about to start are of a new epoch. */
static void
put_renewed(struct ulv_journal *j, ulv_id partition)
{
    const struct partition *p = find_partition(j->db, partition);

    for (uint32_t slot = 0; p != NULL && slot < ULV_SLOT_COUNT; slot++) {
        const struct channel *c = p->slot[slot];

        if (c != NULL && c->r.version == j->db->revision + 1)
            put_channel(j, &j->frame, &c->r);
    }
}

static void
put_effect(struct ulv_journal *j, const struct ulv_effect *e)
{
    switch (e->kind) {
    case ULV_EFFECT_PARTITION_DESTROY:
    case ULV_EFFECT_EXTENT_REVOKE:
    case ULV_EFFECT_CHANNEL_DESTROY:
    case ULV_EFFECT_DEVICE_WITHDRAW:
        put_removal(j, e->u.removal.id);
        break;
    case ULV_EFFECT_EXTENT_GRANT:
        put_if_there(j, ULV_QUERY_EXTENTS, e->u.extent.id);
        break;
    case ULV_EFFECT_DRAIN:
        put_if_there(j, ULV_QUERY_EXTENTS, e->u.removal.id);
        put_if_there(j, ULV_QUERY_CHANNELS, e->u.removal.id);
        break;
    case ULV_EFFECT_CHANNEL_CREATE:
        put_if_there(j, ULV_QUERY_DEVICES, e->u.channel.device);
        put_if_there(j, ULV_QUERY_CHANNELS, e->u.channel.id);
        break;
    case ULV_EFFECT_DEVICE_OFFER:
        put_if_there(j, ULV_QUERY_DEVICES, e->u.device.id);
        break;
    case ULV_EFFECT_DEVICE_REHOME:
        put_device_and_channel(j, e->u.rehome.device);
        break;
    case ULV_EFFECT_INTENT:
        put_renewed(j, e->u.intent.partition);
        break;
    default:
        break; /* partitions and processors: by their versions */
    }
}

/* All of a kind that the plan has changed: there are few. */
static void
put_changed(struct ulv_journal *j, uint32_t kind)
{
    const uint64_t revision = j->db->revision + 1;

    for (const struct record *r = j->db->first[kind]; r != NULL;
         r = r->after) {
        if (r->version == revision)
            put_kind[kind](j, &j->frame, r);
    }
}

/* As it is now, or that it is gone. */
static void
put_change(struct ulv_journal *j, const struct change *change)
{
    if (ulv_db_find(j->db, change->id, change->kind) != NULL)
        put_if_there(j, change->kind, change->id);
    else
        put_removal(j, change->id);
}

static void
put_leases(struct ulv_journal *j, struct frame_buffer *f, uint32_t *at)
{
    for (; *at < j->db->lease_count; (*at)++) {
        struct ulv_journal_lease *out =
            add_entry(j, f, ULV_JOURNAL_LEASE, sizeof(*out));

        if (out == NULL)
            return;
        out->block = *at;
        out->next = j->db->leases[*at].next;
        out->own = j->db->leases[*at].own;
    }
}

void
ulv_journal_encode_plan(struct ulv_journal *j, struct ulv_plan *plan,
                        const struct ulv_journal_answer *answer)
{
    struct ulv_journal_answer *out_answer;
    struct ulv_log_record *log;

    put_leases(j, &j->frame, &j->leases);
    log = add_entry(j, &j->frame, ULV_JOURNAL_TRANSACTION, sizeof(*log));
    if (log != NULL)
        *log = plan->log;
    for (uint32_t i = 0; i < plan->touched_count; i++)
        put_if_there(j, ULV_QUERY_PARTITIONS, plan->touched[i]);
    put_changed(j, ULV_QUERY_PROCESSORS);
    put_changed(j, ULV_QUERY_MEMORY);
    for (uint32_t i = 0; i < plan->effect_count; i++)
        put_effect(j, &plan->effects[i]);
    for (uint32_t i = 0; i < plan->change_count; i++)
        put_change(j, &plan->changes[i]);
    if (answer == NULL)
        return;
    out_answer = add_entry(j, &j->frame, ULV_JOURNAL_ANSWER,
                           sizeof(*out_answer));
    if (out_answer != NULL)
        *out_answer = *answer;
}

/* ---- frames -------------------------------------------------------------- */

static void
put_state(struct ulv_journal *j, struct frame_buffer *f, uint64_t revision)
{
    struct ulv_journal_state *out =
        add_entry(j, f, ULV_JOURNAL_STATE, sizeof(*out));

    if (out == NULL)
        return;
    out->revision = revision;
    out->own_next = j->db->own_next;
    out->own_end = j->db->own_end;
}

void
ulv_journal_encode_state(struct ulv_journal *j, uint64_t revision)
{
    put_leases(j, &j->frame, &j->leases);
    put_state(j, &j->frame, revision);
}

void
ulv_journal_close_frame(struct ulv_journal *j, struct frame_buffer *f,
                        uint64_t segment, uint64_t sequence)
{
    struct ulv_journal_frame *frame = (void *)f->p;

    frame->magic = ULV_JOURNAL_FRAME;
    frame->bytes = (uint32_t)(f->used - sizeof(*frame));
    frame->sequence = sequence;
    frame->segment = segment;
    frame->entry_count = f->entry_count;
    frame->crc = 0;
    frame->crc = ulv_crc32c(ulv_crc32c(0, j->guid, sizeof(j->guid)), f->p,
                            f->used);
}

void
ulv_journal_make_header(const struct ulv_journal *j, uint32_t kind,
                        uint64_t segment, struct ulv_journal_header *ret)
{
    static const uint8_t magic[8] = ULV_JOURNAL_MAGIC;

    memset(ret, 0, sizeof(*ret));
    memcpy(ret->magic, magic, sizeof(magic));
    ret->version = ULV_JOURNAL_VERSION;
    ret->kind = kind;
    memcpy(ret->journal, j->guid, sizeof(ret->journal));
    ret->segment = segment;
    ret->sequence = kind == ULV_JOURNAL_CHECKPOINT ? j->sequence : 0;
    ret->crc = ulv_crc32c(0, ret, offsetof(struct ulv_journal_header, crc));
}

/* ---- everything ---------------------------------------------------------- */

struct whole { /* a checkpoint on its way */
    struct ulv_journal *j;
    struct frame_buffer frame;
    uint64_t segment, sequence, bytes, entry_count;
    struct ulv_diag *diag;
};

/* Write what has gathered, once it is worth it. */
static ulv_status
write_part(struct whole *w, size_t at_least)
{
    const struct ulv_storage *storage = w->j->storage;
    struct frame_buffer *f = &w->frame;
    ulv_status status = f->status;

    if (status != ULV_OK)
        return ulv_db_no_memory(w->diag);
    if (f->used < at_least || f->used == 0)
        return ULV_OK;
    w->entry_count += f->entry_count;
    w->bytes += f->used;
    ulv_journal_close_frame(w->j, f, w->segment, ++w->sequence);
    status = storage->append(storage->self, ULV_STORAGE_NEXT, f->p, f->used,
                             w->diag);
    f->used = 0;
    f->entry_count = 0;
    return status;
}

static ulv_status
write_records(struct whole *w)
{
    ulv_status status = ULV_OK;

    for (uint32_t kind = 1; kind < KIND_COUNT && status == ULV_OK; kind++) {
        for (const struct record *r = w->j->db->first[kind];
             r != NULL && status == ULV_OK; r = r->after) {
            put_kind[kind](w->j, &w->frame, r);
            status = write_part(w, PART_BYTES);
        }
    }
    return status;
}

static ulv_status
write_log(struct whole *w)
{
    const struct ulv_database *db = w->j->db;
    uint64_t revision = db->revision < ULV_LOG_COUNT
                            ? 1
                            : db->revision - ULV_LOG_COUNT + 1;
    ulv_status status = ULV_OK;

    for (; revision <= db->revision && status == ULV_OK; revision++) {
        struct ulv_log_record *out =
            add_entry(w->j, &w->frame, ULV_JOURNAL_TRANSACTION, sizeof(*out));

        if (out != NULL)
            *out = db->log[revision % ULV_LOG_COUNT];
        status = write_part(w, PART_BYTES);
    }
    return status;
}

static ulv_status
write_answers(struct whole *w, const struct client *c)
{
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < ULV_JOURNAL_ANSWERS_MAX && status == ULV_OK;
         i++) {
        struct ulv_journal_answer *out;

        if (c->answer[i].request == 0)
            continue;
        out = add_entry(w->j, &w->frame, ULV_JOURNAL_ANSWER, sizeof(*out));
        if (out != NULL) {
            memcpy(out->client, c->guid, 16);
            out->request = c->answer[i].request;
            out->revision = c->answer[i].revision;
        }
        status = write_part(w, PART_BYTES);
    }
    return status;
}

static ulv_status
write_end(struct whole *w)
{
    struct ulv_journal_end *out;

    w->entry_count += w->frame.entry_count;
    out = add_entry(w->j, &w->frame, ULV_JOURNAL_END, sizeof(*out));
    if (out != NULL)
        out->entry_count = w->entry_count;
    return write_part(w, 0);
}

static ulv_status
write_whole(struct whole *w)
{
    uint32_t leases = 0;
    ulv_status status;

    put_leases(w->j, &w->frame, &leases);
    put_state(w->j, &w->frame, w->j->db->revision);
    status = write_records(w);
    if (status == ULV_OK)
        status = write_log(w);
    for (uint32_t i = 0; i < ULV_JOURNAL_CLIENTS_MAX && status == ULV_OK;
         i++) {
        if (w->j->client[i] != NULL)
            status = write_answers(w, w->j->client[i]);
    }
    return status == ULV_OK ? write_end(w) : status;
}

ulv_status
ulv_journal_write_all(struct ulv_journal *j, uint64_t segment,
                      struct ulv_diag *diag)
{
    const struct ulv_storage *storage = j->storage;
    struct whole w = { .j = j, .segment = segment, .diag = diag };
    struct ulv_journal_header header;
    ulv_status status =
        storage->truncate(storage->self, ULV_STORAGE_NEXT, 0, diag);

    ulv_journal_make_header(j, ULV_JOURNAL_CHECKPOINT, segment, &header);
    if (status == ULV_OK)
        status = storage->append(storage->self, ULV_STORAGE_NEXT, &header,
                                 sizeof(header), diag);
    if (status == ULV_OK)
        status = write_whole(&w);
    if (status == ULV_OK)
        status = storage->sync(storage->self, ULV_STORAGE_NEXT, diag);
    if (status == ULV_OK)
        j->checkpoint_bytes = w.bytes;
    j->host->free(j->host->self, w.frame.p, w.frame.capacity);
    return status;
}
