/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The host table for a bare x86-64 machine: what a program that is itself the
 * image which the machine boots passes to the library.
 *
 * For such images (examples/appliance). The image is linked with lib/port/bare
 * and defines ulv_bare_main(); it is entered with interrupts off, in long mode,
 * all memory identity mapped, on the first processor. Code is built without
 * SSE. Nothing is interrupted, scheduled or paged: both 8259A are masked, and
 * the task priority (CR8) is 15. An image that wants interrupts lowers it.
 */
#ifndef ULTRAVISOR_SYS_BARE_H
#define ULTRAVISOR_SYS_BARE_H

#include <ultravisor/sys/objects.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ULV_BARE_BOOT_MAGIC  UINT32_C(0x42564c55) /* "ULVB" */
#define ULV_BARE_RANGES_MAX  256
#define ULV_BARE_MODULES_MAX 8

/* How the image was entered. */
#define ULV_BARE_ENTRY_MULTIBOOT2 UINT32_C(1)
#define ULV_BARE_ENTRY_ROM_E820   UINT32_C(2) /* option ROM asked the BIOS */
#define ULV_BARE_ENTRY_ROM_CMOS   UINT32_C(3) /* it read sizes from CMOS */

/* What a range of physical memory is. 1 to 5 are the types of ACPI 6.4
 * section 15 and of the Multiboot2 memory map. */
#define ULV_BARE_RANGE_RAM         UINT32_C(1) /* of node 0: to be had */
#define ULV_BARE_RANGE_RESERVED    UINT32_C(2)
#define ULV_BARE_RANGE_ACPI        UINT32_C(3)
#define ULV_BARE_RANGE_NVS         UINT32_C(4)
#define ULV_BARE_RANGE_BAD         UINT32_C(5)
#define ULV_BARE_RANGE_LOW         UINT32_C(16) /* RAM below 1 MiB */
#define ULV_BARE_RANGE_IMAGE       UINT32_C(17) /* RAM: this program */
#define ULV_BARE_RANGE_HEAP        UINT32_C(18) /* RAM: alloc */
#define ULV_BARE_RANGE_MODULE      UINT32_C(19) /* RAM: a boot module */
#define ULV_BARE_RANGE_UNREACHABLE UINT32_C(20) /* RAM that is not mapped */

struct ulv_bare_range {
    uint64_t start;
    uint64_t bytes;
    uint32_t type; /* ULV_BARE_RANGE_* */
    uint32_t rsvd_;
};

/* What the entry code learnt; valid until ulv_bare_host_init() returns. */
struct ulv_bare_boot {
    uint32_t magic;
    uint32_t entry;       /* ULV_BARE_ENTRY_* */
    uint64_t map;         /* address of the memory map */
    uint32_t map_entries; /* each: base, length (u64), type (u32) */
    uint32_t map_stride;  /* from one to the next [bytes] */
    uint64_t image_start;
    uint64_t image_bytes;
    uint32_t root_bytes; /* of the copy of the ACPI root pointer; 0: none */
    uint32_t module_count;
    uint8_t root[36];
    uint32_t rsvd_;
    struct ulv_bare_range modules[ULV_BARE_MODULES_MAX];
};

struct ulv_bare_block;
struct ulv_bare_run;

/* The host; its members but .host belong to the port. */
struct ulv_bare {
    struct ulv_host host; /* pass &bare.host */
    struct ulv_objects objects;

    struct ulv_bare_range ranges[ULV_BARE_RANGES_MAX]; /* sorted, disjoint */
    uint32_t range_count;
    uint32_t processor_count;
    struct ulv_host_processor *processors;

    struct ulv_bare_block *heap; /* free blocks, sorted */
    uint64_t heap_start, heap_bytes, heap_free;

    struct ulv_bare_run *runs; /* free frames, sorted */
    uint64_t frames_bytes, frames_free;

    uint64_t misuse; /* stale handles, wrong frees; the first is logged */

    uint64_t ticks_per_second; /* of the time stamp counter */
    uint64_t ticks_origin;
    uint64_t nsec_scale; /* ns a tick, times 2^32 */

    uint64_t root_table; /* ACPI RSDT or XSDT; 0: none */
    bool root_is_wide;   /* XSDT */
    uint32_t parked_count;
    void *slot_of_backend;
};

/* Fill in the host: reads the memory map, sets up the heap, the clock and the
 * table of processors. b is kept as long as the host is used. Context: once,
 * on the first processor. */
ulv_status
ulv_bare_host_init(struct ulv_bare *b, const struct ulv_bare_boot *boot,
                   struct ulv_diag *diag);

/* Every range of the memory map, sorted and disjoint: at most capacity are
 * filled, *ret_count is how many there are. Context: serial. */
void ulv_bare_ranges(const struct ulv_bare *b, struct ulv_bare_range *ret,
                     uint32_t capacity, uint32_t *ret_count);

/* The name of a type of range: "RAM", "reserved". Context: any. */
const char *ulv_bare_range_name(uint32_t type);

/* Bring every other processor to a halted loop in long mode with tables and a
 * stack of its own; *ret_count: how many came. Context: serial. */
ulv_status ulv_bare_park_processors(struct ulv_bare *b, uint32_t *ret_count);

/* The end of the image: ends the emulator (magic break, or "Shutdown" to port
 * 0x8900), halts on a machine. Context: any. */
void ulv_bare_end(bool success) __attribute__((noreturn));

/* The program: defined by the image. True ends with success. */
bool ulv_bare_main(const struct ulv_bare_boot *boot);

#ifdef __cplusplus
}
#endif

#endif
