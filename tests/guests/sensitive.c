/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Has one of each sensitive but unprivileged instruction; never run. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    __asm__ volatile("sgdt (%rsp); sidt (%rsp); sldt %eax\n"
                     "smsw %eax; str %eax\n"
                     "pushf; popf; lar %ax, %ax; lsl %ax, %ax; verr %ax\n"
                     "verw %ax; push %fs; pop %fs; mov %ds, %eax\n"
                     "mov %eax, %ds; int $3; int $0x80; lret; iretq\n"
                     "ljmp *(%rax); lcall *(%rax)");
    return 0;
}
