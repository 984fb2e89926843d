/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "monitor/monitor_priv.h"

ulv_status
ulv_monitor_create(const struct ulv_monitor_cfg *cfg, struct ulv_monitor **ret)
{
    const struct ulv_host *host = cfg->host;
    struct ulv_monitor *m = host->alloc(host->self, sizeof(*m), 16);

    if (m == NULL)
        return ULV_E_NO_MEMORY;
    m->cfg = *cfg;
    m->bell = ULV_NO_HANDLE;
    m->revoke_at = ULV_FOREVER;
    m->guest_view = ULV_NO_HANDLE;
    m->vcpu_event = ULV_NO_HANDLE;
    m->log_credit = LOG_BURST;
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        m->slot[i].memory = ULV_NO_HANDLE;
        m->slot[i].own_bell = ULV_NO_HANDLE;
        m->slot[i].peer_bell = ULV_NO_HANDLE;
    }
    *ret = m;
    return ULV_OK;
}

void
ulv_monitor_close(const struct ulv_monitor *m, ulv_handle *h)
{
    const struct ulv_host *host = m->cfg.host;

    if (*h != ULV_NO_HANDLE)
        host->handle_close(host->self, *h);
    *h = ULV_NO_HANDLE;
}

void
ulv_monitor_close_watched(const struct ulv_monitor *m, ulv_handle *h)
{
    const struct ulv_host *host = m->cfg.host;

    if (*h != ULV_NO_HANDLE)
        host->unwatch(host->self, m->cfg.waits, *h);
    ulv_monitor_close(m, h);
}

/* The guest must be gone before what it had mapped is. */
static void
end_machine(struct ulv_monitor *m)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;
    const struct ulv_host *host = m->cfg.host;

    if (m->vcpu_event != ULV_NO_HANDLE)
        host->unwatch(host->self, m->cfg.waits, m->vcpu_event);
    m->vcpu_event = ULV_NO_HANDLE;
    if (m->vcpu_made)
        backend->vcpu_fini(m->vcpu);
    if (m->machine_made)
        backend->machine_fini(m->machine);
    m->vcpu_made = m->machine_made = false;
}

void
ulv_monitor_destroy(struct ulv_monitor *m)
{
    const struct ulv_host *host;

    if (m == NULL)
        return;
    host = m->cfg.host;
    end_machine(m);
    ulv_monitor_follow_fini(m);
    if (m->view_mapping != NULL)
        host->memory_unmap(host->self, m->view_mapping, m->view_bytes);
    if (m->guest_view_mapping != NULL)
        host->memory_unmap(host->self, m->guest_view_mapping,
                           m->guest_view_bytes);
    if (m->trace != NULL)
        host->memory_unmap(host->self, m->trace, ULV_TRACE_BYTES);
    ulv_monitor_close(m, &m->guest_view);
    ulv_monitor_close_watched(m, &m->bell);
    host->free(host->self, m->machine, m->cfg.backend->machine_bytes);
    host->free(host->self, m->vcpu, m->cfg.backend->vcpu_bytes);
    host->free(host->self, m, sizeof(*m));
}

/* ---- what the keeper hands over ------------------------------------------ */

ulv_status
ulv_monitor_take_view(struct ulv_monitor *m, uint32_t part, ulv_handle segment,
                      uint64_t bytes)
{
    const struct ulv_host *host = m->cfg.host;
    bool guest = part == ULV_VIEW_PART_GUEST;
    void **mapping = guest ? &m->guest_view_mapping : &m->view_mapping;
    ulv_status status = ULV_E_EXISTS;

    if (*mapping == NULL)
        status = host->memory_map(host->self, segment, 0, bytes, ULV_MAP_READ,
                                  NULL, mapping);
    if (status != ULV_OK) {
        host->handle_close(host->self, segment);
        return status;
    }
    if (guest) {
        m->guest_view = segment;
        m->guest_view_bytes = bytes;
        return ULV_OK;
    }
    m->view_bytes = bytes;
    host->handle_close(host->self, segment);
    ulv_view_reader_init(&m->view, m->view_mapping, bytes);
    return ULV_OK;
}

/* A handle that is kept is watched; one that cannot be is closed. */
static ulv_status
keep_watched(struct ulv_monitor *m, ulv_handle *at, ulv_handle h)
{
    const struct ulv_host *host = m->cfg.host;
    ulv_status status = host->watch(host->self, m->cfg.waits, h);

    if (status == ULV_OK)
        *at = h;
    else
        host->handle_close(host->self, h);
    return status;
}

ulv_status
ulv_monitor_take_trace(struct ulv_monitor *m, ulv_handle memory)
{
    const struct ulv_host *host = m->cfg.host;
    void *p = NULL;
    ulv_status status = ULV_E_EXISTS;

    if (m->trace == NULL)
        status = host->memory_map(host->self, memory, 0, ULV_TRACE_BYTES,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    host->handle_close(host->self, memory);
    if (status == ULV_OK)
        m->trace = p;
    return status;
}

ulv_status
ulv_monitor_take_bell(struct ulv_monitor *m, ulv_handle bell)
{
    const struct ulv_host *host = m->cfg.host;

    if (m->bell != ULV_NO_HANDLE) {
        host->handle_close(host->self, bell);
        return ULV_E_EXISTS;
    }
    return keep_watched(m, &m->bell, bell);
}

/* ---- start --------------------------------------------------------------- */

static ulv_status
confine(const struct ulv_monitor *m, struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    if (m->cfg.confine != NULL)
        status = m->cfg.confine(m->cfg.self);
    if (status != ULV_OK)
        return ulv_fail(diag, status, m->cfg.partition, 0, 0,
                        "the monitor's sandbox could not be entered");
    return ULV_OK;
}

static ulv_status
make_machine(struct ulv_monitor *m, struct ulv_diag *diag)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;
    const struct ulv_host *host = m->cfg.host;
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .vcpu_count = 1,
                                   .host = host,
                                   .partition = m->cfg.partition,
                                   .gate = m->partition.gate,
                                   .launcher = m->cfg.launcher,
                                   .call = ulv_monitor_call_at_once,
                                   .self = m };
    ulv_status status;

    m->machine = host->alloc(host->self, backend->machine_bytes, 16);
    m->vcpu = host->alloc(host->self, backend->vcpu_bytes, 16);
    if (m->machine == NULL || m->vcpu == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->cfg.partition,
                        backend->machine_bytes, 0,
                        "no memory for the %s machine", backend->name);
    m->machine_made = true;
    status = backend->machine_init(m->machine, &cfg, diag);
    if (status == ULV_OK && backend->vcpu_event == NULL)
        status = confine(m, diag);
    return status;
}

static ulv_status
make_vcpu(struct ulv_monitor *m, uint64_t entry, struct ulv_diag *diag)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;
    const struct ulv_host *host = m->cfg.host;
    ulv_handle event;
    ulv_status status;

    m->vcpu_made = true;
    status = backend->vcpu_init(m->vcpu, m->machine, 0, (ulv_gpa){ entry },
                                (ulv_gpa){ ulv_monitor_ram_end(m) },
                                m->partition.view, diag);
    if (status != ULV_OK || backend->vcpu_event == NULL)
        return status;
    status = confine(m, diag);
    if (status != ULV_OK)
        return status;
    event = backend->vcpu_event(m->vcpu);
    if (event == ULV_NO_HANDLE)
        return ULV_OK;
    status = host->watch(host->self, m->cfg.waits, event);
    if (status == ULV_OK)
        m->vcpu_event = event;
    return status;
}

static ulv_status
map_guest_view(struct ulv_monitor *m, struct ulv_diag *diag)
{
    ulv_status status = m->cfg.backend->map(
        m->machine, (ulv_gpa){ m->partition.view }, m->guest_view_bytes,
        m->guest_view, 0, m->guest_view_mapping, 0);

    ulv_monitor_close(m, &m->guest_view);
    if (status != ULV_OK)
        return ulv_fail(diag, status, m->cfg.partition, m->partition.view, 0,
                        "the view could not be mapped at %x",
                        m->partition.view);
    return ULV_OK;
}

ulv_status
ulv_monitor_start(struct ulv_monitor *m, ulv_handle image,
                  uint64_t image_bytes, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    uint64_t entry = 0;
    ulv_status status;

    if (m->started || m->view_mapping == NULL || m->guest_view_mapping == NULL)
        return ulv_fail(diag, ULV_E_STATE, m->cfg.partition, 0, 0,
                        "the monitor has no view or has started already");
    status = ulv_view_refresh(&m->view, &m->reading);
    if (status == ULV_OK)
        status = ulv_view_partition_read(&m->view, &m->partition);
    if (status != ULV_OK)
        return ulv_fail(diag, status, m->cfg.partition, 0, 0,
                        "the partition's view cannot be read: %s",
                        ulv_status_text(status));
    status = make_machine(m, diag);
    if (status == ULV_OK)
        status = ulv_monitor_follow(m, true, diag);
    if (status == ULV_OK)
        status = map_guest_view(m, diag);
    if (status == ULV_OK)
        status = ulv_monitor_load(m, image, image_bytes, &entry, diag);
    if (status == ULV_OK)
        status = make_vcpu(m, entry, diag);
    if (status != ULV_OK)
        return status;
    m->started = true;
    m->generation = m->reading;
    m->start_time = host->now(host->self);
    m->log_time = m->last_call = m->start_time;
    return ULV_OK;
}

void
ulv_monitor_trace(const struct ulv_monitor *m, uint32_t kind, uint64_t number,
                  uint64_t argument, int64_t result)
{
    const struct ulv_host *host = m->cfg.host;
    const struct ulv_trace_record record = { 0, host->now(host->self), kind,
                                             (uint32_t)number, argument,
                                             result };

    ulv_trace_add(m->trace, &record);
}

/* ---- run ----------------------------------------------------------------- */

void
ulv_monitor_fault(struct ulv_monitor *m, const struct ulv_exit_fault *fault)
{
    struct ulv_text line;

    trace(m, ULV_TRACE_FAULT, fault->kind, fault->address, 0);
    m->end.reason = ULV_END_REASON_FAULT;
    m->end.code = fault->kind;
    m->end.fault = *fault;
    ulv_text_init(&line, m->end.text, sizeof(m->end.text));
    ulv_text_format(&line, "%s at %x, instruction at %x",
                    ulv_fault_text(fault->kind), fault->address,
                    fault->registers.rip);
    if (fault->instruction_bytes != 0)
        ulv_text_string(&line, ":");
    for (uint32_t i = 0; i < ULV_MIN(fault->instruction_bytes, 8U); i++) {
        static const char digit[] = "0123456789abcdef";
        char pair[3] = { ' ', digit[fault->instruction[i] >> 4],
                         digit[fault->instruction[i] & 15] };

        ulv_text_bytes(&line, pair, sizeof(pair));
    }
}

void
ulv_monitor_kill(struct ulv_monitor *m)
{
    if (m->end.reason != ULV_END_REASON_NONE)
        return;
    m->end.reason = ULV_END_REASON_KILLED;
    ulv_string_copy(m->end.text, sizeof(m->end.text), "stopped from outside");
}

/* A guest that is paused keeps its state; its time goes on, its silence does
 * not count. */
static void
pause_or_resume(struct ulv_monitor *m, bool paused)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;

    if (paused == m->paused)
        return;
    m->paused = paused;
    if (backend->vcpu_hold != NULL)
        backend->vcpu_hold(m->vcpu, paused);
    if (!paused)
        m->last_call = m->cfg.host->now(m->cfg.host->self);
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
        m->pending |= ULV_WAIT_VIEW_MASK;
    m->reading = generation;
    pause_or_resume(m, partition.intent == ULV_INTENT_PAUSED);
    changed = (m->partition.capabilities ^ partition.capabilities) &
              ULV_CAP_CHANNEL;
    m->partition = partition;
    if (changed != 0)
        ulv_monitor_set_doorbells(m);
    status = ulv_monitor_follow(m, false, NULL);
    if (status == ULV_OK && m->generation != generation) {
        m->generation = generation;
        trace(m, ULV_TRACE_VIEW, 0, generation, 0);
        m->pending |= ULV_WAIT_VIEW_MASK; /* what it lists is there now */
    }
    if (status != ULV_OK && status != ULV_E_AGAIN)
        m->look = true;
    if (partition.intent == ULV_INTENT_STOPPED)
        ulv_monitor_kill(m);
}

/* Whether the guest, waiting, has something to wake for. */
static bool
wake(struct ulv_monitor *m)
{
    const struct ulv_host *host = m->cfg.host;

    ulv_monitor_collect_bells(m);
    if (m->pending != 0) {
        trace(m, ULV_TRACE_WAKE, 0, m->pending, ULV_OK);
        m->cfg.backend->vcpu_answer(m->vcpu, ULV_OK, m->pending);
        m->pending = 0;
    } else if (host->now(host->self) >= m->wait_deadline) {
        trace(m, ULV_TRACE_WAKE, 0, 0, ULV_E_TIMEOUT);
        m->cfg.backend->vcpu_answer(m->vcpu, ULV_E_TIMEOUT, 0);
    } else {
        return false;
    }
    m->waiting = false;
    m->last_call = host->now(host->self);
    return true;
}

/* A guest that runs beside us runs all the time; one that runs in our thread
 * only while it is let. */
static void
check_silence(struct ulv_monitor *m, ulv_nsec ran)
{
    struct ulv_exit_fault fault = { .kind = ULV_FAULT_RUNAWAY };

    if (m->vcpu_event != ULV_NO_HANDLE)
        m->silence = m->cfg.host->now(m->cfg.host->self) - m->last_call;
    else
        m->silence += ran;
    if (m->partition.silence_limit == 0 ||
        m->silence < m->partition.silence_limit)
        return;
    if (m->cfg.backend->vcpu_registers != NULL)
        (void)m->cfg.backend->vcpu_registers(m->vcpu, &fault.registers);
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
run_once(struct ulv_monitor *m, ulv_nsec now, ulv_nsec budget)
{
    const struct ulv_host *host = m->cfg.host;
    struct ulv_exit out;

    m->called = false;
    if (m->cfg.backend->vcpu_run(m->vcpu, budget, &out) != ULV_OK) {
        backend_failed(m);
        return false;
    }
    switch (out.reason) {
    case ULV_EXIT_CALL:
        m->silence = 0;
        if (m->vcpu_event != ULV_NO_HANDLE)
            m->last_call = host->now(host->self);
        ulv_monitor_call(m, &out.u.call);
        return false;
    case ULV_EXIT_INTERRUPTED:
        if (m->called)
            m->silence = 0;
        else if (budget != 0)
            trace(m, ULV_TRACE_TURN, 0, 0, 0);
        check_silence(m, host->now(host->self) - now);
        return true;
    default:
        ulv_monitor_fault(m, &out.u.fault);
        return false;
    }
}

uint32_t
ulv_monitor_step(struct ulv_monitor *m, ulv_nsec budget_ns,
                 ulv_nsec *ret_deadline)
{
    const struct ulv_host *host = m->cfg.host;
    ulv_nsec end = host->now(host->self) + budget_ns;

    ulv_monitor_follow_view(m, false);
    while (m->end.reason == ULV_END_REASON_NONE) {
        ulv_nsec now = host->now(host->self);
        bool beside = m->vcpu_event != ULV_NO_HANDLE;

        *ret_deadline = m->look ? now : m->revoke_at;
        if (m->paused)
            return ULV_MONITOR_WAITING;
        if (m->waiting && !wake(m)) {
            *ret_deadline = ULV_MIN(*ret_deadline, m->wait_deadline);
            return ULV_MONITOR_WAITING;
        }
        if (now >= end)
            return ULV_MONITOR_BUSY;
        if (!run_once(m, now, beside ? 0 : end - now))
            continue;
        if (!beside)
            return ULV_MONITOR_BUSY;
        if (m->partition.silence_limit != 0)
            *ret_deadline = ULV_MIN(*ret_deadline, now + SILENCE_LOOK_NS);
        return ULV_MONITOR_WAITING;
    }
    end_machine(m);
    return ULV_MONITOR_ENDED;
}

const struct ulv_end *
ulv_monitor_end(const struct ulv_monitor *m)
{
    return &m->end;
}

uint64_t
ulv_monitor_generation(const struct ulv_monitor *m)
{
    return m->generation;
}
