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

static void
test_port_policy__refuses_with_the_reason(void **state)
{
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
    };

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
        cmocka_unit_test(test_port_policy__too_many_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
