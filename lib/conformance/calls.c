/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Calls through the gate, their answers, and the registers of a processor. */
#include "conformance/conformance_priv.h"

static void
test_arguments(struct kit *k)
{
    static const uint64_t expected[4] = {
        ARGUMENT, UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210),
        UINT64_C(0x8000000000000001)
    };
    struct stage *s = ulv_kit_begin(k, &ulv_kit_calls);
    struct ulv_exit out;

    for (uint64_t n = 0; s != NULL && n < 3; n++) {
        if (!ulv_kit_run_call(s, 0, CALLS_NUMBER, &out))
            return;
        for (uint32_t i = 0; i < 4; i++)
            REQUIRE(k, out.u.call.argument[i] == expected[i],
                    "argument %u is %x, not %x", (uint64_t)i,
                    out.u.call.argument[i], expected[i]);
        ulv_kit_answer(s, 0, 0, 0);
    }
}

static void
test_start(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_calls);
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_run_call(s, 0, CALLS_NUMBER, &out))
        return;
    REQUIRE(k, ulv_kit_word(s, RESULT + 0x80) == ARGUMENT,
            "rdi was %x, not %x", ulv_kit_word(s, RESULT + 0x80), ARGUMENT);
    REQUIRE(k, ulv_kit_word(s, RESULT + 0x88) == RAM + RAM_BYTES - 8,
            "rsp was %x, not %x", ulv_kit_word(s, RESULT + 0x88),
            RAM + RAM_BYTES - 8);
}

/* Of what an answer must leave alone: rbx, rbp, r12 to r15, rsp. */
static void
check_kept(struct stage *s)
{
    for (uint64_t i = 1; i <= 6; i++) {
        uint64_t is = ulv_kit_word(s, RESULT + 8 + 8 * i);

        REQUIRE(s->kit, is == i * REGISTER_PATTERN,
                "of rbx, rbp, r12 to r15 number %u is %x behind a call, not %x",
                i, is, i * REGISTER_PATTERN);
    }
    REQUIRE(s->kit, ulv_kit_word(s, RESULT + 0x40) == RAM + RAM_BYTES - 8,
            "rsp is %x behind a call", ulv_kit_word(s, RESULT + 0x40));
}

static void
test_answers(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_calls);
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_run_call(s, 0, CALLS_NUMBER, &out))
        return;
    for (uint64_t n = 0; n < 200; n++) {
        int64_t status = (int64_t)ulv_kit_random(k);
        uint64_t value = ulv_kit_random(k);

        ulv_kit_answer(s, 0, status, value);
        if (!ulv_kit_run_call(s, 0, CALLS_NUMBER, &out))
            return;
        REQUIRE(k, ulv_kit_word(s, RESULT) == (uint64_t)status,
                "rax is %x, not the status %x", ulv_kit_word(s, RESULT),
                (uint64_t)status);
        REQUIRE(k, ulv_kit_word(s, RESULT + 8) == value,
                "rdx is %x, not the value %x", ulv_kit_word(s, RESULT + 8),
                value);
        check_kept(s);
    }
}

/* Each call has the answer that was given to it, and none of another. */
static void
test_order(struct kit *k)
{
    const uint64_t pace = ulv_kit_pace(k);
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);

    for (uint64_t n = 0; s != NULL && n < k->repeats; n++) {
        if (!ulv_kit_run_echo(s, 0, ARGUMENT + n * pace))
            return;
    }
}

/* An answer is the last word before the next run, and it is one for one. */
static void
test_answered_twice(struct kit *k)
{
    const uint64_t pace = ulv_kit_pace(k);
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct ulv_exit out;

    for (uint64_t n = 0; s != NULL && n < 20; n++) {
        uint64_t number = ARGUMENT + n * pace;

        if (!ulv_kit_run_call(s, 0, ECHO_NUMBER, &out))
            return;
        ulv_kit_answer(s, 0, 12345, 6789);
        ulv_kit_answer(s, 0, -(int64_t)number, 3 * number + 1);
    }
}

struct on_the_spot {
    uint64_t asked, wrong;
};

/* Answers two of three calls of ulv_kit_echo. */
static bool
answer(void *self, const struct ulv_exit_call *call, int64_t *ret_status,
       uint64_t *ret_value)
{
    struct on_the_spot *o = self;
    uint64_t n = call->argument[0];

    o->asked++;
    o->wrong += call->number != ECHO_NUMBER || call->argument[1] != ~n;
    *ret_status = -(int64_t)n;
    *ret_value = 3 * n + 1;
    return o->asked % 3 != 0;
}

static void
test_on_the_spot(struct kit *k)
{
    struct on_the_spot o = { 0, 0 };
    const struct setup setup = { .call = answer, .self = &o };
    struct stage *s = &k->stage[0];
    struct ulv_exit out;
    uint64_t last = 0;

    if (!ulv_kit_machine(s, &ulv_kit_echo, &setup) ||
        !ulv_kit_vcpu(s, 0, ARGUMENT))
        return;
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t n;

        if (!ulv_kit_run_call(s, 0, ECHO_NUMBER, &out))
            return;
        n = out.u.call.argument[0];
        REQUIRE(k, o.asked == 0 || o.asked == 3 * (i + 1),
                "exit %u after %u calls were offered", i + 1, o.asked);
        REQUIRE(k, n >= last, "call %u after call %u", n, last);
        REQUIRE(k, o.wrong == 0, "a call was offered that is not the guest's");
        last = n;
        ulv_kit_answer(s, 0, -(int64_t)n, 3 * n + 1);
    }
    if (o.asked == 0)
        ulv_kit_skip(k, "it leaves vcpu_run for every call, as it may");
}

static const struct test_case cases[] = {
    { "a call has its number and arguments", test_arguments, 0 },
    { "a processor starts as it was told", test_start, NEEDS_CODE },
    { "an answer comes back in rax and rdx", test_answers, NEEDS_CODE },
    { "each call has its own answer", test_order, 0 },
    { "the last answer before a run counts", test_answered_twice, 0 },
    { "calls are answered on the spot", test_on_the_spot, 0 },
};

const struct case_list ulv_kit_call_cases = { ULV_CONFORMANCE_CALLS, cases,
                                              ULV_COUNT_OF(cases) };

/* ---- registers ----------------------------------------------------------- */

static void
test_registers_at_start(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_calls);
    struct ulv_registers r;
    ulv_status status;

    if (s == NULL)
        return;
    memset(&r, 0xee, sizeof(r));
    status = k->ops->vcpu_registers(s->vcpu[0], &r);
    REQUIRE(k, status == ULV_OK, "vcpu_registers said %s",
            ulv_status_name(status));
    REQUIRE(k, r.rip == RAM, "rip is %x, not %x", r.rip, RAM);
    REQUIRE(k, r.rsp == RAM + RAM_BYTES - 8, "rsp is %x, not %x", r.rsp,
            RAM + RAM_BYTES - 8);
    REQUIRE(k, r.rdi == ARGUMENT, "rdi is %x, not %x", r.rdi, ARGUMENT);
    REQUIRE(k, (r.rflags & 2) != 0, "rflags is %x", r.rflags);
}

static void
test_registers_at_call(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_calls);
    struct ulv_registers r;
    struct ulv_exit out;

    for (uint64_t n = 0; s != NULL && n < 10; n++) {
        if (!ulv_kit_run_call(s, 0, CALLS_NUMBER, &out))
            return;
        memset(&r, 0xee, sizeof(r));
        REQUIRE(k, k->ops->vcpu_registers(s->vcpu[0], &r) == ULV_OK,
                "vcpu_registers failed");
        REQUIRE(k,
                r.rdi == CALLS_NUMBER && r.rsi == ARGUMENT &&
                    r.rdx == out.u.call.argument[1] &&
                    r.rcx == out.u.call.argument[2] &&
                    r.r8 == out.u.call.argument[3],
                "at a call rdi is %x, rsi %x, rdx %x", r.rdi, r.rsi, r.rdx);
        REQUIRE(k,
                r.rbx == REGISTER_PATTERN && r.rbp == 2 * REGISTER_PATTERN &&
                    r.r12 == 3 * REGISTER_PATTERN &&
                    r.r13 == 4 * REGISTER_PATTERN &&
                    r.r14 == 5 * REGISTER_PATTERN &&
                    r.r15 == 6 * REGISTER_PATTERN,
                "at a call rbx is %x, rbp %x, r12 %x", r.rbx, r.rbp, r.r12);
        ulv_kit_answer(s, 0, (int64_t)n, n);
    }
}

static const struct test_case register_cases[] = {
    { "the registers of a processor that never ran", test_registers_at_start,
      NEEDS_CODE | NEEDS_REGISTERS },
    { "the registers at a call", test_registers_at_call,
      NEEDS_CODE | NEEDS_REGISTERS },
};

const struct case_list ulv_kit_register_cases = {
    ULV_CONFORMANCE_REGISTERS, register_cases, ULV_COUNT_OF(register_cases)
};
