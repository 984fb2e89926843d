/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/vtx/exit.h"

#include "backend/vtx/architecture.h"
#include "base/base.h"
#include "monitor/exception.h"

/* What a row of the table decides. */
enum decision {
    UNKNOWN, /* a number without a meaning: the backend cannot go on */
    SPECIAL, /* decided by code below */
    INTERRUPT,
    SLICE,
    INSTRUCTION, /* not one for a guest, or privileged */
    PROTECTION,
    PORT,
    TRIPLE,
    BROKEN, /* cannot come with our controls, or an entry failed */
};

/* SDM vol. 3D appendix C, table C-1; the gaps are reserved. */
static const struct {
    enum decision decision;
    const char *text;
} reasons[] = {
    [0] = { SPECIAL, "exception or NMI" },
    [1] = { INTERRUPT, "external interrupt" },
    [2] = { TRIPLE, "triple fault" },
    [3] = { INTERRUPT, "INIT signal" },
    [4] = { BROKEN, "start-up IPI" },
    [5] = { BROKEN, "I/O system-management interrupt" },
    [6] = { BROKEN, "other system-management interrupt" },
    [7] = { BROKEN, "interrupt window" },
    [8] = { BROKEN, "NMI window" },
    [9] = { PROTECTION, "task switch" },
    [10] = { SPECIAL, "CPUID" },
    [11] = { INSTRUCTION, "GETSEC" },
    [12] = { INSTRUCTION, "HLT" },
    [13] = { INSTRUCTION, "INVD" },
    [14] = { INSTRUCTION, "INVLPG" },
    [15] = { INSTRUCTION, "RDPMC" },
    [16] = { INSTRUCTION, "RDTSC" },
    [17] = { INSTRUCTION, "RSM" },
    [18] = { SPECIAL, "VMCALL" },
    [19] = { INSTRUCTION, "VMCLEAR" },
    [20] = { INSTRUCTION, "VMLAUNCH" },
    [21] = { INSTRUCTION, "VMPTRLD" },
    [22] = { INSTRUCTION, "VMPTRST" },
    [23] = { INSTRUCTION, "VMREAD" },
    [24] = { INSTRUCTION, "VMRESUME" },
    [25] = { INSTRUCTION, "VMWRITE" },
    [26] = { INSTRUCTION, "VMXOFF" },
    [27] = { INSTRUCTION, "VMXON" },
    [28] = { INSTRUCTION, "control-register access" },
    [29] = { INSTRUCTION, "MOV DR" },
    [30] = { PORT, "I/O instruction" },
    [31] = { INSTRUCTION, "RDMSR" },
    [32] = { INSTRUCTION, "WRMSR" },
    [33] = { BROKEN, "VM-entry failure: invalid guest state" },
    [34] = { BROKEN, "VM-entry failure: MSR loading" },
    [36] = { INSTRUCTION, "MWAIT" },
    [37] = { BROKEN, "monitor trap flag" },
    [39] = { INSTRUCTION, "MONITOR" },
    [40] = { BROKEN, "PAUSE" },
    [41] = { BROKEN, "VM-entry failure: machine check" },
    [43] = { BROKEN, "TPR below threshold" },
    [44] = { BROKEN, "APIC access" },
    [45] = { BROKEN, "virtualized EOI" },
    [46] = { INSTRUCTION, "access to GDTR or IDTR" },
    [47] = { INSTRUCTION, "access to LDTR or TR" },
    [48] = { SPECIAL, "EPT violation" },
    [49] = { BROKEN, "EPT misconfiguration" },
    [50] = { INSTRUCTION, "INVEPT" },
    [51] = { INSTRUCTION, "RDTSCP" },
    [52] = { SLICE, "VMX-preemption timer" },
    [53] = { INSTRUCTION, "INVVPID" },
    [54] = { INSTRUCTION, "WBINVD" },
    [55] = { INSTRUCTION, "XSETBV" },
    [56] = { BROKEN, "APIC write" },
    [57] = { INSTRUCTION, "RDRAND" },
    [58] = { INSTRUCTION, "INVPCID" },
    [59] = { INSTRUCTION, "VMFUNC" },
    [60] = { INSTRUCTION, "ENCLS" },
    [61] = { INSTRUCTION, "RDSEED" },
    [62] = { BROKEN, "page-modification log full" },
    [63] = { INSTRUCTION, "XSAVES" },
    [64] = { INSTRUCTION, "XRSTORS" },
    [65] = { INSTRUCTION, "PCONFIG" },
    [66] = { BROKEN, "sub-page permission event" },
    [67] = { INSTRUCTION, "UMWAIT" },
    [68] = { INSTRUCTION, "TPAUSE" },
    [69] = { INSTRUCTION, "LOADIWKEY" },
    [70] = { INSTRUCTION, "ENCLV" },
    [72] = { INSTRUCTION, "ENQCMD" },
    [73] = { INSTRUCTION, "ENQCMDS" },
    [74] = { INTERRUPT, "bus lock" },
    [75] = { BROKEN, "instruction time-out" },
    [76] = { INSTRUCTION, "SEAMCALL" },
    [77] = { INSTRUCTION, "TDCALL" },
    [78] = { INSTRUCTION, "RDMSRLIST" },
    [79] = { INSTRUCTION, "WRMSRLIST" },
};

/* SDM vol. 3C 30.4; the gaps are reserved. */
static const char *const errors[] = {
    [1] = "VMCALL executed in VMX root operation",
    [2] = "VMCLEAR with invalid physical address",
    [3] = "VMCLEAR with VMXON pointer",
    [4] = "VMLAUNCH with non-clear VMCS",
    [5] = "VMRESUME with non-launched VMCS",
    [6] = "VMRESUME after VMXOFF",
    [7] = "VM entry with invalid control fields",
    [8] = "VM entry with invalid host-state fields",
    [9] = "VMPTRLD with invalid physical address",
    [10] = "VMPTRLD with VMXON pointer",
    [11] = "VMPTRLD with incorrect VMCS revision identifier",
    [12] = "VMREAD or VMWRITE of an unsupported field",
    [13] = "VMWRITE to a read-only field",
    [15] = "VMXON executed in VMX root operation",
    [16] = "VM entry with invalid executive-VMCS pointer",
    [17] = "VM entry with non-launched executive VMCS",
    [18] = "VM entry with executive-VMCS pointer not VMXON pointer",
    [19] = "VMCALL with non-clear VMCS",
    [20] = "VMCALL with invalid VM-exit control fields",
    [22] = "VMCALL with incorrect MSEG revision identifier",
    [23] = "VMXOFF under dual-monitor treatment",
    [24] = "VMCALL with invalid SMM-monitor features",
    [25] = "VM entry with invalid VM-execution control fields in executive "
           "VMCS",
    [26] = "VM entry with events blocked by MOV SS",
    [28] = "invalid operand to INVEPT or INVVPID",
};

const char *
ulv_vtx_exit_text(uint32_t reason)
{
    reason &= REASON_BASIC;
    return reason < ULV_COUNT_OF(reasons) ? reasons[reason].text : NULL;
}

const char *
ulv_vtx_error_text(uint32_t error)
{
    const char *text = error < ULV_COUNT_OF(errors) ? errors[error] : NULL;

    return text != NULL ? text : "unknown error";
}

/* ---- faults -------------------------------------------------------------- */

static enum ulv_vtx_next
fault(struct ulv_exit *out, uint32_t kind, uint64_t error_code)
{
    out->reason = ULV_EXIT_FAULT;
    out->u.fault.kind = kind;
    out->u.fault.error_code = error_code;
    return ULV_VTX_RETURN;
}

static enum ulv_vtx_next
exception(const struct ulv_vtx_exit *exit, struct ulv_exit *out)
{
    uint32_t vector = exit->event & EVENT_VECTOR;
    bool has_error = (exit->event & EVENT_HAS_ERROR) != 0;
    uint32_t error = has_error ? exit->event_error : 0;

    if ((exit->event & EVENT_VALID) == 0)
        return fault(out, ULV_FAULT_BACKEND, exit->event);
    if (EVENT_TYPE(exit->event) == EVENT_TYPE_NMI) {
        out->reason = ULV_EXIT_INTERRUPTED;
        return ULV_VTX_NMI;
    }
    (void)fault(out, ULV_FAULT_BACKEND, error);
    out->u.fault.vector = vector;
    if (vector == ULV_VECTOR_MACHINE)
        return ULV_VTX_MACHINE_CHECK;
    /* SDM vol. 3C 27.2.1: of a page fault it is the linear address */
    out->u.fault.address = exit->qualification;
    ulv_fault_classify(&out->u.fault);
    if (vector != ULV_VECTOR_PAGE)
        return ULV_VTX_RETURN;
    /* where the firmware has switched NX off, I/D is never set */
    if (exit->qualification == out->u.fault.registers.rip && (error & 2) == 0)
        out->u.fault.kind = ULV_FAULT_EXECUTE;
    return ULV_VTX_RETURN;
}

static enum ulv_vtx_next
violation(const struct ulv_vtx_exit *exit, struct ulv_exit *out)
{
    const uint64_t both = VIOLATION_LINEAR | VIOLATION_FINAL;
    uint32_t kind = ULV_FAULT_READ;

    if ((exit->qualification & VIOLATION_WRITE) != 0)
        kind = ULV_FAULT_WRITE;
    if ((exit->qualification & VIOLATION_EXECUTE) != 0)
        kind = ULV_FAULT_EXECUTE;
    /* a walk of the guest's page tables, which are ours */
    if ((exit->qualification & both) != both)
        kind = ULV_FAULT_BACKEND;
    (void)fault(out, kind, exit->qualification);
    out->u.fault.vector = kind == ULV_FAULT_BACKEND ? 0 : ULV_VECTOR_PAGE;
    out->u.fault.address = exit->guest_physical;
    return ULV_VTX_RETURN;
}

static enum ulv_vtx_next
special(const struct ulv_vtx_exit *exit, const struct ulv_registers *registers,
        struct ulv_exit *out)
{
    switch (exit->reason & REASON_BASIC) {
    case REASON_EXCEPTION:
        return exception(exit, out);
    case REASON_VMCALL:
        ulv_vtx_call(registers, out);
        return ULV_VTX_CALL;
    case REASON_VIOLATION:
        return violation(exit, out);
    default:
        out->reason = ULV_EXIT_INTERRUPTED;
        return ULV_VTX_CPUID;
    }
}

enum ulv_vtx_next
ulv_vtx_exit_decode(const struct ulv_vtx_exit *exit,
                    const struct ulv_registers *registers,
                    struct ulv_exit *out)
{
    uint32_t reason = exit->reason & REASON_BASIC;

    memset(out, 0, sizeof(*out));
    out->u.fault.registers = *registers;
    out->u.fault.address = registers->rip;
    /* SDM vol. 3C 26.9 */
    if (reason == REASON_ENTRY_CHECK) {
        (void)fault(out, ULV_FAULT_BACKEND, exit->reason);
        out->u.fault.vector = ULV_VECTOR_MACHINE;
        return ULV_VTX_MACHINE_CHECK;
    }
    if ((exit->reason & REASON_ENTRY_FAILED) != 0 ||
        reason >= ULV_COUNT_OF(reasons))
        return fault(out, ULV_FAULT_BACKEND, exit->reason);
    switch (reasons[reason].decision) {
    case SPECIAL:
        return special(exit, registers, out);
    case INTERRUPT:
        out->reason = ULV_EXIT_INTERRUPTED;
        return ULV_VTX_INTERRUPT;
    case SLICE:
        out->reason = ULV_EXIT_INTERRUPTED;
        return ULV_VTX_ON;
    case INSTRUCTION:
        return fault(out, ULV_FAULT_INSTRUCTION, exit->qualification);
    case PROTECTION:
        return fault(out, ULV_FAULT_PROTECTION, exit->qualification);
    case PORT:
        /* SDM vol. 3C table 27-5: the number of the port is bits 31:16 */
        (void)fault(out, ULV_FAULT_PORT, exit->qualification);
        out->u.fault.address = exit->qualification >> 16 & 0xffff;
        return ULV_VTX_RETURN;
    case TRIPLE:
        return fault(out, ULV_FAULT_TRIPLE, 0);
    default:
        return fault(out, ULV_FAULT_BACKEND, exit->reason);
    }
}

/* ---- CPUID --------------------------------------------------------------- */

/* SDM vol. 2A CPUID. Leaf 1: ECX CMPXCHG16B (13), MOVBE (22), POPCNT (23) and
 * RDRAND (30) are kept, a hypervisor (31) is told of; EDX TSC (4), CX8 (8),
 * CMOV (15), CLFSH (19). Nothing that has registers of its own. */
#define LEAF_1_ECX      (BIT(13) | BIT(22) | BIT(23) | BIT(30))
#define LEAF_1_ECX_SET  BIT(31)
#define LEAF_1_EDX      (BIT(4) | BIT(8) | BIT(15) | BIT(19))
/* Leaf 0x80000001: ECX LAHF (0), LZCNT (5), PREFETCHW (8); EDX LM (29) */
#define LEAF_EXTENDED_ECX (BIT(0) | BIT(5) | BIT(8))
#define LEAF_EXTENDED_EDX BIT(29)

#define LEAF_HYPERVISOR UINT32_C(0x40000000)
#define LEAF_EXTENDED   UINT32_C(0x80000000)

/* The leaf to ask the processor for: one that exists everywhere. */
uint32_t
ulv_vtx_cpuid_leaf(uint32_t leaf)
{
    return leaf == 1 || leaf == LEAF_EXTENDED + 1 ? leaf : 0;
}

void
ulv_vtx_cpuid(uint32_t leaf, const uint32_t host[4], uint32_t ret[4])
{
    static const char name[] = "ultravisor\0";

    memset(ret, 0, 4 * sizeof(ret[0]));
    switch (leaf) {
    case 0:
        memcpy(ret, host, 4 * sizeof(ret[0]));
        ret[0] = 1;
        break;
    case 1:
        ret[0] = host[0];
        ret[1] = host[1] & 0xff00; /* CLFLUSH line; no APIC number */
        ret[2] = (host[2] & (uint32_t)LEAF_1_ECX) | (uint32_t)LEAF_1_ECX_SET;
        ret[3] = host[3] & (uint32_t)LEAF_1_EDX;
        break;
    case LEAF_HYPERVISOR:
        ret[0] = LEAF_HYPERVISOR;
        memcpy(&ret[1], name, 12);
        break;
    case LEAF_EXTENDED:
        ret[0] = LEAF_EXTENDED + 1;
        break;
    case LEAF_EXTENDED + 1:
        ret[2] = host[2] & (uint32_t)LEAF_EXTENDED_ECX;
        ret[3] = host[3] & (uint32_t)LEAF_EXTENDED_EDX;
        break;
    default:
        break;
    }
}
