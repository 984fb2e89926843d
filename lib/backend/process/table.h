/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the backend tells the launcher, and the page through which guest and
 * backend talk. Both are shared memory; what the guest can write (the call
 * page) is copied once before it is used. The table is gone before the guest's
 * first instruction.
 */
#ifndef BACKEND_PROCESS_TABLE_H
#define BACKEND_PROCESS_TABLE_H

#include <stdint.h>

/* Descriptors of the launcher. */
#define FD_TABLE  3  /* struct table, read-write */
#define FD_CALL   4  /* eventfd: the guest calls */
#define FD_ANSWER 5  /* eventfd: it is answered */
#define FD_DEBUG  6  /* eventfd: a guest that was stopped goes on */
#define FD_PAGES  7  /* call page, then gate page */
#define FD_PARENT 8  /* pidfd of the backend's process */
#define FD_MEMORY 9  /* first memory object */

#define REGIONS_MAX 128u

/*
 * The addresses of the launcher, all above those of a guest. Nothing else is
 * mapped in [0, end of the address space) but the guest's regions and its gate
 * page.
 */
#define LAUNCHER_START 0x600000000000 /* linked there */
#define CALL_PAGE      0x600000100000 /* the call page, read and write */
#define GATE_COPY      0x600000101000 /* the gate page, only to be read */
#define TABLE_PLACE    0x600000200000 /* the table, until the guest starts */
#define LAUNCHER_END   0x600000300000

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
    STEP_SPACE,
    STEP_PROCESS,
    STEP_MAP,
    STEP_PAGES,
    STEP_PARENT,
    STEP_CLOSE,
    STEP_LIMITS,
    STEP_SIGNALS,
    STEP_SECCOMP,
    STEP_COUNT
};

struct table {
    uint64_t gate, entry, stack, argument;
    uint32_t region_count;
    uint32_t other_user; /* may become another user: it can still be killed */
    uint32_t debug; /* SIGTRAP stops it, and it comes back from that; otherwise
                       it has no FD_DEBUG */
    uint32_t rsvd_;
    /* the launcher's report */
    uint32_t step;
    int32_t guest; /* process that goes on as the guest; 0: the launcher's */
    uint64_t address; /* that the step which failed was about */
    struct table_region region[REGIONS_MAX];
};

#define CALL_KIND_CALL  0u
#define CALL_KIND_FAULT 1u

struct call_page {
    uint64_t number, argument[4]; /* 0, 8 .. 32 */
    int64_t status;               /* 40 */
    uint64_t value;               /* 48 */
    uint64_t kind;                /* 56: CALL_KIND_* */
    uint64_t taken;               /* 64: what is read from FD_ANSWER */
    uint32_t signal, trap;        /* 72: of a fault */
    int64_t code;                 /* 80: si_code */
    uint64_t error_code, address; /* 88 */
    uint64_t registers[18];       /* 104: order of struct ulv_registers */
    uint64_t stopped; /* 248: 1: by SIGTRAP, with these registers, and with
                         those that lie there then it goes on */
};

#define CALL_TAKEN 64

/* Of the gate page, after the code: a 1, which is what a guest writes to
 * FD_CALL. It cannot change it, so it can write nothing else. */
#define GATE_ONE 4088

_Static_assert(sizeof(struct table) <= 8192, "two pages");
_Static_assert(sizeof(struct call_page) <= 4096, "one page");

#define TABLE_BYTES 8192u

#endif
