/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One direction of a channel: a ring of variable-length records between one
 * producer and one consumer, either of which may be hostile.
 *
 * For both ends in the library, and compiled into guests: freestanding, general
 * registers only. Geometry is latched at init; what the peer writes is read
 * once, checked, and an impossible value closes the end for good.
 *
 * submit and release look whether the peer sleeps, behind a full fence, and so
 * lose no wake-up; ring.c explains why. channel/ring_fast.h has faster forms
 * for who has many records and knows when it has no more.
 */
#ifndef CHANNEL_RING_H
#define CHANNEL_RING_H

#include <ultravisor/abi/channel.h>
#include <ultravisor/types.h>

/* Producer. Caller-owned; no field is to be touched. */
struct ulv_ring_tx {
    struct ulv_ring_control *control;
    uint8_t *data;
    uint64_t mask;      /* bytes of data - 1 */
    uint64_t reserved;  /* where the next record goes */
    uint64_t limit;     /* up to here without looking: free, and in one piece */
    uint64_t tail;      /* published, <= reserved */
    uint64_t looked;    /* up to here, who asked was rung; <= tail */
    uint64_t head_seen; /* the consumer's, as last read */
    ulv_status closed;  /* ULV_OK, or why this end is closed for good */
};

/* Consumer. */
struct ulv_ring_rx {
    struct ulv_ring_control *control;
    const uint8_t *data;
    uint64_t mask;
    uint64_t cursor;    /* the next record to look at */
    uint64_t limit;     /* up to here without looking: there, in one piece */
    uint64_t head;      /* given back, <= cursor */
    uint64_t looked;    /* up to here, who asked was rung; <= head */
    uint64_t tail_seen; /* the producer's, as last read */
    uint64_t peeked;    /* bytes of the record at cursor, 0: not looked at */
    uint32_t peeked_len, peeked_type;
    ulv_status closed;
};

struct ulv_ring_record {
    uint32_t type;
    uint32_t len;     /* [bytes] */
    const void *data; /* shared memory: copy before you check */
};

/**
 * Take up a ring where its indices stand (0, or where a predecessor died). A
 * successor rings the peer's doorbell once, lest the predecessor could not.
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

/* Close an end for good, for this reason; what was reserved and not published
 * is never seen. */
void ulv_ring_tx_close(struct ulv_ring_tx *tx, ulv_status why);
void ulv_ring_rx_close(struct ulv_ring_rx *rx, ulv_status why);

/* Largest payload: a quarter of the ring, so that a record and the padding
 * before it always fit one of which no more than a quarter is taken. */
uint64_t ulv_ring_record_max(uint64_t data_bytes);

/**
 * Room for one record; several may be reserved before one submit.
 * @param ret_slot  writable until submit, 8-byte aligned
 * Errors: FULL, LIMIT (len), PEER_INDEX.  Context: owner, exit
 */
ulv_status ulv_ring_tx_reserve(struct ulv_ring_tx *tx, uint32_t type,
                               uint32_t len, void **ret_slot);
/**
 * Show the consumer all that was reserved, and look whether it sleeps.
 * Returns whether its doorbell has to be rung.  Context: owner, exit
 */
bool ulv_ring_tx_submit(struct ulv_ring_tx *tx);
/* Whether there is room for a record now. Context: owner, exit */
bool ulv_ring_tx_has_room(struct ulv_ring_tx *tx, uint32_t len);
/**
 * Ask to be rung when there is room for a record; submit first. Returns whether
 * there is room now, or none ever again, in which case nothing was asked.
 * Context: owner
 */
bool ulv_ring_tx_wait(struct ulv_ring_tx *tx, uint32_t len);

/**
 * The next record, in place, until it is given back. A second peek shows the
 * same, whatever the producer did meanwhile.
 * Errors: EMPTY, PEER_INDEX, PEER_LENGTH.  Context: owner, exit
 */
ulv_status ulv_ring_rx_peek(struct ulv_ring_rx *rx,
                            struct ulv_ring_record *ret);
/**
 * Give back the peeked record and those before it, and look whether the
 * producer sleeps. Returns whether its doorbell has to be rung.
 * Context: owner, exit
 */
bool ulv_ring_rx_release(struct ulv_ring_rx *rx);
/**
 * Ask to be rung when data appears; release first, but for what is kept.
 * Returns whether data is there now, or none ever again, in which case nothing
 * was asked.  Context: owner
 */
bool ulv_ring_rx_wait(struct ulv_ring_rx *rx);

#endif
