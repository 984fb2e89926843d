/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the tests of this folder share: channels, raw ends, random bytes. */
#ifndef COMMAND_TEST_H
#define COMMAND_TEST_H

#include "../port/port_test.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "channel/channel.h"
#include "command/codec.h"

static const uint8_t command_type[16] = ULV_CHANNEL_TYPE_COMMAND;

/* SplitMix64: the same numbers from the same seed. */
static inline uint64_t
random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A command channel between guard pages. */
static inline uint8_t *
channel_make(uint64_t ring_bytes)
{
    struct ulv_channel_layout layout = { .id = 5, .ring_bytes = ring_bytes };
    uint64_t bytes = ulv_channel_bytes(ring_bytes, 0);
    uint8_t *p = mmap(NULL, bytes + 8192, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + 4096, bytes, PROT_READ | PROT_WRITE), 0);
    memcpy(layout.type, command_type, 16);
    assert_int_equal(ulv_channel_format(p + 4096, &layout), ULV_OK);
    return p + 4096;
}

static inline void
channel_drop(uint8_t *p, uint64_t ring_bytes)
{
    (void)munmap(p - 4096, ulv_channel_bytes(ring_bytes, 0) + 8192);
}

/* An end without the code that is tested. */
static inline void
end_attach(struct ulv_channel_end *end, uint8_t *p, uint64_t ring_bytes,
           uint32_t which)
{
    assert_int_equal(ulv_channel_attach(end, p,
                                        ulv_channel_bytes(ring_bytes, 0),
                                        which, command_type),
                     ULV_OK);
}

/* Put a record of that type and these bytes, whatever they are. */
static inline ulv_status
end_put(struct ulv_channel_end *end, uint32_t record_type, const void *bytes,
        size_t len)
{
    void *slot;
    ulv_status status =
        ulv_ring_tx_reserve(&end->tx, record_type, (uint32_t)len, &slot);

    if (status == ULV_OK) {
        memcpy(slot, bytes, len);
        (void)ulv_ring_tx_submit(&end->tx);
    }
    return status;
}

/* Take a record into buf; returns its length, 0: there is none. */
static inline size_t
end_take(struct ulv_channel_end *end, void *buf, size_t room)
{
    struct ulv_ring_record record;

    if (ulv_ring_rx_peek(&end->rx, &record) != ULV_OK)
        return 0;
    assert_true(record.len <= room);
    memcpy(buf, record.data, record.len);
    (void)ulv_ring_rx_release(&end->rx);
    return record.len;
}

#endif
