/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Each case of the conformance kit can fail: real backends of which one thing
 * is spoiled, and the case that must see it. The same case does not fail when
 * nothing is spoiled. Argument: the launcher.
 */
#include "../unit/port/port_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <ultravisor/posix.h>
#include <ultravisor/sys/conformance.h>

#include "spoiled.h"

static const char *launcher;

/* What the one case that was run has said. */
struct said {
    uint32_t cases, result;
    char reason[192];
};

static void
report(void *self, const struct ulv_conformance_result *result)
{
    struct said *said = self;

    said->cases++;
    said->result = result->result;
    ulv_string_copy(said->reason, sizeof(said->reason), result->reason);
}

static int64_t
open_descriptors(void)
{
    int64_t count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void
usage(void *self, struct ulv_conformance_usage *ret)
{
    (void)self;
    ret->handles = open_descriptors();
}

struct thread {
    pthread_t id;
    void (*function)(void *argument);
    void *argument;
};

static void *
run_thread(void *thread)
{
    struct thread *t = thread;

    t->function(t->argument);
    return NULL;
}

static bool
start_thread(void *self, void (*function)(void *argument), void *argument,
             void **ret_thread)
{
    struct thread *t = calloc(1, sizeof(*t));

    (void)self;
    t->function = function;
    t->argument = argument;
    *ret_thread = t;
    return pthread_create(&t->id, NULL, run_thread, t) == 0;
}

static void
join_thread(void *self, void *thread)
{
    struct thread *t = thread;

    (void)self;
    (void)pthread_join(t->id, NULL);
    free(t);
}

static void
opts_init(struct ulv_conformance_opts *opts,
          const struct ulv_backend_ops *ops, struct said *said)
{
    *opts = (struct ulv_conformance_opts)ULV_CONFORMANCE_OPTS_INIT;
    opts->backend = ops;
    opts->host = ulv_posix_host();
    opts->launcher = launcher;
    opts->repeats = 20;
    opts->report = report;
    opts->thread_start = start_thread;
    opts->thread_join = join_thread;
    opts->usage = usage;
    opts->self = said;
    if (strcmp(ops->name, "mock") == 0)
        opts->guest_code = ULV_CONFORMANCE_STEPS;
}

static void
run_case(const struct ulv_backend_ops *ops, const char *name, ulv_nsec patience,
         struct said *said)
{
    struct ulv_conformance_opts opts;
    struct ulv_conformance_counts counts;
    struct ulv_diag diag = ULV_DIAG_INIT;

    memset(said, 0, sizeof(*said));
    opts_init(&opts, ops, said);
    opts.only = name;
    opts.patience = patience;
    if (ulv_conformance_run(&opts, &counts, &diag) != ULV_OK)
        fail_msg("%s: %s", ops->name, diag.text);
    assert_int_equal(counts.cases, 1);
    assert_int_equal(said->cases, 1);
    assert_int_equal(counts.failed, said->result == ULV_CONFORMANCE_FAILED);
}

/* Whether a backend is named in a list of words, and can be used here. */
static bool
is_concerned(const struct ulv_backend_ops *ops, const char *names)
{
    struct ulv_backend_caps caps;

    return strstr(names, ops->name) != NULL &&
           ops->probe(ulv_posix_host(), &caps, NULL) == ULV_OK;
}

static void
test_spoiled(void **state)
{
    const struct spoil *row = *state;
    uint32_t tried = 0;

    for (uint32_t i = 0; ulv_backend_at(i) != NULL; i++) {
        const struct ulv_backend_ops *real = ulv_backend_at(i);
        struct said said;

        if (!is_concerned(real, row->backends))
            continue;
        run_case(real, row->name, 0, &said);
        if (said.result == ULV_CONFORMANCE_FAILED)
            fail_msg("%s, not spoiled: %s", real->name, said.reason);
        if (said.result == ULV_CONFORMANCE_SKIPPED) {
            print_message("# %s: %s\n", real->name, said.reason);
            continue;
        }
        tried++;
        run_case(spoil(real, row), row->name, SPOILED_PATIENCE, &said);
        print_message("# %s: %s\n", real->name, said.reason);
        assert_int_equal(said.result, ULV_CONFORMANCE_FAILED);
        if (strstr(said.reason, row->word) == NULL)
            fail_msg("not \"%s\" in: %s", row->word, said.reason);
    }
    if (tried == 0) {
        print_message("# none of these can be tried here: %s\n",
                      row->backends);
        skip();
    }
}

/* ---- the kit itself ------------------------------------------------------ */

static void
test_conformance__refuses_options(void **state)
{
    struct ulv_conformance_opts good, opts;
    struct ulv_conformance_counts counts;
    struct said said;

    (void)state;
    opts_init(&good, ulv_backend_find("mock"), &said);
    for (int i = 0; i < 7; i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;

        opts = good;
        opts.size = i == 0 ? 1 : opts.size;
        opts.backend = i == 1 ? NULL : opts.backend;
        opts.host = i == 2 ? NULL : opts.host;
        opts.groups = i == 3 ? ULV_CONFORMANCE_ALL + 1 : 0;
        opts.guest_code = i == 4 ? 2 : opts.guest_code;
        opts.thread_join = i == 5 ? NULL : opts.thread_join;
        opts.only = i == 6 ? "no such case" : NULL;
        assert_int_equal(ulv_conformance_run(&opts, &counts, &diag), ULV_E_ARG);
        assert_true(diag.text[0] != '\0');
        assert_int_equal(counts.cases, 0);
    }
}

static ulv_status
probe_nothing(const struct ulv_host *host, struct ulv_backend_caps *ret_caps,
              struct ulv_diag *diag)
{
    (void)host;
    (void)ret_caps;
    return ulv_fail(diag, ULV_E_DENIED, 0, 0, 0, "not for you");
}

static void
test_conformance__says_what_the_probe_says(void **state)
{
    struct ulv_backend_ops ops = *ulv_backend_find("mock");
    struct ulv_conformance_opts opts;
    struct ulv_conformance_counts counts;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct said said = { 0 };

    (void)state;
    ops.probe = probe_nothing;
    opts_init(&opts, &ops, &said);
    assert_int_equal(ulv_conformance_run(&opts, &counts, &diag), ULV_E_DENIED);
    assert_string_equal(diag.text, "not for you");
    assert_int_equal(said.cases, 0);
}

static void
test_conformance__groups_have_names_and_cases(void **state)
{
    struct ulv_conformance_opts opts;
    struct ulv_conformance_counts counts, all;
    struct said said = { 0 };
    uint32_t sum = 0, bits = 0;

    (void)state;
    opts_init(&opts, ulv_backend_find("mock"), &said);
    assert_int_equal(ulv_conformance_run(&opts, &all, NULL), ULV_OK);
    for (uint32_t i = 0; ulv_conformance_group(i) != NULL; i++) {
        opts.groups = UINT32_C(1) << i;
        bits |= opts.groups;
        assert_int_equal(ulv_conformance_run(&opts, &counts, NULL), ULV_OK);
        assert_true(counts.cases > 0);
        sum += counts.cases;
    }
    assert_int_equal(bits, ULV_CONFORMANCE_ALL);
    assert_int_equal(sum, all.cases);
    assert_int_equal(all.cases, all.passed + all.failed + all.skipped);
}

/* ---- all of them --------------------------------------------------------- */

#define TESTS_MAX 200u

static const struct spoil_list *const lists[] = { &machine_spoils, &run_spoils,
                                                  &state_spoils,
                                                  &interrupt_spoils,
                                                  &debug_spoils };

static void
report_untried(void *self, const struct ulv_conformance_result *result)
{
    uint32_t *untried = self;

    for (size_t i = 0; i < ULV_COUNT_OF(lists); i++) {
        for (size_t n = 0; n < lists[i]->count; n++) {
            if (strcmp(lists[i]->rows[n].name, result->name) == 0)
                return;
        }
    }
    print_message("# nothing spoils: %s\n", result->name);
    (*untried)++;
}

static void
test_conformance__every_case_can_fail(void **state)
{
    struct ulv_conformance_opts opts;
    struct ulv_conformance_counts counts;
    uint32_t untried = 0;

    (void)state;
    opts_init(&opts, ulv_backend_find("mock"), NULL);
    opts.report = report_untried;
    opts.self = &untried;
    assert_int_equal(ulv_conformance_run(&opts, &counts, NULL), ULV_OK);
    assert_int_equal(untried, 0);
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(test_conformance__refuses_options),
        cmocka_unit_test(test_conformance__says_what_the_probe_says),
        cmocka_unit_test(test_conformance__groups_have_names_and_cases),
        cmocka_unit_test(test_conformance__every_case_can_fail),
    };
    struct CMUnitTest tests[TESTS_MAX] = { 0 };
    size_t count = 0;

    if (argc != 2)
        return 2;
    launcher = argv[1];
    for (size_t i = 0; i < ULV_COUNT_OF(own); i++)
        tests[count++] = own[i];
    for (size_t i = 0; i < ULV_COUNT_OF(lists); i++) {
        for (size_t n = 0; n < lists[i]->count && count < TESTS_MAX; n++) {
            const struct spoil *row = &lists[i]->rows[n];

            tests[count].name = row->what;
            tests[count].test_func = test_spoiled;
            tests[count++].initial_state = (void *)(uintptr_t)row;
        }
    }
    return _cmocka_run_group_tests("conformance", tests, count, NULL, NULL);
}
