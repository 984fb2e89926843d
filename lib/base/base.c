/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/base.h"

#include "crc_table.h"

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
    const uint8_t *b = p;

    crc = ~crc;
    for (; len >= 4; len -= 4, b += 4) {
        crc ^= (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
               (uint32_t)b[3] << 24;
        crc = crc_table[3][crc & 255] ^ crc_table[2][crc >> 8 & 255] ^
              crc_table[1][crc >> 16 & 255] ^ crc_table[0][crc >> 24];
    }
    while (len-- > 0)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *b++) & 255];
    return ~crc;
}
