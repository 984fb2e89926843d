/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A ring against a list of what lies in it, in random steps of both sides in
 * all their forms. Each side sleeps when it was told to and goes on when it is
 * rung, so a doorbell too few ends in two sleepers, and each is counted: one a
 * sleep, none to who is awake. Arguments: steps, seed.
 */
#include "../port/port_test.h"

#include <stdlib.h>
#include <time.h>

#include "channel/ring_fast.h"

#define RING   UINT64_C(4096)
#define QUEUED (RING / 8)

static uint64_t steps = 200000, seed;

struct model {
    struct ulv_ring_control control;
    _Alignas(64) uint8_t data[RING];
    struct ulv_ring_tx tx;
    struct ulv_ring_rx rx;
    /* what lies in the ring, by number; of each its length and its end */
    uint32_t len[QUEUED];
    uint64_t end[QUEUED];
    uint64_t sent, published, looked_at;
    uint64_t tail, head; /* as they must be in the control */
    bool producer_sleeps, consumer_sleeps;
    uint32_t wanted; /* the producer sleeps until there is room for it */
    uint64_t rings, sleeps;
};

static uint32_t
draw(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Bytes a record takes at an index, with the padding before it. */
static uint64_t
bytes_at(uint64_t index, uint32_t len)
{
    uint64_t bytes = ((uint64_t)len + 8 + 7) / 8 * 8;
    uint64_t left = RING - index % RING;

    return left < bytes ? left + bytes : bytes;
}

static bool
fits(const struct model *m, uint32_t len)
{
    uint64_t at = m->sent == 0 ? 0 : m->end[(m->sent - 1) % QUEUED];

    return at + bytes_at(at, len) - m->head <= RING;
}

/* A side moved its index: is the other rung exactly if it has to be? */
static void
expect_ring(struct model *m, bool rang, bool *sleeps, bool enough)
{
    assert_int_equal(rang, *sleeps && enough);
    if (!rang)
        return;
    *sleeps = false;
    m->rings++;
}

static void
do_reserve(struct model *m)
{
    uint32_t most = (uint32_t)ulv_ring_record_max(RING);
    uint32_t len = draw(8) == 0 ? draw(most + 1) : draw(100);
    uint64_t at = m->sent == 0 ? 0 : m->end[(m->sent - 1) % QUEUED];
    void *slot;
    ulv_status status = (draw(2) == 0 ? ulv_ring_tx_reserve
                                      : ulv_ring_tx_reserve_fast)(
        &m->tx, (uint32_t)m->sent, len, &slot);

    assert_int_equal(status, fits(m, len) ? ULV_OK : ULV_E_FULL);
    if (status != ULV_OK)
        return;
    memset(slot, (int)(m->sent & 0xff), len);
    m->len[m->sent % QUEUED] = len;
    m->end[m->sent % QUEUED] = at + bytes_at(at, len);
    m->sent++;
}

static void
do_submit(struct model *m)
{
    bool more = m->published != m->sent;
    bool rang = draw(2) == 0 ? ulv_ring_tx_submit(&m->tx)
                             : ulv_ring_tx_publish(&m->tx);

    m->published = m->sent;
    if (m->sent != 0)
        m->tail = m->end[(m->sent - 1) % QUEUED];
    assert_int_equal(m->control.tail, m->tail);
    expect_ring(m, rang, &m->consumer_sleeps, more);
}

static void
do_produce(struct model *m)
{
    uint32_t what = draw(8);

    if (what < 5)
        do_reserve(m);
    else
        do_submit(m);
    if (what == 7) { /* it has published all */
        m->wanted = draw(1000);
        m->producer_sleeps = !ulv_ring_tx_wait(&m->tx, m->wanted);
        assert_int_equal(m->producer_sleeps, !fits(m, m->wanted));
        m->sleeps += m->producer_sleeps;
    }
}

static void
do_peek(struct model *m)
{
    struct ulv_ring_record record;
    ulv_status status =
        (draw(2) == 0 ? ulv_ring_rx_peek : ulv_ring_rx_peek_fast)(&m->rx,
                                                                  &record);

    assert_int_equal(status, m->looked_at == m->published ? ULV_E_EMPTY
                                                          : ULV_OK);
    if (status != ULV_OK)
        return;
    assert_int_equal(record.type, m->looked_at);
    assert_int_equal(record.len, m->len[m->looked_at % QUEUED]);
    for (uint32_t i = 0; i < record.len; i++)
        assert_int_equal(((const uint8_t *)record.data)[i],
                         m->looked_at & 0xff);
}

/* The consumer gave something back; what, is in the control. */
static void
expect_space(struct model *m, bool rang)
{
    uint64_t last = m->looked_at == 0 ? 0 : m->end[(m->looked_at - 1) % QUEUED];

    m->head = m->control.head;
    assert_true(m->head <= last);
    assert_true(last - m->head < RING / 4);
    expect_ring(m, rang, &m->producer_sleeps, fits(m, m->wanted));
}

static void
do_consume(struct model *m)
{
    uint32_t what = draw(8);
    bool there = m->rx.peeked != 0;

    if (what < 3) {
        do_peek(m);
    } else if (what == 3) {
        m->looked_at += there;
        ulv_ring_rx_keep(&m->rx);
    } else if (what < 6) {
        m->looked_at += there;
        expect_space(m, ulv_ring_rx_pass(&m->rx));
    } else {
        m->looked_at += there;
        expect_space(m, ulv_ring_rx_release(&m->rx));
        if (m->looked_at != 0)
            assert_int_equal(m->head, m->end[(m->looked_at - 1) % QUEUED]);
        if (what == 6)
            return;
        m->consumer_sleeps = !ulv_ring_rx_wait(&m->rx);
        assert_int_equal(m->consumer_sleeps, m->looked_at == m->published);
        m->sleeps += m->consumer_sleeps;
    }
}

static void
test_channel_model__random_steps(void **state)
{
    static struct model m;
    uint32_t favour = 1;

    (void)state;
    print_message("# %llu steps, seed %llu\n", (unsigned long long)steps,
                  (unsigned long long)seed);
    assert_int_equal(ulv_ring_tx_init(&m.tx, &m.control, m.data, RING), 0);
    assert_int_equal(ulv_ring_rx_init(&m.rx, &m.control, m.data, RING), 0);
    for (uint64_t i = 0; i < steps; i++) {
        if (i % 1000 == 0)
            favour = 1 + draw(7); /* mostly empty, mostly full */
        assert_false(m.producer_sleeps && m.consumer_sleeps);
        if (m.consumer_sleeps || (!m.producer_sleeps && draw(8) < favour))
            do_produce(&m);
        else
            do_consume(&m);
    }
    print_message("# %llu records, %llu sleeps, %llu doorbells\n",
                  (unsigned long long)m.sent, (unsigned long long)m.sleeps,
                  (unsigned long long)m.rings);
    assert_int_equal(m.rings, m.sleeps - m.producer_sleeps -
                                  m.consumer_sleeps);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_model__random_steps),
    };

    if (argc > 1)
        steps = strtoull(argv[1], NULL, 0);
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
    return cmocka_run_group_tests_name("channel-model", tests, NULL, NULL);
}
