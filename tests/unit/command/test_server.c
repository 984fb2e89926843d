/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A command session whose client is written by hand: what is carried out, how
 * often, and what a hostile client gets.
 */
#include "command_test.h"

#include "command/server.h"
#include "port/test/test.h"

#define RING ULV_COMMAND_RING_BYTES

/* A server that counts what it is asked. */
struct service {
    struct ulv_test_host t;
    struct ulv_command_handlers handlers;
    struct ulv_command_server server;
    struct ulv_command_session session;
    struct ulv_channel_end client;
    uint8_t *p;
    uint32_t hellos, transactions, queries;
    uint64_t last; /* number of the last transaction carried out */
    bool later;    /* transactions are answered by the test */
    uint32_t record_count; /* of 96 bytes, in the answer to a query */
    uint32_t rings, broken;
};

static void
answer_now(struct service *s)
{
    struct ulv_message_transaction_answer answer = {
        .status = ULV_E_POLICY,
        .operation_idx = 3,
        .revision = 1000 + s->transactions,
        .object = s->session.request,
        .value = 5,
        .bound = 6,
        .text = "why",
    };

    ulv_command_answer_transaction(&s->session, &answer);
}

static void
on_hello(void *self, struct ulv_command_session *session)
{
    struct service *s = self;

    s->hellos++;
    ulv_command_answer_hello(session, ULV_OK, 4711, 12);
}

static void
on_transaction(void *self, struct ulv_command_session *session,
               const struct ulv_command_request *request)
{
    struct service *s = self;

    assert_ptr_equal(session, &s->session);
    s->transactions++;
    s->last = request->request;
    if (!s->later)
        answer_now(s);
}

static void
on_query(void *self, struct ulv_command_session *session,
         const struct ulv_message_query *query)
{
    static uint8_t records[ULV_OPERATION_MESSAGE_MAX][96];
    struct service *s = self;
    struct ulv_message_query_answer header = { .kind = query->kind,
                                               .record_bytes = 96,
                                               .record_count = s->record_count,
                                               .revision = query->after,
                                               .more = 1 };

    s->queries++;
    memset(records, (int)(query->after & 0xff), sizeof(records));
    ulv_command_answer_query(session, &header, records);
}

static bool
on_ready(void *self)
{
    const struct service *s = self;

    return !s->later || s->session.number != 0;
}

static void
on_ring(struct ulv_command_session *session)
{
    struct service *s = session->server->self;

    s->rings++;
}

static void
on_broken(struct ulv_command_session *session)
{
    struct service *s = session->server->self;

    assert_int_not_equal(session->failed, ULV_OK);
    s->broken++;
}

static void
session_begin(struct service *s)
{
    assert_int_equal(ulv_command_session_init(&s->session, &s->server, s->p,
                                              ulv_channel_bytes(RING, 0)),
                     ULV_OK);
    end_attach(&s->client, s->p, RING, ULV_END_CLIENT);
}

static void
begin(struct service *s)
{
    memset(s, 0, sizeof(*s));
    ulv_test_host_init(&s->t);
    s->handlers = (struct ulv_command_handlers){
        .hello = on_hello,
        .transaction = on_transaction,
        .query = on_query,
        .ring = on_ring,
        .ready = on_ready,
        .broken = on_broken,
    };
    s->server.self = s;
    s->server.host = &s->t.host;
    s->server.handlers = &s->handlers;
    s->p = channel_make(RING);
    session_begin(s);
}

static void
end(struct service *s)
{
    ulv_command_session_fini(&s->session);
    assert_int_equal(ulv_test_host_fini(&s->t), 0);
    channel_drop(s->p, RING);
}

static void
step(struct service *s)
{
    if (s->session.server != NULL)
        ulv_command_session_wake(&s->session); /* the test rings for nothing */
    for (uint32_t n = 0; ulv_command_server_step(&s->server) ||
                         !ulv_command_server_sleep(&s->server);
         n++)
        assert_true(n < 10000);
}

static void
send_hello(struct service *s, uint64_t number, uint64_t guid)
{
    struct ulv_message_hello hello = { .m = { 32, 1, 1, number } };

    memcpy(hello.session, &guid, 8);
    assert_int_equal(end_put(&s->client, 1, &hello, 32), ULV_OK);
}

static void
send_transaction(struct service *s, uint64_t number)
{
    struct ulv_message_transaction t = { .m = { 40, 2, 1, number } };

    assert_int_equal(end_put(&s->client, 2, &t, 40), ULV_OK);
}

static ulv_status
send_query(struct service *s, uint64_t number)
{
    struct ulv_message_query query = { .m = { 32, 3, 1, number },
                                       .kind = 1,
                                       .after = number };

    return end_put(&s->client, 3, &query, 32);
}

/* The next answer is to that transaction; its status. */
static int32_t
take_transaction(struct service *s, uint64_t number,
                 struct ulv_message_transaction_answer *ret)
{
    assert_int_equal(end_take(&s->client, ret, sizeof(*ret)), sizeof(*ret));
    assert_int_equal(ret->m.bytes, sizeof(*ret));
    assert_int_equal(ret->m.kind, ULV_MESSAGE_TRANSACTION | 0x100);
    assert_int_equal(ret->m.version, 1);
    assert_int_equal(ret->m.request, number);
    return ret->status;
}

static void
greet(struct service *s)
{
    struct ulv_message_hello_answer answer;

    send_hello(s, 1, 99);
    step(s);
    assert_int_equal(end_take(&s->client, &answer, sizeof(answer)),
                     sizeof(answer));
    assert_int_equal(answer.m.bytes, sizeof(answer));
    assert_int_equal(answer.m.kind, ULV_MESSAGE_HELLO | 0x100);
    assert_int_equal(answer.m.version, 1);
    assert_int_equal(answer.m.request, 1);
    assert_int_equal(answer.status, ULV_OK);
    assert_int_equal(answer.lease_first, 4711);
    assert_int_equal(answer.revision, 12);
    assert_int_equal(s->session.number, 99);
}

/* ask + step + take */
static int32_t
ask(struct service *s, uint64_t number)
{
    struct ulv_message_transaction_answer answer;

    send_transaction(s, number);
    step(s);
    return take_transaction(s, number, &answer);
}

static void
test_command_session__answers_each_request(void **state)
{
    struct service s;
    struct ulv_message_transaction_answer answer;
    struct {
        struct ulv_message_query_answer q;
        uint8_t records[2][96];
    } page;

    (void)state;
    begin(&s);
    greet(&s);
    send_transaction(&s, 2);
    step(&s);
    assert_int_equal(take_transaction(&s, 2, &answer), ULV_E_POLICY);
    assert_int_equal(answer.operation_idx, 3);
    assert_int_equal(answer.object, 2);
    assert_string_equal(answer.text, "why");
    s.record_count = 2;
    assert_int_equal(send_query(&s, 3), ULV_OK);
    step(&s);
    assert_int_equal(end_take(&s.client, &page, sizeof(page)), sizeof(page));
    assert_int_equal(page.q.m.bytes, sizeof(page));
    assert_int_equal(page.q.m.kind, ULV_MESSAGE_QUERY | 0x100);
    assert_int_equal(page.q.m.request, 3);
    assert_int_equal(page.q.record_count, 2);
    assert_int_equal(page.records[1][95], 3);
    assert_int_equal(s.hellos + s.transactions + s.queries, 3);
    assert_int_equal(end_take(&s.client, &page, sizeof(page)), 0);
    end(&s);
}

static void
test_command_session__carries_out_a_repeat_once(void **state)
{
    struct service s;
    struct ulv_message_transaction_answer first, second;

    (void)state;
    begin(&s);
    greet(&s);
    for (uint64_t n = 2; n < 20; n++) {
        send_transaction(&s, n);
        send_transaction(&s, n);
        send_transaction(&s, n - 1 > 1 ? n - 1 : n);
        step(&s);
        (void)take_transaction(&s, n, &first);
        (void)take_transaction(&s, n, &second);
        assert_memory_equal(&first, &second, sizeof(first));
        assert_int_equal(s.transactions, n - 1);
        assert_int_equal(end_take(&s.client, &first, sizeof(first)),
                         sizeof(first));
    }
    /* a query of the same number is not a transaction */
    s.record_count = 0;
    assert_int_equal(send_query(&s, 19), ULV_OK);
    step(&s);
    assert_int_equal(s.queries, 1);
    end(&s);
}

static void
test_command_session__one_request_is_under_way(void **state)
{
    struct service s;
    struct ulv_message_transaction_answer first, second;

    (void)state;
    begin(&s);
    greet(&s);
    s.later = true;
    send_transaction(&s, 2);
    send_transaction(&s, 2); /* the client lost patience */
    send_transaction(&s, 3);
    step(&s);
    assert_int_equal(s.transactions, 1);
    assert_false(ulv_command_server_step(&s.server));
    assert_int_equal(end_take(&s.client, &first, sizeof(first)), 0);
    answer_now(&s);
    step(&s);
    (void)take_transaction(&s, 2, &first);
    (void)take_transaction(&s, 2, &second);
    assert_memory_equal(&first, &second, sizeof(first));
    assert_int_equal(s.transactions, 2);
    assert_int_equal(s.last, 3);
    answer_now(&s);
    step(&s);
    (void)take_transaction(&s, 3, &first);
    assert_int_equal(first.object, 3);
    end(&s);
}

static void
test_command_session__forgets_after_1024(void **state)
{
    struct service s;
    struct ulv_message_transaction_answer answer;

    (void)state;
    begin(&s);
    greet(&s);
    for (uint64_t n = 1; n <= 1025; n++)
        assert_int_equal(ask(&s, n), ULV_E_POLICY);
    assert_int_equal(s.transactions, 1025);
    send_transaction(&s, 1);
    step(&s);
    assert_int_equal(take_transaction(&s, 1, &answer), ULV_E_EXPIRED);
    assert_int_equal(answer.operation_idx, UINT32_MAX);
    assert_int_equal(answer.value, 1);
    assert_int_equal(answer.bound, 1025);
    assert_true(strlen(answer.text) > 10);
    /* and again, and the oldest that is kept is still kept */
    assert_int_equal(ask(&s, 1), ULV_E_EXPIRED);
    assert_int_equal(ask(&s, 1025), ULV_E_POLICY);
    for (uint64_t n = 2; n <= 1025; n++) {
        send_transaction(&s, n);
        step(&s);
        assert_int_equal(take_transaction(&s, n, &answer), ULV_E_POLICY);
        assert_int_equal(answer.object, n);
        assert_int_equal(answer.revision, 1000 + n);
    }
    assert_int_equal(s.transactions, 1025);
    end(&s);
}

static void
test_command_session__numbers_out_of_order(void **state)
{
    struct service s;

    (void)state;
    begin(&s);
    greet(&s);
    assert_int_equal(ask(&s, 0), ULV_E_EXPIRED); /* 0 is no number */
    assert_int_equal(s.transactions, 0);
    assert_int_equal(ask(&s, 5000), ULV_E_POLICY);
    /* never seen, but within the window: carried out, once */
    assert_int_equal(ask(&s, 5000 - 1023), ULV_E_POLICY);
    assert_int_equal(ask(&s, 5000 - 1023), ULV_E_POLICY);
    assert_int_equal(s.transactions, 2);
    assert_int_equal(ask(&s, 5000 - 1024), ULV_E_EXPIRED);
    assert_int_equal(ask(&s, 1), ULV_E_EXPIRED);
    assert_int_equal(s.transactions, 2);
    assert_int_equal(ask(&s, UINT64_MAX), ULV_E_POLICY);
    assert_int_equal(ask(&s, UINT64_MAX), ULV_E_POLICY);
    assert_int_equal(ask(&s, 5001), ULV_E_EXPIRED);
    assert_int_equal(ask(&s, 0), ULV_E_EXPIRED);
    assert_int_equal(s.transactions, 3);
    end(&s);
}

/* Greet the server with that GUID once more. */
static void
greet_again(struct service *s, uint64_t guid)
{
    struct ulv_message_hello_answer answer;

    send_hello(s, 1, guid);
    step(s);
    assert_int_equal(end_take(&s->client, &answer, sizeof(answer)),
                     sizeof(answer));
}

static void
test_command_session__knows_a_client_by_its_guid(void **state)
{
    struct service s;

    (void)state;
    begin(&s);
    greet(&s);
    for (uint64_t n = 2; n < 1500; n++)
        assert_int_equal(ask(&s, n), ULV_E_POLICY);
    assert_int_equal(s.transactions, 1498);
    greet_again(&s, 99); /* for a new lease: it is the same client */
    assert_int_equal(ask(&s, 1499), ULV_E_POLICY);
    assert_int_equal(ask(&s, 2), ULV_E_EXPIRED);
    assert_int_equal(s.transactions, 1498);
    greet_again(&s, 100); /* a successor, which counts from 1 */
    assert_int_equal(ask(&s, 2), ULV_E_POLICY);
    assert_int_equal(ask(&s, 1499), ULV_E_POLICY);
    assert_int_equal(s.transactions, 1500);
    assert_int_equal(ask(&s, 1499), ULV_E_POLICY);
    assert_int_equal(ask(&s, 2), ULV_E_POLICY);
    assert_int_equal(ask(&s, 3), ULV_E_EXPIRED);
    assert_int_equal(s.transactions, 1500);
    end(&s);
}

/* ---- garbage ------------------------------------------------------------- */

static void
expect_disconnected(struct service *s, ulv_status why)
{
    uint32_t carried_out = s->hellos + s->transactions + s->queries;
    uint8_t buf[512];

    step(s);
    assert_int_equal(s->broken, 1);
    assert_int_equal(s->session.failed, why);
    assert_int_equal(ulv_channel_peer_state(&s->client), ULV_END_FAILED);
    assert_int_equal(end_take(&s->client, buf, sizeof(buf)), 0);
    /* nothing is heard of it again */
    send_transaction(s, 7);
    s->rings = 0;
    assert_false(ulv_command_server_step(&s->server));
    assert_true(ulv_command_server_sleep(&s->server));
    assert_int_equal(s->rings, 0);
    assert_int_equal(s->broken, 1);
    assert_int_equal(s->hellos + s->transactions + s->queries, carried_out);
}

static void
test_command_session__nothing_before_hello(void **state)
{
    struct service s;

    (void)state;
    begin(&s);
    send_transaction(&s, 1);
    expect_disconnected(&s, ULV_E_PEER_PROTOCOL);
    end(&s);
    begin(&s);
    assert_int_equal(send_query(&s, 1), ULV_OK);
    expect_disconnected(&s, ULV_E_PEER_PROTOCOL);
    end(&s);
}

static void
test_command_session__garbage_disconnects(void **state)
{
    static const struct {
        struct ulv_message m;
        uint32_t type, len;
        ulv_status why;
    } garbage[] = {
        { { 40, 2, 1, 2 }, 2, 32, ULV_E_PEER_LENGTH },
        { { 32, 2, 1, 2 }, 2, 40, ULV_E_PEER_LENGTH },
        { { 0, 2, 1, 2 }, 2, 0, ULV_E_PEER_LENGTH },
        { { 48, 2, 1, 2 }, 2, 48, ULV_E_PEER_LENGTH },
        { { 40, 2, 0, 2 }, 2, 40, ULV_E_PEER_PROTOCOL },
        { { 40, 2, 2, 2 }, 2, 40, ULV_E_PEER_PROTOCOL },
        { { 40, 0, 1, 2 }, 0, 40, ULV_E_PEER_PROTOCOL },
        { { 40, 4, 1, 2 }, 4, 40, ULV_E_PEER_LENGTH },
        { { 40, 8, 1, 2 }, 8, 40, ULV_E_PEER_PROTOCOL },
        { { 160, 0x205, 1, 2 }, 0x205, 160, ULV_E_PEER_PROTOCOL },
        { { 40, 0x102, 1, 2 }, 0x102, 40, ULV_E_PEER_PROTOCOL },
        { { 16376, 2, 1, 2 }, 2, 16376, ULV_E_PEER_LENGTH },
        { { 40, 2, 1, 2 }, 3, 40, ULV_E_PEER_PROTOCOL }, /* record's type */
        { { 40, 2, 1, 2 }, 0x10002, 40, ULV_E_PEER_PROTOCOL },
    };
    static uint8_t message[16384];
    struct service s, other;

    (void)state;
    begin(&other);
    greet(&other);
    for (size_t i = 0; i < ULV_COUNT_OF(garbage); i++) {
        begin(&s);
        greet(&s);
        memcpy(message, &garbage[i].m, sizeof(garbage[i].m));
        assert_int_equal(end_put(&s.client, garbage[i].type, message,
                                 garbage[i].len),
                         ULV_OK);
        expect_disconnected(&s, garbage[i].why);
        end(&s);
        assert_int_equal(ask(&other, i + 2), ULV_E_POLICY);
    }
    assert_int_equal(other.transactions, ULV_COUNT_OF(garbage));
    end(&other);
}

static void
test_command_session__an_answer_after_the_end(void **state)
{
    struct service s;
    uint64_t nothing = 0;

    (void)state;
    begin(&s);
    greet(&s);
    s.later = true;
    send_transaction(&s, 2);
    step(&s);
    /* the client goes on with garbage while its request is carried out: that
     * goes on, and nobody is there for its answer */
    assert_int_equal(end_put(&s.client, 2, &nothing, 8), ULV_OK);
    step(&s);
    assert_int_equal(s.session.failed, ULV_E_PEER_LENGTH);
    answer_now(&s);
    assert_false(ulv_command_server_step(&s.server));
    assert_int_equal(s.transactions, 1);
    assert_int_equal(s.broken, 1);
    end(&s);
}

/* ---- rings --------------------------------------------------------------- */

static struct ulv_ring_control *
control_of(struct service *s, uint32_t end)
{
    const struct ulv_channel_header *h = (const void *)s->p;

    return (void *)(s->p + h->ring[end].control_offset);
}

/* Whether the server wants to be rung when there is room. */
static bool
asks_for_space(struct service *s)
{
    const struct ulv_ring_control *c = control_of(s, ULV_END_SERVER);

    return c->space_at > c->head;
}

static void
test_command_session__a_full_ring_waits(void **state)
{
    static uint8_t page[ULV_COMMAND_MESSAGE_MAX];
    const struct ulv_message *m = (const void *)page;
    struct service s;
    struct ulv_ring_record record;
    uint64_t sent = 0, taken = 0;

    (void)state;
    begin(&s);
    greet(&s);
    s.record_count = 125;
    while (send_query(&s, 1000 + sent) == ULV_OK)
        sent++;
    step(&s);
    assert_true(s.queries < 10); /* five fit, one waits */
    assert_int_equal(s.session.failed, ULV_OK);
    assert_true(asks_for_space(&s));
    assert_false(ulv_command_server_step(&s.server));
    while (ulv_ring_rx_peek(&s.client.rx, &record) == ULV_OK) {
        assert_int_equal(record.len, 48 + 125 * 96);
        memcpy(page, record.data, record.len);
        assert_int_equal(m->request, 1000 + taken);
        assert_int_equal(page[record.len - 1], (1000 + taken) & 0xff);
        taken++;
        if (ulv_ring_rx_release(&s.client.rx))
            step(&s);
    }
    assert_int_equal(taken, sent);
    assert_int_equal(s.queries, sent);
    end(&s);
}

static void
test_command_session__impossible_indices(void **state)
{
    static const uint64_t wrong[] = { 4, UINT64_MAX - 7, RING + 8 + 80,
                                      UINT64_C(1) << 40, 81 };
    struct service s;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(wrong); i++) {
        begin(&s);
        greet(&s);
        control_of(&s, ULV_END_CLIENT)->tail = wrong[i];
        step(&s);
        assert_int_equal(s.session.failed, ULV_E_PEER_INDEX);
        assert_int_equal(ulv_channel_peer_state(&s.client), ULV_END_FAILED);
        end(&s);
        /* the head of the answers is looked at when they fill the ring */
        begin(&s);
        greet(&s);
        s.record_count = 125;
        control_of(&s, ULV_END_SERVER)->head = wrong[i] + RING;
        for (uint64_t n = 2; n < 10; n++)
            assert_int_equal(send_query(&s, n), ULV_OK);
        step(&s);
        step(&s);
        assert_int_equal(s.session.failed, ULV_E_PEER_INDEX);
        end(&s);
    }
    /* a record that claims more than there is */
    begin(&s);
    greet(&s);
    send_transaction(&s, 2);
    ((uint32_t *)(void *)(s.p + 8192 + RING))[10] = 0xffffff00;
    step(&s);
    assert_int_equal(s.session.failed, ULV_E_PEER_LENGTH);
    end(&s);
}

static void
test_command_session__survives_random_clients(void **state)
{
    uint64_t seed = 7;
    uint32_t disconnected = 0;

    (void)state;
    for (uint32_t n = 0; n < 2000; n++) {
        struct service s;
        uint64_t words[16];

        begin(&s);
        greet(&s);
        for (uint32_t i = 0; i < 4; i++)
            send_transaction(&s, i + 2);
        for (uint32_t i = 0; i < 1 + n % 3; i++)
            s.p[8192 + RING + random_next(&seed) % 240] =
                (uint8_t)random_next(&seed);
        if (n % 4 == 0)
            s.p[4096 + random_next(&seed) % 256] = (uint8_t)random_next(&seed);
        step(&s);
        for (size_t i = 0; i < ULV_COUNT_OF(words); i++)
            words[i] = random_next(&seed);
        (void)end_put(&s.client, 2, words, random_next(&seed) % 129);
        step(&s);
        disconnected += s.session.failed != ULV_OK;
        assert_true(s.transactions <= 5);
        end(&s);
    }
    assert_true(disconnected > 1000);
}

/* ---- the host ------------------------------------------------------------ */

static void
test_command_session__leaves_nothing_behind(void **state)
{
    struct service s;
    uint32_t refused = 0;
    int32_t status = ULV_E_NO_MEMORY;

    (void)state;
    begin(&s);
    greet(&s);
    /* the first answer of each 16 takes memory to be remembered in */
    for (uint64_t n = 2; n < 64; n++) {
        ulv_test_host_fail_at(&s.t, 1);
        status = ask(&s, n);
        ulv_test_host_fail_at(&s.t, 0);
        if (status == ULV_E_NO_MEMORY) {
            refused++;
            assert_int_equal(s.transactions + refused, n - 1);
            assert_int_equal(ask(&s, n), ULV_E_POLICY); /* not carried out */
            refused--;
        }
        assert_int_equal(s.transactions, n - 1);
    }
    ulv_command_session_fini(&s.session);
    ulv_command_session_fini(&s.session); /* twice does no harm */
    assert_int_equal(ulv_test_host_live(&s.t), 0);
    end(&s);
}

static void
test_command_session__needs_a_channel_of_its_kind(void **state)
{
    const uint64_t bytes = ulv_channel_bytes(RING, 0);
    struct service s;
    struct ulv_channel_header *h;

    (void)state;
    begin(&s);
    ulv_command_session_fini(&s.session);
    h = (void *)s.p;
    for (uint32_t i = 0; i < 5; i++) {
        ulv_status status, expected = ULV_E_PEER_PROTOCOL;
        struct ulv_channel_header right = *h;

        h->type[15] ^= i == 0 ? 2 : 0;
        h->magic ^= i == 1 ? 2 : 0;
        h->ring[1].data_offset += i == 2 ? RING : 0;
        if (i == 3) {
            control_of(&s, ULV_END_CLIENT)->tail = 12;
            expected = ULV_E_PEER_INDEX;
        }
        if (i == 4) {
            h->end[0].state = ULV_END_REVOKED;
            expected = ULV_E_STATE;
        }
        status =
            ulv_command_session_init(&s.session, &s.server, s.p, bytes);
        assert_int_equal(status, expected);
        assert_int_equal(s.server.session_count, 0);
        *h = right;
        control_of(&s, ULV_END_CLIENT)->tail = 0;
    }
    session_begin(&s);
    greet(&s);
    end(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_session__answers_each_request),
        cmocka_unit_test(test_command_session__carries_out_a_repeat_once),
        cmocka_unit_test(test_command_session__one_request_is_under_way),
        cmocka_unit_test(test_command_session__forgets_after_1024),
        cmocka_unit_test(test_command_session__numbers_out_of_order),
        cmocka_unit_test(test_command_session__knows_a_client_by_its_guid),
        cmocka_unit_test(test_command_session__nothing_before_hello),
        cmocka_unit_test(test_command_session__garbage_disconnects),
        cmocka_unit_test(test_command_session__an_answer_after_the_end),
        cmocka_unit_test(test_command_session__a_full_ring_waits),
        cmocka_unit_test(test_command_session__impossible_indices),
        cmocka_unit_test(test_command_session__survives_random_clients),
        cmocka_unit_test(test_command_session__leaves_nothing_behind),
        cmocka_unit_test(test_command_session__needs_a_channel_of_its_kind),
    };

    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
