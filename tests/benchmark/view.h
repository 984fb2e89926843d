/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the benchmark of views compares: each contender keeps 256 bytes that one
 * writer replaces and a reader copies out whole.
 */
#ifndef TESTS_BENCHMARK_VIEW_H
#define TESTS_BENCHMARK_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS        32u /* in 256 bytes, all of one commit equal */
#define SHARED_BYTES (UINT64_C(1) << 20)

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            perror(#what);                                                     \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

struct contender {
    const char *name;
    bool one_process; /* the writer must be a thread of the reader's process */
    /* shared: SHARED_BYTES, zeroed, seen by both sides; the first commit */
    void (*begin)(void *shared);
    void (*end)(void);
    /* Each side, before its first commit or read, and after its last. */
    void (*writer_begin)(void), (*writer_end)(void);
    void (*reader_begin)(void), (*reader_end)(void);
    void (*commit)(uint64_t value);
    /* Returns how often it had to begin again. */
    uint64_t (*read)(uint64_t value[WORDS]);
};

extern const struct contender contender_view;
extern const struct contender contender_seqlock;
#ifdef HAVE_URCU
extern const struct contender contender_urcu;
#endif
#ifdef HAVE_LMDB
extern const struct contender contender_lmdb;
#endif

static inline void
fill(uint64_t to[WORDS], uint64_t value)
{
    for (uint32_t i = 0; i < WORDS; i++)
        to[i] = value;
}

#endif
