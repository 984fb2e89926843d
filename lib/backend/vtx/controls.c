/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/vtx/capabilities.h"

/*
 * No x87, MMX, SSE or later state: every such instruction is an undefined
 * opcode or "no device", so that the registers of the host are neither saved
 * nor seen. SDM vol. 3A 2.5, 13.1.2 (without CR4.OSFXSR no SSE). MP is for
 * FWAIT alone, which would tell of an error in the host's x87.
 */
#define GUEST_CR0                                                              \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define GUEST_CR4 CR4_PAE

/* The lowest bit of a set that is not empty. */
static uint64_t
lowest(uint64_t bits)
{
    uint64_t n = 0;

    while ((bits >> n & 1) == 0)
        n++;
    return n;
}

/* SDM vol. 3D A.2: a bit of the lower half 1: must be 1; of the upper 0: must
 * be 0. */
ulv_status
ulv_vtx_control(const char *name, uint64_t capability, uint32_t wanted,
                uint32_t refused, uint32_t *ret, struct ulv_diag *diag)
{
    uint32_t must = (uint32_t)capability;
    uint32_t may = (uint32_t)(capability >> 32);

    if ((wanted & ~may) != 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, wanted, may,
                        "%s controls: bit %u cannot be 1", name,
                        lowest(wanted & ~may));
    if ((refused & must) != 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, refused, must,
                        "%s controls: bit %u cannot be 0", name,
                        lowest(refused & must));
    *ret = wanted | must;
    return ULV_OK;
}

/* SDM vol. 3D A.7, A.8: 1 in fixed0: must be 1; 0 in fixed1: must be 0. */
ulv_status
ulv_vtx_fixed(const char *name, uint64_t fixed0, uint64_t fixed1,
              uint64_t wanted, uint64_t *ret, struct ulv_diag *diag)
{
    if ((wanted & ~fixed1) != 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, wanted, fixed1,
                        "%s: bit %u cannot be 1 in VMX operation", name,
                        lowest(wanted & ~fixed1));
    *ret = wanted | fixed0;
    return ULV_OK;
}

static uint32_t
bit(uint32_t n)
{
    return UINT32_C(1) << n;
}

/*
 * A guest at CPL3 meets a general-protection fault before most of these exits
 * (SDM vol. 3C 25.1.1); they are asked for all the same, so that nothing
 * depends on it. SAVE_DEBUG and LOAD_DEBUG: the guest's DR7 is its own.
 */
ulv_status
ulv_vtx_controls(const struct ulv_vtx_capabilities *c,
                 struct ulv_vtx_controls *ret, struct ulv_diag *diag)
{
    ulv_status status;

    status = ulv_vtx_control("pin-based", c->pin,
                             bit(PIN_INTERRUPT) | bit(PIN_NMI) |
                                 bit(PIN_TIMER),
                             0, &ret->pin, diag);
    if (status == ULV_OK)
        status = ulv_vtx_control("primary processor-based", c->primary,
                                 bit(PRIMARY_HLT) | bit(PRIMARY_MWAIT) |
                                     bit(PRIMARY_RDPMC) |
                                     bit(PRIMARY_MOV_DR) |
                                     bit(PRIMARY_PORT) |
                                     bit(PRIMARY_MONITOR) |
                                     bit(PRIMARY_SECONDARY),
                                 0, &ret->primary, diag);
    if (status == ULV_OK)
        status = ulv_vtx_control("secondary processor-based", c->secondary,
                                 bit(SECONDARY_EPT),
                                 bit(SECONDARY_UNRESTRICTED), &ret->secondary,
                                 diag);
    if (status == ULV_OK)
        status = ulv_vtx_control("exit", c->exit,
                                 bit(EXIT_SAVE_DEBUG) | bit(EXIT_HOST_64) |
                                     bit(EXIT_LOAD_EFER),
                                 0, &ret->exit, diag);
    if (status == ULV_OK)
        status = ulv_vtx_control("entry", c->entry,
                                 bit(ENTRY_LOAD_DEBUG) | bit(ENTRY_GUEST_64) |
                                     bit(ENTRY_LOAD_EFER),
                                 0, &ret->entry, diag);
    if (status == ULV_OK)
        status = ulv_vtx_fixed("CR0", c->cr0_fixed0, c->cr0_fixed1, GUEST_CR0,
                               &ret->cr0, diag);
    if (status == ULV_OK)
        status = ulv_vtx_fixed("CR4", c->cr4_fixed0, c->cr4_fixed1, GUEST_CR4,
                               &ret->cr4, diag);
    return status;
}
