/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Further processors: start, park, wake. */
#include <ultravisor/guest.h>

/* At the end of a processor's stack when it starts. */
struct start {
    void (*run)(void *argument);
    uint64_t rsvd_;
};

/* rdi = the argument, 8(rsp) = struct start. */
__asm__("guest_processor_entry:\n"
        "    xor %ebp, %ebp\n"
        "    add $8, %rsp\n"
        "    call *(%rsp)\n"
        "    call guest_processor_park\n"
        "    ud2\n");

void guest_processor_entry(void);

void
guest_processor_park(void)
{
    (void)guest_call(ULV_CALL_PARK, 0, 0, 0);
}

uint32_t
guest_processor_count(void)
{
    struct ulv_view_processor processor;
    uint32_t count = 0;

    while (guest_view(ULV_VIEW_PROCESSOR, count, &processor,
                      sizeof(processor)))
        count++;
    return count == 0 ? 1 : count;
}

int64_t
guest_processor_start(uint32_t idx, void (*run)(void *argument),
                      void *argument, void *stack_end)
{
    struct start *start = (struct start *)stack_end - 1;

    start->run = run;
    return guest_call4(ULV_CALL_START, idx,
                       (uint64_t)(uintptr_t)guest_processor_entry,
                       (uint64_t)(uintptr_t)start,
                       (uint64_t)(uintptr_t)argument)
        .status;
}

void
guest_processor_wake(uint32_t idx)
{
    (void)guest_call(ULV_CALL_WAKE, idx, 0, 0);
}
