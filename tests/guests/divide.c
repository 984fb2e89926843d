/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Divides by zero. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    __asm__ volatile("xor %%ecx, %%ecx; xor %%edx, %%edx; divl %%ecx"
                     : : "a"(1) : "ecx", "edx");
    return 0;
}
