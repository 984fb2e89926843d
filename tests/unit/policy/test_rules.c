/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Each kind of rule: what it refuses, chooses and says. */
#include "policy_test.h"

#include "../database/operations.h"

static struct ulv_policy_limit *
add_limit(struct world *w, const char *name, const char *of, uint32_t together)
{
    struct ulv_policy_limit *r = &w->policy.limit[w->policy.limit_count++];

    memset(r, 0, sizeof(*r));
    ulv_string_copy(r->name, 32, name);
    r->of.kind = of[0] == '\0' ? ULV_POLICY_OF_ALL : ULV_POLICY_OF_NAME;
    ulv_string_copy(r->of.pattern, 32, of);
    r->memory = UINT64_MAX;
    r->processors = r->channels = r->devices = r->guests = ULV_POLICY_OPEN;
    r->together = together;
    return r;
}

static struct ulv_policy_affinity *
add_affinity(struct world *w, const char *name, const char *a, const char *b,
             uint32_t over)
{
    struct ulv_policy_affinity *r =
        &w->policy.affinity[w->policy.affinity_count++];

    memset(r, 0, sizeof(*r));
    ulv_string_copy(r->name, 32, name);
    r->a.kind = r->b.kind = ULV_POLICY_OF_NAME;
    ulv_string_copy(r->a.pattern, 32, a);
    ulv_string_copy(r->b.pattern, 32, b);
    r->over = over;
    return r;
}

static void
add_home(struct world *w, ulv_id partition, uint32_t node, uint64_t bytes)
{
    struct ulv_policy_home *home = &w->homes[w->facts.home_count++];

    home->partition = partition;
    home->node = node;
    home->bytes = bytes;
}

static const struct ulv_policy_candidate *
find_candidate(const struct ulv_policy_decision *d, uint64_t what)
{
    for (uint32_t i = 0; i < d->candidate_count; i++) {
        if (d->candidate[i].what == what)
            return &d->candidate[i];
    }
    fail_msg("no candidate %d", (int)what);
    return NULL;
}

/* ---- limits -------------------------------------------------------------- */

static void
test_policy_rules__a_limit_of_each(void **state)
{
    struct ulv_operation o[2];
    struct world w;

    (void)state;
    world_begin(&w);
    add_limit(&w, "small", "web*", 0)->memory = ULV_MIB(300);
    o[0] = op_memory(GUEST, ULV_MIB(44), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
    o[0] = op_memory(GUEST, ULV_MIB(44) + 4096, ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
    assert_int_equal(w.diag.object, GUEST);
    assert_int_equal(w.diag.value, ULV_MIB(300) + 4096);
    assert_int_equal(w.diag.bound, ULV_MIB(300));
    assert_string_equal(w.diag.text, "web: 307204 KiB asked, policy allows "
                                     "300 MiB each (small)");
    assert_string_equal(w.refused.rule, "small");
    assert_int_equal(w.refused.kind, ULV_DECISION_LIMIT);
    assert_int_equal(w.refused.operation_idx, 0);
    /* of others it says nothing */
    o[0] = op_create(FRESH, "db");
    o[1] = op_memory(FRESH, ULV_MIB(400), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    o[0] = op_create(FRESH, "web-2");
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_int_equal(w.refused.operation_idx, 1);
}

static void
test_policy_rules__what_is_given_up_makes_room(void **state)
{
    struct ulv_operation o[2];
    struct world w;

    (void)state;
    world_begin(&w);
    add_limit(&w, "small", "", 0)->memory = ULV_MIB(100);
    /* it has 256 MiB: too much, and it may give up some */
    o[0] = (struct ulv_operation){ .kind = ULV_OP_RELEASE_MEMORY };
    o[0].u.release_memory.partition = GUEST;
    o[0].u.release_memory.bytes = ULV_MIB(64);
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
    o[1] = op_memory(GUEST, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    o[1] = op_memory(GUEST, ULV_MIB(64) + 4096, ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    /* as much as it likes to say it gives up is what it has, at most */
    o[0].u.release_memory.bytes = UINT64_MAX;
    o[1] = op_memory(GUEST, ULV_MIB(257), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
}

static void
test_policy_rules__a_limit_of_all_together(void **state)
{
    struct ulv_policy_limit *limit;
    struct ulv_operation o[4];
    struct world w;

    (void)state;
    world_begin(&w);
    limit = add_limit(&w, "all-web", "web*", 1);
    limit->memory = ULV_MIB(300);
    limit->guests = 2;
    o[0] = op_create(FRESH, "web-2");
    o[1] = op_memory(FRESH, ULV_MIB(44), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    o[1] = op_memory(FRESH, ULV_MIB(45), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_string_equal(w.diag.text, "web* together: 301 MiB asked, policy "
                                     "allows 300 MiB (all-web)");
    o[1] = op_create(FRESH + 1, "web-3");
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_int_equal(w.diag.value, 3);
    assert_int_equal(w.diag.bound, 2);
    /* unless one goes, and what it has with it */
    o[2] = (struct ulv_operation){ .kind = ULV_OP_DESTROY_PARTITION };
    o[2].u.destroy_partition.id = GUEST;
    o[3] = op_memory(FRESH, ULV_MIB(300), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 4), ULV_OK);
}

static void
test_policy_rules__channels_and_devices(void **state)
{
    struct ulv_operation o[3] = { { .kind = ULV_OP_ATTACH },
                                  { .kind = ULV_OP_CONNECT },
                                  { .kind = ULV_OP_REVOKE } };
    struct ulv_policy_limit *limit;
    struct world w;

    (void)state;
    world_begin(&w);
    limit = add_limit(&w, "few", "", 0);
    w.partitions[2].channel_count = 2;
    w.facts.channel_count = 2;
    w.channels[0].id = 60;
    w.channels[0].client = GUEST;
    w.channels[0].device = 70;
    w.channels[1].id = 61;
    w.channels[1].client = IO_A;
    w.channels[1].server = GUEST;
    o[0].u.attach.partition = GUEST;
    o[1].u.connect.client = GUEST;
    o[1].u.connect.server = IO_A;
    o[2].u.revoke.channel = 61;
    limit->devices = 1;
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
    assert_string_equal(w.diag.text, "web: 2 devices asked, policy allows 1 "
                                     "each (few)");
    limit->devices = 2;
    limit->channels = 3;
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_int_equal(w.diag.value, 4);
    assert_int_equal(world_decide(&w, o, 3), ULV_OK); /* one is given up */
    o[2].u.revoke.channel = 62; /* there is none */
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
}

/* ---- where --------------------------------------------------------------- */

static void
test_policy_rules__apart_over_nodes(void **state)
{
    struct ulv_operation o[3];
    struct world w;

    (void)state;
    world_begin(&w);
    add_affinity(&w, "spread-web", "web*", "web*", ULV_POLICY_OVER_NODE)
        ->apart = 1;
    add_home(&w, GUEST, 1, ULV_MIB(256));
    o[0] = op_create(FRESH, "web-2");
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 0); /* 1 has most free */
    assert_int_equal(w.said.kind, ULV_DECISION_NODE);
    assert_int_equal(w.said.chosen, 0);
    assert_int_equal(w.said.object, FRESH);
    assert_int_equal(w.said.candidate_count, 2);
    assert_int_equal(find_candidate(&w.said, 0)->verdict,
                     ULV_CANDIDATE_TAKEN);
    assert_int_equal(find_candidate(&w.said, 1)->verdict,
                     ULV_CANDIDATE_APART);
    assert_int_equal(find_candidate(&w.said, 1)->value, GUEST);
    assert_string_equal(find_candidate(&w.said, 1)->rule, "spread-web");
    /* its own memory is not in its way */
    o[0] = op_memory(GUEST, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
    assert_int_equal(o[0].u.assign_memory.node, 1);
    /* a third has no node, and is told why; nor has one that asks */
    add_home(&w, GUEST, 0, 4096);
    o[0] = op_create(FRESH, "web-2");
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_string_equal(w.diag.text,
                        "web-2: 64 MiB can be had on no node: 0: web is there "
                        "(spread-web), 1: web is there (spread-web)");
    assert_string_equal(w.refused.rule, "spread-web");
    assert_int_equal(w.refused.candidate_count, 2);
    o[1] = op_memory(FRESH, ULV_MIB(64), 1);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_non_null(strstr(w.diag.text, "of node 1 asked: web is there"));
    /* when the one that is there goes it can */
    o[2] = (struct ulv_operation){ .kind = ULV_OP_DESTROY_PARTITION };
    o[2].u.destroy_partition.id = GUEST;
    assert_int_equal(world_decide(&w, o, 3), ULV_OK);
}

static void
test_policy_rules__apart_within_a_transaction(void **state)
{
    struct ulv_operation o[6];
    struct world w;

    (void)state;
    world_begin(&w);
    add_affinity(&w, "pair", "db-a", "db-b", ULV_POLICY_OVER_NODE)->apart = 1;
    o[0] = op_create(FRESH, "db-a");
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    o[2] = op_create(FRESH + 1, "db-b");
    o[3] = op_memory(FRESH + 1, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 4), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 1);
    assert_int_equal(o[3].u.assign_memory.node, 0);
}

static void
test_policy_rules__together_and_rather(void **state)
{
    struct ulv_policy_affinity *rule;
    struct ulv_operation o[2];
    struct world w;

    (void)state;
    world_begin(&w);
    rule = add_affinity(&w, "near", "cache", "web*", ULV_POLICY_OVER_NODE);
    o[0] = op_create(FRESH, "cache");
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 1); /* web is nowhere */
    add_home(&w, GUEST, 0, ULV_MIB(256));
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 0);
    assert_int_equal(find_candidate(&w.said, 1)->verdict,
                     ULV_CANDIDATE_TOGETHER);
    o[1] = op_memory(FRESH, ULV_MIB(600), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_non_null(strstr(w.diag.text, "0: 512 MiB free, 1: web is elsewhere "
                                        "(near)"));
    rule->prefer = 1; /* then where it can be */
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 1);
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 0);
    assert_int_equal(find_candidate(&w.said, 1)->verdict,
                     ULV_CANDIDATE_OUTRANKED);
}

static void
test_policy_rules__pack_spread_and_weights(void **state)
{
    struct ulv_policy_placement *rule;
    struct ulv_operation o[2] = { op_create(FRESH, "web-2") };
    struct world w;

    (void)state;
    world_begin(&w); /* node 0: 512 MiB free, node 1: 1 GiB */
    rule = &w.policy.placement[w.policy.placement_count++];
    ulv_string_copy(rule->name, 32, "tight");
    rule->of.kind = ULV_POLICY_OF_NAME;
    ulv_string_copy(rule->of.pattern, 32, "web*");
    rule->side = ULV_POLICY_OPEN;
    rule->node = ULV_POLICY_NODE_PACK;
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 0);
    assert_string_equal(w.lines[0],
                        "web-2: memory from node 0, which has least free and "
                        "enough (512 MiB free) (tight)");
    assert_string_equal(w.said.rule, "tight");
    rule->node = ULV_POLICY_NODE_SPREAD;
    add_home(&w, GUEST, 1, ULV_MIB(256));
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 0);
    assert_int_equal(find_candidate(&w.said, 1)->verdict,
                     ULV_CANDIDATE_OUTRANKED);
    assert_int_equal(find_candidate(&w.said, 1)->value, 1);
    rule->node = ULV_POLICY_NODE_MOST_FREE;
    for (uint32_t i = 0; i < 64; i++)
        rule->weight[i] = 1;
    rule->weight[0] = 3; /* 512 MiB count as 1.5 GiB */
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 0);
    /* others go by the policy's own key */
    o[0] = op_create(FRESH, "db");
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 1);
}

static void
test_policy_rules__reservations(void **state)
{
    struct ulv_policy_reservation *r;
    struct ulv_operation o[2] = { op_create(FRESH, "db") };
    struct world w;

    (void)state;
    world_begin(&w);
    r = &w.policy.reservation[w.policy.reservation_count++];
    ulv_string_copy(r->name, 32, "for-web");
    r->of.kind = ULV_POLICY_OF_NAME;
    ulv_string_copy(r->of.pattern, 32, "web*");
    r->node = 1;
    r->memory = ULV_GIB(1);
    o[1] = op_memory(FRESH, ULV_MIB(64), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_memory.node, 0);
    assert_int_equal(find_candidate(&w.said, 1)->verdict,
                     ULV_CANDIDATE_RESERVED);
    assert_string_equal(find_candidate(&w.said, 1)->rule, "for-web");
    o[1] = op_memory(FRESH, ULV_MIB(64), 1);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_int_equal(w.diag.value, ULV_MIB(64));
    assert_int_equal(w.diag.bound, 0);
    assert_non_null(strstr(w.diag.text, "(for-web)"));
    /* what those have that it is for is no longer held */
    add_home(&w, GUEST, 1, ULV_MIB(960));
    o[1] = op_memory(FRESH, ULV_MIB(960), 1);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    o[1] = op_memory(FRESH, ULV_MIB(961), 1);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    o[0] = op_create(FRESH, "web-2"); /* it is for this one */
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    /* kept free: for nobody */
    r->of.kind = ULV_POLICY_OF_NONE;
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
}

static void
add_device(struct world *w, ulv_id id, ulv_id serving, ulv_id standby,
           ulv_id guest)
{
    struct ulv_device_record *device = &w->devices[w->facts.device_count++];
    struct ulv_channel_record *channel =
        &w->channels[w->facts.channel_count++];

    device->id = id;
    device->serving = serving;
    device->standby = standby;
    ulv_string_copy(device->name, 32, "disk");
    channel->id = id + 100;
    channel->client = guest;
    channel->device = id;
}

static void
test_policy_rules__apart_over_servers(void **state)
{
    struct ulv_operation o[3] = { op_create(FRESH, "web-2"),
                                  op_offer("disk", 0, 0),
                                  { .kind = ULV_OP_ATTACH } };
    struct world w;

    (void)state;
    world_begin(&w);
    w.policy.side = ULV_POLICY_SIDE_FIRST;
    add_affinity(&w, "io-apart", "web*", "web*", ULV_POLICY_OVER_IO)->apart =
        1;
    add_device(&w, 45, IO_A, IO_B, GUEST);
    o[2].u.attach.partition = FRESH;
    o[2].u.attach.device = 50;
    assert_int_equal(world_decide(&w, o, 3), ULV_OK);
    assert_int_equal(o[1].u.offer.primary, IO_B);
    assert_int_equal(o[1].u.offer.standby, IO_A);
    assert_int_equal(find_candidate(&w.said, IO_A)->verdict,
                     ULV_CANDIDATE_APART);
    add_device(&w, 46, IO_B, IO_A, GUEST);
    o[1] = op_offer("disk", 0, 0);
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
    assert_string_equal(w.diag.text,
                        "disk: nobody can serve it: io-a: web is there "
                        "(io-apart), io-b: web is there (io-apart)");
    o[1] = op_offer("disk", IO_B, IO_A);
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
    assert_non_null(
        strstr(w.diag.text, "io-b asked to serve it: web is there"));
    /* attached to nobody it may be anywhere */
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
}

static void
test_policy_rules__processors_by_core(void **state)
{
    struct ulv_policy_reservation *r;
    struct ulv_operation o[2] = { op_create(FRESH, "web-2") };
    struct world w;

    (void)state;
    world_begin(&w);
    (void)world_partition(&w, 25, ULV_PARTITION_IDLE, "idle");
    for (uint32_t i = 0; i < 4; i++) {
        w.processors[i].id = 80 + i;
        w.processors[i].owner = 25;
        w.processors[i].core = i / 2;
        w.processors[i].idle_quanta = 64;
    }
    w.facts.processor_count = 4;
    w.facts.seat_count = 1;
    w.seats[0].partition = w.processors[0].owner = GUEST;
    w.processors[0].share_count = 1;
    w.seats[0].processor = 80;
    /* without a rule the ultravisor chooses */
    o[1] = op_processors(FRESH, 1);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_processors.processor, 0);
    add_affinity(&w, "cores", "web*", "web*", ULV_POLICY_OVER_CORE)->apart = 1;
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_processors.processor, 82);
    assert_int_equal(find_candidate(&w.said, 80)->verdict,
                     ULV_CANDIDATE_NO_ROOM);
    assert_int_equal(find_candidate(&w.said, 81)->verdict,
                     ULV_CANDIDATE_APART);
    o[1].u.assign_processors.processor = 81;
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_non_null(strstr(w.diag.text, "web is there (cores)"));
    o[1] = op_processors(FRESH, 2);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_non_null(strstr(w.diag.text, "one by one"));
    /* two of three idle ones are held: one may be taken */
    w.policy.affinity_count = 0;
    r = &w.policy.reservation[w.policy.reservation_count++];
    ulv_string_copy(r->name, 32, "keep");
    r->of.kind = ULV_POLICY_OF_NONE;
    r->processors = 2;
    o[1] = op_processors(FRESH, 1);
    o[1].u.assign_processors.mode = ULV_PROCESSOR_DEDICATED;
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_processors.processor, 81);
    r->processors = 3;
    o[1].u.assign_processors.processor = 0;
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_string_equal(w.refused.rule, "keep");
    /* one that is retired is none of them */
    r->processors = 1;
    w.processors[1].retired = ULV_RETIRED_OFFLINE;
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[1].u.assign_processors.processor, 82);
}

static void
test_policy_rules__restarts(void **state)
{
    struct ulv_operation o = op_create(FRESH, "web-2");
    struct ulv_policy_restart *r;
    struct world w;

    (void)state;
    world_begin(&w);
    w.policy.restarts = 1;
    r = &w.policy.restart[w.policy.restart_count++];
    ulv_string_copy(r->name, 32, "again");
    r->of.kind = ULV_POLICY_OF_NAME;
    ulv_string_copy(r->of.pattern, 32, "web*");
    r->times = 7;
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.restarts, 7);
    assert_string_equal(w.lines[0],
                        "web-2: starts again 7 times in 60000 ms (again)");
    assert_int_equal(o.u.create_partition.restart_window, 0);
    r->window = 5000;
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.restart_window, 5000);
    o.u.create_partition.restarts = 8;
    assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
    assert_string_equal(w.refused.rule, "again");
    assert_string_equal(w.diag.text, "web-2: 8 restarts in 5000 ms asked, "
                                     "policy allows 7 (again)");
    o = op_create(FRESH, "db");
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.restarts, 1);
    /* a window of the client's own is no way around it */
    o.u.create_partition.restart_window = 1;
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.restart_window, 0);
}

static struct ulv_operation
op_change(uint32_t what, const char *name)
{
    struct ulv_operation o = { .kind = ULV_OP_CHANGE_PARTITION };

    o.u.change_partition.id = GUEST;
    o.u.change_partition.what = what;
    ulv_string_copy(o.u.change_partition.name, 32, name);
    return o;
}

/* What is asked for is held to the same bounds; what is not asked for is not
 * filled in. */
static void
test_policy_rules__change(void **state)
{
    struct ulv_operation o = op_change(ULV_PARTITION_SET_RESTARTS |
                                           ULV_PARTITION_SET_SILENCE,
                                       "");
    struct ulv_op_change_partition *op = &o.u.change_partition;
    struct ulv_policy_restart *r;
    struct world w;

    (void)state;
    world_begin(&w);
    op->silence_limit = 5001;
    op->restart_window = 1; /* it is the policy's to say */
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(op->restart_window, 0);
    w.policy.silence_limit = 5000;
    assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
    assert_string_equal(w.refused.rule, "silence_limit_ms");
    assert_int_equal(w.diag.object, GUEST);
    assert_int_equal(w.diag.value, 5001);
    assert_int_equal(w.diag.bound, 5000);
    op->silence_limit = 0; /* for ever */
    assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
    op->silence_limit = 300;
    r = &w.policy.restart[w.policy.restart_count++];
    ulv_string_copy(r->name, 32, "again");
    r->of.kind = ULV_POLICY_OF_NAME;
    ulv_string_copy(r->of.pattern, 32, "web*");
    r->times = 7;
    r->window = 5000;
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(op->silence_limit, 300);
    assert_int_equal(op->restarts, 0);
    assert_int_equal(op->restart_window, 5000);
    assert_string_equal(w.lines[0],
                        "web: starts again 0 times in 5000 ms (again)");
    op->restarts = 8;
    assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
    assert_string_equal(w.diag.text, "web: 8 restarts in 5000 ms asked, "
                                     "policy allows 7 (again)");
    op->what |= ULV_PARTITION_SET_NAME; /* then the rule is not of it */
    memset(op->name, 0, sizeof(op->name));
    memcpy(op->name, "db", 3);
    assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
    assert_string_equal(w.refused.rule, "restarts_per_minute");
    memset(op->name, 'x', sizeof(op->name));
    assert_int_equal(world_decide(&w, &o, 1), ULV_E_ARG);
    op->what = 0; /* nothing of it is looked at */
    memset(op->name, 0, sizeof(op->name));
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
}

/* A name that a transaction gives counts in it: nobody gets around a rule by
 * another name, or becomes one of those that have enough. */
static void
test_policy_rules__names_within_a_transaction(void **state)
{
    struct ulv_policy_limit *limit;
    struct ulv_operation o[3] = { op_memory(GUEST, ULV_MIB(64), ULV_NODE_ANY) };
    struct world w;

    (void)state;
    world_begin(&w);
    limit = add_limit(&w, "small", "db*", 1);
    limit->memory = ULV_MIB(300);
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
    o[1] = op_change(ULV_PARTITION_SET_NAME, "db-1");
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_int_equal(w.diag.value, ULV_MIB(320));
    o[2] = op_change(ULV_PARTITION_SET_NAME, "web-2"); /* the last counts */
    assert_int_equal(world_decide(&w, o, 3), ULV_OK);
    o[2] = op_change(ULV_PARTITION_SET_SILENCE, "web-2"); /* is no name */
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
    /* it has 256 MiB already, and gets nothing */
    assert_int_equal(world_decide(&w, &o[1], 1), ULV_OK);
    limit->memory = ULV_MIB(100);
    assert_int_equal(world_decide(&w, &o[1], 1), ULV_E_POLICY);
    assert_string_equal(w.refused.rule, "small");
    limit->together = 0;
    assert_int_equal(world_decide(&w, &o[1], 1), ULV_E_POLICY);
    /* who is one of them already is not refused for a label */
    limit->together = 1;
    strcpy(w.partitions[2].name, "db");
    o[0] = op_label(GUEST, "tier", "gold");
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
}

static void
test_policy_rules__by_label(void **state)
{
    struct ulv_policy_limit *limit;
    struct ulv_operation o = op_memory(GUEST, ULV_MIB(64), ULV_NODE_ANY);
    struct world w;

    (void)state;
    world_begin(&w);
    limit = add_limit(&w, "gold", "tier=g*", 0);
    limit->of.kind = ULV_POLICY_OF_LABEL;
    limit->memory = ULV_MIB(300);
    assert_int_equal(ulv_policy_needs(&w.policy) & ULV_POLICY_NEEDS_TAGS,
                     ULV_POLICY_NEEDS_TAGS);
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    w.facts.tag_count = 2;
    w.tags[0].object = IO_A; /* is no guest */
    w.tags[0].kind = w.tags[1].kind = ULV_POLICY_OF_LABEL;
    w.tags[1].object = GUEST;
    strcpy(w.tags[0].text, "tier=gold");
    strcpy(w.tags[1].text, "tier=gold");
    assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
    strcpy(w.tags[1].text, "tier=silver");
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    w.tags[1].kind = ULV_POLICY_OF_ZONE;
    strcpy(w.tags[1].text, "tier=gold");
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
}

/* A label that a transaction gives or takes counts in it. */
static void
test_policy_rules__labels_within_a_transaction(void **state)
{
    struct ulv_policy_limit *limit;
    struct ulv_operation o[4] = { op_create(FRESH, "new") };
    struct world w;

    (void)state;
    world_begin(&w);
    limit = add_limit(&w, "gold", "tier=gold", 1);
    limit->of.kind = ULV_POLICY_OF_LABEL;
    limit->memory = ULV_MIB(100);
    o[1] = op_memory(FRESH, ULV_MIB(101), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    o[2] = op_label(FRESH, "tier", "gold");
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
    o[3] = op_label(FRESH, "tier", "tin"); /* the last one counts */
    assert_int_equal(world_decide(&w, o, 4), ULV_OK);
    o[3] = op_label(FRESH, "tie", "gold");
    assert_int_equal(world_decide(&w, o, 4), ULV_E_POLICY);
    /* who has 256 MiB already cannot become one of them; nor stay for that */
    o[0] = op_label(GUEST, "tier", "gold");
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
    assert_int_equal(w.diag.value, ULV_MIB(256));
    w.facts.tag_count = 1;
    w.tags[0].object = GUEST;
    w.tags[0].kind = ULV_POLICY_OF_LABEL;
    strcpy(w.tags[0].text, "tier=gold");
    o[0] = op_memory(GUEST, 4096, ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
    o[1] = op_label(GUEST, "tier", "");
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    /* texts without an end are read no further than they go */
    memset(&o[1].u.set_label.key, 'k', 64);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
}

static void
test_policy_rules__by_zone_and_reference(void **state)
{
    struct ulv_policy_limit *limit;
    struct ulv_operation o[4] = { op_memory(GUEST, 4096, ULV_NODE_ANY) };
    struct world w;

    (void)state;
    world_begin(&w);
    limit = add_limit(&w, "blue", "bl*", 0);
    limit->of.kind = ULV_POLICY_OF_ZONE;
    limit->memory = ULV_MIB(1);
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
    w.facts.tag_count = 2;
    w.tags[0].object = w.tags[1].object = 90;
    w.tags[0].kind = ULV_POLICY_OF_ZONE;
    strcpy(w.tags[0].text, "blue");
    w.tags[1].kind = ULV_POLICY_OF_POLICY;
    strcpy(w.tags[1].text, "bleak");
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
    w.partitions[2].zone = 90;
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
    o[1] = (struct ulv_operation){ .kind = ULV_OP_SET_ZONE };
    o[1].u.set_zone.partition = GUEST;
    assert_int_equal(world_decide(&w, o, 2), ULV_OK); /* it leaves it */
    o[1].u.set_zone.zone = 91;
    o[2] = (struct ulv_operation){ .kind = ULV_OP_CREATE_ZONE };
    o[2].u.create_zone.id = 91;
    strcpy(o[2].u.create_zone.name, "black");
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
    /* what it refers to itself goes before what its zone does */
    limit->of.kind = ULV_POLICY_OF_POLICY;
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
    strcpy(w.partitions[2].policy, "own");
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
    o[1] = (struct ulv_operation){ .kind = ULV_OP_SET_POLICY };
    o[1].u.set_policy.object = GUEST;
    strcpy(o[1].u.set_policy.name, "black");
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
}

/* ---- what there is ------------------------------------------------------- */

static void
test_policy_rules__review(void **state)
{
    struct ulv_policy_limit *limit;
    struct world w;

    (void)state;
    world_begin(&w);
    assert_int_equal(ulv_policy_review(&w.policy, &w.facts, &w.reasons), 0);
    w.policy.memory_per_guest = ULV_MIB(128);
    assert_int_equal(ulv_policy_review(&w.policy, &w.facts, &w.reasons), 1);
    assert_string_equal(w.refused.text, "web: has 256 MiB, policy allows "
                                        "128 MiB a guest (memory_per_guest)");
    w.policy.memory_per_guest = ULV_GIB(1);
    limit = add_limit(&w, "two", "", 1);
    limit->processors = 1;
    assert_int_equal(ulv_policy_review(&w.policy, &w.facts, &w.reasons), 1);
    assert_string_equal(w.refused.text, "all guests together: 2 processors "
                                        "there, policy allows 1 (two)");
    w.policy.limit_count = 0;
    add_affinity(&w, "io-apart", "web*", "x", ULV_POLICY_OVER_IO)->apart = 1;
    (void)world_partition(&w, 26, ULV_PARTITION_GUEST, "x");
    add_device(&w, 45, IO_A, IO_B, GUEST);
    add_device(&w, 46, IO_A, IO_B, 26);
    assert_int_equal(ulv_policy_review(&w.policy, &w.facts, &w.reasons), 1);
    assert_string_equal(w.refused.text,
                        "web and x are on one serving partition (io-apart)");
    w.policy.affinity[0].apart = 0;
    assert_int_equal(ulv_policy_review(&w.policy, &w.facts, &w.reasons), 0);
    w.devices[1].serving = IO_B;
    w.devices[1].standby = IO_A;
    assert_int_equal(ulv_policy_review(&w.policy, &w.facts, &w.reasons), 2);
    w.policy.rule_count = 0;
    w.policy.affinity_count = 0;
    assert_int_equal(ulv_policy_review(&w.policy, &w.facts, &w.reasons), 2);
    assert_non_null(strstr(w.refused.text, "no rule lets io-b and io-a"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_rules__a_limit_of_each),
        cmocka_unit_test(test_policy_rules__what_is_given_up_makes_room),
        cmocka_unit_test(test_policy_rules__a_limit_of_all_together),
        cmocka_unit_test(test_policy_rules__channels_and_devices),
        cmocka_unit_test(test_policy_rules__apart_over_nodes),
        cmocka_unit_test(test_policy_rules__apart_within_a_transaction),
        cmocka_unit_test(test_policy_rules__together_and_rather),
        cmocka_unit_test(test_policy_rules__pack_spread_and_weights),
        cmocka_unit_test(test_policy_rules__reservations),
        cmocka_unit_test(test_policy_rules__apart_over_servers),
        cmocka_unit_test(test_policy_rules__processors_by_core),
        cmocka_unit_test(test_policy_rules__restarts),
        cmocka_unit_test(test_policy_rules__change),
        cmocka_unit_test(test_policy_rules__names_within_a_transaction),
        cmocka_unit_test(test_policy_rules__by_label),
        cmocka_unit_test(test_policy_rules__labels_within_a_transaction),
        cmocka_unit_test(test_policy_rules__by_zone_and_reference),
        cmocka_unit_test(test_policy_rules__review),
    };

    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
