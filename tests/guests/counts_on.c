/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Counts in a register and shows the count, and the time, in its memory, one
 * MiB behind its start: begun anew it would begin from 1. Every now and then it
 * sleeps for a moment.
 */
#include <ultravisor/guest.h>

#define MOMENT UINT64_C(200000) /* ns */

int
guest_main(void)
{
    volatile uint64_t *shown =
        (volatile uint64_t *)(uintptr_t)(ULV_GUEST_RAM_BASE + 0x100000);
    uint64_t time = 0;

    for (uint64_t count = 1;; count++) {
        uint64_t now = guest_time();

        if (now < time)
            guest_fault(1, "time went back");
        time = now;
        if (shown[0] != count - 1)
            guest_fault(2, "the count that is shown is another's");
        shown[1] = now;
        shown[0] = count;
        if (count % 16 == 0) {
            while (guest_wait_until(now + MOMENT))
                continue;
        }
    }
}
