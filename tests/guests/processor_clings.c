/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The first processor takes memory that it is given; the second writes to it
 * for ever, whatever the view says.
 */
#include <ultravisor/guest.h>

static uint8_t stack[4096] __attribute__((aligned(16)));

static void
cling(void *argument)
{
    volatile uint64_t *p = argument;

    for (;;)
        *p = *p + 1;
}

int
guest_main(void)
{
    for (;;) {
        struct ulv_view_memory m;

        for (uint32_t i = 0;
             guest_view(ULV_VIEW_MEMORY, i, &m, sizeof(m)); i++) {
            if (guest_accept(m.guest_address) != 0)
                (void)guest_processor_start(
                    1, cling, (void *)(uintptr_t)m.guest_address,
                    stack + sizeof(stack));
        }
        guest_wait();
    }
}
