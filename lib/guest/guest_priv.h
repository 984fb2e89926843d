/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef GUEST_GUEST_PRIV_H
#define GUEST_GUEST_PRIV_H

#include "channel/channel.h"

void guest_view_init(const void *view);
/* Attach the client end of the nth channel of a type. */
bool guest_channel_open(struct ulv_channel_end *end, const uint8_t type[16],
                        uint32_t nth, uint32_t *ret_slot);

#endif
