/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

#define GUARD 0x5a

static void
test_base_text__string_length_stops_at_the_limit(void **state)
{
    const char unterminated[3] = {'a', 'b', 'c'};

    (void)state;
    assert_int_equal(ulv_string_length("", 10), 0);
    assert_int_equal(ulv_string_length("abc", 10), 3);
    assert_int_equal(ulv_string_length("abc", 3), 3);
    assert_int_equal(ulv_string_length("abc", 2), 2);
    assert_int_equal(ulv_string_length("abc", 0), 0);
    assert_int_equal(ulv_string_length(unterminated, 3), 3);
}

static void
test_base_text__string_equal_within_the_limit(void **state)
{
    const char unterminated[3] = {'a', 'b', 'c'};

    (void)state;
    assert_true(ulv_string_equal("", "", 8));
    assert_true(ulv_string_equal("abc", "abc", 8));
    assert_true(ulv_string_equal(unterminated, "abc", 3));
    assert_true(ulv_string_equal("abcX", "abcY", 3));
    assert_false(ulv_string_equal("abc", "abd", 8));
    assert_false(ulv_string_equal("abc", "ab", 8));
    assert_false(ulv_string_equal("ab", "abc", 8));
    assert_false(ulv_string_equal("", "a", 8));
}

/* Terminated and filled with zeroes to the end, whatever the length: no byte
 * of what stood there before is left to leak. */
static void
test_base_text__string_copy_fills_the_whole_field(void **state)
{
    static const char *const from[] = {"", "a", "abcdefg", "abcdefgh",
                                       "abcdefghijklmnop"};

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(from); i++) {
        char field[9];
        char expected[8] = {0};

        strncpy(expected, from[i], 7);
        memset(field, GUARD, sizeof(field));
        ulv_string_copy(field, 8, from[i]);
        assert_memory_equal(field, expected, 8);
        assert_int_equal(field[8], GUARD);
    }
}

static void
test_base_text__numbers(void **state)
{
    static const struct {
        uint64_t n;
        const char *decimal, *hex, *size;
    } rows[] = {
        {0, "0", "0x0", "0 B"},
        {9, "9", "0x9", "9 B"},
        {10, "10", "0xa", "10 B"},
        {1023, "1023", "0x3ff", "1023 B"},
        {1024, "1024", "0x400", "1 KiB"},
        {1025, "1025", "0x401", "1025 B"},
        {1536 << 10, "1572864", "0x180000", "1536 KiB"},
        {192u << 20, "201326592", "0xc000000", "192 MiB"},
        {UINT64_C(1) << 30, "1073741824", "0x40000000", "1 GiB"},
        {UINT64_C(5) << 40, "5497558138880", "0x50000000000", "5 TiB"},
        /* there is no larger unit */
        {UINT64_C(1) << 60, "1152921504606846976", "0x1000000000000000",
         "1048576 TiB"},
        {UINT64_MAX, "18446744073709551615", "0xffffffffffffffff",
         "18446744073709551615 B"},
    };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++) {
        char buf[64];
        struct ulv_text t;

        ulv_text_init(&t, buf, sizeof(buf));
        ulv_text_decimal(&t, rows[i].n);
        assert_string_equal(buf, rows[i].decimal);
        ulv_text_init(&t, buf, sizeof(buf));
        ulv_text_hex(&t, rows[i].n);
        assert_string_equal(buf, rows[i].hex);
        ulv_text_init(&t, buf, sizeof(buf));
        ulv_text_size(&t, rows[i].n);
        assert_string_equal(buf, rows[i].size);
        assert_int_equal(t.len, strlen(rows[i].size));
    }
}

static void
test_base_text__format_knows_each_letter(void **state)
{
    char buf[256];
    struct ulv_text t;

    (void)state;
    ulv_text_init(&t, buf, sizeof(buf));
    ulv_text_format(&t, "%s|%u|%x|%z|%i|%%|", "s", UINT64_MAX, UINT64_C(255),
                    UINT64_C(4096), INT64_C(-7));
    assert_string_equal(buf, "s|18446744073709551615|0xff|4 KiB|-7|%|");
    ulv_text_init(&t, buf, sizeof(buf));
    ulv_text_format(&t, "%i %i %i", INT64_MIN, INT64_MAX, INT64_C(0));
    assert_string_equal(buf, "-9223372036854775808 9223372036854775807 0");
}

static void
test_base_text__format_survives_what_it_does_not_know(void **state)
{
    char buf[64];
    struct ulv_text t;

    (void)state;
    ulv_text_init(&t, buf, sizeof(buf));
    ulv_text_format(&t, "a%qb");
    assert_string_equal(buf, "aqb");
    ulv_text_init(&t, buf, sizeof(buf));
    ulv_text_format(&t, "100%");
    assert_string_equal(buf, "100");
    ulv_text_init(&t, buf, sizeof(buf));
    ulv_text_format(&t, "");
    assert_string_equal(buf, "");
}

/* In a buffer of each size: the start of the whole text, terminated, and not
 * one byte beyond. */
static void
test_base_text__cuts_at_every_size(void **state)
{
    static const char whole[] = "web: 256 MiB asked, 0x1f of 18446744073709551"
                                "615 free -3";

    (void)state;
    for (size_t size = 1; size <= sizeof(whole) + 2; size++) {
        char buf[sizeof(whole) + 3], expected[sizeof(whole) + 3];
        struct ulv_text t;

        memset(buf, GUARD, sizeof(buf));
        ulv_text_init(&t, buf, size);
        ulv_text_format(&t, "%s: %z asked, %x of %u free %i", "web",
                        ULV_MIB(256), UINT64_C(0x1f), UINT64_MAX, INT64_C(-3));
        snprintf(expected, size, "%s", whole);
        assert_string_equal(buf, expected);
        assert_int_equal(t.len, strlen(expected));
        for (size_t i = size; i < sizeof(buf); i++)
            assert_int_equal(buf[i], GUARD);
    }
}

static void
test_base_text__a_full_text_stays_as_it_is(void **state)
{
    char buf[4];
    struct ulv_text t;

    (void)state;
    ulv_text_init(&t, buf, sizeof(buf));
    ulv_text_bytes(&t, "abcdef", 6);
    ulv_text_string(&t, "x");
    ulv_text_decimal(&t, 1);
    ulv_text_bytes(&t, "", 0);
    assert_string_equal(buf, "abc");
    assert_int_equal(t.len, 3);
}

static void
test_base_text__bytes_need_no_terminator(void **state)
{
    const char bytes[2] = {'h', 'i'};
    char buf[8];
    struct ulv_text t;

    (void)state;
    ulv_text_init(&t, buf, sizeof(buf));
    ulv_text_bytes(&t, bytes, sizeof(bytes));
    assert_string_equal(buf, "hi");
}

static void
test_base_text__fail_fills_the_diagnostic(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;

    (void)state;
    diag.site = 9;
    diag.os_code = 9;
    assert_int_equal(ulv_fail(&diag, ULV_E_LIMIT, 3, 70, 64, "%s: %u of %u",
                              "web", UINT64_C(70), UINT64_C(64)),
                     ULV_E_LIMIT);
    assert_int_equal(diag.size, sizeof(diag));
    assert_int_equal(diag.status, ULV_E_LIMIT);
    assert_int_equal(diag.object, 3);
    assert_int_equal(diag.value, 70);
    assert_int_equal(diag.bound, 64);
    assert_int_equal(diag.site, 0);
    assert_int_equal(diag.os_code, 0);
    assert_string_equal(diag.text, "web: 70 of 64");
}

static void
test_base_text__fail_cuts_a_long_text(void **state)
{
    struct {
        struct ulv_diag diag;
        char after;
    } box = {ULV_DIAG_INIT, GUARD};
    char name[400];

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    ulv_fail(&box.diag, ULV_E_ARG, 0, 0, 0, "%s%s", name, name);
    assert_int_equal(strlen(box.diag.text), sizeof(box.diag.text) - 1);
    assert_int_equal(box.after, GUARD);
}

static void
test_base_text__fail_without_a_diagnostic(void **state)
{
    (void)state;
    assert_int_equal(ulv_fail(NULL, ULV_E_BUSY, 1, 2, 3, "%s", "unused"),
                     ULV_E_BUSY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_text__string_length_stops_at_the_limit),
        cmocka_unit_test(test_base_text__string_equal_within_the_limit),
        cmocka_unit_test(test_base_text__string_copy_fills_the_whole_field),
        cmocka_unit_test(test_base_text__numbers),
        cmocka_unit_test(test_base_text__format_knows_each_letter),
        cmocka_unit_test(test_base_text__format_survives_what_it_does_not_know),
        cmocka_unit_test(test_base_text__cuts_at_every_size),
        cmocka_unit_test(test_base_text__a_full_text_stays_as_it_is),
        cmocka_unit_test(test_base_text__bytes_need_no_terminator),
        cmocka_unit_test(test_base_text__fail_fills_the_diagnostic),
        cmocka_unit_test(test_base_text__fail_cuts_a_long_text),
        cmocka_unit_test(test_base_text__fail_without_a_diagnostic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
