/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Loading an SDK image: a static ELF64 for x86-64 whose segments lie in the
 * partition's memory. Everything is checked before a byte is written.
 *
 * Source: System V ABI, gABI 4.1 chapters 4 and 5; psABI AMD64.
 */
#ifndef MONITOR_ELF_H
#define MONITOR_ELF_H

#include <ultravisor/types.h>

#define ULV_ELF_SEGMENTS_MAX 16u

struct ulv_elf_segment {
    uint64_t guest, memory_bytes;      /* where, and how much of it */
    uint64_t file_offset, file_bytes;  /* the rest is zero */
    uint32_t flags;                    /* PF_X 1, PF_W 2, PF_R 4 */
    uint32_t rsvd_;
};

struct ulv_elf_image {
    uint64_t entry;
    uint32_t segment_count;
    uint32_t rsvd_;
    struct ulv_elf_segment segment[ULV_ELF_SEGMENTS_MAX];
};

/* Where an image comes from and what it must fit. */
struct ulv_elf_source {
    /* Read all of [offset, offset + len) or fail. */
    ulv_status (*read)(void *self, uint64_t offset, void *buf, size_t len);
    void *self;
    uint64_t bytes;                 /* of the image */
    uint64_t ram_base, ram_bytes;   /* guest memory it may use */
    uint64_t view, view_bytes;      /* for a better text when it overlaps */
};

/**
 * Check an image and say what to load.
 * Errors: FORMAT (diag: which check, the value, the bound), MEDIUM (read).
 * Context: serial
 */
ulv_status ulv_elf_check(const struct ulv_elf_source *source,
                         struct ulv_elf_image *ret, struct ulv_diag *diag);

#endif
