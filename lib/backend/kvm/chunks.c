/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Where a guest's memory lies in what KVM takes for its physical memory. The
 * page tables are the backend's, so that this need not be where the guest sees
 * it: chunks of 2 MiB lie one behind the other, in the order in which they came
 * to be used, however far apart a guest has them. Few slots cover them then,
 * and KVM's own books, which go by the size of a slot, stay small.
 */
#include "backend/kvm/chunks.h"

#include "base/base.h"

void
ulv_kvm_chunks_init(struct chunks *c, uint64_t low_bytes)
{
    c->lowest = (uint32_t)(low_bytes / CHUNK);
}

/* There are as many places as a guest has chunks: one is free. */
static uint16_t
take_place(struct chunks *c)
{
    while (c->at[c->lowest].regions != 0)
        c->lowest++;
    return (uint16_t)c->lowest++;
}

uint64_t
ulv_kvm_chunks_take(struct chunks *c, uint64_t guest, uint64_t bytes)
{
    uint64_t last = 0;

    for (uint64_t i = guest / CHUNK; i * CHUNK < guest + bytes; i++) {
        if (c->at[i].place == 0)
            c->at[i].place = take_place(c);
        c->at[c->at[i].place].regions++;
        last = ULV_MAX(last, c->at[i].place);
    }
    return (last + 1) * CHUNK;
}

void
ulv_kvm_chunks_give(struct chunks *c, uint64_t guest, uint64_t bytes)
{
    for (uint64_t i = guest / CHUNK; i * CHUNK < guest + bytes; i++) {
        const uint16_t place = c->at[i].place;

        if (--c->at[place].regions != 0)
            continue;
        c->at[i].place = 0;
        c->lowest = ULV_MIN(c->lowest, place);
    }
}

uint64_t
ulv_kvm_chunks_run(const struct chunks *c, uint64_t guest, uint64_t bytes,
                   uint64_t *ret_physical)
{
    uint64_t i = guest / CHUNK;
    uint64_t run = CHUNK - guest % CHUNK;

    *ret_physical = c->at[i].place * CHUNK + guest % CHUNK;
    for (; run < bytes && c->at[i + 1].place == c->at[i].place + 1; i++)
        run += CHUNK;
    return ULV_MIN(run, bytes);
}

uint64_t
ulv_kvm_slot_bytes(uint64_t start, uint64_t end)
{
    uint64_t needed = ulv_round_up(end, SLOT_MIN) - start;

    return ULV_MIN(ULV_MAX(needed, start), SLOT_MAX);
}
