/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Carries out a privileged instruction. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    __asm__ volatile("cli");
    return 0;
}
