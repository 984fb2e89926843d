/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * DPDK's ring of elements of one size, for one producer and one consumer, in
 * memory of ours: nothing else of DPDK is started.
 */
#include "ring.h"

#include <rte_ring.h>

static struct rte_ring *
ring_of(struct place *place, int way)
{
    return (void *)place->way[way];
}

/* What is behind the header is the elements, whatever their size. */
static void
begin(struct place *place, enum ring_case what)
{
    const unsigned slots = what == PAGES ? PAGE_SLOTS : SLOTS;

    for (int i = 0; i < 2; i++)
        CHECK(rte_ring_init(ring_of(place, i), "benchmark", slots,
                            RING_F_SP_ENQ | RING_F_SC_DEQ) == 0);
}

static inline __attribute__((always_inline)) void
put(struct rte_ring *ring, const void *message, unsigned bytes, unsigned count)
{
    while (rte_ring_sp_enqueue_bulk_elem(ring, message, bytes, count, NULL) ==
           0)
        relax();
}

static inline __attribute__((always_inline)) unsigned
take(struct rte_ring *ring, void *message, unsigned bytes, unsigned most)
{
    unsigned count;

    while ((count = rte_ring_sc_dequeue_burst_elem(ring, message, bytes, most,
                                                   NULL)) == 0)
        relax();
    return count;
}

static inline __attribute__((always_inline)) void
send_each(struct place *place, uint64_t count, uint32_t bytes)
{
    uint64_t message[PAGE_BYTES / 8];

    for (uint64_t n = 0; n < count; n++) {
        fill(message, n, bytes);
        put(ring_of(place, 0), message, bytes, 1);
    }
}

static inline __attribute__((always_inline)) void
receive_each(struct place *place, uint64_t count, uint32_t bytes)
{
    uint64_t message[PAGE_BYTES / 8];

    for (uint64_t n = 0; n < count; n++) {
        (void)take(ring_of(place, 0), message, bytes, 1);
        must_agree(differs(message, n, bytes));
    }
}

static void
send_single(struct place *place, uint64_t count)
{
    send_each(place, count, SLOT);
}

static void
receive_single(struct place *place, uint64_t count)
{
    receive_each(place, count, SLOT);
}

static void
send_pages(struct place *place, uint64_t count)
{
    send_each(place, count, PAGE_BYTES);
}

static void
receive_pages(struct place *place, uint64_t count)
{
    receive_each(place, count, PAGE_BYTES);
}

static void
send_bursts(struct place *place, uint64_t count)
{
    uint64_t message[BURST][SLOT / 8];

    for (uint64_t n = 0; n < count; n += BURST) {
        for (uint32_t i = 0; i < BURST; i++)
            fill(message[i], n + i, SLOT);
        put(ring_of(place, 0), message, SLOT, BURST);
    }
}

static void
receive_bursts(struct place *place, uint64_t count)
{
    uint64_t message[BURST][SLOT / 8], difference = 0;
    unsigned there;

    for (uint64_t n = 0; n < count; n += there) {
        there = take(ring_of(place, 0), message, SLOT, BURST);
        for (uint32_t i = 0; i < there; i++)
            difference |= differs(message[i], n + i, SLOT);
    }
    must_agree(difference);
}

static void
send_round(struct place *place, uint64_t count)
{
    uint64_t message[SLOT / 8];

    for (uint64_t n = 0; n < count; n++) {
        fill(message, n, SLOT);
        put(ring_of(place, 0), message, SLOT, 1);
        (void)take(ring_of(place, 1), message, SLOT, 1);
        must_agree(differs(message, n, SLOT));
    }
}

static void
receive_round(struct place *place, uint64_t count)
{
    uint64_t message[SLOT / 8];

    for (uint64_t n = 0; n < count; n++) {
        (void)take(ring_of(place, 0), message, SLOT, 1);
        must_agree(differs(message, n, SLOT));
        fill(message, n, SLOT);
        put(ring_of(place, 1), message, SLOT, 1);
    }
}

const struct contender contender_dpdk = {
    .name = "DPDK rte_ring",
    .begin = begin,
    .send = {[SINGLE] = send_single,
             [BURSTS] = send_bursts,
             [PAGES] = send_pages,
             [ROUND] = send_round},
    .receive = {[SINGLE] = receive_single,
                [BURSTS] = receive_bursts,
                [PAGES] = receive_pages,
                [ROUND] = receive_round},
};
