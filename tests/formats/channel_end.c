/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One end of a channel, made to be killed: test_kills.py. The server end sends
 * records, the client end reads them; the number of a record follows from where
 * it stands, so a successor knows which comes next. The client notes in the
 * bulk area what it has read, for its successor to compare.
 *
 * usage: channel_end format FD
 *        channel_end END FD OWN-BELL PEER-BELL RECORDS
 *
 * The server sends so many records, the last of which says so; the client ends
 * when it has read that. Exits with 0 if all was as it must be.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "channel/channel.h"

#include "bell.h"

#define RING_BYTES   UINT64_C(4096)
#define PAYLOAD      56u /* with its header a divisor of the ring: no padding */
#define RECORD_BYTES (sizeof(struct ulv_record) + PAYLOAD)
#define MORE         1u /* types */
#define LAST         2u

static const uint8_t type[16] = "made to die";

static int
serve(struct ulv_channel_end *end, int own, int peer, uint64_t records)
{
    uint64_t next = end->tx.tail / RECORD_BYTES, stop = next + records;

    while (next < stop) {
        void *slot;
        uint32_t kind = next + 1 == stop ? LAST : MORE;
        ulv_status status =
            ulv_ring_tx_reserve(&end->tx, kind, PAYLOAD, &slot);

        if (status == ULV_E_FULL) {
            if (!ulv_ring_tx_wait(&end->tx, PAYLOAD))
                await(own);
            continue;
        }
        if (status != ULV_OK)
            return 12;
        memset(slot, (int)(next & 0xff), PAYLOAD);
        next++;
        if (ulv_ring_tx_submit(&end->tx))
            ring(peer);
    }
    return 0;
}

static int
check(const struct ulv_ring_record *record, uint64_t number)
{
    const uint8_t *p = record->data;

    if ((record->type != MORE && record->type != LAST) ||
        record->len != PAYLOAD)
        return 13;
    for (uint32_t i = 0; i < PAYLOAD; i++) {
        if (p[i] != (number & 0xff))
            return 14;
    }
    return 0;
}

static int
take(struct ulv_channel_end *end, int own, int peer)
{
    uint64_t next = end->rx.head / RECORD_BYTES;
    uint64_t *read_count = (uint64_t *)(void *)end->bulk;
    bool over = false;

    /* the last one may have been read and not given back */
    if (*read_count - next > 1)
        return 16;
    while (!over) {
        struct ulv_ring_record record;
        ulv_status status = ulv_ring_rx_peek(&end->rx, &record);
        int wrong;

        if (status == ULV_E_EMPTY) {
            if (!ulv_ring_rx_wait(&end->rx))
                await(own);
            continue;
        }
        wrong = status == ULV_OK ? check(&record, next) : 15;
        if (wrong != 0)
            return wrong;
        *read_count = ++next;
        over = record.type == LAST;
        if (ulv_ring_rx_release(&end->rx))
            ring(peer);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    struct ulv_channel_layout layout = { .id = 9, .ring_bytes = RING_BYTES,
                                         .bulk_bytes = 4096 };
    uint64_t bytes = ulv_channel_bytes(RING_BYTES, layout.bulk_bytes);
    struct ulv_channel_end end;
    int own, peer;
    void *p;

    if (argc < 3 || ftruncate(atoi(argv[2]), (off_t)bytes) != 0)
        return 1;
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[2]),
             0);
    if (p == MAP_FAILED)
        return 2;
    memcpy(layout.type, type, sizeof(layout.type));
    if (argc == 3)
        return ulv_channel_format(p, &layout) == ULV_OK ? 0 : 3;
    if (argc != 6 ||
        ulv_channel_attach(&end, p, bytes, (uint32_t)atoi(argv[1]), type) !=
            ULV_OK)
        return 4;
    own = atoi(argv[3]);
    peer = atoi(argv[4]);
    ring(peer); /* our predecessor may have died before it did */
    if (end.end == ULV_END_SERVER)
        return serve(&end, own, peer, strtoull(argv[5], NULL, 10));
    return take(&end, own, peer);
}
