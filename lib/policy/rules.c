/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The rules of a policy: whether they are any, whom each is of, and what the
 * sums of a transaction may be. A transaction that gives up what there is too
 * much of already is not refused for the rest.
 */
#include "policy/policy_priv.h"

/* ---- whether they are any ------------------------------------------------ */

static ulv_status
wrong(struct ulv_diag *diag, const char *kind, uint32_t idx, const char *what,
      uint64_t value)
{
    return ulv_fail(diag, ULV_E_FORMAT, 0, value, idx,
                    "policy: %s rule %u: %s is wrong: %u", kind, (uint64_t)idx,
                    what, value);
}

static bool
is_selector(const struct ulv_policy_selector *s, bool may_be_none)
{
    return s->kind <= ULV_POLICY_OF_POLICY &&
           (may_be_none || s->kind != ULV_POLICY_OF_NONE) && s->rsvd_ == 0 &&
           ulv_policy_terminated(s->pattern);
}

static ulv_status
check_limit(const struct ulv_policy_limit *r, uint32_t i,
            struct ulv_diag *diag)
{
    if (!ulv_policy_terminated(r->name) || !is_selector(&r->of, false))
        return wrong(diag, "limit", i, "whom it is of", r->of.kind);
    if (r->together > 1 || r->rsvd_ != 0)
        return wrong(diag, "limit", i, "together", r->together);
    return ULV_OK;
}

static ulv_status
check_placement(const struct ulv_policy_placement *r, uint32_t i,
                struct ulv_diag *diag)
{
    if (!ulv_policy_terminated(r->name) || !is_selector(&r->of, false))
        return wrong(diag, "placement", i, "whom it is of", r->of.kind);
    if (r->node > ULV_POLICY_NODE_SPREAD && r->node != ULV_POLICY_OPEN)
        return wrong(diag, "placement", i, "node", r->node);
    if (r->side > ULV_POLICY_SIDE_SPREAD && r->side != ULV_POLICY_OPEN)
        return wrong(diag, "placement", i, "side", r->side);
    return ULV_OK;
}

static ulv_status
check_affinity(const struct ulv_policy_affinity *r, uint32_t i,
               struct ulv_diag *diag)
{
    if (!ulv_policy_terminated(r->name) || !is_selector(&r->a, false) ||
        !is_selector(&r->b, false))
        return wrong(diag, "affinity", i, "whom it is of", r->a.kind);
    if (r->over > ULV_POLICY_OVER_PROCESSOR)
        return wrong(diag, "affinity", i, "over", r->over);
    if (r->apart > 1 || r->prefer > 1 || r->rsvd_ != 0)
        return wrong(diag, "affinity", i, "apart", r->apart);
    return ULV_OK;
}

static ulv_status
check_restart(const struct ulv_policy_restart *r, uint32_t i,
              struct ulv_diag *diag)
{
    if (!ulv_policy_terminated(r->name) || !is_selector(&r->of, false))
        return wrong(diag, "restart", i, "whom it is of", r->of.kind);
    if (r->times > ULV_RESTARTS_MAX)
        return wrong(diag, "restart", i, "times", r->times);
    return ULV_OK;
}

static ulv_status
check_reservation(const struct ulv_policy_reservation *r, uint32_t i,
                  struct ulv_diag *diag)
{
    if (!ulv_policy_terminated(r->name) || !is_selector(&r->of, true))
        return wrong(diag, "reservation", i, "whom it is of", r->of.kind);
    return ULV_OK;
}

ulv_status
ulv_policy_check_rules(const struct ulv_policy *p, struct ulv_diag *diag)
{
    const uint32_t count[] = { p->limit_count, p->placement_count,
                               p->affinity_count, p->restart_count,
                               p->reservation_count };
    static const char *const name[] = { "limit", "placement", "affinity",
                                        "restart", "reservation" };
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < ULV_COUNT_OF(count); i++) {
        if (count[i] > ULV_POLICY_RULES_MAX)
            return ulv_fail(diag, ULV_E_FORMAT, 0, count[i],
                            ULV_POLICY_RULES_MAX,
                            "policy: %u %s rules, at most %u allowed",
                            (uint64_t)count[i], name[i],
                            (uint64_t)ULV_POLICY_RULES_MAX);
    }
    for (uint32_t i = 0; i < ULV_POLICY_RULES_MAX && status == ULV_OK; i++) {
        if (i < p->limit_count)
            status = check_limit(&p->limit[i], i, diag);
        if (status == ULV_OK && i < p->placement_count)
            status = check_placement(&p->placement[i], i, diag);
        if (status == ULV_OK && i < p->affinity_count)
            status = check_affinity(&p->affinity[i], i, diag);
        if (status == ULV_OK && i < p->restart_count)
            status = check_restart(&p->restart[i], i, diag);
        if (status == ULV_OK && i < p->reservation_count)
            status = check_reservation(&p->reservation[i], i, diag);
    }
    return status;
}

/* ---- what they look at --------------------------------------------------- */

static uint32_t
needs_of(const struct ulv_policy_selector *s)
{
    return s->kind >= ULV_POLICY_OF_LABEL && s->kind != ULV_POLICY_OF_NONE
               ? ULV_POLICY_NEEDS_TAGS
               : 0;
}

static uint32_t
needs_over(uint32_t over)
{
    if (over == ULV_POLICY_OVER_NODE)
        return ULV_POLICY_NEEDS_HOMES;
    return over <= ULV_POLICY_OVER_PAIR ? ULV_POLICY_NEEDS_CHANNELS
                                        : ULV_POLICY_NEEDS_PROCESSORS;
}

uint32_t
ulv_policy_needs(const struct ulv_policy *p)
{
    uint32_t needs = 0;

    for (uint32_t i = 0; i < p->limit_count; i++)
        needs |= needs_of(&p->limit[i].of) | ULV_POLICY_NEEDS_CHANNELS;
    for (uint32_t i = 0; i < p->placement_count; i++) {
        const struct ulv_policy_placement *r = &p->placement[i];

        needs |= needs_of(&r->of);
        if (r->node == ULV_POLICY_NODE_SPREAD)
            needs |= ULV_POLICY_NEEDS_HOMES;
        if (r->side == ULV_POLICY_SIDE_PACK ||
            r->side == ULV_POLICY_SIDE_SPREAD)
            needs |= ULV_POLICY_NEEDS_CHANNELS;
    }
    for (uint32_t i = 0; i < p->affinity_count; i++)
        needs |= needs_of(&p->affinity[i].a) | needs_of(&p->affinity[i].b) |
                 needs_over(p->affinity[i].over);
    for (uint32_t i = 0; i < p->restart_count; i++)
        needs |= needs_of(&p->restart[i].of);
    for (uint32_t i = 0; i < p->reservation_count; i++) {
        const struct ulv_policy_reservation *r = &p->reservation[i];

        needs |= needs_of(&r->of) | ULV_POLICY_NEEDS_HOMES;
        if (r->processors != 0)
            needs |= ULV_POLICY_NEEDS_PROCESSORS;
    }
    return needs;
}

/* ---- whom they are of ---------------------------------------------------- */

bool
ulv_policy_selects(const struct decision *d,
                   const struct ulv_policy_selector *of, ulv_id id)
{
    const struct ulv_partition_record *p;
    const struct ulv_op_create_partition *made = NULL;
    const char *name;

    if (of->kind == ULV_POLICY_OF_NONE)
        return false;
    p = ulv_policy_partition(d, id);
    if (p == NULL)
        made = ulv_policy_made(d, id);
    if (p == NULL ? made == NULL : p->kind != ULV_PARTITION_GUEST)
        return false;
    switch (of->kind) {
    case ULV_POLICY_OF_ALL:
        return true;
    case ULV_POLICY_OF_NAME:
        name = ulv_policy_renamed(d, id);
        if (name == NULL)
            name = p == NULL ? made->name : p->name;
        return ulv_policy_matches(of->pattern, name, 32);
    default:
        return ulv_policy_is_tagged(d, of, id);
    }
}

bool
ulv_policy_goes(const struct decision *d, ulv_id partition)
{
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->operations[i].kind == ULV_OP_DESTROY_PARTITION &&
            d->operations[i].u.destroy_partition.id == partition)
            return true;
    }
    return false;
}

ulv_status
ulv_policy_refuse(struct decision *d, const char *rule, uint64_t value,
                  uint64_t bound, const char *text)
{
    ulv_string_copy(d->said.rule, sizeof(d->said.rule), rule);
    return ulv_fail(d->diag, ULV_E_POLICY, d->said.object, value, bound, "%s",
                    text);
}

void
ulv_policy_say_refusal(struct decision *d)
{
    if (d->said.kind == 0)
        d->said.kind = ULV_DECISION_LIMIT;
    d->said.flags |= ULV_DECISION_REFUSED;
    d->said.object = d->diag->object;
    d->said.value = d->diag->value;
    d->said.bound = d->diag->bound;
    ulv_policy_say(d, d->diag->text);
}

/* ---- restarts ------------------------------------------------------------ */

/* The first that is of the guest; NULL: restarts_per_minute says it. */
static const struct ulv_policy_restart *
restart_rule(const struct decision *d, ulv_id guest)
{
    for (uint32_t i = 0; i < d->policy->restart_count; i++) {
        if (ulv_policy_selects(d, &d->policy->restart[i].of, guest))
            return &d->policy->restart[i];
    }
    return NULL;
}

ulv_status
ulv_policy_may_restart(struct decision *d, ulv_id guest, const char *name,
                       uint32_t restarts, uint32_t *ret_window)
{
    const struct ulv_policy_restart *r = restart_rule(d, guest);
    const char *rule = r == NULL ? "restarts_per_minute" : r->name;
    const uint32_t times = r == NULL ? d->policy->restarts : r->times;
    uint64_t window = ULV_RESTART_WINDOW / 1000000;
    struct ulv_text line;
    char text[160];

    *ret_window = r == NULL ? 0 : r->window;
    if (*ret_window != 0)
        window = *ret_window;
    ulv_policy_begin(d, ULV_DECISION_RESTARTS, guest);
    ulv_string_copy(d->said.rule, sizeof(d->said.rule), rule);
    if (restarts > times)
        return ulv_fail(d->diag, ULV_E_POLICY, guest, restarts, times,
                        "%s: %u restarts in %u ms asked, policy allows %u "
                        "(%s)",
                        name, (uint64_t)restarts, window, (uint64_t)times,
                        rule);
    if (r == NULL)
        return ULV_OK;
    d->said.chosen = restarts;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: starts again %u times in %u ms (%s)", name,
                    (uint64_t)restarts, window, rule);
    ulv_policy_say(d, text);
    return ULV_OK;
}

ulv_status
ulv_policy_restarts(struct decision *d, struct ulv_op_create_partition *op)
{
    const struct ulv_policy_restart *r = restart_rule(d, op->id);

    if (op->restarts == 0)
        op->restarts = r == NULL ? d->policy->restarts : r->times;
    return ulv_policy_may_restart(d, op->id, op->name, op->restarts,
                                  &op->restart_window);
}

/* ---- sums ---------------------------------------------------------------- */

#define MEMORY     0u
#define PROCESSORS 1u
#define CHANNELS   2u
#define DEVICES    3u
#define GUESTS     4u
#define RESOURCES  5u

/* What there is, what is added and what is given up. */
struct sum {
    uint64_t before, add, give;
};

static void
plus(uint64_t *sum, uint64_t n)
{
    if (!ulv_add_u64(*sum, n, sum))
        *sum = UINT64_MAX;
}

static uint64_t
after(const struct sum *s)
{
    uint64_t sum = s->before - ULV_MIN(s->before, s->give);

    plus(&sum, s->add);
    return sum;
}

/* Whom the sums are of: one guest, or all that a rule is of. */
struct whose {
    ulv_id guest; /* 0: as of says */
    const struct ulv_policy_selector *of;
};

static bool
is_of(const struct decision *d, const struct whose *w, ulv_id id)
{
    return w->guest != 0 ? w->guest == id : ulv_policy_selects(d, w->of, id);
}

static void
sum_channel(const struct decision *d, const struct whose *w, ulv_id channel,
            struct sum sums[RESOURCES])
{
    const struct ulv_channel_record *all = d->facts->channels;
    uint32_t low = 0, high = d->facts->channel_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (all[middle].id < channel)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == d->facts->channel_count || all[low].id != channel)
        return;
    /* what a guest has that goes is counted with it */
    if (is_of(d, w, all[low].client) &&
        !ulv_policy_goes(d, all[low].client)) {
        sums[CHANNELS].give++;
        sums[DEVICES].give += all[low].device != 0;
    }
    if (is_of(d, w, all[low].server) && !ulv_policy_goes(d, all[low].server))
        sums[CHANNELS].give++;
}

static void
sum_operation(const struct decision *d, const struct whose *w,
              const struct ulv_operation *o, struct sum sums[RESOURCES])
{
    switch (o->kind) {
    case ULV_OP_CREATE_PARTITION:
        sums[GUESTS].add += is_of(d, w, o->u.create_partition.id);
        break;
    case ULV_OP_ASSIGN_MEMORY:
        if (is_of(d, w, o->u.assign_memory.partition))
            plus(&sums[MEMORY].add, o->u.assign_memory.bytes);
        break;
    case ULV_OP_MOVE_MEMORY:
        if (is_of(d, w, o->u.move_memory.to))
            plus(&sums[MEMORY].add, o->u.move_memory.bytes);
        if (is_of(d, w, o->u.move_memory.partition) &&
            !ulv_policy_goes(d, o->u.move_memory.partition))
            plus(&sums[MEMORY].give, o->u.move_memory.bytes);
        break;
    case ULV_OP_RELEASE_MEMORY:
        if (is_of(d, w, o->u.release_memory.partition) &&
            !ulv_policy_goes(d, o->u.release_memory.partition))
            plus(&sums[MEMORY].give, o->u.release_memory.bytes);
        break;
    case ULV_OP_ASSIGN_PROCESSORS:
        if (is_of(d, w, o->u.assign_processors.partition))
            sums[PROCESSORS].add += o->u.assign_processors.count;
        break;
    case ULV_OP_ATTACH:
        if (is_of(d, w, o->u.attach.partition)) {
            sums[CHANNELS].add++;
            sums[DEVICES].add++;
        }
        break;
    case ULV_OP_CONNECT:
        sums[CHANNELS].add += is_of(d, w, o->u.connect.server);
        sums[CHANNELS].add += is_of(d, w, o->u.connect.client);
        break;
    case ULV_OP_REVOKE:
        sum_channel(d, w, o->u.revoke.channel, sums);
        break;
    default:
        break;
    }
}

static void
sum_record(const struct decision *d, const struct ulv_partition_record *p,
           struct sum sums[RESOURCES])
{
    bool goes = ulv_policy_goes(d, p->id);

    plus(&sums[MEMORY].before, p->memory_bytes);
    sums[PROCESSORS].before += p->processor_count;
    sums[CHANNELS].before += p->channel_count;
    sums[GUESTS].before++;
    if (!goes)
        return;
    plus(&sums[MEMORY].give, p->memory_bytes);
    sums[PROCESSORS].give += p->processor_count;
    sums[CHANNELS].give += p->channel_count;
    sums[GUESTS].give++;
}

static void
sum_up(const struct decision *d, const struct whose *w,
       struct sum sums[RESOURCES])
{
    const struct ulv_partition_record *p =
        w->guest == 0 ? NULL : ulv_policy_partition(d, w->guest);

    memset(sums, 0, RESOURCES * sizeof(*sums));
    if (p != NULL)
        sum_record(d, p, sums);
    for (uint32_t i = 0; w->guest == 0 && i < d->facts->partition_count; i++) {
        if (ulv_policy_selects(d, w->of, d->facts->partitions[i].id))
            sum_record(d, &d->facts->partitions[i], sums);
    }
    for (uint32_t i = 0; i < d->facts->channel_count; i++) {
        const struct ulv_channel_record *c = &d->facts->channels[i];

        if (c->device == 0 || !is_of(d, w, c->client))
            continue;
        sums[DEVICES].before++;
        sums[DEVICES].give += ulv_policy_goes(d, c->client);
    }
    for (uint32_t i = 0; i < d->count; i++)
        sum_operation(d, w, &d->operations[i], sums);
}

static void
bounds_of(const struct ulv_policy_limit *r, uint64_t bound[RESOURCES])
{
    const uint32_t of[RESOURCES] = { [PROCESSORS] = r->processors,
                                     [CHANNELS] = r->channels,
                                     [DEVICES] = r->devices,
                                     [GUESTS] = r->together != 0
                                                    ? r->guests
                                                    : ULV_POLICY_OPEN };

    bound[MEMORY] = r->memory;
    for (uint32_t i = PROCESSORS; i < RESOURCES; i++)
        bound[i] = of[i] == ULV_POLICY_OPEN ? UINT64_MAX : of[i];
}

/* Too much of one resource: in words. */
static ulv_status
too_much(struct decision *d, const struct ulv_policy_limit *r, ulv_id guest,
         uint32_t resource, const uint64_t value_bound[2])
{
    static const char *const what[] = { "memory", "processors", "channels",
                                        "devices", "guests" };
    const char *asked = d->review ? "there" : "asked";
    struct ulv_text line;
    char text[192];

    ulv_policy_begin(d, ULV_DECISION_LIMIT, guest);
    ulv_text_init(&line, text, sizeof(text));
    if (r->together != 0)
        ulv_text_format(&line, "%s together",
                        r->of.kind == ULV_POLICY_OF_ALL ? "all guests"
                                                        : r->of.pattern);
    else
        ulv_text_format(&line, "%s", ulv_policy_name(d, guest));
    if (resource == MEMORY)
        ulv_text_format(&line, ": %z %s, policy allows %z", value_bound[0],
                        asked, value_bound[1]);
    else
        ulv_text_format(&line, ": %u %s %s, policy allows %u",
                        value_bound[0], what[resource], asked, value_bound[1]);
    ulv_text_format(&line, "%s (%s)", r->together != 0 ? "" : " each",
                    r->name);
    return ulv_policy_refuse(d, r->name, value_bound[0], value_bound[1], text);
}

/* Whether somebody comes to be one of those the rule is of: then nothing need
 * grow. */
static bool
is_joined(const struct decision *d, const struct ulv_policy_limit *r)
{
    const bool by_name = r->of.kind == ULV_POLICY_OF_NAME;

    if (r->of.kind == ULV_POLICY_OF_ALL)
        return false;
    for (uint32_t i = 0; i < d->count; i++) {
        ulv_id object = by_name ? ulv_policy_renames(&d->operations[i])
                                : ulv_policy_tags(&d->operations[i]);

        if (object != 0 &&
            (ulv_policy_selects(d, &r->of, object) ||
             (!by_name && ulv_policy_partition(d, object) == NULL)))
            return true;
    }
    return false;
}

/* Of a guest, or of all that the rule is of: what grows beyond a bound. */
static ulv_status
check_sums(struct decision *d, const struct ulv_policy_limit *r, ulv_id guest,
           const struct sum sums[RESOURCES])
{
    bool anew = d->review || is_joined(d, r);
    uint64_t bound[RESOURCES];

    bounds_of(r, bound);
    for (uint32_t i = 0; i < RESOURCES; i++) {
        const uint64_t pair[2] = { after(&sums[i]), bound[i] };

        if (pair[0] > pair[1] && (anew || pair[0] > sums[i].before))
            return too_much(d, r, guest, i, pair);
    }
    return ULV_OK;
}

/* Each guest that gets something, once for each operation that gives it. */
static ulv_status
check_each(struct decision *d, ulv_id guest)
{
    const struct whose w = { .guest = guest };
    struct sum sums[RESOURCES];
    bool summed = false;

    for (uint32_t i = 0; i < d->policy->limit_count; i++) {
        const struct ulv_policy_limit *r = &d->policy->limit[i];
        ulv_status status;

        if (r->together != 0 || !ulv_policy_selects(d, &r->of, guest))
            continue;
        if (!summed)
            sum_up(d, &w, sums);
        summed = true;
        status = check_sums(d, r, guest, sums);
        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

static ulv_id
receiver(const struct ulv_operation *o, bool second)
{
    switch (o->kind) {
    case ULV_OP_ASSIGN_MEMORY:
        return second ? 0 : o->u.assign_memory.partition;
    case ULV_OP_MOVE_MEMORY:
        return second ? 0 : o->u.move_memory.to;
    case ULV_OP_ASSIGN_PROCESSORS:
        return second ? 0 : o->u.assign_processors.partition;
    case ULV_OP_ATTACH:
        return second ? 0 : o->u.attach.partition;
    case ULV_OP_CONNECT:
        return second ? o->u.connect.client : o->u.connect.server;
    case ULV_OP_CHANGE_PARTITION:
        return second ? 0 : ulv_policy_renames(o);
    default:
        return second ? 0 : ulv_policy_tags(o);
    }
}

static bool
was_checked(const struct decision *d, ulv_id guest)
{
    for (uint32_t i = 0; i < d->idx; i++) {
        if (receiver(&d->operations[i], false) == guest ||
            receiver(&d->operations[i], true) == guest)
            return true;
    }
    return false;
}

ulv_status
ulv_policy_check_limits(struct decision *d)
{
    ulv_status status = ULV_OK;

    if (d->policy->limit_count == 0)
        return ULV_OK;
    for (d->idx = 0; d->idx < d->count && status == ULV_OK; d->idx++) {
        ulv_id first = receiver(&d->operations[d->idx], false);
        ulv_id second = receiver(&d->operations[d->idx], true);

        if (first != 0 && !was_checked(d, first))
            status = check_each(d, first);
        if (status == ULV_OK && second != 0 && !was_checked(d, second))
            status = check_each(d, second);
    }
    d->idx = UINT32_MAX;
    for (uint32_t i = 0; i < d->policy->limit_count && status == ULV_OK; i++) {
        const struct ulv_policy_limit *r = &d->policy->limit[i];
        const struct whose w = { .of = &r->of };
        struct sum sums[RESOURCES];

        if (r->together == 0)
            continue;
        sum_up(d, &w, sums);
        status = check_sums(d, r, 0, sums);
    }
    return status;
}

void
ulv_policy_review_limits(struct decision *d, ulv_policy_find *find,
                         uint32_t *count)
{
    for (uint32_t i = 0; i < d->policy->limit_count; i++) {
        const struct ulv_policy_limit *r = &d->policy->limit[i];
        struct whose w = { .of = &r->of };
        struct sum sums[RESOURCES];

        if (r->together != 0) {
            sum_up(d, &w, sums);
            find(d, check_sums(d, r, 0, sums), count);
        }
        for (uint32_t k = 0;
             r->together == 0 && k < d->facts->partition_count; k++) {
            w.guest = d->facts->partitions[k].id;
            if (!ulv_policy_selects(d, &r->of, w.guest))
                continue;
            sum_up(d, &w, sums);
            find(d, check_sums(d, r, w.guest, sums), count);
        }
    }
}
