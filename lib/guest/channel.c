/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A channel as a guest uses it: lib/channel, with doorbells and waiting. */
#include "base/base.h"
#include "guest/guest_priv.h"

bool
guest_channel_open(struct guest_channel *channel, const uint8_t type[16],
                   uint32_t nth)
{
    struct line *line = line_of(channel);
    struct ulv_view_channel found;

    for (uint32_t i = 0; guest_view(ULV_VIEW_CHANNEL, i, &found, sizeof(found));
         i++) {
        if (!ulv_guid_equal(found.type, type) ||
            (found.flags & ULV_VIEW_REVOKED) != 0 || nth-- > 0)
            continue;
        line->slot = found.slot;
        /* one that came while we run may not be there yet: the view says so
         * again when it is */
        if (guest_call(ULV_CALL_ATTACH, found.slot, 0, 0).status != ULV_OK)
            return false;
        return ulv_channel_attach(&line->end,
                                  (void *)(uintptr_t)found.guest_address,
                                  found.bytes, found.end, type) == ULV_OK;
    }
    return false;
}

bool
guest_channel_is_revoked(const struct guest_channel *channel)
{
    const struct line *line = (const struct line *)(const void *)channel;
    struct ulv_view_channel found;

    for (uint32_t i = 0; guest_view(ULV_VIEW_CHANNEL, i, &found, sizeof(found));
         i++) {
        if (found.slot == line->slot)
            return (found.flags & ULV_VIEW_REVOKED) != 0;
    }
    return true;
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
guest_channel_send(struct guest_channel *channel, uint32_t type,
                   const void *data, uint32_t len)
{
    struct ulv_ring_tx *tx = &line_of(channel)->end.tx;
    void *to;
    ulv_status status;

    for (;;) {
        status = ulv_ring_tx_reserve(tx, type, len, &to);
        if (status != ULV_E_FULL)
            break;
        if (!ulv_ring_tx_wait(tx, len))
            guest_wait();
    }
    if (status != ULV_OK)
        return status;
    memcpy(to, data, len);
    guest_channel_submit(channel);
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

void
guest_channel_wait(struct guest_channel *channel)
{
    if (!ulv_ring_rx_wait(&line_of(channel)->end.rx))
        guest_wait();
}

uint8_t *
guest_channel_area(struct guest_channel *channel, uint64_t *ret_bytes)
{
    const struct ulv_channel_end *end = &line_of(channel)->end;

    *ret_bytes = end->bulk_bytes;
    return end->bulk;
}

uint32_t
guest_channel_epoch(struct guest_channel *channel)
{
    return ulv_channel_epoch(&line_of(channel)->end);
}
