/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a monitor's role does to save its guest, and to go on with one. */
#include "base/base.h"
#include "system/role_monitor.h"

static void
save(struct monitor_role *r, const struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    struct say say = { .kind = SAY_SAVED };
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint64_t room = heard->say.u.view.bytes, bytes = 0;
    void *p;
    ulv_status status =
        host->memory_map(host->self, heard->handle[0], 0, room,
                         ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);

    if (status == ULV_OK) {
        if (heard->say.u.view.part == SAVE_STATE)
            status = ulv_monitor_save(r->monitor, p, room, &bytes, &diag);
        else if (heard->say.u.view.part == SAVE_WRITTEN)
            status = ulv_monitor_written(r->monitor, p, room, &diag);
        else
            status = ulv_monitor_track(
                r->monitor, heard->say.u.view.part == SAVE_TRACK, &diag);
        host->memory_unmap(host->self, p, room);
    }
    diag.status = status;
    say.u.order_done.ticket = bytes;
    say.u.order_done.diag = diag;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static void
restore(struct monitor_role *r, const struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint64_t bytes = heard->say.u.start.bytes;
    uint64_t mapped = ulv_round_up(bytes, 4096);
    void *p;
    ulv_status status = host->memory_map(host->self, heard->handle[0], 0,
                                         mapped, ULV_MAP_READ, NULL, &p);

    if (status == ULV_OK) {
        status = ulv_monitor_restore(r->monitor, p, bytes, &diag);
        host->memory_unmap(host->self, p, mapped);
    }
    ulv_role_monitor_started(r, status, &diag);
}

ulv_status
ulv_role_state_hear(struct role *role, struct heard *heard)
{
    struct monitor_role *r = ULV_CONTAINER_OF(role, struct monitor_role, role);

    if (heard->say.kind == SAY_SAVE)
        save(r, heard);
    else if (heard->say.kind == SAY_RESTORE)
        restore(r, heard);
    else
        return ULV_E_PEER_PROTOCOL;
    return ULV_OK;
}
