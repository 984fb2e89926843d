/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The host table for Linux: what a program passes to ulv_system_create().
 *
 * For programs on Linux. Other ports have a header of their own.
 */
#ifndef ULTRAVISOR_POSIX_H
#define ULTRAVISOR_POSIX_H

#include <ultravisor/sys/host.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The host table of this process: constant, without state, good for any
 * number of systems. Every handle is a file descriptor, closed on exec.
 *
 * Its functions ignore self, and log is NULL. A program that wants its log
 * lines, or has an allocator of its own, copies the table, sets these members
 * and points self at whatever they need.
 *
 * Context: any
 * Since:   0.1
 */
ULV_API const struct ulv_host *ulv_posix_host(void);

#ifdef __cplusplus
}
#endif

#endif
