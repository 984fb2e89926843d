/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * VMX operation of a processor: begun by the first machine, ended by the last.
 * The host keeps the pointer to it, because the backend has no data of its own.
 */
#include "backend/vtx/vtx_priv.h"

void
ulv_vtx_note_failure(struct failure *failure, const char *step,
                     uint32_t outcome)
{
    if (failure->status != ULV_OK)
        return;
    failure->status = ULV_E_HOST;
    failure->step = step;
    failure->outcome = outcome;
    if (outcome == VMX_FAILED)
        failure->error = (uint32_t)vmx_read(FIELD_ERROR);
}

void
ulv_vtx_failure_text(const struct failure *failure, struct ulv_text *text)
{
    ulv_text_format(text, "%s", failure->step);
    if (failure->outcome == VMX_FAILED)
        ulv_text_format(text, ": %s (VM-instruction error %u)",
                        ulv_vtx_error_text(failure->error),
                        (uint64_t)failure->error);
    else if (failure->outcome == VMX_INVALID)
        ulv_text_string(text, " failed: there is no current VMCS");
}

void
ulv_vtx_write(struct failure *failure, uint64_t field, uint64_t value)
{
    if (failure->status == ULV_OK)
        ulv_vtx_note(failure, "VMWRITE", vmx_write(field, value));
}

/* ---- begin and end ------------------------------------------------------- */

/* SDM vol. 3C 23.7: VMXON faults unless the MSR is locked with VMX on. The
 * firmware of some machines leaves that to us, on each processor. */
static void
allow_vmx(void)
{
    uint64_t control = cpu_msr(MSR_FEATURE_CONTROL);

    if ((control & FEATURE_LOCK) == 0)
        cpu_write_msr(MSR_FEATURE_CONTROL,
                      control | FEATURE_LOCK | FEATURE_VMX);
}

/* Everything up to VMXON; what stands in the way, or NULL. */
static const char *
enter(struct root *root, const struct ulv_vtx_capabilities *c)
{
    const struct ulv_host *host = root->host;
    uint64_t cr0, cr4;

    if ((root->cr4 & CR4_VMXE) != 0)
        return "another program has this processor in VMX operation";
    if (ulv_vtx_fixed("CR0", c->cr0_fixed0, c->cr0_fixed1, root->cr0, &cr0,
                      NULL) != ULV_OK)
        return "CR0 has a bit that VMX operation does not allow";
    if (ulv_vtx_fixed("CR4", c->cr4_fixed0, c->cr4_fixed1, root->cr4, &cr4,
                      NULL) != ULV_OK)
        return "CR4 has a bit that VMX operation does not allow";
    allow_vmx();
    cpu_write_cr0(cr0);
    cpu_write_cr4(cr4);
    if (vmx_on(host->physical(host->self, root->vmxon)) == VMX_DONE)
        return NULL;
    cpu_write_cr4(root->cr4);
    cpu_write_cr0(root->cr0);
    return "VMXON failed";
}

static ulv_status
new_root(const struct machine *m, void **slot, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    uint32_t revision = (uint32_t)(m->capabilities.basic & BASIC_REVISION);
    struct root *root = host->alloc(host->self, sizeof(*root), 8);
    void *vmxon = host->alloc(host->self, ULV_VTX_PAGE, ULV_VTX_PAGE);
    const char *why;

    if (root == NULL || vmxon == NULL) {
        host->free(host->self, vmxon, ULV_VTX_PAGE);
        host->free(host->self, root, sizeof(*root));
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->cfg.partition, 0, 0,
                        "no memory for VMX operation");
    }
    memcpy(vmxon, &revision, sizeof(revision)); /* SDM vol. 3C 24.11.5 */
    root->vmxon = vmxon;
    root->host = host;
    root->cr0 = cpu_cr0();
    root->cr4 = cpu_cr4();
    root->efer = cpu_msr(MSR_EFER);
    why = enter(root, &m->capabilities);
    if (why == NULL) {
        *slot = root;
        return ULV_OK;
    }
    host->free(host->self, vmxon, ULV_VTX_PAGE);
    host->free(host->self, root, sizeof(*root));
    return ulv_fail(diag, ULV_E_HOST, m->cfg.partition, 0, 0, "%s", why);
}

ulv_status
ulv_vtx_root_enter(struct machine *m, struct ulv_diag *diag)
{
    void **slot = m->cfg.host->processor_slot(m->cfg.host->self);
    ulv_status status = ULV_OK;

    if (*slot == NULL)
        status = new_root(m, slot, diag);
    if (status != ULV_OK)
        return status;
    m->root = *slot;
    m->root->machines++;
    return ULV_OK;
}

void
ulv_vtx_root_leave(struct machine *m)
{
    const struct ulv_host *host = m->cfg.host;
    struct root *root = m->root;

    m->root = NULL;
    if (root == NULL || --root->machines > 0)
        return;
    (void)vmx_off();
    cpu_write_cr4(root->cr4);
    cpu_write_cr0(root->cr0);
    *host->processor_slot(host->self) = NULL;
    host->free(host->self, root->vmxon, ULV_VTX_PAGE);
    host->free(host->self, root, sizeof(*root));
}

/* ---- the current VMCS ---------------------------------------------------- */

/* The base in a descriptor of 16 bytes; SDM vol. 3A 7.2.3. */
static uint64_t
task_base(const struct ulv_vtx_descriptor *gdt, uint16_t selector)
{
    const uint8_t *at = (const uint8_t *)(uintptr_t)(gdt->base +
                                                     (selector & 0xfff8u));
    uint64_t low = ulv_get_le64(at), high = ulv_get_le32(at + 8);

    return (low >> 16 & 0xffffff) | (low >> 56) << 24 | high << 32;
}

static void
write_host(struct failure *failure, const struct root *root,
           const struct ulv_vtx_descriptor *gdt,
           const struct ulv_vtx_descriptor *idt)
{
    const struct ulv_vtx_field fields[] = {
        { FIELD_HOST_ES, cpu_es() & 0xfff8u },
        { FIELD_HOST_CS, cpu_cs() & 0xfff8u },
        { FIELD_HOST_SS, cpu_ss() & 0xfff8u },
        { FIELD_HOST_DS, cpu_ds() & 0xfff8u },
        { FIELD_HOST_FS, cpu_fs() & 0xfff8u },
        { FIELD_HOST_GS, cpu_gs() & 0xfff8u },
        { FIELD_HOST_TR, cpu_tr() & 0xfff8u },
        { FIELD_HOST_CR0, cpu_cr0() },
        { FIELD_HOST_CR3, cpu_cr3() },
        { FIELD_HOST_CR4, cpu_cr4() },
        { FIELD_HOST_EFER, root->efer },
        { FIELD_HOST_FS_BASE, cpu_msr(MSR_FS_BASE) },
        { FIELD_HOST_GS_BASE, cpu_msr(MSR_GS_BASE) },
        { FIELD_HOST_TR_BASE, task_base(gdt, cpu_tr()) },
        { FIELD_HOST_GDTR_BASE, gdt->base },
        { FIELD_HOST_IDTR_BASE, idt->base },
        { FIELD_HOST_SYSENTER_CS, cpu_msr(MSR_SYSENTER_CS) },
        { FIELD_HOST_SYSENTER_SP, cpu_msr(MSR_SYSENTER_ESP) },
        { FIELD_HOST_SYSENTER_IP, cpu_msr(MSR_SYSENTER_EIP) },
    };

    for (size_t i = 0; i < ULV_COUNT_OF(fields); i++)
        ulv_vtx_write(failure, fields[i].field, fields[i].value);
}

/* SDM vol. 3C 24.5. Selectors without RPL and TI: 26.2.3. */
void
ulv_vtx_fields_of_host(struct failure *failure, const struct root *root)
{
    struct ulv_vtx_descriptor gdt, idt;

    cpu_tables(&gdt, &idt);
    write_host(failure, root, &gdt, &idt);
}

/*
 * Translations of an earlier machine may have been made from the same pages,
 * or ours have changed: INVEPT before the next entry. Without VPIDs an entry
 * drops everything else (SDM vol. 3C 28.3.3.1).
 */
void
ulv_vtx_make_current(struct failure *failure, struct vcpu *v)
{
    struct machine *m = v->machine;

    if (m->root->current != v) {
        ulv_vtx_note(failure, "VMPTRLD", vmx_load(v->vmcs_physical));
        m->root->current = failure->status == ULV_OK ? v : NULL;
    }
    if (m->stale && failure->status == ULV_OK) {
        ulv_vtx_note(failure, "INVEPT",
                     vmx_invalidate(ulv_vtx_ept_pointer(&m->ept)));
        m->stale = failure->status != ULV_OK;
    }
}
