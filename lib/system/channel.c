/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The caller's own ends of channels. */
#include "base/base.h"
#include "channel/ring_fast.h"
#include "system/system_priv.h"

static void
tell_set(ulv_channel *channel)
{
    if (ULV_CHANNEL_SETS && channel->news != NULL)
        channel->news(channel, false);
}

/* News that the caller has not seen. */
static void
rang(struct bell *bell)
{
    ulv_channel *channel = ULV_CONTAINER_OF(bell, struct ulv_channel, bell);

    (void)ulv_wire_take(&channel->wire);
    channel->system->rang = true;
    tell_set(channel);
}

static void
drop_wire(ulv_channel *channel)
{
    ulv_rung_remove(&channel->system->keeper.rung, &channel->bell);
    ulv_wire_fini(&channel->wire);
}

ulv_status
ulv_channel_open(ulv_system *system, ulv_id id, ulv_channel **ret_channel,
                 struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    struct keeper_channel *c = ulv_keeper_channel(&system->keeper, id);
    ulv_id self = system->keeper.boot;
    ulv_channel *channel;
    uint32_t end;
    ulv_status status;

    if (c == NULL || (c->server != self && c->client != self) ||
        id == system->wire.channel)
        return ulv_fail(diag, ULV_E_NOT_FOUND, id, 0, 0,
                        "channel %u has no end here", id);
    if (c->open)
        return ulv_fail(diag, ULV_E_BUSY, id, 0, 0, "channel %u is open", id);
    end = c->server == self ? ULV_END_SERVER : ULV_END_CLIENT;
    channel = host->alloc(host->self, sizeof(*channel), 8);
    if (channel == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, id, 0, 0, "out of memory");
    channel->system = system;
    status = ulv_keeper_open_end(&system->keeper, c, end, &channel->wire);
    if (status == ULV_OK)
        status = ulv_rung_add(&system->keeper.rung, &channel->bell,
                              channel->wire.own_bell, rang);
    if (status == ULV_OK)
        status = ulv_channel_attach(&channel->end, channel->wire.p,
                                    channel->wire.bytes, end, c->type);
    if (status != ULV_OK) {
        drop_wire(channel);
        host->free(host->self, channel, sizeof(*channel));
        return ulv_fail(diag, status, id, 0, 0,
                        "channel %u cannot be attached: %s", id,
                        ulv_status_text(status));
    }
    c->open = true;
    /* a predecessor may have been closed before it rang */
    ulv_wire_ring(&channel->wire);
    channel->next = system->channels;
    system->channels = channel;
    *ret_channel = channel;
    return ULV_OK;
}

void
ulv_system_channel_gone(void *self, ulv_id id)
{
    ulv_system *system = self;

    if (ULV_CHANNEL_SETS)
        system->keeper.ends++;
    if (system->visitor_gone != NULL)
        system->visitor_gone(system, id);
    for (ulv_channel *c = system->channels; c != NULL; c = c->next) {
        if (c->wire.host == NULL || c->wire.channel != id)
            continue;
        memset(&c->end, 0, sizeof(c->end));
        drop_wire(c);
    }
}

bool
ulv_system_channel_is_gone(const ulv_channel *channel)
{
    return channel->wire.host == NULL;
}

void
ulv_system_channel_ring(ulv_channel *channel, bool ring)
{
    if (ring) {
        channel->count.doorbells_rung++;
        ulv_wire_ring(&channel->wire);
    } else {
        channel->count.doorbells_spared++;
    }
}

void
ulv_channel_close(ulv_channel *channel)
{
    ulv_system *system;
    struct keeper_channel *c;
    ulv_channel **at;

    if (channel == NULL)
        return;
    system = channel->system;
    if (ULV_CHANNEL_SETS && channel->news != NULL)
        channel->news(channel, true);
    c = ulv_keeper_channel(&system->keeper, channel->wire.channel);
    if (c != NULL)
        c->open = false;
    at = &system->channels;
    while (*at != channel)
        at = &(*at)->next;
    *at = channel->next;
    ulv_channel_detach(&channel->end);
    drop_wire(channel);
    system->host->free(system->host->self, channel, sizeof(*channel));
}

uint32_t
ulv_channel_peer(const ulv_channel *channel)
{
    return ulv_system_channel_is_gone(channel)
               ? ULV_END_REVOKED
               : ulv_channel_peer_state(&channel->end);
}

/* ---- sending ------------------------------------------------------------- */

ulv_status
ulv_channel_reserve(ulv_channel *channel, uint32_t type, size_t len,
                    void **ret_slot)
{
    struct ulv_ring_tx *tx = &channel->end.tx;
    ulv_status status;

    if (ulv_system_channel_is_gone(channel))
        return ULV_E_PEER_GONE;
    if (len > UINT32_MAX)
        return ULV_E_LIMIT;
    status = ulv_ring_tx_reserve_fast(tx, type, (uint32_t)len, ret_slot);
    if (status == ULV_E_FULL) {
        /* the peer has to see it all, or it never makes room */
        ulv_channel_submit(channel);
        if (ulv_ring_tx_wait(tx, (uint32_t)len))
            status = ulv_ring_tx_reserve(tx, type, (uint32_t)len, ret_slot);
    }
    if (status != ULV_OK)
        return status;
    channel->count.records_sent++;
    channel->count.bytes_sent += len;
    return ULV_OK;
}

void
ulv_channel_submit(ulv_channel *channel)
{
    struct ulv_ring_tx *tx = &channel->end.tx;

    if (tx->reserved != tx->looked) /* zeroes, if it is gone */
        ulv_system_channel_ring(channel, ulv_ring_tx_submit(tx));
}

void
ulv_channel_publish(ulv_channel *channel)
{
    if (ulv_system_channel_is_gone(channel))
        return;
    tell_set(channel);
    if (ulv_ring_tx_publish(&channel->end.tx))
        ulv_system_channel_ring(channel, true);
}

ulv_status
ulv_channel_send(ulv_channel *channel, uint32_t type, const void *data,
                 size_t len)
{
    void *slot;
    ulv_status status = ulv_channel_reserve(channel, type, len, &slot);

    if (status != ULV_OK)
        return status;
    if (len != 0)
        ulv_ring_copy(slot, data, len);
    ulv_channel_submit(channel);
    return ULV_OK;
}

/* ---- receiving ----------------------------------------------------------- */

ulv_status
ulv_channel_look(ulv_channel *channel, uint32_t *ret_type,
                 struct ulv_bytes *ret_data)
{
    struct ulv_ring_record record;
    ulv_status status;

    if (ulv_system_channel_is_gone(channel))
        return ULV_E_PEER_GONE;
    status = ulv_ring_rx_peek_fast(&channel->end.rx, &record);
    if (status != ULV_OK)
        return status;
    *ret_type = record.type;
    ret_data->p = record.data;
    ret_data->len = record.len;
    return ULV_OK;
}

ulv_status
ulv_channel_peek(ulv_channel *channel, uint32_t *ret_type,
                 struct ulv_bytes *ret_data)
{
    ulv_status status = ulv_channel_look(channel, ret_type, ret_data);
    struct ulv_ring_rx *rx = &channel->end.rx;

    if (status != ULV_E_EMPTY)
        return status;
    ulv_channel_release(channel); /* what was passed, before anybody sleeps */
    return ulv_ring_rx_wait(rx) ? ulv_channel_look(channel, ret_type, ret_data)
                                : ULV_E_EMPTY;
}

static void
count_received(ulv_channel *channel)
{
    if (channel->end.rx.peeked == 0)
        return;
    channel->count.records_received++;
    channel->count.bytes_received += channel->end.rx.peeked_len;
}

void
ulv_channel_release(ulv_channel *channel)
{
    struct ulv_ring_rx *rx = &channel->end.rx;

    count_received(channel);
    if (rx->cursor + rx->peeked != rx->looked) /* zeroes, if it is gone */
        ulv_system_channel_ring(channel, ulv_ring_rx_release(rx));
}

void
ulv_channel_pass(ulv_channel *channel)
{
    if (ulv_system_channel_is_gone(channel))
        return;
    tell_set(channel);
    count_received(channel);
    if (ulv_ring_rx_pass(&channel->end.rx))
        ulv_system_channel_ring(channel, true);
}

ulv_status
ulv_channel_counters(const ulv_channel *channel,
                     struct ulv_channel_counters *ret)
{
    if (ret->size != sizeof(*ret))
        return ULV_E_ARG;
    *ret = channel->count;
    ret->size = sizeof(*ret);
    return ULV_OK;
}
