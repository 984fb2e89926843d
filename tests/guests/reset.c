/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Says that it runs, leaves a mark in its memory, asks to be reset. Where it
 * finds its mark, or a channel that somebody has used, it faults. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    volatile uint64_t *mark =
        (volatile uint64_t *)(uintptr_t)(ULV_GUEST_RAM_BASE + 0x100000);

    if (*mark != 0)
        guest_fault(1, "memory that was not cleared");
    *mark = 1;
    if (!guest_console_open())
        guest_fault(2, "no console");
    guest_print("runs\n");
    for (;;)
        (void)guest_call(ULV_CALL_RESET, 5, 0, 0);
}
