/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* From an exit of KVM to a fault in our words. */
#include <string.h>
#include <sys/ioctl.h>

#include "backend/kvm/kvm_priv.h"
#include "monitor/exception.h"

void
ulv_kvm_take_registers(const struct kvm_regs *from, struct ulv_registers *to)
{
    to->rax = from->rax;
    to->rbx = from->rbx;
    to->rcx = from->rcx;
    to->rdx = from->rdx;
    to->rsi = from->rsi;
    to->rdi = from->rdi;
    to->rbp = from->rbp;
    to->rsp = from->rsp;
    to->r8 = from->r8;
    to->r9 = from->r9;
    to->r10 = from->r10;
    to->r11 = from->r11;
    to->r12 = from->r12;
    to->r13 = from->r13;
    to->r14 = from->r14;
    to->r15 = from->r15;
    to->rip = from->rip;
    to->rflags = from->rflags;
}

/* SDM vol. 3A table 6-1: which exceptions push an error code. */
static bool
pushes_error(uint32_t vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 ||
           vector == 21 || vector == 29 || vector == 30;
}

bool
ulv_kvm_is_exception(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_IO && run->io.port == FAULT_PORT;
}

/* The frame lies at the top of the exception stack; SDM vol. 3A 6.14.2. */
void
ulv_kvm_exception(struct vcpu *v, struct ulv_exit *out)
{
    const struct machine *m = v->machine;
    struct ulv_exit_fault *fault = &out->u.fault;
    const struct kvm_regs *regs = &v->run->s.regs.regs;
    uint64_t frame[6]; /* error, rip, cs, rflags, rsp, ss */
    struct kvm_sregs sregs;

    memcpy(frame, m->low + STACK + (v->idx + 1) * STACK_ROOM - sizeof(frame),
           sizeof(frame));
    fault->vector = (uint32_t)((regs->rip - STUBS) / STUB_BYTES) & 255;
    if (ulv_kvm_debug_exception(v, fault->vector, frame, out))
        return;
    v->ended = true;
    out->reason = ULV_EXIT_FAULT;
    fault->error_code = pushes_error(fault->vector) ? frame[0] : 0;
    ulv_kvm_take_registers(regs, &fault->registers);
    fault->registers.rip = frame[1];
    fault->registers.rflags = frame[3];
    fault->registers.rsp = frame[4];
    if (fault->vector == ULV_VECTOR_PAGE &&
        ioctl(v->fd, KVM_GET_SREGS, &sregs) == 0)
        fault->address = sregs.cr2;
    ulv_regions_take_instruction(&m->regions, fault);
    ulv_fault_classify(fault);
    if (fault->vector == ULV_VECTOR_DIVIDE &&
        ulv_kvm_is_door(m, fault->registers.rip))
        fault->kind = ULV_FAULT_INSTRUCTION; /* there was no interrupt */
}

/* KVM could not carry out an instruction; it says which, where it had fetched
 * it. api.rst 5, KVM_EXIT_INTERNAL_ERROR */
static void
take_emulated(const struct kvm_run *run, struct ulv_exit_fault *fault)
{
    uint32_t bytes = 0;

    fault->kind = ULV_FAULT_EMULATION;
    if (run->emulation_failure.ndata >= 3 &&
        (run->emulation_failure.flags &
         KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0)
        bytes = run->emulation_failure.insn_size;
    fault->instruction_bytes =
        (uint32_t)ULV_MIN(bytes, sizeof(fault->instruction));
    memcpy(fault->instruction, run->emulation_failure.insn_bytes,
           fault->instruction_bytes);
}

void
ulv_kvm_other_exit(struct vcpu *v, struct ulv_exit *out)
{
    struct ulv_exit_fault *fault = &out->u.fault;
    const struct kvm_run *run = v->run;

    v->ended = true;
    out->reason = ULV_EXIT_FAULT;
    ulv_kvm_take_registers(&run->s.regs.regs, &fault->registers);
    fault->address = fault->registers.rip;
    switch (run->exit_reason) {
    case KVM_EXIT_SHUTDOWN:
        fault->kind = ULV_FAULT_TRIPLE;
        break;
    case KVM_EXIT_MMIO:
        fault->kind = run->mmio.is_write ? ULV_FAULT_WRITE : ULV_FAULT_READ;
        fault->address = run->mmio.phys_addr;
        break;
    case KVM_EXIT_IO:
        fault->kind = ULV_FAULT_PORT;
        fault->address = run->io.port;
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        fault->kind = ULV_FAULT_BACKEND;
        fault->error_code = run->internal.suberror;
        if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
            take_emulated(run, fault);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        fault->kind = ULV_FAULT_BACKEND;
        fault->error_code = run->fail_entry.hardware_entry_failure_reason;
        break;
    default:
        fault->kind = ULV_FAULT_BACKEND;
        fault->error_code = run->exit_reason;
    }
    /* a kernel's rip is no guest-physical address */
    if (fault->instruction_bytes == 0 &&
        v->machine->cfg.kind == ULV_MACHINE_SDK)
        ulv_regions_take_instruction(&v->machine->regions, fault);
}
