/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Processors that can be interrupted, and go on elsewhere. */
#include "conformance/conformance_priv.h"

static struct stage *
move(struct stage *s, struct state *state)
{
    const struct setup setup = { .interrupts = 1 };

    return ulv_kit_save_to(s, state)
               ? ulv_kit_move(s, &ulv_kit_interrupts, &setup, state)
               : NULL;
}

/* Each comes once, and only there. */
static void
test_save_pending(struct kit *k)
{
    struct stage *s = ulv_kit_begin_handlers(k);
    struct state state;
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_make_state(k, &state) ||
        !ulv_kit_take_call(s, 0, COUNT_NUMBER, &out))
        return;
    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i += 7) {
        const uint32_t other = ULV_VECTOR_COUNT - 1 - i;
        uint64_t first, second;

        if (!ulv_kit_inject(s, 0, i) || !ulv_kit_inject(s, 0, other))
            return;
        s = move(s, &state);
        if (s == NULL)
            return;
        s = move(s, &state); /* nor by what was restored */
        if (s == NULL || !ulv_kit_handles(s, 0, &first) ||
            !ulv_kit_handles(s, 0, &second) ||
            !ulv_kit_take_call(s, 0, COUNT_NUMBER, &out))
            return;
        REQUIRE(k, (first == i && second == other) ||
                       (first == other && second == i),
                "vectors %u and %u came, %u and %u were pending", first,
                second, (uint64_t)i, (uint64_t)other);
    }
}

/* Another waits until it is over, and what it interrupted goes on. */
static void
test_save_handler(struct kit *k)
{
    struct stage *s = ulv_kit_begin_handlers(k);
    struct state state;
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_make_state(k, &state))
        return;
    for (uint32_t i = 0; i < 20; i++) {
        if (!ulv_kit_inject(s, 0, i) ||
            !ulv_kit_take_call(s, 0, HANDLER_NUMBER, &out))
            return;
        REQUIRE(k, out.u.call.argument[0] == i, "vector %u came, not %u",
                out.u.call.argument[0], (uint64_t)i);
        if (!ulv_kit_inject(s, 0, i + 20))
            return;
        s = move(s, &state);
        if (s == NULL || !ulv_kit_take_call(s, 0, HANDLED_NUMBER, &out))
            return;
        s = move(s, &state);
        if (s == NULL || !ulv_kit_handles_only(s, 0, i + 20))
            return;
    }
}

static void
test_save_other_handler(struct kit *k)
{
    const uint64_t other =
        ulv_kit_handler_at(k, INTERRUPTS_OTHER_CODE, INTERRUPTS_OTHER_STEP);
    struct stage *s = ulv_kit_begin_handlers(k);
    struct state state;
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_make_state(k, &state) ||
        !ulv_kit_take_call(s, 0, COUNT_NUMBER, &out) ||
        !ulv_kit_set_handler(s, 0, other, RAM + RAM_BYTES / 2))
        return;
    s = move(s, &state);
    if (s == NULL || !ulv_kit_inject(s, 0, 3) ||
        !ulv_kit_take_call(s, 0, OTHER_NUMBER, &out) ||
        !ulv_kit_take_call(s, 0, COUNT_NUMBER, &out) ||
        !ulv_kit_set_handler(s, 0, 0, 0))
        return;
    s = move(s, &state);
    if (s != NULL && ulv_kit_refuses_without(k, s->vcpu[0], "restored without"))
        (void)ulv_kit_take_call(s, 0, COUNT_NUMBER, &out);
}

/* Until it has looked at its registers once more, and a little. */
static bool
looks(struct stage *s)
{
    const uint64_t before = ulv_kit_word(s, BLOCK_OF(0));
    const struct ulv_host *host = s->kit->real;
    const ulv_nsec end = host->now(host->self) + s->kit->patience;
    struct ulv_exit out = { .reason = ULV_EXIT_INTERRUPTED };

    while (ulv_kit_word(s, BLOCK_OF(0)) == before &&
           host->now(host->self) < end) {
        if (!ulv_kit_run_once(
                s, 0, ulv_kit_random(s->kit) % (MILLISECOND / 5), &out))
            return false;
        if (out.reason != ULV_EXIT_INTERRUPTED)
            break;
    }
    return ulv_kit_word(s, BLOCK_OF(0)) != before ||
           ulv_kit_fail(s->kit, "exit reason %u: what was saved is not as it "
                                "was", (uint64_t)out.reason);
}

static void
test_save_anywhere(struct kit *k)
{
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 0);
    const uint64_t moves = ULV_MIN(k->repeats, UINT64_C(300));
    struct state state;

    if (s == NULL || !ulv_kit_make_state(k, &state))
        return;
    for (uint64_t i = 0; i < moves; i++) {
        uint32_t vector = (uint32_t)(ulv_kit_random(k) % ULV_VECTOR_COUNT);

        if (!ulv_kit_inject(s, 0, vector) || !looks(s))
            return;
        s = move(s, &state);
        if (s == NULL)
            return;
    }
    if (!ulv_kit_drain(s, 0))
        return;
    REQUIRE(k,
            ulv_kit_interrupt_count(s, 0) > 0 &&
                ulv_kit_interrupt_count(s, 0) <= moves,
            "%u interrupts came of %u", ulv_kit_interrupt_count(s, 0), moves);
}

/* One that is pending while it is saved comes once. */
static void
test_save_not_lost(struct kit *k)
{
    struct stage *s = ulv_kit_begin_interrupts(k, 1, 0);
    struct state state;
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_make_state(k, &state))
        return;
    ulv_kit_set_word(s, STOP, 1);
    for (uint64_t i = 1; i <= 50; i++) {
        if (!ulv_kit_inject(s, 0, (uint32_t)(i * 11 % ULV_VECTOR_COUNT)) ||
            !ulv_kit_run_once(s, 0, 0, &out))
            return;
        if (i % 2 == 0) /* as it stands, perhaps on its way */
            k->ops->vcpu_kick(s->vcpu[0]);
        if (i % 2 == 0 && !ulv_kit_run_once(s, 0, k->patience, &out))
            return;
        s = move(s, &state);
        if (s == NULL || !ulv_kit_drain(s, 0))
            return;
        REQUIRE(k, ulv_kit_interrupt_count(s, 0) == i,
                "%u interrupts came of %u, one at a time",
                ulv_kit_interrupt_count(s, 0), i);
    }
}

/* Of two machines only one of which has interrupts, either way. */
static void
test_save_unlike(struct kit *k)
{
    for (uint32_t has = 0; has < 2; has++) {
        const struct setup setup[] = { { .interrupts = has },
                                       { .interrupts = 1 - has } };
        struct stage *s = &k->stage[0];
        struct ulv_diag diag = ULV_DIAG_INIT;
        struct state state;
        ulv_status status;

        ulv_kit_end(s);
        if (!ulv_kit_make_state(k, &state) ||
            !ulv_kit_machine(s, &ulv_kit_interrupts, &setup[0]) ||
            !ulv_kit_vcpu(s, 0, RAM + BLOCK_OF(0)) ||
            !ulv_kit_save_to(s, &state))
            return;
        ulv_kit_end(s);
        if (!ulv_kit_machine(s, &ulv_kit_interrupts, &setup[1]) ||
            !ulv_kit_vcpu(s, 0, RAM + BLOCK_OF(0)))
            return;
        status = k->ops->vcpu_restore(s->vcpu[0], state.bytes, state.used,
                                      &diag);
        REQUIRE(k, status == ULV_E_CONFLICT && diag.text[0] != '\0',
                "restoring it says %s \"%s\"", ulv_status_name(status),
                diag.text);
    }
}

static const struct test_case cases[] = {
    { "saved with vectors pending, they come elsewhere", test_save_pending,
      NEEDS_INTERRUPT | NEEDS_SAVE },
    { "saved in a handler, it ends elsewhere", test_save_handler,
      NEEDS_INTERRUPT | NEEDS_SAVE },
    { "a handler is saved, or that there is none", test_save_other_handler,
      NEEDS_INTERRUPT | NEEDS_SAVE },
    { "saved anywhere among interrupts, a guest goes on", test_save_anywhere,
      NEEDS_INTERRUPT | NEEDS_SAVE | NEEDS_CODE },
    { "no interrupt is lost by saving, or comes twice", test_save_not_lost,
      NEEDS_INTERRUPT | NEEDS_SAVE | NEEDS_CODE },
    { "what has interrupts is not restored where none are", test_save_unlike,
      NEEDS_INTERRUPT | NEEDS_SAVE },
};

const struct case_list ulv_kit_save_interrupts = { ULV_CONFORMANCE_INTERRUPTS,
                                                  cases, ULV_COUNT_OF(cases) };
