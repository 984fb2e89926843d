/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* How long a system call takes, by the time stamp counter: on an emulator that
 * counts instructions, how many they are. */
#include <ultravisor/guest.h>

#define CALLS 2000u

static uint64_t
ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static uint64_t
count(void)
{
    uint64_t before = ticks();

    for (uint32_t i = 0; i < CALLS; i++)
        (void)guest_call(ULV_CALL_DISCOVER, 0, 0, 0);
    return (ticks() - before) / CALLS;
}

int
guest_main(void)
{
    (void)guest_console_open();
    (void)count(); /* what happens once has happened */
    guest_print("%lu ticks a system call\n", count());
    return 0;
}
