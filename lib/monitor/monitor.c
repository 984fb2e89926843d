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
    if (is_stock(m))
        ulv_stock_fini(m);
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

/* A new chain, of an ultravisor that was started again. The guest's part takes
 * the place of the old one where that is mapped, at once: a backend that lets
 * the guest see our own mapping shows it that from now on. Where the host
 * cannot, or the guest has a mapping of its own, it keeps what it has. */
static ulv_status
take_next_view(struct ulv_monitor *m, bool guest, ulv_handle segment,
               uint64_t bytes)
{
    const struct ulv_host *host = m->cfg.host;
    void *p;
    ulv_status status = ULV_OK;

    if (bytes != (guest ? m->guest_view_bytes : m->view_bytes))
        status = ULV_E_ARG;
    else if (guest)
        (void)host->memory_map(host->self, segment, 0, bytes, ULV_MAP_READ,
                               m->guest_view_mapping, &p);
    else
        status = host->memory_map(host->self, segment, 0, bytes, ULV_MAP_READ,
                                  NULL, &p);
    host->handle_close(host->self, segment);
    if (status != ULV_OK || guest)
        return status;
    host->memory_unmap(host->self, m->view_mapping, bytes);
    m->view_mapping = p;
    ulv_view_reader_init(&m->view, p, bytes);
    m->look = true;
    return ULV_OK;
}

ulv_status
ulv_monitor_take_view(struct ulv_monitor *m, uint32_t part, ulv_handle segment,
                      uint64_t bytes)
{
    const struct ulv_host *host = m->cfg.host;
    bool guest = part == ULV_VIEW_PART_GUEST;
    void **mapping = guest ? &m->guest_view_mapping : &m->view_mapping;
    ulv_status status;

    if (ULV_RESTARTS && *mapping != NULL)
        return take_next_view(m, guest, segment, bytes);
    status = ULV_E_EXISTS;
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

uint64_t
ulv_monitor_generation(const struct ulv_monitor *m)
{
    return m->generation;
}
