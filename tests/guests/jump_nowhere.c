/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Calls an address where nothing is. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    void (*nowhere)(void) = (void (*)(void))UINT64_C(0x7000000);

    nowhere();
    return 0;
}
