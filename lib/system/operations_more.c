/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Another policy: from the keeper, checked, offered to command, and kept when
 * that has it in force. One at a time; nobody but command judges by it.
 */
#include "system/role_operations.h"

#include "base/base.h"

static void
tell(struct operations_role *r, const struct ulv_policy_reviewed *head,
     uint32_t bytes)
{
    struct say say = { .kind = SAY_REVIEWED, .tail_bytes = bytes };

    ulv_post_tell(&r->role.post, &say, head, NULL, 0);
}

static void
refuse(struct operations_role *r, uint64_t number, const struct ulv_diag *diag)
{
    struct ulv_policy_reviewed head = { .number = number,
                                        .status = diag->status };

    ulv_string_copy(head.text, sizeof(head.text), diag->text);
    tell(r, &head, sizeof(head));
}

void
ulv_operations_drop(struct operations_role *r)
{
    const struct ulv_host *host = r->role.host;

    host->free(host->self, r->offer, sizeof(*r->offer));
    r->offer = NULL;
}

static ulv_status
pass_on(struct operations_role *r)
{
    void *slot;
    ulv_status status =
        r->attached ? ulv_ring_tx_reserve(&r->end.tx, ULV_POLICY_OFFER,
                                          sizeof(*r->offer), &slot)
                    : ULV_E_STATE;

    if (status != ULV_OK)
        return status;
    memcpy(slot, r->offer, sizeof(*r->offer));
    if (ulv_ring_tx_submit(&r->end.tx))
        ulv_wire_ring(&r->wire);
    return ULV_OK;
}

ulv_status
ulv_operations_hear(struct operations_role *r, const struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status;

    if (heard->say.kind != SAY_POLICY ||
        heard->say.tail_bytes != sizeof(*r->offer))
        return ULV_E_PEER_PROTOCOL;
    ulv_operations_drop(r); /* who offers another does not wait for it */
    r->offer = host->alloc(host->self, sizeof(*r->offer), 8);
    if (r->offer == NULL) {
        (void)ulv_fail(&diag, ULV_E_NO_MEMORY, r->role.partition,
                       sizeof(*r->offer), 0, "no memory for another policy");
        refuse(r, ulv_get_le64(heard->tail), &diag);
        return ULV_OK;
    }
    memcpy(r->offer, heard->tail, sizeof(*r->offer));
    status = ulv_policy_check(&r->offer->policy, sizeof(r->offer->policy),
                              &diag);
    if (status == ULV_OK) {
        status = pass_on(r);
        if (status != ULV_OK)
            (void)ulv_fail(&diag, status, r->role.partition, 0, 0,
                           "command cannot be offered a policy: %s",
                           ulv_status_text(status));
    }
    if (status != ULV_OK) {
        refuse(r, r->offer->number, &diag);
        ulv_operations_drop(r);
    }
    return ULV_OK;
}

bool
ulv_operations_reviewed(struct operations_role *r,
                        const struct ulv_ring_record *record)
{
    struct {
        struct ulv_policy_reviewed head;
        struct ulv_policy_finding finding[ULV_POLICY_FINDINGS_MAX];
    } *copy;
    const struct ulv_host *host = r->role.host;
    uint32_t bytes = record->len;

    copy = host->alloc(host->self, sizeof(*copy), 8);
    if (copy != NULL && bytes >= sizeof(copy->head) && bytes <= sizeof(*copy)) {
        memcpy(copy, record->data, bytes);
        if (r->offer != NULL && copy->head.number == r->offer->number) {
            if (copy->head.status == ULV_OK && copy->head.in_force != 0)
                r->policy = r->offer->policy;
            tell(r, &copy->head, bytes);
            ulv_operations_drop(r);
        }
    }
    host->free(host->self, copy, sizeof(*copy));
    (void)ulv_ring_rx_release(&r->end.rx);
    return true;
}
