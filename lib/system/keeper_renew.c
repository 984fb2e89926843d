/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A channel is not cleaned but made anew, under its old number: memory that the
 * server of the last run may still write to is not the memory that the next run
 * reads, however late the server hears of it. So is the takeover region, which
 * says what the last run had asked for. Where a guest at the other end runs,
 * that does not work: it has the old memory.
 *
 * Not where memory is what is divided: keeper_once.c.
 */
#include "base/base.h"
#include "system/keeper.h"

void
ulv_keeper_renew_undo(struct keeper *k, ulv_id partition)
{
    struct keeper_channel *c = NULL;

    while ((c = ulv_keeper_channel_of(k, partition, c)) != NULL) {
        struct keeper_device *d = ulv_keeper_device(k, c->device);

        ulv_keeper_close(k, &c->fresh);
        if (d != NULL)
            ulv_keeper_close(k, &d->fresh);
    }
}

ulv_status
ulv_keeper_renew_prepare(struct keeper *k, const struct keeper_partition *p,
                         struct keeper_channel *c, struct ulv_diag *diag)
{
    struct keeper_device *d = ulv_keeper_device(k, c->device);
    const struct keeper_partition *other =
        ulv_keeper_partition(k, c->client == p->id ? c->server : c->client);
    ulv_status status = ULV_OK;

    if (other != NULL && other->kind == ULV_PARTITION_GUEST && other->alive)
        return ulv_fail(diag, ULV_E_STATE, p->id, c->id, other->id,
                        "%s cannot run again while %s runs, at the other end "
                        "of channel %u: stop that too, or revoke the channel",
                        p->name, other->name, c->id);
    if (c->fresh == ULV_NO_HANDLE)
        status = ulv_keeper_make_channel(k, c, &c->fresh);
    if (status == ULV_OK && d != NULL && d->fresh == ULV_NO_HANDLE)
        status = ulv_keeper_make_takeover(k, d->id, &d->fresh);
    if (status != ULV_OK)
        return ulv_fail(diag, status, c->id, c->bytes, 0,
                        "the host has no %z to make channel %u anew",
                        c->bytes, c->id);
    return ULV_OK;
}

/* What another guest asked for in the same order is undone with it, or not at
 * all: what is there is what either of them needs. */
static void
replace(struct keeper *k, const struct keeper_partition *p,
        struct keeper_channel *c)
{
    struct keeper_device *d = ulv_keeper_device(k, c->device);

    ulv_keeper_close(k, &c->memory);
    c->memory = c->fresh;
    c->fresh = ULV_NO_HANDLE;
    c->dirty = false;
    c->console_offset = 0;
    ulv_keeper_input_reset(k, c, 0);
    c->epoch += p->ran ? 1 : 0;
    if (d != NULL && d->fresh != ULV_NO_HANDLE) {
        ulv_keeper_close(k, &d->takeover);
        d->takeover = d->fresh;
        d->fresh = ULV_NO_HANDLE;
    }
    if (c->open)
        k->channel_gone(k->self, c->id);
    c->open = false;
    ulv_keeper_hand_renewed(k, c);
}

void
ulv_keeper_renew_commit(struct keeper *k, const struct keeper_partition *p)
{
    struct keeper_channel *c = NULL;

    while ((c = ulv_keeper_channel_of(k, p->id, c)) != NULL) {
        if (c->fresh != ULV_NO_HANDLE)
            replace(k, p, c);
    }
}
