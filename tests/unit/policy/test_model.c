/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The decisions beside a second, plain procedure: a table of who has how much
 * on which node, and each rule read off it as doc/policy.md says it. Random
 * small hosts, policies and transactions; a difference prints its seed.
 */
#include "policy_test.h"

#define GUESTS  6u /* the first three are there */
#define THERE   3u
#define NODES   3u
#define MEBIS   64u
#define NOWHERE UINT32_MAX

static const char *const names[GUESTS] = { "db-1", "web-1", "web-2",
                                           "db-2", "web-3", "x" };

/* What the model knows. */
struct model {
    uint64_t has[GUESTS][NODES]; /* [MiB] */
    uint64_t pieces[GUESTS][NODES];
    uint64_t free[NODES];
    bool gone[GUESTS];
};

struct asked {
    uint32_t guest, node;
    uint64_t mebis;
    uint32_t expected; /* node, or NOWHERE: refused */
    bool gathers;      /* or it is left open */
};

static ulv_id
id_of(uint32_t guest)
{
    return 20 + guest;
}

static bool
is_of(const struct ulv_policy_selector *of, uint32_t guest)
{
    const char *pattern = of->pattern;
    size_t len = strlen(pattern);

    if (of->kind == ULV_POLICY_OF_ALL)
        return true;
    if (of->kind == ULV_POLICY_OF_NONE)
        return false;
    if (len > 0 && pattern[len - 1] == '*')
        return strncmp(pattern, names[guest], len - 1) == 0;
    return strcmp(pattern, names[guest]) == 0;
}

/* ---- the model's rules --------------------------------------------------- */

/* What a guest that is not of it may not have of the node. */
static uint64_t
held(const struct ulv_policy *p, const struct model *m, uint32_t guest,
     uint32_t node)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < p->reservation_count; i++) {
        const struct ulv_policy_reservation *r = &p->reservation[i];
        uint64_t used = 0, all = r->memory / ULV_MIB(1);

        if (r->node != node || is_of(&r->of, guest))
            continue;
        for (uint32_t g = 0; g < GUESTS; g++)
            used += is_of(&r->of, g) ? m->has[g][node] : 0;
        sum += used < all ? all - used : 0;
    }
    return sum;
}

static bool
related(const struct ulv_policy_affinity *r, uint32_t guest, uint32_t other)
{
    return (is_of(&r->a, guest) && is_of(&r->b, other)) ||
           (is_of(&r->b, guest) && is_of(&r->a, other));
}

static bool
keeps(const struct ulv_policy_affinity *r, const struct model *m,
      uint32_t guest, uint32_t node)
{
    bool here = false, somewhere = false;

    for (uint32_t g = 0; g < GUESTS; g++) {
        if (g == guest || m->gone[g] || !related(r, guest, g))
            continue;
        here |= m->has[g][node] != 0;
        for (uint32_t n = 0; n < NODES; n++)
            somewhere |= m->has[g][n] != 0;
    }
    return r->apart != 0 ? !here : here || !somewhere;
}

/* Rules that must be kept are; *missed counts the others. */
static bool
may_be(const struct ulv_policy *p, const struct model *m, uint32_t guest,
       uint32_t node, uint32_t *missed)
{
    *missed = 0;
    for (uint32_t i = 0; i < p->affinity_count; i++) {
        const struct ulv_policy_affinity *r = &p->affinity[i];

        if (keeps(r, m, guest, node))
            continue;
        if (r->prefer == 0)
            return false;
        ++*missed;
    }
    return true;
}

static const struct ulv_policy_placement *
placement_of(const struct ulv_policy *p, uint32_t guest)
{
    for (uint32_t i = 0; i < p->placement_count; i++) {
        if (is_of(&p->placement[i].of, guest))
            return &p->placement[i];
    }
    return NULL;
}

/* Whether node a is better than b for the guest, missing as many rules. */
static bool
is_better(const struct ulv_policy *p, const struct model *m,
          const struct asked *o, uint32_t a, uint32_t b)
{
    const struct ulv_policy_placement *r = placement_of(p, o->guest);
    uint64_t peers[2] = { 0, 0 };

    if (r == NULL)
        return p->node == ULV_POLICY_NODE_MOST_FREE && m->free[a] > m->free[b];
    switch (r->node) {
    case ULV_POLICY_NODE_PACK:
        return m->free[a] < m->free[b];
    case ULV_POLICY_NODE_SPREAD:
        for (uint32_t g = 0; g < GUESTS; g++) {
            bool counts = g != o->guest && !m->gone[g] && is_of(&r->of, g);

            peers[0] += counts ? m->pieces[g][a] : 0;
            peers[1] += counts ? m->pieces[g][b] : 0;
        }
        return peers[0] != peers[1] ? peers[0] < peers[1]
                                    : m->free[a] > m->free[b];
    case ULV_POLICY_NODE_MOST_FREE:
        return m->free[a] * r->weight[a] > m->free[b] * r->weight[b];
    default:
        return false;
    }
}

/* Where it goes, or why it does not. */
static void
decide(const struct ulv_policy *p, struct model *m, struct asked *o)
{
    uint32_t best = NOWHERE, best_missed = 0, missed = 0;
    bool ruled = false;

    for (uint32_t i = 0; i < p->affinity_count; i++)
        ruled |= p->affinity[i].prefer == 0 &&
                 (is_of(&p->affinity[i].a, o->guest) ||
                  is_of(&p->affinity[i].b, o->guest));
    for (uint32_t n = 0; n < NODES; n++) {
        uint64_t left = m->free[n] - ULV_MIN(held(p, m, o->guest, n),
                                             m->free[n]);

        if (o->node != ULV_NODE_ANY && o->node != n)
            continue;
        if (m->free[n] < o->mebis && o->node == ULV_NODE_ANY)
            continue; /* there is no room */
        if (m->free[n] >= o->mebis &&
            (left < o->mebis || !may_be(p, m, o->guest, n, &missed))) {
            ruled = true;
            continue;
        }
        if (o->node == n) {
            best = n; /* asked for: room is the ultravisor's to say */
            break;
        }
        if (best == NOWHERE || missed < best_missed ||
            (missed == best_missed && is_better(p, m, o, n, best))) {
            best = n;
            best_missed = missed;
        }
    }
    o->gathers = best == NOWHERE && o->node == ULV_NODE_ANY && !ruled;
    o->expected = best;
    if (best == NOWHERE)
        return;
    m->has[o->guest][best] += o->mebis;
    m->pieces[o->guest][best]++;
    m->free[best] -= ULV_MIN(m->free[best], o->mebis);
}

/* Whether all limits hold, of those that have grown. */
static bool
limits_hold(const struct ulv_policy *p, const uint64_t before[GUESTS],
            const uint64_t after[GUESTS])
{
    for (uint32_t i = 0; i < p->limit_count; i++) {
        const struct ulv_policy_limit *r = &p->limit[i];
        uint64_t sums[2] = { 0, 0 };

        for (uint32_t g = 0; g < GUESTS; g++) {
            if (!is_of(&r->of, g))
                continue;
            sums[0] += before[g];
            sums[1] += after[g];
            if (r->together == 0 && after[g] > before[g] &&
                after[g] * ULV_MIB(1) > r->memory)
                return false;
        }
        if (r->together != 0 && sums[1] > sums[0] &&
            sums[1] * ULV_MIB(1) > r->memory)
            return false;
    }
    return true;
}

/* ---- random hosts and policies ------------------------------------------- */

static uint32_t
pick(uint64_t *seed, uint32_t bound)
{
    return (uint32_t)(random_next(seed) % bound);
}

static void
random_selector(uint64_t *seed, struct ulv_policy_selector *of)
{
    static const char *const patterns[] = { "db*", "web*", "x", "web-1", "*" };

    memset(of, 0, sizeof(*of));
    if (pick(seed, 6) == 0)
        return; /* all */
    of->kind = ULV_POLICY_OF_NAME;
    strcpy(of->pattern, patterns[pick(seed, 5)]);
}

static void
random_policy(uint64_t *seed, struct ulv_policy *p)
{
    ulv_policy_default(p);
    p->node = pick(seed, 2);
    p->limit_count = pick(seed, 3);
    p->placement_count = pick(seed, 3);
    p->affinity_count = pick(seed, 3);
    p->reservation_count = pick(seed, 3);
    for (uint32_t i = 0; i < 2; i++) {
        struct ulv_policy_limit *l = &p->limit[i];
        struct ulv_policy_placement *n = &p->placement[i];
        struct ulv_policy_affinity *a = &p->affinity[i];
        struct ulv_policy_reservation *r = &p->reservation[i];

        random_selector(seed, &l->of);
        l->memory = ULV_MIB(pick(seed, 2 * MEBIS));
        l->processors = l->channels = l->devices = l->guests = ULV_POLICY_OPEN;
        l->together = pick(seed, 2);
        random_selector(seed, &n->of);
        n->node = pick(seed, 4);
        n->side = ULV_POLICY_OPEN;
        for (uint32_t k = 0; k < 64; k++)
            n->weight[k] = (uint16_t)pick(seed, 4);
        random_selector(seed, &a->a);
        random_selector(seed, &a->b);
        a->apart = pick(seed, 2);
        a->prefer = pick(seed, 2);
        random_selector(seed, &r->of);
        if (pick(seed, 3) == 0)
            r->of.kind = ULV_POLICY_OF_NONE;
        r->node = pick(seed, NODES);
        r->memory = ULV_MIB(pick(seed, MEBIS));
        strcpy(l->name, "l");
        strcpy(n->name, "n");
        strcpy(a->name, "a");
        strcpy(r->name, "r");
    }
    assert_int_equal(ulv_policy_check(p, sizeof(*p), NULL), ULV_OK);
}

/* The same host for both. */
static void
random_host(uint64_t *seed, struct world *w, struct model *m)
{
    memset(m, 0, sizeof(*m));
    world_begin(w);
    w->facts.partition_count = 0;
    memset(w->partitions, 0, sizeof(w->partitions));
    for (uint32_t g = 0; g < THERE; g++) {
        struct ulv_partition_record *p = world_partition(
            w, id_of(g), ULV_PARTITION_GUEST, names[g]);

        for (uint32_t n = 0; n < NODES; n++) {
            struct ulv_policy_home *home;

            if (pick(seed, 3) != 0)
                continue;
            m->has[g][n] = 1 + pick(seed, MEBIS);
            m->pieces[g][n] = 1;
            p->memory_bytes += ULV_MIB(m->has[g][n]);
            home = &w->homes[w->facts.home_count++];
            home->partition = id_of(g);
            home->node = n;
            home->bytes = ULV_MIB(m->has[g][n]);
        }
    }
    w->facts.node_count = NODES;
    for (uint32_t n = 0; n < NODES; n++) {
        m->free[n] = pick(seed, 2 * MEBIS);
        w->nodes[n].id = 40 + n;
        w->nodes[n].node = n;
        w->nodes[n].free_bytes = ULV_MIB(m->free[n]);
    }
}

static void
total(const struct model *m, uint64_t ret[GUESTS])
{
    for (uint32_t g = 0; g < GUESTS; g++) {
        ret[g] = 0;
        for (uint32_t n = 0; n < NODES; n++)
            ret[g] += m->has[g][n];
    }
}

/* New guests are made, one may go, and memory is asked for; at most one
 * operation names a node, and that is the last, since what it takes is counted
 * before. */
static void
one_round(uint64_t number, uint32_t counts[4])
{
    uint64_t seed = number;
    struct ulv_operation o[8];
    struct asked asked[3];
    uint64_t before[GUESTS], after[GUESTS];
    struct model m;
    struct world w;
    uint32_t count = 0, first, asks = 1 + pick(&seed, 3);
    ulv_status status, expected = ULV_OK;
    bool gathers = false;

    random_host(&seed, &w, &m);
    random_policy(&seed, &w.policy);
    total(&m, before);
    for (uint32_t g = THERE; g < GUESTS; g++)
        o[count++] = op_create(id_of(g), names[g]);
    first = count;
    for (uint32_t i = 0; i < asks; i++) {
        asked[i].guest = pick(&seed, GUESTS);
        asked[i].mebis = 1 + pick(&seed, MEBIS);
        asked[i].node = ULV_NODE_ANY;
        if (i == 0 && asks == 1 && pick(&seed, 4) == 0)
            asked[i].node = pick(&seed, NODES);
        o[count++] = op_memory(id_of(asked[i].guest),
                               ULV_MIB(asked[i].mebis), asked[i].node);
    }
    for (uint32_t i = 0; i < asks && expected == ULV_OK; i++) {
        decide(&w.policy, &m, &asked[i]);
        gathers |= asked[i].gathers;
        if (asked[i].expected == NOWHERE && !asked[i].gathers)
            expected = ULV_E_POLICY;
        if (asked[i].gathers)
            break; /* where it comes from is not decided here */
    }
    status = world_decide(&w, o, count);
    total(&m, after);
    if (gathers) {
        counts[3]++;
        return;
    }
    if (expected == ULV_OK && !limits_hold(&w.policy, before, after)) {
        expected = ULV_E_POLICY;
        counts[2]++;
    }
    if (status != expected)
        fail_msg("seed %llu: %d, the model says %d: %s",
                 (unsigned long long)number, (int)status, (int)expected,
                 status == ULV_OK ? w.lines[0] : w.diag.text);
    counts[expected == ULV_OK ? 0 : 1]++;
    for (uint32_t i = 0; i < asks && expected == ULV_OK; i++)
        assert_int_equal(o[first + i].u.assign_memory.node,
                         asked[i].node != ULV_NODE_ANY ? asked[i].node
                                                       : asked[i].expected);
}

static void
test_policy_model__decides_the_same(void **state)
{
    uint32_t counts[4] = { 0, 0, 0, 0 };
    uint64_t seed = 20;

    (void)state;
    for (uint32_t n = 0; n < 40000; n++) {
        if (n % 10000 == 0)
            print_message("# seed %llu\n", (unsigned long long)(seed + n));
        one_round(seed + n, counts);
    }
    print_message("# %u taken, %u refused (%u by limits), %u gathered\n",
                  counts[0], counts[1], counts[2], counts[3]);
    assert_true(counts[0] > 4000 && counts[1] > 4000 && counts[2] > 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_model__decides_the_same),
    };

    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
