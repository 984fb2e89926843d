/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Extended page tables against a flat array of pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backend/vtx/ept.h"
#include "base/base.h"
#include "port/test/test.h"

#define PAGE   ULV_VTX_PAGE
#define PAGES  (3u << 18) /* of the model: 3 GiB */
#define BASE   (UINT64_C(510) << 30) /* so that it crosses 512 GiB */
#define TABLES 4096u
#define SEED   UINT64_C(0x5eed5eed5eed5eed)
#define RIGHTS ULV_VTX_EPT_RIGHTS
#define READ   ULV_VTX_EPT_READ

struct model {
    struct ulv_test_host t;
    struct ulv_vtx_ept ept;
    uint64_t *page; /* physical | rights; 0: not there */
    uint64_t seed;
};

static uint64_t
physical(void *self, const void *p)
{
    (void)self;
    return (uint64_t)(uintptr_t)p;
}

static void
begin(struct model *m, uint32_t tables_max, bool giant)
{
    ulv_test_host_init(&m->t);
    m->t.host.physical = physical;
    m->seed = SEED;
    m->page = calloc(PAGES, sizeof(*m->page));
    assert_non_null(m->page);
    assert_int_equal(ulv_vtx_ept_init(&m->ept, &m->t.host, tables_max, giant),
                     ULV_OK);
}

static void
end(struct model *m)
{
    ulv_vtx_ept_fini(&m->ept);
    assert_int_equal(m->ept.tables, 0);
    assert_int_equal(ulv_test_host_live(&m->t), 0);
    ulv_test_host_fini(&m->t);
    free(m->page);
}

/* SplitMix64 */
static uint64_t
next(struct model *m)
{
    uint64_t z = m->seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void
check_page(const struct model *m, uint64_t i)
{
    struct ulv_vtx_translation found =
        ulv_vtx_ept_find(&m->ept, BASE + i * PAGE + 5);

    if (m->page[i] == 0) {
        assert_int_equal(found.rights, 0);
        return;
    }
    assert_int_equal(found.rights, m->page[i] & RIGHTS);
    assert_int_equal(found.physical, (m->page[i] & ~RIGHTS) + 5);
}

static void
check_all(const struct model *m)
{
    for (uint64_t i = 0; i < PAGES; i++)
        check_page(m, i);
}

/* A range of pages: mostly small, some of whole large pages, few giant. */
static void
some_range(struct model *m, uint64_t *ret_at, uint64_t *ret_count)
{
    uint64_t kind = next(m) % 64;
    uint64_t align = kind == 0 ? 1u << 18 : kind < 24 ? 512 : 1;
    uint64_t count = kind == 0 ? 1u << 18 : (1 + next(m) % 4) * align;

    if (kind > 50)
        count = 1 + next(m) % 1500;
    *ret_at = next(m) % PAGES / align * align;
    *ret_count = ULV_MIN(count, PAGES - *ret_at);
}

static void
one_map(struct model *m)
{
    uint64_t at, count, to, rights = READ | (next(m) & RIGHTS);
    ulv_status status = ULV_OK;

    some_range(m, &at, &count);
    /* often aligned as the guest address is, so that large pages fit */
    to = (next(m) % 1024) << 30;
    to += next(m) % 4 == 0 ? (next(m) % 512) * PAGE : at * PAGE;
    for (uint64_t i = at; i < at + count && status == ULV_OK; i++) {
        if (m->page[i] != 0)
            status = ULV_E_EXISTS;
    }
    assert_int_equal(ulv_vtx_ept_map(&m->ept, BASE + at * PAGE, to,
                                     count * PAGE, rights),
                     status);
    for (uint64_t i = 0; i < count && status == ULV_OK; i++)
        m->page[at + i] = (to + i * PAGE) | rights;
}

static void
one_unmap(struct model *m)
{
    uint64_t at, count;

    some_range(m, &at, &count);
    assert_int_equal(ulv_vtx_ept_unmap(&m->ept, BASE + at * PAGE,
                                       count * PAGE),
                     ULV_OK);
    memset(m->page + at, 0, count * sizeof(*m->page));
    check_page(m, at);
    check_page(m, at + count - 1);
}

static void
random_operations(bool giant)
{
    struct model m;

    print_message("# seed %llx\n", (unsigned long long)SEED);
    begin(&m, TABLES, giant);
    for (uint32_t i = 0; i < 40000; i++) {
        if (next(&m) % 5 < 3)
            one_map(&m);
        else
            one_unmap(&m);
        for (uint32_t n = 0; n < 16; n++)
            check_page(&m, next(&m) % PAGES);
        if (i % 4000 == 0)
            check_all(&m);
    }
    check_all(&m);
    /* nothing is kept for what is gone */
    assert_int_equal(ulv_vtx_ept_unmap(&m.ept, BASE, PAGES * PAGE), ULV_OK);
    assert_int_equal(m.ept.tables, 1);
    end(&m);
}

static void
test_backend_vtx_ept__random_operations_as_the_model(void **state)
{
    (void)state;
    random_operations(true);
    random_operations(false);
}

static void
test_backend_vtx_ept__every_allocation_fails(void **state)
{
    ulv_status status = ULV_E_INTERNAL;
    uint64_t failures = 0;
    struct model m;

    (void)state;
    begin(&m, TABLES, true);
    /* 4 KiB, 2 MiB and 4 KiB pages, across 512 GiB */
    for (; status != ULV_OK; failures++) {
        uint64_t at = BASE + ULV_GIB(2) - ULV_MIB(5) - PAGE;

        ulv_test_host_fail_at(&m.t, failures + 1);
        status = ulv_vtx_ept_map(&m.ept, at, at, ULV_MIB(12) + PAGE, RIGHTS);
        assert_true(status == ULV_OK || status == ULV_E_NO_MEMORY);
        if (status != ULV_OK)
            assert_int_equal(m.ept.tables, 1);
    }
    assert_true(failures > 4);
    ulv_test_host_fail_at(&m.t, 0);
    end(&m);
}

/* A page of 1 GiB from which one of 4 KiB is taken out. */
static void
test_backend_vtx_ept__a_split_that_fails_changes_nothing(void **state)
{
    ulv_status status = ULV_E_INTERNAL;
    uint64_t failures = 0, hole = BASE + ULV_MIB(100) + PAGE;
    struct ulv_vtx_translation found;
    struct model m;

    (void)state;
    begin(&m, TABLES, true);
    assert_int_equal(ulv_vtx_ept_map(&m.ept, BASE, 0, ULV_GIB(1), READ),
                     ULV_OK);
    found = ulv_vtx_ept_find(&m.ept, hole);
    assert_int_equal(found.bytes, ULV_GIB(1));
    for (; status != ULV_OK; failures++) {
        found = ulv_vtx_ept_find(&m.ept, hole);
        assert_int_equal(found.physical, hole - BASE);
        assert_int_equal(found.rights, READ);
        ulv_test_host_fail_at(&m.t, failures + 1);
        status = ulv_vtx_ept_unmap(&m.ept, hole, PAGE);
        assert_true(status == ULV_OK || status == ULV_E_NO_MEMORY);
    }
    assert_int_equal(failures, 3);
    found = ulv_vtx_ept_find(&m.ept, hole);
    assert_int_equal(found.rights, 0);
    found = ulv_vtx_ept_find(&m.ept, hole - PAGE);
    assert_int_equal(found.physical, hole - PAGE - BASE);
    found = ulv_vtx_ept_find(&m.ept, hole + PAGE);
    assert_int_equal(found.physical, hole + PAGE - BASE);
    found = ulv_vtx_ept_find(&m.ept, hole + ULV_VTX_LARGE);
    assert_int_equal(found.bytes, ULV_VTX_LARGE);
    assert_int_equal(found.rights, READ);
    end(&m);
}

static void
test_backend_vtx_ept__tables_are_bounded(void **state)
{
    struct model m;

    (void)state;
    for (uint32_t tables = 1; tables < 4; tables++) {
        begin(&m, tables, true);
        assert_int_equal(ulv_vtx_ept_map(&m.ept, BASE, 0, PAGE, READ),
                         ULV_E_LIMIT);
        assert_int_equal(m.ept.tables, 1);
        end(&m);
    }
    begin(&m, 4, true);
    assert_int_equal(ulv_vtx_ept_map(&m.ept, BASE, 0, PAGE, READ), ULV_OK);
    assert_int_equal(ulv_vtx_ept_map(&m.ept, BASE + PAGE, 0, PAGE, READ),
                     ULV_OK);
    assert_int_equal(ulv_vtx_ept_map(&m.ept, BASE + ULV_MIB(2), 0, PAGE, READ),
                     ULV_E_LIMIT);
    end(&m);
}

static const struct {
    uint64_t guest, physical, bytes, rights;
    ulv_status status;
} arguments[] = {
    { 0, 0, PAGE, READ, ULV_OK },
    { 1, 0, PAGE, READ, ULV_E_ARG },
    { 0, 1, PAGE, READ, ULV_E_ARG },
    { 0, 0, 0, READ, ULV_E_ARG },
    { 0, 0, PAGE + 1, READ, ULV_E_ARG },
    { 0, 0, PAGE, 0, ULV_E_ARG },
    { 0, 0, PAGE, ULV_VTX_EPT_WRITE, ULV_E_ARG },
    { 0, 0, PAGE, READ | 8, ULV_E_ARG },
    { ULV_VTX_EPT_END - PAGE, 0, PAGE, READ, ULV_OK },
    { ULV_VTX_EPT_END - PAGE, 0, 2 * PAGE, READ, ULV_E_LIMIT },
    { ULV_VTX_EPT_END, 0, PAGE, READ, ULV_E_LIMIT },
    { UINT64_MAX - PAGE + 1, 0, PAGE, READ, ULV_E_LIMIT },
    { 0, UINT64_C(1) << 52, PAGE, READ, ULV_E_LIMIT },
    { 0, UINT64_MAX - PAGE + 1, PAGE, READ, ULV_E_LIMIT },
};

static void
test_backend_vtx_ept__arguments(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(arguments); i++) {
        struct model m;

        begin(&m, TABLES, true);
        assert_int_equal(ulv_vtx_ept_map(&m.ept, arguments[i].guest,
                                         arguments[i].physical,
                                         arguments[i].bytes,
                                         arguments[i].rights),
                         arguments[i].status);
        if (arguments[i].status == ULV_OK)
            assert_int_equal(ulv_vtx_ept_unmap(&m.ept, arguments[i].guest,
                                               arguments[i].bytes),
                             ULV_OK);
        assert_int_equal(m.ept.tables, 1);
        end(&m);
    }
}

/* Bit by bit as in the SDM, vol. 3C 24.6.11 and tables 28-1, 28-3, 28-6. */
static void
test_backend_vtx_ept__entries_as_the_processor_reads_them(void **state)
{
    const uint64_t *table;
    struct model m;

    (void)state;
    begin(&m, TABLES, true);
    assert_int_equal(ulv_vtx_ept_map(&m.ept, 0, ULV_GIB(5), ULV_GIB(1),
                                     RIGHTS),
                     ULV_OK);
    assert_int_equal(ulv_vtx_ept_map(&m.ept, ULV_GIB(1), ULV_MIB(6),
                                     ULV_MIB(2) + PAGE, READ),
                     ULV_OK);
    assert_int_equal(ulv_vtx_ept_pointer(&m.ept) & 0xfff, 0x1e);
    table = (const uint64_t *)(uintptr_t)(ulv_vtx_ept_pointer(&m.ept) &
                                          ~UINT64_C(0xfff));
    assert_int_equal(table[0] & 0xfff, 7);
    assert_int_equal(table[1], 0);
    table = (const uint64_t *)(uintptr_t)(table[0] & ~UINT64_C(0xfff));
    assert_int_equal(table[0], ULV_GIB(5) | 0xb7);
    assert_int_equal(table[1] & 0xfff, 7);
    table = (const uint64_t *)(uintptr_t)(table[1] & ~UINT64_C(0xfff));
    assert_int_equal(table[0], ULV_MIB(6) | 0xb1);
    assert_int_equal(table[1] & 0xfff, 7);
    table = (const uint64_t *)(uintptr_t)(table[1] & ~UINT64_C(0xfff));
    assert_int_equal(table[0], ULV_MIB(8) | 0x31);
    assert_int_equal(table[1], 0);
    end(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend_vtx_ept__random_operations_as_the_model),
        cmocka_unit_test(test_backend_vtx_ept__every_allocation_fails),
        cmocka_unit_test(
            test_backend_vtx_ept__a_split_that_fails_changes_nothing),
        cmocka_unit_test(test_backend_vtx_ept__tables_are_bounded),
        cmocka_unit_test(test_backend_vtx_ept__arguments),
        cmocka_unit_test(
            test_backend_vtx_ept__entries_as_the_processor_reads_them),
    };

    return cmocka_run_group_tests_name("backend_vtx-ept", tests, NULL, NULL);
}
