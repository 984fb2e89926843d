/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Fills all of its channels with garbage and rings without end. */
#include <ultravisor/guest.h>

static void
fill(const struct ulv_view_channel *channel, uint64_t seed)
{
    volatile uint64_t *word =
        (volatile uint64_t *)(uintptr_t)channel->guest_address;

    for (uint64_t i = 0; i < 40960 / 8; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1;
        word[i] = seed;
    }
}

int
guest_main(void)
{
    struct ulv_view_channel channel;

    for (uint64_t round = 0; round < 64; round++) {
        for (uint32_t i = 0;
             guest_view(ULV_VIEW_CHANNEL, i, &channel, sizeof(channel)); i++) {
            fill(&channel, round + i);
            guest_signal(channel.slot);
        }
    }
    return 7;
}
