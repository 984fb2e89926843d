/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* In place of ahead.c, remember.c and turns.c: one request after the other, and
 * each session is looked at. */
#include "base/base.h"
#include "command/ahead.h"

void
ulv_command_session_wake(struct ulv_command_session *session)
{
    (void)session;
}

void
ulv_command_server_wake_all(struct ulv_command_server *server)
{
    (void)server;
}

static struct ulv_command_session *
session_at(struct ulv_command_place *place)
{
    return ULV_CONTAINER_OF(place, struct ulv_command_session, all);
}

/* Who had a turn comes last the next time. */
bool
ulv_command_server_step(struct ulv_command_server *server)
{
    bool more = false;

    for (uint32_t n = server->session_count; n > 0; n--) {
        struct ulv_command_place *place = server->all.next;

        if (ulv_command_session_turn(session_at(place)))
            more = true;
        ulv_command_line_join(&server->all, place);
    }
    return more;
}

bool
ulv_command_server_sleep(struct ulv_command_server *server)
{
    struct ulv_command_place *place = server->all.next;

    for (uint32_t n = server->session_count; n > 0; n--) {
        struct ulv_command_session *session = session_at(place);

        if (session->failed == ULV_OK &&
            ulv_command_session_may_begin(session) &&
            ulv_ring_rx_wait(&session->end.rx))
            return false;
        place = place->next;
    }
    return true;
}

bool
ulv_command_ahead_idle(struct ulv_command_session *session)
{
    (void)session;
    return false;
}

bool
ulv_command_ahead_read(struct ulv_command_session *session)
{
    (void)session;
    return false;
}

bool
ulv_command_ahead_serve(struct ulv_command_session *session,
                        const struct ulv_command_request *request)
{
    (void)session;
    (void)request;
    return false;
}

bool
ulv_command_is_known(struct ulv_command_session *session, uint64_t number)
{
    (void)session;
    (void)number;
    return false;
}

void
ulv_command_remember(struct ulv_command_session *session,
                     const struct ulv_message_transaction_answer *answer)
{
    (void)session;
    (void)answer;
}

bool
ulv_command_meet(struct ulv_command_session *session, const uint8_t client[16])
{
    (void)session;
    (void)client;
    return false;
}

void
ulv_command_forget(struct ulv_command_session *session)
{
    (void)session;
}

ulv_nsec
ulv_command_ahead_expiry(const struct ulv_command_session *session,
                         const struct ulv_command_request *request)
{
    (void)session;
    (void)request;
    return ULV_FOREVER;
}

bool
ulv_command_ahead_left(const struct ulv_command_session *session,
                       uint64_t *ret)
{
    (void)session;
    *ret = 0;
    return true;
}

bool
ulv_command_ahead_turn(struct ulv_command_session *session)
{
    (void)session;
    return false;
}

bool
ulv_command_ahead_sleep(struct ulv_command_session *session)
{
    (void)session;
    return true;
}

void
ulv_command_ahead_drop(struct ulv_command_session *session)
{
    (void)session;
}

void
ulv_command_answer_cursor(struct ulv_command_session *session,
                          const struct ulv_message_cursor_answer *header,
                          const void *records)
{
    (void)session;
    (void)header;
    (void)records;
}
