/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/relay.h"

#include "base/base.h"

ulv_status
ulv_relay_init(struct relay *relay, const struct ulv_host *host,
               struct ulv_command_server *server)
{
    ulv_status status = ulv_changes_init(&relay->changes, host, 0);

    if (status == ULV_OK)
        server->changes = &relay->changes;
    return status;
}

void
ulv_relay_fini(struct relay *relay)
{
    ulv_changes_fini(&relay->changes);
}

void
ulv_relay_step(struct relay *relay, const struct ulv_command_server *server,
               struct ulv_command_client *client, bool *ret_ring)
{
    const struct ulv_command_watching all = { .after =
                                                  relay->changes.newest };
    ulv_status status;

    if (server->watch_count == 0 && relay->watch != 0) {
        status = ulv_command_send_cancel(client, relay->watch, ret_ring);
        if (status == ULV_OK)
            relay->watch = 0;
    } else if (server->watch_count != 0 && relay->watch == 0 &&
               !relay->refused) {
        status = ulv_command_send_watch(client, &all, ret_ring);
        if (status == ULV_OK)
            relay->watch = client->next_request - 1;
    }
}

static void
hear_event(struct relay *relay, const struct ulv_message_event *event)
{
    const struct ulv_change *change = &event->change;

    if (change->revision <= relay->changes.newest)
        return; /* nothing that is new */
    if (change->change == ULV_CHANGE_LOST) {
        ulv_changes_lose(&relay->changes, change->revision);
        return;
    }
    ulv_changes_add(&relay->changes, change);
    if (event->more == 0)
        ulv_changes_show(&relay->changes, change->revision);
}

bool
ulv_relay_hear(struct relay *relay, const struct ulv_message *m)
{
    const struct ulv_message_watch_answer *answer = (const void *)m;
    bool ours = m->request == relay->watch;

    if (m->kind == ULV_MESSAGE_EVENT) {
        if (ours)
            hear_event(relay, (const void *)m);
        return true;
    }
    if (m->kind == (ULV_MESSAGE_WATCH | ULV_MESSAGE_ANSWER) && ours &&
        answer->status != ULV_OK) {
        relay->watch = 0;
        relay->refused = true;
    }
    return m->kind == (ULV_MESSAGE_WATCH | ULV_MESSAGE_ANSWER) ||
           m->kind == (ULV_MESSAGE_CANCEL | ULV_MESSAGE_ANSWER);
}
