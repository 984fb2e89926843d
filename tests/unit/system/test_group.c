/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The command role by itself, and three callers that ask at the same time: what
 * it asks of the ultravisor, which is the test, and what it tells whom.
 */
#include "role_alone.h"

#include <ultravisor/abi/policy.h>

#include "policy/policy.h"

#define CALLERS 3u

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;
static const uint8_t type_policy[16] = ULV_CHANNEL_TYPE_POLICY;

struct group {
    struct alone a;
    struct alone_channel above, policy, below[CALLERS];
    struct ulv_channel_end ultravisor, operations;
    struct ulv_command_client caller[CALLERS];
    uint64_t asked; /* the number of what the ultravisor was asked last */
};

/* What the ultravisor is asked next; false: nothing. */
static bool
next(struct group *g, uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8],
     struct ulv_command_request *ret)
{
    struct ulv_ring_record record;

    if (ulv_ring_rx_peek(&g->ultravisor.rx, &record) != ULV_OK)
        return false;
    memcpy(words, record.data, record.len);
    (void)ulv_ring_rx_release(&g->ultravisor.rx);
    assert_int_equal(ulv_command_decode(words, record.len, ret), ULV_OK);
    g->asked = ret->request;
    return true;
}

static void
answer(struct group *g, int32_t status, uint32_t idx, uint64_t revision)
{
    struct ulv_message_transaction_answer a = {
        .m = { sizeof(a), ULV_MESSAGE_TRANSACTION | ULV_MESSAGE_ANSWER, 1,
               g->asked },
        .status = status,
        .operation_idx = idx,
        .revision = revision,
    };

    alone_put(&g->a, &g->ultravisor, &g->above, a.m.kind, &a, sizeof(a));
}

static void
greet(struct group *g, struct ulv_command_client *caller,
      struct alone_channel *below)
{
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    struct ulv_message_hello_answer a = { .lease_first = 65536 };
    struct ulv_command_request request;
    const struct ulv_message *m;
    bool ring = false;

    assert_int_equal(ulv_command_send_hello(caller, &ring), ULV_OK);
    alone_ring(&g->a, below);
    alone_run(&g->a);
    assert_true(next(g, words, &request));
    a.m = (struct ulv_message){ sizeof(a),
                                ULV_MESSAGE_HELLO | ULV_MESSAGE_ANSWER, 1,
                                g->asked };
    alone_put(&g->a, &g->ultravisor, &g->above, a.m.kind, &a, sizeof(a));
    assert_int_equal(ulv_command_receive(caller, &m, &ring), ULV_OK);
}

static void
begin(struct group *g)
{
    struct ulv_policy policy;

    memset(g, 0, sizeof(*g));
    alone_begin(&g->a, ULV_PARTITION_COMMAND, NULL, 0);
    alone_channel(&g->a, 1, ULV_END_CLIENT, type_policy, &g->policy);
    alone_channel(&g->a, 2, ULV_END_CLIENT, type_command, &g->above);
    for (uint32_t i = 0; i < CALLERS; i++)
        alone_channel(&g->a, 3 + i, ULV_END_SERVER, type_command,
                      &g->below[i]);
    assert_int_equal(ulv_channel_attach(&g->operations, g->policy.p,
                                        g->policy.bytes, ULV_END_SERVER,
                                        type_policy),
                     ULV_OK);
    assert_int_equal(ulv_channel_attach(&g->ultravisor, g->above.p,
                                        g->above.bytes, ULV_END_SERVER,
                                        type_command),
                     ULV_OK);
    alone_run(&g->a);
    ulv_policy_default(&policy);
    alone_put(&g->a, &g->operations, &g->policy, ULV_POLICY_IS, &policy,
              sizeof(policy));
    for (uint32_t i = 0; i < CALLERS; i++) {
        assert_int_equal(ulv_command_client_init(&g->caller[i], &g->a.t.host,
                                                 g->below[i].p,
                                                 g->below[i].bytes),
                         ULV_OK);
        greet(g, &g->caller[i], &g->below[i]);
    }
}

static void
end(struct group *g)
{
    for (uint32_t i = 0; i < CALLERS; i++) {
        ulv_command_client_fini(&g->caller[i]);
        alone_channel_end(&g->a, &g->below[i]);
    }
    alone_channel_end(&g->a, &g->above);
    alone_channel_end(&g->a, &g->policy);
    alone_end(&g->a);
}

/* Each asks for that many operations of its own, whom nobody's facts judge;
 * before: of the second, that many preconditions. */
static void
ask(struct group *g, uint32_t count, uint32_t before, uint64_t deadline)
{
    struct ulv_operation o[2] = { { .kind = ULV_OP_DESTROY_PARTITION },
                                  { .kind = ULV_OP_DESTROY_PARTITION } };
    const struct ulv_precondition want = { 9, 9 };
    struct ulv_command_transaction t = { .operations = o,
                                         .operation_count = count,
                                         .preconditions = &want,
                                         .deadline = deadline };
    bool ring = false;

    for (uint32_t i = 0; i < CALLERS; i++) {
        o[0].u.destroy_partition.id = o[1].u.destroy_partition.id = 100 + i;
        t.precondition_count = i == 1 ? before : 0;
        assert_int_equal(
            ulv_command_send_transaction(&g->caller[i], &t, &ring), ULV_OK);
        alone_ring(&g->a, &g->below[i]);
    }
    alone_run(&g->a);
}

static void
ask_one(struct group *g, uint32_t caller)
{
    const struct ulv_operation o = { .kind = ULV_OP_DESTROY_PARTITION,
                                     .u.destroy_partition.id = 100 + caller };
    const struct ulv_command_transaction t = { .operations = &o,
                                               .operation_count = 1 };
    bool ring = false;

    assert_int_equal(
        ulv_command_send_transaction(&g->caller[caller], &t, &ring), ULV_OK);
}

/* It is asked for those partitions, in that order. */
static void
expect(struct group *g, uint32_t count, const ulv_id *ids)
{
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    struct ulv_command_request request;

    assert_true(next(g, words, &request));
    assert_int_equal(request.kind, ULV_MESSAGE_TRANSACTION);
    assert_int_equal(request.u.transaction->operation_count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(request.operations[i].u.destroy_partition.id,
                         ids[i]);
}

static void
expect_nothing(struct group *g)
{
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    struct ulv_command_request request;

    assert_false(next(g, words, &request));
}

static struct ulv_message_transaction_answer
told(struct group *g, uint32_t caller)
{
    struct ulv_message_transaction_answer copy;
    const struct ulv_message *m = NULL;
    bool ring = false;

    assert_int_equal(ulv_command_receive(&g->caller[caller], &m, &ring),
                     ULV_OK);
    assert_int_equal(m->request, g->caller[caller].next_request - 1);
    memcpy(&copy, m, sizeof(copy));
    assert_int_equal(ulv_command_receive(&g->caller[caller], &m, &ring),
                     ULV_E_EMPTY);
    return copy;
}

static const ulv_id twice[] = { 100, 100, 101, 101, 102, 102 };

static void
test_system_group__is_one_transaction(void **state)
{
    static struct group g;

    (void)state;
    begin(&g);
    for (uint64_t n = 1; n < 4; n++) {
        ask(&g, 2, 0, 0);
        expect(&g, 6, twice);
        expect_nothing(&g);
        answer(&g, ULV_OK, UINT32_MAX, 70 + n);
        for (uint32_t i = 0; i < CALLERS; i++) {
            struct ulv_message_transaction_answer a = told(&g, i);

            assert_int_equal(a.status, ULV_OK);
            assert_int_equal(a.operation_idx, UINT32_MAX);
            assert_int_equal(a.revision, 70 + n);
        }
        expect_nothing(&g);
    }
    end(&g);
}

/* One is refused: each is asked for alone, and hears what came of its own. */
static void
test_system_group__is_taken_apart(void **state)
{
    static struct group g;

    (void)state;
    begin(&g);
    ask(&g, 2, 0, 0);
    expect(&g, 6, twice);
    answer(&g, ULV_E_BUSY, 3, 0);
    for (uint32_t i = 0; i < CALLERS; i++) {
        expect(&g, 2, &twice[2 * i]);
        expect_nothing(&g);
        answer(&g, i == 1 ? ULV_E_BUSY : ULV_OK, i == 1 ? 1 : UINT32_MAX,
               80 + i);
        assert_int_equal(told(&g, i).status, i == 1 ? ULV_E_BUSY : ULV_OK);
    }
    expect_nothing(&g);
    ask(&g, 2, 0, 0); /* and together again */
    expect(&g, 6, twice);
    end(&g);
}

/* Of what may have been carried out nothing is asked for again. */
static void
test_system_group__hears_that_there_is_no_answer(void **state)
{
    static const uint8_t garbage[64] = { 1, 2, 3 };
    static struct group g;

    (void)state;
    begin(&g);
    ask(&g, 1, 0, 0);
    expect(&g, 3, (const ulv_id[]){ 100, 101, 102 });
    alone_put(&g.a, &g.ultravisor, &g.above,
              ULV_MESSAGE_TRANSACTION | ULV_MESSAGE_ANSWER, garbage,
              sizeof(garbage));
    for (uint32_t i = 0; i < CALLERS; i++)
        assert_true(told(&g, i).status < 0);
    expect_nothing(&g);
    end(&g);
}

/* Who expects a version is not judged by what others of the group change. */
static void
test_system_group__preconditions_come_first(void **state)
{
    static struct group g;

    (void)state;
    begin(&g);
    ask(&g, 1, 1, 0);
    expect(&g, 2, (const ulv_id[]){ 100, 102 });
    expect_nothing(&g);
    answer(&g, ULV_OK, UINT32_MAX, 90);
    assert_int_equal(told(&g, 0).revision, 90);
    assert_int_equal(told(&g, 2).revision, 90);
    expect(&g, 1, (const ulv_id[]){ 101 });
    answer(&g, ULV_OK, UINT32_MAX, 91);
    assert_int_equal(told(&g, 1).revision, 91);
    end(&g);
}

/* Who leaves is missed by nobody, whether they are together or not. */
static void
test_system_group__one_leaves(void **state)
{
    struct say say = { .kind = SAY_CHANNEL_CLOSE };
    static struct group g;

    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        begin(&g);
        ask(&g, 2, 0, 0);
        expect(&g, 6, twice);
        say.u.channel.channel = 3 + 1;
        assert_int_equal(ulv_post_send(&g.a.keeper, &say, NULL, NULL, 0),
                         ULV_OK);
        alone_run(&g.a);
        answer(&g, apart ? ULV_E_BUSY : ULV_OK, UINT32_MAX, 60);
        for (uint32_t i = 0; apart && i < CALLERS; i += 2) {
            expect(&g, 2, &twice[2 * i]);
            answer(&g, ULV_OK, UINT32_MAX, 60);
        }
        assert_int_equal(told(&g, 0).revision, 60);
        assert_int_equal(told(&g, 2).revision, 60);
        expect_nothing(&g);
        assert_int_equal(g.a.ended, ULV_OK);
        end(&g);
    }
}

/* The least that is left to any is what is left to all. */
static void
test_system_group__is_begun_in_time(void **state)
{
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    struct ulv_command_request request;
    static struct group g;

    (void)state;
    begin(&g);
    ask(&g, 1, 0, 5000);
    assert_true(next(&g, words, &request));
    assert_int_equal(request.u.transaction->operation_count, 3);
    assert_int_equal(request.u.transaction->deadline, 5000);
    answer(&g, ULV_E_TIMEOUT, UINT32_MAX, 0);
    g.a.t.now += 5000; /* and none of them has any */
    for (uint32_t i = 0; i < CALLERS; i++) {
        if (i == 0) {
            expect(&g, 1, (const ulv_id[]){ 100 });
            answer(&g, ULV_E_TIMEOUT, UINT32_MAX, 0);
        }
        assert_int_equal(told(&g, i).status, ULV_E_TIMEOUT);
    }
    expect_nothing(&g);
    end(&g);
}

/* What destroys makes room under a rule, so it is not together with what takes
 * some; nor is a request that does both with anything. */
static void
test_system_group__destroys_apart(void **state)
{
    const struct ulv_operation o[] = {
        { .kind = ULV_OP_DESTROY_PARTITION, .u.destroy_partition.id = 7 },
        { .kind = ULV_OP_CREATE_PARTITION, .u.create_partition.id = 8 },
    };
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    struct ulv_command_request request;
    static struct group g;

    (void)state;
    for (uint32_t mixed = 0; mixed < 2; mixed++) {
        struct ulv_command_transaction t = { .operations = &o[1 - mixed],
                                             .operation_count = 1 + mixed };
        bool ring = false;

        begin(&g);
        for (uint32_t i = 0; i < CALLERS; i++) {
            if (i == 1)
                assert_int_equal(ulv_command_send_transaction(&g.caller[1], &t,
                                                              &ring),
                                 ULV_OK);
            else
                ask_one(&g, i);
            alone_ring(&g.a, &g.below[i]);
        }
        alone_run(&g.a);
        expect(&g, 2, (const ulv_id[]){ 100, 102 });
        answer(&g, ULV_OK, UINT32_MAX, 90);
        assert_int_equal(told(&g, 0).revision, 90);
        assert_int_equal(told(&g, 2).revision, 90);
        assert_true(next(&g, words, &request)); /* the other is judged */
        assert_int_equal(request.kind, ULV_MESSAGE_QUERY);
        end(&g);
    }
}

/* They are asked for together, which takes a millisecond. */
static void
carry_out(struct group *g)
{
    g->a.t.now += 1000000;
    answer(g, ULV_OK, UINT32_MAX, 50);
    for (uint32_t i = 0; i < CALLERS; i++)
        assert_int_equal(told(g, i).revision, 50);
}

static void
come(struct group *g, uint32_t caller)
{
    ask_one(g, caller);
    alone_ring(&g->a, &g->below[caller]);
    alone_run(&g->a);
}

/* Who was answered last is waited for, but not for long, and not after it came
 * to nothing. */
static void
test_system_group__waits_for_the_last(void **state)
{
    static const ulv_id all[] = { 100, 101, 102 };
    static struct group g;

    (void)state;
    begin(&g);
    ask(&g, 1, 0, 0);
    expect(&g, 3, all);
    carry_out(&g);
    for (uint32_t i = 0; i < CALLERS; i++) {
        expect_nothing(&g);
        come(&g, i);
    }
    expect(&g, 3, all);
    carry_out(&g);
    come(&g, 0); /* the others do not come */
    g.a.t.now += 499999;
    alone_run(&g.a);
    expect_nothing(&g);
    g.a.t.now += 1;
    alone_run(&g.a);
    expect(&g, 1, all);
    come(&g, 1);
    come(&g, 2);
    g.a.t.now += 1000000;
    answer(&g, ULV_OK, UINT32_MAX, 51);
    assert_int_equal(told(&g, 0).revision, 51);
    expect(&g, 2, &all[1]); /* the first is not waited for */
    end(&g);
}

/* A guest of its own, whom the policy counts. */
static void
ask_guest(struct group *g, uint32_t caller)
{
    struct ulv_operation o = { .kind = ULV_OP_CREATE_PARTITION };
    const struct ulv_command_transaction t = { .operations = &o,
                                               .operation_count = 1 };
    bool ring = false;

    o.u.create_partition.id = 100 + caller;
    o.u.create_partition.kind = ULV_PARTITION_GUEST;
    memcpy(o.u.create_partition.name, "guest", 6);
    assert_int_equal(
        ulv_command_send_transaction(&g->caller[caller], &t, &ring), ULV_OK);
    alone_ring(&g->a, &g->below[caller]);
    alone_run(&g->a);
}

/* A query is heard, and there are no such records. */
static void
expect_query(struct group *g, uint32_t kind)
{
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    struct ulv_command_request request;

    assert_true(next(g, words, &request));
    assert_int_equal(request.kind, ULV_MESSAGE_QUERY);
    assert_int_equal(request.u.query->kind, kind);
    assert_int_equal(request.u.query->after, 0);
}

static void
answer_query(struct group *g, uint32_t kind, uint64_t number)
{
    struct ulv_message_query_answer a = {
        .m = { sizeof(a), ULV_MESSAGE_QUERY | ULV_MESSAGE_ANSWER, 1, number },
        .kind = kind,
    };

    alone_put(&g->a, &g->ultravisor, &g->above, a.m.kind, &a, sizeof(a));
}

/* All facts are asked for at once; who comes before they are there is decided
 * about with the first. */
static void
test_system_group__grows_until_decided(void **state)
{
    static const uint32_t kinds[] = { ULV_QUERY_PARTITIONS, ULV_QUERY_MEMORY,
                                      ULV_QUERY_DEVICES };
    static struct group g;
    uint64_t first;

    (void)state;
    begin(&g);
    for (uint64_t n = 0; n < 2; n++) {
        ask_guest(&g, 0);
        for (uint32_t i = 0; i < ULV_COUNT_OF(kinds); i++)
            expect_query(&g, kinds[i]);
        first = g.asked - 2;
        for (uint32_t i = 0; i < ULV_COUNT_OF(kinds); i++) {
            if (i != 0)
                ask_guest(&g, i);
            expect_nothing(&g);
            answer_query(&g, kinds[i], first + i);
        }
        expect(&g, 3, (const ulv_id[]){ 100, 101, 102 });
        answer(&g, ULV_OK, UINT32_MAX, 70 + n);
        for (uint32_t i = 0; i < CALLERS; i++)
            assert_int_equal(told(&g, i).revision, 70 + n);
    }
    end(&g);
}

/* Without rules nobody looks at others for a name or a label. */
static void
test_system_group__needs_no_facts(void **state)
{
    static uint64_t words[ULV_COMMAND_MESSAGE_MAX / 8];
    const struct ulv_operation o = { .kind = ULV_OP_SET_LABEL };
    const struct ulv_command_transaction t = { .operations = &o,
                                               .operation_count = 1 };
    struct ulv_command_request request;
    static struct group g;
    bool ring = false;

    (void)state;
    begin(&g);
    assert_int_equal(ulv_command_send_transaction(&g.caller[0], &t, &ring),
                     ULV_OK);
    alone_ring(&g.a, &g.below[0]);
    alone_run(&g.a);
    assert_true(next(&g, words, &request));
    assert_int_equal(request.kind, ULV_MESSAGE_TRANSACTION);
    end(&g);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_group__is_one_transaction),
        cmocka_unit_test(test_system_group__is_taken_apart),
        cmocka_unit_test(test_system_group__hears_that_there_is_no_answer),
        cmocka_unit_test(test_system_group__preconditions_come_first),
        cmocka_unit_test(test_system_group__one_leaves),
        cmocka_unit_test(test_system_group__is_begun_in_time),
        cmocka_unit_test(test_system_group__destroys_apart),
        cmocka_unit_test(test_system_group__waits_for_the_last),
        cmocka_unit_test(test_system_group__grows_until_decided),
        cmocka_unit_test(test_system_group__needs_no_facts),
    };

    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
