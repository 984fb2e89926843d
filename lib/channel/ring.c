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
 * Doorbells. A side that sleeps first says at which value of the other's index
 * it wants to be rung (A), then looks once more; a side that moves its index
 * first stores it, then looks whether that reached what the other asked for.
 * Each puts a full fence (F) between its store and its load, so that of the two
 * loads at least one sees the other's store. P has looked up to tail 8, and C
 * has read all of it; at is data_at:
 *
 *   P: tail=24  F  at?0            -- C had not asked: no doorbell
 *   C:             at=16 F tail?24 -- sees the record: does not sleep
 *
 *   P:              tail=24 F at?16 -- 8 < 16 <= 24: rings
 *   C: at=16 F tail?8               -- sleeps, is woken
 *
 *   P: tail=24 F at?16               -- rings needlessly: allowed
 *   C: at=16   F tail?24             -- stays awake, takes its word back: at=0
 *
 * What must not be, and would be without the fences, because a load may pass an
 * earlier store to another address:
 *   P: at?0 (early)          tail=24  -- no doorbell
 *   C: tail?8 (early)  at=16          -- sleeps for ever
 *
 * Each index that was looked at behind a fence is looked at once: P goes on
 * from looked = tail, so one sleep is rung for once. That is sound because who
 * asks for 16 has seen tail 8 and no more: had P looked at 24 already, C would
 * have seen 24.
 *
 * The fast forms store the index and look without a fence. What they overlook
 * is not lost, for looked stays behind until somebody looks with one:
 *
 *   P: tail=24 at?0 (early)      tail=40 at?16 -- rings now
 *   C:             at=16 F tail?8              -- slept in between
 *   P: tail=24 at?0 (early)      F at?16       -- or submit rings: 8 < 16 <= 24
 *
 * And what they see they look at again behind a fence before anybody is rung:
 * without, C might wake before it sees the tail that it is woken for, and ask
 * for the same again, which would have been looked at.
 *
 * Who died between store and doorbell has a successor that takes over the index
 * and rings once, for whatever was asked.
 */
#include "channel/ring.h"

#include "base/libc.h"
#include "channel/ring_fast.h"

#define RECORD_HEADER sizeof(struct ulv_record)

static uint64_t
load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE); /* R1, R2 */
}

/* A: what the owner of the line asks for, and its taking back. */
static void
ask(uint64_t *p, uint64_t at)
{
    __atomic_store_n(p, at, __ATOMIC_RELAXED);
}

/* F: its partner is the other side's. */
static void
fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Behind a fence, whether an index that moved reached what was asked for. */
static bool
look(const uint64_t *asked, uint64_t *looked, uint64_t index)
{
    uint64_t from = *looked;

    fence();
    *looked = index;
    return ulv_ring_reached(__atomic_load_n(asked, __ATOMIC_RELAXED), from,
                            index); /* A */
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
    tx->mask = data_bytes - 1;
    tx->tail = tx->reserved = tx->limit = load(&control->tail);
    tx->looked = tx->tail;
    tx->head_seen = load(&control->head);
    if (!indices_can_be(tx->head_seen, tx->tail, data_bytes))
        ulv_ring_tx_close(tx, ULV_E_PEER_INDEX);
    return tx->closed;
}

ulv_status
ulv_ring_rx_init(struct ulv_ring_rx *rx, struct ulv_ring_control *control,
                 const void *data, uint64_t data_bytes)
{
    memset(rx, 0, sizeof(*rx));
    rx->control = control;
    rx->data = data;
    rx->mask = data_bytes - 1;
    rx->head = rx->looked = rx->cursor = rx->limit = load(&control->head);
    rx->tail_seen = load(&control->tail);
    if (!indices_can_be(rx->head, rx->tail_seen, data_bytes))
        ulv_ring_rx_close(rx, ULV_E_PEER_INDEX);
    return rx->closed;
}

/* ---- producer ------------------------------------------------------------ */

void
ulv_ring_tx_close(struct ulv_ring_tx *tx, ulv_status why)
{
    tx->closed = why;
    tx->looked = tx->reserved = tx->limit = tx->tail;
}

/* Whether need bytes are free; reads the peer's head only if it must. */
static bool
has_room(struct ulv_ring_tx *tx, uint64_t need)
{
    uint64_t head;

    if (tx->reserved + need - tx->head_seen <= tx->mask + 1)
        return true;
    head = load(&tx->control->head);
    /* head moves from head_seen towards tail, and nowhere else */
    if (head - tx->head_seen > tx->tail - tx->head_seen || head % 8 != 0) {
        ulv_ring_tx_close(tx, ULV_E_PEER_INDEX);
        return false;
    }
    tx->head_seen = head;
    return tx->reserved + need - head <= tx->mask + 1;
}

static uint64_t
to_end(uint64_t index, uint64_t mask)
{
    return mask + 1 - (index & mask);
}

/* Padding before a record of these bytes, so that it does not wrap. */
static uint64_t
padding(const struct ulv_ring_tx *tx, uint64_t bytes)
{
    uint64_t left = to_end(tx->reserved, tx->mask);

    return left < bytes ? left : 0;
}

ulv_status
ulv_ring_tx_reserve(struct ulv_ring_tx *tx, uint32_t type, uint32_t len,
                    void **ret_slot)
{
    uint64_t bytes = ulv_ring_record_bytes(len), pad;

    if (tx->closed != ULV_OK)
        return tx->closed;
    if (len > ulv_ring_record_max(tx->mask + 1) || type == ULV_RECORD_PAD)
        return ULV_E_LIMIT;
    pad = padding(tx, bytes);
    if (!has_room(tx, pad + bytes))
        return tx->closed != ULV_OK ? tx->closed : ULV_E_FULL;
    if (pad != 0)
        (void)ulv_ring_tx_put(tx, ULV_RECORD_PAD,
                              (uint32_t)(pad - RECORD_HEADER), pad);
    tx->limit = tx->reserved +
                smaller(tx->mask + 1 - (tx->reserved - tx->head_seen),
                        to_end(tx->reserved, tx->mask));
    *ret_slot = ulv_ring_tx_put(tx, type, len, bytes);
    return ULV_OK;
}

bool
ulv_ring_tx_submit(struct ulv_ring_tx *tx)
{
    if (tx->reserved == tx->looked)
        return false;
    tx->tail = tx->reserved;
    __atomic_store_n(&tx->control->tail, tx->tail, __ATOMIC_RELEASE); /* W1 */
    return look(&tx->control->data_at, &tx->looked, tx->tail);
}

bool
ulv_ring_tx_has_room(struct ulv_ring_tx *tx, uint32_t len)
{
    uint64_t bytes = ulv_ring_record_bytes(len);

    return tx->closed == ULV_OK && has_room(tx, padding(tx, bytes) + bytes);
}

bool
ulv_ring_tx_wait(struct ulv_ring_tx *tx, uint32_t len)
{
    uint64_t bytes = ulv_ring_record_bytes(len);
    uint64_t need = padding(tx, bytes) + bytes;

    if (tx->closed != ULV_OK || has_room(tx, need))
        return true;
    ask(&tx->control->space_at, tx->reserved + need - (tx->mask + 1));
    fence();
    if (!has_room(tx, need) && tx->closed == ULV_OK)
        return false;
    ask(&tx->control->space_at, 0);
    return true;
}

/* ---- consumer ------------------------------------------------------------ */

void
ulv_ring_rx_close(struct ulv_ring_rx *rx, ulv_status why)
{
    rx->closed = why;
    rx->limit = rx->cursor;
}

/* Whether a byte is there beyond cursor; checks what the producer wrote. */
static bool
has_data(struct ulv_ring_rx *rx)
{
    uint64_t tail;

    if (rx->tail_seen != rx->cursor)
        return true;
    tail = load(&rx->control->tail);
    /* tail moves on from tail_seen, and never past what is given back */
    if (!indices_can_be(rx->head, tail, rx->mask + 1) ||
        tail - rx->head < rx->cursor - rx->head) {
        ulv_ring_rx_close(rx, ULV_E_PEER_INDEX);
        return false;
    }
    rx->tail_seen = tail;
    return tail != rx->cursor;
}

/* Read the header at cursor, once. */
static ulv_status
latch_header(struct ulv_ring_rx *rx)
{
    uint64_t at = rx->cursor & rx->mask;
    uint64_t header = __atomic_load_n(
        (const uint64_t *)(const void *)(rx->data + at), __ATOMIC_RELAXED);
    uint64_t bytes = ulv_ring_record_bytes((uint32_t)header);

    /* Padding ends at the end of the ring and never fills all of it, so two
     * of them never follow one another. */
    if (bytes > rx->limit - rx->cursor ||
        (header >> 32 == ULV_RECORD_PAD &&
         (at == 0 || bytes != to_end(at, rx->mask)))) {
        ulv_ring_rx_close(rx, ULV_E_PEER_LENGTH);
        return rx->closed;
    }
    rx->peeked = bytes;
    rx->peeked_len = (uint32_t)header;
    rx->peeked_type = (uint32_t)(header >> 32);
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
        rx->limit = rx->cursor + smaller(rx->tail_seen - rx->cursor,
                                         to_end(rx->cursor, rx->mask));
        if (latch_header(rx) != ULV_OK)
            return rx->closed;
        if (rx->peeked_type == ULV_RECORD_PAD)
            ulv_ring_rx_keep(rx); /* given back with what follows */
    }
    ret->type = rx->peeked_type;
    ret->len = rx->peeked_len;
    ret->data = rx->data + (rx->cursor & rx->mask) + RECORD_HEADER;
    return ULV_OK;
}

bool
ulv_ring_rx_release(struct ulv_ring_rx *rx)
{
    ulv_ring_rx_keep(rx);
    if (rx->cursor == rx->looked)
        return false;
    rx->head = rx->cursor;
    __atomic_store_n(&rx->control->head, rx->head, __ATOMIC_RELEASE); /* W2 */
    return look(&rx->control->space_at, &rx->looked, rx->head);
}

bool
ulv_ring_rx_wait(struct ulv_ring_rx *rx)
{
    if (rx->peeked != 0 || rx->closed != ULV_OK || has_data(rx))
        return true;
    ask(&rx->control->data_at, rx->tail_seen + 8);
    fence();
    if (!has_data(rx) && rx->closed == ULV_OK)
        return false;
    ask(&rx->control->data_at, 0);
    return true;
}
