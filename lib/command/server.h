/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One session of a command server: the server's end of one command channel. A
 * request is handed to the handlers; its answer may come later. The next
 * request of the session waits in the ring until then.
 *
 * For the ultravisor role (handlers: the database) and the command role
 * (handlers: policy, then the ultravisor). One thread owns a session.
 */
#ifndef COMMAND_SERVER_H
#define COMMAND_SERVER_H

#include <ultravisor/sys/host.h>

#include "channel/channel.h"
#include "command/codec.h"

/* Answers remembered, so that a request repeated is not carried out twice. */
#define ULV_COMMAND_REMEMBERED 1024u

struct ulv_command_session;

struct ulv_command_handlers {
    void *self;
    /* Each is answered by the function of the same name below, now or later;
     * what request points to is borrowed for the call. */
    void (*hello)(void *self, struct ulv_command_session *session);
    void (*transaction)(void *self, struct ulv_command_session *session,
                        const struct ulv_command_request *request);
    void (*query)(void *self, struct ulv_command_session *session,
                  const struct ulv_message_query *query);
};

struct ulv_command_session {
    const struct ulv_host *host;
    const struct ulv_command_handlers *handlers;
    struct ulv_channel_end end;
    uint64_t number;   /* of the session, for the log: from its GUID */
    uint8_t client[16]; /* the GUID of its last HELLO */
    bool greeted;
    bool busy;         /* a request awaits its answer */
    uint64_t request;  /* its number */
    uint64_t newest;   /* highest transaction number seen */
    ulv_status failed; /* ULV_OK, or why the client was disconnected */
    void *message;     /* ULV_COMMAND_MESSAGE_MAX, private */
    void *answer;      /* waiting for room in the ring */
    size_t answer_len; /* 0: none */
    struct ulv_message_transaction_answer *remembered;
};

/* p, bytes: the channel as mapped. An error leaves nothing behind.
 * Errors: NO_MEMORY, PEER_PROTOCOL, PEER_INDEX, STATE. */
ulv_status ulv_command_session_init(struct ulv_command_session *session,
                                    const struct ulv_host *host,
                                    const struct ulv_command_handlers *handlers,
                                    void *p, uint64_t bytes);
void ulv_command_session_fini(struct ulv_command_session *session);

/**
 * A bounded turn: at most one request. *ret_ring: ring the client.
 * Returns whether there may be more to do at once. A client that sent garbage
 * is disconnected: session->failed says why, for the caller to record.
 */
bool ulv_command_session_step(struct ulv_command_session *session,
                              bool *ret_ring);

void ulv_command_answer_hello(struct ulv_command_session *session,
                              ulv_status status, uint64_t lease_first,
                              uint64_t revision);
/* answer->m is filled in here. */
void
ulv_command_answer_transaction(struct ulv_command_session *session,
                               struct ulv_message_transaction_answer *answer);
/* header: status, kind, record_*, revision, more are set. */
void ulv_command_answer_query(struct ulv_command_session *session,
                              const struct ulv_message_query_answer *header,
                              const void *records);

#endif
