/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Every symbol of a C library that the freestanding core uses. A compiler may
 * emit calls to these four in any case, so each port provides them; libc.c is
 * one way to.
 */
#ifndef BASE_LIBC_H
#define BASE_LIBC_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);

/* What these do a freestanding compiler does not know by their names: each copy
 * of eight bytes would be a call. */
#if __STDC_HOSTED__ == 0
#define memcpy  __builtin_memcpy
#define memmove __builtin_memmove
#define memset  __builtin_memset
#define memcmp  __builtin_memcmp
#endif

#endif
