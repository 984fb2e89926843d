/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Never calls anybody. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    for (;;)
        __asm__ volatile("pause");
}
