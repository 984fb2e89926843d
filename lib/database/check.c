/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Every invariant of the database, verified from scratch. */
#include "database/database_priv.h"

ulv_status
ulv_db_wrong(struct ulv_diag *diag, const struct record *r, uint64_t value,
             uint64_t bound, const char *what)
{
    return ulv_fail(diag, ULV_E_INTERNAL, r->id, value, bound,
                    "object %u: %s: %u, should be %u", r->id, what, value,
                    bound);
}

static ulv_status
wrong(struct ulv_diag *diag, const struct record *r, uint64_t value,
      uint64_t bound, const char *what)
{
    return ulv_db_wrong(diag, r, value, bound, what);
}

static ulv_status
check_lists(const struct ulv_database *db, struct ulv_diag *diag)
{
    uint32_t count = 0;

    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        const struct record *before = NULL;

        for (const struct record *r = db->first[kind]; r != NULL;
             r = r->after) {
            if (r->before != before ||
                (before != NULL && before->id >= r->id))
                return wrong(diag, r, 0, 0, "order of its list");
            if (ulv_db_find(db, r->id, kind) != r)
                return wrong(diag, r, kind, r->kind, "not to be found");
            before = r;
            count++;
        }
        if (db->last[kind] != before)
            return ulv_fail(diag, ULV_E_INTERNAL, 0, kind, 0,
                            "list %u ends elsewhere", (uint64_t)kind);
    }
    if (count != db->ids.count)
        return ulv_fail(diag, ULV_E_INTERNAL, 0, count, db->ids.count,
                        "%u records, %u counted", (uint64_t)count,
                        (uint64_t)db->ids.count);
    return ULV_OK;
}

static bool
is_there(const struct ulv_database *db, const struct partition *p)
{
    return find_partition(db, p->r.id) == p;
}

/* Whom records point to is there: it is counted for them. */
static ulv_status
check_ends(const struct ulv_database *db, struct ulv_diag *diag)
{
    const struct record *r;

    for (r = db->first[ULV_QUERY_CHANNELS]; r != NULL; r = r->after) {
        const struct channel *c = (const void *)r;

        if (!is_there(db, c->server) || !is_there(db, c->client))
            return wrong(diag, r, 0, 0, "an end dangles");
    }
    for (r = db->first[ULV_QUERY_RANGES]; r != NULL; r = r->after) {
        if (!is_there(db, ((const struct range_record *)(const void *)r)
                              ->owner))
            return wrong(diag, r, 0, 0, "owner of a range");
    }
    for (r = db->first[ULV_QUERY_HARDWARE]; r != NULL; r = r->after) {
        if (!is_there(db, ((const struct hardware *)(const void *)r)->owner))
            return wrong(diag, r, 0, 0, "owner of hardware");
    }
    for (r = db->first[ULV_QUERY_PARTITIONS]; r != NULL; r = r->after) {
        const struct zone *zone = ((const struct partition *)(const void *)r)
                                      ->zone;

        if (zone != NULL &&
            ulv_db_find(db, zone->r.id, ULV_QUERY_ZONES) != &zone->r)
            return wrong(diag, r, 0, 0, "its zone dangles");
    }
    return ULV_OK;
}

static uint64_t
channel_bytes(const struct ulv_database *db)
{
    uint64_t bytes = 0;

    for (struct record *r = db->first[ULV_QUERY_CHANNELS]; r != NULL;
         r = r->after)
        bytes += ((struct channel *)(void *)r)->bytes;
    return bytes;
}

static uint64_t
owner_at(const struct ulv_database *db, uint64_t frame)
{
    for (struct record *r = db->first[ULV_QUERY_MEMORY]; r != NULL;
         r = r->after) {
        const struct ulv_page_map *map = &((struct pool *)(void *)r)->map;

        if (ulv_range_inside(frame - map->base, 1, map->bytes))
            return ulv_page_map_owner(map, frame);
    }
    return ULV_PAGE_NEVER;
}

static ulv_status
check_extents(const struct ulv_database *db, const struct partition *p,
              struct ulv_diag *diag)
{
    uint64_t next = ulv_db_ram_base(p), bytes = 0;
    const struct extent *before = NULL;
    uint32_t count = 0;

    for (const struct extent *e = p->extents; e != NULL; e = e->next) {
        if (e->before != before ||
            ulv_db_extent_at(db, p, e->guest_address) != e)
            return wrong(diag, &e->r, e->guest_address, 0, "not to be found");
        before = e;
        if (e->partition != p || e->guest_address < next)
            return wrong(diag, &e->r, e->guest_address, next,
                         "guest address of an extent");
        if (owner_at(db, e->frame) != p->r.id ||
            owner_at(db, e->frame + e->bytes - 4096) != p->r.id)
            return wrong(diag, &e->r, owner_at(db, e->frame), p->r.id,
                         "owner of an extent's pages");
        next = e->guest_address + e->bytes;
        bytes += e->bytes;
        count++;
    }
    if (count != p->extent_count || bytes != p->ram_bytes)
        return wrong(diag, &p->r, bytes, p->ram_bytes, "sum of its extents");
    if (next != p->top)
        return wrong(diag, &p->r, next, p->top, "end of its last extent");
    return ULV_OK;
}

/* Counted anew by what there is; no more than may be. */
static ulv_status
check_quota(const struct record *r, const struct quota *quota,
            const uint64_t there[ULV_QUOTA_COUNT], struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < ULV_QUOTA_COUNT; i++) {
        if (quota->used[i] != there[i])
            return wrong(diag, r, quota->used[i], there[i],
                         "what counts for a quota");
        if (there[i] > quota->limit[i])
            return wrong(diag, r, there[i], quota->limit[i],
                         "more than its quota");
    }
    return ULV_OK;
}

/* With what is on its way to it. */
static ulv_status
check_guest_quota(const struct partition *p, struct ulv_diag *diag)
{
    uint64_t there[ULV_QUOTA_COUNT] = {
        [ULV_QUOTA_MEMORY] = p->ram_bytes + p->found.coming,
        [ULV_QUOTA_PROCESSORS] = p->processor_count,
        [ULV_QUOTA_CHANNELS] = p->channel_count,
        [ULV_QUOTA_DEVICES] = p->found.hardware,
        [ULV_QUOTA_PARTITIONS] = 1,
    };

    for (const struct share *s = p->shares; s != NULL; s = s->next)
        there[ULV_QUOTA_QUANTA] +=
            ulv_db_quanta_of(s->mode, ulv_db_count(s->quanta));
    return check_quota(&p->r, &p->quota, there, diag);
}

/* Those of an object name it, each with a key of its own, and are records. */
static ulv_status
check_labels(const struct ulv_database *db, const struct record *object,
             uint32_t *count, struct ulv_diag *diag)
{
    uint32_t some = 0;

    for (const struct label *a = object->labels; a != NULL; a = a->next) {
        if (a->object != object ||
            ulv_db_find(db, a->r.id, ULV_QUERY_LABELS) != &a->r ||
            !ulv_db_can_be_labelled(object->kind) ||
            !ulv_db_key_is_good(a->key) || a->value[0] == '\0' ||
            !ulv_db_value_is_good(a->value))
            return wrong(diag, &a->r, a->object->id, object->id,
                         "object of a label");
        for (const struct label *b = a->next; b != NULL; b = b->next) {
            if (ulv_string_equal(a->key, b->key, sizeof(a->key)))
                return wrong(diag, &b->r, a->r.id, 0, "key of a label");
        }
        some++;
    }
    *count += some;
    return some <= ULV_LABELS_MAX
               ? ULV_OK
               : wrong(diag, object, some, ULV_LABELS_MAX, "labels");
}

static ulv_status
check_all_labels(const struct ulv_database *db, struct ulv_diag *diag)
{
    uint32_t listed = 0, count = 0;
    ulv_status status = ULV_OK;

    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        for (const struct record *r = db->first[kind];
             r != NULL && status == ULV_OK; r = r->after) {
            listed += kind == ULV_QUERY_LABELS ? 1 : 0;
            status = check_labels(db, r, &count, diag);
        }
    }
    if (status == ULV_OK && count != listed)
        return ulv_fail(diag, ULV_E_INTERNAL, 0, count, listed,
                        "%u labels of objects, %u in all", (uint64_t)count,
                        (uint64_t)listed);
    return status;
}

static ulv_status
check_partition(const struct ulv_database *db, const struct partition *p,
                uint64_t in_channels, struct ulv_diag *diag)
{
    const struct tally *found = &p->found;
    const uint64_t expected =
        p->ram_bytes + (p == db->ultravisor ? in_channels : 0);
    const uint32_t slots =
        p->kind == ULV_PARTITION_GUEST ? found->channels : 0;
    uint32_t shares = 0;

    if (ulv_db_find_name(db, p->name) != p)
        return wrong(diag, &p->r, 0, 0, "name is not found");
    if (found->page_bytes != expected)
        return wrong(diag, &p->r, found->page_bytes, expected,
                     "bytes of its pages");
    if (found->channels != p->channel_count)
        return wrong(diag, &p->r, found->channels, p->channel_count,
                     "number of its channels");
    if (found->slots != slots)
        return wrong(diag, &p->r, found->slots, slots, "number of its slots");
    for (const struct share *s = p->shares; s != NULL; s = s->next)
        shares++;
    if (shares != p->processor_count)
        return wrong(diag, &p->r, shares, p->processor_count,
                     "number of its processors");
    if (found->owned != p->owned_count)
        return wrong(diag, &p->r, found->owned, p->owned_count,
                     "ranges and hardware of its own");
    if (p->kind == ULV_PARTITION_GUEST &&
        check_guest_quota(p, diag) != ULV_OK)
        return ULV_E_INTERNAL;
    if (p->zone != NULL && p->kind != ULV_PARTITION_GUEST)
        return wrong(diag, &p->r, 0, 0, "its zone");
    return check_extents(db, p, diag);
}

static bool
has_slot(const struct partition *p, uint32_t slot, const struct channel *c)
{
    return p->kind != ULV_PARTITION_GUEST ||
           (p->slot[slot] == c && (p->slots >> slot & 1) != 0);
}

static ulv_status
check_channel(const struct ulv_database *db, const struct channel *c,
              struct ulv_diag *diag)
{
    if (c->device != NULL && c->device->serving != c->server)
        return wrong(diag, &c->r, c->server->r.id,
                     c->device->serving->r.id, "server of its device");
    if (!has_slot(c->client, c->client_slot, c))
        return wrong(diag, &c->r, c->client_slot, 0, "slot of its client");
    if (!has_slot(c->server, c->server_slot, c))
        return wrong(diag, &c->r, c->server_slot, 0, "slot of its server");
    if (c->device != NULL && c->device->channel != c)
        return wrong(diag, &c->r, c->device->r.id, 0, "channel of its device");
    if (owner_at(db, c->frame) != db->ultravisor->r.id)
        return wrong(diag, &c->r, owner_at(db, c->frame),
                     db->ultravisor->r.id, "owner of its pages");
    return ULV_OK;
}

static ulv_status
check_processor(const struct ulv_database *db,
                const struct processor *processor, struct ulv_diag *diag)
{
    const uint32_t shares = processor->found_shares;
    const uint64_t taken = processor->found_taken;

    if (shares != processor->share_count ||
        (processor->owner != db->idle && shares != 1))
        return wrong(diag, &processor->r, shares, processor->share_count,
                     "shares of a processor");
    if (taken != processor->taken ||
        (processor->owner != db->idle && taken != 0))
        return wrong(diag, &processor->r, taken, processor->taken,
                     "quanta of a processor");
    return ULV_OK;
}

ulv_status
ulv_database_check(const struct ulv_database *db, struct ulv_diag *diag)
{
    const uint64_t in_channels = channel_bytes(db);
    ulv_status status = check_lists(db, diag);
    const struct record *r;

    if (status == ULV_OK)
        status = check_ends(db, diag);
    if (status == ULV_OK)
        status = ulv_db_check_count(db, diag);
    for (r = db->first[ULV_QUERY_PARTITIONS]; r != NULL && status == ULV_OK;
         r = r->after)
        status = check_partition(db, (const void *)r, in_channels, diag);
    for (r = db->first[ULV_QUERY_CHANNELS]; r != NULL && status == ULV_OK;
         r = r->after)
        status = check_channel(db, (const void *)r, diag);
    for (r = db->first[ULV_QUERY_PROCESSORS]; r != NULL && status == ULV_OK;
         r = r->after)
        status = check_processor(db, (const void *)r, diag);
    for (r = db->first[ULV_QUERY_ZONES]; r != NULL && status == ULV_OK;
         r = r->after) {
        const struct zone *zone = (const void *)r;

        status = check_quota(r, &zone->quota, zone->found, diag);
    }
    if (status == ULV_OK)
        status = ulv_db_check_machine(db, diag);
    return status == ULV_OK ? check_all_labels(db, diag) : status;
}
