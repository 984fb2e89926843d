/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the process of a role gives up once it knows what it is: every right
 * but to use the descriptors it has, by the system calls its role needs. Part
 * of the role program, not of the library: nothing is ever taken from the
 * process of a caller.
 *
 * Source: seccomp(2), landlock(7), capabilities(7), prctl(2), getrlimit(2)
 */
#ifndef PORT_POSIX_SANDBOX_H
#define PORT_POSIX_SANDBOX_H

#include "port/posix/posix.h"

/* Whose sandbox. A monitor's depends on what runs its guest. */
#define ULV_SANDBOX_ULTRAVISOR      UINT32_C(1)
#define ULV_SANDBOX_OPERATIONS      UINT32_C(2)
#define ULV_SANDBOX_COMMAND         UINT32_C(4)
#define ULV_SANDBOX_IO              UINT32_C(8)
#define ULV_SANDBOX_MONITOR_KVM     UINT32_C(16)
#define ULV_SANDBOX_MONITOR_PROCESS UINT32_C(32)
#define ULV_SANDBOX_MONITOR         UINT32_C(64) /* of any other backend */
#define ULV_SANDBOX_EVERY           UINT32_C(127)
/* Marks a rule that only a build with sanitizers has: what their run-time
 * libraries call. */
#define ULV_SANDBOX_SANITIZERS UINT32_C(128)

/* What the argument of a system call must be. */
enum ulv_sandbox_test {
    ULV_SANDBOX_ANY,
    ULV_SANDBOX_EQUAL,       /* to value */
    ULV_SANDBOX_CLEAR,       /* of the bits of value */
    ULV_SANDBOX_OWN_PROCESS, /* our own process number */
};

/* One system call that the roles in `who` may make. Several rules of one call
 * are alternatives. */
struct ulv_sandbox_rule {
    uint32_t who; /* ULV_SANDBOX_*, or-ed */
    int32_t number;
    enum ulv_sandbox_test test;
    uint32_t argument; /* that is tested, from 0 */
    uint64_t value;
    const char *call, *value_name;
};

/* The whole allow-list, in sandbox_rules.c. Context: any. */
const struct ulv_sandbox_rule *ulv_sandbox_rules(size_t *ret_count);

/* The sandbox of a partition's role. backend: of a monitor, otherwise NULL.
 * Context: any. */
uint32_t ulv_sandbox_of(uint32_t kind, const char *backend);

/**
 * The filter that a sandbox installs, as libseccomp's scmp_filter_ctx, to be
 * released by seccomp_release(3). NULL: *ret_code is the errno value.
 *
 * Context: any
 */
void *ulv_sandbox_filter(uint32_t who, int *ret_code);

/**
 * Enter the sandbox, for good: no new privileges, no capabilities, no core
 * file, no further process, no file system (Landlock), no system call that the
 * rules do not allow (it kills the process: SIGSYS). What was opened stays.
 *
 * @param who   one of ULV_SANDBOX_*
 * @param say   gets a line for each layer that this kernel lacks, which is then
 *              left out, and for what failed
 * @param self  passed to say
 *
 * Errors:  ULV_E_HOST, ULV_E_NO_MEMORY: a layer that the kernel has could not
 *          be entered; some may have been
 * Context: serial, once, while the process has one thread
 */
ulv_status ulv_sandbox_enter(uint32_t who,
                             void (*say)(void *self, const char *text),
                             void *self);

#endif
