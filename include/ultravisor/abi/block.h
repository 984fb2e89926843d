/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The block protocol: what runs over a channel of type BLOCK between a guest
 * (client) and an I/O partition (server), and the takeover region that the two
 * I/O partitions of a pair share behind it. doc/formats/channel.md has the
 * rules.
 *
 * Data moves through the channel's bulk area: the client says where.
 * Completion order is free. A server that attaches (the first one, or the
 * successor of a dead one) first sends MEDIUM with the channel's epoch; answers
 * that follow carry it, answers with another epoch are ignored.
 */
#ifndef ULTRAVISOR_ABI_BLOCK_H
#define ULTRAVISOR_ABI_BLOCK_H

#include <stdint.h>

#define ULV_BLOCK_SECTOR_BYTES 512u

/* record types, client to server */
#define ULV_BLOCK_REQUEST 1u
/* record types, server to client */
#define ULV_BLOCK_MEDIUM 2u
#define ULV_BLOCK_ANSWER 3u

/* operations */
#define ULV_BLOCK_READ  0u
#define ULV_BLOCK_WRITE 1u
#define ULV_BLOCK_FLUSH 2u /* sector, bulk_offset and sector_count are 0 */

/* medium flags */
#define ULV_BLOCK_READ_ONLY 1u

#define ULV_BLOCK_IN_FLIGHT_MAX 62u /* requests not yet answered, a channel */
#define ULV_BLOCK_REQUEST_BYTES_MAX 1048576u

struct ulv_block_request {
    uint64_t id; /* the client's; of no other request over this channel */
    uint32_t operation;
    uint32_t rsvd0_;
    uint64_t sector;       /* first, in units of 512 bytes */
    uint64_t bulk_offset;  /* where in the bulk area [bytes, multiple of 512] */
    uint32_t sector_count; /* 1 .. ULV_BLOCK_REQUEST_BYTES_MAX / 512 */
    uint32_t rsvd1_;
};

struct ulv_block_answer {
    uint64_t id;
    uint32_t epoch;
    int32_t status; /* 0 or a negative ULV_E_* */
    uint32_t sector_count; /* sectors transferred */
    uint32_t rsvd_;
};

struct ulv_block_medium {
    uint64_t sector_count;
    uint32_t epoch;
    uint32_t flags;
    uint64_t server; /* id of the I/O partition that serves now */
};

/*
 * Takeover region of a device: owned by the ultravisor, mapped by the two I/O
 * partitions of the pair, never by the guest. A server writes the request into
 * a free slot, sets state TAKEN, releases the ring; when the request is carried
 * out it writes what the answer says and sets DONE; it sets FREE after the
 * answer was submitted. The successor drives every TAKEN slot again, each
 * re-validated like a new request, and only answers a DONE one: the client may
 * have had that answer, and use the bulk area for something else by now.
 */
#define ULV_TAKEOVER_MAGIC UINT64_C(0x31524b545f564c55) /* "ULV_TKR1" */
#define ULV_TAKEOVER_FREE  0u
#define ULV_TAKEOVER_TAKEN 1u
#define ULV_TAKEOVER_DONE  2u

struct ulv_takeover_slot {
    uint32_t state;
    int32_t status; /* DONE: of the answer */
    struct ulv_block_request request;
    uint32_t sector_count; /* DONE: of the answer */
    uint32_t rsvd_;
    uint64_t rsvd1_;
};

struct ulv_takeover_region {
    uint64_t magic;
    uint64_t device;         /* id */
    uint64_t console_offset; /* console channels: next byte to accept */
    uint64_t answered_count; /* since the device was offered */
    uint64_t redriven_count; /* requests driven again by a successor */
    uint64_t flush_failed;   /* not 0: each flush fails from now on */
    uint64_t input_offset;   /* console channels: next byte to give */
    uint64_t rsvd_;
    struct ulv_takeover_slot slot[ULV_BLOCK_IN_FLIGHT_MAX];
};

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_block_request) == 40, "abi");
_Static_assert(sizeof(struct ulv_block_answer) == 24, "abi");
_Static_assert(sizeof(struct ulv_block_medium) == 24, "abi");
_Static_assert(sizeof(struct ulv_takeover_slot) == 64, "abi");
_Static_assert(sizeof(struct ulv_takeover_region) <= 4096, "abi");
#endif

#endif
