/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The ring for those who have many records at once: the common case of each
 * step in line, and steps that spare the fence of submit and of release. A
 * fence waits for as long as a line of cache takes from the other processor.
 *
 * publish and pass may overlook a peer that is just falling asleep. Who uses
 * them calls ulv_ring_tx_submit, or ulv_ring_rx_release, before it sleeps,
 * turns to something else or leaves off: then no wake-up is lost. A peer that
 * fell asleep a little earlier is rung at once.
 *
 * Every check is made here that is made in ring.c.
 */
#ifndef CHANNEL_RING_FAST_H
#define CHANNEL_RING_FAST_H

#include "base/libc.h"
#include "channel/ring.h"

/* Bytes a record of len occupies. */
static inline uint64_t
ulv_ring_record_bytes(uint32_t len)
{
    return (sizeof(struct ulv_record) + (uint64_t)len + 7) & ~UINT64_C(7);
}

/* Whether an index that went from one value to another reached at, where the
 * other side asked to be rung; at is the peer's word and may be anything. */
static inline bool
ulv_ring_reached(uint64_t at, uint64_t from, uint64_t to)
{
    return at - from - 1 < to - from;
}

/*
 * A line to be written comes from the other processor, and a store that waits
 * for it holds up those behind it. So each record calls for the line that will
 * be written 32 small ones later; where that is still unread, it is in our
 * cache already. The built-in would call for reading only.
 */
static inline void
ulv_ring_tx_prefetch(const struct ulv_ring_tx *tx)
{
    const uint64_t ahead = 2048;

    __asm__ volatile("prefetchw %0" ::"m"(
        tx->data[(tx->reserved + ahead) & tx->mask]));
}

/* Type and length in one store, as struct ulv_record lies in memory. */
static inline void *
ulv_ring_tx_put(struct ulv_ring_tx *tx, uint32_t type, uint32_t len,
                uint64_t bytes)
{
    uint64_t *to =
        (uint64_t *)(void *)(tx->data + (tx->reserved & tx->mask));

    *to = (uint64_t)type << 32 | len;
    tx->reserved += bytes;
    return to + 1;
}

/* ulv_ring_tx_reserve. */
static inline ulv_status
ulv_ring_tx_reserve_fast(struct ulv_ring_tx *tx, uint32_t type, uint32_t len,
                         void **ret_slot)
{
    uint64_t bytes = ulv_ring_record_bytes(len);

    if (bytes > tx->limit - tx->reserved || bytes > (tx->mask >> 2) + 1 ||
        type == ULV_RECORD_PAD)
        return ulv_ring_tx_reserve(tx, type, len, ret_slot);
    ulv_ring_tx_prefetch(tx);
    *ret_slot = ulv_ring_tx_put(tx, type, len, bytes);
    return ULV_OK;
}

/*
 * Copy into a slot. From 2 KiB on, the string instruction: it takes lines of
 * another processor without fetching what they held, which no store does.
 */
static inline void
ulv_ring_copy(void *slot, const void *from, size_t len)
{
    if (len < 2048) {
        memcpy(slot, from, len);
        return;
    }
    __asm__ volatile("rep movsb" : "+D"(slot), "+S"(from), "+c"(len)::"memory");
}

/**
 * Show the consumer all that was reserved, without a fence; submit has to
 * follow. Returns whether the consumer's doorbell has to be rung now.
 * Context: owner, exit
 */
static inline bool
ulv_ring_tx_publish(struct ulv_ring_tx *tx)
{
    uint64_t at;

    tx->tail = tx->reserved;
    __atomic_store_n(&tx->control->tail, tx->tail, __ATOMIC_RELEASE); /* W1 */
    at = __atomic_load_n(&tx->control->data_at, __ATOMIC_RELAXED); /* A */
    return ulv_ring_reached(at, tx->looked, tx->tail) &&
           ulv_ring_tx_submit(tx);
}

/* ulv_ring_rx_peek. */
static inline ulv_status
ulv_ring_rx_peek_fast(struct ulv_ring_rx *rx, struct ulv_ring_record *ret)
{
    const uint64_t *at =
        (const uint64_t *)(const void *)(rx->data + (rx->cursor & rx->mask));
    uint64_t header, bytes;

    if (rx->cursor == rx->limit || rx->peeked != 0)
        return ulv_ring_rx_peek(rx, ret);
    header = __atomic_load_n(at, __ATOMIC_RELAXED); /* once; after R1 */
    bytes = ulv_ring_record_bytes((uint32_t)header);
    if (bytes > rx->limit - rx->cursor || header >> 32 == ULV_RECORD_PAD)
        return ulv_ring_rx_peek(rx, ret);
    rx->peeked = bytes;
    ret->len = rx->peeked_len = (uint32_t)header;
    ret->type = rx->peeked_type = (uint32_t)(header >> 32);
    ret->data = at + 1;
    return ULV_OK;
}

/**
 * Go on to the next record and keep the one that was peeked: it stays as it is
 * until release or pass give all of them back.  Context: owner, exit
 */
static inline void
ulv_ring_rx_keep(struct ulv_ring_rx *rx)
{
    rx->cursor += rx->peeked;
    rx->peeked = 0;
}

/**
 * Be done with the peeked record and those before it; release has to follow.
 * Their space is given back by and by, a quarter of the ring at once. Returns
 * whether the producer's doorbell has to be rung now.  Context: owner, exit
 */
static inline bool
ulv_ring_rx_pass(struct ulv_ring_rx *rx)
{
    ulv_ring_rx_keep(rx);
    return rx->cursor - rx->head > rx->mask >> 2 && ulv_ring_rx_release(rx);
}

#endif
