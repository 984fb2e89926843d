/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Hundreds of clients of one server: each has its turn, and those that ask for
 * nothing are not looked at.
 */
#include "ahead_test.h"

/* One client floods a server that can carry out one transaction a step; each
 * of the others has one under way. All make the same progress. */
static void
test_command_turns__one_that_floods_takes_its_turn(void **state)
{
    struct service *s = begin(MANY);
    const uint32_t rounds = 20;

    (void)state;
    step(s);
    for (uint32_t i = 0; i < MANY; i++)
        (void)drain(&s->peers[i]);
    for (uint32_t n = 0; n < rounds * MANY; n++) {
        for (uint32_t i = 0; i < MANY; i++)
            fill(&s->peers[i], i == 17 ? ULV_COMMAND_UNDER_WAY_MAX : 1);
        s->budget = 1;
        (void)ulv_command_server_step(&s->server);
        for (uint32_t i = 0; i < MANY; i++)
            (void)drain(&s->peers[i]);
    }
    assert_int_equal(s->transactions, rounds * MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(s->peers[i].answered, rounds);
    end(s);
}

/* A server that is fast gives nobody more than a turn in a step. */
static void
test_command_turns__a_turn_is_bounded(void **state)
{
    struct service *s = begin(MANY);

    (void)state;
    step(s);
    for (uint32_t i = 0; i < MANY; i++) {
        (void)drain(&s->peers[i]);
        fill(&s->peers[i], i == 0 ? ULV_COMMAND_UNDER_WAY_MAX : 2);
    }
    assert_true(ulv_command_server_step(&s->server));
    assert_int_equal(drain(&s->peers[0]), ULV_COMMAND_TURN);
    for (uint32_t i = 1; i < MANY; i++)
        assert_int_equal(drain(&s->peers[i]), 2);
    end(s);
}

/* Each third sends garbage; the others are served on. */
static void
test_command_turns__garbage_harms_its_sender_only(void **state)
{
    struct service *s = begin(MANY);

    (void)state;
    step(s);
    for (uint32_t i = 0; i < MANY; i++) {
        (void)drain(&s->peers[i]);
        fill(&s->peers[i], 3);
        if (i % 3 == 0)
            assert_int_equal(end_put(&s->peers[i].client.end, 2, "garbage", 7),
                             ULV_OK);
    }
    ulv_command_server_wake_all(&s->server); /* that did not ring */
    step(s);
    assert_int_equal(s->broken, MANY / 3);
    for (uint32_t i = 0; i < MANY; i++) {
        /* what it asked before was carried out */
        assert_int_equal(drain(&s->peers[i]), 3);
        assert_int_equal(s->peers[i].session.failed,
                         i % 3 == 0 ? ULV_E_PEER_LENGTH : ULV_OK);
        fill(&s->peers[i], 2);
    }
    step(s);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(drain(&s->peers[i]), i % 3 == 0 ? 0 : 2);
    end(s);
}

/* ---- who is looked at ---------------------------------------------------- */

/* Those that ask for nothing are in no line, whatever the others do. */
static void
test_command_turns__idle_ones_are_not_looked_at(void **state)
{
    struct service *s = begin(MANY);

    (void)state;
    step(s);
    assert_int_equal(s->server.looked_at_count, 0);
    for (uint32_t i = 0; i < MANY; i++)
        (void)drain(&s->peers[i]);
    s->hold = true;
    for (uint32_t i = 0; i < 3; i++)
        (void)ask(&s->peers[100 * i], 0);
    assert_int_equal(s->server.looked_at_count, 3);
    step(s);
    /* one is under way, two wait for it: none is looked at */
    assert_int_equal(s->server.looked_at_count, 0);
    assert_int_equal(s->transactions, 1);
    for (uint32_t i = 0; i < 3; i++)
        let_go(s);
    assert_int_equal(s->transactions, 3);
    assert_int_equal(s->server.looked_at_count, 0);
    end(s);
}

/* A server that never sleeps still leaves all but a few alone. */
static void
test_command_turns__a_busy_one_looks_at_few(void **state)
{
    struct service *s = begin(MANY);
    struct peer *busy = &s->peers[5];

    (void)state;
    for (uint32_t n = 0; n < 100; n++) {
        (void)ulv_command_server_step(&s->server);
        if (n == 0) {
            for (uint32_t i = 0; i < MANY; i++)
                (void)drain(&s->peers[i]);
        }
        if (n >= 50) { /* who is busy keeps its place: it is not to ring */
            assert_int_equal(s->server.looked_at_count,
                             ULV_COMMAND_LOOKED_AT);
            assert_int_equal(busy->client.end.tx.looked,
                             busy->client.end.tx.reserved);
        }
        fill(busy, 1);
        (void)ulv_command_server_step(&s->server);
        (void)drain(busy);
    }
    assert_int_equal(busy->answered, 100);
    end(s);
}

/* Whatever clients do and whenever the server sleeps, with no more doorbells
 * than they are asked for: each transaction is answered once. */
static void
test_command_turns__nobody_is_forgotten(void **state)
{
    struct service *s = begin(MANY);
    uint64_t seed = 20, asked = 0, answered = 0;

    (void)state;
    for (uint32_t n = 0; n < 20000; n++) {
        struct peer *peer = &s->peers[random_next(&seed) % MANY];
        uint64_t chance = random_next(&seed) % 16;

        s->hold = chance % 2 == 0;
        if (chance < 8 && peer->client.next_request - peer->answered < 64)
            (void)ask(peer, chance == 0 ? 1000 : 0);
        else if (chance == 8)
            (void)cancel(peer, peer->client.next_request - 1);
        else if (chance < 12)
            (void)ulv_command_server_step(&s->server);
        else if (chance == 12)
            (void)ulv_command_server_sleep(&s->server);
        else if (chance == 13)
            (void)drain(peer);
        else if (s->held != NULL)
            let_go(s);
        s->t.now += random_next(&seed) % 100;
    }
    s->hold = false;
    if (s->held != NULL)
        let_go(s);
    step(s);
    for (uint32_t i = 0; i < MANY; i++) {
        struct peer *peer = &s->peers[i];

        (void)drain(peer);
        answered += peer->answered;
        for (uint32_t k = 0; k < ULV_COUNT_OF(peer->client.asked); k++)
            assert_true(peer->client.asked[k] == 0 ||
                        peer->client.asked[k] > 0x8000); /* answered */
        asked += peer->client.next_request;
    }
    assert_true(answered > 1000 && answered < asked);
    end(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_turns__one_that_floods_takes_its_turn),
        cmocka_unit_test(test_command_turns__a_turn_is_bounded),
        cmocka_unit_test(test_command_turns__garbage_harms_its_sender_only),
        cmocka_unit_test(test_command_turns__idle_ones_are_not_looked_at),
        cmocka_unit_test(test_command_turns__a_busy_one_looks_at_few),
        cmocka_unit_test(test_command_turns__nobody_is_forgotten),
    };

    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
