/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The operations partition: holds the policy, and lets command fetch it. */
#include "base/base.h"
#include "channel/channel.h"
#include "policy/policy.h"
#include "system/role.h"
#include "system/wire.h"

struct operations_role {
    struct role role;
    struct ulv_policy policy;
    struct wire wire;
    struct ulv_channel_end end;
    bool attached;
};

static const uint8_t type_policy[16] = ULV_CHANNEL_TYPE_POLICY;

static struct operations_role *
self_of(struct role *role)
{
    return ULV_CONTAINER_OF(role, struct operations_role, role);
}

static ulv_status
operations_init(struct role *role, const struct heard *configure)
{
    struct operations_role *r = self_of(role);
    ulv_status status =
        ulv_policy_check(configure->tail, configure->say.tail_bytes, NULL);

    if (status != ULV_OK)
        return status;
    memcpy(&r->policy, configure->tail, sizeof(r->policy));
    return ULV_OK;
}

static void
operations_fini(struct role *role)
{
    ulv_wire_fini(&self_of(role)->wire);
}

static ulv_status
operations_hear(struct role *role, struct heard *heard)
{
    struct operations_role *r = self_of(role);
    ulv_status status;

    if (heard->say.kind == SAY_VIEW || heard->say.kind == SAY_BELL ||
        heard->say.kind == SAY_CHANNEL_CLOSE)
        return ULV_OK; /* its view has nothing it needs, nor have others' */
    if (heard->say.kind != SAY_CHANNEL || r->wire.host != NULL)
        return ULV_E_PEER_PROTOCOL;
    status = ulv_wire_init(&r->wire, role->host, role->waits, heard);
    if (status == ULV_OK)
        status = ulv_channel_attach(&r->end, r->wire.p, r->wire.bytes,
                                    ULV_END_SERVER, type_policy);
    r->attached = status == ULV_OK;
    return status;
}

/* Answer one GET. */
static bool
answer(struct operations_role *r)
{
    struct ulv_ring_record record;
    ulv_status status = ulv_ring_rx_peek(&r->end.rx, &record);
    void *slot;

    if (status != ULV_OK || record.type != ULV_POLICY_GET)
        return false;
    status = ulv_ring_tx_reserve(&r->end.tx, ULV_POLICY_IS, sizeof(r->policy),
                                 &slot);
    if (status != ULV_OK)
        return false;
    memcpy(slot, &r->policy, sizeof(r->policy));
    (void)ulv_ring_rx_release(&r->end.rx);
    if (ulv_ring_tx_submit(&r->end.tx))
        ulv_wire_ring(&r->wire);
    return true;
}

static void
operations_step(struct role *role, struct role_need *need)
{
    struct operations_role *r = self_of(role);

    (void)need;
    if (!r->attached)
        return;
    (void)ulv_wire_take(&r->wire);
    do {
        while (answer(r))
            continue;
    } while (r->end.rx.closed == ULV_OK && ulv_ring_rx_wait(&r->end.rx) &&
             answer(r));
}

const struct role_ops ulv_role_operations = {
    .bytes = sizeof(struct operations_role),
    .init = operations_init,
    .fini = operations_fini,
    .hear = operations_hear,
    .step = operations_step,
};
