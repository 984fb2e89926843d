/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The caller's watches. Events come over the one channel to the command
 * partition, among answers, so they are taken off it as they come and wait
 * here, a few of each watch. One whose caller does not take them *stalls*: what
 * comes is dropped, and when all that waited was taken, it begins again behind
 * the last revision of which it has heard all; the server has the rest, or says
 * LOST.
 *
 * 5: an event of revision 5, ' = more of it follow; | = full; R = begin again.
 *
 * 1. 4 5' 5 6 |, 7 and 8 dropped, all taken, R after 6: 7 8.
 * 2. 4 5' 5' |, 5 dropped, all taken, R after 4: 5' 5' come once more and are
 *    passed over, then 5.
 * 3. as 2, but the server has forgotten: R after 4: LOST 9, 10. Nothing is
 *    passed over: it is not of revision 5.
 * 4. What must fail: a transaction of more changes than wait here, begun again
 *    from its first each time. What was taken of it is counted, so that each
 *    time it goes on by as many as fit.
 */
#include <ultravisor/watch.h>

#include "base/base.h"
#include "system/system_priv.h"
#include "system/watch.h"

#define QUEUE 256u

struct queued {
    struct ulv_change change;
    uint32_t more;
};

struct ulv_watch {
    struct ulv_watch *next;
    ulv_system *system;
    struct ulv_command_watching watching;
    uint64_t number;   /* of the WATCH under way */
    uint64_t sequence; /* of the last event taken */
    uint64_t after;    /* all up to this revision was heard */
    uint64_t part;     /* then of this one so many events */
    uint32_t heard, skip;
    bool stalled;
    ulv_status failed; /* it could not begin again */
    uint32_t first, count;
    struct queued queue[QUEUE];
};

/* ---- events -------------------------------------------------------------- */

/* What was heard already comes once more. */
static bool
is_repeat(struct ulv_watch *w, const struct ulv_change *change)
{
    if (w->skip == 0)
        return false;
    if (change->change == ULV_CHANGE_LOST || change->revision != w->part) {
        w->skip = 0;
        return false;
    }
    w->skip--;
    return true;
}

static void
note_progress(struct ulv_watch *w, const struct ulv_change *change,
              bool more)
{
    if (!more) {
        w->after = change->revision;
        w->heard = 0;
        return;
    }
    w->heard = change->revision == w->part ? w->heard + 1 : 1;
    w->part = change->revision;
}

static void
hear_event(struct ulv_watch *w, const struct ulv_message_event *event)
{
    struct queued *q = &w->queue[(w->first + w->count) % QUEUE];

    if (w->stalled || is_repeat(w, &event->change))
        return;
    if (w->count == QUEUE) {
        w->stalled = true;
        return;
    }
    q->change = event->change;
    q->more = event->more;
    w->count++;
    note_progress(w, &event->change, event->more != 0);
}

static void
heed(ulv_system *system, const struct ulv_message *m)
{
    const struct ulv_message_watch_answer *answer = (const void *)m;
    struct ulv_watch *w = system->watches;

    while (w != NULL && w->number != m->request)
        w = w->next;
    if (w == NULL)
        return;
    if (m->kind == ULV_MESSAGE_EVENT)
        hear_event(w, (const void *)m);
    else if (m->kind == (ULV_MESSAGE_WATCH | ULV_MESSAGE_ANSWER))
        w->failed = answer->status;
}

/* ---- begin and end ------------------------------------------------------- */

static ulv_status
send_watch(struct ulv_watch *w, bool *ring)
{
    struct ulv_command_client *client = &w->system->client;
    ulv_status status = ulv_command_send_watch(client, &w->watching, ring);

    if (status == ULV_OK)
        w->number = client->next_request - 1;
    return status;
}

static ulv_status
begin(struct ulv_watch *w, struct ulv_diag *diag)
{
    const struct ulv_message_watch_answer *answer;
    const struct ulv_message *m = NULL;
    bool ring = false;
    ulv_status status = send_watch(w, &ring);

    if (status == ULV_E_LIMIT)
        return ulv_fail(diag, status, 0, ULV_WATCHES_MAX + 1, ULV_WATCHES_MAX,
                        "%u watches are open", (uint64_t)ULV_WATCHES_MAX);
    status = ulv_system_await(w->system, status, ring, &m, diag);
    if (status != ULV_OK)
        return status;
    answer = (const void *)m;
    if (answer->status == ULV_E_ARG)
        return ulv_fail(diag, answer->status, 0, w->watching.after, 0,
                        "there is no revision %u yet", w->watching.after);
    if (answer->status != ULV_OK)
        return ulv_fail(diag, answer->status, 0, 0, 0, "cannot watch: %s",
                        ulv_status_text(answer->status));
    w->after = answer->after;
    return ULV_OK;
}

static void
close_all(ulv_system *system)
{
    while (system->watches != NULL)
        ulv_watch_close(system->watches);
}

ulv_status
ulv_watch_open(ulv_system *system, const struct ulv_watch_opts *opts,
               ulv_watch **ret, struct ulv_diag *diag)
{
    const struct ulv_watch_opts defaults = ULV_WATCH_OPTS_INIT;
    const struct ulv_host *host = system->host;
    struct ulv_command_watching watching;
    struct ulv_watch *w;
    ulv_status status;

    *ret = NULL;
    status = ulv_watch_asked(opts == NULL ? &defaults : opts, &watching, diag);
    if (status != ULV_OK)
        return status;
    w = host->alloc(host->self, sizeof(*w), 8);
    if (w == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*w), 0,
                        "no memory for a watch");
    w->system = system;
    w->watching = watching;
    w->next = system->watches;
    system->watches = w;
    system->heed = heed;
    system->watch_fini = close_all;
    status = begin(w, diag);
    if (status != ULV_OK)
        ulv_watch_close(w);
    else
        *ret = w;
    return status;
}

void
ulv_watch_close(ulv_watch *watch)
{
    const struct ulv_host *host;
    struct ulv_watch **at;
    bool ring = false;

    if (watch == NULL)
        return;
    host = watch->system->host;
    at = &watch->system->watches;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    if (watch->number != 0)
        (void)ulv_command_send_cancel(&watch->system->client, watch->number,
                                      &ring);
    if (ring)
        ulv_wire_ring(&watch->system->wire);
    host->free(host->self, watch, sizeof(*watch));
}

/* ---- take ---------------------------------------------------------------- */

/* Take what has come, of all watches. */
static ulv_status
pull(ulv_system *system)
{
    const struct ulv_message *m;
    bool ring = false;
    ulv_status status;

    while ((status = ulv_command_receive(&system->client, &m, &ring)) ==
           ULV_OK)
        heed(system, m);
    if (ring)
        ulv_wire_ring(&system->wire);
    if (status == ULV_E_EMPTY)
        status = ulv_system_role_is_dead(system, ULV_PARTITION_COMMAND)
                     ? ULV_E_PEER_GONE
                     : ULV_E_AGAIN;
    return status;
}

/* Behind what was heard. If it cannot be asked now, then the next time. */
static void
begin_again(struct ulv_watch *w)
{
    bool ring = false;

    if (w->number != 0 &&
        ulv_command_send_cancel(&w->system->client, w->number, &ring) ==
            ULV_OK)
        w->number = 0;
    w->watching.after = w->after;
    if (w->number == 0 && send_watch(w, &ring) == ULV_OK) {
        w->stalled = false;
        w->skip = w->heard;
    }
    if (ring)
        ulv_wire_ring(&w->system->wire);
}

ulv_status
ulv_watch_next(ulv_watch *watch, struct ulv_watch_event *ret)
{
    const struct queued *q = &watch->queue[watch->first];
    ulv_status status = ULV_E_AGAIN;

    if (ret->size < sizeof(*ret))
        return ULV_E_ARG;
    if (watch->count == 0)
        status = pull(watch->system);
    if (watch->count == 0 && watch->failed != ULV_OK)
        return watch->failed;
    if (watch->count == 0 && watch->stalled)
        begin_again(watch);
    if (watch->count == 0)
        return status;
    ret->size = sizeof(*ret);
    ret->more = q->more;
    ret->sequence = ++watch->sequence;
    ret->change = q->change;
    watch->first = (watch->first + 1) % QUEUE;
    watch->count--;
    return ULV_OK;
}
