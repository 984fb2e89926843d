/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * uint32_t ulv_vtx_enter(struct ulv_registers *registers, uint32_t resume)
 *
 * Into the guest and back: SDM vol. 3C 30.3 VMLAUNCH, 26 (entries), 27 (exits).
 * The host's segments, control and table registers come from the VMCS, its
 * callee-saved registers from the stack. Offsets are those of struct
 * ulv_registers; vcpu.c asserts them.
 */
#define RAX 0
#define RBX 8
#define RCX 16
#define RDX 24
#define RSI 32
#define RDI 40
#define RBP 48
#define R8  64
#define R9  72
#define R10 80
#define R11 88
#define R12 96
#define R13 104
#define R14 112
#define R15 120

/* SDM vol. 3D B.4.4 */
#define HOST_RSP 0x6c14
#define HOST_RIP 0x6c16

    .text
    .globl ulv_vtx_enter
    .hidden ulv_vtx_enter
    .type ulv_vtx_enter, @function
ulv_vtx_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdi
    mov $HOST_RSP, %eax
    vmwrite %rsp, %rax
    jbe .Lfailed
    lea .Lexited(%rip), %rdx
    mov $HOST_RIP, %eax
    vmwrite %rdx, %rax
    jbe .Lfailed
    test %esi, %esi
    /* no instruction from here to the jump changes the flags */
    mov RAX(%rdi), %rax
    mov RBX(%rdi), %rbx
    mov RCX(%rdi), %rcx
    mov RDX(%rdi), %rdx
    mov RSI(%rdi), %rsi
    mov RBP(%rdi), %rbp
    mov R8(%rdi), %r8
    mov R9(%rdi), %r9
    mov R10(%rdi), %r10
    mov R11(%rdi), %r11
    mov R12(%rdi), %r12
    mov R13(%rdi), %r13
    mov R14(%rdi), %r14
    mov R15(%rdi), %r15
    mov RDI(%rdi), %rdi
    jnz .Lresume
    vmlaunch
    jmp .Lfailed
.Lresume:
    vmresume
.Lfailed:
    /* carry: VMfailInvalid; else VMfailValid */
    mov $1, %eax
    jc .Lout
    mov $2, %eax
    jmp .Lout
.Lexited:
    push %rdi
    mov 8(%rsp), %rdi
    mov %rax, RAX(%rdi)
    mov %rbx, RBX(%rdi)
    mov %rcx, RCX(%rdi)
    mov %rdx, RDX(%rdi)
    mov %rsi, RSI(%rdi)
    mov %rbp, RBP(%rdi)
    mov %r8, R8(%rdi)
    mov %r9, R9(%rdi)
    mov %r10, R10(%rdi)
    mov %r11, R11(%rdi)
    mov %r12, R12(%rdi)
    mov %r13, R13(%rdi)
    mov %r14, R14(%rdi)
    mov %r15, R15(%rdi)
    pop %rax
    mov %rax, RDI(%rdi)
    /* Nothing of the guest's choice is left for code that is run ahead; of the
     * registers popped below neither. */
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    xor %eax, %eax
.Lout:
    add $8, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .size ulv_vtx_enter, . - ulv_vtx_enter
    .section .note.GNU-stack, "", @progbits
