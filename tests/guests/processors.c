/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * All processors of the partition count together, under a lock and without
 * one, and wake one another. The exit code is how many there were.
 */
#include <ultravisor/guest.h>

#define PROCESSORS 16u
#define COUNTS     20000u
#define ROUNDS     100u

static uint8_t stacks[PROCESSORS][4096] __attribute__((aligned(16)));
static uint32_t lock;
static uint64_t under_lock, without_lock;
static uint32_t turn; /* whose it is to count a round */
static uint64_t rounds;
static uint32_t count;

static void
take_lock(void)
{
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) != 0)
        guest_yield();
}

/* Each in its turn; who is not on waits to be woken. */
static void
take_turns(uint32_t self)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != self)
            guest_wait();
        rounds++;
        __atomic_store_n(&turn, (self + 1) % count, __ATOMIC_RELEASE);
        guest_processor_wake((self + 1) % count);
    }
}

static void
work(void *argument)
{
    for (uint32_t i = 0; i < COUNTS; i++) {
        take_lock();
        under_lock++;
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
        (void)__atomic_add_fetch(&without_lock, 1, __ATOMIC_RELAXED);
    }
    take_turns((uint32_t)(uintptr_t)argument);
}

static void
start(uint32_t idx, void (*run)(void *))
{
    /* it parks by itself, a moment after its last word */
    while (guest_processor_start(idx, run, (void *)(uintptr_t)idx,
                                 stacks[idx] + sizeof(stacks[idx])) != 0)
        guest_yield();
}

static void
refused(void)
{
    if (guest_processor_start(count, work, NULL, stacks[1]) !=
            ULV_E_NOT_FOUND ||
        guest_processor_start(0, work, NULL, stacks[1]) != ULV_E_EXISTS ||
        guest_call(ULV_CALL_PARK, 0, 0, 0).status != ULV_E_STATE ||
        guest_call(ULV_CALL_WAKE, count, 0, 0).status != ULV_E_NOT_FOUND)
        guest_fault(1, "a call that must be refused was not");
}

int
guest_main(void)
{
    count = guest_processor_count();
    if (count > PROCESSORS)
        guest_fault(2, "more processors than this guest has stacks for");
    refused();
    for (uint32_t again = 0; again < 2; again++) {
        for (uint32_t i = 1; i < count; i++)
            start(i, work);
        work(NULL);
        while (__atomic_load_n(&rounds, __ATOMIC_ACQUIRE) <
               (uint64_t)(again + 1) * ROUNDS * count)
            guest_wait();
    }
    if (under_lock != (uint64_t)2 * COUNTS * count ||
        without_lock != under_lock)
        guest_fault(3, "counts were lost");
    return (int)count;
}
