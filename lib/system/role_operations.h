/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The operations role, and how it comes by another policy while it runs:
 * operations_more.c, or operations_plain.c where it keeps the first.
 */
#ifndef SYSTEM_ROLE_OPERATIONS_H
#define SYSTEM_ROLE_OPERATIONS_H

#include "channel/channel.h"
#include "policy/policy.h"
#include "system/role.h"
#include "system/wire.h"

struct operations_role {
    struct role role;
    struct ulv_policy policy;
    struct ulv_policy_offer *offer; /* that command looks at, or NULL */
    struct wire wire;
    struct ulv_channel_end end;
    bool attached;
};

/* A message that is none of the others: SAY_POLICY. */
ulv_status ulv_operations_hear(struct operations_role *r,
                               const struct heard *heard);
/* What command says of it; whether it was taken out of the ring. */
bool ulv_operations_reviewed(struct operations_role *r,
                             const struct ulv_ring_record *record);
void ulv_operations_drop(struct operations_role *r);

#endif
