/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A bare machine's system keeps no decisions: they are told, in a line each. */
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
