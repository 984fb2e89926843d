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
    m->credit = ULV_CALL_BURST;
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

void
ulv_monitor_end_machine(struct ulv_monitor *m)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;
    const struct ulv_host *host = m->cfg.host;

    m->used = ulv_monitor_used(m);
    for (uint32_t i = 0; i < m->processor_count; i++) {
        struct processor *p = &m->processor[i];

        if (p->event != ULV_NO_HANDLE)
            host->unwatch(host->self, m->cfg.waits, p->event);
        p->event = ULV_NO_HANDLE;
        if (p->made)
            backend->vcpu_fini(p->vcpu);
        p->made = false;
    }
    if (m->machine_made)
        backend->machine_fini(m->machine);
    m->machine_made = false;
}

static void
free_processors(struct ulv_monitor *m)
{
    const struct ulv_host *host = m->cfg.host;

    for (uint32_t i = 0; i < m->processor_count; i++)
        host->free(host->self, m->processor[i].vcpu,
                   m->cfg.backend->vcpu_bytes);
    host->free(host->self, m->processor,
               m->processor_count * sizeof(*m->processor));
}

void
ulv_monitor_destroy(struct ulv_monitor *m)
{
    const struct ulv_host *host;

    if (m == NULL)
        return;
    host = m->cfg.host;
    ulv_monitor_end_machine(m);
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
    free_processors(m);
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

/* As many as the view lists, at least one. */
static ulv_status
make_processors(struct ulv_monitor *m, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    struct ulv_view_processor listed;
    uint32_t count = 0;
    ulv_status status;

    do
        status = ulv_view_read(&m->view, ULV_VIEW_PROCESSOR, count, &listed,
                               sizeof(listed));
    while (status == ULV_OK && ++count != 0);
    if (status != ULV_E_NOT_FOUND)
        return ulv_fail(diag, status, m->cfg.partition, count, 0,
                        "processor %u in the view cannot be read",
                        (uint64_t)count);
    count = ULV_MAX(count, 1U);
    m->processor =
        host->alloc(host->self, count * sizeof(*m->processor), 16);
    if (m->processor != NULL)
        m->processor_count = count;
    for (uint32_t i = 0; i < m->processor_count; i++) {
        struct processor *p = &m->processor[i];

        p->event = ULV_NO_HANDLE;
        p->quanta = UINT64_MAX;
        p->vcpu = host->alloc(host->self, m->cfg.backend->vcpu_bytes, 16);
        if (p->vcpu == NULL)
            count = 0;
    }
    if (m->processor_count == 0 || count == 0)
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->cfg.partition, count, 0,
                        "no memory for the processors");
    m->current = m->processor;
    m->processor[0].on = true;
    return ULV_OK;
}

static ulv_status
confine_thread(void *self)
{
    const struct ulv_monitor *m = self;

    return m->cfg.confine_thread(m->cfg.self);
}

static ulv_status
make_machine(struct ulv_monitor *m, struct ulv_diag *diag)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;
    const struct ulv_host *host = m->cfg.host;
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .vcpu_count = m->processor_count,
                                   .host = host,
                                   .partition = m->cfg.partition,
                                   .gate = m->partition.gate,
                                   .launcher = m->cfg.launcher,
                                   .call = ulv_monitor_call_at_once,
                                   .self = m };
    ulv_status status;

    if ((m->partition.capabilities & ULV_CAP_CPU_HOST) != 0)
        cfg.cpu = ULV_CPU_HOST;
    else if ((m->partition.capabilities & ULV_CAP_CPU_V3) != 0)
        cfg.cpu = ULV_CPU_V3;
    if (m->cfg.threads_from != 0)
        cfg.threads = m->processor_count >= m->cfg.threads_from;
    if (m->cfg.confine_thread != NULL)
        cfg.confine = confine_thread;

    m->machine = host->alloc(host->self, backend->machine_bytes, 16);
    if (m->machine == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->cfg.partition,
                        backend->machine_bytes, 0,
                        "no memory for the %s machine", backend->name);
    m->machine_made = true;
    status = backend->machine_init(m->machine, &cfg, diag);
    if (status == ULV_OK && (backend->flags & ULV_BACKEND_STARTS_LATE) == 0)
        status = confine(m, diag);
    return status;
}

static ulv_status
make_vcpu(struct ulv_monitor *m, uint32_t idx, uint64_t entry,
          struct ulv_diag *diag)
{
    const struct ulv_backend_ops *backend = m->cfg.backend;
    const struct ulv_host *host = m->cfg.host;
    struct processor *p = &m->processor[idx];
    ulv_handle event = ULV_NO_HANDLE;
    ulv_status status;

    p->made = true;
    status = backend->vcpu_init(p->vcpu, m->machine, idx, (ulv_gpa){ entry },
                                (ulv_gpa){ ulv_monitor_ram_end(m) },
                                m->partition.view, diag);
    if (status == ULV_OK && backend->vcpu_event != NULL)
        event = backend->vcpu_event(p->vcpu);
    if (status != ULV_OK || event == ULV_NO_HANDLE)
        return status;
    status = host->watch(host->self, m->cfg.waits, event);
    if (status == ULV_OK)
        p->event = event;
    return status;
}

static ulv_status
make_vcpus(struct ulv_monitor *m, uint64_t entry, struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < m->processor_count && status == ULV_OK; i++)
        status = make_vcpu(m, i, entry, diag);
    if (status == ULV_OK &&
        (m->cfg.backend->flags & ULV_BACKEND_STARTS_LATE) != 0)
        status = confine(m, diag);
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
ulv_monitor_ready(struct ulv_monitor *m, struct ulv_diag *diag)
{
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
    status = make_processors(m, diag);
    if (status == ULV_OK)
        status = make_machine(m, diag);
    if (status == ULV_OK)
        status = ulv_monitor_follow(m, true, diag);
    if (status == ULV_OK)
        status = map_guest_view(m, diag);
    return status;
}

ulv_status
ulv_monitor_go(struct ulv_monitor *m, uint64_t entry, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    ulv_status status = make_vcpus(m, entry, diag);

    if (status != ULV_OK)
        return status;
    m->started = true;
    m->generation = m->reading;
    m->look |= !ulv_monitor_read_quanta(m);
    m->start_time = host->now(host->self);
    m->credit_time = m->processor[0].last_call = m->start_time;
    return ULV_OK;
}

ulv_status
ulv_monitor_start(struct ulv_monitor *m, ulv_handle image,
                  uint64_t image_bytes, struct ulv_diag *diag)
{
    uint64_t entry = 0;
    ulv_status status = ulv_monitor_ready(m, diag);

    if (status == ULV_OK)
        status = ulv_monitor_load(m, image, image_bytes, &entry, diag);
    if (status == ULV_OK)
        status = ulv_monitor_go(m, entry, diag);
    return status;
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

/* ---- end ---------------------------------------------------------------- */

/* What the guest had at an address. */
static struct ulv_mapping
mapping_at(const struct ulv_monitor *m, uint64_t address)
{
    if (address < ULV_GUEST_RAM_BASE)
        return (struct ulv_mapping){ .kind = ULV_MAPPING_BACKEND,
                                     .bytes = ULV_GUEST_RAM_BASE };
    if (address - m->partition.view < m->guest_view_bytes)
        return (struct ulv_mapping){ .kind = ULV_MAPPING_VIEW,
                                     .guest_address = m->partition.view,
                                     .bytes = m->guest_view_bytes };
    for (uint32_t i = 0; i < m->extent_count; i++) {
        const struct extent *e = &m->extents[i];

        if (e->state != EXTENT_HANDED && address - e->guest < e->bytes)
            return (struct ulv_mapping){
                .kind = e->state == EXTENT_MAPPED ? ULV_MAPPING_MEMORY
                                                  : ULV_MAPPING_OFFERED,
                .id = e->id,
                .guest_address = e->guest,
                .bytes = e->bytes
            };
    }
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        const struct slot *s = &m->slot[i];

        if (s->in_view && address - s->guest < s->bytes)
            return (struct ulv_mapping){ .kind = ULV_MAPPING_CHANNEL,
                                         .id = s->channel,
                                         .guest_address = s->guest,
                                         .bytes = s->bytes };
    }
    return (struct ulv_mapping){ .kind = ULV_MAPPING_NONE };
}

/* Whether its address is one of memory. */
static bool
touches_memory(const struct ulv_exit_fault *fault)
{
    return fault->kind >= ULV_FAULT_READ &&
           fault->kind <= ULV_FAULT_ARITHMETIC;
}

void
ulv_monitor_fault(struct ulv_monitor *m, const struct ulv_exit_fault *fault)
{
    struct ulv_text line;

    trace(m, ULV_TRACE_FAULT, fault->kind, fault->address, 0);
    m->end.reason = ULV_END_REASON_FAULT;
    m->end.code = fault->kind;
    m->end.fault = *fault;
    if (touches_memory(fault))
        m->end.mapping = mapping_at(m, fault->address);
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
