/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The floor: a ring of slots of one size between two who trust one another,
 * with an index each and nothing else. Messages are copied in and out.
 */
#include "ring.h"

#include <string.h>

struct floor_ring {
    _Alignas(64) uint64_t tail;
    _Alignas(64) uint64_t head;
    _Alignas(64) uint8_t slot[];
};

/* One process's end of one: its own index, the other's as last seen. */
struct floor_end {
    struct floor_ring *ring;
    uint64_t own, other;
    uint32_t slot_bytes, slots;
};

static struct floor_end
end_of(uint8_t *way, uint32_t slot_bytes, uint32_t slots)
{
    struct floor_end end = {
        .ring = (void *)way, .slot_bytes = slot_bytes, .slots = slots};

    return end;
}

static void *
slot_of(const struct floor_end *end, uint64_t i)
{
    return end->ring->slot + (i & (end->slots - 1)) * (uint64_t)end->slot_bytes;
}

static void
await_room(struct floor_end *end, uint64_t count)
{
    while (end->own + count - end->other > end->slots) {
        end->other = __atomic_load_n(&end->ring->head, __ATOMIC_ACQUIRE);
        if (end->own + count - end->other > end->slots)
            relax();
    }
}

/* How many are there, at least one. */
static uint64_t
await_some(struct floor_end *end)
{
    while (end->other == end->own) {
        end->other = __atomic_load_n(&end->ring->tail, __ATOMIC_ACQUIRE);
        if (end->other == end->own)
            relax();
    }
    return end->other - end->own;
}

static void
show(struct floor_end *end, uint64_t count)
{
    end->own += count;
    __atomic_store_n(&end->ring->tail, end->own, __ATOMIC_RELEASE);
}

static void
give_back(struct floor_end *end, uint64_t count)
{
    end->own += count;
    __atomic_store_n(&end->ring->head, end->own, __ATOMIC_RELEASE);
}

static void
begin(struct place *place, enum ring_case what)
{
    (void)what;
    for (int i = 0; i < 2; i++)
        memset(place->way[i], 0, sizeof(struct floor_ring));
}

/* bytes is a constant where it is called, so that copies are made in line. */
static inline __attribute__((always_inline)) void
send_each(struct place *place, uint64_t count, uint32_t bytes, uint32_t slots)
{
    struct floor_end end = end_of(place->way[0], bytes, slots);
    uint64_t message[PAGE_BYTES / 8];

    for (uint64_t n = 0; n < count; n++) {
        fill(message, n, bytes);
        await_room(&end, 1);
        memcpy(slot_of(&end, end.own), message, bytes);
        show(&end, 1);
    }
}

static inline __attribute__((always_inline)) void
receive_each(struct place *place, uint64_t count, uint32_t bytes,
             uint32_t slots)
{
    struct floor_end end = end_of(place->way[0], bytes, slots);
    uint64_t message[PAGE_BYTES / 8];

    for (uint64_t n = 0; n < count; n++) {
        (void)await_some(&end);
        memcpy(message, slot_of(&end, end.own), bytes);
        give_back(&end, 1);
        must_agree(differs(message, n, bytes));
    }
}

static void
send_single(struct place *place, uint64_t count)
{
    send_each(place, count, SLOT, SLOTS);
}

static void
receive_single(struct place *place, uint64_t count)
{
    receive_each(place, count, SLOT, SLOTS);
}

static void
send_pages(struct place *place, uint64_t count)
{
    send_each(place, count, PAGE_BYTES, PAGE_SLOTS);
}

static void
receive_pages(struct place *place, uint64_t count)
{
    receive_each(place, count, PAGE_BYTES, PAGE_SLOTS);
}

static void
send_bursts(struct place *place, uint64_t count)
{
    struct floor_end end = end_of(place->way[0], SLOT, SLOTS);
    uint64_t message[BURST][SLOT / 8];

    for (uint64_t n = 0; n < count; n += BURST) {
        for (uint32_t i = 0; i < BURST; i++)
            fill(message[i], n + i, SLOT);
        await_room(&end, BURST);
        for (uint32_t i = 0; i < BURST; i++)
            memcpy(slot_of(&end, end.own + i), message[i], SLOT);
        show(&end, BURST);
    }
}

static void
receive_bursts(struct place *place, uint64_t count)
{
    struct floor_end end = end_of(place->way[0], SLOT, SLOTS);
    uint64_t message[BURST][SLOT / 8], difference = 0, there;

    for (uint64_t n = 0; n < count; n += there) {
        there = await_some(&end);
        if (there > BURST)
            there = BURST;
        for (uint32_t i = 0; i < there; i++)
            memcpy(message[i], slot_of(&end, end.own + i), SLOT);
        give_back(&end, there);
        for (uint32_t i = 0; i < there; i++)
            difference |= differs(message[i], n + i, SLOT);
    }
    must_agree(difference);
}

/* ---- there and back ------------------------------------------------------ */

static inline __attribute__((always_inline)) void
put(struct floor_end *end, uint64_t n)
{
    uint64_t message[SLOT / 8];

    fill(message, n, SLOT);
    await_room(end, 1);
    memcpy(slot_of(end, end->own), message, SLOT);
    show(end, 1);
}

static inline __attribute__((always_inline)) void
take(struct floor_end *end, uint64_t n)
{
    uint64_t message[SLOT / 8];

    (void)await_some(end);
    memcpy(message, slot_of(end, end->own), SLOT);
    give_back(end, 1);
    must_agree(differs(message, n, SLOT));
}

static void
send_round(struct place *place, uint64_t count)
{
    struct floor_end there = end_of(place->way[0], SLOT, SLOTS);
    struct floor_end back = end_of(place->way[1], SLOT, SLOTS);

    for (uint64_t n = 0; n < count; n++) {
        put(&there, n);
        take(&back, n);
    }
}

static void
receive_round(struct place *place, uint64_t count)
{
    struct floor_end there = end_of(place->way[0], SLOT, SLOTS);
    struct floor_end back = end_of(place->way[1], SLOT, SLOTS);

    for (uint64_t n = 0; n < count; n++) {
        take(&there, n);
        put(&back, n);
    }
}

const struct contender contender_floor = {
    .name = "floor ring",
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
