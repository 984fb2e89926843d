/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Two of these have a channel. Its client sleeps; its server ends when the
 * channel's header says that the client is gone, of which it hears by its
 * doorbell: exit code 7.
 */
#include <ultravisor/guest.h>

static const uint8_t type[16] = "hears peer";

int
guest_main(void)
{
    static struct guest_channel channel;
    struct ulv_view_channel found;

    if (!guest_channel_find(type, 0, &found) ||
        guest_channel_attach(&channel, &found) != 0)
        return 1;
    while (found.end == ULV_END_CLIENT)
        guest_wait();
    while (guest_channel_peer(&channel) != ULV_END_ATTACHED)
        guest_wait();
    guest_log("met");
    while (guest_channel_peer(&channel) != ULV_END_DETACHED)
        guest_wait();
    return 7;
}
