/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Limits, a host that refuses, and what is left behind. */
#include "conformance/conformance_priv.h"

#define REGIONS_TRIED 20000u /* of a backend that has no limit to speak of */
#define FAILURES_MAX  10000u
/* See ulv_conformance_usage; a kernel may back by 2 MiB what was 4 KiB. */
#define BYTES_MORE    INT64_C(0x300000)

static uint64_t
place(uint32_t idx)
{
    return OTHER + idx * 2 * PAGE;
}

/* All that can be, and one more; then one for another. */
static void
test_regions(struct kit *k)
{
    uint32_t max = ULV_MIN(k->caps.regions_max, REGIONS_TRIED);
    struct memory *page = ulv_kit_spare(k, 0, PAGE);
    struct stage *s = &k->stage[0];
    ulv_status status;

    if (page == NULL ||
        !ulv_kit_machine(s, &ulv_kit_echo, &(struct setup){ 0 }))
        return;
    for (uint32_t i = 1; i < max; i++) { /* RAM is one */
        status = ulv_kit_map(s, place(i), page, 0);
        REQUIRE(k, status == ULV_OK, "map of region %u of %u: %s", (uint64_t)i,
                (uint64_t)max, ulv_status_name(status));
    }
    if (max == k->caps.regions_max) {
        status = ulv_kit_map(s, place(max), page, 0);
        REQUIRE(k, status == ULV_E_LIMIT,
                "map of a region more than caps.regions_max, %u: %s",
                (uint64_t)max, ulv_status_name(status));
        status = k->ops->unmap(s->machine, (ulv_gpa){ place(1) }, PAGE);
        if (status == ULV_OK)
            status = ulv_kit_map(s, place(max), page, 0);
        REQUIRE(k, status == ULV_OK, "one region for another: %s",
                ulv_status_name(status));
    }
    if (ulv_kit_vcpu(s, 0, ARGUMENT))
        (void)ulv_kit_run_echo(s, 0, ARGUMENT);
}

static ulv_status
try_all(struct stage *s, struct ulv_diag *diag)
{
    ulv_status status =
        ulv_kit_try_machine(s, &ulv_kit_echo, &(struct setup){ 0 }, diag);

    if (status == ULV_OK)
        status = ulv_kit_try_vcpu(s, 0, ARGUMENT, diag);
    return status;
}

/* Each thing that is asked of the host is refused once: it is an error, and
 * nothing is left of what came before it. */
static void
test_refusals(struct kit *k)
{
    struct stage *s = &k->stage[0];
    ulv_status status = ULV_E_NO_MEMORY;
    uint64_t refused = 0;

    while (status != ULV_OK) {
        struct ulv_diag diag = ULV_DIAG_INIT;

        REQUIRE(k, refused < FAILURES_MAX, "more than %u refusals",
                (uint64_t)FAILURES_MAX);
        k->host.acquired = 0;
        k->host.fail_at = ++refused;
        status = try_all(s, &diag);
        REQUIRE(k,
                status == ULV_OK || status == ULV_E_NO_MEMORY ||
                    status == ULV_E_HOST,
                "refusal %u by the host: %s", refused,
                ulv_status_name(status));
        REQUIRE(k, status == ULV_OK || k->host.acquired >= refused,
                "a machine cannot be made: %s %s", ulv_status_name(status),
                diag.text);
        REQUIRE(k, status != ULV_OK || k->host.acquired < refused,
                "refusal %u by the host was not noticed", refused);
        if (status == ULV_OK && !ulv_kit_run_echo(s, 0, ARGUMENT))
            return;
        ulv_kit_end(s);
        REQUIRE(k, k->host.bytes == 0 && k->host.handles == 0,
                "refusal %u by the host: %i bytes and %i handles are not given "
                "back", refused, k->host.bytes, k->host.handles);
    }
    if (refused == 1)
        ulv_kit_skip(k, "it asks nothing of the host table");
}

static const struct test_case cases[] = {
    { "regions up to the limit", test_regions, 0 },
    { "a host that refuses", test_refusals, 0 },
};

const struct case_list ulv_kit_exhaustion = { ULV_CONFORMANCE_EXHAUSTION,
                                              cases, ULV_COUNT_OF(cases) };

/* ---- churn --------------------------------------------------------------- */

/* One machine; some are never run, some end in a fault. */
static bool
once(struct kit *k, uint64_t number)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct ulv_exit out;

    if (s == NULL ||
        (number % 4 != 0 && !ulv_kit_run_echo(s, 0, ARGUMENT)))
        return false;
    if (number % 4 == 3) {
        if (!ulv_kit_run(s, 0, &out))
            return false;
        ulv_kit_answer(s, 0, 4711, 0); /* wrong: the guest ends itself */
        if (!ulv_kit_run(s, 0, &out))
            return false;
        if (out.reason != ULV_EXIT_FAULT)
            return ulv_kit_fail(k, "exit reason %u, not a fault",
                                (uint64_t)out.reason);
    }
    ulv_kit_end(s);
    return true;
}

static bool
churn(struct kit *k, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (!once(k, i))
            return false;
        if (k->host.bytes != 0 || k->host.handles != 0)
            return ulv_kit_fail(
                k, "machine %u: %i bytes and %i handles are not given back", i,
                k->host.bytes, k->host.handles);
    }
    return true;
}

static void
test_churn(struct kit *k)
{
    (void)churn(k, k->repeats / 10 + 4);
}

static void
get_usage(const struct kit *k, struct ulv_conformance_usage *ret)
{
    *ret = (struct ulv_conformance_usage){ -1, -1, -1, -1 };
    k->opts->usage(k->opts->self, ret);
}

static bool
is_flat(struct kit *k, const char *what, int64_t before, int64_t after,
        int64_t more)
{
    return before < 0 || after <= before + more ||
           ulv_kit_fail(k, "%s: %i before %u machines, %i after them", what,
                        before, k->repeats, after);
}

/* A machine's first use may take what stays; the thousandth takes no more. */
static void
test_flat(struct kit *k)
{
    struct ulv_conformance_usage before, after;

    if (!churn(k, 8))
        return;
    get_usage(k, &before);
    if (!churn(k, k->repeats))
        return;
    get_usage(k, &after);
    (void)(is_flat(k, "handles", before.handles, after.handles, 0) &&
           is_flat(k, "threads", before.threads, after.threads, 0) &&
           is_flat(k, "processes", before.processes, after.processes, 0) &&
           is_flat(k, "bytes", before.bytes, after.bytes, BYTES_MORE));
}

static const struct test_case churn_cases[] = {
    { "machines come and go", test_churn, 0 },
    { "machines that are gone have left nothing", test_flat, NEEDS_USAGE },
};

const struct case_list ulv_kit_churn = { ULV_CONFORMANCE_CHURN, churn_cases,
                                         ULV_COUNT_OF(churn_cases) };
