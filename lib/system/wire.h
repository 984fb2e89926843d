/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A channel as a role holds it: mapped, with the two doorbells. The memory's
 * handle is closed as soon as it is mapped.
 */
#ifndef SYSTEM_WIRE_H
#define SYSTEM_WIRE_H

#include "system/message.h"
#include "system/rung.h"

struct wire {
    const struct ulv_host *host; /* NULL: not there */
    ulv_handle waits;
    ulv_id channel, device;
    uint8_t type[16];
    uint32_t end;
    void *p;
    uint64_t bytes;
    ulv_handle own_bell, peer_bell; /* own_bell is watched */
    struct rung *rung; /* NULL, or who says that it rang */
    struct bell bell;
    bool rang;
};

/* From a SAY_CHANNEL with three handles, which it takes, also on failure. */
ulv_status ulv_wire_init(struct wire *wire, const struct ulv_host *host,
                         ulv_handle waits, struct heard *heard);
/* The same, watched in the rung's set: its bell is only taken if the rung says
 * that it rang, where the host can tell. */
ulv_status ulv_wire_listen(struct wire *wire, struct rung *rung,
                           struct heard *heard);
void ulv_wire_fini(struct wire *wire);
/* Whether the peer rang since the last time. */
bool ulv_wire_take(struct wire *wire);
void ulv_wire_ring(struct wire *wire);
/* Whether it was taken away: the keeper clears it before a role with a process
 * of its own hears of that, and what stands there is nobody's fault. */
bool ulv_wire_is_cleared(const struct wire *wire);

#endif
