/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Placing and bounds for an image of a bare machine, which has no room for
 * rules: the keys of a policy, and which pair serves what. A policy that has
 * other rules is refused.
 */
#include "policy/policy_priv.h"

static const struct ulv_memory_record *
choose_node(const struct decision *d, uint64_t bytes, uint64_t *ret_free)
{
    const struct ulv_memory_record *best = NULL;

    for (uint32_t i = 0; i < d->facts->node_count; i++) {
        const struct ulv_memory_record *node = &d->facts->nodes[i];
        uint64_t free_bytes = ulv_policy_free(d, node);

        if (free_bytes < bytes)
            continue;
        if (best == NULL || (d->policy->node == ULV_POLICY_NODE_MOST_FREE &&
                             free_bytes > *ret_free)) {
            best = node;
            *ret_free = free_bytes;
        }
    }
    return best;
}

ulv_status
ulv_policy_place_memory(struct decision *d, struct ulv_op_assign_memory *op)
{
    const struct ulv_memory_record *node;
    uint64_t free_bytes = 0;
    struct ulv_text line;
    char text[160];

    if (op->node != ULV_NODE_ANY)
        return ULV_OK;
    node = choose_node(d, op->bytes, &free_bytes);
    if (node == NULL)
        return ULV_OK; /* no single node has it: the ultravisor gathers */
    op->node = node->node;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: memory from node %u, %s (%z free)",
                    ulv_policy_name(d, op->partition), (uint64_t)node->node,
                    d->policy->node == ULV_POLICY_NODE_MOST_FREE
                        ? "which has most free"
                        : "the first that has enough",
                    free_bytes);
    ulv_policy_say(d, text);
    return ULV_OK;
}

ulv_status
ulv_policy_place_move(struct decision *d, const struct ulv_op_move_memory *op)
{
    (void)d;
    (void)op;
    return ULV_OK;
}

ulv_status
ulv_policy_place_processors(struct decision *d,
                            struct ulv_op_assign_processors *op)
{
    (void)d;
    (void)op;
    return ULV_OK;
}

/* The side that serves first: one that runs, then as the policy prefers. */
static ulv_status
choose_side(struct decision *d, struct ulv_op_offer *op, ulv_id a, ulv_id b)
{
    bool a_serves = ulv_policy_serves(d, a), b_serves = ulv_policy_serves(d, b);
    bool b_is_better = d->policy->side == ULV_POLICY_SIDE_LEAST_LOADED &&
                       ulv_policy_load(d, b) < ulv_policy_load(d, a);
    bool swap = b_serves && (!a_serves || b_is_better);
    struct ulv_text line;
    char text[160];

    if (!a_serves && !b_serves)
        return ulv_fail(d->diag, ULV_E_NOT_FOUND, op->id, a, b,
                        "%s: of its pair neither %s nor %s runs (io)",
                        op->name, a == 0 ? "nobody" : ulv_policy_name(d, a),
                        b == 0 ? "nobody" : ulv_policy_name(d, b));
    op->primary = swap ? b : a;
    op->standby = swap ? a : b;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: %s serves first, %s stands by (", op->name,
                    ulv_policy_name(d, op->primary),
                    op->standby == 0 ? "nobody"
                                     : ulv_policy_name(d, op->standby));
    if (!a_serves || !b_serves)
        ulv_text_string(&line, "the other is not running)");
    else if (d->policy->side == ULV_POLICY_SIDE_FIRST)
        ulv_text_string(&line, "first of its rule)");
    else
        ulv_text_format(&line, "least loaded: %u and %u devices)",
                        ulv_policy_load(d, op->primary) - 1,
                        ulv_policy_load(d, op->standby));
    ulv_policy_say(d, text);
    return ULV_OK;
}

ulv_status
ulv_policy_place_device(struct decision *d, struct ulv_op_offer *op)
{
    for (uint32_t i = 0; i < d->policy->rule_count; i++) {
        const struct ulv_policy_rule *rule = &d->policy->rule[i];
        ulv_id a = ulv_policy_io(d, rule->primary);
        ulv_id b = ulv_policy_io(d, rule->standby);

        if (!ulv_policy_matches(rule->device, op->name, sizeof(op->name)) ||
            (a == 0 && b == 0))
            continue;
        if (op->primary == 0 && op->standby == 0)
            return choose_side(d, op, a, a == b ? 0 : b);
        if (ulv_policy_lets(op, a, b))
            return ULV_OK;
    }
    return ulv_fail(
        d->diag, ULV_E_POLICY, op->id, op->primary, op->standby,
        "%s: no rule lets %s and %s serve it (io)", op->name,
        op->primary == 0 ? "any pair" : ulv_policy_name(d, op->primary),
        op->standby == 0 ? "none" : ulv_policy_name(d, op->standby));
}

ulv_status
ulv_policy_check_rules(const struct ulv_policy *p, struct ulv_diag *diag)
{
    if ((p->limit_count | p->placement_count | p->affinity_count |
         p->restart_count | p->reservation_count) == 0)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 1, 0,
                    "policy: rules are not for a bare machine");
}

ulv_status
ulv_policy_restarts(struct decision *d, struct ulv_op_create_partition *op)
{
    if (op->restarts == 0)
        op->restarts = d->policy->restarts;
    if (op->restarts > d->policy->restarts)
        return ulv_fail(d->diag, ULV_E_POLICY, op->id, op->restarts,
                        d->policy->restarts,
                        "%s: %u restarts a minute asked, policy allows %u "
                        "(restarts_per_minute)",
                        op->name, (uint64_t)op->restarts,
                        (uint64_t)d->policy->restarts);
    return ULV_OK;
}

ulv_status
ulv_policy_change(struct decision *d, struct ulv_op_change_partition *op)
{
    (void)d;
    (void)op;
    return ULV_OK; /* the database refuses it */
}

ulv_status
ulv_policy_check_limits(struct decision *d)
{
    (void)d;
    return ULV_OK;
}

void
ulv_policy_say_refusal(struct decision *d)
{
    (void)d;
}
