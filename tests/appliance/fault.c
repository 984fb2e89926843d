/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* An image that does one thing wrong: FAULT says which. */
#include <ultravisor/sys/bare.h>

bool
ulv_bare_main(const struct ulv_bare_boot *boot)
{
    static const uint32_t constant = 1;
    uint64_t address = (uint64_t)(uintptr_t)&constant;
    struct ulv_bare bare;

    if (ulv_bare_host_init(&bare, boot, NULL) != ULV_OK)
        return false;
        /* the compiler is not told what is wrong with an address */
#if FAULT == 0
    __asm__ volatile("mov $0x1234, %%r15\n"
                     "    ud2" ::
                         : "r15");
#elif FAULT == 1
    __asm__ volatile("movl $1, (%0)"
                     :
                     : "r"(UINT64_C(0x7f0000001000))
                     : "memory");
#elif FAULT == 2
    /* no stack: a page fault that becomes a double fault */
    __asm__ volatile("mov %0, %%rsp\n"
                     "    push %%rax"
                     :
                     : "r"(UINT64_C(0x7f0000001000))
                     : "memory");
#elif FAULT == 3
    address = 8;
    __asm__ volatile("movb (%0), %%al" : : "r"(address) : "memory", "rax");
#elif FAULT == 4
    __asm__ volatile("1: push %%rax\n"
                     "    jmp 1b"
                     :
                     :
                     : "memory");
#elif FAULT == 5
    __asm__ volatile("movl $2, (%0)" : : "r"(address) : "memory");
#else
    return false;
#endif
    return address != 0;
}
