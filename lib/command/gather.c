/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transactions of more operations than a message holds: the server's side. The
 * rest follows at once, in messages of its own; here they become one request,
 * which then waits like any other.
 *
 * T(512+600) = a TRANSACTION with 512 operations, and 600 to follow; O(n) = n
 * more of them; Q = a query.
 *
 * 1. T(512+600) O(512) O(88): a request of 1112 operations.
 * 2. T(512+600) O(512) Q: what stands between is garbage: disconnected.
 * 3. T(512+600) O(512), then nothing: disconnected, after a while.
 * 4. T(512+600), and there is no room for it: the others are read and
 *    forgotten, and it is refused when the last has come.
 * 5. What must fail: T(512+4000), or T(512+600) O(512) O(89): more than is
 *    allowed, or was said; nobody knows where the next request begins.
 *
 * Memory is taken for all of it when it begins, so that reading on never fails;
 * one client gathers one at a time, and all of them ULV_COMMAND_LARGE_MAX.
 */
#include "command/ahead.h"

#include "base/base.h"

static void
expect(struct ulv_command_session *session)
{
    struct ulv_command_server *server = session->server;
    const struct ulv_host *host = server->host;
    ulv_nsec expires;

    if (!ulv_add_u64(host->now(host->self), ULV_COMMAND_GATHER_LIMIT,
                     &expires))
        expires = ULV_FOREVER;
    session->gathering.expires = expires;
    server->deadline = ULV_MIN(server->deadline, expires);
}

bool
ulv_command_gather_begin(struct ulv_command_session *session,
                         const struct ulv_command_request *request)
{
    struct ulv_command_gathering *g = &session->gathering;
    const struct ulv_message_transaction *t = request->u.transaction;
    struct ulv_message_transaction *whole;

    if (request->kind == ULV_MESSAGE_OPERATIONS) {
        ulv_command_disconnect(session, ULV_E_PEER_PROTOCOL);
        return true;
    }
    if (request->kind != ULV_MESSAGE_TRANSACTION || t->more == 0)
        return false;
    if (t->more > ULV_OPERATION_COUNT_MAX - t->operation_count) {
        ulv_command_disconnect(session, ULV_E_PEER_LENGTH);
        return true;
    }
    g->request = request->request;
    g->missing = t->more;
    g->whole = ulv_command_waiting_new(
        session, request,
        t->m.bytes + t->more * (uint32_t)sizeof(struct ulv_operation));
    if (g->whole != NULL) {
        whole = (void *)&g->whole->message;
        whole->more = 0;
    }
    expect(session);
    return true;
}

/* Behind those that are there. */
static void
append(struct ulv_command_waiting *w, const struct ulv_operation *operations,
       uint32_t count)
{
    struct ulv_message_transaction *t = (void *)&w->message;
    struct ulv_precondition *preconditions = (void *)(t + 1);
    struct ulv_operation *at = (void *)(preconditions + t->precondition_count);

    memcpy(at + t->operation_count, operations, count * sizeof(*at));
    t->operation_count += count;
}

/* There is no memory for it: unless it is a repeat of one that is answered, or
 * will be. */
static void
refuse(struct ulv_command_session *session, uint64_t request)
{
    if (session->busy && session->request == request)
        return;
    if (ulv_command_find(session, request) == ULV_OK)
        (void)ulv_command_is_known(session, request);
    else
        ulv_command_refuse(session, request, ULV_E_NO_MEMORY, false);
}

static void
take(struct ulv_command_session *session,
     const struct ulv_command_request *part)
{
    struct ulv_command_gathering *g = &session->gathering;
    struct ulv_command_waiting *whole = g->whole;
    uint32_t count;

    if (part->kind != ULV_MESSAGE_OPERATIONS || part->request != g->request ||
        part->u.operations->operation_count == 0) {
        ulv_command_disconnect(session, ULV_E_PEER_PROTOCOL);
        return;
    }
    count = part->u.operations->operation_count;
    if (count > g->missing) {
        ulv_command_disconnect(session, ULV_E_PEER_LENGTH);
        return;
    }
    if (whole != NULL)
        append(whole, part->operations, count);
    g->missing -= count;
    if (g->missing != 0) {
        expect(session);
        return;
    }
    g->whole = NULL;
    if (whole != NULL)
        ulv_command_ahead_keep(session, whole);
    else
        refuse(session, g->request);
}

/* If not, the client rings when there is room. */
bool
ulv_command_gather_may_go_on(struct ulv_command_session *session)
{
    return session->gathering.whole != NULL ||
           ulv_command_session_has_room(
               session, sizeof(struct ulv_message_transaction_answer));
}

bool
ulv_command_gather(struct ulv_command_session *session)
{
    struct ulv_command_request part;

    if (!ulv_command_gather_may_go_on(session))
        return false;
    if (ulv_command_session_read(session, &part) != ULV_OK)
        return false;
    take(session, &part);
    return session->failed == ULV_OK;
}

void
ulv_command_gather_expire(struct ulv_command_session *session)
{
    struct ulv_command_server *server = session->server;
    const struct ulv_command_gathering *g = &session->gathering;
    const struct ulv_host *host = server->host;
    struct ulv_ring_record record;

    /* that we were slow to read is no fault of the client's */
    if (g->missing == 0 ||
        ulv_ring_rx_peek(&session->end.rx, &record) != ULV_E_EMPTY)
        return;
    if (g->expires <= host->now(host->self))
        ulv_command_disconnect(session, ULV_E_TIMEOUT);
    else
        server->deadline = ULV_MIN(server->deadline, g->expires);
}

void
ulv_command_gather_drop(struct ulv_command_session *session)
{
    struct ulv_command_gathering *g = &session->gathering;

    if (g->whole != NULL)
        ulv_command_waiting_free(session->server, g->whole);
    memset(g, 0, sizeof(*g));
}
