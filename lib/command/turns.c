/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Which sessions a command server looks at. Invariant: one that stands in no
 * line has nothing to do before its client rings, which it was asked to before
 * it was looked at for the last time, or before its request is answered. On a
 * bare machine, which serves one or two, all are looked at: alone.c.
 */
#include "base/base.h"
#include "command/ahead.h"

#define SESSION(place, which)                                                  \
    ULV_CONTAINER_OF(place, struct ulv_command_session, which)

void
ulv_command_session_wake(struct ulv_command_session *session)
{
    struct ulv_command_server *server = session->server;

    if (session->failed != ULV_OK || session->looked_at.next != NULL)
        return;
    server->looked_at_count++;
    ulv_command_line_join(&server->looked_at, &session->looked_at);
}

/* The last of those that are looked at. */
static void
move_back(struct ulv_command_session *session)
{
    ulv_command_session_ignore(session);
    ulv_command_session_wake(session);
}

void
ulv_command_server_wake_all(struct ulv_command_server *server)
{
    struct ulv_command_place *place = server->all.next;

    for (uint32_t n = server->session_count; n > 0; n--) {
        ulv_command_session_wake(SESSION(place, all));
        place = place->next;
    }
}

/* Whether it has something that can be begun when the handlers are ready. */
static bool
waits(struct ulv_command_session *session)
{
    struct ulv_command_server *server = session->server;
    struct ulv_ring_record record;

    return session->failed == ULV_OK && !session->busy &&
           !server->handlers->ready(server->self) &&
           (session->first != NULL ||
            ulv_ring_rx_peek(&session->end.rx, &record) == ULV_OK);
}

/* A turn, and where it stands afterwards. */
static bool
serve(struct ulv_command_session *session)
{
    struct ulv_command_server *server = session->server;
    bool more = ulv_command_session_turn(session);

    if (session->worked)
        move_back(session);
    if (waits(session) && session->waiting.next == NULL)
        ulv_command_line_join(&server->waiting, &session->waiting);
    return more;
}

/* Those that waited for the handlers, while these are ready. */
static bool
serve_waiting(struct ulv_command_server *server)
{
    bool more = false;

    for (uint32_t n = server->session_count; n > 0; n--) {
        struct ulv_command_place *place = server->waiting.next;

        if (place == &server->waiting ||
            !server->handlers->ready(server->self))
            break;
        ulv_command_line_leave(place);
        /* if there is more of it, it comes last, behind those that are yet to
         * be looked at */
        if (ulv_command_session_turn(SESSION(place, waiting)))
            more = true;
        move_back(SESSION(place, waiting));
    }
    return more || (server->waiting.next != &server->waiting &&
                    server->handlers->ready(server->self));
}

/* Whether nothing has to be done for it before its client rings, which it was
 * asked to, or its request is answered, or the handlers are ready. */
static bool
may_be_left(struct ulv_command_session *session)
{
    if (session->unsent)
        return false;
    if (session->gathering.missing != 0)
        return !ulv_command_gather_may_go_on(session) ||
               !ulv_ring_rx_wait(&session->end.rx);
    if (ulv_command_session_may_begin(session))
        return session->first == NULL &&
               !ulv_ring_rx_wait(&session->end.rx);
    return ulv_command_ahead_sleep(session);
}

/* The first of those that are looked at, while there are so many, and no more
 * than idle. */
static bool
leave_alone(struct ulv_command_server *server, uint32_t idle, uint32_t kept)
{
    bool all = true;

    for (; idle > 0 && server->looked_at_count > kept; idle--) {
        struct ulv_command_session *session =
            SESSION(server->looked_at.next, looked_at);

        if (may_be_left(session)) {
            ulv_command_session_ignore(session);
        } else {
            move_back(session);
            all = false;
        }
    }
    return all;
}

bool
ulv_command_server_step(struct ulv_command_server *server)
{
    struct ulv_command_place *place;
    uint32_t idle = 0;
    bool more;

    if (server->session_count == 0)
        return false;
    ulv_command_ahead_wake(server);
    more = serve_waiting(server);
    place = server->looked_at.next;
    for (uint32_t n = server->looked_at_count;
         n > 0 && place != &server->looked_at; n--) {
        struct ulv_command_session *session = SESSION(place, looked_at);

        place = place->next; /* it may move to the end */
        if (serve(session))
            more = true;
        idle += session->worked ? 0 : 1;
    }
    if (!leave_alone(server, idle, ULV_COMMAND_LOOKED_AT))
        more = true;
    return more;
}

bool
ulv_command_server_sleep(struct ulv_command_server *server)
{
    return leave_alone(server, server->looked_at_count, 0) &&
           (server->session_count == 0 ||
            server->waiting.next == &server->waiting ||
            !server->handlers->ready(server->self));
}
