/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The launcher: becomes a guest. No C library; linked far above any guest
 * address. It maps what the table says, gives up everything, and jumps.
 *
 * What stays with the guest: two eventfds, two system calls on them with fixed
 * arguments, its own memory. Every other system call is a fault. One that is to
 * be debugged keeps a third eventfd, and may return from a signal handler.
 */
#include <linux/prctl.h>
#include <linux/sched.h>
#include <stddef.h>

#include "backend/process/confine.h"
#include "backend/process/kernel.h"
#include "backend/process/table.h"

#define PROT_R        1
#define PROT_RW       3
#define PROT_RX       5
#define MAP_SHARED    1
#define MAP_NOREPLACE 0x100000

#define PAGE      UINT64_C(4096)
#define SPACE_END UINT64_C(0x7ffffffff000) /* of addresses of user programs */

static uint8_t signal_stack[16384] __attribute__((aligned(16)));
extern char launcher_restorer[], launcher_signal[];
extern char launcher_trap[], launcher_return[];

static struct table *
table_at(void)
{
    return (struct table *)(uintptr_t)TABLE_PLACE;
}

/* The status is the errno; the table has the step and the address. */
_Noreturn static void
give_up(long code, uint64_t address)
{
    table_at()->address = address;
    for (;;)
        (void)call3(SYS_EXIT_GROUP, (uint64_t)-code, 0, 0);
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
                            MAP_SHARED | MAP_NOREPLACE, (uint64_t)fd, offset };

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

struct frame_info {
    int32_t number, error, code, rsvd_;
    uint64_t call_address; /* of SIGSYS, like the next two */
    uint32_t call_number, call_architecture;
};

void launcher_on_fault(int number, const struct frame_info *info,
                       const struct frame_context *c);

static void
put_fault(struct call_page *page, int number, const struct frame_info *info,
          const struct frame_context *c)
{
    const uint64_t registers[18] = { c->rax, c->rbx, c->rcx, c->rdx, c->rsi,
                                     c->rdi, c->rbp, c->rsp, c->r8,  c->r9,
                                     c->r10, c->r11, c->r12, c->r13, c->r14,
                                     c->r15, c->rip, c->rflags };

    page->signal = (uint32_t)number;
    page->trap = (uint32_t)c->trap;
    page->code = info->code;
    page->error_code = number == 31 /* SIGSYS */
                           ? (uint64_t)info->call_architecture << 32 |
                                 info->call_number
                           : c->error;
    page->address = c->cr2;
    for (int i = 0; i < 18; i++)
        page->registers[i] = registers[i];
}

/* Constants and its own stack are all it uses: nothing it believes is where
 * the guest can write. */
void
launcher_on_fault(int number, const struct frame_info *info,
                  const struct frame_context *c)
{
    struct call_page *page = (void *)(uintptr_t)CALL_PAGE;

    put_fault(page, number, info, c);
    page->kind = CALL_KIND_FAULT;
    (void)call3(SYS_WRITE, FD_CALL, GATE_COPY + GATE_ONE, 8);
    for (;;)
        (void)call3(SYS_READ, FD_ANSWER, CALL_PAGE + CALL_TAKEN, 8);
}

void launcher_on_trap(int number, const struct frame_info *info,
                      struct frame_context *c);

/* Of a guest that is debugged: what stopped it, then on with what the registers
 * have become. A call that is under way stays as it is. */
void
launcher_on_trap(int number, const struct frame_info *info,
                 struct frame_context *c)
{
    struct call_page *page = (void *)(uintptr_t)CALL_PAGE;
    uint64_t *const registers[18] = {
        &c->rax, &c->rbx, &c->rcx, &c->rdx, &c->rsi, &c->rdi,
        &c->rbp, &c->rsp, &c->r8,  &c->r9,  &c->r10, &c->r11,
        &c->r12, &c->r13, &c->r14, &c->r15, &c->rip, &c->rflags
    };

    put_fault(page, number, info, c);
    __atomic_store_n(&page->stopped, 1, __ATOMIC_RELEASE);
    (void)call3(SYS_WRITE, FD_CALL, GATE_COPY + GATE_ONE, 8);
    (void)call3(SYS_READ, FD_DEBUG, CALL_PAGE + CALL_TAKEN, 8);
    for (int i = 0; i < 18; i++)
        *registers[i] = page->registers[i];
}

struct kernel_sigaction {
    const void *handler;
    uint64_t flags;
    const void *restorer;
    uint64_t mask;
};

static void
catch_faults(bool debug)
{
    /* SIGILL SIGTRAP SIGBUS SIGFPE SIGSEGV SIGSYS */
    static const int numbers[] = { 4, 5, 7, 8, 11, 31 };
    /* SS_AUTODISARM: from its top, wherever the guest's rsp is */
    const struct {
        const void *p;
        uint64_t flags, bytes;
    } stack = { signal_stack, UINT64_C(1) << 31, sizeof(signal_stack) };
    /* SA_SIGINFO | SA_ONSTACK | SA_RESTORER */
    const struct kernel_sigaction action = {
        launcher_signal, 0x4 | 0x08000000 | 0x04000000, launcher_restorer,
        ~UINT64_C(0)
    };

    check(call3(SYS_SIGALTSTACK, address_of(&stack), 0, 0), 0);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const uint64_t a[6] = { (uint64_t)numbers[i], address_of(&action), 0, 8,
                                0, 0 };

        check(call6(SYS_RT_SIGACTION, a), (uint64_t)numbers[i]);
    }
    if (debug) {
        /* SA_RESTART too: the call that it stops is made again */
        const struct kernel_sigaction trap = {
            launcher_trap, action.flags | 0x10000000, launcher_return,
            ~UINT64_C(0)
        };
        const uint64_t a[6] = { 5, address_of(&trap), 0, 8, 0, 0 };

        check(call6(SYS_RT_SIGACTION, a), 5);
    }
}

/* ---- memory -------------------------------------------------------------- */

/* Pages that the kernel does not let go are left: those of the vdso, where it
 * seals them. */
static void
unmap_range(uint64_t start, uint64_t end)
{
    uint64_t middle = start + (end - start) / (2 * PAGE) * PAGE;

    if (call3(SYS_MUNMAP, start, end - start, 0) == 0 || end - start == PAGE)
        return;
    unmap_range(start, middle);
    unmap_range(middle, end);
}

/* Nothing but the launcher: no vdso, no clock page of the kernel, no stack
 * with what the host's process started us with. */
static void
empty_space(void)
{
    unmap_range(0, LAUNCHER_START);
    unmap_range(LAUNCHER_END, SPACE_END);
}

static void
map_all(struct table *table)
{
    table->step = STEP_MAP;
    for (uint32_t i = 0; i < table->region_count; i++) {
        const struct table_region *r = &table->region[i];
        uint64_t protection = PROT_R;

        protection |= (r->access & ACCESS_WRITE) != 0 ? 2 : 0;
        protection |= (r->access & ACCESS_EXECUTE) != 0 ? 4 : 0;
        check(map_at(r->guest, r->bytes, protection, r->fd, r->offset),
              r->guest);
    }
    table->step = STEP_PAGES;
    check(map_at(CALL_PAGE, PAGE, PROT_RW, FD_PAGES, 0), CALL_PAGE);
    check(map_at(GATE_COPY, PAGE, PROT_R, FD_PAGES, PAGE), GATE_COPY);
    check(map_at(table->gate, PAGE, PROT_RX, FD_PAGES, PAGE), table->gate);
}

/* ---- start --------------------------------------------------------------- */

/* In a PID namespace of its own the guest is another process, a child of the
 * backend like this one, which ends. */
static void
move_to_process(struct table *table)
{
    const uint64_t a[6] = { CLONE_PARENT | CLONE_PARENT_SETTID, 0,
                            address_of(&table->guest), 0, 0, 0 };
    long result = call6(SYS_CLONE, a);

    check(result, 0);
    while (result != 0)
        (void)call3(SYS_EXIT_GROUP, 0, 0, 0);
}

/* After PR_SET_PDEATHSIG: if the parent was gone before, nobody tells. */
static void
check_parent(void)
{
    struct {
        int32_t fd;
        int16_t events, found;
    } parent = { FD_PARENT, 1 /* POLLIN: it has ended */, 0 };
    long result = call3(SYS_POLL, address_of(&parent), 1, 0);

    check(result, 0);
    if (result != 0)
        give_up(-ESRCH_NUMBER, 0);
}

static void
confine(struct table *table)
{
    table->step = STEP_LIMITS;
    check(launcher_give_up_rights(), 0);
    table->step = STEP_PARENT;
    check_parent();
    table->step = STEP_CLOSE;
    check(call3(SYS_CLOSE_RANGE, 0, FD_TABLE, 0), 0);
    check(call3(SYS_CLOSE_RANGE, table->debug != 0 ? FD_PAGES : FD_DEBUG,
                UINT32_MAX, 0),
          0);
    table->step = STEP_LIMITS;
    check(launcher_give_up_limits(), 0);
    table->step = STEP_SIGNALS;
    catch_faults(table->debug != 0);
}

_Noreturn void launcher_main(void);
/* flags: TF, and it traps before the guest's first instruction */
_Noreturn void launcher_enter(uint64_t entry, uint64_t stack,
                              uint64_t argument, uint64_t flags);

_Noreturn void
launcher_main(void)
{
    struct table *table = table_at();
    uint64_t entry, stack, argument;
    bool debug;
    long result = map_at(TABLE_PLACE, TABLE_BYTES, PROT_RW, FD_TABLE, 0);

    while (result < 0)
        (void)call3(SYS_EXIT_GROUP, (uint64_t)-result, 0, 0);
    table->step = STEP_SPACE;
    empty_space();
    table->step = STEP_PROCESS;
    if (launcher_leave(table->other_user != 0))
        move_to_process(table);
    /* no signal from the terminal of the host's program */
    (void)call3(SYS_SETSID, 0, 0, 0);
    map_all(table);
    confine(table);
    entry = table->entry;
    stack = table->stack;
    argument = table->argument;
    debug = table->debug != 0;
    table->step = STEP_SECCOMP;
    result = call3(SYS_MUNMAP, TABLE_PLACE, TABLE_BYTES, 0);
    if (result == 0)
        result = launcher_filter(debug);
    while (result < 0)
        (void)call3(SYS_EXIT_GROUP, (uint64_t)-result, 0, 0);
    (void)call3(SYS_WRITE, FD_CALL, GATE_COPY + GATE_ONE, 8);
    (void)call3(SYS_READ, FD_ANSWER, CALL_PAGE + CALL_TAKEN, 8);
    launcher_enter(entry, stack, argument, debug ? 0x102 : 2);
}

__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    lea launcher_stack_end(%rip), %rsp\n"
        "    call launcher_main\n"
        "    ud2\n"
        /* flags as after a start: the kernel leaves the guest's AC */
        ".globl launcher_signal\n"
        "launcher_signal:\n"
        "    push $2\n"
        "    popf\n"
        "    jmp launcher_on_fault\n"
        ".globl launcher_trap\n"
        "launcher_trap:\n"
        "    push $2\n"
        "    popf\n"
        "    jmp launcher_on_trap\n"
        ".globl launcher_return\n"
        "launcher_return:\n"
        "    mov $15, %eax\n" /* SYS_RT_SIGRETURN */
        "    syscall\n"
        "    ud2\n"
        ".globl launcher_restorer\n"
        "launcher_restorer:\n"
        "    ud2\n"
        /* rdi entry, rsi stack, rdx argument, rcx flags */
        ".globl launcher_enter\n"
        "launcher_enter:\n"
        "    lea -8(%rsi), %rsp\n"
        "    movq $0, (%rsp)\n"
        "    mov %rdi, %rax\n"
        "    mov %rdx, %rdi\n"
        "    push %rax\n"
        "    push %rcx\n"
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
        "    popf\n"
        "    ret\n"
        ".bss\n"
        ".balign 16\n"
        "    .zero 16384\n"
        "launcher_stack_end:\n"
        ".text\n");
