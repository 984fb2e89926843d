/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A saved partition as a stream of bytes: a header, then sections, each with a
 * checksum of its own. All numbers little-endian; rsvd_ bytes are zero.
 * doc/formats/save.md has the tables and says what makes a reader refuse.
 *
 * For programs that look into such files; the library writes and reads them by
 * ulv_partition_save() and ulv_partition_restore().
 */
#ifndef ULTRAVISOR_ABI_SAVE_H
#define ULTRAVISOR_ABI_SAVE_H

#include <stddef.h>
#include <stdint.h>

#define ULV_SAVE_MAGIC   UINT64_C(0x315641535f564c55) /* "ULV_SAV1" */
#define ULV_SAVE_VERSION 2u /* 1, which has no features of channels and no
                               flags of the partition, is read too */

struct ulv_save_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes; /* 64 */
    char backend[16];      /* that ran it; zero-terminated */
    uint8_t rsvd_[28];
    uint32_t crc; /* CRC-32C of the 60 bytes before */
};

/* Before each section. */
struct ulv_save_section {
    uint32_t kind;   /* ULV_SAVE_* */
    uint32_t number; /* from 0, in the order of the file */
    uint64_t bytes;  /* that follow, a multiple of 8 */
    uint64_t rsvd_;
    uint32_t crc;     /* CRC-32C of the bytes that follow */
    uint32_t own_crc; /* CRC-32C of the 28 bytes before */
};

/* kinds of section, in this order; MEMORY and CONTENT any number of times */
#define ULV_SAVE_PARTITION 1u /* struct ulv_save_partition */
#define ULV_SAVE_LAYOUT    2u /* struct ulv_save_range, ascending, apart */
#define ULV_SAVE_MEMORY    3u /* struct ulv_save_range, then its bytes */
#define ULV_SAVE_CHANNELS  4u /* struct ulv_save_channel, by slot */
#define ULV_SAVE_CONTENT   5u /* struct ulv_save_content, then its bytes */
#define ULV_SAVE_MONITOR   6u /* struct ulv_save_monitor, and processors */
#define ULV_SAVE_END       7u /* struct ulv_save_end */

#define ULV_SAVE_INTERRUPTS 1u /* doorbells may interrupt it */

struct ulv_save_partition {
    uint64_t id; /* that it had */
    char name[32];
    uint64_t memory_bytes;
    uint32_t processor_count;
    uint32_t range_count;   /* of LAYOUT */
    uint32_t channel_count; /* of CHANNELS */
    uint32_t flags;         /* ULV_SAVE_INTERRUPTS; version 1: 0 */
};

/* Guest addresses; multiples of 4096. */
struct ulv_save_range {
    uint64_t guest_address;
    uint64_t bytes;
};

struct ulv_save_channel {
    uint8_t type[16];
    uint64_t bytes;
    uint64_t ring_bytes;
    uint64_t bulk_bytes;
    uint64_t medium_bytes; /* of the disk served over it, or 0 */
    uint32_t slot;
    uint32_t end;    /* ULV_END_* that the partition has */
    uint32_t state;  /* of that end */
    uint32_t epoch;  /* in which it attached */
    uint32_t served; /* 1: by an I/O partition; its content is saved */
    uint32_t features; /* of that end; version 1: 0 */
};

/* What lay in a channel, but for its header; multiples of 4096. */
struct ulv_save_content {
    uint32_t slot;
    uint32_t place; /* 0: the channel; 1: the takeover region of its device */
    uint64_t offset;
    uint64_t bytes;
};

/* What the monitor knew. Padded to a multiple of 8, each: this, then for each
 * processor a struct ulv_save_processor and the state of the backend's. */
struct ulv_save_monitor {
    uint32_t version; /* 2; in 1, which is read too, processors have no slots,
                         and 8 bytes less */
    uint32_t processor_count;
    uint64_t time;    /* ns since the partition was started */
    uint64_t pending; /* slots that rang and were not told of */
    uint64_t gate;    /* guest addresses, and the bytes of the view there */
    uint64_t view;
    uint64_t view_bytes;
};

#define ULV_SAVE_ON      1u /* the processor was started */
#define ULV_SAVE_WAITING 2u /* it is in ULV_CALL_WAIT */
#define ULV_SAVE_HANDLES 4u /* it has a handler of interrupts */

struct ulv_save_processor {
    uint32_t number;
    uint32_t flags;    /* ULV_SAVE_ON, _WAITING, _HANDLES */
    uint64_t deadline; /* WAITING: on ULV_CALL_TIME's clock */
    uint64_t woken;    /* ULV_WAIT_*_MASK that it was not told of */
    uint64_t silence;  /* ns that it ran since its last call */
    uint64_t state_bytes;
    uint64_t slots; /* whose doorbells interrupt it */
};

struct ulv_save_end {
    uint32_t section_count; /* with this one */
    uint32_t crc; /* CRC-32C of the headers of all sections before */
    uint64_t memory_bytes; /* in MEMORY sections */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_save_header) == 64, "abi");
_Static_assert(sizeof(struct ulv_save_section) == 32, "abi");
_Static_assert(sizeof(struct ulv_save_partition) == 64, "abi");
_Static_assert(sizeof(struct ulv_save_range) == 16, "abi");
_Static_assert(sizeof(struct ulv_save_channel) == 72, "abi");
_Static_assert(sizeof(struct ulv_save_content) == 24, "abi");
_Static_assert(sizeof(struct ulv_save_monitor) == 48, "abi");
_Static_assert(sizeof(struct ulv_save_processor) == 48, "abi");
_Static_assert(sizeof(struct ulv_save_end) == 16, "abi");
#endif

#endif
