/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A guest as the processor sees it: 64-bit code at CPL3, linear address =
 * guest-physical address. Its page tables belong to the backend. They map
 * large pages with all rights wherever something was ever mapped: extended
 * page tables alone decide. Guest-physical memory below 2 MiB holds the
 * tables and has no linear address; the gate page lies between 2 and 4 MiB.
 *
 * There are no descriptor tables and no task state (their limits are 0): every
 * exception exits, and whatever would read them is an exception.
 */
#ifndef BACKEND_VTX_GUEST_H
#define BACKEND_VTX_GUEST_H

#include "backend/vtx/capabilities.h"
#include "backend/vtx/ept.h"

/* Guest memory begins here; below is the backend's. */
#define ULV_VTX_LOW_BYTES UINT64_C(0x400000)
/* A page directory a GiB of guest_address_max; SDM vol. 3A 4.5. */
#define ULV_VTX_DIRECTORIES 64u
#define ULV_VTX_CR3         ULV_VTX_PAGE

struct ulv_vtx_identity {
    struct ulv_vtx_ept *ept;
    uint64_t *page[2 + ULV_VTX_DIRECTORIES]; /* PML4, PDPT, directories */
};

/* Errors: NO_MEMORY, LIMIT (of ept). fini is safe on a zeroed one and leaves
 * the mappings in ept to whoever ends that. */
ulv_status ulv_vtx_identity_init(struct ulv_vtx_identity *identity,
                                 struct ulv_vtx_ept *ept);
ulv_status ulv_vtx_identity_cover(struct ulv_vtx_identity *identity,
                                  uint64_t guest, uint64_t bytes);
void ulv_vtx_identity_fini(struct ulv_vtx_identity *identity);

/* vmcall; ret */
#define ULV_VTX_GATE_BYTES 4
extern const uint8_t ulv_vtx_gate[ULV_VTX_GATE_BYTES];

struct ulv_vtx_field {
    uint64_t field, value;
};
#define ULV_VTX_FIELDS_MAX 80u

/* Every field of a VMCS but those of the host and rip, rsp, rflags, which
 * are written before each entry. The two registers are the host's. Returns how
 * many. */
uint32_t ulv_vtx_guest_fields(const struct ulv_vtx_controls *controls,
                              uint64_t ept_pointer, uint64_t efer, uint64_t cr4,
                              struct ulv_vtx_field ret[ULV_VTX_FIELDS_MAX]);

#endif
