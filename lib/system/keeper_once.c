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

ulv_status
ulv_keeper_reach_storage(struct keeper *k, ulv_handle *handles,
                         uint32_t *ret_count)
{
    (void)k;
    (void)handles;
    (void)ret_count;
    return ULV_OK;
}

void
ulv_keeper_serve_storage(struct keeper *k)
{
    (void)k;
}

/* In place of keeper_change.c: partitions stay as they were made. */
ulv_status
ulv_keeper_change_prepare(struct keeper *k, const struct ulv_effect *effect,
                          struct ulv_diag *diag)
{
    (void)k;
    return ulv_fail(diag, ULV_E_PEER_PROTOCOL, 0, effect->kind, 0,
                    "unknown effect %u", (uint64_t)effect->kind);
}

void
ulv_keeper_change_commit(struct keeper *k, const struct ulv_effect *effect)
{
    (void)k;
    (void)effect;
}

/* In place of keeper_restart.c: without a journal nothing is started again. */
bool
ulv_keeper_ultravisor_died(struct keeper *k)
{
    ulv_keeper_order_abort(k); /* of what it ordered, all but itself */
    k->ultravisor = NULL;
    return false;
}

void
ulv_keeper_restart(struct keeper *k, ulv_nsec now)
{
    (void)k;
    (void)now;
}

void
ulv_keeper_restart_ready(struct keeper *k, uint64_t revision)
{
    (void)k;
    (void)revision;
}

void
ulv_keeper_restart_failed(struct keeper *k, const struct ulv_diag *diag)
{
    (void)k;
    (void)diag;
}

ulv_status
ulv_keeper_adopt_prepare(struct keeper *k, const struct ulv_effect *effect,
                         struct ulv_diag *diag)
{
    (void)k;
    (void)effect;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0, "nothing is adopted");
}

void
ulv_keeper_sweep(struct keeper *k)
{
    (void)k;
}

void
ulv_keeper_adopt_commit(struct keeper *k, uint64_t revision)
{
    (void)k;
    (void)revision;
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
