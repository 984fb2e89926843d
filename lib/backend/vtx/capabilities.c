/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/vtx/capabilities.h"

#include "backend/vtx/ept.h"

#define MEMORY_WRITE_BACK 6 /* SDM vol. 3D table A-1 */
#define GUEST_BITS_MAX    36u

enum source { PIN, PRIMARY, SECONDARY, EXIT, ENTRY, EPT_VPID, SOURCES };

static const char *const source_name[SOURCES] = {
    [PIN] = "IA32_VMX_PINBASED_CTLS",
    [PRIMARY] = "IA32_VMX_PROCBASED_CTLS",
    [SECONDARY] = "IA32_VMX_PROCBASED_CTLS2",
    [EXIT] = "IA32_VMX_EXIT_CTLS",
    [ENTRY] = "IA32_VMX_ENTRY_CTLS",
    [EPT_VPID] = "IA32_VMX_EPT_VPID_CAP",
};

/* Bits that must be 1, the most telling first. Of controls that is "may be
 * 1": the upper half; SDM vol. 3D A.3 to A.5. The backend runs no guest
 * without paging yet, but takes no processor on which it never could. */
static const struct {
    enum source source;
    uint64_t bit;
    const char *what;
} needed[] = {
    { SECONDARY, 32 + SECONDARY_EPT, "EPT" },
    { SECONDARY, 32 + SECONDARY_UNRESTRICTED, "unrestricted guest" },
    { PIN, 32 + PIN_INTERRUPT, "exit on external interrupts" },
    { PIN, 32 + PIN_NMI, "exit on NMIs" },
    { PIN, 32 + PIN_TIMER, "VMX-preemption timer" },
    { PRIMARY, 32 + PRIMARY_HLT, "exit on HLT" },
    { PRIMARY, 32 + PRIMARY_PORT, "exit on I/O instructions" },
    { PRIMARY, 32 + PRIMARY_SECONDARY, "secondary controls" },
    { EXIT, 32 + EXIT_HOST_64, "exit to 64-bit code" },
    { EXIT, 32 + EXIT_LOAD_EFER, "load of IA32_EFER on exit" },
    { ENTRY, 32 + ENTRY_GUEST_64, "entry to 64-bit code" },
    { ENTRY, 32 + ENTRY_LOAD_EFER, "load of IA32_EFER on entry" },
    { EPT_VPID, EPT_LEVELS_4, "EPT of 4 levels" },
    { EPT_VPID, EPT_WRITE_BACK, "EPT in write-back memory" },
    { EPT_VPID, EPT_LARGE, "EPT pages of 2 MiB" },
    { EPT_VPID, EPT_INVEPT, "INVEPT" },
    { EPT_VPID, EPT_INVEPT_ONE, "INVEPT of a single context" },
};

static uint32_t
missing(struct ulv_text *text, uint32_t count)
{
    if (count > 0)
        ulv_text_string(text, "; ");
    return count + 1;
}

static uint32_t
missing_bits(const struct ulv_vtx_capabilities *c, struct ulv_text *text,
             uint32_t count)
{
    const uint64_t value[SOURCES] = {
        [PIN] = c->pin,     [PRIMARY] = c->primary, [SECONDARY] = c->secondary,
        [EXIT] = c->exit,   [ENTRY] = c->entry,     [EPT_VPID] = c->ept_vpid,
    };

    const char *who = "this processor has ";

    for (size_t i = 0; i < ULV_COUNT_OF(needed); i++) {
        if ((value[needed[i].source] & BIT(needed[i].bit)) != 0)
            continue;
        count = missing(text, count);
        ulv_text_format(text, "%sno %s (%s bit %u is 0)", who, needed[i].what,
                        source_name[needed[i].source], needed[i].bit);
        who = "";
    }
    return count;
}

uint32_t
ulv_vtx_capabilities_missing(const struct ulv_vtx_capabilities *c,
                             struct ulv_text *text)
{
    uint32_t count = 0;

    if ((c->cpuid_1_ecx & BIT(CPUID_1_ECX_VMX)) == 0) {
        ulv_text_format(text, "this processor has no VMX (CPUID.1:ECX bit "
                              "%u is 0)", (uint64_t)CPUID_1_ECX_VMX);
        return 1;
    }
    if ((c->feature_control & (FEATURE_LOCK | FEATURE_VMX)) == FEATURE_LOCK) {
        count = missing(text, count);
        ulv_text_format(text, "the firmware has locked VMX off "
                              "(IA32_FEATURE_CONTROL is %x): switch it on in "
                              "the firmware's setup", c->feature_control);
    }
    if ((c->basic >> BASIC_TYPE_SHIFT & 15) != MEMORY_WRITE_BACK) {
        count = missing(text, count);
        ulv_text_format(text, "this processor does not keep a VMCS in "
                              "write-back memory (IA32_VMX_BASIC is %x)",
                        c->basic);
    }
    if ((c->basic & BASIC_NARROW) != 0) {
        count = missing(text, count);
        ulv_text_format(text, "this processor finds a VMCS below 4 GiB only "
                              "(IA32_VMX_BASIC bit 48 is 1)");
    }
    return missing_bits(c, text, count);
}

bool
ulv_vtx_feature_control_open(const struct ulv_vtx_capabilities *c)
{
    return (c->feature_control & FEATURE_LOCK) == 0;
}

uint64_t
ulv_vtx_guest_address_max(const struct ulv_vtx_capabilities *c)
{
    return UINT64_C(1) << ULV_MIN(c->physical_bits, GUEST_BITS_MAX);
}
