/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Records that name pieces of a channel's bulk area, as they lie in memory.
 * doc/formats/bulk.md has the table and the rules. All numbers little-endian.
 *
 * For whoever writes or reads such records, C or C++, with no other header
 * needed.
 */
#ifndef ULTRAVISOR_ABI_BULK_H
#define ULTRAVISOR_ABI_BULK_H

#include <stddef.h>
#include <stdint.h>

#define ULV_BULK_PAGE_BYTES 4096u /* what pieces are handed out in */
#define ULV_BULK_PIECES_MAX 64u   /* of a record */
/* Of an area, both halves: with the largest rings there are, a channel fills
 * the 64 MiB that a guest has for it. */
#define ULV_BULK_BYTES_MAX UINT64_C(0x1ffe000)

/* Whoever receives the pieces may write them; otherwise he reads only. */
#define ULV_BULK_WRITABLE 1u

/* What a payload begins with; the pieces follow, then a message of the protocol
 * that uses them. */
struct ulv_bulk_head {
    uint64_t id;    /* the sender's: whoever is done with them says it again */
    uint32_t count; /* of pieces, 0 .. ULV_BULK_PIECES_MAX */
    uint32_t flags; /* ULV_BULK_* */
};

/* Bytes of the bulk area, in the half of whoever sends the record. */
struct ulv_bulk_piece {
    uint64_t offset; /* from the begin of the bulk area */
    uint64_t bytes;  /* from 1 */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_bulk_head) == 16, "abi");
_Static_assert(sizeof(struct ulv_bulk_piece) == 16, "abi");
#endif

#endif
