/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Removal before grant. What is taken from a guest that runs drains: its
 * monitor sees it in the view, the servers of a channel are told, and each says
 * when it has let go; only then is the ultravisor told, which may then free it.
 * Who does not answer within the limit is killed: so everything settles.
 */
#include "base/base.h"
#include "system/keeper.h"

ulv_status
ulv_keeper_may_remap(const struct keeper *k, const struct keeper_partition *p,
                     struct ulv_diag *diag)
{
    if (p == NULL || p->kind != ULV_PARTITION_GUEST || !p->alive ||
        k->can_remap)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, p->id, 0, 0,
                    "%s runs, and the %s backend cannot change what a guest "
                    "that runs has: stop it first",
                    p->name, k->backend);
}

ulv_status
ulv_keeper_drain_prepare(struct keeper *k, ulv_id object,
                         struct ulv_diag *diag)
{
    const struct keeper_extent *e = ulv_keeper_extent(k, object);
    const struct keeper_channel *c = ulv_keeper_channel(k, object);
    ulv_status status = ULV_OK;

    if (e == NULL && c == NULL)
        return ulv_fail(diag, ULV_E_DENIED, object, 0, 0,
                        "object %u is not there to be taken away", object);
    if (e != NULL)
        return ulv_keeper_may_remap(
            k, ulv_keeper_partition(k, e->partition), diag);
    status =
        ulv_keeper_may_remap(k, ulv_keeper_partition(k, c->server), diag);
    if (status == ULV_OK)
        status =
            ulv_keeper_may_remap(k, ulv_keeper_partition(k, c->client), diag);
    return status;
}

static void
tell_drained(struct keeper *k, ulv_id object)
{
    struct say say = { .kind = SAY_DRAINED };

    say.u.object = object;
    ulv_keeper_inform(k, &say);
}

static void
extent_released(struct keeper *k, struct keeper_extent *e)
{
    if (!e->draining || e->released)
        return;
    e->released = true;
    tell_drained(k, e->id);
}

/* Everybody who had it has let go. */
static void
channel_released(struct keeper *k, struct keeper_channel *c)
{
    if (!c->draining || c->released)
        return;
    for (uint32_t i = 0; i < 3; i++) {
        if (c->holder[i] != 0)
            return;
    }
    c->released = true;
    tell_drained(k, c->id);
}

/* A guest's monitor reads it in the view; a server is told. */
static void
ask_holder(struct keeper *k, struct keeper_channel *c, uint32_t idx, ulv_id id)
{
    struct keeper_partition *p = ulv_keeper_partition(k, id);
    struct say say = { .kind = SAY_CHANNEL_CLOSE };

    if (p == NULL || !p->alive || p->id == k->boot || c->let_go[idx] == id)
        return;
    c->holder[idx] = id;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_enter_end(k, c, idx, id);
    if (p->kind == ULV_PARTITION_GUEST)
        return;
    say.u.channel.channel = c->id;
    ulv_post_tell(&p->post, &say, NULL, NULL, 0);
}

void
ulv_keeper_drain_commit(struct keeper *k, ulv_id object)
{
    struct keeper_extent *e = ulv_keeper_extent(k, object);
    struct keeper_channel *c = ulv_keeper_channel(k, object);
    const struct keeper_device *d;

    if (e != NULL) {
        const struct keeper_partition *p =
            ulv_keeper_partition(k, e->partition);

        e->draining = true;
        if (p == NULL || !p->alive || e->let_go)
            extent_released(k, e);
    }
    if (c == NULL || c->draining)
        return;
    d = ulv_keeper_device(k, c->device);
    c->draining = true;
    if (c->open)
        k->channel_gone(k->self, c->id); /* the caller's own end */
    c->open = false;
    c->release_until = k->host->now(k->host->self) + k->settle_limit;
    ulv_keeper_ring(k, c); /* its header says it, too */
    ask_holder(k, c, 0, c->server);
    ask_holder(k, c, 1, c->client);
    if (d != NULL && d->standby != c->server)
        ask_holder(k, c, 2, d->standby);
    channel_released(k, c);
}

void
ulv_keeper_released(struct keeper *k, ulv_id from, ulv_id object)
{
    struct keeper_extent *e = ulv_keeper_extent(k, object);
    struct keeper_channel *c = ulv_keeper_channel(k, object);

    /* its monitor may have read the view before we hear of the commit */
    if (c != NULL && !c->draining && (from == c->server || from == c->client))
        c->let_go[from == c->server ? 0 : 1] = from;
    if (e != NULL && e->partition == from) {
        e->let_go = true;
        extent_released(k, e);
    }
    for (uint32_t i = 0; i < 3 && c != NULL; i++) {
        if (c->holder[i] == from)
            c->holder[i] = 0;
    }
    if (c != NULL)
        channel_released(k, c);
}

void
ulv_keeper_released_all(struct keeper *k, ulv_id dead)
{
    struct keeper_extent *e = NULL;
    struct keeper_channel *c = NULL;

    while ((e = ulv_keeper_extent_of(k, dead, e)) != NULL) {
        /* it may have it again, in another life */
        e->let_go = e->given_back = false;
        extent_released(k, e);
    }
    while ((c = ulv_keeper_channel_of(k, dead, c)) != NULL) {
        for (uint32_t i = 0; i < 3; i++) {
            if (c->holder[i] == dead)
                c->holder[i] = 0;
            if (c->let_go[i] == dead)
                c->let_go[i] = 0;
        }
        channel_released(k, c);
    }
}

/* ---- in bounded time ----------------------------------------------------- */

void
ulv_keeper_await(struct keeper *k, const struct heard *committed)
{
    struct say_generation want;
    uint32_t count = committed->say.tail_bytes / (uint32_t)sizeof(want);

    for (uint32_t i = 0; i < count; i++) {
        struct keeper_partition *p;

        memcpy(&want, committed->tail + i * sizeof(want), sizeof(want));
        p = ulv_keeper_partition(k, want.partition);
        if (p == NULL || p->kind != ULV_PARTITION_GUEST || !p->alive ||
            p->state != ULV_STATE_RUNNING)
            continue; /* one that starts reads its view when it runs */
        p->awaited = want.generation;
        /* it may have read the view before we hear of the commit; of a later
         * one than that we hear next */
        if (p->followed == want.generation)
            p->follow_until = 0;
        else if (p->follow_until == 0)
            p->follow_until = k->host->now(k->host->self) + k->settle_limit;
    }
}

void
ulv_keeper_acknowledged(struct keeper *k, struct keeper_partition *p,
                        uint64_t generation)
{
    struct say say = { .kind = SAY_ACKNOWLEDGED };

    p->followed = generation;
    if (generation >= p->awaited)
        p->follow_until = 0;
    say.u.generation.partition = p->id;
    say.u.generation.generation = generation;
    ulv_keeper_inform(k, &say);
}

static void
unresponsive(struct keeper *k, struct keeper_partition *p)
{
    struct ulv_end end = { .reason = ULV_END_REASON_FAULT,
                           .code = ULV_FAULT_UNRESPONSIVE };
    struct ulv_text line;

    p->follow_until = 0;
    end.fault.kind = ULV_FAULT_UNRESPONSIVE;
    ulv_text_init(&line, end.text, sizeof(end.text));
    ulv_text_format(&line,
                    "monitor unresponsive: it did not follow its view within "
                    "%u ms",
                    k->settle_limit / 1000000);
    if (p->state == ULV_STATE_RUNNING && p->ending == ENDING_NO)
        ulv_keeper_guest_ended(k, p, &end);
    else
        ulv_keeper_role_kill(k, p);
}

/* The servers that keep a channel. A guest is killed for its view. */
static void
check_holders(struct keeper *k, struct keeper_channel *c)
{
    for (uint32_t i = 0; i < 3; i++) {
        struct keeper_partition *p = ulv_keeper_partition(k, c->holder[i]);

        if (p == NULL || p->kind != ULV_PARTITION_IO || !p->alive ||
            p->reaping || p->behind)
            continue;
        ulv_keeper_tell(k, ULV_EVENT_FAULT, p->id, c->id,
                        "%s did not let go of channel %u within %u ms",
                        p->name, c->id, k->settle_limit / 1000000);
        ulv_keeper_role_kill(k, p);
    }
}

/* In process a role that gets no turn cannot answer, and one that gets its turn
 * does not hang. Nobody is killed for what we have not heard yet: the caller
 * may have been away for long. */
void
ulv_keeper_check_followers(struct keeper *k, struct role_need *need)
{
    ulv_nsec now = k->host->now(k->host->self);

    if (!k->processes)
        return;
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        if (p->follow_until == 0 || !p->alive || p->reaping || p->behind)
            continue;
        if (now >= p->follow_until)
            unresponsive(k, p);
        else
            need->deadline = ULV_MIN(need->deadline, p->follow_until);
    }
    for (struct keeper_channel *c = k->channels; c != NULL; c = c->next) {
        if (!c->draining || c->released)
            continue;
        if (now >= c->release_until)
            check_holders(k, c);
        else
            need->deadline = ULV_MIN(need->deadline, c->release_until);
    }
}
