/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Is interrupted by a channel of type "interrupts": while it spins and makes no
 * call, while it waits, and in a loop; then not any more. Each record goes back
 * as it came; ROUNDS of each, then it stops.
 */
#include <ultravisor/guest.h>

#define ROUNDS 20u

static uint8_t stack[4096] __attribute__((aligned(16)));
static struct guest_channel channel;
static struct guest_loop loop;
static uint64_t rang; /* by the handler only */
static uint32_t slot, answered;

static void
hear(void *argument, uint32_t which)
{
    if (argument != &rang || which != slot)
        guest_fault(1, "the handler is told what is not");
    __atomic_store_n(&rang, rang + 1, __ATOMIC_RELEASE);
}

/* Pairs with hear. */
static uint64_t
heard(void)
{
    return __atomic_load_n(&rang, __ATOMIC_ACQUIRE);
}

/* Whether a record was there; it goes back. */
static bool
answer(void)
{
    uint8_t data[64];
    uint32_t type, len;

    if (guest_channel_receive(&channel, &type, data, sizeof(data), &len, 0) !=
        0)
        return false;
    if (guest_channel_send(&channel, type, data, len) != 0)
        guest_fault(2, "no answer can be sent");
    answered++;
    return true;
}

static void
spin(void)
{
    while (answered < ROUNDS) {
        uint64_t before = heard();

        if (guest_channel_ask(&channel)) {
            (void)answer();
            continue;
        }
        while (heard() == before)
            continue;
    }
}

static void
wait(void)
{
    while (answered < 2 * ROUNDS) {
        if (guest_channel_ask(&channel))
            (void)answer();
        else if ((guest_wait_mask(UINT64_MAX) >> slot & 1) != 0)
            guest_fault(3, "a wait was told what is the handler's");
    }
}

static void
serve(void *argument, uint32_t what)
{
    (void)argument;
    (void)what;
    if (answer() && answered == 3 * ROUNDS)
        guest_loop_stop(&loop, 0);
}

static void
loop_on(void)
{
    static struct guest_watch watch = { .channel = &channel, .run = serve };

    guest_loop_init(&loop);
    guest_loop_watch(&loop, &watch);
    (void)guest_loop_run(&loop);
}

static void
wait_without(void)
{
    uint64_t told = 0, before, slots = 0;
    bool waited = false;

    if (guest_interrupt_set(0, &slots) != 0 || slots != UINT64_C(1) << slot)
        guest_fault(4, "the slots were others");
    before = heard(); /* the last may have come just before that */
    while (answered < 4 * ROUNDS) {
        if (guest_channel_ask(&channel)) {
            (void)answer();
        } else {
            told |= guest_wait_mask(UINT64_MAX);
            waited = true;
        }
    }
    if (waited && (told >> slot & 1) == 0)
        guest_fault(5, "who was to hear did not");
    if (heard() != before)
        guest_fault(6, "who was not to hear did");
}

int
guest_main(void)
{
    if (!guest_channel_open_named(&channel, "interrupts", UINT64_MAX))
        return 1;
    slot = guest_channel_slot(&channel);
    if (guest_interrupt_set(UINT64_C(1) << slot, NULL) != ULV_E_STATE)
        return 2; /* there is no handler yet */
    if (guest_interrupt_handle(hear, &rang, stack + sizeof(stack)) != 0)
        return 3;
    if (guest_interrupt_set(UINT64_C(1) << (slot + 1), NULL) !=
        ULV_E_NOT_FOUND)
        return 4;
    if (guest_interrupt_set(UINT64_C(1) << slot, NULL) != 0)
        return 5;
    spin();
    wait();
    loop_on();
    if (heard() == 0)
        return 6;
    wait_without();
    guest_channel_close(&channel);
    return 0;
}
