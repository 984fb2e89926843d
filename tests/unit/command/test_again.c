/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A server dies with requests under way; the next one has a channel of its own
 * and knows what was committed. Each is carried out once.
 */
#include "command_test.h"

#include "command/client.h"
#include "command/server.h"
#include "port/test/test.h"

#define RING  ULV_COMMAND_RING_BYTES
#define LIVES 2u

/* What outlasts a server: numbers that led to something, for one client. */
struct service {
    struct ulv_test_host t;
    struct ulv_command_handlers handlers;
    struct ulv_command_server server;
    struct ulv_command_session session;
    struct ulv_command_client client;
    uint8_t *p[LIVES];
    uint8_t guid[16];
    uint64_t committed[8];
    uint32_t count, recalled;
    bool mute;              /* it dies before it answers */
    ulv_status recall_with; /* what recall fails with */
};

static void
on_hello(void *self, struct ulv_command_session *session)
{
    (void)self;
    ulv_command_answer_hello(session, ULV_OK, 4711, 12);
}

static void
on_transaction(void *self, struct ulv_command_session *session,
               const struct ulv_command_request *request)
{
    struct service *s = self;
    struct ulv_message_transaction_answer answer = { .operation_idx = 1 };

    memcpy(s->guid, session->client, 16);
    s->committed[s->count++] = request->request;
    answer.revision = 100 + s->count;
    if (!s->mute)
        ulv_command_answer_transaction(session, &answer);
}

static ulv_status
on_recall(void *self, struct ulv_command_session *session)
{
    struct service *s = self;
    ulv_status status = s->recall_with;

    s->recalled++;
    if (s->count != 0 && memcmp(s->guid, session->client, 16) != 0)
        return ULV_OK;
    for (uint32_t i = 0; i < s->count && status == ULV_OK; i++)
        status = ulv_command_recall(session, s->committed[i], 101 + i,
                                    s->committed[s->count - 1]);
    return status;
}

static bool
on_ready(void *self)
{
    (void)self;
    return true;
}

static void
on_ring(struct ulv_command_session *session)
{
    (void)session;
}

static void
begin(struct service *s)
{
    memset(s, 0, sizeof(*s));
    ulv_test_host_init(&s->t);
    s->handlers.hello = on_hello;
    s->handlers.transaction = on_transaction;
    s->handlers.recall = on_recall;
    s->handlers.ready = on_ready;
    s->handlers.ring = s->handlers.broken = on_ring;
    s->server.host = &s->t.host;
    s->server.handlers = &s->handlers;
    s->server.self = s;
    for (uint32_t i = 0; i < LIVES; i++)
        s->p[i] = channel_make(RING);
    assert_int_equal(ulv_command_session_init(&s->session, &s->server, s->p[0],
                                              ulv_channel_bytes(RING, 0)),
                     ULV_OK);
    assert_int_equal(ulv_command_client_init(&s->client, &s->t.host, s->p[0],
                                             ulv_channel_bytes(RING, 0)),
                     ULV_OK);
}

static void
end(struct service *s)
{
    ulv_command_client_fini(&s->client);
    ulv_command_session_fini(&s->session);
    assert_int_equal(ulv_test_host_fini(&s->t), 0);
    for (uint32_t i = 0; i < LIVES; i++)
        channel_drop(s->p[i], RING);
}

static void
start_again(struct service *s)
{
    bool ring;

    ulv_command_session_fini(&s->session);
    assert_int_equal(ulv_command_session_init(&s->session, &s->server, s->p[1],
                                              ulv_channel_bytes(RING, 0)),
                     ULV_OK);
    assert_int_equal(ulv_command_client_again(&s->client, s->p[1],
                                              ulv_channel_bytes(RING, 0)),
                     ULV_OK);
    assert_int_equal(ulv_command_send_hello(&s->client, &ring), ULV_OK);
}

static const struct ulv_operation operation = { .kind = 3 };
static const struct ulv_command_transaction transaction = {
    .operation_count = 1,
    .operations = &operation,
};

/* The answer to a number, of those that are there; revision 0: none. */
static uint64_t
answered(struct service *s, uint64_t number)
{
    const struct ulv_message_transaction_answer *answer;
    const struct ulv_message *m;
    uint64_t revision = 0;
    bool ring;

    (void)ulv_command_server_step(&s->server);
    while (ulv_command_receive(&s->client, &m, &ring) == ULV_OK) {
        answer = (const void *)m;
        if (m->request != number)
            continue;
        assert_int_equal(m->kind,
                         ULV_MESSAGE_TRANSACTION | ULV_MESSAGE_ANSWER);
        assert_int_equal(answer->status, ULV_OK);
        revision = answer->revision;
    }
    return revision;
}

static void
test_command_again__a_repeat_is_answered_from_the_journal(void **state)
{
    struct service s;
    uint64_t number;
    bool ring;

    (void)state;
    begin(&s);
    s.mute = true;
    assert_int_equal(ulv_command_send_hello(&s.client, &ring), ULV_OK);
    assert_int_equal(
        ulv_command_send_transaction(&s.client, &transaction, &ring), ULV_OK);
    number = s.client.next_request - 1;
    assert_int_equal(answered(&s, number), 0);
    assert_int_equal(s.count, 1);
    s.mute = false;
    start_again(&s);
    assert_int_equal(
        ulv_command_send_again(&s.client, number, &transaction, &ring),
        ULV_OK);
    assert_int_equal(answered(&s, number), 101);
    assert_int_equal(s.count, 1); /* once */
    assert_int_equal(s.recalled, 2);
    /* numbers go on */
    assert_int_equal(
        ulv_command_send_transaction(&s.client, &transaction, &ring), ULV_OK);
    assert_true(s.client.next_request - 1 > number);
    assert_int_equal(answered(&s, s.client.next_request - 1), 102);
    assert_int_equal(s.count, 2);
    end(&s);
}

static void
test_command_again__what_was_never_seen_is_carried_out(void **state)
{
    struct service s;
    uint64_t number;
    bool ring;

    (void)state;
    begin(&s);
    assert_int_equal(ulv_command_send_hello(&s.client, &ring), ULV_OK);
    assert_int_equal(
        ulv_command_send_transaction(&s.client, &transaction, &ring), ULV_OK);
    number = s.client.next_request - 1;
    start_again(&s);
    assert_int_equal(
        ulv_command_send_again(&s.client, number, &transaction, &ring),
        ULV_OK);
    assert_int_equal(answered(&s, number), 101);
    assert_int_equal(s.count, 1);
    end(&s);
}

static void
test_command_again__who_cannot_be_recalled_is_not_served(void **state)
{
    struct service s;
    bool ring;

    (void)state;
    begin(&s);
    s.recall_with = ULV_E_NO_MEMORY;
    assert_int_equal(ulv_command_send_hello(&s.client, &ring), ULV_OK);
    assert_int_equal(
        ulv_command_send_transaction(&s.client, &transaction, &ring), ULV_OK);
    assert_int_equal(answered(&s, s.client.next_request - 1), 0);
    assert_int_equal(s.session.failed, ULV_E_NO_MEMORY);
    assert_int_equal(s.count, 0);
    end(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_command_again__a_repeat_is_answered_from_the_journal),
        cmocka_unit_test(
            test_command_again__what_was_never_seen_is_carried_out),
        cmocka_unit_test(
            test_command_again__who_cannot_be_recalled_is_not_served),
    };

    return cmocka_run_group_tests_name("again", tests, NULL, NULL);
}
