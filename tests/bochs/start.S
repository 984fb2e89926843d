/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * From the BIOS to 64-bit C in an emulator that loads the image by itself: an
 * option ROM enters protected mode and jumps to 1 MiB. Memory below 1 GiB is
 * mapped where it is. Exceptions and interrupts have a stack of their own.
 */
    .section .rom, "ax"
    .code16
rom:
    .byte 0x55, 0xaa, 4 /* signature, size in 512 bytes */
    jmp enter
enter:
    cli
    mov %cs, %ax
    mov %ax, %ds
    in $0x92, %al /* address line 20 */
    or $2, %al
    out %al, $0x92
    lgdtl (rom_gdtr - rom)
    mov %cr0, %eax
    and $0x9fffffff, %eax /* caches on */
    or $1, %eax
    mov %eax, %cr0
    ljmpl $8, $protected
    .code32
protected:
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $start, %eax
    jmp *%eax
    .balign 8
rom_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
rom_gdtr:
    .word . - rom_gdt - 1
    .long rom_gdt
    .org 2048

    .section .start, "ax"
    .code32
    .globl start
start:
    mov $stack_end, %esp
    mov $__bss, %edi
    mov $__end, %ecx
    sub %edi, %ecx
    xor %eax, %eax
    cld
    rep stosb
    movl $(pdpt + 3), pml4
    movl $(directory + 3), pdpt
    mov $0x83, %eax
    mov $directory, %edi
    mov $512, %ecx
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0x620, %eax /* PAE; OSFXSR OSXMMEXCPT: the core may use SSE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x900, %eax /* LME NXE */
    wrmsr
    mov $0x80000013, %eax /* PG ET MP PE */
    mov %eax, %cr0
    movl $interrupt_stack_end, task + 36 /* IST 1 */
    mov $task, %eax
    mov %ax, gdt_task + 2
    shr $16, %eax
    mov %al, gdt_task + 4
    mov %ah, gdt_task + 7
    lgdt gdtr
    ljmp $8, $long_mode
    .code64
long_mode:
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    xor %eax, %eax
    mov %ax, %fs
    mov %ax, %gs
    mov $0x18, %ax
    ltr %ax
    mov $idt, %edi
    mov $stubs, %esi
    mov $256, %ecx
2:  mov %rsi, %rax
    mov %ax, (%rdi)
    movw $8, 2(%rdi)
    movw $0x8e01, 4(%rdi) /* an interrupt gate with IST 1 */
    shr $16, %rax
    mov %ax, 6(%rdi)
    add $16, %rdi
    add $16, %rsi
    loop 2b
    lidt idtr
    mov $stack_end, %esp
    call bare_main

    .balign 16
stubs:
    .set vector, 0
    .rept 256
    .balign 16
    push $vector
    jmp trap
    .set vector, vector + 1
    .endr
trap:
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    lea 72(%rsp), %rdi
    cld
    call bare_trap
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
    add $8, %rsp
    iretq

    .data
    .balign 8
gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_task:
    .quad 0x0000890000000067, 0
gdtr:
    .word . - gdt - 1
    .quad gdt
idtr:
    .word 4095
    .quad idt

    .bss
    .balign 4096
pml4:
    .skip 4096
pdpt:
    .skip 4096
directory:
    .skip 4096
idt:
    .skip 4096
task:
    .skip 4096
    .skip 16384
interrupt_stack_end:
    .skip 65536
stack_end:
    .section .note.GNU-stack, "", @progbits
