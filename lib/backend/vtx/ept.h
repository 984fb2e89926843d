/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Extended page tables: from guest-physical to physical addresses. They alone
 * decide what a guest reaches. SDM vol. 3C 28.2 (28.3 in later editions).
 *
 * The processor holds on to what it has read: whoever changes the tables of a
 * guest lets INVEPT follow before the guest runs again.
 */
#ifndef BACKEND_VTX_EPT_H
#define BACKEND_VTX_EPT_H

#include <ultravisor/sys/host.h>

#define ULV_VTX_PAGE  UINT64_C(4096)
#define ULV_VTX_LARGE UINT64_C(0x200000)
#define ULV_VTX_GIANT UINT64_C(0x40000000)
/* Four levels: the first byte that they cannot translate. */
#define ULV_VTX_EPT_END (UINT64_C(1) << 48)

/* Rights of a page; SDM vol. 3C table 28-6. Write needs read. */
#define ULV_VTX_EPT_READ    UINT64_C(1)
#define ULV_VTX_EPT_WRITE   UINT64_C(2)
#define ULV_VTX_EPT_EXECUTE UINT64_C(4)
#define ULV_VTX_EPT_RIGHTS  UINT64_C(7)

struct ulv_vtx_table;

struct ulv_vtx_ept {
    const struct ulv_host *host;
    struct ulv_vtx_table *root;
    uint32_t tables, tables_max; /* the root counts */
    bool giant;                  /* pages of 1 GiB may be used */
};

/* Errors: NO_MEMORY. fini is safe on a zeroed one. */
ulv_status ulv_vtx_ept_init(struct ulv_vtx_ept *ept,
                            const struct ulv_host *host, uint32_t tables_max,
                            bool giant);
void ulv_vtx_ept_fini(struct ulv_vtx_ept *ept);
/* All or nothing, with the largest pages that fit. Errors: ARG, EXISTS (any
 * of it is mapped), LIMIT (tables_max, addresses), NO_MEMORY. */
ulv_status ulv_vtx_ept_map(struct ulv_vtx_ept *ept, uint64_t guest,
                           uint64_t physical, uint64_t bytes, uint64_t rights);
/* What is not mapped stays so. Cannot fail where no page lies across an edge
 * of the range; else NO_MEMORY or LIMIT, and nothing is unmapped. */
ulv_status ulv_vtx_ept_unmap(struct ulv_vtx_ept *ept, uint64_t guest,
                             uint64_t bytes);
/* The physical address and the rights of a guest byte; rights 0: unmapped.
 * bytes: size of the page, or of the hole as far as one entry tells. */
struct ulv_vtx_translation {
    uint64_t physical, rights, bytes;
};
struct ulv_vtx_translation ulv_vtx_ept_find(const struct ulv_vtx_ept *ept,
                                            uint64_t guest);
/* For the EPTP field of a VMCS; SDM vol. 3C 24.6.11. */
uint64_t ulv_vtx_ept_pointer(const struct ulv_vtx_ept *ept);

#endif
