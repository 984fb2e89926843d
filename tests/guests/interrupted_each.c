/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Each processor has a handler and a channel of its own, "interrupts-0",
 * "interrupts-1": it spins, without a call, until its handler ran, and sends
 * back what came; ROUNDS records each. The exit code is how many there are.
 */
#include <ultravisor/guest.h>

#define PROCESSORS 4u
#define ROUNDS     20u

static struct one {
    uint8_t stack[4096], handler_stack[4096];
    struct guest_channel channel;
    uint64_t rang; /* by its handler only */
    uint32_t idx, slot;
} each[PROCESSORS] __attribute__((aligned(16)));
static uint32_t ready, done;

static void
hear(void *argument, uint32_t which)
{
    struct one *own = argument;

    if (which != own->slot)
        guest_fault(1, "the handler is told of another's slot");
    __atomic_store_n(&own->rang, own->rang + 1, __ATOMIC_RELEASE);
}

static uint64_t
heard(struct one *own)
{
    return __atomic_load_n(&own->rang, __ATOMIC_ACQUIRE); /* pairs with hear */
}

static void
send_back(struct one *own)
{
    uint8_t data[64];
    uint32_t type, len;

    if (guest_channel_receive(&own->channel, &type, data, sizeof(data), &len,
                              0) != 0 ||
        guest_channel_send(&own->channel, type, data, len) != 0)
        guest_fault(2, "a record does not go back");
}

static void
begin(struct one *own, uint32_t count)
{
    const struct one *next = &each[(own->idx + 1) % count];

    if (guest_interrupt_handle(hear, own, own->handler_stack +
                                              sizeof(own->handler_stack)) != 0)
        guest_fault(3, "no handler");
    if (guest_interrupt_set(UINT64_C(1) << own->slot, NULL) != 0)
        guest_fault(4, "the slot cannot be set");
    (void)__atomic_add_fetch(&ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < count)
        continue;
    if (count > 1 && guest_interrupt_set(UINT64_C(1) << own->slot |
                                             UINT64_C(1) << next->slot,
                                         NULL) != ULV_E_EXISTS)
        guest_fault(5, "two processors hear one slot");
}

static void
work(void *argument)
{
    struct one *own = argument;

    begin(own, guest_processor_count());
    for (uint32_t i = 0; i < ROUNDS;) {
        uint64_t before = heard(own);

        if (guest_channel_ask(&own->channel)) {
            send_back(own);
            i++;
            continue;
        }
        while (heard(own) == before)
            continue;
    }
    if (heard(own) == 0)
        guest_fault(6, "nothing interrupted it");
    (void)__atomic_add_fetch(&done, 1, __ATOMIC_ACQ_REL);
}

int
guest_main(void)
{
    uint32_t count = guest_processor_count();
    char name[16];

    if (count > PROCESSORS)
        return 100;
    for (uint32_t i = 0; i < count; i++) {
        each[i].idx = i;
        (void)guest_format(name, sizeof(name), "interrupts-%u", i);
        if (!guest_channel_open_named(&each[i].channel, name, UINT64_MAX))
            return 101;
        each[i].slot = guest_channel_slot(&each[i].channel);
    }
    for (uint32_t i = 1; i < count; i++) {
        if (guest_processor_start(i, work, &each[i],
                                  each[i].stack + sizeof(each[i].stack)) != 0)
            return 102;
    }
    work(&each[0]);
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < count)
        guest_yield();
    return (int)count;
}
