/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A guest that does what attack.h lists. No library, no view. */
#include "attack.h"

#define CALL_PAGE UINT64_C(0x600000100000) /* backend/process/table.h */
#define GATE_ONE  UINT64_C(0x600000101ff8)
#define GATE      UINT64_C(0x3ff000)

static uint64_t
gate(uint64_t number, uint64_t a)
{
    uint64_t result;

    __asm__ volatile("call *%%rax"
                     : "=a"(result), "+D"(number), "+S"(a)
                     : "a"(GATE)
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory");
    return result;
}

static uint64_t
call(uint64_t way, uint64_t number, const uint64_t *a)
{
    register uint64_t r10 __asm__("r10") = a[3];
    register uint64_t r8 __asm__("r8") = a[4];
    register uint64_t r9 __asm__("r9") = a[5];
    uint64_t result = number;

    if (way == WAY_X32)
        result |= 0x40000000;
    if (way == WAY_INT80)
        __asm__ volatile("int $0x80"
                         : "+a"(result)
                         : "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]),
                           "D"(a[4])
                         : "r8", "r9", "r10", "r11", "memory");
    else if (way == WAY_SYSENTER)
        __asm__ volatile("mov %%rsp, %%rbp; sysenter"
                         : "+a"(result)
                         : "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]),
                           "D"(a[4])
                         : "r8", "r9", "r10", "r11", "memory");
    else
        __asm__ volatile("syscall"
                         : "+a"(result)
                         : "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8),
                           "r"(r9)
                         : "rcx", "r11", "memory");
    return result;
}

static uint64_t
ring(void)
{
    static const uint64_t a[6] = { 4, GATE_ONE, 8, 0, 0, 0 };

    return call(WAY_SYSCALL, 1, a);
}

static void
jump(const uint64_t *v)
{
    register uint64_t r8 __asm__("r8") = v[6];

    __asm__ volatile("mov %1, %%r10; mov %0, %%r11; call *%%r11"
                     :
                     : "r"(v[0]), "r"(v[5]), "a"(v[1]), "D"(v[2]), "S"(v[3]),
                       "d"(v[4]), "r"(r8)
                     : "rcx", "r9", "r10", "r11", "memory");
}

static void
set_state(const uint64_t *v)
{
    switch (v[0]) {
    case STATE_NO_STACK:
        __asm__ volatile("xor %esp, %esp; ud2");
        break;
    case STATE_WILD_STACK:
        __asm__ volatile("mov $0x8000000000000000, %rsp; push %rax; ud2");
        break;
    case STATE_THEIR_STACK:
        __asm__ volatile("mov %0, %%rsp; ud2" : : "r"(v[1]));
        break;
    case STATE_FLAGS:
        __asm__ volatile("pushfq; orq $0x40400, (%rsp); popfq; ud2");
        break;
    case STATE_BASES:
        __asm__ volatile("mov $0, %eax; mov %eax, %fs; mov %eax, %gs; ud2");
        break;
    case STATE_KEYS:
        __asm__ volatile("mov $-1, %eax; xor %ecx, %ecx; xor %edx, %edx\n"
                         "wrpkru; ud2");
        break;
    case STATE_32_BIT:
        __asm__ volatile("push $0x23; push $1f; lretq\n"
                         ".code32\n1: ud2\n.code64");
        break;
    case STATE_32_BIT_CALL:
        __asm__ volatile("push $0x23; push $1f; lretq\n"
                         ".code32\n1: mov $1, %eax; xor %ebx, %ebx\n"
                         "int $0x80\n.code64");
        break;
    default:
        __asm__ volatile("pushfq; orq $0x100, (%rsp); popfq; nop; nop");
        break;
    }
}

static void
fill(uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to; at += 8)
        *(volatile uint64_t *)at = UINT64_MAX;
}

static void
forge(struct attack *attack)
{
    volatile uint64_t *page = (volatile uint64_t *)CALL_PAGE;

    fill(CALL_PAGE, CALL_PAGE + 4096);
    page[7] = 1; /* a fault */
    ring();
    for (;;)
        *(volatile uint64_t *)&attack->counter += 1;
}

static void
flood(const struct attack *attack)
{
    volatile uint64_t *page = (volatile uint64_t *)CALL_PAGE;
    uint64_t random = attack->value[0];

    for (;;) {
        for (uint32_t i = 0; i < 512; i++) {
            random = random * UINT64_C(6364136223846793005) + 1;
            page[i] = i == 7 ? random | 2 : random;
        }
        ring();
    }
}

void attack_main(struct attack *attack);

void
attack_main(struct attack *attack)
{
    const uint64_t *v = attack->value;

    switch (attack->kind) {
    case ATTACK_CALL:
        attack->result = call(v[0], v[1], v + 2);
        break;
    case ATTACK_READ:
        attack->result = *(const volatile uint8_t *)v[0];
        break;
    case ATTACK_WRITE:
        *(volatile uint8_t *)v[0] = (uint8_t)v[1];
        break;
    case ATTACK_JUMP:
        jump(v);
        break;
    case ATTACK_STATE:
        set_state(v);
        break;
    case ATTACK_FILL:
        fill(v[0], v[1]);
        __asm__ volatile("ud2");
        break;
    case ATTACK_FORGE:
        forge(attack);
        break;
    case ATTACK_FLOOD:
        flood(attack);
        break;
    default:
        for (uint64_t count = 0;; count++)
            (void)gate(ATTACK_COUNTED, count);
    }
    for (;;)
        (void)gate(ATTACK_SURVIVED, attack->result);
}

__asm__(".globl _start\n"
        "_start:\n"
        "    and $-16, %rsp\n"
        "    call attack_main\n"
        "    ud2\n");
