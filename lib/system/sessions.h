/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The command channels that a role serves: a command server, with the wire of
 * each session. For the ultravisor role and for the command role.
 */
#ifndef SYSTEM_SESSIONS_H
#define SYSTEM_SESSIONS_H

#include "command/server.h"
#include "system/role.h"
#include "system/rung.h"
#include "system/wire.h"

struct session {
    struct session *next;
    struct role *role;
    struct wire wire;
    struct bell bell;
    struct ulv_command_session command;
};

struct sessions {
    struct role *role;
    struct session *first;
    struct rung rung; /* their doorbells */
    bool slept; /* all clients were asked to ring */
    struct ulv_command_server server;
};

/* handlers: ring and broken are the two below; self is the role's own. */
void ulv_sessions_init(struct sessions *sessions, struct role *role,
                       const struct ulv_command_handlers *handlers,
                       void *self);
void ulv_sessions_fini(struct sessions *sessions);

/* Another client, from a SAY_CHANNEL. Errors: NO_MEMORY, PEER_*, STATE, LIMIT,
 * and what the host says. */
ulv_status ulv_sessions_add(struct sessions *sessions, struct heard *heard);
/* The session of that channel; NULL: it is none of these. */
struct ulv_command_session *ulv_sessions_find(const struct sessions *sessions,
                                              ulv_id channel);
/* The channel is no more; *asking is NULL afterwards if it was of that one. */
void ulv_sessions_close(struct sessions *sessions, ulv_id channel,
                        struct ulv_command_session **asking);

/* A turn for each that has something to do. */
void ulv_sessions_step(struct sessions *sessions, struct role_need *need);

/* For handlers. */
void ulv_sessions_ring(struct ulv_command_session *command);
void ulv_sessions_broken(struct ulv_command_session *command);

#endif
