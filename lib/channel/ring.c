/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: 0 <= tail - head <= data_bytes, both free-running; the bytes
 * between head and tail are whole records, readable by the consumer alone, the
 * rest writable by the producer alone.
 *
 * Publication. The producer writes a record, then stores tail (W1, release);
 * the consumer loads tail (R1, acquire), then reads the record. The consumer
 * is done with a record, then stores head (W2, release); the producer loads
 * head (R2, acquire), then writes over it.
 *
 * Doorbells. A side that sleeps first says so, then looks once more; a side
 * that publishes first publishes, then looks whether the other sleeps. Each
 * puts a full fence (F) between its store and its load, so that of the two
 * loads at least one sees the other's store:
 *
 *   P: tail=8  F  want?0             -- C had not asked: no doorbell
 *   C:                want=1 F tail?8 -- sees the record: does not sleep
 *
 *   P:            tail=8 F want?1    -- rings
 *   C: want=1 F tail?0               -- sleeps, is woken
 *
 *   P: tail=8 F want?1               -- rings needlessly: allowed
 *   C: want=1 F tail?8               -- stays awake, takes want back
 *
 * What must not be, and would be without the fences, because a load may pass an
 * earlier store to another address:
 *   P: want?0 (early)        tail=8  -- no doorbell
 *   C: tail?0 (early) want=1         -- sleeps for ever
 *
 * want is cleared by the one who rings (exchange), so a busy pair rings once a
 * sleep, not once a record.
 */
#include "channel/ring.h"

#include "base/libc.h"

#define RECORD_HEADER sizeof(struct ulv_record)

static uint64_t
load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE); /* R1, R2 */
}

static void
store(uint64_t *p, uint64_t value)
{
    __atomic_store_n(p, value, __ATOMIC_RELEASE); /* W1, W2 */
}

static void
fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* F */
}

/* Bytes a record of len occupies. */
static uint64_t
record_bytes(uint32_t len)
{
    return (RECORD_HEADER + (uint64_t)len + 7) & ~UINT64_C(7);
}

uint64_t
ulv_ring_record_max(uint64_t data_bytes)
{
    return data_bytes / 4 - RECORD_HEADER;
}

/* Whether the indices of a ring can be at all. */
static bool
indices_can_be(uint64_t head, uint64_t tail, uint64_t data_bytes)
{
    return tail - head <= data_bytes && tail % 8 == 0 && head % 8 == 0;
}

ulv_status
ulv_ring_tx_init(struct ulv_ring_tx *tx, struct ulv_ring_control *control,
                 void *data, uint64_t data_bytes)
{
    memset(tx, 0, sizeof(*tx));
    tx->control = control;
    tx->data = data;
    tx->data_bytes = data_bytes;
    tx->tail = tx->reserved = load(&control->tail);
    tx->head_seen = load(&control->head);
    if (!indices_can_be(tx->head_seen, tx->tail, data_bytes))
        tx->closed = ULV_E_PEER_INDEX;
    return tx->closed;
}

ulv_status
ulv_ring_rx_init(struct ulv_ring_rx *rx, struct ulv_ring_control *control,
                 const void *data, uint64_t data_bytes)
{
    memset(rx, 0, sizeof(*rx));
    rx->control = control;
    rx->data = data;
    rx->data_bytes = data_bytes;
    rx->head = load(&control->head);
    rx->tail_seen = load(&control->tail);
    if (!indices_can_be(rx->head, rx->tail_seen, data_bytes))
        rx->closed = ULV_E_PEER_INDEX;
    return rx->closed;
}

/* ---- producer ------------------------------------------------------------ */

/* Whether need bytes are free; reads the peer's head only if it must. */
static bool
has_room(struct ulv_ring_tx *tx, uint64_t need)
{
    uint64_t head;

    if (tx->reserved + need - tx->head_seen <= tx->data_bytes)
        return true;
    head = load(&tx->control->head);
    /* head moves from head_seen towards tail, and nowhere else */
    if (head - tx->head_seen > tx->tail - tx->head_seen || head % 8 != 0) {
        tx->closed = ULV_E_PEER_INDEX;
        return false;
    }
    tx->head_seen = head;
    return tx->reserved + need - head <= tx->data_bytes;
}

/* Padding before a record of these bytes, so that it does not wrap. */
static uint64_t
padding(const struct ulv_ring_tx *tx, uint64_t bytes)
{
    uint64_t to_end = tx->data_bytes - (tx->reserved & (tx->data_bytes - 1));

    return to_end < bytes ? to_end : 0;
}

static void
write_header(struct ulv_ring_tx *tx, uint32_t type, uint32_t len)
{
    struct ulv_record header = { .length = len, .type = type };

    memcpy(tx->data + (tx->reserved & (tx->data_bytes - 1)), &header,
           sizeof(header));
}

ulv_status
ulv_ring_tx_reserve(struct ulv_ring_tx *tx, uint32_t type, uint32_t len,
                    void **ret_slot)
{
    uint64_t bytes = record_bytes(len), pad;

    if (tx->closed != ULV_OK)
        return tx->closed;
    if (len > ulv_ring_record_max(tx->data_bytes) || type == ULV_RECORD_PAD)
        return ULV_E_LIMIT;
    pad = padding(tx, bytes);
    if (!has_room(tx, pad + bytes))
        return tx->closed != ULV_OK ? tx->closed : ULV_E_FULL;
    if (pad != 0) {
        write_header(tx, ULV_RECORD_PAD, (uint32_t)(pad - RECORD_HEADER));
        tx->reserved += pad;
    }
    write_header(tx, type, len);
    *ret_slot = tx->data + (tx->reserved & (tx->data_bytes - 1)) +
                RECORD_HEADER;
    tx->reserved += bytes;
    return ULV_OK;
}

bool
ulv_ring_tx_submit(struct ulv_ring_tx *tx)
{
    if (tx->closed != ULV_OK || tx->reserved == tx->tail)
        return false;
    tx->tail = tx->reserved;
    store(&tx->control->tail, tx->tail);
    fence();
    if (__atomic_load_n(&tx->control->want_data, __ATOMIC_RELAXED) == 0)
        return false;
    return __atomic_exchange_n(&tx->control->want_data, 0,
                               __ATOMIC_RELAXED) != 0;
}

bool
ulv_ring_tx_wait(struct ulv_ring_tx *tx, uint32_t len)
{
    uint64_t bytes = record_bytes(len), need = padding(tx, bytes) + bytes;

    if (tx->closed != ULV_OK || has_room(tx, need))
        return true;
    __atomic_store_n(&tx->control->want_space, 1, __ATOMIC_RELAXED);
    fence();
    if (!has_room(tx, need) && tx->closed == ULV_OK)
        return false;
    __atomic_store_n(&tx->control->want_space, 0, __ATOMIC_RELAXED);
    return true;
}

/* ---- consumer ------------------------------------------------------------ */

/* Whether a byte is there beyond head; checks what the producer wrote. */
static bool
has_data(struct ulv_ring_rx *rx)
{
    uint64_t tail;

    if (rx->tail_seen != rx->head)
        return true;
    tail = load(&rx->control->tail);
    if (!indices_can_be(rx->head, tail, rx->data_bytes)) {
        rx->closed = ULV_E_PEER_INDEX;
        return false;
    }
    rx->tail_seen = tail;
    return tail != rx->head;
}

/* Read the header at head, once. */
static ulv_status
latch_header(struct ulv_ring_rx *rx)
{
    uint64_t at = rx->head & (rx->data_bytes - 1);
    const uint32_t *shared = (const uint32_t *)(const void *)(rx->data + at);
    uint32_t len = __atomic_load_n(&shared[0], __ATOMIC_RELAXED);
    uint32_t type = __atomic_load_n(&shared[1], __ATOMIC_RELAXED);
    uint64_t bytes = record_bytes(len);

    /* Padding ends at the end of the ring and never fills all of it, so two
     * of them never follow one another. */
    if (bytes > rx->tail_seen - rx->head || bytes > rx->data_bytes - at ||
        (type == ULV_RECORD_PAD &&
         (at == 0 || at + bytes != rx->data_bytes))) {
        rx->closed = ULV_E_PEER_LENGTH;
        return rx->closed;
    }
    rx->peeked = bytes;
    rx->peeked_len = len;
    rx->peeked_type = type;
    return ULV_OK;
}

ulv_status
ulv_ring_rx_peek(struct ulv_ring_rx *rx, struct ulv_ring_record *ret)
{
    while (rx->peeked == 0) {
        if (rx->closed != ULV_OK)
            return rx->closed;
        if (!has_data(rx))
            return rx->closed != ULV_OK ? rx->closed : ULV_E_EMPTY;
        if (latch_header(rx) != ULV_OK)
            return rx->closed;
        if (rx->peeked_type == ULV_RECORD_PAD) {
            rx->head += rx->peeked; /* given back with the next release */
            rx->peeked = 0;
        }
    }
    ret->type = rx->peeked_type;
    ret->len = rx->peeked_len;
    ret->data = rx->data + (rx->head & (rx->data_bytes - 1)) + RECORD_HEADER;
    return ULV_OK;
}

bool
ulv_ring_rx_release(struct ulv_ring_rx *rx)
{
    if (rx->peeked == 0)
        return false;
    rx->head += rx->peeked;
    rx->peeked = 0;
    store(&rx->control->head, rx->head);
    fence();
    if (__atomic_load_n(&rx->control->want_space, __ATOMIC_RELAXED) == 0)
        return false;
    return __atomic_exchange_n(&rx->control->want_space, 0,
                               __ATOMIC_RELAXED) != 0;
}

bool
ulv_ring_rx_wait(struct ulv_ring_rx *rx)
{
    if (rx->peeked != 0 || rx->closed != ULV_OK || has_data(rx))
        return true;
    __atomic_store_n(&rx->control->want_data, 1, __ATOMIC_RELAXED);
    fence();
    if (!has_data(rx) && rx->closed == ULV_OK)
        return false;
    __atomic_store_n(&rx->control->want_data, 0, __ATOMIC_RELAXED);
    return true;
}
