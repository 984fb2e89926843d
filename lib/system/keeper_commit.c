/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What an order that was prepared does when the ultravisor has committed it:
 * the descriptors go to their roles, guests start, what is taken away goes.
 * Nothing here fails the order.
 */
#include "base/base.h"
#include "system/keeper.h"

/* From here on nobody can write the view but through the mapping that the
 * ultravisor made before. */
void
ulv_keeper_seal_views(struct keeper *k, struct keeper_partition *p)
{
    const struct ulv_host *host = k->host;

    for (uint32_t part = 0; part < 2; part++) {
        struct keeper_view *view = &p->view[part];

        if (view->writable == ULV_NO_HANDLE)
            continue;
        ulv_keeper_close(k, &view->segment); /* of the chain before */
        if (host->memory_seal(host->self, view->writable,
                              ULV_SEAL_SIZE | ULV_SEAL_WRITE |
                                  ULV_SEAL_SEALS) != ULV_OK ||
            host->memory_read_only(host->self, view->writable,
                                   &view->segment) != ULV_OK)
            ulv_keeper_tell(k, ULV_EVENT_FAULT, p->id, part,
                            "%s: its view could not be sealed", p->name);
        ulv_keeper_close(k, &view->writable);
    }
}

static void
commit_partition(struct keeper *k, ulv_id id)
{
    struct keeper_partition *p = ulv_keeper_partition(k, id);
    struct ulv_diag diag = ULV_DIAG_INIT;

    p->committed = true;
    ulv_keeper_seal_views(k, p);
    if (p->kind == ULV_PARTITION_GUEST || id == k->boot)
        return;
    if (p != k->ultravisor && p->kind != ULV_PARTITION_IDLE &&
        ulv_keeper_role_start(k, p, &diag) != ULV_OK) {
        ulv_keeper_tell(k, ULV_EVENT_FAULT, p->id, 0, "%s", diag.text);
        return;
    }
    if (p->alive && p != k->ultravisor)
        ulv_keeper_hand_view(k, p);
}

static void
commit_rehome(struct keeper *k, const struct ulv_effect_rehome *e)
{
    struct keeper_device *d = ulv_keeper_device(k, e->device);

    d->serving = e->to;
    d->standby = 0;
    for (struct keeper_channel *c = k->channels; c != NULL; c = c->next) {
        if (c->device != d->id)
            continue;
        c->server = e->to;
        if (ULV_KEEPER_INDEXES)
            ulv_keeper_enter_end(k, c, 0, e->to);
        c->epoch++;
        (void)ulv_frame_table_move_end(&k->frames, c->id, e->from, 0);
        if (ULV_CONSOLE_TYPING)
            ulv_keeper_input_rehomed(k, c);
    }
    ulv_keeper_end_again(k);
}

void
ulv_keeper_start_guest(struct keeper *k, struct keeper_partition *p)
{
    p->start_due = false;
    if (ulv_keeper_source(k, p->image) == NULL)
        (void)ulv_fail(&p->start_diag, ULV_E_PEER_GONE, p->id, p->image, 0,
                       "%s: nobody waits for its start any more", p->name);
    else
        (void)ulv_keeper_role_start(k, p, &p->start_diag);
    if (p->start_diag.status == ULV_OK)
        ulv_keeper_hand_guest(k, p);
    else
        ulv_keeper_not_started(k, p, &p->start_diag);
}

static void
commit_intent(struct keeper *k, const struct ulv_effect_intent *e)
{
    struct keeper_partition *p = ulv_keeper_partition(k, e->partition);
    const struct keeper_source *image = ulv_keeper_source(k, e->image);
    struct say say = { .kind = SAY_STOP };

    if (e->intent == ULV_INTENT_STOPPED && p->alive)
        ulv_post_tell(&p->post, &say, NULL, NULL, 0);
    if (e->intent != ULV_INTENT_RUNNING || p->alive)
        return; /* its monitor reads in the view that it is to pause or go on */
    if (image == NULL || !image->restore)
        ulv_keeper_again_commit(k, p);
    if (p->ending != ENDING_NO)
        ulv_keeper_tell(k, ULV_EVENT_RESET, p->id, p->end.code,
                        "%s: %s: starts again", p->name, p->end.text);
    p->ending = ENDING_NO;
    memset(&p->end, 0, sizeof(p->end));
    p->image = e->image;
    p->state = ULV_STATE_STARTING;
    p->start_diag.status = ULV_OK;
    if (ulv_keeper_restarts(k) == RESTART_READING)
        p->start_due = true; /* the dead one's view may not say so */
    else
        ulv_keeper_start_guest(k, p);
}

void
ulv_keeper_channel_destroy(struct keeper *k, ulv_id id)
{
    struct keeper_channel *c = ulv_keeper_channel(k, id);
    struct say say = { .kind = SAY_CHANNEL_CLOSE };

    say.u.channel.channel = id;
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        if (p->alive && p->kind != ULV_PARTITION_GUEST)
            ulv_post_tell(&p->post, &say, NULL, NULL, 0);
    }
    if (c->open)
        k->channel_gone(k->self, id);
    ulv_keeper_ring(k, c);
    ulv_keeper_channel_remove(k, c);
}

static void
commit_removal(struct keeper *k, uint32_t kind, ulv_id id)
{
    if (kind == ULV_EFFECT_PARTITION_DESTROY) {
        struct keeper_partition *p = ulv_keeper_partition(k, id);

        ulv_keeper_give_back(k, &p->processors.set);
        ulv_keeper_partition_remove(k, p);
    } else if (kind == ULV_EFFECT_EXTENT_REVOKE)
        ulv_keeper_extent_remove(k, ulv_keeper_extent(k, id));
    else if (kind == ULV_EFFECT_CHANNEL_DESTROY)
        ulv_keeper_channel_destroy(k, id);
    else
        ulv_keeper_device_remove(k, ulv_keeper_device(k, id));
}

static void
commit_effect(struct keeper *k, const struct ulv_effect *e)
{
    switch (e->kind) {
    case ULV_EFFECT_PARTITION_CREATE:
        commit_partition(k, e->u.partition_create.id);
        break;
    case ULV_EFFECT_CHANNEL_CREATE:
        ulv_keeper_hand_channel(k, ulv_keeper_channel(k, e->u.channel.id));
        break;
    case ULV_EFFECT_DEVICE_OFFER:
        ulv_keeper_hand_device(k, ulv_keeper_device(k, e->u.device.id));
        break;
    case ULV_EFFECT_DEVICE_REHOME:
        commit_rehome(k, &e->u.rehome);
        break;
    case ULV_EFFECT_INTENT:
        commit_intent(k, &e->u.intent);
        break;
    case ULV_EFFECT_EXTENT_GRANT:
        ulv_keeper_hand_extent(k, ulv_keeper_extent(k, e->u.extent.id));
        break;
    case ULV_EFFECT_PROCESSOR:
        ulv_keeper_processor(k, &e->u.processor);
        break;
    case ULV_EFFECT_PROCESSOR_GONE:
        ulv_keeper_processor_gone(k, &e->u.processor);
        break;
    case ULV_EFFECT_DRAIN:
        ulv_keeper_drain_commit(k, e->u.removal.id);
        break;
    case ULV_EFFECT_PARTITION_DESTROY:
    case ULV_EFFECT_EXTENT_REVOKE:
    case ULV_EFFECT_CHANNEL_DESTROY:
    case ULV_EFFECT_DEVICE_WITHDRAW:
        commit_removal(k, e->kind, e->u.removal.id);
        break;
    default:
        ulv_keeper_change_commit(k, e);
        break;
    }
}

/* Whether what prepare found is still so. An order may contradict itself: take
 * away what a guest has that it starts, or name what it has removed. */
static bool
still_holds(struct keeper *k, const struct ulv_effect *e,
            struct ulv_diag *diag)
{
    const struct keeper_partition *p;
    bool there = true;

    switch (e->kind) {
    case ULV_EFFECT_INTENT:
        /* the image may be gone: that is an answer to the start */
        p = ulv_keeper_partition(k, e->u.intent.partition);
        there = p != NULL && (e->u.intent.intent != ULV_INTENT_RUNNING ||
                              (p->alive && e->u.intent.image == 0) ||
                              (!p->alive &&
                               ulv_keeper_may_start(p, e->u.intent.image)));
        break;
    case ULV_EFFECT_DRAIN:
    case ULV_EFFECT_DEVICE_REHOME:
    case ULV_EFFECT_PARTITION_DESTROY:
    case ULV_EFFECT_EXTENT_REVOKE:
    case ULV_EFFECT_CHANNEL_DESTROY:
    case ULV_EFFECT_DEVICE_WITHDRAW: /* prepared by looking only */
        return ulv_keeper_order_prepare(k, e, diag) == ULV_OK;
    default:
        break;
    }
    if (!there)
        (void)ulv_fail(diag, ULV_E_DENIED, e->u.removal.id, e->kind, 0,
                       "an effect %u of an order does not fit those before it",
                       (uint64_t)e->kind);
    return there;
}

void
ulv_keeper_order_commit(struct keeper *k, uint64_t ticket)
{
    struct keeper_order *order = &k->order;

    if (!order->open || !order->done || order->ticket != ticket)
        return;
    order->committing = true;
    for (uint32_t i = 0; i < order->count; i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;

        if (still_holds(k, &order->effects[i], &diag))
            commit_effect(k, &order->effects[i]);
        else
            ulv_keeper_tell(k, ULV_EVENT_FAULT, 0, diag.object,
                            "order refused in part: %s", diag.text);
    }
    ulv_keeper_order_close(k);
}
