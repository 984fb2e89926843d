/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * SHA-256 as guests have it: the examples of FIPS 180-4, every length around
 * the blocks, and one message cut in all ways. The numbers that are not in the
 * standard's examples come from another implementation.
 */
#include "../port/port_test.h"

#include <stdlib.h>

#include <ultravisor/guest.h>

#define LONGEST    260u /* bytes: four blocks and a little */
#define CUT        200u
#define MILLION    1000000u
#define MARK_BYTES 16u

static void
to_hex(const uint8_t digest[32], char hex[65])
{
    static const char digit[] = "0123456789abcdef";

    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digit[digest[i] >> 4];
        hex[2 * i + 1] = digit[digest[i] & 15];
    }
    hex[64] = '\0';
}

/* A state that was used before, and bytes around it that stay. */
struct hash {
    uint8_t low[MARK_BYTES];
    struct guest_sha256 s;
    uint8_t digest[32];
    uint8_t high[MARK_BYTES];
};

static void
begin(struct hash *h)
{
    memset(h, 0xa5, sizeof(*h));
    guest_sha256_init(&h->s);
}

static void
end(struct hash *h)
{
    guest_sha256_end(&h->s, h->digest);
    for (uint32_t i = 0; i < MARK_BYTES; i++) {
        assert_int_equal(h->low[i], 0xa5);
        assert_int_equal(h->high[i], 0xa5);
    }
}

static void
expect_text(struct hash *h, const char *expected)
{
    char hex[65];

    end(h);
    to_hex(h->digest, hex);
    assert_string_equal(hex, expected);
}

/* Bytes in a block of just that size, at an address that is not aligned. */
static void
add_exactly(struct hash *h, const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len + 1);

    assert_non_null(copy);
    memcpy(copy + 1, p, len);
    guest_sha256_add(&h->s, copy + 1, len);
    free(copy);
}

static void
test_guest_sha256__examples(void **state)
{
    static const struct {
        const char *message, *digest;
    } example[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb924"
              "27ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223"
                 "b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039"
          "a33ce45964ff2167f6ecedd419db06c1" },
        { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
          "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
          "cf5b16a778af8380036ce59e7b049237"
          "0b249b11e8f07a51afac45037afee9d1" },
    };
    struct hash h;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(example); i++) {
        begin(&h);
        add_exactly(&h, (const uint8_t *)example[i].message,
                    strlen(example[i].message));
        expect_text(&h, example[i].digest);
    }
}

static void
test_guest_sha256__a_million(void **state)
{
    static const char expected[] = "cdc76e5c9914fb9281a1c7e284d73e67"
                                   "f1809a48a497200e046d39ccc7112cd0";
    static const size_t pieces[] = { 1, 63, 64, 65, 1000, 4096, MILLION };
    uint8_t *a = malloc(MILLION);
    struct hash h;

    (void)state;
    assert_non_null(a);
    memset(a, 'a', MILLION);
    for (size_t i = 0; i < ULV_COUNT_OF(pieces); i++) {
        begin(&h);
        for (size_t done = 0; done < MILLION; done += pieces[i])
            guest_sha256_add(&h.s, a + done,
                             ULV_MIN(pieces[i], MILLION - done));
        expect_text(&h, expected);
    }
    free(a);
}

static void
make_message(uint8_t message[LONGEST])
{
    for (uint32_t i = 0; i < LONGEST; i++)
        message[i] = (uint8_t)(i * 167 + 13);
}

/* The digest of the digests of all beginnings of a message. */
static void
test_guest_sha256__every_length(void **state)
{
    uint8_t message[LONGEST];
    struct hash all, h;

    (void)state;
    make_message(message);
    begin(&all);
    for (uint32_t len = 0; len <= LONGEST; len++) {
        begin(&h);
        add_exactly(&h, message, len);
        end(&h);
        guest_sha256_add(&all.s, h.digest, sizeof(h.digest));
    }
    expect_text(&all, "0a4cb2a1772afbf546dec24a21003241"
                      "58d8f3529f9a361f328cf51c63e76c04");
}

static void
test_guest_sha256__cut_anywhere(void **state)
{
    uint8_t message[LONGEST], expected[32];
    struct hash h;

    (void)state;
    make_message(message);
    begin(&h);
    guest_sha256_add(&h.s, message, CUT);
    end(&h);
    memcpy(expected, h.digest, sizeof(expected));
    for (uint32_t first = 0; first <= CUT; first++) {
        for (uint32_t second = first; second <= CUT; second++) {
            begin(&h);
            guest_sha256_add(&h.s, message, first);
            guest_sha256_add(&h.s, message + first, second - first);
            guest_sha256_add(&h.s, message + second, CUT - second);
            end(&h);
            assert_memory_equal(h.digest, expected, sizeof(expected));
        }
    }
    begin(&h);
    for (uint32_t i = 0; i < CUT; i++) {
        add_exactly(&h, message + i, 1);
        add_exactly(&h, message, 0);
    }
    end(&h);
    assert_memory_equal(h.digest, expected, sizeof(expected));
}

/* The length stands in all eight bytes; nobody waits for so long a message:
 * this is its last block, after a state that is the first. */
static void
test_guest_sha256__a_length_of_64_bits(void **state)
{
    struct hash h;

    (void)state;
    begin(&h);
    h.s.bytes = UINT64_C(0x0123456789abcd40);
    expect_text(&h, "0bfd83e12c88c9c663d91f7ce3d74e53"
                    "d412cb002d8cf45a46ecc136c2a4f563");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest_sha256__examples),
        cmocka_unit_test(test_guest_sha256__a_million),
        cmocka_unit_test(test_guest_sha256__every_length),
        cmocka_unit_test(test_guest_sha256__cut_anywhere),
        cmocka_unit_test(test_guest_sha256__a_length_of_64_bits),
    };

    return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
