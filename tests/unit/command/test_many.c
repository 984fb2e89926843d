/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Many clients on one database, by their channels and a command server: those
 * that change partitions of their own never hear of a conflict, whatever the
 * others do; of those that change one record as they have seen it, one does.
 */
#include "command_test.h"

#include "command/client.h"
#include "command/server.h"
#include "database/database.h"
#include "port/test/test.h"

#define RING    ULV_COMMAND_RING_BYTES
#define CLIENTS 64u
#define ROUNDS  50u

struct peer {
    struct ulv_command_session session;
    struct ulv_command_client client;
    uint8_t *p;
    ulv_id partition;
};

static struct {
    struct ulv_test_host t;
    struct ulv_command_server server;
    struct ulv_database *db;
    struct peer peers[CLIENTS];
    ulv_id first;
} many;

static void
on_hello(void *self, struct ulv_command_session *session)
{
    (void)self;
    ulv_command_answer_hello(session, ULV_OK, 0, 0);
}

static void
on_transaction(void *self, struct ulv_command_session *session,
               const struct ulv_command_request *from)
{
    const struct ulv_request request = {
        .request = from->request,
        .precondition_count = from->u.transaction->precondition_count,
        .operation_count = from->u.transaction->operation_count,
        .preconditions = from->preconditions,
        .operations = from->operations,
    };
    struct ulv_message_transaction_answer answer = { .status = ULV_OK };
    struct ulv_plan *plan;
    uint32_t idx;

    (void)self;
    answer.status =
        ulv_database_prepare(many.db, &request, &plan, &idx, NULL);
    if (answer.status == ULV_OK)
        answer.revision = ulv_database_commit(many.db, plan);
    ulv_command_answer_transaction(session, &answer);
}

static void
on_query(void *self, struct ulv_command_session *session,
         const struct ulv_message_query *query)
{
    struct ulv_message_query_answer header = { .kind = query->kind };

    (void)self;
    ulv_command_answer_query(session, &header, NULL);
}

static bool
on_ready(void *self)
{
    (void)self;
    return true;
}

static void
on_nothing(struct ulv_command_session *session)
{
    (void)session;
}

static const struct ulv_command_handlers handlers = {
    .hello = on_hello,
    .transaction = on_transaction,
    .query = on_query,
    .ready = on_ready,
    .ring = on_nothing,
    .broken = on_nothing,
};

static void
step(void)
{
    ulv_command_server_wake_all(&many.server); /* nobody rings */
    while (ulv_command_server_step(&many.server))
        ;
}

/* The status of the answer that has come. */
static int32_t
status_of(struct peer *peer)
{
    const struct ulv_message *m;
    bool ring = false;

    assert_int_equal(ulv_command_receive(&peer->client, &m, &ring), ULV_OK);
    return ((const struct ulv_message_transaction_answer *)(const void *)m)
        ->status;
}

/* A change of that partition, if it is as it was seen. */
static void
send(struct peer *peer, ulv_id partition, uint64_t version, uint64_t code)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
    const struct ulv_precondition as_seen = { partition, version };
    const struct ulv_command_transaction t = {
        .precondition_count = 1,
        .operation_count = 1,
        .preconditions = &as_seen,
        .operations = &o,
    };
    bool ring = false;

    o.u.set_state.partition = partition;
    o.u.set_state.code = code;
    assert_int_equal(ulv_command_send_transaction(&peer->client, &t, &ring),
                     ULV_OK);
}

static uint64_t
version_of(ulv_id partition)
{
    struct ulv_partition_record r;

    assert_int_equal(
        ulv_database_find(many.db, ULV_QUERY_PARTITIONS, partition, &r),
        ULV_OK);
    return r.version;
}

static void
make_partitions(void)
{
    struct ulv_operation o[CLIENTS];
    const struct ulv_request request = { .operation_count = CLIENTS,
                                         .operations = o };
    struct ulv_plan *plan;
    uint32_t idx;

    memset(o, 0, sizeof(o));
    assert_int_equal(ulv_database_lease(many.db, &many.first), ULV_OK);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct ulv_text name;

        o[i].kind = ULV_OP_CREATE_PARTITION;
        o[i].u.create_partition.id = many.peers[i].partition =
            many.first + i;
        ulv_text_init(&name, o[i].u.create_partition.name, 32);
        ulv_text_format(&name, "p%u", (uint64_t)i);
    }
    assert_int_equal(
        ulv_database_prepare(many.db, &request, &plan, &idx, NULL), ULV_OK);
    (void)ulv_database_commit(many.db, plan);
}

static int
begin(void **state)
{
    const uint64_t bytes = ulv_channel_bytes(RING, 0);
    bool ring = false;

    (void)state;
    memset(&many, 0, sizeof(many));
    ulv_test_host_init(&many.t);
    assert_int_equal(ulv_database_create(&many.t.host, &many.db), ULV_OK);
    make_partitions();
    many.server.host = &many.t.host;
    many.server.handlers = &handlers;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct peer *peer = &many.peers[i];

        peer->p = channel_make(RING);
        assert_int_equal(ulv_command_session_init(&peer->session,
                                                  &many.server, peer->p,
                                                  bytes),
                         ULV_OK);
        assert_int_equal(ulv_command_client_init(&peer->client, &many.t.host,
                                                 peer->p, bytes),
                         ULV_OK);
        assert_int_equal(ulv_command_send_hello(&peer->client, &ring), ULV_OK);
    }
    step();
    for (uint32_t i = 0; i < CLIENTS; i++)
        assert_int_equal(status_of(&many.peers[i]), ULV_OK);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        ulv_command_client_fini(&many.peers[i].client);
        ulv_command_session_fini(&many.peers[i].session);
        channel_drop(many.peers[i].p, RING);
    }
    assert_int_equal(ulv_database_check(many.db, NULL), ULV_OK);
    ulv_database_destroy(many.db);
    assert_int_equal(ulv_test_host_fini(&many.t), 0);
    return 0;
}

static void
test_command_many__unrelated_never_conflict(void **state)
{
    const uint64_t before = ulv_database_revision(many.db);

    (void)state;
    for (uint64_t n = 1; n <= ROUNDS; n++) {
        for (uint32_t i = 0; i < CLIENTS; i++) {
            ulv_id own = many.peers[i].partition;

            send(&many.peers[i], own, version_of(own), n);
        }
        step();
        for (uint32_t i = 0; i < CLIENTS; i++)
            assert_int_equal(status_of(&many.peers[i]), ULV_OK);
    }
    assert_int_equal(ulv_database_revision(many.db),
                     before + ROUNDS * CLIENTS);
}

static void
test_command_many__of_one_record_one_wins(void **state)
{
    const ulv_id one = many.first;

    (void)state;
    for (uint64_t n = 1; n <= ROUNDS; n++) {
        const uint64_t version = version_of(one);
        struct ulv_partition_record r;
        uint32_t won = 0;

        for (uint32_t i = 0; i < CLIENTS; i++)
            send(&many.peers[i], one, version, i);
        step();
        for (uint32_t i = 0; i < CLIENTS; i++) {
            int32_t status = status_of(&many.peers[i]);

            assert_true(status == ULV_OK || status == ULV_E_CONFLICT);
            if (status != ULV_OK)
                continue;
            won++;
            assert_int_equal(ulv_database_find(many.db, ULV_QUERY_PARTITIONS,
                                               one, &r),
                             ULV_OK);
            assert_int_equal(r.end_code, i);
        }
        assert_int_equal(won, 1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_command_many__unrelated_never_conflict, begin, end),
        cmocka_unit_test_setup_teardown(
            test_command_many__of_one_record_one_wins, begin, end),
    };

    return cmocka_run_group_tests_name("many", tests, NULL, NULL);
}
