/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A memory channel from one of its ends, and its making by the ultravisor.
 * doc/formats/channel.md is the format.
 *
 * For roles, for the library's own end, and compiled into guests.
 */
#ifndef CHANNEL_CHANNEL_H
#define CHANNEL_CHANNEL_H

#include "channel/ring.h"

#define ULV_RING_BYTES_MIN UINT64_C(4096)
#define ULV_RING_BYTES_MAX UINT64_C(16777216)

struct ulv_channel_layout {
    uint64_t id;
    uint8_t type[16], instance[16];
    uint64_t ring_bytes; /* of each direction; a power of two */
    uint64_t bulk_bytes; /* multiple of 4096, or 0 */
};

struct ulv_channel_end {
    struct ulv_channel_header *header;
    uint64_t bytes;
    uint32_t end; /* ULV_END_* */
    uint32_t epoch;
    uint64_t id;
    struct ulv_ring_tx tx;
    struct ulv_ring_rx rx;
    uint8_t *bulk;
    uint64_t bulk_bytes;
};

/* Bytes a channel occupies, a multiple of 4096; 0: the layout cannot be. */
uint64_t ulv_channel_bytes(uint64_t ring_bytes, uint64_t bulk_bytes);
/* Initialise zeroed memory of ulv_channel_bytes(). Errors: ARG. */
ulv_status ulv_channel_format(void *p, const struct ulv_channel_layout *layout);
/* The ultravisor: an end moved to another partition. */
void ulv_channel_set_epoch(struct ulv_channel_header *header, uint32_t epoch);
/* The ultravisor: who was at that end is dead, and detached; a successor may
 * attach. Before that is told that it is the successor. */
void ulv_channel_end_died(struct ulv_channel_header *header, uint32_t end);
/* The ultravisor: it is taken away from both ends. An end that writes its own
 * state all the same says nothing to the ultravisor by it. */
void ulv_channel_revoke(struct ulv_channel_header *header);

/**
 * Attach an end: everything that the shared header says is checked against
 * bytes and latched; it is not read again.
 * @param end   ULV_END_*
 * @param type  what the caller speaks
 * Errors: PEER_PROTOCOL (magic, version, type, geometry), PEER_INDEX, STATE
 * (the end is revoked or disabled).  Context: owner
 */
ulv_status ulv_channel_attach(struct ulv_channel_end *ch, void *p,
                              uint64_t bytes, uint32_t end,
                              const uint8_t type[16]);
/* The same of an end that can do more: features, a bit each, which its line
 * says before the peer sees it attached. */
ulv_status ulv_channel_attach_able(struct ulv_channel_end *ch, void *p,
                                   uint64_t bytes, uint32_t end,
                                   const uint8_t type[16], uint32_t features);
/* The end is no longer in use; a successor may attach. */
void ulv_channel_detach(struct ulv_channel_end *ch);
/* The peer broke the protocol: no successor of ours will talk to it. */
void ulv_channel_give_up(struct ulv_channel_end *ch);

/* ULV_END_*, or whatever the peer wrote; REVOKED also when the memory was
 * cleared. */
uint32_t ulv_channel_peer_state(const struct ulv_channel_end *ch);
/* The features of the peer, or whatever it wrote. */
uint32_t ulv_channel_peer_features(const struct ulv_channel_end *ch);
/* Whether anybody has ever attached there, as the peer's line says. */
bool ulv_channel_peer_was_there(const struct ulv_channel_end *ch);
/* The epoch as the header says it now; compare with ch->epoch. */
uint32_t ulv_channel_epoch(const struct ulv_channel_end *ch);

/* The data of the ring that this end writes, or the peer: a section of a
 * table where no records are sent. */
static inline void *
ulv_channel_end_section(const struct ulv_channel_end *ch, bool own,
                        uint64_t *ret_bytes)
{
    *ret_bytes = (own ? ch->tx.mask : ch->rx.mask) + 1;
    return own ? ch->tx.data : (uint8_t *)(uintptr_t)ch->rx.data;
}

/* Whether an end may go from one state to another. */
bool ulv_end_may_become(uint32_t from, uint32_t to);

#endif
