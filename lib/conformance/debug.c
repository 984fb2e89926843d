/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Processors under a debugger. */
#include "conformance/conformance_priv.h"

#define INT3 0xccu

/* Where the first instructions of ulv_kit_echo end. */
static const uint8_t code_ends[] = { 3, 6, 9, 12, 16 };
static const uint8_t step_ends[] = { 48, 96 };

/* rflags: those that a guest may change by itself, and those that it has. */
#define FLAGS_OF_GUEST UINT64_C(0x240cd5)
#define FLAGS_FIXED    UINT64_C(0x202)

static struct stage *
begin(struct kit *k, const struct guest *guest)
{
    struct stage *s = &k->stage[0];

    if (!ulv_kit_machine(s, guest, &(struct setup){ .debug = 1 }) ||
        !ulv_kit_vcpu(s, 0, ARGUMENT))
        return NULL;
    return s;
}

static bool
ask(struct stage *s, const struct ulv_debug *debug)
{
    ulv_status status = s->kit->ops->vcpu_debug(s->vcpu[0], debug);

    return status == ULV_OK || ulv_kit_fail(s->kit, "vcpu_debug: %s",
                                            ulv_status_name(status));
}

static bool
ask_for_nothing(struct stage *s)
{
    return ask(s, &(struct ulv_debug){ 0 });
}

static bool
look(struct stage *s, struct ulv_registers *ret)
{
    ulv_status status = s->kit->ops->vcpu_registers(s->vcpu[0], ret);

    return status == ULV_OK || ulv_kit_fail(s->kit, "vcpu_registers: %s",
                                            ulv_status_name(status));
}

/* Until it stands for a cause, at rip; a call of ulv_kit_echo is answered. */
static bool
run_to(struct stage *s, uint32_t cause, uint64_t rip, struct ulv_exit *ret)
{
    struct ulv_registers registers;

    if (!ulv_kit_run(s, 0, ret))
        return false;
    if (ret->reason == ULV_EXIT_CALL) {
        ulv_kit_answer(s, 0, -(int64_t)ret->u.call.argument[0],
                       3 * ret->u.call.argument[0] + 1);
        if (!ulv_kit_run(s, 0, ret))
            return false;
    }
    if (ret->reason != ULV_EXIT_DEBUG || ret->u.debug.cause != cause)
        return ulv_kit_fail(s->kit, "exit reason %u, cause %u, not %u",
                            (uint64_t)ret->reason,
                            ret->reason == ULV_EXIT_DEBUG
                                ? (uint64_t)ret->u.debug.cause
                                : 0,
                            (uint64_t)cause);
    return look(s, &registers) &&
           (rip == ANYWHERE || registers.rip == rip ||
            ulv_kit_fail(s->kit, "it stands at %x, not %x", registers.rip,
                         rip));
}

/* Stands at its first instruction, an int3 that is taken away again. */
static struct stage *
begin_standing(struct kit *k, const struct guest *guest)
{
    struct stage *s = begin(k, guest);
    struct ulv_exit out;
    uint8_t first;

    if (s == NULL || !ask(s, &(struct ulv_debug){ .on = 1 }))
        return NULL;
    first = s->ram.p[0];
    s->ram.p[0] = INT3;
    if (!run_to(s, ULV_DEBUG_INT3, RAM, &out))
        return NULL;
    s->ram.p[0] = first;
    return s;
}

static void
test_int3(struct kit *k)
{
    struct stage *s = begin_standing(k, &ulv_kit_echo);
    struct ulv_exit out;
    uint8_t first;

    if (s == NULL)
        return;
    first = s->ram.p[0];
    s->ram.p[0] = INT3; /* it is there again, and met again */
    for (uint32_t i = 0; i < 20; i++) {
        if (!run_to(s, ULV_DEBUG_INT3, RAM, &out))
            return;
    }
    s->ram.p[0] = first;
    if (ask_for_nothing(s))
        (void)ulv_kit_run_echo(s, 0, ARGUMENT);
}

static void
test_set(struct kit *k)
{
    struct stage *s = begin_standing(k, &ulv_kit_echo);
    struct ulv_registers r, now;
    ulv_status status;

    if (s == NULL || !look(s, &r))
        return;
    REQUIRE(k, r.rdi == ARGUMENT, "rdi is %x at the start", r.rdi);
    r.rax = r.rbx = r.rcx = r.rdx = UINT64_C(0x1111111111111111);
    r.rsi = r.rbp = r.r8 = r.r9 = r.r10 = UINT64_C(0x8222222222222222);
    r.r11 = r.r12 = r.r13 = r.r14 = r.r15 = UINT64_C(0xf333333333333333);
    r.rdi = ARGUMENT + 7;
    r.rflags = UINT64_MAX;
    status = k->ops->vcpu_set_registers(s->vcpu[0], &r);
    REQUIRE(k, status == ULV_OK, "vcpu_set_registers: %s",
            ulv_status_name(status));
    if (!look(s, &now))
        return;
    REQUIRE(k, (now.rflags & ~(FLAGS_OF_GUEST | FLAGS_FIXED)) == 0,
            "rflags became %x", now.rflags);
    now.rflags = r.rflags;
    REQUIRE(k, memcmp(&now, &r, sizeof(r)) == 0,
            "registers are not what they were set to: rdi %x, not %x", now.rdi,
            r.rdi);
    r.rflags = FLAGS_FIXED; /* without DF, AC and their like */
    status = k->ops->vcpu_set_registers(s->vcpu[0], &r);
    if (status == ULV_OK && ask_for_nothing(s))
        (void)ulv_kit_run_echo(s, 0, ARGUMENT + 7);
}

static void
test_set_rip(struct kit *k)
{
    struct stage *s = begin_standing(k, &ulv_kit_echo);
    struct ulv_registers r, now;
    ulv_status status;

    if (s == NULL || !look(s, &r))
        return;
    r.rip = RAM + RAM_BYTES / 2;
    status = k->ops->vcpu_set_registers(s->vcpu[0], &r);
    if (!look(s, &now))
        return;
    REQUIRE(k, status == ULV_OK && now.rip == r.rip, "rip is %x, set to %x: %s",
            now.rip, r.rip, ulv_status_name(status));
    r.rip = RAM;
    status = k->ops->vcpu_set_registers(s->vcpu[0], &r);
    REQUIRE(k, status == ULV_OK, "vcpu_set_registers: %s",
            ulv_status_name(status));
    if (ask_for_nothing(s))
        (void)ulv_kit_run_echo(s, 0, ARGUMENT);
}

static void
test_step(struct kit *k)
{
    bool steps = k->opts->guest_code == ULV_CONFORMANCE_STEPS;
    const uint8_t *ends = steps ? step_ends : code_ends;
    size_t count = steps ? sizeof(step_ends) : sizeof(code_ends);
    struct stage *s = begin_standing(k, &ulv_kit_echo);
    struct ulv_exit out;

    for (size_t i = 0; i < count; i++) {
        if (s == NULL ||
            !ask(s, &(struct ulv_debug){ .on = 1, .step = 1 }) ||
            !run_to(s, ULV_DEBUG_STEP, RAM + ends[i], &out))
            return;
    }
    if (s != NULL && ask_for_nothing(s))
        (void)ulv_kit_run_echo(s, 0, ARGUMENT);
}

static void
test_own_int3(struct kit *k)
{
    struct stage *s = begin(k, &ulv_kit_echo);
    struct ulv_exit out;

    if (s == NULL)
        return;
    s->ram.p[0] = INT3;
    if (ulv_kit_run(s, 0, &out) && out.reason != ULV_EXIT_FAULT)
        (void)ulv_kit_fail(k, "exit reason %u of an int3 that nobody asked for",
                           (uint64_t)out.reason);
}

static void
test_execute(struct kit *k)
{
    bool steps = k->opts->guest_code == ULV_CONFORMANCE_STEPS;
    const uint64_t at = RAM + (steps ? step_ends[0] : code_ends[1]);
    const struct ulv_debug debug = {
        .on = 1,
        .point_count = 2,
        .point = { { NOWHERE, ULV_DEBUG_EXECUTE, 1 },
                   { at, ULV_DEBUG_EXECUTE, 1 } }
    };
    struct stage *s = begin_standing(k, &ulv_kit_echo);
    struct ulv_exit out;

    if (s == NULL || !ask(s, &debug) ||
        !run_to(s, ULV_DEBUG_EXECUTE, at, &out))
        return;
    REQUIRE(k, out.u.debug.address == at, "the point is at %x, not %x",
            out.u.debug.address, at);
    if (ask_for_nothing(s))
        (void)ulv_kit_run_echo(s, 0, ARGUMENT);
}

static void
test_write(struct kit *k)
{
    const struct ulv_debug debug = {
        .on = 1,
        .point_count = 1,
        .point = { { RAM + RESULT, ULV_DEBUG_WRITE, 8 } }
    };
    struct stage *s = begin_standing(k, &ulv_kit_count);
    struct ulv_exit out;

    if (s == NULL || !ask(s, &debug))
        return;
    for (uint64_t n = 1; n < 20; n++) {
        if (!run_to(s, ULV_DEBUG_WRITE, ANYWHERE, &out))
            return;
        REQUIRE(k, out.u.debug.address == RAM + RESULT,
                "the point is at %x, not %x", out.u.debug.address,
                RAM + RESULT);
        REQUIRE(k, ulv_kit_word(s, RESULT) == n, "%u was written, not %u",
                ulv_kit_word(s, RESULT), n);
    }
    if (!ask_for_nothing(s))
        return;
    ulv_kit_set_word(s, STOP, 1);
    (void)ulv_kit_run_call(s, 0, COUNT_NUMBER, &out);
}

static void
test_refusals(struct kit *k)
{
    static const struct {
        const char *what;
        uint32_t count;
        struct ulv_debug_point point;
        ulv_status expected;
    } rows[] = {
        { "too many points", ULV_DEBUG_POINTS_MAX + 1,
          { RAM, ULV_DEBUG_EXECUTE, 1 }, ULV_E_LIMIT },
        { "a point that is not aligned", 1, { RAM + 4, ULV_DEBUG_WRITE, 8 },
          ULV_E_ARG },
        { "a point of no type", 1, { RAM, ULV_DEBUG_INT3, 1 }, ULV_E_ARG },
        { "a point of three bytes", 1, { RAM, ULV_DEBUG_ACCESS, 3 },
          ULV_E_ARG },
    };
    const bool can = (k->caps.debug & ULV_DEBUG_CAN_WATCH) != 0;
    struct stage *s = begin_standing(k, &ulv_kit_echo);

    for (size_t i = 0; i < ULV_COUNT_OF(rows) && s != NULL; i++) {
        const struct ulv_debug debug = { .on = 1,
                                         .point_count = rows[i].count,
                                         .point = { rows[i].point } };
        ulv_status status = k->ops->vcpu_debug(s->vcpu[0], &debug);
        ulv_status expected = can ? rows[i].expected : ULV_E_UNSUPPORTED;

        REQUIRE(k, status == expected, "%s: %s, not %s", rows[i].what,
                ulv_status_name(status), ulv_status_name(expected));
    }
    if (s != NULL && ask_for_nothing(s))
        (void)ulv_kit_run_echo(s, 0, ARGUMENT);
}

static void
hold(struct stage *s, bool on)
{
    if (s->kit->ops->vcpu_hold != NULL)
        s->kit->ops->vcpu_hold(s->vcpu[0], on);
}

/* Where nobody chose; and it goes on from there as if nothing had been. */
static void
test_look(struct kit *k)
{
    struct stage *s = begin(k, &ulv_kit_count);
    struct ulv_registers one, two;
    struct ulv_exit out;

    for (uint32_t i = 0; i < 20 && s != NULL; i++) {
        uint64_t count;

        if (!ulv_kit_run_a_little(s))
            return;
        hold(s, true);
        if (!look(s, &one) || !look(s, &two))
            return;
        count = ulv_kit_word(s, RESULT);
        REQUIRE(k, memcmp(&one, &two, sizeof(one)) == 0,
                "a guest that is held has other registers each time");
        REQUIRE(k, one.rbx - count <= 1, "rbx is %u when %u is in memory",
                one.rbx, count);
        REQUIRE(k, one.rip - RAM < PAGE, "rip is %x", one.rip);
        hold(s, false);
    }
    if (s == NULL)
        return;
    ulv_kit_set_word(s, STOP, 1);
    (void)ulv_kit_run_call(s, 0, COUNT_NUMBER, &out);
}

static const struct test_case cases[] = {
    { "an int3 is met where it lies", test_int3, NEEDS_BREAK },
    { "an int3 that nobody asked for is a fault", test_own_int3,
      NEEDS_BREAK | NEEDS_CODE },
    { "registers that were set are gone on with", test_set,
      NEEDS_BREAK | NEEDS_SET | NEEDS_CODE },
    { "rip that was set is gone on from", test_set_rip,
      NEEDS_BREAK | NEEDS_SET },
    { "a step is one instruction", test_step, NEEDS_BREAK | NEEDS_STEP },
    { "a point is stood at", test_execute, NEEDS_BREAK | NEEDS_WATCH },
    { "a point that is written to is told of", test_write,
      NEEDS_BREAK | NEEDS_WATCH | NEEDS_CODE },
    { "points that cannot be are refused", test_refusals, NEEDS_BREAK },
    { "a guest that is held is looked at", test_look,
      NEEDS_LOOK | NEEDS_CODE },
};

const struct case_list ulv_kit_debug = { ULV_CONFORMANCE_DEBUG, cases,
                                         ULV_COUNT_OF(cases) };
