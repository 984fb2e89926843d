/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The process backend: a guest is a sandboxed process of the host, started from
 * a tiny static launcher. Works where there is no virtualization, and as an
 * ordinary user. Memory is mapped before the start and stays.
 */
#ifndef BACKEND_PROCESS_PROCESS_H
#define BACKEND_PROCESS_PROCESS_H

#include <ultravisor/sys/backend.h>

extern const struct ulv_backend_ops ulv_backend_process;

#endif
