/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Probe, machines, memory. */
#include "backend/vtx/vtx_priv.h"

static ulv_status
vtx_probe(const struct ulv_host *host, struct ulv_backend_caps *ret_caps,
          struct ulv_diag *diag)
{
    struct ulv_vtx_capabilities capabilities;
    struct ulv_vtx_controls controls;
    struct ulv_text version;
    ulv_status status = ulv_vtx_processor(host, &capabilities, diag);

    memset(ret_caps, 0, sizeof(*ret_caps));
    if (status == ULV_OK)
        status = ulv_vtx_controls(&capabilities, &controls, diag);
    if (status != ULV_OK)
        return status;
    ret_caps->size = sizeof(*ret_caps);
    ret_caps->vcpus_max = 1;
    ret_caps->guest_address_max = ulv_vtx_guest_address_max(&capabilities);
    ret_caps->regions_max = ULV_REGIONS_MAX;
    ret_caps->can_save_registers = 1;
    ret_caps->can_remap = 1;
    ulv_text_init(&version, ret_caps->version, sizeof(ret_caps->version));
    ulv_text_format(&version, "VMX revision %x",
                    capabilities.basic & BASIC_REVISION);
    return ULV_OK;
}

/* ---- memory -------------------------------------------------------------- */

/* Map runs of physically contiguous pages. */
static ulv_status
map_runs(struct machine *m, uint64_t guest, uint64_t bytes, const uint8_t *p,
         uint64_t rights)
{
    const struct ulv_host *host = m->cfg.host;
    uint64_t done = 0;
    ulv_status status = ULV_OK;

    while (done < bytes && status == ULV_OK) {
        uint64_t first = host->physical(host->self, p + done);
        uint64_t run = ULV_VTX_PAGE;

        while (done + run < bytes &&
               host->physical(host->self, p + done + run) == first + run)
            run += ULV_VTX_PAGE;
        status = ulv_vtx_ept_map(&m->ept, guest + done, first, run, rights);
        if (status == ULV_OK)
            done += run;
    }
    /* runs were mapped whole: nothing lies across the end */
    if (status != ULV_OK && done > 0) {
        (void)ulv_vtx_ept_unmap(&m->ept, guest, done);
        m->stale = true;
    }
    return status;
}

static ulv_status
vtx_map(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
        uint64_t offset, void *p, uint32_t access)
{
    struct machine *m = machine;
    uint64_t rights = ULV_VTX_EPT_READ;
    ulv_status status = ulv_regions_check(&m->regions, guest.value, bytes);

    (void)memory;
    (void)offset;
    rights |= (access & ULV_GUEST_WRITE) != 0 ? ULV_VTX_EPT_WRITE : 0;
    rights |= (access & ULV_GUEST_EXECUTE) != 0 ? ULV_VTX_EPT_EXECUTE : 0;
    if (status == ULV_OK)
        status = ulv_vtx_identity_cover(&m->identity, guest.value, bytes);
    if (status == ULV_OK)
        status = map_runs(m, guest.value, bytes, p, rights);
    if (status == ULV_OK)
        (void)ulv_regions_add(&m->regions, guest.value, bytes, p, access);
    return status;
}

/* The next entry comes after INVEPT, and no guest of ours is running. */
static ulv_status
vtx_unmap(void *machine, ulv_gpa guest, uint64_t bytes)
{
    struct machine *m = machine;
    struct ulv_region *r = ulv_regions_find(&m->regions, guest.value, bytes);
    ulv_status status = ULV_E_NOT_FOUND;

    if (r != NULL) {
        status = ulv_vtx_ept_unmap(&m->ept, r->guest, r->bytes);
        m->stale = true;
    }
    if (status == ULV_OK)
        ulv_regions_remove(&m->regions, r);
    return status;
}

/* ---- machines ------------------------------------------------------------ */

static ulv_status
make_memory(struct machine *m)
{
    const struct ulv_host *host = m->cfg.host;
    bool giant = (m->capabilities.ept_vpid & BIT(EPT_GIANT)) != 0;
    ulv_status status;

    m->gate = host->alloc(host->self, ULV_VTX_PAGE, ULV_VTX_PAGE);
    if (m->gate == NULL)
        return ULV_E_NO_MEMORY;
    memcpy(m->gate, ulv_vtx_gate, sizeof(ulv_vtx_gate));
    status = ulv_vtx_ept_init(&m->ept, host, TABLES_MAX, giant);
    if (status == ULV_OK)
        status = ulv_vtx_identity_init(&m->identity, &m->ept);
    if (status == ULV_OK)
        status = ulv_vtx_ept_map(&m->ept, m->cfg.gate,
                                 host->physical(host->self, m->gate),
                                 ULV_VTX_PAGE,
                                 ULV_VTX_EPT_READ | ULV_VTX_EPT_EXECUTE);
    return status;
}

static ulv_status
vtx_machine_init(void *machine, const struct ulv_machine_cfg *cfg,
                 struct ulv_diag *diag)
{
    struct machine *m = machine;
    ulv_status status;

    m->made = m->stale = true;
    m->cfg = *cfg;
    if (cfg->vcpu_count != 1 || cfg->interrupts != 0 ||
        cfg->gate % ULV_VTX_PAGE != 0 || cfg->gate < ULV_VTX_LARGE ||
        cfg->gate >= ULV_VTX_LOW_BYTES)
        return ulv_fail(diag, ULV_E_ARG, cfg->partition, cfg->gate,
                        ULV_VTX_LOW_BYTES,
                        "one processor, no interrupts and a gate page from 2 "
                        "to 4 MiB are needed, not %u, %u and %x",
                        (uint64_t)cfg->vcpu_count, (uint64_t)cfg->interrupts,
                        cfg->gate);
    status = ulv_vtx_processor(cfg->host, &m->capabilities, diag);
    if (status == ULV_OK)
        status = ulv_vtx_controls(&m->capabilities, &m->controls, diag);
    if (status != ULV_OK)
        return status;
    ulv_regions_init(&m->regions, ULV_VTX_LOW_BYTES,
                     ulv_vtx_guest_address_max(&m->capabilities), m->region,
                     ULV_REGIONS_MAX);
    status = make_memory(m);
    if (status != ULV_OK)
        return ulv_fail(diag, status, cfg->partition, 0, 0,
                        "no memory for the guest's page tables");
    return ulv_vtx_root_enter(m, diag);
}

static void
vtx_machine_fini(void *machine)
{
    struct machine *m = machine;

    if (!m->made)
        return;
    m->made = false;
    ulv_vtx_identity_fini(&m->identity);
    ulv_vtx_ept_fini(&m->ept);
    m->cfg.host->free(m->cfg.host->self, m->gate, ULV_VTX_PAGE);
    m->gate = NULL;
    ulv_vtx_root_leave(m);
}

const struct ulv_backend_ops ulv_backend_vtx = {
    .size = sizeof(struct ulv_backend_ops),
    .name = "vtx",
    .machine_bytes = sizeof(struct machine),
    .vcpu_bytes = sizeof(struct vcpu),
    .probe = vtx_probe,
    .machine_init = vtx_machine_init,
    .machine_fini = vtx_machine_fini,
    .map = vtx_map,
    .unmap = vtx_unmap,
    .vcpu_init = ulv_vtx_vcpu_init,
    .vcpu_fini = ulv_vtx_vcpu_fini,
    .vcpu_run = ulv_vtx_vcpu_run,
    .vcpu_answer = ulv_vtx_vcpu_answer,
    .vcpu_kick = ulv_vtx_vcpu_kick,
    .vcpu_registers = ulv_vtx_vcpu_registers,
};
