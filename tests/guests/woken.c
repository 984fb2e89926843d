/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Counts in its memory, one MiB behind its start, how often it was woken. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    volatile uint64_t *count =
        (volatile uint64_t *)(uintptr_t)(ULV_GUEST_RAM_BASE + 0x100000);

    for (;;) {
        guest_wait();
        (*count)++;
    }
}
