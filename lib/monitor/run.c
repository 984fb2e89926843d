/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Running the guest. Its processors run in our thread, in turns, or beside us:
 * then each is looked at when its event says so.
 */
#include "monitor/monitor_priv.h"

/* A guest that is paused keeps its state; its time goes on, its silence does
 * not count. Each processor is let run again when it is its turn. */
static void
hold_all(struct ulv_monitor *m)
{
    for (uint32_t i = 0; i < m->processor_count; i++)
        ulv_monitor_hold(m, &m->processor[i], true);
}

static void
tell_of_view(struct ulv_monitor *m)
{
    for (uint32_t i = 0; i < m->processor_count; i++)
        m->processor[i].woken |= ULV_WAIT_VIEW_MASK;
}

void
ulv_monitor_follow_view(struct ulv_monitor *m, bool now)
{
    const struct ulv_host *host = m->cfg.host;
    struct ulv_view_partition partition;
    bool rang =
        m->bell != ULV_NO_HANDLE && host->event_take(host->self, m->bell);
    uint64_t generation, changed;
    ulv_status status;

    if (!now && !rang && !m->look && host->now(host->self) < m->revoke_at)
        return;
    m->look = true; /* again, if we are lapped */
    if (ulv_view_refresh(&m->view, &generation) != ULV_OK ||
        ulv_view_partition_read(&m->view, &partition) != ULV_OK)
        return;
    if (generation != m->reading)
        tell_of_view(m);
    m->reading = generation;
    if (!ulv_monitor_read_quanta(m))
        return;
    m->paused = partition.intent == ULV_INTENT_PAUSED;
    if (m->paused)
        hold_all(m);
    changed = (m->partition.capabilities ^ partition.capabilities) &
              ULV_CAP_CHANNEL;
    m->partition = partition;
    if (changed != 0)
        ulv_monitor_set_doorbells(m);
    status = ulv_monitor_follow(m, false, NULL);
    if (status == ULV_OK && m->generation != generation) {
        m->generation = generation;
        trace(m, ULV_TRACE_VIEW, 0, generation, 0);
        tell_of_view(m); /* what it lists is there now */
    }
    if (status != ULV_OK && status != ULV_E_AGAIN)
        m->look = true;
    if (partition.intent == ULV_INTENT_STOPPED)
        ulv_monitor_kill(m);
}

/* Whether a processor that waits has something to wake for. */
static bool
wake(struct ulv_monitor *m, struct processor *p)
{
    const struct ulv_host *host = m->cfg.host;
    ulv_status status = ULV_OK;
    uint64_t rang;
    bool is_over;

    ulv_monitor_collect_bells(m);
    rang = m->pending | p->woken;
    if (rang == 0 && !(ULV_MONITOR_INTERRUPTS && p->interrupted))
        status = ULV_E_TIMEOUT;
    is_over = status == ULV_OK || host->now(host->self) >= p->wait_deadline;
    if (is_asleep(p) && ulv_monitor_is_up(m, p, is_over))
        return true;
    if (!is_over)
        return false;
    trace(m, ULV_TRACE_WAKE, 0, rang, status);
    m->cfg.backend->vcpu_answer(p->vcpu, status, rang);
    m->pending = p->woken = 0;
    p->waiting = p->interrupted = false;
    p->last_call = host->now(host->self);
    return true;
}

/* A guest that runs beside us runs all the time; one that runs in our thread
 * only while it is let. */
static void
check_silence(struct ulv_monitor *m, struct processor *p, ulv_nsec ran)
{
    struct ulv_exit_fault fault = { .kind = ULV_FAULT_RUNAWAY };

    if (p->event == ULV_NO_HANDLE)
        p->silence += ran;
    else if (!p->held && !p->waiting)
        p->silence = m->cfg.host->now(m->cfg.host->self) - p->last_call;
    if (m->partition.silence_limit == 0 || is_stock(m) ||
        p->silence < m->partition.silence_limit)
        return;
    if (m->cfg.backend->vcpu_hold != NULL)
        m->cfg.backend->vcpu_hold(p->vcpu, true);
    if (m->cfg.backend->vcpu_registers != NULL)
        (void)m->cfg.backend->vcpu_registers(p->vcpu, &fault.registers);
    ulv_monitor_fault(m, &fault);
}

static void
backend_failed(struct ulv_monitor *m)
{
    struct ulv_exit_fault fault = { .kind = ULV_FAULT_BACKEND };

    ulv_monitor_fault(m, &fault);
}

/* One stay in the guest, begun now. Returns whether it used up its budget. */
static bool
run_once(struct ulv_monitor *m, struct processor *p, ulv_nsec now,
         ulv_nsec budget)
{
    const struct ulv_host *host = m->cfg.host;
    struct ulv_exit out;

    m->current = p;
    p->called = false;
    if (m->cfg.backend->vcpu_run(p->vcpu, budget, &out) != ULV_OK) {
        backend_failed(m);
        return false;
    }
    switch (out.reason) {
    case ULV_EXIT_CALL:
        p->waiting = p->asleep = false; /* an interrupt had ended that */
        p->silence = 0;
        if (p->event != ULV_NO_HANDLE)
            p->last_call = host->now(host->self);
        ulv_monitor_call(m, &out.u.call);
        return false;
    case ULV_EXIT_INTERRUPTED:
        if (p->called)
            p->silence = 0;
        else if (budget != 0)
            trace(m, ULV_TRACE_TURN, 0, 0, 0);
        check_silence(m, p, host->now(host->self) - now);
        return true;
    case ULV_EXIT_DEBUG:
        if (m->on_debug != NULL)
            m->on_debug(m, p, &out.u.debug);
        return false;
    default:
        if (is_stock(m) && out.reason >= ULV_EXIT_IO)
            ulv_stock_exit(m, &out);
        else
            ulv_monitor_fault(m, &out.u.fault);
        return false;
    }
}

/* It waits, and only we end that. */
static bool
rests(const struct processor *p)
{
    return p->waiting && !is_asleep(p);
}

void
ulv_monitor_settle(struct ulv_monitor *m)
{
    const struct ulv_host *host = m->cfg.host;

    for (uint32_t i = 0; i < m->processor_count; i++) {
        struct processor *p = &m->processor[i];

        while (p->on && !rests(p) && m->end.reason == ULV_END_REASON_NONE) {
            if (run_once(m, p, host->now(host->self), 0))
                break;
        }
    }
}

/* Of a guest that is paused or halted: they wake us no more, and are not
 * lost. */
static void
take_events(struct ulv_monitor *m)
{
    hold_all(m);
    ulv_monitor_collect_bells(m);
    ulv_monitor_settle(m);
}

/* Whether a processor that is on is to be run, or looked at; until: how long
 * it may run. Otherwise it is asked again by *deadline. */
static bool
is_due(struct ulv_monitor *m, struct processor *p, ulv_nsec now,
       ulv_nsec *ret_until, ulv_nsec *deadline)
{
    bool in_turn = ulv_monitor_in_turn(p, now, ret_until);

    ulv_monitor_hold(m, p, !in_turn && !rests(p));
    if (!in_turn || p->event != ULV_NO_HANDLE)
        *deadline = ULV_MIN(*deadline, *ret_until);
    if (!in_turn && p->waiting)
        ulv_monitor_collect_bells(m); /* they wake it, and us, no more */
    if (!in_turn) /* what it did until it was held is answered */
        return p->event != ULV_NO_HANDLE && !p->idle && !rests(p);
    if (!p->idle && (!p->waiting || wake(m, p) || is_asleep(p)))
        return true;
    if (p->waiting)
        *deadline = ULV_MIN(*deadline, p->wait_deadline);
    if (!rests(p) && m->partition.silence_limit != 0)
        *deadline = ULV_MIN(*deadline, now + SILENCE_LOOK_NS);
    return false;
}

/* Whose turn it is; NULL: nobody's, until *deadline. */
static struct processor *
next_processor(struct ulv_monitor *m, ulv_nsec now, ulv_nsec *ret_until,
               ulv_nsec *deadline)
{
    for (uint32_t i = 0; i < m->processor_count; i++) {
        struct processor *p;

        if (m->turn >= m->processor_count)
            m->turn = 0;
        p = &m->processor[m->turn];
        if (p->on && !p->halted && is_due(m, p, now, ret_until, deadline))
            return p;
        m->turn++;
    }
    return NULL;
}

uint32_t
ulv_monitor_step(struct ulv_monitor *m, ulv_nsec budget_ns,
                 ulv_nsec *ret_deadline)
{
    const struct ulv_host *host = m->cfg.host;
    ulv_nsec end;

    ulv_monitor_follow_view(m, false);
    if (is_stock(m))
        ulv_stock_step(m);
    end = host->now(host->self) + budget_ns; /* all of it for the guest */
    for (uint32_t i = 0; i < m->processor_count; i++)
        m->processor[i].idle = false;
    while (m->end.reason == ULV_END_REASON_NONE) {
        ulv_nsec now = host->now(host->self), until, budget;
        struct processor *p;

        if (interrupts(m))
            ulv_monitor_collect_bells(m);
        *ret_deadline = m->look ? now : m->revoke_at;
        if (m->paused || m->halted) {
            take_events(m);
            if (m->end.reason != ULV_END_REASON_NONE)
                break;
            return ULV_MONITOR_WAITING;
        }
        p = next_processor(m, now, &until, ret_deadline);
        if (p == NULL)
            return ULV_MONITOR_WAITING;
        if (now >= end)
            return ULV_MONITOR_BUSY;
        budget = ULV_MIN(end, until) - now;
        if (m->processor_count > 1 || interrupts(m))
            budget = ULV_MIN(budget, SLICE_NS);
        p->idle = p->event != ULV_NO_HANDLE;
        if (!run_once(m, p, now, p->idle ? 0 : budget)) {
            p->idle = false;
            continue;
        }
        m->turn++;
        if (!p->idle)
            return ULV_MONITOR_BUSY;
    }
    if (is_stock(m))
        ulv_stock_step(m);
    ulv_monitor_end_machine(m);
    return ULV_MONITOR_ENDED;
}
