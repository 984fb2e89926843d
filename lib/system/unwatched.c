/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* In place of ultravisor_check.c, _watch.c, _left.c and relay.c on a bare
 * machine: nobody watches there, checks or is another program, and there are no
 * cursors. */
#include "base/base.h"
#include "system/relay.h"
#include "system/ultravisor.h"

ulv_status
ulv_ultravisor_observe(struct ultravisor_role *r)
{
    (void)r;
    return ULV_OK;
}

void
ulv_ultravisor_unobserve(struct ultravisor_role *r)
{
    (void)r;
}

ulv_status
ulv_relay_init(struct relay *relay, const struct ulv_host *host,
               struct ulv_command_server *server)
{
    (void)relay;
    (void)host;
    (void)server;
    return ULV_OK;
}

void
ulv_relay_fini(struct relay *relay)
{
    (void)relay;
}

void
ulv_relay_step(struct relay *relay, const struct ulv_command_server *server,
               struct ulv_command_client *client, bool *ret_ring)
{
    (void)relay;
    (void)server;
    (void)client;
    (void)ret_ring;
}

void
ulv_relay_again(struct relay *relay)
{
    (void)relay;
}

bool
ulv_relay_hear(struct relay *relay, const struct ulv_message *m)
{
    (void)relay;
    (void)m;
    return false;
}

void
ulv_ultravisor_on_cursor(void *self, struct ulv_command_session *session,
                         const struct ulv_message_cursor *asked)
{
    (void)self;
    (void)session;
    (void)asked;
}

ulv_status
ulv_relay_cursor(struct relay *relay, struct ulv_command_client *client,
                 const struct ulv_command_session *session,
                 const struct ulv_message_cursor *asked, bool *ret_ring)
{
    (void)relay;
    (void)client;
    (void)session;
    (void)asked;
    (void)ret_ring;
    return ULV_E_UNSUPPORTED;
}

void
ulv_relay_cursor_answer(struct relay *relay,
                        struct ulv_command_session *session,
                        const struct ulv_message_cursor_answer *answer)
{
    (void)relay;
    (void)session;
    (void)answer;
}

void
ulv_relay_drop(struct relay *relay, struct ulv_command_client *client,
               const struct ulv_command_session *session, bool *ret_ring)
{
    (void)relay;
    (void)client;
    (void)session;
    (void)ret_ring;
}

ulv_status
ulv_ultravisor_note_left(struct ultravisor_role *r,
                         const struct say_channel *say)
{
    (void)r;
    (void)say;
    return ULV_E_PEER_PROTOCOL;
}

ulv_status
ulv_ultravisor_check(const struct ultravisor_role *r, struct ulv_diag *diag)
{
    (void)r;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                    "a bare machine's database is not checked while it runs");
}
