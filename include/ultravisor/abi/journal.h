/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The journal of the resource database, as it lies in a storage. All numbers
 * little-endian. doc/formats/journal.md has the tables and the rules.
 *
 * For readers of journals that are not the library. Nothing here is needed to
 * use one.
 */
#ifndef ULTRAVISOR_ABI_JOURNAL_H
#define ULTRAVISOR_ABI_JOURNAL_H

#include <ultravisor/abi/command.h>

#define ULV_JOURNAL_MAGIC                                                      \
    {                                                                          \
        'U', 'L', 'V', 'J', 'R', 'N', 'L', '\n'                                \
    }
#define ULV_JOURNAL_VERSION 3u

#define ULV_JOURNAL_CHECKPOINT 1u
#define ULV_JOURNAL_SEGMENT    2u

/* Every object begins with it. */
struct ulv_journal_header {
    uint8_t magic[8];
    uint32_t version;
    uint32_t kind;       /* ULV_JOURNAL_CHECKPOINT, _SEGMENT */
    uint8_t journal[16]; /* GUID: all objects of a journal have the same */
    uint64_t segment;    /* its number; CHECKPOINT: of the one that goes on */
    uint64_t sequence;   /* CHECKPOINT: of the last frame before; else 0 */
    uint8_t rsvd_[12];
    uint32_t crc; /* CRC-32C of the 60 bytes before */
};

#define ULV_JOURNAL_FRAME           0x66564c55u /* "ULVf" */
#define ULV_JOURNAL_FRAME_BYTES_MAX 0x10000000u

/* What became durable at once; entries follow. */
struct ulv_journal_frame {
    uint32_t magic;
    uint32_t bytes; /* of the entries; a multiple of 8 */
    uint64_t sequence;
    uint64_t segment;
    uint32_t entry_count;
    uint32_t crc; /* CRC-32C of journal[16], this with crc 0, the entries */
};

/* entries */
#define ULV_JOURNAL_STATE       1u
#define ULV_JOURNAL_LEASE       2u
#define ULV_JOURNAL_TRANSACTION 3u /* struct ulv_log_record */
#define ULV_JOURNAL_REMOVE      4u
#define ULV_JOURNAL_ANSWER      5u
#define ULV_JOURNAL_END         6u
#define ULV_JOURNAL_PARTITION   7u
#define ULV_JOURNAL_PROCESSOR   8u
#define ULV_JOURNAL_POOL        9u
#define ULV_JOURNAL_DEVICE      10u
#define ULV_JOURNAL_EXTENT      11u
#define ULV_JOURNAL_CHANNEL     12u
#define ULV_JOURNAL_ZONE        13u
#define ULV_JOURNAL_LABEL       14u
#define ULV_JOURNAL_RANGE       15u
#define ULV_JOURNAL_HARDWARE    16u
#define ULV_JOURNAL_RETIRED     17u

struct ulv_journal_entry {
    uint32_t kind;
    uint32_t bytes; /* of what follows; a multiple of 8 */
};

struct ulv_journal_state {
    uint64_t revision; /* of the database, behind the frame */
    uint64_t own_next, own_end; /* ids the database gives by itself next */
};
struct ulv_journal_lease {
    uint64_t block; /* of ULV_ID_LEASE_COUNT ids; counted from 0, in order */
    uint64_t next;  /* the lowest that was never used */
    uint64_t own;   /* 1: the database's */
};
struct ulv_journal_remove {
    uint64_t id;
};
/* The transaction was asked for by this client, under this number. */
struct ulv_journal_answer {
    uint8_t client[16];
    uint64_t request;
    uint64_t revision; /* that it led to */
};
struct ulv_journal_end {
    uint64_t entry_count; /* of the checkpoint, without this */
};

struct ulv_journal_share {
    uint64_t processor;
    uint64_t quanta; /* bits; 0: it runs in those left over */
    uint32_t vcpu_idx;
    uint32_t mode; /* ULV_PROCESSOR_* */
};
struct ulv_journal_partition {
    uint64_t id, version;
    uint32_t kind, state, intent, end_reason;
    uint64_t end_code, capabilities, silence_limit;
    uint64_t window; /* guest address of its view while it runs */
    uint32_t ran;    /* 1: once at least */
    uint32_t restarts;
    uint32_t share_count; /* struct ulv_journal_share follow, falling index */
    uint32_t restart_window; /* [ms]; 0: ULV_RESTART_WINDOW */
    uint64_t zone;     /* or 0 */
    uint64_t limit[6]; /* its quotas, by ULV_QUOTA_* */
    char name[32];
    char policy[32];
};
struct ulv_journal_processor {
    uint64_t id, version;
    uint32_t package, core, thread, node, os_number;
    uint32_t retired; /* ULV_RETIRED_*, or 0 */
};
struct ulv_journal_pool {
    uint64_t id, version;
    uint64_t base, bytes;
    uint32_t node;
    uint32_t gone_blocks; /* of them, at the end, of ULV_JOURNAL_POOL_BLOCK */
};
#define ULV_JOURNAL_POOL_BLOCK UINT64_C(2097152)
struct ulv_journal_device {
    uint64_t id, version;
    uint64_t serving, standby;
    uint64_t bytes;
    uint32_t kind, flags;
    char name[32];
};
struct ulv_journal_extent {
    uint64_t id, version;
    uint64_t partition;
    uint64_t guest_address, frame, bytes;
    uint32_t node;
    uint32_t flags; /* ULV_EXTENT_DRAINING */
    uint64_t heir;
};
#define ULV_JOURNAL_DRAINING 1u
struct ulv_journal_channel {
    uint64_t id, version;
    uint64_t server, client, device;
    uint64_t frame, bytes;
    uint32_t epoch;
    uint32_t flags; /* ULV_JOURNAL_DRAINING */
    uint32_t server_slot, client_slot;
    uint32_t ring_bytes, rsvd_;
    uint8_t type[16], instance[16];
};
struct ulv_journal_zone {
    uint64_t id, version;
    uint64_t limit[6]; /* its quotas, by ULV_QUOTA_* */
    char name[32];
    char policy[32];
};
struct ulv_journal_label {
    uint64_t id, version;
    uint64_t object;
    char key[16];
    char value[48];
};
struct ulv_journal_range {
    uint64_t id, version;
    uint64_t owner;
    uint64_t first, count;
    uint32_t kind; /* ULV_RANGE_* */
    uint32_t rsvd_;
};
struct ulv_journal_hardware {
    uint64_t id, version;
    uint64_t owner, parent;
    uint64_t address, bytes;
    uint32_t kind, device_class, node, model;
    char name[24];
    char driver[16];
};
struct ulv_journal_retired {
    uint64_t id, version;
    uint64_t frame, bytes;
};

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_journal_header) == 64, "abi");
_Static_assert(sizeof(struct ulv_journal_frame) == 32, "abi");
_Static_assert(sizeof(struct ulv_journal_entry) == 8, "abi");
_Static_assert(sizeof(struct ulv_journal_state) == 24, "abi");
_Static_assert(sizeof(struct ulv_journal_lease) == 24, "abi");
_Static_assert(sizeof(struct ulv_journal_answer) == 32, "abi");
_Static_assert(sizeof(struct ulv_journal_share) == 24, "abi");
_Static_assert(sizeof(struct ulv_journal_partition) == 200, "abi");
_Static_assert(sizeof(struct ulv_journal_processor) == 40, "abi");
_Static_assert(sizeof(struct ulv_journal_pool) == 40, "abi");
_Static_assert(sizeof(struct ulv_journal_device) == 80, "abi");
_Static_assert(sizeof(struct ulv_journal_extent) == 64, "abi");
_Static_assert(sizeof(struct ulv_journal_channel) == 112, "abi");
_Static_assert(sizeof(struct ulv_journal_zone) == 128, "abi");
_Static_assert(sizeof(struct ulv_journal_label) == 88, "abi");
_Static_assert(sizeof(struct ulv_journal_range) == 48, "abi");
_Static_assert(sizeof(struct ulv_journal_hardware) == 104, "abi");
_Static_assert(sizeof(struct ulv_journal_retired) == 32, "abi");
#endif

#endif
