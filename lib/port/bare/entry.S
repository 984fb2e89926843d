/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Where the image is entered: by GRUB (Multiboot2) or by the option ROM, both
 * in 32-bit protected mode without paging, at the first byte of the image or
 * at its ELF entry, which are the same. eax says who came. From here to long
 * mode, with the first 4 GiB identity mapped; then bare_start in C.
 *
 * SDM: Intel 64 and IA-32 Architectures Software Developer's Manual.
 */

/* Multiboot2 specification 2.0, 3.1.1 (header) and 3.1.3 (tags) */
#define MULTIBOOT2_HEADER_MAGIC 0xe85250d6
#define MULTIBOOT2_I386         0

#define CR0_PE 0x00000001 /* SDM 3A 2.5 */
#define CR0_MP 0x00000002
#define CR0_ET 0x00000010
#define CR0_NE 0x00000020
#define CR0_WP 0x00010000
#define CR0_PG 0x80000000
/* neither CD nor NW: reset leaves both set */
#define CR0_WANTED (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define CR4_PAE    0x20 /* SDM 3A 2.5 */
#define MSR_EFER   0xc0000080 /* SDM 4, table 2-2 */
#define EFER_LME   0x100

#define PAGE_TABLE 0x03 /* present, writable: SDM 3A 4.5 */
#define PAGE_LARGE 0x83 /* and 2 MiB */

#define COM1     0x3f8
#define SHUTDOWN 0x8900 /* Bochs: "Shutdown" ends it */

#define SELECTOR_CODE 8
#define SELECTOR_DATA 16

    .section .boot, "ax"
    .code32
    .globl bare_entry
bare_entry:
    jmp enter
    .balign 8
header:
    .long MULTIBOOT2_HEADER_MAGIC
    .long MULTIBOOT2_I386
    .long header_end - header
    .long -(MULTIBOOT2_HEADER_MAGIC + MULTIBOOT2_I386 + header_end - header)
    .word 0, 0      /* the tag that ends them */
    .long 8
header_end:

enter:
    cli
    cld
    mov %eax, %esi  /* who */
    mov %ebx, %ebp  /* what it hands over */
    mov $bare_bss_start, %edi
    mov $bare_bss_end, %ecx
    sub %edi, %ecx
    shr $2, %ecx
    xor %eax, %eax
    rep stosl
    mov $stack_top, %esp

    /* Long mode at all? SDM 2A CPUID: 80000001H EDX bit 29 */
    mov $0x80000000, %eax
    cpuid
    cmp $0x80000001, %eax
    jb refuse
    mov $0x80000001, %eax
    cpuid
    bt $29, %edx
    jnc refuse

    /* 2048 pages of 2 MiB in four directories */
    mov $bare_directories, %edi
    mov $PAGE_LARGE, %eax
1:  mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    jnc 1b
    mov $bare_directories + PAGE_TABLE, %eax
    mov $bare_pointers, %edi
    mov $4, %ecx
2:  mov %eax, (%edi)
    add $8, %edi
    add $4096, %eax
    loop 2b
    movl $bare_pointers + PAGE_TABLE, bare_level4

    mov $CR4_PAE, %eax
    mov %eax, %cr4
    mov $bare_level4, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov $CR0_WANTED, %eax
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $SELECTOR_CODE, $enter_long

refuse:
    mov $refusal, %esi
    mov $COM1, %edx
3:  lodsb
    test %al, %al
    jz 4f
    out %al, %dx
    jmp 3b
4:  mov $shutdown, %esi
    mov $SHUTDOWN, %edx
    mov $8, %ecx
    rep outsb
5:  hlt
    jmp 5b

    .code64
enter_long:
    mov $SELECTOR_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov $stack_top, %esp
    mov %esi, %edi          /* bare_start(who, what, tables) */
    mov %ebp, %esi
    mov $tables, %edx
    xor %ebp, %ebp
    call bare_start
    ud2

/* ---- exceptions: SDM 3A 6.12, 6.14 --------------------------------------- */

    .text
    .balign 16
    .globl bare_vectors
bare_vectors:           /* 256 of them, 16 bytes each */
number = 0
    .rept 256
    .balign 16
    /* those with an error code: SDM 3A table 6-1 */
    .if (number == 8) || ((number >= 10) && (number <= 14)) || \
        (number == 17) || (number == 21) || (number == 29) || (number == 30)
    .else
    push $0
    .endif
    push $number
    jmp vector_common
number = number + 1
    .endr

vector_common:          /* the order of struct bare_frame */
    cld
    push %r15
    push %r14
    push %r13
    push %r12
    push %r11
    push %r10
    push %r9
    push %r8
    push %rbp
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rbx
    push %rax
    mov %rsp, %rdi
    call bare_exception
    ud2

/* ---- other processors: SDM 3A 8.4.4 -------------------------------------- */

/* Copied to a page below 1 MiB, where the start-up message sends a processor:
 * real mode, cs = page, ip = 0. Straight to long mode (SDM 3A 9.8.5). */
    .section .rodata
    .balign 16
    .code16
    .globl bare_trampoline, bare_trampoline_end
bare_trampoline:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    mov $CR4_PAE, %eax
    mov %eax, %cr4
    mov $bare_level4, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    lgdtl trampoline_gdt - bare_trampoline
    mov trampoline_argument - bare_trampoline, %ebp
    mov $CR0_WANTED, %eax
    mov %eax, %cr0
    ljmpl $SELECTOR_CODE, $parked_long
trampoline_gdt:
    .word gdt_end - gdt - 1
    .long gdt
    .balign 4
trampoline_argument:    /* top of its stack: bare_trampoline_end - 4 */
    .long 0
bare_trampoline_end:

    .text
    .code64
parked_long:
    mov $SELECTOR_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov %ebp, %esp
    mov %rsp, %rdi          /* bare_parked(top of the stack) */
    xor %ebp, %ebp
    call bare_parked
    ud2

/* ---- data ---------------------------------------------------------------- */

    .section .rodata
    .balign 8
gdt:                        /* until bare_start loads its own */
    .quad 0
    .quad 0x00af9b000000ffff    /* 64-bit code: SDM 3A 3.4.5 */
    .quad 0x00cf93000000ffff    /* data */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
refusal:
    .asciz "error: this processor has no long mode\r\n"
shutdown:
    .ascii "Shutdown"

    .bss
    .balign 4096
    .globl bare_level4
bare_level4:
    .skip 4096
    .globl bare_pointers
bare_pointers:
    .skip 4096
bare_directories:
    .skip 4 * 4096
tables:                     /* struct bare_tables */
    .skip 4 * 4096
    .balign 4096
    .globl bare_stack_guard
bare_stack_guard:           /* not mapped after the start */
    .skip 4096
    .skip 262144
stack_top:

    .section .note.GNU-stack, "", @progbits
