/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the benchmark of rings compares: each contender carries the same
 * messages between two processes, and the receiver looks at every byte.
 */
#ifndef TESTS_BENCHMARK_RING_H
#define TESTS_BENCHMARK_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            perror(#what);                                                     \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

#define SLOT       64u   /* bytes of a small message, with what precedes it */
#define SLOTS      1024u /* of them a ring holds */
#define PAGE_BYTES 4096u
#define PAGE_SLOTS 64u
#define BURST      32u

/* What is measured. The first three go one way, in messages; the others there
 * and back. */
enum ring_case {
    SINGLE,   /* 64 bytes, each shown to the receiver as it is written */
    BURSTS,   /* 64 bytes, 32 shown at once */
    PAGES,    /* 4 KiB */
    ROUND,    /* 64 bytes, both sides look without end */
    BLOCKING, /* 64 bytes, both sides sleep until they are woken */
    RING_CASES,
};

/* Where a contender lives: shared by both processes, its events and pipes made
 * before there were two. */
struct place {
    uint8_t *way[2]; /* WAY_BYTES each, zeroed; [0] to the receiver */
    int bell[2];     /* eventfd: [0] wakes the receiver */
    int pipe[2];     /* [1] is written by the sender */
    int pair[2];     /* sockets that keep messages apart */
    int stream[2];   /* and a pair that does not */
    uint64_t *doorbells; /* shared: how often anyone was woken */
};

#define WAY_BYTES (UINT64_C(1) << 20)

struct contender {
    const char *name;
    /* Before each sample, while nobody else looks. */
    void (*begin)(struct place *place, enum ring_case what);
    /* NULL: it has no such thing. The sender waits for the answer of each
     * message where there is one. */
    void (*send[RING_CASES])(struct place *place, uint64_t count);
    void (*receive[RING_CASES])(struct place *place, uint64_t count);
};

extern const struct contender contender_ours;
extern const struct contender contender_copied;
extern const struct contender contender_floor;
extern const struct contender contender_pipe;
extern const struct contender contender_packets;
extern const struct contender contender_stream;
extern const struct contender contender_event;
#ifdef HAVE_DPDK
extern const struct contender contender_dpdk;
#endif

static inline void
relax(void)
{
    __builtin_ia32_pause();
}

/* The words of message n. */
static inline void
fill(void *to, uint64_t n, uint32_t bytes)
{
    uint64_t *word = to;

    for (uint32_t i = 0; i < bytes / 8; i++)
        word[i] = n + i;
}

/* 0: they are those of message n. */
static inline uint64_t
differs(const void *from, uint64_t n, uint32_t bytes)
{
    const uint64_t *word = from;
    uint64_t difference = 0;

    for (uint32_t i = 0; i < bytes / 8; i++)
        difference |= word[i] ^ (n + i);
    return difference;
}

static inline void
must_agree(uint64_t difference)
{
    if (difference == 0)
        return;
    fprintf(stderr, "a message arrived with other bytes\n");
    exit(1);
}

#endif
