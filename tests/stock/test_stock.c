/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Stock kernels in partitions, beside a guest of the SDK that counts on.
 * Arguments: which ("hostile", "reboot", "others"), ticks.elf, ultravisor-role,
 * hostile.elf; a kernel, an initrd (init.c).
 */
#include "../unit/port/port_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ultravisor/ultravisor.h>

static const char *kernel, *initrd, *counter, *role_program, *hostile;

struct heard {
    char console[262144];
    size_t len;
};

struct host {
    ulv_system *system;
    ulv_id stock, neighbour;
    struct heard *heard;
};

static void
listen(struct host *h)
{
    struct ulv_event event = ULV_EVENT_INIT;

    while (ulv_event_next(h->system, &event) == ULV_OK) {
        if (event.kind != ULV_EVENT_CONSOLE ||
            event.partition != h->stock)
            continue;
        assert_true(h->heard->len + event.bytes < sizeof(h->heard->console));
        memcpy(h->heard->console + h->heard->len, event.data, event.bytes);
        h->heard->len += event.bytes;
        if (getenv("ULTRAVISOR_SHOW") != NULL)
            (void)fwrite(event.data, 1, event.bytes, stdout);
    }
}

static uint64_t
count_of(struct host *h)
{
    uint64_t count = 0;

    assert_int_equal(ulv_partition_read(h->system, h->neighbour,
                                        (ulv_gpa){ULV_GUEST_RAM_BASE +
                                                  0x100000},
                                        &count, sizeof(count), NULL),
                     ULV_OK);
    return count;
}

/* Both partitions, and the neighbour runs. */
static void
make_guests(struct host *h, uint64_t bytes)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t = ulv_transaction_begin(h->system);
    ulv_id a, b;

    assert_int_equal(ulv_system_find(h->system, "io-a", &a), ULV_OK);
    assert_int_equal(ulv_system_find(h->system, "io-b", &b), ULV_OK);
    h->stock = ulv_transaction_partition(t, "stock", ULV_PARTITION_GUEST);
    ulv_transaction_stock(t, h->stock);
    ulv_transaction_memory(t, h->stock, bytes, ULV_ANY_NODE);
    ulv_transaction_processors(t, h->stock, 1, ULV_SHARED);
    ulv_transaction_console(t, h->stock, a, b);
    h->neighbour =
        ulv_transaction_partition(t, "counter", ULV_PARTITION_GUEST);
    ulv_transaction_memory(t, h->neighbour, ULV_MIB(2), ULV_ANY_NODE);
    ulv_transaction_processors(t, h->neighbour, 1, ULV_SHARED);
    if (ulv_transaction_commit(t, &diag) != ULV_OK)
        fail_msg("%s", diag.text);
    if (ulv_partition_start(h->system, h->neighbour,
                            &(struct ulv_image){
                                .kernel = ULV_SOURCE_PATH(counter)},
                            &diag) != ULV_OK)
        fail_msg("%s", diag.text);
}

static void
open_host(struct host *h, uint32_t placement, uint32_t threads, uint64_t bytes)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (ulv_backend_find("kvm")->probe(ulv_posix_host(), &caps, &diag) !=
        ULV_OK) {
        print_message("# %s\n", diag.text);
        skip();
    }
    if (caps.can_stock == 0) {
        print_message("# this KVM lacks what a stock kernel needs\n");
        skip();
    }
    memset(h, 0, sizeof(*h));
    h->heard = calloc(1, sizeof(*h->heard));
    opts.backend = "kvm";
    opts.placement = placement;
    opts.threads_from = threads;
    opts.role_program = role_program;
    opts.memory = bytes + ULV_MIB(16);
    if (ulv_system_create(ulv_posix_host(), &opts, &h->system, &diag) !=
        ULV_OK)
        fail_msg("%s", diag.text);
    make_guests(h, bytes);
}

static void
close_host(struct host *h)
{
    ulv_system_destroy(h->system);
    free(h->heard);
}

static void
start(struct host *h, const char *image, const char *with, const char *words)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_image what = {.kernel = ULV_SOURCE_PATH(image),
                             .cmdline = words};

    if (with != NULL)
        what.initrd = ULV_SOURCE_PATH(with);
    memset(h->heard, 0, sizeof(*h->heard));
    if (ulv_partition_start(h->system, h->stock, &what, &diag) != ULV_OK)
        fail_msg("%s", diag.text);
}

/* Until it has ended; the neighbour counts on. */
static struct ulv_end
run_out(struct host *h)
{
    struct ulv_end end = {0};
    uint64_t before = count_of(h);

    while (ulv_partition_wait(h->system, h->stock, &end,
                              ulv_system_now(h->system) + 100000000,
                              NULL) == ULV_E_TIMEOUT)
        listen(h);
    listen(h);
    while (count_of(h) == before)
        ulv_system_step(h->system, ulv_system_now(h->system) + 1000000);
    return end;
}

/* ---- one that is hostile ------------------------------------------------- */

static const struct {
    const char *words;
    uint32_t reason;
    uint64_t code;
    const char *console, *text;
} lives[] = {
    {"pO", ULV_END_REASON_STOP, 0, "done", "interrupts off"},
    {"m", ULV_END_REASON_STOP, 0, "done", "interrupts off"},
    {"r", ULV_END_REASON_STOP, 0, "done", "interrupts off"},
    {"s", ULV_END_REASON_STOP, 0, "text done", "interrupts off"},
    {"w", ULV_END_REASON_RESET, 0, "", "keyboard"},
    {"t", ULV_END_REASON_FAULT, ULV_FAULT_TRIPLE, "", ""},
    {"x", ULV_END_REASON_FAULT, ULV_FAULT_EMULATION, "", ""},
    {"v", ULV_END_REASON_FAULT, ULV_FAULT_TRIPLE, "R\n", ""},
};

/* Model-specific registers of those it tries that it may read: no more than the
 * backend's list has, and some. */
static void
check_registers(const char *console)
{
    unsigned long count = strtoul(console, NULL, 16);

    printf("# %lu model-specific registers could be read\n", count);
    assert_in_range(count, 10, 40);
}

/* A KVM in software has no IRET in protected mode, by which "r" goes on after a
 * register that it may not read, and no INT3 and UD2, which "t" and "v" end by.
 */
static bool
is_beyond_kvm(const char *words)
{
    return strchr("rtv", words[0]) != NULL &&
           access("/sys/module/kvm_pvm", F_OK) == 0;
}

static void
live_all(struct host *h)
{
    for (size_t i = 0; i < ULV_COUNT_OF(lives); i++) {
        struct ulv_end end;

        start(h, hostile, NULL, lives[i].words);
        end = run_out(h);
        printf("# %s: %s\n", lives[i].words, end.text);
        if (is_beyond_kvm(lives[i].words)) {
            assert_int_equal(end.reason, ULV_END_REASON_FAULT);
            assert_int_equal(end.code, ULV_FAULT_EMULATION);
            continue;
        }
        assert_int_equal(end.reason, lives[i].reason);
        assert_int_equal(end.code, lives[i].code);
        assert_non_null(strstr(h->heard->console, lives[i].console));
        assert_non_null(strstr(end.text, lives[i].text));
        if (lives[i].words[0] == 'r')
            check_registers(h->heard->console);
    }
}

static void
test_stock__hostile_in_process(void **state)
{
    struct host h;

    (void)state;
    open_host(&h, ULV_PLACEMENT_IN_PROCESS, 0, ULV_MIB(4));
    live_all(&h);
    close_host(&h);
}

static void
test_stock__hostile_as_processes(void **state)
{
    struct host h;

    (void)state;
    open_host(&h, ULV_PLACEMENT_PROCESSES, 0, ULV_MIB(4));
    live_all(&h);
    close_host(&h);
}

static void
test_stock__hostile_in_threads(void **state)
{
    struct host h;

    (void)state;
    open_host(&h, ULV_PLACEMENT_PROCESSES, 1, ULV_MIB(4));
    live_all(&h);
    close_host(&h);
}

/* It is stopped whenever that is asked. */
static void
pause_and_stop(const char *words)
{
    struct ulv_end end;
    uint64_t before;
    struct host h;

    open_host(&h, ULV_PLACEMENT_IN_PROCESS, 0, ULV_MIB(4));
    start(&h, hostile, NULL, words);
    before = count_of(&h);
    while (count_of(&h) < before + 3)
        ulv_system_step(h.system, ulv_system_now(h.system) + 1000000);
    assert_int_equal(ulv_partition_pause(h.system, h.stock, NULL), ULV_OK);
    assert_int_equal(ulv_partition_resume(h.system, h.stock, NULL), ULV_OK);
    assert_int_equal(ulv_partition_stop(h.system, h.stock, NULL), ULV_OK);
    assert_int_equal(
        ulv_partition_wait(h.system, h.stock, &end, ULV_FOREVER, NULL),
        ULV_OK);
    assert_int_equal(end.reason, ULV_END_REASON_KILLED);
    close_host(&h);
}

static void
test_stock__stopped_while_it_sleeps(void **state)
{
    (void)state;
    pause_and_stop("i");
}

static void
test_stock__stopped_with_interrupts_off(void **state)
{
    (void)state;
    skip_in_bochs("a guest with interrupts off has the processor for ever");
    pause_and_stop("c");
}

/* ---- what it cannot have ------------------------------------------------- */

static void
refused(ulv_status status, const struct ulv_diag *diag, const char *words)
{
    assert_int_not_equal(status, ULV_OK);
    printf("# refused: %s\n", diag->text);
    assert_non_null(strstr(diag->text, words));
}

static void
test_stock__refused_while_it_runs(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_image sdk = {.kernel = ULV_SOURCE_PATH(counter)};
    ulv_transaction *t;
    struct host h;

    (void)state;
    open_host(&h, ULV_PLACEMENT_IN_PROCESS, 0, ULV_MIB(8));
    refused(ulv_partition_start(h.system, h.stock, &sdk, &diag), &diag,
            "an image of the SDK");
    start(&h, hostile, NULL, "i");
    t = ulv_transaction_begin(h.system);
    ulv_transaction_memory(t, h.stock, ULV_MIB(2), ULV_ANY_NODE);
    refused(ulv_transaction_commit(t, &diag), &diag, "cannot change");
    t = ulv_transaction_begin(h.system);
    ulv_transaction_release(t, h.stock, (ulv_gpa){0}, ULV_MIB(8));
    refused(ulv_transaction_commit(t, &diag), &diag, "cannot change");
    refused(ulv_posix_save(h.system, h.stock, "/tmp/ulv-stock-saved", 0, &diag),
            &diag, "cannot be saved");
    close_host(&h);
}

/* ---- Linux --------------------------------------------------------------- */

static void
boot(uint32_t placement, const char *words, uint32_t reason, const char *last)
{
    struct ulv_end end;
    struct host h;

    if (kernel == NULL) {
        print_message("# no kernel was given\n");
        skip();
    }
    open_host(&h, placement, 0, ULV_MIB(192));
    start(&h, kernel, initrd, words);
    end = run_out(&h);
    printf("# %s\n", end.text);
    assert_int_equal(end.reason, reason);
    assert_non_null(strstr(h.heard->console, "init: MemTotal"));
    assert_non_null(strstr(h.heard->console, "init: vendor_id"));
    assert_non_null(strstr(h.heard->console, words));
    assert_non_null(strstr(h.heard->console, "init: SUCCESS"));
    assert_non_null(strstr(h.heard->console, last));
    close_host(&h);
}

static void
test_stock__linux_reboots(void **state)
{
    (void)state;
    boot(ULV_PLACEMENT_IN_PROCESS, "console=ttyS0 panic=-1 end=reboot",
         ULV_END_REASON_RESET, "Linux version");
}

static void
test_stock__linux_is_switched_off(void **state)
{
    (void)state;
    boot(ULV_PLACEMENT_PROCESSES, "console=ttyS0 panic=-1 end=poweroff",
         ULV_END_REASON_STOP, "reboot: System halted");
}

static void
test_stock__linux_panics(void **state)
{
    (void)state;
    boot(ULV_PLACEMENT_PROCESSES, "console=ttyS0 panic=-1 end=not",
         ULV_END_REASON_RESET, "Attempted to kill init");
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest hostile_ones[] = {
        cmocka_unit_test(test_stock__hostile_in_process),
        cmocka_unit_test(test_stock__hostile_as_processes),
        cmocka_unit_test(test_stock__hostile_in_threads),
        cmocka_unit_test(test_stock__stopped_while_it_sleeps),
        cmocka_unit_test(test_stock__stopped_with_interrupts_off),
        cmocka_unit_test(test_stock__refused_while_it_runs),
    };
    const struct CMUnitTest reboots[] = {
        cmocka_unit_test(test_stock__linux_reboots),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(test_stock__linux_is_switched_off),
        cmocka_unit_test(test_stock__linux_panics),
    };

    if (argc < 5)
        return 1;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    counter = argv[2];
    role_program = argv[3];
    hostile = argv[4];
    if (argc == 7) {
        kernel = argv[5];
        initrd = argv[6];
    }
    if (strcmp(argv[1], "hostile") == 0)
        return cmocka_run_group_tests(hostile_ones, NULL, NULL);
    if (strcmp(argv[1], "reboot") == 0)
        return cmocka_run_group_tests(reboots, NULL, NULL);
    return cmocka_run_group_tests(others, NULL, NULL);
}
