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

    if (server->watch_count == 0)
        relay->refused = false; /* whoever comes next asks again */
    if (server->watch_count == 0 && relay->watch != 0) {
        status = ulv_command_send_cancel(client, relay->watch, ret_ring);
        if (status == ULV_OK)
            relay->watch = 0;
    } else if (server->watch_count != 0 && relay->watch == 0 &&
               !relay->refused) {
        /* what was heard of a revision in part comes again, whole */
        ulv_changes_undo(&relay->changes, relay->changes.newest);
        status = ulv_command_send_watch(client, &all, ret_ring);
        if (status == ULV_OK)
            relay->watch = client->next_request - 1;
    }
}

void
ulv_relay_again(struct relay *relay)
{
    relay->watch = 0;
    relay->refused = false;
    memset(relay->cursors, 0, sizeof(relay->cursors));
}

static void
hear_event(struct relay *relay, const struct ulv_message_event *event)
{
    const struct ulv_change *change = &event->change;
    const struct ulv_change_label *label = (const void *)(event + 1);
    struct ulv_changes_labels *labels;

    if (change->revision <= relay->changes.newest)
        return; /* nothing that is new */
    if (change->change == ULV_CHANGE_LOST) {
        ulv_changes_lose(&relay->changes, change->revision);
        return;
    }
    labels = ulv_changes_add(&relay->changes, change);
    for (uint32_t i = 0; i < event->change_label_count; i++)
        ulv_changes_label(labels, label[i].sum);
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

/* ---- cursors ------------------------------------------------------------- */

/* Where that one is noted; number 0: a free place. NULL: there is none. */
static struct relay_cursor *
cursor_at(struct relay *relay, uint64_t number)
{
    for (size_t i = 0; i < ULV_COUNT_OF(relay->cursors); i++) {
        if (relay->cursors[i].number == number)
            return &relay->cursors[i];
    }
    return NULL;
}

static ulv_status
check_cursor(struct relay *relay, const struct ulv_command_session *session,
             const struct ulv_message_cursor *asked)
{
    const struct relay_cursor *at;
    uint32_t count = 0;

    if (asked->what > ULV_CURSOR_CLOSE)
        return ULV_E_ARG;
    if (asked->what != ULV_CURSOR_OPEN) {
        at = asked->cursor == 0 ? NULL : cursor_at(relay, asked->cursor);
        return at != NULL && at->session == session ? ULV_OK : ULV_E_EXPIRED;
    }
    for (size_t i = 0; i < ULV_COUNT_OF(relay->cursors); i++)
        count += relay->cursors[i].number != 0 &&
                         relay->cursors[i].session == session
                     ? 1
                     : 0;
    return count < RELAY_CURSORS_SESSION && cursor_at(relay, 0) != NULL
               ? ULV_OK
               : ULV_E_LIMIT;
}

ulv_status
ulv_relay_cursor(struct relay *relay, struct ulv_command_client *client,
                 const struct ulv_command_session *session,
                 const struct ulv_message_cursor *asked, bool *ret_ring)
{
    const struct ulv_command_reading reading = {
        .what = asked->what,
        .kinds = asked->kinds,
        .cursor = asked->cursor,
        .partition = asked->partition,
    };
    ulv_status status = check_cursor(relay, session, asked);

    if (status != ULV_OK)
        return status;
    relay->asked = asked->what == ULV_CURSOR_OPEN ? 0 : asked->cursor;
    return ulv_command_send_cursor(client, &reading, ret_ring);
}

void
ulv_relay_cursor_answer(struct relay *relay,
                        struct ulv_command_session *session,
                        const struct ulv_message_cursor_answer *answer)
{
    struct relay_cursor *at = cursor_at(relay, relay->asked);

    /* one that was opened takes the free place that was looked for */
    if (at != NULL) {
        at->number = answer->status == ULV_OK ? answer->cursor : 0;
        at->session = session;
    }
    ulv_command_answer_cursor(session, answer, answer + 1);
}

void
ulv_relay_drop(struct relay *relay, struct ulv_command_client *client,
               const struct ulv_command_session *session, bool *ret_ring)
{
    for (size_t i = 0; i < ULV_COUNT_OF(relay->cursors); i++) {
        struct relay_cursor *at = &relay->cursors[i];
        const struct ulv_command_reading close = { .what = ULV_CURSOR_CLOSE,
                                                   .cursor = at->number };

        if (at->number == 0 || at->session != session)
            continue;
        at->number = 0;
        (void)ulv_command_send_cursor(client, &close, ret_ring);
    }
}
