/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Interrupts: from the backend's way of entering a handler to a function. */
#include <ultravisor/guest.h>

#include "guest/guest_priv.h"

/* At the end of a handler's stack. */
struct handler {
    void (*run)(void *argument, uint32_t slot);
    void *argument;
};

/* rdi = the slot, 8(rsp) = struct handler; the nine words below it keep what a
 * function may change, and the stack as it wants it. */
__asm__("guest_interrupt_entry:\n"
        "    push %rax\n"
        "    push %rcx\n"
        "    push %rdx\n"
        "    push %rsi\n"
        "    push %r8\n"
        "    push %r9\n"
        "    push %r10\n"
        "    push %r11\n"
        "    sub $8, %rsp\n"
        "    mov %edi, %esi\n"
        "    mov 88(%rsp), %rdi\n"
        "    call *80(%rsp)\n"
        "    add $8, %rsp\n"
        "    pop %r11\n"
        "    pop %r10\n"
        "    pop %r9\n"
        "    pop %r8\n"
        "    pop %rsi\n"
        "    pop %rdx\n"
        "    pop %rcx\n"
        "    pop %rax\n"
        "    mov $0x0903, %edi\n" /* ULV_CALL_RESUME */
        "    jmp *guest_gate_address(%rip)\n");

_Static_assert(ULV_CALL_RESUME == 0x0903, "the number above");

void guest_interrupt_entry(void);

int64_t
guest_interrupt_handle(void (*run)(void *argument, uint32_t slot),
                       void *argument, void *stack_end)
{
    struct handler *handler = (struct handler *)stack_end - 1;

    handler->run = run;
    handler->argument = argument;
    return guest_call(ULV_CALL_HANDLER,
                      (uint64_t)(uintptr_t)guest_interrupt_entry,
                      (uint64_t)(uintptr_t)handler, 0)
        .status;
}

int64_t
guest_interrupt_set(uint64_t slots, uint64_t *ret_before)
{
    struct guest_result result = guest_call(ULV_CALL_INTERRUPTS, slots, 0, 0);

    if (ret_before != NULL)
        *ret_before = result.value;
    return result.status;
}
