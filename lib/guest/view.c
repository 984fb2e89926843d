/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <ultravisor/guest.h>

#include "base/base.h"
#include "guest/guest_priv.h"
#include "view/read_fast.h"

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
    for (int i = 0; i < TRIES; i++) {
        ulv_status status =
            ulv_view_read_fast(&reader, kind, idx, ret, bytes);

        if (status != ULV_E_AGAIN)
            return status == ULV_OK;
    }
    return false;
}
