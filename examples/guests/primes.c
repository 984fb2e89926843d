/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Counts the primes, one after the other, and makes no call while it does. Over
 * a channel of type "primes" it is asked:
 *
 *   HOW FAR                    "<number> <primes up to it>" as text
 *   HEARD                      OK if a doorbell interrupts it, else POLLED
 *   STOP                       OK; exit code 0
 *
 * and each request is answered at once: by a partition that has interrupts
 * because one sets a word that the computation looks at, by any other because
 * it looks at the channel itself now and then.
 */
#include <ultravisor/guest.h>

enum { HOW_FAR = 1, HEARD, STOP };
enum { OK = 100, POLLED, BAD };

#define POLL_EACH 64u /* numbers */

static uint8_t stack[4096] __attribute__((aligned(16)));
static struct guest_channel channel;
static bool is_interrupted;
static uint32_t rang; /* by the handler: there may be a request */
static uint64_t number = 1, primes;

static void
hear(void *argument, uint32_t slot)
{
    (void)argument;
    (void)slot;
    __atomic_store_n(&rang, 1, __ATOMIC_RELEASE); /* pairs with is_asked */
}

static bool
is_asked(void)
{
    if (!is_interrupted)
        return number % POLL_EACH == 0;
    return __atomic_exchange_n(&rang, 0, __ATOMIC_ACQUIRE) != 0;
}

static bool
is_prime(uint64_t n)
{
    for (uint64_t i = 2; i * i <= n; i++) {
        if (n % i == 0)
            return false;
    }
    return n > 1;
}

static void
answer(uint32_t type, const char *text, uint32_t len)
{
    if (guest_channel_send(&channel, type, text, len) != 0)
        guest_fault(1, "the other end broke the channel");
}

/* All requests that are there; whether it is to go on. */
static bool
answer_all(void)
{
    char request[16], text[64];
    uint32_t type, len;

    /* Asked for the next doorbell only when there is nothing left. */
    while (guest_channel_ask(&channel)) {
        if (guest_channel_receive(&channel, &type, request, sizeof(request),
                                  &len, 0) != 0)
            guest_fault(2, "a request that cannot be read");
        if (type == HOW_FAR) {
            answer(OK, text, /* it fits */
                   (uint32_t)guest_format(text, sizeof(text), "%llu %llu",
                                          (unsigned long long)number,
                                          (unsigned long long)primes));
        } else if (type == HEARD) {
            answer(is_interrupted ? OK : POLLED, NULL, 0);
        } else {
            answer(type == STOP ? OK : BAD, NULL, 0);
        }
        if (type == STOP)
            return false;
    }
    return true;
}

int
guest_main(void)
{
    if (!guest_channel_open_named(&channel, "primes", UINT64_MAX))
        return 1;
    is_interrupted =
        guest_interrupt_handle(hear, NULL, stack + sizeof(stack)) == 0 &&
        guest_interrupt_set(UINT64_C(1) << guest_channel_slot(&channel),
                            NULL) == 0;
    if (answer_all()) {
        do {
            if (is_prime(++number))
                primes++;
        } while (!is_asked() || answer_all());
    }
    guest_channel_close(&channel);
    return 0;
}
