/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The event loop of guests over a real channel in plain memory. The clock is
 * this file's: a wait moves it, and is when the peer does its part.
 */
#include "../port/port_test.h"

#include <stdlib.h>

#include "guest/guest_priv.h"

#define RING_BYTES 4096u
#define RECORDS    5000u

static uint64_t now, mask, followed;
static bool revoked;
static void (*in_wait)(void); /* the world's part */
static struct guest_loop loop;
static struct guest_channel channel;
static struct guest_watch watch;
static struct ulv_channel_end peer;
static void *memory;
static uint64_t ran, seen;

static uint64_t
test_time(void *self)
{
    (void)self;
    return now;
}

static uint64_t
test_wait(void *self, uint64_t time)
{
    uint64_t ret = mask;

    (void)self;
    mask = 0;
    if (ret == 0 && time != UINT64_MAX && time > now)
        now = time;
    if (in_wait != NULL)
        in_wait();
    return ret;
}

static void
test_follow(void *self)
{
    (void)self;
    followed++;
}

static bool
test_is_revoked(void *self, const struct guest_channel *which)
{
    (void)self;
    assert_ptr_equal(which, &channel);
    return revoked;
}

static const struct guest_loop_calls calls = { test_time, test_wait,
                                               test_follow, test_is_revoked };

static int
set_up(void **state)
{
    struct ulv_channel_layout layout = { .id = 1,
                                         .type = "test",
                                         .ring_bytes = RING_BYTES };
    uint64_t bytes = ulv_channel_bytes(RING_BYTES, 0);
    struct line *line = line_of(&channel);

    (void)state;
    memory = aligned_alloc(4096, bytes);
    if (memory == NULL)
        return -1;
    memset(memory, 0, bytes);
    if (ulv_channel_format(memory, &layout) != ULV_OK ||
        ulv_channel_attach(&line->end, memory, bytes, ULV_END_CLIENT,
                           layout.type) != ULV_OK ||
        ulv_channel_attach(&peer, memory, bytes, ULV_END_SERVER,
                           layout.type) != ULV_OK)
        return -1;
    loop = (struct guest_loop){ .calls = &calls };
    watch = (struct guest_watch){ .channel = &channel };
    now = mask = followed = ran = seen = 0;
    revoked = false;
    in_wait = NULL;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static bool
peer_sends(uint32_t n)
{
    void *p;

    if (ulv_ring_tx_reserve(&peer.tx, 1, sizeof(n), &p) != ULV_OK)
        return false;
    memcpy(p, &n, sizeof(n));
    (void)ulv_ring_tx_submit(&peer.tx);
    return true;
}

/* ---- records ------------------------------------------------------------- */

static void
peer_sends_some(void)
{
    static uint32_t sent;

    if (seen == 0)
        sent = 0;
    for (uint32_t i = 0; i < 7 && sent < RECORDS && peer_sends(sent); i++)
        sent++;
}

static void
receive(void *argument, uint32_t what)
{
    struct ulv_ring_record record;
    uint32_t n;

    (void)argument;
    assert_int_equal(what, GUEST_READABLE);
    /* one a call: the rest are said again */
    assert_int_equal(ulv_ring_rx_peek(&line_of(&channel)->end.rx, &record), 0);
    memcpy(&n, record.data, sizeof(n));
    assert_int_equal(n, seen);
    (void)ulv_ring_rx_release(&line_of(&channel)->end.rx);
    if (++seen == RECORDS)
        guest_loop_stop(&loop, 42);
}

static void
test_guest_loop__records_once_in_order(void **state)
{
    (void)state;
    in_wait = peer_sends_some;
    watch.run = receive;
    guest_loop_watch(&loop, &watch);
    assert_int_equal(guest_loop_run(&loop), 42);
    assert_int_equal(seen, RECORDS);
    assert_false(guest_loop_step(&loop, 0)); /* it stays over */
}

static void
fill(void *argument, uint32_t what)
{
    struct ulv_ring_tx *tx = &line_of(&channel)->end.tx;
    void *p;

    (void)argument;
    assert_int_equal(what, GUEST_WRITABLE);
    ran++;
    while (seen < RECORDS && ulv_ring_tx_reserve(tx, 1, 100, &p) == ULV_OK) {
        memcpy(p, &seen, sizeof(seen));
        seen++;
    }
    (void)ulv_ring_tx_submit(tx);
    if (seen == RECORDS)
        guest_loop_stop(&loop, 0);
    else
        guest_watch_room(&watch, 100);
}

static uint64_t received;

static void
peer_takes_some(void)
{
    struct ulv_ring_record record;

    for (uint32_t i = 0; i < 3; i++) {
        if (ulv_ring_rx_peek(&peer.rx, &record) != ULV_OK)
            return;
        assert_memory_equal(record.data, &received, sizeof(received));
        received++;
        (void)ulv_ring_rx_release(&peer.rx);
    }
}

static void
test_guest_loop__room(void **state)
{
    (void)state;
    received = 0;
    in_wait = peer_takes_some;
    watch.run = fill;
    guest_loop_watch(&loop, &watch);
    assert_true(guest_loop_step(&loop, 5)); /* nobody asked for room */
    assert_int_equal(ran, 0);
    guest_watch_room(&watch, 100);
    assert_int_equal(guest_loop_run(&loop), 0);
    assert_true(ran > RECORDS / 30); /* it was full in between */
}

/* ---- ends ---------------------------------------------------------------- */

static void
note(void *argument, uint32_t what)
{
    (void)argument;
    seen |= what;
    ran++;
}

static void
test_guest_loop__peer(void **state)
{
    (void)state;
    watch.run = note;
    guest_loop_watch(&loop, &watch);
    assert_true(guest_loop_step(&loop, 0));
    assert_int_equal(ran, 0);
    ulv_channel_detach(&peer);
    assert_true(guest_loop_step(&loop, 0));
    assert_int_equal(seen, GUEST_PEER);
    ulv_channel_set_epoch(memory, 2);
    seen = 0;
    assert_true(guest_loop_step(&loop, 0));
    assert_int_equal(seen, GUEST_PEER);
    ran = 0;
    assert_true(guest_loop_step(&loop, 0)); /* said once */
    assert_int_equal(ran, 0);
}

static void
test_guest_loop__broken_is_said_once(void **state)
{
    struct ulv_ring_record record;

    (void)state;
    watch.run = note;
    guest_loop_watch(&loop, &watch);
    peer.tx.control->tail = 12345677;
    for (int i = 0; i < 5; i++)
        assert_true(guest_loop_step(&loop, 0));
    assert_int_equal(seen, GUEST_READABLE);
    assert_int_equal(ran, 1);
    assert_int_equal(ulv_ring_rx_peek(&line_of(&channel)->end.rx, &record),
                     ULV_E_PEER_INDEX);
}

static void
leave(void *argument, uint32_t what)
{
    (void)what;
    ran++;
    guest_loop_unwatch(&loop, argument);
    guest_loop_unwatch(&loop, &watch);
}

static void
test_guest_loop__unwatch_from_inside(void **state)
{
    struct guest_watch further[3];

    (void)state;
    watch.run = note;
    guest_loop_watch(&loop, &watch);
    for (int i = 0; i < 3; i++) {
        further[i] = (struct guest_watch){ .channel = &channel,
                                           .run = leave,
                                           .argument = &further[i] };
        guest_loop_watch(&loop, &further[i]);
    }
    assert_true(peer_sends(0));
    assert_true(guest_loop_step(&loop, 0));
    assert_int_equal(ran, 3); /* each left, and the one that was here first */
    assert_true(guest_loop_step(&loop, 0));
    assert_int_equal(ran, 3);
    assert_null(loop.first);
}

/* ---- view and timers ----------------------------------------------------- */

static uint64_t views, wakes;

static void
on_view(void *argument)
{
    (void)argument;
    views++;
}

static void
on_wake(void *argument)
{
    (void)argument;
    wakes++;
}

static void
test_guest_loop__view_and_wake(void **state)
{
    (void)state;
    views = wakes = 0;
    watch.run = note;
    loop.on_view = on_view;
    loop.on_wake = on_wake;
    guest_loop_watch(&loop, &watch);
    mask = ULV_WAIT_WAKE_MASK | 1;
    assert_true(guest_loop_step(&loop, 0));
    assert_int_equal(wakes, 1);
    assert_int_equal(views, 0);
    /* a channel that is never read keeps nothing else from being heard */
    assert_true(peer_sends(0));
    mask = ULV_WAIT_VIEW_MASK;
    revoked = true;
    for (int i = 0; i < 100; i++)
        assert_true(guest_loop_step(&loop, 0));
    assert_int_equal(views, 1);
    assert_int_equal(followed, 1);
    assert_int_equal(seen, GUEST_READABLE | GUEST_REVOKED);
}

static struct guest_timer once, often;

static void
tick(void *argument)
{
    assert_int_equal(now, argument == &once ? 35 : 10 * ++ran);
    if (argument == &once)
        guest_timer_cancel(&loop, &often);
    if (argument == &once)
        guest_loop_stop(&loop, 7);
}

static void
test_guest_loop__timers(void **state)
{
    (void)state;
    once = (struct guest_timer){ .run = tick, .argument = &once };
    often = (struct guest_timer){ .run = tick,
                                  .argument = &often,
                                  .period = 10 };
    guest_timer_set(&loop, &once, 1000);
    guest_timer_set_in(&loop, &once, 35); /* in place of it */
    guest_timer_set(&loop, &often, 10);
    assert_int_equal(guest_loop_run(&loop), 7);
    assert_int_equal(ran, 3);
    assert_int_equal(now, 35);
    assert_false(often.is_set);
    guest_timer_cancel(&loop, &often); /* nothing */
    guest_timer_set_in(&loop, &once, UINT64_MAX);
    assert_int_equal(once.time, UINT64_MAX);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_guest_loop__records_once_in_order),
        CASE(test_guest_loop__room),
        CASE(test_guest_loop__peer),
        CASE(test_guest_loop__broken_is_said_once),
        CASE(test_guest_loop__unwatch_from_inside),
        CASE(test_guest_loop__view_and_wake),
        CASE(test_guest_loop__timers),
    };

    return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
