/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Records as queries show them become those of a journal, and the database is
 * made of those, as it is made of a storage's. What a record says beyond that
 * follows from others: it is compared in the end, so that nothing that was
 * said is passed over.
 */
#include "database/import_priv.h"

static ulv_status
wrong(const struct importing *w, const struct ulv_import_record *in,
      uint64_t value, uint64_t bound, const char *what)
{
    const uint64_t id = ulv_get_le64(in->record);

    return ulv_fail(w->diag, ULV_E_FORMAT, id, value, bound,
                    "%s:%u: object %u: %s (%u); nothing was changed",
                    w->import->name, (uint64_t)in->line, id, what, value);
}

ulv_status
ulv_import_wrong(const struct importing *w, const struct ulv_import_record *in,
                 uint64_t value, uint64_t bound, const char *what)
{
    return wrong(w, in, value, bound, what);
}

/* ---- to a journal's ------------------------------------------------------ */

static ulv_status
stage(struct importing *w, const struct ulv_import_record *in, uint32_t kind,
      const void *p, size_t bytes)
{
    const uint64_t id = ulv_get_le64(in->record);
    struct staged *s;

    if (id == 0 || id > ULV_IMPORT_ID_MAX)
        return wrong(w, in, id, ULV_IMPORT_ID_MAX, "an id that cannot be");
    s = ulv_stage_find(&w->stage, id);
    if (s != NULL)
        return wrong(w, in, s->line, 0, "it is there already, at a line");
    s = ulv_stage_put(&w->stage, kind, p, (uint32_t)bytes);
    if (s == NULL)
        return ulv_db_no_memory(w->diag);
    s->line = in->line;
    w->highest = ULV_MAX(w->highest, id);
    return ULV_OK;
}

static ulv_status
stage_partition(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_partition_record *p = in->record;
    const uint32_t bound =
        ULV_MIN(w->of[ULV_QUERY_PROCESSORS], w->shares_left);
    const struct ulv_host *host = w->db->host;
    struct ulv_journal_partition *out;
    ulv_status status;
    size_t bytes;

    if (p->processor_count > bound)
        return wrong(w, in, p->processor_count, bound,
                     "more processors than records of them");
    w->shares_left -= p->processor_count;
    bytes =
        sizeof(*out) + p->processor_count * sizeof(struct ulv_journal_share);
    out = host->alloc(host->self, bytes, 8);
    if (out == NULL)
        return ulv_db_no_memory(w->diag);
    out->id = p->id;
    out->version = p->version;
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
    out->share_count = p->processor_count;
    out->restart_window = p->restart_window;
    out->zone = p->zone;
    memcpy(out->name, p->name, sizeof(out->name));
    memcpy(out->policy, p->policy, sizeof(out->policy));
    status = stage(w, in, ULV_JOURNAL_PARTITION, out, bytes);
    host->free(host->self, out, bytes);
    return status;
}

static ulv_status
stage_processor(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_processor_record *p = in->record;
    const struct ulv_journal_processor out = {
        .id = p->id,
        .version = p->version,
        .package = p->package,
        .core = p->core,
        .thread = p->thread,
        .node = p->node,
        .os_number = p->os_number,
        .retired = p->retired,
    };

    return stage(w, in, ULV_JOURNAL_PROCESSOR, &out, sizeof(out));
}

static ulv_status
stage_pool(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_memory_record *p = in->record;
    const struct ulv_journal_pool out = {
        .id = p->id,
        .version = p->version,
        .base = p->base,
        .bytes = p->bytes,
        .node = p->node,
        .gone_blocks = (uint32_t)(p->gone_bytes / ULV_JOURNAL_POOL_BLOCK),
    };

    return stage(w, in, ULV_JOURNAL_POOL, &out, sizeof(out));
}

static ulv_status
stage_device(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_device_record *d = in->record;
    struct ulv_journal_device out = {
        .id = d->id,
        .version = d->version,
        .serving = d->serving,
        .standby = d->standby,
        .bytes = d->bytes,
        .kind = d->kind,
        .flags = d->flags,
    };

    memcpy(out.name, d->name, sizeof(out.name));
    return stage(w, in, ULV_JOURNAL_DEVICE, &out, sizeof(out));
}

static ulv_status
stage_extent(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_extent_record *e = in->record;
    const struct ulv_journal_extent out = {
        .id = e->id,
        .version = e->version,
        .partition = e->partition,
        .guest_address = e->guest_address,
        .frame = e->frame,
        .bytes = e->bytes,
        .node = e->node,
        .flags = e->flags,
        .heir = e->heir,
    };

    return stage(w, in, ULV_JOURNAL_EXTENT, &out, sizeof(out));
}

static ulv_status
stage_channel(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_channel_record *c = in->record;
    struct ulv_journal_channel out = {
        .id = c->id,
        .version = c->version,
        .server = c->server,
        .client = c->client,
        .device = c->device,
        .frame = c->frame,
        .bytes = c->bytes,
        .epoch = c->epoch,
        .flags = c->flags,
        .server_slot = c->server_slot,
        .client_slot = c->client_slot,
        .ring_bytes = c->ring_bytes,
    };

    memcpy(out.type, c->type, sizeof(out.type));
    memcpy(out.instance, c->instance, sizeof(out.instance));
    return stage(w, in, ULV_JOURNAL_CHANNEL, &out, sizeof(out));
}

static ulv_status
stage_zone(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_zone_record *z = in->record;
    struct ulv_journal_zone out = { .id = z->id, .version = z->version };

    memcpy(out.limit, z->limit, sizeof(out.limit));
    memcpy(out.name, z->name, sizeof(out.name));
    memcpy(out.policy, z->policy, sizeof(out.policy));
    return stage(w, in, ULV_JOURNAL_ZONE, &out, sizeof(out));
}

static ulv_status
stage_label(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_label_record *label = in->record;
    struct ulv_journal_label out = {
        .id = label->id, .version = label->version, .object = label->object };

    memcpy(out.key, label->key, sizeof(out.key));
    memcpy(out.value, label->value, sizeof(out.value));
    return stage(w, in, ULV_JOURNAL_LABEL, &out, sizeof(out));
}

static ulv_status
stage_range(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_range_record *range = in->record;
    const struct ulv_journal_range out = {
        .id = range->id,
        .version = range->version,
        .owner = range->owner,
        .first = range->first,
        .count = range->count,
        .kind = range->kind,
    };

    return stage(w, in, ULV_JOURNAL_RANGE, &out, sizeof(out));
}

static ulv_status
stage_hardware(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_hardware_record *h = in->record;
    struct ulv_journal_hardware out = {
        .id = h->id,
        .version = h->version,
        .owner = h->owner,
        .parent = h->parent,
        .address = h->address,
        .bytes = h->bytes,
        .kind = h->kind,
        .device_class = h->device_class,
        .node = h->node,
        .model = h->model,
    };

    memcpy(out.name, h->name, sizeof(out.name));
    memcpy(out.driver, h->driver, sizeof(out.driver));
    return stage(w, in, ULV_JOURNAL_HARDWARE, &out, sizeof(out));
}

static ulv_status
stage_retired(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_retired_record *x = in->record;
    const struct ulv_journal_retired out = {
        .id = x->id,
        .version = x->version,
        .frame = x->frame,
        .bytes = x->bytes,
    };

    return stage(w, in, ULV_JOURNAL_RETIRED, &out, sizeof(out));
}

/* ---- what belongs to partitions that are staged -------------------------- */

static struct staged *
staged_partition(const struct importing *w, const struct ulv_import_record *in)
{
    struct staged *s = ulv_stage_find(&w->stage, ulv_get_le64(in->record));

    return s == NULL || s->kind != ULV_JOURNAL_PARTITION ? NULL : s;
}

static ulv_status
add_share(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_share_record *share = in->record;
    struct staged *s = staged_partition(w, in);
    struct ulv_journal_partition *p = s == NULL ? NULL : (void *)(s + 1);
    struct ulv_journal_share *out;

    if (p == NULL)
        return wrong(w, in, share->vcpu_idx, 0, "a processor of no partition");
    if (share->vcpu_idx >= p->share_count)
        return wrong(w, in, share->vcpu_idx, p->share_count,
                     "more processors than it has");
    out = (struct ulv_journal_share *)(void *)(p + 1) +
          (p->share_count - 1 - share->vcpu_idx); /* the newest is first */
    if (out->processor != 0)
        return wrong(w, in, share->vcpu_idx, 0, "a processor of it, twice");
    out->processor = share->processor;
    out->quanta = share->quanta;
    out->vcpu_idx = share->vcpu_idx;
    out->mode = share->mode;
    return ULV_OK;
}

static ulv_status
add_quota(struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_quota_record *quota = in->record;
    struct staged *s = staged_partition(w, in);
    struct ulv_journal_partition *p;

    if (s == NULL || s->limited != 0)
        return wrong(w, in, quota->limit[0], 0,
                     "quotas of no partition, or once more");
    p = (void *)(s + 1);
    memcpy(p->limit, quota->limit, sizeof(p->limit));
    s->limited = 1;
    return ULV_OK;
}

/* ---- what follows from others -------------------------------------------- */

struct derived {
    uint32_t kind;
    uint16_t offset, bytes;
    const char *name;
};
#define DERIVED(number, record, field)                                         \
    {                                                                          \
        number, offsetof(struct record, field),                                \
            sizeof(((struct record *)NULL)->field), #field                     \
    }

static const struct derived derived[] = {
    DERIVED(ULV_QUERY_PARTITIONS, ulv_partition_record, memory_bytes),
    DERIVED(ULV_QUERY_PARTITIONS, ulv_partition_record, channel_count),
    DERIVED(ULV_QUERY_PROCESSORS, ulv_processor_record, owner),
    DERIVED(ULV_QUERY_PROCESSORS, ulv_processor_record, mode),
    DERIVED(ULV_QUERY_PROCESSORS, ulv_processor_record, share_count),
    DERIVED(ULV_QUERY_PROCESSORS, ulv_processor_record, idle_quanta),
    DERIVED(ULV_QUERY_MEMORY, ulv_memory_record, free_bytes),
    DERIVED(ULV_QUERY_MEMORY, ulv_memory_record, gone_bytes),
    DERIVED(ULV_QUERY_EXTENTS, ulv_extent_record, node),
    DERIVED(ULV_QUERY_RETIRED, ulv_retired_record, pending_bytes),
    DERIVED(ULV_QUERY_ZONES, ulv_zone_record, used[0]),
    DERIVED(ULV_QUERY_ZONES, ulv_zone_record, used[1]),
    DERIVED(ULV_QUERY_ZONES, ulv_zone_record, used[2]),
    DERIVED(ULV_QUERY_ZONES, ulv_zone_record, used[3]),
    DERIVED(ULV_QUERY_ZONES, ulv_zone_record, used[4]),
    DERIVED(ULV_QUERY_ZONES, ulv_zone_record, used[5]),
    DERIVED(ULV_QUERY_QUOTAS, ulv_quota_record, used[0]),
    DERIVED(ULV_QUERY_QUOTAS, ulv_quota_record, used[1]),
    DERIVED(ULV_QUERY_QUOTAS, ulv_quota_record, used[2]),
    DERIVED(ULV_QUERY_QUOTAS, ulv_quota_record, used[3]),
    DERIVED(ULV_QUERY_QUOTAS, ulv_quota_record, used[4]),
    DERIVED(ULV_QUERY_QUOTAS, ulv_quota_record, used[5]),
};

static uint64_t
field_of(const struct derived *d, const void *record)
{
    const uint8_t *p = (const uint8_t *)record + d->offset;

    return d->bytes == 4 ? ulv_get_le32(p) : ulv_get_le64(p);
}

static ulv_status
compare(struct importing *w, const struct ulv_import_record *in)
{
    uint64_t record[64];
    const uint64_t id = ulv_get_le64(in->record);
    const uint32_t bytes = ulv_db_read_bytes(in->kind);
    ulv_status status;

    if (in->kind == ULV_QUERY_SHARES)
        return ULV_OK; /* all of it was taken */
    status = ulv_database_find(w->db, in->kind, id, record);
    if (status == ULV_OK && memcmp(record, in->record, bytes) == 0)
        return ULV_OK;
    for (uint32_t i = 0; i < ULV_COUNT_OF(derived) && status == ULV_OK; i++) {
        const uint64_t said = field_of(&derived[i], in->record);
        const uint64_t is = field_of(&derived[i], record);

        if (derived[i].kind == in->kind && said != is)
            return ulv_fail(w->diag, ULV_E_FORMAT, id, said, is,
                            "%s:%u: object %u: %s is %u, but by what the "
                            "other records say it is %u; nothing was changed",
                            w->import->name, (uint64_t)in->line, id,
                            derived[i].name, said, is);
    }
    return wrong(w, in, 0, 0, "what no such record can say");
}

/* ---- the whole ----------------------------------------------------------- */

/* Those that stand on their own, and those that need a partition. */
static const struct {
    ulv_status (*take)(struct importing *w, const struct ulv_import_record *in);
    bool late;
} taken[KIND_COUNT] = {
    [ULV_QUERY_PARTITIONS] = { stage_partition, false },
    [ULV_QUERY_CHANNELS] = { stage_channel, false },
    [ULV_QUERY_DEVICES] = { stage_device, false },
    [ULV_QUERY_PROCESSORS] = { stage_processor, false },
    [ULV_QUERY_MEMORY] = { stage_pool, false },
    [ULV_QUERY_EXTENTS] = { stage_extent, false },
    [ULV_QUERY_ZONES] = { stage_zone, false },
    [ULV_QUERY_LABELS] = { stage_label, false },
    [ULV_QUERY_QUOTAS] = { add_quota, true },
    [ULV_QUERY_RANGES] = { stage_range, false },
    [ULV_QUERY_HARDWARE] = { stage_hardware, false },
    [ULV_QUERY_RETIRED] = { stage_retired, false },
    [ULV_QUERY_SHARES] = { add_share, true },
};

static ulv_status
take_all(struct importing *w, bool late)
{
    for (uint32_t i = 0; i < w->import->count; i++) {
        const struct ulv_import_record *in = &w->import->records[i];
        ulv_status status = ULV_OK;

        if (taken[in->kind].take == NULL)
            return wrong(w, in, in->kind, KIND_COUNT - 1,
                         "a record of a kind that is not imported");
        if (taken[in->kind].late == late)
            status = taken[in->kind].take(w, in);
        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

/* Of all that was ever leased nothing is left: new ids are higher. */
static ulv_status
burn_ids(struct importing *w)
{
    struct ulv_database *db = w->db;
    ulv_id first;

    while (db->lease_count <= w->highest / ULV_ID_LEASE_COUNT) {
        if (ulv_database_lease(db, &first) != ULV_OK)
            return ulv_db_no_memory(w->diag);
    }
    for (uint32_t i = 0; i < db->lease_count; i++) {
        db->leases[i].next = (i + UINT64_C(1)) * ULV_ID_LEASE_COUNT;
        db->leases[i].own = false;
    }
    db->own_next = db->own_end = 0;
    return ulv_db_own_ids(db, w->diag);
}

/* What led to it is not known here. */
static void
begin_log(struct ulv_database *db, uint64_t revision)
{
    const uint64_t count = ULV_MIN(revision, (uint64_t)ULV_LOG_COUNT);

    for (uint64_t i = 0; i < count; i++) {
        struct ulv_log_record *log = &db->log[(revision - i) % ULV_LOG_COUNT];

        log->revision = revision - i;
        ulv_string_copy(log->text, sizeof(log->text), "imported");
    }
}

static ulv_status
import_all(struct importing *w)
{
    ulv_status status = ulv_import_count(w);

    if (status == ULV_OK)
        status = take_all(w, false);
    if (status == ULV_OK)
        status = take_all(w, true);
    if (status == ULV_OK)
        status = burn_ids(w);
    if (status == ULV_OK)
        status = ulv_database_restore(w->db, &w->stage, w->diag);
    if (status == ULV_OK)
        status = ulv_import_check_records(w);
    for (uint32_t i = 0; status == ULV_OK && i < w->import->count; i++) {
        const struct ulv_import_record *in = &w->import->records[i];
        const struct ulv_channel_record *channel = in->record;

        if (in->kind == ULV_QUERY_CHANNELS)
            ulv_database_channel_seen(w->db, channel->id, channel->state);
        if (in->kind == ULV_QUERY_PARTITIONS &&
            staged_partition(w, in)->limited == 0)
            return wrong(w, in, 0, 0, "its quotas are missing");
        status = compare(w, in);
    }
    return status == ULV_OK ? ulv_import_check_all(w) : status;
}

ulv_status
ulv_database_import(struct ulv_database *db, const struct ulv_import *import,
                    struct ulv_diag *diag)
{
    struct importing w = { .db = db, .import = import, .diag = diag };
    ulv_status status;

    w.stage.host = db->host;
    w.stage.name = import->name;
    w.stage.revision = import->revision;
    status = import_all(&w);
    if (status == ULV_OK)
        begin_log(db, import->revision);
    ulv_stage_fini(&w.stage);
    return status;
}

/* ---- and back ------------------------------------------------------------ */

#define PAGE_BYTES 65536u

struct reading {
    const struct ulv_database *db;
    ulv_records_fn read;
    void *opaque;
    uint8_t *buf;
    uint32_t count, kind;
};

static ulv_status
flush(struct reading *w)
{
    const struct ulv_cursor_records page = {
        .size = sizeof(page),
        .kind = w->kind,
        .records = w->buf,
        .count = w->count,
        .revision = w->db->revision,
    };

    w->count = 0;
    return w->read(w->opaque, &page);
}

static ulv_status
make_room(struct reading *w, void **ret)
{
    const uint32_t bytes = ulv_db_read_bytes(w->kind);
    ulv_status status = ULV_OK;

    if ((w->count + 1) * bytes > PAGE_BYTES)
        status = flush(w);
    *ret = w->buf + (size_t)w->count++ * bytes;
    return status;
}

static ulv_status
read_record(struct reading *w, const struct record *r)
{
    const struct partition *p = (const void *)r;
    ulv_status status = ULV_OK;
    void *out;

    if (w->kind != ULV_QUERY_SHARES) {
        status = make_room(w, &out);
        if (status == ULV_OK)
            ulv_db_write_record(w->db, r, w->kind, out);
        return status;
    }
    for (const struct share *s = p->shares; s != NULL && status == ULV_OK;
         s = s->next) {
        status = make_room(w, &out);
        if (status == ULV_OK)
            ulv_db_write_share(p, s, out);
    }
    return status;
}

static ulv_status
read_kind(struct reading *w)
{
    ulv_status status = ULV_OK;

    for (const struct record *r = w->db->first[ulv_db_list_of(w->kind)];
         r != NULL && status == ULV_OK; r = r->after)
        status = read_record(w, r);
    return status == ULV_OK && w->count != 0 ? flush(w) : status;
}

ulv_status
ulv_database_read(const struct ulv_database *db, ulv_records_fn read,
                  void *opaque, struct ulv_diag *diag)
{
    const struct ulv_host *host = db->host;
    struct reading w = { .db = db, .read = read, .opaque = opaque };
    ulv_status status = ULV_OK;

    w.buf = host->alloc(host->self, PAGE_BYTES, 8);
    if (w.buf == NULL)
        return ulv_db_no_memory(diag);
    for (w.kind = 1; w.kind < KIND_COUNT && status == ULV_OK; w.kind++) {
        if (taken[w.kind].take != NULL)
            status = read_kind(&w);
    }
    if (status == ULV_OK)
        status = flush(&w);
    host->free(host->self, w.buf, PAGE_BYTES);
    return status;
}
