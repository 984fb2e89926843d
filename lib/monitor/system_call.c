/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "monitor/monitor_priv.h"

void
ulv_monitor_collect_bells(struct ulv_monitor *m)
{
    const struct ulv_host *host = m->cfg.host;

    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        if (m->slot[i].in_view &&
            host->event_take(host->self, m->slot[i].own_bell))
            m->pending |= UINT64_C(1) << i;
    }
    if (interrupts(m))
        ulv_monitor_interrupt(m);
}

bool
ulv_monitor_copy_in(const struct ulv_monitor *m, uint64_t guest, void *buf,
                    uint64_t len)
{
    uint8_t *to = buf;

    while (len > 0) {
        uint64_t room;
        const uint8_t *p = ulv_monitor_memory_at(m, guest, &room);
        uint64_t some = ULV_MIN(len, room);

        if (p == NULL)
            return false;
        memcpy(to, p, some);
        to += some;
        guest += some;
        len -= some;
    }
    return true;
}

/* Text from the guest: copied once, cut to one printable line. */
static bool
copy_text(const struct ulv_monitor *m, uint64_t guest, uint64_t len,
          char text[ULV_CALL_TEXT_MAX + 1])
{
    if (len > ULV_CALL_TEXT_MAX || !ulv_monitor_copy_in(m, guest, text, len))
        return false;
    text[len] = '\0';
    for (uint64_t i = 0; i < len; i++) {
        if ((uint8_t)text[i] < 0x20 || (uint8_t)text[i] > 0x7e)
            text[i] = '.';
    }
    return true;
}

static void
end_with(struct ulv_monitor *m, uint32_t reason, uint64_t code)
{
    struct ulv_text line;

    m->end.reason = reason;
    m->end.code = code;
    ulv_text_init(&line, m->end.text, sizeof(m->end.text));
    if (reason == ULV_END_REASON_STOP)
        ulv_text_format(&line, "stopped itself, exit code %u", code);
    else
        ulv_text_format(&line, "asked to be reset, reason %u", code);
}

static void
call_stop(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    end_with(m, ULV_END_REASON_STOP, argument[0]);
    a->later = true;
}

static void
call_reset(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    end_with(m, ULV_END_REASON_RESET, argument[0]);
    a->later = true;
}

static void
call_fault(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    char text[ULV_CALL_TEXT_MAX + 1];
    struct ulv_exit_fault fault = { .kind = ULV_FAULT_REPORTED };
    struct ulv_text line;

    if (!copy_text(m, argument[1], argument[2], text)) {
        a->status = ULV_E_ARG;
        return;
    }
    ulv_monitor_fault(m, &fault);
    m->end.code = argument[0];
    ulv_text_init(&line, m->end.text, sizeof(m->end.text));
    ulv_text_format(&line, "reported fault %u: %s", argument[0], text);
    a->later = true;
}

static bool
slot_is_there(const struct ulv_monitor *m, uint64_t slot)
{
    return slot < ULV_SLOT_COUNT && m->slot[slot].in_view;
}

static void
call_signal(struct ulv_monitor *m, const uint64_t argument[4],
            struct answer *a)
{
    const struct ulv_host *host = m->cfg.host;

    if (!slot_is_there(m, argument[0]))
        a->status = ULV_E_NOT_FOUND;
    else
        host->event_signal(host->self, m->slot[argument[0]].peer_bell);
}

ulv_nsec
ulv_monitor_host_time(const struct ulv_monitor *m, uint64_t time)
{
    time = time < m->time_before ? 0 : time - m->time_before;
    return time < ULV_FOREVER - m->start_time ? time + m->start_time
                                              : ULV_FOREVER;
}

static void
call_wait(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    struct processor *p = m->current;

    ulv_monitor_collect_bells(m);
    a->value = m->pending | p->woken;
    if (a->value != 0) {
        m->pending = p->woken = 0;
        return;
    }
    if (has_handler(p) && !ulv_monitor_may_wait(m, p))
        return;
    p->waiting = true;
    p->wait_deadline = ulv_monitor_host_time(m, argument[0]);
    a->later = true;
}

static void
call_accept(struct ulv_monitor *m, const uint64_t argument[4],
            struct answer *a)
{
    ulv_monitor_follow_view(m, true);
    a->status = ulv_monitor_accept(m, argument[0], &a->value);
}

static void
call_release(struct ulv_monitor *m, const uint64_t argument[4],
             struct answer *a)
{
    ulv_monitor_follow_view(m, true);
    a->status = ulv_monitor_release(m, argument[0], &a->value);
}

static void
call_detach(struct ulv_monitor *m, const uint64_t argument[4],
            struct answer *a)
{
    ulv_monitor_follow_view(m, true);
    if (!slot_is_there(m, argument[0]))
        a->status = ULV_E_NOT_FOUND;
    else
        ulv_monitor_detach(m, (uint32_t)argument[0]);
}

/* The state of an end lies in the channel's header, where the peer reads it;
 * the monitor only checks that the slot exists. */
static void
call_channel_state(struct ulv_monitor *m, const uint64_t argument[4],
                   struct answer *a)
{
    if (!slot_is_there(m, argument[0]))
        a->status = ULV_E_NOT_FOUND;
}

bool
ulv_monitor_take_credit(struct ulv_monitor *m)
{
    ulv_nsec now = m->cfg.host->now(m->cfg.host->self);
    uint64_t earned = (now - m->credit_time) / ULV_CALL_EARN_NS;

    if (earned > 0) {
        m->credit =
            (uint32_t)ULV_MIN(m->credit + earned, (uint64_t)ULV_CALL_BURST);
        m->credit_time = now;
    }
    if (m->credit == 0)
        return false;
    m->credit--;
    return true;
}

static void
call_failed(struct ulv_monitor *m, const uint64_t argument[4],
            struct answer *a)
{
    char text[96];
    struct ulv_text line;

    call_channel_state(m, argument, a);
    if (a->status == ULV_OK && !ulv_monitor_take_credit(m))
        a->status = ULV_E_AGAIN;
    if (a->status != ULV_OK)
        return;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "channel %u: the guest gave it up, status %i",
                    m->slot[argument[0]].channel, (int64_t)argument[1]);
    m->cfg.log(m->cfg.self, text);
}

static void
call_discover(struct ulv_monitor *m, const uint64_t argument[4],
              struct answer *a)
{
    (void)argument;
    a->value = m->partition.view;
}

static void
call_log(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    char text[ULV_CALL_TEXT_MAX + 1];

    if (!copy_text(m, argument[0], argument[1], text))
        a->status = ULV_E_ARG;
    else if (!ulv_monitor_take_credit(m))
        a->status = ULV_E_AGAIN;
    else
        m->cfg.log(m->cfg.self, text);
}

static void
call_yield(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    (void)argument;
    (void)a;
    ulv_monitor_yield(m, m->current);
}

static void
call_start(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    const struct ulv_host *host = m->cfg.host;
    struct processor *p;

    if (argument[0] >= m->processor_count) {
        a->status = ULV_E_NOT_FOUND;
        return;
    }
    p = &m->processor[argument[0]];
    a->status = ULV_E_EXISTS;
    if (p->on)
        return;
    a->status = m->cfg.backend->vcpu_start(
        p->vcpu, (ulv_gpa){ argument[1] }, (ulv_gpa){ argument[2] },
        argument[3]);
    if (a->status != ULV_OK)
        return;
    p->on = true;
    p->idle = false;
    p->silence = 0;
    p->last_call = host->now(host->self);
}

static void
call_park(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    (void)argument;
    a->later = m->current != m->processor;
    m->current->on = !a->later;
    if (!a->later)
        a->status = ULV_E_STATE;
    else if (has_handler(m->current))
        ulv_monitor_end_interrupts(m, m->current);
}

static void
call_wake(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    if (argument[0] < m->processor_count)
        m->processor[argument[0]].woken |= ULV_WAIT_WAKE_MASK;
    else
        a->status = ULV_E_NOT_FOUND;
}

static void
call_time(struct ulv_monitor *m, const uint64_t argument[4], struct answer *a)
{
    (void)argument;
    a->value =
        m->cfg.host->now(m->cfg.host->self) - m->start_time + m->time_before;
}

static const struct entry {
    uint64_t number;
    uint64_t capability;
    void (*handle)(struct ulv_monitor *m, const uint64_t argument[4],
                   struct answer *a);
    bool at_once; /* touches nothing that a stay in the guest depends on */
} calls[] = {
    { ULV_CALL_STOP, ULV_CAP_PARTITION, call_stop, false },
    { ULV_CALL_RESET, ULV_CAP_PARTITION, call_reset, false },
    { ULV_CALL_FAULT, ULV_CAP_PARTITION, call_fault, false },
    { ULV_CALL_SIGNAL, ULV_CAP_CHANNEL, call_signal, true },
    { ULV_CALL_WAIT, ULV_CAP_CHANNEL, call_wait, false },
    { ULV_CALL_ATTACH, ULV_CAP_CHANNEL, call_channel_state, false },
    { ULV_CALL_DETACH, ULV_CAP_CHANNEL, call_detach, false },
    { ULV_CALL_FAILED, ULV_CAP_CHANNEL, call_failed, false },
    { ULV_CALL_DISCOVER, ULV_CAP_QUERY, call_discover, true },
    { ULV_CALL_LOG, ULV_CAP_QUERY, call_log, false },
    { ULV_CALL_YIELD, ULV_CAP_YIELD, call_yield, false },
    { ULV_CALL_TIME, ULV_CAP_TIME, call_time, true },
    { ULV_CALL_ACCEPT, ULV_CAP_MEMORY, call_accept, false },
    { ULV_CALL_RELEASE, ULV_CAP_MEMORY, call_release, false },
    { ULV_CALL_START, ULV_CAP_YIELD, call_start, false },
    { ULV_CALL_PARK, ULV_CAP_YIELD, call_park, false },
    { ULV_CALL_WAKE, ULV_CAP_YIELD, call_wake, false },
#if ULV_MONITOR_INTERRUPTS
    { ULV_CALL_HANDLER, ULV_CAP_INTERRUPT, ulv_monitor_call_handler, false },
    { ULV_CALL_INTERRUPTS, ULV_CAP_INTERRUPT, ulv_monitor_call_interrupts,
      false },
#endif
};

/* By class (bits 15:8) and method (7:0): where a call stands in calls, + 1. */
#define PLACE(number) (((number) >> 8 & 15) * 8 + ((number) & 7))
static const uint8_t place[16 * 8] = {
    [PLACE(ULV_CALL_STOP)] = 1,     [PLACE(ULV_CALL_RESET)] = 2,
    [PLACE(ULV_CALL_FAULT)] = 3,    [PLACE(ULV_CALL_SIGNAL)] = 4,
    [PLACE(ULV_CALL_WAIT)] = 5,     [PLACE(ULV_CALL_ATTACH)] = 6,
    [PLACE(ULV_CALL_DETACH)] = 7,   [PLACE(ULV_CALL_FAILED)] = 8,
    [PLACE(ULV_CALL_DISCOVER)] = 9, [PLACE(ULV_CALL_LOG)] = 10,
    [PLACE(ULV_CALL_YIELD)] = 11,   [PLACE(ULV_CALL_TIME)] = 12,
    [PLACE(ULV_CALL_ACCEPT)] = 13,  [PLACE(ULV_CALL_RELEASE)] = 14,
    [PLACE(ULV_CALL_START)] = 15,   [PLACE(ULV_CALL_PARK)] = 16,
    [PLACE(ULV_CALL_WAKE)] = 17,
#if ULV_MONITOR_INTERRUPTS
    [PLACE(ULV_CALL_HANDLER)] = 18,
    [PLACE(ULV_CALL_INTERRUPTS)] = 19,
#endif
};

IN_THE_WAY const struct entry *
find(uint64_t number)
{
    uint32_t i = place[PLACE(number)];

    return i != 0 && calls[i - 1].number == number ? &calls[i - 1] : NULL;
}

IN_THE_WAY void
carry_out(struct ulv_monitor *m, const struct entry *entry,
          const struct ulv_exit_call *call, struct answer *a)
{
    a->status = ULV_E_DENIED;
    if ((m->partition.capabilities & entry->capability) == 0)
        return;
    a->status = ULV_OK;
    entry->handle(m, call->argument, a);
}

void
ulv_monitor_call(struct ulv_monitor *m, const struct ulv_exit_call *call)
{
    struct answer a = { .status = ULV_E_UNSUPPORTED };
    const struct entry *entry = find(call->number);

    if (entry != NULL)
        carry_out(m, entry, call, &a);
    trace(m, ULV_TRACE_CALL, call->number, call->argument[0],
          a.later ? ULV_TRACE_LATER : a.status);
    if (!a.later)
        m->cfg.backend->vcpu_answer(m->current->vcpu, a.status, a.value);
}

bool
ulv_monitor_call_at_once(void *self, const struct ulv_exit_call *call,
                         int64_t *ret_status, uint64_t *ret_value)
{
    struct ulv_monitor *m = self;
    const struct entry *entry = find(call->number);
    struct answer a = { .status = ULV_OK };

    if (entry == NULL || !entry->at_once)
        return false;
    m->current->called = true;
    carry_out(m, entry, call, &a);
    trace(m, ULV_TRACE_CALL, call->number, call->argument[0], a.status);
    *ret_status = a.status;
    *ret_value = a.value;
    return true;
}
