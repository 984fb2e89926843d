/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What stands behind the handles of the test host. A handle is the number of
 * a slot and the generation of the slot, so that a closed one is noticed.
 */
#ifndef PORT_TEST_OBJECT_H
#define PORT_TEST_OBJECT_H

#include "port/test/test.h"

enum ulv_test_kind {
    ULV_TEST_FREE,
    ULV_TEST_MEMORY,
    ULV_TEST_EVENT,
    ULV_TEST_SET,
    ULV_TEST_MEDIUM,
    ULV_TEST_FENCE,
};

/* Shared by all handles that name it; freed with the last. */
struct ulv_test_object {
    enum ulv_test_kind kind;
    uint32_t holders;         /* handles and maps */
    uint8_t *p;               /* MEMORY */
    uint64_t bytes;           /* MEMORY, MEDIUM */
    bool is_at;               /* MEMORY: p lies in the host's frames */
    uint32_t seals;           /* MEMORY */
    bool signalled;           /* EVENT */
    struct ulv_source source; /* MEDIUM: MEMORY or READ */
    ulv_handle *watched;      /* SET: ULV_TEST_HANDLES_MAX of them */
    uint32_t watched_count;
    struct ulv_test_opening *holder; /* FENCE: who holds it */
};

/* One opening of a fence; duplicates of a handle share it. */
struct ulv_test_opening {
    uint32_t handles;
};

struct ulv_test_slot {
    struct ulv_test_object *object;   /* NULL: free */
    struct ulv_test_opening *opening; /* FENCE: of this handle */
    uint32_t generation;
    bool read_only; /* MEMORY */
};

void ulv_test_misuse(struct ulv_test_host *t, const char *text);
/* Counts a fallible call; whether it is the one that fails. */
bool ulv_test_fails(struct ulv_test_host *t);
/* A new handle of object, which gets one holder more; LIMIT: no slot. */
ulv_status ulv_test_handle(struct ulv_test_host *t,
                           struct ulv_test_object *object, ulv_handle *ret);
/* The slot of a handle of this kind (FREE: any), or NULL and a misuse. */
struct ulv_test_slot *
ulv_test_slot(struct ulv_test_host *t, ulv_handle h, enum ulv_test_kind kind);
/* A new object with a first handle. */
ulv_status
ulv_test_object(struct ulv_test_host *t, enum ulv_test_kind kind,
                struct ulv_test_object **ret_object, ulv_handle *ret);
void ulv_test_object_members(struct ulv_host *host);
void ulv_test_medium_members(struct ulv_host *host);
/* Frees all that is left. */
void ulv_test_object_fini(struct ulv_test_host *t);

#endif
