/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Rings and ends one by one, and what a hostile peer can do to them. */
#include "../port/port_test.h"

#include <sys/mman.h>

#include "channel/channel.h"
#include "port/template/template.h"

#define RING UINT64_C(4096)

static const uint8_t type[16] = "a type of tests";

struct fixture {
    uint8_t *p; /* between guard pages */
    uint64_t bytes;
    struct ulv_channel_end server, client;
};

static void
begin(struct fixture *f)
{
    struct ulv_channel_layout layout = { .id = 9,
                                         .ring_bytes = RING,
                                         .bulk_bytes = 8192 };
    uint8_t *p;

    f->bytes = ulv_channel_bytes(RING, 8192);
    p = mmap(NULL, f->bytes + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
             0);
    assert_true(p != MAP_FAILED);
    f->p = p + 4096;
    assert_int_equal(mprotect(f->p, f->bytes, PROT_READ | PROT_WRITE), 0);
    memcpy(layout.type, type, 16);
    assert_int_equal(ulv_channel_format(f->p, &layout), ULV_OK);
    assert_int_equal(
        ulv_channel_attach(&f->server, f->p, f->bytes, ULV_END_SERVER, type),
        ULV_OK);
    assert_int_equal(
        ulv_channel_attach(&f->client, f->p, f->bytes, ULV_END_CLIENT, type),
        ULV_OK);
}

static void
end(struct fixture *f)
{
    (void)munmap(f->p - 4096, f->bytes + 8192);
}

static ulv_status
put(struct ulv_ring_tx *tx, uint32_t n, uint32_t len)
{
    void *slot;
    ulv_status status = ulv_ring_tx_reserve(tx, n, len, &slot);

    if (status == ULV_OK) {
        memset(slot, (int)(n & 0xff), len);
        (void)ulv_ring_tx_submit(tx);
    }
    return status;
}

static void
take(struct ulv_ring_rx *rx, uint32_t n, uint32_t len)
{
    struct ulv_ring_record record;

    assert_int_equal(ulv_ring_rx_peek(rx, &record), ULV_OK);
    assert_int_equal(record.type, n);
    assert_int_equal(record.len, len);
    for (uint32_t i = 0; i < len; i++)
        assert_int_equal(((const uint8_t *)record.data)[i], n & 0xff);
    (void)ulv_ring_rx_release(rx);
}

static void
test_channel_ring__wraps_at_every_place(void **state)
{
    struct fixture f;
    struct ulv_ring_record record;

    (void)state;
    begin(&f);
    for (uint32_t n = 0; n < 3000; n++) {
        uint32_t len = n * 7 % (uint32_t)ulv_ring_record_max(RING);

        assert_int_equal(put(&f.server.tx, n, len), ULV_OK);
        take(&f.client.rx, n, len);
    }
    assert_int_equal(ulv_ring_rx_peek(&f.client.rx, &record), ULV_E_EMPTY);
    end(&f);
}

static void
test_channel_ring__full_and_too_long(void **state)
{
    struct fixture f;
    uint32_t n = 0, longest = (uint32_t)ulv_ring_record_max(RING);
    void *slot;

    (void)state;
    begin(&f);
    assert_int_equal(put(&f.server.tx, 1, longest + 1), ULV_E_LIMIT);
    assert_int_equal(
        ulv_ring_tx_reserve(&f.server.tx, ULV_RECORD_PAD, 8, &slot),
        ULV_E_LIMIT);
    while (put(&f.server.tx, n, 56) == ULV_OK)
        n++;
    assert_int_equal(n, RING / 64);
    assert_int_equal(put(&f.server.tx, n, 0), ULV_E_FULL);
    assert_false(ulv_ring_tx_wait(&f.server.tx, 56));
    /* the consumer is told that somebody waits, once */
    assert_int_equal(f.server.tx.closed, ULV_OK);
    {
        struct ulv_ring_record record;

        assert_int_equal(ulv_ring_rx_peek(&f.client.rx, &record), ULV_OK);
        assert_true(ulv_ring_rx_release(&f.client.rx));
        assert_int_equal(ulv_ring_rx_peek(&f.client.rx, &record), ULV_OK);
        assert_false(ulv_ring_rx_release(&f.client.rx));
    }
    assert_int_equal(put(&f.server.tx, n, 56), ULV_OK);
    end(&f);
}

static void
test_channel_ring__doorbells_only_for_who_sleeps(void **state)
{
    struct fixture f;
    void *slot;

    (void)state;
    begin(&f);
    assert_int_equal(ulv_ring_tx_reserve(&f.server.tx, 1, 8, &slot), ULV_OK);
    memset(slot, 1, 8);
    assert_false(ulv_ring_tx_submit(&f.server.tx)); /* nobody sleeps */
    assert_true(ulv_ring_rx_wait(&f.client.rx));    /* data is there */
    take(&f.client.rx, 1, 8);
    assert_false(ulv_ring_rx_wait(&f.client.rx));
    assert_int_equal(ulv_ring_tx_reserve(&f.server.tx, 2, 8, &slot), ULV_OK);
    assert_true(ulv_ring_tx_submit(&f.server.tx));
    assert_int_equal(ulv_ring_tx_reserve(&f.server.tx, 3, 8, &slot), ULV_OK);
    assert_false(ulv_ring_tx_submit(&f.server.tx)); /* rung once */
    end(&f);
}

/* ---- a doorbell that is a function, as firmware has it ------------------- */

static ulv_nsec
no_clock(void)
{
    return 0;
}

/* The consumer's interrupt: it takes what is there and sleeps again. */
static struct {
    struct ulv_ring_rx *rx;
    ulv_handle bell;
    uint32_t rung, taken;
} firmware;

static void
interrupt(void *self, ulv_handle bell)
{
    struct ulv_ring_record record;

    (void)self;
    assert_int_equal(bell, firmware.bell);
    firmware.rung++;
    do {
        while (ulv_ring_rx_peek(firmware.rx, &record) == ULV_OK) {
            assert_int_equal(record.type, firmware.taken);
            firmware.taken++;
            (void)ulv_ring_rx_release(firmware.rx);
        }
    } while (ulv_ring_rx_wait(firmware.rx));
}

static void
test_channel_ring__a_doorbell_may_be_a_function(void **state)
{
    static uint8_t buf[1024];
    struct ulv_template port;
    const struct ulv_host *host = &port.host;
    struct fixture f;
    void *slot;

    (void)state;
    begin(&f);
    ulv_template_init(&port, buf, sizeof(buf), no_clock);
    /* the port's own is a word that is looked at */
    assert_int_equal(host->event_create(host->self, &firmware.bell), ULV_OK);
    assert_false(host->event_take(host->self, firmware.bell));
    host->event_signal(host->self, firmware.bell);
    assert_true(host->event_take(host->self, firmware.bell));
    assert_false(host->event_take(host->self, firmware.bell));
    port.host.event_signal = interrupt;
    firmware.rx = &f.client.rx;
    assert_false(ulv_ring_rx_wait(firmware.rx));
    for (uint32_t n = 0; n < 300; n++) {
        assert_int_equal(ulv_ring_tx_reserve(&f.server.tx, n, 24, &slot),
                         ULV_OK);
        memset(slot, 0, 24);
        if (n % 3 == 2 && ulv_ring_tx_submit(&f.server.tx))
            host->event_signal(host->self, firmware.bell);
    }
    assert_int_equal(firmware.rung, 100); /* one a submit: it slept each time */
    assert_int_equal(firmware.taken, 300);
    end(&f);
}

static void
test_channel__a_successor_goes_on(void **state)
{
    struct fixture f;
    struct ulv_channel_end next;

    (void)state;
    begin(&f);
    for (uint32_t n = 0; n < 400; n++) {
        assert_int_equal(put(&f.client.tx, n, 24), ULV_OK);
        assert_int_equal(put(&f.server.tx, n, 40), ULV_OK);
        /* the server is dropped as it stands */
        assert_int_equal(ulv_channel_attach(&next, f.p, f.bytes,
                                            ULV_END_SERVER, type),
                         ULV_OK);
        take(&next.rx, n, 24);
        take(&f.client.rx, n, 40);
        f.server = next;
    }
    end(&f);
}

static void
test_channel__states_follow_the_table(void **state)
{
    /* from detached, disabled, attaching, attached, failed, revoked */
    static const char table[6][7] = {
        "001100", /* to detached */
        "111100", /* to disabled */
        "101100", /* to attaching */
        "001000", /* to attached */
        "111110", /* to failed */
        "111110", /* to revoked */
    };

    (void)state;
    for (uint32_t to = 0; to < 6; to++) {
        for (uint32_t from = 0; from < 6; from++)
            assert_int_equal(ulv_end_may_become(from, to),
                             table[to][from] == '1');
    }
    assert_false(ulv_end_may_become(0, 6));
}

/* Who is dead is detached, whatever it was in the middle of. */
static void
test_channel__a_dead_end_is_detached(void **state)
{
    static const uint32_t after[] = { ULV_END_DETACHED, ULV_END_DISABLED,
                                      ULV_END_DETACHED, ULV_END_DETACHED,
                                      ULV_END_FAILED,   ULV_END_REVOKED };
    struct ulv_channel_header *h;
    struct fixture f;

    (void)state;
    begin(&f);
    h = (void *)f.p;
    for (uint32_t from = 0; from < ULV_COUNT_OF(after); from++) {
        h->end[ULV_END_SERVER].state = from;
        ulv_channel_end_died(h, ULV_END_SERVER);
        assert_int_equal(ulv_channel_peer_state(&f.client), after[from]);
    }
    h->end[ULV_END_SERVER].state = 77; /* it wrote what it liked */
    ulv_channel_end_died(h, ULV_END_SERVER);
    assert_int_equal(ulv_channel_peer_state(&f.client), 77);
    assert_int_equal(h->end[ULV_END_CLIENT].state, ULV_END_ATTACHED);
    h->end[ULV_END_SERVER].state = ULV_END_ATTACHED;
    ulv_channel_end_died(h, ULV_END_SERVER);
    assert_int_equal(
        ulv_channel_attach(&f.server, f.p, f.bytes, ULV_END_SERVER, type),
        ULV_OK); /* its successor */
    assert_int_equal(ulv_channel_peer_state(&f.client), ULV_END_ATTACHED);
    end(&f);
}

/* Both ends read it, whatever stood there; neither attaches again, and neither
 * undoes it by what an end does. */
static void
test_channel__a_revoked_one_stays_so(void **state)
{
    static const uint32_t before[] = { 0, 1, 2, 3, 4, 5, 6, 77, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(before); i++) {
        struct ulv_channel_header *h;
        struct ulv_channel_end again;
        struct fixture f;

        begin(&f);
        h = (void *)f.p;
        h->end[0].state = h->end[1].state = before[i];
        ulv_channel_revoke(h);
        assert_int_equal(ulv_channel_peer_state(&f.client), ULV_END_REVOKED);
        assert_int_equal(ulv_channel_peer_state(&f.server), ULV_END_REVOKED);
        for (uint32_t e = 0; e < 2; e++) {
            ulv_channel_end_died(h, e);
            assert_int_equal(ulv_channel_attach(&again, f.p, f.bytes, e, type),
                             ULV_E_STATE);
        }
        ulv_channel_give_up(&f.server);
        ulv_channel_detach(&f.client);
        assert_int_equal(h->end[0].state, ULV_END_REVOKED);
        assert_int_equal(h->end[1].state, ULV_END_REVOKED);
        end(&f);
    }
}

/* Memory that was taken back reads as zeroes, at whoever still maps it. */
static void
test_channel__a_cleared_one_is_revoked(void **state)
{
    struct ulv_channel_end again;
    struct ulv_ring_record record;
    struct fixture f;
    void *slot;

    (void)state;
    begin(&f);
    assert_int_equal(put(&f.client.tx, 1, 24), ULV_OK);
    assert_int_equal(put(&f.server.tx, 1, 24), ULV_OK);
    take(&f.client.rx, 1, 24);
    memset(f.p, 0, f.bytes);
    assert_int_equal(ulv_channel_peer_state(&f.client), ULV_END_REVOKED);
    assert_int_equal(ulv_channel_peer_state(&f.server), ULV_END_REVOKED);
    assert_int_equal(
        ulv_channel_attach(&again, f.p, f.bytes, ULV_END_CLIENT, type),
        ULV_E_PEER_PROTOCOL);
    assert_int_equal(ulv_ring_rx_peek(&f.client.rx, &record),
                     ULV_E_PEER_INDEX);
    (void)ulv_ring_tx_reserve(&f.client.tx, 1, 24, &slot);
    (void)ulv_ring_tx_submit(&f.client.tx);
    ulv_channel_detach(&f.client);
    end(&f);
}

static void
test_channel__impossible_geometry_is_refused(void **state)
{
    struct fixture f;
    struct ulv_channel_header *h, good;
    struct ulv_channel_end e;

    (void)state;
    begin(&f);
    h = (void *)f.p;
    good = *h;
    for (uint32_t i = 0; i < 2; i++) {
        const uint64_t bad[] = { 0, 1, 4095, f.bytes, f.bytes - 8,
                                 UINT64_MAX, UINT64_MAX - 4095 };

        for (size_t b = 0; b < ULV_COUNT_OF(bad); b++) {
            h->ring[i].control_offset = bad[b];
            assert_int_equal(ulv_channel_attach(&e, f.p, f.bytes,
                                                ULV_END_CLIENT, type),
                             ULV_E_PEER_PROTOCOL);
            *h = good;
            h->ring[i].data_offset = bad[b];
            assert_int_equal(ulv_channel_attach(&e, f.p, f.bytes,
                                                ULV_END_CLIENT, type),
                             ULV_E_PEER_PROTOCOL);
            *h = good;
            h->ring[i].data_bytes = bad[b] + 8;
            assert_int_equal(ulv_channel_attach(&e, f.p, f.bytes,
                                                ULV_END_CLIENT, type),
                             ULV_E_PEER_PROTOCOL);
            *h = good;
        }
    }
    h->bytes = f.bytes + 4096;
    assert_int_equal(
        ulv_channel_attach(&e, f.p, f.bytes, ULV_END_CLIENT, type),
        ULV_E_PEER_PROTOCOL);
    *h = good;
    h->bulk_bytes = f.bytes;
    assert_int_equal(
        ulv_channel_attach(&e, f.p, f.bytes, ULV_END_CLIENT, type),
        ULV_E_PEER_PROTOCOL);
    end(&f);
}

/* The peer writes what it likes between our calls: a value or an error, never
 * a byte outside the channel, never without end. */
static void
test_channel__survives_a_hostile_peer(void **state)
{
    uint64_t seed = 11, closed = 0;

    (void)state;
    for (uint32_t round = 0; round < 2000; round++) {
        struct fixture f;
        struct ulv_ring_record record;

        begin(&f);
        for (uint32_t n = 0; n < 30; n++) {
            uint64_t at;
            uint32_t sum = 0;

            (void)put(&f.client.tx, n, 40);
            (void)put(&f.server.tx, n, 40);
            seed = seed * UINT64_C(6364136223846793005) + 1;
            at = 4096 + (seed >> 24) % (4096 + 2 * RING);
            /* every other byte is one of the indices */
            f.p[(seed >> 60) < 8 ? 4096 + at % 8 * 64 + at / 8 % 8 : at] =
                (uint8_t)(seed >> 52);
            for (uint32_t i = 0;
                 i < 8 && ulv_ring_rx_peek(&f.server.rx, &record) == ULV_OK;
                 i++) {
                for (uint32_t b = 0; b < record.len; b++)
                    sum += ((const uint8_t *)record.data)[b];
                (void)ulv_ring_rx_release(&f.server.rx);
            }
            (void)ulv_ring_rx_wait(&f.server.rx);
            (void)ulv_ring_tx_wait(&f.server.tx, sum % 64);
        }
        closed += f.server.rx.closed != ULV_OK || f.server.tx.closed != ULV_OK;
        end(&f);
    }
    assert_true(closed > 100); /* it is noticed */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_ring__wraps_at_every_place),
        cmocka_unit_test(test_channel_ring__full_and_too_long),
        cmocka_unit_test(test_channel_ring__doorbells_only_for_who_sleeps),
        cmocka_unit_test(test_channel_ring__a_doorbell_may_be_a_function),
        cmocka_unit_test(test_channel__a_successor_goes_on),
        cmocka_unit_test(test_channel__states_follow_the_table),
        cmocka_unit_test(test_channel__a_dead_end_is_detached),
        cmocka_unit_test(test_channel__a_revoked_one_stays_so),
        cmocka_unit_test(test_channel__a_cleared_one_is_revoked),
        cmocka_unit_test(test_channel__impossible_geometry_is_refused),
        cmocka_unit_test(test_channel__survives_a_hostile_peer),
    };

    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
