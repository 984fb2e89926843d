/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Instructions of x86-64 that C has no words for, and that more than one part
 * needs. MSRs at CPL0 only. */
#ifndef BASE_X86_H
#define BASE_X86_H

#include <stdint.h>

static inline uint64_t
cpu_msr(uint32_t number)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
    return (uint64_t)high << 32 | low;
}

static inline void
cpu_write_msr(uint32_t number, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(number), "a"((uint32_t)value),
                       "d"((uint32_t)(value >> 32))
                     : "memory");
}

/* The time stamp counter. */
static inline uint64_t
cpu_time(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

struct cpu_identity {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpu_identity
cpu_id(uint32_t leaf, uint32_t subleaf)
{
    struct cpu_identity id;

    __asm__ volatile("cpuid"
                     : "=a"(id.eax), "=b"(id.ebx), "=c"(id.ecx), "=d"(id.edx)
                     : "a"(leaf), "c"(subleaf));
    return id;
}

#endif
