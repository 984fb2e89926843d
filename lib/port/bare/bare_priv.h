/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the files of the bare port share. SDM: Intel 64 and IA-32 Architectures
 * Software Developer's Manual.
 */
#ifndef PORT_BARE_BARE_PRIV_H
#define PORT_BARE_BARE_PRIV_H

#include <ultravisor/sys/bare.h>

#include "base/base.h"
#include "base/x86.h"

#define BARE_PAGE       UINT64_C(4096)
#define BARE_LARGE_PAGE UINT64_C(0x200000)
#define BARE_NONE       UINT64_MAX

#define BARE_STACK_BYTES 4096

/* Task-state segment, SDM 3A 7.7. */
struct bare_task {
    uint32_t rsvd_;
    uint32_t rsp[6];
    uint32_t rsvd1_[2];
    uint32_t interrupt_stack[14]; /* 7 of 64 bits, low half first */
    uint32_t rsvd2_[2];
    uint16_t rsvd3_;
    uint16_t ports; /* offset of the I/O map: beyond the limit, so none */
};

/* Descriptors and stacks of one processor. */
struct bare_tables {
    uint64_t gates[512]; /* interrupt descriptors, SDM 3A 6.14.1 */
    uint8_t fault_stack[BARE_STACK_BYTES]; /* double fault, NMI, check */
    uint8_t stack[BARE_STACK_BYTES];       /* of a parked processor */
    uint64_t segments[8];
    struct bare_task task;
    uint32_t arrived; /* set by a parked processor, read by the first */
};

/* What vector_common in entry.S pushes. */
struct bare_frame {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* What the option ROM leaves in low memory. */
struct bare_rom_record {
    uint32_t magic; /* "ULVR" */
    uint32_t entry; /* ULV_BARE_ENTRY_ROM_* */
    uint32_t entries;
    uint32_t stride;
};
#define BARE_ROM_MAGIC UINT32_C(0x52564c55)

/* A run of free frames; its nodes lie in the heap, not in what is given
 * away: a guest that keeps a stale mapping finds nothing of ours there. */
struct ulv_bare_run {
    struct ulv_bare_run *next;
    uint64_t start;
    uint64_t bytes;
};

/* ---- processor.c --------------------------------------------------------- */

static inline void
bare_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t
bare_in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void
bare_pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}

/* The pointer to a physical address; the compiler is not told which. */
static inline void *
bare_at(uint64_t physical)
{
    __asm__("" : "+r"(physical));
    return (void *)(uintptr_t)physical;
}

/* Load the tables of this processor; gates to the vectors of entry.S. */
void bare_load_tables(struct bare_tables *tables);
void
bare_start(uint32_t magic, uint32_t information, struct bare_tables *tables);
void bare_exception(const struct bare_frame *frame);
void bare_parked(uint8_t *stack_top);

/* ---- serial.c ------------------------------------------------------------ */

void bare_serial_init(void);
void bare_serial_line(const char *text);

/* ---- memory_map.c -------------------------------------------------------- */

/* Fill the boot record; FORMAT: what was handed over is not what it says. */
ulv_status bare_boot_record(uint32_t magic, uint32_t information,
                            struct ulv_bare_boot *boot);
/* b->ranges from the record, with image, modules and low memory. */
ulv_status
bare_ranges_init(struct ulv_bare *b, const struct ulv_bare_boot *boot);
/* Let [start, start + bytes) be of this type, whatever it was. */
ulv_status bare_ranges_set(struct ulv_bare *b, uint64_t start, uint64_t bytes,
                           uint32_t type);
/* Start of bytes of RAM, aligned, at or above low; BARE_NONE: nowhere. */
uint64_t bare_ranges_find(const struct ulv_bare *b, uint64_t low,
                          uint64_t bytes, uint64_t align);
/* End of the RAM to be had. */
uint64_t bare_ranges_end(const struct ulv_bare *b);
/* Whether all of [start, start + bytes) is of this type. */
bool bare_ranges_are(const struct ulv_bare *b, uint64_t start, uint64_t bytes,
                     uint32_t type);

/* ---- heap.c: alloc and free; frames.c: memory objects -------------------- */

void bare_heap_init(struct ulv_bare *b, uint64_t start, uint64_t bytes);
void *bare_alloc(void *self, size_t bytes, size_t align);
void bare_free(void *self, void *p, size_t bytes);
ulv_status bare_frames_init(struct ulv_bare *b);
/* Exactly the run at start; the caller owns it. NO_MEMORY; EXISTS: some of it
 * is not free. */
ulv_status bare_frames_take_at(struct ulv_bare *b, uint64_t start,
                               uint64_t bytes, struct ulv_bare_run **ret);
/* Never fails: the run becomes the node of what is free, or is freed. */
void bare_frames_give(struct ulv_bare *b, struct ulv_bare_run *run);

/* ---- paging.c ------------------------------------------------------------ */

/* Map what lies above 4 GiB (what cannot be becomes UNREACHABLE), take away
 * the page at 0 and the one below the stack, make code and constants
 * read-only. */
ulv_status bare_paging_init(struct ulv_bare *b);

/* ---- clock.c, acpi.c, park.c --------------------------------------------- */

ulv_status bare_clock_init(struct ulv_bare *b);
ulv_nsec bare_now(void *self);
void bare_delay(struct ulv_bare *b, ulv_nsec time);

/* Whether these bytes are a root pointer; then b knows the root table. */
bool bare_acpi_root(struct ulv_bare *b, const uint8_t *p, uint32_t bytes);
void bare_acpi_init(struct ulv_bare *b, const struct ulv_bare_boot *boot);
/* Take the tables out of RAM, where a map of memory does not tell of them. */
ulv_status bare_acpi_keep(struct ulv_bare *b);
/* A table whose length and checksum are right, or NULL. */
const uint8_t *bare_acpi_table(const struct ulv_bare *b,
                               const char signature[4], uint32_t *ret_bytes);
ulv_status bare_processors_init(struct ulv_bare *b);
uint32_t bare_processor_number(void);

/* ---- object.c, memory.c -------------------------------------------------- */

void bare_misuse(struct ulv_bare *b, const char *text);
ulv_status bare_object_init(struct ulv_bare *b);
void bare_memory_members(struct ulv_host *host);

#endif
