/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Who takes a ring: the handler or a wait. The guest runs in our thread, and is
 * told of by what the monitor injects. */
#include "call_world.h"

#include <ultravisor/abi/save.h>

#define RIGHTS  (ULV_CAP_GUEST | ULV_CAP_INTERRUPT)
#define HANDLER ULV_GUEST_RAM_BASE
#define BIT(i)  (UINT64_C(1) << world_slot[i])
#define FOREVER UINT64_MAX

static struct world w;
static uint32_t injected[ULV_VECTOR_COUNT];

static ulv_status
inject(void *vcpu, uint32_t vector)
{
    ulv_status status = ulv_backend_mock.vcpu_inject(vcpu, vector);

    if (status == ULV_OK)
        injected[vector]++;
    return status;
}

/* One call; whether it was answered at once. */
static bool
call(uint64_t number, uint64_t a, uint64_t b)
{
    ulv_nsec deadline;

    w.call = (struct ulv_exit_call){ .number = number, .argument = { a, b } };
    w.asked = true;
    (void)world_step(&w, &deadline);
    return w.answers == 1;
}

static void
expect(uint64_t number, uint64_t a, int64_t status, uint64_t value)
{
    assert_true(call(number, a, 0));
    assert_int_equal(w.status, status);
    assert_int_equal(w.value, value);
}

static void
ring(uint32_t i)
{
    w.t.host.event_signal(w.t.host.self, w.own[i]);
}

static void
step(void)
{
    ulv_nsec deadline;

    (void)world_step(&w, &deadline);
}

/* With a handler, and the first channel's doorbell to interrupt. */
static void
begin(void)
{
    memset(injected, 0, sizeof(injected));
    world_begin_with(&w, RIGHTS, true);
    w.backend.vcpu_inject = inject;
    expect(ULV_CALL_HANDLER, HANDLER, ULV_OK, 0);
    expect(ULV_CALL_INTERRUPTS, BIT(0), ULV_OK, 0);
}

static void
test_monitor_interrupts__a_ring_is_the_handlers(void **state)
{
    (void)state;
    begin();
    ring(0);
    step();
    assert_int_equal(injected[world_slot[0]], 1);
    /* it may have run since the guest looked; then there is nothing more */
    expect(ULV_CALL_WAIT, FOREVER, ULV_OK, 0);
    assert_false(call(ULV_CALL_WAIT, FOREVER, 0));
    step();
    assert_int_equal(w.answers, 0);
    ring(0);
    step(); /* ends the wait */
    assert_int_equal(w.answers, 1);
    assert_int_equal(w.status, ULV_OK);
    assert_int_equal(w.value, 0);
    assert_int_equal(injected[world_slot[0]], 2);
    world_end(&w);
}

static void
test_monitor_interrupts__others_are_waited_for(void **state)
{
    (void)state;
    begin();
    ring(1);
    expect(ULV_CALL_WAIT, FOREVER, ULV_OK, BIT(1));
    assert_false(call(ULV_CALL_WAIT, FOREVER, 0));
    ring(1);
    ring(0);
    step();
    assert_int_equal(w.value, BIT(1));
    assert_int_equal(injected[world_slot[0]], 1);
    assert_int_equal(injected[world_slot[1]], 0);
    world_end(&w);
}

static void
test_monitor_interrupts__changes_of_the_mask(void **state)
{
    (void)state;
    begin();
    ring(1); /* before it is to interrupt */
    expect(ULV_CALL_INTERRUPTS, BIT(0) | BIT(1), ULV_OK, BIT(0));
    assert_int_equal(injected[world_slot[1]], 1);
    /* nobody ran the handler: who waits is told, and of no more */
    expect(ULV_CALL_INTERRUPTS, 0, ULV_OK, BIT(0) | BIT(1));
    expect(ULV_CALL_WAIT, FOREVER, ULV_OK, BIT(1));
    ring(0);
    expect(ULV_CALL_WAIT, 0, ULV_OK, BIT(0));
    assert_int_equal(injected[world_slot[0]], 0);
    world_end(&w);
}

static void
test_monitor_interrupts__no_handler_any_more(void **state)
{
    (void)state;
    begin();
    ring(0);
    step();
    expect(ULV_CALL_HANDLER, 0, ULV_OK, 0);
    expect(ULV_CALL_WAIT, 0, ULV_OK, BIT(0));
    expect(ULV_CALL_INTERRUPTS, BIT(0), ULV_E_STATE, 0);
    ring(0);
    expect(ULV_CALL_WAIT, 0, ULV_OK, BIT(0));
    world_end(&w);
}

static void
test_monitor_interrupts__what_cannot_be(void **state)
{
    (void)state;
    begin();
    expect(ULV_CALL_INTERRUPTS, BIT(0) | BIT(2), ULV_E_NOT_FOUND, 0);
    expect(ULV_CALL_INTERRUPTS, BIT(0) | UINT64_C(1) << 63, ULV_E_NOT_FOUND,
           0);
    expect(ULV_CALL_HANDLER, UINT64_MAX, ULV_E_ARG, 0);
    expect(ULV_CALL_RESUME, 0, ULV_E_UNSUPPORTED, 0); /* the backend's */
    expect(ULV_CALL_INTERRUPTS, BIT(0), ULV_OK, BIT(0));
    world_end(&w);
    world_begin_with(&w, ULV_CAP_GUEST, true);
    expect(ULV_CALL_HANDLER, HANDLER, ULV_E_DENIED, 0);
    expect(ULV_CALL_INTERRUPTS, 0, ULV_E_DENIED, 0);
    world_end(&w);
    /* a backend that has none, and a view that gives the right later */
    world_begin(&w, RIGHTS);
    w.backend.vcpu_handler = NULL;
    expect(ULV_CALL_HANDLER, HANDLER, ULV_E_UNSUPPORTED, 0);
    expect(ULV_CALL_INTERRUPTS, BIT(0), ULV_E_STATE, 0);
    world_end(&w);
}

static void
test_monitor_interrupts__a_channel_goes(void **state)
{
    (void)state;
    begin();
    w.channel[0].listed = false;
    world_publish(&w);
    w.t.host.event_signal(w.t.host.self, w.bell);
    ring(0);
    step();
    expect(ULV_CALL_WAIT, 0, ULV_OK, ULV_WAIT_VIEW_MASK);
    expect(ULV_CALL_INTERRUPTS, 0, ULV_OK, 0);
    expect(ULV_CALL_INTERRUPTS, BIT(0), ULV_E_NOT_FOUND, 0);
    world_end(&w);
}

static void
test_monitor_interrupts__kept_while_paused(void **state)
{
    (void)state;
    begin();
    assert_false(call(ULV_CALL_WAIT, FOREVER, 0));
    w.paused = true;
    world_publish(&w);
    w.t.host.event_signal(w.t.host.self, w.bell);
    step();
    ring(0);
    step();
    assert_int_equal(w.answers, 0);
    w.paused = false;
    world_publish(&w);
    w.t.host.event_signal(w.t.host.self, w.bell);
    step();
    assert_int_equal(injected[world_slot[0]], 1);
    assert_int_equal(w.answers, 1);
    assert_int_equal(w.value, ULV_WAIT_VIEW_MASK);
    world_end(&w);
}

/* Its handler, its slots, and that it waits; the ring is the backend's. */
static void
test_monitor_interrupts__is_saved(void **state)
{
    static uint8_t room[4096], spoiled[4096];
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_save_monitor head;
    struct ulv_save_processor p;
    uint64_t bytes = 0;

    (void)state;
    begin();
    assert_false(call(ULV_CALL_WAIT, FOREVER, 0));
    w.paused = true;
    world_publish(&w);
    w.t.host.event_signal(w.t.host.self, w.bell);
    step();
    ring(0);
    assert_int_equal(
        ulv_monitor_save(w.m, room, sizeof(room), &bytes, &diag), ULV_OK);
    assert_int_equal(injected[world_slot[0]], 1);
    memcpy(&head, room, sizeof(head));
    memcpy(&p, room + sizeof(head), sizeof(p));
    assert_int_equal(head.version, 2);
    assert_int_equal(head.pending, 0);
    assert_int_equal(p.flags,
                     ULV_SAVE_ON | ULV_SAVE_WAITING | ULV_SAVE_HANDLES);
    assert_int_equal(p.slots, BIT(0));
    assert_int_equal(ulv_monitor_saved_check(&w.t.host, &ulv_backend_mock, room,
                                             bytes, &head, &diag),
                     ULV_OK);
    for (uint32_t i = 0; i < 3; i++) {
        memcpy(spoiled, room, sizeof(room));
        if (i == 0)
            p.flags &= ~ULV_SAVE_HANDLES; /* slots without a handler */
        else
            p.flags |= i == 1 ? 8u : ULV_SAVE_HANDLES;
        if (i == 2)
            p.slots = UINT64_MAX;
        memcpy(spoiled + sizeof(head), &p, sizeof(p));
        assert_int_equal(ulv_monitor_saved_check(&w.t.host, &ulv_backend_mock,
                                                 spoiled, bytes, &head, &diag),
                         ULV_E_FORMAT);
    }
    world_end(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitor_interrupts__a_ring_is_the_handlers),
        cmocka_unit_test(test_monitor_interrupts__others_are_waited_for),
        cmocka_unit_test(test_monitor_interrupts__changes_of_the_mask),
        cmocka_unit_test(test_monitor_interrupts__no_handler_any_more),
        cmocka_unit_test(test_monitor_interrupts__what_cannot_be),
        cmocka_unit_test(test_monitor_interrupts__a_channel_goes),
        cmocka_unit_test(test_monitor_interrupts__kept_while_paused),
        cmocka_unit_test(test_monitor_interrupts__is_saved),
    };

    return cmocka_run_group_tests_name("interrupts", tests, NULL, NULL);
}
