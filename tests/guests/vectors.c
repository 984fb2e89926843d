/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Holds patterns in the vector registers that it may use, and looks at them
 * after each call; shows, one MiB behind the start of memory: the count, what
 * CPUID says (1 ecx, 1 edx, 7 ebx, the hypervisor), and 1 if it uses AVX.
 */
#include <ultravisor/guest.h>

#define EACH(of)                                                               \
    of(0) of(1) of(2) of(3) of(4) of(5) of(6) of(7) of(8) of(9) of(10) of(11)  \
        of(12) of(13) of(14) of(15)
#define LOAD_XMM(n)  "movdqu 16*" #n "(%0), %%xmm" #n "\n"
#define STORE_XMM(n) "movdqu %%xmm" #n ", 16*" #n "(%0)\n"
#define LOAD_YMM(n)  "vmovdqu 32*" #n "(%0), %%ymm" #n "\n"
#define STORE_YMM(n) "vmovdqu %%ymm" #n ", 32*" #n "(%0)\n"

#define BYTES 512u

static uint8_t pattern[BYTES], found[BYTES];

static void
cpuid(uint32_t leaf, uint32_t ret[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(ret[0]), "=b"(ret[1]), "=c"(ret[2]), "=d"(ret[3])
                     : "a"(leaf), "c"(0));
}

static bool
may_use_avx(void)
{
    struct ulv_view_partition partition;

    return guest_view(ULV_VIEW_PARTITION, 0, &partition, sizeof(partition)) &&
           (partition.capabilities & (ULV_CAP_CPU_V3 | ULV_CAP_CPU_HOST)) != 0;
}

static void
check(bool avx)
{
    uint32_t bytes = avx ? BYTES : BYTES / 2;

    if (avx)
        __asm__ volatile(EACH(STORE_YMM) : : "r"(found) : "memory");
    else
        __asm__ volatile(EACH(STORE_XMM) : : "r"(found) : "memory");
    for (uint32_t i = 0; i < bytes; i++) {
        if (found[i] != pattern[i])
            guest_fault(1, "a vector register is not as it was");
    }
}

int
guest_main(void)
{
    volatile uint64_t *shown =
        (volatile uint64_t *)(uintptr_t)(ULV_GUEST_RAM_BASE + 0x100000);
    bool avx = may_use_avx();
    uint32_t leaf[4];

    cpuid(1, leaf);
    shown[1] = leaf[2];
    shown[2] = leaf[3];
    cpuid(7, leaf);
    shown[3] = leaf[1];
    cpuid(0x40000000, leaf);
    for (uint32_t i = 1; i < 4; i++)
        shown[3 + i] = leaf[i];
    shown[7] = avx;
    for (uint32_t i = 0; i < BYTES; i++)
        pattern[i] = (uint8_t)(i * 7 + 1);
    if (avx)
        __asm__ volatile(EACH(LOAD_YMM) : : "r"(pattern) : "memory");
    else
        __asm__ volatile(EACH(LOAD_XMM) : : "r"(pattern) : "memory");
    for (uint64_t count = 1;; count++) {
        shown[0] = count;
        (void)guest_time();
        guest_yield();
        check(avx);
    }
}
