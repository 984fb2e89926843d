/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A guest under a debugger: halted, looked at, let go on. Only who debugs links
 * this; run.c knows no more than that a guest is halted.
 */
#include "monitor/monitor_priv.h"

#define SHOWN_MAX 64u /* processors: bits of a uint64_t */

static void
halt(struct ulv_monitor *m, const struct ulv_monitor_stop *why)
{
    if (m->halted)
        return; /* another one was there first; this one stands too */
    m->halted = true;
    m->told = false;
    m->stop = *why;
    for (uint32_t i = 0; i < m->processor_count; i++)
        ulv_monitor_hold(m, &m->processor[i], true);
}

static void
on_debug(struct ulv_monitor *m, struct processor *p,
         const struct ulv_exit_debug *exit)
{
    const struct ulv_monitor_stop why = { .processor =
                                             (uint32_t)(p - m->processor),
                                         .cause = exit->cause,
                                         .address = exit->address};

    trace(m, ULV_TRACE_TURN, 0, 0, 0);
    halt(m, &why);
}

void
ulv_monitor_debug(struct ulv_monitor *m, bool hold)
{
    m->debug = true;
    m->on_debug = on_debug;
    m->halted = hold;
}

void
ulv_monitor_halt(struct ulv_monitor *m)
{
    const struct ulv_monitor_stop asked = { .cause = 0 };

    m->on_debug = on_debug;
    halt(m, &asked);
    m->told = false; /* also of one that stood already */
}

bool
ulv_monitor_halted(struct ulv_monitor *m, struct ulv_monitor_stop *ret)
{
    bool news = m->halted && !m->told && m->end.reason == ULV_END_REASON_NONE;

    m->told = m->halted;
    *ret = m->stop;
    return news;
}

uint64_t
ulv_monitor_processors(const struct ulv_monitor *m)
{
    uint64_t on = 0;

    for (uint32_t i = 0; i < ULV_MIN(m->processor_count, SHOWN_MAX); i++) {
        if (m->processor[i].on)
            on |= UINT64_C(1) << i;
    }
    return on;
}

static struct processor *
find(struct ulv_monitor *m, uint32_t processor)
{
    if (!m->halted || processor >= m->processor_count ||
        m->end.reason != ULV_END_REASON_NONE)
        return NULL;
    return &m->processor[processor];
}

ulv_status
ulv_monitor_registers(struct ulv_monitor *m, uint32_t processor,
                      struct ulv_registers *ret)
{
    const struct processor *p = find(m, processor);

    if (p == NULL)
        return ULV_E_STATE;
    if (m->cfg.backend->vcpu_registers == NULL)
        return ULV_E_UNSUPPORTED;
    return m->cfg.backend->vcpu_registers(p->vcpu, ret);
}

ulv_status
ulv_monitor_set_registers(struct ulv_monitor *m, uint32_t processor,
                          const struct ulv_registers *registers)
{
    const struct processor *p = find(m, processor);

    if (p == NULL)
        return ULV_E_STATE;
    if (m->cfg.backend->vcpu_set_registers == NULL)
        return ULV_E_UNSUPPORTED;
    return m->cfg.backend->vcpu_set_registers(p->vcpu, registers);
}

/* What it waits for, it waits for no more: a step is to be over soon. */
static ulv_status
tell_backend(struct ulv_monitor *m, uint64_t step,
             const struct ulv_debug *debug)
{
    ulv_status status = ULV_OK;

    if (m->cfg.backend->vcpu_debug == NULL)
        return step == 0 && debug->point_count == 0 ? ULV_OK
                                                    : ULV_E_UNSUPPORTED;
    for (uint32_t i = 0; i < m->processor_count && status == ULV_OK; i++) {
        struct ulv_debug own = *debug;

        own.step = i < SHOWN_MAX && (step >> i & 1) != 0;
        status = m->cfg.backend->vcpu_debug(m->processor[i].vcpu, &own);
    }
    return status;
}

/* They are let run when it is their turn. */
static void
unhalt(struct ulv_monitor *m, uint64_t who)
{
    m->halted = m->told = false;
    for (uint32_t i = 0; i < m->processor_count; i++) {
        struct processor *p = &m->processor[i];

        p->halted = i < SHOWN_MAX && (who >> i & 1) == 0;
        p->idle = false;
    }
}

ulv_status
ulv_monitor_go_on(struct ulv_monitor *m, uint64_t run, uint64_t step,
                  const struct ulv_debug *debug)
{
    ulv_status status;

    if (!m->halted)
        return ULV_OK;
    status = tell_backend(m, step, debug);
    if (status == ULV_OK)
        unhalt(m, run | step);
    else
        m->told = false;
    return status;
}

/* Halted first: what it did under the debugger is taken as that. */
void
ulv_monitor_let(struct ulv_monitor *m)
{
    static const struct ulv_debug off;

    m->told = true;
    if (m->started && m->end.reason == ULV_END_REASON_NONE) {
        ulv_monitor_halt(m);
        ulv_monitor_settle(m);
        (void)tell_backend(m, 0, &off);
    }
    unhalt(m, UINT64_MAX);
}
