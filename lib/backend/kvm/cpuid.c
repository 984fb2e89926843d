/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What CPUID tells a guest: what its level (ULV_CPU_*) lets it see of the
 * host's processor, and nothing of where and on which one it runs.
 * doc/processor.md has the table.
 * Source: Intel SDM vol. 2A, CPUID; x86-64 psABI, table 3.1 (levels)
 */
#include <string.h>

#include "backend/kvm/kvm_priv.h"

#define FEATURES   1u
#define CACHES     4u
#define FEATURES_7 7u
#define TOPOLOGY   0xbu
#define EXTENDED   0xdu
#define MAX_BASIC  0xdu
#define HYPERVISOR UINT32_C(0x40000000)
#define TIMING     UINT32_C(0x40000010)
#define MAX_MORE   UINT32_C(0x80000008)

#define ECX_XSAVE      (UINT32_C(1) << 26)
#define ECX_OSXSAVE    (UINT32_C(1) << 27)
#define ECX_HYPERVISOR (UINT32_C(1) << 31)

/* Extended state that the guest's 4 KiB can hold: no AMX. */
#define XCR0_MAX UINT64_C(0x2e7)
#define XCR0_V3  UINT64_C(7)

/* What a level shows of a leaf, if the host has it: a register each. What is
 * not listed is not shown, below the highest level. */
static const struct {
    uint32_t function, index;
    uint32_t mask[2][4]; /* baseline, v3: eax ebx ecx edx */
} shown[] = {
    /* vendor; signature; SSE3 SSSE3 CX16 SSE4 POPCNT [FMA MOVBE XSAVE AVX
     * F16C]; FPU PSE TSC MSR PAE CX8 PGE CMOV CLFSH MMX FXSR SSE SSE2 */
    { 0, 0, { { 0, ~0u, ~0u, ~0u }, { 0, ~0u, ~0u, ~0u } } },
    { 1, 0,
      { { ~0u, 0xff00, 0x00982201, 0x0788a179 },
        { ~0u, 0xff00, 0x34d83201, 0x0788a179 } } },
    /* BMI1 AVX2 BMI2 */
    { 7, 0, { { 0, 0, 0, 0 }, { 0, 0x128, 0, 0 } } },
    { 0xd, 0, { { 0, 0, 0, 0 }, { 7, 0, 0, 0 } } },
    /* x87 SSE AVX: where their state lies */
    { 0xd, 2, { { 0, 0, 0, 0 }, { ~0u, ~0u, ~0u, ~0u } } },
    /* LAHF [LZCNT]; NX LM */
    { 0x80000001, 0,
      { { 0, 0, 0x01, 0x20100000 }, { 0, 0, 0x21, 0x20100000 } } },
    { 0x80000007, 0, { { 0, 0, 0, 0x100 }, { 0, 0, 0, 0x100 } } },
    { 0x80000008, 0, { { 0xffff, 0, 0, 0 }, { 0xffff, 0, 0, 0 } } },
};

/* Where a host is, and how it is cooled, counted, and managed. */
static const uint32_t hidden[] = { 2, 3, 4, 5, 6, 9, 0xa, 0xf, 0x10, 0x12,
                                   0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a,
                                   0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x24,
                                   0x80000005, 0x80000006, 0x8000000a,
                                   0x8000001d, 0x8000001e, 0x8000001f };

static struct kvm_cpuid_entry2 *
add(struct cpuid *c, uint32_t function, uint32_t index, uint32_t flags)
{
    struct kvm_cpuid_entry2 *e;

    if (c->head.nent == ULV_COUNT_OF(c->entry))
        return NULL;
    e = &c->entry[c->head.nent++];
    memset(e, 0, sizeof(*e));
    e->function = function;
    e->index = index;
    e->flags = flags;
    return e;
}

const struct kvm_cpuid_entry2 *
ulv_kvm_cpuid_leaf(const struct cpuid *c, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < c->head.nent; i++) {
        if (c->entry[i].function == function && c->entry[i].index == index)
            return &c->entry[i];
    }
    return NULL;
}

uint64_t
ulv_kvm_cpuid_xcr0(const struct cpuid *c)
{
    const struct kvm_cpuid_entry2 *has = ulv_kvm_cpuid_leaf(c, FEATURES, 0);
    const struct kvm_cpuid_entry2 *e = ulv_kvm_cpuid_leaf(c, EXTENDED, 0);

    if (has == NULL || e == NULL || (has->ecx & ECX_XSAVE) == 0)
        return 1;
    return (e->eax | (uint64_t)e->edx << 32) & XCR0_MAX;
}

static bool
is_hidden(uint32_t function)
{
    for (size_t i = 0; i < ULV_COUNT_OF(hidden); i++) {
        if (hidden[i] == function)
            return true;
    }
    return function == TOPOLOGY || function >> 16 == HYPERVISOR >> 16;
}

static void
copy_host(const struct cpuid *host, struct cpuid *to)
{
    for (uint32_t i = 0; i < host->head.nent; i++) {
        const struct kvm_cpuid_entry2 *from = &host->entry[i];
        struct kvm_cpuid_entry2 *e;

        if (is_hidden(from->function) ||
            (e = add(to, from->function, from->index, from->flags)) == NULL)
            continue;
        *e = *from;
    }
}

static void
copy_shown(const struct cpuid *host, uint32_t level, struct cpuid *to)
{
    for (size_t i = 0; i < ULV_COUNT_OF(shown); i++) {
        const uint32_t *mask = shown[i].mask[level];
        const struct kvm_cpuid_entry2 *from =
            ulv_kvm_cpuid_leaf(host, shown[i].function, shown[i].index);
        struct kvm_cpuid_entry2 *e;

        if (from == NULL || (mask[0] | mask[1] | mask[2] | mask[3]) == 0 ||
            (e = add(to, from->function, from->index, from->flags)) == NULL)
            continue;
        e->eax = from->eax & mask[0];
        e->ebx = from->ebx & mask[1];
        e->ecx = from->ecx & mask[2];
        e->edx = from->edx & mask[3];
    }
    (void)add(to, UINT32_C(0x80000000), 0, 0);
}

/* The size of its extended state, and how high leaves count. */
static void
set_bounds(struct cpuid *c)
{
    uint64_t xcr0 = ulv_kvm_cpuid_xcr0(c);
    uint32_t bytes = 576; /* legacy region and header */

    for (uint32_t i = 2; i < 63; i++) {
        const struct kvm_cpuid_entry2 *e = ulv_kvm_cpuid_leaf(c, EXTENDED, i);

        if ((xcr0 >> i & 1) != 0 && e != NULL)
            bytes = ULV_MAX(bytes, e->ebx + e->eax);
    }
    for (uint32_t i = 0; i < c->head.nent; i++) {
        struct kvm_cpuid_entry2 *e = &c->entry[i];

        if (e->function == 0)
            e->eax = MAX_BASIC;
        if (e->function == UINT32_C(0x80000000))
            e->eax = MAX_MORE;
        if (e->function == EXTENDED && e->index == 0) {
            e->eax = (uint32_t)xcr0;
            e->ebx = e->ecx = bytes;
            e->edx = (uint32_t)(xcr0 >> 32);
        }
    }
}

/* Processors are cores of one package, by their numbers in the guest. */
static void
set_place(struct cpuid *c, uint32_t idx, uint32_t count)
{
    struct kvm_cpuid_entry2 *e;

    for (uint32_t i = 0; i < c->head.nent; i++) {
        e = &c->entry[i];
        if (e->function != FEATURES)
            continue;
        e->ebx = (e->ebx & 0xff00) | count << 16 | idx << 24;
        e->ecx |= ECX_HYPERVISOR;
        e->ecx &= ~ECX_OSXSAVE; /* as CR4 has it */
        if (count > 1)
            e->edx |= UINT32_C(1) << 28; /* more than one in the package */
    }
    for (uint32_t level = 0; level < 2; level++) {
        e = add(c, TOPOLOGY, level, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
        if (e == NULL)
            return;
        e->eax = level == 0 ? 0 : 5; /* bits of a number: 16 processors */
        e->ebx = level == 0 ? 1 : count;
        e->ecx = level | (level + 1) << 8;
        e->edx = idx;
    }
}

/* Who runs it, and how fast its time stamp counter goes. */
static void
set_hypervisor(struct cpuid *c, uint32_t tsc_khz)
{
    struct kvm_cpuid_entry2 *e = add(c, HYPERVISOR, 0, 0);

    if (e == NULL)
        return;
    e->eax = TIMING;
    memcpy(&e->ebx, "libu", 4);
    memcpy(&e->ecx, "ltra", 4);
    memcpy(&e->edx, "viso", 4);
    e = add(c, TIMING, 0, 0);
    if (e != NULL)
        e->eax = tsc_khz;
}

/* ---- of stock guests ----------------------------------------------------- */

#define EDX_APIC      (UINT32_C(1) << 9)
#define EDX_NO_KERNEL UINT32_C(0x5080) /* MCE MTRR MCA: we have none */
#define ECX_TIMER     (UINT32_C(1) << 24) /* TSC deadline */
#define CLOCK_LEAF    UINT32_C(0x40000001)
/* kvm-clock, whether it is stable, and that a port need not be waited for */
#define CLOCK_BITS    UINT32_C(0x0100000a)

/* What a kernel needs or its user space is safer with, at any level: a register
 * each, if the host has it. */
static const struct {
    uint32_t function;
    uint32_t mask[4];
} kernel[] = {
    /* PCID x2APIC; DE APIC SEP */
    { 1, { 0, 0, 0x220000, 0xa04 } },
    /* FSGSBASE SMEP INVPCID SMAP; UMIP; MD_CLEAR SPEC_CTRL STIBP FLUSH_L1D
     * ARCH_CAPABILITIES SSBD */
    { 7, { 0, 0x100481, 4, 0xbc000400 } },
    /* SYSCALL, 1 GiB pages, RDTSCP */
    { 0x80000001, { 0, 0, 0, 0x0c000800 } },
    /* IBPB IBRS STIBP SSBD */
    { 0x80000008, { 0, 0x0100d000, 0, 0 } },
};

static struct kvm_cpuid_entry2 *
leaf_to_change(struct cpuid *c, uint32_t function)
{
    for (uint32_t i = 0; i < c->head.nent; i++) {
        if (c->entry[i].function == function && c->entry[i].index == 0)
            return &c->entry[i];
    }
    return add(c, function, 0,
               function == FEATURES_7 ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0);
}

/* By its name in leaf HYPERVISOR a kernel knows what the next one means. */
static void
set_clock(const struct cpuid *host, struct cpuid *c)
{
    const struct kvm_cpuid_entry2 *from =
        ulv_kvm_cpuid_leaf(host, CLOCK_LEAF, 0);
    struct kvm_cpuid_entry2 *e = leaf_to_change(c, HYPERVISOR);

    if (e != NULL) {
        memcpy(&e->ebx, "KVMK", 4);
        memcpy(&e->ecx, "VMKV", 4);
        memcpy(&e->edx, "M\0\0", 4);
    }
    e = leaf_to_change(c, CLOCK_LEAF);
    if (e != NULL && from != NULL)
        e->eax = from->eax & CLOCK_BITS;
}

void
ulv_kvm_cpuid_add_kernel(const struct cpuid *host, struct cpuid *c)
{
    for (size_t i = 0; i < ULV_COUNT_OF(kernel); i++) {
        const struct kvm_cpuid_entry2 *from =
            ulv_kvm_cpuid_leaf(host, kernel[i].function, 0);
        struct kvm_cpuid_entry2 *e = leaf_to_change(c, kernel[i].function);

        if (from == NULL || e == NULL)
            continue;
        e->ebx |= from->ebx & kernel[i].mask[1];
        e->ecx |= from->ecx & kernel[i].mask[2];
        e->edx |= from->edx & kernel[i].mask[3];
        if (kernel[i].function != FEATURES)
            continue;
        e->edx = (e->edx | EDX_APIC) & ~EDX_NO_KERNEL;
        e->ecx |= ECX_TIMER;
    }
    set_clock(host, c);
}

void
ulv_kvm_cpuid_make(const struct cpuid *host, uint32_t level, uint32_t idx,
                   uint32_t count, uint32_t tsc_khz, struct cpuid *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (level == ULV_CPU_HOST)
        copy_host(host, ret);
    else
        copy_shown(host, level, ret);
    set_bounds(ret);
    set_place(ret, idx, count);
    set_hypervisor(ret, tsc_khz);
}
