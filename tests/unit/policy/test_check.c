/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Compiled policies from anywhere: what check() lets pass can be decided by,
 * and whatever cannot is refused with what is wrong.
 */
#include "policy_test.h"

#define BYTES sizeof(struct ulv_policy)

/* Check a copy that has exactly these bytes. */
static ulv_status
check_copy(const void *bytes, size_t len, struct ulv_diag *diag)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    ulv_status status;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    *diag = (struct ulv_diag)ULV_DIAG_INIT;
    status = ulv_policy_check(copy, len, diag);
    assert_int_equal(ulv_policy_check(copy, len, NULL), status);
    assert_memory_equal(copy, bytes, len);
    free(copy);
    assert_true(status == ULV_OK || status == ULV_E_FORMAT);
    assert_int_equal(diag->status, status);
    if (status != ULV_OK)
        assert_true(strlen(diag->text) > 10);
    return status;
}

static void
fill(struct ulv_policy *p)
{
    ulv_policy_default(p);
    p->rule_count = ULV_POLICY_RULES_MAX;
    for (uint32_t i = 0; i < p->rule_count; i++)
        p->rule[i] = p->rule[0];
}

static void
test_policy_check__takes_the_default(void **state)
{
    struct ulv_policy p;
    struct ulv_diag diag;

    (void)state;
    ulv_policy_default(&p);
    assert_int_equal(check_copy(&p, BYTES, &diag), ULV_OK);
    assert_int_equal(p.memory_per_guest, ULV_GIB(1));
    assert_int_equal(p.processors_per_guest, 4);
    assert_int_equal(p.guests, 64);
    assert_int_equal(p.silence_limit, 0);
    assert_int_equal(p.rule_count, 1);
    assert_string_equal(p.rule[0].device, "*");
    assert_int_equal(memcmp(&p, "ULV_POL2", 8), 0);
    fill(&p);
    assert_int_equal(check_copy(&p, BYTES, &diag), ULV_OK);
}

static void
test_policy_check__refuses_every_other_length(void **state)
{
    uint8_t bytes[BYTES + 100] = { 0 };
    struct ulv_policy p;
    struct ulv_diag diag;

    (void)state;
    fill(&p);
    memcpy(bytes, &p, BYTES);
    for (size_t len = 0; len < sizeof(bytes); len++) {
        char number[24];
        struct ulv_text text;

        if (len == BYTES)
            continue;
        assert_int_equal(check_copy(bytes, len, &diag), ULV_E_FORMAT);
        assert_int_equal(diag.value, len);
        assert_int_equal(diag.bound, BYTES);
        assert_non_null(strstr(diag.text, "22608"));
        ulv_text_init(&text, number, sizeof(number));
        ulv_text_decimal(&text, len);
        assert_non_null(strstr(diag.text, number));
    }
}

static void
test_policy_check__refuses_each_wrong_field(void **state)
{
    struct ulv_policy p;
    struct ulv_diag diag;

    (void)state;
    for (uint32_t bit = 0; bit < 64; bit++) {
        fill(&p);
        p.magic ^= UINT64_C(1) << bit;
        assert_int_equal(check_copy(&p, BYTES, &diag), ULV_E_FORMAT);
        assert_int_equal(diag.value, p.magic);
    }
    for (uint32_t bit = 0; bit < 32; bit++) {
        fill(&p);
        p.node = 1u << bit;
        assert_int_equal(check_copy(&p, BYTES, &diag),
                         p.node <= 1 ? ULV_OK : ULV_E_FORMAT);
        fill(&p);
        p.side = 1u << bit;
        assert_int_equal(check_copy(&p, BYTES, &diag),
                         p.side <= 1 ? ULV_OK : ULV_E_FORMAT);
        fill(&p);
        p.rule_count = 1u << bit;
        assert_int_equal(check_copy(&p, BYTES, &diag),
                         p.rule_count <= 32 ? ULV_OK : ULV_E_FORMAT);
    }
    fill(&p);
    p.rule_count = 33;
    assert_int_equal(check_copy(&p, BYTES, &diag), ULV_E_FORMAT);
    assert_int_equal(diag.value, 33);
    assert_int_equal(diag.bound, 32);
    assert_non_null(strstr(diag.text, "rule_count is 33, at most 32"));
    fill(&p);
    p.node = 7;
    assert_int_equal(check_copy(&p, BYTES, &diag), ULV_E_FORMAT);
    assert_int_equal(diag.value, 7);
    assert_int_equal(diag.bound, 1);
    assert_non_null(strstr(diag.text, "node is 7, at most 1"));
    fill(&p);
    p.side = 9;
    assert_int_equal(check_copy(&p, BYTES, &diag), ULV_E_FORMAT);
    assert_int_equal(diag.value, 9);
    assert_int_equal(diag.bound, 1);
    assert_non_null(strstr(diag.text, "side is 9, at most 1"));
}

static void
test_policy_check__wants_names_to_end(void **state)
{
    struct ulv_policy p;
    struct ulv_diag diag;

    (void)state;
    for (uint32_t i = 0; i < ULV_POLICY_RULES_MAX; i++) {
        for (uint32_t name = 0; name < 3; name++) {
            uint8_t *at = (uint8_t *)&p.rule[i] + 32 * name;

            fill(&p);
            memset(at, 'x', 31);
            at[31] = 0;
            assert_int_equal(check_copy(&p, BYTES, &diag), ULV_OK);
            at[31] = 'x';
            assert_int_equal(check_copy(&p, BYTES, &diag), ULV_E_FORMAT);
            assert_int_equal(diag.value, i);
            /* a rule that does not count is not looked at */
            p.rule_count = i;
            assert_int_equal(check_copy(&p, BYTES, &diag), ULV_OK);
        }
    }
}

/* Decide by a policy that passed: nothing is read beyond a name or a rule. */
static void
decide_by(const struct ulv_policy *p)
{
    struct world w;
    struct ulv_operation operations[5] = {
        op_create(FRESH, "fresh"), op_memory(FRESH, ULV_MIB(2), ULV_NODE_ANY),
        op_processors(FRESH, 1), op_offer("medium", 0, 0),
        op_offer("medium", IO_A, IO_B),
    };

    world_begin(&w);
    w.policy = *p;
    for (uint32_t i = 0; i < 5; i++)
        (void)world_decide(&w, &operations[i], 1);
    assert_true(p->rule_count <= ULV_POLICY_RULES_MAX);
    for (uint32_t i = 0; i < p->rule_count; i++)
        assert_non_null(memchr(p->rule[i].device, 0, 32));
    assert_true(p->node <= 1 && p->side <= 1);
}

static void
test_policy_check__survives_random_changes(void **state)
{
    uint64_t seed = 22608;
    uint32_t accepted = 0, refused = 0;

    (void)state;
    for (uint32_t n = 0; n < 60000; n++) {
        union {
            struct ulv_policy policy;
            uint8_t bytes[BYTES];
        } p;
        struct ulv_diag diag;
        /* every second change is in the first 80 bytes */
        size_t range = n % 2 == 0 ? 80 : BYTES;

        fill(&p.policy);
        for (uint64_t i = random_next(&seed) % 4; i < 5; i++)
            p.bytes[random_next(&seed) % range] = (uint8_t)random_next(&seed);
        if (n % 10 == 0)
            memset(p.bytes + random_next(&seed) % (BYTES - 64), 0xff, 64);
        if (check_copy(&p, BYTES, &diag) != ULV_OK) {
            refused++;
            continue;
        }
        accepted++;
        decide_by(&p.policy);
    }
    assert_true(accepted > 10000);
    assert_true(refused > 10000);
}

static void
test_policy_check__survives_random_bytes(void **state)
{
    uint64_t seed = 1, words[BYTES / 8 + 8];

    (void)state;
    for (uint32_t n = 0; n < 20000; n++) {
        size_t len = n % 2 == 0 ? BYTES : random_next(&seed) % sizeof(words);
        struct ulv_diag diag;

        for (size_t i = 0; i < ULV_COUNT_OF(words); i++)
            words[i] = random_next(&seed);
        if (n % 3 != 0)
            words[0] = ULV_POLICY_MAGIC;
        if (n % 9 == 1) {
            words[4] = words[5] = 0; /* node, side, rules */
            words[6] = ULV_POLICY_VERSION | (uint64_t)BYTES << 32;
            words[7] = words[8] = words[9] = 0; /* counts */
        }
        assert_int_equal(check_copy(words, len, &diag),
                         n % 9 == 1 && len == BYTES ? ULV_OK : ULV_E_FORMAT);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_check__takes_the_default),
        cmocka_unit_test(test_policy_check__refuses_every_other_length),
        cmocka_unit_test(test_policy_check__refuses_each_wrong_field),
        cmocka_unit_test(test_policy_check__wants_names_to_end),
        cmocka_unit_test(test_policy_check__survives_random_changes),
        cmocka_unit_test(test_policy_check__survives_random_bytes),
    };

    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
