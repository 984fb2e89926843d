/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Which of KVM's physical addresses a guest's are. Knows nothing of KVM. */
#ifndef BACKEND_KVM_CHUNKS_H
#define BACKEND_KVM_CHUNKS_H

#include <stdint.h>

#define CHUNK       UINT64_C(0x200000) /* a large page */
#define ADDRESS_MAX (UINT64_C(1) << 36)
#define CHUNKS      (ADDRESS_MAX / CHUNK)

/* A slot; each is as large as all before it, or as is needed. */
#define SLOT_MIN  UINT64_C(0x1000000)
#define SLOT_MAX  UINT64_C(0x100000000)
#define SLOTS_MAX 32u

/* Zeroed. All in chunks. */
struct chunks {
    uint32_t lowest; /* no place below it is free */
    struct {
        uint16_t place;   /* of this chunk of the guest's in physical memory;
                             0: it has none */
        uint16_t regions; /* that lie in this place: its pages, at most */
    } at[CHUNKS];
};

/* What lies below low_bytes is given to nobody. */
void ulv_kvm_chunks_init(struct chunks *c, uint64_t low_bytes);
/* A region of [low_bytes, ADDRESS_MAX), not empty. Returns the end of the
 * highest of the places that it lies in. */
uint64_t ulv_kvm_chunks_take(struct chunks *c, uint64_t guest,
                             uint64_t bytes);
void ulv_kvm_chunks_give(struct chunks *c, uint64_t guest, uint64_t bytes);
/* Where a part of a region begins, and how much of it lies there in one
 * piece. */
uint64_t ulv_kvm_chunks_run(const struct chunks *c, uint64_t guest,
                            uint64_t bytes, uint64_t *ret_physical);
/* How large the next slot is, which begins at start, when memory up to end is
 * needed; it may take more than one. */
uint64_t ulv_kvm_slot_bytes(uint64_t start, uint64_t end);

#endif
