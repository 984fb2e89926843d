/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* An image that does one thing wrong: FAULT says which. */
#include <ultravisor/sys/bare.h>

bool
ulv_bare_main(const struct ulv_bare_boot *boot)
{
    (void)boot;
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
#else
    return false;
#endif
    return true;
}
