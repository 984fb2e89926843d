/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Chooses cases, runs each on stages that are clean, and tells of it. */
#include "conformance/conformance_priv.h"

#define REPEATS  UINT64_C(1000)
#define PATIENCE (60000 * MILLISECOND)
#define NAME_MAX 128u /* of a case */

static const char *const groups[] = {
    "lifecycle", "memory",    "calls", "faults",    "budget",
    "kicks",     "pause",     "registers", "hold",  "doorbells",
    "processors", "exhaustion", "churn", "save",    "track",
    "interrupts", "debug",
};

/* In the order in which they are run: what others build on first. */
static const struct case_list *const lists[] = {
    &ulv_kit_lifecycle,
    &ulv_kit_call_cases,
    &ulv_kit_faults,
    &ulv_kit_memory,
    &ulv_kit_remapping,
    &ulv_kit_budget,
    &ulv_kit_kicks,
    &ulv_kit_pause,
    &ulv_kit_register_cases,
    &ulv_kit_hold,
    &ulv_kit_doorbells,
    &ulv_kit_save,
    &ulv_kit_track,
    &ulv_kit_debug,
    &ulv_kit_processors,
    &ulv_kit_interrupt_cases,
    &ulv_kit_save_interrupts,
    &ulv_kit_bells,
    &ulv_kit_exhaustion,
    &ulv_kit_churn,
};

const char *
ulv_conformance_group(uint32_t idx)
{
    return idx < ULV_COUNT_OF(groups) ? groups[idx] : NULL;
}

/* ---- what a case says ---------------------------------------------------- */

bool
ulv_kit_fail(struct kit *k, const char *format, ...)
{
    struct ulv_text text;
    va_list arguments;

    if (k->result == ULV_CONFORMANCE_FAILED)
        return false;
    k->result = ULV_CONFORMANCE_FAILED;
    ulv_text_init(&text, k->reason, sizeof(k->reason));
    va_start(arguments, format);
    ulv_text_arguments(&text, format, arguments);
    va_end(arguments);
    return false;
}

void
ulv_kit_skip(struct kit *k, const char *reason)
{
    if (k->result != ULV_CONFORMANCE_PASSED)
        return;
    k->result = ULV_CONFORMANCE_SKIPPED;
    ulv_string_copy(k->reason, sizeof(k->reason), reason);
}

/* Vigna, splitmix64. */
uint64_t
ulv_kit_random(struct kit *k)
{
    uint64_t z = k->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t
ulv_kit_pace(const struct kit *k)
{
    return k->opts->guest_code == ULV_CONFORMANCE_STEPS ? 0 : 1;
}

/* ---- what a case needs --------------------------------------------------- */

/* NULL: all of it is there. */
static const char *
missing(const struct kit *k, uint32_t needs)
{
    const struct {
        uint32_t need;
        bool there;
        const char *reason;
    } rows[] = {
        { NEEDS_CODE, k->opts->guest_code == ULV_CONFORMANCE_X86,
          "steps cannot do it" },
        { NEEDS_REMAP, k->caps.can_remap != 0,
          "caps.can_remap is 0: memory stays once the guest runs" },
        { NEEDS_REGISTERS, k->caps.can_save_registers != 0,
          "caps.can_save_registers is 0" },
        { NEEDS_DOORBELL, k->ops->doorbell != NULL,
          "it rings no doorbells by itself" },
        { NEEDS_VCPUS, k->caps.vcpus_max > 1, "caps.vcpus_max is 1" },
        { NEEDS_START, k->ops->vcpu_start != NULL, "it has no vcpu_start" },
        { NEEDS_BESIDE, k->ops->vcpu_event != NULL && k->ops->vcpu_hold != NULL,
          "it has no vcpu_event: its guests run in vcpu_run only" },
        { NEEDS_THREADED, k->caps.can_thread != 0, "caps.can_thread is 0" },
        { NEEDS_SAVE, k->caps.can_save != 0, "caps.can_save is 0" },
        { NEEDS_TRACK, k->caps.can_track != 0, "caps.can_track is 0" },
        { NEEDS_LOOK, (k->caps.debug & ULV_DEBUG_CAN_READ) != 0,
          "caps.debug has no ULV_DEBUG_CAN_READ" },
        { NEEDS_SET, (k->caps.debug & ULV_DEBUG_CAN_SET) != 0,
          "caps.debug has no ULV_DEBUG_CAN_SET" },
        { NEEDS_BREAK, (k->caps.debug & ULV_DEBUG_CAN_BREAK) != 0,
          "caps.debug has no ULV_DEBUG_CAN_BREAK" },
        { NEEDS_STEP, (k->caps.debug & ULV_DEBUG_CAN_STEP) != 0,
          "caps.debug has no ULV_DEBUG_CAN_STEP" },
        { NEEDS_WATCH, (k->caps.debug & ULV_DEBUG_CAN_WATCH) != 0,
          "caps.debug has no ULV_DEBUG_CAN_WATCH" },
        { NEEDS_TIME, k->ops->vcpu_time != NULL, "it has no vcpu_time" },
        { NEEDS_INTERRUPT, k->caps.can_interrupt != 0,
          "caps.can_interrupt is 0" },
        { NEEDS_SPARE, k->ops->spare_init != NULL, "it keeps no spare" },
        { NEEDS_BIND, k->ops->vcpu_bind != NULL, "it has no vcpu_bind" },
        { NEEDS_SLEEP, k->ops->vcpu_sleep != NULL, "it has no vcpu_sleep" },
        { NEEDS_THREAD, k->opts->thread_start != NULL,
          "the caller gave no thread_start" },
        { NEEDS_USAGE, k->opts->usage != NULL, "the caller gave no usage" },
    };

    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++) {
        if ((needs & rows[i].need) != 0 && !rows[i].there)
            return rows[i].reason;
    }
    return NULL;
}

/* ---- one case ------------------------------------------------------------ */

static void
clean(struct kit *k)
{
    for (uint32_t i = 0; i < STAGES; i++)
        ulv_kit_end(&k->stage[i]);
    for (uint32_t i = 0; i < SPARES; i++)
        ulv_kit_memory_drop(k, &k->spare[i]);
    k->host.fail_at = 0;
}

/* What a backend took from the host table, it has given back. */
static void
check_host(struct kit *k)
{
    const struct kit_host *h = &k->host;

    if (h->bytes != 0)
        (void)ulv_kit_fail(k, "%i bytes of the host are not given back",
                           h->bytes);
    if (h->handles != 0)
        (void)ulv_kit_fail(k, "%i handles of the host are not closed",
                           h->handles);
    ulv_kit_host_init(&k->host, k->real);
}

static void
run_case(struct kit *k, const struct case_list *list,
         const struct test_case *one, struct ulv_conformance_counts *counts)
{
    const char *lacks = missing(k, one->needs);
    uint32_t group = (uint32_t)__builtin_ctz(list->group);
    struct ulv_conformance_result result;

    k->result = ULV_CONFORMANCE_PASSED;
    k->reason[0] = '\0';
    if (lacks != NULL) {
        ulv_kit_skip(k, lacks);
    } else {
        one->run(k);
        clean(k);
        check_host(k);
    }
    counts->cases++;
    counts->passed += k->result == ULV_CONFORMANCE_PASSED;
    counts->failed += k->result == ULV_CONFORMANCE_FAILED;
    counts->skipped += k->result == ULV_CONFORMANCE_SKIPPED;
    result = (struct ulv_conformance_result){ .size = sizeof(result),
                                              .result = k->result,
                                              .number = counts->cases,
                                              .group = groups[group],
                                              .name = one->name,
                                              .reason = k->reason };
    if (k->opts->report != NULL)
        k->opts->report(k->opts->self, &result);
}

/* Each that was asked for; or only counts them. */
static uint32_t
run_all(struct kit *k, const struct ulv_conformance_opts *opts,
        struct ulv_conformance_counts *counts)
{
    uint32_t asked = opts->groups != 0 ? opts->groups : ULV_CONFORMANCE_ALL;
    uint32_t found = 0;

    for (size_t i = 0; i < ULV_COUNT_OF(lists); i++) {
        for (size_t n = 0; n < lists[i]->count; n++) {
            const struct test_case *one = &lists[i]->cases[n];

            if ((lists[i]->group & asked) == 0 ||
                (opts->only != NULL &&
                 !ulv_string_equal(opts->only, one->name, NAME_MAX)))
                continue;
            found++;
            if (k != NULL)
                run_case(k, lists[i], one, counts);
        }
    }
    return found;
}

/* ---- the kit ------------------------------------------------------------- */

static ulv_status
check_opts(const struct ulv_conformance_opts *opts, struct ulv_diag *diag)
{
    if (opts->size != sizeof(*opts))
        return ulv_fail(diag, ULV_E_ARG, 0, opts->size, sizeof(*opts),
                        "options of %u bytes, not %u", (uint64_t)opts->size,
                        (uint64_t)sizeof(*opts));
    if (opts->backend == NULL || opts->host == NULL)
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 0,
                        "a backend and a host are needed");
    if ((opts->groups & ~ULV_CONFORMANCE_ALL) != 0)
        return ulv_fail(diag, ULV_E_ARG, 0, opts->groups, ULV_CONFORMANCE_ALL,
                        "groups %x, of %x", (uint64_t)opts->groups,
                        (uint64_t)ULV_CONFORMANCE_ALL);
    if (opts->guest_code > ULV_CONFORMANCE_STEPS)
        return ulv_fail(diag, ULV_E_ARG, 0, opts->guest_code,
                        ULV_CONFORMANCE_STEPS, "guest code of kind %u",
                        (uint64_t)opts->guest_code);
    if ((opts->thread_start == NULL) != (opts->thread_join == NULL))
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 0,
                        "thread_start and thread_join: both or neither");
    if (run_all(NULL, opts, NULL) == 0)
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 0, "there is no such case: %s",
                        opts->only != NULL ? opts->only : "");
    return ULV_OK;
}

static void
free_stages(struct kit *k)
{
    const struct ulv_host *host = k->real;

    for (uint32_t i = 0; i < STAGES; i++) {
        struct stage *s = &k->stage[i];

        ulv_kit_memory_drop(k, &s->ram);
        host->free(host->self, s->machine, k->ops->machine_bytes);
        for (uint32_t n = 0; n < VCPUS; n++)
            host->free(host->self, s->vcpu[n], k->ops->vcpu_bytes);
    }
}

static ulv_status
make_stages(struct kit *k)
{
    const struct ulv_host *host = k->real;

    for (uint32_t i = 0; i < STAGES; i++) {
        struct stage *s = &k->stage[i];
        bool made;

        s->kit = k;
        s->set = ULV_NO_HANDLE;
        s->machine = host->alloc(host->self, k->ops->machine_bytes, 64);
        made = s->machine != NULL;
        for (uint32_t n = 0; n < VCPUS; n++) {
            s->event[n] = ULV_NO_HANDLE;
            s->vcpu[n] = host->alloc(host->self, k->ops->vcpu_bytes, 64);
            made &= s->vcpu[n] != NULL;
        }
        if (!made || ulv_kit_memory_make(k, RAM_BYTES, 0, &s->ram) != ULV_OK)
            return ULV_E_NO_MEMORY;
    }
    return ULV_OK;
}

static struct kit *
make_kit(const struct ulv_conformance_opts *opts)
{
    const struct ulv_host *host = opts->host;
    struct kit *k = host->alloc(host->self, sizeof(*k), 64);

    if (k == NULL)
        return NULL;
    k->opts = opts;
    memcpy(&k->table, opts->backend,
           ULV_MIN(opts->backend->size, sizeof(k->table)));
    k->ops = &k->table;
    k->real = host;
    k->random = opts->seed;
    k->repeats = opts->repeats != 0 ? opts->repeats : REPEATS;
    k->patience = opts->patience != 0 ? opts->patience : PATIENCE;
    ulv_kit_host_init(&k->host, host);
    return k;
}

ulv_status
ulv_conformance_run(const struct ulv_conformance_opts *opts,
                    struct ulv_conformance_counts *ret_counts,
                    struct ulv_diag *diag)
{
    ulv_status status = check_opts(opts, diag);
    struct kit *k;

    memset(ret_counts, 0, sizeof(*ret_counts));
    if (status != ULV_OK)
        return status;
    k = make_kit(opts);
    if (k == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*k), 0,
                        "the host has no %z for the kit",
                        (uint64_t)sizeof(*k));
    status = k->ops->probe(&k->host.host, &k->caps, diag);
    if (status == ULV_OK) {
        status = make_stages(k);
        if (status == ULV_OK)
            (void)run_all(k, opts, ret_counts);
        else
            (void)ulv_fail(diag, status, 0, RAM_BYTES, 0,
                           "the host has no %z of memory for each of %u "
                           "machines", RAM_BYTES, (uint64_t)STAGES);
        free_stages(k);
    }
    opts->host->free(opts->host->self, k, sizeof(*k));
    return status;
}
