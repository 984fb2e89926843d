/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a program asks to watch, as the command partition is asked: for watches
 * of a system, and for those of other programs. */
#ifndef SYSTEM_WATCH_H
#define SYSTEM_WATCH_H

#include <ultravisor/watch.h>

#include "command/client.h"

/* Errors: ARG (their size, or a label that none can be). */
ulv_status ulv_watch_asked(const struct ulv_watch_opts *opts,
                           struct ulv_command_watching *ret,
                           struct ulv_diag *diag);

#endif
