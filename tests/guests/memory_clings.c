/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Takes memory that it is given while it runs, and writes to it for ever,
 * whatever its view says. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    struct ulv_view_memory memory = { 0 };
    uint64_t count = 0;

    for (;;) {
        uint32_t i = 0;

        while (guest_view(ULV_VIEW_MEMORY, i, &memory, sizeof(memory)))
            i++; /* the last one is what it was given */
        if (guest_accept(memory.guest_address) != 0)
            break;
        guest_wait();
    }
    for (;;) {
        *(volatile uint64_t *)(uintptr_t)memory.guest_address = ++count;
        guest_yield();
    }
}
