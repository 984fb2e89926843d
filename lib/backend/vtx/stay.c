/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* VMXON to VMXOFF, and what of the host an exit comes back to. */
#include "backend/vtx/vtx_priv.h"

void
ulv_vtx_stay_failed(struct stay *stay, const char *step, uint32_t outcome)
{
    if (outcome == VMX_DONE || stay->status != ULV_OK)
        return;
    stay->status = ULV_E_HOST;
    stay->step = step;
    stay->outcome = outcome;
    if (outcome == VMX_FAILED)
        stay->error = (uint32_t)vmx_read(FIELD_ERROR);
}

void
ulv_vtx_stay_text(const struct stay *stay, struct ulv_text *text)
{
    ulv_text_format(text, "%s", stay->step);
    if (stay->outcome == VMX_FAILED)
        ulv_text_format(text, ": %s (VM-instruction error %u)",
                        ulv_vtx_error_text(stay->error),
                        (uint64_t)stay->error);
    else if (stay->outcome == VMX_INVALID)
        ulv_text_string(text, " failed: there is no current VMCS");
}

void
ulv_vtx_stay_write(struct stay *stay, uint64_t field, uint64_t value)
{
    if (stay->status == ULV_OK)
        ulv_vtx_stay_failed(stay, "VMWRITE", vmx_write(field, value));
}

/* The base in a descriptor of 16 bytes; SDM vol. 3A 7.2.3. */
static uint64_t
task_base(const struct ulv_vtx_descriptor *gdt, uint16_t selector)
{
    const uint8_t *at = (const uint8_t *)(uintptr_t)(gdt->base +
                                                     (selector & 0xfff8u));
    uint64_t low = ulv_get_le64(at), high = ulv_get_le32(at + 8);

    return (low >> 16 & 0xffffff) | (low >> 56) << 24 | high << 32;
}

/* SDM vol. 3C 24.5. Selectors without RPL and TI: 26.2.3. */
void
ulv_vtx_stay_fields_of_host(struct stay *stay)
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
        { FIELD_HOST_EFER, stay->efer },
        { FIELD_HOST_FS_BASE, cpu_msr(MSR_FS_BASE) },
        { FIELD_HOST_GS_BASE, cpu_msr(MSR_GS_BASE) },
        { FIELD_HOST_TR_BASE, task_base(&stay->gdt, cpu_tr()) },
        { FIELD_HOST_GDTR_BASE, stay->gdt.base },
        { FIELD_HOST_IDTR_BASE, stay->idt.base },
        { FIELD_HOST_SYSENTER_CS, cpu_msr(MSR_SYSENTER_CS) },
        { FIELD_HOST_SYSENTER_SP, cpu_msr(MSR_SYSENTER_ESP) },
        { FIELD_HOST_SYSENTER_IP, cpu_msr(MSR_SYSENTER_EIP) },
    };

    for (size_t i = 0; i < ULV_COUNT_OF(fields); i++)
        ulv_vtx_stay_write(stay, fields[i].field, fields[i].value);
}

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

static void
refuse(struct stay *stay, const char *why)
{
    stay->status = ULV_E_HOST;
    stay->step = why;
}

/* Everything up to VMXON; whether it is done. */
static bool
enter_root(struct stay *stay, const struct machine *m)
{
    const struct ulv_vtx_capabilities *c = &m->capabilities;
    uint64_t cr0, cr4;

    if ((stay->cr4 & CR4_VMXE) != 0) {
        refuse(stay, "another program has this processor in VMX operation");
    } else if (ulv_vtx_fixed("CR0", c->cr0_fixed0, c->cr0_fixed1, stay->cr0,
                             &cr0, NULL) != ULV_OK) {
        refuse(stay, "CR0 has a bit that VMX operation does not allow");
    } else if (ulv_vtx_fixed("CR4", c->cr4_fixed0, c->cr4_fixed1, stay->cr4,
                             &cr4, NULL) != ULV_OK) {
        refuse(stay, "CR4 has a bit that VMX operation does not allow");
    } else {
        uint32_t outcome;

        allow_vmx();
        cpu_write_cr0(cr0);
        cpu_write_cr4(cr4);
        outcome = vmx_on(m->cfg.host->physical(m->cfg.host->self, m->vmxon));
        if (outcome == VMX_DONE)
            return true;
        cpu_write_cr4(stay->cr4);
        cpu_write_cr0(stay->cr0);
        refuse(stay, "VMXON failed");
    }
    return false;
}

/*
 * INVEPT each time: another machine's tables may have lain in the same pages,
 * on this processor or before ours changed. Without VPIDs an entry drops
 * everything else (SDM vol. 3C 28.3.3.1), so that little is lost.
 */
ulv_status
ulv_vtx_stay_begin(struct stay *stay, const struct vcpu *v)
{
    const struct machine *m = v->machine;
    const struct ulv_host *host = m->cfg.host;

    memset(stay, 0, sizeof(*stay));
    stay->flags = cpu_interrupts_off();
    stay->cr0 = cpu_cr0();
    stay->cr4 = cpu_cr4();
    stay->efer = cpu_msr(MSR_EFER);
    cpu_tables(&stay->gdt, &stay->idt);
    if (!enter_root(stay, m))
        return stay->status;
    stay->machine = m;
    ulv_vtx_stay_failed(stay, "VMCLEAR",
                        vmx_clear(host->physical(host->self, v->vmcs)));
    if (stay->status == ULV_OK)
        ulv_vtx_stay_failed(stay, "VMPTRLD",
                            vmx_load(host->physical(host->self, v->vmcs)));
    if (stay->status == ULV_OK)
        ulv_vtx_stay_failed(stay, "INVEPT",
                            vmx_invalidate(ulv_vtx_ept_pointer(&m->ept)));
    return stay->status;
}

void
ulv_vtx_stay_end(struct stay *stay, const struct vcpu *v)
{
    if (stay->machine != NULL) {
        const struct ulv_host *host = stay->machine->cfg.host;

        ulv_vtx_stay_failed(stay, "VMCLEAR",
                            vmx_clear(host->physical(host->self, v->vmcs)));
        ulv_vtx_stay_failed(stay, "VMXOFF", vmx_off());
        cpu_write_cr4(stay->cr4);
        cpu_write_cr0(stay->cr0);
        /* an exit has set their limits to 64 KiB; SDM vol. 3C 27.5.2 */
        cpu_load_tables(&stay->gdt, &stay->idt);
    }
    cpu_write_flags(stay->flags);
}
