/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A bare machine's system keeps no decisions: they are told, in a line each. */
#include <ultravisor/console.h>

#include "base/base.h"
#include "system/system_priv.h"

void
ulv_system_keep_decisions(ulv_system *system)
{
    (void)system;
}

void
ulv_system_drop_decisions(ulv_system *system)
{
    (void)system;
}

void
ulv_system_hear_decisions(ulv_system *system)
{
    (void)system;
}

ulv_status
ulv_console_write(ulv_system *system, ulv_id partition, const void *bytes,
                  size_t len, size_t *ret_taken, struct ulv_diag *diag)
{
    (void)system;
    (void)bytes;
    *ret_taken = 0;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, partition, len, 0,
                    "consoles have no input on a bare machine");
}
