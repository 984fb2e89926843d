/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The ultravisor dies and is started again. Everything that it had ordered is
 * here: memory, channels, views, the processes of roles and guests, which go on
 * meanwhile. What it had decided is in its journal.
 *
 * Invariant: from the end of an adoption on, what the keeper has is what the
 * database has, but for one order at most, which is prepared and not committed.
 *
 * O(r) = an order that leads to revision r is prepared, J(r) = the journal has
 * r, C = COMMITTED was heard, X = it dies, R(r) = the new one has read r.
 *
 * 1. O(7) X R(6): nobody was told that it happened: undone.
 * 2. O(7) J(7) X R(7): it did: done now, though nobody said COMMITTED.
 * 3. O(7) J(7) C X R(7): the same, done before.
 * 4. O(7) abort J(7) X: the journal's 7 is another transaction, without orders.
 *    The abort was heard first: the ultravisor begins nothing while it has
 *    something left to say.
 * 5. What must fail: O(7) J(7) X, undone at once: the journal has memory that
 *    nobody made, and the medium of a disk is closed for good.
 *
 * 6. C X C X: each has done something, and is started again however often it
 *    dies. X R X R, eight times, with nothing in between: it is given up.
 *
 * Where the two do not agree all the same, the journal decides what there is:
 * what it does not know is taken back, and who lacks what it knows has ended.
 */
#include "base/base.h"
#include "channel/channel.h"
#include "system/keeper.h"

/* Starts in a row that came to nothing. Before the second of them it waits so
 * long, before each further one twice as long as before the last. */
#define TRIES_MAX 8u
#define WAIT_NS   UINT64_C(10000000)
/* One that has adopted and lived for so long has come to something, and so has
 * one that has committed a transaction. */
#define LIVED_NS  UINT64_C(10000000000)
#define LACKS_MAX 4096u /* objects that the keeper has lost */

/* ---- its storage --------------------------------------------------------- */

ulv_status
ulv_keeper_reach_storage(struct keeper *k, ulv_handle *handles,
                         uint32_t *ret_count)
{
    ulv_status status;

    if (!k->processes || k->storage == NULL)
        return ULV_OK;
    status = ulv_far_server_init(&k->far, k->host, &k->rung);
    if (status != ULV_OK)
        return status;
    handles[0] = k->far.memory;
    handles[1] = k->far.bell[0];
    handles[2] = k->far.bell[1];
    *ret_count = FAR_STORAGE_HANDLES;
    return ULV_OK;
}

void
ulv_keeper_serve_storage(struct keeper *k)
{
    if (k->ultravisor != NULL && !k->ultravisor->reaping)
        ulv_far_server_step(&k->far, k->host, k->storage);
}

/* ---- it dies, it is started ---------------------------------------------- */

/* Nobody makes the views that they wait for. */
static void
give_up_starts(struct keeper *k)
{
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        if (!p->start_due)
            continue;
        p->start_due = false;
        (void)ulv_fail(&p->start_diag, ULV_E_PEER_GONE, p->id, p->image, 0,
                       "%s: the ultravisor died before it could start",
                       p->name);
        ulv_keeper_not_started(k, p, &p->start_diag);
    }
}

static bool
came_to_something(const struct keeper *k, ulv_nsec now)
{
    return k->restart == RESTART_NO &&
           (k->revision != k->adopted_revision ||
            now - k->adopted_at >= LIVED_NS);
}

/* Whether there is to be another, and when. */
static bool
is_worth_a_try(struct keeper *k)
{
    const ulv_nsec now = k->host->now(k->host->self);

    if (k->storage == NULL || !k->booted || k->boot_diag.status != ULV_OK)
        return false;
    if (came_to_something(k, now))
        k->tries = 0;
    k->restart_at = k->tries == 0 ? now : now + (WAIT_NS << (k->tries - 1));
    if (k->tries < TRIES_MAX)
        return true;
    ulv_keeper_tell(k, ULV_EVENT_FAULT, k->ultravisor->id, k->tries,
                    "%s died %u times and has done nothing in between: it is "
                    "given up",
                    k->ultravisor->name, (uint64_t)k->tries);
    return false;
}

bool
ulv_keeper_ultravisor_died(struct keeper *k)
{
    struct keeper_order *order = &k->order;
    const bool again = is_worth_a_try(k);

    ulv_far_server_fini(&k->far, k->host);
    /* one that is prepared whole may be in the journal */
    if (!again || !order->done || order->adopts)
        ulv_keeper_order_abort(k);
    k->restart = again ? RESTART_DUE : RESTART_NO;
    if (!again)
        k->ultravisor = NULL;
    if (!again)
        give_up_starts(k);
    return again;
}

void
ulv_keeper_restart(struct keeper *k, ulv_nsec now)
{
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (now < k->restart_at)
        return;
    k->tries++;
    k->starts++;
    k->restart = RESTART_READING;
    if (ulv_keeper_role_start(k, k->ultravisor, &diag) != ULV_OK)
        ulv_keeper_tell(k, ULV_EVENT_FAULT, 0, 0, "%s", diag.text);
}

void
ulv_keeper_restart_ready(struct keeper *k, uint64_t revision)
{
    struct say say = { .kind = SAY_ADOPT };

    if (k->order.open && k->order.revision <= revision)
        ulv_keeper_order_commit(k, k->order.ticket);
    else
        ulv_keeper_order_abort(k);
    k->restart = RESTART_ADOPTING;
    k->lacks = 0;
    say.u.adopt.settled = k->settled;
    ulv_keeper_say(k, &say);
}

void
ulv_keeper_restart_failed(struct keeper *k, const struct ulv_diag *diag)
{
    ulv_keeper_tell(k, ULV_EVENT_FAULT, k->ultravisor->id, diag->object,
                    "%s could not go on: %s", k->ultravisor->name, diag->text);
    ulv_keeper_role_kill(k, k->ultravisor);
}

/* ---- what its journal says ----------------------------------------------- */

/* The guest that has an end of it. */
static struct keeper_partition *
guest_of(const struct keeper *k, ulv_id one, ulv_id two)
{
    struct keeper_partition *p = ulv_keeper_partition(k, one);

    if (p == NULL || p->kind != ULV_PARTITION_GUEST)
        p = ulv_keeper_partition(k, two);
    return p != NULL && p->kind == ULV_PARTITION_GUEST ? p : NULL;
}

static bool
is_using(const struct keeper_partition *p)
{
    return p != NULL && (p->alive || p->ending != ENDING_NO);
}

/* What was said of it and what is do not agree; p, if not NULL, cannot go on
 * with it. */
static void
disagree(struct keeper *k, struct keeper_partition *p, ulv_id object,
         const char *how)
{
    struct ulv_end end = { .reason = ULV_END_REASON_FAULT,
                           .code = ULV_FAULT_MONITOR };
    struct ulv_text line;

    ulv_text_init(&line, end.text, sizeof(end.text));
    ulv_text_format(&line, "object %u %s", object, how);
    ulv_keeper_tell(k, ULV_EVENT_FAULT, p == NULL ? 0 : p->id, object, "%s",
                    end.text);
    if (p == NULL || !p->alive || p->ending != ENDING_NO)
        return;
    if (p->state == ULV_STATE_STARTING || p->state == ULV_STATE_RUNNING)
        ulv_keeper_guest_ended(k, p, &end);
}

static const char lacking[] =
    "is in the journal, and the keeper does not have it";

/* Who has lost more than that has another journal. */
static bool
may_lack(struct keeper *k)
{
    return k->lacks++ < LACKS_MAX;
}

/* A record of it, so that it can be taken away. */
static ulv_status
lack_extent(struct keeper *k, const struct ulv_effect_extent *want)
{
    struct keeper_extent *e = k->host->alloc(k->host->self, sizeof(*e), 8);

    if (e == NULL)
        return ULV_E_NO_MEMORY;
    e->lacking = true;
    e->id = want->id;
    e->partition = want->partition;
    e->frame = want->frame;
    e->bytes = want->bytes;
    e->guest_address = want->guest_address;
    e->memory = ULV_NO_HANDLE;
    e->seen = k->starts;
    ulv_keeper_extent_add(k, e);
    disagree(k, guest_of(k, want->partition, 0), want->id, lacking);
    return ULV_OK;
}

static ulv_status
lack_channel(struct keeper *k, const struct ulv_effect_channel *want)
{
    struct keeper_channel *c = k->host->alloc(k->host->self, sizeof(*c), 8);

    if (c == NULL)
        return ULV_E_NO_MEMORY;
    c->lacking = true;
    c->id = want->id;
    c->device = want->device;
    c->server = want->server;
    c->client = want->client;
    c->frame = want->frame;
    c->bytes = want->bytes;
    c->memory = c->bell[0] = c->bell[1] = c->fresh = ULV_NO_HANDLE;
    c->seen = k->starts;
    ulv_keeper_channel_add(k, c);
    disagree(k, guest_of(k, want->client, want->server), want->id, lacking);
    return ULV_OK;
}

static ulv_status
lack_device(struct keeper *k, const struct ulv_effect_device *want)
{
    struct keeper_device *d = k->host->alloc(k->host->self, sizeof(*d), 8);

    if (d == NULL)
        return ULV_E_NO_MEMORY;
    d->id = want->id;
    d->serving = want->primary;
    d->standby = want->standby;
    d->kind = want->kind;
    d->flags = want->flags;
    d->takeover = d->fresh = ULV_NO_HANDLE;
    for (uint32_t i = 0; i < 2; i++)
        d->lock[i] = d->medium[i] = ULV_NO_HANDLE;
    ulv_keeper_device_add(k, d);
    disagree(k, NULL, want->id, lacking);
    return ULV_OK;
}

static ulv_status
adopt_partition(struct keeper *k, const struct ulv_effect *effect,
                struct ulv_diag *diag)
{
    struct keeper_partition *p =
        ulv_keeper_partition(k, effect->u.partition_create.id);
    ulv_status status;

    if (p == NULL || p->bell == ULV_NO_HANDLE) {
        disagree(k, p, effect->u.partition_create.id, lacking);
        status = ulv_keeper_order_prepare(k, effect, diag);
        p = ulv_keeper_partition(k, effect->u.partition_create.id);
    } else {
        status = ulv_keeper_make_views(k, p);
    }
    if (status != ULV_OK || p == NULL)
        return status;
    p->committed = true;
    p->seen = k->starts;
    return ULV_OK;
}

static ulv_status
adopt_extent(struct keeper *k, const struct ulv_effect_extent *want)
{
    struct keeper_extent *e = ulv_keeper_extent(k, want->id);

    if (e == NULL)
        return may_lack(k) ? lack_extent(k, want) : ULV_E_LIMIT;
    e->seen = k->starts;
    if (e->partition != want->partition || e->frame != want->frame ||
        e->bytes != want->bytes || e->guest_address != want->guest_address)
        disagree(k, guest_of(k, e->partition, want->partition), e->id,
                 "is other memory in the journal than the keeper has");
    return ULV_OK;
}

/* A command channel of the dead one's: its client may have been cut off in the
 * middle of a request. There is a new one, and what is not answered is asked
 * again. */
static ulv_status
make_anew(struct keeper *k, struct keeper_channel *c)
{
    ulv_keeper_close(k, &c->fresh);
    return ulv_keeper_make_channel(k, c, &c->fresh);
}

static ulv_status
adopt_channel(struct keeper *k, const struct ulv_effect_channel *want)
{
    struct keeper_channel *c = ulv_keeper_channel(k, want->id);
    struct say say = { .kind = SAY_CHANNEL };

    if (c == NULL)
        return may_lack(k) ? lack_channel(k, want) : ULV_E_LIMIT;
    c->seen = k->starts;
    if (c->lacking)
        return ULV_OK;
    if (c->server != want->server || c->client != want->client ||
        c->bytes != want->bytes || c->frame != want->frame)
        disagree(k, guest_of(k, c->client, c->server), c->id,
                 "is another channel in the journal than the keeper has");
    if (c->server == k->ultravisor->id)
        return make_anew(k, c);
    if (c->memory == ULV_NO_HANDLE)
        return ULV_OK;
    say.u.channel.channel = c->id;
    say.u.channel.bytes = c->bytes;
    say.u.channel.format = CHANNEL_HEADER;
    return ulv_post_send(&k->ultravisor->post, &say, NULL, &c->memory, 1);
}

static ulv_status
adopt_device(struct keeper *k, const struct ulv_effect_device *want)
{
    const struct keeper_device *d = ulv_keeper_device(k, want->id);

    if (d == NULL)
        return may_lack(k) ? lack_device(k, want) : ULV_E_LIMIT;
    if (d->serving != want->primary)
        disagree(k, NULL, d->id, "is served by another than in the journal");
    return ULV_OK;
}

ulv_status
ulv_keeper_adopt_prepare(struct keeper *k, const struct ulv_effect *effect,
                         struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    switch (effect->kind) {
    case ULV_EFFECT_PARTITION_CREATE:
        status = adopt_partition(k, effect, diag);
        break;
    case ULV_EFFECT_EXTENT_GRANT:
        status = adopt_extent(k, &effect->u.extent);
        break;
    case ULV_EFFECT_CHANNEL_CREATE:
        status = adopt_channel(k, &effect->u.channel);
        break;
    case ULV_EFFECT_DEVICE_OFFER:
        status = adopt_device(k, &effect->u.device);
        break;
    case ULV_EFFECT_PROCESSOR: /* it is bound, or will be at the start */
    case ULV_EFFECT_DRAIN:
        break;
    default:
        return ulv_fail(diag, ULV_E_PEER_PROTOCOL, 0, effect->kind, 0,
                        "effect %u is none of what there is",
                        (uint64_t)effect->kind);
    }
    if (status != ULV_OK && diag->status == ULV_OK)
        return ulv_fail(diag, status, effect->u.removal.id, effect->kind, 0,
                        "object %u cannot be handed to the ultravisor: %s",
                        effect->u.removal.id, ulv_status_text(status));
    return status;
}

/* ---- adopted ------------------------------------------------------------- */

static void
hand_views(struct keeper *k)
{
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        ulv_keeper_seal_views(k, p);
        if (p->alive && p != k->ultravisor)
            ulv_keeper_hand_next_view(k, p);
    }
}

static void
hand_channels(struct keeper *k)
{
    for (struct keeper_channel *c = k->channels; c != NULL; c = c->next) {
        if (c->server != k->ultravisor->id || c->fresh == ULV_NO_HANDLE)
            continue;
        ulv_keeper_close(k, &c->memory);
        c->memory = c->fresh;
        c->fresh = ULV_NO_HANDLE;
        ulv_keeper_hand_channel(k, c);
    }
}

/* What the journal did not name. */
static void
find_unknown(struct keeper *k)
{
    static const char unknown[] =
        "is not in the journal, and the keeper takes it back";

    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        if (p->seen != k->starts)
            disagree(k, p, p->id, "is a partition that the journal does not "
                                  "know");
    }
    for (struct keeper_extent *e = k->extents; e != NULL; e = e->next) {
        e->unknown = e->seen != k->starts;
        if (e->unknown)
            disagree(k, guest_of(k, e->partition, 0), e->id, unknown);
    }
    for (struct keeper_channel *c = k->channels; c != NULL; c = c->next) {
        c->unknown = c->seen != k->starts;
        if (c->unknown)
            disagree(k, guest_of(k, c->client, c->server), c->id, unknown);
    }
    k->sweeps = true;
    ulv_keeper_sweep(k);
}

void
ulv_keeper_sweep(struct keeper *k)
{
    struct keeper_extent *next_extent;
    struct keeper_channel *next_channel;

    k->sweeps = false;
    for (struct keeper_extent *e = k->extents; e != NULL; e = next_extent) {
        next_extent = e->next;
        if (e->unknown && is_using(ulv_keeper_partition(k, e->partition)))
            k->sweeps = true;
        else if (e->unknown)
            ulv_keeper_extent_remove(k, e);
    }
    for (struct keeper_channel *c = k->channels; c != NULL;
         c = next_channel) {
        next_channel = c->next;
        if (c->unknown && is_using(guest_of(k, c->client, c->server)))
            k->sweeps = true;
        else if (c->unknown && ulv_keeper_may_be_removed(k, c))
            ulv_keeper_channel_destroy(k, c->id);
    }
}

static void
inform_of_object(struct keeper *k, ulv_id object, bool drained)
{
    struct say say = { .kind = SAY_DRAINED };

    say.u.object = object;
    if (drained)
        ulv_keeper_inform(k, &say);
}

/* Of all that it may not have committed; what it has it passes over. */
static void
inform_of_all(struct keeper *k)
{
    ulv_keeper_inform_of_states(k);
    for (const struct keeper_extent *e = k->extents; e != NULL; e = e->next) {
        struct say say = { .kind = SAY_RETURNED };

        inform_of_object(k, e->id, e->draining && e->released);
        say.u.returned.partition = e->partition;
        say.u.returned.guest_address = e->guest_address;
        say.u.returned.bytes = e->bytes;
        if (e->given_back && !e->draining)
            ulv_keeper_inform(k, &say);
    }
    for (const struct keeper_channel *c = k->channels; c != NULL; c = c->next)
        inform_of_object(k, c->id, c->draining && c->released);
}

void
ulv_keeper_adopt_commit(struct keeper *k, uint64_t revision)
{
    struct keeper_order *order = &k->order;
    struct keeper_partition *ultravisor = k->ultravisor;

    if (!order->done)
        return;
    order->committing = true; /* nothing below undoes what is there */
    for (uint32_t i = 0; i < order->count; i++) {
        if (order->effects[i].kind == ULV_EFFECT_DRAIN)
            ulv_keeper_drain_commit(k, order->effects[i].u.removal.id);
    }
    hand_views(k);
    find_unknown(k);
    ulv_keeper_order_close(k);
    if (!ultravisor->alive)
        return; /* again */
    k->restart = RESTART_NO;
    if (revision > k->revision) /* the dead one had no time to say so */
        ulv_keeper_tell_committed(k, revision);
    k->adopted_at = k->host->now(k->host->self);
    k->adopted_revision = k->revision;
    ultravisor->state = ULV_STATE_DEFINED;
    hand_channels(k);
    inform_of_all(k);
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        if (p->start_due)
            ulv_keeper_start_guest(k, p);
    }
    ulv_keeper_end_again(k);
    ulv_keeper_tell(k, ULV_EVENT_RESTARTED, ultravisor->id, revision,
                    "%s was started again, at revision %u", ultravisor->name,
                    revision);
}
