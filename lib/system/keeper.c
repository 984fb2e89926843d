/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The keeper's turn: what the roles say, and who may say it. */
#include "system/keeper.h"

#include <stdarg.h>

#include "base/base.h"

static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;

ulv_status
ulv_keeper_init(struct keeper *k, const struct ulv_host *host,
                ulv_handle waits)
{
    k->host = host;
    k->waits = waits;
    k->rung.host = host;
    k->rung.waits = waits;
    ulv_frame_table_init(&k->frames, host);
    return ULV_OK;
}

void
ulv_keeper_fini(struct keeper *k)
{
    k->storage = NULL; /* nobody is started again */
    k->restart = RESTART_NO;
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next)
        ulv_keeper_role_kill(k, p);
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        while (ULV_RESTARTS && p->alive) { /* SIGKILL was sent: this ends */
            (void)k->host->wait(k->host->self, k->waits,
                                k->host->now(k->host->self) + 1000000);
            (void)ulv_keeper_role_reap(k, p);
        }
    }
    ulv_keeper_order_abort(k);
    while (k->devices != NULL)
        ulv_keeper_device_remove(k, k->devices);
    while (k->channels != NULL)
        ulv_keeper_channel_remove(k, k->channels);
    while (k->extents != NULL)
        ulv_keeper_extent_remove(k, k->extents);
    while (k->sources != NULL)
        ulv_keeper_source_drop(k, k->sources->id);
    while (k->partitions != NULL)
        ulv_keeper_partition_remove(k, k->partitions);
    if (ULV_KEEPER_INDEXES)
        k->host->free(k->host->self, k->turns,
                      k->turn_room * sizeof(*k->turns));
    ulv_rung_fini(&k->rung);
    ulv_frame_table_fini(&k->frames);
}

/* ---- saying -------------------------------------------------------------- */

void
ulv_keeper_tell(struct keeper *k, uint32_t event, ulv_id partition,
                uint64_t value, const char *format, ...)
{
    char text[192];
    struct ulv_text line;
    va_list arguments;

    ulv_text_init(&line, text, sizeof(text));
    va_start(arguments, format);
    ulv_text_arguments(&line, format, arguments);
    va_end(arguments);
    k->tell(k->self, event, partition, value, text, line.len);
}

void
ulv_keeper_say(struct keeper *k, const struct say *say)
{
    if (k->ultravisor != NULL && k->ultravisor->alive)
        ulv_post_tell(&k->ultravisor->post, say, NULL, NULL, 0);
}

void
ulv_keeper_inform(struct keeper *k, const struct say *say)
{
    if (ulv_keeper_restarts(k) == RESTART_NO)
        ulv_keeper_say(k, say);
}

static void
tell_ended(struct keeper *k, struct keeper_partition *p)
{
    p->ending = ENDING_NO;
    if (ULV_CHANNEL_SETS)
        k->ends++;
    if (ULV_RESTARTS && k->sweeps)
        ulv_keeper_sweep(k);
    ulv_keeper_source_drop(k, p->image); /* if it was kept */
    p->state = p->end.reason == ULV_END_REASON_FAULT ? ULV_STATE_FAULTED
                                                     : ULV_STATE_STOPPED;
    ulv_keeper_tell(k, ULV_EVENT_ENDED, p->id, p->end.code, "%s: %s", p->name,
                    p->end.text);
}

void
ulv_keeper_go_on_ending(struct keeper *k, struct keeper_partition *p)
{
    struct say say = { .kind = SAY_STATE };

    if (p->ending == ENDING_ROLE && p->flushing == 0 && !p->alive) {
        p->ending = ENDING_NOTED;
        say.u.state.partition = p->id;
        say.u.state.state = p->end.reason == ULV_END_REASON_FAULT
                                ? ULV_STATE_FAULTED
                                : ULV_STATE_STOPPED;
        say.u.state.reason = p->end.reason;
        say.u.state.code = p->end.code;
        if (ulv_keeper_source(k, p->image) != NULL)
            say.u.state.image = p->image;
        ulv_keeper_inform(k, &say);
    }
    if (p->ending == ENDING_NOTED && !ulv_keeper_is_served(k))
        tell_ended(k, p); /* nobody is left who could start it */
}

static void
inform_of_state(struct keeper *k, struct keeper_partition *p)
{
    struct say say = { .kind = SAY_STATE };

    say.u.state.partition = p->id;
    if (p->kind != ULV_PARTITION_GUEST) {
        say.kind = SAY_DIED;
        if (p->state == ULV_STATE_LOST)
            ulv_keeper_inform(k, &say);
    } else if (p->ending == ENDING_NOTED) {
        p->ending = ENDING_ROLE;
        ulv_keeper_go_on_ending(k, p);
    } else if (p->state == ULV_STATE_RUNNING && p->ending == ENDING_NO) {
        say.u.state.state = ULV_STATE_RUNNING;
        ulv_keeper_inform(k, &say);
    }
}

void
ulv_keeper_inform_of_states(struct keeper *k)
{
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next)
        inform_of_state(k, p);
}

struct keeper_channel *
ulv_keeper_console(const struct keeper *k, ulv_id guest)
{
    struct keeper_channel *c = NULL;

    /* a guest may offer a channel of that type too: it is no device */
    do
        c = ulv_keeper_channel_of(k, guest, c);
    while (c != NULL && (c->client != guest || c->device == 0 ||
                         !ulv_guid_equal(c->type, type_console)));
    return c;
}

/* Who serves it, and lives. */
static struct keeper_partition *
server_of(const struct keeper *k, const struct keeper_channel *c)
{
    struct keeper_partition *server = ulv_keeper_partition(k, c->server);

    return server != NULL && server->alive && !server->reaping ? server : NULL;
}

bool
ulv_keeper_console_is_served(const struct keeper *k,
                             const struct keeper_channel *c)
{
    const struct keeper_device *d = ulv_keeper_device(k, c->device);
    const struct keeper_partition *next;

    if (server_of(k, c) != NULL)
        return true;
    /* dead: wait for its successor, if there can be one */
    next = d == NULL ? NULL : ulv_keeper_partition(k, d->standby);
    return next != NULL && next->alive && !next->reaping &&
           ulv_keeper_is_served(k);
}

/* Ask the console's server to say when it has heard all; false: nobody. */
static bool
ask_flush(struct keeper *k, struct keeper_partition *p)
{
    const struct keeper_channel *c = ulv_keeper_console(k, p->id);
    struct keeper_partition *server;
    struct say say = { .kind = SAY_FLUSH };

    if (c == NULL)
        return false;
    p->flushing = c->id;
    server = server_of(k, c);
    if (server == NULL)
        return ulv_keeper_console_is_served(k, c);
    say.u.console.channel = c->id;
    return ulv_post_send(&server->post, &say, NULL, NULL, 0) == ULV_OK;
}

void
ulv_keeper_end_again(struct keeper *k)
{
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        if (p->flushing != 0 && !ask_flush(k, p))
            p->flushing = 0;
        ulv_keeper_go_on_ending(k, p);
    }
}

static void
hear_flushed(struct keeper *k, const struct keeper_partition *from,
             ulv_id channel)
{
    const struct keeper_channel *c = ulv_keeper_channel(k, channel);
    struct keeper_partition *p =
        c == NULL ? NULL : ulv_keeper_partition(k, c->client);

    if (p != NULL && p->flushing == channel && channel != 0 &&
        c->server == from->id) {
        p->flushing = 0;
        ulv_keeper_go_on_ending(k, p);
    }
}

/* The ultravisor has committed how a guest ended. */
static void
hear_noted(struct keeper *k, const struct say_state *say)
{
    struct keeper_partition *p = ulv_keeper_partition(k, say->partition);

    if (p != NULL && p->ending == ENDING_NOTED &&
        (say->state == ULV_STATE_STOPPED || say->state == ULV_STATE_FAULTED))
        tell_ended(k, p);
}

void
ulv_keeper_guest_ended(struct keeper *k, struct keeper_partition *p,
                       const struct ulv_end *end)
{
    p->end = *end;
    p->end.text[sizeof(p->end.text) - 1] = '\0';
    if (end->reason == ULV_END_REASON_FAULT && k->fault != NULL)
        k->fault(k->self, p->id, &p->end);
    p->ending = ENDING_ROLE;
    ulv_keeper_again_dirty(k, p);
    if (!ask_flush(k, p))
        p->flushing = 0;
    ulv_keeper_role_kill(k, p); /* its work is done */
    ulv_keeper_go_on_ending(k, p);
}

/* ---- hearing ------------------------------------------------------------- */

/* Which kind of partition may say what; a guest's monitor speaks for it. */
static const struct {
    uint32_t say, from;
} permissions[] = {
    { SAY_READY, ULV_PARTITION_ULTRAVISOR },
    { SAY_ORDER, ULV_PARTITION_ULTRAVISOR },
    { SAY_COMMITTED, ULV_PARTITION_ULTRAVISOR },
    { SAY_ABORTED, ULV_PARTITION_ULTRAVISOR },
    { SAY_BOOTED, ULV_PARTITION_ULTRAVISOR },
    { SAY_NOTED, ULV_PARTITION_ULTRAVISOR },
    { SAY_RING, ULV_PARTITION_ULTRAVISOR },
    { SAY_SCANNED, ULV_PARTITION_ULTRAVISOR },
    { SAY_ACKNOWLEDGE, ULV_PARTITION_GUEST },
    { SAY_ACKNOWLEDGE, ULV_PARTITION_IO },
    { SAY_RUNNING, ULV_PARTITION_GUEST },
    { SAY_ENDED, ULV_PARTITION_GUEST },
    { SAY_NOT_STARTED, ULV_PARTITION_GUEST },
    { SAY_SAVED, ULV_PARTITION_GUEST },
    { SAY_STOPPED, ULV_PARTITION_GUEST },
    { SAY_CONSOLE, ULV_PARTITION_IO },
    { SAY_WANTED, ULV_PARTITION_IO },
    { SAY_FLUSHED, ULV_PARTITION_IO },
    { SAY_HELD, ULV_PARTITION_IO },
    { SAY_RELEASED, ULV_PARTITION_GUEST },
    { SAY_RELEASED, ULV_PARTITION_IO },
    { SAY_GIVEN_BACK, ULV_PARTITION_GUEST },
    { SAY_USED, ULV_PARTITION_GUEST },
    { SAY_SETTLED, ULV_PARTITION_ULTRAVISOR },
    { SAY_DECISION, ULV_PARTITION_COMMAND },
    { SAY_REVIEWED, ULV_PARTITION_OPERATIONS },
    { SAY_EVENT, ULV_PARTITION_ULTRAVISOR },
    { SAY_EVENT, ULV_PARTITION_OPERATIONS },
    { SAY_EVENT, ULV_PARTITION_COMMAND },
    { SAY_EVENT, ULV_PARTITION_IO },
    { SAY_EVENT, ULV_PARTITION_GUEST },
};

/* The events that each may tell: nobody can make up another's end. */
static const struct {
    uint32_t event, from;
} events[] = {
    { ULV_EVENT_DECISION, ULV_PARTITION_COMMAND },
    { ULV_EVENT_FAULT, ULV_PARTITION_ULTRAVISOR },
    { ULV_EVENT_FAULT, ULV_PARTITION_COMMAND },
    { ULV_EVENT_FAULT, ULV_PARTITION_IO },
    { ULV_EVENT_SERVING, ULV_PARTITION_IO },
    { ULV_EVENT_TAKEOVER, ULV_PARTITION_IO },
    { ULV_EVENT_FAULT, ULV_PARTITION_GUEST },
    { ULV_EVENT_LOG, ULV_PARTITION_ULTRAVISOR },
    { ULV_EVENT_LOG, ULV_PARTITION_OPERATIONS },
    { ULV_EVENT_LOG, ULV_PARTITION_COMMAND },
    { ULV_EVENT_LOG, ULV_PARTITION_IO },
    { ULV_EVENT_LOG, ULV_PARTITION_GUEST },
};

static bool
may_tell(uint32_t kind, uint32_t event)
{
    for (size_t i = 0; i < ULV_COUNT_OF(events); i++) {
        if (events[i].event == event && events[i].from == kind)
            return true;
    }
    return false;
}

static bool
may_say(uint32_t kind, const struct say *say)
{
    for (size_t i = 0; i < ULV_COUNT_OF(permissions); i++) {
        if (permissions[i].say == say->kind && permissions[i].from == kind)
            return say->kind != SAY_EVENT ||
                   may_tell(kind, say->u.event.kind);
    }
    return false;
}

/* The next bytes of a console, in pieces that an event can hold. */
static void
tell_console(struct keeper *k, struct keeper_channel *c, const uint8_t *bytes,
             uint64_t len)
{
    while (len > 0) {
        size_t some = (size_t)ULV_MIN(len, (uint64_t)ULV_EVENT_BYTES_MAX);

        k->tell(k->self, ULV_EVENT_CONSOLE, c->client, c->console_offset,
                bytes, some);
        c->console_offset += some;
        bytes += some;
        len -= some;
    }
}

/* Console bytes: each once, in order, of a channel this partition serves. Two
 * servers may give the same ones, since a successor begins where its
 * predecessor had noted that it was, and that is after it had said so. What a
 * server noted and did not say is lost with it. */
static void
hear_console(struct keeper *k, const struct keeper_partition *from,
             const struct heard *heard)
{
    const struct say_console *say = &heard->say.u.console;
    struct keeper_channel *c = ulv_keeper_channel(k, say->channel);
    uint64_t skip, len = heard->say.tail_bytes;

    if (c == NULL || c->server != from->id ||
        !ulv_guid_equal(c->type, type_console) ||
        say->offset > UINT64_MAX - len)
        return;
    if (say->offset > c->console_offset) {
        ulv_keeper_tell(k, ULV_EVENT_LOST, c->client,
                        say->offset - c->console_offset,
                        "%u bytes of the console are lost",
                        say->offset - c->console_offset);
        c->console_offset = say->offset;
    }
    skip = c->console_offset - say->offset;
    if (skip < len)
        tell_console(k, c, heard->tail + skip, len - skip);
}

static void
hear_running(struct keeper *k, struct keeper_partition *p)
{
    struct say say = { .kind = SAY_STATE };

    if (p->state != ULV_STATE_STARTING || p->ending != ENDING_NO)
        return;
    p->state = ULV_STATE_RUNNING;
    p->ran = true;
    ulv_keeper_tell(k, ULV_EVENT_RUNNING, p->id, 0, "%s runs", p->name);
    say.u.state.partition = p->id;
    say.u.state.state = ULV_STATE_RUNNING;
    ulv_keeper_inform(k, &say);
}

void
ulv_keeper_not_started(struct keeper *k, struct keeper_partition *p,
                       const struct ulv_diag *diag)
{
    struct ulv_end end = { .reason = ULV_END_REASON_IMAGE,
                           .code = (uint64_t)-(int64_t)diag->status };

    if (p->state != ULV_STATE_STARTING || p->ending != ENDING_NO)
        return;
    p->start_diag = *diag;
    p->start_diag.text[sizeof(p->start_diag.text) - 1] = '\0';
    if (p->start_diag.status >= 0)
        p->start_diag.status = ULV_E_INTERNAL;
    ulv_string_copy(end.text, sizeof(end.text), p->start_diag.text);
    ulv_keeper_guest_ended(k, p, &end);
}

static void
hear_saved(struct keeper_partition *p, const struct say_order_done *say)
{
    if (p->save == NULL)
        return;
    p->save->done = true;
    p->save->bytes = say->ticket;
    p->save->diag = say->diag;
    p->save->diag.text[sizeof(say->diag.text) - 1] = '\0';
}

static void
hear_event(struct keeper *k, const struct keeper_partition *from,
           const struct say_event *say)
{
    char text[sizeof(say->text)];

    memcpy(text, say->text, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    /* nobody but the ultravisor speaks of others */
    k->tell(k->self, say->kind,
            say->partition != 0 && from->kind == ULV_PARTITION_ULTRAVISOR
                ? say->partition
                : from->id,
            say->value, text, ulv_string_length(text, sizeof(text)));
}

static void
hear_given_back(struct keeper *k, const struct keeper_partition *from,
                const struct say_returned *heard)
{
    struct say say = { .kind = SAY_RETURNED };
    struct keeper_extent *e = NULL;

    while (ULV_RESTARTS &&
           (e = ulv_keeper_extent_of(k, from->id, e)) != NULL) {
        if (e->guest_address == heard->guest_address)
            e->given_back = true;
    }
    say.u.returned = *heard;
    say.u.returned.partition = from->id;
    ulv_keeper_inform(k, &say);
}

static void
hear_held(struct keeper *k, const struct keeper_partition *from, ulv_id channel)
{
    struct keeper_channel *c = ulv_keeper_channel(k, channel);

    if (c != NULL && c->server == from->id)
        c->held = true;
}

void
ulv_keeper_tell_committed(struct keeper *k, uint64_t revision)
{
    k->revision = revision;
    k->tell(k->self, ULV_EVENT_COMMITTED, 0, revision, "", 0);
}

static void
hear_committed(struct keeper *k, const struct heard *heard)
{
    const struct say_order *say = &heard->say.u.order;

    ulv_keeper_await(k, heard); /* what follows may end who said it */
    if (ULV_RESTARTS && say->settled != 0)
        k->settled = say->settled;
    if (ULV_RESTARTS && k->order.adopts) {
        ulv_keeper_adopt_commit(k, say->revision);
        return;
    }
    ulv_keeper_order_commit(k, say->ticket);
    ulv_keeper_tell_committed(k, say->revision);
}

static void
hear_booted(struct keeper *k, const struct ulv_diag *heard)
{
    struct ulv_diag diag = *heard;

    diag.text[sizeof(diag.text) - 1] = '\0';
    if (!k->booted) {
        k->booted = true;
        k->boot_diag = diag;
    } else if (ulv_keeper_restarts(k) != RESTART_NO) {
        ulv_keeper_restart_failed(k, &diag);
    }
}

/* What the ultravisor alone may say, and what all may. */
static void
hear_ultravisor(struct keeper *k, struct keeper_partition *from,
                const struct heard *heard)
{
    const struct say *say = &heard->say;

    switch (say->kind) {
    case SAY_READY:
        if (ulv_keeper_restarts(k) == RESTART_READING)
            ulv_keeper_restart_ready(k, say->u.ready.revision);
        else if (!k->booted)
            k->lease_first = say->u.ready.lease_first;
        break;
    case SAY_ORDER:
        ulv_keeper_order_receive(k, heard);
        break;
    case SAY_COMMITTED:
        hear_committed(k, heard);
        break;
    case SAY_ABORTED:
        ulv_keeper_order_abort(k);
        break;
    case SAY_BOOTED:
        hear_booted(k, &say->u.order_done.diag);
        break;
    case SAY_NOTED:
        hear_noted(k, &say->u.state);
        break;
    case SAY_SETTLED:
        k->settled = say->u.order.revision;
        break;
    case SAY_SCANNED:
        if (ULV_DEVICES && k->scanned != NULL)
            k->scanned(k->self, heard);
        break;
    case SAY_RING:
        ulv_keeper_ring(k, ulv_keeper_channel(k, say->u.object));
        break;
    default:
        hear_event(k, from, &say->u.event);
    }
}

static void
hear_one(struct keeper *k, struct keeper_partition *from,
         const struct heard *heard)
{
    const struct say *say = &heard->say;

    switch (say->kind) {
    case SAY_ACKNOWLEDGE:
        ulv_keeper_acknowledged(k, from, say->u.generation.generation);
        break;
    case SAY_RELEASED:
        ulv_keeper_released(k, from->id, say->u.object);
        break;
    case SAY_GIVEN_BACK:
        hear_given_back(k, from, &say->u.returned);
        break;
    case SAY_USED:
        from->used += say->u.used.time;
        break;
    case SAY_RUNNING:
        hear_running(k, from);
        break;
    case SAY_ENDED:
        if (from->state == ULV_STATE_RUNNING && from->ending == ENDING_NO)
            ulv_keeper_guest_ended(k, from, &say->u.end);
        break;
    case SAY_NOT_STARTED:
        ulv_keeper_not_started(k, from, &say->u.order_done.diag);
        break;
    case SAY_SAVED:
        hear_saved(from, &say->u.order_done);
        break;
    case SAY_STOPPED:
        if (k->stopped != NULL)
            k->stopped(k->self, from->id, heard);
        break;
    case SAY_DECISION:
    case SAY_REVIEWED:
        if (k->policy_says != NULL)
            k->policy_says(k->self, from->id, heard);
        break;
    case SAY_HELD:
        hear_held(k, from, say->u.object);
        break;
    case SAY_CONSOLE:
        hear_console(k, from, heard);
        break;
    case SAY_WANTED:
        if (ULV_CONSOLE_TYPING)
            ulv_keeper_input_wanted(k, from, &say->u.console);
        break;
    case SAY_FLUSHED:
        hear_flushed(k, from, say->u.console.channel);
        break;
    default:
        hear_ultravisor(k, from, heard);
    }
}

/* Whether all that it said was heard. */
static bool
hear(struct keeper *k, struct keeper_partition *from, struct role_need *need)
{
    struct heard heard;

    for (uint32_t i = 0; i < KEEPER_TURN && from->alive; i++) {
        ulv_status status = ulv_post_receive(&from->post, &heard);

        if (status == ULV_E_AGAIN)
            return true;
        if (status != ULV_OK) {
            /* Gone, or not to be believed any more: make sure it is dead. */
            ulv_keeper_role_kill(k, from);
            return true;
        }
        for (uint32_t h = 0; h < heard.handle_count; h++)
            k->host->handle_close(k->host->self, heard.handle[h]);
        need->again = true;
        if (may_say(from->kind, &heard.say))
            hear_one(k, from, &heard);
        else
            ulv_keeper_tell(k, ULV_EVENT_FAULT, from->id, heard.say.kind,
                            "%s may not say %u: refused", from->name,
                            (uint64_t)heard.say.kind);
    }
    return !from->alive;
}

void
ulv_keeper_listen(struct keeper *k, struct keeper_partition *p)
{
    struct role_need need = { false, ULV_FOREVER };

    while (p->alive && !p->reaping && !hear(k, p, &need))
        continue;
}

void
ulv_keeper_role_drop(struct keeper *k, struct keeper_partition *p)
{
    struct role_need need = { false, ULV_FOREVER };

    if (!p->alive || p->reaping)
        return;
    if (k->processes) {
        /* it is heard to the end of its link, then reaped */
        k->platform->process_kill(k->host->self, p->process);
        return;
    }
    while (p->alive && !hear(k, p, &need))
        continue;
    ulv_keeper_role_kill(k, p);
}

/* A role in process; one that cannot go on is dropped like a dead process. */
static void
step_role(struct keeper *k, struct keeper_partition *p, struct role_need *need)
{
    const struct ulv_host *host = k->host;
    ulv_nsec begin;
    ulv_status status;

    if (p->role == NULL)
        return;
    begin = host->now(host->self);
    status = ulv_role_step(&p->role, need);
    p->used += host->now(host->self) - begin;
    if (status != ULV_OK)
        ulv_keeper_role_kill(k, p);
}

/* Who has just spoken lives, or is found dead by the next step. On a bare
 * machine nobody is a process. */
static bool
may_be_dead(const struct keeper_partition *p, const struct role_need *need)
{
    return ULV_RESTARTS && p->alive && (!need->again || p->reaping);
}

/* What a process said was heard to its end. */
static bool
goes_on(const struct keeper_partition *p)
{
    return !ULV_RESTARTS || p->role != NULL || p->behind;
}

static void
step_partition(struct keeper *k, struct keeper_partition *p,
               struct role_need *need)
{
    step_role(k, p, need);
    /* one that died may have said more than fits into one turn */
    p->behind = p->alive && !p->reaping && !hear(k, p, need);
    if (p->behind)
        return;
    if (may_be_dead(p, need) && ulv_keeper_role_reap(k, p))
        need->again = true; /* the caller may wait for just that */
    if (p->alive && p->post.waiting_count != 0)
        need->deadline = ULV_MIN(need->deadline,
                                 k->host->now(k->host->self) + 1000000);
}

void
ulv_keeper_step(struct keeper *k, struct role_need *need)
{
    const struct ulv_host *host = k->host;
    ulv_nsec now = host->now(host->self);
    struct keeper_partition *p = NULL;

    if (ulv_keeper_restarts(k) == RESTART_DUE)
        ulv_keeper_restart(k, now);
    (void)ulv_rung_look(&k->rung); /* the rest next time */
    if (ULV_RESTARTS)
        ulv_keeper_serve_storage(k);
    /* guests vanish in commits of the ultravisor, and no role does */
    while ((p = ulv_keeper_next_turn(k, p, now, &need->deadline)) != NULL) {
        struct role_need own = { false, ULV_FOREVER };

        if (p->alive) {
            p->again = false;
            step_partition(k, p, &own);
            p->again |= own.again && goes_on(p);
            p->deadline = own.deadline;
            need->again |= p->again | own.again;
            need->deadline = ULV_MIN(need->deadline, p->deadline);
        }
        if (ULV_KEEPER_INDEXES)
            ulv_keeper_set_turn(p);
    }
    ulv_keeper_check_followers(k, need);
    if (ulv_keeper_restarts(k) == RESTART_DUE)
        need->deadline = ULV_MIN(need->deadline, k->restart_at);
}
