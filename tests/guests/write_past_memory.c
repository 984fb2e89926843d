/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Writes the first byte behind its memory. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    struct ulv_view_memory last = { 0 }, m;

    for (uint32_t i = 0; guest_view(ULV_VIEW_MEMORY, i, &m, sizeof(m)); i++)
        last = m;
    *(volatile uint8_t *)(uintptr_t)(last.guest_address + last.bytes) = 1;
    return 0;
}
