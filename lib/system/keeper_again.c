/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A guest that is started again finds what one finds that never ran: memory
 * that is zero, channels that nobody has used, servers that begin anew.
 *
 * A channel is not cleaned but made anew, under its old number: memory that the
 * server of the last run may still write to is not the memory that the next run
 * reads, however late the server hears of it. So is the takeover region, which
 * says what the last run had asked for. Where a guest at the other end runs,
 * that does not work: it has the old memory.
 */
#include "base/base.h"
#include "system/keeper.h"

static bool
is_end(const struct keeper_channel *c, ulv_id partition)
{
    return c->client == partition || c->server == partition;
}

void
ulv_keeper_again_dirty(struct keeper *k, const struct keeper_partition *p)
{
    for (struct keeper_channel *c = k->channels; c != NULL; c = c->next)
        c->dirty = c->dirty || is_end(c, p->id);
}

void
ulv_keeper_again_undo(struct keeper *k, ulv_id partition)
{
    for (struct keeper_channel *c = k->channels; c != NULL; c = c->next) {
        struct keeper_device *d = ulv_keeper_device(k, c->device);

        if (!is_end(c, partition))
            continue;
        ulv_keeper_close(k, &c->fresh);
        if (d != NULL)
            ulv_keeper_close(k, &d->fresh);
    }
}

/* Where memory is what is divided, the frames have what they had. */
static ulv_status
make_fresh(struct keeper *k, const struct keeper_partition *p,
           struct keeper_channel *c, struct ulv_diag *diag)
{
    struct keeper_device *d = ulv_keeper_device(k, c->device);
    const struct keeper_partition *other =
        ulv_keeper_partition(k, c->client == p->id ? c->server : c->client);
    ulv_status status = ULV_OK;

    if (k->host->memory_at != NULL)
        return ulv_fail(diag, ULV_E_STATE, p->id, c->id, 0,
                        "%s ran before, and channel %u is as that run left "
                        "it: destroy the partition and make it anew",
                        p->name, c->id);
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

ulv_status
ulv_keeper_again_prepare(struct keeper *k, const struct keeper_partition *p,
                         struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    for (struct keeper_channel *c = k->channels;
         c != NULL && status == ULV_OK; c = c->next) {
        if (c->dirty && !c->draining && is_end(c, p->id))
            status = make_fresh(k, p, c, diag);
    }
    if (status != ULV_OK)
        ulv_keeper_again_undo(k, p->id);
    return status;
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

static void
clear(struct keeper *k, const struct keeper_extent *e)
{
    const struct ulv_host *host = k->host;
    void *p;

    if (host->memory_map(host->self, e->memory, 0, e->bytes,
                         ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p) != ULV_OK) {
        ulv_keeper_tell(k, ULV_EVENT_FAULT, e->partition, e->id,
                        "memory %u could not be mapped: it is as the last run "
                        "left it",
                        e->id);
        return;
    }
    memset(p, 0, e->bytes);
    host->memory_unmap(host->self, p, e->bytes);
}

void
ulv_keeper_again_commit(struct keeper *k, const struct keeper_partition *p)
{
    for (struct keeper_channel *c = k->channels; c != NULL; c = c->next) {
        if (c->fresh != ULV_NO_HANDLE && is_end(c, p->id))
            replace(k, p, c);
    }
    for (struct keeper_extent *e = k->extents; p->ran && e != NULL;
         e = e->next) {
        if (e->partition == p->id && !e->draining)
            clear(k, e);
    }
}
