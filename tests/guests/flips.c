/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Flips a bit of what the header of its channel says: of the type if that is
 * "flip type", otherwise of the instance. Says so in the log, and waits for
 * ever.
 */
#include <ultravisor/guest.h>

static const uint8_t flips_type[16] = "flip type";

int
guest_main(void)
{
    struct ulv_view_channel found;
    volatile struct ulv_channel_header *header;

    if (!guest_channel_find(NULL, 0, &found))
        return 1;
    header = (volatile void *)(uintptr_t)found.guest_address;
    if (guest_channel_find(flips_type, 0, &found))
        header->type[15] ^= 1;
    else
        header->instance[0] ^= 0x80;
    guest_signal(found.slot);
    guest_log("flipped");
    for (;;)
        guest_wait();
}
