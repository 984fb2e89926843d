/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A memory channel as it lies in shared memory: one header page, two rings
 * (one a direction), an optional bulk area. All numbers little-endian. The
 * ultravisor initialises it and afterwards sees the header page only; the two
 * ends use the rest. doc/formats/channel.md has the table and the rules.
 *
 * For both ends of a channel, C or C++, with no other header needed.
 */
#ifndef ULTRAVISOR_ABI_CHANNEL_H
#define ULTRAVISOR_ABI_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#define ULV_CHANNEL_MAGIC   UINT64_C(0x314e48435f564c55) /* "ULV_CHN1" */
#define ULV_CHANNEL_VERSION 2u

/* The two ends. The server end is the one that serves; for a channel of equals
 * it is the end named first. Ring n is written by end n. */
#define ULV_END_SERVER 0u
#define ULV_END_CLIENT 1u

/* State of an end. Only the end itself writes it, and the ultravisor: DETACHED
 * for who died there, REVOKED for what is taken away. */
#define ULV_END_DETACHED  0u
#define ULV_END_DISABLED  1u
#define ULV_END_ATTACHING 2u
#define ULV_END_ATTACHED  3u
#define ULV_END_FAILED    4u
#define ULV_END_REVOKED   5u

/* One ring's place: written once by the ultravisor, latched at attach. */
struct ulv_ring_geometry {
    uint64_t control_offset; /* of struct ulv_ring_control, from the header */
    uint64_t data_offset;    /* of the first data byte, from the header */
    uint64_t data_bytes;     /* a power of two, 4 KiB .. 16 MiB */
};

/* A line an end writes for its peer and for the ultravisor. */
struct ulv_end_line {
    uint32_t state; /* ULV_END_* */
    uint32_t epoch; /* the channel epoch this end attached in */
    uint32_t features;
    uint32_t rsvd_[13];
};

struct ulv_channel_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes; /* 4096 */
    uint64_t bytes;        /* the whole channel */
    uint64_t id;
    uint8_t type[16];     /* what is spoken: ULV_CHANNEL_TYPE_* */
    uint8_t instance[16]; /* this channel */
    uint32_t epoch;       /* from 1; grows when an end is re-homed, and when
                             a guest at an end is started again */
    uint32_t features;
    struct ulv_ring_geometry ring[2];
    uint64_t bulk_offset; /* 0 = none */
    uint64_t bulk_bytes;
    uint8_t rsvd0_[120];
    struct ulv_end_line end[2]; /* at 256 and 320 */
    uint8_t rsvd1_[3712];
};

/*
 * Ring indices are free-running byte counts; index & (data_bytes - 1) is the
 * place. Each line is written by one side only: the first two by the producer,
 * the others by the consumer. What a side asks for has a line of its own, so
 * that the other can look at it as often as it likes without a line moving.
 */
struct ulv_ring_control {
    uint64_t tail;     /* producer: bytes ever submitted */
    uint64_t rsvd0_[7];
    uint64_t space_at; /* producer: ring when head gets here; 0 = do not */
    uint64_t rsvd1_[7];
    uint64_t head;     /* consumer: bytes ever released */
    uint64_t rsvd2_[7];
    uint64_t data_at;  /* consumer: ring when tail gets here; 0 = do not */
    uint64_t rsvd3_[7];
};

/*
 * A record starts at a multiple of 8 and never wraps. length counts the
 * payload; the next record starts at 8 + length rounded up to 8. type PAD
 * fills the rest of the ring up to its end and has no payload for the user.
 */
struct ulv_record {
    uint32_t length;
    uint32_t type;
};
#define ULV_RECORD_PAD 0xffffffffu

#define ULV_CHANNEL_TYPE_BLOCK                                                 \
    { 0x8e, 0x2d, 0x50, 0x61, 0x1c, 0x0b, 0x4d, 0x3e,                          \
      0x9b, 0x55, 0x52, 0x3a, 0x5b, 0x61, 0x70, 0x01 }
#define ULV_CHANNEL_TYPE_CONSOLE                                               \
    { 0x8e, 0x2d, 0x50, 0x61, 0x1c, 0x0b, 0x4d, 0x3e,                          \
      0x9b, 0x55, 0x52, 0x3a, 0x5b, 0x61, 0x70, 0x02 }
#define ULV_CHANNEL_TYPE_COMMAND                                               \
    { 0x8e, 0x2d, 0x50, 0x61, 0x1c, 0x0b, 0x4d, 0x3e,                          \
      0x9b, 0x55, 0x52, 0x3a, 0x5b, 0x61, 0x70, 0x03 }
#define ULV_CHANNEL_TYPE_POLICY                                                \
    { 0x8e, 0x2d, 0x50, 0x61, 0x1c, 0x0b, 0x4d, 0x3e,                          \
      0x9b, 0x55, 0x52, 0x3a, 0x5b, 0x61, 0x70, 0x04 }

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_ring_geometry) == 24, "abi");
_Static_assert(offsetof(struct ulv_channel_header, epoch) == 64, "abi");
_Static_assert(offsetof(struct ulv_channel_header, ring) == 72, "abi");
_Static_assert(offsetof(struct ulv_channel_header, bulk_offset) == 120, "abi");
_Static_assert(offsetof(struct ulv_channel_header, end) == 256, "abi");
_Static_assert(sizeof(struct ulv_channel_header) == 4096, "abi");
_Static_assert(sizeof(struct ulv_ring_control) == 256, "abi");
_Static_assert(offsetof(struct ulv_ring_control, space_at) == 64, "abi");
_Static_assert(offsetof(struct ulv_ring_control, head) == 128, "abi");
_Static_assert(offsetof(struct ulv_ring_control, data_at) == 192, "abi");
_Static_assert(sizeof(struct ulv_record) == 8, "abi");
#endif

#endif
