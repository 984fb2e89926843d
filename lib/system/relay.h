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

#define RELAY_CURSORS_MAX     32u /* noted at once */
#define RELAY_CURSORS_SESSION 8u  /* of one client */

/* Of the ultravisor's cursors, which is whose. */
struct relay_cursor {
    uint64_t number; /* 0: none */
    const struct ulv_command_session *session;
};

struct relay {
    struct ulv_changes changes;
    uint64_t watch; /* number of the WATCH there; 0: there is none */
    bool refused;   /* that was answered by an error: not asked again */
    struct relay_cursor cursors[RELAY_CURSORS_MAX];
    uint64_t asked; /* the cursor that the request under way is about */
};

/* Clients of that server can watch. Errors: NO_MEMORY. */
ulv_status ulv_relay_init(struct relay *relay, const struct ulv_host *host,
                          struct ulv_command_server *server);
void ulv_relay_fini(struct relay *relay);
/* Begin or end the WATCH there, as clients need it. */
void ulv_relay_step(struct relay *relay,
                    const struct ulv_command_server *server,
                    struct ulv_command_client *client, bool *ret_ring);
/* There is another ultravisor: it is asked again, from where the copy ends.
 * Cursors are over. */
void ulv_relay_again(struct relay *relay);
/* A message from there; false: it is for somebody else. */
bool ulv_relay_hear(struct relay *relay, const struct ulv_message *m);

/* ---- cursors ------------------------------------------------------------- */

/* Whether the client may ask that; sent, as the next request there, if so.
 * Errors: LIMIT, EXPIRED (it has no such cursor), and of sending. */
ulv_status ulv_relay_cursor(struct relay *relay,
                            struct ulv_command_client *client,
                            const struct ulv_command_session *session,
                            const struct ulv_message_cursor *asked,
                            bool *ret_ring);
/* What was asked is answered so: note whose it is, or that it is over. */
void ulv_relay_cursor_answer(struct relay *relay,
                             struct ulv_command_session *session,
                             const struct ulv_message_cursor_answer *answer);
/* The client is gone: its cursors are closed. */
void ulv_relay_drop(struct relay *relay, struct ulv_command_client *client,
                    const struct ulv_command_session *session,
                    bool *ret_ring);

#endif
