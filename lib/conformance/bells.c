/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Bells that interrupt without us, and the sleep that an interrupt ends. */
#include "conformance/conformance_priv.h"

/* The handler is entered for vector, and left; the guest may call meanwhile:
 * what a bell brings takes its time. */
static bool
comes(struct stage *s, uint32_t idx, uint64_t vector)
{
    const struct ulv_host *host = s->kit->real;
    ulv_nsec start = host->now(host->self);
    struct ulv_exit out;

    do {
        if (!ulv_kit_run(s, idx, &out))
            return false;
        if (out.reason != ULV_EXIT_CALL)
            return ulv_kit_fail(s->kit, "exit reason %u, not a call",
                                (uint64_t)out.reason);
        ulv_kit_answer(s, idx, 0, 0);
        if (out.u.call.number == HANDLER_NUMBER) {
            if (out.u.call.argument[0] != vector)
                return ulv_kit_fail(s->kit, "vector %u came, not %u",
                                    out.u.call.argument[0], vector);
            return ulv_kit_take_call(s, idx, HANDLED_NUMBER, &out);
        }
    } while (host->now(host->self) - start < s->kit->patience);
    return ulv_kit_fail(s->kit, "a bell rang, and vector %u never came",
                        vector);
}

static bool
bind(struct stage *s, uint32_t idx, uint32_t vector, ulv_handle bell,
      ulv_status expected)
{
    return ulv_kit_refuses(s->kit, "vcpu_bind",
                           s->kit->ops->vcpu_bind(s->vcpu[idx], vector, bell),
                           expected);
}

static void
ring(const struct kit *k, ulv_handle bell)
{
    k->real->event_signal(k->real->self, bell);
}

static void
ring_one(struct kit *k, const ulv_handle *bell)
{
    struct stage *s = ulv_kit_begin_handlers(k);

    if (s == NULL)
        return;
    ring(k, bell[0]); /* before it is bound */
    if (!bind(s, 0, ULV_VECTOR_COUNT, bell[0], ULV_E_ARG) ||
        !bind(s, 0, 9, bell[0], ULV_OK) || !comes(s, 0, 9) ||
        !bind(s, 0, 9, bell[1], ULV_E_STATE) ||
        !bind(s, 0, 10, bell[1], ULV_OK))
        return;
    for (int i = 0; i < 20; i++) {
        ring(k, bell[i % 2]);
        if (!comes(s, 0, i % 2 == 0 ? 9 : 10))
            return;
    }
}

/* What rang until then is pending, what rings then stays in the bell. */
static void
ring_unbound(struct kit *k, const ulv_handle *bell)
{
    const struct ulv_host *host = k->real;
    struct stage *s = ulv_kit_begin_handlers(k);
    struct ulv_exit out;

    for (int i = 0; s != NULL && i < 10; i++) {
        if (!bind(s, 0, 9, bell[0], ULV_OK))
            return;
        ring(k, bell[0]);
        if (!bind(s, 0, 9, ULV_NO_HANDLE, ULV_OK))
            return;
        REQUIRE(k, k->ops->vcpu_withdraw(s->vcpu[0], 9),
                "a bell rang while bound, and nothing was pending");
        (void)host->event_take(host->self, bell[0]);
        ring(k, bell[0]);
        for (int n = 0; n < 5; n++) {
            if (!ulv_kit_take_call(s, 0, COUNT_NUMBER, &out))
                return;
        }
        REQUIRE(k, host->event_take(host->self, bell[0]),
                "a bell that is bound no more was heard by somebody");
    }
}

static void
ring_processors(struct kit *k, const ulv_handle *bell)
{
    struct stage *s = ulv_kit_begin_interrupts(k, 2, 0);

    if (s == NULL)
        return;
    ulv_kit_set_word(s, STOP, 1);
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t to = i / 5; /* first 0, then 1 */

        ulv_kit_set_word(s, BLOCK_OF(0) + BLOCK_CALLS, 1);
        ulv_kit_set_word(s, BLOCK_OF(1) + BLOCK_CALLS, 1);
        if (!bind(s, to, 20, bell[0], ULV_OK) ||
            !bind(s, 1 - to, 21, bell[1], ULV_OK) ||
            !bind(s, 1 - to, 20, bell[1], ULV_E_STATE))
            return;
        ring(k, bell[0]);
        if (!comes(s, to, 20))
            return;
        ring(k, bell[1]);
        if (!comes(s, 1 - to, 21) || !bind(s, to, 20, ULV_NO_HANDLE, ULV_OK) ||
            !bind(s, 1 - to, 21, ULV_NO_HANDLE, ULV_OK))
            return;
    }
}

/* One rings it while the guest runs beside us. */
static void
ring_beside(struct kit *k, const ulv_handle *bell)
{
    const struct ulv_host *host = k->real;
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 1);
    struct ulv_exit out;

    if (s == NULL || !bind(s, 0, 30, bell[0], ULV_OK) ||
        !ulv_kit_run_once(s, 0, 0, &out))
        return;
    for (uint64_t i = 1; i <= 50; i++) {
        ulv_nsec start = host->now(host->self);

        ring(k, bell[0]);
        while (ulv_kit_interrupt_count(s, 0) != i) {
            REQUIRE(k, host->now(host->self) - start < k->patience,
                    "ring %u did not interrupt the guest that runs", i);
        }
    }
    ulv_kit_set_word(s, STOP, 1);
    (void)ulv_kit_run_call(s, 0, COUNT_NUMBER, &out);
}

/* With two bells, which stay open as long as the machine. */
static void
with_bells(struct kit *k, void (*run)(struct kit *k, const ulv_handle *bell))
{
    const struct ulv_host *host = k->real;
    ulv_handle bell[2] = { ULV_NO_HANDLE, ULV_NO_HANDLE };

    if (host->event_create == NULL) {
        ulv_kit_skip(k, "the host has no events");
        return;
    }
    if (host->event_create(host->self, &bell[0]) == ULV_OK &&
        host->event_create(host->self, &bell[1]) == ULV_OK)
        run(k, bell);
    else
        (void)ulv_kit_fail(k, "the host has no event left");
    ulv_kit_end(&k->stage[0]);
    for (int i = 0; i < 2; i++) {
        if (bell[i] != ULV_NO_HANDLE)
            host->handle_close(host->self, bell[i]);
    }
}

static void
test_bell(struct kit *k)
{
    with_bells(k, ring_one);
}

static void
test_unbound(struct kit *k)
{
    with_bells(k, ring_unbound);
}

static void
test_bells_of_processors(struct kit *k)
{
    with_bells(k, ring_processors);
}

static void
test_bell_beside(struct kit *k)
{
    with_bells(k, ring_beside);
}

/* ---- sleep --------------------------------------------------------------- */

/* It has called, goes to sleep, and nothing but an interrupt gets it further.
 */
static bool
sleeps(struct stage *s)
{
    const struct ulv_backend_ops *ops = s->kit->ops;
    struct ulv_exit out;
    uint64_t was;

    if (!ulv_kit_run_call(s, 0, COUNT_NUMBER, &out))
        return false;
    if (!ops->vcpu_sleep(s->vcpu[0], true))
        return ulv_kit_fail(s->kit, "a vcpu does not go to sleep");
    was = ulv_kit_word(s, BLOCK_OF(0));
    for (int i = 0; i < 3; i++) {
        if (!ulv_kit_run_once(s, 0, 0, &out))
            return false;
        if (out.reason != ULV_EXIT_INTERRUPTED)
            return ulv_kit_fail(s->kit, "asleep, it has exit reason %u",
                                (uint64_t)out.reason);
        ops->vcpu_kick(s->vcpu[0]);
    }
    if (ulv_kit_word(s, BLOCK_OF(0)) != was)
        return ulv_kit_fail(s->kit, "a guest that sleeps runs");
    return ops->vcpu_sleeps(s->vcpu[0]) ||
           ulv_kit_fail(s->kit, "a kick has woken it");
}

/* It goes on by itself: the next call comes, of which it was told. */
static bool
rises(struct stage *s, int64_t status, uint64_t value, uint64_t interrupts)
{
    struct ulv_exit out;

    if (!ulv_kit_run_call(s, 0, COUNT_NUMBER, &out))
        return false;
    if (ulv_kit_word(s, BLOCK_OF(0) + BLOCK_STATUS) != (uint64_t)status ||
        ulv_kit_word(s, BLOCK_OF(0) + BLOCK_VALUE) != value)
        return ulv_kit_fail(s->kit, "it was told %x, %x, not %x, %x",
                            ulv_kit_word(s, BLOCK_OF(0) + BLOCK_STATUS),
                            ulv_kit_word(s, BLOCK_OF(0) + BLOCK_VALUE),
                            (uint64_t)status, value);
    if (ulv_kit_interrupt_count(s, 0) != interrupts)
        return ulv_kit_fail(s->kit, "%u interrupts came, not %u",
                            ulv_kit_interrupt_count(s, 0), interrupts);
    ulv_kit_answer(s, 0, 1, 1);
    return true;
}

static void
sleep_often(struct kit *k, const ulv_handle *bell)
{
    const struct ulv_backend_ops *ops = k->ops;
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 1);
    uint64_t interrupts = 0;

    if (s == NULL || !bind(s, 0, 40, bell[0], ULV_OK))
        return;
    ulv_kit_set_word(s, STOP, 1);
    for (uint64_t i = 0; i < 60; i++) {
        if (!sleeps(s))
            return;
        if (i % 3 == 0) {
            REQUIRE(k, ops->vcpu_sleep(s->vcpu[0], false),
                    "woken by us, it says that it was awake");
            ulv_kit_answer(s, 0, 5, i);
        } else if (i % 3 == 1) {
            ring(k, bell[0]);
        } else if (!ulv_kit_inject(s, 0, 41)) {
            return;
        }
        interrupts += i % 3 != 0;
        if (!rises(s, i % 3 == 0 ? 5 : 0, i % 3 == 0 ? i : 0, interrupts))
            return;
        REQUIRE(k,
                !ops->vcpu_sleeps(s->vcpu[0]) &&
                    !ops->vcpu_sleep(s->vcpu[0], false),
                "up, it says that it sleeps");
    }
}

static void
test_sleep(struct kit *k)
{
    with_bells(k, sleep_often);
}

/* What came since the last sleep is not slept over. */
static void
test_no_sleep(struct kit *k)
{
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 1);
    struct ulv_exit out;

    if (s == NULL)
        return;
    ulv_kit_set_word(s, STOP, 1);
    for (uint64_t i = 0; i < 20; i++) {
        if (!ulv_kit_take_call(s, 0, COUNT_NUMBER, &out) ||
            !ulv_kit_inject(s, 0, 7) ||
            !ulv_kit_run_call(s, 0, COUNT_NUMBER, &out))
            return;
        REQUIRE(k, !k->ops->vcpu_sleep(s->vcpu[0], true),
                "it sleeps, and was interrupted before");
        ulv_kit_answer(s, 0, 0, 0);
        if (!sleeps(s) || !ulv_kit_inject(s, 0, 7))
            return;
        if (!ulv_kit_run_call(s, 0, COUNT_NUMBER, &out))
            return;
        ulv_kit_answer(s, 0, 0, 0);
    }
}

static const struct test_case cases[] = {
    { "a bell interrupts", test_bell,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_BIND },
    { "a bell that is bound no more", test_unbound,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_BIND },
    { "a bell is for its processor", test_bells_of_processors,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_BIND | NEEDS_VCPUS },
    { "a bell interrupts a guest that runs beside", test_bell_beside,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_BIND | NEEDS_BESIDE |
          NEEDS_THREADED },
    { "an interrupt ends sleep", test_sleep,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_BIND | NEEDS_SLEEP |
          NEEDS_THREADED },
    { "nothing is slept over", test_no_sleep,
      NEEDS_INTERRUPT | NEEDS_CODE | NEEDS_SLEEP | NEEDS_THREADED },
};

const struct case_list ulv_kit_bells = { ULV_CONFORMANCE_INTERRUPTS, cases,
                                        ULV_COUNT_OF(cases) };
