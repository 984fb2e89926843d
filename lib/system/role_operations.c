/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The operations partition: holds the policy, and lets command fetch it. How it
 * comes by another one is in operations_more.c.
 */
#include "system/role_operations.h"

#include "base/base.h"

static const uint8_t type_policy[16] = ULV_CHANNEL_TYPE_POLICY;

static struct operations_role *
self_of(struct role *role)
{
    return ULV_CONTAINER_OF(role, struct operations_role, role);
}

static ulv_status
operations_init(struct role *role, struct heard *configure)
{
    struct operations_role *r = self_of(role);

    if (configure->say.tail_bytes != sizeof(r->policy))
        return ULV_E_PEER_LENGTH;
    memcpy(&r->policy, configure->tail, sizeof(r->policy));
    return ulv_policy_check(&r->policy, sizeof(r->policy), NULL);
}

static void
operations_fini(struct role *role)
{
    ulv_operations_drop(self_of(role));
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
    if (heard->say.kind != SAY_CHANNEL)
        return ulv_operations_hear(r, heard);
    if (r->wire.host != NULL)
        return ULV_E_PEER_PROTOCOL;
    status = ulv_wire_init(&r->wire, role->host, role->waits, heard);
    if (status == ULV_OK)
        status = ulv_channel_attach(&r->end, r->wire.p, r->wire.bytes,
                                    ULV_END_SERVER, type_policy);
    r->attached = status == ULV_OK;
    return status;
}

/* Answer one GET, or hear what command says of another policy. */
static bool
answer(struct operations_role *r)
{
    struct ulv_ring_record record;
    ulv_status status = ulv_ring_rx_peek(&r->end.rx, &record);
    void *slot;

    if (status == ULV_OK && record.type == ULV_POLICY_REVIEWED)
        return ulv_operations_reviewed(r, &record);
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
