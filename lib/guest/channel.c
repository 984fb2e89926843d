/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A channel as a guest uses it: lib/channel, with doorbells and waiting. */
#include "base/base.h"
#include "guest/guest_priv.h"

bool
guest_channel_find(const uint8_t *type, uint32_t nth,
                   struct ulv_view_channel *ret)
{
    for (uint32_t i = 0; guest_view(ULV_VIEW_CHANNEL, i, ret, sizeof(*ret));
         i++) {
        if ((type == NULL || ulv_guid_equal(ret->type, type)) &&
            (ret->flags & ULV_VIEW_REVOKED) == 0 && nth-- == 0)
            return true;
    }
    return false;
}

int32_t
guest_channel_attach(struct guest_channel *channel,
                     const struct ulv_view_channel *found)
{
    return guest_channel_attach_able(channel, found, 0);
}

int32_t
guest_channel_attach_able(struct guest_channel *channel,
                          const struct ulv_view_channel *found,
                          uint32_t features)
{
    struct line *line = line_of(channel);
    int64_t status;

    line->slot = found->slot;
    /* one that came while we run may not be there yet: the view says so
     * again when it is */
    status = guest_call(ULV_CALL_ATTACH, found->slot, 0, 0).status;
    if (status == ULV_OK)
        status = ulv_channel_attach_able(
            &line->end, (void *)(uintptr_t)found->guest_address, found->bytes,
            found->end, found->type, features);
    if (status == ULV_OK &&
        !ulv_guid_equal(line->end.header->instance, found->instance)) {
        ulv_channel_give_up(&line->end); /* the view says the truth */
        status = ULV_E_PEER_PROTOCOL;
    }
    if (status == ULV_OK)
        guest_signal(line->slot); /* a predecessor may have died before it */
    return (int32_t)status;
}

bool
guest_channel_open(struct guest_channel *channel, const uint8_t type[16],
                   uint32_t nth)
{
    struct ulv_view_channel found;

    return guest_channel_find(type, nth, &found) &&
           guest_channel_attach(channel, &found) == ULV_OK;
}

bool
guest_channel_open_named(struct guest_channel *channel, const char *type,
                         uint64_t time)
{
    uint8_t name[16] = { 0 };

    for (size_t i = 0; i < sizeof(name) && type[i] != '\0'; i++)
        name[i] = (uint8_t)type[i];
    while (!guest_channel_open(channel, name, 0)) {
        if (guest_time() >= time)
            return false;
        (void)guest_wait_until(time);
    }
    return true;
}

/* What the view says of a channel that was attached. */
static bool
find_again(const struct guest_channel *channel, struct ulv_view_channel *ret)
{
    for (uint32_t i = 0; guest_view(ULV_VIEW_CHANNEL, i, ret, sizeof(*ret));
         i++) {
        if (ret->slot == line_seen(channel)->slot)
            return true;
    }
    return false;
}

bool
guest_channel_is_revoked(const struct guest_channel *channel)
{
    struct ulv_view_channel found;

    return !find_again(channel, &found) ||
           (found.flags & ULV_VIEW_REVOKED) != 0;
}

bool
guest_channel_reopen(struct guest_channel *channel)
{
    struct ulv_view_channel found;

    if (!find_again(channel, &found) || (found.flags & ULV_VIEW_REVOKED) != 0)
        return false;
    guest_channel_close(channel);
    return guest_channel_attach(channel, &found) == ULV_OK;
}

uint32_t
guest_channel_peer(const struct guest_channel *channel)
{
    return ulv_channel_peer_state(&line_seen(channel)->end);
}

bool
guest_channel_wait_peer(struct guest_channel *channel, uint64_t time)
{
    /* attaching rings nobody; so look now and then */
    const uint64_t pause = 1000000;

    uint32_t peer;

    while ((peer = guest_channel_peer(channel)) != ULV_END_ATTACHED) {
        uint64_t now = guest_time();

        if (now >= time || peer == ULV_END_REVOKED)
            return false;
        (void)guest_wait_until(ULV_MIN(now + pause, time));
    }
    return true;
}

void
guest_channel_fail(struct guest_channel *channel, int32_t status)
{
    struct line *line = line_of(channel);

    ulv_channel_give_up(&line->end);
    guest_signal(line->slot); /* who sleeps is to see it */
    (void)guest_call(ULV_CALL_FAILED, line->slot, (uint64_t)(int64_t)status,
                     0);
}

uint32_t
guest_channel_slot(const struct guest_channel *channel)
{
    return line_seen(channel)->slot;
}

void
guest_channel_close(struct guest_channel *channel)
{
    struct line *line = line_of(channel);

    ulv_channel_detach(&line->end);
    (void)guest_call(ULV_CALL_DETACH, line->slot, 0, 0);
}

int32_t
guest_channel_reserve(struct guest_channel *channel, uint32_t type,
                      uint32_t len, void **ret_data)
{
    return ulv_ring_tx_reserve(&line_of(channel)->end.tx, type, len, ret_data);
}

int32_t
guest_channel_send_now(struct guest_channel *channel, uint32_t type,
                       const void *data, uint32_t len)
{
    void *to;
    ulv_status status =
        ulv_ring_tx_reserve(&line_of(channel)->end.tx, type, len, &to);

    if (status != ULV_OK)
        return status;
    if (len > 0)
        memcpy(to, data, len);
    guest_channel_submit(channel);
    return ULV_OK;
}

int32_t
guest_channel_send(struct guest_channel *channel, uint32_t type,
                   const void *data, uint32_t len)
{
    for (;;) {
        int32_t status = guest_channel_send_now(channel, type, data, len);

        if (status != ULV_E_FULL)
            return status;
        if (!ulv_ring_tx_wait(&line_of(channel)->end.tx, len))
            guest_wait();
    }
}

int32_t
guest_channel_receive(struct guest_channel *channel, uint32_t *ret_type,
                      void *buf, uint32_t size, uint32_t *ret_len,
                      uint64_t time)
{
    struct guest_record record;
    int32_t status;

    for (;;) {
        status = guest_channel_peek(channel, &record);
        if (status != ULV_E_EMPTY)
            break;
        if (ulv_ring_rx_wait(&line_of(channel)->end.rx))
            continue;
        if (guest_time() >= time)
            return ULV_E_TIMEOUT;
        (void)guest_wait_until(time);
    }
    if (status != ULV_OK)
        return status;
    *ret_len = record.len;
    if (record.len > size)
        return ULV_E_LIMIT;
    *ret_type = record.type;
    memcpy(buf, record.data, record.len);
    guest_channel_release(channel);
    return ULV_OK;
}

void
guest_channel_submit(struct guest_channel *channel)
{
    struct line *line = line_of(channel);

    if (ulv_ring_tx_submit(&line->end.tx))
        guest_signal(line->slot);
}

int32_t
guest_channel_peek(struct guest_channel *channel, struct guest_record *ret)
{
    struct ulv_ring_record record;
    ulv_status status = ulv_ring_rx_peek(&line_of(channel)->end.rx, &record);

    if (status != ULV_OK)
        return status;
    *ret = (struct guest_record){ .type = record.type,
                                  .len = record.len,
                                  .data = record.data };
    return ULV_OK;
}

void
guest_channel_release(struct guest_channel *channel)
{
    struct line *line = line_of(channel);

    if (ulv_ring_rx_release(&line->end.rx))
        guest_signal(line->slot);
}

bool
guest_channel_ask(struct guest_channel *channel)
{
    return ulv_ring_rx_wait(&line_of(channel)->end.rx);
}

void
guest_channel_wait(struct guest_channel *channel)
{
    if (!guest_channel_ask(channel))
        guest_wait();
}

uint8_t *
guest_channel_area(struct guest_channel *channel, uint64_t *ret_bytes)
{
    const struct ulv_channel_end *end = &line_of(channel)->end;

    *ret_bytes = end->bulk_bytes;
    return end->bulk;
}

void *
guest_channel_section(struct guest_channel *channel, bool own,
                      uint64_t *ret_bytes)
{
    return ulv_channel_end_section(&line_of(channel)->end, own, ret_bytes);
}

uint32_t
guest_channel_epoch(struct guest_channel *channel)
{
    return ulv_channel_epoch(&line_of(channel)->end);
}
