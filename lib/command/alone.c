/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* In place of ahead.c and remember.c: one request after the other. */
#include "base/base.h"
#include "command/ahead.h"

void
ulv_command_ahead_wake(struct ulv_command_server *server)
{
    (void)server;
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
ulv_command_ahead_take(struct ulv_command_session *session,
                       struct ulv_command_request *ret)
{
    (void)session;
    (void)ret;
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

void
ulv_command_meet(struct ulv_command_session *session, const uint8_t client[16])
{
    (void)session;
    (void)client;
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
