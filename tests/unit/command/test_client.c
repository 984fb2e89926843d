/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The client's end against a server written by hand: what goes out, and which
 * answers come in. No deadline is kept on this level, and no answer missed.
 */
#include "command_test.h"

#include "command/client.h"
#include "command/server.h"
#include "port/test/test.h"

#define RING ULV_COMMAND_RING_BYTES

struct fixture {
    struct ulv_test_host t;
    struct ulv_command_client client;
    struct ulv_channel_end server;
    uint8_t *p;
    uint64_t ring_bytes;
};

static void
begin(struct fixture *f, uint64_t ring_bytes)
{
    memset(f, 0, sizeof(*f));
    ulv_test_host_init(&f->t);
    f->ring_bytes = ring_bytes;
    f->p = channel_make(ring_bytes);
    assert_int_equal(ulv_command_client_init(&f->client, &f->t.host, f->p,
                                             ulv_channel_bytes(ring_bytes, 0)),
                     ULV_OK);
    end_attach(&f->server, f->p, ring_bytes, ULV_END_SERVER);
}

static void
end(struct fixture *f)
{
    ulv_command_client_fini(&f->client);
    assert_int_equal(ulv_test_host_fini(&f->t), 0);
    channel_drop(f->p, f->ring_bytes);
}

/* Send one without preconditions. */
static ulv_status
send_transaction(struct fixture *f, uint32_t options,
                 const struct ulv_operation *operations, uint32_t count)
{
    const struct ulv_command_transaction t = { .options = options,
                                               .operations = operations,
                                               .operation_count = count };
    bool ring = false;

    return ulv_command_send_transaction(&f->client, &t, &ring);
}

/* The next request as the server's decoder sees it; words holds it. */
static struct ulv_command_request
take_request(struct fixture *f, void *words, size_t room)
{
    struct ulv_command_request request;
    struct ulv_ring_record record;
    size_t len;

    assert_int_equal(ulv_ring_rx_peek(&f->server.rx, &record), ULV_OK);
    len = end_take(&f->server, words, room);
    assert_int_equal(ulv_command_decode(words, len, &request), ULV_OK);
    assert_int_equal(record.type, request.kind);
    return request;
}

/* Answer with these bytes under a right header; what the client makes of it. */
static ulv_status
answer(struct fixture *f, void *bytes, size_t len, uint16_t kind)
{
    struct ulv_message *m = bytes;
    const struct ulv_message *got = NULL;
    bool ring = false;
    ulv_status status;

    m->bytes = (uint32_t)len;
    m->kind = kind;
    m->version = 1;
    m->request = f->client.next_request - 1;
    assert_int_equal(end_put(&f->server, kind, bytes, len), ULV_OK);
    status = ulv_command_receive(&f->client, &got, &ring);
    if (status == ULV_OK)
        assert_memory_equal(got, bytes, len);
    else
        assert_null(got);
    return status;
}

static void
test_command_send__is_what_a_server_understands(void **state)
{
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    static struct ulv_operation operations[ULV_OPERATION_COUNT_MAX + 1];
    const uint32_t many = ULV_OPERATION_COUNT_MAX;
    struct fixture f;
    struct ulv_command_request r;
    bool ring = false;

    (void)state;
    begin(&f, RING);
    /* what lay in the ring before is not to be seen */
    memset(f.p + 8192, 0xff, 2 * RING);
    assert_int_equal(ulv_command_send_hello(&f.client, &ring), ULV_OK);
    r = take_request(&f, words, sizeof(words));
    assert_int_equal(r.kind, ULV_MESSAGE_HELLO);
    assert_int_equal(r.request, 1);
    assert_int_equal(ulv_command_send_query(&f.client, 5, 66, &ring), ULV_OK);
    r = take_request(&f, words, sizeof(words));
    assert_int_equal(r.request, 2);
    assert_int_equal(r.u.query->kind, 5);
    assert_int_equal(r.u.query->after, 66);
    for (uint32_t i = 0; i <= many; i++)
        operations[i].kind = i;
    assert_int_equal(send_transaction(&f, 1, operations,
                                      ULV_OPERATION_MESSAGE_MAX),
                     ULV_OK);
    r = take_request(&f, words, sizeof(words));
    assert_int_equal(r.request, 3);
    assert_int_equal(r.u.transaction->options, ULV_TRANSACTION_DRY_RUN);
    assert_int_equal(r.u.transaction->precondition_count, 0);
    assert_int_equal(r.u.transaction->operation_count,
                     ULV_OPERATION_MESSAGE_MAX);
    assert_int_equal(r.u.transaction->deadline, 0);
    assert_memory_equal(r.operations, operations,
                        ULV_OPERATION_MESSAGE_MAX * 96);
    /* one more is refused, and no number is spent on it */
    assert_int_equal(send_transaction(&f, 0, operations, many + 1),
                     ULV_E_LIMIT);
    assert_int_equal(send_transaction(&f, 0, NULL, 0), ULV_OK);
    r = take_request(&f, words, sizeof(words));
    assert_int_equal(r.request, 4);
    assert_int_equal(r.u.transaction->operation_count, 0);
    end(&f);
}

static void
test_command_send__takes_preconditions_along(void **state)
{
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    static struct ulv_operation operations[ULV_OPERATION_MESSAGE_MAX];
    static struct ulv_precondition conditions[ULV_PRECONDITION_COUNT_MAX + 1];
    static const uint32_t counts[][2] = { { 1, 0 }, { 64, 0 }, { 3, 2 },
                                          { 64, ULV_OPERATION_MESSAGE_MAX } };
    struct ulv_command_transaction t = { .preconditions = conditions,
                                         .operations = operations };
    struct fixture f;
    bool ring = false;

    (void)state;
    begin(&f, RING);
    for (uint64_t i = 0; i < ULV_COUNT_OF(conditions); i++)
        conditions[i] = (struct ulv_precondition){ i + 70, i + 900 };
    for (uint32_t i = 0; i < ULV_COUNT_OF(operations); i++)
        operations[i].kind = i;
    for (size_t i = 0; i < ULV_COUNT_OF(counts); i++) {
        struct ulv_command_request r;

        t.precondition_count = counts[i][0];
        t.operation_count = counts[i][1];
        t.deadline = i;
        assert_int_equal(ulv_command_send_transaction(&f.client, &t, &ring),
                         ULV_OK);
        r = take_request(&f, words, sizeof(words));
        assert_int_equal(r.u.transaction->precondition_count, counts[i][0]);
        assert_int_equal(r.u.transaction->operation_count, counts[i][1]);
        assert_int_equal(r.u.transaction->deadline, i);
        assert_memory_equal(r.preconditions, conditions, 16 * counts[i][0]);
        if (counts[i][1] > 0)
            assert_memory_equal(r.operations, operations, 96 * counts[i][1]);
    }
    t.precondition_count = 65;
    t.operation_count = 0;
    assert_int_equal(ulv_command_send_transaction(&f.client, &t, &ring),
                     ULV_E_LIMIT);
    end(&f);
}

static void
test_command_send__a_full_ring_spends_no_number(void **state)
{
    uint64_t words[8], sent = 0;
    struct fixture f;
    bool ring = false;

    (void)state;
    begin(&f, 4096);
    while (ulv_command_send_query(&f.client, 1, sent, &ring) == ULV_OK)
        sent++;
    assert_int_equal(sent, 4096 / 40);
    assert_int_equal(ulv_command_send_hello(&f.client, &ring), ULV_E_FULL);
    for (uint64_t n = 0; n < sent; n++) {
        struct ulv_command_request r = take_request(&f, words, sizeof(words));

        assert_int_equal(r.request, n + 1);
        assert_int_equal(r.u.query->after, n);
    }
    assert_int_equal(ulv_command_send_query(&f.client, 1, 7, &ring), ULV_OK);
    assert_int_equal(take_request(&f, words, sizeof(words)).request, sent + 1);
    end(&f);
}

static void
test_command_receive__refuses_wrong_lengths(void **state)
{
    static const struct {
        uint16_t kind;
        size_t right;
    } answers[] = { { 0x101, 40 }, { 0x102, 248 }, { 0x103, 48 } };
    struct fixture f;
    bool ring = false;

    (void)state;
    begin(&f, RING);
    for (size_t i = 0; i < ULV_COUNT_OF(answers); i++) {
        uint64_t words[32] = { 0 };

        if (i == 0)
            assert_int_equal(ulv_command_send_hello(&f.client, &ring), ULV_OK);
        else if (i == 1)
            assert_int_equal(send_transaction(&f, 0, NULL, 0), ULV_OK);
        else
            assert_int_equal(ulv_command_send_query(&f.client, 1, 0, &ring),
                             ULV_OK);
        for (size_t len = 16; len < answers[i].right; len++)
            assert_int_equal(answer(&f, words, len, answers[i].kind),
                             ULV_E_PEER_LENGTH);
        assert_int_equal(answer(&f, words, answers[i].right, answers[i].kind),
                         ULV_OK);
        words[0]++; /* the header says one byte more than there is */
        assert_int_equal(end_put(&f.server, answers[i].kind, words,
                                 answers[i].right),
                         ULV_OK);
        {
            const struct ulv_message *got;

            assert_int_equal(ulv_command_receive(&f.client, &got, &ring),
                             ULV_E_PEER_LENGTH);
        }
    }
    end(&f);
}

static void
test_command_receive__counts_the_records(void **state)
{
    static const uint32_t lies[][2] = {
        { 96, 1 }, { 96, 3 }, { 95, 2 }, { 97, 2 }, { 0, 0 }, { 96, 0 },
        { UINT32_MAX, 2 }, { 96, UINT32_MAX }, { UINT32_MAX, UINT32_MAX },
        /* times one another these are 192 in 32 bits */
        { 96, 0x80000002 }, { 0x80000060, 2 },
    };
    struct fixture f;
    struct {
        struct ulv_message_query_answer q;
        uint8_t records[2][96];
    } page;
    bool ring = false;

    (void)state;
    begin(&f, RING);
    memset(&page, 0, sizeof(page));
    assert_int_equal(ulv_command_send_query(&f.client, 1, 0, &ring), ULV_OK);
    for (size_t i = 0; i < ULV_COUNT_OF(lies); i++) {
        page.q.record_bytes = lies[i][0];
        page.q.record_count = lies[i][1];
        assert_int_equal(answer(&f, &page, sizeof(page), 0x103),
                         ULV_E_PEER_LENGTH);
    }
    page.q.record_bytes = 96;
    page.q.record_count = 2;
    assert_int_equal(answer(&f, &page, sizeof(page), 0x103), ULV_OK);
    end(&f);
}

static void
test_command_receive__hands_out_the_number(void **state)
{
    static const uint64_t numbers[] = { 0, 1, 2, 3, 1000, UINT64_MAX };
    struct fixture f;
    const struct ulv_message *got;
    bool ring = false;

    (void)state;
    begin(&f, RING);
    assert_int_equal(ulv_command_receive(&f.client, &got, &ring), ULV_E_EMPTY);
    assert_int_equal(ulv_command_send_query(&f.client, 1, 0, &ring), ULV_OK);
    assert_int_equal(ulv_command_send_query(&f.client, 1, 0, &ring), ULV_OK);
    for (size_t i = 0; i < ULV_COUNT_OF(numbers); i++) {
        struct ulv_message_query_answer q = { .m = { 48, 0x103, 1,
                                                     numbers[i] } };

        /* the caller drops those it did not wait for */
        assert_int_equal(end_put(&f.server, 0x103, &q, 48), ULV_OK);
        assert_int_equal(ulv_command_receive(&f.client, &got, &ring), ULV_OK);
        assert_int_equal(got->request, numbers[i]);
    }
    assert_int_equal(ulv_command_receive(&f.client, &got, &ring), ULV_E_EMPTY);
    end(&f);
}

/* A message of the kind asked for, in a record of another type. */
static void
refuse_record(struct fixture *f, uint32_t asked, uint32_t record_type)
{
    struct ulv_message_query_answer q = { .m = { 48, 0, 1, asked + 1 } };
    const struct ulv_message *got;
    bool ring = false;

    q.m.kind = (uint16_t)(0x101 + asked);
    assert_int_equal(end_put(&f->server, record_type, &q, 48), ULV_OK);
    assert_int_not_equal(ulv_command_receive(&f->client, &got, &ring), ULV_OK);
}

static void
test_command_receive__refuses_another_kind(void **state)
{
    static const size_t least[] = { 40, 248, 48 };
    struct fixture f;
    bool ring = false;

    (void)state;
    begin(&f, RING);
    for (uint32_t asked = 0; asked < 3; asked++) {
        if (asked == 0)
            assert_int_equal(ulv_command_send_hello(&f.client, &ring), ULV_OK);
        else if (asked == 1)
            assert_int_equal(send_transaction(&f, 0, NULL, 0), ULV_OK);
        else
            assert_int_equal(ulv_command_send_query(&f.client, 1, 0, &ring),
                             ULV_OK);
        for (uint32_t got = 0; got < 3; got++) {
            uint64_t words[31] = { 0 };

            if (got != asked)
                refuse_record(&f, asked, 0x101 + got);
            /* by its number it is the answer: it would be read as one */
            assert_int_equal(answer(&f, words, least[got],
                                    (uint16_t)(0x101 + got)),
                             got == asked ? ULV_OK : ULV_E_PEER_PROTOCOL);
        }
    }
    end(&f);
}

static void
test_command_receive__refuses_a_text_without_end(void **state)
{
    struct fixture f;
    struct ulv_message_transaction_answer full = { .status = ULV_E_POLICY };

    (void)state;
    begin(&f, RING);
    assert_int_equal(send_transaction(&f, 0, NULL, 0), ULV_OK);
    memset(full.text, 'x', sizeof(full.text));
    assert_int_equal(answer(&f, &full, sizeof(full), 0x102),
                     ULV_E_PEER_PROTOCOL);
    full.text[sizeof(full.text) - 1] = '\0';
    assert_int_equal(answer(&f, &full, sizeof(full), 0x102), ULV_OK);
    end(&f);
}

static void
test_command_client_id__is_of_the_lease(void **state)
{
    struct fixture f;
    struct ulv_message_hello_answer hello = { .lease_first = 100000 };
    bool ring = false;

    (void)state;
    begin(&f, RING);
    assert_int_equal(ulv_command_client_id(&f.client), 0);
    assert_int_equal(ulv_command_send_hello(&f.client, &ring), ULV_OK);
    hello.status = ULV_E_LIMIT; /* no lease comes with that */
    assert_int_equal(answer(&f, &hello, sizeof(hello), 0x101), ULV_OK);
    assert_int_equal(ulv_command_client_id(&f.client), 0);
    hello.status = ULV_OK;
    assert_int_equal(answer(&f, &hello, sizeof(hello), 0x101), ULV_OK);
    for (uint64_t n = 0; n < 65536; n++)
        assert_int_equal(ulv_command_client_id(&f.client), 100000 + n);
    assert_int_equal(ulv_command_client_id(&f.client), 0);
    assert_int_equal(ulv_command_client_id(&f.client), 0);
    hello.lease_first = 900000;
    assert_int_equal(answer(&f, &hello, sizeof(hello), 0x101), ULV_OK);
    assert_int_equal(ulv_command_client_id(&f.client), 900000);
    end(&f);
}

static void
test_command_receive__a_server_that_is_gone(void **state)
{
    struct fixture f;
    struct ulv_message_query_answer q = { .m = { 48, 0x103, 1, 1 } };
    const struct ulv_message *got;
    bool ring = false;

    (void)state;
    begin(&f, RING);
    assert_int_equal(ulv_command_send_query(&f.client, 1, 0, &ring), ULV_OK);
    assert_int_equal(end_put(&f.server, 0x103, &q, 48), ULV_OK);
    ulv_channel_detach(&f.server);
    /* what it said before it went still counts; then there is nothing */
    assert_int_equal(ulv_command_receive(&f.client, &got, &ring), ULV_OK);
    for (uint32_t n = 0; n < 3; n++)
        assert_int_equal(ulv_command_receive(&f.client, &got, &ring),
                         ULV_E_EMPTY);
    assert_int_equal(ulv_channel_peer_state(&f.client.end), ULV_END_DETACHED);
    end(&f);
}

static void
test_command_receive__impossible_rings(void **state)
{
    static const uint64_t wrong[] = { 4, UINT64_MAX - 7, RING + 8 };
    static uint8_t longest[16376];
    struct fixture f;
    const struct ulv_message *got;
    bool ring = false;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(wrong); i++) {
        begin(&f, RING);
        f.client.end.rx.control->tail = wrong[i];
        for (uint32_t n = 0; n < 2; n++)
            assert_int_equal(ulv_command_receive(&f.client, &got, &ring),
                             ULV_E_PEER_INDEX);
        end(&f);
    }
    begin(&f, RING);
    memcpy(longest, &(struct ulv_message){ 16376, 0x103, 1, 1 }, 16);
    assert_int_equal(end_put(&f.server, 0x103, longest, sizeof(longest)),
                     ULV_OK);
    for (uint32_t n = 0; n < 2; n++)
        assert_int_equal(ulv_command_receive(&f.client, &got, &ring),
                         ULV_E_PEER_LENGTH);
    end(&f);
}

static void
test_command_receive__survives_random_answers(void **state)
{
    uint64_t seed = 99;
    struct fixture f;
    bool ring = false;

    (void)state;
    begin(&f, RING);
    assert_int_equal(ulv_command_send_query(&f.client, 1, 0, &ring), ULV_OK);
    for (uint32_t n = 0; n < 50000; n++) {
        uint64_t words[64];
        struct ulv_message *m = (void *)words;
        const struct ulv_message *got = NULL;
        size_t len = random_next(&seed) % sizeof(words);
        ulv_status status;

        for (size_t i = 0; i < ULV_COUNT_OF(words); i++)
            words[i] = random_next(&seed) & random_next(&seed);
        if (n % 16 != 0)
            m->bytes = (uint32_t)len;
        m->kind = (uint16_t)(0x100 + n % 5);
        m->version = n % 9 == 0 ? 2 : 1;
        m->request = random_next(&seed) % 3;
        assert_int_equal(end_put(&f.server, m->kind, words, len), ULV_OK);
        status = ulv_command_receive(&f.client, &got, &ring);
        if (status == ULV_OK)
            assert_int_equal(got->bytes, len);
        else
            assert_true(status == ULV_E_PEER_LENGTH ||
                        status == ULV_E_PEER_PROTOCOL);
    }
    end(&f);
}

/* ---- both ends ----------------------------------------------------------- */

static void
on_hello(void *self, struct ulv_command_session *session)
{
    (void)self;
    ulv_command_answer_hello(session, ULV_OK, 1, 1);
}

static void
on_transaction(void *self, struct ulv_command_session *session,
               const struct ulv_command_request *request)
{
    struct ulv_message_transaction_answer done = {
        .revision = request->u.transaction->operation_count
    };

    (void)self;
    ulv_command_answer_transaction(session, &done);
}

static void
on_ring(struct ulv_command_session *session)
{
    (void)session;
}

static bool
on_ready(void *self)
{
    (void)self;
    return true;
}

/* Both ends on one channel: greet, ask, go. */
static ulv_status
talk(struct ulv_test_host *t, uint8_t *p, uint64_t guids[2])
{
    const struct ulv_command_handlers handlers = {
        .hello = on_hello,
        .transaction = on_transaction,
        .ring = on_ring,
        .ready = on_ready,
    };
    const uint64_t bytes = ulv_channel_bytes(RING, 0);
    static struct ulv_operation operations[7];
    const struct ulv_command_transaction seven = { .operations = operations,
                                                   .operation_count = 7 };
    static struct ulv_command_server server;
    struct ulv_command_session session = { 0 };
    struct ulv_command_client client = { 0 };
    const struct ulv_message *got = NULL;
    bool ring = false;
    ulv_status status;

    server = (struct ulv_command_server){ .host = &t->host,
                                          .handlers = &handlers };
    status = ulv_command_session_init(&session, &server, p, bytes);
    if (status == ULV_OK)
        status = ulv_command_client_init(&client, &t->host, p, bytes);
    for (uint32_t n = 0; n < 2 && status == ULV_OK; n++) {
        assert_int_equal(ulv_command_send_hello(&client, &ring), ULV_OK);
        (void)ulv_command_server_step(&server);
        guids[n] = session.number;
        assert_int_equal(ulv_command_receive(&client, &got, &ring), ULV_OK);
        assert_int_equal(
            ulv_command_send_transaction(&client, &seven, &ring), ULV_OK);
        (void)ulv_command_server_step(&server);
        assert_int_equal(ulv_command_receive(&client, &got, &ring), ULV_OK);
        status =
            ((const struct ulv_message_transaction_answer *)got)->status;
        if (status == ULV_OK)
            assert_int_equal(
                ((const struct ulv_message_transaction_answer *)got)->revision,
                7);
    }
    ulv_command_client_fini(&client);
    ulv_command_session_fini(&session);
    ulv_command_client_fini(&client);
    return status;
}

static void
test_command_client__leaves_nothing_behind(void **state)
{
    ulv_status status = ULV_E_NO_MEMORY;
    uint64_t guids[2];
    struct ulv_test_host t;
    uint8_t *p = channel_make(RING);

    (void)state;
    ulv_test_host_init(&t);
    for (uint64_t n = 1; status != ULV_OK; n++) {
        ulv_test_host_fail_at(&t, n);
        status = talk(&t, p, guids);
        assert_int_equal(status,
                         ulv_test_host_failed(&t) ? ULV_E_NO_MEMORY : ULV_OK);
        assert_int_equal(ulv_test_host_live(&t), 0);
    }
    assert_true(t.calls >= 2);
    assert_true(guids[0] != 0);
    assert_int_equal(guids[0], guids[1]); /* retries are known by it */
    ulv_test_host_fail_at(&t, 0);
    /* a host without entropy: no GUID, but it works */
    t.host.entropy = NULL;
    assert_int_equal(talk(&t, p, guids), ULV_OK);
    /* not a channel at all */
    memset(p, 0, 4096);
    assert_int_equal(talk(&t, p, guids), ULV_E_PEER_PROTOCOL);
    {
        struct ulv_command_client client;

        assert_int_equal(ulv_command_client_init(&client, &t.host, p,
                                                 ulv_channel_bytes(RING, 0)),
                         ULV_E_PEER_PROTOCOL);
    }
    assert_int_equal(ulv_test_host_fini(&t), 0);
    channel_drop(p, RING);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_send__is_what_a_server_understands),
        cmocka_unit_test(test_command_send__takes_preconditions_along),
        cmocka_unit_test(test_command_send__a_full_ring_spends_no_number),
        cmocka_unit_test(test_command_receive__refuses_wrong_lengths),
        cmocka_unit_test(test_command_receive__counts_the_records),
        cmocka_unit_test(test_command_receive__hands_out_the_number),
        cmocka_unit_test(test_command_receive__refuses_another_kind),
        cmocka_unit_test(test_command_receive__refuses_a_text_without_end),
        cmocka_unit_test(test_command_client_id__is_of_the_lease),
        cmocka_unit_test(test_command_receive__a_server_that_is_gone),
        cmocka_unit_test(test_command_receive__impossible_rings),
        cmocka_unit_test(test_command_receive__survives_random_answers),
        cmocka_unit_test(test_command_client__leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
