/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Guests of the conformance kit: 64-bit code at 4 MiB with 2 MiB of memory. At
 * the start rdi is an argument, rsp 8 below the end of the stack. Calls go as
 * in <ultravisor/abi/system_call.h>; what is found to be wrong ends in ud2.
 */
#define GATE   0x3ff000
#define RESULT 0x408000
#define STOP   RESULT + 0x100
#define VALUE  RESULT + 0x108
#define BLOCK  0x480000 /* of a mebibyte */
#define BLOCK_WORDS 0x20000

    .macro guest name
    .balign 16
    .globl ulv_kit_code_\name
    .hidden ulv_kit_code_\name
ulv_kit_code_\name:
    .endm
    .macro finish name
    ud2
    .globl ulv_kit_code_\name\()_end
    .hidden ulv_kit_code_\name\()_end
ulv_kit_code_\name\()_end:
    .endm
    .macro gate number
    mov $\number, %edi
    mov $GATE, %eax
    call *%rax
    .endm

    .section .rodata

    guest calls
    mov %rdi, RESULT + 0x80
    mov %rsp, RESULT + 0x88
1:  movabs $0x0101010101010101, %rbx
    movabs $0x0202020202020202, %rbp
    movabs $0x0303030303030303, %r12
    movabs $0x0404040404040404, %r13
    movabs $0x0505050505050505, %r14
    movabs $0x0606060606060606, %r15
    movabs $0x1111222233334444, %rdi
    mov RESULT + 0x80, %rsi
    movabs $0x0123456789abcdef, %rdx
    movabs $0xfedcba9876543210, %rcx
    movabs $0x8000000000000001, %r8
    mov $GATE, %eax
    call *%rax
    mov %rax, RESULT
    mov %rdx, RESULT + 0x08
    mov %rbx, RESULT + 0x10
    mov %rbp, RESULT + 0x18
    mov %r12, RESULT + 0x20
    mov %r13, RESULT + 0x28
    mov %r14, RESULT + 0x30
    mov %r15, RESULT + 0x38
    mov %rsp, RESULT + 0x40
    jmp 1b
    finish calls

    guest echo
    mov %rdi, %rbx
1:  mov %rbx, %rsi
    mov %rbx, %rdx
    not %rdx
    lea (%rbx, %rbx, 2), %rcx
    mov %rbx, %r8
    gate 0x0e0e
    add %rbx, %rax
    jnz 2f
    lea 1(%rbx, %rbx, 2), %rcx
    cmp %rcx, %rdx
    jne 2f
    inc %rbx
    jmp 1b
2:
    finish echo

/* rbx from 0 up; the others keep their distance from it. */
#define OTHERS rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    guest count
    xor %ebx, %ebx
    .set n, 1
    .irp name, OTHERS
    mov $(n * 0x1357), %\name
    .set n, n + 1
    .endr
1:  inc %rbx
    .irp name, OTHERS
    inc %\name
    .endr
    incq RESULT
    incq RESULT + 0x08
    incq RESULT + 0x10
    incq RESULT + 0x18
    push %rbx
    .set n, 1
    .irp name, OTHERS
    mov %\name, %rax
    sub %rbx, %rax
    cmp $(n * 0x1357), %rax
    jne 2f
    .set n, n + 1
    .endr
    pop %rax
    cmp %rbx, %rax
    jne 2f
    cmp RESULT + 0x18, %rax
    jne 2f
    cmpb $0, STOP
    je 1b
    mov %rbx, %rsi
    gate 0x0c0c
2:
    finish count

    guest strings
    xor %ebx, %ebx
1:  inc %rbx
    mov %rbx, %rax
    mov $BLOCK, %edi
    mov $BLOCK_WORDS, %ecx
    rep stosq
    cmp $(BLOCK + BLOCK_WORDS * 8), %rdi
    jne 2f
    mov $BLOCK, %edi
    mov $BLOCK_WORDS, %ecx
    repe scasq
    jne 2f
    test %rcx, %rcx
    jnz 2f
    mov %rbx, RESULT
    cmpb $0, STOP
    je 1b
    mov %rbx, %rsi
    gate 0x0c0c
2:
    finish strings

    guest errands
    xor %esi, %esi
1:  gate 0x0d0d
    cmp $1, %rax
    je 3f
    cmp $2, %rax
    je 4f
    cmp $3, %rax
    je 5f
    cmp $4, %rax
    je 6f
    ud2
3:  mov (%rdx), %rsi
    jmp 1b
4:  mov VALUE, %rsi
    mov %rsi, (%rdx)
    jmp 1b
5:  call *%rdx
    jmp 1b
6:  lock incq (%rdx)
    jmp 1b
    finish errands

    guest writer
1:  inc %rax
    mov %rax, (%rdi)
    jmp 1b
    finish writer

    guest spin
1:  jmp 1b
    finish spin

    guest rings
1:  mov $5, %esi
    gate 0x0501
    mov %rax, RESULT
    mov %rdx, RESULT + 8
    gate 0x0801
    jmp 1b
    finish rings

    guest pair
    mov %rdi, %rbx
    mov $500, %ecx
1:  pause
    mov RESULT, %rax
    and $1, %eax
    cmp %rbx, %rax
    jne 1b
    incq RESULT
    dec %ecx
    jnz 1b
    mov %rbx, %rsi
    gate 0x0f0f
    finish pair

    guest registers
    .set n, 1
    .irp name, rax, rbx, rcx, rdx, rsi, rdi, rbp, \
        r8, r9, r10, r11, r12, r13, r14, r15
    movabs $(n * 0x0101010101010101), %\name
    .set n, n + 1
    .endr
    finish registers

/* rdi = its block: 0 how often it went round, 8 and 16 the last answer, 24 how
 * many handlers are entered, 32 interrupts, 64 those of each vector. The handler
 * finds it in rbx, and calls at its begin and its end if byte 48 is not 0. */
#define KEPT rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    guest interrupts
    mov %rdi, %rbx
1:  .set n, 1
    .irp name, KEPT
    mov $(n * 0x1357), %\name
    .set n, n + 1
    .endr
2:  incq (%rbx)
    .set n, 1
    .irp name, KEPT
    cmp $(n * 0x1357), %\name
    jne 9f
    .set n, n + 1
    .endr
    mov %rcx, %rax
    std
    stc
    push %rcx
    pushfq
    cmp %rcx, %rax
    popfq
    jnc 9f
    cld
    pop %rcx
    cmp %rcx, %rax
    jne 9f
    cmpb $0, STOP
    je 2b
    mov (%rbx), %rsi
    gate 0x0c0c
    mov %rax, 8(%rbx)
    mov %rdx, 16(%rbx)
    jmp 1b
9:  ud2
    .org ulv_kit_code_interrupts + 0x200, 0xcc
    push %rax
    incq 24(%rbx)
    cmpq $1, 24(%rbx)
    jne 9b
    pushfq
    pop %rax
    test $0x500, %eax /* TF, DF */
    jnz 9b
    incq 32(%rbx)
    incq 64(%rbx, %rdi, 8)
    cmpb $0, 48(%rbx)
    je 4f
    .irp name, rdi, rsi, rdx, rcx, r8, r9, r10, r11
    push %\name
    .endr
    mov %rdi, %rsi
    gate 0x0a0a
    gate 0x0b0b
    .irp name, r11, r10, r9, r8, rcx, rdx, rsi, rdi
    pop %\name
    .endr
4:  decq 24(%rbx)
    pop %rax
5:  mov $0x0903, %edi
    push $GATE
    ret
    .org ulv_kit_code_interrupts + 0x300, 0xcc
    push %rax
    .irp name, rdi, rsi, rdx, rcx, r8, r9, r10, r11
    push %\name
    .endr
    mov %rdi, %rsi
    gate 0x0f0a
    .irp name, r11, r10, r9, r8, rcx, rdx, rsi, rdi
    pop %\name
    .endr
    pop %rax
    jmp 5b
    finish interrupts

    guest resumes
    gate 0x0903
    finish resumes

    .section .note.GNU-stack, "", @progbits
