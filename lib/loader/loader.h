/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Loading an image into a guest's memory, in two phases: the plan parses and
 * checks everything and writes nothing; writing then fails only if a source
 * cannot be read.
 *
 * For monitors. An image, an initrd and a command line may come from anybody:
 * nothing in them is believed before it is checked. The plan says how the
 * processor is to enter the guest; setting it so is the backend's.
 *
 * Source: System V gABI 4.1 chapters 4 and 5 (ELF); Linux
 * Documentation/arch/x86/boot.rst and zero-page.rst (bzImage); Xen
 * public/elfnote.h, docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h
 * (PVH).
 */
#ifndef LOADER_LOADER_H
#define LOADER_LOADER_H

#include <ultravisor/sys/backend.h>

/* What kind of image. */
#define ULV_LOADER_AUTO    0u /* bzImage by its header; an ELF image is PVH if
                                 it has the note, else SDK; never flat */
#define ULV_LOADER_SDK     1u /* ELF64 for CPL3; p_vaddr is guest-physical */
#define ULV_LOADER_PVH     2u /* ELF64 with a PHYS32_ENTRY note, as vmlinux */
#define ULV_LOADER_BZIMAGE 3u /* Linux, boot protocol 2.12 or later, 64-bit */
#define ULV_LOADER_FLAT    4u /* bytes for one address, which is the entry */

/* Bounds of the library. */
#define ULV_LOADER_SEGMENTS_MAX 16u
#define ULV_LOADER_PIECES_MAX   24u
#define ULV_LOADER_CMDLINE_MAX  4095u /* without the zero */
#define ULV_LOADER_MAP_MAX      128u  /* entries of a memory map */

/* Where bytes come from. */
struct ulv_loader_source {
    /* Read all of [offset, offset + len) into buf, or fail. NULL: there is no
     * such source. */
    ulv_status (*read)(void *self, uint64_t offset, void *buf, size_t len);
    void *self;
    uint64_t bytes;
};

/* A stretch of guest memory, and where the caller has it. */
struct ulv_loader_region {
    uint64_t guest, bytes;
    uint8_t *p;
};

/* What the image must leave alone, in memory or outside it. */
struct ulv_loader_range {
    uint64_t guest, bytes;
    const char *name; /* for messages: "the partition's own view" */
};

/* Everything is borrowed, until the plan is written or forgotten. */
struct ulv_loader_request {
    uint32_t kind;      /* ULV_LOADER_*; what it is not is refused */
    uint32_t flat_mode; /* FLAT: ULV_ENTRY_* */
    uint64_t flat_address;
    const struct ulv_loader_region *regions; /* sorted, none empty */
    uint32_t region_count;
    uint32_t reserved_count;
    const struct ulv_loader_range *reserved; /* in any order */
    struct ulv_loader_source image;
    struct ulv_loader_source initrd; /* BZIMAGE, PVH; optional */
    const char *cmdline;             /* BZIMAGE, PVH; NULL: none */
    uint64_t rsdp;     /* BZIMAGE, PVH: where the ACPI tables are; 0: none */
    uint64_t argument; /* SDK, FLAT: for rdi */
};

/* What fills a piece. */
#define ULV_PIECE_IMAGE       0u
#define ULV_PIECE_INITRD      1u
#define ULV_PIECE_CMDLINE     2u
#define ULV_PIECE_ZERO_PAGE   3u /* struct boot_params */
#define ULV_PIECE_START_INFO  4u /* hvm_start_info, its module, its map */
#define ULV_PIECE_PAGE_TABLES 5u
#define ULV_PIECE_GDT         6u

/* A range of guest memory that the plan fills: no two share a byte, none has a
 * byte of a reserved range or outside the regions. */
struct ulv_loader_piece {
    uint32_t fill;   /* ULV_PIECE_* */
    uint32_t number; /* IMAGE: of the program header; else 0 */
    uint64_t guest, bytes;
    /* IMAGE, INITRD: the bytes of the source that go to its start. */
    uint64_t offset, source_bytes;
    uint64_t written; /* from its start, with zeroes behind source_bytes; the
                         rest is the image's to use, and left as it is */
    uint32_t flags;   /* of an ELF segment: 1 execute, 2 write, 4 read */
    uint32_t rsvd_;
};

#define ULV_LINUX_HEADER_OFFSET 0x1f1u
#define ULV_LINUX_HEADER_END    0x290u

struct ulv_loader_plan {
    const struct ulv_loader_request *request;
    uint32_t kind;  /* never AUTO */
    uint32_t mode;  /* ULV_ENTRY_* */
    uint64_t entry; /* rip */
    /* The registers that carry arguments; the others that are general are 0. */
    uint64_t rbx; /* PROTECTED by PVH: the start info */
    uint64_t rsi; /* LONG by BZIMAGE: struct boot_params */
    uint64_t rdi; /* SDK, FLAT: request.argument */
    /* LONG by BZIMAGE: cr3, which maps the first 4 GiB, and a GDT with code at
     * selector 0x10 and data at 0x18; else 0. */
    uint64_t page_tables, gdt;
    uint32_t gdt_bytes;
    uint32_t map_entries; /* of the memory map that the guest is given */
    uint32_t piece_count;
    uint32_t linux_header_bytes; /* of linux_header */
    struct ulv_loader_piece piece[ULV_LOADER_PIECES_MAX];
    /* The setup header as it was checked, with the loader's fields in. */
    uint8_t linux_header[ULV_LINUX_HEADER_END - ULV_LINUX_HEADER_OFFSET];
};

/**
 * Parse and check everything, and say what goes where. Writes nothing to the
 * guest, allocates nothing.
 *
 * @param request   borrowed as long as ret_plan is used
 * @param ret_plan  written in any case; of use only after ULV_OK
 *
 * Errors:  FORMAT (the image; diag: which part, the value, the bound)
 *          ARG (the request: regions, ranges, command line, initrd)
 *          NO_MEMORY (no room for a piece that may lie anywhere)
 *          LIMIT (a bound above)  UNSUPPORTED (a kernel without 64-bit entry)
 *          and what a source's read returned
 * Context: serial
 */
ulv_status ulv_loader_plan(const struct ulv_loader_request *request,
                           struct ulv_loader_plan *ret_plan,
                           struct ulv_diag *diag);

/**
 * The same for an image of the SDK, whatever request->kind says: a program that
 * starts no kernels has no part of the other loaders in it.
 *
 * Errors, context: as ulv_loader_plan()
 */
ulv_status ulv_loader_plan_sdk_image(const struct ulv_loader_request *request,
                                     struct ulv_loader_plan *ret_plan,
                                     struct ulv_diag *diag);

/**
 * Write the pieces of a plan.
 *
 * Errors:  what a source's read returned; guest memory is then written in part
 * Context: serial; the guest does not run
 */
ulv_status ulv_loader_write(const struct ulv_loader_plan *plan,
                            struct ulv_diag *diag);

/* "bzImage"; "unknown" for what is none. */
const char *ulv_loader_kind_name(uint32_t kind);

#endif
