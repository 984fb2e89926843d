/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Serving a console: what the guest says goes to a sink, each byte once, and
 * what is typed for it into the ring, also over a take-over. abi/console.h is
 * the protocol.
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
    /* Asks for input from that byte on, at most ULV_CONSOLE_INPUT_MAX: there
     * is room for it. NULL: it has none. */
    void (*want)(void *self, uint64_t offset);
    void *self;
    bool asked; /* for input that was not given yet */
    ulv_status failed;
};

/* Errors: PEER_PROTOCOL, PEER_INDEX. */
ulv_status ulv_console_server_start(struct ulv_console_server *server, void *p,
                                    uint64_t bytes);
/* As ulv_block_server_step(). */
bool ulv_console_server_step(struct ulv_console_server *server, uint32_t turn,
                             bool *ret_ring);
/* Part of a step: ask for input, if the client reads it and there is room. */
void ulv_console_server_ask(struct ulv_console_server *server);
/* What was asked for; what was not, or is not of that place or size, is left
 * out: whoever has it is asked anew. */
void ulv_console_server_input(struct ulv_console_server *server,
                              uint64_t offset, const void *bytes, size_t len,
                              bool *ret_ring);

#endif
