/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the processor says it can do, and whether that is enough. The values
 * are handed in: a test makes them up, probe reads them (probe.c).
 */
#ifndef BACKEND_VTX_CAPABILITIES_H
#define BACKEND_VTX_CAPABILITIES_H

#include "backend/vtx/architecture.h"
#include "base/base.h"

/* 0: not there, or not readable without an earlier one. */
struct ulv_vtx_capabilities {
    uint32_t cpuid_1_ecx;
    uint32_t physical_bits; /* CPUID.80000008:EAX[7:0] */
    uint64_t feature_control;
    uint64_t basic;
    /* allowed-0 | allowed-1 << 32; of the TRUE MSRs where there are */
    uint64_t pin, primary, secondary, exit, entry;
    uint64_t misc, ept_vpid;
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

/* All that is missing, "; " between, as far as it fits into text. Returns how
 * many things: 0 is a processor that will do. */
uint32_t ulv_vtx_capabilities_missing(const struct ulv_vtx_capabilities *c,
                                      struct ulv_text *text);
/* Whether the backend has to set IA32_FEATURE_CONTROL before VMXON. */
bool ulv_vtx_feature_control_open(const struct ulv_vtx_capabilities *c);
/* Guest-physical bytes that tables of the guest can name. */
uint64_t ulv_vtx_guest_address_max(const struct ulv_vtx_capabilities *c);

/* ---- controls.c ---------------------------------------------------------- */

struct ulv_vtx_controls {
    uint32_t pin, primary, secondary, exit, entry;
    uint64_t cr0, cr4; /* of the guest */
};

/* One control field: wanted bits 1, refused bits 0, the rest as the processor
 * wants it. UNSUPPORTED: diag names the bit. */
ulv_status ulv_vtx_control(const char *name, uint64_t capability,
                           uint32_t wanted, uint32_t refused, uint32_t *ret,
                           struct ulv_diag *diag);
/* A control register in VMX operation: wanted, and what is fixed to 1. */
ulv_status ulv_vtx_fixed(const char *name, uint64_t fixed0, uint64_t fixed1,
                         uint64_t wanted, uint64_t *ret,
                         struct ulv_diag *diag);
/* Everything of a guest. */
ulv_status ulv_vtx_controls(const struct ulv_vtx_capabilities *c,
                            struct ulv_vtx_controls *ret,
                            struct ulv_diag *diag);

#endif
