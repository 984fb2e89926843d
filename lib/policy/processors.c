/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * On which processor a virtual one runs, where a rule has a say: guests that
 * are apart or together over processors, cores or packages, and processors of
 * a node that are held back. Otherwise the ultravisor chooses.
 */
#include "policy/policy_priv.h"

#define OVER_PROCESSORS                                                        \
    (1u << ULV_POLICY_OVER_PACKAGE | 1u << ULV_POLICY_OVER_CORE |              \
     1u << ULV_POLICY_OVER_PROCESSOR)

static bool
is_named(const struct decision *d, ulv_id processor, ulv_id guest)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_operation *o = &d->operations[i];

        if (o->kind == ULV_OP_ASSIGN_PROCESSORS && i != d->idx &&
            o->u.assign_processors.processor == processor &&
            (guest == 0 || o->u.assign_processors.partition == guest))
            return true;
    }
    return false;
}

/* Nobody runs on it, and somebody could. */
static bool
is_idle(const struct decision *d, const struct ulv_processor_record *p)
{
    return p->share_count == 0 && p->retired == 0 && !is_named(d, p->id, 0);
}

static bool
sits_on(const struct decision *d, ulv_id guest, ulv_id processor)
{
    for (uint32_t i = 0; i < d->facts->seat_count; i++) {
        if (d->facts->seats[i].partition == guest &&
            d->facts->seats[i].processor == processor)
            return true;
    }
    return is_named(d, processor, guest);
}

/* As far as it can be seen from here; the ultravisor sees to it. */
static bool
has_room(const struct decision *d, const struct ulv_processor_record *p,
         const struct ulv_op_assign_processors *op)
{
    const struct ulv_partition_record *owner =
        ulv_policy_partition(d, p->owner);

    if ((owner != NULL && owner->kind == ULV_PARTITION_GUEST) ||
        sits_on(d, op->partition, p->id))
        return false;
    if (op->mode == ULV_PROCESSOR_DEDICATED)
        return is_idle(d, p);
    return op->quanta == 0 ? p->idle_quanta != 0 : p->idle_quanta > op->quanta;
}

/* Whether one that nobody runs on may be taken from those that are held. */
static bool
is_held(const struct decision *d, const struct ulv_processor_record *p,
        ulv_id guest, struct ulv_policy_candidate *c)
{
    const struct ulv_policy_reservation *by = NULL;
    uint32_t idle = 0,
             held = ulv_policy_held_processors(d, guest, p->node, &by);

    if (held == 0 || !is_idle(d, p))
        return false;
    for (uint32_t i = 0; i < d->facts->processor_count; i++)
        idle += d->facts->processors[i].node == p->node &&
                is_idle(d, &d->facts->processors[i]);
    if (idle > held)
        return false;
    c->verdict = ULV_CANDIDATE_RESERVED;
    c->value = idle;
    c->bound = held;
    ulv_string_copy(c->rule, sizeof(c->rule), by->name);
    return true;
}

static bool
admits(struct decision *d, const struct ulv_processor_record *p,
       const struct ulv_op_assign_processors *op,
       struct ulv_policy_candidate *c, uint32_t *ret_missed)
{
    const struct place place = {
        .what = p->id,
        .processor = p,
        .over = { ULV_POLICY_OVER_PACKAGE, ULV_POLICY_OVER_CORE,
                  ULV_POLICY_OVER_PROCESSOR },
        .over_count = 3,
    };

    *ret_missed = 0;
    if (op->processor == 0 && !has_room(d, p, op)) {
        c->verdict = ULV_CANDIDATE_NO_ROOM;
        c->value = p->idle_quanta;
        c->bound = op->quanta;
        return false;
    }
    return !is_held(d, p, op->partition, c) &&
           ulv_policy_admits(d, op->partition, &place, c, ret_missed);
}

static bool
has_say(const struct decision *d, ulv_id guest)
{
    for (uint32_t i = 0; i < d->policy->reservation_count; i++) {
        if (d->policy->reservation[i].processors != 0 &&
            !ulv_policy_selects(d, &d->policy->reservation[i].of, guest))
            return true;
    }
    for (uint32_t i = 0; i < d->policy->affinity_count; i++) {
        const struct ulv_policy_affinity *r = &d->policy->affinity[i];

        if ((OVER_PROCESSORS & 1u << r->over) != 0 &&
            (ulv_policy_selects(d, &r->a, guest) ||
             ulv_policy_selects(d, &r->b, guest)))
            return true;
    }
    return false;
}

static ulv_status
none(struct decision *d, const struct ulv_op_assign_processors *op)
{
    const char *rule = ulv_policy_first_rule(d);
    struct ulv_text line;
    char text[192];

    if (rule[0] == '\0')
        return ULV_OK; /* there is no room: the ultravisor says so */
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: no rule leaves a processor of %u to it (%s)",
                    ulv_policy_name(d, op->partition),
                    (uint64_t)d->facts->processor_count, rule);
    return ulv_policy_refuse(d, rule, 1, 0, text);
}

static void
say(struct decision *d, const struct ulv_op_assign_processors *op,
    const struct ulv_processor_record *p)
{
    struct ulv_text line;
    char text[192];

    d->said.chosen = p->id;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line,
                    "%s: processor %u (core %u, package %u, node %u), which "
                    "fewest share of those that rules leave",
                    ulv_policy_name(d, op->partition), (uint64_t)p->os_number,
                    (uint64_t)p->core, (uint64_t)p->package,
                    (uint64_t)p->node);
    ulv_policy_say(d, text);
}

static ulv_status
choose(struct decision *d, struct ulv_op_assign_processors *op)
{
    const struct ulv_processor_record *best = NULL;
    struct ulv_policy_candidate spare;
    uint32_t best_missed = 0, best_idx = 0, missed;

    for (uint32_t i = 0; i < d->facts->processor_count; i++) {
        const struct ulv_processor_record *p = &d->facts->processors[i];
        struct ulv_policy_candidate *c =
            ulv_policy_candidate(d, p->id, &spare);

        if (!admits(d, p, op, c, &missed))
            continue;
        c->value = c->bound = p->share_count;
        if (best != NULL && (missed > best_missed ||
                             (missed == best_missed &&
                              p->share_count >= best->share_count)))
            continue;
        best = p;
        best_missed = missed;
        best_idx = d->said.candidate_count - 1;
    }
    if (best == NULL)
        return none(d, op);
    ulv_policy_outrank(d, best_idx, best->share_count);
    op->processor = best->id;
    say(d, op, best);
    return ULV_OK;
}

/* One that was asked for. */
static ulv_status
check(struct decision *d, const struct ulv_op_assign_processors *op)
{
    struct ulv_policy_candidate spare, *c =
        ulv_policy_candidate(d, op->processor, &spare);
    struct ulv_text line;
    char text[160];
    uint32_t missed;

    for (uint32_t i = 0; i < d->facts->processor_count; i++) {
        const struct ulv_processor_record *p = &d->facts->processors[i];

        if (p->id != op->processor || admits(d, p, op, c, &missed))
            continue;
        ulv_text_init(&line, text, sizeof(text));
        ulv_text_format(&line, "%s: processor %u asked: ",
                        ulv_policy_name(d, op->partition),
                        (uint64_t)p->os_number);
        if (c->verdict == ULV_CANDIDATE_RESERVED)
            ulv_text_format(&line, "%u idle on its node, %u held back",
                            c->value, c->bound);
        else
            ulv_text_format(&line, "%s is %s", ulv_policy_name(d, c->value),
                            c->verdict == ULV_CANDIDATE_APART ? "there"
                                                              : "elsewhere");
        ulv_text_format(&line, " (%s)", c->rule);
        return ulv_policy_refuse(d, c->rule, op->processor, c->value, text);
    }
    return ULV_OK;
}

ulv_status
ulv_policy_place_processors(struct decision *d,
                            struct ulv_op_assign_processors *op)
{
    if (!has_say(d, op->partition))
        return ULV_OK;
    ulv_policy_begin(d, ULV_DECISION_PROCESSOR, op->partition);
    if (op->processor != 0)
        return check(d, op);
    if (op->count == 1)
        return choose(d, op);
    return ulv_fail(d->diag, ULV_E_POLICY, op->partition, op->count, 1,
                    "%s: rules place processors one by one, %u asked at once",
                    ulv_policy_name(d, op->partition), (uint64_t)op->count);
}
