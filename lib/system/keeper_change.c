/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the keeper knows of a partition beside what it holds for it: how it is
 * called in what is told, and whether its image is kept while it runs. One that
 * began to run without that gets it with its next start.
 */
#include "base/base.h"
#include "system/keeper.h"

ulv_status
ulv_keeper_change_prepare(struct keeper *k, const struct ulv_effect *effect,
                          struct ulv_diag *diag)
{
    const struct ulv_effect_partition *e = &effect->u.partition_create;
    const struct keeper_partition *p = ulv_keeper_partition(k, e->id);

    if (effect->kind != ULV_EFFECT_PARTITION_CHANGE)
        return ulv_fail(diag, ULV_E_PEER_PROTOCOL, 0, effect->kind,
                        ULV_EFFECT_PARTITION_CHANGE, "unknown effect %u",
                        (uint64_t)effect->kind);
    if (p == NULL || p->kind != ULV_PARTITION_GUEST)
        return ulv_fail(diag, ULV_E_DENIED, e->id, 0, 0,
                        "partition %u is no guest", e->id);
    if (ulv_string_length(e->name, sizeof(e->name)) > ULV_NAME_MAX)
        return ulv_fail(diag, ULV_E_DENIED, e->id, sizeof(e->name),
                        ULV_NAME_MAX,
                        "partition %u: its name has more than %u bytes", e->id,
                        (uint64_t)ULV_NAME_MAX);
    return ULV_OK;
}

void
ulv_keeper_change_commit(struct keeper *k, const struct ulv_effect *effect)
{
    const struct ulv_effect_partition *e = &effect->u.partition_create;
    struct keeper_partition *p = ulv_keeper_partition(k, e->id);

    if (effect->kind != ULV_EFFECT_PARTITION_CHANGE || p == NULL)
        return;
    ulv_string_copy(p->name, sizeof(p->name), e->name);
    p->restarts = e->restarts;
}
