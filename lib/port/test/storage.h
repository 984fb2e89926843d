/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A storage for tests: in the heap, with failures on request, and with the
 * difference between what was written and what would outlast a crash.
 *
 *     struct ulv_test_storage s;
 *     ulv_test_storage_init(&s);
 *     ulv_test_storage_fail_at(&s, 7, ULV_TEST_STORAGE_SHORT);
 *     status = scenario(&s.storage);
 *     ulv_test_storage_crash(&s);
 *     status = scenario(&s.storage);
 *     ulv_test_storage_fini(&s);
 */
#ifndef PORT_TEST_STORAGE_H
#define PORT_TEST_STORAGE_H

#include <ultravisor/sys/storage.h>

/* How a call fails. */
#define ULV_TEST_STORAGE_FAIL  0u /* nothing is done */
#define ULV_TEST_STORAGE_SHORT 1u /* half of it is appended */
#define ULV_TEST_STORAGE_TORN  2u /* all of it, the first half as zeroes */
#define ULV_TEST_STORAGE_DONE  3u /* all of it is done, and yet it fails */
#define ULV_TEST_STORAGE_HOWS  4u

struct ulv_test_bytes {
    uint8_t *p;
    uint64_t bytes;
};

struct ulv_test_storage {
    struct ulv_storage storage; /* pass &s.storage */
    struct ulv_test_bytes now[ULV_STORAGE_OBJECTS];
    struct ulv_test_bytes synced[ULV_STORAGE_OBJECTS];
    uint64_t calls;   /* since fail_at; those of bytes and read too */
    uint64_t fail_at; /* that one fails; 0: none does */
    uint32_t how;
    bool stays;    /* and all after it */
    uint64_t room; /* bytes of all objects together: more is NO_MEMORY */
    /* What a sync that failed has lost: zeroes, whatever later ones say. */
    uint64_t lost_from[ULV_STORAGE_OBJECTS], lost_to[ULV_STORAGE_OBJECTS];
    uint64_t syncs;
    uint32_t closed;
};

/* These abort the test program if the heap is exhausted. */
void ulv_test_storage_init(struct ulv_test_storage *s);
void ulv_test_storage_fini(struct ulv_test_storage *s);
/* The n-th call from now fails with MEDIUM (1 is the next; 0: none). */
void ulv_test_storage_fail_at(struct ulv_test_storage *s, uint64_t n,
                              uint32_t how);
/* What was not synced is lost. */
void ulv_test_storage_crash(struct ulv_test_storage *s);
/* An object is these bytes, synced. */
void ulv_test_storage_set(struct ulv_test_storage *s, uint32_t object,
                          const void *p, uint64_t bytes);

#endif
