/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port_test.h"

#include <ultravisor/posix.h>

#include "policy/policy.h"

static ulv_status
compile(const char *text, struct ulv_policy *ret, struct ulv_diag *diag)
{
    return ulv_policy_compile("p.json", text, strlen(text), ret, diag);
}

static void
test_port_policy__empty_is_the_default(void **state)
{
    struct ulv_policy p, expected;

    (void)state;
    ulv_policy_default(&expected);
    assert_int_equal(compile("{}", &p, NULL), ULV_OK);
    assert_memory_equal(&p, &expected, sizeof(p));
}

static void
test_port_policy__every_key(void **state)
{
    static const char text[] =
        "{\"memory_per_guest\": \"256M\", \"processors_per_guest\": 2,\n"
        " \"guests\": 0, \"silence_limit_ms\": 1500, \"node\": \"first\",\n"
        " \"restarts_per_minute\": 7,"
        " \"side\": \"first\", \"io\": [\n"
        "  {\"device\": \"disk-*\", \"primary\": \"x\", \"standby\": \"y\"},\n"
        "  {\"device\": \"1234567890123456789012345678901\",\n"
        "   \"primary\": \"y\", \"standby\": \"x\"}]}";
    struct ulv_policy p;

    (void)state;
    assert_int_equal(compile(text, &p, NULL), ULV_OK);
    assert_int_equal(p.memory_per_guest, ULV_MIB(256));
    assert_int_equal(p.processors_per_guest, 2);
    assert_int_equal(p.guests, 0);
    assert_int_equal(p.silence_limit, UINT64_C(1500000000));
    assert_int_equal(p.restarts, 7);
    assert_int_equal(p.node, ULV_POLICY_NODE_FIRST);
    assert_int_equal(p.side, ULV_POLICY_SIDE_FIRST);
    assert_int_equal(p.rule_count, 2);
    assert_string_equal(p.rule[0].device, "disk-*");
    assert_string_equal(p.rule[1].primary, "y");
    assert_int_equal(strlen(p.rule[1].device), 31);
    assert_int_equal(ulv_policy_check(&p, sizeof(p), NULL), ULV_OK);
    /* A list that is there replaces the default's, also by nothing. */
    assert_int_equal(compile("{\"io\": []}", &p, NULL), ULV_OK);
    assert_int_equal(p.rule_count, 0);
}

/* What is wrong, and what is said of it. */
static const struct {
    const char *text;
    ulv_status status;
    const char *says;
} cases[] = {
    {"{\n\n\"guests\" 3}", ULV_E_FORMAT, "p.json:3:"},
    {"[]", ULV_E_FORMAT, "p.json: an object wanted"},
    {"{\"guest\": 3}", ULV_E_FORMAT, "unknown key \"guest\""},
    {"{\"guests\": 4294967296}", ULV_E_LIMIT,
     "guests: 4294967296, at most 4294967295"},
    {"{\"processors_per_guest\": 0}", ULV_E_LIMIT, "at least 1"},
    {"{\"memory_per_guest\": \"lots\"}", ULV_E_FORMAT,
     "\"lots\" is not a size"},
    {"{\"node\": \"near\"}", ULV_E_FORMAT,
     "node: \"near\", \"most_free\" or \"first\" wanted"},
    {"{\"side\": \"\"}", ULV_E_LIMIT, "side: 0 bytes, at least 1"},
    {"{\"io\": [5]}", ULV_E_FORMAT, "io[0]: an object wanted"},
    {"{\"io\": [{\"device\": \"d\", \"primary\": \"a\"}]}", ULV_E_FORMAT,
     "io[0]: key \"standby\" is missing"},
    {"{\"io\": [{\"device\": \"a*b\", \"primary\": \"a\","
     " \"standby\": \"b\"}]}",
     ULV_E_FORMAT, "a * stands at the end only"},
    {"{\"io\": [{\"device\": \"d\", \"primary\": \"a\","
     " \"standby\": \"a\"}]}",
     ULV_E_FORMAT, "is the primary too"},
    {"{\"io\": [{\"device\": \"12345678901234567890123456789012\","
     " \"primary\": \"a\", \"standby\": \"b\"}]}",
     ULV_E_LIMIT, "device: 32 bytes, at most 31"},
    {"{\"limits\": [{}]}", ULV_E_FORMAT,
     "limits[0]: either \"each\" or \"together\" wanted"},
    {"{\"limits\": [{\"each\": {}, \"together\": {}}]}", ULV_E_FORMAT,
     "limits[0]: either"},
    {"{\"limits\": [{\"each\": {\"guests\": 1}}]}", ULV_E_FORMAT,
     "unknown key \"guests\""},
    {"{\"limits\": [{\"of\": \"a*b\", \"each\": {}}]}", ULV_E_FORMAT,
     "limits[0]: \"a*b\": a * stands at the end only"},
    {"{\"limits\": [{\"of\": \"12345678901234567890123456789012\","
     " \"each\": {}}]}",
     ULV_E_LIMIT, "32 bytes, at most 31"},
    {"{\"placement\": [{\"nodes\": \"near\"}]}", ULV_E_FORMAT,
     "placement[0]: nodes: \"near\", \"most_free\", \"first\", \"pack\" or "
     "\"spread\" wanted"},
    {"{\"placement\": [{\"weights\": [1, -1]}]}", ULV_E_LIMIT,
     "weights[1]"},
    {"{\"affinity\": [{\"apart\": [], \"over\": \"node\"}]}",
     ULV_E_FORMAT, "affinity[0]: one or two names wanted"},
    {"{\"affinity\": [{\"apart\": [\"a\"], \"over\": \"rack\"}]}",
     ULV_E_FORMAT, "over: \"rack\""},
    {"{\"restart\": [{\"times\": 1001}]}", ULV_E_LIMIT,
     "times: 1001, at most 1000"},
    {"{\"reservations\": [{\"memory\": 1}]}", ULV_E_FORMAT,
     "key \"node\" is missing"},
};

static void
test_port_policy__refuses_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(cases); i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;
        struct ulv_policy p, before;
        ulv_status status;

        memset(&p, 0xee, sizeof(p));
        before = p;
        status = compile(cases[i].text, &p, &diag);
        if (status != cases[i].status ||
            strstr(diag.text, cases[i].says) == NULL)
            fail_msg("%s: %d, %s", cases[i].text, (int)status, diag.text);
        assert_memory_equal(&p, &before, sizeof(p));
    }
}

static void
test_port_policy__every_rule(void **state)
{
    static const char text[] =
        "{\"limits\": [{\"name\": \"l\", \"of\": \"web*\", \"each\":"
        " {\"memory\": \"64M\", \"devices\": 2}},"
        " {\"together\": {\"guests\": 3, \"processors\": 0,"
        " \"channels\": 9}}],"
        " \"placement\": [{\"of\": \"label:tier=db\", \"nodes\": \"pack\","
        " \"weights\": [3, 0]}, {\"io\": \"spread\"}],"
        " \"affinity\": [{\"apart\": [\"a\"], \"over\": \"core\"},"
        " {\"together\": [\"zone:x\", \"policy:y*\"], \"over\": \"node\","
        " \"prefer\": true}],"
        " \"restart\": [{\"of\": \"*\", \"times\": 1000,"
        " \"window_ms\": 5000}],"
        " \"reservations\": [{\"node\": 7, \"memory\": \"1G\"},"
        " {\"node\": 0, \"for\": \"db\", \"processors\": 2}]}";
    struct ulv_policy p;

    (void)state;
    assert_int_equal(compile(text, &p, NULL), ULV_OK);
    assert_int_equal(ulv_policy_check(&p, sizeof(p), NULL), ULV_OK);
    assert_int_equal(p.limit_count, 2);
    assert_string_equal(p.limit[0].name, "l");
    assert_int_equal(p.limit[0].of.kind, ULV_POLICY_OF_NAME);
    assert_string_equal(p.limit[0].of.pattern, "web*");
    assert_true(p.limit[0].memory == ULV_MIB(64));
    assert_int_equal(p.limit[0].devices, 2);
    assert_int_equal(p.limit[0].channels, ULV_POLICY_OPEN);
    assert_int_equal(p.limit[0].together, 0);
    assert_string_equal(p.limit[1].name, "limits[1]");
    assert_int_equal(p.limit[1].of.kind, ULV_POLICY_OF_ALL);
    assert_true(p.limit[1].memory == UINT64_MAX);
    assert_int_equal(p.limit[1].guests, 3);
    assert_int_equal(p.limit[1].processors, 0);
    assert_int_equal(p.limit[1].together, 1);
    assert_int_equal(p.placement_count, 2);
    assert_int_equal(p.placement[0].of.kind, ULV_POLICY_OF_LABEL);
    assert_string_equal(p.placement[0].of.pattern, "tier=db");
    assert_int_equal(p.placement[0].node, ULV_POLICY_NODE_PACK);
    assert_int_equal(p.placement[0].side, ULV_POLICY_OPEN);
    assert_int_equal(p.placement[0].weight[0], 3);
    assert_int_equal(p.placement[0].weight[1], 0);
    assert_int_equal(p.placement[0].weight[63], 1);
    assert_int_equal(p.placement[1].side, ULV_POLICY_SIDE_SPREAD);
    assert_int_equal(p.affinity_count, 2);
    assert_int_equal(p.affinity[0].apart, 1);
    assert_int_equal(p.affinity[0].over, ULV_POLICY_OVER_CORE);
    assert_memory_equal(&p.affinity[0].a, &p.affinity[0].b,
                        sizeof(p.affinity[0].a));
    assert_int_equal(p.affinity[1].a.kind, ULV_POLICY_OF_ZONE);
    assert_int_equal(p.affinity[1].b.kind, ULV_POLICY_OF_POLICY);
    assert_int_equal(p.affinity[1].apart, 0);
    assert_int_equal(p.affinity[1].prefer, 1);
    assert_int_equal(p.restart_count, 1);
    assert_int_equal(p.restart[0].times, 1000);
    assert_int_equal(p.restart[0].window, 5000);
    assert_int_equal(p.reservation_count, 2);
    assert_int_equal(p.reservation[0].of.kind, ULV_POLICY_OF_NONE);
    assert_int_equal(p.reservation[0].node, 7);
    assert_int_equal(p.reservation[1].of.kind, ULV_POLICY_OF_NAME);
    assert_int_equal(p.reservation[1].processors, 2);
}

static void
test_port_policy__too_many_rules(void **state)
{
    static char text[8192] = "{\"io\": [";
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_policy p;

    (void)state;
    for (uint32_t i = 0; i <= ULV_POLICY_RULES_MAX; i++)
        strcat(text, i == 0 ? "0" : ",0");
    strcat(text, "]}");
    assert_int_equal(compile(text, &p, &diag), ULV_E_LIMIT);
    assert_int_equal(diag.value, ULV_POLICY_RULES_MAX + 1);
    assert_int_equal(diag.bound, ULV_POLICY_RULES_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_policy__empty_is_the_default),
        cmocka_unit_test(test_port_policy__every_key),
        cmocka_unit_test(test_port_policy__refuses_with_the_reason),
        cmocka_unit_test(test_port_policy__every_rule),
        cmocka_unit_test(test_port_policy__too_many_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
