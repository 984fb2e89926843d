/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the benchmark of the database shares with its peers: a clock, random
 * numbers, and the peers' own transaction. */
#ifndef TESTS_BENCHMARK_DATABASE_H
#define TESTS_BENCHMARK_DATABASE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);         \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

#define PEER_RECORD_BYTES 64u

double nanoseconds(void);
/* [ns] that this thread ran: what never waits for a device is measured by it,
 * so that other programs on the machine count for less. */
double processor_time(void);
uint64_t next_random(uint64_t *seed);

/* A peer holds records of PEER_RECORD_BYTES; each transaction reads 2 and
 * writes 3 of them at random. */
struct peer {
    const char *name;
    void *(*begin)(uint32_t records);
    void (*transact)(void *self, uint64_t *seed, uint32_t records);
    void (*end)(void *self);
};

extern const struct peer peer_floor, peer_lmdb, peer_sqlite;

#endif
