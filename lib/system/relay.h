/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the command role passes on of the ultravisor's changes: one WATCH there,
 * of everything, a copy of what it says, and any number of WATCHes here, served
 * from the copy. So a client that is slow falls behind the copy and holds up
 * neither the role nor the ultravisor. While nobody watches here, nor is there
 * a WATCH there. On a bare machine nobody can.
 */
#ifndef SYSTEM_RELAY_H
#define SYSTEM_RELAY_H

#include "command/client.h"
#include "command/server.h"
#include "database/changes.h"

struct relay {
    struct ulv_changes changes;
    uint64_t watch; /* number of the WATCH there; 0: there is none */
    bool refused;   /* that was answered by an error: not asked again */
};

/* Clients of that server can watch. Errors: NO_MEMORY. */
ulv_status ulv_relay_init(struct relay *relay, const struct ulv_host *host,
                          struct ulv_command_server *server);
void ulv_relay_fini(struct relay *relay);
/* Begin or end the WATCH there, as clients need it. */
void ulv_relay_step(struct relay *relay,
                    const struct ulv_command_server *server,
                    struct ulv_command_client *client, bool *ret_ring);
/* A message from there; false: it is for somebody else. */
bool ulv_relay_hear(struct relay *relay, const struct ulv_message *m);

#endif
