/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Counts every now and then, one MiB behind the start of its memory, and sleeps
 * all the rest: it shows that it lives, and takes next to no time. */
#include <ultravisor/guest.h>

#define PAUSE UINT64_C(20000000) /* ns */

int
guest_main(void)
{
    volatile uint64_t *shown =
        (volatile uint64_t *)(uintptr_t)(ULV_GUEST_RAM_BASE + 0x100000);

    for (;;) {
        uint64_t until = guest_time() + PAUSE;

        while (guest_wait_until(until))
            continue;
        shown[0]++;
    }
}
