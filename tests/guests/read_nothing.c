/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Reads where there is no memory. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    return *(volatile uint8_t *)UINT64_C(0x8000000);
}
