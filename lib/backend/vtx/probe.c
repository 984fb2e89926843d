/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What this program and this processor can do. Only reads. */
#include "backend/vtx/vtx_priv.h"

#define CPL_MASK          3
#define LEAF_EXTENDED     UINT32_C(0x80000000)
#define LEAF_ADDRESS_BITS UINT32_C(0x80000008)
#define ADDRESS_BITS_MIN  36u /* where CPUID does not say; SDM vol. 3A 4.1.4 */

/* Each MSR is there only if an earlier value says so; SDM vol. 3D A. */
static void
read_capabilities(struct ulv_vtx_capabilities *c)
{
    bool true_controls;

    memset(c, 0, sizeof(*c));
    c->cpuid_1_ecx = cpu_id(1, 0).ecx;
    c->physical_bits = ADDRESS_BITS_MIN;
    if (cpu_id(LEAF_EXTENDED, 0).eax >= LEAF_ADDRESS_BITS)
        c->physical_bits = cpu_id(LEAF_ADDRESS_BITS, 0).eax & 0xff;
    if ((c->cpuid_1_ecx & BIT(CPUID_1_ECX_VMX)) == 0)
        return;
    c->feature_control = cpu_msr(MSR_FEATURE_CONTROL);
    c->basic = cpu_msr(MSR_VMX_BASIC);
    true_controls = (c->basic & BASIC_TRUE) != 0;
    c->pin = cpu_msr(true_controls ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN);
    c->primary =
        cpu_msr(true_controls ? MSR_VMX_TRUE_PRIMARY : MSR_VMX_PRIMARY);
    c->exit = cpu_msr(true_controls ? MSR_VMX_TRUE_EXIT : MSR_VMX_EXIT);
    c->entry = cpu_msr(true_controls ? MSR_VMX_TRUE_ENTRY : MSR_VMX_ENTRY);
    c->misc = cpu_msr(MSR_VMX_MISC);
    c->cr0_fixed0 = cpu_msr(MSR_VMX_CR0_FIXED0);
    c->cr0_fixed1 = cpu_msr(MSR_VMX_CR0_FIXED1);
    c->cr4_fixed0 = cpu_msr(MSR_VMX_CR4_FIXED0);
    c->cr4_fixed1 = cpu_msr(MSR_VMX_CR4_FIXED1);
    if ((c->primary & BIT(32 + PRIMARY_SECONDARY)) == 0)
        return;
    c->secondary = cpu_msr(MSR_VMX_SECONDARY);
    if ((c->secondary &
         (BIT(32 + SECONDARY_EPT) | BIT(32 + SECONDARY_VPID))) != 0)
        c->ept_vpid = cpu_msr(MSR_VMX_EPT_VPID);
}

ulv_status
ulv_vtx_processor(const struct ulv_host *host,
                  struct ulv_vtx_capabilities *ret, struct ulv_diag *diag)
{
    char buf[sizeof(diag->text)];
    struct ulv_text text;
    uint32_t count;

    memset(ret, 0, sizeof(*ret));
    if ((cpu_cs() & CPL_MASK) != 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, cpu_cs(), 0,
                        "VT-x is for a program without an operating system: "
                        "this one runs at CPL%u",
                        (uint64_t)cpu_cs() & CPL_MASK);
    if (host->size < sizeof(*host) || host->physical == NULL ||
        host->processor_slot == NULL)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, host->size, sizeof(*host),
                        "the host has no physical addresses, or no slot for "
                        "each processor");
    read_capabilities(ret);
    ulv_text_init(&text, buf, sizeof(buf));
    count = ulv_vtx_capabilities_missing(ret, &text);
    if (count > 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, count, 0, "%s", buf);
    if (cpu_tr() == 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                        "the host has loaded no task register, to which an "
                        "exit returns");
    return ULV_OK;
}
