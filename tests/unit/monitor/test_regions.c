/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The regions of a machine, beside a model that looks at each page. */
#include "../port/port_test.h"

#include <stdlib.h>

#include "monitor/regions.h"

#define LOW   UINT64_C(0x400000)
#define PAGES 64u
#define HIGH  (LOW + PAGES * 4096)
#define MAX   16u

static uint64_t seed = 1;

static uint32_t
random_below(uint32_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed % bound);
}

struct fixture {
    struct ulv_regions regions;
    struct ulv_region region[MAX];
    uint8_t owner[PAGES]; /* the model: number of a region, or 0 */
    uint64_t start[PAGES + 1], bytes[PAGES + 1];
    uint32_t count;
    uint8_t memory[PAGES * 4096];
};

static bool
is_free(const struct fixture *f, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++) {
        if (f->owner[i] != 0)
            return false;
    }
    return true;
}

static void
add(struct fixture *f)
{
    uint64_t first = random_below(PAGES);
    uint64_t count = 1 + random_below((uint32_t)(PAGES - first));
    uint64_t guest = LOW + first * 4096, bytes = count * 4096;
    ulv_status status = ulv_regions_check(&f->regions, guest, bytes);
    uint8_t number = 1;

    if (f->count == MAX) {
        assert_int_equal(status, ULV_E_LIMIT);
        return;
    }
    assert_int_equal(status, is_free(f, first, count) ? ULV_OK : ULV_E_EXISTS);
    if (status != ULV_OK)
        return;
    (void)ulv_regions_add(&f->regions, guest, bytes,
                          f->memory + first * 4096, ULV_GUEST_WRITE);
    while (f->bytes[number] != 0)
        number++;
    f->start[number] = guest;
    f->bytes[number] = bytes;
    memset(f->owner + first, number, count);
    f->count++;
}

static void
take(struct fixture *f)
{
    uint8_t number = f->owner[random_below(PAGES)];
    uint64_t guest = f->start[number], bytes = f->bytes[number];

    if (number == 0)
        return;
    assert_null(ulv_regions_find(&f->regions, guest, bytes + 4096));
    assert_null(ulv_regions_find(&f->regions, guest + 1, bytes));
    ulv_regions_remove(&f->regions,
                       ulv_regions_find(&f->regions, guest, bytes));
    assert_null(ulv_regions_find(&f->regions, guest, bytes));
    memset(f->owner + (guest - LOW) / 4096, 0, bytes / 4096);
    f->bytes[number] = 0;
    f->count--;
}

static void
look(struct fixture *f)
{
    uint64_t page = random_below(PAGES);
    uint64_t at = LOW + page * 4096 + random_below(4096);
    uint8_t number = f->owner[page];
    uint64_t end = f->start[number] + f->bytes[number];
    struct ulv_exit_fault fault = { .registers.rip = at };

    ulv_regions_take_instruction(&f->regions, &fault);
    assert_null(ulv_regions_at(&f->regions, at, 1, ULV_GUEST_EXECUTE));
    if (number == 0) {
        assert_null(ulv_regions_at(&f->regions, at, 1, 0));
        assert_int_equal(fault.instruction_bytes, 0);
        return;
    }
    assert_ptr_equal(
        ulv_regions_at(&f->regions, at, end - at, ULV_GUEST_WRITE),
        f->memory + (at - LOW));
    assert_null(ulv_regions_at(&f->regions, at, end - at + 1, 0));
    assert_int_equal(fault.instruction_bytes, ULV_MIN(end - at, 15U));
}

static void
test_monitor_regions__model(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    (void)state;
    assert_non_null(f);
    ulv_regions_init(&f->regions, LOW, HIGH, f->region, MAX);
    for (uint32_t i = 0; i < 20000; i++) {
        if (random_below(2) == 0)
            add(f);
        else
            take(f);
        look(f);
        assert_int_equal(f->regions.count, f->count);
        for (uint32_t k = 1; k < f->regions.count; k++)
            assert_true(f->region[k - 1].guest + f->region[k - 1].bytes <=
                        f->region[k].guest);
    }
    free(f);
}

static void
test_monitor_regions__bounds(void **state)
{
    struct ulv_regions r;
    struct ulv_region region[2];

    (void)state;
    ulv_regions_init(&r, LOW, HIGH, region, 2);
    assert_int_equal(ulv_regions_check(&r, LOW, 0), ULV_E_ARG);
    assert_int_equal(ulv_regions_check(&r, LOW + 1, 4096), ULV_E_ARG);
    assert_int_equal(ulv_regions_check(&r, LOW, 4097), ULV_E_ARG);
    assert_int_equal(ulv_regions_check(&r, UINT64_MAX - 4095, 8192),
                     ULV_E_ARG);
    assert_int_equal(ulv_regions_check(&r, HIGH - 4096, 8192), ULV_E_LIMIT);
    assert_int_equal(ulv_regions_check(&r, LOW - 4096, 8192), ULV_E_EXISTS);
    assert_int_equal(ulv_regions_check(&r, LOW, HIGH - LOW), ULV_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitor_regions__model),
        cmocka_unit_test(test_monitor_regions__bounds),
    };

    return cmocka_run_group_tests_name("monitor_regions", tests, NULL, NULL);
}
