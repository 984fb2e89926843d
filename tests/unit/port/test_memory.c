/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/posix/posix.h"

#define BYTES ULV_KIB(64)

static const struct ulv_host *
host(void)
{
    return ulv_posix_host();
}

static ulv_handle
create(uint64_t bytes, uint32_t flags)
{
    ulv_handle h = ULV_NO_HANDLE;

    assert_int_equal(host()->memory_create(NULL, "test", bytes, flags, &h),
                     ULV_OK);
    return h;
}

static void *
map(ulv_handle h, uint32_t protection)
{
    void *p = NULL;

    assert_int_equal(
        host()->memory_map(NULL, h, 0, BYTES, protection, NULL, &p), ULV_OK);
    return p;
}

static void
test_port_memory__is_zero_and_allocated(void **state)
{
    ulv_handle h = create(BYTES, 0);
    struct stat status;
    uint64_t bytes = 0;
    uint8_t *p = map(h, ULV_MAP_READ | ULV_MAP_WRITE);

    (void)state;
    assert_int_equal(fstat((int)h, &status), 0);
    assert_int_equal(status.st_blocks * 512, BYTES);
    assert_int_equal(host()->memory_bytes(NULL, h, &bytes), ULV_OK);
    assert_int_equal(bytes, BYTES);
    assert_true(fcntl((int)h, F_GETFD) & FD_CLOEXEC);
    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(p[i], 0);
    host()->memory_unmap(NULL, p, BYTES);
    host()->handle_close(NULL, h);
}

static void
test_port_memory__lazy_takes_no_pages(void **state)
{
    ulv_handle h = create(BYTES, ULV_MEMORY_LAZY);
    struct stat status;

    (void)state;
    assert_int_equal(fstat((int)h, &status), 0);
    assert_int_equal(status.st_blocks, 0);
    assert_int_equal(status.st_size, BYTES);
    host()->handle_close(NULL, h);
}

static void
test_port_memory__refuses_sizes(void **state)
{
    static const struct {
        const char *why;
        uint64_t bytes;
        uint32_t flags;
        ulv_status status;
    } cases[] = {
        {"nothing", 0, 0, ULV_E_ARG},
        {"not a multiple of a page", 4097, 0, ULV_E_ARG},
        {"more than an offset can say", UINT64_C(1) << 63, 0, ULV_E_ARG},
        {"unknown flag", 4096, 2, ULV_E_ARG},
        {"more than any machine has", UINT64_C(1) << 52, 0, ULV_E_NO_MEMORY},
    };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(cases); i++) {
        ulv_handle h = ULV_NO_HANDLE;

        if (host()->memory_create(NULL, "test", cases[i].bytes, cases[i].flags,
                                  &h) != cases[i].status)
            fail_msg("%s", cases[i].why);
        assert_int_equal(h, ULV_NO_HANDLE);
    }
}

/* The exit code of a child in which files may have at most a page. */
static int
create_beyond_limit(void)
{
    struct rlimit limit = {4096, 4096};
    ulv_handle h = ULV_NO_HANDLE;
    int before, after;

    signal(SIGXFSZ, SIG_IGN);
    before = dup(0);
    close(before);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    if (host()->memory_create(NULL, "test", BYTES, 0, &h) != ULV_E_NO_MEMORY)
        return 2;
    if (host()->memory_create(NULL, "test", 4096, 0, &h) != ULV_OK)
        return 3;
    host()->handle_close(NULL, h);
    after = dup(0);
    return after == before ? 0 : 4;
}

static void
test_port_memory__no_space_is_an_error_and_leaks_nothing(void **state)
{
    int status = -1;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(create_beyond_limit());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_port_memory__seal_write_keeps_the_old_mapping_only(void **state)
{
    ulv_handle h = create(BYTES, 0);
    uint8_t *p = map(h, ULV_MAP_READ | ULV_MAP_WRITE);
    void *second = NULL;
    uint8_t *read_only;

    (void)state;
    assert_int_equal(
        host()->memory_seal(NULL, h,
                            ULV_SEAL_SIZE | ULV_SEAL_WRITE | ULV_SEAL_SEALS),
        ULV_OK);
    p[5] = 42;
    assert_int_equal(host()->memory_map(NULL, h, 0, BYTES,
                                        ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                                        &second),
                     ULV_E_DENIED);
    read_only = map(h, ULV_MAP_READ);
    assert_int_equal(read_only[5], 42);
    assert_int_equal(mprotect(read_only, BYTES, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(pwrite((int)h, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate((int)h, 0), -1);
    assert_int_equal(ftruncate((int)h, 2 * BYTES), -1);
    assert_int_equal(host()->memory_discard(NULL, h, 0, 4096), ULV_E_DENIED);
    assert_int_equal(host()->memory_seal(NULL, h, ULV_SEAL_SIZE), ULV_E_DENIED);
    host()->memory_unmap(NULL, read_only, BYTES);
    host()->memory_unmap(NULL, p, BYTES);
    host()->handle_close(NULL, h);
}

static void
test_port_memory__read_only_handle(void **state)
{
    ulv_handle h = create(BYTES, 0);
    uint8_t *p = map(h, ULV_MAP_READ | ULV_MAP_WRITE);
    ulv_handle reader = ULV_NO_HANDLE, again = ULV_NO_HANDLE;
    struct stat status;
    void *q = NULL;
    uint8_t *seen;

    (void)state;
    assert_int_equal(host()->memory_read_only(NULL, h, &reader), ULV_OK);
    assert_int_equal(fcntl((int)reader, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(fstat((int)reader, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0400);
    assert_int_equal(host()->memory_map(NULL, reader, 0, BYTES,
                                        ULV_MAP_READ | ULV_MAP_WRITE, NULL, &q),
                     ULV_E_DENIED);
    seen = map(reader, ULV_MAP_READ);
    p[9] = 7;
    assert_int_equal(seen[9], 7);

    /* Root opens it for writing whatever its mode: the seal stops that. */
    assert_int_equal(host()->memory_seal(NULL, h, ULV_SEAL_WRITE), ULV_OK);
    if (ulv_posix_reopen(reader, O_RDWR, &again) == ULV_OK) {
        assert_int_equal(host()->memory_map(NULL, again, 0, BYTES,
                                            ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                                            &q),
                         ULV_E_DENIED);
        host()->handle_close(NULL, again);
    }
    host()->memory_unmap(NULL, seen, BYTES);
    host()->memory_unmap(NULL, p, BYTES);
    host()->handle_close(NULL, reader);
    host()->handle_close(NULL, h);
}

static void
test_port_memory__discard_reaches_every_mapping(void **state)
{
    ulv_handle h = create(BYTES, 0);
    uint8_t *p = map(h, ULV_MAP_READ | ULV_MAP_WRITE);
    uint8_t *other = map(h, ULV_MAP_READ);
    struct stat status;

    (void)state;
    memset(p, 0xa5, BYTES);
    assert_int_equal(host()->memory_discard(NULL, h, 4096, 8192), ULV_OK);
    assert_int_equal(other[4095], 0xa5);
    assert_int_equal(other[4096], 0);
    assert_int_equal(other[12287], 0);
    assert_int_equal(other[12288], 0xa5);
    assert_int_equal(host()->memory_discard(NULL, h, 0, BYTES), ULV_OK);
    assert_int_equal(fstat((int)h, &status), 0);
    assert_int_equal(status.st_size, BYTES);
    assert_int_equal(host()->memory_discard(NULL, h, 1, 4096), ULV_E_ARG);
    host()->memory_unmap(NULL, other, BYTES);
    host()->memory_unmap(NULL, p, BYTES);
    host()->handle_close(NULL, h);
}

/* Whether reading p faults, found out by the kernel on our behalf. */
static bool
faults(const void *p)
{
    int fds[2];
    bool bad;

    assert_int_equal(pipe(fds), 0);
    bad = write(fds[1], p, 1) < 0 && errno == EFAULT;
    close(fds[0]);
    close(fds[1]);
    return bad;
}

static void
test_port_memory__reservation(void **state)
{
    ulv_handle h = create(BYTES, 0);
    void *range = NULL, *at = NULL;
    uint8_t *middle;

    (void)state;
    assert_int_equal(
        host()->memory_reserve(NULL, ULV_MIB(4), ULV_MIB(2), &range), ULV_OK);
    assert_int_equal((uintptr_t)range % ULV_MIB(2), 0);
    middle = (uint8_t *)range + ULV_MIB(1);
    assert_true(faults(range));
    assert_int_equal(host()->memory_map(NULL, h, 0, BYTES,
                                        ULV_MAP_READ | ULV_MAP_WRITE, middle,
                                        &at),
                     ULV_OK);
    assert_ptr_equal(at, middle);
    assert_false(faults(middle));
    assert_true(faults(middle - 1));
    assert_true(faults(middle + BYTES));
    host()->memory_unmap_at(NULL, middle, BYTES);
    assert_true(faults(middle));
    /* Still ours: the kernel puts nothing there unless told to. */
    assert_ptr_equal(mmap(middle, BYTES, PROT_READ,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                          0),
                     MAP_FAILED);
    assert_int_equal(errno, EEXIST);
    host()->memory_unmap(NULL, range, ULV_MIB(4));
    host()->handle_close(NULL, h);
}

static void
test_port_memory__map_refuses(void **state)
{
    static const struct {
        const char *why;
        uint64_t offset, bytes;
        uint32_t protection;
    } cases[] = {
        {"offset not of a page", 1, 4096, ULV_MAP_READ},
        {"nothing", 0, 0, ULV_MAP_READ},
        {"size not of a page", 0, 100, ULV_MAP_READ},
        {"wraps", UINT64_MAX - 4095, 8192, ULV_MAP_READ},
        {"write only", 0, 4096, ULV_MAP_WRITE},
        {"unknown protection", 0, 4096, ULV_MAP_READ | 8},
    };
    ulv_handle h = create(BYTES, 0);

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(cases); i++) {
        void *p = NULL;

        if (host()->memory_map(NULL, h, cases[i].offset, cases[i].bytes,
                               cases[i].protection, NULL, &p) != ULV_E_ARG)
            fail_msg("%s", cases[i].why);
    }
    host()->handle_close(NULL, h);
}

static void
test_port_memory__can_be_executed_from(void **state)
{
    /* mov eax, 42; ret */
    static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3};
    ulv_handle h = create(4096, 0);
    union {
        void *p;
        int (*call)(void);
    } entry;

    (void)state;
    assert_int_equal(pwrite((int)h, code, sizeof(code), 0), sizeof(code));
    entry.p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, (int)h, 0);
    assert_ptr_not_equal(entry.p, MAP_FAILED);
    assert_int_equal(entry.call(), 42);
    munmap(entry.p, 4096);
    host()->handle_close(NULL, h);
}

/* Of the mapping at p, as /proc/self/smaps has it [KiB]. */
static uint64_t
mapped_large(const void *p)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    unsigned long long start, end, found = 0, kib;
    bool inside = false;
    char line[512];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
            inside = start == (uintptr_t)p;
        if (inside && sscanf(line, "ShmemPmdMapped: %llu", &kib) == 1)
            found = kib;
    }
    (void)fclose(file);
    return found;
}

/* Memory is placed so that a large page fits, whether there is one or not;
 * where the kernel gives some they are there. */
static void
test_port_memory__large_pages(void **state)
{
    const char *words = ulv_posix_huge_pages();
    const uint64_t bytes = ULV_MIB(8);
    ulv_handle h = create(bytes, 0);
    uint64_t kib;
    void *p = NULL;

    (void)state;
    assert_int_equal(host()->memory_map(NULL, h, 0, bytes,
                                        ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                                        &p),
                     ULV_OK);
    assert_int_equal((uintptr_t)p % ULV_MIB(2), 0);
    for (uint64_t at = 0; at < bytes; at += 4096)
        assert_int_equal(((volatile uint8_t *)p)[at], 0);
    kib = mapped_large(p);
    host()->memory_unmap(NULL, p, bytes);
    host()->handle_close(NULL, h);
    print_message("# large pages: %s; %u KiB of %u\n", words, (unsigned)kib,
                  (unsigned)(bytes / 1024));
    if (strncmp(words, "none: ", 6) == 0)
        assert_int_equal(kib, 0);
    else
        assert_true(strncmp(words, "transparent, ", 13) == 0);
}

/* Of lazy memory, as much as was asked for is there. */
static void
test_port_memory__lazy_memory_is_backed(void **state)
{
    struct stat status;
    ulv_handle h;
    void *p;

    (void)state;
    assert_int_equal(host()->memory_create(NULL, "lazy", BYTES,
                                           ULV_MEMORY_LAZY, &h),
                     ULV_OK);
    assert_int_equal(host()->memory_map(NULL, h, 0, BYTES,
                                        ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p),
                     ULV_OK);
    assert_int_equal(fstat((int)h, &status), 0);
    assert_int_equal(status.st_blocks, 0);
    assert_int_equal(host()->memory_back(NULL, p, 8192), ULV_OK);
    assert_int_equal(host()->memory_back(NULL, (char *)p + 1, 4096), ULV_E_ARG);
    assert_int_equal(host()->memory_back(NULL, p, 1), ULV_E_ARG);
    assert_int_equal(fstat((int)h, &status), 0);
    assert_int_equal(status.st_blocks, 8192 / 512);
    host()->memory_unmap(NULL, p, BYTES);
    host()->handle_close(NULL, h);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_memory__lazy_memory_is_backed),
        cmocka_unit_test(test_port_memory__large_pages),
        cmocka_unit_test(test_port_memory__is_zero_and_allocated),
        cmocka_unit_test(test_port_memory__lazy_takes_no_pages),
        cmocka_unit_test(test_port_memory__refuses_sizes),
        cmocka_unit_test(
            test_port_memory__no_space_is_an_error_and_leaks_nothing),
        cmocka_unit_test(
            test_port_memory__seal_write_keeps_the_old_mapping_only),
        cmocka_unit_test(test_port_memory__read_only_handle),
        cmocka_unit_test(test_port_memory__discard_reaches_every_mapping),
        cmocka_unit_test(test_port_memory__reservation),
        cmocka_unit_test(test_port_memory__map_refuses),
        cmocka_unit_test(test_port_memory__can_be_executed_from),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
