/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: of one session at most one request is being carried out; its
 * record was released, its answer is neither sent nor remembered, and there is
 * room in the ring for it. An answer is remembered before it is sent, and a
 * number that is remembered is never handed to the handlers.
 *
 * R7 = transaction number 7 arrives, A7 = its answer is sent, ! = the client
 * dies or times out and asks again.
 *
 * 1. R7 A7 R8 A8: the common case; a slow handler delays this session only.
 * 2. R7 ! R7: the second R7 waits while the first is carried out, then finds
 *    its answer remembered: carried out once, answered twice.
 * 3. R7 A7 ... 1024 others ... R7: forgotten, so EXPIRED; it might have been
 *    carried out, and it is not carried out again.
 * 4. What must fail: R9 A9 R7 (never seen) with 7 < newest - 1024: EXPIRED
 *    though it never ran. To run it would be to run a forgotten duplicate too.
 *
 * All numbers are of one client, known by the GUID of its HELLO. With another
 * GUID another client goes on in its place, and all is forgotten. A server that
 * has a journal recalls what it has of a client that it meets.
 *
 * Nothing is begun for a client that does not take its answers: its requests
 * stay in its ring until that is full, and then its own send fails with FULL.
 */
#include "command/server.h"

#include "base/base.h"
#include "command/ahead.h"

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;

/* ---- lines of sessions --------------------------------------------------- */

static void
line_begin(struct ulv_command_place *line)
{
    line->next = line->before = line;
}

void
ulv_command_line_leave(struct ulv_command_place *place)
{
    if (place->next == NULL)
        return;
    place->before->next = place->next;
    place->next->before = place->before;
    place->next = place->before = NULL;
}

void
ulv_command_line_join(struct ulv_command_place *line,
                      struct ulv_command_place *place)
{
    ulv_command_line_leave(place);
    place->next = line;
    place->before = line->before;
    line->before->next = place;
    line->before = place;
}

void
ulv_command_session_ignore(struct ulv_command_session *session)
{
    if (session->looked_at.next != NULL)
        session->server->looked_at_count--;
    ulv_command_line_leave(&session->looked_at);
}

/* ---- servers and sessions ------------------------------------------------ */

ulv_status
ulv_command_session_init(struct ulv_command_session *session,
                         struct ulv_command_server *server, void *p,
                         uint64_t bytes)
{
    ulv_status status;

    memset(session, 0, sizeof(*session));
    session->last = &session->first;
    status = ulv_channel_attach(&session->end, p, bytes, ULV_END_SERVER,
                                type_command);
    if (status != ULV_OK)
        return status;
    /* the longest answer, and an event before it */
    if (ulv_ring_record_max(session->end.tx.mask + 1) <
        ULV_COMMAND_MESSAGE_MAX + 2 * ULV_COMMAND_EVENT_MAX) {
        ulv_channel_detach(&session->end);
        return ULV_E_LIMIT;
    }
    if (server->session_count == 0) {
        line_begin(&server->all);
        line_begin(&server->looked_at);
        line_begin(&server->waiting);
        line_begin(&server->watching);
        server->deadline = ULV_FOREVER;
    }
    session->server = server;
    server->session_count++;
    ulv_command_line_join(&server->all, &session->all);
    ulv_command_session_wake(session);
    return ULV_OK;
}

void
ulv_command_session_fini(struct ulv_command_session *session)
{
    struct ulv_command_server *server = session->server;

    if (server == NULL)
        return;
    ulv_command_ahead_drop(session);
    ulv_channel_detach(&session->end);
    ulv_command_forget(session);
    ulv_command_session_ignore(session);
    ulv_command_line_leave(&session->waiting);
    ulv_command_line_leave(&session->watcher);
    ulv_command_line_leave(&session->all);
    server->session_count--;
    memset(session, 0, sizeof(*session));
}

static void
flush(struct ulv_command_session *session)
{
    if (session->unsent && ulv_ring_tx_submit(&session->end.tx))
        session->server->handlers->ring(session);
    session->unsent = false;
}

void
ulv_command_disconnect(struct ulv_command_session *session, ulv_status why)
{
    flush(session);
    session->failed = why;
    ulv_channel_give_up(&session->end);
    ulv_command_ahead_drop(session);
    ulv_command_session_ignore(session);
    ulv_command_line_leave(&session->waiting);
    session->server->handlers->broken(session);
}

/* ---- messages ------------------------------------------------------------ */

ulv_status
ulv_command_session_read(struct ulv_command_session *session,
                         struct ulv_command_request *ret)
{
    struct ulv_command_server *server = session->server;
    struct ulv_ring_record record;
    ulv_status status = ulv_ring_rx_peek(&session->end.rx, &record);

    if (status == ULV_E_EMPTY)
        return status;
    session->worked = true;
    if (status == ULV_OK && record.len > ULV_COMMAND_MESSAGE_MAX)
        status = ULV_E_PEER_LENGTH;
    if (status == ULV_OK) {
        memcpy(server->message, record.data, record.len);
        if (ulv_ring_rx_release(&session->end.rx))
            server->handlers->ring(session);
        status = ulv_command_decode(server->message, record.len, ret);
        if (status == ULV_OK && ret->kind != record.type)
            status = ULV_E_PEER_PROTOCOL;
    }
    if (status != ULV_OK)
        ulv_command_disconnect(session, status);
    return status;
}

bool
ulv_command_session_has_room(struct ulv_command_session *session, size_t len)
{
    if (session->busy)
        len += ULV_COMMAND_MESSAGE_MAX + sizeof(struct ulv_record);
    return ulv_ring_tx_wait(&session->end.tx, (uint32_t)len);
}

void *
ulv_command_session_put(struct ulv_command_session *session, uint32_t kind,
                        uint64_t request, size_t len)
{
    struct ulv_message *m;
    void *slot;
    ulv_status status;

    if (session->failed != ULV_OK)
        return NULL;
    status = ulv_ring_tx_reserve(&session->end.tx, kind, (uint32_t)len, &slot);
    if (status != ULV_OK) {
        ulv_command_disconnect(session, status);
        return NULL;
    }
    m = slot;
    m->bytes = (uint32_t)len;
    m->kind = (uint16_t)kind;
    m->version = ULV_COMMAND_VERSION;
    m->request = request;
    session->unsent = true;
    return slot;
}

static void *
put_answer(struct ulv_command_session *session, uint32_t kind, size_t len)
{
    session->busy = false;
    ulv_command_session_wake(session);
    return ulv_command_session_put(session, kind | ULV_MESSAGE_ANSWER,
                                   session->request, len);
}

/* It can be watched from there: perhaps before its changes have come. */
static void
name_revision(struct ulv_command_session *session, uint64_t revision)
{
    struct ulv_command_server *server = session->server;

    server->revision = ULV_MAX(server->revision, revision);
}

void
ulv_command_answer_hello(struct ulv_command_session *session,
                         ulv_status status, uint64_t lease_first,
                         uint64_t revision)
{
    struct ulv_message_hello_answer *answer =
        put_answer(session, ULV_MESSAGE_HELLO, sizeof(*answer));

    if (answer == NULL)
        return;
    answer->status = status;
    answer->rsvd_ = 0;
    answer->lease_first = lease_first;
    answer->revision = revision;
    name_revision(session, revision);
}

void
ulv_command_answer_query(struct ulv_command_session *session,
                         const struct ulv_message_query_answer *header,
                         const void *records)
{
    size_t bytes = (size_t)header->record_count * header->record_bytes;
    struct ulv_message_query_answer *answer =
        put_answer(session, ULV_MESSAGE_QUERY, sizeof(*answer) + bytes);

    if (answer == NULL)
        return;
    memcpy((uint8_t *)answer + sizeof(answer->m),
           (const uint8_t *)header + sizeof(header->m),
           sizeof(*header) - sizeof(header->m));
    if (bytes != 0)
        memcpy(answer + 1, records, bytes);
    name_revision(session, header->revision);
}

void
ulv_command_session_send(struct ulv_command_session *session,
                         const struct ulv_message_transaction_answer *answer)
{
    struct ulv_message_transaction_answer *slot = ulv_command_session_put(
        session, ULV_MESSAGE_TRANSACTION | ULV_MESSAGE_ANSWER,
        answer->m.request, sizeof(*slot));

    if (slot != NULL)
        memcpy(&slot->status, &answer->status,
               sizeof(*slot) - sizeof(slot->m));
}

void
ulv_command_answer_transaction(struct ulv_command_session *session,
                               struct ulv_message_transaction_answer *answer)
{
    answer->m.request = session->request;
    session->busy = false;
    name_revision(session, answer->revision);
    ulv_command_session_wake(session);
    ulv_command_remember(session, answer);
    ulv_command_session_send(session, answer);
}

/* ---- carrying out -------------------------------------------------------- */

static void
carry_out(struct ulv_command_session *session,
          const struct ulv_command_request *request)
{
    struct ulv_command_server *server = session->server;
    const struct ulv_command_handlers *h = server->handlers;

    if (request->kind == ULV_MESSAGE_HELLO) {
        ulv_status status = ULV_OK;

        session->number = ulv_get_le64(request->u.hello->session);
        if (ulv_command_meet(session, request->u.hello->session) &&
            h->recall != NULL)
            status = h->recall(server->self, session);
        if (status != ULV_OK) {
            ulv_command_disconnect(session, status);
            return;
        }
        session->greeted = true;
    }
    if (!session->greeted) {
        ulv_command_disconnect(session, ULV_E_PEER_PROTOCOL);
        return;
    }
    if (request->kind > ULV_MESSAGE_QUERY) {
        if (!ulv_command_ahead_serve(session, request))
            ulv_command_disconnect(session, ULV_E_PEER_PROTOCOL);
        return;
    }
    if (request->kind == ULV_MESSAGE_TRANSACTION &&
        ulv_command_is_known(session, request->request))
        return;
    session->request = request->request;
    session->busy = true;
    if (request->kind == ULV_MESSAGE_TRANSACTION)
        h->transaction(server->self, session, request);
    else if (request->kind == ULV_MESSAGE_QUERY)
        h->query(server->self, session, request->u.query);
    else
        h->hello(server->self, session);
}

/* ---- turns --------------------------------------------------------------- */

bool
ulv_command_session_may_begin(struct ulv_command_session *session)
{
    struct ulv_command_server *server = session->server;

    return !session->busy && server->handlers->ready(server->self) &&
           ulv_command_session_has_room(session, ULV_COMMAND_MESSAGE_MAX);
}

/* The oldest that was read ahead. */
static bool
begin_waiting(struct ulv_command_session *session)
{
    struct ulv_command_server *server = session->server;
    struct ulv_command_request request;
    struct ulv_command_waiting *w = ulv_command_ahead_take(session, &request);

    session->worked = true;
    if (w == NULL)
        return true;
    carry_out(session, &request);
    ulv_command_waiting_free(server, w);
    return true;
}

static bool
begin_next(struct ulv_command_session *session)
{
    struct ulv_command_request request;

    /* where these are small, nothing is read ahead: alone.c */
    if (ULV_LARGE_TRANSACTIONS && session->first != NULL)
        return begin_waiting(session);
    if (ulv_command_session_read(session, &request) != ULV_OK)
        return false;
    if (ULV_LARGE_TRANSACTIONS && ulv_command_gather_begin(session, &request))
        return true;
    session->expires = ulv_command_ahead_expiry(session, &request);
    carry_out(session, &request);
    return true;
}

bool
ulv_command_session_turn(struct ulv_command_session *session)
{
    bool more = !ulv_command_ahead_idle(session);

    session->worked = session->unsent;
    for (uint32_t n = 0; more && n < ULV_COMMAND_TURN; n++) {
        if (session->failed != ULV_OK)
            return false;
        if (ULV_LARGE_TRANSACTIONS && session->gathering.missing != 0)
            more = ulv_command_gather(session);
        else if (ulv_command_session_may_begin(session))
            more = begin_next(session);
        else
            more = ulv_command_ahead_read(session);
    }
    if (session->failed == ULV_OK && ulv_command_ahead_turn(session))
        more = true;
    flush(session);
    return more && session->failed == ULV_OK;
}
