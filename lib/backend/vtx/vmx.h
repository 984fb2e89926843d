/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The instructions that C has no words for. Each VMX instruction returns how
 * it went; SDM vol. 3C 30.2 (conventions).
 */
#ifndef BACKEND_VTX_VMX_H
#define BACKEND_VTX_VMX_H

#include <ultravisor/sys/backend.h>

#include "base/x86.h"

#define VMX_DONE    0u
#define VMX_INVALID 1u /* VMfailInvalid: no current VMCS to say why */
#define VMX_FAILED  2u /* VMfailValid: the error is in the VMCS */

/* run.S: load the guest's registers but rip, rsp and rflags, enter by VMLAUNCH
 * or VMRESUME, come back with the guest's registers stored. Interrupts off. */
uint32_t ulv_vtx_enter(struct ulv_registers *registers, uint32_t resume);

struct ulv_vtx_descriptor { /* of SGDT; SDM vol. 3A 3.5.1 */
    uint16_t pad[3];
    uint16_t limit;
    uint64_t base;
};

static inline uint32_t
vmx_outcome(uint8_t carry, uint8_t zero)
{
    return carry != 0 ? VMX_INVALID : zero != 0 ? VMX_FAILED : VMX_DONE;
}

#define VMX_WITH_ADDRESS(name, instruction)                                    \
    static inline uint32_t name(uint64_t physical)                             \
    {                                                                          \
        uint8_t carry, zero;                                                   \
                                                                               \
        __asm__ volatile(instruction " %2; setc %0; setz %1"                   \
                         : "=qm"(carry), "=qm"(zero)                           \
                         : "m"(physical)                                       \
                         : "cc", "memory");                                    \
        return vmx_outcome(carry, zero);                                       \
    }

VMX_WITH_ADDRESS(vmx_on, "vmxon")
VMX_WITH_ADDRESS(vmx_clear, "vmclear")
VMX_WITH_ADDRESS(vmx_load, "vmptrld")

static inline uint32_t
vmx_off(void)
{
    uint8_t carry, zero;

    __asm__ volatile("vmxoff; setc %0; setz %1"
                     : "=qm"(carry), "=qm"(zero)
                     :
                     : "cc", "memory");
    return vmx_outcome(carry, zero);
}

static inline uint32_t
vmx_write(uint64_t field, uint64_t value)
{
    uint8_t carry, zero;

    __asm__ volatile("vmwrite %3, %2; setc %0; setz %1"
                     : "=qm"(carry), "=qm"(zero)
                     : "r"(field), "r"(value)
                     : "cc");
    return vmx_outcome(carry, zero);
}

/* 0 where the field cannot be read. */
static inline uint64_t
vmx_read(uint64_t field)
{
    uint64_t value = 0;

    __asm__ volatile("vmread %1, %0" : "+r"(value) : "r"(field) : "cc");
    return value;
}

/* One context; SDM vol. 3C 30.3 INVEPT. */
static inline uint32_t
vmx_invalidate(uint64_t ept_pointer)
{
    const uint64_t descriptor[2] = { ept_pointer, 0 };
    const uint64_t one_context = 1;
    uint8_t carry, zero;

    __asm__ volatile("invept %2, %3; setc %0; setz %1"
                     : "=qm"(carry), "=qm"(zero)
                     : "m"(descriptor), "r"(one_context)
                     : "cc", "memory");
    return vmx_outcome(carry, zero);
}

#define CPU_REGISTER(name)                                                     \
    static inline uint64_t cpu_##name(void)                                    \
    {                                                                          \
        uint64_t value;                                                        \
                                                                               \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value)::"memory");       \
        return value;                                                          \
    }                                                                          \
    static inline void cpu_write_##name(uint64_t value)                        \
    {                                                                          \
        __asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");          \
    }

#define CPU_SELECTOR(name)                                                     \
    static inline uint16_t cpu_##name(void)                                    \
    {                                                                          \
        uint64_t value;                                                        \
                                                                               \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                 \
        return (uint16_t)value;                                                \
    }

CPU_REGISTER(cr0)
CPU_REGISTER(cr3)
CPU_REGISTER(cr4)
CPU_SELECTOR(es)
CPU_SELECTOR(cs)
CPU_SELECTOR(ss)
CPU_SELECTOR(ds)
CPU_SELECTOR(fs)
CPU_SELECTOR(gs)

static inline uint16_t
cpu_tr(void)
{
    uint16_t value;

    __asm__ volatile("str %0" : "=r"(value));
    return value;
}

static inline void
cpu_tables(struct ulv_vtx_descriptor *gdt, struct ulv_vtx_descriptor *idt)
{
    __asm__ volatile("sgdt %0" : "=m"(gdt->limit), "=m"(gdt->base));
    __asm__ volatile("sidt %0" : "=m"(idt->limit), "=m"(idt->base));
}

static inline void
cpu_load_tables(const struct ulv_vtx_descriptor *gdt,
                const struct ulv_vtx_descriptor *idt)
{
    __asm__ volatile("lgdt %0" ::"m"(gdt->limit), "m"(gdt->base));
    __asm__ volatile("lidt %0" ::"m"(idt->limit), "m"(idt->base));
}

/* Interrupts off; returns the flags as they were. */
static inline uint64_t
cpu_interrupts_off(void)
{
    uint64_t flags;

    __asm__ volatile("pushfq; pop %0; cli" : "=r"(flags)::"memory", "cc");
    return flags;
}

static inline void
cpu_write_flags(uint64_t flags)
{
    __asm__ volatile("push %0; popfq" ::"r"(flags) : "memory", "cc");
}

#endif
