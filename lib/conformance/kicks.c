/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Kicks: before a run, from other threads, and more of them than runs. */
#include "conformance/conformance_priv.h"

#define STORMS 3u
#define BURST  8u
#define DELAY  (MILLISECOND / 5)
#define LULL   (2 * MILLISECOND) /* at most: in it a guest gets further */

/* For the next run, and for that one only. */
static void
test_before(struct kit *k)
{
    const uint64_t pace = ulv_kit_pace(k);
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct ulv_exit out;

    for (uint64_t i = 0; s != NULL && i < 50; i++) {
        uint64_t n = ARGUMENT + i * pace;

        k->ops->vcpu_kick(s->vcpu[0]);
        k->ops->vcpu_kick(s->vcpu[0]);
        if (!ulv_kit_run_once(s, 0, k->patience, &out) ||
            (out.reason == ULV_EXIT_INTERRUPTED &&
             !ulv_kit_run_once(s, 0, k->patience, &out)))
            return;
        REQUIRE(k,
                out.reason == ULV_EXIT_CALL && out.u.call.argument[0] == n,
                "behind a kick, the second run brings exit reason %u, not "
                "call %u", (uint64_t)out.reason, n);
        ulv_kit_answer(s, 0, -(int64_t)n, 3 * n + 1);
    }
}

/* A guest that does not come back by itself. */
static void
test_ends_the_next(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_spin);
    const struct ulv_host *host = k->real;
    struct ulv_exit out;

    for (uint64_t i = 0; s != NULL && i < 50; i++) {
        ulv_nsec start = host->now(host->self);

        k->ops->vcpu_kick(s->vcpu[0]);
        if (!ulv_kit_run_once(s, 0, k->patience, &out))
            return;
        REQUIRE(k, out.reason == ULV_EXIT_INTERRUPTED,
                "turn %u: exit reason %u", i, (uint64_t)out.reason);
        REQUIRE(k, host->now(host->self) - start < k->patience,
                "a kick before a run did not end it, but its budget did");
    }
}

/* ---- from other threads -------------------------------------------------- */

/* Shared with a thread that kicks. */
struct kicker {
    struct kit *kit;
    struct stage *stage;
    uint32_t asked; /* how many kicks, one after the other */
    uint32_t begun; /* how many of these it has set about; in a storm, how
                       many threads take part */
    uint32_t stop;
};

/* Each of these pairs with the other side's get. */
static void
set(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static uint32_t
get(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST); /* pairs with set */
}

static void
delay(const struct kicker *w, ulv_nsec length)
{
    const struct ulv_host *host = w->kit->real;
    ulv_nsec start = host->now(host->self);

    while (host->now(host->self) - start < length && get(&w->stop) == 0)
        continue;
}

/* One kick for each that is asked for, a little later every time. */
static void
kick_when_asked(void *argument)
{
    struct kicker *w = argument;

    while (get(&w->stop) == 0) {
        if (get(&w->asked) == w->begun)
            continue;
        delay(w, w->begun * 7919u % DELAY);
        set(&w->begun, w->begun + 1);
        w->kit->ops->vcpu_kick(w->stage->vcpu[0]);
    }
}

static void
storm(void *argument)
{
    struct kicker *w = argument;

    for (uint32_t n = 1; get(&w->stop) == 0; n++) {
        for (uint32_t i = 0; i < n % BURST; i++)
            w->kit->ops->vcpu_kick(w->stage->vcpu[0]);
        if (n == 1)
            (void)__atomic_add_fetch(&w->begun, 1, __ATOMIC_SEQ_CST);
        delay(w, n * 7919u % LULL);
    }
}

static bool
start(struct kit *k, void (*function)(void *argument), struct kicker *w,
      void **ret)
{
    return k->opts->thread_start(k->opts->self, function, w, ret) ||
           ulv_kit_fail(k, "the caller could not start a thread");
}

static void
end(struct kit *k, struct kicker *w, void *thread)
{
    set(&w->stop, 1);
    k->opts->thread_join(k->opts->self, thread);
}

static void
wait_for(const struct kicker *w, uint32_t threads)
{
    while (get(&w->begun) != threads)
        continue;
}

/* One kick, and the run that it ends: a run may end for less, also just before
 * the kick, which then ends one of the next turn. */
static bool
kicked_once(struct kit *k, struct stage *s, struct kicker *w)
{
    const struct ulv_host *host = k->real;
    ulv_nsec begin = host->now(host->self);
    uint32_t number = w->asked + 1;
    struct ulv_exit out;

    set(&w->asked, number);
    do {
        if (!ulv_kit_run_once(s, 0, k->patience, &out))
            return false;
        if (out.reason != ULV_EXIT_INTERRUPTED)
            return ulv_kit_fail(k, "kick %u: exit reason %u", (uint64_t)number,
                                (uint64_t)out.reason);
        if (host->now(host->self) - begin >= k->patience)
            return ulv_kit_fail(k, "kick %u ended no run within %u ms",
                                (uint64_t)number, k->patience / MILLISECOND);
    } while (get(&w->begun) != number);
    return true;
}

static void
test_from_another(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_spin);
    struct kicker w = { .kit = k, .stage = s };
    void *thread;

    if (s == NULL || !start(k, kick_when_asked, &w, &thread))
        return;
    for (uint64_t i = 0; i < k->repeats && kicked_once(k, s, &w); i++)
        continue;
    end(k, &w, thread);
}

/* Nothing is lost by a run that ends early, again and again. */
static void
test_storm(struct kit *k)
{
    const uint64_t pace = ulv_kit_pace(k);
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct kicker w = { .kit = k, .stage = s };
    void *thread[STORMS];
    uint32_t threads = 0;

    while (s != NULL && threads < STORMS &&
           start(k, storm, &w, &thread[threads]))
        threads++;
    if (threads == STORMS)
        wait_for(&w, threads);
    for (uint64_t n = 0; threads == STORMS && n < k->repeats; n++) {
        if (!ulv_kit_run_echo(s, 0, ARGUMENT + n * pace))
            break;
    }
    while (threads > 0)
        end(k, &w, thread[--threads]);
}

/* Also while it counts, and a processor that has ended is kicked in vain. */
static void
test_storm_of_pauses(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_count);
    struct kicker w = { .kit = k, .stage = s };
    struct ulv_exit out = { .reason = ULV_EXIT_INTERRUPTED };
    void *thread;

    if (s == NULL || !start(k, storm, &w, &thread))
        return;
    wait_for(&w, 1);
    for (uint64_t i = 0; i < k->repeats; i++) {
        if (!ulv_kit_run_once(s, 0, MILLISECOND, &out) ||
            out.reason != ULV_EXIT_INTERRUPTED)
            break;
    }
    ulv_kit_set_word(s, STOP, 1);
    if (out.reason != ULV_EXIT_INTERRUPTED)
        (void)ulv_kit_fail(k, "exit reason %u of a guest that counts",
                           (uint64_t)out.reason);
    else if (ulv_kit_run_call(s, 0, COUNT_NUMBER, &out) &&
             out.u.call.argument[0] != ulv_kit_word(s, RESULT))
        (void)ulv_kit_fail(k, "the guest counted %u, and %u is in its memory",
                           out.u.call.argument[0], ulv_kit_word(s, RESULT));
    ulv_kit_answer(s, 0, 0, 0);
    if (k->result == ULV_CONFORMANCE_PASSED) /* behind the call is ud2 */
        (void)ulv_kit_run_fault(s, 0, ULV_FAULT_INSTRUCTION, ANYWHERE, &out);
    end(k, &w, thread);
}

static const struct test_case cases[] = {
    { "a kick counts once", test_before, 0 },
    { "a kick before a run ends it", test_ends_the_next, 0 },
    { "a kick from another thread ends a run", test_from_another,
      NEEDS_CODE | NEEDS_THREAD },
    { "calls go on in a storm of kicks", test_storm, NEEDS_THREAD },
    { "counting goes on in a storm of kicks", test_storm_of_pauses,
      NEEDS_CODE | NEEDS_THREAD },
};

const struct case_list ulv_kit_kicks = { ULV_CONFORMANCE_KICKS, cases,
                                         ULV_COUNT_OF(cases) };
