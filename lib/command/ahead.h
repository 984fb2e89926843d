/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a command server does beyond one request after the other: it remembers
 * answers (remember.c), looks at what waits behind the request under way, for
 * CANCEL and for deadlines, and tells of commits (ahead.c). In their place,
 * alone.c does none of it, for the image of a bare machine, whose only client
 * is part of it: that asks for one thing at a time, and only once.
 */
#ifndef COMMAND_AHEAD_H
#define COMMAND_AHEAD_H

#include "command/server.h"

/* A request that was read and is not begun yet. */
struct ulv_command_waiting {
    struct ulv_command_waiting *next;
    ulv_nsec expires;
    struct ulv_message message; /* of message.bytes; the rest behind it */
};

/* Before a step: wake those that have a deadline, or something to be told. */
void ulv_command_ahead_wake(struct ulv_command_server *server);
/* Whether there is nothing to do in this turn: what most are, where many are
 * served. false: perhaps there is. */
bool ulv_command_ahead_idle(struct ulv_command_session *session);
/* Read one more record; false: there is none, or no room to keep it. */
bool ulv_command_ahead_read(struct ulv_command_session *session);
/* The oldest that waits, to be freed when it was begun; NULL: its deadline has
 * passed, and it was answered. */
struct ulv_command_waiting *
ulv_command_ahead_take(struct ulv_command_session *session,
                       struct ulv_command_request *ret);
void ulv_command_waiting_free(struct ulv_command_server *server,
                              struct ulv_command_waiting *w);
/* Carry out a CANCEL, a WATCH or a CURSOR; false: there is no such thing. */
bool ulv_command_ahead_serve(struct ulv_command_session *session,
                             const struct ulv_command_request *request);
/* When it is too late to begin a request that has just been read. */
ulv_nsec ulv_command_ahead_expiry(const struct ulv_command_session *session,
                                  const struct ulv_command_request *request);
/* What is left until then, 0: no end; false: nothing. */
bool ulv_command_ahead_left(const struct ulv_command_session *session,
                            uint64_t *ret);
/* At the end of a turn: what has expired, events. true: there is more. */
bool ulv_command_ahead_turn(struct ulv_command_session *session);
/* Ask for a doorbell although nothing can be begun; false: look again. */
bool ulv_command_ahead_sleep(struct ulv_command_session *session);
/* The session is over: forget what waits. */
void ulv_command_ahead_drop(struct ulv_command_session *session);
/* End every WATCH. */
void ulv_command_ahead_unwatch(struct ulv_command_session *session);

/* A transaction of that number is or was under way, or may have been: it is
 * answered. false: it is to be begun. */
bool ulv_command_is_known(struct ulv_command_session *session,
                          uint64_t number);
/* The answer of one that was begun. */
void ulv_command_remember(struct ulv_command_session *session,
                          const struct ulv_message_transaction_answer *answer);
/* Who greets now; returns whether it is another than before. */
bool ulv_command_meet(struct ulv_command_session *session,
                      const uint8_t client[16]);
void ulv_command_forget(struct ulv_command_session *session);

/* ---- gather.c; where ULV_LARGE_TRANSACTIONS ------------------------------ */

/* A message that was read; true: it is one of several that are gathered now, or
 * the client was disconnected; false: it is whole. */
bool ulv_command_gather_begin(struct ulv_command_session *session,
                              const struct ulv_command_request *request);
/* Whether the next of them can be read. */
bool ulv_command_gather_may_go_on(struct ulv_command_session *session);
/* Read the next of them; false: it is not there, or the session is over. */
bool ulv_command_gather(struct ulv_command_session *session);
/* It has not come for so long that the client is disconnected. */
void ulv_command_gather_expire(struct ulv_command_session *session);
void ulv_command_gather_drop(struct ulv_command_session *session);

/* ---- what ahead.c has for gather.c --------------------------------------- */

/* Room for a message of so many bytes that begins as the request does; NULL: no
 * memory, or more than all clients may have. */
struct ulv_command_waiting *
ulv_command_waiting_new(struct ulv_command_session *session,
                        const struct ulv_command_request *request,
                        uint32_t bytes);
/* It waits from now on. */
void ulv_command_ahead_keep(struct ulv_command_session *session,
                            struct ulv_command_waiting *w);

/* ---- what remember.c has for ahead.c ------------------------------------- */

/* What is known of a number: OK (it was begun, and perhaps answered), NOT_FOUND
 * (nothing), EXPIRED (it is too old to know), NO_MEMORY. */
ulv_status ulv_command_find(struct ulv_command_session *session,
                            uint64_t number);
/* Answer a transaction that is not carried out. */
void ulv_command_refuse(struct ulv_command_session *session, uint64_t number,
                        ulv_status status, bool remember);

/* ---- what server.c has for them ------------------------------------------ */

/* The next record into the server's message, decoded; a client that sent
 * garbage is disconnected. Errors: EMPTY, and why it was disconnected. */
ulv_status ulv_command_session_read(struct ulv_command_session *session,
                                    struct ulv_command_request *ret);
void ulv_command_disconnect(struct ulv_command_session *session,
                            ulv_status why);
/* Stand last in that line; stand in none. */
void ulv_command_line_join(struct ulv_command_place *line,
                           struct ulv_command_place *place);
void ulv_command_line_leave(struct ulv_command_place *place);
/* It is looked at no more. */
void ulv_command_session_ignore(struct ulv_command_session *session);
/* A request can be begun, and answered whatever it is. */
bool ulv_command_session_may_begin(struct ulv_command_session *session);
/* What a session may do at once; true: there may be more. */
bool ulv_command_session_turn(struct ulv_command_session *session);
/* A message of that kind for the client, to be filled in behind its header;
 * NULL: the session is over. */
void *ulv_command_session_put(struct ulv_command_session *session,
                              uint32_t kind, uint64_t request, size_t len);
/* Whether the answers' ring has room for a message, and the answer of the
 * request under way after it; if not, the client was asked to ring. */
bool ulv_command_session_has_room(struct ulv_command_session *session,
                                  size_t len);
/* An answer to the transaction of the number in it. */
void
ulv_command_session_send(struct ulv_command_session *session,
                         const struct ulv_message_transaction_answer *answer);

#endif
