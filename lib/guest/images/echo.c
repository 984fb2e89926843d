/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The echo guest: sends back every record of a channel of type ECHO, until one
 * of type 0 comes. Exit code 0.
 */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    static const uint8_t type_echo[16] = "ultravisor echo";
    struct guest_channel channel;
    struct guest_record record;

    if (!guest_channel_open(&channel, type_echo, 0))
        return 1;
    for (;;) {
        int32_t status = guest_channel_peek(&channel, &record);

        if (status == ULV_E_EMPTY) {
            guest_channel_wait(&channel);
            continue;
        }
        if (status != 0)
            return 2;
        if (record.type == 0)
            break;
        if (guest_channel_send(&channel, record.type, record.data,
                               record.len) != 0)
            return 3;
        guest_channel_release(&channel);
    }
    guest_channel_close(&channel);
    return 0;
}
