/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Orders: what a transaction means for descriptors and frames.
 *
 * An order is prepared whole or not at all: each effect makes what it needs
 * (memory is really there, a medium is open) and the frame table has agreed;
 * the first one that cannot be done undoes those before it, and the answer
 * says why. Then the ultravisor commits, and only its COMMITTED lets anything
 * leave the keeper. An order the ultravisor never committed, because it gave
 * it up or died, is undone.
 */
#include "base/base.h"
#include "system/keeper.h"
#include "io/block.h"
#include "view/publish.h"

#define NEVER_REACHED (UINT64_C(1) << 46) /* by the generations of a view */

/* ---- prepare ------------------------------------------------------------- */

static ulv_status
send_to_ultravisor(struct keeper *k, const struct say *say, ulv_handle h)
{
    return ulv_post_send(&k->ultravisor->post, say, NULL, &h, 1);
}

/* Of the chain before this one, whose publisher is dead. */
static uint64_t
last_generation(const struct keeper *k, const struct keeper_view *view)
{
    const struct ulv_host *host = k->host;
    uint64_t generation;
    void *p;

    if (view->segment == ULV_NO_HANDLE ||
        host->memory_map(host->self, view->segment, 0, ULV_VIEW_PAGE_BYTES,
                         ULV_MAP_READ, NULL, &p) != ULV_OK)
        return 0;
    generation = ((const struct ulv_view_root *)p)->root >> 16;
    host->memory_unmap(host->self, p, ULV_VIEW_PAGE_BYTES);
    /* The dead one may have written anything: nobody comes near the last. */
    return generation < NEVER_REACHED ? generation : 0;
}

static ulv_status
make_view(struct keeper *k, struct keeper_partition *p, uint32_t part)
{
    struct keeper_view *view = &p->view[part];
    struct say say = { .kind = SAY_VIEW };
    ulv_status status;

    ulv_keeper_close(k, &view->writable); /* of one that died before */
    say.u.view.epoch = k->starts + UINT64_C(1);
    if (ULV_RESTARTS)
        say.u.view.generation = last_generation(k, view);
    /* the ultravisor makes sure of the pages that it uses, if it can; then
     * those that it may never use cost nothing */
    view->bytes = k->host->memory_back == NULL ? ULV_VIEW_SEGMENT_BYTES
                                               : ULV_VIEW_SEGMENT_BYTES_MAX;
    status = k->host->memory_create(
        k->host->self, "ulv-view", view->bytes,
        k->host->memory_back == NULL ? 0 : ULV_MEMORY_LAZY, &view->writable);
    if (status != ULV_OK)
        return status;
    say.u.view.partition = p->id;
    say.u.view.part = part;
    say.u.view.bytes = view->bytes;
    return send_to_ultravisor(k, &say, view->writable);
}

ulv_status
ulv_keeper_make_views(struct keeper *k, struct keeper_partition *p)
{
    struct say say = { .kind = SAY_BELL };
    ulv_status status = make_view(k, p, ULV_VIEW_PART_MONITOR);

    if (status == ULV_OK && p->kind == ULV_PARTITION_GUEST)
        status = make_view(k, p, ULV_VIEW_PART_GUEST);
    say.u.view.partition = p->id;
    return status == ULV_OK ? send_to_ultravisor(k, &say, p->bell) : status;
}

/* A partition that was not committed, whole or half made. */
static void
undo_partition(struct keeper *k, ulv_id id)
{
    struct keeper_partition *p = ulv_keeper_partition(k, id);
    struct say say = { .kind = SAY_PARTITION_GONE };

    say.u.state.partition = id;
    ulv_keeper_say(k, &say);
    if (p != NULL && !p->committed && p != k->ultravisor && id != k->boot)
        ulv_keeper_partition_remove(k, p);
}

/* There is one boot and one ultravisor, and both are there before there is a
 * database; the other roles come by the first order. */
static bool
may_be_made(const struct keeper *k, uint32_t kind)
{
    if (k->booted || kind == ULV_PARTITION_BOOT ||
        kind == ULV_PARTITION_ULTRAVISOR)
        return kind == ULV_PARTITION_GUEST;
    return true;
}

/* Ids are never used twice: a second object of one would be mistaken for the
 * first. */
static ulv_status
made_before(ulv_id id, struct ulv_diag *diag)
{
    return ulv_fail(diag, ULV_E_DENIED, id, 0, 0, "%u was made before", id);
}

static ulv_status
prepare_partition(struct keeper *k, const struct ulv_effect *e,
                  struct ulv_diag *diag)
{
    struct keeper_partition *p =
        ulv_keeper_partition(k, e->u.partition_create.id);
    ulv_status status = ULV_E_NO_MEMORY;

    if (p != NULL && p->bell != ULV_NO_HANDLE)
        return made_before(p->id, diag);
    if (p == NULL && !may_be_made(k, e->u.partition_create.kind))
        return ulv_fail(diag, ULV_E_DENIED, e->u.partition_create.id,
                        e->u.partition_create.kind, 0,
                        "%s: only guests are made after the start",
                        e->u.partition_create.name);
    if (p == NULL)
        p = ulv_keeper_partition_add(k, e->u.partition_create.id,
                                     e->u.partition_create.kind,
                                     e->u.partition_create.name);
    if (p != NULL)
        p->restarts = e->u.partition_create.restarts;
    if (p != NULL)
        status = k->host->event_create(k->host->self, &p->bell);
    if (status == ULV_OK)
        status = ulv_keeper_make_views(k, p);
    if (status == ULV_OK)
        return ULV_OK;
    undo_partition(k, e->u.partition_create.id);
    return ulv_fail(diag, status, e->u.partition_create.id, 0, 0,
                    "%s: no memory for its view",
                    e->u.partition_create.name);
}

/* Memory that the frame table has granted: those frames, where they are the
 * machine's own. */
static ulv_status
make_memory(struct keeper *k, const char *name, uint64_t frame, uint64_t bytes,
            uint32_t flags, ulv_handle *ret)
{
    const struct ulv_host *host = k->host;

    if (host->memory_at != NULL)
        return host->memory_at(host->self, frame, bytes, ret);
    return host->memory_create(host->self, name, bytes, flags, ret);
}

static ulv_status
prepare_extent(struct keeper *k, const struct ulv_effect *effect,
               struct ulv_diag *diag)
{
    const struct ulv_host *host = k->host;
    struct ulv_frame_run run = { .frame = effect->u.extent.frame,
                                 .bytes = effect->u.extent.bytes,
                                 .state = ULV_FRAME_OWNED,
                                 .object = effect->u.extent.partition };
    struct keeper_extent *e;
    ulv_status status;

    if (ulv_keeper_extent(k, effect->u.extent.id) != NULL)
        return made_before(effect->u.extent.id, diag);
    status = ulv_keeper_may_remap(k, ulv_keeper_partition(k, run.object),
                                  diag);
    if (status != ULV_OK)
        return status;
    e = host->alloc(host->self, sizeof(*e), 8);
    if (e == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, run.object, 0, 0,
                        "out of memory");
    e->id = effect->u.extent.id;
    e->partition = run.object;
    e->frame = run.frame;
    e->bytes = run.bytes;
    e->guest_address = effect->u.extent.guest_address;
    e->memory = ULV_NO_HANDLE;
    status = ulv_frame_table_grant(&k->frames, &run, diag);
    if (status != ULV_OK) {
        host->free(host->self, e, sizeof(*e));
        return status;
    }
    ulv_keeper_extent_add(k, e);
    status = make_memory(k, "ulv-memory", e->frame, e->bytes, k->memory_flags,
                         &e->memory);
    if (status != ULV_OK) {
        ulv_keeper_extent_remove(k, e);
        return ulv_fail(diag, status, run.object, run.bytes, 0,
                        "the host has no %z of memory to give", run.bytes);
    }
    (void)host->memory_seal(host->self, e->memory,
                            ULV_SEAL_SIZE | ULV_SEAL_SEALS);
    return ULV_OK;
}

ulv_status
ulv_keeper_make_channel(struct keeper *k, const struct keeper_channel *c,
                        ulv_handle *ret)
{
    const struct ulv_host *host = k->host;
    struct say say = { .kind = SAY_CHANNEL };
    ulv_status status =
        make_memory(k, "ulv-channel", c->frame, c->bytes, 0, ret);

    if (status == ULV_OK)
        status = host->memory_seal(host->self, *ret,
                                   ULV_SEAL_SIZE | ULV_SEAL_SEALS);
    if (status != ULV_OK)
        return status;
    say.u.channel.channel = c->id;
    say.u.channel.device = c->device;
    say.u.channel.bytes = c->bytes;
    say.u.channel.ring_bytes = c->ring_bytes;
    say.u.channel.bulk_bytes = c->bulk_bytes;
    say.u.channel.format = CHANNEL_NEW;
    memcpy(say.u.channel.type, c->type, 16);
    memcpy(say.u.channel.instance, c->instance, 16);
    return send_to_ultravisor(k, &say, *ret);
}

static ulv_status
make_channel(struct keeper *k, struct keeper_channel *c)
{
    const struct ulv_host *host = k->host;
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < 2 && status == ULV_OK; i++)
        status = host->event_create(host->self, &c->bell[i]);
    if (status == ULV_OK)
        status = ulv_keeper_make_channel(k, c, &c->memory);
    return status;
}

static ulv_status
prepare_channel(struct keeper *k, const struct ulv_effect *effect,
                struct ulv_diag *diag)
{
    const struct ulv_effect_channel *want = &effect->u.channel;
    const struct ulv_host *host = k->host;
    const struct keeper_device *d = ulv_keeper_device(k, want->device);
    struct ulv_frame_run run = { .frame = want->frame,
                                 .bytes = want->bytes,
                                 .state = ULV_FRAME_CHANNEL,
                                 .object = want->id,
                                 .end = { want->server, want->client,
                                          d == NULL ? 0 : d->standby } };
    struct keeper_channel *c;
    ulv_status status;

    if (ulv_keeper_channel(k, want->id) != NULL)
        return made_before(want->id, diag);
    status = ulv_keeper_may_remap(k, ulv_keeper_partition(k, want->client),
                                  diag);
    if (status == ULV_OK)
        status = ulv_keeper_may_remap(
            k, ulv_keeper_partition(k, want->server), diag);
    if (status != ULV_OK)
        return status;
    c = host->alloc(host->self, sizeof(*c), 8);
    if (c == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, want->id, 0, 0,
                        "out of memory");
    c->id = want->id;
    c->device = want->device;
    c->server = want->server;
    c->client = want->client;
    c->frame = want->frame;
    c->bytes = want->bytes;
    c->ring_bytes = want->ring_bytes;
    c->bulk_bytes = want->bulk_bytes;
    memcpy(c->type, want->type, 16);
    memcpy(c->instance, want->instance, 16);
    c->memory = c->bell[0] = c->bell[1] = c->fresh = ULV_NO_HANDLE;
    c->epoch = 1;
    status = ulv_frame_table_grant(&k->frames, &run, diag);
    if (status != ULV_OK) {
        host->free(host->self, c, sizeof(*c));
        return status;
    }
    ulv_keeper_channel_add(k, c);
    status = make_channel(k, c);
    if (status != ULV_OK) {
        ulv_keeper_channel_remove(k, c);
        return ulv_fail(diag, status, want->id, want->bytes, 0,
                        "the host has no %z for a channel", want->bytes);
    }
    return ULV_OK;
}

ulv_status
ulv_keeper_make_takeover(struct keeper *k, ulv_id device, ulv_handle *ret)
{
    const struct ulv_host *host = k->host;
    ulv_status status =
        host->memory_create(host->self, "ulv-takeover", 4096, 0, ret);
    void *p;

    if (status == ULV_OK)
        status = host->memory_seal(host->self, *ret,
                                   ULV_SEAL_SIZE | ULV_SEAL_SEALS);
    if (status == ULV_OK)
        status = host->memory_map(host->self, *ret, 0, 4096,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    if (status != ULV_OK)
        return status;
    ulv_takeover_init(p, device);
    host->memory_unmap(host->self, p, 4096);
    return ULV_OK;
}

static ulv_status
make_device(struct keeper *k, struct keeper_device *d)
{
    const struct ulv_host *host = k->host;
    ulv_status status = ulv_keeper_make_takeover(k, d->id, &d->takeover);
    ulv_handle fence = ULV_NO_HANDLE;

    if (status == ULV_OK)
        status = host->fence_create(host->self, &fence);
    for (uint32_t i = 0; i < 2 && status == ULV_OK; i++)
        status = host->fence_open(host->self, fence, &d->lock[i]);
    ulv_keeper_close(k, &fence);
    return status;
}

static ulv_status
prepare_device(struct keeper *k, const struct ulv_effect *effect,
               struct ulv_diag *diag)
{
    const struct ulv_effect_device *want = &effect->u.device;
    const struct ulv_host *host = k->host;
    struct keeper_source *source = ulv_keeper_source(k, want->id);
    struct keeper_device *d;
    ulv_status status;

    if (ulv_keeper_device(k, want->id) != NULL)
        return made_before(want->id, diag);
    if (want->kind == ULV_DEVICE_BLOCK && source == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, want->id, 0, 0,
                        "device %u: nobody opened its medium", want->id);
    d = host->alloc(host->self, sizeof(*d), 8);
    if (d == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, want->id, 0, 0,
                        "out of memory");
    d->id = want->id;
    d->serving = want->primary;
    d->standby = want->standby;
    d->kind = want->kind;
    d->flags = want->flags;
    d->takeover = d->fresh = ULV_NO_HANDLE;
    for (uint32_t i = 0; i < 2; i++)
        d->lock[i] = d->medium[i] = ULV_NO_HANDLE;
    if (source != NULL) {
        d->bytes = source->bytes;
        memcpy(d->medium, source->medium, sizeof(d->medium));
        source->medium[0] = source->medium[1] = ULV_NO_HANDLE;
    }
    ulv_keeper_device_add(k, d);
    status = make_device(k, d);
    if (status != ULV_OK) {
        ulv_keeper_device_remove(k, d);
        return ulv_fail(diag, status, want->id, 0, 0,
                        "device %u: no memory for its takeover region",
                        want->id);
    }
    return ULV_OK;
}

static ulv_status
prepare_rehome(struct keeper *k, const struct ulv_effect *effect,
               struct ulv_diag *diag)
{
    const struct ulv_effect_rehome *want = &effect->u.rehome;
    const struct keeper_device *d = ulv_keeper_device(k, want->device);
    const struct keeper_partition *from = ulv_keeper_partition(k, want->from);

    if (d == NULL || d->serving != want->from || d->standby != want->to)
        return ulv_fail(diag, ULV_E_DENIED, want->device, want->to, 0,
                        "device %u is not to be served by partition %u",
                        want->device, want->to);
    if (from != NULL && from->alive)
        return ulv_fail(diag, ULV_E_DENIED, want->device, want->from, 0,
                        "device %u is served by %s, which lives", want->device,
                        from->name);
    return ULV_OK;
}

/* One that has ended and not been told may start from the same image only:
 * it has reset itself. */
bool
ulv_keeper_may_start(const struct keeper_partition *p, ulv_id image)
{
    return p->ending == ENDING_NO ||
           (p->ending == ENDING_NOTED && p->image == image &&
            p->end.reason == ULV_END_REASON_RESET);
}

static ulv_status
prepare_intent(struct keeper *k, const struct ulv_effect *effect,
               struct ulv_diag *diag)
{
    const struct ulv_effect_intent *want = &effect->u.intent;
    const struct keeper_partition *p =
        ulv_keeper_partition(k, want->partition);
    const struct keeper_source *image = ulv_keeper_source(k, want->image);

    if (p == NULL || p->kind != ULV_PARTITION_GUEST)
        return ulv_fail(diag, ULV_E_DENIED, want->partition, 0, 0,
                        "partition %u is no guest", want->partition);
    if (want->intent != ULV_INTENT_RUNNING || (p->alive && want->image == 0))
        return ULV_OK; /* nothing is started */
    if (image == NULL || p->alive || !ulv_keeper_may_start(p, want->image) ||
        image->medium[0] == ULV_NO_HANDLE)
        return ulv_fail(diag, ULV_E_STATE, p->id, want->image, 0,
                        "%s: runs already, or has no image", p->name);
    return image->restore ? ULV_OK : ulv_keeper_again_prepare(k, p, diag);
}

/* A guest that runs and has the channel mapped, or NULL. */
static const struct keeper_partition *
running_end(const struct keeper *k, const struct keeper_channel *c)
{
    const struct keeper_partition *client = ulv_keeper_partition(k, c->client);
    const struct keeper_partition *server = ulv_keeper_partition(k, c->server);

    if (client != NULL && client->kind == ULV_PARTITION_GUEST && client->alive)
        return client;
    if (server != NULL && server->kind == ULV_PARTITION_GUEST && server->alive)
        return server;
    return NULL;
}

/* Whether a guest is at one of its ends, or another program, whose channel came
 * after the boot transaction's ids; roles' own stay as long as they. */
bool
ulv_keeper_may_be_removed(const struct keeper *k,
                          const struct keeper_channel *c)
{
    const struct keeper_partition *client = ulv_keeper_partition(k, c->client);
    const struct keeper_partition *server = ulv_keeper_partition(k, c->server);

    return client == NULL || server == NULL ||
           client->kind == ULV_PARTITION_GUEST ||
           server->kind == ULV_PARTITION_GUEST ||
           (c->client == k->boot &&
            c->id / ULV_ID_LEASE_COUNT != k->boot / ULV_ID_LEASE_COUNT);
}

/* What is taken away must be there, and its holder must not run. */
static ulv_status
prepare_removal(struct keeper *k, const struct ulv_effect *effect,
                struct ulv_diag *diag)
{
    const struct keeper_partition *p = NULL;
    const struct keeper_extent *e;
    const struct keeper_channel *c;
    ulv_id object = effect->u.removal.id;
    bool known = false;

    switch (effect->kind) {
    case ULV_EFFECT_PARTITION_DESTROY:
        p = ulv_keeper_partition(k, object);
        known = p != NULL && p->kind == ULV_PARTITION_GUEST;
        break;
    case ULV_EFFECT_EXTENT_REVOKE:
        e = ulv_keeper_extent(k, object);
        known = e != NULL;
        if (known && !e->released)
            p = ulv_keeper_partition(k, e->partition);
        break;
    case ULV_EFFECT_CHANNEL_DESTROY:
        c = ulv_keeper_channel(k, object);
        known = c != NULL && ulv_keeper_may_be_removed(k, c);
        if (known && !c->released)
            p = running_end(k, c);
        break;
    default:
        known = ulv_keeper_device(k, object) != NULL;
    }
    if (!known)
        return ulv_fail(diag, ULV_E_DENIED, object, 0, 0,
                        "object %u is not there to be removed", object);
    if (p != NULL && (p->alive || p->ending != ENDING_NO))
        return ulv_fail(diag, ULV_E_BUSY, object, 0, 0, "%s runs", p->name);
    return ULV_OK;
}

ulv_status
ulv_keeper_order_prepare(struct keeper *k, const struct ulv_effect *effect,
                         struct ulv_diag *diag)
{
    switch (effect->kind) {
    case ULV_EFFECT_PARTITION_CREATE:
        return prepare_partition(k, effect, diag);
    case ULV_EFFECT_EXTENT_GRANT:
        return prepare_extent(k, effect, diag);
    case ULV_EFFECT_CHANNEL_CREATE:
        return prepare_channel(k, effect, diag);
    case ULV_EFFECT_DEVICE_OFFER:
        return prepare_device(k, effect, diag);
    case ULV_EFFECT_DEVICE_REHOME:
        return prepare_rehome(k, effect, diag);
    case ULV_EFFECT_INTENT:
        return prepare_intent(k, effect, diag);
    case ULV_EFFECT_DRAIN:
        return ulv_keeper_drain_prepare(k, effect->u.removal.id, diag);
    case ULV_EFFECT_PROCESSOR:
    case ULV_EFFECT_PROCESSOR_GONE:
        return ULV_OK;
    case ULV_EFFECT_PARTITION_DESTROY:
    case ULV_EFFECT_EXTENT_REVOKE:
    case ULV_EFFECT_CHANNEL_DESTROY:
    case ULV_EFFECT_DEVICE_WITHDRAW:
        return prepare_removal(k, effect, diag);
    default:
        return ulv_keeper_change_prepare(k, effect, diag);
    }
}

/* ---- undo ---------------------------------------------------------------- */

/* The same may be ordered again: who asked for it still has its medium. */
static void
undo_device(struct keeper *k, struct keeper_device *d)
{
    struct keeper_source *source = ulv_keeper_source(k, d->id);

    for (uint32_t i = 0; ULV_RESTARTS && i < 2 && source != NULL; i++) {
        if (source->medium[i] == ULV_NO_HANDLE) {
            source->medium[i] = d->medium[i];
            d->medium[i] = ULV_NO_HANDLE;
        }
    }
    ulv_keeper_device_remove(k, d);
}

static void
undo_effect(struct keeper *k, const struct ulv_effect *effect)
{
    switch (effect->kind) {
    case ULV_EFFECT_PARTITION_CREATE:
        undo_partition(k, effect->u.partition_create.id);
        break;
    case ULV_EFFECT_EXTENT_GRANT:
        ulv_keeper_extent_remove(k, ulv_keeper_extent(k, effect->u.extent.id));
        break;
    case ULV_EFFECT_CHANNEL_CREATE:
        ulv_keeper_channel_remove(
            k, ulv_keeper_channel(k, effect->u.channel.id));
        break;
    case ULV_EFFECT_DEVICE_OFFER:
        undo_device(k, ulv_keeper_device(k, effect->u.device.id));
        break;
    case ULV_EFFECT_INTENT:
        ulv_keeper_renew_undo(k, effect->u.intent.partition);
        break;
    default:
        break; /* prepared by looking only */
    }
}

void
ulv_keeper_order_close(struct keeper *k)
{
    struct keeper_order *order = &k->order;

    k->host->free(k->host->self, order->effects,
                  order->count * sizeof(*order->effects));
    memset(order, 0, sizeof(*order));
}

void
ulv_keeper_order_abort(struct keeper *k)
{
    struct keeper_order *order = &k->order;

    if (order->committing)
        return;
    if (ULV_RESTARTS && order->adopts)
        order->prepared = 0; /* it was there before */
    while (order->prepared > 0)
        undo_effect(k, &order->effects[--order->prepared]);
    ulv_keeper_order_close(k);
}

/* ---- receive ------------------------------------------------------------- */

static void
answer(struct keeper *k, uint64_t ticket, const struct ulv_diag *diag)
{
    struct say say = { .kind = SAY_ORDER_DONE };

    say.u.order_done.ticket = ticket;
    say.u.order_done.diag = *diag;
    ulv_keeper_say(k, &say);
}

static ulv_status
open_order(struct keeper *k, const struct say_order *say)
{
    struct keeper_order *order = &k->order;

    const bool adopts = ulv_keeper_restarts(k) == RESTART_ADOPTING;

    if (say->effect_count == 0 ||
        say->effect_count > (adopts ? ADOPTED_MAX : ORDER_EFFECTS_MAX))
        return ULV_E_PEER_PROTOCOL;
    order->effects = k->host->alloc(
        k->host->self, say->effect_count * sizeof(*order->effects), 8);
    if (order->effects == NULL)
        return ULV_E_NO_MEMORY;
    order->ticket = say->ticket;
    order->count = say->effect_count;
    order->revision = say->revision;
    order->adopts = adopts;
    order->open = true;
    return ULV_OK;
}

static void
prepare_order(struct keeper *k)
{
    struct keeper_order *order = &k->order;
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint64_t ticket = order->ticket;

    for (uint32_t i = 0; i < order->count && diag.status == ULV_OK; i++) {
        diag.status =
            ULV_RESTARTS && order->adopts
                ? ulv_keeper_adopt_prepare(k, &order->effects[i], &diag)
                : ulv_keeper_order_prepare(k, &order->effects[i], &diag);
        if (diag.status == ULV_OK)
            order->prepared++;
    }
    order->done = true;
    if (diag.status != ULV_OK) {
        if (diag.status == ULV_E_DENIED)
            ulv_keeper_tell(k, ULV_EVENT_FAULT, k->ultravisor->id,
                            diag.object, "order refused: %s", diag.text);
        ulv_keeper_order_abort(k);
    }
    answer(k, ticket, &diag);
}

void
ulv_keeper_order_receive(struct keeper *k, const struct heard *heard)
{
    const struct say_order *say = &heard->say.u.order;
    struct keeper_order *order = &k->order;
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t some =
        heard->say.tail_bytes / (uint32_t)sizeof(*order->effects);

    if (!order->open)
        diag.status = open_order(k, say);
    if (diag.status == ULV_OK &&
        (order->done || order->ticket != say->ticket ||
         say->first != order->received || some == 0 ||
         some > order->count - order->received))
        diag.status = ULV_E_PEER_PROTOCOL;
    if (diag.status != ULV_OK) {
        ulv_keeper_order_abort(k);
        answer(k, say->ticket, &diag);
        return;
    }
    memcpy(&order->effects[order->received], heard->tail,
           some * sizeof(*order->effects));
    for (uint32_t i = 0; i < some; i++) {
        struct ulv_effect *e = &order->effects[order->received + i];

        if (e->kind == ULV_EFFECT_PARTITION_CREATE)
            e->u.partition_create.name[ULV_NAME_MAX] = '\0';
    }
    order->received += some;
    if (order->received == order->count)
        prepare_order(k);
}
