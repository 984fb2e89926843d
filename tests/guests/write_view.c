/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Writes into its own view. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    struct guest_result view = guest_call(ULV_CALL_DISCOVER, 0, 0, 0);

    *(volatile uint64_t *)(uintptr_t)view.value = 1;
    return 0;
}
