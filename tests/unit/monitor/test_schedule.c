/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* When a processor may run: beside a model that looks at each quantum. */
#include "../port/port_test.h"

#include <stdlib.h>

#include "monitor/monitor_priv.h"
#include "port/test/test.h"

static uint64_t seed = 1;

static uint64_t
random_word(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Whether it may run at that time. */
static bool
model(const struct processor *p, ulv_nsec time)
{
    if (p->quanta == UINT64_MAX)
        return true;
    return time >= p->yielded &&
           (p->quanta >> (time / ULV_QUANTUM_NS % ULV_QUANTA) & 1) != 0;
}

static void
compare(const struct processor *p, ulv_nsec now)
{
    ulv_nsec until;
    bool in = ulv_monitor_in_turn(p, now, &until);
    ulv_nsec time = now;

    assert_int_equal(in, model(p, now));
    if (p->quanta == 0 || p->quanta == UINT64_MAX) {
        assert_true(until == ULV_FOREVER);
        return;
    }
    assert_true(until > now && until % ULV_QUANTUM_NS == 0);
    assert_true(until - now <= ULV_QUANTA * ULV_QUANTUM_NS);
    while (time < until) {
        assert_int_equal(model(p, time), in);
        time = (time / ULV_QUANTUM_NS + 1) * ULV_QUANTUM_NS;
    }
    assert_int_equal(model(p, until), !in);
}

static void
test_monitor_schedule__follows_the_map(void **state)
{
    static const uint64_t special[] = { 0, 1, UINT64_MAX, UINT64_MAX - 1,
                                        UINT64_C(1) << 63,
                                        UINT64_MAX >> 1 };

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (uint32_t i = 0; i < 20000; i++) {
        struct processor p = { .quanta = random_word() };
        ulv_nsec now = random_word() >> (4 + i % 40);

        if (i % 4 == 0)
            p.quanta = special[random_word() % ULV_COUNT_OF(special)];
        if (i % 4 == 1)
            p.quanta &= random_word() & random_word();
        compare(&p, now);
        compare(&p, now / ULV_QUANTUM_NS * ULV_QUANTUM_NS);
    }
}

/* Two that share a processor never run at once, and one of them always does. */
static void
test_monitor_schedule__two_owners_alternate(void **state)
{
    struct processor a = { .quanta = UINT64_C(0x1fffffffffff) };
    struct processor b = { .quanta = ~a.quanta };
    ulv_nsec now = 12345678901, end = now + 10 * ULV_QUANTA * ULV_QUANTUM_NS;
    uint64_t ran[2] = { 0, 0 };

    (void)state;
    while (now < end) {
        ulv_nsec until, other;
        bool in = ulv_monitor_in_turn(&a, now, &until);

        assert_int_equal(ulv_monitor_in_turn(&b, now, &other), !in);
        assert_true(until == other);
        until = ULV_MIN(until, end);
        ran[in ? 0 : 1] += until - now;
        now = until;
    }
    assert_int_equal(ran[0], 450 * ULV_QUANTUM_NS);
    assert_int_equal(ran[1], 190 * ULV_QUANTUM_NS);
}

/* Who yields is out for what is left of the quantum, not longer. */
static void
test_monitor_schedule__yield_ends_the_quantum(void **state)
{
    struct ulv_test_host t;
    struct ulv_monitor m = { .turn = 0 };
    struct processor p = { .quanta = 6 };
    const ulv_nsec quantum = ULV_QUANTUM_NS;
    ulv_nsec until;

    (void)state;
    ulv_test_host_init(&t);
    m.cfg.host = &t.host;
    t.now = 1000 * ULV_QUANTA * quantum + quantum + 5;
    assert_true(ulv_monitor_in_turn(&p, t.now, &until));
    assert_true(until == t.now - 5 + 2 * quantum);
    ulv_monitor_yield(&m, &p);
    assert_false(ulv_monitor_in_turn(&p, t.now, &until));
    assert_true(until == t.now - 5 + quantum);
    compare(&p, t.now);
    assert_true(ulv_monitor_in_turn(&p, until, &until));
    /* one that has a single quantum waits for the next period */
    p.quanta = 2;
    assert_false(ulv_monitor_in_turn(&p, t.now, &until));
    assert_true(until == t.now - 5 + ULV_QUANTA * quantum);
    /* and whoever has all of them loses nothing */
    p.quanta = UINT64_MAX;
    assert_true(ulv_monitor_in_turn(&p, t.now, &until));
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitor_schedule__follows_the_map),
        cmocka_unit_test(test_monitor_schedule__two_owners_alternate),
        cmocka_unit_test(test_monitor_schedule__yield_ends_the_quantum),
    };

    if (getenv("ULV_SEED") != NULL)
        seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
