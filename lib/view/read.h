/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reading a view: total on any bytes, never locks, never calls, copies out.
 * doc/formats/view.md is the format.
 *
 * For monitors, I/O roles, guests, and anybody who vendors read.[ch]: they need
 * include/ultravisor/abi/view.h, types.h and the library's base/base.h only.
 */
#ifndef VIEW_READ_H
#define VIEW_READ_H

#include <ultravisor/abi/view.h>
#include <ultravisor/types.h>

/* Caller-owned; of its fields, retries may be read. */
struct ulv_view_reader {
    const uint8_t *segment;
    uint64_t bytes;
    uint64_t root;       /* the root word as of the last refresh */
    uint64_t retries;    /* how often the publisher had lapped us */
    uint64_t entry_root; /* the one under which entry was found; 0: none */
    struct ulv_view_entry entry; /* found last; checked */
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
 * The idx-th record of a kind, as of the last refresh.
 * @param bytes  sizeof the record the caller expects; a multiple of 8
 * Errors: NOT_FOUND (no such record), AGAIN (lapped: refresh and start over),
 * FORMAT (damaged, or a record of another size).
 */
ulv_status ulv_view_read(struct ulv_view_reader *reader, uint32_t kind,
                         uint32_t idx, void *ret, size_t bytes);
/* Both in one: the record as of the newest generation. view/read_fast.h does
 * the same for who reads one record again and again. */
ulv_status ulv_view_read_newest(struct ulv_view_reader *reader, uint32_t kind,
                                uint32_t idx, void *ret, size_t bytes);
/* The one record of kind ULV_VIEW_PARTITION. Same errors. */
ulv_status ulv_view_partition_read(struct ulv_view_reader *reader,
                                   struct ulv_view_partition *ret);

#endif
