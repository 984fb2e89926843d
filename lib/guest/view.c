/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <ultravisor/guest.h>

#include "base/base.h"
#include "guest/guest_priv.h"
#include "view/read.h"

#define TRIES 64

static struct ulv_view_reader reader;

void
guest_view_init(const void *view)
{
    const struct ulv_view_root *root = view;

    ulv_view_reader_init(&reader, view, root->segment_bytes);
}

bool
guest_view(uint32_t kind, uint32_t idx, void *ret, size_t bytes)
{
    uint64_t generation;

    for (int i = 0; i < TRIES; i++) {
        ulv_status status = ulv_view_refresh(&reader, &generation);

        if (status == ULV_OK)
            status = ulv_view_read(&reader, kind, idx, ret, bytes);
        if (status != ULV_E_AGAIN)
            return status == ULV_OK;
    }
    return false;
}

bool
guest_channel_open(struct ulv_channel_end *end, const uint8_t type[16],
                   uint32_t nth, uint32_t *ret_slot)
{
    struct ulv_view_channel channel;

    for (uint32_t i = 0;
         guest_view(ULV_VIEW_CHANNEL, i, &channel, sizeof(channel)); i++) {
        if (!ulv_guid_equal(channel.type, type) || nth-- > 0)
            continue;
        *ret_slot = channel.slot;
        (void)guest_call(ULV_CALL_ATTACH, channel.slot, 0, 0);
        return ulv_channel_attach(
                   end, (void *)(uintptr_t)channel.guest_address,
                   channel.bytes, channel.end, type) == ULV_OK;
    }
    return false;
}
