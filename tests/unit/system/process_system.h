/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A system whose guests are processes; where there can be none the test skips,
 * and says why. */
#ifndef TEST_PROCESS_SYSTEM_H
#define TEST_PROCESS_SYSTEM_H

#include "../port/port_test.h"

#include <ultravisor/ultravisor.h>

static inline ulv_system *
process_system(const char *launcher, const char *role_program,
               uint32_t placement)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system;

    opts.backend = "process";
    opts.placement = placement;
    opts.launcher_program = launcher;
    opts.role_program = role_program;
    if (ulv_system_create(ulv_posix_host(), &opts, &system, &diag) != ULV_OK) {
        print_message("# %s\n", diag.text);
        skip();
    }
    return system;
}

#endif
