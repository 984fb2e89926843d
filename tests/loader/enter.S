/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The ROM of a machine that does nothing but enter an image as its plan says:
 * MODE, ENTRY, RBX, RSI, PAGE_TABLES, GDT and GDT_BYTES are given on the
 * command line. It is 64 KiB below 4 GiB.
 */
        .code16
start:  cli
        lgdtl %cs:(own_gdt - start)
        movl %cr0, %eax
        orl $1, %eax
        movl %eax, %cr0
        ljmpl $8, $protected

        .code32
protected:
        movl $16, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        movl $RBX, %ebx
.if MODE == 3
        movl $ENTRY, %eax
        jmp *%eax
.else
        movl $PAGE_TABLES, %eax
        movl %eax, %cr3
        movl %cr4, %eax
        orl $0x20, %eax                 /* PAE */
        movl %eax, %cr4
        movl $0xc0000080, %ecx          /* EFER */
        rdmsr
        orl $0x100, %eax                /* LME */
        wrmsr
        movl %cr0, %eax
        orl $0x80000000, %eax
        movl %eax, %cr0
        lgdt plan_gdt
        ljmp $0x10, $long

        .code64
long:   movl $0x18, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        movq $RSI, %rsi
        movq $ENTRY, %rax
        jmp *%rax
plan_gdt:
        .word GDT_BYTES - 1
        .quad GDT
.endif

        .balign 8
flat:   .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
own_gdt:
        .word own_gdt - flat - 1
        .long flat

        .org 0xfff0
        .code16
        jmp start
        .org 0x10000
