/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Serving a medium over a block channel, and taking over from a server that
 * died. abi/block.h is the protocol.
 *
 * For the I/O role. One thread owns a server.
 */
#ifndef IO_BLOCK_H
#define IO_BLOCK_H

#include <ultravisor/abi/block.h>
#include <ultravisor/sys/host.h>

#include "channel/channel.h"

/* Initialise a zeroed takeover region. */
void ulv_takeover_init(struct ulv_takeover_region *region, uint64_t device);

struct ulv_block_server {
    const struct ulv_host *host;
    ulv_handle medium;
    uint64_t sector_count; /* as offered */
    bool writable, took_long; /* the last request: not a read */
    uint32_t epoch;
    uint64_t partition; /* who serves */
    struct ulv_channel_end end;
    struct ulv_takeover_region *region;
    /* an answer that found no room in the ring yet */
    struct ulv_block_answer waiting;
    uint32_t waiting_slot;
    bool has_waiting;
    uint32_t redrive_next; /* slot to look at next; IN_FLIGHT_MAX: done */
    uint64_t redriven; /* slots of the predecessor driven again */
    uint64_t found;    /* requests in the ring when it took over */
    ulv_status failed; /* ULV_OK, or why it serves no longer */
};

/**
 * Begin to serve: attach the channel's server end, say MEDIUM.
 * @param server  medium, sector_count, epoch, partition, region are set
 * @param p       the channel as mapped [bytes]
 * Errors: PEER_PROTOCOL, PEER_INDEX (the channel is damaged), FORMAT (the
 * region is not this device's).
 */
ulv_status ulv_block_server_start(struct ulv_block_server *server, void *p,
                                  uint64_t bytes, uint64_t device);

/**
 * Answer requests, at most turn of them.
 * Returns whether there may be more to do at once. *ret_ring: ring the
 * client's doorbell. A client that broke the protocol: server->failed.
 */
bool ulv_block_server_step(struct ulv_block_server *server, uint32_t turn,
                           bool *ret_ring);

#endif
