/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Channels that carry a table in place of records. */
#include "system/system_priv.h"

void *
ulv_channel_section(ulv_channel *channel, bool own, uint64_t *ret_bytes)
{
    *ret_bytes = 0;
    if (ulv_system_channel_is_gone(channel))
        return NULL;
    return ulv_channel_end_section(&channel->end, own, ret_bytes);
}

void
ulv_channel_ring(ulv_channel *channel)
{
    if (!ulv_system_channel_is_gone(channel))
        ulv_system_channel_ring(channel, true);
}
