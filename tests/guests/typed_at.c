/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Is interrupted by its console, and says again what is typed there; counts
 * while it waits for that, without a call. After a 'w' it waits in a call,
 * after an 's' it spins again; after an 'h' the next handler stays until
 * words->leave is set. 'q' ends it.
 */
#include <ultravisor/guest.h>

/* Where the test looks. */
struct words {
    uint64_t count, handling, leave, rang;
};
#define WORDS ((struct words *)UINT64_C(0x500000))

static uint8_t stack[4096] __attribute__((aligned(16)));
static uint32_t slot, heard, holds, waits;

static void
hear(void *argument, uint32_t which)
{
    struct words *words = argument;

    if (words != WORDS || which != slot)
        guest_fault(1, "the handler is told what is not");
    words->rang++;
    if (__atomic_exchange_n(&holds, 0, __ATOMIC_RELAXED) != 0) {
        /* pairs with the test's look */
        __atomic_store_n(&words->handling, 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&words->leave, __ATOMIC_ACQUIRE) == 0)
            continue;
        __atomic_store_n(&words->handling, 2, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&heard, 1, __ATOMIC_RELEASE); /* pairs with await */
}

/* Until the handler has run, or it can be told of nothing more. */
static void
await(void)
{
    if (guest_channel_ask(guest_console_channel()))
        return;
    if (waits != 0) {
        guest_wait();
        return;
    }
    while (__atomic_exchange_n(&heard, 0, __ATOMIC_ACQUIRE) == 0)
        WORDS->count++;
}

int
guest_main(void)
{
    char byte;
    uint32_t len;

    if (!guest_console_open())
        return 1;
    slot = guest_channel_slot(guest_console_channel());
    if (guest_interrupt_handle(hear, WORDS, stack + sizeof(stack)) != 0 ||
        guest_interrupt_set(UINT64_C(1) << slot, NULL) != 0)
        return 2;
    for (;;) {
        int32_t status = guest_console_read(&byte, 1, &len, 0);

        if (status == ULV_E_TIMEOUT) {
            await();
            continue;
        }
        if (status != 0)
            return 3;
        if (byte == 'w' || byte == 's')
            waits = byte == 'w';
        if (byte == 'h')
            holds = 1;
        guest_print("%c", byte);
        guest_console_flush();
        if (byte == 'q')
            return 0;
    }
}
