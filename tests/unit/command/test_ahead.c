/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Many clients, each with many requests under way, on one server: what is taken
 * back, what expires, what a watch hears, and that nobody is forgotten. Clients
 * are the library's own; the handlers note what they are asked.
 */
#include "ahead_test.h"

/* ---- pipelining ---------------------------------------------------------- */

static void
test_command_ahead__many_are_under_way(void **state)
{
    struct service *s = begin_one();
    struct peer *peer = &s->peers[0];
    uint64_t sent = 0;
    bool ring = false;
    const struct ulv_command_transaction t = { .deadline = 0 };

    (void)state;
    while (ulv_command_send_transaction(&peer->client, &t, &ring) == ULV_OK)
        sent++;
    heed(peer, ring);
    /* the client has no room for more until answers come */
    assert_int_equal(sent, ULV_COMMAND_UNDER_WAY_MAX);
    step(s);
    assert_int_equal(s->transactions, sent);
    for (uint64_t n = 0; n < sent; n++) {
        const struct ulv_message_transaction_answer *a = (const void *)take(
            peer, ULV_MESSAGE_TRANSACTION | ULV_MESSAGE_ANSWER, 2 + n);

        assert_int_equal(a->revision, 1 + n); /* in order, each once */
    }
    take_nothing(peer);
    (void)ask(peer, 0);
    end(s);
}

static void
test_command_ahead__a_slow_server_loses_nothing(void **state)
{
    struct service *s = begin_one();
    struct peer *peer = &s->peers[0];
    uint64_t sent = 0;
    bool ring = false;
    const struct ulv_command_transaction t = { .deadline = 0 };

    (void)state;
    s->hold = true;
    while (ulv_command_send_transaction(&peer->client, &t, &ring) == ULV_OK)
        sent++;
    heed(peer, ring);
    step(s);
    assert_int_equal(s->transactions, 1);
    /* a bounded part of them was read, the others lie in the ring */
    assert_int_equal(peer->session.waiting_count, 64);
    for (uint64_t n = 0; n < sent; n++) {
        let_go(s);
        assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, 2 + n),
                         ULV_OK);
    }
    assert_int_equal(s->transactions, sent);
    assert_null(s->held);
    assert_int_equal(peer->session.waiting_count, 0);
    end(s);
}

static void
test_command_ahead__no_memory_to_read_ahead(void **state)
{
    struct service *s = begin_one();
    struct peer *peer = &s->peers[0];
    uint64_t first, second;

    (void)state;
    s->hold = true;
    first = ask(peer, 0);
    step(s);
    second = ask(peer, 0);
    ulv_test_host_fail_at(&s->t, 1);
    step(s);
    ulv_test_host_fail_at(&s->t, 0);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, second),
                     ULV_E_NO_MEMORY);
    let_go(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, first),
                     ULV_OK);
    assert_int_equal(s->transactions, 1);
    end(s);
}

/* ---- cancel -------------------------------------------------------------- */

static void
test_command_ahead__takes_back_what_was_not_begun(void **state)
{
    struct service *s = begin_one();
    struct peer *peer = &s->peers[0];
    uint64_t n[3], c[4];
    bool ring = false;

    (void)state;
    s->hold = true;
    for (int i = 0; i < 3; i++)
        n[i] = ask(peer, 0);
    c[0] = cancel(peer, n[1]); /* waits */
    c[1] = cancel(peer, n[0]); /* was begun */
    c[2] = cancel(peer, n[1]); /* is answered already */
    c[3] = cancel(peer, 9999); /* never was */
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, n[1]),
                     ULV_E_CANCELED);
    assert_int_equal(take_status(peer, ULV_MESSAGE_CANCEL, c[0]), ULV_OK);
    for (int i = 1; i < 4; i++)
        assert_int_equal(take_status(peer, ULV_MESSAGE_CANCEL, c[i]),
                         ULV_E_NOT_FOUND);
    let_go(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, n[0]), ULV_OK);
    let_go(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, n[2]), ULV_OK);
    assert_int_equal(s->transactions, 2);
    /* a repeat of what was taken back is not carried out either */
    peer->client.next_request = n[1];
    peer->client.asked[n[1] % ULV_COMMAND_UNDER_WAY_MAX] = 0;
    (void)ask(peer, 0);
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, n[1]),
                     ULV_E_CANCELED);
    assert_int_equal(s->transactions, 2);
    peer->client.next_request = c[3] + 1;
    assert_int_equal(ulv_command_send_query(&peer->client, 1, 0, &ring),
                     ULV_OK);
    heed(peer, ring);
    step(s);
    assert_int_equal(s->queries, 1);
    end(s);
}

/* ---- deadlines ----------------------------------------------------------- */

static void
test_command_ahead__does_not_begin_what_expired(void **state)
{
    struct service *s = begin_one();
    struct peer *peer = &s->peers[0];
    uint64_t n[4], now = s->t.host.now(s->t.host.self);

    (void)state;
    s->hold = true;
    n[0] = ask(peer, 10); /* begun at once: it goes on */
    n[1] = ask(peer, 1000);
    n[2] = ask(peer, 100000);
    n[3] = ask(peer, 0);
    step(s);
    assert_int_equal(s->server.deadline, now + 1000);
    s->t.now = now + 999;
    step(s);
    take_nothing(peer);
    s->t.now = now + 1000;
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, n[1]),
                     ULV_E_TIMEOUT);
    assert_int_equal(s->server.deadline, now + 100000);
    /* nobody looked in time, and its turn comes */
    s->t.now = now + 200000;
    s->hold = false;
    let_go(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, n[0]), ULV_OK);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, n[2]),
                     ULV_E_TIMEOUT);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, n[3]), ULV_OK);
    assert_int_equal(s->transactions, 2);
    assert_int_equal(s->server.deadline, ULV_FOREVER);
    end(s);
}

/* ---- watches ------------------------------------------------------------- */

static uint64_t
watch(struct peer *peer, uint64_t after, uint32_t kinds, uint64_t partition)
{
    const struct ulv_command_watching watching = { .after = after,
                                                   .partition = partition,
                                                   .kinds = kinds };
    bool ring = false;

    assert_int_equal(ulv_command_send_watch(&peer->client, &watching, &ring),
                     ULV_OK);
    heed(peer, ring);
    return peer->client.next_request - 1;
}

static uint64_t
watch_log(struct peer *peer, uint64_t after)
{
    return watch(peer, after, 1u << ULV_QUERY_LOG, 0);
}

static void
take_event(struct peer *peer, uint64_t w, uint64_t sequence, uint64_t revision)
{
    const struct ulv_message_event *event =
        (const void *)take(peer, ULV_MESSAGE_EVENT, w);

    assert_int_equal(event->sequence, sequence);
    assert_int_equal(event->change.change, ULV_CHANGE_CHANGED);
    assert_int_equal(event->change.revision, revision);
    assert_int_equal(event->change.object, 7 * revision);
}

static void
test_command_ahead__a_watch_hears_each_commit(void **state)
{
    struct service *s = begin_one();
    struct peer *peer = &s->peers[0];
    uint64_t w;

    (void)state;
    w = watch_log(peer, ULV_WATCH_FROM_NOW);
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_WATCH, w), ULV_OK);
    take_nothing(peer);
    for (uint64_t n = 101; n < 500; n++) {
        change(s, n);
        step(s);
        take_event(peer, w, n - 100, n);
        take_nothing(peer);
    }
    /* from where it was, by another: told again */
    assert_int_equal(cancel(peer, w), w + 1);
    w = watch_log(peer, 480);
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_CANCEL, w - 1), ULV_OK);
    assert_int_equal(take_status(peer, ULV_MESSAGE_WATCH, w), ULV_OK);
    for (uint64_t n = 481; n < 500; n++)
        take_event(peer, w, n - 480, n);
    take_nothing(peer);
    /* from what is to come it cannot be */
    (void)watch_log(peer, 501);
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_WATCH, w + 1), ULV_E_ARG);
    assert_int_equal(cancel(peer, w), w + 2);
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_CANCEL, w + 2), ULV_OK);
    assert_int_equal(s->server.watch_count, 0);
    change(s, 600);
    step(s);
    take_nothing(peer);
    end(s);
}

static void
test_command_ahead__watches_hear_what_they_asked_for(void **state)
{
    struct service *s = begin_one();
    struct peer *peer = &s->peers[0];
    uint64_t all = watch(peer, 100, 0, 0);
    uint64_t log = watch_log(peer, 100);
    uint64_t one = watch(peer, 100, 0, 1);
    uint64_t both = watch(peer, 100, 1u << ULV_QUERY_PARTITIONS, 150);
    const struct ulv_message *m;
    uint64_t last[8] = { 0 };
    uint32_t heard[8] = { 0 };
    bool ring = false;

    (void)state;
    step(s);
    for (uint64_t w = all; w <= both; w++)
        assert_int_equal(take_status(peer, ULV_MESSAGE_WATCH, w), ULV_OK);
    for (uint64_t n = 101; n <= 200; n++)
        change(s, n);
    step(s);
    while (ulv_command_receive(&peer->client, &m, &ring) == ULV_OK) {
        const struct ulv_message_event *event = (const void *)m;
        uint64_t w = m->request - all;

        assert_in_range(w, 0, 3);
        assert_int_equal(event->sequence, ++heard[w]);
        /* of a revision all but its last say that there is more */
        assert_int_equal(event->change.revision == last[w],
                         heard[w] > 1 && last[w + 4] == 1);
        last[w] = event->change.revision;
        last[w + 4] = event->more;
        if (m->request == log)
            assert_int_equal(event->change.kind, ULV_QUERY_LOG);
        if (m->request == one)
            assert_int_equal(event->change.partition[0], 1);
        if (m->request == both)
            assert_int_equal(event->change.revision, 150);
    }
    assert_int_equal(heard[0], 300);
    assert_int_equal(heard[1], 100);
    assert_int_equal(heard[2], 200);
    assert_int_equal(heard[3], 1);
    end(s);
}

static void
test_command_ahead__there_are_only_so_many_watches(void **state)
{
    struct service *s = begin(2);
    const struct ulv_command_watching all = { .after = 100 };
    struct peer *peer = &s->peers[0];
    bool ring = false;

    (void)state;
    step(s);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(take_status(&s->peers[i], ULV_MESSAGE_HELLO, 1),
                         ULV_OK);
    for (uint32_t i = 0; i < ULV_WATCHES_MAX; i++) {
        uint64_t w = watch(peer, 100, 0, 0);

        step(s);
        assert_int_equal(take_status(peer, ULV_MESSAGE_WATCH, w), ULV_OK);
    }
    assert_int_equal(ulv_command_send_watch(&peer->client, &all, &ring),
                     ULV_E_LIMIT);
    peer->client.watch[0].number = 0; /* one that does not count */
    (void)watch(peer, 100, 0, 0);
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_WATCH,
                                 peer->client.next_request - 1),
                     ULV_E_LIMIT);
    /* another client has its own */
    (void)watch(&s->peers[1], 100, 0, 0);
    step(s);
    assert_int_equal(take_status(&s->peers[1], ULV_MESSAGE_WATCH, 2), ULV_OK);
    assert_int_equal(s->server.watch_count, ULV_WATCHES_MAX + 1);
    end(s);
}

static void
test_command_ahead__a_slow_watch_is_told_what_is_lost(void **state)
{
    struct service *s = begin_one();
    struct peer *peer = &s->peers[0];
    uint64_t w = watch_log(peer, 100), heard = 0, last = 100, lost = 0;
    const struct ulv_message *m;
    bool ring = false;

    (void)state;
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_WATCH, w), ULV_OK);
    /* it takes nothing: its ring fills, the changes go on without it */
    for (uint64_t n = 101; n <= 15100; n++) {
        change(s, n);
        step(s);
    }
    while (ulv_command_receive(&peer->client, &m, &ring) == ULV_OK) {
        const struct ulv_message_event *event = (const void *)m;

        if (event->change.change == ULV_CHANGE_LOST)
            lost += event->change.revision - last;
        else
            assert_int_equal(event->change.revision, last + 1);
        heard += event->change.change == ULV_CHANGE_LOST ? 0 : 1;
        last = event->change.revision;
        heed(peer, ring);
        step(s);
    }
    assert_int_equal(last, 15100);
    assert_int_equal(heard + lost, 15000);
    assert_true(lost > 1000 && heard > ULV_CHANGES_COUNT / 3 - 2);
    end(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_ahead__many_are_under_way),
        cmocka_unit_test(test_command_ahead__a_slow_server_loses_nothing),
        cmocka_unit_test(test_command_ahead__no_memory_to_read_ahead),
        cmocka_unit_test(test_command_ahead__takes_back_what_was_not_begun),
        cmocka_unit_test(test_command_ahead__does_not_begin_what_expired),
        cmocka_unit_test(test_command_ahead__a_watch_hears_each_commit),
        cmocka_unit_test(test_command_ahead__watches_hear_what_they_asked_for),
        cmocka_unit_test(test_command_ahead__there_are_only_so_many_watches),
        cmocka_unit_test(test_command_ahead__a_slow_watch_is_told_what_is_lost),
    };

    return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
