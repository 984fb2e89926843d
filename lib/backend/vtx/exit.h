/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* From what a VMCS says about an exit to what the monitor is told. */
#ifndef BACKEND_VTX_EXIT_H
#define BACKEND_VTX_EXIT_H

#include <ultravisor/sys/backend.h>

/* The fields of a VMCS that tell about an exit; SDM vol. 3C 24.9. */
struct ulv_vtx_exit {
    uint32_t reason;
    uint32_t event, event_error; /* VM-exit interruption information */
    uint32_t instruction_bytes;
    uint64_t qualification;
    uint64_t guest_physical;
};

/* What follows an exit. */
enum ulv_vtx_next {
    ULV_VTX_RETURN,        /* with *out; the guest has ended if a fault */
    ULV_VTX_CALL,          /* with *out, behind the instruction */
    ULV_VTX_CPUID,         /* answer, go on behind the instruction */
    ULV_VTX_ON,            /* go on: the slice is over */
    ULV_VTX_INTERRUPT,     /* the host's: come back, so that it is served */
    ULV_VTX_NMI,           /* the host's, and no longer pending */
    ULV_VTX_MACHINE_CHECK, /* the same, or of the entry; *out: it has ended */
};

/* Decide on an exit. Registers are those at the exit, with rip and rsp. The
 * bytes of the instruction are left to the caller, who has the memory. */
enum ulv_vtx_next ulv_vtx_exit_decode(const struct ulv_vtx_exit *exit,
                                      const struct ulv_registers *registers,
                                      struct ulv_exit *out);
/* VMCALL: what the guest asks; of *out, the reason and the call are set. */
static inline void
ulv_vtx_call(const struct ulv_registers *registers, struct ulv_exit *out)
{
    out->reason = ULV_EXIT_CALL;
    out->u.call.number = registers->rdi;
    out->u.call.argument[0] = registers->rsi;
    out->u.call.argument[1] = registers->rdx;
    out->u.call.argument[2] = registers->rcx;
    out->u.call.argument[3] = registers->r8;
}

/* The name of a basic exit reason; NULL: unknown. */
const char *ulv_vtx_exit_text(uint32_t reason);
/* VM-instruction errors in words; "unknown error" for others. */
const char *ulv_vtx_error_text(uint32_t error);

/* CPUID as a guest is told: of leaf 1 and 0x80000001 what it may use, and
 * that there is a hypervisor. Registers in and out: eax ebx ecx edx; host is
 * what the processor answers to the leaf. */
uint32_t ulv_vtx_cpuid_leaf(uint32_t leaf);
void ulv_vtx_cpuid(uint32_t leaf, const uint32_t host[4], uint32_t ret[4]);

#endif
