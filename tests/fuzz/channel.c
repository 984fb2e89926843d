/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A whole channel as a hostile peer may leave it, and an end that attaches.
 * Input: one byte, which end; then steps of four: the peer changes a byte or a
 * word of the header, the controls or the data, or the end does something. What
 * an end uses lies in the channel, and its states follow their table.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "channel/channel.h"

#include "fuzz.h"

static const struct ulv_channel_layout layout = {
    .id = 9, .type = "fuzz", .ring_bytes = 4096, .bulk_bytes = 4096 };

static void
require(bool holds)
{
    if (!holds)
        abort();
}

struct far {
    uint8_t *p;
    uint64_t bytes;
    uint32_t end;
    bool attached;
    struct ulv_channel_end it;
};

static void
require_inside(const struct far *f, const void *p, uint64_t bytes)
{
    const uint8_t *at = p;

    require(at >= f->p + 4096 && at <= f->p + f->bytes &&
            bytes <= (uint64_t)(f->p + f->bytes - at));
}

static void
attach(struct far *f)
{
    const uint32_t before =
        ((const struct ulv_channel_header *)(void *)f->p)->end[f->end].state;
    ulv_status status =
        ulv_channel_attach(&f->it, f->p, f->bytes, f->end, layout.type);
    uint64_t bytes;

    require(status == ULV_OK || status == ULV_E_PEER_PROTOCOL ||
            status == ULV_E_PEER_INDEX || status == ULV_E_STATE);
    f->attached = status == ULV_OK;
    if (!f->attached)
        return;
    require(ulv_end_may_become(before, ULV_END_ATTACHING));
    for (int own = 0; own < 2; own++) {
        const void *data =
            ulv_channel_end_section(&f->it, own != 0, &bytes);

        require_inside(f, data, bytes);
    }
    if (f->it.bulk != NULL)
        require_inside(f, f->it.bulk, f->it.bulk_bytes);
    require((f->it.bulk == NULL) == (f->it.bulk_bytes == 0));
}

static void
use(struct far *f, uint8_t what, uint8_t len)
{
    struct ulv_ring_record record;
    void *slot;

    if (!f->attached) {
        attach(f);
        return;
    }
    switch (what % 6) {
    case 0:
        if (ulv_ring_tx_reserve(&f->it.tx, what, len, &slot) == ULV_OK) {
            require_inside(f, slot, len);
            memset(slot, what, len);
            (void)ulv_ring_tx_submit(&f->it.tx);
        }
        break;
    case 1:
        if (ulv_ring_rx_peek(&f->it.rx, &record) == ULV_OK) {
            require_inside(f, record.data, record.len);
            (void)ulv_ring_rx_release(&f->it.rx);
        }
        break;
    case 2:
        (void)ulv_channel_peer_state(&f->it);
        (void)ulv_channel_peer_was_there(&f->it);
        (void)ulv_channel_epoch(&f->it);
        break;
    case 3:
        ulv_channel_detach(&f->it);
        f->attached = false;
        break;
    case 4:
        ulv_channel_give_up(&f->it);
        require(ulv_ring_rx_peek(&f->it.rx, &record) != ULV_OK);
        f->attached = false;
        break;
    default:
        ulv_channel_end_died((void *)f->p, 1 - f->end);
        break;
    }
}

/* Of the header and what follows it, in which everything is that decides. */
static void
change(const struct far *f, const uint8_t step[4])
{
    uint64_t at = (step[0] & 4) != 0 ? 4096 + step[1] * 64u
                                     : step[1] % 2 * 256u;

    at = (at + step[2]) % (f->bytes - 7);
    if ((step[0] & 8) == 0)
        f->p[at] = step[3];
    else
        memset(f->p + (at & ~UINT64_C(7)), (int8_t)step[3], 8);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct far f = { .end = size == 0 ? 0 : data[0] % 2 };

    f.bytes = ulv_channel_bytes(layout.ring_bytes, layout.bulk_bytes);
    f.p = aligned_alloc(4096, f.bytes);
    require(f.p != NULL);
    memset(f.p, 0, f.bytes);
    require(ulv_channel_format(f.p, &layout) == ULV_OK);
    for (size_t i = 1; i + 4 <= size; i += 4) {
        if (data[i] % 4 == 0)
            change(&f, data + i);
        else
            use(&f, data[i + 1], data[i + 2]);
    }
    free(f.p);
    return 0;
}
