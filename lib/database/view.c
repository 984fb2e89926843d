/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the view of a partition says, and how much of it is as it was. */
#include "database/database_priv.h"

#include <ultravisor/abi/channel.h>

const struct partition *
ulv_database_partition(const struct ulv_database *db, ulv_id id)
{
    return find_partition(db, id);
}

ulv_status
ulv_database_view_partition(const struct partition *p,
                            struct ulv_view_partition *ret)
{
    if (p == NULL)
        return ULV_E_NOT_FOUND;
    memset(ret, 0, sizeof(*ret));
    ret->id = p->r.id;
    ret->kind = p->kind;
    ret->intent = p->intent;
    ret->capabilities = p->capabilities;
    ret->silence_limit = p->silence_limit;
    if (p->kind == ULV_PARTITION_GUEST) {
        ret->gate = ULV_GUEST_GATE;
        ret->view = ulv_db_window(p);
    }
    memcpy(ret->name, p->name, sizeof(ret->name));
    return ULV_OK;
}

/* Slots that are taken below one. */
static uint32_t
taken_below(const struct partition *p, uint32_t slot)
{
    const uint64_t below =
        slot < 64 ? (UINT64_C(1) << slot) - 1 : UINT64_MAX;

    return ulv_db_count(p->slots & below);
}

void
ulv_database_view_same(const struct partition *p, uint64_t revision,
                       struct ulv_database_same *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (!ULV_VIEW_UPDATES || p == NULL || revision == 0 ||
        p->kind != ULV_PARTITION_GUEST || revision < p->touched_before)
        return;
    if (revision >= p->touched) {
        memset(ret, 0xff, sizeof(*ret));
        return;
    }
    ret->memory = p->changed_extent;
    if (p->changed_extent != UINT32_MAX)
        ret->memory = ULV_MIN(p->changed_extent, p->extent_count);
    ret->processors = p->changed_share;
    if (ulv_db_window(p) == p->window_before)
        ret->channels = p->changed_slot == UINT32_MAX
                            ? UINT32_MAX
                            : taken_below(p, p->changed_slot);
}

/* From the end: what changes most is what came last. */
static const struct extent *
extent_number(const struct partition *p, uint32_t number)
{
    const struct extent *e = NULL;

    if (number < p->extent_count)
        e = ULV_CONTAINER_OF(p->extents_end, struct extent, next);
    for (uint32_t at = p->extent_count; e != NULL && at > number + 1; at--)
        e = e->before;
    return e;
}

uint32_t
ulv_database_view_memory(const struct ulv_database *db,
                         const struct partition *p, uint32_t from,
                         struct ulv_view_memory *buf, uint32_t room)
{
    if (p == NULL)
        return 0;
    for (const struct extent *e = extent_number(p, from);
         e != NULL && from < room; e = e->next, from++) {
        memset(&buf[from], 0, sizeof(buf[from]));
        buf[from].guest_address = e->guest_address;
        buf[from].frame = e->frame;
        buf[from].bytes = e->bytes;
        buf[from].extent = e->r.id;
        buf[from].node = e->node;
        buf[from].flags = e->draining ? ULV_VIEW_REVOKED : 0;
        if (ulv_db_is_retired(db, e->frame, e->bytes))
            buf[from].flags |= ULV_VIEW_RETIRED;
    }
    return p->extent_count;
}

uint32_t
ulv_database_view_processors(const struct partition *p,
                             struct ulv_view_processor *buf, uint32_t room)
{
    uint32_t count = 0;

    if (p == NULL)
        return 0;
    for (struct share *share = p->shares; share != NULL;
         share = share->next) {
        if (count < room) {
            buf[count].id = share->processor->r.id;
            buf[count].vcpu_idx = share->vcpu_idx;
            buf[count].mode = share->mode;
            buf[count].quanta = share->quanta;
            if (share->mode == ULV_PROCESSOR_DEDICATED)
                buf[count].quanta = UINT64_MAX;
            else if (share->quanta == 0)
                buf[count].quanta = ~share->processor->taken;
        }
        count++;
    }
    return count;
}

static void
view_channel(const struct channel *c, const struct partition *p,
             uint64_t window, struct ulv_view_channel *out)
{
    bool server = c->server == p;

    memset(out, 0, sizeof(*out));
    out->id = c->r.id;
    out->device = c->device == NULL ? 0 : c->device->r.id;
    memcpy(out->type, c->type, 16);
    memcpy(out->instance, c->instance, 16);
    out->bytes = c->bytes;
    out->epoch = c->epoch;
    out->flags = c->draining ? ULV_VIEW_REVOKED : 0;
    out->end = server ? ULV_END_SERVER : ULV_END_CLIENT;
    out->slot = server ? c->server_slot : c->client_slot;
    if (p->kind == ULV_PARTITION_GUEST)
        out->guest_address = window + (out->slot + 1) * ULV_GUEST_SLOT_BYTES;
}

/* Those of a guest, by their slots; returns how many. */
static uint32_t
view_slots(const struct partition *p, uint32_t from,
           struct ulv_view_channel *buf, uint32_t room)
{
    const uint64_t window = ulv_db_window(p);
    const uint32_t all = ulv_db_count(p->slots);
    uint64_t left = p->slots;

    if (from >= all)
        return all;
    for (uint32_t i = 0; i < from; i++)
        left &= left - 1;
    for (uint32_t i = from; left != 0 && i < room; left &= left - 1, i++)
        view_channel(p->slot[__builtin_ctzll(left)], p, window, &buf[i]);
    return all;
}

uint32_t
ulv_database_view_channels(const struct ulv_database *db,
                           const struct partition *p, uint32_t from,
                           struct ulv_view_channel *buf, uint32_t room)
{
    uint32_t count = 0;

    if (p != NULL && p->kind == ULV_PARTITION_GUEST)
        return view_slots(p, from, buf, room);
    for (struct record *r = db->first[ULV_QUERY_CHANNELS];
         p != NULL && r != NULL; r = r->after) {
        const struct channel *c = (const void *)r;

        if (c->server != p && c->client != p)
            continue;
        if (count >= from && count < room)
            view_channel(c, p, 0, &buf[count]);
        count++;
    }
    return count;
}

uint32_t
ulv_database_view_devices(const struct ulv_database *db,
                          const struct partition *p,
                          struct ulv_view_device *buf, uint32_t room)
{
    uint32_t count = 0;

    for (struct record *r = db->first[ULV_QUERY_DEVICES];
         p != NULL && p->device_count != 0 && r != NULL; r = r->after) {
        const struct device *d = (const void *)r;

        if (d->serving != p && d->standby != p)
            continue;
        if (count < room) {
            buf[count].id = r->id;
            buf[count].role = d->serving == p ? ULV_ROLE_SERVING
                                              : ULV_ROLE_STANDBY;
            buf[count].flags = d->flags;
            buf[count].bytes = d->medium_bytes;
        }
        count++;
    }
    return count;
}
