/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Where memory comes from, who serves a device, on which processor a virtual
 * one runs: each candidate is looked at, and what becomes of it is said.
 *
 * Best is what misses fewest rules that would rather be kept, then what the
 * rule of the guest prefers, then what comes first.
 */
#include "policy/policy_priv.h"

/* The first that is of the guest and says something of this; NULL: none. */
static const struct ulv_policy_placement *
placement_of(const struct decision *d, ulv_id guest, bool of_node)
{
    for (uint32_t i = 0; i < d->policy->placement_count; i++) {
        const struct ulv_policy_placement *p = &d->policy->placement[i];

        if ((of_node ? p->node : p->side) != ULV_POLICY_OPEN &&
            ulv_policy_selects(d, &p->of, guest))
            return p;
    }
    return NULL;
}

struct ulv_policy_candidate *
ulv_policy_candidate(struct decision *d, uint64_t what,
                     struct ulv_policy_candidate *spare)
{
    struct ulv_policy_candidate *c = spare;

    if (d->said.candidate_count < ULV_DECISION_CANDIDATES_MAX)
        c = &d->said.candidate[d->said.candidate_count];
    d->said.candidate_count++;
    memset(c, 0, sizeof(*c));
    c->what = what;
    return c;
}

/* The best one so far. */
struct best {
    bool any;
    uint32_t idx, missed;
    uint64_t rank; /* the higher */
    uint64_t shown;
};

static bool
beats(const struct best *best, uint32_t missed, uint64_t rank)
{
    return !best->any || missed < best->missed ||
           (missed == best->missed && rank > best->rank);
}

void
ulv_policy_outrank(struct decision *d, uint32_t best, uint64_t shown)
{
    uint32_t kept =
        ULV_MIN(d->said.candidate_count, ULV_DECISION_CANDIDATES_MAX);

    for (uint32_t i = 0; i < kept; i++) {
        struct ulv_policy_candidate *c = &d->said.candidate[i];

        if (c->verdict != ULV_CANDIDATE_TAKEN || i == best)
            continue;
        c->verdict = ULV_CANDIDATE_OUTRANKED;
        c->bound = shown;
    }
}

static void
add_reason_of(const struct decision *d, struct ulv_text *line,
              const struct ulv_policy_candidate *c)
{
    switch (c->verdict) {
    case ULV_CANDIDATE_NO_ROOM:
        ulv_text_format(line, "%z free", c->value);
        break;
    case ULV_CANDIDATE_RESERVED:
        ulv_text_format(line, "%z not held back (%s)", c->value, c->rule);
        break;
    case ULV_CANDIDATE_APART:
        ulv_text_format(line, "%s is there (%s)",
                        ulv_policy_name(d, c->value), c->rule);
        break;
    case ULV_CANDIDATE_TOGETHER:
        ulv_text_format(line, "%s is elsewhere (%s)",
                        ulv_policy_name(d, c->value), c->rule);
        break;
    case ULV_CANDIDATE_NOT_RUNNING:
        ulv_text_string(line, "does not run");
        break;
    default:
        ulv_text_string(line, "it is full");
    }
}

/* Why none of them: those that fit a line. */
static void
add_reasons(const struct decision *d, struct ulv_text *line, bool by_name)
{
    uint32_t kept =
        ULV_MIN(d->said.candidate_count, ULV_DECISION_CANDIDATES_MAX);

    for (uint32_t i = 0; i < kept; i++) {
        const struct ulv_policy_candidate *c = &d->said.candidate[i];

        if (by_name)
            ulv_text_format(line, "%s %s: ", i == 0 ? ":" : ",",
                            ulv_policy_name(d, c->what));
        else
            ulv_text_format(line, "%s %u: ", i == 0 ? ":" : ",", c->what);
        add_reason_of(d, line, c);
    }
}

/* ---- memory -------------------------------------------------------------- */

struct asked {
    ulv_id guest;
    uint64_t bytes;
    const struct ulv_policy_placement *rule;
    uint32_t node; /* ULV_POLICY_NODE_* */
};

static uint64_t
weight_of(const struct asked *a, uint32_t node)
{
    if (a->rule == NULL || node >= ULV_COUNT_OF(a->rule->weight))
        return 1;
    return a->rule->weight[node];
}

/* How good a node is; *ret_shown: what that is told by. */
static uint64_t
rank_node(const struct decision *d, const struct asked *a,
          const struct place *place, uint64_t free_bytes, uint64_t *ret_shown)
{
    uint64_t weighed = 0;

    *ret_shown = free_bytes;
    switch (a->node) {
    case ULV_POLICY_NODE_FIRST:
        return 0;
    case ULV_POLICY_NODE_PACK:
        return UINT64_MAX - free_bytes;
    case ULV_POLICY_NODE_SPREAD:
        *ret_shown = ulv_policy_peers(d, &a->rule->of, a->guest, place,
                                      ULV_POLICY_OVER_NODE);
        /* of equals the one with more free; 2^44 pages are enough */
        return (UINT64_C(0xfffff) - ULV_MIN(*ret_shown, 0xfffff)) << 44 |
               free_bytes >> 20;
    default:
        if (!ulv_multiply_u64(free_bytes, weight_of(a, (uint32_t)place->what),
                              &weighed))
            weighed = UINT64_MAX;
        return weighed;
    }
}

/* Whether it can be this node. */
static bool
admits_node(struct decision *d, const struct asked *a,
            const struct place *place, uint64_t free_bytes,
            struct ulv_policy_candidate *c, uint32_t *ret_missed)
{
    const struct ulv_policy_reservation *held_by = NULL;
    uint64_t held;

    *ret_missed = 0;
    c->value = free_bytes;
    c->bound = a->bytes;
    if (free_bytes < a->bytes) {
        c->verdict = ULV_CANDIDATE_NO_ROOM;
        return false;
    }
    held = ulv_policy_held(d, a->guest, (uint32_t)place->what, &held_by);
    if (free_bytes - ULV_MIN(held, free_bytes) < a->bytes) {
        c->verdict = ULV_CANDIDATE_RESERVED;
        c->value = free_bytes - ULV_MIN(held, free_bytes);
        ulv_string_copy(c->rule, sizeof(c->rule), held_by->name);
        return false;
    }
    return ulv_policy_admits(d, a->guest, place, c, ret_missed);
}

static const struct ulv_memory_record *
choose_node(struct decision *d, const struct asked *a, struct best *best)
{
    const struct ulv_memory_record *found = NULL;
    struct ulv_policy_candidate spare;

    for (uint32_t i = 0; i < d->facts->node_count; i++) {
        const struct ulv_memory_record *node = &d->facts->nodes[i];
        uint64_t rank, free_bytes = ulv_policy_free(d, node);
        const struct place place = { .what = node->node,
                                     .over = { ULV_POLICY_OVER_NODE },
                                     .over_count = 1 };
        struct ulv_policy_candidate *c =
            ulv_policy_candidate(d, node->node, &spare);
        uint32_t missed;

        if (!admits_node(d, a, &place, free_bytes, c, &missed))
            continue;
        rank = rank_node(d, a, &place, free_bytes, &c->value);
        c->bound = c->value;
        if (!beats(best, missed, rank))
            continue;
        *best = (struct best){ true, d->said.candidate_count - 1, missed, rank,
                               c->value };
        found = node;
    }
    if (found != NULL)
        ulv_policy_outrank(d, best->idx, best->shown);
    return found;
}

/* Of a node that was asked for: what is free there is the ultravisor's to
 * say. */
static ulv_status
check_node(struct decision *d, const struct asked *a, uint32_t number)
{
    const struct place place = { .what = number,
                                 .over = { ULV_POLICY_OVER_NODE },
                                 .over_count = 1 };
    struct ulv_policy_candidate spare;
    struct ulv_policy_candidate *c = ulv_policy_candidate(d, number, &spare);
    const struct ulv_memory_record *node = NULL;
    struct ulv_text line;
    char text[160];
    uint64_t free_bytes;
    uint32_t missed;

    for (uint32_t i = 0; i < d->facts->node_count && node == NULL; i++) {
        if (d->facts->nodes[i].node == number)
            node = &d->facts->nodes[i];
    }
    if (node == NULL)
        return ULV_OK;
    free_bytes = ulv_policy_free(d, node);
    if (!ulv_add_u64(free_bytes, a->bytes, &free_bytes) ||
        free_bytes > node->free_bytes)
        free_bytes = node->free_bytes; /* this operation is not yet there */
    if (admits_node(d, a, &place, free_bytes, c, &missed) ||
        c->verdict == ULV_CANDIDATE_NO_ROOM)
        return ULV_OK;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: %z of node %u asked: ",
                    ulv_policy_name(d, a->guest), a->bytes, (uint64_t)number);
    add_reason_of(d, &line, c);
    return ulv_policy_refuse(d, c->rule, c->verdict == ULV_CANDIDATE_RESERVED
                                             ? a->bytes
                                             : number,
                             c->value, text);
}

static ulv_status
no_node(struct decision *d, const struct asked *a)
{
    const char *rule = ulv_policy_first_rule(d);
    struct ulv_text line;
    char text[192];

    /* where no rule has a say the ultravisor gathers from several */
    if (rule[0] == '\0' &&
        !ulv_policy_is_bound(d, a->guest, 1u << ULV_POLICY_OVER_NODE))
        return ULV_OK;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: %z can be had on no node",
                    ulv_policy_name(d, a->guest), a->bytes);
    add_reasons(d, &line, false);
    return ulv_policy_refuse(d, rule, a->bytes, 0, text);
}

static void
say_node(struct decision *d, const struct asked *a,
         const struct ulv_memory_record *node, uint64_t free_bytes)
{
    static const char *const why[] = {
        [ULV_POLICY_NODE_MOST_FREE] = "which has most free",
        [ULV_POLICY_NODE_FIRST] = "the first that has enough",
        [ULV_POLICY_NODE_PACK] = "which has least free and enough",
        [ULV_POLICY_NODE_SPREAD] = "which has fewest of its kind",
    };
    const char *rule = a->rule == NULL ? "node" : a->rule->name;
    struct ulv_text line;
    char text[192];

    d->said.chosen = node->node;
    ulv_string_copy(d->said.rule, sizeof(d->said.rule), rule);
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: memory from node %u, %s (%z free)",
                    ulv_policy_name(d, a->guest), (uint64_t)node->node,
                    why[a->node], free_bytes);
    if (a->rule != NULL)
        ulv_text_format(&line, " (%s)", rule);
    ulv_policy_say(d, text);
}

ulv_status
ulv_policy_place_memory(struct decision *d, struct ulv_op_assign_memory *op)
{
    const struct ulv_memory_record *node;
    struct best best = { .any = false };
    struct asked a = { .guest = op->partition, .bytes = op->bytes };
    uint64_t free_bytes;

    ulv_policy_begin(d, ULV_DECISION_NODE, op->partition);
    a.rule = placement_of(d, op->partition, true);
    a.node = a.rule == NULL ? d->policy->node : a.rule->node;
    if (op->node != ULV_NODE_ANY)
        return check_node(d, &a, op->node);
    node = choose_node(d, &a, &best);
    if (node == NULL)
        return no_node(d, &a);
    free_bytes = ulv_policy_free(d, node);
    op->node = node->node;
    say_node(d, &a, node, free_bytes);
    return ULV_OK;
}

/* Where it is now it stays, on each of the nodes that it may be from. */
ulv_status
ulv_policy_place_move(struct decision *d, const struct ulv_op_move_memory *op)
{
    ulv_policy_begin(d, ULV_DECISION_NODE, op->to);
    for (uint32_t i = 0; i < d->facts->home_count; i++) {
        const struct ulv_policy_home *home = &d->facts->homes[i];
        const struct place place = { .what = home->node,
                                     .over = { ULV_POLICY_OVER_NODE },
                                     .over_count = 1 };
        struct ulv_policy_candidate spare, *c;
        struct ulv_text line;
        char text[160];
        uint32_t missed;

        if (home->partition != op->partition)
            continue;
        c = ulv_policy_candidate(d, home->node, &spare);
        if (ulv_policy_admits(d, op->to, &place, c, &missed))
            continue;
        ulv_text_init(&line, text, sizeof(text));
        ulv_text_format(&line, "%s: memory of node %u from %s: ",
                        ulv_policy_name(d, op->to), (uint64_t)home->node,
                        ulv_policy_name(d, op->partition));
        add_reason_of(d, &line, c);
        return ulv_policy_refuse(d, c->rule, home->node, c->value, text);
    }
    return ULV_OK;
}

/* ---- devices ------------------------------------------------------------- */

/* A device that is offered, and whom it is for. */
struct offered {
    struct ulv_op_offer *op;
    ulv_id guest; /* 0: this transaction attaches it to nobody */
    const struct ulv_policy_placement *rule;
    uint32_t side; /* ULV_POLICY_SIDE_* */
};

static ulv_id
guest_of(const struct decision *d, ulv_id device)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_operation *o = &d->operations[i];

        if (o->kind == ULV_OP_ATTACH && o->u.attach.device == device)
            return o->u.attach.partition;
    }
    return 0;
}

static struct place
side_of(ulv_id primary, ulv_id standby)
{
    const struct place place = {
        .what = primary,
        .other = standby,
        .over = { ULV_POLICY_OVER_IO, ULV_POLICY_OVER_PAIR },
        .over_count = 2,
    };

    return place;
}

static uint64_t
rank_side(const struct decision *d, const struct offered *o,
          const struct place *place, uint64_t *ret_shown)
{
    uint64_t load = ulv_policy_load(d, place->what);
    uint64_t both =
        load + (place->other == 0 ? 0 : ulv_policy_load(d, place->other));
    uint64_t spare = 0xffffff - ULV_MIN(both, 0xffffff); /* of the pair */

    *ret_shown = load;
    spare = spare << 24 | (0xffffff - ULV_MIN(load, 0xffffff));
    switch (o->side) {
    case ULV_POLICY_SIDE_FIRST:
        return 0;
    case ULV_POLICY_SIDE_PACK:
    case ULV_POLICY_SIDE_SPREAD:
        *ret_shown = ulv_policy_peers(d, &o->rule->of, o->guest, place,
                                      ULV_POLICY_OVER_IO);
        both = ULV_MIN(*ret_shown, 0xffff);
        return (o->side == ULV_POLICY_SIDE_PACK ? both : 0xffff - both) << 48 |
               spare;
    default:
        return spare;
    }
}

struct chosen {
    struct best best;
    struct place place;
    bool other_is_down;
};

/* One of a pair, the other stands by. */
static void
try_side(struct decision *d, const struct offered *o, ulv_id primary,
         ulv_id standby, struct chosen *chosen)
{
    const struct place place = side_of(primary, standby);
    struct ulv_policy_candidate spare, *c;
    uint64_t rank;
    uint32_t missed;

    if (primary == 0)
        return;
    c = ulv_policy_candidate(d, primary, &spare);
    if (!ulv_policy_serves(d, primary)) {
        c->verdict = ULV_CANDIDATE_NOT_RUNNING;
        return;
    }
    if (!ulv_policy_admits(d, o->guest, &place, c, &missed))
        return;
    rank = rank_side(d, o, &place, &c->value);
    c->bound = c->value;
    if (!beats(&chosen->best, missed, rank))
        return;
    chosen->best = (struct best){ true, d->said.candidate_count - 1, missed,
                                  rank, c->value };
    chosen->place = place;
    chosen->other_is_down = standby == 0 || !ulv_policy_serves(d, standby);
}

static void
say_side(struct decision *d, const struct offered *o,
         const struct chosen *chosen)
{
    static const char *const why[] = {
        [ULV_POLICY_SIDE_LEAST_LOADED] = "least loaded",
        [ULV_POLICY_SIDE_FIRST] = "first of its rule",
        [ULV_POLICY_SIDE_PACK] = "serves most of its kind",
        [ULV_POLICY_SIDE_SPREAD] = "serves fewest of its kind",
    };
    const struct place *place = &chosen->place;
    struct ulv_text line;
    char text[192];

    d->said.chosen = place->what;
    ulv_string_copy(d->said.rule, sizeof(d->said.rule),
                    o->rule == NULL ? "side" : o->rule->name);
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: %s serves first, %s stands by (", o->op->name,
                    ulv_policy_name(d, place->what),
                    place->other == 0 ? "nobody"
                                      : ulv_policy_name(d, place->other));
    if (chosen->other_is_down)
        ulv_text_string(&line, "the other is not running)");
    else if (o->side == ULV_POLICY_SIDE_LEAST_LOADED)
        ulv_text_format(&line, "least loaded: %u and %u devices)",
                        ulv_policy_load(d, place->what),
                        ulv_policy_load(d, place->other));
    else
        ulv_text_format(&line, "%s)", why[o->side]);
    if (o->rule != NULL)
        ulv_text_format(&line, " (%s)", o->rule->name);
    ulv_policy_say(d, text);
}

static ulv_status
no_side(struct decision *d, const struct offered *o, ulv_id a, ulv_id b)
{
    const char *rule = ulv_policy_first_rule(d);
    struct ulv_text line;
    char text[192];

    if (rule[0] == '\0')
        return ulv_fail(d->diag, ULV_E_NOT_FOUND, o->op->id, a, b,
                        "%s: of its pair neither %s nor %s runs (io)",
                        o->op->name, a == 0 ? "nobody" : ulv_policy_name(d, a),
                        b == 0 ? "nobody" : ulv_policy_name(d, b));
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: nobody can serve it", o->op->name);
    add_reasons(d, &line, true);
    return ulv_policy_refuse(d, rule, a, b, text);
}

/* A pair that was asked for, and a rule lets serve. */
static ulv_status
check_side(struct decision *d, const struct offered *o)
{
    const struct place place = side_of(o->op->primary, o->op->standby);
    struct ulv_policy_candidate spare, *c;
    struct ulv_text line;
    char text[160];
    uint32_t missed;

    c = ulv_policy_candidate(d, o->op->primary, &spare);
    if (ulv_policy_admits(d, o->guest, &place, c, &missed))
        return ULV_OK;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: %s asked to serve it: ", o->op->name,
                    ulv_policy_name(d, o->op->primary));
    add_reason_of(d, &line, c);
    return ulv_policy_refuse(d, c->rule, o->op->primary, c->value, text);
}

static ulv_status
not_let(const struct decision *d, const struct ulv_op_offer *op)
{
    return ulv_fail(
        d->diag, ULV_E_POLICY, op->id, op->primary, op->standby,
        "%s: no rule lets %s and %s serve it (io)", op->name,
        op->primary == 0 ? "any pair" : ulv_policy_name(d, op->primary),
        op->standby == 0 ? "none" : ulv_policy_name(d, op->standby));
}

ulv_status
ulv_policy_place_device(struct decision *d, struct ulv_op_offer *op)
{
    struct offered o = { .op = op, .guest = guest_of(d, op->id) };
    struct chosen chosen = { .best = { .any = false } };
    bool open = op->primary == 0 && op->standby == 0, tried = false;
    ulv_id a = 0, b = 0;

    o.rule = o.guest == 0 ? NULL : placement_of(d, o.guest, false);
    o.side = o.rule == NULL ? d->policy->side : o.rule->side;
    for (uint32_t i = 0; i < d->policy->rule_count; i++) {
        const struct ulv_policy_rule *rule = &d->policy->rule[i];

        /* without a rule of the guest's the first pair is the one */
        if ((tried && o.rule == NULL) ||
            !ulv_policy_matches(rule->device, op->name, sizeof(op->name)))
            continue;
        a = ulv_policy_io(d, rule->primary);
        b = ulv_policy_io(d, rule->standby);
        if (a == 0 && b == 0)
            continue;
        if (!open && ulv_policy_lets(op, a, b))
            return check_side(d, &o);
        if (!open)
            continue;
        tried = true;
        try_side(d, &o, a, a == b ? 0 : b, &chosen);
        if (a != b)
            try_side(d, &o, b, a, &chosen);
    }
    if (!tried)
        return not_let(d, op);
    if (!chosen.best.any)
        return no_side(d, &o, a, b);
    ulv_policy_outrank(d, chosen.best.idx, chosen.best.shown);
    say_side(d, &o, &chosen);
    op->primary = chosen.place.what;
    op->standby = chosen.place.other;
    return ULV_OK;
}
