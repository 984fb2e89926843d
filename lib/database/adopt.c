/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a database that was found again means for whoever holds memory and
 * descriptors: the effects of having made all of it. He has nothing of it yet,
 * or he has all of it, and compares.
 */
#include "database/journal_priv.h"

static bool
adopt_partition(struct ulv_database *db, const struct partition *p)
{
    struct ulv_effect *e = ulv_db_effect(db, ULV_EFFECT_PARTITION_CREATE);

    if (e == NULL)
        return false;
    e->u.partition_create.id = p->r.id;
    e->u.partition_create.kind = p->kind;
    e->u.partition_create.restarts = p->restarts;
    memcpy(e->u.partition_create.name, p->name, 32);
    return true;
}

static bool
adopt_belongings(struct ulv_database *db, const struct partition *p)
{
    for (const struct share *s = p->shares; s != NULL; s = s->next) {
        struct ulv_effect *e = ulv_db_effect(db, ULV_EFFECT_PROCESSOR);

        if (e == NULL)
            return false;
        e->u.processor.partition = p->r.id;
        e->u.processor.os_number = s->processor->os_number;
        e->u.processor.mode = s->mode;
        e->u.processor.quanta = ulv_db_count(s->quanta);
    }
    for (const struct extent *x = p->extents; x != NULL; x = x->next) {
        struct ulv_effect *e = ulv_db_effect(db, ULV_EFFECT_EXTENT_GRANT);

        if (e == NULL)
            return false;
        e->u.extent.id = x->r.id;
        e->u.extent.partition = p->r.id;
        e->u.extent.frame = x->frame;
        e->u.extent.bytes = x->bytes;
        e->u.extent.guest_address = x->guest_address;
    }
    return true;
}

static bool
adopt_device(struct ulv_database *db, const struct device *d)
{
    struct ulv_effect *e = ulv_db_effect(db, ULV_EFFECT_DEVICE_OFFER);

    if (e == NULL)
        return false;
    e->u.device.id = d->r.id;
    e->u.device.primary = d->serving->r.id;
    e->u.device.standby = d->standby == NULL ? 0 : d->standby->r.id;
    e->u.device.kind = d->kind;
    e->u.device.flags = d->flags;
    return true;
}

/* Whoever has nothing yet has no medium for those with a device either. */
static bool
adopt_channel(struct ulv_database *db, const struct channel *c, bool held)
{
    struct ulv_effect *e;

    if (c->device != NULL && !held)
        return true;
    e = ulv_db_effect(db, ULV_EFFECT_CHANNEL_CREATE);
    if (e == NULL)
        return false;
    e->u.channel.id = c->r.id;
    e->u.channel.device = c->device == NULL ? 0 : c->device->r.id;
    e->u.channel.server = c->server->r.id;
    e->u.channel.client = c->client->r.id;
    e->u.channel.frame = c->frame;
    e->u.channel.bytes = c->bytes;
    e->u.channel.ring_bytes = c->ring_bytes;
    e->u.channel.bulk_bytes = c->bytes - 8192 - UINT64_C(2) * c->ring_bytes;
    memcpy(e->u.channel.type, c->type, 16);
    memcpy(e->u.channel.instance, c->instance, 16);
    return true;
}

/* What was taken from whom and is not free yet. */
static bool
adopt_drain(struct ulv_database *db, ulv_id object, bool draining)
{
    struct ulv_effect *e;

    if (!draining)
        return true;
    e = ulv_db_effect(db, ULV_EFFECT_DRAIN);
    if (e != NULL)
        e->u.removal.id = object;
    return e != NULL;
}

static bool
adopt_drains(struct ulv_database *db)
{
    bool done = true;

    for (struct record *r = db->first[ULV_QUERY_EXTENTS]; r != NULL && done;
         r = r->after)
        done = adopt_drain(db, r->id, ((struct extent *)(void *)r)->draining);
    for (struct record *r = db->first[ULV_QUERY_CHANNELS]; r != NULL && done;
         r = r->after)
        done = adopt_drain(db, r->id, ((struct channel *)(void *)r)->draining);
    return done;
}

ulv_status
ulv_database_adopt(struct ulv_database *db, bool held, struct ulv_diag *diag)
{
    struct record *const first = db->first[ULV_QUERY_PARTITIONS];
    bool done = true;

    for (struct record *r = first; r != NULL && done; r = r->after)
        done = r->id == ULV_ID_IDLE || adopt_partition(db, (void *)r);
    for (struct record *r = first; r != NULL && done; r = r->after)
        done = adopt_belongings(db, (void *)r);
    for (struct record *r = db->first[ULV_QUERY_DEVICES];
         r != NULL && done && held; r = r->after)
        done = adopt_device(db, (void *)r);
    for (struct record *r = db->first[ULV_QUERY_CHANNELS]; r != NULL && done;
         r = r->after)
        done = adopt_channel(db, (void *)r, held);
    if (held && done)
        done = adopt_drains(db);
    return done ? ULV_OK : ulv_db_no_memory(diag);
}
