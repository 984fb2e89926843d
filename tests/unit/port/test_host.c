/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Allocation, clock, events, waiting, media and fences of the Linux port. */
#include "port_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/posix/posix.h"

static const struct ulv_host *
host(void)
{
    return ulv_posix_host();
}

static void
allocate(size_t bytes)
{
    for (size_t align = 1; align <= 65536; align *= 2) {
        uint8_t *p = host()->alloc(NULL, bytes, align);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % align, 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, bytes);
        host()->free(NULL, p, bytes);
    }
}

static void
test_port_host__allocates_zeroed_and_aligned(void **state)
{
    (void)state;
    allocate(300);
    allocate(50001); /* which has pages of its own */
    host()->free(NULL, NULL, 0);
    assert_null(host()->alloc(NULL, SIZE_MAX / 2, 16));
}

static void
test_port_host__entropy_fills(void **state)
{
    uint8_t a[64] = {0}, b[64] = {0};

    (void)state;
    host()->entropy(NULL, a, sizeof(a));
    host()->entropy(NULL, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void
test_port_host__event_and_wait(void **state)
{
    ulv_handle set = ULV_NO_HANDLE, event = ULV_NO_HANDLE;
    ulv_handle copy = ULV_NO_HANDLE;

    (void)state;
    assert_int_equal(host()->wait_create(NULL, &set), ULV_OK);
    assert_int_equal(host()->event_create(NULL, &event), ULV_OK);
    assert_int_equal(host()->watch(NULL, set, event), ULV_OK);
    assert_int_equal(host()->watch(NULL, set, event), ULV_E_EXISTS);
    assert_int_equal(host()->wait(NULL, set, 0), ULV_E_TIMEOUT);
    assert_int_equal(host()->wait(NULL, set, host()->now(NULL) + 2000000),
                     ULV_E_TIMEOUT);
    assert_false(host()->event_take(NULL, event));

    assert_int_equal(host()->handle_duplicate(NULL, event, &copy), ULV_OK);
    host()->event_signal(NULL, copy);
    host()->event_signal(NULL, copy);
    assert_int_equal(host()->wait(NULL, set, ULV_FOREVER), ULV_OK);
    assert_int_equal(host()->wait(NULL, set, 0), ULV_OK);
    assert_true(host()->event_take(NULL, event));
    assert_false(host()->event_take(NULL, event));
    assert_int_equal(host()->wait(NULL, set, 0), ULV_E_TIMEOUT);

    host()->event_signal(NULL, event);
    host()->unwatch(NULL, set, event);
    assert_int_equal(host()->wait(NULL, set, 0), ULV_E_TIMEOUT);
    host()->handle_close(NULL, copy);
    host()->handle_close(NULL, event);
    host()->handle_close(NULL, set);
}

static void
test_port_host__ready_tells_which(void **state)
{
    ulv_handle set, event[4], ready[4] = { 0 };

    (void)state;
    assert_int_equal(host()->wait_create(NULL, &set), ULV_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(host()->event_create(NULL, &event[i]), ULV_OK);
        assert_int_equal(host()->watch(NULL, set, event[i]), ULV_OK);
    }
    assert_int_equal(host()->ready(NULL, set, ready, 4), 0);
    host()->event_signal(NULL, event[2]);
    assert_int_equal(host()->ready(NULL, set, ready, 4), 1);
    assert_int_equal(ready[0], event[2]);
    host()->event_signal(NULL, event[0]);
    assert_int_equal(host()->ready(NULL, set, ready, 4), 2);
    /* one at a time, each has its turn, though none is taken */
    assert_int_equal(host()->ready(NULL, set, &ready[0], 1), 1);
    assert_int_equal(host()->ready(NULL, set, &ready[1], 1), 1);
    assert_int_not_equal(ready[0], ready[1]);
    assert_true(host()->event_take(NULL, event[0]));
    assert_true(host()->event_take(NULL, event[2]));
    assert_int_equal(host()->ready(NULL, set, ready, 4), 0);
    for (int i = 0; i < 4; i++)
        host()->handle_close(NULL, event[i]);
    host()->handle_close(NULL, set);
}

/* A duplicate is closed for itself, whatever its number. */
static void
test_port_host__duplicates_are_counted(void **state)
{
    ulv_handle event, copy[100];

    (void)state;
    assert_int_equal(host()->event_create(NULL, &event), ULV_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(host()->handle_duplicate(NULL, event, &copy[i]),
                         ULV_OK);
    for (int i = 0; i < 100; i++) {
        host()->event_signal(NULL, event);
        assert_true(host()->event_take(NULL, copy[i]));
        host()->handle_close(NULL, copy[i]);
    }
    host()->event_signal(NULL, event);
    assert_true(host()->event_take(NULL, event));
    host()->handle_close(NULL, event);
    assert_int_equal(host()->handle_duplicate(NULL, event, copy), ULV_E_ARG);
}

static void
test_port_host__wait_reaches_its_deadline(void **state)
{
    ulv_handle set = ULV_NO_HANDLE;
    ulv_nsec deadline = host()->now(NULL) + 3000000;

    (void)state;
    assert_int_equal(host()->wait_create(NULL, &set), ULV_OK);
    assert_int_equal(host()->wait(NULL, set, deadline), ULV_E_TIMEOUT);
    assert_true(host()->now(NULL) >= deadline);
    host()->handle_close(NULL, set);
}

static void
test_port_host__alarm_wakes_a_set(void **state)
{
    ulv_handle set = ULV_NO_HANDLE, alarm_handle = ULV_NO_HANDLE;
    ulv_nsec when;

    (void)state;
    assert_int_equal(host()->wait_create(NULL, &set), ULV_OK);
    assert_int_equal(host()->alarm_create(NULL, &alarm_handle), ULV_OK);
    assert_int_equal(host()->watch(NULL, set, alarm_handle), ULV_OK);
    assert_int_equal(host()->wait(NULL, set, 0), ULV_E_TIMEOUT);
    when = host()->now(NULL) + 3000000;
    host()->alarm_set(NULL, alarm_handle, when);
    assert_int_equal(host()->wait(NULL, set, ULV_FOREVER), ULV_OK);
    assert_true(host()->now(NULL) >= when);
    assert_int_equal(host()->wait(NULL, set, 0), ULV_OK); /* still */
    host()->alarm_set(NULL, alarm_handle, ULV_FOREVER);
    assert_int_equal(host()->wait(NULL, set, 0), ULV_E_TIMEOUT);
    host()->alarm_set(NULL, alarm_handle, 0);
    assert_int_equal(host()->wait(NULL, set, 0), ULV_OK);
    host()->handle_close(NULL, alarm_handle);
    host()->handle_close(NULL, set);
}

static void
test_port_host__blocking_event_does_not_block_take(void **state)
{
    ulv_handle event = ULV_NO_HANDLE;

    (void)state;
    assert_int_equal(host()->event_create(NULL, &event), ULV_OK);
    /* What a hostile holder of the same event can do. */
    assert_int_equal(fcntl((int)event, F_SETFL, 0), 0);
    alarm(20);
    assert_false(host()->event_take(NULL, event));
    alarm(0);
    host()->handle_close(NULL, event);
}

static void
test_port_host__bad_handles(void **state)
{
    static const ulv_handle bad[] = {ULV_NO_HANDLE, 1000000, INT64_C(1) << 40};
    ulv_handle h = ULV_NO_HANDLE;
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(bad); i++) {
        assert_int_equal(host()->handle_duplicate(NULL, bad[i], &h), ULV_E_ARG);
        assert_int_equal(host()->memory_bytes(NULL, bad[i], &bytes), ULV_E_ARG);
        assert_int_equal(host()->memory_seal(NULL, bad[i], 1), ULV_E_ARG);
        assert_int_equal(host()->memory_read_only(NULL, bad[i], &h), ULV_E_ARG);
        assert_int_equal(host()->fence_open(NULL, bad[i], &h), ULV_E_ARG);
        assert_int_equal(host()->fence_try_take(NULL, bad[i]), ULV_E_ARG);
        assert_int_equal(host()->medium_lock(NULL, bad[i]), ULV_E_ARG);
        assert_false(host()->event_take(NULL, bad[i]));
        host()->event_signal(NULL, bad[i]);
        host()->handle_close(NULL, bad[i]);
    }
}

/* ---- media -----------------------------------------------------------------
 */
static char folder[] = "/tmp/ulv-media-XXXXXX";

static void
make_file(char path[128], const char *name, size_t bytes)
{
    FILE *file;

    snprintf(path, 128, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < bytes; i++)
        fputc((int)(i / 512 + i % 7), file);
    assert_int_equal(fclose(file), 0);
}

static void
test_port_host__medium_refuses(void **state)
{
    static const struct {
        const char *name;
        ulv_status status;
        const char *text;
    } cases[] = {
        {"missing", ULV_E_NOT_FOUND, "No such file"},
        {"empty", ULV_E_FORMAT, "empty"},
        {"odd", ULV_E_FORMAT, "1000 bytes, not a multiple of 512"},
        {"fifo", ULV_E_ARG, "neither a file nor a block device"},
        {".", ULV_E_ARG, "a directory"},
    };
    char path[128];

    (void)state;
    make_file(path, "empty", 0);
    make_file(path, "odd", 1000);
    snprintf(path, sizeof(path), "%s/fifo", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(20);
    for (size_t i = 0; i < ULV_COUNT_OF(cases); i++) {
        for (uint32_t flags = 0; flags <= ULV_MEDIUM_READ_ONLY; flags++) {
            struct ulv_diag diag = ULV_DIAG_INIT;
            ulv_handle h = ULV_NO_HANDLE;

            snprintf(path, sizeof(path), "%s/%s", folder, cases[i].name);
            assert_int_equal(host()->medium_open(NULL, &ULV_SOURCE_PATH(path),
                                                 flags, &h, &diag),
                             cases[i].status);
            assert_int_equal(diag.status, cases[i].status);
            assert_non_null(strstr(diag.text, path));
            assert_non_null(strstr(diag.text, cases[i].text));
            assert_int_equal(h, ULV_NO_HANDLE);
        }
    }
    alarm(0);
}

static void
test_port_host__medium_unreadable(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_handle h = ULV_NO_HANDLE;
    char path[128];
    ulv_status status;

    (void)state;
    make_file(path, "secret", 512);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
    status = host()->medium_open(NULL, &ULV_SOURCE_PATH(path),
                                 ULV_MEDIUM_READ_ONLY, &h, &diag);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(status, ULV_E_DENIED);
    assert_non_null(strstr(diag.text, path));
}

static void
test_port_host__medium_reads(void **state)
{
    ulv_handle h = ULV_NO_HANDLE;
    char path[128];
    uint8_t buf[2048];
    uint64_t bytes = 0;
    size_t got = 0;

    (void)state;
    make_file(path, "disk", 1536);
    assert_int_equal(host()->medium_open(NULL, &ULV_SOURCE_PATH(path),
                                         ULV_MEDIUM_READ_ONLY, &h, NULL),
                     ULV_OK);
    assert_int_equal(host()->medium_bytes(NULL, h, &bytes), ULV_OK);
    assert_int_equal(bytes, 1536);
    assert_int_equal(host()->medium_read(NULL, h, 512, buf, 2048, &got),
                     ULV_OK);
    assert_int_equal(got, 1024);
    for (size_t i = 0; i < got; i++)
        assert_int_equal(buf[i], (i + 512) / 512 + (i + 512) % 7);
    assert_int_equal(host()->medium_read(NULL, h, 1536, buf, 512, &got),
                     ULV_OK);
    assert_int_equal(got, 0);
    assert_int_equal(host()->medium_read(NULL, h, UINT64_MAX, buf, 2, &got),
                     ULV_E_ARG);
    host()->handle_close(NULL, h);
}

static void
test_port_host__medium_writes(void **state)
{
    ulv_handle h = ULV_NO_HANDLE, reader = ULV_NO_HANDLE;
    uint8_t in[1024], out[1024];
    char path[128];
    size_t got = 0;

    (void)state;
    memset(in, 0x6b, sizeof(in));
    make_file(path, "disk", 1536);
    assert_int_equal(
        host()->medium_open(NULL, &ULV_SOURCE_PATH(path), 0, &h, NULL), ULV_OK);
    assert_int_equal(host()->medium_open(NULL, &ULV_SOURCE_PATH(path),
                                         ULV_MEDIUM_READ_ONLY, &reader, NULL),
                     ULV_OK);
    assert_int_equal(host()->medium_write(NULL, h, 512, in, 1024, &got),
                     ULV_OK);
    assert_int_equal(got, 1024);
    assert_int_equal(host()->medium_sync(NULL, h), ULV_OK);
    assert_int_equal(host()->medium_read(NULL, reader, 512, out, 1024, &got),
                     ULV_OK);
    assert_memory_equal(in, out, 1024);
    assert_int_equal(host()->medium_write(NULL, reader, 0, in, 512, &got),
                     ULV_E_ARG);
    assert_int_equal(host()->medium_write(NULL, h, UINT64_MAX, in, 2, &got),
                     ULV_E_ARG);
    assert_int_equal(host()->medium_write(NULL, ULV_NO_HANDLE, 0, in, 2, &got),
                     ULV_E_ARG);
    assert_int_equal(host()->medium_sync(NULL, ULV_NO_HANDLE), ULV_E_ARG);
    host()->handle_close(NULL, reader);
    host()->handle_close(NULL, h);
}

/* A medium from a handle is a description of its own: with its own lock, no
 * more access than was asked for, and written where it is told. */
static void
test_port_host__medium_of_a_handle(void **state)
{
    ulv_handle one, two, reader;
    uint8_t in[512], out[512];
    char path[128];
    size_t got = 0;
    int fd;

    (void)state;
    memset(in, 0x6b, sizeof(in));
    make_file(path, "disk", 1536);
    fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
    assert_int_equal(host()->medium_open(NULL, &ULV_SOURCE_HANDLE(fd), 0, &one,
                                         NULL),
                     ULV_OK);
    assert_int_equal(host()->medium_open(NULL, &ULV_SOURCE_HANDLE(fd), 0, &two,
                                         NULL),
                     ULV_OK);
    assert_int_equal(host()->medium_open(NULL, &ULV_SOURCE_HANDLE(fd),
                                         ULV_MEDIUM_READ_ONLY, &reader, NULL),
                     ULV_OK);
    assert_int_equal(host()->medium_lock(NULL, one), ULV_OK);
    assert_int_equal(host()->medium_lock(NULL, two), ULV_E_BUSY);
    assert_int_equal(host()->medium_write(NULL, one, 512, in, 512, &got),
                     ULV_OK);
    assert_int_equal(host()->medium_read(NULL, reader, 512, out, 512, &got),
                     ULV_OK);
    assert_memory_equal(in, out, 512);
    assert_int_equal(host()->medium_write(NULL, reader, 0, in, 512, &got),
                     ULV_E_ARG);
    host()->handle_close(NULL, one);
    host()->handle_close(NULL, two);
    host()->handle_close(NULL, reader);
    close(fd);
}

static ulv_status
read_pattern(void *opaque, uint64_t offset, void *buf, size_t len,
             size_t *ret_len)
{
    uint64_t *limit = opaque;

    if (offset >= *limit)
        return ULV_E_MEDIUM;
    memset(buf, 0x5a, len);
    *ret_len = len;
    return ULV_OK;
}

static void
test_port_host__medium_of_every_source(void **state)
{
    static const uint8_t memory[1024] = {1, 2, 3};
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_handle h = ULV_NO_HANDLE, second = ULV_NO_HANDLE;
    uint64_t limit = UINT64_MAX;
    uint8_t buf[512];
    size_t got = 0;

    (void)state;
    assert_int_equal(host()->medium_open(NULL, &ULV_SOURCE_MEMORY(memory, 1024),
                                         ULV_MEDIUM_READ_ONLY, &h, &diag),
                     ULV_OK);
    assert_int_equal(host()->medium_read(NULL, h, 0, buf, 512, &got), ULV_OK);
    assert_memory_equal(buf, memory, 512);
    assert_int_equal(pwrite((int)h, "x", 1, 0), -1);
    assert_int_equal(host()->medium_open(NULL, &ULV_SOURCE_HANDLE(h),
                                         ULV_MEDIUM_READ_ONLY, &second, &diag),
                     ULV_OK);
    host()->handle_close(NULL, h);
    assert_int_equal(host()->medium_read(NULL, second, 0, buf, 512, &got),
                     ULV_OK);
    host()->handle_close(NULL, second);

    assert_int_equal(host()->medium_open(
                         NULL, &ULV_SOURCE_READ(read_pattern, &limit, 200704),
                         ULV_MEDIUM_READ_ONLY, &h, &diag),
                     ULV_OK);
    assert_int_equal(host()->medium_read(NULL, h, 200192, buf, 512, &got),
                     ULV_OK);
    assert_int_equal(buf[511], 0x5a);
    host()->handle_close(NULL, h);

    limit = 65536;
    assert_int_equal(host()->medium_open(
                         NULL, &ULV_SOURCE_READ(read_pattern, &limit, 200704),
                         ULV_MEDIUM_READ_ONLY, &h, &diag),
                     ULV_E_MEDIUM);
    assert_int_equal(diag.value, 65536);
    assert_int_equal(host()->medium_open(NULL, &ULV_SOURCE_MEMORY(memory, 1024),
                                         0, &h, &diag),
                     ULV_E_UNSUPPORTED);
}

static void
test_port_host__medium_lock(void **state)
{
    ulv_handle a = ULV_NO_HANDLE, b = ULV_NO_HANDLE, writer = ULV_NO_HANDLE;
    char path[128];

    (void)state;
    make_file(path, "locked", 512);
    host()->medium_open(NULL, &ULV_SOURCE_PATH(path), ULV_MEDIUM_READ_ONLY, &a,
                        NULL);
    host()->medium_open(NULL, &ULV_SOURCE_PATH(path), ULV_MEDIUM_READ_ONLY, &b,
                        NULL);
    host()->medium_open(NULL, &ULV_SOURCE_PATH(path), 0, &writer, NULL);
    /* Two readers do not exclude one another; they exclude a writer. */
    assert_int_equal(host()->medium_lock(NULL, a), ULV_OK);
    assert_int_equal(host()->medium_lock(NULL, b), ULV_OK);
    assert_int_equal(host()->medium_lock(NULL, writer), ULV_E_BUSY);
    host()->handle_close(NULL, a);
    assert_int_equal(host()->medium_lock(NULL, writer), ULV_E_BUSY);
    host()->handle_close(NULL, b);
    assert_int_equal(host()->medium_lock(NULL, writer), ULV_OK);
    host()->handle_close(NULL, writer);
}

static void
test_port_host__fence_has_one_holder(void **state)
{
    ulv_handle fence = ULV_NO_HANDLE, a = ULV_NO_HANDLE, b = ULV_NO_HANDLE;
    ulv_handle copy = ULV_NO_HANDLE;

    (void)state;
    assert_int_equal(host()->fence_create(NULL, &fence), ULV_OK);
    assert_int_equal(host()->fence_open(NULL, fence, &a), ULV_OK);
    assert_int_equal(host()->fence_open(NULL, fence, &b), ULV_OK);
    assert_int_equal(host()->fence_try_take(NULL, a), ULV_OK);
    assert_int_equal(host()->fence_try_take(NULL, a), ULV_OK);
    assert_int_equal(host()->fence_try_take(NULL, b), ULV_E_AGAIN);
    /* Held until the last copy is gone. */
    assert_int_equal(host()->handle_duplicate(NULL, a, &copy), ULV_OK);
    host()->handle_close(NULL, a);
    assert_int_equal(host()->fence_try_take(NULL, b), ULV_E_AGAIN);
    host()->handle_close(NULL, copy);
    assert_int_equal(host()->fence_try_take(NULL, b), ULV_OK);
    host()->handle_close(NULL, b);
    host()->handle_close(NULL, fence);
}

static int
make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int
remove_folder(void **state)
{
    static const char *const names[] = {"empty",  "odd",  "fifo",
                                        "secret", "disk", "locked"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_host__allocates_zeroed_and_aligned),
        cmocka_unit_test(test_port_host__entropy_fills),
        cmocka_unit_test(test_port_host__event_and_wait),
        cmocka_unit_test(test_port_host__ready_tells_which),
        cmocka_unit_test(test_port_host__duplicates_are_counted),
        cmocka_unit_test(test_port_host__wait_reaches_its_deadline),
        cmocka_unit_test(test_port_host__alarm_wakes_a_set),
        cmocka_unit_test(test_port_host__blocking_event_does_not_block_take),
        cmocka_unit_test(test_port_host__bad_handles),
        cmocka_unit_test(test_port_host__medium_refuses),
        cmocka_unit_test(test_port_host__medium_unreadable),
        cmocka_unit_test(test_port_host__medium_reads),
        cmocka_unit_test(test_port_host__medium_writes),
        cmocka_unit_test(test_port_host__medium_of_a_handle),
        cmocka_unit_test(test_port_host__medium_of_every_source),
        cmocka_unit_test(test_port_host__medium_lock),
        cmocka_unit_test(test_port_host__fence_has_one_holder),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
