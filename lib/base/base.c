/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/base.h"

bool
ulv_add_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *ret = sum;
    return true;
}

bool
ulv_multiply_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t product;

    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *ret = product;
    return true;
}

bool
ulv_range_inside(uint64_t offset, uint64_t bytes, uint64_t limit)
{
    return offset <= limit && bytes <= limit - offset;
}

bool
ulv_ranges_overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    if (a_bytes == 0 || b_bytes == 0)
        return false;
    return a <= b ? b - a < a_bytes : a - b < b_bytes;
}

bool
ulv_is_power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

uint64_t
ulv_round_down(uint64_t n, uint64_t align)
{
    return n & ~(align - 1);
}

uint64_t
ulv_round_up(uint64_t n, uint64_t align)
{
    return (n + (align - 1)) & ~(align - 1);
}

bool
ulv_guid_equal(const uint8_t a[16], const uint8_t b[16])
{
    return memcmp(a, b, 16) == 0;
}

uint16_t
ulv_get_le16(const void *p)
{
    const uint8_t *b = p;

    return (uint16_t)(b[0] | b[1] << 8);
}

uint32_t
ulv_get_le32(const void *p)
{
    const uint8_t *b = p;

    return (uint32_t)ulv_get_le16(b) | (uint32_t)ulv_get_le16(b + 2) << 16;
}

uint64_t
ulv_get_le64(const void *p)
{
    const uint8_t *b = p;

    return (uint64_t)ulv_get_le32(b) | (uint64_t)ulv_get_le32(b + 4) << 32;
}

uint32_t
ulv_crc32c(uint32_t crc, const void *p, size_t len)
{
    /* Four bits at a time: small enough for firmware, no table to build. */
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *b = p;

    crc = ~crc;
    while (len-- > 0) {
        crc ^= *b++;
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}
