/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The host for tests: it must see what a test relies on it to see. */
#include "port_test.h"

#include "port/template/template.h"
#include "port/test/test.h"

static void
test_port_double__counts_leaks(void **state)
{
    struct ulv_test_host t;
    ulv_handle h = ULV_NO_HANDLE;
    void *p = NULL, *block;

    (void)state;
    ulv_test_host_init(&t);
    block = t.host.alloc(&t, 100, 64);
    assert_int_equal((uintptr_t)block % 64, 0);
    assert_int_equal(t.live_bytes, 100);
    assert_int_equal(t.host.memory_create(&t, "m", 8192, 0, &h), ULV_OK);
    assert_int_equal(
        t.host.memory_map(&t, h, 4096, 4096, ULV_MAP_READ, NULL, &p), ULV_OK);
    /* block, handle, map, and what lies behind the last two */
    assert_int_equal(ulv_test_host_live(&t), 5);
    /* A map outlives the handle. */
    t.host.handle_close(&t, h);
    assert_int_equal(((uint8_t *)p)[4095], 0);
    assert_int_equal(ulv_test_host_live(&t), 4);
    t.host.free(&t, block, 100);
    assert_int_equal(ulv_test_host_fini(&t), 3);
}

static void
test_port_double__sees_misuse(void **state)
{
    struct ulv_test_host t;
    ulv_handle h = ULV_NO_HANDLE;
    void *block;

    (void)state;
    ulv_test_host_init(&t);
    block = t.host.alloc(&t, 100, 8);
    t.host.free(&t, block, 99);
    assert_int_equal(t.misuse, 1);
    assert_non_null(strstr(t.misuse_text, "size"));
    assert_int_equal(t.host.event_create(&t, &h), ULV_OK);
    t.host.handle_close(&t, h);
    t.host.handle_close(&t, h);
    assert_int_equal(t.misuse, 2);
    t.host.event_signal(&t, h);
    assert_int_equal(t.misuse, 3);
    /* The slot is used again, the old handle is still stale. */
    assert_int_equal(t.host.event_create(&t, &h), ULV_OK);
    t.host.handle_close(&t, h);
    t.host.memory_unmap(&t, &t, 4096);
    assert_int_equal(t.misuse, 4);
    t.host.handle_close(&t, ULV_NO_HANDLE);
    assert_int_equal(ulv_test_host_fini(&t), 4);
}

static void
test_port_double__seals_like_linux(void **state)
{
    struct ulv_test_host t;
    ulv_handle h = ULV_NO_HANDLE, reader = ULV_NO_HANDLE;
    ulv_handle copy = ULV_NO_HANDLE;
    void *p = NULL, *q = NULL;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.memory_create(&t, "m", 4096, 0, &h), ULV_OK);
    assert_int_equal(t.host.memory_map(&t, h, 0, 4096,
                                       ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p),
                     ULV_OK);
    assert_int_equal(t.host.memory_read_only(&t, h, &reader), ULV_OK);
    assert_int_equal(t.host.handle_duplicate(&t, reader, &copy), ULV_OK);
    assert_int_equal(t.host.memory_map(&t, copy, 0, 4096,
                                       ULV_MAP_READ | ULV_MAP_WRITE, NULL, &q),
                     ULV_E_DENIED);
    assert_int_equal(t.host.memory_seal(&t, h, ULV_SEAL_WRITE | ULV_SEAL_SEALS),
                     ULV_OK);
    assert_int_equal(t.host.memory_map(&t, h, 0, 4096,
                                       ULV_MAP_READ | ULV_MAP_WRITE, NULL, &q),
                     ULV_E_DENIED);
    assert_int_equal(t.host.memory_seal(&t, h, ULV_SEAL_SIZE), ULV_E_DENIED);
    assert_int_equal(t.host.memory_discard(&t, h, 0, 4096), ULV_E_DENIED);
    t.host.memory_unmap(&t, p, 4096);
    t.host.handle_close(&t, copy);
    t.host.handle_close(&t, reader);
    t.host.handle_close(&t, h);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static void
test_port_double__clock_moves_by_waiting_only(void **state)
{
    struct ulv_test_host t;
    ulv_handle set = ULV_NO_HANDLE, event = ULV_NO_HANDLE;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.wait_create(&t, &set), ULV_OK);
    assert_int_equal(t.host.event_create(&t, &event), ULV_OK);
    assert_int_equal(t.host.watch(&t, set, event), ULV_OK);
    assert_int_equal(t.host.watch(&t, set, event), ULV_E_EXISTS);
    assert_int_equal(t.host.now(&t), 1);
    assert_int_equal(t.host.wait(&t, set, 500), ULV_E_TIMEOUT);
    assert_int_equal(t.host.now(&t), 500);
    t.host.event_signal(&t, event);
    assert_int_equal(t.host.wait(&t, set, 900), ULV_OK);
    assert_int_equal(t.host.now(&t), 500);
    assert_true(t.host.event_take(&t, event));
    t.host.unwatch(&t, set, event);
    t.host.handle_close(&t, event);
    t.host.handle_close(&t, set);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static void
test_port_double__media_fail_on_request(void **state)
{
    static uint8_t disk[2048];
    struct ulv_test_host t;
    ulv_handle h = ULV_NO_HANDLE;
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint8_t buf[2048];
    size_t got = 0;

    (void)state;
    ulv_test_host_init(&t);
    ulv_test_host_medium(&t, "disk", disk, sizeof(disk));
    assert_int_equal(t.host.medium_open(&t, &ULV_SOURCE_PATH("other"),
                                        ULV_MEDIUM_READ_ONLY, &h, &diag),
                     ULV_E_NOT_FOUND);
    assert_int_equal(t.host.medium_open(&t, &ULV_SOURCE_PATH("disk"),
                                        ULV_MEDIUM_READ_ONLY, &h, &diag),
                     ULV_OK);
    disk[600] = 9;
    assert_int_equal(t.host.medium_read(&t, h, 512, buf, 512, &got), ULV_OK);
    assert_int_equal(got, 512);
    assert_int_equal(buf[88], 9);
    t.medium_error_offset = 1024;
    t.medium_error_bytes = 1;
    assert_int_equal(t.host.medium_read(&t, h, 512, buf, 513, &got),
                     ULV_E_MEDIUM);
    assert_int_equal(t.host.medium_read(&t, h, 512, buf, 512, &got), ULV_OK);
    t.medium_error_bytes = 0;
    t.medium_end_offset = 700;
    assert_int_equal(t.host.medium_read(&t, h, 512, buf, 512, &got), ULV_OK);
    assert_int_equal(got, 188);
    t.host.handle_close(&t, h);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static void
test_port_double__fence_has_one_holder(void **state)
{
    struct ulv_test_host t;
    ulv_handle fence = ULV_NO_HANDLE, a = ULV_NO_HANDLE, b = ULV_NO_HANDLE;
    ulv_handle copy = ULV_NO_HANDLE;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.fence_create(&t, &fence), ULV_OK);
    assert_int_equal(t.host.fence_open(&t, fence, &a), ULV_OK);
    assert_int_equal(t.host.fence_open(&t, fence, &b), ULV_OK);
    assert_int_equal(t.host.handle_duplicate(&t, a, &copy), ULV_OK);
    assert_int_equal(t.host.fence_try_take(&t, a), ULV_OK);
    assert_int_equal(t.host.fence_try_take(&t, copy), ULV_OK);
    assert_int_equal(t.host.fence_try_take(&t, b), ULV_E_AGAIN);
    t.host.handle_close(&t, a);
    assert_int_equal(t.host.fence_try_take(&t, b), ULV_E_AGAIN);
    t.host.handle_close(&t, copy);
    assert_int_equal(t.host.fence_try_take(&t, b), ULV_OK);
    t.host.handle_close(&t, b);
    t.host.handle_close(&t, fence);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static ulv_nsec
fixed_clock(void)
{
    return 77;
}

static void
test_port_double__template_allocates_until_it_is_full(void **state)
{
    static uint8_t buf[1024];
    struct ulv_template t;
    uint8_t *a, *b;

    (void)state;
    memset(buf, 0xff, sizeof(buf));
    ulv_template_init(&t, buf, sizeof(buf), fixed_clock);
    assert_int_equal(t.host.now(&t), 77);
    a = t.host.alloc(&t, 10, 1);
    b = t.host.alloc(&t, 100, 64);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal((uintptr_t)b % 64, 0);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(b[i], 0);
    assert_null(t.host.alloc(&t, 1024, 1));
    assert_null(t.host.alloc(&t, SIZE_MAX, 1));
    t.host.free(&t, b, 100);
    assert_ptr_equal(t.host.alloc(&t, 100, 64), b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_double__counts_leaks),
        cmocka_unit_test(test_port_double__sees_misuse),
        cmocka_unit_test(test_port_double__seals_like_linux),
        cmocka_unit_test(test_port_double__clock_moves_by_waiting_only),
        cmocka_unit_test(test_port_double__media_fail_on_request),
        cmocka_unit_test(test_port_double__fence_has_one_holder),
        cmocka_unit_test(test_port_double__template_allocates_until_it_is_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
