/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Budgets and pauses: a guest is stopped anywhere, and goes on. */
#include "conformance/conformance_priv.h"

static void
test_budget(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_spin);
    struct ulv_exit out;

    for (uint64_t i = 0; s != NULL && i < 20; i++) {
        if (!ulv_kit_run_once(s, 0, MILLISECOND, &out))
            return;
        REQUIRE(k, out.reason == ULV_EXIT_INTERRUPTED,
                "turn %u: exit reason %u", i, (uint64_t)out.reason);
    }
}

/* What is left of a budget by a run is not taken from the next. */
static void
test_unused(struct kit *k)
{
    const uint64_t pace = ulv_kit_pace(k);
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct ulv_exit out;

    for (uint64_t i = 0; s != NULL && i < 20; i++) {
        uint64_t n = ARGUMENT + i * pace;

        if (!ulv_kit_run_once(s, 0, k->patience, &out))
            return;
        REQUIRE(k,
                out.reason == ULV_EXIT_CALL && out.u.call.argument[0] == n,
                "call %u did not end a long run: exit reason %u", n,
                (uint64_t)out.reason);
        ulv_kit_answer(s, 0, -(int64_t)n, 3 * n + 1);
    }
}

static void
test_none(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_spin);
    struct ulv_exit out;

    for (uint64_t i = 0; s != NULL && i < 50; i++) {
        if (!ulv_kit_run_once(s, 0, i % 2 * MILLISECOND / 4, &out))
            return;
        REQUIRE(k, out.reason == ULV_EXIT_INTERRUPTED,
                "turn %u: exit reason %u", i, (uint64_t)out.reason);
    }
}

/* From interruption to interruption it gets further. */
static void
test_progress(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_count);
    struct ulv_exit out;

    for (uint64_t i = 0; s != NULL && i < 20; i++) {
        uint64_t was = ulv_kit_word(s, RESULT);
        ulv_nsec budget = MILLISECOND;

        while (ulv_kit_word(s, RESULT) == was) {
            REQUIRE(k, budget < k->patience,
                    "turn %u: the guest stays where it is", i);
            if (!ulv_kit_run_once(s, 0, budget, &out))
                return;
            REQUIRE(k, out.reason == ULV_EXIT_INTERRUPTED,
                    "turn %u: exit reason %u", i, (uint64_t)out.reason);
            budget *= 2;
        }
    }
}

/* It grows as the guest runs, and never less. */
static void
test_time(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_spin);
    ulv_nsec last = 0, budget = MILLISECOND;
    struct ulv_exit out;

    for (uint32_t turns = 0; s != NULL && turns < 20;) {
        ulv_nsec now = k->ops->vcpu_time(s->vcpu[0]);

        REQUIRE(k, now >= last, "vcpu_time was %u, and is %u", last, now);
        turns += now > last;
        budget = now > last ? MILLISECOND : 2 * budget;
        last = now;
        REQUIRE(k, budget < k->patience, "vcpu_time stays %u", now);
        if (!ulv_kit_run_once(s, 0, budget, &out))
            return;
    }
}

static const struct test_case budget_cases[] = {
    { "a budget ends a run", test_budget, 0 },
    { "a call ends a run before its budget", test_unused, 0 },
    { "without a budget a run only looks", test_none, 0 },
    { "a guest gets further with each budget", test_progress, NEEDS_CODE },
    { "the time of a processor grows", test_time, NEEDS_CODE | NEEDS_TIME },
};

const struct case_list ulv_kit_budget = { ULV_CONFORMANCE_BUDGET, budget_cases,
                                          ULV_COUNT_OF(budget_cases) };

/* ---- pause --------------------------------------------------------------- */

/* It is at rest: where it runs beside us, it is held. */
static void
look(struct stage *s, void (*check)(struct stage *s))
{
    bool beside = s->event[0] != ULV_NO_HANDLE;

    if (beside)
        s->kit->ops->vcpu_hold(s->vcpu[0], true);
    check(s);
    if (beside)
        s->kit->ops->vcpu_hold(s->vcpu[0], false);
}

/* Between two instructions that count, the first has counted one more. */
static void
check_words(struct stage *s)
{
    uint64_t first = ulv_kit_word(s, RESULT);
    uint64_t last = ulv_kit_word(s, RESULT + 24), before = first;
    struct ulv_registers r;

    for (uint64_t i = 8; i < 32; i += 8) {
        uint64_t word = ulv_kit_word(s, RESULT + i);

        REQUIRE(s->kit, word <= before && first - last <= 1,
                "words of %u to %u that are counted together", first, last);
        before = word;
    }
    if (s->kit->caps.can_save_registers == 0)
        return;
    REQUIRE(s->kit,
            s->kit->ops->vcpu_registers(s->vcpu[0], &r) == ULV_OK,
            "vcpu_registers failed");
    REQUIRE(s->kit,
            r.rip >= RAM && r.rip < RAM + (uint64_t)(ulv_kit_count.code_end -
                                                     ulv_kit_count.code),
            "paused at rip %x, where the guest has no code", r.rip);
    /* before its first instruction, rbx is anything */
    REQUIRE(s->kit, r.rip == RAM || r.rbx - first <= 1,
            "rbx is %u where the words are %u", r.rbx, first);
}

static void
check_nothing(struct stage *s)
{
    (void)s;
}

/* Interrupted at places nobody chose, the guest finds all of it as it was; in
 * the end it says how far it came. */
static void
pause_often(struct kit *k, const struct guest *guest, uint64_t turns,
            void (*check)(struct stage *s))
{
    struct stage *s = ulv_kit_begin(k, guest);
    struct ulv_exit out;

    for (uint64_t i = 0; s != NULL && i < turns; i++) {
        if (!ulv_kit_run_a_little(s))
            return;
        look(s, check);
        if (k->result == ULV_CONFORMANCE_FAILED)
            return;
    }
    if (s == NULL)
        return;
    ulv_kit_set_word(s, STOP, 1);
    if (!ulv_kit_run_call(s, 0, COUNT_NUMBER, &out))
        return;
    REQUIRE(k, out.u.call.argument[0] == ulv_kit_word(s, RESULT),
            "the guest counted %u, and %u is in its memory",
            out.u.call.argument[0], ulv_kit_word(s, RESULT));
}

static void
test_pause(struct kit *k)
{
    pause_often(k, &ulv_kit_count, 4 * k->repeats, check_words);
}

static void
test_pause_strings(struct kit *k)
{
    pause_often(k, &ulv_kit_strings, k->repeats, check_nothing);
}

static const struct test_case pause_cases[] = {
    { "paused anywhere, a guest counts right", test_pause, NEEDS_CODE },
    { "paused in a long instruction, it is done right", test_pause_strings,
      NEEDS_CODE },
};

const struct case_list ulv_kit_pause = { ULV_CONFORMANCE_PAUSE, pause_cases,
                                         ULV_COUNT_OF(pause_cases) };
