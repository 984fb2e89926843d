/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * From what was handed over to a guest that can run: processors, machine, what
 * the view lists, image.
 */
#include "monitor/monitor_priv.h"

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
                                   .debug = m->debug,
                                   .call = ulv_monitor_call_at_once,
                                   .self = m };
    ulv_status status;

    if ((m->partition.capabilities & ULV_CAP_CPU_HOST) != 0)
        cfg.cpu = ULV_CPU_HOST;
    else if ((m->partition.capabilities & ULV_CAP_CPU_V3) != 0)
        cfg.cpu = ULV_CPU_V3;
    cfg.interrupts = (m->partition.capabilities & ULV_CAP_INTERRUPT) != 0;
    if (is_stock(m)) {
        cfg.kind = ULV_MACHINE_STOCK;
        cfg.io = ulv_stock_io;
    }
    if (m->cfg.threads_from != 0)
        cfg.threads = m->processor_count >= m->cfg.threads_from ||
                      cfg.interrupts != 0;
    if (m->cfg.confine_thread != NULL)
        cfg.confine = confine_thread;
    if (ULV_SPARE_MACHINES)
        cfg.spare = m->cfg.spare;

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
    if (ULV_STOCK_KERNELS &&
        (m->partition.capabilities & ULV_CAP_STOCK) != 0)
        status = ulv_stock_make(m, diag);
    if (status == ULV_OK)
        status = make_processors(m, diag);
    if (status == ULV_OK)
        status = make_machine(m, diag);
    if (status == ULV_OK)
        status = ulv_monitor_follow(m, true, diag);
    if (status == ULV_OK && !is_stock(m))
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
ulv_monitor_start(struct ulv_monitor *m, const struct ulv_monitor_image *image,
                  struct ulv_diag *diag)
{
    uint64_t entry = 0;
    ulv_status status = ulv_monitor_ready(m, diag);

    if (status == ULV_OK && is_stock(m))
        return ulv_stock_start(m, image, diag);
    if (status == ULV_OK)
        status = ulv_monitor_load(m, image, &entry, diag);
    if (status == ULV_OK)
        status = ulv_monitor_go(m, entry, diag);
    return status;
}
