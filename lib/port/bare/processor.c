/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The first C code; descriptors; exceptions told in words. */
#include "port/bare/bare_priv.h"

#define SELECTOR_CODE  8
#define SELECTOR_TASK  24
/* SDM 3A 3.4.5, 7.2.3: 64-bit code, data, available 64-bit task */
#define SEGMENT_CODE   UINT64_C(0x00af9b000000ffff)
#define SEGMENT_DATA   UINT64_C(0x00cf93000000ffff)
#define SEGMENT_TASK   UINT64_C(0x0000890000000000)
/* SDM 3A 6.14.1: present, 64-bit interrupt gate */
#define GATE           UINT64_C(0x00008e0000000000)
#define GATE_STACK_1   (UINT64_C(1) << 32) /* first of the task's stacks */
#define VECTOR_BYTES   16
#define VECTOR_NMI     2
#define VECTOR_DOUBLE  8
#define VECTOR_PAGE    14
#define VECTOR_MACHINE 18
/* SDM 3A 2.5, and CPUID.1:EDX */
#define CR4_MCE        UINT64_C(0x40)
#define CPUID_1_MCE    0x80
/* of CR8: no interrupt is of a higher one; SDM 3A 10.8.6 */
#define PRIORITY_MAX   UINT64_C(15)
#define PIC_1_MASK     0x21 /* Intel 8259A data sheet */
#define PIC_2_MASK     0xa1

struct table_pointer {
    uint16_t limit;
    uint16_t base[4];
};

extern const uint8_t bare_vectors[];
extern const uint8_t bare_image_start[], bare_image_end[];

_Static_assert(sizeof(struct bare_tables) <= 4 * BARE_PAGE, "room in entry.S");
_Static_assert(sizeof(struct bare_task) == 104, "SDM 3A 7.7");
_Static_assert(sizeof(struct bare_frame) % 16 == 0, "aligned stack of C");

static struct table_pointer
pointer_to(const void *p, uint16_t bytes)
{
    uint64_t base = (uint64_t)(uintptr_t)p;

    return (struct table_pointer){(uint16_t)(bytes - 1),
                                  {(uint16_t)base, (uint16_t)(base >> 16),
                                   (uint16_t)(base >> 32),
                                   (uint16_t)(base >> 48)}};
}

static void
set_gate(struct bare_tables *tables, uint32_t vector)
{
    uint64_t target =
        (uint64_t)(uintptr_t)bare_vectors + (uint64_t)vector * VECTOR_BYTES;
    uint64_t gate = GATE | (uint64_t)SELECTOR_CODE << 16 | (target & 0xffff) |
                    (target >> 16 & 0xffff) << 48;

    if (vector == VECTOR_NMI || vector == VECTOR_DOUBLE ||
        vector == VECTOR_MACHINE)
        gate |= GATE_STACK_1;
    tables->gates[2 * vector] = gate;
    tables->gates[2 * vector + 1] = target >> 32;
}

/* Without it one is a shutdown, and says nothing: SDM 3A 6.15, vector 18. */
static void
tell_machine_checks(void)
{
    uint64_t cr4;

    if ((cpu_id(1, 0).edx & CPUID_1_MCE) == 0)
        return;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_MCE) : "memory");
}

void
bare_load_tables(struct bare_tables *tables)
{
    uint64_t stack =
        (uint64_t)(uintptr_t)tables->fault_stack + sizeof(tables->fault_stack);
    uint64_t task = (uint64_t)(uintptr_t)&tables->task;
    struct table_pointer gates, segments;

    for (uint32_t i = 0; i < 256; i++)
        set_gate(tables, i);
    tables->task.interrupt_stack[0] = (uint32_t)stack;
    tables->task.interrupt_stack[1] = (uint32_t)(stack >> 32);
    tables->task.ports = sizeof(tables->task);
    tables->segments[1] = SEGMENT_CODE;
    tables->segments[2] = SEGMENT_DATA;
    tables->segments[3] = SEGMENT_TASK | (sizeof(tables->task) - 1) |
                          (task & 0xffffff) << 16 | (task >> 24 & 0xff) << 56;
    tables->segments[4] = task >> 32;
    gates = pointer_to(tables->gates, sizeof(tables->gates));
    segments = pointer_to(tables->segments, 5 * 8);
    __asm__ volatile("lgdt %0\n"
                     "    lidt %1\n"
                     "    ltr %w2"
                     :
                     : "m"(segments), "m"(gates), "r"(SELECTOR_TASK)
                     : "memory");
    tell_machine_checks();
}

/* SDM 3A table 6-1 */
static const char *
vector_name(uint64_t vector)
{
    static const char *const names[] = {"divide error",
                                        "debug",
                                        "NMI",
                                        "breakpoint",
                                        "overflow",
                                        "bound range",
                                        "invalid opcode",
                                        "no coprocessor",
                                        "double fault",
                                        "coprocessor segment",
                                        "invalid task segment",
                                        "segment not present",
                                        "stack segment fault",
                                        "general protection",
                                        "page fault",
                                        "reserved",
                                        "floating-point error",
                                        "alignment check",
                                        "machine check",
                                        "SIMD floating-point",
                                        "virtualization",
                                        "control protection"};

    return vector < ULV_COUNT_OF(names) ? names[vector] : "interrupt";
}

static void
say(const char *format, ...)
{
    char line[192];
    struct ulv_text text;
    va_list arguments;

    ulv_text_init(&text, line, sizeof(line));
    va_start(arguments, format);
    ulv_text_arguments(&text, format, arguments);
    va_end(arguments);
    bare_serial_line(line);
}

/* SDM 3A 4.7: what the error code of a page fault says */
static void
say_page_fault(uint64_t error, uint64_t address)
{
    say("error: it is a %s at %x: %s%s",
        (error & 16) != 0  ? "fetch"
        : (error & 2) != 0 ? "write"
                           : "read",
        address, (error & 1) != 0 ? "not allowed" : "nothing is mapped there",
        (error & 8) != 0 ? ", reserved bit set" : "");
}

void
bare_exception(const struct bare_frame *f)
{
    uint64_t cr0, cr2, cr3, cr4;

    __asm__ volatile("mov %%cr0, %0\n"
                     "    mov %%cr2, %1\n"
                     "    mov %%cr3, %2\n"
                     "    mov %%cr4, %3"
                     : "=r"(cr0), "=r"(cr2), "=r"(cr3), "=r"(cr4));
    say("error: exception %u (%s) on processor %u, error code %x, rip %x",
        f->vector, vector_name(f->vector), (uint64_t)bare_processor_number(),
        f->error, f->rip);
    if (f->vector == VECTOR_PAGE)
        say_page_fault(f->error, cr2);
    say("error: rax %x rbx %x rcx %x rdx %x", f->rax, f->rbx, f->rcx, f->rdx);
    say("error: rsi %x rdi %x rbp %x rsp %x", f->rsi, f->rdi, f->rbp, f->rsp);
    say("error: r8 %x r9 %x r10 %x r11 %x", f->r8, f->r9, f->r10, f->r11);
    say("error: r12 %x r13 %x r14 %x r15 %x", f->r12, f->r13, f->r14, f->r15);
    say("error: cs %x ss %x rflags %x", f->cs, f->ss, f->rflags);
    say("error: cr0 %x cr2 %x cr3 %x cr4 %x", cr0, cr2, cr3, cr4);
    ulv_bare_end(false);
}

void
bare_start(uint32_t magic, uint32_t information, struct bare_tables *tables)
{
    struct ulv_bare_boot boot;

    bare_serial_init();
    bare_load_tables(tables);
    bare_out8(PIC_1_MASK, 0xff);
    bare_out8(PIC_2_MASK, 0xff);
    /* What the firmware has left running by way of the local APIC: one that
     * stays pending would end each stay in a guest before it begins. */
    __asm__ volatile("mov %0, %%cr8" : : "r"(PRIORITY_MAX) : "memory");
    if (bare_boot_record(magic, information, &boot) != ULV_OK) {
        say("error: entered by an unknown loader: eax %x, ebx %x",
            (uint64_t)magic, (uint64_t)information);
        ulv_bare_end(false);
    }
    boot.image_start = (uint64_t)(uintptr_t)bare_image_start;
    boot.image_bytes = (uint64_t)(uintptr_t)bare_image_end - boot.image_start;
    ulv_bare_end(ulv_bare_main(&boot));
}
