/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A guest that is started again finds what one finds that never ran: memory
 * that is zero, channels that nobody has used, servers that begin anew.
 */
#include "base/base.h"
#include "system/keeper.h"

void
ulv_keeper_again_dirty(struct keeper *k, const struct keeper_partition *p)
{
    for (struct keeper_channel *c = k->channels; c != NULL; c = c->next) {
        if (ulv_keeper_is_end(c, p->id))
            c->dirty = true;
    }
}

ulv_status
ulv_keeper_again_prepare(struct keeper *k, const struct keeper_partition *p,
                         struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    for (struct keeper_channel *c = k->channels;
         c != NULL && status == ULV_OK; c = c->next) {
        if (c->dirty && !c->draining && !c->lacking &&
            ulv_keeper_is_end(c, p->id))
            status = ulv_keeper_renew_prepare(k, p, c, diag);
    }
    if (status != ULV_OK)
        ulv_keeper_renew_undo(k, p->id);
    return status;
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
    ulv_keeper_renew_commit(k, p);
    for (struct keeper_extent *e = k->extents; p->ran && e != NULL;
         e = e->next) {
        if (e->partition == p->id && !e->draining)
            clear(k, e);
    }
}
