/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef PORT_POSIX_PLATFORM_H
#define PORT_POSIX_PLATFORM_H

#include <ultravisor/sys/platform.h>

/* Roles as processes: spawn.h under the contract of sys/platform.h. */
extern const struct ulv_platform ulv_posix_platform;

#endif
