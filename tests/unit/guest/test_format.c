/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Formatted text of guests, compared with the C library's. */
#include "../port/port_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <ultravisor/guest.h>

#define ROUNDS 200000u

static uint64_t seed;

static uint64_t
next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Numbers that have an edge as often as not. */
static uint64_t
number(void)
{
    static const uint64_t edge[] = { 0,          1,        9,
                                     10,         0x7f,     0x80,
                                     0xffff,     INT32_MAX, UINT32_MAX,
                                     INT64_MAX,  (uint64_t)INT64_MIN,
                                     UINT64_MAX };
    uint64_t n = next();

    return n % 2 == 0 ? edge[n / 2 % ULV_COUNT_OF(edge)] : next() >> n % 64;
}

/* "%<flags><width>.<precision><size><letter>" */
static void
make_format(char format[32], const char *size, char letter, bool with_zero)
{
    static const char flag[] = "-+ #0";
    size_t len = 0;

    format[len++] = '%';
    for (size_t i = 0; i < sizeof(flag) - 1; i++) {
        if (next() % 4 != 0 || (flag[i] == '0' && !with_zero) ||
            (flag[i] == '#' && (letter == 'd' || letter == 'u')) ||
            ((flag[i] == '+' || flag[i] == ' ') && letter != 'd'))
            continue;
        format[len++] = flag[i];
    }
    if (next() % 2 == 0)
        len += (size_t)sprintf(format + len, "%u", (unsigned)(next() % 30 + 1));
    if (next() % 3 == 0)
        len += (size_t)sprintf(format + len, ".%u", (unsigned)(next() % 26));
    sprintf(format + len, "%s%c", size, letter);
}

static void
compare(const char *format, size_t room, const char *expected, int expected_len,
        const char *text, size_t len)
{
    if (len == (size_t)expected_len && strcmp(text, expected) == 0)
        return;
    print_message("# format \"%s\" into %zu bytes: \"%s\", not \"%s\"\n",
                  format, room, text, expected);
    fail();
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

#define TRY(room, format, ...)                                                 \
    do {                                                                       \
        char expected[256], text[256];                                         \
        int expected_len = snprintf(expected, room, format, __VA_ARGS__);      \
        size_t len;                                                            \
                                                                               \
        memset(text, 'x', sizeof(text));                                       \
        len = guest_format(text, room, format, __VA_ARGS__);                   \
        compare(format, room, expected, expected_len, text, len);              \
        assert_int_equal(text[room], 'x');                                     \
    } while (0)

static void
test_guest_format__numbers(void **state)
{
    static const char letters[] = "duxXo";
    static const char *const sizes[] = { "hh", "h", "", "l", "ll",
                                         "z",  "j", "t" };

    (void)state;
    seed = (uint64_t)time(NULL) | 1;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        char letter = letters[next() % (sizeof(letters) - 1)];
        const char *size = sizes[next() % ULV_COUNT_OF(sizes)];
        size_t room = next() % 3 == 0 ? next() % 20 + 1 : 128;
        uint64_t n = number();
        char format[32];

        make_format(format, size, letter, true);
        if (size[0] == '\0' || size[0] == 'h')
            TRY(room, format, (int)n);
        else
            TRY(room, format, (long)n);
    }
}

static void
test_guest_format__text(void **state)
{
    static const char *const word[] = { "", "a", "some words",
                                        "more words than most fields hold" };

    (void)state;
    seed = (uint64_t)time(NULL) | 1;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (uint32_t i = 0; i < ROUNDS / 10; i++) {
        size_t room = next() % 40 + 1;
        int width = (int)(next() % 40) - 20, precision = (int)(next() % 20) - 5;
        uint64_t n = number(), m = number();
        const char *s = word[next() % ULV_COUNT_OF(word)];

        TRY(room, "<%*.*s> %%", width, precision, s);
        TRY(room, "%*c|", width, (int)('a' + n % 26));
        TRY(room, "%*p", width, (void *)(uintptr_t)(n | 1));
        TRY(room, "%s: %d of %lu, %zu", s, (int)n, (unsigned long)m,
            (size_t)n);
    }
}

static void
test_guest_format__what_it_does_not_know(void **state)
{
    char text[64];
    const char *unknown = "a %y %d";

    (void)state;
    assert_int_equal(guest_format(text, sizeof(text), unknown, 1), 7);
    assert_string_equal(text, unknown);
    unknown = "50%";
    assert_int_equal(guest_format(text, sizeof(text), unknown, 1), 3);
    assert_string_equal(text, "50%");
    assert_int_equal(guest_format(NULL, 0, "%d", 12345), 5);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest_format__numbers),
        cmocka_unit_test(test_guest_format__text),
        cmocka_unit_test(test_guest_format__what_it_does_not_know),
    };

    return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
