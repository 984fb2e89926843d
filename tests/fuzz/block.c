/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A block server beside a hostile client, over takeovers. Input byte 0: 1 = the
 * medium may be written, 2 = each flush fails; then steps of 16 bytes: what is
 * done, and with what. Whatever the client asks and writes, and whatever stands
 * in a slot that a predecessor left, the medium is read and written only inside
 * of it, out of and into the bulk area only, and not written where it may not
 * be. A client that keeps to the protocol has one answer to each request; after
 * a successor the same one again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "io/block.h"

#include "fuzz.h"

#define RING    UINT64_C(4096)
#define BULK    UINT64_C(32768)
#define SECTORS 64u
#define STEP    16u
#define IDS     256u

struct world {
    struct ulv_host host;
    bool writable, flush_fails;
    uint8_t *p; /* the channel */
    uint64_t bytes;
    struct ulv_takeover_region *region;
    struct ulv_channel_end client;
    struct ulv_block_server server;
    uint32_t epoch, latched;
    bool broken; /* what the client knows of its answers is nothing any more */
    uint32_t asked;
    struct ulv_block_answer answer[IDS];
    bool answered[IDS];
    uint8_t disk[SECTORS * ULV_BLOCK_SECTOR_BYTES];
};

static const uint8_t type_block[16] = ULV_CHANNEL_TYPE_BLOCK;

static void
require(bool holds)
{
    if (!holds)
        abort();
}

/* ---- the medium ---------------------------------------------------------- */

static void
require_inside(const struct world *w, uint64_t offset, const void *buf,
               size_t len)
{
    const uint8_t *bulk = w->server.end.bulk, *at = buf;

    require(len != 0 && len <= sizeof(w->disk) && offset <= sizeof(w->disk) &&
            len <= sizeof(w->disk) - offset &&
            len % ULV_BLOCK_SECTOR_BYTES == 0 &&
            offset % ULV_BLOCK_SECTOR_BYTES == 0);
    require(at >= bulk && at <= bulk + BULK &&
            len <= (size_t)(bulk + BULK - at) &&
            (at - bulk) % (ptrdiff_t)ULV_BLOCK_SECTOR_BYTES == 0);
}

static ulv_status
read_medium(void *self, ulv_handle medium, uint64_t offset, void *buf,
            size_t len, size_t *ret_len)
{
    const struct world *w = self;

    (void)medium;
    require_inside(w, offset, buf, len);
    memcpy(buf, w->disk + offset, len);
    *ret_len = len;
    return ULV_OK;
}

static ulv_status
write_medium(void *self, ulv_handle medium, uint64_t offset, const void *buf,
             size_t len, size_t *ret_len)
{
    struct world *w = self;

    (void)medium;
    require(w->writable);
    require_inside(w, offset, buf, len);
    memcpy(w->disk + offset, buf, len);
    *ret_len = len;
    return ULV_OK;
}

static ulv_status
sync_medium(void *self, ulv_handle medium)
{
    const struct world *w = self;

    (void)medium;
    require(w->writable);
    return w->flush_fails ? ULV_E_MEDIUM : ULV_OK;
}

/* ---- the two ends -------------------------------------------------------- */

/* The first one, or a successor. Returns false: it does not serve. */
static bool
serve(struct world *w)
{
    ulv_status status;

    memset(&w->server, 0, sizeof(w->server));
    ulv_channel_set_epoch((void *)w->p, ++w->epoch);
    w->server.host = &w->host;
    w->server.sector_count = SECTORS;
    w->server.writable = w->writable;
    w->server.epoch = w->epoch;
    w->server.region = w->region;
    status = ulv_block_server_start(&w->server, w->p, w->bytes, 3);
    if (status != ULV_OK)
        w->server.failed = status;
    return status == ULV_OK;
}

static void
step_server(struct world *w, uint32_t turn)
{
    bool ring = false;

    if (w->server.end.header != NULL)
        (void)ulv_block_server_step(&w->server, turn, &ring);
}

static void
take_answer(struct world *w, const struct ulv_block_answer *a)
{
    if (w->broken || a->epoch != w->latched)
        return;
    require(a->id < w->asked && a->status <= 0);
    require(!w->answered[a->id] ||
            (w->answer[a->id].status == a->status &&
             w->answer[a->id].sector_count == a->sector_count));
    w->answered[a->id] = true;
    w->answer[a->id] = *a;
}

static void
hear(struct world *w)
{
    struct ulv_ring_record record;

    while (ulv_ring_rx_peek(&w->client.rx, &record) == ULV_OK) {
        struct ulv_block_answer answer;
        struct ulv_block_medium medium;

        if (record.type == ULV_BLOCK_MEDIUM) {
            require(w->broken || record.len == sizeof(medium));
            memcpy(&medium, record.data,
                   ULV_MIN(sizeof(medium), (size_t)record.len));
            w->latched = medium.epoch;
        } else if (record.len == sizeof(answer)) {
            require(w->broken || record.type == ULV_BLOCK_ANSWER);
            memcpy(&answer, record.data, sizeof(answer));
            take_answer(w, &answer);
        } else {
            require(w->broken);
        }
        (void)ulv_ring_rx_release(&w->client.rx);
    }
}

static bool
put(struct world *w, uint32_t type, const void *bytes, uint32_t len)
{
    void *slot;

    if (ulv_ring_tx_reserve(&w->client.tx, type, len, &slot) != ULV_OK)
        return false;
    memcpy(slot, bytes, len);
    (void)ulv_ring_tx_submit(&w->client.tx);
    return true;
}

/* One that could be, mostly: near the bounds. */
static struct ulv_block_request
make_request(const uint8_t *step)
{
    struct ulv_block_request r = { .operation = step[1] % 4,
                                   .sector = step[2] % (SECTORS + 2u),
                                   .sector_count = step[3] % 70u,
                                   .bulk_offset = step[4] * UINT64_C(256) };

    if (r.operation == ULV_BLOCK_FLUSH && step[5] % 2 == 0)
        r = (struct ulv_block_request){ .operation = ULV_BLOCK_FLUSH };
    /* or anything */
    if (step[6] % 8 == 1)
        memcpy(&r.sector, step + 8, 8);
    if (step[6] % 8 == 2)
        memcpy(&r.bulk_offset, step + 8, 8);
    if (step[6] % 8 == 3)
        memcpy(&r.sector_count, step + 8, 4);
    if (step[6] % 8 == 4)
        memcpy(&r.operation, step + 8, 4);
    return r;
}

static void
ask(struct world *w, const uint8_t *step)
{
    struct ulv_block_request r = make_request(step);

    r.id = w->asked;
    if (w->asked < IDS && put(w, ULV_BLOCK_REQUEST, &r, sizeof(r)))
        w->asked++;
}

/* Nothing that a client of the format does. */
static void
attack(struct world *w, const uint8_t *step)
{
    uint32_t slot = step[2] % ULV_BLOCK_IN_FLIGHT_MAX;
    uint8_t *controls = w->p + 4096; /* of both rings */

    w->broken = true;
    switch (step[1] % 5) {
    case 0: /* an index, or what rings ask */
        controls[step[2] % 2 * 256u + step[3] % 4 * 64u + step[4] % 8] =
            step[5];
        break;
    case 1: /* a byte of either ring */
        w->p[8192 + (step[2] | (uint32_t)step[3] << 8) % (2 * RING)] = step[4];
        break;
    case 2: /* another record */
        (void)put(w, step[2], step + 3, step[3] % 12);
        break;
    case 3: /* what stands in a slot that was a client's request */
        w->region->slot[slot].request = make_request(step);
        w->region->slot[slot].request.id = step[5];
        w->region->slot[slot].state = step[7] % 4;
        break;
    default: /* the bulk area, under a request */
        memset(w->client.bulk + step[2] * UINT64_C(128) % BULK, step[3], 64);
        break;
    }
}

static void
do_step(struct world *w, const uint8_t *step)
{
    switch (step[0] % 8) {
    case 0: case 1: case 2:
        ask(w, step);
        break;
    case 3: case 4:
        step_server(w, step[1] % 8);
        break;
    case 5:
        hear(w);
        break;
    case 6:
        (void)serve(w);
        break;
    default:
        attack(w, step);
        break;
    }
}

/* Who kept to the protocol has all its answers. */
static void
finish(struct world *w)
{
    for (uint32_t i = 0; i < 200; i++) { /* a ring and all slots */
        hear(w);
        step_server(w, 8);
    }
    hear(w);
    if (w->broken)
        return;
    require(w->server.failed == ULV_OK);
    for (uint32_t i = 0; i < w->asked; i++)
        require(w->answered[i]);
    for (uint32_t i = 0; i < ULV_BLOCK_IN_FLIGHT_MAX; i++)
        require(w->region->slot[i].state == ULV_TAKEOVER_FREE);
}

static void
begin(struct world *w, uint8_t flags)
{
    struct ulv_channel_layout layout = { .id = 5,
                                         .ring_bytes = RING,
                                         .bulk_bytes = BULK };

    w->writable = (flags & 1) != 0;
    w->flush_fails = (flags & 2) != 0;
    w->host.self = w;
    w->host.medium_read = read_medium;
    w->host.medium_write = write_medium;
    w->host.medium_sync = sync_medium;
    memcpy(layout.type, type_block, sizeof(type_block));
    w->bytes = ulv_channel_bytes(RING, BULK);
    w->p = aligned_alloc(4096, w->bytes);
    w->region = aligned_alloc(4096, 4096);
    require(w->p != NULL && w->region != NULL);
    memset(w->p, 0, w->bytes);
    memset(w->region, 0, 4096);
    ulv_takeover_init(w->region, 3);
    require(ulv_channel_format(w->p, &layout) == ULV_OK &&
            ulv_channel_attach(&w->client, w->p, w->bytes, ULV_END_CLIENT,
                               type_block) == ULV_OK &&
            serve(w));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = calloc(1, sizeof(*w));

    require(w != NULL);
    begin(w, size == 0 ? 0 : data[0]);
    for (size_t at = 1; size > STEP && at <= size - STEP; at += STEP)
        do_step(w, data + at);
    finish(w);
    free(w->p);
    free(w->region);
    free(w);
    return 0;
}
