/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A guest that keeps its registers in sight and counts at 0x400800. */
    .text
    .globl guest_registers, guest_registers_end
guest_registers:
    xor %eax, %eax
    .set n, 0x1001
    .irp name, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    movabs $(n * 0x100010001), %\name
    .set n, n + 1
    .endr
1:  .set n, 0x1001
    .irp name, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    movabs $(n * 0x100010001), %rax
    cmp %rax, %\name
    jne 2f
    .set n, n + 1
    .endr
    cmp $0x5ffff8, %rsp
    jne 2f
    incq 0x400800
    jmp 1b
2:  ud2
guest_registers_end:
    .section .note.GNU-stack, "", @progbits
