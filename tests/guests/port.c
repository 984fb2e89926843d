/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Writes to an I/O port that is not its own. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    __asm__ volatile("outb %%al, %%dx" : : "a"(0), "d"(0x3f8));
    return 0;
}
