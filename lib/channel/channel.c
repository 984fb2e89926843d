/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "channel/channel.h"

#include "base/libc.h"

#define PAGE UINT64_C(4096)

static bool
ring_size_can_be(uint64_t bytes)
{
    return bytes >= ULV_RING_BYTES_MIN && bytes <= ULV_RING_BYTES_MAX &&
           (bytes & (bytes - 1)) == 0;
}

/* Header page, page of ring controls, ring 0, ring 1, bulk. */
uint64_t
ulv_channel_bytes(uint64_t ring_bytes, uint64_t bulk_bytes)
{
    if (!ring_size_can_be(ring_bytes) || bulk_bytes % PAGE != 0 ||
        bulk_bytes > UINT64_C(1) << 40)
        return 0;
    return 2 * PAGE + 2 * ring_bytes + bulk_bytes;
}

ulv_status
ulv_channel_format(void *p, const struct ulv_channel_layout *layout)
{
    struct ulv_channel_header *h = p;
    uint64_t bytes = ulv_channel_bytes(layout->ring_bytes, layout->bulk_bytes);

    if (bytes == 0)
        return ULV_E_ARG;
    memset(h, 0, sizeof(*h));
    h->version = ULV_CHANNEL_VERSION;
    h->header_bytes = sizeof(*h);
    h->bytes = bytes;
    h->id = layout->id;
    memcpy(h->type, layout->type, 16);
    memcpy(h->instance, layout->instance, 16);
    h->epoch = 1;
    for (uint32_t i = 0; i < 2; i++) {
        h->ring[i].control_offset =
            PAGE + i * sizeof(struct ulv_ring_control);
        h->ring[i].data_offset = 2 * PAGE + i * layout->ring_bytes;
        h->ring[i].data_bytes = layout->ring_bytes;
    }
    if (layout->bulk_bytes != 0) {
        h->bulk_offset = 2 * PAGE + 2 * layout->ring_bytes;
        h->bulk_bytes = layout->bulk_bytes;
    }
    /* Last: whoever sees the magic sees the rest. */
    __atomic_store_n(&h->magic, ULV_CHANNEL_MAGIC, __ATOMIC_RELEASE);
    return ULV_OK;
}

void
ulv_channel_set_epoch(struct ulv_channel_header *header, uint32_t epoch)
{
    __atomic_store_n(&header->epoch, epoch, __ATOMIC_RELEASE);
}

bool
ulv_end_may_become(uint32_t from, uint32_t to)
{
    switch (to) {
    case ULV_END_ATTACHING:
        /* ATTACHING, ATTACHED: a successor of an end that died */
        return from == ULV_END_DETACHED || from == ULV_END_ATTACHING ||
               from == ULV_END_ATTACHED;
    case ULV_END_ATTACHED:
        return from == ULV_END_ATTACHING;
    case ULV_END_DETACHED:
        return from == ULV_END_ATTACHING || from == ULV_END_ATTACHED;
    case ULV_END_DISABLED:
        return from <= ULV_END_ATTACHED;
    case ULV_END_FAILED:
    case ULV_END_REVOKED:
        return from != ULV_END_REVOKED;
    default:
        return false;
    }
}

static bool
end_becomes(struct ulv_channel_header *header, uint32_t end, uint32_t to)
{
    uint32_t *state = &header->end[end].state;
    uint32_t from = __atomic_load_n(state, __ATOMIC_ACQUIRE);

    /* Once: if somebody else writes it meanwhile, it is revoked, or our peer
     * writes what is ours and would keep us here. */
    return ulv_end_may_become(from, to) &&
           __atomic_compare_exchange_n(state, &from, to, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool
become(struct ulv_channel_end *ch, uint32_t to)
{
    return end_becomes(ch->header, ch->end, to);
}

void
ulv_channel_end_died(struct ulv_channel_header *header, uint32_t end)
{
    (void)end_becomes(header, end, ULV_END_DETACHED);
}

/* A revoked end was allowed to become that from whatever else stood there, so
 * no end that writes on can hinder it. */
void
ulv_channel_revoke(struct ulv_channel_header *header)
{
    for (uint32_t end = 0; end < 2; end++)
        __atomic_store_n(&header->end[end].state, ULV_END_REVOKED,
                         __ATOMIC_RELEASE);
}

/* [offset, offset + len) lies in the channel, behind its header page. */
static bool
piece_fits(uint64_t offset, uint64_t len, uint64_t bytes, uint64_t align)
{
    return offset >= PAGE && offset <= bytes && len <= bytes - offset &&
           offset % align == 0;
}

static bool
geometry_can_be(const struct ulv_ring_geometry g[2], uint64_t bytes)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (!ring_size_can_be(g[i].data_bytes) ||
            !piece_fits(g[i].control_offset, sizeof(struct ulv_ring_control),
                        bytes, 64) ||
            !piece_fits(g[i].data_offset, g[i].data_bytes, bytes, 64))
            return false;
    }
    return true;
}

static ulv_status
attach_rings(struct ulv_channel_end *ch, const struct ulv_ring_geometry g[2])
{
    uint8_t *base = (uint8_t *)ch->header;
    const struct ulv_ring_geometry *tx = &g[ch->end], *rx = &g[1 - ch->end];
    ulv_status status =
        ulv_ring_tx_init(&ch->tx, (void *)(base + tx->control_offset),
                         base + tx->data_offset, tx->data_bytes);

    if (status != ULV_OK)
        return status;
    return ulv_ring_rx_init(&ch->rx, (void *)(base + rx->control_offset),
                            base + rx->data_offset, rx->data_bytes);
}

ulv_status
ulv_channel_attach(struct ulv_channel_end *ch, void *p, uint64_t bytes,
                   uint32_t end, const uint8_t type[16])
{
    return ulv_channel_attach_able(ch, p, bytes, end, type, 0);
}

ulv_status
ulv_channel_attach_able(struct ulv_channel_end *ch, void *p, uint64_t bytes,
                        uint32_t end, const uint8_t type[16],
                        uint32_t features)
{
    struct ulv_channel_header *h = p, copy;
    ulv_status status;

    memset(ch, 0, sizeof(*ch));
    if (bytes < sizeof(*h) || end > ULV_END_CLIENT ||
        __atomic_load_n(&h->magic, __ATOMIC_ACQUIRE) != ULV_CHANNEL_MAGIC)
        return ULV_E_PEER_PROTOCOL;
    memcpy(&copy, h, offsetof(struct ulv_channel_header, rsvd0_));
    if (copy.version != ULV_CHANNEL_VERSION || copy.bytes > bytes ||
        memcmp(copy.type, type, 16) != 0 ||
        !geometry_can_be(copy.ring, copy.bytes) ||
        (copy.bulk_bytes != 0 &&
         !piece_fits(copy.bulk_offset, copy.bulk_bytes, copy.bytes, PAGE)))
        return ULV_E_PEER_PROTOCOL;
    ch->header = h;
    ch->bytes = copy.bytes;
    ch->end = end;
    ch->epoch = copy.epoch;
    ch->id = copy.id;
    if (copy.bulk_bytes != 0) {
        ch->bulk = (uint8_t *)p + copy.bulk_offset;
        ch->bulk_bytes = copy.bulk_bytes;
    }
    if (!become(ch, ULV_END_ATTACHING))
        return ULV_E_STATE;
    status = attach_rings(ch, copy.ring);
    if (status != ULV_OK) {
        ulv_channel_give_up(ch);
        return status;
    }
    __atomic_store_n(&h->end[end].features, features, __ATOMIC_RELAXED);
    __atomic_store_n(&h->end[end].epoch, ch->epoch, __ATOMIC_RELAXED);
    (void)become(ch, ULV_END_ATTACHED);
    return ULV_OK;
}

void
ulv_channel_detach(struct ulv_channel_end *ch)
{
    if (ch->header != NULL)
        (void)become(ch, ULV_END_DETACHED);
    ch->header = NULL;
}

void
ulv_channel_give_up(struct ulv_channel_end *ch)
{
    if (ch->header != NULL)
        (void)become(ch, ULV_END_FAILED);
    ulv_ring_tx_close(&ch->tx, ULV_E_PEER_PROTOCOL);
    ulv_ring_rx_close(&ch->rx, ULV_E_PEER_PROTOCOL);
}

uint32_t
ulv_channel_peer_state(const struct ulv_channel_end *ch)
{
    const struct ulv_channel_header *h = ch->header;
    uint32_t state =
        __atomic_load_n(&h->end[1 - ch->end].state, __ATOMIC_ACQUIRE);

    /* what was taken away is cleared, whoever still has it mapped */
    if (__atomic_load_n(&h->magic, __ATOMIC_RELAXED) != ULV_CHANNEL_MAGIC)
        return ULV_END_REVOKED;
    return state;
}

uint32_t
ulv_channel_peer_features(const struct ulv_channel_end *ch)
{
    return __atomic_load_n(&ch->header->end[1 - ch->end].features,
                           __ATOMIC_RELAXED);
}

bool
ulv_channel_peer_was_there(const struct ulv_channel_end *ch)
{
    return __atomic_load_n(&ch->header->end[1 - ch->end].epoch,
                           __ATOMIC_RELAXED) != 0;
}

uint32_t
ulv_channel_epoch(const struct ulv_channel_end *ch)
{
    return __atomic_load_n(&ch->header->epoch, __ATOMIC_ACQUIRE);
}
