/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Runs the code that a test writes into the image, behind the magic, with the
 * addresses of what it has in registers:
 *   r8 view   r9 gate   r10 its first channel   r11 end of its memory
 *   r12 its own code    rax rbx rcx rdx rsi rdi rbp 0
 * If it comes through, what it leaves in rax is the exit code.
 */
#include <ultravisor/guest.h>

uint64_t hostile_run(uint64_t view, uint64_t gate, uint64_t channel,
                     uint64_t end);

__asm__(".globl hostile_run\n"
        "hostile_run:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rdi, %r8\n"
        "    mov %rsi, %r9\n"
        "    mov %rdx, %r10\n"
        "    mov %rcx, %r11\n"
        "    lea hostile_code(%rip), %r12\n"
        "    xor %eax, %eax; xor %ebx, %ebx; xor %ecx, %ecx; xor %edx, %edx\n"
        "    xor %esi, %esi; xor %edi, %edi; xor %ebp, %ebp\n"
        "    jmp hostile_code\n"
        "    .balign 64\n"
        "    .ascii \"hostile code of\\0\"\n"
        "hostile_code:\n"
        "    .fill 96, 1, 0x90\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

int
guest_main(void)
{
    struct ulv_view_partition partition;
    struct ulv_view_memory last = { 0 }, memory;
    struct ulv_view_channel channel = { 0 };

    if (!guest_view(ULV_VIEW_PARTITION, 0, &partition, sizeof(partition)) ||
        !guest_view(ULV_VIEW_CHANNEL, 0, &channel, sizeof(channel)))
        guest_fault(1, "no view");
    for (uint32_t i = 0;
         guest_view(ULV_VIEW_MEMORY, i, &memory, sizeof(memory)); i++)
        last = memory;
    guest_stop(hostile_run(partition.view, partition.gate,
                           channel.guest_address,
                           last.guest_address + last.bytes));
}
