/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Guests of the cases of the VT-x backend that are longer than a few bytes:
 * 64-bit code at 4 MiB, rdi 77, the stack ends at 6 MiB. What they have found
 * out they store from RESULT on, and end with ud2.
 */
#define RESULT 0x400800
#define REGISTERS rbx, rcx, rdx, rsi, rdi, rbp, \
    r8, r9, r10, r11, r12, r13, r14, r15

    .macro guest name
    .globl \name
\name:
    .endm
    .macro finish name
    ud2
    .globl \name\()_end
\name\()_end:
    .endm

    .section .rodata

/* Keeps its registers in sight and counts. */
    guest guest_registers
    xor %eax, %eax
    .set n, 0x1001
    .irp name, REGISTERS
    movabs $(n * 0x100010001), %\name
    .set n, n + 1
    .endr
1:  .set n, 0x1001
    .irp name, REGISTERS
    movabs $(n * 0x100010001), %rax
    cmp %rax, %\name
    jne 2f
    .set n, n + 1
    .endr
    cmp $0x5ffff8, %rsp
    jne 2f
    incq RESULT
    jmp 1b
2:
    finish guest_registers

/* Interrupts on, all ports allowed: IF and IOPL; SDM vol. 1 3.4.3. */
    guest guest_popf
    pushf
    orl $0x3200, (%rsp)
    popf
    pushf
    pop %rax
    finish guest_popf

/* Every flag that a guest may have: CF PF AF ZF SF DF OF NT AC ID. */
    guest guest_flags
    pushf
    orl $0x244cd5, (%rsp)
    popf
    vmcall
    pushf
    pop %rax
    finish guest_flags

/* To code of the kernel by each way back from one; SDM vol. 2A IRET, RET. */
    guest guest_iret
    push $0x10
    push %rsp
    pushf
    push $8
    push $0
    iretq
    finish guest_iret

    guest guest_far_return
    push $8
    push $0
    lretq
    finish guest_far_return

/* What instructions tell that need no privilege; SDM vol. 2B SGDT, SIDT. */
    guest guest_tables
    sgdt RESULT
    sidt RESULT + 0x10
    str %rax
    mov %rax, RESULT + 0x20
    sldt %rax
    mov %rax, RESULT + 0x28
    smsw %rax
    mov %rax, RESULT + 0x30
    xor %ecx, %ecx
    mov $8, %edx        /* limit of the host's code; SDM vol. 2A LSL */
    lsl %edx, %ecx
    mov %rcx, RESULT + 0x38
    finish guest_tables

/* All memory from its second page on, and further. */
    guest guest_fill
    mov $0x401000, %edi
    mov $0xcc, %al
    mov $-1, %rcx
    rep stosb
    finish guest_fill

/* A stack pointer that is not canonical, at a call. */
    guest guest_stack
    movabs $0x8000000000000000, %rsp
    vmcall
    finish guest_stack

/* An instruction of 16 bytes; SDM vol. 2A 2.3.11. */
    guest guest_too_long
    .fill 15, 1, 0x66
    nop
    finish guest_too_long

/* "Shutdown" to the port that ends the emulator. */
    guest guest_shutdown
    mov $0x400000 + (1f - guest_shutdown), %esi
    mov $8, %ecx
    mov $0x8900, %edx
    rep outsb
    ud2
1:  .ascii "Shutdown"
    finish guest_shutdown

/* ---- the handlers of the host's timer; see backend_time.c ---------------- */

    .text
    .globl backend_interrupt
backend_interrupt:
    push %rax
    incq interrupts
    mov $0x20, %al      /* end of interrupt; Intel 8259A data sheet */
    out %al, $0x20
    pop %rax
    iretq

    .globl backend_nmi
backend_nmi:
    incq nmis
    iretq

    .section .note.GNU-stack, "", @progbits
