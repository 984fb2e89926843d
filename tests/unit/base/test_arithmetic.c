/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

#define MAX UINT64_MAX

static const uint64_t edges[] = {
    0,          1,          2,          3,         7,          8,
    255,        256,        4095,       4096,      4097,       1ull << 31,
    UINT32_MAX, 1ull << 32, 1ull << 62, INT64_MAX, 1ull << 63, MAX / 3,
    MAX - 4096, MAX - 2,    MAX - 1,    MAX,
};

static void
test_base_arithmetic__add_refuses_exactly_overflow(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(edges); i++) {
        for (size_t j = 0; j < ULV_COUNT_OF(edges); j++) {
            uint64_t a = edges[i], b = edges[j], ret = 77;
            unsigned __int128 sum = (unsigned __int128)a + b;

            assert_int_equal(ulv_add_u64(a, b, &ret), sum <= MAX);
            assert_int_equal(ret, sum <= MAX ? (uint64_t)sum : 77);
        }
    }
}

static void
test_base_arithmetic__multiply_refuses_exactly_overflow(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(edges); i++) {
        for (size_t j = 0; j < ULV_COUNT_OF(edges); j++) {
            uint64_t a = edges[i], b = edges[j], ret = 77;
            unsigned __int128 product = (unsigned __int128)a * b;

            assert_int_equal(ulv_multiply_u64(a, b, &ret), product <= MAX);
            assert_int_equal(ret, product <= MAX ? (uint64_t)product : 77);
        }
    }
}

static void
test_base_arithmetic__range_inside(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(edges); i++) {
        for (size_t j = 0; j < ULV_COUNT_OF(edges); j++) {
            for (size_t k = 0; k < ULV_COUNT_OF(edges); k++) {
                unsigned __int128 end = (unsigned __int128)edges[i] + edges[j];

                assert_int_equal(ulv_range_inside(edges[i], edges[j], edges[k]),
                                 end <= edges[k]);
            }
        }
    }
}

/* Every pair of ranges of a small space, against a byte by byte look. */
static bool
share_a_byte(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    for (uint64_t byte = a; byte < a + a_bytes; byte++) {
        if (byte >= b && byte < b + b_bytes)
            return true;
    }
    return false;
}

static void
test_base_arithmetic__ranges_overlap(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 6 * 6 * 6 * 6; n++) {
        uint64_t a = n % 6, a_bytes = n / 6 % 6;
        uint64_t b = n / 36 % 6, b_bytes = n / 216;

        assert_int_equal(ulv_ranges_overlap(a, a_bytes, b, b_bytes),
                         share_a_byte(a, a_bytes, b, b_bytes));
    }
}

/* The last byte of the address space belongs to a range as any other. */
static void
test_base_arithmetic__ranges_at_the_end(void **state)
{
    (void)state;
    assert_true(ulv_ranges_overlap(MAX - 4095, 4096, MAX, 1));
    assert_true(ulv_ranges_overlap(MAX, 1, MAX - 4095, 4096));
    assert_true(ulv_ranges_overlap(0, MAX, MAX - 1, 1));
    assert_false(ulv_ranges_overlap(0, MAX, MAX, 1));
    assert_false(ulv_ranges_overlap(MAX - 8191, 4096, MAX - 4095, 4096));
}

static void
test_base_arithmetic__power_of_two(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 70000; n++) {
        int bits = __builtin_popcountll(n);

        assert_int_equal(ulv_is_power_of_two(n), bits == 1);
    }
    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t n = UINT64_C(1) << shift;

        assert_true(ulv_is_power_of_two(n));
        assert_int_equal(ulv_is_power_of_two(n + 1), n == 1);
        assert_int_equal(ulv_is_power_of_two(n - 1), n == 2);
    }
}

static void
test_base_arithmetic__round(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(edges); i++) {
        for (unsigned shift = 0; shift < 64; shift++) {
            uint64_t n = edges[i], align = UINT64_C(1) << shift;
            uint64_t down = ulv_round_down(n, align);
            uint64_t up = ulv_round_up(n, align);

            assert_int_equal(down % align, 0);
            assert_true(down <= n && n - down < align);
            assert_int_equal(up % align, 0);
            if (n > MAX - (align - 1))
                assert_int_equal(up, 0); /* overflow, as promised */
            else
                assert_true(up >= n && up - n < align);
        }
    }
}

static void
test_base_arithmetic__little_endian_at_any_address(void **state)
{
    uint8_t bytes[16] = {0x00, 0x01, 0x02, 0x83, 0x04, 0x05, 0x06, 0x87,
                         0x08, 0x09, 0x0a, 0x8b, 0x0c, 0x0d, 0x0e, 0x8f};

    (void)state;
    assert_int_equal(ulv_get_le16(bytes), 0x0100);
    assert_int_equal(ulv_get_le16(bytes + 3), 0x0483);
    assert_int_equal(ulv_get_le32(bytes), 0x83020100);
    assert_int_equal(ulv_get_le32(bytes + 5), 0x08870605);
    assert_int_equal(ulv_get_le64(bytes), 0x8706050483020100);
    assert_int_equal(ulv_get_le64(bytes + 7), 0x0e0d0c8b0a090887);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(ulv_get_le16(bytes + 1), UINT16_MAX);
    assert_int_equal(ulv_get_le32(bytes + 1), UINT32_MAX);
    assert_int_equal(ulv_get_le64(bytes + 1), UINT64_MAX);
}

static void
test_base_arithmetic__guid_differs_in_any_bit(void **state)
{
    uint8_t a[16] = {0}, b[16] = {0};

    (void)state;
    assert_true(ulv_guid_equal(a, b));
    for (unsigned bit = 0; bit < 128; bit++) {
        b[bit / 8] = (uint8_t)(1u << bit % 8);
        assert_false(ulv_guid_equal(a, b));
        assert_false(ulv_guid_equal(b, a));
        b[bit / 8] = 0;
    }
    assert_true(ulv_guid_equal(a, b));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_arithmetic__add_refuses_exactly_overflow),
        cmocka_unit_test(
            test_base_arithmetic__multiply_refuses_exactly_overflow),
        cmocka_unit_test(test_base_arithmetic__range_inside),
        cmocka_unit_test(test_base_arithmetic__ranges_overlap),
        cmocka_unit_test(test_base_arithmetic__ranges_at_the_end),
        cmocka_unit_test(test_base_arithmetic__power_of_two),
        cmocka_unit_test(test_base_arithmetic__round),
        cmocka_unit_test(test_base_arithmetic__little_endian_at_any_address),
        cmocka_unit_test(test_base_arithmetic__guid_differs_in_any_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
