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
    struct keeper_channel *c = NULL;

    while ((c = ulv_keeper_channel_of(k, p->id, c)) != NULL)
        c->dirty = true;
}

ulv_status
ulv_keeper_again_prepare(struct keeper *k, const struct keeper_partition *p,
                         struct ulv_diag *diag)
{
    struct keeper_channel *c = NULL;
    ulv_status status = ULV_OK;

    while (status == ULV_OK &&
           (c = ulv_keeper_channel_of(k, p->id, c)) != NULL) {
        if (c->dirty && !c->draining && !c->lacking)
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
    const struct keeper_extent *e = NULL;

    ulv_keeper_renew_commit(k, p);
    while (p->ran && (e = ulv_keeper_extent_of(k, p->id, e)) != NULL) {
        if (!e->draining)
            clear(k, e);
    }
}
