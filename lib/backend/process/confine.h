/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * How the launcher takes everything from itself that a guest must not have.
 * Each returns 0 or a negative errno. What a kernel need not allow to an
 * ordinary user (namespaces, Landlock) is left out where it does not; what
 * contains a guest by itself is the filter.
 */
#ifndef BACKEND_PROCESS_CONFINE_H
#define BACKEND_PROCESS_CONFINE_H

#include <stdbool.h>

/* Own namespaces and an empty root folder; another user, if it may be one.
 * Whether there is a PID namespace now: it begins with the next process. */
bool launcher_leave(bool other_user);

/* No right, no limit above nothing, no way to any, and not to be looked at;
 * dies with its parent. The descriptors it needs are its own. */
long launcher_give_up_rights(void);

/* Nothing can be opened or made any more: after the descriptors are closed. */
long launcher_give_up_limits(void);

/* From here on two system calls with fixed arguments are left; debug: a third,
 * and the return from a signal handler. */
long launcher_filter(bool debug);

#endif
