/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a command server does beside the request under way: reads what waits
 * behind it, so that it can be taken back or expire, and tells of commits.
 *
 * Only so much is read of a session; the rest stays in its ring. What was read
 * is begun in the order in which it came. An event is never stored: the ring of
 * changes is what a watch is behind or not, and a client that is so slow that
 * the ring has forgotten is told LOST, with the last revision it has missed.
 */
#include "command/ahead.h"

#include "base/base.h"
#include "database/changes.h"

/* Read ahead of a session: requests, and bytes of them; behind one transaction
 * of any size what takes it back is read, too. */
#define WAITING_COUNT_MAX 64u
#define WAITING_BYTES_MAX                                                      \
    (ULV_COMMAND_MESSAGE_MAX +                                                 \
     ULV_OPERATION_COUNT_MAX * sizeof(struct ulv_operation))

struct ulv_command_watch {
    struct ulv_command_watch *next;
    uint64_t number, sequence; /* of the WATCH; of the last event */
    struct ulv_changes_filter filter;
    struct ulv_changes_place place;
};

static size_t
bytes_of(const struct ulv_command_waiting *w)
{
    return sizeof(*w) - sizeof(w->message) + w->message.bytes;
}

/* Only these are so many that all clients together have a bound. */
static uint64_t
large_bytes(uint64_t bytes)
{
    return bytes > ULV_COMMAND_MESSAGE_MAX ? bytes : 0;
}

struct ulv_command_waiting *
ulv_command_waiting_new(struct ulv_command_session *session,
                        const struct ulv_command_request *request,
                        uint32_t bytes)
{
    struct ulv_command_server *server = session->server;
    const struct ulv_host *host = server->host;
    const struct ulv_message *m = request->u.message;
    struct ulv_command_waiting *w;

    if (server->large_bytes + large_bytes(bytes) > ULV_COMMAND_LARGE_MAX)
        return NULL;
    w = host->alloc(host->self, sizeof(*w) - sizeof(*m) + bytes, 8);
    if (w == NULL)
        return NULL;
    server->large_bytes += large_bytes(bytes);
    w->expires = ulv_command_ahead_expiry(session, request);
    memcpy(&w->message, m, m->bytes);
    w->message.bytes = bytes;
    return w;
}

void
ulv_command_waiting_free(struct ulv_command_server *server,
                         struct ulv_command_waiting *w)
{
    server->large_bytes -= large_bytes(w->message.bytes);
    server->host->free(server->host->self, w, bytes_of(w));
}

/* Take *at out of what waits. */
static struct ulv_command_waiting *
unlink_waiting(struct ulv_command_session *session,
               struct ulv_command_waiting **at)
{
    struct ulv_command_waiting *w = *at;

    *at = w->next;
    if (w->next == NULL)
        session->last = at;
    session->waiting_count--;
    session->waiting_bytes -= bytes_of(w);
    session->stuck = false;
    return w;
}

static void
forget_waiting(struct ulv_command_session *session,
               struct ulv_command_waiting **at)
{
    ulv_command_waiting_free(session->server, unlink_waiting(session, at));
}

ulv_nsec
ulv_command_ahead_expiry(const struct ulv_command_session *session,
                         const struct ulv_command_request *request)
{
    const struct ulv_host *host = session->server->host;
    uint64_t expires;

    if (request->kind != ULV_MESSAGE_TRANSACTION ||
        request->u.transaction->deadline == 0 ||
        !ulv_add_u64(host->now(host->self), request->u.transaction->deadline,
                     &expires))
        return ULV_FOREVER;
    return expires;
}

bool
ulv_command_ahead_left(const struct ulv_command_session *session,
                       uint64_t *ret)
{
    const struct ulv_host *host = session->server->host;
    ulv_nsec now;

    *ret = 0;
    if (session->expires == ULV_FOREVER)
        return true;
    now = host->now(host->self);
    if (now >= session->expires)
        return false;
    *ret = session->expires - now;
    return true;
}

void
ulv_command_ahead_keep(struct ulv_command_session *session,
                       struct ulv_command_waiting *w)
{
    *session->last = w;
    session->last = &w->next;
    session->waiting_count++;
    session->waiting_bytes += bytes_of(w);
    session->server->deadline =
        ULV_MIN(session->server->deadline, w->expires);
}

static bool
keep(struct ulv_command_session *session,
     const struct ulv_command_request *request)
{
    struct ulv_command_waiting *w = ulv_command_waiting_new(
        session, request, request->u.message->bytes);

    if (w != NULL)
        ulv_command_ahead_keep(session, w);
    return w != NULL;
}

/* ---- answers ------------------------------------------------------------- */

/* Answer a request that is not carried out, whatever it is. */
static void
refuse(struct ulv_command_session *session, const struct ulv_message *m,
       ulv_status status)
{
    static const uint8_t bytes[] = {
        [ULV_MESSAGE_HELLO] = sizeof(struct ulv_message_hello_answer),
        [ULV_MESSAGE_QUERY] = sizeof(struct ulv_message_query_answer),
        [ULV_MESSAGE_CANCEL] = sizeof(struct ulv_message_cancel_answer),
        [ULV_MESSAGE_WATCH] = sizeof(struct ulv_message_watch_answer),
        [ULV_MESSAGE_CURSOR] = sizeof(struct ulv_message_cursor_answer),
    };
    struct ulv_message_cancel_answer *answer;

    if (m->kind == ULV_MESSAGE_TRANSACTION) {
        ulv_command_refuse(session, m->request, status,
                           status != ULV_E_NO_MEMORY);
        return;
    }
    answer = ulv_command_session_put(session, m->kind | ULV_MESSAGE_ANSWER,
                                     m->request, bytes[m->kind]);
    if (answer == NULL)
        return;
    memset(&answer->status, 0, bytes[m->kind] - sizeof(answer->m));
    answer->status = status; /* all have it there */
}

/* ---- cancel -------------------------------------------------------------- */

static bool
is_known(struct ulv_command_session *session, uint64_t number)
{
    return ulv_command_find(session, number) != ULV_E_NOT_FOUND;
}

/* Take that one out of what waits, and answer it. */
static bool
take_back(struct ulv_command_session *session, uint64_t target)
{
    for (struct ulv_command_waiting **at = &session->first; *at != NULL;
         at = &(*at)->next) {
        const struct ulv_message *m = &(*at)->message;

        if (m->request != target)
            continue;
        if (m->kind == ULV_MESSAGE_TRANSACTION && is_known(session, target))
            continue; /* a repeat is answered as the one that was begun */
        refuse(session, m, ULV_E_CANCELED);
        if (session->failed == ULV_OK)
            forget_waiting(session, at);
        return true;
    }
    return false;
}

static uint32_t
count_watches(const struct ulv_command_session *session)
{
    uint32_t count = 0;

    for (const struct ulv_command_watch *w = session->watches; w != NULL;
         w = w->next)
        count++;
    return count;
}

/* number 0: the first of them. */
static bool
end_watch(struct ulv_command_session *session, uint64_t number)
{
    const struct ulv_host *host = session->server->host;
    struct ulv_command_watch **at = &session->watches;
    struct ulv_command_watch *w;

    while (*at != NULL && number != 0 && (*at)->number != number)
        at = &(*at)->next;
    w = *at;
    if (w == NULL)
        return false;
    *at = w->next;
    host->free(host->self, w, sizeof(*w));
    session->server->watch_count--;
    return true;
}

void
ulv_command_ahead_unwatch(struct ulv_command_session *session)
{
    while (end_watch(session, 0))
        ;
}

static void
cancel(struct ulv_command_session *session,
       const struct ulv_command_request *request)
{
    const uint64_t target = request->u.cancel->target;
    const struct ulv_message m = *request->u.message;
    ulv_status status = ULV_E_NOT_FOUND;

    if (take_back(session, target)) {
        status = ULV_OK;
    } else if (target != 0 && end_watch(session, target)) {
        status = ULV_OK;
    }
    refuse(session, &m, status);
}

/* ---- reading ahead ------------------------------------------------------- */

bool
ulv_command_ahead_idle(struct ulv_command_session *session)
{
    struct ulv_ring_record record;

    return session->first == NULL && session->watches == NULL &&
           !session->unsent &&
           ulv_ring_rx_peek(&session->end.rx, &record) == ULV_E_EMPTY;
}

bool
ulv_command_ahead_read(struct ulv_command_session *session)
{
    const size_t answers = sizeof(struct ulv_message_transaction_answer) +
                           sizeof(struct ulv_message_cancel_answer) +
                           sizeof(struct ulv_record);
    struct ulv_command_request request;

    /* what is read has to be kept, or answered at once */
    session->stuck = session->waiting_count == WAITING_COUNT_MAX ||
                     session->waiting_bytes > WAITING_BYTES_MAX ||
                     !ulv_command_session_has_room(session, answers);
    if (session->stuck ||
        ulv_command_session_read(session, &request) != ULV_OK)
        return false;
    if (ulv_command_gather_begin(session, &request))
        return session->failed == ULV_OK;
    if (request.kind == ULV_MESSAGE_CANCEL && session->greeted)
        cancel(session, &request);
    else if (!keep(session, &request))
        refuse(session, request.u.message, ULV_E_NO_MEMORY);
    return session->failed == ULV_OK;
}

/* Whether its deadline has passed; now: 0, or the time. */
static bool
has_expired(struct ulv_command_session *session,
            const struct ulv_command_waiting *w, ulv_nsec *now)
{
    const struct ulv_host *host = session->server->host;

    if (w->expires == ULV_FOREVER)
        return false;
    if (*now == 0)
        *now = host->now(host->self);
    /* a repeat of one that was begun is answered as that is */
    return w->expires <= *now &&
           !is_known(session, w->message.request);
}

struct ulv_command_waiting *
ulv_command_ahead_take(struct ulv_command_session *session,
                       struct ulv_command_request *ret)
{
    struct ulv_command_waiting *w = session->first;
    ulv_nsec now = 0;
    bool expired = has_expired(session, w, &now);

    session->expires = w->expires;
    (void)unlink_waiting(session, &session->first);
    if (expired) {
        ulv_command_refuse(session, w->message.request, ULV_E_TIMEOUT, true);
        ulv_command_waiting_free(session->server, w);
        return NULL;
    }
    ulv_command_describe(&w->message, ret);
    return w;
}

/* The oldest of a session, if it is a transaction that can be begun. */
static struct ulv_command_waiting *
may_join(struct ulv_command_session *session)
{
    struct ulv_command_waiting *w;
    ulv_nsec now = 0;

    if (session->failed != ULV_OK || session->busy || !session->greeted ||
        session->gathering.missing != 0 ||
        !ulv_command_session_has_room(session, ULV_COMMAND_MESSAGE_MAX))
        return NULL;
    if (session->first == NULL)
        (void)ulv_command_ahead_read(session);
    w = session->first;
    return w == NULL || w->message.kind != ULV_MESSAGE_TRANSACTION ||
                   is_known(session, w->message.request) ||
                   has_expired(session, w, &now)
               ? NULL
               : w;
}

static void
join_one(struct ulv_command_session *session, ulv_command_join *join)
{
    struct ulv_command_server *server = session->server;
    struct ulv_command_waiting *w = may_join(session);
    struct ulv_command_request request;

    if (w == NULL)
        return;
    ulv_command_describe(&w->message, &request);
    if (!join(server->self, session, &request))
        return;
    (void)ulv_command_is_known(session, request.request); /* from now on */
    (void)unlink_waiting(session, &session->first);
    session->expires = w->expires;
    session->request = request.request;
    session->busy = true;
    ulv_command_waiting_free(server, w);
}

void
ulv_command_server_join(struct ulv_command_server *server,
                        ulv_command_join *join)
{
    struct ulv_command_place *place = server->waiting.next;

    for (uint32_t n = 0; n < ULV_COMMAND_REMEMBERED &&
                         place != &server->waiting; n++) {
        struct ulv_command_session *session =
            ULV_CONTAINER_OF(place, struct ulv_command_session, waiting);

        place = place->next; /* it may leave the line */
        join_one(session, join);
    }
}

void
ulv_command_ahead_drop(struct ulv_command_session *session)
{
    while (session->first != NULL)
        forget_waiting(session, &session->first);
    ulv_command_gather_drop(session);
    ulv_command_ahead_unwatch(session);
}

bool
ulv_command_ahead_sleep(struct ulv_command_session *session)
{
    return session->stuck || !ulv_ring_rx_wait(&session->end.rx);
}

/* ---- deadlines ----------------------------------------------------------- */

/* Answer those behind the one under way whose deadline has passed, and note
 * when the next does. */
static void
expire(struct ulv_command_session *session)
{
    const size_t bytes = sizeof(struct ulv_message_transaction_answer);
    struct ulv_command_server *server = session->server;
    struct ulv_command_waiting **at = &session->first;
    ulv_nsec now = 0;

    while (*at != NULL) {
        if (!has_expired(session, *at, &now)) {
            if ((*at)->expires > now)
                server->deadline = ULV_MIN(server->deadline, (*at)->expires);
            at = &(*at)->next;
            continue;
        }
        if (!ulv_command_session_has_room(session, bytes))
            return; /* the client rings when there is */
        refuse(session, &(*at)->message, ULV_E_TIMEOUT);
        if (session->failed != ULV_OK)
            return;
        forget_waiting(session, at);
    }
}

/* ---- events -------------------------------------------------------------- */

/* NULL, or what a WATCH has asked for, at the end of the session's. */
static struct ulv_command_watch *
add_watch(struct ulv_command_session *session, uint64_t number,
          const struct ulv_changes_filter *filter, uint64_t after)
{
    struct ulv_command_server *server = session->server;
    struct ulv_command_watch **at = &session->watches;
    struct ulv_command_watch *w =
        server->host->alloc(server->host->self, sizeof(*w), 8);

    if (w == NULL)
        return NULL;
    while (*at != NULL)
        at = &(*at)->next;
    *at = w;
    server->watch_count++;
    ulv_command_line_join(&server->watching, &session->watcher);
    w->number = number;
    w->filter = *filter;
    w->place = ulv_changes_place(server->changes, after);
    return w;
}

static void
watch(struct ulv_command_session *session,
      const struct ulv_command_request *request)
{
    const struct ulv_command_server *server = session->server;
    const struct ulv_message_watch *asked = request->u.watch;
    struct ulv_changes_filter filter = { .kinds = asked->kinds,
                                         .partition = asked->partition };
    uint64_t after = asked->after, newest = server->revision;
    struct ulv_message_watch_answer *answer;
    ulv_status status = ULV_OK;

    if (server->changes == NULL)
        status = ULV_E_UNSUPPORTED;
    else
        newest = ULV_MAX(newest, server->changes->newest);
    if (after == ULV_WATCH_FROM_NOW)
        after = newest;
    if (status == ULV_OK && after > newest)
        status = ULV_E_ARG;
    if (status == ULV_OK)
        status = ulv_changes_by_label(&filter, asked->key, asked->value);
    if (status == ULV_OK && count_watches(session) >= ULV_WATCHES_MAX)
        status = ULV_E_LIMIT;
    if (status == ULV_OK &&
        add_watch(session, request->request, &filter, after) == NULL)
        status = ULV_E_NO_MEMORY;
    answer = ulv_command_session_put(session,
                                     ULV_MESSAGE_WATCH | ULV_MESSAGE_ANSWER,
                                     request->request, sizeof(*answer));
    if (answer == NULL)
        return;
    answer->status = status;
    answer->rsvd_ = 0;
    answer->after = after;
}

/* Tell the first watch what it has not heard, at most so much; false: there is
 * no more, or no room for it. */
static bool
tell(struct ulv_command_session *session, uint32_t most)
{
    const struct ulv_command_server *server = session->server;
    struct ulv_command_watch *w = session->watches;
    const struct ulv_changes_labels *labels;
    struct ulv_message_event *event;
    struct ulv_change change;
    size_t label_bytes;
    bool more;

    for (; most > 0; most--) {
        if (!ulv_command_session_has_room(session, ULV_COMMAND_EVENT_MAX) ||
            !ulv_changes_next(server->changes, &w->filter, &w->place, &change,
                              &more))
            return false;
        labels = ulv_changes_labels(server->changes, &w->place);
        label_bytes = labels->count * sizeof(labels->sum[0]);
        event = ulv_command_session_put(session, ULV_MESSAGE_EVENT, w->number,
                                        sizeof(*event) + label_bytes);
        if (event == NULL)
            return false;
        session->worked = true;
        event->sequence = ++w->sequence;
        event->more = more;
        event->change_label_count = labels->count;
        event->change = change;
        memcpy(event + 1, labels->sum, label_bytes);
    }
    return true;
}

/* One after the other, so that none waits for what another has to hear. */
static bool
tell_all(struct ulv_command_session *session)
{
    uint32_t count = count_watches(session);
    bool more = false;

    for (uint32_t i = count; i > 0 && session->watches != NULL; i--) {
        struct ulv_command_watch *w = session->watches, **at = &w->next;

        if (tell(session, ULV_COMMAND_TURN / count))
            more = true;
        if (session->failed != ULV_OK)
            return false;
        session->watches = w->next;
        for (at = &session->watches; *at != NULL;)
            at = &(*at)->next;
        *at = w;
        w->next = NULL;
    }
    return more;
}

/* ---- cursors ------------------------------------------------------------- */

static void
read_records(struct ulv_command_session *session,
             const struct ulv_command_request *request)
{
    struct ulv_command_server *server = session->server;
    const struct ulv_message m = *request->u.message;

    if (server->handlers->cursor == NULL) {
        refuse(session, &m, ULV_E_UNSUPPORTED);
        return;
    }
    session->request = request->request;
    session->busy = true;
    server->handlers->cursor(server->self, session, request->u.cursor);
}

void
ulv_command_answer_cursor(struct ulv_command_session *session,
                          const struct ulv_message_cursor_answer *header,
                          const void *records)
{
    size_t bytes = (size_t)header->record_count * header->record_bytes;
    struct ulv_message_cursor_answer *answer;

    session->busy = false;
    ulv_command_session_wake(session);
    answer = ulv_command_session_put(
        session, ULV_MESSAGE_CURSOR | ULV_MESSAGE_ANSWER, session->request,
        sizeof(*answer) + bytes);
    if (answer == NULL)
        return;
    memcpy(&answer->status, &header->status,
           sizeof(*answer) - sizeof(answer->m));
    if (bytes != 0)
        memcpy(answer + 1, records, bytes);
}

/* ---- who is looked at ---------------------------------------------------- */

/* Nobody looks at the clock, or at the log, for each session. */
static void
wake_expired(struct ulv_command_server *server)
{
    const struct ulv_host *host = server->host;
    struct ulv_command_place *place = server->all.next;

    if (server->deadline == ULV_FOREVER ||
        host->now(host->self) < server->deadline)
        return;
    server->deadline = ULV_FOREVER; /* each that has one says so again */
    for (; place != &server->all; place = place->next) {
        struct ulv_command_session *session =
            ULV_CONTAINER_OF(place, struct ulv_command_session, all);

        if (session->first != NULL || session->gathering.missing != 0)
            ulv_command_session_wake(session);
    }
}

static void
wake_watchers(struct ulv_command_server *server)
{
    struct ulv_command_place *place = server->watching.next;
    uint64_t news;

    if (place == &server->watching || server->changes == NULL)
        return;
    news = server->changes->newest + server->changes->floor; /* both grow */
    if (news == server->told)
        return;
    server->told = news;
    for (; place != &server->watching; place = place->next) {
        struct ulv_command_session *session =
            ULV_CONTAINER_OF(place, struct ulv_command_session, watcher);

        if (session->watches != NULL)
            ulv_command_session_wake(session);
    }
}

void
ulv_command_ahead_wake(struct ulv_command_server *server)
{
    wake_expired(server);
    wake_watchers(server);
}

bool
ulv_command_ahead_turn(struct ulv_command_session *session)
{
    expire(session);
    if (session->failed == ULV_OK)
        ulv_command_gather_expire(session);
    return session->failed == ULV_OK && session->watches != NULL &&
           tell_all(session);
}

bool
ulv_command_ahead_serve(struct ulv_command_session *session,
                        const struct ulv_command_request *request)
{
    if (request->kind == ULV_MESSAGE_CANCEL)
        cancel(session, request);
    else if (request->kind == ULV_MESSAGE_WATCH)
        watch(session, request);
    else
        read_records(session, request);
    return true;
}
