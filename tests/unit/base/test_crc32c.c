/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

/* The iSCSI SCSI Read (10) Command PDU of RFC 3720 B.4. */
static const uint8_t read_command[48] = {
    0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
    0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

/* The RFC prints the bytes as sent, lowest first: aa 36 91 8a is 8a9136aa. */
static void
test_base_crc32c__rfc_3720_vectors(void **state)
{
    uint8_t zeroes[32], ones[32], up[32], down[32];

    (void)state;
    memset(zeroes, 0, sizeof(zeroes));
    memset(ones, 0xff, sizeof(ones));
    for (uint8_t i = 0; i < 32; i++) {
        up[i] = i;
        down[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(ulv_crc32c(0, zeroes, 32), 0x8a9136aa);
    assert_int_equal(ulv_crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(ulv_crc32c(0, up, 32), 0x46dd794e);
    assert_int_equal(ulv_crc32c(0, down, 32), 0x113fdb5c);
    assert_int_equal(ulv_crc32c(0, read_command, 48), 0xd9963a56);
}

static void
test_base_crc32c__check_value_and_nothing(void **state)
{
    (void)state;
    assert_int_equal(ulv_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(ulv_crc32c(0, "", 0), 0);
    assert_int_equal(ulv_crc32c(0x12345678, "", 0), 0x12345678);
}

static void
test_base_crc32c__goes_on_from_a_part(void **state)
{
    uint32_t whole = ulv_crc32c(0, read_command, sizeof(read_command));

    (void)state;
    for (size_t cut = 0; cut <= sizeof(read_command); cut++) {
        uint32_t crc = ulv_crc32c(0, read_command, cut);

        crc = ulv_crc32c(crc, read_command + cut, sizeof(read_command) - cut);
        assert_int_equal(crc, whole);
    }
}

/* The definition: reflected polynomial 0x82f63b78, one bit at a time. */
static uint32_t
bit_by_bit(const uint8_t *p, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void
test_base_crc32c__equals_the_definition(void **state)
{
    uint8_t bytes[257];
    unsigned seed = 20240131;

    (void)state;
    print_message("# seed %u\n", seed);
    srand(seed);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)rand();
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        assert_int_equal(ulv_crc32c(0, bytes, len), bit_by_bit(bytes, len));
        /* the end of the buffer, from any alignment */
        assert_int_equal(ulv_crc32c(0, bytes + sizeof(bytes) - len, len),
                         bit_by_bit(bytes + sizeof(bytes) - len, len));
    }
}

static void
test_base_crc32c__sees_every_single_bit(void **state)
{
    uint8_t bytes[48];
    uint32_t good = ulv_crc32c(0, read_command, sizeof(read_command));

    (void)state;
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        memcpy(bytes, read_command, sizeof(bytes));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(ulv_crc32c(0, bytes, sizeof(bytes)), good);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_crc32c__rfc_3720_vectors),
        cmocka_unit_test(test_base_crc32c__check_value_and_nothing),
        cmocka_unit_test(test_base_crc32c__goes_on_from_a_part),
        cmocka_unit_test(test_base_crc32c__equals_the_definition),
        cmocka_unit_test(test_base_crc32c__sees_every_single_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
