/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a program sees of the policy: decisions, and another policy. */
#include "base/base.h"
#include "system/system_priv.h"

/* ---- decisions ----------------------------------------------------------- */

static void
keep(ulv_system *system, ulv_id partition, const struct heard *heard)
{
    const struct ulv_host *host = system->host;
    struct ulv_policy_decision **at =
        &system->decisions[system->decision_sequence % ULV_DECISIONS_KEPT];
    struct ulv_policy_decision d;

    if (heard->say.tail_bytes != sizeof(d))
        return;
    memcpy(&d, heard->tail, sizeof(d));
    d.sequence = ++system->decision_sequence;
    d.text[sizeof(d.text) - 1] = '\0';
    d.rule[sizeof(d.rule) - 1] = '\0';
    for (uint32_t i = 0; i < ULV_DECISION_CANDIDATES_MAX; i++)
        d.candidate[i].rule[sizeof(d.candidate[i].rule) - 1] = '\0';
    if (*at == NULL)
        *at = host->alloc(host->self, sizeof(**at), 8);
    if (*at != NULL)
        **at = d;
    if ((d.flags & ULV_DECISION_REFUSED) == 0)
        system->keeper.tell(system, ULV_EVENT_DECISION, partition, d.sequence,
                            d.text, ulv_string_length(d.text, sizeof(d.text)));
}

ulv_status
ulv_decision_next(const ulv_system *system, uint64_t after,
                  struct ulv_policy_decision *ret)
{
    uint64_t first = 1;

    if (system->decision_sequence > ULV_DECISIONS_KEPT)
        first = system->decision_sequence - ULV_DECISIONS_KEPT + 1;
    if (after >= system->decision_sequence)
        return ULV_E_AGAIN;
    for (first = ULV_MAX(first, after + 1); first <= system->decision_sequence;
         first++) {
        const struct ulv_policy_decision *d =
            system->decisions[(first - 1) % ULV_DECISIONS_KEPT];

        if (d == NULL || d->sequence != first)
            continue;
        *ret = *d;
        return ULV_OK;
    }
    return ULV_E_AGAIN;
}

uint64_t
ulv_decision_last(const ulv_system *system)
{
    return system->decision_sequence;
}

void
ulv_system_drop_decisions(ulv_system *system)
{
    const struct ulv_host *host = system->host;

    for (uint32_t i = 0; i < ULV_DECISIONS_KEPT; i++)
        host->free(host->self, system->decisions[i],
                   sizeof(*system->decisions[i]));
}

/* ---- another policy ------------------------------------------------------ */

/* What operations says of the one that is waited for; of others, nothing. */
static void
hear_reviewed(ulv_system *system, const struct heard *heard)
{
    struct ulv_policy_review *ret = system->review;
    struct ulv_policy_reviewed head;
    size_t bytes = heard->say.tail_bytes;

    if (ret == NULL || system->reviewed || bytes < sizeof(head))
        return;
    memcpy(&head, heard->tail, sizeof(head));
    if (head.number != system->review_number)
        return;
    bytes -= sizeof(head);
    system->reviewed = true;
    system->review_status = head.status > 0 ? ULV_E_PEER_PROTOCOL : head.status;
    memcpy(system->review_text, head.text, sizeof(head.text));
    system->review_text[sizeof(head.text) - 1] = '\0';
    if (head.told > ULV_POLICY_FINDINGS_MAX || head.told > head.count ||
        bytes != head.told * sizeof(ret->finding[0])) {
        system->review_status = ULV_E_PEER_PROTOCOL;
        return;
    }
    ret->count = head.count;
    ret->told = head.told;
    ret->in_force = head.status == ULV_OK && head.in_force != 0;
    ret->revision = head.revision;
    memcpy(ret->finding, heard->tail + sizeof(head), bytes);
    for (uint32_t i = 0; i < ret->told; i++) {
        ret->finding[i].rule[sizeof(ret->finding[i].rule) - 1] = '\0';
        ret->finding[i].text[sizeof(ret->finding[i].text) - 1] = '\0';
    }
}

static void
policy_says(void *self, ulv_id partition, const struct heard *heard)
{
    if (heard->say.kind == SAY_DECISION)
        keep(self, partition, heard);
    else
        hear_reviewed(self, heard);
}

void
ulv_system_keep_decisions(ulv_system *system)
{
    system->keeper.policy_says = policy_says;
}

static struct keeper_partition *
role_of(const ulv_system *system, uint32_t kind)
{
    struct keeper_partition *p = system->keeper.partitions;

    while (p != NULL && p->kind != kind)
        p = p->next;
    return p != NULL && p->alive ? p : NULL;
}

void
ulv_system_hear_decisions(ulv_system *system)
{
    struct keeper_partition *p = role_of(system, ULV_PARTITION_COMMAND);

    if (p != NULL)
        ulv_keeper_listen(&system->keeper, p);
}

static bool
is_reviewed(ulv_system *system, void *self)
{
    (void)self;
    return system->reviewed ||
           role_of(system, ULV_PARTITION_OPERATIONS) == NULL ||
           role_of(system, ULV_PARTITION_COMMAND) == NULL;
}

/* To operations, and wait. */
static ulv_status
ask(ulv_system *system, struct ulv_policy_offer *offer,
    struct ulv_policy_review *ret, struct ulv_diag *diag)
{
    struct keeper_partition *p = role_of(system, ULV_PARTITION_OPERATIONS);
    struct say say = { .kind = SAY_POLICY, .tail_bytes = sizeof(*offer) };
    ulv_status status = ULV_E_PEER_GONE;

    offer->number = ++system->review_number;
    system->review = ret;
    system->reviewed = false;
    if (p != NULL)
        status = ulv_post_send(&p->post, &say, offer, NULL, 0);
    if (status == ULV_OK)
        status = ulv_system_run_until(system, is_reviewed, NULL, ULV_FOREVER);
    system->review = NULL;
    if (status == ULV_OK && !system->reviewed)
        status = ULV_E_PEER_GONE;
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0,
                        "the policy cannot be offered: %s",
                        ulv_status_text(status));
    if (system->review_status != ULV_OK)
        return ulv_fail(diag, system->review_status, 0, 0, 0, "%s",
                        system->review_text[0] != '\0'
                            ? system->review_text
                            : ulv_status_text(system->review_status));
    return ULV_OK;
}

/* In force, and in the storage if there is one; or neither. */
static ulv_status
put_in_force(ulv_system *system, struct ulv_policy_offer *offer,
             struct ulv_policy_review *ret, struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    if (system->storage != NULL)
        status = ulv_system_write_policy(system->storage, &offer->policy, diag);
    if (status == ULV_OK)
        status = ask(system, offer, ret, diag);
    if (status != ULV_OK || ret->in_force == 0 || system->storage == NULL)
        return status;
    status = ulv_system_keep_policy(system->storage, diag);
    if (status == ULV_OK)
        return status;
    /* it would be forgotten: the one before is put in force again */
    offer->policy = system->policy;
    offer->flags = 0;
    if (ask(system, offer, ret, NULL) == ULV_OK && ret->in_force != 0)
        ret->in_force = 0;
    return status;
}

static ulv_status
offer_policy(ulv_system *system, const void *policy, size_t bytes,
             uint32_t flags, struct ulv_policy_review *ret,
             struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    struct ulv_policy_offer *offer =
        host->alloc(host->self, sizeof(*offer), 8);
    ulv_status status;

    if (offer == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*offer), 0,
                        "no memory for a policy");
    ret->count = ret->told = ret->in_force = 0;
    offer->flags = flags;
    if (bytes == sizeof(offer->policy))
        memcpy(&offer->policy, policy, bytes);
    status = ulv_policy_check(&offer->policy, bytes, diag);
    if (status == ULV_OK)
        status = (flags & ULV_POLICY_PREVIEW) != 0
                     ? ask(system, offer, ret, diag)
                     : put_in_force(system, offer, ret, diag);
    if (status == ULV_OK && ret->in_force != 0)
        system->policy = offer->policy;
    host->free(host->self, offer, sizeof(*offer));
    return status;
}

ulv_status
ulv_policy_preview(ulv_system *system, const void *policy, size_t bytes,
                   struct ulv_policy_review *ret, struct ulv_diag *diag)
{
    if (ret->size < sizeof(*ret))
        return ulv_fail(diag, ULV_E_ARG, 0, ret->size, sizeof(*ret),
                        "a review of %u bytes, this library knows %u",
                        (uint64_t)ret->size, (uint64_t)sizeof(*ret));
    return offer_policy(system, policy, bytes, ULV_POLICY_PREVIEW, ret, diag);
}

ulv_status
ulv_policy_replace(ulv_system *system, const void *policy, size_t bytes,
                   uint32_t flags, struct ulv_policy_review *ret,
                   struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    struct ulv_policy_review *own = NULL;
    ulv_status status;

    if ((flags & ~ULV_POLICY_UNLESS_REFUSED) != 0 ||
        (ret != NULL && ret->size < sizeof(*ret)))
        return ulv_fail(diag, ULV_E_ARG, 0, flags, ULV_POLICY_UNLESS_REFUSED,
                        "unknown flags %x, or a review that is too small",
                        (uint64_t)flags);
    if (ret == NULL)
        ret = own = host->alloc(host->self, sizeof(*own), 8);
    if (ret == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*ret), 0,
                        "no memory for a review");
    status = offer_policy(system, policy, bytes, flags, ret, diag);
    if (status == ULV_OK && ret->in_force == 0)
        status = ulv_fail(diag, ULV_E_POLICY, ret->finding[0].object,
                          ret->finding[0].value, ret->finding[0].bound,
                          "%u of what there is would be refused: %s",
                          (uint64_t)ret->count, ret->finding[0].text);
    host->free(host->self, own, sizeof(*own));
    return status;
}

const struct ulv_policy *
ulv_policy_in_force(const ulv_system *system)
{
    return &system->policy;
}
