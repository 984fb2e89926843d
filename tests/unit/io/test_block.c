/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The block server beside a client of the test's: every request is answered
 * rightly, also when the server is dropped after any of its steps and another
 * one takes over.
 */
#include "../port/port_test.h"

#include <stdlib.h>

#include "io/block.h"
#include "port/test/test.h"

#define SECTORS  256u
#define RING     UINT64_C(4096)
#define BULK     UINT64_C(65536)
#define REQUESTS 32u

struct fixture {
    struct ulv_test_host t;
    ulv_handle medium;
    uint8_t *p; /* the channel */
    uint64_t bytes;
    struct ulv_takeover_region *region;
    struct ulv_channel_end client;
    struct ulv_block_server server;
    uint32_t epoch, latched; /* of the channel; of the last MEDIUM */
    bool writable;
    uint32_t written, synced; /* calls */
    ulv_status sync_status;
    uint8_t disk[SECTORS * 512];
};

static const uint8_t type_block[16] = ULV_CHANNEL_TYPE_BLOCK;

static void
begin(struct fixture *f)
{
    struct ulv_channel_layout layout = { .id = 5,
                                         .ring_bytes = RING,
                                         .bulk_bytes = BULK };

    memset(f, 0, sizeof(*f));
    ulv_test_host_init(&f->t);
    for (size_t i = 0; i < sizeof(f->disk); i++)
        f->disk[i] = (uint8_t)(i / 512 * 7 + i);
    assert_int_equal(
        f->t.host.medium_open(f->t.host.self,
                              &ULV_SOURCE_MEMORY(f->disk, sizeof(f->disk)),
                              ULV_MEDIUM_READ_ONLY, &f->medium, NULL),
        ULV_OK);
    memcpy(layout.type, type_block, 16);
    f->bytes = ulv_channel_bytes(RING, BULK);
    f->p = aligned_alloc(4096, f->bytes);
    f->region = aligned_alloc(4096, 4096);
    assert_non_null(f->p);
    assert_non_null(f->region);
    memset(f->p, 0, f->bytes);
    memset(f->region, 0, 4096);
    ulv_takeover_init(f->region, 3);
    assert_int_equal(ulv_channel_format(f->p, &layout), ULV_OK);
    assert_int_equal(ulv_channel_attach(&f->client, f->p, f->bytes,
                                        ULV_END_CLIENT, type_block),
                     ULV_OK);
}

static void
end(struct fixture *f)
{
    f->t.host.handle_close(f->t.host.self, f->medium);
    free(f->p);
    free(f->region);
    assert_int_equal(ulv_test_host_fini(&f->t), 0);
}

/* ---- a medium that is written: the fixture's disk ------------------------ */

static ulv_status
write_disk(void *self, ulv_handle medium, uint64_t offset, const void *buf,
           size_t len, size_t *ret_len)
{
    struct fixture *f = self; /* which the host is the beginning of */

    assert_int_equal(medium, f->medium);
    assert_true(offset + len <= sizeof(f->disk));
    memcpy(f->disk + offset, buf, len);
    f->written++;
    *ret_len = len;
    return ULV_OK;
}

static ulv_status
sync_disk(void *self, ulv_handle medium)
{
    struct fixture *f = self;

    assert_int_equal(medium, f->medium);
    f->synced++;
    return f->sync_status;
}

static void
begin_writable(struct fixture *f)
{
    begin(f);
    f->writable = true;
    f->t.host.medium_write = write_disk;
    f->t.host.medium_sync = sync_disk;
}

/* A server, the first or the next one: as the I/O role starts it. */
static void
serve(struct fixture *f)
{
    memset(&f->server, 0, sizeof(f->server));
    f->epoch++;
    ulv_channel_set_epoch((void *)f->p, f->epoch);
    f->server.host = &f->t.host;
    f->server.medium = f->medium;
    f->server.sector_count = SECTORS;
    f->server.writable = f->writable;
    f->server.epoch = f->epoch;
    f->server.partition = 40 + f->epoch;
    f->server.region = f->region;
    assert_int_equal(
        ulv_block_server_start(&f->server, f->p, f->bytes, 3), ULV_OK);
}

static bool
ask(struct fixture *f, const struct ulv_block_request *request)
{
    void *slot;

    if (ulv_ring_tx_reserve(&f->client.tx, ULV_BLOCK_REQUEST,
                            sizeof(*request), &slot) != ULV_OK)
        return false;
    memcpy(slot, request, sizeof(*request));
    (void)ulv_ring_tx_submit(&f->client.tx);
    return true;
}

/* The next answer that counts; false: none is there. */
static bool
answer(struct fixture *f, struct ulv_block_answer *ret)
{
    struct ulv_ring_record record;

    while (ulv_ring_rx_peek(&f->client.rx, &record) == ULV_OK) {
        bool counts = false;

        if (record.type == ULV_BLOCK_MEDIUM) {
            struct ulv_block_medium medium;

            memcpy(&medium, record.data, sizeof(medium));
            assert_int_equal(medium.sector_count, SECTORS);
            assert_int_equal(medium.flags,
                             f->writable ? 0 : ULV_BLOCK_READ_ONLY);
            f->latched = medium.epoch;
        } else {
            assert_int_equal(record.type, ULV_BLOCK_ANSWER);
            memcpy(ret, record.data, sizeof(*ret));
            counts = ret->epoch == f->latched;
        }
        (void)ulv_ring_rx_release(&f->client.rx);
        if (counts)
            return true;
    }
    return false;
}

static struct ulv_block_request
read_request(uint64_t id)
{
    struct ulv_block_request r = { .id = id,
                                   .operation = ULV_BLOCK_READ,
                                   .sector = id * 5 % (SECTORS - 4),
                                   .bulk_offset = id * 2048,
                                   .sector_count = 1 + (uint32_t)(id % 4) };

    return r;
}

static void
check_data(const struct fixture *f, uint64_t id)
{
    struct ulv_block_request r = read_request(id);

    assert_memory_equal(f->client.bulk + r.bulk_offset,
                        f->disk + r.sector * 512, r.sector_count * 512u);
}

/* All requests, the server dropped each `drop` steps; 0: never. */
static void
run(uint32_t drop)
{
    static struct fixture f;
    bool done[REQUESTS] = { false };
    uint32_t asked = 0, left = REQUESTS, steps = 0;
    struct ulv_block_answer got;

    begin(&f);
    serve(&f);
    while (left > 0) {
        struct ulv_block_request r = read_request(asked);
        bool ring = false;

        if (asked < REQUESTS && ask(&f, &r))
            asked++;
        (void)ulv_block_server_step(&f.server, 1, &ring);
        assert_int_equal(f.server.failed, ULV_OK);
        if (drop != 0 && ++steps % drop == 0)
            serve(&f); /* dropped as it stands; the next one starts */
        while (answer(&f, &got)) {
            assert_true(got.id < asked);
            assert_int_equal(got.status, ULV_OK);
            check_data(&f, got.id);
            left -= done[got.id] ? 0 : 1;
            done[got.id] = true;
        }
        assert_true(steps < 10000);
    }
    for (uint32_t i = 0; i < ULV_BLOCK_IN_FLIGHT_MAX; i++)
        assert_int_equal(f.region->slot[i].state, ULV_TAKEOVER_FREE);
    end(&f);
}

static void
test_io_block__reads(void **state)
{
    (void)state;
    run(0);
}

static void
test_io_block__successors_lose_nothing(void **state)
{
    (void)state;
    for (uint32_t drop = 2; drop < 40; drop++)
        run(drop);
}

static void
test_io_block__drives_taken_slots_again(void **state)
{
    static struct fixture f;
    struct ulv_block_answer got;
    struct ulv_block_request r = read_request(9), bad = read_request(10);
    bool ring = false;

    (void)state;
    begin(&f);
    f.region->slot[4].state = ULV_TAKEOVER_TAKEN;
    f.region->slot[4].request = r;
    bad.sector = SECTORS; /* what a guest could have written there */
    f.region->slot[7].state = ULV_TAKEOVER_TAKEN;
    f.region->slot[7].request = bad;
    serve(&f);
    while (ulv_block_server_step(&f.server, 4, &ring))
        continue;
    assert_int_equal(f.region->redriven_count, 2);
    assert_true(answer(&f, &got));
    assert_int_equal(got.id, 9);
    assert_int_equal(got.status, ULV_OK);
    check_data(&f, 9);
    assert_true(answer(&f, &got));
    assert_int_equal(got.id, 10);
    assert_int_equal(got.status, ULV_E_ARG);
    assert_int_equal(f.region->slot[4].state, ULV_TAKEOVER_FREE);
    end(&f);
}

static void
test_io_block__refuses_each_bad_field(void **state)
{
    static struct fixture f;
    static const struct ulv_block_request bad[] = {
        { .operation = ULV_BLOCK_WRITE, .sector_count = 1 },
        { .operation = ULV_BLOCK_FLUSH, .sector_count = 1 },
        { .operation = ULV_BLOCK_FLUSH, .sector = 1 },
        { .operation = ULV_BLOCK_FLUSH, .bulk_offset = 512 },
        { .operation = 3, .sector_count = 1 },
        { .operation = UINT32_MAX, .sector_count = 1 },
        { .sector_count = 0 },
        { .sector = SECTORS, .sector_count = 1 },
        { .sector = SECTORS - 1, .sector_count = 2 },
        { .sector = UINT64_MAX, .sector_count = 1 },
        { .sector_count = 1, .bulk_offset = 100 },
        { .sector_count = 1, .bulk_offset = BULK },
        { .sector_count = 1, .bulk_offset = UINT64_MAX - 511 },
        { .sector_count = UINT32_MAX },
    };

    (void)state;
    begin(&f);
    serve(&f);
    for (size_t i = 0; i < ULV_COUNT_OF(bad); i++) {
        struct ulv_block_answer got;
        bool ring = false;

        assert_true(ask(&f, &bad[i]));
        while (ulv_block_server_step(&f.server, 4, &ring))
            continue;
        assert_true(answer(&f, &got));
        assert_int_equal(got.status,
                         bad[i].operation == ULV_BLOCK_WRITE ? ULV_E_DENIED
                         : bad[i].operation > ULV_BLOCK_FLUSH
                             ? ULV_E_UNSUPPORTED
                             : ULV_E_ARG);
    }
    assert_int_equal(f.server.failed, ULV_OK);
    end(&f);
}

/* One request to its answer's status. */
static int32_t
status_of(struct fixture *f, const struct ulv_block_request *request)
{
    struct ulv_block_answer got;
    bool ring = false;

    assert_true(ask(f, request));
    while (ulv_block_server_step(&f->server, 4, &ring))
        continue;
    assert_int_equal(f->server.failed, ULV_OK);
    assert_true(answer(f, &got));
    assert_int_equal(got.id, request->id);
    if (got.status == ULV_OK)
        assert_int_equal(got.sector_count, request->sector_count);
    return got.status;
}

static struct ulv_block_request
write_request(uint64_t id)
{
    struct ulv_block_request r = read_request(id);

    r.operation = ULV_BLOCK_WRITE;
    return r;
}

static void
test_io_block__writes_and_flushes(void **state)
{
    static struct fixture f;
    const struct ulv_block_request flush = { .id = 100,
                                             .operation = ULV_BLOCK_FLUSH };
    struct ulv_block_request r = write_request(7), bad = r;

    (void)state;
    begin_writable(&f);
    serve(&f);
    memset(f.client.bulk + r.bulk_offset, 0xa5, r.sector_count * 512u);
    assert_int_equal(status_of(&f, &r), ULV_OK);
    assert_memory_equal(f.disk + r.sector * 512,
                        f.client.bulk + r.bulk_offset, r.sector_count * 512u);
    assert_int_equal(f.disk[r.sector * 512 - 1],
                     (uint8_t)((r.sector - 1) * 7 + r.sector * 512 - 1));
    assert_int_equal(status_of(&f, &flush), ULV_OK);
    assert_int_equal(f.synced, 1);
    f.sync_status = ULV_E_MEDIUM;
    assert_int_equal(status_of(&f, &flush), ULV_E_MEDIUM);
    f.sync_status = ULV_OK; /* a host says once what it has lost */
    assert_int_equal(status_of(&f, &flush), ULV_E_MEDIUM);
    serve(&f);
    assert_int_equal(status_of(&f, &flush), ULV_E_MEDIUM);
    assert_int_equal(f.synced, 2);
    bad.sector = SECTORS - 1;
    bad.sector_count = 2;
    assert_int_equal(status_of(&f, &bad), ULV_E_ARG);
    bad = r;
    bad.bulk_offset = BULK;
    assert_int_equal(status_of(&f, &bad), ULV_E_ARG);
    assert_int_equal(f.written, 1);
    end(&f);
}

static void
test_io_block__flush_of_a_read_only_medium(void **state)
{
    static struct fixture f;
    const struct ulv_block_request flush = { .operation = ULV_BLOCK_FLUSH };

    (void)state;
    begin(&f);
    serve(&f);
    assert_int_equal(status_of(&f, &flush), ULV_OK);
    end(&f);
}

/* A client that has its answer uses the area for something else: a successor
 * that found the request again must not write that. */
static void
test_io_block__what_is_done_is_answered_only(void **state)
{
    static struct fixture f;
    struct ulv_takeover_slot *slot;
    struct ulv_block_request r = write_request(6);
    struct ulv_block_answer got;
    bool ring = false;

    (void)state;
    begin_writable(&f);
    serve(&f);
    memset(f.client.bulk + r.bulk_offset, 0x11, r.sector_count * 512u);
    assert_int_equal(status_of(&f, &r), ULV_OK);
    slot = &f.region->slot[0];
    assert_int_equal(slot->state, ULV_TAKEOVER_FREE);
    slot->state = ULV_TAKEOVER_DONE; /* it died before it had freed it */
    memset(f.client.bulk + r.bulk_offset, 0x22, r.sector_count * 512u);
    serve(&f);
    while (ulv_block_server_step(&f.server, 4, &ring))
        continue;
    assert_true(answer(&f, &got));
    assert_int_equal(got.id, r.id);
    assert_int_equal(got.status, ULV_OK);
    assert_int_equal(got.sector_count, r.sector_count);
    assert_int_equal(got.epoch, f.epoch);
    assert_int_equal(f.written, 1);
    assert_int_equal(f.disk[r.sector * 512], 0x11);
    assert_int_equal(slot->state, ULV_TAKEOVER_FREE);
    end(&f);
}

/* One that was taken and not done is carried out by the successor. */
static void
test_io_block__a_write_that_was_taken_is_repeated(void **state)
{
    static struct fixture f;
    struct ulv_block_request r = write_request(6);
    struct ulv_block_answer got;
    bool ring = false;

    (void)state;
    begin_writable(&f);
    f.region->slot[3].request = r;
    f.region->slot[3].state = ULV_TAKEOVER_TAKEN;
    serve(&f);
    memset(f.client.bulk + r.bulk_offset, 0x33, r.sector_count * 512u);
    while (ulv_block_server_step(&f.server, 4, &ring))
        continue;
    assert_true(answer(&f, &got));
    assert_int_equal(got.status, ULV_OK);
    assert_int_equal(f.written, 1);
    assert_int_equal(f.disk[r.sector * 512], 0x33);
    end(&f);
}

/* Recorded, and its server died before it took it out of the ring. */
static void
test_io_block__what_is_in_both_is_carried_out_once(void **state)
{
    static struct fixture f;
    struct ulv_block_request r = write_request(6), next = write_request(9);
    struct ulv_block_answer got;
    bool ring = false;

    (void)state;
    begin_writable(&f);
    assert_true(ask(&f, &r) && ask(&f, &next));
    f.region->slot[3].request = r;
    f.region->slot[3].state = ULV_TAKEOVER_TAKEN;
    serve(&f);
    while (ulv_block_server_step(&f.server, 4, &ring))
        continue;
    assert_int_equal(f.server.failed, ULV_OK);
    assert_true(answer(&f, &got));
    assert_int_equal(got.id, r.id);
    assert_true(answer(&f, &got));
    assert_int_equal(got.id, next.id);
    assert_false(answer(&f, &got));
    assert_int_equal(f.written, 2);
    end(&f);
}

static void
test_io_block__medium_faults_are_answered(void **state)
{
    static struct fixture f;
    struct ulv_block_request r = read_request(1);
    struct ulv_block_answer got;
    bool ring = false;

    (void)state;
    begin(&f);
    serve(&f);
    f.t.medium_end_offset = 512; /* it shrank */
    assert_true(ask(&f, &r));
    while (ulv_block_server_step(&f.server, 4, &ring))
        continue;
    assert_true(answer(&f, &got));
    assert_int_equal(got.status, ULV_E_MEDIUM);
    f.t.medium_end_offset = UINT64_MAX;
    f.t.medium_error_offset = 0;
    f.t.medium_error_bytes = sizeof(f.disk);
    assert_true(ask(&f, &r));
    while (ulv_block_server_step(&f.server, 4, &ring))
        continue;
    assert_true(answer(&f, &got));
    assert_int_equal(got.status, ULV_E_MEDIUM);
    end(&f);
}

static void
test_io_block__disconnects_who_breaks_the_protocol(void **state)
{
    static struct fixture f;
    bool ring = false;
    void *slot;

    (void)state;
    begin(&f);
    serve(&f);
    assert_int_equal(
        ulv_ring_tx_reserve(&f.client.tx, 77, 8, &slot), ULV_OK);
    (void)ulv_ring_tx_submit(&f.client.tx);
    while (ulv_block_server_step(&f.server, 4, &ring))
        continue;
    assert_int_equal(f.server.failed, ULV_E_PEER_PROTOCOL);
    assert_false(ulv_block_server_step(&f.server, 4, &ring));
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_io_block__reads),
        cmocka_unit_test(test_io_block__successors_lose_nothing),
        cmocka_unit_test(test_io_block__drives_taken_slots_again),
        cmocka_unit_test(test_io_block__refuses_each_bad_field),
        cmocka_unit_test(test_io_block__writes_and_flushes),
        cmocka_unit_test(test_io_block__flush_of_a_read_only_medium),
        cmocka_unit_test(test_io_block__what_is_done_is_answered_only),
        cmocka_unit_test(test_io_block__a_write_that_was_taken_is_repeated),
        cmocka_unit_test(test_io_block__what_is_in_both_is_carried_out_once),
        cmocka_unit_test(test_io_block__medium_faults_are_answered),
        cmocka_unit_test(test_io_block__disconnects_who_breaks_the_protocol),
    };

    return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
