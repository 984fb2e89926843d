/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* In place of rung.c on a bare machine: everybody is looked at. */
#include "base/base.h"
#include "system/rung.h"

ulv_status
ulv_rung_add(struct rung *rung, struct bell *bell, ulv_handle handle,
             void (*rang)(struct bell *bell))
{
    (void)rung;
    bell->handle = handle;
    bell->rang = rang;
    return ULV_OK;
}

void
ulv_rung_remove(struct rung *rung, struct bell *bell)
{
    (void)rung;
    (void)bell;
}

void
ulv_rung_fini(struct rung *rung)
{
    (void)rung;
}

bool
ulv_rung_look(struct rung *rung)
{
    (void)rung;
    return false;
}

bool
ulv_rung_can_tell(const struct rung *rung)
{
    (void)rung;
    return false;
}
