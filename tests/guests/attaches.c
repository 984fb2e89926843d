/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Attaches the first channel of its view. If that is refused the exit code is
 * the status, without its sign; otherwise it logs "attached" and waits for
 * ever, and neither reads nor writes.
 */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    static struct guest_channel channel;
    struct ulv_view_channel found;
    int32_t status;

    if (!guest_channel_find(NULL, 0, &found))
        return 1;
    status = guest_channel_attach(&channel, &found);
    if (status != ULV_OK)
        return -status;
    guest_log("attached");
    for (;;)
        guest_wait();
}
