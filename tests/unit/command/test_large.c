/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transactions that take several messages: whole, in pieces of any size, from
 * clients that send garbage between them or stop in the middle, and where there
 * is no memory for them.
 */
#include "ahead_test.h"

#define MANY_OPERATIONS ULV_OPERATION_COUNT_MAX

/* What the handler was given last, and how often. */
static struct ulv_operation seen[MANY_OPERATIONS];
static struct ulv_precondition seen_before[ULV_PRECONDITION_COUNT_MAX];
static uint32_t seen_count, seen_before_count;

static void
note_transaction(void *self, struct ulv_command_session *session,
                 const struct ulv_command_request *request)
{
    const struct ulv_message_transaction *t = request->u.transaction;

    assert_int_equal(t->more, 0);
    assert_true(t->operation_count <= MANY_OPERATIONS);
    seen_count = t->operation_count;
    seen_before_count = t->precondition_count;
    memcpy(seen, request->operations, seen_count * sizeof(*seen));
    memcpy(seen_before, request->preconditions,
           seen_before_count * sizeof(*seen_before));
    on_transaction(self, session, request);
}

static struct service *
begin_large(uint32_t peers)
{
    static struct ulv_command_handlers noting;
    struct service *s = begin(peers);

    noting = handlers;
    noting.transaction = note_transaction;
    s->server.handlers = &noting;
    step(s);
    for (uint32_t i = 0; i < peers; i++)
        assert_int_equal(take_status(&s->peers[i], ULV_MESSAGE_HELLO, 1),
                         ULV_OK);
    seen_count = seen_before_count = 0;
    return s;
}

static const struct ulv_operation *
some_operations(void)
{
    static struct ulv_operation all[MANY_OPERATIONS + 1];

    for (uint32_t i = 0; i <= MANY_OPERATIONS; i++) {
        all[i].kind = 1 + i % 30;
        for (uint32_t w = 0; w < ULV_COUNT_OF(all[i].u.words); w++)
            all[i].u.words[w] = (uint64_t)i << 32 | w;
    }
    return all;
}

/* Its number. */
static uint64_t
ask_large(struct peer *peer, uint32_t count, uint64_t deadline)
{
    const struct ulv_command_transaction t = { .deadline = deadline,
                                               .operation_count = count,
                                               .operations =
                                                   some_operations() };
    bool ring = false;

    assert_int_equal(ulv_command_send_transaction(&peer->client, &t, &ring),
                     ULV_OK);
    heed(peer, ring);
    return peer->client.next_request - 1;
}

/* The client looks, and sends what there is room for; nothing has come. */
static void
go_on(struct service *s, struct peer *peer)
{
    for (uint32_t n = 0; peer->client.rest.operations != NULL; n++) {
        assert_true(n < 100);
        take_nothing(peer);
        heed(peer, true);
        step(s);
    }
}

static void
test_command_large__all_sizes_come_whole(void **state)
{
    static const uint32_t counts[] = { 0,    1,    127,  128, 129,
                                       1024, 1025, 4095, 4096 };
    struct service *s = begin_large(1);
    struct peer *peer = &s->peers[0];

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(counts); i++) {
        uint64_t number = ask_large(peer, counts[i], 0);

        step(s);
        go_on(s, peer);
        assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, number),
                         ULV_OK);
        assert_int_equal(seen_count, counts[i]);
        if (counts[i] != 0)
            assert_memory_equal(seen, some_operations(),
                                counts[i] * sizeof(*seen));
        assert_int_equal(s->server.large_bytes, 0);
    }
    assert_int_equal(s->transactions, ULV_COUNT_OF(counts));
    end(s);
}

static void
test_command_large__one_more_is_refused(void **state)
{
    const struct ulv_command_transaction t = {
        .operation_count = MANY_OPERATIONS + 1,
        .operations = some_operations(),
    };
    struct service *s = begin_large(1);
    bool ring = false;

    (void)state;
    assert_int_equal(
        ulv_command_send_transaction(&s->peers[0].client, &t, &ring),
        ULV_E_LIMIT);
    assert_int_equal(s->peers[0].client.next_request, 2);
    end(s);
}

static void
test_command_large__preconditions_stand_before_all(void **state)
{
    struct ulv_precondition before[3] = { { 5, 6 }, { 7, 8 }, { 9, 10 } };
    const struct ulv_command_transaction t = { .precondition_count = 3,
                                               .operation_count = 1000,
                                               .preconditions = before,
                                               .operations =
                                                   some_operations() };
    struct service *s = begin_large(1);
    struct peer *peer = &s->peers[0];
    bool ring = false;

    (void)state;
    assert_int_equal(ulv_command_send_transaction(&peer->client, &t, &ring),
                     ULV_OK);
    heed(peer, ring);
    step(s);
    go_on(s, peer);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, 2), ULV_OK);
    assert_int_equal(seen_before_count, 3);
    assert_memory_equal(seen_before, before, sizeof(before));
    assert_int_equal(seen_count, 1000);
    assert_memory_equal(seen, some_operations(), 1000 * sizeof(*seen));
    end(s);
}

/* Nothing else can be sent before the rest of it. */
static void
test_command_large__others_wait_for_the_rest(void **state)
{
    struct service *s = begin_large(1);
    struct peer *peer = &s->peers[0];
    uint64_t number = ask_large(peer, MANY_OPERATIONS, 0);
    bool ring = false;

    (void)state;
    assert_non_null(peer->client.rest.operations);
    assert_int_equal(ulv_command_send_query(&peer->client, 1, 0, &ring),
                     ULV_E_FULL);
    step(s);
    go_on(s, peer);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, number),
                     ULV_OK);
    assert_int_equal(ulv_command_send_query(&peer->client, 1, 0, &ring),
                     ULV_OK);
    end(s);
}

static void
test_command_large__can_be_taken_back_and_expire(void **state)
{
    struct service *s = begin_large(1);
    struct peer *peer = &s->peers[0];
    uint64_t held, taken, late, c;

    (void)state;
    s->hold = true;
    held = ask(peer, 0);
    step(s);
    taken = ask_large(peer, MANY_OPERATIONS, 0);
    step(s);
    go_on(s, peer);
    c = cancel(peer, taken);
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, taken),
                     ULV_E_CANCELED);
    assert_int_equal(take_status(peer, ULV_MESSAGE_CANCEL, c), ULV_OK);
    late = ask_large(peer, 3000, 1000);
    step(s);
    go_on(s, peer);
    s->t.now += 1000;
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, late),
                     ULV_E_TIMEOUT);
    let_go(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, held), ULV_OK);
    assert_int_equal(s->transactions, 1);
    assert_int_equal(s->server.large_bytes, 0);
    end(s);
}

/* A number that was answered gets that answer again. */
static void
test_command_large__is_carried_out_once(void **state)
{
    struct service *s = begin_large(1);
    struct peer *peer = &s->peers[0];
    const struct ulv_command_transaction t = { .operation_count = 600,
                                               .operations =
                                                   some_operations() };
    uint64_t number = ask_large(peer, 600, 0);
    bool ring = false;

    (void)state;
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, number),
                     ULV_OK);
    assert_int_equal(
        ulv_command_send_again(&peer->client, number, &t, &ring), ULV_OK);
    heed(peer, ring);
    step(s);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, number),
                     ULV_OK);
    assert_int_equal(s->transactions, 1);
    assert_int_equal(s->server.large_bytes, 0);
    end(s);
}

/* ---- what must not be ---------------------------------------------------- */

/* A TRANSACTION of so many operations and so many to follow, or OPERATIONS. */
static void
put_part(struct peer *peer, uint16_t kind, uint64_t request, uint32_t count,
         uint32_t more)
{
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    struct ulv_message_transaction *t = (void *)words;
    struct ulv_message_operations *o = (void *)words;
    const bool first = kind == ULV_MESSAGE_TRANSACTION;
    const size_t len = (first ? sizeof(*t) : sizeof(*o)) + count * 96u;

    memset(words, 0, sizeof(words));
    if (first) {
        t->operation_count = count;
        t->more = more;
    } else {
        o->operation_count = count;
    }
    t->m = (struct ulv_message){ (uint32_t)len, kind, 1, request };
    assert_int_equal(end_put(&peer->client.end, kind, words, len), ULV_OK);
    heed(peer, true);
}

static void
put_query(struct peer *peer)
{
    const struct ulv_message_query query = { .m = { sizeof(query), 3, 1, 9 },
                                             .kind = 1 };

    assert_int_equal(end_put(&peer->client.end, 3, &query, sizeof(query)),
                     ULV_OK);
    heed(peer, true);
}

/* What is sent, up to three messages, and why that is the end. */
struct garbage {
    struct {
        uint16_t kind, request, count, more; /* kind 3: a query */
    } part[3];
    ulv_status why;
};

static void
put_garbage(struct service *s, struct peer *peer, const struct garbage *g)
{
    for (size_t n = 0; n < 3 && g->part[n].kind != 0; n++) {
        if (g->part[n].kind == 3)
            put_query(peer);
        else
            put_part(peer, g->part[n].kind, g->part[n].request,
                     g->part[n].count, g->part[n].more);
        step(s);
    }
}

/* held: another request is under way, and all is read ahead. */
static void
expect_end(const struct garbage *g, bool held)
{
    struct service *s = begin_large(2);
    struct peer *bad = &s->peers[0], *good = &s->peers[1];

    s->hold = held;
    if (held)
        put_part(bad, ULV_MESSAGE_TRANSACTION, 1, 0, 0);
    put_garbage(s, bad, g);
    assert_int_equal(bad->session.failed, g->why);
    assert_int_equal(s->broken, 1);
    assert_int_equal(s->transactions, held ? 1 : 0);
    assert_int_equal(s->queries, 0);
    assert_int_equal(s->server.large_bytes, 0);
    if (held)
        let_go(s);
    s->hold = false;
    (void)ask(good, 0);
    step(s);
    assert_int_equal(take_status(good, ULV_MESSAGE_TRANSACTION, 2), ULV_OK);
    end(s);
}

#define FIRST ULV_MESSAGE_TRANSACTION
#define MORE  ULV_MESSAGE_OPERATIONS

static const struct garbage garbage[] = {
    { { { MORE, 2, 1, 0 } }, ULV_E_PEER_PROTOCOL },
    { { { FIRST, 2, 2, 4095 } }, ULV_E_PEER_LENGTH },
    { { { FIRST, 2, 128, 3969 } }, ULV_E_PEER_LENGTH },
    { { { FIRST, 2, 128, 9 }, { MORE, 3, 9, 0 } }, ULV_E_PEER_PROTOCOL },
    { { { FIRST, 2, 128, 9 }, { MORE, 2, 0, 0 } }, ULV_E_PEER_PROTOCOL },
    { { { FIRST, 2, 128, 9 }, { MORE, 2, 10, 0 } }, ULV_E_PEER_LENGTH },
    { { { FIRST, 2, 128, 9 }, { 3, 0, 0, 0 } }, ULV_E_PEER_PROTOCOL },
    { { { FIRST, 2, 128, 9 }, { FIRST, 2, 9, 0 } }, ULV_E_PEER_PROTOCOL },
    { { { FIRST, 2, 0, 9 }, { MORE, 2, 8, 0 }, { 3, 0, 0, 0 } },
      ULV_E_PEER_PROTOCOL },
};

static void
test_command_large__garbage_disconnects(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(garbage); i++) {
        expect_end(&garbage[i], false);
        expect_end(&garbage[i], true);
    }
}

/* In the smallest pieces, and each just in time. */
static void
test_command_large__who_goes_on_is_awaited(void **state)
{
    struct service *s = begin_large(1);
    struct peer *peer = &s->peers[0];

    (void)state;
    put_part(peer, ULV_MESSAGE_TRANSACTION, 2, 128, 20);
    step(s);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(s->transactions, 0);
        s->t.now += ULV_COMMAND_GATHER_LIMIT - 1;
        step(s);
        put_part(peer, ULV_MESSAGE_OPERATIONS, 2, 1, 0);
        step(s);
    }
    assert_int_equal(s->transactions, 1);
    assert_int_equal(seen_count, 148);
    end(s);
}

static void
test_command_large__who_stops_is_disconnected(void **state)
{
    struct service *s = begin_large(2);
    struct peer *bad = &s->peers[0];

    (void)state;
    put_part(bad, ULV_MESSAGE_TRANSACTION, 2, 128, 3000);
    step(s);
    put_part(bad, ULV_MESSAGE_OPERATIONS, 2, 128, 0);
    step(s);
    assert_int_equal(s->server.deadline, s->t.now + ULV_COMMAND_GATHER_LIMIT);
    assert_true(s->server.large_bytes > 0);
    s->t.now += ULV_COMMAND_GATHER_LIMIT - 1;
    step(s);
    assert_int_equal(bad->session.failed, ULV_OK);
    s->t.now++;
    step(s);
    assert_int_equal(bad->session.failed, ULV_E_TIMEOUT);
    assert_int_equal(s->broken, 1);
    assert_int_equal(s->server.large_bytes, 0);
    (void)ask(&s->peers[1], 0);
    step(s);
    assert_int_equal(take_status(&s->peers[1], ULV_MESSAGE_TRANSACTION, 2),
                     ULV_OK);
    end(s);
}

/* That we did not look for long is not held against it. */
static void
test_command_large__what_lies_there_is_read_first(void **state)
{
    struct service *s = begin_large(1);
    struct peer *peer = &s->peers[0];

    (void)state;
    put_part(peer, ULV_MESSAGE_TRANSACTION, 2, 128, 200);
    step(s);
    put_part(peer, ULV_MESSAGE_OPERATIONS, 2, 100, 0);
    s->t.now += 2 * ULV_COMMAND_GATHER_LIMIT;
    step(s);
    put_part(peer, ULV_MESSAGE_OPERATIONS, 2, 100, 0);
    step(s);
    assert_int_equal(s->transactions, 1);
    assert_int_equal(seen_count, 328);
    end(s);
}

/* ---- bounds -------------------------------------------------------------- */

static void
test_command_large__no_memory_refuses_that_one(void **state)
{
    struct service *s = begin_large(1);
    struct peer *peer = &s->peers[0];
    uint64_t number = ask_large(peer, 2000, 0);

    (void)state;
    ulv_test_host_fail_at(&s->t, 1);
    step(s);
    ulv_test_host_fail_at(&s->t, 0);
    go_on(s, peer);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, number),
                     ULV_E_NO_MEMORY);
    assert_int_equal(s->transactions, 0);
    /* the same request, when there is memory */
    peer->client.next_request = number;
    number = ask_large(peer, 2000, 0);
    step(s);
    go_on(s, peer);
    assert_int_equal(take_status(peer, ULV_MESSAGE_TRANSACTION, number),
                     ULV_OK);
    assert_int_equal(seen_count, 2000);
    end(s);
}

static void
test_command_large__a_client_without_memory_sends_nothing(void **state)
{
    const struct ulv_command_transaction t = { .operation_count = 600,
                                               .operations =
                                                   some_operations() };
    struct service *s = begin_large(1);
    struct ulv_command_client *client = &s->peers[0].client;
    bool ring = false;

    (void)state;
    ulv_test_host_fail_at(&s->t, 1);
    assert_int_equal(ulv_command_send_transaction(client, &t, &ring),
                     ULV_E_NO_MEMORY);
    ulv_test_host_fail_at(&s->t, 0);
    assert_int_equal(client->next_request, 2);
    assert_int_equal(ulv_command_send_transaction(client, &t, &ring), ULV_OK);
    end(s);
}

/* So many clients that all of it is more than there may be. */
static void
test_command_large__all_together_have_a_bound(void **state)
{
    const uint32_t each = 96 * MANY_OPERATIONS;
    const uint32_t count = ULV_COMMAND_LARGE_MAX / each + 10;
    struct service *s = begin_large(count);
    uint32_t refused = 0, waiting = 0;

    (void)state;
    for (uint32_t i = 0; i < count; i++) {
        put_part(&s->peers[i], ULV_MESSAGE_TRANSACTION, 2, 128, 3968);
        step(s);
        assert_true(s->server.large_bytes <= ULV_COMMAND_LARGE_MAX);
        waiting += s->peers[i].session.gathering.whole != NULL;
    }
    assert_int_equal(waiting, s->server.large_bytes / each);
    assert_in_range(waiting, count - 12, count - 10);
    /* clients that die in the middle leave nothing */
    for (uint32_t i = 0; i < 5; i++)
        ulv_command_session_fini(&s->peers[i].session);
    assert_int_equal(s->server.large_bytes / each, waiting - 5);
    for (uint32_t i = 5; i < count; i++) {
        for (uint32_t n = 0; n < 31; n++) {
            put_part(&s->peers[i], ULV_MESSAGE_OPERATIONS, 2, 128, 0);
            step(s);
        }
        refused += take_status(&s->peers[i], ULV_MESSAGE_TRANSACTION, 2) ==
                   ULV_E_NO_MEMORY;
    }
    assert_int_equal(refused, count - waiting);
    assert_int_equal(s->transactions, waiting - 5);
    assert_int_equal(s->server.large_bytes, 0);
    end(s);
}

/* Of one client only so much is read ahead. */
static void
test_command_large__a_client_has_a_bound(void **state)
{
    struct service *s = begin_large(1);
    struct peer *peer = &s->peers[0];
    uint64_t most = 0;

    (void)state;
    s->hold = true;
    (void)ask(peer, 0);
    step(s);
    for (uint64_t n = 0; n < 19; n++) {
        put_part(peer, ULV_MESSAGE_TRANSACTION, 10 + n, 128, 128);
        put_part(peer, ULV_MESSAGE_OPERATIONS, 10 + n, 128, 0);
        step(s);
        most = ULV_MAX(most, s->server.large_bytes);
    }
    /* no more than fits, and one that made it full */
    assert_in_range(most, 17 * 256 * 96, 17 * 256 * 96 + 4096);
    while (s->held != NULL)
        let_go(s);
    assert_int_equal(s->transactions, 20);
    assert_int_equal(s->server.large_bytes, 0);
    end(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_large__all_sizes_come_whole),
        cmocka_unit_test(test_command_large__one_more_is_refused),
        cmocka_unit_test(test_command_large__preconditions_stand_before_all),
        cmocka_unit_test(test_command_large__others_wait_for_the_rest),
        cmocka_unit_test(test_command_large__can_be_taken_back_and_expire),
        cmocka_unit_test(test_command_large__is_carried_out_once),
        cmocka_unit_test(test_command_large__garbage_disconnects),
        cmocka_unit_test(test_command_large__who_goes_on_is_awaited),
        cmocka_unit_test(test_command_large__who_stops_is_disconnected),
        cmocka_unit_test(test_command_large__what_lies_there_is_read_first),
        cmocka_unit_test(test_command_large__no_memory_refuses_that_one),
        cmocka_unit_test(
            test_command_large__a_client_without_memory_sends_nothing),
        cmocka_unit_test(test_command_large__all_together_have_a_bound),
        cmocka_unit_test(test_command_large__a_client_has_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
