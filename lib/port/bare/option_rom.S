/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An option ROM of 2 KiB that starts an image which lies in RAM at 1 MiB
 * already: a second way to boot, without a disk and a loader, for emulators.
 * Hands over in eax who it is, in ebx a record of the memory map.
 */
#define ROM_BYTES    2048
#define ROM_ADDRESS  0xd0000    /* where the emulator puts it */
#define IMAGE        0x100000
#define RECORD       0x1000     /* in RAM the BIOS leaves alone */
#define ENTRIES      (RECORD + 16)
#define ENTRIES_MAX  100
#define ENTRY_BYTES  24

/* The record: struct bare_rom_record */
#define ROM_MAGIC    0x52564c55 /* "ULVR" */
#define SOURCE_E820  2          /* ULV_BARE_ENTRY_ROM_E820 */
#define SOURCE_CMOS  3

#define SMAP         0x534d4150 /* ACPI 6.4, 15.1 */
#define CMOS_INDEX   0x70
#define CMOS_DATA    0x71
#define PORT_A       0x92       /* bit 1: address line 20 */

    .code16
    .text
    .globl rom_start
rom_start:
    .word 0xaa55                /* BIOS Boot Specification 1.01, 3.3 */
    .byte ROM_BYTES / 512
    cli
    cld
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    in $PORT_A, %al
    or $2, %al
    and $0xfe, %al              /* bit 0 would reset */
    out %al, $PORT_A

    /* Ask the BIOS: ACPI 6.4, 15.1 */
    xor %ebx, %ebx
    xor %esi, %esi              /* entries so far */
    mov $ENTRIES, %di
#ifdef ROM_WITHOUT_E820         /* as where no BIOS answers */
    jmp asked
#endif
ask:
    movl $1, 20(%di)            /* attributes: in use */
    mov $0xe820, %eax
    mov $SMAP, %edx
    mov $ENTRY_BYTES, %ecx
    push %si
    push %di
    int $0x15
    pop %di
    pop %si
    jc asked
    cmp $SMAP, %eax
    jne asked
    inc %si
    add $ENTRY_BYTES, %di
    cmp $ENTRIES_MAX, %si
    jae asked
    test %ebx, %ebx
    jnz ask
asked:
    cli
    mov $SOURCE_E820, %eax
    cmp $1, %si
    ja found

    /* No answer: base memory, and extended memory from CMOS */
    xor %si, %si
    mov $ENTRIES, %di
    xor %ebx, %ebx              /* [0, 0x9f000) */
    mov $0x9f000, %ecx
    call entry
    mov $0x34, %al              /* 64 KiB above 16 MiB */
    call read_pair
    test %eax, %eax
    jz below_16_mib
    shl $16, %eax
    lea 0xf00000(%eax), %ecx
    jmp extended
below_16_mib:
    mov $0x17, %al              /* KiB above 1 MiB */
    call read_pair
    shl $10, %eax
    mov %eax, %ecx
extended:
    mov $IMAGE, %ebx
    call entry
    mov $SOURCE_CMOS, %eax

found:
    mov %eax, RECORD + 4
    movl $ROM_MAGIC, RECORD
    movzwl %si, %esi
    mov %esi, RECORD + 8
    movl $ENTRY_BYTES, RECORD + 12
    lgdtl %cs:(gdt_pointer - rom_start)
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $ROM_MAGIC, %eax
    mov $RECORD, %ebx
    ljmpl $8, $IMAGE

/* al: the register of the low byte; the next has the high one. eax: both */
read_pair:
    push %bx
    mov %al, %bl
    inc %al
    out %al, $CMOS_INDEX
    in $CMOS_DATA, %al
    mov %al, %bh
    mov %bl, %al
    out %al, $CMOS_INDEX
    in $CMOS_DATA, %al
    mov %bh, %ah
    movzwl %ax, %eax
    pop %bx
    ret

/* RAM of ecx bytes at ebx becomes the next entry */
entry:
    mov %ebx, (%di)
    movl $0, 4(%di)
    mov %ecx, 8(%di)
    movl $0, 12(%di)
    movl $1, 16(%di)
    movl $1, 20(%di)
    add $ENTRY_BYTES, %di
    inc %si
    ret

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 32-bit code: SDM 3A 3.4.5 */
    .quad 0x00cf93000000ffff    /* data */
gdt_pointer:
    .word 23
    .long ROM_ADDRESS + gdt - rom_start

    .org ROM_BYTES - 1
checksum:                       /* filled in: all bytes sum to zero */
    .byte 0
    .section .note.GNU-stack, "", @progbits
