/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: of one session at most one request is being carried out; its
 * record was released, its answer is neither sent nor remembered. An answer is
 * remembered before it is sent, and a number that is remembered is never
 * handed to the handlers.
 *
 * R7 = transaction number 7 arrives, A7 = its answer is sent, ! = the client
 * dies or times out and asks again.
 *
 * 1. R7 A7 R8 A8: the common case; a slow handler delays this session only.
 * 2. R7 ! R7: the second R7 waits in the ring while the first is carried out,
 *    then finds its answer remembered: carried out once, answered twice.
 * 3. R7 A7 ... 1024 others ... R7: forgotten, so EXPIRED; it might have been
 *    carried out, and it is not carried out again.
 * 4. What must fail: R9 A9 R7 (never seen) with 7 < newest - 1024: EXPIRED
 *    though it never ran. To run it would be to run a forgotten duplicate too.
 *
 * All numbers are of one client, known by the GUID of its HELLO. With another
 * GUID another client goes on in its place, and all is forgotten.
 */
#include "command/server.h"

#include "base/base.h"

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;

#define REMEMBERED_BYTES                                                       \
    (ULV_COMMAND_REMEMBERED * sizeof(struct ulv_message_transaction_answer))

ulv_status
ulv_command_session_init(struct ulv_command_session *session,
                         const struct ulv_host *host,
                         const struct ulv_command_handlers *handlers, void *p,
                         uint64_t bytes)
{
    ulv_status status = ULV_E_NO_MEMORY;

    memset(session, 0, sizeof(*session));
    session->host = host;
    session->handlers = handlers;
    session->message = host->alloc(host->self, ULV_COMMAND_MESSAGE_MAX, 8);
    session->answer = host->alloc(host->self, ULV_COMMAND_MESSAGE_MAX, 8);
    session->remembered = host->alloc(host->self, REMEMBERED_BYTES, 8);
    if (session->message != NULL && session->answer != NULL &&
        session->remembered != NULL)
        status = ulv_channel_attach(&session->end, p, bytes, ULV_END_SERVER,
                                    type_command);
    if (status != ULV_OK)
        ulv_command_session_fini(session);
    return status;
}

void
ulv_command_session_fini(struct ulv_command_session *session)
{
    const struct ulv_host *host = session->host;

    if (host == NULL)
        return;
    ulv_channel_detach(&session->end);
    host->free(host->self, session->message, ULV_COMMAND_MESSAGE_MAX);
    host->free(host->self, session->answer, ULV_COMMAND_MESSAGE_MAX);
    host->free(host->self, session->remembered, REMEMBERED_BYTES);
    memset(session, 0, sizeof(*session));
}

static void
disconnect(struct ulv_command_session *session, ulv_status why)
{
    session->failed = why;
    ulv_channel_give_up(&session->end);
}

/* Send the waiting answer; false: no room yet, and the client was asked to ring
 * when there is. */
static bool
send_answer(struct ulv_command_session *session, bool *ret_ring)
{
    const struct ulv_message *m = session->answer;
    uint32_t len = (uint32_t)session->answer_len;
    void *slot;
    ulv_status status;

    if (session->answer_len == 0)
        return true;
    status = ulv_ring_tx_reserve(&session->end.tx, m->kind, len, &slot);
    if (status == ULV_E_FULL) {
        if (!ulv_ring_tx_wait(&session->end.tx, len))
            return false;
        /* room appeared meanwhile, and nobody will ring for it */
        status = ulv_ring_tx_reserve(&session->end.tx, m->kind, len, &slot);
    }
    if (status != ULV_OK) {
        disconnect(session, status);
        return false;
    }
    memcpy(slot, session->answer, session->answer_len);
    session->answer_len = 0;
    if (ulv_ring_tx_submit(&session->end.tx))
        *ret_ring = true;
    return true;
}

static void
prepare_answer(struct ulv_command_session *session, uint16_t kind, size_t len)
{
    struct ulv_message *m = session->answer;

    m->bytes = (uint32_t)len;
    m->kind = (uint16_t)(kind | ULV_MESSAGE_ANSWER);
    m->version = ULV_COMMAND_VERSION;
    m->request = session->request;
    session->answer_len = len;
    session->busy = false;
}

void
ulv_command_answer_hello(struct ulv_command_session *session,
                         ulv_status status, uint64_t lease_first,
                         uint64_t revision)
{
    struct ulv_message_hello_answer *answer = session->answer;

    memset(answer, 0, sizeof(*answer));
    answer->status = status;
    answer->lease_first = lease_first;
    answer->revision = revision;
    prepare_answer(session, ULV_MESSAGE_HELLO, sizeof(*answer));
}

void
ulv_command_answer_transaction(struct ulv_command_session *session,
                               struct ulv_message_transaction_answer *answer)
{
    answer->m.request = session->request;
    session->remembered[session->request % ULV_COMMAND_REMEMBERED] = *answer;
    memcpy(session->answer, answer, sizeof(*answer));
    prepare_answer(session, ULV_MESSAGE_TRANSACTION, sizeof(*answer));
}

void
ulv_command_answer_query(struct ulv_command_session *session,
                         const struct ulv_message_query_answer *header,
                         const void *records)
{
    size_t bytes = (size_t)header->record_count * header->record_bytes;
    struct ulv_message_query_answer *answer = session->answer;

    *answer = *header;
    memcpy(answer + 1, records, bytes);
    prepare_answer(session, ULV_MESSAGE_QUERY, sizeof(*answer) + bytes);
}

/* A transaction that was seen before, or is too old to know. */
static bool
answer_from_memory(struct ulv_command_session *session)
{
    uint64_t n = session->request;
    struct ulv_message_transaction_answer old =
        session->remembered[n % ULV_COMMAND_REMEMBERED];

    if (n > session->newest) {
        session->newest = n;
        return false;
    }
    if (old.m.request != n || n == 0) {
        if (n != 0 && session->newest - n < ULV_COMMAND_REMEMBERED)
            return false; /* a gap that is filled late */
        memset(&old, 0, sizeof(old));
        old.status = ULV_E_EXPIRED;
        old.operation_idx = UINT32_MAX;
        old.value = n;
        old.bound = session->newest;
        ulv_string_copy(old.text, sizeof(old.text),
                        "the request is older than what is remembered");
    }
    memcpy(session->answer, &old, sizeof(old));
    prepare_answer(session, ULV_MESSAGE_TRANSACTION, sizeof(old));
    return true;
}

static void
greet(struct ulv_command_session *session,
      const struct ulv_message_hello *hello)
{
    if (session->greeted && !ulv_guid_equal(session->client, hello->session)) {
        /* a successor: it numbers from 1 again, and none of it is a retry */
        session->newest = 0;
        memset(session->remembered, 0, REMEMBERED_BYTES);
    }
    memcpy(session->client, hello->session, sizeof(session->client));
    session->number = ulv_get_le64(hello->session);
    session->greeted = true;
    session->handlers->hello(session->handlers->self, session);
}

static void
carry_out(struct ulv_command_session *session,
          const struct ulv_command_request *request)
{
    const struct ulv_command_handlers *h = session->handlers;

    session->request = request->request;
    session->busy = true;
    if (request->kind == ULV_MESSAGE_HELLO)
        greet(session, request->u.hello);
    else if (!session->greeted)
        disconnect(session, ULV_E_PEER_PROTOCOL);
    else if (request->kind == ULV_MESSAGE_QUERY)
        h->query(h->self, session, request->u.query);
    else if (!answer_from_memory(session))
        h->transaction(h->self, session, request);
}

bool
ulv_command_session_step(struct ulv_command_session *session, bool *ret_ring)
{
    struct ulv_ring_record record;
    struct ulv_command_request request;
    ulv_status status;

    if (session->failed != ULV_OK || !send_answer(session, ret_ring) ||
        session->busy)
        return false;
    status = ulv_ring_rx_peek(&session->end.rx, &record);
    if (status == ULV_E_EMPTY)
        return ulv_ring_rx_wait(&session->end.rx);
    if (status == ULV_OK && record.len > ULV_COMMAND_MESSAGE_MAX)
        status = ULV_E_PEER_LENGTH;
    if (status == ULV_OK) {
        uint32_t type = record.type;
        size_t len = record.len;

        memcpy(session->message, record.data, len);
        if (ulv_ring_rx_release(&session->end.rx))
            *ret_ring = true;
        status = ulv_command_decode(session->message, len, &request);
        if (status == ULV_OK && request.kind != type)
            status = ULV_E_PEER_PROTOCOL;
    }
    if (status != ULV_OK) {
        disconnect(session, status);
        return false;
    }
    carry_out(session, &request);
    (void)send_answer(session, ret_ring);
    return true;
}
