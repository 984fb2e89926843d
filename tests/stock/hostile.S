/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A kernel that does what no kernel would, entered by PVH: in 32-bit protected
 * mode, ebx is the start info. The first letter of its command line says what:
 *
 *   p  every port, read and written back     m  addresses without memory
 *   r  model-specific registers              s  strings to and from a port
 *   t  a triple fault                        x  runs where there is no memory
 *   w  a reset                               c  counts with interrupts off
 *   i  sleeps with interrupts on, for ever   v  real mode, and a fault in it
 *
 * What comes to an end says "done" on its console and sleeps with interrupts
 * off.
 */
#define UART 0x3f8

        .code32
        .text
        .globl _start
_start: movl $stack, %esp
        movl 24(%ebx), %esi             /* hvm_start_info.cmdline_paddr */
        movb (%esi), %al
        cmpb $'p', %al
        je ports
        cmpb $'m', %al
        je holes
        cmpb $'r', %al
        je registers
        cmpb $'s', %al
        je strings
        cmpb $'t', %al
        je triple
        cmpb $'x', %al
        je nowhere
        cmpb $'w', %al
        je reset
        cmpb $'c', %al
        je count
        cmpb $'i', %al
        je idle
        cmpb $'v', %al
        je real
        jmp done

/* In steps of the letter that follows, counted from '0': 'O' is 31. */
ports:  movzbl 1(%esi), %ebx
        subl $'0', %ebx
        xorl %edx, %edx
1:      inb %dx, %al
        outb %al, %dx
        inl %dx, %eax
        addl %ebx, %edx
        cmpl $0x10000, %edx
        jb 1b
        jmp done

/* The hole in steps of 1 MiB, which meet the interrupt controllers too, its end
 * by pages, and all that is above the memory, in steps of 16 MiB. */
holes:  movl $0xc0000000, %edi
        movl $0x100000, %ebx
1:      movl (%edi), %eax
        movl %eax, (%edi)
        movb $0x5a, 1(%edi)
        cmpl $0xfff00000, %edi
        jb 3f
        movl $0x1000, %ebx
3:      addl %ebx, %edi
        jnz 1b
        movl $0x40000000, %edi
2:      movl (%edi), %eax
        cmpl $-1, %eax
        jne wrong
        movl $0, (%edi)
        addl $0x1000000, %edi
        cmpl $0xc0000000, %edi
        jne 2b
        jmp done

/* Each of some ranges is read, and ones are written to it; how many could be
 * read is said. An exception goes on behind the instruction, of two bytes. */
registers:
        movl $skip, %eax
        movw %ax, gate
        shrl $16, %eax
        movw %ax, gate + 6
        lgdt gdt_at
        ljmp $8, $1f
1:      movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $8, gate + 2
        lidt idt_at
        movl $ranges, %esi
2:      movl (%esi), %ecx
        movl 4(%esi), %edi
3:      movl $0, faulted
        rdmsr
        cmpl $0, faulted
        jne 4f
        incl could
4:      movl $-1, %eax
        movl $-1, %edx
        wrmsr
        incl %ecx
        decl %edi
        jnz 3b
        addl $8, %esi
        cmpl $ranges_end, %esi
        jne 2b
        movl could, %eax
        call hexadecimal
        jmp done
skip:   movl $1, faulted
        addl $4, %esp                   /* the error code */
        addl $2, (%esp)
        iretl

strings:
        movl $word, %esi
        movl $5, %ecx
        movl $UART, %edx
        cld
        rep outsb
        movl $line, %edi
        movl $16, %ecx
        movl $UART + 5, %edx            /* the line's status: empty, each time */
        rep insb
        movl $line, %esi
        movl $16, %ecx
1:      lodsb
        cmpb $0x60, %al
        jne wrong
        loop 1b
        jmp done

triple: lidt nothing
        int3

nowhere:
        movl $0xd0000000, %eax
        jmp *%eax

reset:  movb $0xfe, %al
        outb %al, $0x64
1:      hlt
        jmp 1b

count:  cli
1:      incl counted
        jmp 1b

idle:   sti
        hlt
        jmp idle

/* Below 64 KiB, where real mode is: what runs there has no vectors. */
real:   movl $real_code, %esi
        movl $0x8000, %edi
        movl $real_end - real_code, %ecx
        cld
        rep movsb
        lgdt gdt_at
        ljmp $24, $0x8000
        .code16
real_code:
        movl %cr0, %eax
        andb $0xfe, %al
        movl %eax, %cr0
        ljmp $0x800, $real_far - real_code
real_far:
        movw $UART, %dx
        movb $'R', %al
        outb %al, %dx
        movb $'\n', %al
        outb %al, %dx
        lidtw %cs:real_nothing - real_code
        ud2
real_nothing:
        .space 6
real_end:
        .code32

wrong:  movl $bad, %esi
        movl $bad_end - bad, %ecx
        jmp say
done:   movl $good, %esi
        movl $good_end - good, %ecx
say:    movl $UART, %edx
        cld
        rep outsb
        cli
1:      hlt
        jmp 1b

hexadecimal:
        movl $UART, %edx
        movl $8, %ecx
1:      roll $4, %eax
        movl %eax, %edi
        andl $15, %eax
        movb digits(%eax), %al
        outb %al, %dx
        movl %edi, %eax
        loop 1b
        movb $' ', %al
        outb %al, %dx
        ret

        .data
good:   .ascii "done\n"
good_end:
bad:    .ascii "wrong\n"
bad_end:
word:   .ascii "text "
digits: .ascii "0123456789abcdef"
nothing: .space 6
        .balign 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff
gdt_at: .word gdt_at - gdt - 1
        .long gdt
        .balign 8
idt:    .space 13 * 8
gate:   .word 0, 0, 0x8e00, 0           /* general protection */
idt_at: .word idt_at - idt - 1
        .long idt
ranges: .long 0, 0x1000
        .long 0x40000000, 0x200
        .long 0x4b564d00, 0x10
        .long 0xc0000000, 0x1000
        .long 0xc0010000, 0x1200
ranges_end:
could:  .long 0
faulted: .long 0
counted: .long 0
        .bss
line:   .space 16
        .space 4096
stack:

        .section .note.pvh, "a", @note
        .long 4, 4, 18                  /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz "Xen"
        .long _start
        .section .note.GNU-stack, "", @progbits
