/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The quantum map, kept by the monitor itself: when a processor may run follows
 * from the clock and the set of quanta that the view names. So it takes no
 * right of the host, and is the same on a bare machine.
 */
#include "monitor/monitor_priv.h"

bool
ulv_monitor_in_turn(const struct processor *p, ulv_nsec now,
                    ulv_nsec *ret_until)
{
    uint64_t quantum = now / ULV_QUANTUM_NS;
    uint32_t at = (uint32_t)quantum % ULV_QUANTA, same = ULV_QUANTA;
    uint64_t ahead = p->quanta; /* bit 0: the quantum that is now */

    *ret_until = ULV_FOREVER;
    if (ahead == UINT64_MAX || ahead == 0)
        return ahead != 0;
    if (at != 0)
        ahead = ahead >> at | ahead << (ULV_QUANTA - at);
    if (p->yielded > now)
        ahead &= ~UINT64_C(1);
    if (ahead != 0)
        same = (uint32_t)__builtin_ctzll((ahead & 1) != 0 ? ~ahead : ahead);
    *ret_until = (quantum + same) * ULV_QUANTUM_NS;
    return (ahead & 1) != 0;
}

void
ulv_monitor_yield(struct ulv_monitor *m, struct processor *p)
{
    const struct ulv_host *host = m->cfg.host;

    m->turn++;
    p->yielded =
        (host->now(host->self) / ULV_QUANTUM_NS + 1) * ULV_QUANTUM_NS;
}

void
ulv_monitor_hold(struct ulv_monitor *m, struct processor *p, bool hold)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;
    const struct ulv_host *host = m->cfg.host;
    ulv_nsec now;

    if (hold == p->held)
        return;
    p->held = hold;
    if (backend->vcpu_hold != NULL)
        backend->vcpu_hold(p->vcpu, hold);
    now = host->now(host->self);
    if (hold)
        p->held_since = now;
    else /* it could not call */
        p->last_call = ULV_MIN(now, p->last_call + (now - p->held_since));
}

ulv_nsec
ulv_monitor_used(struct ulv_monitor *m)
{
    ulv_nsec used = m->used;

    for (uint32_t i = 0; i < m->processor_count; i++) {
        const struct processor *p = &m->processor[i];

        if (p->made && m->cfg.backend->vcpu_time != NULL)
            used += m->cfg.backend->vcpu_time(p->vcpu);
    }
    return used;
}

bool
ulv_monitor_read_quanta(struct ulv_monitor *m)
{
    struct ulv_view_processor listed;

    for (uint32_t i = 0; i < m->processor_count; i++) {
        ulv_status status = ulv_view_read(&m->view, ULV_VIEW_PROCESSOR, i,
                                          &listed, sizeof(listed));

        if (status != ULV_OK)
            return status == ULV_E_NOT_FOUND;
        if (listed.vcpu_idx < m->processor_count)
            m->processor[listed.vcpu_idx].quanta = listed.quanta;
    }
    return true;
}
