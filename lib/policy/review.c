/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What of the host as it is now a policy would refuse. What the database does
 * not tell is not looked at: how often a guest may start again and how long it
 * may be silent stay as they were when it was made, or changed.
 */
#include "policy/policy_priv.h"

/* A refusal that is told, and counted. */
static void
find(struct decision *d, ulv_status status, uint32_t *count)
{
    if (status == ULV_OK)
        return;
    ulv_policy_say_refusal(d);
    (*count)++;
}

static void
begin(struct decision *d, uint32_t kind, ulv_id object, const char *rule)
{
    ulv_policy_begin(d, kind, object);
    ulv_string_copy(d->said.rule, sizeof(d->said.rule), rule);
}

static void
review_guest(struct decision *d, const struct ulv_partition_record *p,
             uint32_t *count)
{
    const struct ulv_policy *policy = d->policy;

    if (p->memory_bytes > policy->memory_per_guest) {
        begin(d, ULV_DECISION_LIMIT, p->id, "memory_per_guest");
        find(d, ulv_fail(d->diag, ULV_E_POLICY, p->id, p->memory_bytes,
                         policy->memory_per_guest,
                         "%s: has %z, policy allows %z a guest "
                         "(memory_per_guest)",
                         p->name, p->memory_bytes, policy->memory_per_guest),
             count);
    }
    if (p->processor_count > policy->processors_per_guest) {
        begin(d, ULV_DECISION_LIMIT, p->id, "processors_per_guest");
        find(d, ulv_fail(d->diag, ULV_E_POLICY, p->id, p->processor_count,
                         policy->processors_per_guest,
                         "%s: has %u processors, policy allows %u a guest "
                         "(processors_per_guest)",
                         p->name, (uint64_t)p->processor_count,
                         (uint64_t)policy->processors_per_guest),
             count);
    }
}

static void
review_guests(struct decision *d, uint32_t *count)
{
    uint32_t guests = 0;

    for (uint32_t i = 0; i < d->facts->partition_count; i++) {
        const struct ulv_partition_record *p = &d->facts->partitions[i];

        if (p->kind != ULV_PARTITION_GUEST)
            continue;
        guests++;
        review_guest(d, p, count);
    }
    if (guests <= d->policy->guests)
        return;
    begin(d, ULV_DECISION_LIMIT, 0, "guests");
    find(d, ulv_fail(d->diag, ULV_E_POLICY, 0, guests, d->policy->guests,
                     "there are %u guests, policy allows %u (guests)",
                     (uint64_t)guests, (uint64_t)d->policy->guests),
         count);
}

/* ---- who serves what ----------------------------------------------------- */

static bool
is_let(const struct decision *d, const struct ulv_device_record *device)
{
    const struct ulv_op_offer op = { .primary = device->serving,
                                     .standby = device->standby };

    for (uint32_t i = 0; i < d->policy->rule_count; i++) {
        const struct ulv_policy_rule *rule = &d->policy->rule[i];

        if (ulv_policy_matches(rule->device, device->name,
                               sizeof(device->name)) &&
            ulv_policy_lets(&op, ulv_policy_io(d, rule->primary),
                            ulv_policy_io(d, rule->standby)))
            return true;
    }
    return false;
}

static void
review_devices(struct decision *d, uint32_t *count)
{
    for (uint32_t i = 0; i < d->facts->device_count; i++) {
        const struct ulv_device_record *device = &d->facts->devices[i];

        if (is_let(d, device))
            continue;
        begin(d, ULV_DECISION_SIDE, device->id, "io");
        find(d, ulv_fail(d->diag, ULV_E_POLICY, device->id, device->serving,
                         device->standby,
                         "%s: no rule lets %s and %s serve it (io)",
                         device->name, ulv_policy_name(d, device->serving),
                         device->standby == 0
                             ? "none"
                             : ulv_policy_name(d, device->standby)),
             count);
    }
}

/* ---- what is held back --------------------------------------------------- */

/* A guest of its own kind takes from what is held: nobody else is asked. */
static void
review_held(struct decision *d, const struct ulv_memory_record *node,
            uint32_t *count)
{
    const struct ulv_policy_reservation *by = NULL;
    uint64_t held = ulv_policy_held(d, 0, node->node, &by);

    if (held <= node->free_bytes)
        return;
    begin(d, ULV_DECISION_RESERVED, node->id, by->name);
    find(d, ulv_fail(d->diag, ULV_E_POLICY, node->id, node->free_bytes, held,
                     "node %u: %z free, %z are to be held back (%s)",
                     (uint64_t)node->node, node->free_bytes, held, by->name),
         count);
}

static void
review_held_processors(struct decision *d,
                       const struct ulv_memory_record *node, uint32_t *count)
{
    const struct ulv_policy_reservation *by = NULL;
    uint32_t idle = 0,
             held = ulv_policy_held_processors(d, 0, node->node, &by);

    for (uint32_t i = 0; i < d->facts->processor_count; i++)
        idle += d->facts->processors[i].node == node->node &&
                d->facts->processors[i].share_count == 0 &&
                d->facts->processors[i].retired == 0;
    if (held <= idle)
        return;
    begin(d, ULV_DECISION_RESERVED, node->id, by->name);
    find(d, ulv_fail(d->diag, ULV_E_POLICY, node->id, idle, held,
                     "node %u: %u processors idle, %u are to be held back (%s)",
                     (uint64_t)node->node, (uint64_t)idle, (uint64_t)held,
                     by->name),
         count);
}

uint32_t
ulv_policy_review(const struct ulv_policy *policy,
                  const struct ulv_policy_facts *facts,
                  const struct ulv_policy_reasons *findings)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct decision d = {
        .policy = policy,
        .facts = facts,
        .idx = UINT32_MAX,
        .reasons = findings,
        .diag = &diag,
        .review = true,
    };
    uint32_t count = 0;

    review_guests(&d, &count);
    review_devices(&d, &count);
    for (uint32_t i = 0; i < facts->node_count; i++) {
        review_held(&d, &facts->nodes[i], &count);
        review_held_processors(&d, &facts->nodes[i], &count);
    }
    ulv_policy_review_limits(&d, find, &count);
    ulv_policy_review_affinity(&d, find, &count);
    return count;
}
