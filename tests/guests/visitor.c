/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Opens a channel whenever it has one, greets its peer, waits for its peer's
 * greeting, closes when the channel is revoked, and checks that it is gone.
 */
#include <ultravisor/guest.h>

static const uint8_t type[16] = "visit";

static void
visit(struct guest_channel *channel)
{
    static const char hello[] = "hello";
    struct guest_record record;
    uint32_t slot = 0;
    struct ulv_view_channel found;

    for (uint32_t i = 0; guest_view(ULV_VIEW_CHANNEL, i, &found, sizeof(found));
         i++) {
        if (found.type[0] == type[0] && found.type[1] == type[1])
            slot = found.slot;
    }
    if (guest_channel_send(channel, 1, hello, sizeof(hello)) != 0)
        guest_fault(1, "the greeting could not be sent");
    while (guest_channel_peek(channel, &record) == ULV_E_EMPTY &&
           !guest_channel_is_revoked(channel))
        guest_channel_wait(channel);
    if (guest_channel_peek(channel, &record) == 0) {
        guest_channel_release(channel);
        guest_log("met");
    }
    while (!guest_channel_is_revoked(channel))
        guest_wait();
    guest_channel_close(channel);
    if (guest_call(ULV_CALL_SIGNAL, slot, 0, 0).status != ULV_E_NOT_FOUND)
        guest_fault(2, "the channel is still there");
    guest_log("parted");
}

int
guest_main(void)
{
    static struct guest_channel channel;

    for (;;) {
        if (guest_channel_open(&channel, type, 0))
            visit(&channel);
        guest_wait();
    }
}
