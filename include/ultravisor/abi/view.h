/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A view: the read-only picture of one partition that the ultravisor
 * publishes, in two parts with the same layout: the monitor's (with host
 * frames) and the guest's (frames are 0). An I/O or other infrastructure
 * partition has a monitor's part only. All numbers little-endian.
 * doc/formats/view.md has the table and the reading rules.
 *
 * A view is a segment of 4 KiB pages. Page 0 is the root page. Every other page
 * is written once for one generation and not changed until it is used for a
 * generation at least ULV_VIEW_COPIES later.
 */
#ifndef ULTRAVISOR_ABI_VIEW_H
#define ULTRAVISOR_ABI_VIEW_H

#include <stddef.h>
#include <stdint.h>

#define ULV_VIEW_MAGIC      UINT64_C(0x315745495f564c55) /* "ULV_IEW1" */
#define ULV_VIEW_VERSION    3u
#define ULV_VIEW_PAGE_BYTES 4096u
#define ULV_VIEW_COPIES     8u /* generations a page outlives at least */

#define ULV_VIEW_PART_MONITOR 0u
#define ULV_VIEW_PART_GUEST   1u

struct ulv_view_root {
    uint64_t magic;
    uint32_t version;
    uint32_t part;  /* ULV_VIEW_PART_* */
    uint64_t epoch; /* of the chain; a restarted publisher takes a higher one */
    uint64_t partition;
    uint64_t segment_bytes;
    uint64_t root; /* the root word: generation << 16 | directory page index;
                      the one word of the page that changes; 0 = nothing yet */
    uint8_t rsvd_[4048];
};

/*
 * Each page but page 0 starts with this. While it is being written its
 * generation is 0. A directory is entries, then the records of small kinds;
 * other pages hold records alone.
 */
struct ulv_view_page {
    uint64_t generation;  /* the one it was written for */
    uint32_t entry_count; /* of a directory; otherwise 0 */
    uint32_t rsvd_;
};

/* Where records of a kind are: those number first .. first + count - 1. */
struct ulv_view_entry {
    uint64_t generation; /* the one that page was written for, or 0 */
    uint32_t kind;       /* ULV_VIEW_* */
    uint32_t first;
    uint32_t count;        /* at least 1 */
    uint32_t record_bytes; /* a multiple of 8 */
    uint32_t page;         /* index in the segment, or 0: the directory's */
    uint32_t offset;       /* of the first of them in it, a multiple of 8 */
};
#define ULV_VIEW_ENTRIES_MAX 63u

/* kinds of record, in the order in which a directory lists them */
#define ULV_VIEW_PARTITION 2u /* ulv_view_partition, one */
#define ULV_VIEW_MEMORY    3u /* ulv_view_memory, ascending guest address */
#define ULV_VIEW_PROCESSOR 4u /* ulv_view_processor */
#define ULV_VIEW_CHANNEL   5u /* ulv_view_channel */
#define ULV_VIEW_DEVICE    6u /* ulv_view_device: what this partition serves */

/* intents: what the partition shall be doing */
#define ULV_INTENT_STOPPED 0u
#define ULV_INTENT_RUNNING 1u
#define ULV_INTENT_PAUSED  2u /* keeps its state; does not run */

struct ulv_view_partition {
    uint64_t id;
    uint32_t kind; /* ULV_PARTITION_* */
    uint32_t intent;
    uint64_t capabilities; /* ULV_CAP_* */
    uint64_t gate;         /* guest address of the gate page */
    uint64_t view;         /* guest address of the guest's part */
    uint64_t silence_limit; /* ns a vcpu may run without a call; 0 = no limit */
    char name[32];
};

/* flags of memory and channels */
#define ULV_VIEW_REVOKED 1u /* give it up: after ULV_REVOKE_GRACE it is gone */
#define ULV_VIEW_RETIRED 2u /* memory: some of it is broken */

struct ulv_view_memory {
    uint64_t guest_address;
    uint64_t frame; /* host byte address in the pool; 0 in the guest's part */
    uint64_t bytes;
    uint64_t extent; /* id of the memory object it is granted as */
    uint32_t flags;
    uint32_t node; /* 0 in the guest's part */
};

/*
 * The time of a processor is cut into periods of ULV_QUANTA quanta. Quantum
 * number n of every period begins where the host's clock, divided by
 * ULV_QUANTUM_NS, leaves n when divided by ULV_QUANTA: all who read that clock
 * agree on it. doc/scheduling.md
 */
#define ULV_QUANTA     64u
#define ULV_QUANTUM_NS UINT64_C(1000000)

struct ulv_view_processor {
    uint64_t id; /* 0 in the guest's part */
    uint32_t vcpu_idx;
    uint32_t mode; /* 0 shared, 1 dedicated */
    uint64_t quanta; /* bit n: it may run in quantum n; 0 in the guest's part */
};

struct ulv_view_channel {
    uint64_t id;
    uint64_t device; /* the device served over it, or 0 */
    uint8_t type[16];
    uint8_t instance[16];
    uint64_t guest_address; /* 0 in an infrastructure partition */
    uint64_t bytes;
    uint32_t epoch;
    uint32_t end;  /* ULV_END_*: which end this partition has */
    uint32_t slot; /* ULV_CALL_SIGNAL, ULV_CALL_WAIT */
    uint32_t flags;
};

/* roles towards a device */
#define ULV_ROLE_SERVING 1u
#define ULV_ROLE_STANDBY 2u

struct ulv_view_device {
    uint64_t id;
    uint32_t role;
    uint32_t flags; /* ULV_BLOCK_READ_ONLY */
    uint64_t bytes; /* size of the medium when it was offered */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_view_root) == 4096, "abi");
_Static_assert(offsetof(struct ulv_view_root, root) == 40, "abi");
_Static_assert(sizeof(struct ulv_view_page) == 16, "abi");
_Static_assert(sizeof(struct ulv_view_entry) == 32, "abi");
_Static_assert(sizeof(struct ulv_view_partition) == 80, "abi");
_Static_assert(sizeof(struct ulv_view_memory) == 40, "abi");
_Static_assert(sizeof(struct ulv_view_processor) == 24, "abi");
_Static_assert(sizeof(struct ulv_view_channel) == 80, "abi");
_Static_assert(sizeof(struct ulv_view_device) == 24, "abi");
#endif

#endif
