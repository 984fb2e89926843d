/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What channels have beside records: sections of a table, a bulk area. */
#include "system/system_priv.h"

void *
ulv_channel_section(ulv_channel *channel, bool own, uint64_t *ret_bytes)
{
    *ret_bytes = 0;
    if (ulv_system_channel_is_gone(channel))
        return NULL;
    return ulv_channel_end_section(&channel->end, own, ret_bytes);
}

void *
ulv_channel_area(ulv_channel *channel, uint64_t *ret_bytes)
{
    *ret_bytes = channel->end.bulk_bytes; /* zeroes, if it is gone */
    return channel->end.bulk;
}

void
ulv_channel_ring(ulv_channel *channel)
{
    if (!ulv_system_channel_is_gone(channel))
        ulv_system_channel_ring(channel, true);
}
