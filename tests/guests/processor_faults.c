/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Its second processor executes an undefined instruction, the first waits. */
#include <ultravisor/guest.h>

static uint8_t stack[4096] __attribute__((aligned(16)));

static void
fault(void *argument)
{
    (void)argument;
    __asm__ volatile("ud2");
}

int
guest_main(void)
{
    if (guest_processor_start(1, fault, NULL, stack + sizeof(stack)) != 0)
        return 1;
    for (;;)
        guest_wait();
}
