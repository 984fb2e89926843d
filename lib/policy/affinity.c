/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Who is where, and what follows from that: guests that are to be apart or
 * together, and what is held back for some.
 */
#include "policy/policy_priv.h"

/* A guest is on something: as the facts have it, or by an operation of this
 * transaction that is decided already. */
struct entry {
    ulv_id guest;
    uint64_t what, other, bytes;
    const struct ulv_processor_record *processor;
};

/* ---- who is where -------------------------------------------------------- */

static bool
on_node(const struct decision *d, uint32_t at, struct entry *ret)
{
    const struct ulv_policy_facts *facts = d->facts;
    const struct ulv_operation *o;

    if (at < facts->home_count) {
        ret->guest = facts->homes[at].partition;
        ret->what = facts->homes[at].node;
        ret->bytes = facts->homes[at].bytes;
        return ret->bytes != 0;
    }
    o = &d->operations[at - facts->home_count];
    if (o->kind != ULV_OP_ASSIGN_MEMORY ||
        o->u.assign_memory.node == ULV_NODE_ANY ||
        at - facts->home_count == d->idx)
        return false;
    ret->guest = o->u.assign_memory.partition;
    ret->what = o->u.assign_memory.node;
    ret->bytes = o->u.assign_memory.bytes;
    return true;
}

static const struct ulv_device_record *
find_device(const struct decision *d, ulv_id id)
{
    const struct ulv_device_record *all = d->facts->devices;
    uint32_t low = 0, high = d->facts->device_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (all[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < d->facts->device_count && all[low].id == id ? &all[low]
                                                             : NULL;
}

/* Who serves a device, also one that this transaction offers. */
static bool
served(const struct decision *d, ulv_id device, struct entry *ret)
{
    const struct ulv_device_record *found = find_device(d, device);

    if (found != NULL) {
        ret->what = found->serving;
        ret->other = found->standby;
        return true;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_operation *o = &d->operations[i];

        if (o->kind != ULV_OP_OFFER || o->u.offer.id != device || i == d->idx)
            continue;
        ret->what = o->u.offer.primary;
        ret->other = o->u.offer.standby;
        return ret->what != 0;
    }
    return false;
}

static bool
on_io(const struct decision *d, uint32_t at, struct entry *ret)
{
    const struct ulv_policy_facts *facts = d->facts;
    const struct ulv_operation *o;

    if (at < facts->channel_count) {
        ret->guest = facts->channels[at].client;
        return facts->channels[at].device != 0 &&
               served(d, facts->channels[at].device, ret);
    }
    o = &d->operations[at - facts->channel_count];
    ret->guest = o->u.attach.partition;
    return o->kind == ULV_OP_ATTACH && served(d, o->u.attach.device, ret);
}

static const struct ulv_processor_record *
find_processor(const struct decision *d, ulv_id id)
{
    for (uint32_t i = 0; i < d->facts->processor_count; i++) {
        if (d->facts->processors[i].id == id)
            return &d->facts->processors[i];
    }
    return NULL;
}

static bool
on_processor(const struct decision *d, uint32_t at, struct entry *ret)
{
    const struct ulv_policy_facts *facts = d->facts;
    const struct ulv_operation *o;

    if (at < facts->seat_count) {
        ret->guest = facts->seats[at].partition;
        ret->what = facts->seats[at].processor;
    } else {
        o = &d->operations[at - facts->seat_count];
        if (o->kind != ULV_OP_ASSIGN_PROCESSORS ||
            o->u.assign_processors.processor == 0 ||
            at - facts->seat_count == d->idx)
            return false;
        ret->guest = o->u.assign_processors.partition;
        ret->what = o->u.assign_processors.processor;
    }
    ret->processor = find_processor(d, ret->what);
    return ret->processor != NULL;
}

/* The next of them all; false: there is none. */
static bool
next_entry(const struct decision *d, uint32_t over, uint32_t *at,
           struct entry *ret)
{
    uint32_t end = d->count;

    if (over == ULV_POLICY_OVER_NODE)
        end += d->facts->home_count;
    else if (over == ULV_POLICY_OVER_IO || over == ULV_POLICY_OVER_PAIR)
        end += d->facts->channel_count;
    else
        end += d->facts->seat_count;
    while (*at < end) {
        uint32_t idx = (*at)++;
        bool is;

        memset(ret, 0, sizeof(*ret));
        if (over == ULV_POLICY_OVER_NODE)
            is = on_node(d, idx, ret);
        else if (over == ULV_POLICY_OVER_IO || over == ULV_POLICY_OVER_PAIR)
            is = on_io(d, idx, ret);
        else
            is = on_processor(d, idx, ret);
        if (is)
            return true;
    }
    return false;
}

static bool
is_there(const struct place *place, const struct entry *e, uint32_t over)
{
    switch (over) {
    case ULV_POLICY_OVER_PAIR:
        return (e->what == place->what && e->other == place->other) ||
               (e->what == place->other && e->other == place->what);
    case ULV_POLICY_OVER_PACKAGE:
        return e->processor->package == place->processor->package;
    case ULV_POLICY_OVER_CORE:
        return e->processor->package == place->processor->package &&
               e->processor->core == place->processor->core;
    default:
        return e->what == place->what;
    }
}

uint64_t
ulv_policy_peers(const struct decision *d,
                 const struct ulv_policy_selector *of, ulv_id but,
                 const struct place *place, uint32_t over)
{
    struct entry e;
    uint64_t count = 0;
    uint32_t at = 0;

    while (next_entry(d, over, &at, &e)) {
        if (e.guest != but && is_there(place, &e, over) &&
            ulv_policy_selects(d, of, e.guest) && !ulv_policy_goes(d, e.guest))
            count++;
    }
    return count;
}

/* ---- apart and together -------------------------------------------------- */

/* The guest, by a rule that it is on one side of, or on both. */
struct side {
    const struct ulv_policy_affinity *rule;
    ulv_id guest;
    bool in_a, in_b;
};

static bool
has_side(const struct decision *d, const struct ulv_policy_affinity *rule,
         ulv_id guest, struct side *ret)
{
    ret->rule = rule;
    ret->guest = guest;
    ret->in_a = ulv_policy_selects(d, &rule->a, guest);
    ret->in_b = ulv_policy_selects(d, &rule->b, guest);
    return ret->in_a || ret->in_b;
}

static bool
concerns(const struct decision *d, const struct side *s, ulv_id other)
{
    return other != s->guest &&
           ((s->in_a && ulv_policy_selects(d, &s->rule->b, other)) ||
            (s->in_b && ulv_policy_selects(d, &s->rule->a, other))) &&
           !ulv_policy_goes(d, other);
}

/* Who is in the way, or whom it should be with: 0: nobody. */
static ulv_id
breaks(const struct decision *d, const struct side *s,
       const struct place *place)
{
    struct entry e;
    uint32_t at = 0;
    ulv_id elsewhere = 0;

    while (next_entry(d, s->rule->over, &at, &e)) {
        bool there = is_there(place, &e, s->rule->over);

        if (s->rule->apart != 0 && !there)
            continue;
        if (!concerns(d, s, e.guest))
            continue;
        if (s->rule->apart != 0)
            return e.guest;
        if (there)
            return 0;
        elsewhere = e.guest;
    }
    return elsewhere;
}

static bool
is_over(const struct place *place, uint32_t over)
{
    for (uint32_t i = 0; i < place->over_count; i++) {
        if (place->over[i] == over)
            return true;
    }
    return false;
}

bool
ulv_policy_admits(const struct decision *d, ulv_id guest,
                  const struct place *place,
                  struct ulv_policy_candidate *candidate, uint32_t *ret_missed)
{
    *ret_missed = 0;
    for (uint32_t i = 0; i < d->policy->affinity_count; i++) {
        const struct ulv_policy_affinity *rule = &d->policy->affinity[i];
        struct side s;
        ulv_id who;

        if (!is_over(place, rule->over) || !has_side(d, rule, guest, &s))
            continue;
        who = breaks(d, &s, place);
        if (who == 0)
            continue;
        if (rule->prefer != 0) {
            (*ret_missed)++;
            continue;
        }
        candidate->verdict = rule->apart != 0 ? ULV_CANDIDATE_APART
                                              : ULV_CANDIDATE_TOGETHER;
        candidate->value = who;
        candidate->bound = 0;
        ulv_string_copy(candidate->rule, sizeof(candidate->rule), rule->name);
        return false;
    }
    return true;
}

bool
ulv_policy_is_bound(const struct decision *d, ulv_id guest, uint32_t over)
{
    for (uint32_t i = 0; i < d->policy->affinity_count; i++) {
        const struct ulv_policy_affinity *rule = &d->policy->affinity[i];
        struct side s;

        if (rule->prefer == 0 && (over & 1u << rule->over) != 0 &&
            has_side(d, rule, guest, &s))
            return true;
    }
    return false;
}

/* ---- reservations -------------------------------------------------------- */

/* What those that it is for have of it already. */
static uint64_t
used_of(const struct decision *d, const struct ulv_policy_reservation *r)
{
    struct entry e;
    uint64_t bytes = 0;
    uint32_t at = 0;

    if (r->of.kind == ULV_POLICY_OF_NONE)
        return 0;
    while (next_entry(d, ULV_POLICY_OVER_NODE, &at, &e)) {
        if (e.what == r->node && ulv_policy_selects(d, &r->of, e.guest) &&
            !ulv_add_u64(bytes, e.bytes, &bytes))
            return UINT64_MAX;
    }
    return bytes;
}

uint64_t
ulv_policy_held(const struct decision *d, ulv_id guest, uint32_t node,
                const struct ulv_policy_reservation **ret)
{
    uint64_t held = 0;

    for (uint32_t i = 0; i < d->policy->reservation_count; i++) {
        const struct ulv_policy_reservation *r = &d->policy->reservation[i];
        uint64_t used;

        if (r->node != node || r->memory == 0 ||
            ulv_policy_selects(d, &r->of, guest))
            continue;
        used = used_of(d, r);
        if (used >= r->memory)
            continue;
        *ret = r;
        if (!ulv_add_u64(held, r->memory - used, &held))
            return UINT64_MAX;
    }
    return held;
}

/* Processors that those it is for have for themselves there. */
static uint32_t
seats_of(const struct decision *d, const struct ulv_policy_reservation *r)
{
    struct entry e;
    uint32_t at = 0, count = 0;

    if (r->of.kind == ULV_POLICY_OF_NONE)
        return 0;
    while (next_entry(d, ULV_POLICY_OVER_PROCESSOR, &at, &e))
        count += e.processor->node == r->node &&
                 ulv_policy_selects(d, &r->of, e.guest);
    return count;
}

uint32_t
ulv_policy_held_processors(const struct decision *d, ulv_id guest,
                           uint32_t node,
                           const struct ulv_policy_reservation **ret)
{
    uint32_t held = 0;

    for (uint32_t i = 0; i < d->policy->reservation_count; i++) {
        const struct ulv_policy_reservation *r = &d->policy->reservation[i];
        uint32_t used;

        if (r->node != node || r->processors == 0 ||
            ulv_policy_selects(d, &r->of, guest))
            continue;
        used = seats_of(d, r);
        if (used >= r->processors)
            continue;
        *ret = r;
        held += ULV_MIN(r->processors - used, 0xffffu);
    }
    return held;
}

/* ---- as it is now -------------------------------------------------------- */

static struct place
place_of(const struct entry *e, uint32_t over)
{
    const struct place place = { .what = e->what,
                                 .other = e->other,
                                 .processor = e->processor,
                                 .over = { over },
                                 .over_count = 1 };

    return place;
}

static ulv_status
broken(struct decision *d, const struct side *s, const struct entry *e,
       ulv_id who)
{
    static const char *const over[] = { "node", "serving partition", "pair",
                                        "package", "core", "processor" };
    bool apart = s->rule->apart != 0;

    ulv_policy_begin(d,
                     s->rule->over == ULV_POLICY_OVER_NODE ? ULV_DECISION_NODE
                     : s->rule->over <= ULV_POLICY_OVER_PAIR
                         ? ULV_DECISION_SIDE
                         : ULV_DECISION_PROCESSOR,
                     e->guest);
    ulv_string_copy(d->said.rule, sizeof(d->said.rule), s->rule->name);
    d->said.chosen = who;
    return ulv_fail(d->diag, ULV_E_POLICY, e->guest, e->what, who,
                    "%s and %s are %s one %s (%s)",
                    ulv_policy_name(d, e->guest), ulv_policy_name(d, who),
                    apart ? "on" : "not on", over[s->rule->over],
                    s->rule->name);
}

void
ulv_policy_review_affinity(struct decision *d, ulv_policy_find *find,
                           uint32_t *count)
{
    for (uint32_t i = 0; i < d->policy->affinity_count; i++) {
        const struct ulv_policy_affinity *rule = &d->policy->affinity[i];
        struct entry e;
        uint32_t at = 0;

        while (rule->prefer == 0 && next_entry(d, rule->over, &at, &e)) {
            const struct place place = place_of(&e, rule->over);
            struct side s;
            ulv_id who;

            if (!has_side(d, rule, e.guest, &s))
                continue;
            who = breaks(d, &s, &place);
            /* two that are on one are told once */
            if (who != 0 && (rule->apart == 0 || who > e.guest))
                find(d, broken(d, &s, &e, who), count);
        }
    }
}
