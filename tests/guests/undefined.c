/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Carries out an undefined instruction. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    __asm__ volatile("ud2");
    return 0;
}
