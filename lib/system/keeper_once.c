/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* In place of keeper_renew.c on a bare machine: memory is what is divided
 * there, and the frames of a channel are what they were. */
#include "base/base.h"
#include "system/keeper.h"

ulv_status
ulv_keeper_renew_prepare(struct keeper *k, const struct keeper_partition *p,
                         struct keeper_channel *c, struct ulv_diag *diag)
{
    (void)k;
    return ulv_fail(diag, ULV_E_STATE, p->id, c->id, 0,
                    "%s ran before, and channel %u is as that run left it: "
                    "destroy the partition and make it anew",
                    p->name, c->id);
}

void
ulv_keeper_renew_undo(struct keeper *k, ulv_id partition)
{
    (void)k;
    (void)partition;
}

void
ulv_keeper_renew_commit(struct keeper *k, const struct keeper_partition *p)
{
    (void)k;
    (void)p;
}
