/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Several processors of one machine, in turns and at once. */
#include "conformance/conformance_priv.h"

static uint32_t
how_many(const struct kit *k)
{
    return ULV_MIN(k->caps.vcpus_max, VCPUS);
}

/* Processor i starts with i * apart + ARGUMENT. */
static struct stage *
begin_all(struct kit *k, const struct guest *guest, uint64_t apart,
          uint32_t threads)
{
    const struct setup setup = { .vcpu_count = how_many(k),
                                 .threads = threads };
    struct stage *s = &k->stage[0];

    if (!ulv_kit_machine(s, guest, &setup))
        return NULL;
    for (uint32_t i = 0; i < s->vcpu_count; i++) {
        if (!ulv_kit_vcpu(s, i, ARGUMENT + i * apart))
            return NULL;
    }
    return s;
}

static void
in_turns(struct kit *k, uint32_t threads)
{
    const uint64_t pace = ulv_kit_pace(k);
    const uint64_t apart = 100000 * pace;
    struct stage *s = begin_all(k, &ulv_kit_echo, apart, threads);

    for (uint64_t n = 0; s != NULL && n < 100; n++) {
        for (uint32_t i = 0; i < s->vcpu_count; i++) {
            if (!ulv_kit_run_echo(s, i, ARGUMENT + i * apart + n * pace))
                return;
        }
    }
}

static void
test_turns(struct kit *k)
{
    in_turns(k, 0);
}

static void
test_threads(struct kit *k)
{
    in_turns(k, 1);
}

/* Two of them, each waiting for the other. */
static void
test_at_once(struct kit *k)
{
    const struct setup setup = { .vcpu_count = 2, .threads = 1 };
    struct stage *s = &k->stage[0];
    struct ulv_exit out[2];

    if (!ulv_kit_machine(s, &ulv_kit_pair, &setup) || !ulv_kit_vcpu(s, 0, 0) ||
        !ulv_kit_vcpu(s, 1, 1))
        return;
    for (uint32_t i = 0; i < 2; i++) { /* both are let run */
        if (!ulv_kit_run_once(s, i, 0, &out[i]))
            return;
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (out[i].reason != ULV_EXIT_CALL &&
            !ulv_kit_run_call(s, i, PAIR_NUMBER, &out[i]))
            return;
    }
    REQUIRE(k, ulv_kit_word(s, RESULT) == 2 * PAIR_TURNS,
            "two processors took %u turns, not %u", ulv_kit_word(s, RESULT),
            2 * PAIR_TURNS);
}

/* Its fault ends one processor; what that means is the monitor's business. */
static void
test_fault_of_one(struct kit *k)
{
    struct stage *s = begin_all(k, &ulv_kit_echo, 100000, 0);
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_run_call(s, 1, ECHO_NUMBER, &out))
        return;
    ulv_kit_answer(s, 1, 4711, 0); /* wrong: the guest ends itself */
    if (!ulv_kit_run_fault(s, 1, ULV_FAULT_INSTRUCTION, ANYWHERE, &out))
        return;
    for (uint64_t n = 0; n < 10; n++) {
        if (!ulv_kit_run_echo(s, 0, ARGUMENT + n))
            return;
    }
}

static void
test_kick_of_one(struct kit *k)
{
    const uint64_t pace = ulv_kit_pace(k);
    struct stage *s = begin_all(k, &ulv_kit_echo, 0, 0);
    struct ulv_exit out;

    for (uint64_t n = ARGUMENT; s != NULL && n < ARGUMENT + 20; n++) {
        uint64_t number = pace == 0 ? ARGUMENT : n;

        k->ops->vcpu_kick(s->vcpu[1]);
        if (!ulv_kit_run_once(s, 0, k->patience, &out))
            return;
        REQUIRE(k, out.reason == ULV_EXIT_CALL,
                "a kick of processor 1 brought exit reason %u to 0",
                (uint64_t)out.reason);
        ulv_kit_answer(s, 0, -(int64_t)number, 3 * number + 1);
    }
}

/* A processor that called is told to be elsewhere, and knows nothing of it. */
static void
test_start(struct kit *k)
{
    const uint64_t pace = ulv_kit_pace(k);
    struct stage *s = begin_all(k, &ulv_kit_echo, 0, 0);

    for (uint64_t i = 1; s != NULL && i < 20; i++) {
        uint64_t first = pace == 0 ? ARGUMENT : 1000 * i;
        ulv_status status = k->ops->vcpu_start(
            s->vcpu[1], (ulv_gpa){ RAM }, (ulv_gpa){ RAM + RAM_BYTES / 2 },
            first);

        REQUIRE(k, status == ULV_OK, "vcpu_start said %s",
                ulv_status_name(status));
        if (!ulv_kit_run_echo(s, 1, first) ||
            !ulv_kit_run_echo(s, 1, first + pace))
            return;
    }
}

/* What is taken from a guest, none of its processors has. */
static void
test_unmap(struct kit *k)
{
    const struct setup setup = { .vcpu_count = how_many(k) };
    struct memory *page = ulv_kit_spare(k, 0, PAGE);
    struct stage *s = &k->stage[0];
    struct ulv_exit out;
    uint64_t was;

    if (page == NULL || !ulv_kit_machine(s, &ulv_kit_writer, &setup))
        return;
    REQUIRE(k, ulv_kit_map(s, OTHER, page, ULV_GUEST_WRITE) == ULV_OK,
            "map failed");
    for (uint32_t i = 0; i < s->vcpu_count; i++) {
        memcpy(&was, page->p, sizeof(was));
        if (!ulv_kit_vcpu(s, i, OTHER))
            return;
        while (ulv_get_le64(page->p) == was) {
            if (!ulv_kit_run_once(s, i, MILLISECOND, &out))
                return;
            REQUIRE(k, out.reason == ULV_EXIT_INTERRUPTED,
                    "processor %u: exit reason %u", (uint64_t)i,
                    (uint64_t)out.reason);
        }
    }
    REQUIRE(k, k->ops->unmap(s->machine, (ulv_gpa){ OTHER }, PAGE) == ULV_OK,
            "unmap failed");
    memcpy(&was, page->p, sizeof(was));
    for (uint32_t i = 0; i < s->vcpu_count; i++) {
        if (!ulv_kit_run_fault(s, i, ULV_FAULT_WRITE, OTHER, &out))
            return;
    }
    REQUIRE(k, ulv_get_le64(page->p) == was,
            "the guest reached memory that was unmapped");
}

static const struct test_case cases[] = {
    { "processors call in turns", test_turns, NEEDS_VCPUS },
    { "processors call in threads", test_threads,
      NEEDS_VCPUS | NEEDS_THREADED },
    { "processors run at once", test_at_once,
      NEEDS_CODE | NEEDS_VCPUS | NEEDS_THREADED },
    { "a fault ends its processor", test_fault_of_one,
      NEEDS_CODE | NEEDS_VCPUS },
    { "a kick is for its processor", test_kick_of_one, NEEDS_VCPUS },
    { "a processor is started anew", test_start, NEEDS_VCPUS | NEEDS_START },
    { "memory is taken from all processors", test_unmap,
      NEEDS_CODE | NEEDS_VCPUS | NEEDS_REMAP },
};

const struct case_list ulv_kit_processors = { ULV_CONFORMANCE_PROCESSORS, cases,
                                              ULV_COUNT_OF(cases) };
