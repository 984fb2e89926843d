/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Doorbells that the backend rings without an exit. */
#include "conformance/conformance_priv.h"

/* The guest has rung, as a call, and is answered; it says what it saw. */
static bool
rings_by_call(struct stage *s, int64_t status, uint64_t value)
{
    struct ulv_exit out;

    if (!ulv_kit_run_call(s, 0, ULV_CALL_SIGNAL, &out))
        return false;
    if (out.u.call.argument[0] != RINGS_SLOT)
        return ulv_kit_fail(s->kit, "slot %u, not %u", out.u.call.argument[0],
                            (uint64_t)RINGS_SLOT);
    ulv_kit_answer(s, 0, status, value);
    if (!ulv_kit_run_call(s, 0, ULV_CALL_YIELD, &out))
        return false;
    if (ulv_kit_word(s, RESULT) != (uint64_t)status ||
        ulv_kit_word(s, RESULT + 8) != value)
        return ulv_kit_fail(s->kit, "ringing was answered %x, %x",
                            ulv_kit_word(s, RESULT),
                            ulv_kit_word(s, RESULT + 8));
    ulv_kit_answer(s, 0, 0, 0);
    return true;
}

static bool
rings_by_itself(struct stage *s, ulv_handle bell)
{
    const struct ulv_host *host = s->kit->real;
    struct ulv_exit out;

    ulv_kit_set_word(s, RESULT, 99);
    ulv_kit_set_word(s, RESULT + 8, 99);
    if (!ulv_kit_run_call(s, 0, ULV_CALL_YIELD, &out))
        return false;
    if (!host->event_take(host->self, bell))
        return ulv_kit_fail(s->kit, "the bell did not ring");
    if (ulv_kit_word(s, RESULT) != 0 || ulv_kit_word(s, RESULT + 8) != 0)
        return ulv_kit_fail(s->kit, "ringing was answered %x, %x",
                            ulv_kit_word(s, RESULT),
                            ulv_kit_word(s, RESULT + 8));
    ulv_kit_answer(s, 0, 0, 0);
    return true;
}

static bool
set(struct stage *s, uint32_t slot, ulv_handle bell, ulv_status expected)
{
    ulv_status status = s->kit->ops->doorbell(s->machine, slot, bell);

    return status == expected ||
           ulv_kit_fail(s->kit, "doorbell of slot %u: %s, not %s",
                        (uint64_t)slot, ulv_status_name(status),
                        ulv_status_name(expected));
}

static void
ring(struct kit *k, ulv_handle bell, ulv_handle other)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_rings);
    const struct ulv_host *host = k->real;

    if (s == NULL || !rings_by_call(s, ULV_E_NOT_FOUND, 0) ||
        !set(s, ULV_SLOT_COUNT, bell, ULV_E_ARG) ||
        !set(s, UINT32_MAX, bell, ULV_E_ARG) ||
        !set(s, RINGS_SLOT, bell, ULV_OK))
        return;
    for (int i = 0; i < 3; i++) {
        if (!rings_by_itself(s, bell))
            return;
    }
    /* another one in its place; and that of another slot is silent */
    if (!set(s, RINGS_SLOT, other, ULV_OK) ||
        !set(s, RINGS_SLOT + 1, bell, ULV_OK) || !rings_by_itself(s, other))
        return;
    REQUIRE(k, !host->event_take(host->self, bell),
            "the bell of another slot rang");
    if (!set(s, RINGS_SLOT, ULV_NO_HANDLE, ULV_OK) ||
        !rings_by_call(s, 7, 8))
        return;
    REQUIRE(k,
            !host->event_take(host->self, bell) &&
                !host->event_take(host->self, other),
            "a bell that was taken away rang");
}

static void
test_rings(struct kit *k)
{
    const struct ulv_host *host = k->real;
    ulv_handle bell = ULV_NO_HANDLE, other = ULV_NO_HANDLE;

    if (host->event_create == NULL) {
        ulv_kit_skip(k, "the host has no events");
        return;
    }
    if (host->event_create(host->self, &bell) == ULV_OK &&
        host->event_create(host->self, &other) == ULV_OK)
        ring(k, bell, other);
    else
        (void)ulv_kit_fail(k, "the host has no event left");
    ulv_kit_end(&k->stage[0]); /* bells stay open until then */
    if (bell != ULV_NO_HANDLE)
        host->handle_close(host->self, bell);
    if (other != ULV_NO_HANDLE)
        host->handle_close(host->self, other);
}

/* Without the function, as before one was set. */
static void
test_calls(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_rings);

    for (int64_t i = 0; s != NULL && i < 5; i++) {
        if (!rings_by_call(s, -i, (uint64_t)i))
            return;
    }
}

static const struct test_case cases[] = {
    { "a doorbell that is not set is a call", test_calls, NEEDS_CODE },
    { "a doorbell rings without an exit", test_rings,
      NEEDS_CODE | NEEDS_DOORBELL },
};

const struct case_list ulv_kit_doorbells = { ULV_CONFORMANCE_DOORBELLS, cases,
                                             ULV_COUNT_OF(cases) };
