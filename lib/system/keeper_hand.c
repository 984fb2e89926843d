/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the keeper hands to whom. The frame table is asked before each piece of
 * memory leaves; nothing else decides.
 */
#include "base/base.h"
#include "monitor/trace.h"
#include "system/keeper.h"

static void
refuse(struct keeper *k, ulv_id object, ulv_id partition)
{
    ulv_keeper_tell(k, ULV_EVENT_FAULT, partition, object,
                    "memory %u is not to be handed to partition %u: the frame "
                    "table does not list it",
                    object, partition);
}

static void
hand_with(struct keeper *k, struct keeper_partition *p, const struct say *say,
          const void *tail, const ulv_handle *handles, uint32_t count)
{
    ulv_status status = ulv_post_send(&p->post, say, tail, handles, count);
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (status == ULV_OK)
        return;
    /* half equipped is worse than dead */
    if (p->kind == ULV_PARTITION_GUEST && p->state == ULV_STATE_STARTING) {
        diag.status = ulv_fail(&diag, status, p->id, say->kind, 0,
                               "%s: its monitor could not be handed what it "
                               "needs: %s",
                               p->name, ulv_status_text(status));
        ulv_keeper_not_started(k, p, &diag);
    } else {
        ulv_keeper_role_kill(k, p);
    }
}

static void
hand(struct keeper *k, struct keeper_partition *p, const struct say *say,
     const ulv_handle *handles, uint32_t count)
{
    hand_with(k, p, say, NULL, handles, count);
}

void
ulv_keeper_hand_next_view(struct keeper *k, struct keeper_partition *p)
{
    struct say say = { .kind = SAY_VIEW };

    for (uint32_t part = 0; part < 2 && p->alive; part++) {
        if (p->view[part].segment == ULV_NO_HANDLE)
            continue;
        say.u.view.partition = p->id;
        say.u.view.part = part;
        say.u.view.bytes = p->view[part].bytes;
        hand(k, p, &say, &p->view[part].segment, 1);
    }
}

void
ulv_keeper_hand_view(struct keeper *k, struct keeper_partition *p)
{
    struct say say = { .kind = SAY_BELL };

    ulv_keeper_hand_next_view(k, p);
    if (p->alive)
        hand(k, p, &say, &p->bell, 1);
}

static void
hand_end(struct keeper *k, struct keeper_channel *c, ulv_id to, uint32_t end)
{
    struct keeper_partition *p = ulv_keeper_partition(k, to);
    ulv_handle handles[3] = { c->memory, c->bell[end], c->bell[1 - end] };
    struct say say = { .kind = SAY_CHANNEL };

    if (p == NULL || !p->alive)
        return;
    if (!ulv_frame_table_may_map(&k->frames, c->frame, c->bytes, to)) {
        refuse(k, c->id, to);
        return;
    }
    say.u.channel.channel = c->id;
    say.u.channel.device = c->device;
    say.u.channel.bytes = c->bytes;
    say.u.channel.ring_bytes = c->ring_bytes;
    say.u.channel.bulk_bytes = c->bulk_bytes;
    say.u.channel.end = end;
    say.u.channel.epoch = c->epoch;
    memcpy(say.u.channel.type, c->type, 16);
    memcpy(say.u.channel.instance, c->instance, 16);
    hand(k, p, &say, handles, 3);
}

/* Its header says something new. */
void
ulv_keeper_ring(const struct keeper *k, const struct keeper_channel *c)
{
    for (uint32_t end = 0; c != NULL && end < 2; end++)
        k->host->event_signal(k->host->self, c->bell[end]);
}

/* To both ends, and to the standby of the serving one; the end of a guest that
 * does not run waits for its start. */
void
ulv_keeper_hand_channel(struct keeper *k, struct keeper_channel *c)
{
    const struct keeper_device *d = ulv_keeper_device(k, c->device);

    hand_end(k, c, c->server, ULV_END_SERVER);
    if (d != NULL && d->standby != 0 && d->standby != c->server)
        hand_end(k, c, d->standby, ULV_END_SERVER);
    hand_end(k, c, c->client, ULV_END_CLIENT);
}

static void
hand_renewed_to(struct keeper *k, struct keeper_channel *c,
                const struct keeper_device *d, ulv_id to)
{
    struct keeper_partition *p = ulv_keeper_partition(k, to);
    struct say say = { .kind = SAY_RENEW };

    if (p == NULL || !p->alive || p->kind != ULV_PARTITION_IO)
        return;
    say.u.device.device = d->id;
    hand(k, p, &say, &d->takeover, 1);
    hand_end(k, c, to, ULV_END_SERVER);
}

void
ulv_keeper_hand_renewed(struct keeper *k, struct keeper_channel *c)
{
    const struct keeper_device *d = ulv_keeper_device(k, c->device);

    if (d == NULL)
        return;
    hand_renewed_to(k, c, d, c->server);
    if (d->standby != 0 && d->standby != c->server)
        hand_renewed_to(k, c, d, d->standby);
}

static void
close_handle(const struct keeper *k, ulv_handle *h)
{
    if (*h != ULV_NO_HANDLE)
        k->host->handle_close(k->host->self, *h);
    *h = ULV_NO_HANDLE;
}

static void
hand_device_to(struct keeper *k, struct keeper_device *d, ulv_id to,
               uint32_t side)
{
    struct keeper_partition *p = ulv_keeper_partition(k, to);
    ulv_handle handles[3] = { d->takeover, d->lock[side], d->medium[side] };
    struct say say = { .kind = SAY_DEVICE };

    if (p == NULL || !p->alive)
        return;
    say.u.device.device = d->id;
    say.u.device.bytes = d->bytes;
    say.u.device.kind = d->kind;
    say.u.device.flags = d->flags;
    hand(k, p, &say, handles, d->medium[side] == ULV_NO_HANDLE ? 2 : 3);
}

void
ulv_keeper_hand_device(struct keeper *k, struct keeper_device *d)
{
    hand_device_to(k, d, d->serving, 0);
    if (d->standby != 0)
        hand_device_to(k, d, d->standby, 1);
    /* A fence is free when the last copy of an opening is closed: ours would
     * outlive the server. */
    for (uint32_t i = 0; i < 2; i++) {
        close_handle(k, &d->lock[i]);
        close_handle(k, &d->medium[i]);
    }
}

void
ulv_keeper_hand_extent(struct keeper *k, struct keeper_extent *e)
{
    struct keeper_partition *p = ulv_keeper_partition(k, e->partition);
    struct say say = { .kind = SAY_EXTENT };

    if (p == NULL || !p->alive || e->draining)
        return;
    if (!ulv_frame_table_may_map(&k->frames, e->frame, e->bytes, p->id)) {
        refuse(k, e->id, p->id);
        return;
    }
    say.u.extent.extent = e->id;
    say.u.extent.bytes = e->bytes;
    say.u.extent.guest_address = e->guest_address;
    hand(k, p, &say, &e->memory, 1);
}

/* A new one for each run. On a bare machine memory is what is divided: none.
 * A guest without one runs all the same. */
static void
hand_trace(struct keeper *k, struct keeper_partition *p)
{
    const struct ulv_host *host = k->host;
    struct say say = { .kind = SAY_TRACE };

    close_handle(k, &p->trace);
    if (host->memory_at != NULL ||
        host->memory_create(host->self, "ulv-trace", ULV_TRACE_BYTES, 0,
                            &p->trace) != ULV_OK)
        return;
    (void)host->memory_seal(host->self, p->trace,
                            ULV_SEAL_SIZE | ULV_SEAL_SEALS);
    hand(k, p, &say, &p->trace, 1);
}

void
ulv_keeper_hand_guest(struct keeper *k, struct keeper_partition *p)
{
    const struct keeper_source *image = ulv_keeper_source(k, p->image);
    struct keeper_extent *e = NULL;
    struct keeper_channel *c = NULL;
    struct say say = { .kind = SAY_START };

    ulv_keeper_hand_view(k, p);
    if (p->alive)
        hand_trace(k, p);
    while (p->alive && (e = ulv_keeper_extent_of(k, p->id, e)) != NULL)
        ulv_keeper_hand_extent(k, e);
    while (p->alive && (c = ulv_keeper_channel_of(k, p->id, c)) != NULL) {
        if (!c->draining)
            hand_end(k, c, p->id,
                     c->client == p->id ? ULV_END_CLIENT : ULV_END_SERVER);
    }
    if (!p->alive)
        return;
    if (k->hand_debug != NULL)
        k->hand_debug(p);
    if (image->restore)
        say.kind = SAY_RESTORE;
    say.u.start.bytes = image->bytes;
    if (!ULV_STOCK_KERNELS) {
        hand(k, p, &say, image->medium, 1);
        return;
    }
    say.u.start.initrd_bytes = image->initrd_bytes;
    say.tail_bytes = image->cmdline_bytes;
    hand_with(k, p, &say, image->cmdline, image->medium,
              image->initrd_bytes != 0 ? 2 : 1);
}

ulv_status
ulv_keeper_open_end(struct keeper *k, const struct keeper_channel *c,
                    uint32_t end, struct wire *wire)
{
    const struct ulv_host *host = k->host;
    const ulv_handle from[3] = { c->memory, c->bell[end], c->bell[1 - end] };
    struct heard heard = { .handle_count = 0 };
    ulv_status status = ULV_OK;

    heard.say.u.channel.channel = c->id;
    heard.say.u.channel.bytes = c->bytes;
    heard.say.u.channel.end = end;
    while (heard.handle_count < 3 && status == ULV_OK) {
        status = host->handle_duplicate(host->self, from[heard.handle_count],
                                        &heard.handle[heard.handle_count]);
        if (status == ULV_OK)
            heard.handle_count++;
    }
    if (status == ULV_OK)
        status = ulv_wire_init(wire, host, k->waits, &heard);
    for (uint32_t i = 0; i < heard.handle_count; i++)
        host->handle_close(host->self, heard.handle[i]);
    return status;
}
