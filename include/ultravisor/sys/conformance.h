/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The conformance kit: runs a backend through the contract of
 * <ultravisor/sys/backend.h> and says of each case whether it held.
 *
 * For authors of backends; every backend of the library passes it. It makes
 * machines, runs guests of a few instructions, and looks at what comes back.
 * It uses a host table and no C library, so it also runs where there is no
 * operating system. It decides by what a backend does, never by its name, and
 * by its capabilities what to leave out. It does not measure, and it does not
 * survive everything: a backend that hangs or writes where it may not takes
 * the program along; run it in a process of its own.
 *
 *     struct ulv_conformance_opts opts = ULV_CONFORMANCE_OPTS_INIT;
 *     struct ulv_conformance_counts counts;
 *
 *     opts.backend = &my_backend;
 *     opts.host = ulv_posix_host();
 *     opts.report = print;
 *     status = ulv_conformance_run(&opts, &counts, &diag);
 *
 * Link libultravisor-conformance.a (pkg-config ultravisor-conformance);
 * examples/conformance.c is a whole program. What the groups hold a backend
 * to, and what to look at when a case fails: doc/backend-author.md.
 */
#ifndef ULTRAVISOR_SYS_CONFORMANCE_H
#define ULTRAVISOR_SYS_CONFORMANCE_H

#include <ultravisor/sys/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Groups of cases; bit n is ulv_conformance_group(n). */
#define ULV_CONFORMANCE_LIFECYCLE  UINT32_C(0x001) /* probe, init, fini */
#define ULV_CONFORMANCE_MEMORY     UINT32_C(0x002) /* map, unmap */
#define ULV_CONFORMANCE_CALLS      UINT32_C(0x004) /* through the gate */
#define ULV_CONFORMANCE_FAULTS     UINT32_C(0x008)
#define ULV_CONFORMANCE_BUDGET     UINT32_C(0x010) /* of vcpu_run */
#define ULV_CONFORMANCE_KICKS      UINT32_C(0x020) /* vcpu_kick */
#define ULV_CONFORMANCE_PAUSE      UINT32_C(0x040) /* at any instruction */
#define ULV_CONFORMANCE_REGISTERS  UINT32_C(0x080) /* vcpu_registers */
#define ULV_CONFORMANCE_HOLD       UINT32_C(0x100) /* run beside us */
#define ULV_CONFORMANCE_DOORBELLS  UINT32_C(0x200)
#define ULV_CONFORMANCE_PROCESSORS UINT32_C(0x400) /* more than one */
#define ULV_CONFORMANCE_EXHAUSTION UINT32_C(0x800) /* limits, no memory */
#define ULV_CONFORMANCE_CHURN      UINT32_C(0x1000) /* leaves nothing behind */
#define ULV_CONFORMANCE_SAVE       UINT32_C(0x2000) /* and restore elsewhere */
#define ULV_CONFORMANCE_TRACK      UINT32_C(0x4000) /* pages written */
#define ULV_CONFORMANCE_INTERRUPTS UINT32_C(0x8000) /* and their handlers */
#define ULV_CONFORMANCE_DEBUG      UINT32_C(0x10000) /* vcpu_debug */
#define ULV_CONFORMANCE_ALL        UINT32_C(0x1ffff)

/* What a guest of the backend is made of. */
#define ULV_CONFORMANCE_X86   UINT32_C(0) /* 64-bit code, run at CPL3 */
#define ULV_CONFORMANCE_STEPS UINT32_C(1) /* <ultravisor/sys/mock.h> */

/* What became of a case. */
#define ULV_CONFORMANCE_PASSED  UINT32_C(0)
#define ULV_CONFORMANCE_FAILED  UINT32_C(1)
#define ULV_CONFORMANCE_SKIPPED UINT32_C(2)

/* One case, told to report; the strings are good for that call only. */
struct ulv_conformance_result {
    uint32_t size;
    uint32_t result;    /* ULV_CONFORMANCE_PASSED .. SKIPPED */
    uint32_t number;    /* 1 .. how many cases are run */
    uint32_t rsvd_;
    const char *group;  /* "memory" */
    const char *name;   /* "a write to read-only memory faults" */
    const char *reason; /* FAILED, SKIPPED: one line; otherwise "" */
};

struct ulv_conformance_counts {
    uint32_t cases; /* how many there were: the sum of the others */
    uint32_t passed, failed, skipped;
};

/* What a program holds of its system; each is to be as before, after machines
 * came and went. A negative one is not known. */
struct ulv_conformance_usage {
    int64_t handles;  /* open descriptors */
    int64_t threads;
    int64_t processes;
    int64_t bytes;    /* resident memory; may be more by 3 MiB */
};

struct ulv_conformance_opts {
    uint32_t size;       /* sizeof(struct ulv_conformance_opts) */
    uint32_t groups;     /* ULV_CONFORMANCE_*; 0: all */
    uint32_t repeats;    /* of what is done often; 0: 1000 */
    uint32_t guest_code; /* ULV_CONFORMANCE_X86 or _STEPS */
    uint64_t seed;       /* of what is random; the same seed, the same run */
    /* What is not there after so long is taken to be lost [ns]; 0: 60 s. A
     * backend that passes never waits for it. */
    ulv_nsec patience;
    const struct ulv_backend_ops *backend;
    const struct ulv_host *host; /* what the backend is given, too */
    const char *launcher; /* ulv_machine_cfg.launcher */
    const char *only;     /* NULL, or the name of the one case to run */

    /* NULL, or told of each case when it is over. Context: the caller's. */
    void (*report)(void *self, const struct ulv_conformance_result *result);
    /* NULL: kicks come from the caller's own thread, and cases that need
     * another one are skipped. Otherwise: call function in another thread;
     * join waits until it has returned, and frees *ret_thread. false: there is
     * no thread to be had, and the case fails. Both or neither. */
    bool (*thread_start)(void *self, void (*function)(void *argument),
                         void *argument, void **ret_thread);
    void (*thread_join)(void *self, void *thread);
    /* NULL: what is not in the host table is not looked at. */
    void (*usage)(void *self, struct ulv_conformance_usage *ret);
    void *self; /* passed to all of them */
};

#define ULV_CONFORMANCE_OPTS_INIT                                              \
    {                                                                          \
        (uint32_t)sizeof(struct ulv_conformance_opts), 0, 0, 0, 1, 0, NULL,    \
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL                     \
    }

/**
 * Run the cases and report each. Nothing is left behind, whatever they find.
 *
 * @param opts        borrowed for the call
 * @param ret_counts  how many passed, failed and were skipped; also what tells
 *                    whether the backend conforms: failed is 0
 * @param diag        NULL or where it is explained why no case could be run
 *
 * Returns ULV_OK when the cases were run, also when some failed.
 *
 * Errors:  ULV_E_ARG        no backend, no host, a group or kind of guest code
 *                           that does not exist, no case of that name
 *          ULV_E_NO_MEMORY  the host has none for the kit itself
 *          others           the backend cannot be used here: what its probe
 *                           said
 * Context: serial; the thread that calls owns all machines
 */
ulv_status ulv_conformance_run(const struct ulv_conformance_opts *opts,
                               struct ulv_conformance_counts *ret_counts,
                               struct ulv_diag *diag);

/**
 * The name of the group of bit idx, "lifecycle"; NULL past the last one.
 *
 * @param idx  0 up
 *
 * Context: any
 */
const char *ulv_conformance_group(uint32_t idx);

#ifdef __cplusplus
}
#endif

#endif
