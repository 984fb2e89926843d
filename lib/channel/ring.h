/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One direction of a channel: a ring of variable-length records between one
 * producer and one consumer, either of which may be hostile.
 *
 * For both ends in the library, and compiled into guests: freestanding, general
 * registers only. Geometry is latched at init; what the peer writes is read
 * once, checked, and an impossible value closes the end for good.
 */
#ifndef CHANNEL_RING_H
#define CHANNEL_RING_H

#include <ultravisor/abi/channel.h>
#include <ultravisor/types.h>

/* Producer. Caller-owned; no field is to be touched. */
struct ulv_ring_tx {
    struct ulv_ring_control *control;
    uint8_t *data;
    uint64_t data_bytes;
    uint64_t tail;      /* submitted */
    uint64_t reserved;  /* reserved, >= tail */
    uint64_t head_seen; /* the consumer's, as last read */
    ulv_status closed;  /* ULV_OK, or why this end is closed for good */
};

/* Consumer. */
struct ulv_ring_rx {
    struct ulv_ring_control *control;
    const uint8_t *data;
    uint64_t data_bytes;
    uint64_t head;      /* released */
    uint64_t tail_seen; /* the producer's, as last read */
    uint64_t peeked;    /* bytes of the record shown by peek, 0: none */
    uint32_t peeked_len, peeked_type;
    ulv_status closed;
};

struct ulv_ring_record {
    uint32_t type;
    uint32_t len;     /* [bytes] */
    const void *data; /* shared memory: copy before you check */
};

/**
 * Take up a ring where its indices stand (0, or where a predecessor died).
 * @param control     shared memory
 * @param data        shared memory
 * @param data_bytes  a power of two
 * Errors: PEER_INDEX (the indices cannot be).  Context: owner
 */
ulv_status ulv_ring_tx_init(struct ulv_ring_tx *tx,
                            struct ulv_ring_control *control, void *data,
                            uint64_t data_bytes);
ulv_status ulv_ring_rx_init(struct ulv_ring_rx *rx,
                            struct ulv_ring_control *control,
                            const void *data, uint64_t data_bytes);

/* Largest payload: a quarter of the ring, so that a record and the padding
 * before it always fit an empty one. */
uint64_t ulv_ring_record_max(uint64_t data_bytes);

/**
 * Room for one record; several may be reserved before one submit.
 * @param ret_slot  writable until submit, 8-byte aligned
 * Errors: FULL, LIMIT (len), PEER_INDEX.  Context: owner, exit
 */
ulv_status ulv_ring_tx_reserve(struct ulv_ring_tx *tx, uint32_t type,
                               uint32_t len, void **ret_slot);
/**
 * Show the consumer all that was reserved.
 * Returns whether its doorbell has to be rung.  Context: owner, exit
 */
bool ulv_ring_tx_submit(struct ulv_ring_tx *tx);
/**
 * Ask to be rung when space appears. Returns whether there is enough now, in
 * which case nothing was asked.  Context: owner
 */
bool ulv_ring_tx_wait(struct ulv_ring_tx *tx, uint32_t len);

/**
 * The next record, in place, until release.
 * Errors: EMPTY, PEER_INDEX, PEER_LENGTH.  Context: owner, exit
 */
ulv_status ulv_ring_rx_peek(struct ulv_ring_rx *rx,
                            struct ulv_ring_record *ret);
/**
 * Give the peeked record's space back.
 * Returns whether the producer's doorbell has to be rung.
 */
bool ulv_ring_rx_release(struct ulv_ring_rx *rx);
/**
 * Ask to be rung when data appears. Returns whether data is there now, in
 * which case nothing was asked.  Context: owner
 */
bool ulv_ring_rx_wait(struct ulv_ring_rx *rx);

#endif
