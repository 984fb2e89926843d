/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Guests that run beside the caller: held, let go, and told of by an event. */
#include "conformance/conformance_priv.h"

/* A machine whose guest runs beside us, in a process or thread of the
 * backend's; it is let run, and may have come back at once. */
static struct stage *
begin_beside(struct kit *k, const struct guest *guest, uint32_t threads,
             struct ulv_exit *ret)
{
    struct stage *s = &k->stage[0];

    ulv_kit_end(s);
    if (!ulv_kit_machine(s, guest, &(struct setup){ .threads = threads }) ||
        !ulv_kit_vcpu(s, 0, ARGUMENT))
        return NULL;
    if (s->event[0] == ULV_NO_HANDLE) {
        if (threads == 0)
            ulv_kit_skip(k, "its guests run in vcpu_run, but with threads");
        else
            (void)ulv_kit_fail(k, "with threads vcpu_event is no handle");
        return NULL;
    }
    return ulv_kit_run_once(s, 0, 0, ret) ? s : NULL;
}

/* The processor is left to the guest, if it would run: nothing comes to wait
 * for. */
static void
leave_time(const struct stage *s)
{
    const struct ulv_host *host = s->kit->real;
    ulv_nsec end = host->now(host->self) + 3 * MILLISECOND;

    if (s->set != ULV_NO_HANDLE)
        (void)host->wait(host->self, s->set, end);
    while (host->now(host->self) < end)
        continue;
}

/* It counts while nobody looks. */
static bool
counts_on(struct stage *s)
{
    const struct ulv_host *host = s->kit->real;
    ulv_nsec begin = host->now(host->self);
    uint64_t was = ulv_kit_word(s, RESULT);
    struct ulv_exit out;

    while (ulv_kit_word(s, RESULT) == was) {
        if (host->now(host->self) - begin >= s->kit->patience)
            return ulv_kit_fail(s->kit, "the guest does not run");
        if (!ulv_kit_run_once(s, 0, MILLISECOND, &out))
            return false;
    }
    return true;
}

static void
hold_often(struct kit *k, uint32_t threads)
{
    struct ulv_exit out;
    struct stage *s = begin_beside(k, &ulv_kit_count, threads, &out);

    for (uint64_t i = 0; s != NULL && i < 50; i++) {
        uint64_t was;

        if (!counts_on(s))
            return;
        k->ops->vcpu_hold(s->vcpu[0], true);
        was = ulv_kit_word(s, RESULT);
        leave_time(s);
        REQUIRE(k, ulv_kit_word(s, RESULT) == was,
                "a guest that is held has counted from %u to %u", was,
                ulv_kit_word(s, RESULT));
        k->ops->vcpu_hold(s->vcpu[0], false);
        if (!ulv_kit_run_once(s, 0, 0, &out))
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
test_hold(struct kit *k)
{
    hold_often(k, 0);
}

static void
test_hold_thread(struct kit *k)
{
    hold_often(k, 1);
}

/* Whether its event is ready; waits for it at most for a time. */
static bool
is_ready(struct stage *s, ulv_nsec length)
{
    const struct ulv_host *host = s->kit->real;

    return host->wait(host->self, s->set, host->now(host->self) + length) ==
           ULV_OK;
}

/* The exit that call n is to be. */
static bool
take_event(struct stage *s, uint64_t n, struct ulv_exit *ret)
{
    const struct ulv_host *host = s->kit->real;
    ulv_nsec begin = host->now(host->self);

    while (!is_ready(s, 100 * MILLISECOND)) {
        if (host->now(host->self) - begin >= s->kit->patience)
            return ulv_kit_fail(s->kit, "vcpu_event does not tell of call %u",
                                n);
    }
    return ulv_kit_run_once(s, 0, 0, ret);
}

/* The event comes before anybody has looked, and goes with the exit. A guest on
 * a processor of its own can be so fast that nobody ever has to wait for it: it
 * goes on until somebody had to. */
static void
events(struct kit *k, uint32_t threads)
{
    const ulv_nsec begin = k->real->now(k->real->self);
    bool waited = false;
    struct ulv_exit out;
    struct stage *s = begin_beside(k, &ulv_kit_echo, threads, &out);
    bool taken = s != NULL && out.reason == ULV_EXIT_CALL;

    if (s != NULL && s->set == ULV_NO_HANDLE)
        ulv_kit_skip(k, "the host has no wait sets");
    for (uint64_t n = ARGUMENT;
         s != NULL && s->set != ULV_NO_HANDLE &&
         (n < ARGUMENT + 50 ||
          (!waited && k->real->now(k->real->self) - begin < k->patience));
         n++) {
        waited |= !taken;
        if (!taken && !take_event(s, n, &out))
            return;
        REQUIRE(k, out.reason == ULV_EXIT_CALL && out.u.call.argument[0] == n,
                "vcpu_event told of exit reason %u, not of call %u",
                (uint64_t)out.reason, n);
        REQUIRE(k, !is_ready(s, 0),
                "vcpu_event still tells of call %u, which was taken", n);
        ulv_kit_answer(s, 0, -(int64_t)n, 3 * n + 1);
        if (!ulv_kit_run_once(s, 0, 0, &out))
            return;
        taken = out.reason == ULV_EXIT_CALL; /* the guest was that fast */
    }
}

static void
test_events(struct kit *k)
{
    events(k, 0);
}

static void
test_events_thread(struct kit *k)
{
    events(k, 1);
}

static const struct test_case cases[] = {
    { "a guest that is held stands still", test_hold,
      NEEDS_CODE | NEEDS_BESIDE },
    { "a guest in a thread that is held stands still", test_hold_thread,
      NEEDS_CODE | NEEDS_BESIDE | NEEDS_THREADED },
    { "an event tells of an exit", test_events, NEEDS_CODE | NEEDS_BESIDE },
    { "an event tells of an exit in a thread", test_events_thread,
      NEEDS_CODE | NEEDS_BESIDE | NEEDS_THREADED },
};

const struct case_list ulv_kit_hold = { ULV_CONFORMANCE_HOLD, cases,
                                        ULV_COUNT_OF(cases) };
