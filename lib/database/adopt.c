/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a database that was found again means for whoever holds memory and
 * descriptors, and has nothing of it yet: the effects of having made all of it.
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

/* Of those with a device nobody has the medium any more. */
static bool
adopt_channel(struct ulv_database *db, const struct channel *c)
{
    struct ulv_effect *e;

    if (c->device != NULL)
        return true;
    e = ulv_db_effect(db, ULV_EFFECT_CHANNEL_CREATE);
    if (e == NULL)
        return false;
    e->u.channel.id = c->r.id;
    e->u.channel.server = c->server->r.id;
    e->u.channel.client = c->client->r.id;
    e->u.channel.frame = c->frame;
    e->u.channel.bytes = c->bytes;
    e->u.channel.ring_bytes = (c->bytes - 8192) / 2;
    memcpy(e->u.channel.type, c->type, 16);
    memcpy(e->u.channel.instance, c->instance, 16);
    return true;
}

ulv_status
ulv_database_adopt(struct ulv_database *db, struct ulv_diag *diag)
{
    struct record *const first = db->first[ULV_QUERY_PARTITIONS];
    bool done = true;

    for (struct record *r = first; r != NULL && done; r = r->after)
        done = r->id == ULV_ID_IDLE || adopt_partition(db, (void *)r);
    for (struct record *r = first; r != NULL && done; r = r->after)
        done = adopt_belongings(db, (void *)r);
    for (struct record *r = db->first[ULV_QUERY_CHANNELS]; r != NULL && done;
         r = r->after)
        done = adopt_channel(db, (void *)r);
    return done ? ULV_OK : ulv_db_no_memory(diag);
}
