/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Doorbells that interrupt the guest. Who takes a ring: of a slot that
 * interrupts, the handler of its processor, and nobody else; of every other one
 * ULV_CALL_WAIT. The bell of a processor that runs beside us is bound in the
 * backend, so it interrupts without us; otherwise, and where the backend has no
 * more room, we take the ring as those that are waited for, and inject it.
 *
 * A wait ends when a handler has run since the last one: what the handler wrote
 * after the guest had looked is not slept over. Where we inject, we know; where
 * a bell is bound, the backend does, and such a processor sleeps there.
 */
#include "monitor/monitor_priv.h"

static uint32_t
number_of(const struct ulv_monitor *m, const struct processor *p)
{
    return (uint32_t)(p - m->processor);
}

static struct processor *
target_of(const struct ulv_monitor *m, uint32_t slot)
{
    return &m->processor[m->slot[slot].target];
}

static void
inject(struct ulv_monitor *m, uint32_t slot)
{
    struct processor *p = target_of(m, slot);

    /* it cannot refuse one that has a handler; a ring lost were a wait for
     * ever, so the guest is then told as without interrupts */
    if (m->cfg.backend->vcpu_inject(p->vcpu, slot) == ULV_OK)
        p->interrupted = true;
    else
        m->pending |= UINT64_C(1) << slot;
}

void
ulv_monitor_interrupt(struct ulv_monitor *m)
{
    uint64_t rang = m->pending & m->interrupting;

    m->pending &= ~rang;
    for (; rang != 0; rang &= rang - 1)
        inject(m, (uint32_t)__builtin_ctzll(rang));
}

/* ---- which slots --------------------------------------------------------- */

void
ulv_monitor_begin_interrupt(struct ulv_monitor *m, struct processor *p,
                            uint32_t slot)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;

    m->slot[slot].target = number_of(m, p);
    m->interrupting |= UINT64_C(1) << slot;
    p->slots |= UINT64_C(1) << slot;
    /* we watch the bell all the same: nobody but KVM before Linux 5.11 leaves
     * us something there, which is then injected twice */
    if (p->event != ULV_NO_HANDLE && backend->vcpu_bind != NULL)
        (void)backend->vcpu_bind(p->vcpu, slot, m->slot[slot].own_bell);
}

/* What has rung, and was not delivered, is waited for from now on. */
static void
end(struct ulv_monitor *m, struct processor *p, uint32_t slot)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;

    m->interrupting &= ~(UINT64_C(1) << slot);
    p->slots &= ~(UINT64_C(1) << slot);
    if (backend->vcpu_bind != NULL)
        (void)backend->vcpu_bind(p->vcpu, slot, ULV_NO_HANDLE);
    if (backend->vcpu_withdraw(p->vcpu, slot))
        m->pending |= UINT64_C(1) << slot;
}

void
ulv_monitor_end_interrupt(struct ulv_monitor *m, uint32_t slot)
{
    struct processor *p = target_of(m, slot);
    bool held = p->held;

    ulv_monitor_hold(m, p, true);
    end(m, p, slot);
    ulv_monitor_hold(m, p, held);
    m->pending &= ~(UINT64_C(1) << slot); /* its channel goes */
}

void
ulv_monitor_end_interrupts(struct ulv_monitor *m, struct processor *p)
{
    uint64_t slots = p->slots;

    for (; slots != 0; slots &= slots - 1)
        end(m, p, (uint32_t)__builtin_ctzll(slots));
    p->handles = p->interrupted = false;
}

/* ---- calls --------------------------------------------------------------- */

void
ulv_monitor_call_handler(struct ulv_monitor *m, const uint64_t argument[4],
                         struct answer *a)
{
    struct processor *p = m->current;

    a->status = ULV_E_UNSUPPORTED; /* the view gave the right later */
    if (m->cfg.backend->vcpu_handler == NULL)
        return;
    if (argument[0] == 0)
        ulv_monitor_end_interrupts(m, p);
    a->status = m->cfg.backend->vcpu_handler(p->vcpu, (ulv_gpa){ argument[0] },
                                             (ulv_gpa){ argument[1] });
    if (a->status == ULV_OK)
        p->handles = argument[0] != 0;
}

static ulv_status
check_slots(const struct ulv_monitor *m, const struct processor *p,
            uint64_t slots)
{
    if (!p->handles)
        return ULV_E_STATE;
    if (slots >> ULV_SLOT_COUNT != 0)
        return ULV_E_NOT_FOUND;
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        if ((slots >> i & 1) != 0 && !m->slot[i].in_view)
            return ULV_E_NOT_FOUND;
    }
    return (slots & m->interrupting & ~p->slots) != 0 ? ULV_E_EXISTS : ULV_OK;
}

void
ulv_monitor_call_interrupts(struct ulv_monitor *m, const uint64_t argument[4],
                            struct answer *a)
{
    struct processor *p = m->current;
    uint64_t before = p->slots;
    uint64_t changed = before ^ argument[0];

    a->status = check_slots(m, p, argument[0]);
    if (a->status != ULV_OK)
        return;
    for (; changed != 0; changed &= changed - 1) {
        uint32_t slot = (uint32_t)__builtin_ctzll(changed);

        if ((before >> slot & 1) != 0)
            end(m, p, slot);
        else
            ulv_monitor_begin_interrupt(m, p, slot);
    }
    ulv_monitor_interrupt(m); /* what rang before */
    a->value = before;
}

/* ---- waiting ------------------------------------------------------------- */

bool
ulv_monitor_may_wait(struct ulv_monitor *m, struct processor *p)
{
    bool interrupted = p->interrupted;

    p->interrupted = false;
    if (interrupted)
        return false;
    if (p->event == ULV_NO_HANDLE || m->cfg.backend->vcpu_sleep == NULL)
        return true;
    p->asleep = m->cfg.backend->vcpu_sleep(p->vcpu, true);
    return p->asleep; /* if not, a handler has run */
}

bool
ulv_monitor_is_up(struct ulv_monitor *m, struct processor *p, bool wake)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;
    const struct ulv_host *host = m->cfg.host;
    bool slept = wake ? backend->vcpu_sleep(p->vcpu, false)
                      : backend->vcpu_sleeps(p->vcpu);

    if (!slept) {
        p->waiting = p->asleep = p->interrupted = false;
        p->last_call = host->now(host->self);
    } else if (wake) {
        p->asleep = false;
    }
    return !slept;
}
