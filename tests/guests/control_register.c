/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Gives itself other page tables. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(UINT64_C(0x400000)) : "memory");
    return 1;
}
