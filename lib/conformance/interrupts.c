/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Interrupts: once each, never in a handler, never lost; their bells, and the
 * sleep that they end. */
#include "conformance/conformance_priv.h"

/* Where a handler of ulv_kit_interrupts begins. */
uint64_t
ulv_kit_handler_at(const struct kit *k, uint64_t code, uint64_t step)
{
    if (k->opts->guest_code == ULV_CONFORMANCE_STEPS)
        return RAM + step * sizeof(struct ulv_mock_step);
    return RAM + code;
}

bool
ulv_kit_set_handler(struct stage *s, uint32_t idx, uint64_t entry,
                    uint64_t stack)
{
    ulv_status status = s->kit->ops->vcpu_handler(
        s->vcpu[idx], (ulv_gpa){ entry }, (ulv_gpa){ stack });

    return status == ULV_OK || ulv_kit_fail(s->kit, "vcpu_handler said %s",
                                            ulv_status_name(status));
}

/* A call, answered at once. */
bool
ulv_kit_take_call(struct stage *s, uint32_t idx, uint64_t number,
                  struct ulv_exit *ret)
{
    if (!ulv_kit_run_call(s, idx, number, ret))
        return false;
    ulv_kit_answer(s, idx, 0, 0);
    return true;
}

/* Its registers are as its handler wants them. */
static bool
settles(struct stage *s, uint32_t idx)
{
    struct ulv_exit out;
    bool settled;

    if (ulv_kit_pace(s->kit) == 0)
        return true;
    ulv_kit_set_word(s, STOP, 1);
    settled = ulv_kit_take_call(s, idx, COUNT_NUMBER, &out);
    ulv_kit_set_word(s, STOP, 0);
    return settled;
}

/* Processors with a handler each, and a stack for it. */
struct stage *
ulv_kit_begin_interrupts(struct kit *k, uint32_t vcpu_count, uint32_t threads)
{
    const struct setup setup = {
        .vcpu_count = vcpu_count, .threads = threads, .interrupts = 1 };
    struct stage *s = &k->stage[0];

    ulv_kit_end(s);
    if (!ulv_kit_machine(s, &ulv_kit_interrupts, &setup))
        return NULL;
    for (uint32_t i = 0; i < vcpu_count; i++) {
        if (!ulv_kit_vcpu(s, i, RAM + BLOCK_OF(i)) || !settles(s, i) ||
            !ulv_kit_set_handler(
                s, i,
                ulv_kit_handler_at(k, INTERRUPTS_CODE, INTERRUPTS_STEP),
                RAM + RAM_BYTES / 2 - i * PAGE))
            return NULL;
    }
    return s;
}

/* The same of one, whose guest and handlers call. */
struct stage *
ulv_kit_begin_handlers(struct kit *k)
{
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 0);

    if (s == NULL)
        return NULL;
    if (ulv_kit_pace(k) != 0) {
        ulv_kit_set_word(s, STOP, 1);
        ulv_kit_set_word(s, BLOCK_OF(0) + BLOCK_CALLS, 1);
    }
    return s;
}

bool
ulv_kit_inject(struct stage *s, uint32_t idx, uint32_t vector)
{
    ulv_status status = s->kit->ops->vcpu_inject(s->vcpu[idx], vector);

    return status == ULV_OK ||
           ulv_kit_fail(s->kit, "vcpu_inject of vector %u said %s",
                        (uint64_t)vector, ulv_status_name(status));
}

/* The handler is entered, and left. */
bool
ulv_kit_handles(struct stage *s, uint32_t idx, uint64_t *ret_vector)
{
    struct ulv_exit out;

    if (!ulv_kit_take_call(s, idx, HANDLER_NUMBER, &out))
        return false;
    *ret_vector = out.u.call.argument[0];
    return ulv_kit_take_call(s, idx, HANDLED_NUMBER, &out);
}

bool
ulv_kit_handles_only(struct stage *s, uint32_t idx, uint64_t vector)
{
    struct ulv_exit out;
    uint64_t came;

    if (!ulv_kit_handles(s, idx, &came))
        return false;
    if (came != vector)
        return ulv_kit_fail(s->kit, "vector %u came, not %u", came, vector);
    return ulv_kit_take_call(s, idx, COUNT_NUMBER, &out);
}

static void
test_once(struct kit *k)
{
    struct stage *s = ulv_kit_begin_handlers(k);
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_take_call(s, 0, COUNT_NUMBER, &out))
        return;
    for (uint32_t vector = 0; vector < ULV_VECTOR_COUNT; vector++) {
        for (uint32_t i = 0; i <= vector % 3; i++) {
            if (!ulv_kit_inject(s, 0, vector))
                return;
        }
        if (!ulv_kit_handles_only(s, 0, vector))
            return;
    }
}

static void
test_all(struct kit *k)
{
    const uint64_t all = (UINT64_C(1) << ULV_VECTOR_COUNT) - 1;
    struct stage *s = ulv_kit_begin_handlers(k);
    struct ulv_exit out;
    uint64_t came = 0, vector;

    if (s == NULL)
        return;
    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++) {
        if (!ulv_kit_inject(s, 0, i))
            return;
    }
    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++) {
        if (!ulv_kit_handles(s, 0, &vector))
            return;
        REQUIRE(k, vector < 64 && (came >> vector & 1) == 0,
                "vector %u came twice", vector);
        came |= UINT64_C(1) << vector;
    }
    REQUIRE(k, came == all, "vectors %x came, not %x", came, all);
    (void)ulv_kit_take_call(s, 0, COUNT_NUMBER, &out);
}

/* Others, and the same, while it is handled. */
static void
test_masked(struct kit *k)
{
    struct stage *s = ulv_kit_begin_handlers(k);
    struct ulv_exit out;

    for (uint32_t i = 0; s != NULL && i < 50; i++) {
        uint32_t first = i % ULV_VECTOR_COUNT;
        uint32_t second = i * 7 % ULV_VECTOR_COUNT;

        if (!ulv_kit_inject(s, 0, first) ||
            !ulv_kit_take_call(s, 0, HANDLER_NUMBER, &out) ||
            !ulv_kit_inject(s, 0, second) ||
            !ulv_kit_take_call(s, 0, HANDLED_NUMBER, &out) ||
            !ulv_kit_handles_only(s, 0, second))
            return;
    }
}

/* A vector that is pending does not come when it was taken back. */
static void
test_withdraw(struct kit *k)
{
    struct stage *s = ulv_kit_begin_handlers(k);
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_take_call(s, 0, COUNT_NUMBER, &out))
        return;
    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++) {
        uint32_t other = (i + 1) % ULV_VECTOR_COUNT;

        if (!ulv_kit_inject(s, 0, i) || !ulv_kit_inject(s, 0, other))
            return;
        REQUIRE(k, k->ops->vcpu_withdraw(s->vcpu[0], i),
                "vector %u was pending, and vcpu_withdraw says no",
                (uint64_t)i);
        REQUIRE(k, !k->ops->vcpu_withdraw(s->vcpu[0], i),
                "vector %u is withdrawn twice", (uint64_t)i);
        if (!ulv_kit_handles_only(s, 0, other))
            return;
        REQUIRE(k, !k->ops->vcpu_withdraw(s->vcpu[0], other),
                "vector %u was delivered, and can be withdrawn",
                (uint64_t)other);
    }
}

/* A handler that changes while a vector is pending, or another is handled. */
static void
test_other_handler(struct kit *k)
{
    const uint64_t one =
        ulv_kit_handler_at(k, INTERRUPTS_CODE, INTERRUPTS_STEP);
    const uint64_t other =
        ulv_kit_handler_at(k, INTERRUPTS_OTHER_CODE, INTERRUPTS_OTHER_STEP);
    const uint64_t stack = RAM + RAM_BYTES / 2;
    struct stage *s = ulv_kit_begin_handlers(k);
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_inject(s, 0, 3) ||
        !ulv_kit_set_handler(s, 0, other, stack) ||
        !ulv_kit_take_call(s, 0, OTHER_NUMBER, &out))
        return;
    REQUIRE(k, out.u.call.argument[0] == 3, "vector %u came, not 3",
            out.u.call.argument[0]);
    if (!ulv_kit_set_handler(s, 0, one, stack) || !ulv_kit_inject(s, 0, 4) ||
        !ulv_kit_take_call(s, 0, HANDLER_NUMBER, &out) ||
        !ulv_kit_set_handler(s, 0, other, stack + PAGE) ||
        !ulv_kit_inject(s, 0, 5) ||
        !ulv_kit_take_call(s, 0, HANDLED_NUMBER, &out) ||
        !ulv_kit_take_call(s, 0, OTHER_NUMBER, &out))
        return;
    (void)ulv_kit_take_call(s, 0, COUNT_NUMBER, &out);
}

bool
ulv_kit_refuses(struct kit *k, const char *what, ulv_status status,
                ulv_status expected)
{
    return status == expected ||
           ulv_kit_fail(k, "%s: %s, not %s", what, ulv_status_name(status),
                        ulv_status_name(expected));
}

bool
ulv_kit_refuses_without(struct kit *k, void *vcpu, const char *why)
{
    return ulv_kit_refuses(k, why, k->ops->vcpu_inject(vcpu, 1), ULV_E_STATE) &&
           (k->ops->vcpu_bind == NULL ||
            ulv_kit_refuses(k, why, k->ops->vcpu_bind(vcpu, 1, ULV_NO_HANDLE),
                            ULV_E_STATE)) &&
           (!k->ops->vcpu_withdraw(vcpu, 1) ||
            ulv_kit_fail(k, "%s: a vector was pending", why));
}

static void
test_refused(struct kit *k)
{
    const struct ulv_backend_ops *ops = k->ops;
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 0);
    const ulv_gpa nowhere = { k->caps.guest_address_max }, none = { 0 };

    if (s == NULL ||
        !ulv_kit_refuses(k, "a vector too high",
                         ops->vcpu_inject(s->vcpu[0], ULV_VECTOR_COUNT),
                         ULV_E_ARG) ||
        !ulv_kit_refuses(k, "a vector too high",
                         ops->vcpu_inject(s->vcpu[0], UINT32_MAX), ULV_E_ARG) ||
        !ulv_kit_refuses(k, "a handler too high",
                         ops->vcpu_handler(s->vcpu[0], nowhere, none),
                         ULV_E_ARG) ||
        !ulv_kit_refuses(k, "no handler",
                         ops->vcpu_handler(s->vcpu[0], none, none), ULV_OK) ||
        !ulv_kit_refuses_without(k, s->vcpu[0], "without a handler"))
        return;
    ulv_kit_end(s);
    if (!ulv_kit_machine(s, &ulv_kit_interrupts, &(struct setup){ 0 }) ||
        !ulv_kit_vcpu(s, 0, RAM + BLOCK_OF(0)) ||
        !ulv_kit_refuses(k, "a machine without interrupts",
                         ops->vcpu_handler(s->vcpu[0], (ulv_gpa){ RAM }, none),
                         ULV_E_STATE))
        return;
    (void)ulv_kit_refuses_without(k, s->vcpu[0],
                                  "a machine without interrupts");
}

static void
test_cannot(struct kit *k)
{
    const struct setup setup = { .interrupts = 1 };
    struct stage *s = &k->stage[0];
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status;

    if (k->caps.can_interrupt != 0) {
        ulv_kit_skip(k, "caps.can_interrupt is 1");
        return;
    }
    status = ulv_kit_try_machine(s, &ulv_kit_spin, &setup, &diag);
    REQUIRE(k, status != ULV_OK && diag.text[0] != '\0',
            "a machine with interrupts: %s \"%s\"", ulv_status_name(status),
            diag.text);
}

static void
test_resume(struct kit *k)
{
    const struct setup setup = { .interrupts = 1 };
    struct stage *s = &k->stage[0];
    struct ulv_exit out;

    if (!ulv_kit_machine(s, &ulv_kit_resumes, &setup) ||
        !ulv_kit_vcpu(s, 0, ARGUMENT))
        return;
    (void)ulv_kit_run_fault(s, 0, ULV_FAULT_INSTRUCTION, ANYWHERE, &out);
}

/* Stacks that cannot be are the guest's own fault, at its own level. */
static void
test_stack(struct kit *k)
{
    const uint64_t stack[] = { NOWHERE, ULV_GUEST_GATE, PAGE, 8 };
    struct ulv_exit out;

    for (size_t i = 0; i < ULV_COUNT_OF(stack); i++) {
        struct stage *s = ulv_kit_begin_handlers(k);

        if (s == NULL || !ulv_kit_take_call(s, 0, COUNT_NUMBER, &out) ||
            !ulv_kit_set_handler(s, 0, RAM + INTERRUPTS_CODE, stack[i]) ||
            !ulv_kit_inject(s, 0, 1) ||
            !ulv_kit_run_fault(s, 0, ULV_FAULT_WRITE, stack[i] - 16, &out))
            return;
        REQUIRE(k, out.u.fault.registers.rip == RAM + INTERRUPTS_CODE,
                "the fault is at %x, not in the handler",
                out.u.fault.registers.rip);
    }
}

/* ---- registers, and what nobody chose ------------------------------------ */

/* How often the handlers of processor idx ran, or that of one vector. */
uint64_t
ulv_kit_interrupt_count(const struct stage *s, uint32_t idx)
{
    return ulv_kit_word(s, BLOCK_OF(idx) + BLOCK_TOTAL);
}

/* Run until what is pending has come: the guest calls, and again. */
bool
ulv_kit_drain(struct stage *s, uint32_t idx)
{
    struct ulv_exit out;

    ulv_kit_set_word(s, STOP, 1);
    return ulv_kit_take_call(s, idx, COUNT_NUMBER, &out) &&
           ulv_kit_take_call(s, idx, COUNT_NUMBER, &out);
}

/* It runs, and looks at its own registers, while vectors come. */
static void
test_anywhere(struct kit *k)
{
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 0);
    struct ulv_exit out;
    uint64_t injected = 0;

    for (uint64_t i = 0; s != NULL && i < k->repeats; i++) {
        if (!ulv_kit_run_once(s, 0, ulv_kit_random(k) % (MILLISECOND / 5),
                              &out))
            return;
        REQUIRE(k, out.reason == ULV_EXIT_INTERRUPTED,
                "exit reason %u: what was interrupted is not as it was",
                (uint64_t)out.reason);
        if (!ulv_kit_inject(s, 0,
                            (uint32_t)(ulv_kit_random(k) % ULV_VECTOR_COUNT)))
            return;
        injected++;
    }
    if (s == NULL || !ulv_kit_drain(s, 0))
        return;
    REQUIRE(k,
            ulv_kit_interrupt_count(s, 0) > 0 &&
                ulv_kit_interrupt_count(s, 0) <= injected,
            "%u interrupts came of %u", ulv_kit_interrupt_count(s, 0),
            injected);
}

/* Kicks, looks and holds in between do not take it away, nor bring it twice. */
static void
test_not_lost(struct kit *k)
{
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 0);
    struct ulv_exit out;

    if (s == NULL)
        return;
    ulv_kit_set_word(s, STOP, 1);
    for (uint64_t i = 1; i <= 200; i++) {
        uint32_t vector = (uint32_t)(i * 11 % ULV_VECTOR_COUNT);

        if (!ulv_kit_inject(s, 0, vector) || !ulv_kit_run_once(s, 0, 0, &out))
            return;
        k->ops->vcpu_kick(s->vcpu[0]);
        if (out.reason == ULV_EXIT_INTERRUPTED &&
            !ulv_kit_run_once(s, 0, k->patience, &out))
            return;
        if (!ulv_kit_drain(s, 0))
            return;
        REQUIRE(k, ulv_kit_interrupt_count(s, 0) == i,
                "%u interrupts came of %u, one at a time",
                ulv_kit_interrupt_count(s, 0), i);
    }
}

static void
test_threads_hold(struct kit *k)
{
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 1);
    struct ulv_exit out;

    for (uint64_t i = 1; s != NULL && i <= 50; i++) {
        const struct ulv_host *host = k->real;
        ulv_nsec start = host->now(host->self);

        k->ops->vcpu_hold(s->vcpu[0], true);
        if (!ulv_kit_inject(s, 0, (uint32_t)(i % ULV_VECTOR_COUNT)))
            return;
        REQUIRE(k, ulv_kit_interrupt_count(s, 0) == i - 1,
                "a guest that is held was interrupted");
        k->ops->vcpu_hold(s->vcpu[0], false);
        while (ulv_kit_interrupt_count(s, 0) != i) {
            if (!ulv_kit_run_once(s, 0, 0, &out))
                return;
            REQUIRE(k, out.reason == ULV_EXIT_INTERRUPTED, "exit reason %u",
                    (uint64_t)out.reason);
            REQUIRE(k, host->now(host->self) - start < k->patience,
                    "interrupt %u was lost while the guest was held", i);
        }
    }
}

/* ---- several processors -------------------------------------------------- */

static void
test_processors(struct kit *k)
{
    const uint32_t count = ULV_MIN(k->caps.vcpus_max, VCPUS);
    struct stage *s = ulv_kit_begin_interrupts(k, count, 0);

    if (s == NULL)
        return;
    for (uint32_t vector = 0; vector < ULV_VECTOR_COUNT; vector++) {
        if (!ulv_kit_inject(s, vector % count, vector))
            return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!ulv_kit_drain(s, i))
            return;
    }
    for (uint32_t vector = 0; vector < ULV_VECTOR_COUNT; vector++) {
        for (uint32_t i = 0; i < count; i++) {
            uint64_t came = ulv_kit_word(s, BLOCK_OF(i) + BLOCK_VECTOR(vector));

            REQUIRE(k, came == (i == vector % count),
                    "vector %u came %u times to processor %u", (uint64_t)vector,
                    came, (uint64_t)i);
        }
    }
}

/* What was, is not of who starts anew. */
static void
test_start(struct kit *k)
{
    struct stage *s = ulv_kit_begin_handlers(k);
    struct ulv_exit out;

    for (int i = 0; s != NULL && i < 20; i++) {
        ulv_status status;

        if (!ulv_kit_inject(s, 0, 1) ||
            !ulv_kit_take_call(s, 0, HANDLER_NUMBER, &out) ||
            !ulv_kit_inject(s, 0, 2))
            return;
        status =
            k->ops->vcpu_start(s->vcpu[0], (ulv_gpa){ RAM },
                               (ulv_gpa){ RAM + RAM_BYTES }, RAM + BLOCK_OF(0));
        REQUIRE(k, status == ULV_OK, "vcpu_start said %s",
                ulv_status_name(status));
        if (!ulv_kit_refuses_without(k, s->vcpu[0], "started anew") ||
            !ulv_kit_take_call(s, 0, COUNT_NUMBER, &out))
            return;
        if (ulv_kit_pace(k) != 0) /* the handler that it was in */
            ulv_kit_set_word(s, BLOCK_OF(0) + 24, 0);
        if (!ulv_kit_set_handler(
                s, 0,
                ulv_kit_handler_at(k, INTERRUPTS_CODE, INTERRUPTS_STEP),
                RAM + RAM_BYTES / 2) ||
            !ulv_kit_take_call(s, 0, COUNT_NUMBER, &out) ||
            !ulv_kit_inject(s, 0, 3) || !ulv_kit_handles_only(s, 0, 3))
            return;
    }
}

/* ---- storms -------------------------------------------------------------- */

/* Shared with a thread that interrupts. */
struct storm {
    struct stage *s;
    uint64_t count;
    bool kicks;
    uint32_t over;
};

static void
rage(void *argument)
{
    struct storm *storm = argument;
    const struct ulv_backend_ops *ops = storm->s->kit->ops;

    for (uint64_t i = 0; i < storm->count; i++) {
        (void)ops->vcpu_inject(storm->s->vcpu[0],
                               (uint32_t)(i % ULV_VECTOR_COUNT));
        if (storm->kicks && i % 8 == 0)
            ops->vcpu_kick(storm->s->vcpu[0]);
    }
    /* pairs with weather: all are injected */
    __atomic_store_n(&storm->over, 1, __ATOMIC_RELEASE);
}

static void
weather(struct kit *k, bool kicks)
{
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 0);
    struct storm storm = { s, k->repeats * 10, kicks, 0 };
    struct ulv_exit out;
    void *thread = NULL;

    if (s == NULL)
        return;
    REQUIRE(k, k->opts->thread_start(k->opts->self, rage, &storm, &thread),
            "there is no thread to be had");
    /* pairs with rage */
    while (__atomic_load_n(&storm.over, __ATOMIC_ACQUIRE) == 0) {
        if (!ulv_kit_run_once(s, 0, MILLISECOND, &out))
            break;
        if (out.reason != ULV_EXIT_INTERRUPTED) {
            (void)ulv_kit_fail(k, "exit reason %u in a storm of interrupts",
                               (uint64_t)out.reason);
            break;
        }
    }
    k->opts->thread_join(k->opts->self, thread);
    if (!ulv_kit_drain(s, 0))
        return;
    /* the last one of each cannot have been merged with a later one */
    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++)
        REQUIRE(k, ulv_kit_word(s, BLOCK_OF(0) + BLOCK_VECTOR(i)) != 0,
                "vector %u never came in a storm", (uint64_t)i);
    REQUIRE(k, ulv_kit_interrupt_count(s, 0) <= storm.count,
            "%u interrupts came of %u", ulv_kit_interrupt_count(s, 0),
            storm.count);
}

static void
test_storm(struct kit *k)
{
    weather(k, false);
}

static void
test_storm_of_kicks(struct kit *k)
{
    weather(k, true);
}

static const struct test_case cases[] = {
    { "what cannot interrupt says so", test_cannot, 0 },
    { "interrupts that cannot be are refused", test_refused, NEEDS_INTERRUPT },
    { "an interrupt comes once", test_once, NEEDS_INTERRUPT },
    { "all vectors come", test_all, NEEDS_INTERRUPT },
    { "nothing interrupts a handler", test_masked, NEEDS_INTERRUPT },
    { "an interrupt is withdrawn", test_withdraw, NEEDS_INTERRUPT },
    { "a handler takes the place of another", test_other_handler,
      NEEDS_INTERRUPT },
    { "the end of no handler is a fault", test_resume, NEEDS_INTERRUPT },
    { "a handler without a stack faults", test_stack,
      NEEDS_INTERRUPT | NEEDS_CODE },
    { "what is interrupted goes on as it was", test_anywhere,
      NEEDS_INTERRUPT | NEEDS_CODE },
    { "an interrupt waits for its guest", test_not_lost,
      NEEDS_INTERRUPT | NEEDS_CODE },
    { "an interrupt waits while its guest is held", test_threads_hold,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_BESIDE | NEEDS_THREADED },
    { "an interrupt is for its processor", test_processors,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_VCPUS },
    { "a processor that starts has no interrupts", test_start,
      NEEDS_INTERRUPT | NEEDS_START },
    { "a storm of interrupts", test_storm,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_THREAD },
    { "interrupts among kicks", test_storm_of_kicks,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_THREAD },
};

const struct case_list ulv_kit_interrupt_cases = { ULV_CONFORMANCE_INTERRUPTS,
                                                  cases, ULV_COUNT_OF(cases) };
