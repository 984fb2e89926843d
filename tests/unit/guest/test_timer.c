/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Timers of guests against a model that looks at all of them. */
#include "../port/port_test.h"

#include <time.h>

#include "guest/timer.h"

#define TIMERS 60u
#define ROUNDS 50000u

static uint64_t seed;

static uint64_t
next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static struct guest_timers timers;
static struct guest_timer timer[TIMERS];
static uint64_t now, last, ran;

static void
note(void *argument)
{
    const struct guest_timer *self = argument;

    assert_false(self->is_set);
    assert_true(self->time <= now);
    assert_true(self->time >= last); /* in order */
    last = self->time;
    ran++;
}

static int
set_up(void **state)
{
    (void)state;
    memset(&timers, 0, sizeof(timers));
    memset(timer, 0, sizeof(timer));
    for (uint32_t i = 0; i < TIMERS; i++) {
        timer[i].run = note;
        timer[i].argument = &timer[i];
    }
    now = last = ran = 0;
    return 0;
}

static uint64_t
due_by_model(uint64_t time, uint64_t *ret_next)
{
    uint64_t count = 0;

    *ret_next = UINT64_MAX;
    for (uint32_t i = 0; i < TIMERS; i++) {
        if (!timer[i].is_set)
            continue;
        count += timer[i].time <= time;
        *ret_next = ULV_MIN(*ret_next, timer[i].time);
    }
    return count;
}

static void
test_guest_timer__as_the_model(void **state)
{
    (void)state;
    seed = (uint64_t)time(NULL) | 1;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct guest_timer *t = &timer[next() % TIMERS];
        uint64_t first, due;

        if (t->is_set)
            timers_remove(&timers, t);
        else
            timers_add(&timers, t, now + next() % 50);
        due = due_by_model(now, &first);
        assert_int_equal(timers_next(&timers), first);
        if (next() % 4 != 0)
            continue;
        now += next() % 10;
        due = due_by_model(now, &first);
        last = ran = 0;
        assert_int_equal(timers_run(&timers, now), due);
        assert_int_equal(ran, due);
    }
}

static void
cancel_self(void *argument)
{
    ran++;
    timers_remove(&timers, argument);
}

static void
set_self(void *argument)
{
    ran++;
    timers_add(&timers, argument, 0);
}

static void
cancel_others(void *argument)
{
    ran++;
    for (uint32_t i = 0; i < TIMERS; i++)
        if (&timer[i] != argument && timer[i].is_set)
            timers_remove(&timers, &timer[i]);
}

static void
test_guest_timer__from_its_own_callback(void **state)
{
    (void)state;
    timer[0].run = cancel_self;
    timer[0].period = 10;
    timers_add(&timers, &timer[0], 10);
    assert_int_equal(timers_run(&timers, 10), 1);
    assert_false(timer[0].is_set);
    assert_int_equal(timers_run(&timers, 1000), 0);
    timer[1].run = set_self;
    timers_add(&timers, &timer[1], 10);
    /* it comes due again, not in the same pass */
    assert_int_equal(timers_run(&timers, 2000), 1);
    assert_int_equal(timers_next(&timers), 2001);
    assert_int_equal(timers_run(&timers, 2001), 1);
    timers_remove(&timers, &timer[1]);
    for (uint32_t i = 0; i < TIMERS; i++) {
        timer[i].run = cancel_others;
        timer[i].period = i % 2 * 7;
        timers_add(&timers, &timer[i], 100);
    }
    ran = 0;
    assert_int_equal(timers_run(&timers, 5000), 1);
    assert_int_equal(ran, 1);
    assert_int_equal(timers_next(&timers), UINT64_MAX);
}

static void
count(void *argument)
{
    (void)argument;
    ran++;
}

static void
test_guest_timer__periods(void **state)
{
    (void)state;
    timer[0].run = count;
    timer[0].period = 10;
    timers_add(&timers, &timer[0], 5);
    assert_int_equal(timers_run(&timers, 5), 1);
    assert_int_equal(timers_next(&timers), 15);
    /* 15, 25, 35 were missed but for one; the beat is kept */
    assert_int_equal(timers_run(&timers, 36), 1);
    assert_int_equal(timers_next(&timers), 45);
    assert_int_equal(timers_run(&timers, 45), 1);
    assert_int_equal(timers_next(&timers), 55);
    timer[1].run = count;
    timer[1].period = UINT64_MAX;
    timers_add(&timers, &timer[1], 50);
    assert_int_equal(timers_run(&timers, 50), 1);
    assert_int_equal(timer[1].time, UINT64_MAX); /* it never comes */
}

static void
in_order(void *argument)
{
    assert_ptr_equal(argument, &timer[ran]);
    ran++;
}

static void
test_guest_timer__ties_in_order(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TIMERS; i++) {
        timer[i].run = in_order;
        timers_add(&timers, &timer[i], 7);
    }
    assert_int_equal(timers_run(&timers, 7), TIMERS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_guest_timer__as_the_model, set_up),
        cmocka_unit_test_setup(test_guest_timer__from_its_own_callback, set_up),
        cmocka_unit_test_setup(test_guest_timer__periods, set_up),
        cmocka_unit_test_setup(test_guest_timer__ties_in_order, set_up),
    };

    return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
