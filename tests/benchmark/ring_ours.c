/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The library's ring: records with a length and a type, written and read in
 * place, with every check of what a hostile peer may have done. */
#include "ring.h"

#include <string.h>
#include <unistd.h>

#include "channel/ring_fast.h"

#define SMALL      (SLOT - (uint32_t)sizeof(struct ulv_record))
#define DATA_AT    4096u /* behind the control */
#define SMALL_RING ((uint64_t)SLOTS * SLOT)
#define PAGES_RING ((uint64_t)PAGE_SLOTS * PAGE_BYTES)

static struct ulv_ring_tx
tx_of(uint8_t *way, uint64_t bytes)
{
    struct ulv_ring_tx tx;

    CHECK(ulv_ring_tx_init(&tx, (void *)way, way + DATA_AT, bytes) == ULV_OK);
    return tx;
}

static struct ulv_ring_rx
rx_of(uint8_t *way, uint64_t bytes)
{
    struct ulv_ring_rx rx;

    CHECK(ulv_ring_rx_init(&rx, (void *)way, way + DATA_AT, bytes) == ULV_OK);
    return rx;
}

static void
begin(struct place *place, enum ring_case what)
{
    (void)what;
    for (int i = 0; i < 2; i++)
        memset(place->way[i], 0, DATA_AT);
}

static void
ring(struct place *place, int bell)
{
    const uint64_t one = 1;

    __atomic_fetch_add(place->doorbells, 1, __ATOMIC_RELAXED);
    CHECK(write(place->bell[bell], &one, sizeof(one)) == sizeof(one));
}

static inline void *
await_room(struct ulv_ring_tx *tx, uint32_t bytes)
{
    ulv_status status;
    void *slot;

    while ((status = ulv_ring_tx_reserve_fast(tx, 1, bytes, &slot)) != ULV_OK) {
        CHECK(status == ULV_E_FULL);
        relax();
    }
    return slot;
}

static inline void
await_record(struct ulv_ring_rx *rx, struct ulv_ring_record *record)
{
    ulv_status status;

    while ((status = ulv_ring_rx_peek_fast(rx, record)) != ULV_OK) {
        CHECK(status == ULV_E_EMPTY);
        relax();
    }
}

/* ---- one way ------------------------------------------------------------- */

static inline __attribute__((always_inline)) void
send_each(struct place *place, uint64_t count, uint32_t bytes,
          uint64_t ring_bytes)
{
    struct ulv_ring_tx tx = tx_of(place->way[0], ring_bytes);

    for (uint64_t n = 0; n < count; n++) {
        fill(await_room(&tx, bytes), n, bytes);
        if (ulv_ring_tx_publish(&tx))
            ring(place, 0);
    }
    if (ulv_ring_tx_submit(&tx))
        ring(place, 0);
}

static inline __attribute__((always_inline)) void
receive_each(struct place *place, uint64_t count, uint32_t bytes,
             uint64_t ring_bytes)
{
    struct ulv_ring_rx rx = rx_of(place->way[0], ring_bytes);
    struct ulv_ring_record record;

    for (uint64_t n = 0; n < count; n++) {
        await_record(&rx, &record);
        CHECK(record.len == bytes);
        must_agree(differs(record.data, n, bytes));
        if (ulv_ring_rx_pass(&rx))
            ring(place, 1);
    }
    if (ulv_ring_rx_release(&rx))
        ring(place, 1);
}

static void
send_single(struct place *place, uint64_t count)
{
    send_each(place, count, SMALL, SMALL_RING);
}

static void
receive_single(struct place *place, uint64_t count)
{
    receive_each(place, count, SMALL, SMALL_RING);
}

static void
send_pages(struct place *place, uint64_t count)
{
    send_each(place, count, PAGE_BYTES, PAGES_RING);
}

static void
send_pages_copied(struct place *place, uint64_t count)
{
    struct ulv_ring_tx tx = tx_of(place->way[0], PAGES_RING);
    uint64_t message[PAGE_BYTES / 8];

    for (uint64_t n = 0; n < count; n++) {
        fill(message, n, PAGE_BYTES);
        ulv_ring_copy(await_room(&tx, PAGE_BYTES), message, PAGE_BYTES);
        if (ulv_ring_tx_publish(&tx))
            ring(place, 0);
    }
    if (ulv_ring_tx_submit(&tx))
        ring(place, 0);
}

static void
receive_pages(struct place *place, uint64_t count)
{
    receive_each(place, count, PAGE_BYTES, PAGES_RING);
}

static void
send_bursts(struct place *place, uint64_t count)
{
    struct ulv_ring_tx tx = tx_of(place->way[0], SMALL_RING);

    for (uint64_t n = 0; n < count; n += BURST) {
        for (uint32_t i = 0; i < BURST; i++)
            fill(await_room(&tx, SMALL), n + i, SMALL);
        if (ulv_ring_tx_publish(&tx))
            ring(place, 0);
    }
}

/* ---- there and back ------------------------------------------------------ */

static void
send_round(struct place *place, uint64_t count)
{
    struct ulv_ring_tx tx = tx_of(place->way[0], SMALL_RING);
    struct ulv_ring_rx rx = rx_of(place->way[1], SMALL_RING);
    struct ulv_ring_record record;

    for (uint64_t n = 0; n < count; n++) {
        fill(await_room(&tx, SMALL), n, SMALL);
        if (ulv_ring_tx_submit(&tx))
            ring(place, 0);
        await_record(&rx, &record);
        must_agree(differs(record.data, n, SMALL));
        if (ulv_ring_rx_pass(&rx))
            ring(place, 0);
    }
}

static void
receive_round(struct place *place, uint64_t count)
{
    struct ulv_ring_rx rx = rx_of(place->way[0], SMALL_RING);
    struct ulv_ring_tx tx = tx_of(place->way[1], SMALL_RING);
    struct ulv_ring_record record;

    for (uint64_t n = 0; n < count; n++) {
        await_record(&rx, &record);
        must_agree(differs(record.data, n, SMALL));
        if (ulv_ring_rx_pass(&rx))
            ring(place, 1);
        fill(await_room(&tx, SMALL), n, SMALL);
        if (ulv_ring_tx_submit(&tx))
            ring(place, 1);
    }
}

static void
sleep_for_record(struct place *place, struct ulv_ring_rx *rx, int bell,
                 struct ulv_ring_record *record)
{
    uint64_t value;
    ulv_status status;

    while ((status = ulv_ring_rx_peek_fast(rx, record)) != ULV_OK) {
        CHECK(status == ULV_E_EMPTY);
        if (!ulv_ring_rx_wait(rx))
            CHECK(read(place->bell[bell], &value, sizeof(value)) ==
                  sizeof(value));
    }
}

static void
send_blocking(struct place *place, uint64_t count)
{
    struct ulv_ring_tx tx = tx_of(place->way[0], SMALL_RING);
    struct ulv_ring_rx rx = rx_of(place->way[1], SMALL_RING);
    struct ulv_ring_record record;

    for (uint64_t n = 0; n < count; n++) {
        fill(await_room(&tx, SMALL), n, SMALL);
        if (ulv_ring_tx_submit(&tx))
            ring(place, 0);
        sleep_for_record(place, &rx, 1, &record);
        must_agree(differs(record.data, n, SMALL));
        if (ulv_ring_rx_release(&rx))
            ring(place, 0);
    }
}

static void
receive_blocking(struct place *place, uint64_t count)
{
    struct ulv_ring_rx rx = rx_of(place->way[0], SMALL_RING);
    struct ulv_ring_tx tx = tx_of(place->way[1], SMALL_RING);
    struct ulv_ring_record record;

    for (uint64_t n = 0; n < count; n++) {
        sleep_for_record(place, &rx, 0, &record);
        must_agree(differs(record.data, n, SMALL));
        if (ulv_ring_rx_release(&rx))
            ring(place, 1);
        fill(await_room(&tx, SMALL), n, SMALL);
        if (ulv_ring_tx_submit(&tx))
            ring(place, 1);
    }
}

const struct contender contender_ours = {
    .name = "ours",
    .begin = begin,
    .send = {[SINGLE] = send_single,
             [BURSTS] = send_bursts,
             [PAGES] = send_pages,
             [ROUND] = send_round,
             [BLOCKING] = send_blocking},
    .receive = {[SINGLE] = receive_single,
                [BURSTS] = receive_single,
                [PAGES] = receive_pages,
                [ROUND] = receive_round,
                [BLOCKING] = receive_blocking},
};

/* As a sender has it whose bytes lie somewhere else already. */
const struct contender contender_copied = {
    .name = "ours, copied in",
    .begin = begin,
    .send = {[PAGES] = send_pages_copied},
    .receive = {[PAGES] = receive_pages},
};
