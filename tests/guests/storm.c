/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Rings each slot without end, also those in which nothing is; never waits. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    for (;;) {
        for (uint32_t slot = 0; slot <= ULV_SLOT_COUNT; slot++)
            guest_signal(slot);
    }
}
