/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* In place of ultravisor_watch.c on a bare machine: nobody watches there. */
#include "system/ultravisor.h"

uint64_t
ulv_ultravisor_revision(void *self)
{
    (void)self;
    return 0;
}

bool
ulv_ultravisor_event(void *self, uint64_t after, struct ulv_log_record *ret)
{
    (void)self;
    (void)after;
    (void)ret;
    return false;
}
