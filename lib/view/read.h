/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reading a view: total on any bytes, never locks, never calls, copies out.
 * doc/formats/view.md is the format.
 *
 * For monitors, I/O roles, guests, and anybody who vendors read.c: it needs
 * include/ultravisor/abi/view.h, lib/base/libc.h and ulv_crc32c.
 */
#ifndef VIEW_READ_H
#define VIEW_READ_H

#include <ultravisor/abi/view.h>
#include <ultravisor/types.h>

/* A private copy of a page, checked: what was written for that generation, for
 * as long as one likes. */
struct ulv_view_copy {
    uint32_t idx;
    uint64_t generation; /* 0: none */
    uint64_t page[ULV_VIEW_PAGE_BYTES / 8];
};

struct ulv_view_reader {
    const uint8_t *segment;
    uint64_t bytes;
    uint64_t generation; /* as of the last refresh */
    uint32_t directory;  /* page index of it */
    uint64_t retries;    /* how often the publisher had lapped us */
    struct ulv_view_copy index, records; /* what was read last */
};

/* segment is mapped for as long as the reader is used. */
void ulv_view_reader_init(struct ulv_view_reader *reader, const void *segment,
                          uint64_t bytes);

/**
 * Look at the newest generation.
 * Errors: AGAIN (nothing published yet), FORMAT (not a view).
 */
ulv_status ulv_view_refresh(struct ulv_view_reader *reader,
                            uint64_t *ret_generation);

/**
 * The idx-th record of a kind, counted over all its pages, as of the last
 * refresh.
 * @param bytes  sizeof the record the caller expects
 * Errors: NOT_FOUND (no such record), AGAIN (lapped: refresh and start over),
 * FORMAT (damaged).
 */
ulv_status ulv_view_read(struct ulv_view_reader *reader, uint32_t kind,
                         uint32_t idx, void *ret, size_t bytes);
/* The one record of kind ULV_VIEW_PARTITION. Same errors. */
ulv_status ulv_view_partition_read(struct ulv_view_reader *reader,
                                   struct ulv_view_partition *ret);

#endif
