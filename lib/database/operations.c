/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Partitions, devices and channels: each operation checked, then done. */
#include "database/database_priv.h"

#include <ultravisor/abi/block.h>
#include <ultravisor/abi/bulk.h>
#include <ultravisor/abi/channel.h>

ulv_status
ulv_db_no_memory(struct ulv_diag *diag)
{
    return ulv_fail(diag, ULV_E_NO_MEMORY, 0, 0, 0,
                    "the database has no memory for this");
}

static ulv_status
no_partition(struct ulv_diag *diag, ulv_id id)
{
    return ulv_fail(diag, ULV_E_NOT_FOUND, id, 0, 0,
                    "partition %u does not exist", id);
}

ulv_status
ulv_db_check_name(const char name[32], ulv_id id, struct ulv_diag *diag)
{
    size_t len = ulv_string_length(name, 32);

    if (len == 0 || len > ULV_NAME_MAX)
        return ulv_fail(diag, ULV_E_ARG, id, len, ULV_NAME_MAX,
                        "a name has 1 to %u bytes, not %u",
                        (uint64_t)ULV_NAME_MAX, (uint64_t)len);
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)name[i] <= 0x20 || name[i] == 0x7f)
            return ulv_fail(diag, ULV_E_ARG, id, (uint8_t)name[i], 0x20,
                            "byte %u of the name is %x, not printable",
                            (uint64_t)i, (uint64_t)(uint8_t)name[i]);
    }
    return ULV_OK;
}

bool
ulv_db_kind_is_known(uint32_t kind)
{
    return kind == ULV_PARTITION_GUEST || kind == ULV_PARTITION_BOOT ||
           kind == ULV_PARTITION_ULTRAVISOR || kind == ULV_PARTITION_COMMAND ||
           kind == ULV_PARTITION_IO || kind == ULV_PARTITION_OPERATIONS;
}

static ulv_status
create_partition(struct ulv_database *db,
                 const struct ulv_op_create_partition *op,
                 struct ulv_diag *diag)
{
    struct ulv_effect *effect;
    struct partition *p;
    struct record *r;
    ulv_status status = ulv_db_check_name(op->name, op->id, diag);

    if (status == ULV_OK)
        status =
            ulv_db_check_restarts(op->name, op->id, op->restarts, diag);
    if (status != ULV_OK)
        return status;
    if (!ulv_db_kind_is_known(op->kind))
        return ulv_fail(diag, ULV_E_ARG, op->id, op->kind, 0,
                        "%s: unknown kind of partition %u", op->name,
                        (uint64_t)op->kind);
    p = ulv_db_find_name(db, op->name);
    if (p != NULL)
        return ulv_fail(diag, ULV_E_EXISTS, p->r.id, op->id, p->r.id,
                        "%s: partition %u has that name", op->name, p->r.id);
    status = ulv_db_record_add(db, op->id, ULV_QUERY_PARTITIONS, sizeof(*p),
                               &r, diag);
    if (status != ULV_OK)
        return status;
    p = (struct partition *)(void *)r;
    p->kind = op->kind;
    p->capabilities = op->capabilities;
    p->silence_limit = op->silence_limit;
    p->restarts = op->restarts;
    p->restart_window = op->restart_window;
    p->extents_end = &p->extents;
    p->top = ulv_db_ram_base(p);
    ulv_db_quota_init(&p->quota);
    p->quota.used[ULV_QUOTA_PARTITIONS] =
        op->kind == ULV_PARTITION_GUEST ? 1 : 0;
    memcpy(p->name, op->name, sizeof(p->name));
    if (op->kind != ULV_PARTITION_GUEST)
        p->state = ULV_STATE_RUNNING;
    effect = ulv_db_effect(db, ULV_EFFECT_PARTITION_CREATE);
    if (effect == NULL || !ulv_db_touched(db, p) ||
        !TOUCH(db, &db->ultravisor) ||
        !ulv_index_add(db, &db->names, &p->by_name, ulv_db_hash_name(p->name)))
        return ulv_db_no_memory(diag);
    if (op->kind == ULV_PARTITION_ULTRAVISOR)
        db->ultravisor = p;
    effect->u.partition_create.id = op->id;
    effect->u.partition_create.kind = op->kind;
    effect->u.partition_create.restarts = op->restarts;
    memcpy(effect->u.partition_create.name, op->name, 32);
    return ULV_OK;
}

/* ---- channels ------------------------------------------------------------ */

static const uint8_t type_block[16] = ULV_CHANNEL_TYPE_BLOCK;
static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;
static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;

/* A slot in a guest's view; other partitions need none. */
static ulv_status
take_slot(struct ulv_database *db, struct partition *p, struct channel *c,
          uint32_t *ret_slot, struct ulv_diag *diag)
{
    uint32_t slot;
    ulv_status status;

    if (!ulv_db_touched(db, p))
        return ulv_db_no_memory(diag);
    status = ulv_db_charge(db, p, ULV_QUOTA_CHANNELS, 1, diag);
    if (status != ULV_OK)
        return status;
    p->channel_count++;
    *ret_slot = 0;
    if (p->kind != ULV_PARTITION_GUEST)
        return ULV_OK;
    slot = (uint32_t)__builtin_ctzll(~p->slots); /* never all 64 are set */
    if (slot == ULV_SLOT_COUNT)
        return ulv_fail(diag, ULV_E_LIMIT, p->r.id, slot, ULV_SLOT_COUNT,
                        "%s: more than %u channels", p->name,
                        (uint64_t)ULV_SLOT_COUNT);
    if (!ulv_db_set_slot(db, p, slot, c))
        return ulv_db_no_memory(diag);
    *ret_slot = slot;
    return ULV_OK;
}

_Static_assert(8192 + 2 * ULV_MIB(16) + ULV_BULK_BYTES_MAX <=
                   ULV_GUEST_SLOT_BYTES,
               "a channel has room in a guest");

struct channel_plan {
    ulv_id id;
    struct partition *server, *client;
    struct device *device;
    uint64_t ring_bytes, bulk_bytes;
    const uint8_t *type;
};

static ulv_status
announce_channel(struct ulv_database *db, const struct channel *c,
                 const struct channel_plan *want)
{
    struct ulv_effect *effect = ulv_db_effect(db, ULV_EFFECT_CHANNEL_CREATE);
    struct ulv_effect_channel *e;

    if (effect == NULL)
        return ULV_E_NO_MEMORY;
    e = &effect->u.channel;
    e->id = c->r.id;
    e->device = want->device == NULL ? 0 : want->device->r.id;
    e->server = c->server->r.id;
    e->client = c->client->r.id;
    e->frame = c->frame;
    e->bytes = c->bytes;
    e->ring_bytes = want->ring_bytes;
    e->bulk_bytes = want->bulk_bytes;
    memcpy(e->type, c->type, 16);
    memcpy(e->instance, c->instance, 16);
    return ULV_OK;
}

static void
make_instance(struct ulv_database *db, struct channel *c)
{
    if (db->host->entropy == NULL) {
        memcpy(c->instance, &c->r.id, sizeof(c->r.id));
        return;
    }
    if (db->entropy_left == 0) {
        db->host->entropy(db->host->self, db->entropy, sizeof(db->entropy));
        db->entropy_left = sizeof(db->entropy);
    }
    db->entropy_left -= 16;
    memcpy(c->instance, &db->entropy[db->entropy_left], 16);
}

static ulv_status
make_channel(struct ulv_database *db, const struct channel_plan *want,
             struct ulv_diag *diag)
{
    struct channel *c;
    struct record *r;
    uint64_t bytes = 8192 + 2 * want->ring_bytes + want->bulk_bytes;
    ulv_status status = ulv_db_record_add(db, want->id, ULV_QUERY_CHANNELS,
                                          sizeof(*c), &r, diag);

    if (status != ULV_OK)
        return status;
    if (db->ultravisor == NULL)
        return ulv_fail(diag, ULV_E_STATE, want->id, 0, 0,
                        "channel %u: there is no ultravisor partition to own "
                        "its pages",
                        want->id);
    c = (struct channel *)(void *)r;
    c->server = want->server;
    c->client = want->client;
    c->device = want->device;
    if (c->device != NULL) /* remembered by the caller */
        c->device->channel = c;
    c->bytes = bytes;
    if (ULV_RESTARTS)
        c->ring_bytes = (uint32_t)want->ring_bytes;
    c->epoch = 1;
    memcpy(c->type, want->type, 16);
    make_instance(db, c);
    if (ulv_db_take_run(db, bytes, db->ultravisor->r.id, &c->frame) != ULV_OK)
        return ulv_fail(diag, ULV_E_NO_MEMORY, want->id, bytes, 0,
                        "channel %u: no run of %z is free", want->id, bytes);
    status = take_slot(db, want->server, c, &c->server_slot, diag);
    if (status == ULV_OK)
        status = take_slot(db, want->client, c, &c->client_slot, diag);
    if (status != ULV_OK)
        return status;
    if (announce_channel(db, c, want) != ULV_OK)
        return ulv_db_no_memory(diag);
    return ULV_OK;
}

/* The channels among the roles are made with them, by the first transaction;
 * a role knows no others. */
static bool
may_be_end(const struct ulv_database *db, const struct partition *p)
{
    return db->revision == 0 || p->kind == ULV_PARTITION_GUEST ||
           p->kind == ULV_PARTITION_BOOT;
}

/* A program that the caller lets ask, beside itself. */
static bool
is_for_a_program(const struct partition *server,
                 const struct partition *client, const uint8_t type[16])
{
    return server->kind == ULV_PARTITION_COMMAND &&
           client->kind == ULV_PARTITION_BOOT &&
           ulv_guid_equal(type, type_command);
}

static ulv_status
check_sizes(const struct ulv_op_connect *op, struct ulv_diag *diag)
{
    const uint64_t ring = op->ring_bytes, bulk = op->bulk_bytes;

    if (!ulv_is_power_of_two(ring) || ring - 4096 > ULV_MIB(16) - 4096)
        return ulv_fail(diag, ULV_E_ARG, op->channel, ring, ULV_MIB(16),
                        "a ring of %u bytes: a power of two from 4096 to %z "
                        "is needed",
                        ring, ULV_MIB(16));
    if (ULV_BULK_AREAS &&
        (bulk % 4096 != 0 || bulk > ULV_BULK_BYTES_MAX))
        return ulv_fail(diag, ULV_E_ARG, op->channel, bulk, ULV_BULK_BYTES_MAX,
                        "a bulk area of %u bytes: a multiple of 4096, at most "
                        "%u, is needed",
                        bulk, ULV_BULK_BYTES_MAX);
    return ULV_OK;
}

static ulv_status
connect_partitions(struct ulv_database *db, const struct ulv_op_connect *op,
                   struct ulv_diag *diag)
{
    struct channel_plan want = { .id = op->channel,
                                 .server = find_partition(db, op->server),
                                 .client = find_partition(db, op->client),
                                 .ring_bytes = op->ring_bytes,
                                 .type = op->type };
    ulv_status status;

    if (want.server == NULL || want.server == db->idle)
        return no_partition(diag, op->server);
    if (want.client == NULL || want.client == db->idle)
        return no_partition(diag, op->client);
    if (want.server == want.client)
        return ulv_fail(diag, ULV_E_ARG, op->channel, op->client, 0,
                        "%s cannot be connected to itself",
                        want.client->name);
    if (!is_for_a_program(want.server, want.client, op->type) &&
        (!may_be_end(db, want.server) || !may_be_end(db, want.client))) {
        const struct partition *p =
            may_be_end(db, want.server) ? want.client : want.server;

        return ulv_fail(diag, ULV_E_DENIED, op->channel, p->r.id, 0,
                        "%s is no end of channels that are asked for: only "
                        "guests and the caller are",
                        p->name);
    }
    status = check_sizes(op, diag);
    if (status != ULV_OK)
        return status;
    if (ULV_BULK_AREAS)
        want.bulk_bytes = op->bulk_bytes;
    return make_channel(db, &want, diag);
}

static ulv_status
attach_device(struct ulv_database *db, const struct ulv_op_attach *op,
              struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct device *d =
        (void *)ulv_db_find(db, op->device, ULV_QUERY_DEVICES);
    struct channel_plan want = { .id = op->channel, .client = p, .device = d };

    if (p == NULL || p->kind != ULV_PARTITION_GUEST)
        return no_partition(diag, op->partition);
    if (d == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->device, 0, 0,
                        "device %u does not exist", op->device);
    if (d->channel_count > 0)
        return ulv_fail(diag, ULV_E_BUSY, d->r.id, 0, 0,
                        "%s is attached already", d->name);
    if (d->kind == ULV_DEVICE_BLOCK &&
        ((d->flags ^ op->flags) & ULV_BLOCK_READ_ONLY) != 0 &&
        (ULV_MEDIA_WRITES || (d->flags & ULV_BLOCK_READ_ONLY) != 0))
        return ulv_fail(diag, ULV_E_DENIED, d->r.id, op->flags, d->flags,
                        !ULV_MEDIA_WRITES ||
                                (d->flags & ULV_BLOCK_READ_ONLY) != 0
                            ? "%s is read-only and was asked for writing"
                            : "%s is for writing and was asked for reading",
                        d->name);
    if (!ulv_db_change(db, &d->r))
        return ulv_db_no_memory(diag);
    d->channel_count++;
    want.server = d->serving;
    want.type = d->kind == ULV_DEVICE_BLOCK ? type_block : type_console;
    want.ring_bytes = d->kind == ULV_DEVICE_BLOCK ? ULV_BLOCK_RING_BYTES
                                                  : ULV_CONSOLE_RING_BYTES;
    want.bulk_bytes = d->kind == ULV_DEVICE_BLOCK ? ULV_BLOCK_BULK_BYTES : 0;
    return make_channel(db, &want, diag);
}

static bool
leave_slot(struct ulv_database *db, struct partition *p, uint32_t slot)
{
    p->channel_count--;
    return p->kind != ULV_PARTITION_GUEST || ulv_db_set_slot(db, p, slot, NULL);
}

static ulv_status
drop_channel(struct ulv_database *db, struct channel *c)
{
    struct ulv_effect *effect = ulv_db_effect(db, ULV_EFFECT_CHANNEL_DESTROY);
    ulv_status status;

    if (effect == NULL || !ulv_db_touched(db, c->server) ||
        !ulv_db_touched(db, c->client) ||
        !ulv_db_discharge(db, c->server, ULV_QUOTA_CHANNELS, 1) ||
        !ulv_db_discharge(db, c->client, ULV_QUOTA_CHANNELS, 1) ||
        ulv_db_labels_drop(db, &c->r) != ULV_OK ||
        !leave_slot(db, c->server, c->server_slot) ||
        !leave_slot(db, c->client, c->client_slot))
        return ULV_E_NO_MEMORY;
    effect->u.removal.id = c->r.id;
    if (c->device != NULL) {
        if (!ulv_db_change(db, &c->device->r))
            return ULV_E_NO_MEMORY;
        c->device->channel_count--;
        c->device->channel = NULL;
    }
    status = ulv_db_give_back(db, c->frame, c->bytes, db->ultravisor->r.id);
    if (status != ULV_OK)
        return status;
    return ulv_db_record_remove(db, &c->r);
}

static ulv_status
drop_device(struct ulv_database *db, struct device *d)
{
    struct ulv_effect *effect = ulv_db_effect(db, ULV_EFFECT_DEVICE_WITHDRAW);

    if (effect == NULL || !ulv_db_touched(db, d->serving) ||
        (d->standby != NULL && !ulv_db_touched(db, d->standby)) ||
        ulv_db_labels_drop(db, &d->r) != ULV_OK)
        return ULV_E_NO_MEMORY;
    effect->u.removal.id = d->r.id;
    d->serving->device_count--;
    if (d->standby != NULL)
        d->standby->device_count--;
    return ulv_db_record_remove(db, &d->r);
}

/* A guest that runs and has the channel mapped, or NULL. */
static const struct partition *
running_end(const struct channel *c)
{
    if (c->client->kind == ULV_PARTITION_GUEST && ulv_db_runs(c->client))
        return c->client;
    if (c->server->kind == ULV_PARTITION_GUEST && ulv_db_runs(c->server))
        return c->server;
    return NULL;
}

/* The channel, and the device behind it that served nobody else. */
static ulv_status
drop_with_device(struct ulv_database *db, struct channel *c)
{
    struct device *d = c->device;
    ulv_status status = drop_channel(db, c);

    if (status == ULV_OK && d != NULL && d->channel_count == 0)
        status = drop_device(db, d);
    return status;
}

/* In the views of both ends, which are touched. */
static void
channel_changes(struct channel *c)
{
    ulv_db_view_changes(&c->server->changed_slot, c->server_slot);
    ulv_db_view_changes(&c->client->changed_slot, c->client_slot);
}

static ulv_status
drain_channel(struct ulv_database *db, struct channel *c)
{
    struct ulv_effect *effect = ulv_db_effect(db, ULV_EFFECT_DRAIN);

    if (effect == NULL || !ulv_db_change(db, &c->r) ||
        !ulv_db_touched(db, c->server) || !ulv_db_touched(db, c->client))
        return ULV_E_NO_MEMORY;
    channel_changes(c);
    c->draining = true;
    effect->u.removal.id = c->r.id;
    return ULV_OK;
}

/* Made with the partitions, by ids of the lease that the boot transaction had
 * and nobody else. */
static bool
is_of_the_boot(const struct channel *c)
{
    return c->r.id / ULV_ID_LEASE_COUNT ==
           c->client->r.id / ULV_ID_LEASE_COUNT;
}

/* At once, or when the ends that run have let go of it. */
ulv_status
ulv_db_revoke_channel(struct ulv_database *db, const struct ulv_op_revoke *op,
                      struct ulv_diag *diag)
{
    struct channel *c =
        (void *)ulv_db_find(db, op->channel, ULV_QUERY_CHANNELS);
    ulv_status status;

    if (c == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->channel, 0, 0,
                        "channel %u does not exist", op->channel);
    if (c->client->kind != ULV_PARTITION_GUEST &&
        c->server->kind != ULV_PARTITION_GUEST &&
        (is_of_the_boot(c) ||
         !is_for_a_program(c->server, c->client, c->type)))
        return ulv_fail(diag, ULV_E_DENIED, op->channel, c->client->r.id, 0,
                        "channel %u is how %s talks to %s: it stays",
                        op->channel, c->client->name, c->server->name);
    if (c->draining)
        return ulv_fail(diag, ULV_E_BUSY, op->channel, 0, 0,
                        "channel %u is being taken away already",
                        op->channel);
    status = running_end(c) == NULL ? drop_with_device(db, c)
                                    : drain_channel(db, c);
    return status == ULV_OK ? ULV_OK : ulv_db_no_memory(diag);
}

/* ---- devices ------------------------------------------------------------- */

static ulv_status
offer_device(struct ulv_database *db, const struct ulv_op_offer *op,
             struct ulv_diag *diag)
{
    struct partition *primary = find_partition(db, op->primary);
    struct partition *standby = find_partition(db, op->standby);
    struct ulv_effect *effect;
    struct device *d;
    struct record *r;
    ulv_status status = ulv_db_check_name(op->name, op->id, diag);

    if (status != ULV_OK)
        return status;
    if (op->kind != ULV_DEVICE_BLOCK && op->kind != ULV_DEVICE_CONSOLE)
        return ulv_fail(diag, ULV_E_ARG, op->id, op->kind, 0,
                        "%s: unknown kind of device %u", op->name,
                        (uint64_t)op->kind);
    if (primary == NULL || primary->kind != ULV_PARTITION_IO ||
        primary->state != ULV_STATE_RUNNING)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->primary, 0, 0,
                        "%s: %u is no I/O partition that runs", op->name,
                        op->primary);
    if (op->standby != 0 &&
        (standby == NULL || standby->kind != ULV_PARTITION_IO ||
         standby == primary))
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->standby, 0, 0,
                        "%s: %u is no I/O partition to stand by", op->name,
                        op->standby);
    if (standby != NULL && standby->state != ULV_STATE_RUNNING)
        standby = NULL;
    status = ulv_db_record_add(db, op->id, ULV_QUERY_DEVICES, sizeof(*d), &r,
                               diag);
    if (status != ULV_OK)
        return status;
    effect = ulv_db_effect(db, ULV_EFFECT_DEVICE_OFFER);
    if (effect == NULL || !ulv_db_touched(db, primary) ||
        (standby != NULL && !ulv_db_touched(db, standby)))
        return ulv_db_no_memory(diag);
    d = (struct device *)(void *)r;
    d->serving = primary;
    d->standby = standby;
    d->medium_bytes = op->bytes;
    d->kind = op->kind;
    d->flags = op->flags;
    memcpy(d->name, op->name, sizeof(d->name));
    primary->device_count++;
    if (standby != NULL)
        standby->device_count++;
    effect->u.device.id = op->id;
    effect->u.device.primary = primary->r.id;
    effect->u.device.standby = standby == NULL ? 0 : standby->r.id;
    effect->u.device.kind = op->kind;
    effect->u.device.flags = op->flags;
    return ULV_OK;
}

static ulv_status
rehome_channel(struct ulv_database *db, struct device *d, struct partition *to)
{
    struct channel *c = d->channel;

    if (c == NULL)
        return ULV_OK;
    if (!ulv_db_change(db, &c->r) || !ulv_db_touched(db, c->client))
        return ULV_E_NO_MEMORY;
    c->server->channel_count--;
    to->channel_count++;
    c->server = to;
    c->epoch++;
    channel_changes(c);
    return ULV_OK;
}

static ulv_status
rehome_device(struct ulv_database *db, const struct ulv_op_rehome *op,
              struct ulv_diag *diag)
{
    struct device *d =
        (void *)ulv_db_find(db, op->device, ULV_QUERY_DEVICES);
    struct partition *to = find_partition(db, op->server);
    struct ulv_effect *effect;

    if (d == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->device, 0, 0,
                        "device %u does not exist", op->device);
    if (to == NULL || d->standby != to || to->state != ULV_STATE_RUNNING)
        return ulv_fail(diag, ULV_E_STATE, op->device, op->server, 0,
                        "%s: %u does not stand by for it", d->name,
                        op->server);
    effect = ulv_db_effect(db, ULV_EFFECT_DEVICE_REHOME);
    if (effect == NULL || !ulv_db_change(db, &d->r) ||
        !ulv_db_touched(db, to) || !ulv_db_touched(db, d->serving))
        return ulv_db_no_memory(diag);
    effect->u.rehome.device = op->device;
    effect->u.rehome.from = d->serving->r.id;
    effect->u.rehome.to = op->server;
    d->serving->device_count--;
    if (rehome_channel(db, d, to) != ULV_OK)
        return ulv_db_no_memory(diag);
    d->serving = to;
    d->standby = NULL;
    return ULV_OK;
}

/* ---- life ---------------------------------------------------------------- */

/* What a run has left in its channels is not what the next one begins with:
 * they are made anew, and are of another epoch. */
static bool
renew_channels(struct ulv_database *db, struct partition *p)
{
    for (uint32_t slot = 0; slot < ULV_SLOT_COUNT; slot++) {
        struct channel *c = p->slot[slot];

        if (c == NULL || c->draining)
            continue;
        if (!ulv_db_change(db, &c->r) || !ulv_db_touched(db, c->client) ||
            !ulv_db_touched(db, c->server))
            return false;
        c->epoch++;
        channel_changes(c);
    }
    return true;
}

static ulv_status
set_intent(struct ulv_database *db, const struct ulv_op_set_intent *op,
           struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct ulv_effect *effect;

    if (p == NULL || p->kind != ULV_PARTITION_GUEST)
        return no_partition(diag, op->partition);
    if (op->intent > ULV_INTENT_PAUSED)
        return ulv_fail(diag, ULV_E_ARG, p->r.id, op->intent,
                        ULV_INTENT_PAUSED, "%s: unknown intent %u", p->name,
                        (uint64_t)op->intent);
    if (op->intent != ULV_INTENT_RUNNING && !ulv_db_runs(p))
        return ulv_fail(diag, ULV_E_STATE, p->r.id, p->state, 0,
                        "%s does not run", p->name);
    if (p->intent == op->intent && ulv_db_runs(p))
        return ulv_fail(diag, ULV_E_STATE, p->r.id, p->state, 0, "%s %s",
                        p->name,
                        op->intent == ULV_INTENT_RUNNING ? "runs already"
                        : op->intent == ULV_INTENT_PAUSED
                            ? "is paused already"
                            : "is being stopped already");
    if (p->intent == ULV_INTENT_STOPPED && ulv_db_runs(p))
        return ulv_fail(diag, ULV_E_STATE, p->r.id, p->state, 0,
                        "%s is being stopped", p->name);
    if (op->intent == ULV_INTENT_RUNNING &&
        (p->extent_count == 0 || p->processor_count == 0))
        return ulv_fail(diag, ULV_E_STATE, p->r.id, p->extent_count, 1,
                        "%s has no %s", p->name,
                        p->extent_count == 0 ? "memory" : "processor");
    effect = ulv_db_effect(db, ULV_EFFECT_INTENT);
    if (effect == NULL || !ulv_db_touched(db, p))
        return ulv_db_no_memory(diag);
    p->intent = op->intent;
    if (op->intent == ULV_INTENT_RUNNING && !ulv_db_runs(p)) {
        if (p->ran && !renew_channels(db, p))
            return ulv_db_no_memory(diag);
        p->window = ulv_db_window(p);
        p->state = ULV_STATE_STARTING;
        p->end_reason = ULV_END_REASON_NONE;
        p->end_code = 0;
    }
    effect->u.intent.partition = p->r.id;
    effect->u.intent.intent = op->intent;
    effect->u.intent.image = op->image;
    return ULV_OK;
}

static ulv_status
set_state(struct ulv_database *db, const struct ulv_op_set_state *op,
          struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);

    if (p == NULL)
        return no_partition(diag, op->partition);
    if (op->state > ULV_STATE_LOST)
        return ulv_fail(diag, ULV_E_ARG, p->r.id, op->state, ULV_STATE_LOST,
                        "%s: unknown state %u", p->name, (uint64_t)op->state);
    if (!ulv_db_touched(db, p))
        return ulv_db_no_memory(diag);
    p->state = op->state;
    p->ran = p->ran || op->state == ULV_STATE_RUNNING;
    p->end_reason = op->reason;
    p->end_code = op->code;
    if (!ulv_db_runs(p))
        p->intent = ULV_INTENT_STOPPED;
    return ULV_OK;
}

static ulv_status
drop_connections(struct ulv_database *db, struct partition *p)
{
    for (uint32_t slot = 0; slot < ULV_SLOT_COUNT; slot++) {
        if (p->slot[slot] != NULL &&
            drop_with_device(db, p->slot[slot]) != ULV_OK)
            return ULV_E_NO_MEMORY;
    }
    return ULV_OK;
}

static ulv_status
destroy_partition(struct ulv_database *db,
                  const struct ulv_op_destroy_partition *op,
                  struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->id);
    struct ulv_effect *effect;

    if (p == NULL || p->kind != ULV_PARTITION_GUEST)
        return no_partition(diag, op->id);
    if (ulv_db_runs(p))
        return ulv_fail(diag, ULV_E_BUSY, p->r.id, p->state, 0,
                        "%s runs: stop it first", p->name);
    for (const struct extent *e = p->extents; e != NULL; e = e->next) {
        if (e->heir != 0)
            return ulv_fail(diag, ULV_E_BUSY, p->r.id, e->heir, 0,
                            "memory of %s is on its way to partition %u",
                            p->name, e->heir);
    }
    for (uint32_t slot = 0; slot < ULV_SLOT_COUNT; slot++) {
        const struct channel *c = p->slot[slot];

        if (c != NULL && running_end(c) != NULL)
            return ulv_fail(diag, ULV_E_BUSY, p->r.id, c->r.id, 0,
                            "%s has a channel with %s, which runs: stop that "
                            "first",
                            p->name, running_end(c)->name);
    }
    if (!ulv_db_touched(db, p) || drop_connections(db, p) != ULV_OK ||
        ulv_db_shares_drop(db, p) != ULV_OK ||
        ulv_db_ranges_drop(db, p) != ULV_OK ||
        ulv_db_hardware_drop(db, p) != ULV_OK || !TOUCH(db, &db->used_gone))
        return ulv_db_no_memory(diag);
    db->used_gone += p->used;
    if (ulv_db_extents_drop(db, p) != ULV_OK)
        return ulv_db_no_memory(diag);
    effect = ulv_db_effect(db, ULV_EFFECT_PARTITION_DESTROY);
    if (effect == NULL || !ulv_index_remove(db, &db->names, &p->by_name) ||
        !ulv_db_leave_zone(db, p) ||
        ulv_db_labels_drop(db, &p->r) != ULV_OK ||
        ulv_db_record_remove(db, &p->r) != ULV_OK)
        return ulv_db_no_memory(diag);
    effect->u.removal.id = op->id;
    return ULV_OK;
}

/* Nobody has the object mapped any more: what was taken away is free. */
static ulv_status
settle(struct ulv_database *db, const struct ulv_op_settle *op,
       struct ulv_diag *diag)
{
    struct extent *e = (void *)ulv_db_find(db, op->object, ULV_QUERY_EXTENTS);
    struct channel *c =
        (void *)ulv_db_find(db, op->object, ULV_QUERY_CHANNELS);

    if (e != NULL)
        return ulv_db_settle_extent(db, e, diag);
    if (c == NULL || !c->draining)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->object, 0, 0,
                        "nothing with the id %u is being taken away",
                        op->object);
    return drop_with_device(db, c) == ULV_OK ? ULV_OK
                                             : ulv_db_no_memory(diag);
}

ulv_status
ulv_db_apply(struct ulv_database *db, const struct ulv_operation *o,
             struct ulv_diag *diag)
{
    switch (o->kind) {
    case ULV_OP_ADD_PROCESSOR:
        return ulv_db_add_processor(db, &o->u.add_processor, diag);
    case ULV_OP_ADD_MEMORY:
        return ulv_db_add_memory(db, &o->u.add_memory, diag);
    case ULV_OP_CREATE_PARTITION:
        return create_partition(db, &o->u.create_partition, diag);
    case ULV_OP_DESTROY_PARTITION:
        return destroy_partition(db, &o->u.destroy_partition, diag);
    case ULV_OP_ASSIGN_MEMORY:
        return ulv_db_assign_memory(db, &o->u.assign_memory, diag);
    case ULV_OP_RELEASE_MEMORY:
        return ulv_db_release_memory(db, &o->u.release_memory, diag);
    case ULV_OP_ASSIGN_PROCESSORS:
        return ulv_db_assign_processors(db, &o->u.assign_processors, diag);
    case ULV_OP_OFFER:
        return offer_device(db, &o->u.offer, diag);
    case ULV_OP_ATTACH:
        return attach_device(db, &o->u.attach, diag);
    case ULV_OP_CONNECT:
        return connect_partitions(db, &o->u.connect, diag);
    case ULV_OP_REHOME:
        return rehome_device(db, &o->u.rehome, diag);
    case ULV_OP_REVOKE:
        return ulv_db_revoke_channel(db, &o->u.revoke, diag);
    case ULV_OP_SET_INTENT:
        return set_intent(db, &o->u.set_intent, diag);
    case ULV_OP_SET_STATE:
        return set_state(db, &o->u.set_state, diag);
    case ULV_OP_MOVE_MEMORY:
        return ulv_db_move_memory(db, &o->u.move_memory, diag);
    case ULV_OP_SETTLE:
        return settle(db, &o->u.settle, diag);
    case ULV_OP_GRANT:
        return ulv_db_grant(db, &o->u.grant, diag);
    case ULV_OP_SET_QUANTA:
        return ulv_db_set_quanta(db, &o->u.set_quanta, diag);
    default:
        return ulv_db_apply_more(db, o, diag);
    }
}
