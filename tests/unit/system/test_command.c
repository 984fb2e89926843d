/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The command role by itself: the test is the keeper, operations, the
 * ultravisor and the caller.
 */
#include "role_alone.h"

#include <ultravisor/abi/policy.h>

#include "policy/policy.h"

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;
static const uint8_t type_policy[16] = ULV_CHANNEL_TYPE_POLICY;

struct command {
    struct alone a;
    struct alone_channel above, below, policy;
    struct ulv_channel_end ultravisor, operations;
    struct ulv_command_client caller;
};

static void
begin(struct command *c)
{
    alone_begin(&c->a, ULV_PARTITION_COMMAND, NULL, 0);
    alone_channel(&c->a, 1, ULV_END_CLIENT, type_policy, &c->policy);
    alone_channel(&c->a, 2, ULV_END_CLIENT, type_command, &c->above);
    alone_channel(&c->a, 3, ULV_END_SERVER, type_command, &c->below);
    assert_int_equal(ulv_channel_attach(&c->operations, c->policy.p,
                                        c->policy.bytes, ULV_END_SERVER,
                                        type_policy),
                     ULV_OK);
    assert_int_equal(ulv_channel_attach(&c->ultravisor, c->above.p,
                                        c->above.bytes, ULV_END_SERVER,
                                        type_command),
                     ULV_OK);
    assert_int_equal(ulv_command_client_init(&c->caller, &c->a.t.host,
                                             c->below.p, c->below.bytes),
                     ULV_OK);
    alone_run(&c->a);
}

static void
end(struct command *c)
{
    ulv_command_client_fini(&c->caller);
    alone_channel_end(&c->a, &c->above);
    alone_channel_end(&c->a, &c->below);
    alone_channel_end(&c->a, &c->policy);
    alone_end(&c->a);
}

static void
give_policy(struct command *c)
{
    struct ulv_policy policy;

    ulv_policy_default(&policy);
    alone_put(&c->a, &c->operations, &c->policy, ULV_POLICY_IS, &policy,
              sizeof(policy));
}

/* The caller sends a HELLO; what came of it, EMPTY: nothing yet. */
static ulv_status
say_hello(struct command *c, int32_t *ret_answer)
{
    const struct ulv_message *m;
    const struct ulv_message_hello_answer *answer;
    bool ring = false;
    ulv_status status;

    assert_int_equal(ulv_command_send_hello(&c->caller, &ring), ULV_OK);
    alone_ring(&c->a, &c->below);
    alone_run(&c->a);
    status = ulv_command_receive(&c->caller, &m, &ring);
    if (status == ULV_OK) {
        answer = (const void *)m;
        *ret_answer = answer->status;
    }
    return status;
}

/* Garbage in place of an answer: the caller is told that there is none, now
 * and from now on, and the role goes on. */
static void
test_system_command__garbage_from_the_ultravisor(void **state)
{
    static const uint8_t garbage[64] = { 1, 2, 3 };
    const struct ulv_message *m;
    struct command c;
    bool ring = false;
    int32_t answer = 0;

    (void)state;
    begin(&c);
    give_policy(&c);
    assert_int_equal(say_hello(&c, &answer), ULV_E_EMPTY);
    alone_put(&c.a, &c.ultravisor, &c.above,
              ULV_MESSAGE_HELLO | ULV_MESSAGE_ANSWER, garbage, sizeof(garbage));
    assert_int_equal(c.a.ended, ULV_OK);
    assert_int_equal(c.a.faults, 1);
    assert_non_null(strstr(c.a.fault, "the ultravisor"));
    assert_non_null(strstr(c.a.fault, "garbage"));
    assert_int_equal(ulv_command_receive(&c.caller, &m, &ring), ULV_OK);
    answer = ((const struct ulv_message_hello_answer *)(const void *)m)->status;
    assert_true(answer < 0);
    for (int i = 0; i < 3; i++) {
        answer = 0;
        assert_int_equal(say_hello(&c, &answer), ULV_OK);
        assert_true(answer < 0);
    }
    assert_int_equal(c.a.faults, 1);
    end(&c);
}

/* An impossible index, where no record can be looked at. */
static void
test_system_command__an_index_that_cannot_be(void **state)
{
    struct command c;
    int32_t answer = 0;

    (void)state;
    begin(&c);
    give_policy(&c);
    assert_int_equal(say_hello(&c, &answer), ULV_E_EMPTY);
    c.ultravisor.tx.control->tail += UINT64_C(1) << 40;
    alone_ring(&c.a, &c.above);
    alone_run(&c.a);
    assert_int_equal(c.a.ended, ULV_OK);
    assert_int_equal(c.a.faults, 1);
    assert_int_equal(say_hello(&c, &answer), ULV_OK); /* the first's */
    assert_true(answer < 0);
    end(&c);
}

/* A caller that sends garbage is disconnected, with the reason, and sees it. */
static void
test_system_command__garbage_from_the_caller(void **state)
{
    static const uint8_t garbage[64] = { 1, 2, 3 };
    const struct ulv_message *m;
    struct command c;
    bool ring = false;
    void *slot;

    (void)state;
    begin(&c);
    give_policy(&c);
    assert_int_equal(ulv_ring_tx_reserve(&c.caller.end.tx, ULV_MESSAGE_HELLO,
                                         sizeof(garbage), &slot),
                     ULV_OK);
    memcpy(slot, garbage, sizeof(garbage));
    (void)ulv_ring_tx_submit(&c.caller.end.tx);
    alone_ring(&c.a, &c.below);
    alone_run(&c.a);
    assert_int_equal(c.a.ended, ULV_OK);
    assert_int_equal(c.a.faults, 1);
    assert_non_null(strstr(c.a.fault, "the client"));
    assert_non_null(strstr(c.a.fault, "disconnected: "));
    assert_true(
        c.a.t.host.event_take(c.a.t.host.self, c.below.bell[1]));
    assert_int_equal(ulv_command_receive(&c.caller, &m, &ring),
                     ULV_E_PEER_PROTOCOL);
    end(&c);
}

/* A policy that is none: who asks is told, in words. */
static void
test_system_command__a_policy_that_is_refused(void **state)
{
    struct ulv_policy policy;
    struct ulv_operation o = { .kind = ULV_OP_DESTROY_PARTITION };
    const struct ulv_command_transaction asked = { .operations = &o,
                                                   .operation_count = 1 };
    const struct ulv_message_transaction_answer *answer;
    const struct ulv_message *m;
    struct command c;
    bool ring = false;
    int32_t hello;

    (void)state;
    /* too short; of the right size, and senseless; an impossible index */
    for (int kind = 0; kind < 3; kind++) {
        hello = 0;
        begin(&c);
        assert_int_equal(say_hello(&c, &hello), ULV_E_EMPTY);
        memset(&policy, 0xff, sizeof(policy));
        if (kind < 2) {
            alone_put(&c.a, &c.operations, &c.policy, ULV_POLICY_IS, &policy,
                      kind == 0 ? 8 : sizeof(policy));
        } else {
            c.operations.tx.control->tail += UINT64_C(1) << 40;
            alone_ring(&c.a, &c.policy);
            alone_run(&c.a);
        }
        assert_int_equal(c.a.ended, ULV_OK);
        assert_int_equal(c.a.faults, 1);
        assert_non_null(strstr(c.a.fault, "policy"));
        assert_int_equal(ulv_command_receive(&c.caller, &m, &ring), ULV_OK);
        assert_true(
            ((const struct ulv_message_hello_answer *)(const void *)m)
                ->status < 0);
        assert_int_equal(
            ulv_command_send_transaction(&c.caller, &asked, &ring), ULV_OK);
        alone_ring(&c.a, &c.below);
        alone_run(&c.a);
        assert_int_equal(ulv_command_receive(&c.caller, &m, &ring), ULV_OK);
        answer = (const void *)m;
        assert_true(answer->status < 0);
        assert_non_null(strstr(answer->text, "is refused"));
        end(&c);
    }
}

/* What command says of a policy that is offered; EMPTY: nothing. */
static ulv_status
reviewed(struct command *c, struct ulv_policy_reviewed *ret)
{
    struct ulv_ring_record record;
    ulv_status status = ulv_ring_rx_peek(&c->operations.rx, &record);

    if (status == ULV_OK && record.type == ULV_POLICY_GET) {
        (void)ulv_ring_rx_release(&c->operations.rx);
        status = ulv_ring_rx_peek(&c->operations.rx, &record);
    }
    if (status != ULV_OK)
        return status;
    assert_int_equal(record.type, ULV_POLICY_REVIEWED);
    assert_true(record.len >= sizeof(*ret));
    memcpy(ret, record.data, sizeof(*ret));
    (void)ulv_ring_rx_release(&c->operations.rx);
    return ULV_OK;
}

/* Another policy that is none, by a page of garbage or a whole one: the one in
 * force stays, and requests are served on. */
static void
test_system_command__another_policy_that_is_none(void **state)
{
    static struct ulv_policy_offer offer;
    struct ulv_policy_reviewed head;
    struct command c;
    int32_t hello = 0;

    (void)state;
    begin(&c);
    give_policy(&c);
    assert_int_equal(reviewed(&c, &head), ULV_E_EMPTY);
    alone_put(&c.a, &c.operations, &c.policy, ULV_POLICY_OFFER, &offer, 64);
    alone_put(&c.a, &c.operations, &c.policy, 77, &offer, sizeof(offer));
    assert_int_equal(reviewed(&c, &head), ULV_E_EMPTY);
    memset(&offer, 0xff, sizeof(offer));
    offer.number = 7;
    alone_put(&c.a, &c.operations, &c.policy, ULV_POLICY_OFFER, &offer,
              sizeof(offer));
    assert_int_equal(reviewed(&c, &head), ULV_OK);
    assert_int_equal(head.number, 7);
    assert_int_equal(head.status, ULV_E_FORMAT);
    assert_int_equal(head.in_force, 0);
    assert_int_equal(head.told, 0);
    assert_non_null(strstr(head.text, "not a compiled policy"));
    assert_int_equal(c.a.ended, ULV_OK);
    assert_int_equal(say_hello(&c, &hello), ULV_E_EMPTY); /* is passed on */
    /* one that is good waits until that is answered */
    memset(&offer, 0, sizeof(offer));
    offer.number = 8;
    ulv_policy_default(&offer.policy);
    alone_put(&c.a, &c.operations, &c.policy, ULV_POLICY_OFFER, &offer,
              sizeof(offer));
    assert_int_equal(reviewed(&c, &head), ULV_E_EMPTY);
    assert_int_equal(c.a.faults, 0);
    end(&c);
}

/* The ultravisor answers with garbage while a policy is looked at: it is not
 * put in force, and operations is told so. */
static void
test_system_command__a_review_that_fails(void **state)
{
    static const uint8_t garbage[64] = { 1, 2, 3 };
    static struct ulv_policy_offer offer;
    struct ulv_policy_reviewed head;
    struct command c;

    (void)state;
    begin(&c);
    give_policy(&c);
    offer.number = 9;
    ulv_policy_default(&offer.policy);
    alone_put(&c.a, &c.operations, &c.policy, ULV_POLICY_OFFER, &offer,
              sizeof(offer));
    assert_int_equal(reviewed(&c, &head), ULV_E_EMPTY); /* it asks first */
    alone_put(&c.a, &c.ultravisor, &c.above,
              ULV_MESSAGE_QUERY | ULV_MESSAGE_ANSWER, garbage, sizeof(garbage));
    assert_int_equal(reviewed(&c, &head), ULV_OK);
    assert_int_equal(head.number, 9);
    assert_true(head.status < 0);
    assert_int_equal(head.in_force, 0);
    /* from now on at once */
    alone_put(&c.a, &c.operations, &c.policy, ULV_POLICY_OFFER, &offer,
              sizeof(offer));
    assert_int_equal(reviewed(&c, &head), ULV_OK);
    assert_int_equal(head.status, ULV_E_PEER_GONE);
    end(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_command__garbage_from_the_ultravisor),
        cmocka_unit_test(test_system_command__an_index_that_cannot_be),
        cmocka_unit_test(test_system_command__garbage_from_the_caller),
        cmocka_unit_test(test_system_command__a_policy_that_is_refused),
        cmocka_unit_test(test_system_command__another_policy_that_is_none),
        cmocka_unit_test(test_system_command__a_review_that_fails),
    };

    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
