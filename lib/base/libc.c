/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The four functions that compilers call, for x86-64 programs without a C
 * library: guests and bare-metal images. Not part of the core. */
#include "base/libc.h"

#include <stdint.h>

#undef memcpy
#undef memmove
#undef memset
#undef memcmp

void *
memcpy(void *restrict to, const void *restrict from, size_t len)
{
    void *result = to;
    size_t words = len / 8;

    __asm__ volatile("rep movsq\n"
                     "    mov %3, %%rcx\n"
                     "    rep movsb"
                     : "+D"(to), "+S"(from), "+c"(words)
                     : "r"(len % 8)
                     : "memory");
    return result;
}

void *
memmove(void *to, const void *from, size_t len)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    if (d <= s || d >= s + len)
        return memcpy(to, from, len);
    while (len-- > 0)
        d[len] = s[len];
    return to;
}

void *
memset(void *to, int byte, size_t len)
{
    void *result = to;
    size_t words = len / 8;

    __asm__ volatile("rep stosq\n"
                     "    mov %3, %%rcx\n"
                     "    rep stosb"
                     : "+D"(to), "+c"(words)
                     : "a"((uint8_t)byte * UINT64_C(0x0101010101010101)),
                       "r"(len % 8)
                     : "memory");
    return result;
}

int
memcmp(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < len; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}
