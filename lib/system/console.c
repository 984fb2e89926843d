/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <ultravisor/console.h>

#include "base/base.h"
#include "system/system_priv.h"

ulv_status
ulv_console_write(ulv_system *system, ulv_id partition, const void *bytes,
                  size_t len, size_t *ret_taken, struct ulv_diag *diag)
{
    const struct keeper_partition *p =
        ulv_system_guest(system, partition, diag);
    struct keeper_channel *c;
    ulv_status status;

    *ret_taken = 0;
    if (p == NULL)
        return ULV_E_NOT_FOUND;
    c = ulv_keeper_console(&system->keeper, partition);
    if (c == NULL || c->draining)
        return ulv_fail(diag, ULV_E_NOT_FOUND, partition, 0, 0,
                        "%s has no console", p->name);
    if (c->dirty)
        return ulv_fail(diag, ULV_E_STATE, partition, c->id, 0,
                        "%s has ended: start it again first", p->name);
    if (!ulv_keeper_console_is_served(&system->keeper, c))
        return ulv_fail(diag, ULV_E_PEER_GONE, partition, c->id, 0,
                        "nobody is left who could serve the console of %s",
                        p->name);
    status = ulv_keeper_input_type(&system->keeper, c, bytes, len, ret_taken);
    if (status != ULV_OK)
        return ulv_fail(diag, status, partition, c->input.count,
                        ULV_CONSOLE_INPUT_KEPT,
                        "%s: %u bytes are typed and not read, of %u at most",
                        p->name, (uint64_t)c->input.count,
                        (uint64_t)ULV_CONSOLE_INPUT_KEPT);
    return ULV_OK;
}
