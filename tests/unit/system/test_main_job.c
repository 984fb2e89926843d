/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The main job with real backends, in this process and one process a role: a
 * guest hashes a disk, its server is killed half way. For the sanitizers, which
 * see all roles here; and a guest of two processors, in turns and in threads.
 * Arguments: launcher, digest.elf, ultravisor-role, processors.elf; the one
 * backend that is to be there, or none for all that are.
 */
#include "../port/port_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ultravisor/guest.h>
#include <ultravisor/ultravisor.h>

#define DISK_BYTES (3u << 20)

static const char *launcher, *digest, *role_program, *processors, *only;

/* A disk of pseudo-random bytes and its digest in hexadecimal. */
static void
make_disk(char path[32], char hex[65])
{
    static uint8_t bytes[DISK_BYTES];
    struct guest_sha256 hash;
    uint8_t sum[32];
    uint64_t seed = 1;
    int fd;

    for (size_t i = 0; i < sizeof(bytes); i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        bytes[i] = (uint8_t)(seed >> 56);
    }
    guest_sha256_init(&hash);
    guest_sha256_add(&hash, bytes, sizeof(bytes));
    guest_sha256_end(&hash, sum);
    for (int i = 0; i < 32; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    strcpy(path, "/tmp/ulv-disk-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    (void)close(fd);
}

struct heard_events {
    char console[4096];
    size_t len;
    bool dropped, taken_over;
};

/* Take what happened; half way, drop whoever serves the disk. */
static void
look(ulv_system *system, struct heard_events *heard)
{
    struct ulv_event event = ULV_EVENT_INIT;

    while (ulv_event_next(system, &event) == ULV_OK) {
        if (event.kind == ULV_EVENT_TAKEOVER)
            heard->taken_over = true;
        if (event.kind != ULV_EVENT_CONSOLE ||
            heard->len + event.bytes >= sizeof(heard->console))
            continue;
        memcpy(heard->console + heard->len, event.data, event.bytes);
        heard->len += event.bytes;
    }
    if (!heard->dropped && strstr(heard->console, "progress 30") != NULL) {
        struct ulv_device_record device[4];
        uint32_t count = 0;

        heard->dropped = true;
        assert_int_equal(ulv_system_query(system, ULV_QUERY_DEVICES, 0, device,
                                          sizeof(device), &count),
                         ULV_OK);
        for (uint32_t i = 0; i < count; i++) {
            if (device[i].kind == ULV_DEVICE_BLOCK)
                assert_int_equal(
                    ulv_system_kill(system, device[i].serving, NULL), ULV_OK);
        }
    }
}

static ulv_id
assign(ulv_system *system, const char *path, struct ulv_diag *diag)
{
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id web = ulv_transaction_partition(t, "web", ULV_PARTITION_GUEST);
    ulv_id disk = ulv_transaction_offer(t, 0, 0, ULV_SOURCE_PATH(path));

    ulv_transaction_memory(t, web, ULV_MIB(4), ULV_ANY_NODE);
    ulv_transaction_processors(t, web, 1, ULV_SHARED);
    ulv_transaction_console(t, web, 0, 0);
    ulv_transaction_attach(t, web, disk, ULV_DISK_READ_ONLY);
    assert_int_equal(ulv_transaction_commit(t, diag), ULV_OK);
    return web;
}

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
    assert_int_equal(
        ulv_system_create(ulv_posix_host(), &opts, &system, &diag), ULV_OK);
    return system;
}

static void
run(const char *backend, uint32_t placement, uint32_t threads_from,
    const char *path, const char *hex)
{
    ulv_system *system = create(backend, placement, threads_from);
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct heard_events heard = { .len = 0 };
    struct ulv_image image;
    struct ulv_end end;
    ulv_id web;
    ulv_status status = ULV_E_TIMEOUT;

    memset(&image, 0, sizeof(image));
    image.kernel = ULV_SOURCE_PATH(digest);
    web = assign(system, path, &diag);
    assert_int_equal(ulv_partition_start(system, web, &image, &diag), ULV_OK);
    while (status == ULV_E_TIMEOUT) {
        (void)ulv_system_step(system, ulv_system_now(system) + 100000000);
        look(system, &heard);
        status = ulv_partition_wait(system, web, &end, 0, &diag);
    }
    look(system, &heard);
    assert_int_equal(status, ULV_OK);
    assert_int_equal(end.reason, ULV_END_REASON_STOP);
    assert_int_equal(end.code, 0);
    assert_non_null(strstr(heard.console, hex));
    assert_true(heard.dropped);
    assert_true(heard.taken_over);
    ulv_system_destroy(system);
}

static void
test_system_main_job__both_placements(void **state)
{
    char path[32], hex[65];
    const char *name;
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t ran = 0;

    (void)state;
    make_disk(path, hex);
    for (uint32_t i = 0;; i++) {
        ulv_status status =
            ulv_backend_probe(ulv_posix_host(), i, &name, &diag);

        if (status == ULV_E_NOT_FOUND)
            break;
        if (strcmp(name, "mock") == 0 ||
            (only != NULL && strcmp(name, only) != 0))
            continue;
        assert_true(only == NULL || status == ULV_OK);
        if (status != ULV_OK) {
            print_message("%s is left out: %s\n", name, diag.text);
            continue;
        }
        run(name, ULV_PLACEMENT_IN_PROCESS, 0, path, hex);
        run(name, ULV_PLACEMENT_IN_PROCESS, 1, path, hex);
        run(name, ULV_PLACEMENT_PROCESSES, 0, path, hex);
        ran++;
    }
    (void)unlink(path);
    if (ran == 0)
        skip(); /* the reasons stand above */
}

static void
run_together(uint32_t placement, uint32_t threads_from, uint32_t count)
{
    ulv_system *system = create("kvm", placement, threads_from);
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id guest = ulv_transaction_partition(t, "all", ULV_PARTITION_GUEST);
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_image image;
    struct ulv_end end;

    ulv_transaction_memory(t, guest, ULV_MIB(4), ULV_ANY_NODE);
    ulv_transaction_processors(t, guest, count, ULV_SHARED);
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
    memset(&image, 0, sizeof(image));
    image.kernel = ULV_SOURCE_PATH(processors);
    assert_int_equal(ulv_partition_start(system, guest, &image, &diag),
                     ULV_OK);
    assert_int_equal(
        ulv_partition_wait(system, guest, &end, ULV_FOREVER, &diag), ULV_OK);
    assert_int_equal(end.reason, ULV_END_REASON_STOP);
    assert_int_equal(end.code, count);
    ulv_system_destroy(system);
}

static void
test_system_main_job__several_processors(void **state)
{
    struct ulv_host_processor processor[2];
    const struct ulv_host *host = ulv_posix_host();
    struct ulv_diag diag = ULV_DIAG_INIT;
    const char *name;
    uint32_t count = 0;

    (void)state;
    assert_int_equal(
        host->processors(host->self, processor, 2, &count, &diag), ULV_OK);
    if (ulv_backend_probe(host, 0, &name, &diag) != ULV_OK ||
        strcmp(name, "kvm") != 0 || count < 2) {
        print_message("kvm: %s; %u processors\n", diag.text, count);
        skip();
    }
    run_together(ULV_PLACEMENT_IN_PROCESS, 0, 2);
    run_together(ULV_PLACEMENT_IN_PROCESS, 1, 2);
    run_together(ULV_PLACEMENT_PROCESSES, 0, 2);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_main_job__both_placements),
        cmocka_unit_test(test_system_main_job__several_processors),
    };

    if (argc != 5 && argc != 6)
        return 2;
    launcher = argv[1];
    digest = argv[2];
    role_program = argv[3];
    processors = argv[4];
    only = argc == 6 ? argv[5] : NULL;
    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
