/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a policy fills in: the node of memory, the pair that serves a device. */
#include "policy_test.h"

/* ---- nodes --------------------------------------------------------------- */

static uint32_t
place(struct world *w, uint64_t bytes)
{
    struct ulv_operation o = op_memory(FRESH, bytes, ULV_NODE_ANY);

    assert_int_equal(world_decide(w, &o, 1), ULV_OK);
    assert_int_equal(o.u.assign_memory.bytes, bytes);
    return o.u.assign_memory.node;
}

static void
test_policy_node__most_free_or_first(void **state)
{
    struct world w;
    uint64_t least = ULV_MIB(512), most = ULV_MIB(1024);

    (void)state;
    world_begin(&w); /* node 0: 512 MiB free, node 1: 1 GiB */
    assert_int_equal(place(&w, 4096), 1);
    assert_int_equal(w.line_count, 1);
    assert_string_equal(w.lines[0], "?: memory from node 1, which has most "
                                    "free (1 GiB free)");
    w.policy.node = ULV_POLICY_NODE_FIRST;
    assert_int_equal(place(&w, least), 0);
    assert_string_equal(w.lines[0], "?: memory from node 0, the first that "
                                    "has enough (512 MiB free)");
    assert_int_equal(place(&w, least + 1), 1);
    assert_int_equal(place(&w, most), 1);
    /* equal nodes: the first */
    w.nodes[0].free_bytes = most;
    w.policy.node = ULV_POLICY_NODE_MOST_FREE;
    assert_int_equal(place(&w, most), 0);
}

static void
test_policy_node__counts_what_it_gave_already(void **state)
{
    struct world w;
    struct ulv_operation o[4];

    (void)state;
    world_begin(&w);
    for (uint32_t i = 0; i < 4; i++)
        o[i] = op_memory(FRESH + i, ULV_MIB(400), ULV_NODE_ANY);
    assert_int_equal(world_decide(&w, o, 4), ULV_OK);
    /* 1 GiB and 512 MiB are free */
    assert_int_equal(o[0].u.assign_memory.node, 1);
    assert_int_equal(o[1].u.assign_memory.node, 1);
    assert_int_equal(o[2].u.assign_memory.node, 0);
    assert_int_equal(o[3].u.assign_memory.node, ULV_NODE_ANY);
    assert_int_equal(w.line_count, 3);
    assert_non_null(strstr(w.lines[1], "(624 MiB free)"));
    /* also what another operation, before or behind, names a node for */
    o[0] = op_memory(FRESH, ULV_MIB(512), ULV_NODE_ANY);
    o[1] = op_memory(FRESH + 1, ULV_MIB(1000), 1);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
    assert_int_equal(o[0].u.assign_memory.node, 0);
    o[0].u.assign_memory.node = ULV_NODE_ANY;
    o[1].u.assign_memory.bytes = UINT64_MAX; /* will be refused */
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_int_equal(o[0].u.assign_memory.node, 0);
}

static void
test_policy_node__none_has_enough(void **state)
{
    struct world w;

    (void)state;
    world_begin(&w);
    w.policy.memory_per_guest = ULV_GIB(4);
    /* left open: the ultravisor gathers from several */
    assert_int_equal(place(&w, ULV_MIB(1024) + 1), ULV_NODE_ANY);
    assert_int_equal(w.line_count, 0);
    w.facts.node_count = 0;
    assert_int_equal(place(&w, 4096), ULV_NODE_ANY);
}

static void
test_policy_node__one_that_was_asked_for_stays(void **state)
{
    struct world w;
    struct ulv_operation o;

    (void)state;
    world_begin(&w);
    for (uint32_t node = 0; node < 4; node++) {
        o = op_memory(FRESH, ULV_MIB(600), node);
        assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
        assert_int_equal(o.u.assign_memory.node, node);
        assert_int_equal(w.line_count, 0);
    }
}

/* ---- devices ------------------------------------------------------------- */

static ulv_status
offer(struct world *w, const char *name, ulv_id *primary, ulv_id *standby)
{
    struct ulv_operation o = op_offer(name, *primary, *standby);
    ulv_status status = world_decide(w, &o, 1);

    *primary = o.u.offer.primary;
    *standby = o.u.offer.standby;
    return status;
}

/* Who serves a device of that name when nobody is asked for. */
static ulv_id
choose(struct world *w, const char *name)
{
    ulv_id primary = 0, standby = 0;

    assert_int_equal(offer(w, name, &primary, &standby), ULV_OK);
    assert_int_equal(primary + standby, IO_A + IO_B);
    assert_int_equal(w->line_count, 1);
    return primary;
}

static void
test_policy_pair__least_loaded_or_first(void **state)
{
    struct world w;

    (void)state;
    world_begin(&w);
    assert_int_equal(choose(&w, "disk"), IO_A);
    assert_string_equal(w.lines[0], "disk: io-a serves first, io-b stands by "
                                    "(least loaded: 0 and 0 devices)");
    w.facts.device_count = 1;
    w.devices[0].serving = IO_A;
    assert_int_equal(choose(&w, "disk"), IO_B);
    assert_string_equal(w.lines[0], "disk: io-b serves first, io-a stands by "
                                    "(least loaded: 0 and 1 devices)");
    w.facts.device_count = 2;
    w.devices[1].serving = IO_B;
    assert_int_equal(choose(&w, "disk"), IO_A);
    w.devices[0].serving = IO_B;
    assert_int_equal(choose(&w, "disk"), IO_A);
    w.devices[0].serving = w.devices[1].serving = IO_A;
    w.policy.side = ULV_POLICY_SIDE_FIRST;
    assert_int_equal(choose(&w, "disk"), IO_A);
    assert_string_equal(w.lines[0], "disk: io-a serves first, io-b stands by "
                                    "(first of its rule)");
}

static void
test_policy_pair__spreads_a_transaction(void **state)
{
    struct ulv_operation o[4];
    struct world w;
    uint32_t on_a = 0;

    (void)state;
    world_begin(&w);
    for (uint32_t i = 0; i < 4; i++)
        o[i] = op_offer("disk", 0, 0);
    assert_int_equal(world_decide(&w, o, 4), ULV_OK);
    for (uint32_t i = 0; i < 4; i++)
        on_a += o[i].u.offer.primary == IO_A;
    assert_int_equal(on_a, 2);
    assert_int_equal(w.line_count, 4);
}

static void
test_policy_pair__one_side_is_down(void **state)
{
    static const uint32_t states[] = { ULV_STATE_DEFINED, ULV_STATE_STARTING,
                                       ULV_STATE_STOPPED, ULV_STATE_FAULTED,
                                       ULV_STATE_LOST };
    struct world w;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(states); i++) {
        world_begin(&w);
        w.policy.side = i % 2;
        w.facts.device_count = 1;
        w.devices[0].serving = IO_B;
        w.partitions[0].state = states[i];
        assert_int_equal(choose(&w, "disk"), IO_B);
        assert_string_equal(w.lines[0],
                            "disk: io-b serves first, io-a stands by "
                            "(the other is not running)");
        world_begin(&w);
        w.facts.device_count = 1;
        w.devices[0].serving = IO_A;
        w.partitions[1].state = states[i];
        assert_int_equal(choose(&w, "disk"), IO_A);
    }
}

static void
set_rule(struct world *w, const char *device, const char *primary,
         const char *standby)
{
    struct ulv_policy_rule *rule = &w->policy.rule[w->policy.rule_count++];

    ulv_string_copy(rule->device, 32, device);
    ulv_string_copy(rule->primary, 32, primary);
    ulv_string_copy(rule->standby, 32, standby);
}

static void
test_policy_pair__neither_side_runs(void **state)
{
    struct world w;
    ulv_id primary = 0, standby = 0;

    (void)state;
    world_begin(&w);
    w.partitions[0].state = w.partitions[1].state = ULV_STATE_LOST;
    assert_int_equal(offer(&w, "disk", &primary, &standby), ULV_E_NOT_FOUND);
    assert_string_equal(w.diag.text, "disk: of its pair neither io-a nor io-b "
                                     "runs (io)");
    assert_int_equal(primary + standby, 0);
    assert_int_equal(w.line_count, 0);
}

static void
test_policy_pair__half_of_it_is_not_there(void **state)
{
    static const char *const names[][2] = { { "io-a", "io-c" },
                                            { "io-c", "io-a" },
                                            { "io-a", "io-a" },
                                            { "io-a", "" },
                                            { "io-a", "web" } };
    struct world w;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(names); i++) {
        ulv_id primary = 0, standby = 0;

        world_begin(&w);
        w.policy.rule_count = 0;
        set_rule(&w, "*", names[i][0], names[i][1]);
        assert_int_equal(offer(&w, "disk", &primary, &standby), ULV_OK);
        assert_int_equal(primary, IO_A);
        assert_int_equal(standby, 0);
        assert_non_null(strstr(w.lines[0], "io-a serves first, nobody"));
        w.partitions[0].state = ULV_STATE_LOST;
        primary = standby = 0;
        assert_int_equal(offer(&w, "disk", &primary, &standby),
                         ULV_E_NOT_FOUND);
        assert_int_equal(primary, 0);
        /* the side that is not there is not what "nobody" means */
        standby = IO_A;
        assert_int_equal(offer(&w, "disk", &primary, &standby), ULV_E_POLICY);
        /* a guest of that name does not serve, asked for or not */
        primary = GUEST;
        assert_int_equal(offer(&w, "disk", &primary, &standby), ULV_E_POLICY);
    }
}

static void
test_policy_pair__as_a_rule_lets_it(void **state)
{
    static const ulv_id right[][2] = { { IO_A, IO_B }, { IO_B, IO_A },
                                       { IO_A, 0 }, { IO_B, 0 } };
    static const ulv_id wrong[][2] = {
        { GUEST, 0 },    { IO_A, GUEST }, { GUEST, IO_A },
        { 12345, IO_A }, { IO_A, 12345 }, { 0, 12345 },
    };
    struct world w;

    (void)state;
    world_begin(&w);
    for (size_t i = 0; i < ULV_COUNT_OF(right); i++) {
        ulv_id primary = right[i][0], standby = right[i][1];

        assert_int_equal(offer(&w, "disk", &primary, &standby), ULV_OK);
        assert_int_equal(primary, right[i][0]);
        assert_int_equal(standby, right[i][1]);
    }
    for (size_t i = 0; i < ULV_COUNT_OF(wrong); i++) {
        ulv_id primary = wrong[i][0], standby = wrong[i][1];

        assert_int_equal(offer(&w, "disk", &primary, &standby), ULV_E_POLICY);
        assert_int_equal(w.diag.value, wrong[i][0]);
        assert_int_equal(w.diag.bound, wrong[i][1]);
        assert_non_null(strstr(w.diag.text, "disk"));
    }
}

static void
test_policy_rule__the_first_that_matches(void **state)
{
    static const struct {
        const char *name;
        ulv_id primary; /* 0: refused */
    } devices[] = {
        { "root", IO_B },       { "root2", 0 },     { "roo", 0 },
        { "console-", IO_A },   { "console-7", IO_A }, { "console", 0 },
        { "Root", 0 },          { "", 0 },          { "*", 0 },
        { "console-123456789012345678901", IO_A },
    };
    struct world w;

    (void)state;
    world_begin(&w);
    w.policy.side = ULV_POLICY_SIDE_FIRST;
    w.policy.rule_count = 0;
    set_rule(&w, "root", "io-b", "io-a");
    set_rule(&w, "console-*", "io-a", "io-b");
    set_rule(&w, "console-7", "io-b", "io-a"); /* never reached */
    for (size_t i = 0; i < ULV_COUNT_OF(devices); i++) {
        ulv_id primary = 0, standby = 0;

        if (devices[i].primary != 0) {
            assert_int_equal(choose(&w, devices[i].name), devices[i].primary);
            continue;
        }
        assert_int_equal(offer(&w, devices[i].name, &primary, &standby),
                         ULV_E_POLICY);
        assert_non_null(strstr(w.diag.text, "any pair"));
    }
    w.policy.rule_count = 0; /* no rule: nothing */
    {
        ulv_id primary = IO_A, standby = IO_B;

        assert_int_equal(offer(&w, "root", &primary, &standby), ULV_E_POLICY);
        assert_non_null(strstr(w.diag.text, "io-a and io-b"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_node__most_free_or_first),
        cmocka_unit_test(test_policy_node__counts_what_it_gave_already),
        cmocka_unit_test(test_policy_node__none_has_enough),
        cmocka_unit_test(test_policy_node__one_that_was_asked_for_stays),
        cmocka_unit_test(test_policy_pair__least_loaded_or_first),
        cmocka_unit_test(test_policy_pair__spreads_a_transaction),
        cmocka_unit_test(test_policy_pair__one_side_is_down),
        cmocka_unit_test(test_policy_pair__neither_side_runs),
        cmocka_unit_test(test_policy_pair__half_of_it_is_not_there),
        cmocka_unit_test(test_policy_pair__as_a_rule_lets_it),
        cmocka_unit_test(test_policy_rule__the_first_that_matches),
    };

    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
