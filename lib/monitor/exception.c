/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "monitor/exception.h"

#include "base/base.h"

/* Page-fault error code; SDM vol. 3A 4.7. */
#define PAGE_ERROR_WRITE   UINT64_C(2)
#define PAGE_ERROR_EXECUTE UINT64_C(16)

/* What a refused instruction was. */
enum refused { REFUSED_OTHER, REFUSED_PORT, REFUSED_PRIVILEGED };

void
ulv_fault_take_instruction(struct ulv_exit_fault *fault, uint64_t guest,
                           uint64_t bytes, const void *p)
{
    uint64_t offset = fault->registers.rip - guest;

    if (offset >= bytes)
        return;
    fault->instruction_bytes = (uint32_t)ULV_MIN(
        bytes - offset, (uint64_t)sizeof(fault->instruction));
    memcpy(fault->instruction, (const uint8_t *)p + offset,
           fault->instruction_bytes);
}

/* SDM vol. 2A 2.1.1 (legacy prefixes) and 2.2.1 (REX). */
static bool
is_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return byte >> 4 == 4;
    }
}

/* The second byte after 0f of instructions that need CPL 0; SDM vol. 3A 5.9. */
static bool
is_privileged_two_byte(uint8_t byte)
{
    switch (byte) {
    case 0x00: /* lldt ltr */
    case 0x01: /* lgdt lidt lmsw invlpg swapgs xsetbv */
    case 0x06: /* clts */
    case 0x07: /* sysret */
    case 0x08: /* invd */
    case 0x09: /* wbinvd */
    case 0x20: /* mov from and to control and debug registers */
    case 0x21:
    case 0x22:
    case 0x23:
    case 0x30: /* wrmsr */
    case 0x32: /* rdmsr */
    case 0x33: /* rdpmc */
    case 0x35: /* sysexit */
        return true;
    default:
        return false;
    }
}

/* in, out: opcode map of SDM vol. 2D table A-2. */
static enum refused
refused_of(const uint8_t *code, uint32_t bytes, uint64_t rdx,
           uint64_t *ret_port)
{
    uint32_t at = 0;

    while (at < bytes && is_prefix(code[at]))
        at++;
    if (at == bytes)
        return REFUSED_OTHER;
    switch (code[at]) {
    case 0x6c: /* ins, outs */
    case 0x6d:
    case 0x6e:
    case 0x6f:
    case 0xec: /* in, out with the port in dx */
    case 0xed:
    case 0xee:
    case 0xef:
        *ret_port = rdx & 0xffff;
        return REFUSED_PORT;
    case 0xe4: /* in, out with the port in the instruction */
    case 0xe5:
    case 0xe6:
    case 0xe7:
        if (at + 1 == bytes)
            return REFUSED_OTHER;
        *ret_port = code[at + 1];
        return REFUSED_PORT;
    case 0xf4: /* hlt */
    case 0xfa: /* cli */
    case 0xfb: /* sti */
        return REFUSED_PRIVILEGED;
    case 0x0f:
        return at + 1 < bytes && is_privileged_two_byte(code[at + 1])
                   ? REFUSED_PRIVILEGED
                   : REFUSED_OTHER;
    default:
        return REFUSED_OTHER;
    }
}

static void
classify_protection(struct ulv_exit_fault *fault)
{
    fault->kind = ULV_FAULT_PROTECTION;
    switch (refused_of(fault->instruction, fault->instruction_bytes,
                       fault->registers.rdx, &fault->address)) {
    case REFUSED_PORT:
        fault->kind = ULV_FAULT_PORT;
        break;
    case REFUSED_PRIVILEGED:
        fault->kind = ULV_FAULT_INSTRUCTION;
        break;
    case REFUSED_OTHER:
        break;
    }
}

void
ulv_fault_classify(struct ulv_exit_fault *fault)
{
    if (fault->vector == ULV_VECTOR_PAGE) {
        if ((fault->error_code & PAGE_ERROR_EXECUTE) != 0)
            fault->kind = ULV_FAULT_EXECUTE;
        else
            fault->kind = (fault->error_code & PAGE_ERROR_WRITE) != 0
                              ? ULV_FAULT_WRITE
                              : ULV_FAULT_READ;
        return;
    }
    fault->address = fault->registers.rip;
    switch (fault->vector) {
    case ULV_VECTOR_DIVIDE:
    case ULV_VECTOR_X87:
    case ULV_VECTOR_SIMD:
        fault->kind = ULV_FAULT_ARITHMETIC;
        break;
    case ULV_VECTOR_DEBUG:
    case ULV_VECTOR_BREAKPOINT:
    case ULV_VECTOR_OPCODE:
    case ULV_VECTOR_DEVICE:
        fault->kind = ULV_FAULT_INSTRUCTION;
        break;
    case ULV_VECTOR_PROTECTION:
        classify_protection(fault);
        break;
    default:
        fault->kind = ULV_FAULT_PROTECTION;
    }
}
