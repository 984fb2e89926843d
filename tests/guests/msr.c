/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Reads a model-specific register (IA32_EFER). */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xc0000080u));
    return 1;
}
