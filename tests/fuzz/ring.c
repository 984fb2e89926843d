/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A whole ring as a hostile peer may leave it, and both ends that use it.
 * Input: 32 bytes for the four words of the control, then two bytes of a step
 * and one for it, among them the peer's: writing into the control and the data.
 * Whatever lies there, a record that is shown and room that is given lie in the
 * ring, an end that closed stays closed, and no step takes for ever.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "channel/ring_fast.h"

#include "fuzz.h"

#define RING UINT64_C(4096)

struct ring {
    struct ulv_ring_control control;
    _Alignas(64) uint8_t data[RING];
};

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static void
require_inside(const struct ring *ring, const void *p, uint32_t len)
{
    const uint8_t *at = p;

    require(at >= ring->data + 8 && len <= RING &&
            at + len <= ring->data + RING);
}

static void
look(const struct ring *ring, struct ulv_ring_rx *rx, bool fast)
{
    struct ulv_ring_record record, again;
    ulv_status status = fast ? ulv_ring_rx_peek_fast(rx, &record)
                             : ulv_ring_rx_peek(rx, &record);

    require(status == ULV_OK || status == ULV_E_EMPTY ||
            status == ULV_E_PEER_INDEX || status == ULV_E_PEER_LENGTH);
    if (status != ULV_OK)
        return;
    require_inside(ring, record.data, record.len);
    require(record.type != ULV_RECORD_PAD);
    require(ulv_ring_rx_peek(rx, &again) == ULV_OK);
    require(again.data == record.data && again.len == record.len &&
            again.type == record.type);
}

static void
fill(const struct ring *ring, struct ulv_ring_tx *tx, uint32_t len, bool fast)
{
    void *slot;
    ulv_status status = fast ? ulv_ring_tx_reserve_fast(tx, len, len, &slot)
                             : ulv_ring_tx_reserve(tx, len, len, &slot);

    require(status == ULV_OK || status == ULV_E_FULL ||
            status == ULV_E_LIMIT || status == ULV_E_PEER_INDEX);
    if (status != ULV_OK)
        return;
    require_inside(ring, slot, len);
    memset(slot, (int)len & 0xff, len);
}

static void
step(struct ring *ring, struct ulv_ring_tx *tx, struct ulv_ring_rx *rx,
     uint32_t what, uint8_t n)
{
    uint8_t *control = (uint8_t *)&ring->control;

    switch (what % 16) {
    case 0: case 1:
        fill(ring, tx, n * 5u, what % 2 == 0);
        break;
    case 2:
        (void)ulv_ring_tx_submit(tx);
        break;
    case 3:
        (void)ulv_ring_tx_publish(tx);
        break;
    case 4:
        (void)ulv_ring_tx_wait(tx, n);
        break;
    case 5: case 6:
        look(ring, rx, what % 2 == 0);
        break;
    case 7:
        (void)ulv_ring_rx_release(rx);
        break;
    case 8:
        (void)ulv_ring_rx_pass(rx);
        break;
    case 9:
        ulv_ring_rx_keep(rx);
        break;
    case 10:
        (void)ulv_ring_rx_wait(rx);
        break;
    case 11: case 12: /* the peer: a byte of an index */
        control[what / 16 % 4 * 64 + what / 64 % 8] = n;
        break;
    case 13: /* the header of the record that is to be read next */
        ring->data[(rx->cursor + what / 16 % 8) % RING] = n;
        break;
    case 14:
        ring->data[(what / 16 * 256u + n) % RING] = n;
        break;
    default: /* another takes the end over */
        if (n % 2 == 0)
            (void)ulv_ring_tx_init(tx, &ring->control, ring->data, RING);
        else
            (void)ulv_ring_rx_init(rx, &ring->control, ring->data, RING);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* the sanitizer sees what is before and behind it */
    struct ring *ring = aligned_alloc(64, sizeof(*ring));
    struct ulv_ring_tx tx;
    struct ulv_ring_rx rx;

    require(ring != NULL);
    memset(ring, 0, sizeof(*ring));
    for (size_t i = 0; i < 4 && size >= 8; i++, data += 8, size -= 8)
        memcpy((uint8_t *)&ring->control + i * 64, data, 8);
    (void)ulv_ring_tx_init(&tx, &ring->control, ring->data, RING);
    (void)ulv_ring_rx_init(&rx, &ring->control, ring->data, RING);
    for (; size >= 3; data += 3, size -= 3) {
        ulv_status was[2] = { tx.closed, rx.closed };
        uint32_t what = data[0] | (uint32_t)data[1] << 8;

        step(ring, &tx, &rx, what, data[2]);
        if (what % 16 != 15)
            require((was[0] == ULV_OK || tx.closed == was[0]) &&
                    (was[1] == ULV_OK || rx.closed == was[1]));
    }
    free(ring);
    return 0;
}
