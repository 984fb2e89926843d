/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/sessions.h"

#include "base/base.h"

/* So few are rather all looked at than the host asked which of them rang. */
#define FEW 4u

static struct session *
session_of(struct ulv_command_session *command)
{
    return ULV_CONTAINER_OF(command, struct session, command);
}

void
ulv_sessions_ring(struct ulv_command_session *command)
{
    ulv_wire_ring(&session_of(command)->wire);
}

void
ulv_sessions_broken(struct ulv_command_session *command)
{
    const struct session *session = session_of(command);

    if (ULV_ROLE_PROCESSES && ulv_wire_is_cleared(&session->wire))
        return;
    ulv_sessions_ring(command); /* it may wait for an answer */
    ulv_role_tell_broken(session->role, session->wire.channel, "the client",
                         command->failed);
}

void
ulv_sessions_init(struct sessions *sessions, struct role *role,
                  const struct ulv_command_handlers *handlers, void *self)
{
    sessions->role = role;
    sessions->rung.host = role->host;
    sessions->rung.waits = role->waits;
    sessions->server.host = role->host;
    sessions->server.handlers = handlers;
    sessions->server.self = self;
}

static void
drop(struct sessions *sessions, struct session **at)
{
    const struct ulv_host *host = sessions->role->host;
    struct session *session = *at;

    *at = session->next;
    ulv_rung_remove(&sessions->rung, &session->bell);
    ulv_command_session_fini(&session->command);
    ulv_wire_fini(&session->wire);
    host->free(host->self, session, sizeof(*session));
}

void
ulv_sessions_fini(struct sessions *sessions)
{
    while (sessions->first != NULL)
        drop(sessions, &sessions->first);
    ulv_rung_fini(&sessions->rung);
}

static void
rang(struct bell *bell)
{
    struct session *session = ULV_CONTAINER_OF(bell, struct session, bell);

    (void)ulv_wire_take(&session->wire);
    ulv_command_session_wake(&session->command);
}

ulv_status
ulv_sessions_add(struct sessions *sessions, struct heard *heard)
{
    const struct role *role = sessions->role;
    const struct ulv_host *host = role->host;
    struct session *session = host->alloc(host->self, sizeof(*session), 8);
    ulv_status status = ULV_E_NO_MEMORY;

    if (session == NULL)
        return status;
    session->role = sessions->role;
    status = ulv_wire_init(&session->wire, host, role->waits, heard);
    if (status == ULV_OK)
        status = ulv_rung_add(&sessions->rung, &session->bell,
                              session->wire.own_bell, rang);
    if (status == ULV_OK)
        status = ulv_command_session_init(&session->command, &sessions->server,
                                          session->wire.p, session->wire.bytes);
    session->next = sessions->first;
    sessions->first = session;
    if (status != ULV_OK)
        drop(sessions, &sessions->first);
    return status;
}

struct ulv_command_session *
ulv_sessions_find(const struct sessions *sessions, ulv_id channel)
{
    struct session *session = sessions->first;

    while (session != NULL && session->wire.channel != channel)
        session = session->next;
    return session == NULL ? NULL : &session->command;
}

void
ulv_sessions_close(struct sessions *sessions, ulv_id channel,
                   struct ulv_command_session **asking)
{
    struct session **at = &sessions->first;

    while (*at != NULL && (*at)->wire.channel != channel)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    if (*asking == &(*at)->command)
        *asking = NULL;
    drop(sessions, at);
}

/* Wake those whose client rang; nobody who was not asked to has a reason to. */
static void
take_bells(struct sessions *sessions)
{
    struct ulv_command_server *server = &sessions->server;
    struct session *s = sessions->first;

    if (ulv_rung_can_tell(&sessions->rung) &&
        sessions->role->rung == &sessions->rung)
        return; /* the step began with it */
    if (server->session_count > FEW && ulv_rung_can_tell(&sessions->rung)) {
        if (server->looked_at_count < server->session_count)
            (void)ulv_rung_look(&sessions->rung);
        return;
    }
    for (; sessions->slept && s != NULL; s = s->next)
        (void)ulv_wire_take(&s->wire);
    ulv_command_server_wake_all(server);
}

void
ulv_sessions_step(struct sessions *sessions, struct role_need *need)
{
    struct ulv_command_server *server = &sessions->server;

    take_bells(sessions);
    sessions->slept = !ulv_command_server_step(server);
    if (!sessions->slept || !ulv_command_server_sleep(server))
        need->again = true;
    if (server->session_count != 0)
        need->deadline = ULV_MIN(need->deadline, server->deadline);
}
