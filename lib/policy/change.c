/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a guest is changed to: within the bounds that it was made with, but what
 * is not asked for is not filled in. */
#include "policy/policy_priv.h"

ulv_id
ulv_policy_renames(const struct ulv_operation *o)
{
    return o->kind == ULV_OP_CHANGE_PARTITION &&
                   (o->u.change_partition.what & ULV_PARTITION_SET_NAME) != 0
               ? o->u.change_partition.id
               : 0;
}

const char *
ulv_policy_renamed(const struct decision *d, ulv_id id)
{
    for (uint32_t i = d->count; id != 0 && i-- > 0;) {
        if (ulv_policy_renames(&d->operations[i]) == id)
            return d->operations[i].u.change_partition.name;
    }
    return NULL;
}

ulv_status
ulv_policy_change(struct decision *d, struct ulv_op_change_partition *op)
{
    const char *name = ulv_policy_name(d, op->id);
    ulv_status status = ULV_OK;

    if (!ulv_policy_terminated(op->name))
        return ulv_policy_unnamed(d, op->id);
    if ((op->what & ULV_PARTITION_SET_SILENCE) != 0)
        status =
            ulv_policy_may_be_silent(d, op->id, name, op->silence_limit);
    if (status == ULV_OK && (op->what & ULV_PARTITION_SET_RESTARTS) != 0)
        status = ulv_policy_may_restart(d, op->id, name, op->restarts,
                                        &op->restart_window);
    return status;
}
