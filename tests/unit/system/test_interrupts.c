/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Guests that doorbells interrupt, in their caller's thread, in ones of their
 * own, and in a process; and who refuses it. Arguments: launcher,
 * ultravisor-role, interrupted.elf, interrupted_each.elf, primes.elf; the one
 * backend that is to be there, or none for all.
 */
#include "../port/port_test.h"

#include <ultravisor/ultravisor.h>

#define RECORDS      80u
#define EACH_RECORDS 20u

/* as examples/guests/primes.c says */
#define PRIMES_HOW_FAR 1u
#define PRIMES_HEARD   2u
#define PRIMES_STOP    3u
#define PRIMES_OK      100u
#define TEXT_MAX       64u

static const char *launcher, *role_program, *only;
static const char *interrupted, *interrupted_each, *primes;

/* With nobody patient enough a busy machine would lose roles. */
static ulv_system *
create(const char *backend, uint32_t placement, uint32_t threads_from)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system;

    opts.backend = backend;
    opts.placement = placement;
    opts.threads_from = threads_from;
    opts.role_program = role_program;
    opts.memory = ULV_MIB(32);
    opts.launcher_program = launcher;
    opts.settle_limit = UINT64_C(60000000000);
    assert_int_equal(
        ulv_system_create(ulv_posix_host(), &opts, &system, &diag), ULV_OK);
    return system;
}

/* A guest with so many processors, and a channel for each type. */
static ulv_id
make(ulv_system *system, uint32_t processors, const char *const types[],
     ulv_id ret_lines[])
{
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id guest = ulv_transaction_partition(t, "late", ULV_PARTITION_GUEST);
    struct ulv_diag diag = ULV_DIAG_INIT;

    ulv_transaction_interrupts(t, guest);
    ulv_transaction_memory(t, guest, ULV_MIB(4), ULV_ANY_NODE);
    ulv_transaction_processors(t, guest, processors, ULV_SHARED);
    for (uint32_t i = 0; types[i] != NULL; i++) {
        struct ulv_guid type = { { 0 } };

        memcpy(type.bytes, types[i], strlen(types[i]));
        ret_lines[i] = ulv_transaction_connect(t, guest, ULV_SELF, &type);
    }
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
    return guest;
}

static ulv_status
start(ulv_system *system, ulv_id guest, const char *kernel,
      struct ulv_diag *diag)
{
    struct ulv_image image;

    memset(&image, 0, sizeof(image));
    image.kernel = ULV_SOURCE_PATH(kernel);
    return ulv_partition_start(system, guest, &image, diag);
}

/* One record there; ret_text: what came back, or NULL: the same. */
static void
exchange(ulv_system *system, ulv_id guest, ulv_channel *channel, uint32_t n,
         char *ret_text)
{
    struct ulv_bytes data;
    struct ulv_end end;
    ulv_status status;
    uint32_t type;
    bool ended = false; /* it does so right after its last answer */

    assert_int_equal(ulv_channel_send(channel, n, &n, sizeof(n)), ULV_OK);
    while ((status = ulv_channel_peek(channel, &type, &data)) == ULV_E_EMPTY &&
           !ended) {
        (void)ulv_system_step(system, ulv_system_now(system) + 100000000);
        ended = ulv_partition_wait(system, guest, &end, 0, NULL) !=
                ULV_E_TIMEOUT;
    }
    if (status == ULV_E_EMPTY)
        fail_msg("record %u: %s", n, end.text);
    assert_int_equal(status, ULV_OK);
    if (ret_text != NULL) {
        assert_true(data.len < TEXT_MAX);
        memcpy(ret_text, data.p, data.len);
        ret_text[data.len] = '\0';
    }
    assert_int_equal(type, ret_text == NULL ? n : PRIMES_OK);
    ulv_channel_release(channel);
}

struct placement {
    const char *backend;
    uint32_t placement, threads_from;
};

/* A guest that runs, and the ends of its channels. */
struct guest {
    ulv_system *system;
    ulv_id id;
    ulv_channel *channel[4];
};

static void
begin(struct guest *g, const struct placement *where, const char *kernel,
      uint32_t processors, const char *const types[])
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_id lines[4];

    memset(g, 0, sizeof(*g));
    g->system = create(where->backend, where->placement, where->threads_from);
    g->id = make(g->system, processors, types, lines);
    if (start(g->system, g->id, kernel, &diag) != ULV_OK)
        fail_msg("%s: %s", where->backend, diag.text);
    for (uint32_t i = 0; types[i] != NULL; i++) {
        if (ulv_channel_open(g->system, lines[i], &g->channel[i], &diag) !=
            ULV_OK)
            fail_msg("%s: %s", types[i], diag.text);
    }
}

static void
end(struct guest *g, uint64_t code)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_end end;

    assert_int_equal(
        ulv_partition_wait(g->system, g->id, &end, ULV_FOREVER, &diag),
        ULV_OK);
    if (end.reason != ULV_END_REASON_STOP || end.code != code)
        fail_msg("%s, code %u", end.text, (unsigned)end.code);
    for (uint32_t i = 0; i < ULV_COUNT_OF(g->channel); i++)
        ulv_channel_close(g->channel[i]);
    ulv_system_destroy(g->system);
}

static void
run_one(const struct placement *where)
{
    static const char *const types[] = { "interrupts", NULL };
    struct guest g;

    begin(&g, where, interrupted, 1, types);
    for (uint32_t n = 1; n <= RECORDS; n++)
        exchange(g.system, g.id, g.channel[0], n, NULL);
    end(&g, 0);
}

/* Two processors, by turns. */
static void
run_each(const struct placement *where)
{
    static const char *const types[] = { "interrupts-0", "interrupts-1", NULL };
    struct guest g;

    begin(&g, where, interrupted_each, 2, types);
    for (uint32_t n = 0; n < 2 * EACH_RECORDS; n++)
        exchange(g.system, g.id, g.channel[n % 2], n + 1, NULL);
    end(&g, 2);
}

/* The example goes on counting between two questions. */
static void
run_primes(const struct placement *where)
{
    static const char *const types[] = { "primes", NULL };
    char before[TEXT_MAX], after[TEXT_MAX];
    uint32_t asked = 0;
    struct guest g;

    begin(&g, where, primes, 1, types);
    exchange(g.system, g.id, g.channel[0], PRIMES_HEARD, before);
    exchange(g.system, g.id, g.channel[0], PRIMES_HOW_FAR, before);
    do {
        exchange(g.system, g.id, g.channel[0], PRIMES_HOW_FAR, after);
    } while (strcmp(before, after) == 0 && ++asked < 100000);
    assert_string_not_equal(before, after);
    exchange(g.system, g.id, g.channel[0], PRIMES_STOP, after);
    end(&g, 0);
}

/* NULL: it cannot be used here, or is not asked for. */
static const char *
usable(uint32_t idx, const char *name, bool *ret_over)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    const char *found;
    ulv_status status =
        ulv_backend_probe(ulv_posix_host(), idx, &found, &diag);

    *ret_over = status == ULV_E_NOT_FOUND;
    if (*ret_over || strcmp(found, name) != 0 ||
        (only != NULL && strcmp(found, only) != 0))
        return NULL;
    assert_true(only == NULL || status == ULV_OK);
    if (status != ULV_OK)
        print_message("# %s: %s\n", found, diag.text);
    return status == ULV_OK ? found : NULL;
}

static const char *
find(const char *name)
{
    const char *found = NULL;
    bool over = false;

    for (uint32_t i = 0; !over && found == NULL; i++)
        found = usable(i, name, &over);
    return found;
}

static const struct placement placements[] = {
    { "kvm", ULV_PLACEMENT_IN_PROCESS, 0 },
    { "kvm", ULV_PLACEMENT_IN_PROCESS, 1 },
    { "kvm", ULV_PLACEMENT_PROCESSES, 0 },
};

static void
test_system_interrupts__each_placement(void **state)
{
    (void)state;
    if (find("kvm") == NULL) {
        print_message("# kvm cannot be used here, or is not asked for\n");
        skip();
    }
    for (uint32_t i = 0; i < ULV_COUNT_OF(placements); i++) {
        run_one(&placements[i]);
        run_primes(&placements[i]);
    }
}

static void
test_system_interrupts__each_processor(void **state)
{
    struct ulv_host_processor processor[2];
    const struct ulv_host *host = ulv_posix_host();
    uint32_t count = 0;

    (void)state;
    assert_int_equal(
        host->processors(host->self, processor, 2, &count, NULL), ULV_OK);
    if (find("kvm") == NULL || count < 2) {
        print_message("# %s\n", count < 2 ? "there is one processor"
                                          : "kvm cannot be used here");
        skip();
    }
    for (uint32_t i = 0; i < ULV_COUNT_OF(placements); i++)
        run_each(&placements[i]);
}

static void
test_system_interrupts__refused_by_process(void **state)
{
    static const char *const types[] = { "interrupts", NULL };
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system;
    ulv_id guest, line;

    (void)state;
    if (find("process") == NULL) {
        print_message("# process cannot be used here, or is not asked for\n");
        skip();
    }
    system = create("process", ULV_PLACEMENT_IN_PROCESS, 0);
    guest = make(system, 1, types, &line);
    assert_int_equal(start(system, guest, interrupted, &diag),
                     ULV_E_UNSUPPORTED);
    assert_non_null(strstr(diag.text, "cannot interrupt its guests"));
    ulv_system_destroy(system);
}

/* Only what a transaction makes can be given the right by it. */
static void
test_system_interrupts__of_no_partition(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system = create("mock", ULV_PLACEMENT_IN_PROCESS, 0);
    ulv_transaction *t = ulv_transaction_begin(system);

    (void)state;
    ulv_transaction_interrupts(t, 4711);
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_E_ARG);
    assert_non_null(strstr(diag.text, "4711 is not made here"));
    ulv_system_destroy(system);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_interrupts__each_placement),
        cmocka_unit_test(test_system_interrupts__each_processor),
        cmocka_unit_test(test_system_interrupts__refused_by_process),
        cmocka_unit_test(test_system_interrupts__of_no_partition),
    };

    if (argc != 6 && argc != 7)
        return 2;
    launcher = argv[1];
    role_program = argv[2];
    interrupted = argv[3];
    interrupted_each = argv[4];
    primes = argv[5];
    only = argc == 7 ? argv[6] : NULL;
    return cmocka_run_group_tests_name("interrupts", tests, NULL, NULL);
}
