/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The server of a console, and a client that does what no client does. Input is
 * steps of four bytes: a record, a byte or a word of the channel changed, the
 * server's turn, something typed, another server. Whatever comes, what goes to
 * the sink is the stream that goes on where it stood, and the server asks for
 * input from where that stands.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "io/console.h"

#include "fuzz.h"

#define RING UINT64_C(16384)

static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;

static void
require(bool holds)
{
    if (!holds)
        abort();
}

struct world {
    uint8_t *p;
    uint64_t bytes;
    struct ulv_takeover_region *region; /* no guest reaches it */
    struct ulv_channel_end client;
    struct ulv_console_server server;
    bool serves, wanted;
    uint8_t full; /* how often the sink says so */
};

static ulv_status
sink(void *self, uint64_t offset, const void *bytes, size_t len)
{
    struct world *w = self;

    require(offset == w->region->console_offset && len >= 1 &&
            len <= ULV_CONSOLE_OUTPUT_MAX);
    require(bytes != NULL);
    if (w->full == 0)
        return ULV_OK;
    w->full--;
    return ULV_E_FULL;
}

static void
want(void *self, uint64_t offset)
{
    struct world *w = self;

    require(offset == w->region->input_offset);
    w->wanted = true;
}

static void
serve(struct world *w)
{
    ulv_status status;

    w->server = (struct ulv_console_server){
        .region = w->region, .sink = sink, .want = want, .self = w };
    status = ulv_console_server_start(&w->server, w->p, w->bytes);
    require(status == ULV_OK || status == ULV_E_PEER_PROTOCOL ||
            status == ULV_E_PEER_INDEX || status == ULV_E_STATE);
    w->serves = status == ULV_OK;
    w->wanted = false;
}

static void
turn(struct world *w)
{
    const uint64_t before = w->region->console_offset;
    bool ring = false;

    if (!w->serves)
        return;
    (void)ulv_console_server_step(&w->server, 3, &ring);
    require(w->region->console_offset >= before);
    if (w->server.failed != ULV_OK) { /* and another one comes */
        ulv_channel_give_up(&w->server.end);
        w->serves = false;
    }
}

static void
type(struct world *w, uint16_t len)
{
    static const uint8_t typed[ULV_CONSOLE_INPUT_MAX + 1];
    const uint64_t before = w->region->input_offset;
    bool ring = false;

    if (!w->serves)
        return;
    ulv_console_server_input(&w->server, before, typed,
                             len % (sizeof(typed) + 1), &ring);
    require(w->region->input_offset - before <= ULV_CONSOLE_INPUT_MAX);
    require(w->region->input_offset == before || w->wanted);
}

/* A record of the client's: where it begins in the stream, and how long. */
static void
say(struct world *w, const uint8_t step[4])
{
    const uint32_t len = step[2] * 5u;
    const uint64_t offset = w->region->console_offset +
                            (uint64_t)(int64_t)((int8_t)step[1] * 16);
    uint8_t *slot;
    void *p;

    if (ulv_ring_tx_reserve(&w->client.tx, step[3] % 3, len, &p) != ULV_OK)
        return;
    slot = p;
    memset(slot, step[3], len);
    if (len >= sizeof(offset))
        memcpy(slot, &offset, sizeof(offset));
    (void)ulv_ring_tx_submit(&w->client.tx);
}

static void
change(const struct world *w, const uint8_t step[4])
{
    const uint64_t at = (step[0] & 64) != 0 ? 4096 + step[1] * 128u + step[2]
                                            : step[1] * 32u + step[2];

    if ((step[0] & 128) == 0)
        w->p[at] = step[3];
    else
        memset(w->p + (at & ~UINT64_C(7)), (int8_t)step[3], 8);
}

static void
do_step(struct world *w, const uint8_t step[4])
{
    struct ulv_ring_record record;

    switch (step[0] % 8) {
    case 0:
        change(w, step);
        break;
    case 1:
    case 2:
        say(w, step);
        break;
    case 3:
        type(w, (uint16_t)(step[1] | step[2] << 8));
        break;
    case 4:
        serve(w);
        break;
    case 5:
        w->full = step[1];
        break;
    case 6:
        if (ulv_ring_rx_peek(&w->client.rx, &record) == ULV_OK)
            (void)ulv_ring_rx_release(&w->client.rx);
        break;
    default:
        turn(w);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ulv_channel_layout layout = { .id = 5, .ring_bytes = RING };
    struct world w = { .bytes = ulv_channel_bytes(RING, 0) };

    memcpy(layout.type, type_console, 16);
    w.p = aligned_alloc(4096, w.bytes);
    w.region = aligned_alloc(4096, 4096);
    require(w.p != NULL && w.region != NULL);
    memset(w.p, 0, w.bytes);
    memset(w.region, 0, 4096);
    w.region->console_offset = 5000; /* some of the stream is behind it */
    require(ulv_channel_format(w.p, &layout) == ULV_OK);
    require(ulv_channel_attach_able(&w.client, w.p, w.bytes, ULV_END_CLIENT,
                                    type_console,
                                    ULV_CONSOLE_FEATURE_INPUT) == ULV_OK);
    serve(&w);
    for (; size >= 4; data += 4, size -= 4)
        do_step(&w, data);
    free(w.p);
    free(w.region);
    return 0;
}
