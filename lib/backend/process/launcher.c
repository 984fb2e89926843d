/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The launcher: becomes a guest. No C library; linked far above any guest
 * address. It maps what the table says, gives up everything, and jumps.
 *
 * What stays with the guest: two eventfds, two system calls on them with fixed
 * arguments, its own memory. Every other system call is a fault.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/process/table.h"

/* x86-64 system call numbers; <asm/unistd_64.h> */
#define SYS_READ         0
#define SYS_WRITE        1
#define SYS_MMAP         9
#define SYS_RT_SIGACTION 13
#define SYS_GETPPID      110
#define SYS_SIGALTSTACK  131
#define SYS_PRCTL        157
#define SYS_SETRLIMIT    160
#define SYS_EXIT_GROUP   231
#define SYS_SECCOMP      317
#define SYS_CLOSE_RANGE  436

#define PROT_RX        5
#define PROT_RW        3
#define MAP_SHARED     1
#define MAP_NOREPLACE  0x100000

static struct table *table;
static uint8_t signal_stack[16384] __attribute__((aligned(16)));
extern char launcher_restorer[];

static long
call3(long number, uint64_t a, uint64_t b, uint64_t c)
{
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

static long
call6(long number, const uint64_t a[6])
{
    register uint64_t r10 __asm__("r10") = a[3];
    register uint64_t r8 __asm__("r8") = a[4];
    register uint64_t r9 __asm__("r9") = a[5];
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static uint64_t
address_of(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

_Noreturn static void
give_up(long code, uint64_t address)
{
    if (table != NULL) {
        table->code = (int32_t)-code;
        table->address = address;
    }
    for (;;)
        (void)call3(SYS_EXIT_GROUP, 1, 0, 0);
}

static void
check(long result, uint64_t address)
{
    if (result < 0)
        give_up(result, address);
}

static long
map_at(uint64_t address, uint64_t bytes, uint64_t protection, int fd,
       uint64_t offset)
{
    const uint64_t a[6] = { address, bytes, protection,
                            MAP_SHARED | (address != 0 ? MAP_NOREPLACE : 0),
                            (uint64_t)fd, offset };

    return call6(SYS_MMAP, a);
}

/* ---- a fault: say what happened and wait for the end --------------------- */

/* The kernel's layout of what a signal handler gets (x86-64 ABI). */
struct frame_context {
    uint64_t flags, link, stack[3];
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, old_mask, cr2;
};

static void
on_fault(int number, const void *info, const void *context)
{
    const struct frame_context *c = context;
    struct call_page *page = (void *)(uintptr_t)(table->gate - 4096);
    const uint64_t registers[18] = { c->rax, c->rbx, c->rcx, c->rdx, c->rsi,
                                     c->rdi, c->rbp, c->rsp, c->r8,  c->r9,
                                     c->r10, c->r11, c->r12, c->r13, c->r14,
                                     c->r15, c->rip, c->rflags };

    (void)info;
    page->signal = (uint32_t)number;
    page->trap = (uint32_t)c->trap;
    page->error_code = c->error;
    page->address = c->cr2;
    for (int i = 0; i < 18; i++)
        page->registers[i] = registers[i];
    page->kind = CALL_KIND_FAULT;
    page->one = 1;
    (void)call3(SYS_WRITE, FD_CALL, address_of(&page->one), 8);
    for (;;)
        (void)call3(SYS_READ, FD_ANSWER, address_of(&page->taken), 8);
}

struct kernel_sigaction {
    const void *handler;
    uint64_t flags;
    const void *restorer;
    uint64_t mask;
};

static void
catch_faults(void)
{
    /* SIGILL SIGTRAP SIGBUS SIGFPE SIGSEGV SIGSYS */
    static const int numbers[] = { 4, 5, 7, 8, 11, 31 };
    const struct {
        const void *p;
        uint64_t flags, bytes;
    } stack = { signal_stack, 0, sizeof(signal_stack) };
    /* SA_SIGINFO | SA_ONSTACK | SA_RESTORER */
    struct kernel_sigaction action = { 0, 0x4 | 0x08000000 | 0x04000000,
                                       launcher_restorer, ~UINT64_C(0) };

    table->step = STEP_SIGNALS;
    action.handler = (const void *)(uintptr_t)on_fault;
    check(call3(SYS_SIGALTSTACK, address_of(&stack), 0, 0), 0);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const uint64_t a[6] = { (uint64_t)numbers[i], address_of(&action), 0, 8,
                                0, 0 };

        check(call6(SYS_RT_SIGACTION, a), (uint64_t)numbers[i]);
    }
}

/* ---- what is left to the guest ------------------------------------------- */

#define LOAD(field)                                                            \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                                         \
             (uint32_t)offsetof(struct seccomp_data, field))
/* equal: go on; otherwise: skip so many */
#define EQUAL(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define END(action)        BPF_STMT(BPF_RET | BPF_K, action)
#define LOW(i)  LOAD(args[i])
#define HIGH(i) LOAD(args[i]) /* patched below: offset + 4 */

static void
close_the_door(void)
{
    uint32_t page = (uint32_t)(table->gate - 4096);
    struct sock_filter filter[] = {
        LOAD(arch), EQUAL(AUDIT_ARCH_X86_64, 25),
        LOAD(nr), EQUAL(SYS_WRITE, 11),
        LOW(0), EQUAL(FD_CALL, 21),
        LOW(1), EQUAL(page + CALL_ONE, 19),
        HIGH(1), EQUAL(0, 17),
        LOW(2), EQUAL(8, 15),
        HIGH(2), EQUAL(0, 13), END(SECCOMP_RET_ALLOW),
        EQUAL(SYS_READ, 11),
        LOW(0), EQUAL(FD_ANSWER, 9),
        LOW(1), EQUAL(page + CALL_TAKEN, 7),
        HIGH(1), EQUAL(0, 5),
        LOW(2), EQUAL(8, 3),
        HIGH(2), EQUAL(0, 1), END(SECCOMP_RET_ALLOW),
        END(SECCOMP_RET_TRAP),
    };
    const struct sock_fprog program = {
        (unsigned short)(sizeof(filter) / sizeof(filter[0])), filter
    };

    filter[8].k += 4;
    filter[12].k += 4;
    filter[20].k += 4;
    filter[24].k += 4;
    table->step = STEP_SECCOMP;
    check(call3(SYS_SECCOMP, SECCOMP_SET_MODE_FILTER, 0,
                address_of(&program)),
          0);
}

static void
give_up_rights(void)
{
    const uint64_t zero[2] = { 0, 0 };
    /* FSIZE DATA CORE NPROC NOFILE: nothing can be created any more */
    static const int limits[] = { 1, 4, 6 };
    const uint64_t no_new[6] = { PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0 };
    const uint64_t no_dump[6] = { PR_SET_DUMPABLE, 0, 0, 0, 0, 0 };

    table->step = STEP_LIMITS;
    check(call6(SYS_PRCTL, no_new), 0);
    check(call6(SYS_PRCTL, no_dump), 0);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        check(call3(SYS_SETRLIMIT, (uint64_t)limits[i], address_of(zero), 0),
              (uint64_t)limits[i]);
}

/* ---- memory -------------------------------------------------------------- */

static void
map_all(void)
{
    table->step = STEP_MAP;
    for (uint32_t i = 0; i < table->region_count; i++) {
        const struct table_region *r = &table->region[i];
        uint64_t protection = 1;

        protection |= (r->access & ACCESS_WRITE) != 0 ? 2 : 0;
        protection |= (r->access & ACCESS_EXECUTE) != 0 ? 4 : 0;
        check(map_at(r->guest, r->bytes, protection, r->fd, r->offset),
              r->guest);
    }
    table->step = STEP_PAGES;
    check(map_at(table->gate - 4096, 4096, PROT_RW, FD_PAGES, 0),
          table->gate - 4096);
    check(map_at(table->gate, 4096, PROT_RX, FD_PAGES, 4096), table->gate);
}

_Noreturn void launcher_main(void);
_Noreturn void launcher_enter(uint64_t entry, uint64_t stack,
                              uint64_t argument);

_Noreturn void
launcher_main(void)
{
    static const uint64_t die_with_parent[6] = { PR_SET_PDEATHSIG, 9 };
    long p = map_at(0, TABLE_BYTES, PROT_RW, FD_TABLE, 0);
    struct call_page *page;

    if (p < 0)
        give_up(p, 0);
    table = (struct table *)(uintptr_t)p;
    table->step = STEP_START;
    check(call6(SYS_PRCTL, die_with_parent), 0);
    if (call3(SYS_GETPPID, 0, 0, 0) != table->parent)
        give_up(-3, 0); /* ESRCH: the parent is gone already */
    map_all();
    table->step = STEP_CLOSE;
    check(call3(SYS_CLOSE_RANGE, 0, FD_TABLE, 0), 0);
    check(call3(SYS_CLOSE_RANGE, FD_PAGES, UINT32_MAX, 0), 0);
    give_up_rights();
    catch_faults();
    close_the_door();
    table->step = STEP_READY;
    page = (void *)(uintptr_t)(table->gate - 4096);
    page->one = 1;
    (void)call3(SYS_WRITE, FD_CALL, address_of(&page->one), 8);
    (void)call3(SYS_READ, FD_ANSWER, address_of(&page->taken), 8);
    launcher_enter(table->entry, table->stack, table->argument);
}

__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    lea launcher_stack_end(%rip), %rsp\n"
        "    call launcher_main\n"
        "    ud2\n"
        ".globl launcher_restorer\n"
        "launcher_restorer:\n"
        "    ud2\n"
        /* rdi entry, rsi stack, rdx argument */
        ".globl launcher_enter\n"
        "launcher_enter:\n"
        "    lea -8(%rsi), %rsp\n"
        "    movq $0, (%rsp)\n"
        "    mov %rdi, %rax\n"
        "    mov %rdx, %rdi\n"
        "    push %rax\n"
        "    xor %eax, %eax\n"
        "    xor %ebx, %ebx\n"
        "    xor %ecx, %ecx\n"
        "    xor %edx, %edx\n"
        "    xor %esi, %esi\n"
        "    xor %ebp, %ebp\n"
        "    xor %r8d, %r8d\n"
        "    xor %r9d, %r9d\n"
        "    xor %r10d, %r10d\n"
        "    xor %r11d, %r11d\n"
        "    xor %r12d, %r12d\n"
        "    xor %r13d, %r13d\n"
        "    xor %r14d, %r14d\n"
        "    xor %r15d, %r15d\n"
        "    ret\n"
        ".bss\n"
        ".balign 16\n"
        "    .zero 16384\n"
        "launcher_stack_end:\n"
        ".text\n");
