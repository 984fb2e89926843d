/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The operations role of a bare machine: it keeps the policy it began with. */
#include "system/role_operations.h"

ulv_status
ulv_operations_hear(struct operations_role *r, const struct heard *heard)
{
    (void)r;
    (void)heard;
    return ULV_E_PEER_PROTOCOL;
}

bool
ulv_operations_reviewed(struct operations_role *r,
                        const struct ulv_ring_record *record)
{
    (void)r;
    (void)record;
    return false;
}

void
ulv_operations_drop(struct operations_role *r)
{
    (void)r;
}
