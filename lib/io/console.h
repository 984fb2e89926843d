/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Serving a console: what the guest says goes to a sink, each byte once, also
 * over a take-over. abi/console.h is the protocol.
 */
#ifndef IO_CONSOLE_H
#define IO_CONSOLE_H

#include <ultravisor/abi/block.h>
#include <ultravisor/abi/console.h>
#include <ultravisor/sys/host.h>

#include "channel/channel.h"

struct ulv_console_server {
    struct ulv_channel_end end;
    struct ulv_takeover_region *region; /* console_offset: next to accept */
    /* Takes bytes that follow one another; FULL: later, keep them. */
    ulv_status (*sink)(void *self, uint64_t offset, const void *bytes,
                       size_t len);
    void *self;
    ulv_status failed;
};

/* Errors: PEER_PROTOCOL, PEER_INDEX. */
ulv_status ulv_console_server_start(struct ulv_console_server *server, void *p,
                                    uint64_t bytes);
/* As ulv_block_server_step(). */
bool ulv_console_server_step(struct ulv_console_server *server, uint32_t turn,
                             bool *ret_ring);

#endif
