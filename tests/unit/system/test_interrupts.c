/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A guest that doorbells interrupt, in its caller's thread, in one of its own,
 * and in a process; and who refuses it. Arguments: launcher, interrupted.elf,
 * ultravisor-role; the one backend that is to be there, or none for all.
 */
#include "../port/port_test.h"

#include <ultravisor/ultravisor.h>

#define RECORDS 80u

static const char *launcher, *interrupted, *role_program, *only;
static const struct ulv_guid type_interrupts = { "interrupts" };

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

static ulv_id
make(ulv_system *system, ulv_id *ret_line)
{
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id guest = ulv_transaction_partition(t, "late", ULV_PARTITION_GUEST);
    struct ulv_diag diag = ULV_DIAG_INIT;

    ulv_transaction_interrupts(t, guest);
    ulv_transaction_memory(t, guest, ULV_MIB(4), ULV_ANY_NODE);
    ulv_transaction_processors(t, guest, 1, ULV_SHARED);
    *ret_line = ulv_transaction_connect(t, guest, ULV_SELF, &type_interrupts);
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
    return guest;
}

static ulv_status
start(ulv_system *system, ulv_id guest, struct ulv_diag *diag)
{
    struct ulv_image image;

    memset(&image, 0, sizeof(image));
    image.kernel = ULV_SOURCE_PATH(interrupted);
    return ulv_partition_start(system, guest, &image, diag);
}

/* One record there and back. */
static void
exchange(ulv_system *system, ulv_id guest, ulv_channel *channel, uint32_t n)
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
    assert_int_equal(type, n);
    ulv_channel_release(channel);
}

static void
run(const char *backend, uint32_t placement, uint32_t threads_from)
{
    ulv_system *system = create(backend, placement, threads_from);
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_channel *channel;
    struct ulv_end end;
    ulv_id line, guest = make(system, &line);

    if (start(system, guest, &diag) != ULV_OK ||
        ulv_channel_open(system, line, &channel, &diag) != ULV_OK)
        fail_msg("%s: %s", backend, diag.text);
    for (uint32_t n = 1; n <= RECORDS; n++)
        exchange(system, guest, channel, n);
    assert_int_equal(
        ulv_partition_wait(system, guest, &end, ULV_FOREVER, &diag), ULV_OK);
    if (end.reason != ULV_END_REASON_STOP || end.code != 0)
        fail_msg("%s, code %u", end.text, (unsigned)end.code);
    ulv_channel_close(channel);
    ulv_system_destroy(system);
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

static void
test_system_interrupts__each_placement(void **state)
{
    (void)state;
    if (find("kvm") == NULL) {
        print_message("# kvm cannot be used here, or is not asked for\n");
        skip();
    }
    run("kvm", ULV_PLACEMENT_IN_PROCESS, 0);
    run("kvm", ULV_PLACEMENT_IN_PROCESS, 1);
    run("kvm", ULV_PLACEMENT_PROCESSES, 0);
}

static void
test_system_interrupts__refused_by_process(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system;
    ulv_id guest, line;

    (void)state;
    if (find("process") == NULL) {
        print_message("# process cannot be used here, or is not asked for\n");
        skip();
    }
    system = create("process", ULV_PLACEMENT_IN_PROCESS, 0);
    guest = make(system, &line);
    assert_int_equal(start(system, guest, &diag), ULV_E_UNSUPPORTED);
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
        cmocka_unit_test(test_system_interrupts__refused_by_process),
        cmocka_unit_test(test_system_interrupts__of_no_partition),
    };

    if (argc != 4 && argc != 5)
        return 2;
    launcher = argv[1];
    interrupted = argv[2];
    role_program = argv[3];
    only = argc == 5 ? argv[4] : NULL;
    return cmocka_run_group_tests_name("interrupts", tests, NULL, NULL);
}
