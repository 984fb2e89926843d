/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Where a guest starts, the gate, and the calls through it. */
#include <stdarg.h>
#include <ultravisor/guest.h>

#include "guest/guest_priv.h"

/* rdi = address of the view. */
__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %rsp, guest_stack_end(%rip)\n"
        "    call guest_start\n"
        "    ud2\n"
        /* number a b c in rdi rsi rdx rcx; gate in r9; rax:rdx come back */
        ".globl guest_gate_call\n"
        "guest_gate_call:\n"
        "    jmp *%r9\n");

struct guest_result guest_gate_call(uint64_t number, uint64_t a, uint64_t b,
                                    uint64_t c, uint64_t d, uint64_t gate);
_Noreturn void guest_start(uint64_t view);

uint64_t guest_gate_address = ULV_GUEST_GATE;
uint64_t guest_stack_end;

struct guest_result
guest_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
    return guest_gate_call(number, a, b, c, 0, guest_gate_address);
}

struct guest_result
guest_call4(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return guest_gate_call(number, a, b, c, d, guest_gate_address);
}

_Noreturn void
guest_stop(uint64_t code)
{
    for (;;)
        (void)guest_call(ULV_CALL_STOP, code, 0, 0);
}

_Noreturn void
guest_reset(uint64_t reason)
{
    (void)guest_call(ULV_CALL_RESET, reason, 0, 0);
    guest_stop(255);
}

static uint64_t
text_length(const char *text)
{
    uint64_t len = 0;

    while (len < ULV_CALL_TEXT_MAX && text[len] != '\0')
        len++;
    return len;
}

_Noreturn void
guest_fault(uint64_t code, const char *text)
{
    (void)guest_call(ULV_CALL_FAULT, code, (uint64_t)(uintptr_t)text,
                     text_length(text));
    guest_stop(255);
}

void
guest_log(const char *text)
{
    (void)guest_call(ULV_CALL_LOG, (uint64_t)(uintptr_t)text,
                     text_length(text), 0);
}

void
guest_log_format(const char *format, ...)
{
    char text[ULV_CALL_TEXT_MAX + 1];
    va_list arguments;

    va_start(arguments, format);
    (void)guest_format_arguments(text, sizeof(text), format, arguments);
    va_end(arguments);
    guest_log(text);
}

uint64_t
guest_time(void)
{
    return guest_call(ULV_CALL_TIME, 0, 0, 0).value;
}

/* Rang, and was not asked for yet. Atomic, for processors that wait too; each
 * bit is all that it says, so no order is needed. */
static uint64_t heard;

static int64_t
wait_and_keep(uint64_t time)
{
    struct guest_result result = guest_call(ULV_CALL_WAIT, time, 0, 0);

    if (result.status == ULV_OK)
        (void)__atomic_or_fetch(&heard, result.value, __ATOMIC_RELAXED);
    return result.status;
}

void
guest_wait(void)
{
    (void)wait_and_keep(UINT64_MAX);
}

bool
guest_wait_until(uint64_t time)
{
    return wait_and_keep(time) != ULV_E_TIMEOUT && guest_time() < time;
}

uint64_t
guest_wait_mask(uint64_t time)
{
    uint64_t mask = __atomic_exchange_n(&heard, 0, __ATOMIC_RELAXED);
    struct guest_result result;

    if (mask != 0)
        return mask;
    result = guest_call(ULV_CALL_WAIT, time, 0, 0);
    return result.status == ULV_OK ? result.value : 0;
}

uint64_t
guest_view_address(void)
{
    return guest_call(ULV_CALL_DISCOVER, 0, 0, 0).value;
}

void
guest_signal(uint32_t slot)
{
    (void)guest_call(ULV_CALL_SIGNAL, slot, 0, 0);
}

uint64_t
guest_accept(uint64_t address)
{
    struct guest_result result = guest_call(ULV_CALL_ACCEPT, address, 0, 0);

    return result.status == ULV_OK ? result.value : 0;
}

bool
guest_release(uint64_t address)
{
    int64_t status;

    for (;;) {
        status = guest_call(ULV_CALL_RELEASE, address, 0, 0).status;
        if (status != ULV_E_AGAIN)
            return status == ULV_OK;
        guest_yield();
    }
}

void
guest_yield(void)
{
    (void)guest_call(ULV_CALL_YIELD, 0, 0, 0);
}

_Noreturn void
guest_start(uint64_t view)
{
    struct ulv_view_partition partition;

    guest_view_init((const void *)(uintptr_t)view);
    if (guest_view(ULV_VIEW_PARTITION, 0, &partition, sizeof(partition)))
        guest_gate_address = partition.gate;
    guest_stop((uint64_t)guest_main());
}
