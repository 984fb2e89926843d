/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the backend tells the launcher, and the page through which guest and
 * backend talk. Both are shared memory; what the guest can write (the call
 * page) is copied once before it is used.
 */
#ifndef BACKEND_PROCESS_TABLE_H
#define BACKEND_PROCESS_TABLE_H

#include <stdint.h>

/* Descriptors of the launcher. */
#define FD_TABLE  3  /* struct table, read-write */
#define FD_CALL   4  /* eventfd: the guest calls */
#define FD_ANSWER 5  /* eventfd: it is answered */
#define FD_PAGES  6  /* call page, then gate page */
#define FD_MEMORY 7  /* first memory object */

#define REGIONS_MAX 128u

#define ACCESS_WRITE   1u
#define ACCESS_EXECUTE 2u

struct table_region {
    uint64_t guest, bytes, offset;
    int32_t fd;
    uint32_t access;
};

/* steps of the launcher, for the diagnostic when one fails */
enum {
    STEP_START,
    STEP_CLOSE,
    STEP_MAP,
    STEP_PAGES,
    STEP_LIMITS,
    STEP_SIGNALS,
    STEP_SECCOMP,
    STEP_READY
};

struct table {
    uint64_t gate, entry, stack, argument;
    uint32_t region_count;
    int32_t parent; /* pid the launcher must still have */
    /* the launcher's report */
    uint32_t step;
    int32_t code; /* errno of the step that failed, 0 = none */
    uint64_t address;
    struct table_region region[REGIONS_MAX];
};

#define CALL_KIND_CALL  0u
#define CALL_KIND_FAULT 1u

struct call_page {
    uint64_t number, argument[4]; /* 0, 8 .. 32 */
    int64_t status;               /* 40 */
    uint64_t value;               /* 48 */
    uint64_t kind;                /* 56: CALL_KIND_* */
    uint64_t one;                 /* 64: what is written to FD_CALL */
    uint64_t taken;               /* 72: what is read from FD_ANSWER */
    uint32_t signal, trap;        /* 80: of a fault */
    uint64_t error_code, address; /* 88 */
    uint64_t registers[18];       /* 104: order of struct ulv_registers */
};

#define CALL_ONE   64u
#define CALL_TAKEN 72u

_Static_assert(sizeof(struct table) <= 8192, "two pages");
_Static_assert(sizeof(struct call_page) <= 4096, "one page");

#define TABLE_BYTES 8192u

#endif
