/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A command server: sessions, each the server's end of one command channel,
 * served in turns. A request is handed to the handlers; its answer may come
 * later. What a client sends meanwhile waits in its ring, or is read ahead.
 *
 * For the ultravisor role (handlers: the database) and the command role
 * (handlers: policy, then the ultravisor). One thread owns a server.
 */
#ifndef COMMAND_SERVER_H
#define COMMAND_SERVER_H

#include <ultravisor/sys/host.h>

#include "channel/channel.h"
#include "command/codec.h"

/* Answers remembered, so that a request repeated is not carried out twice. */
#define ULV_COMMAND_REMEMBERED 1024u
/* Records of a session that are looked at before the next has its turn. */
#define ULV_COMMAND_TURN 16u
/* Sessions that have nothing to do and are looked at all the same: a client
 * that asks again at once needs no doorbell. */
#define ULV_COMMAND_LOOKED_AT 16u
/* Transactions that came in several messages and wait, of all clients [bytes];
 * and how long the next of these messages is waited for [ns]. */
#define ULV_COMMAND_LARGE_MAX    UINT64_C(33554432)
#define ULV_COMMAND_GATHER_LIMIT UINT64_C(10000000000)

struct ulv_command_session;
struct ulv_command_waiting; /* ahead.c */
struct ulv_command_watch;
struct ulv_changes;

/* self is the server's. */
struct ulv_command_handlers {
    /* Each is answered by the function of the same name below, now or later;
     * what request points to is borrowed for the call. */
    void (*hello)(void *self, struct ulv_command_session *session);
    void (*transaction)(void *self, struct ulv_command_session *session,
                        const struct ulv_command_request *request);
    void (*query)(void *self, struct ulv_command_session *session,
                  const struct ulv_message_query *query);
    /* NULL: there are none. */
    void (*cursor)(void *self, struct ulv_command_session *session,
                   const struct ulv_message_cursor *cursor);
    /* Whether a request can be begun now. */
    bool (*ready)(void *self);
    /* Ring the client's doorbell. */
    void (*ring)(struct ulv_command_session *session);
    /* The client was disconnected: session->failed says why, for the record.
     * It may wait for an answer: ring it too. */
    void (*broken)(struct ulv_command_session *session);
    /* NULL, or: a client greets that this session has not had before; what
     * its requests have led to is told by ulv_command_recall(). On failure it
     * is disconnected. */
    ulv_status (*recall)(void *self, struct ulv_command_session *session);
};

/* 16 remembered answers; there is memory for those that were needed. */
#define ULV_COMMAND_ANSWERS 16u
struct ulv_command_answers {
    struct ulv_message_transaction_answer answer[ULV_COMMAND_ANSWERS];
};

/* A place in a line of sessions; the line is one, too: a circle. */
struct ulv_command_place {
    struct ulv_command_place *next, *before; /* NULL: it stands in none */
};

/* Made of zeros, a host, handlers, self and changes; has nothing when its
 * sessions are gone. */
struct ulv_command_server {
    const struct ulv_host *host;
    const struct ulv_command_handlers *handlers;
    void *self;
    const struct ulv_changes *changes; /* to watch; NULL: nothing */
    uint32_t watch_count; /* WATCHes of all sessions */
    uint64_t revision; /* the highest that an answer has named */
    struct ulv_command_place all;
    /* Those that are looked at, the least busy first; those that can begin when
     * the handlers are ready, in their order; those that watch. */
    struct ulv_command_place looked_at, waiting, watching;
    uint32_t session_count, looked_at_count;
    uint64_t told; /* how far changes had come when watchers were woken */
    ulv_nsec deadline; /* step again then: a request may expire */
    uint64_t large_bytes; /* of ULV_COMMAND_LARGE_MAX */
    uint64_t message[ULV_COMMAND_MESSAGE_MAX / 8]; /* private */
};

/* A transaction of which not all has come: gather.c. */
struct ulv_command_gathering {
    struct ulv_command_waiting *whole; /* NULL: there is no room for it */
    uint64_t request;
    uint32_t missing; /* operations; 0: nothing is gathered */
    ulv_nsec expires;
};

/* What is used most stands first. */
struct ulv_command_session {
    struct ulv_command_server *server;
    struct ulv_command_place looked_at, waiting;
    uint64_t request;  /* number of the one under way */
    ulv_nsec expires;  /* and when that is too late, or ULV_FOREVER */
    ulv_status failed; /* ULV_OK, or why the client was disconnected */
    bool greeted;
    bool busy;     /* a request awaits its answer */
    bool unsent;   /* answers lie in the ring that were not shown */
    bool worked;   /* in its last turn it had something to do */
    bool stuck;    /* no more can be read ahead */
    uint64_t number; /* of the session, for the log: from its GUID */
    uint64_t round;  /* whoever carries out: the last it was answered in */
    struct ulv_command_waiting *first, **last; /* read ahead */
    struct ulv_channel_end end;
    uint32_t waiting_count;
    uint64_t waiting_bytes;
    uint64_t newest;    /* highest transaction number seen */
    uint8_t client[16]; /* the GUID of its last HELLO */
    struct ulv_command_watch *watches; /* whose turn it is first */
    struct ulv_command_place all, watcher;
    struct ulv_command_answers
        *remembered[ULV_COMMAND_REMEMBERED / ULV_COMMAND_ANSWERS];
    struct ulv_command_gathering gathering;
};

/* p, bytes: the channel as mapped. An error leaves nothing behind.
 * Errors: PEER_PROTOCOL, PEER_INDEX, STATE, LIMIT (rings too small). */
ulv_status ulv_command_session_init(struct ulv_command_session *session,
                                    struct ulv_command_server *server, void *p,
                                    uint64_t bytes);
void ulv_command_session_fini(struct ulv_command_session *session);

/* Its client rang; or nobody knows whose did. */
void ulv_command_session_wake(struct ulv_command_session *session);
void ulv_command_server_wake_all(struct ulv_command_server *server);
/**
 * One turn for each session that was woken, or was busy of late, in the order
 * in which they had their last. Returns whether there may be more to do at
 * once. A client that sent garbage is disconnected. The others were asked to
 * ring, and cost nothing.
 */
bool ulv_command_server_step(struct ulv_command_server *server);
/**
 * Ask every client to ring that was not yet. Returns false if one has sent
 * something meanwhile, so that there is no sleep.
 */
bool ulv_command_server_sleep(struct ulv_command_server *server);

/**
 * For handlers that carry out several transactions at once: the next of each
 * client that could be begun if they were ready. One that join() takes, copying
 * what it needs, is under way as if handlers.transaction had been called;
 * others wait on. Not from a handler: between two steps.
 */
typedef bool ulv_command_join(void *self, struct ulv_command_session *session,
                              const struct ulv_command_request *request);
void ulv_command_server_join(struct ulv_command_server *server,
                             ulv_command_join *join);

void ulv_command_answer_hello(struct ulv_command_session *session,
                              ulv_status status, uint64_t lease_first,
                              uint64_t revision);
/* answer->m is filled in here. */
void
ulv_command_answer_transaction(struct ulv_command_session *session,
                               struct ulv_message_transaction_answer *answer);
/* header: status, kind, record_*, revision, cursor are set. */
void ulv_command_answer_cursor(struct ulv_command_session *session,
                               const struct ulv_message_cursor_answer *header,
                               const void *records);
/**
 * For handlers.recall: transaction number of this client's led to a revision,
 * and is not carried out again. newest: the highest number that it had asked.
 * Errors: NO_MEMORY
 */
ulv_status ulv_command_recall(struct ulv_command_session *session,
                              uint64_t number, uint64_t revision,
                              uint64_t newest);
/* header: status, kind, record_*, revision, more are set. */
void ulv_command_answer_query(struct ulv_command_session *session,
                              const struct ulv_message_query_answer *header,
                              const void *records);

#endif
