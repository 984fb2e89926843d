/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The console server beside a client of the test's: what is typed arrives once
 * and in order, also when the server is dropped after any of its steps and
 * another one takes over; so does what the client says.
 */
#include "../port/port_test.h"

#include <stdlib.h>

#include "base/base.h"
#include "io/console.h"

#define RING  UINT64_C(16384)
#define BYTES 40000u

struct fixture {
    uint8_t *p; /* the channel */
    uint64_t bytes;
    struct ulv_takeover_region *region;
    struct ulv_channel_end client;
    struct ulv_console_server server;
    uint64_t wanted; /* the last offset that was asked for */
    uint32_t wants;
    uint64_t heard, said; /* bytes of each stream */
    uint8_t sink[BYTES];
    uint64_t sunk;
};

static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;

static uint8_t
byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 7 + offset / 251);
}

static void
attach_client(struct fixture *f, uint32_t features)
{
    assert_int_equal(ulv_channel_attach_able(&f->client, f->p, f->bytes,
                                             ULV_END_CLIENT, type_console,
                                             features),
                     ULV_OK);
}

static void
begin(struct fixture *f)
{
    struct ulv_channel_layout layout = { .id = 5, .ring_bytes = RING };

    memset(f, 0, sizeof(*f));
    memcpy(layout.type, type_console, 16);
    f->bytes = ulv_channel_bytes(RING, 0);
    f->p = aligned_alloc(4096, f->bytes);
    f->region = aligned_alloc(4096, 4096);
    assert_non_null(f->p);
    assert_non_null(f->region);
    memset(f->p, 0, f->bytes);
    memset(f->region, 0, 4096);
    assert_int_equal(ulv_channel_format(f->p, &layout), ULV_OK);
}

static void
end(struct fixture *f)
{
    free(f->p);
    free(f->region);
}

static void
want(void *self, uint64_t offset)
{
    struct fixture *f = self;

    f->wanted = offset;
    f->wants++;
}

static ulv_status
sink(void *self, uint64_t offset, const void *bytes, size_t len)
{
    struct fixture *f = self;

    assert_true(offset <= f->sunk && offset + len <= sizeof(f->sink));
    memcpy(f->sink + offset, bytes, len);
    f->sunk = offset + len;
    return ULV_OK;
}

static void
serve(struct fixture *f)
{
    memset(&f->server, 0, sizeof(f->server));
    f->server.region = f->region;
    f->server.sink = sink;
    f->server.want = want;
    f->server.self = f;
    assert_int_equal(ulv_console_server_start(&f->server, f->p, f->bytes),
                     ULV_OK);
}

static void
step(struct fixture *f)
{
    bool ring = false;

    (void)ulv_console_server_step(&f->server, 1, &ring);
}

/* So many bytes of the stream that is typed. */
static void
give(struct fixture *f, uint64_t offset, size_t len)
{
    uint8_t bytes[ULV_CONSOLE_INPUT_MAX + 1];
    bool ring = false;

    assert_true(len <= sizeof(bytes));
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(offset + i);
    ulv_console_server_input(&f->server, offset, bytes, len, &ring);
}

/* One record: what was heard before is left out, as the format says. */
static bool
hear(struct fixture *f)
{
    struct ulv_ring_record record;
    const uint8_t *bytes;
    uint64_t offset;

    if (ulv_ring_rx_peek(&f->client.rx, &record) != ULV_OK) {
        (void)ulv_ring_rx_wait(&f->client.rx);
        return false;
    }
    assert_int_equal(record.type, ULV_CONSOLE_INPUT);
    assert_in_range(record.len, 9, 8 + ULV_CONSOLE_INPUT_MAX);
    bytes = record.data;
    offset = ulv_get_le64(bytes);
    assert_true(offset <= f->heard);
    for (uint64_t i = f->heard - offset; i < record.len - 8; i++)
        assert_int_equal(bytes[8 + i], byte_at(f->heard++));
    (void)ulv_ring_rx_release(&f->client.rx);
    return true;
}

static void
say(struct fixture *f, size_t len)
{
    void *slot;
    uint8_t *record;

    if (ulv_ring_tx_reserve(&f->client.tx, ULV_CONSOLE_OUTPUT,
                            (uint32_t)(8 + len), &slot) != ULV_OK)
        return;
    record = slot;
    memcpy(record, &f->said, 8);
    for (size_t i = 0; i < len; i++)
        record[8 + i] = byte_at(f->said + i);
    f->said += len;
    (void)ulv_ring_tx_submit(&f->client.tx);
}

/* All bytes both ways, the server dropped each `drop` steps; 0: never. forget:
 * as if it had died before it noted what it had put into the ring. */
static void
run(uint32_t drop, bool forget)
{
    static struct fixture f;
    uint32_t steps = 0;

    begin(&f);
    serve(&f);
    attach_client(&f, ULV_CONSOLE_FEATURE_INPUT);
    while (f.heard < BYTES || f.sunk < BYTES) {
        uint64_t noted = f.region->input_offset;
        uint64_t len = ULV_MIN(BYTES - f.wanted, 1 + steps * 37u % 1024u);

        step(&f);
        if (f.server.asked && f.wanted < BYTES)
            give(&f, f.wanted, (size_t)ULV_MIN(len, BYTES - f.wanted));
        if (f.said < BYTES)
            say(&f, (size_t)ULV_MIN(BYTES - f.said, 100));
        if (drop != 0 && ++steps % drop == 0) {
            if (forget)
                f.region->input_offset = noted;
            serve(&f); /* dropped as it stands; the next one starts */
        }
        if (steps % 3 != 1 || drop == 0)
            (void)hear(&f);
        assert_int_equal(f.server.failed, ULV_OK);
        assert_true(++steps < 1000000);
    }
    for (uint64_t i = 0; i < BYTES; i++)
        assert_int_equal(f.sink[i], byte_at(i));
    assert_false(hear(&f));
    end(&f);
}

static void
test_io_console__both_ways(void **state)
{
    (void)state;
    run(0, false);
}

static void
test_io_console__successors_lose_and_repeat_nothing(void **state)
{
    (void)state;
    for (uint32_t drop = 2; drop < 30; drop++) {
        run(drop, false);
        run(drop, true);
    }
}

static void
test_io_console__asks_only_who_reads(void **state)
{
    static struct fixture f;

    (void)state;
    begin(&f);
    serve(&f);
    step(&f);
    attach_client(&f, 0); /* of an older runtime, or a stock kernel's */
    step(&f);
    assert_int_equal(f.wants, 0);
    assert_int_equal(ulv_channel_peer_features(&f.client),
                     ULV_CONSOLE_FEATURE_INPUT);
    attach_client(&f, ULV_CONSOLE_FEATURE_INPUT);
    step(&f);
    step(&f);
    assert_int_equal(f.wants, 1);
    f.server.want = NULL; /* one that has none */
    assert_int_equal(ulv_console_server_start(&f.server, f.p, f.bytes),
                     ULV_OK);
    assert_int_equal(ulv_channel_peer_features(&f.client), 0);
    end(&f);
}

static void
test_io_console__takes_only_what_it_asked_for(void **state)
{
    static struct fixture f;

    (void)state;
    begin(&f);
    serve(&f);
    attach_client(&f, ULV_CONSOLE_FEATURE_INPUT);
    give(&f, 0, 10); /* not asked yet */
    step(&f);
    give(&f, 1, 10);
    give(&f, UINT64_MAX, 10);
    give(&f, 0, 0);
    give(&f, 0, ULV_CONSOLE_INPUT_MAX + 1);
    assert_false(hear(&f));
    assert_int_equal(f.region->input_offset, 0);
    give(&f, 0, ULV_CONSOLE_INPUT_MAX);
    give(&f, ULV_CONSOLE_INPUT_MAX, 1); /* not asked again */
    assert_true(hear(&f));
    assert_false(hear(&f));
    assert_int_equal(f.region->input_offset, ULV_CONSOLE_INPUT_MAX);
    assert_int_equal(f.wants, 1);
    step(&f);
    assert_int_equal(f.wants, 2);
    assert_int_equal(f.wanted, ULV_CONSOLE_INPUT_MAX);
    end(&f);
}

/* A client that does not read stops what is typed, not what it says. */
static void
test_io_console__no_room_is_no_question(void **state)
{
    static struct fixture f;

    (void)state;
    begin(&f);
    serve(&f);
    attach_client(&f, ULV_CONSOLE_FEATURE_INPUT);
    for (uint32_t i = 0; i < 30; i++) {
        step(&f);
        if (f.server.asked)
            give(&f, f.wanted, ULV_CONSOLE_INPUT_MAX);
    }
    assert_int_equal(f.wants, 15); /* what a ring of 16 KiB holds */
    say(&f, 10);
    step(&f);
    assert_int_equal(f.sunk, 10);
    assert_true(hear(&f));
    step(&f);
    assert_int_equal(f.wants, 16);
    end(&f);
}

static void
test_io_console__disconnects_who_breaks_the_ring(void **state)
{
    static const uint64_t heads[] = { 32768, 4, UINT64_MAX - 7, 16392 };
    static struct fixture f;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(heads); i++) {
        const struct ulv_ring_geometry *ring;
        struct ulv_ring_control *control;

        begin(&f);
        serve(&f);
        attach_client(&f, ULV_CONSOLE_FEATURE_INPUT);
        ring = &f.client.header->ring[ULV_END_SERVER];
        control = (void *)(f.p + ring->control_offset);
        control->head = heads[i];
        for (uint32_t n = 0; n < 30; n++) {
            step(&f);
            if (f.server.asked)
                give(&f, f.wanted, ULV_CONSOLE_INPUT_MAX);
        }
        assert_int_equal(f.server.failed, ULV_E_PEER_INDEX);
        end(&f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_io_console__both_ways),
        cmocka_unit_test(test_io_console__successors_lose_and_repeat_nothing),
        cmocka_unit_test(test_io_console__asks_only_who_reads),
        cmocka_unit_test(test_io_console__takes_only_what_it_asked_for),
        cmocka_unit_test(test_io_console__no_room_is_no_question),
        cmocka_unit_test(test_io_console__disconnects_who_breaks_the_ring),
    };

    return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
