/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/process/process_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/process/table.h"
#include "base/base.h"
#include "monitor/exception.h"
#include "monitor/regions.h"

#define PAGE   UINT64_C(4096)
/* Lowest gate: vm.mmap_min_addr, as the kernel's manual advises it. */
#define LOWEST UINT64_C(65536)

ulv_status
ulv_process_error(struct ulv_diag *diag, const char *what)
{
    int code = errno;
    ulv_status status =
        code == EMFILE || code == ENFILE || code == ENOMEM || code == EAGAIN
            ? ULV_E_NO_MEMORY
            : ULV_E_HOST;

    status = ulv_fail(diag, status, 0, (uint64_t)code, 0, "%s: %s", what,
                      strerror(code));
    if (diag != NULL)
        diag->os_code = code;
    return status;
}

const char *
ulv_process_launcher(const struct ulv_machine_cfg *cfg)
{
    return cfg->launcher != NULL ? cfg->launcher : ULV_LAUNCHER_PATH;
}

/* ---- machine ------------------------------------------------------------- */

/* write(call), read(answer); table.h has the addresses and the descriptors. */
#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)
__asm__(".pushsection .rodata\n"
        "ulv_process_gate:\n"
        "    movabs $" TEXT(CALL_PAGE) ", %rax\n"
        "    mov %rdi, 0(%rax)\n"
        "    mov %rsi, 8(%rax)\n"
        "    mov %rdx, 16(%rax)\n"
        "    mov %rcx, 24(%rax)\n"
        "    mov %r8, 32(%rax)\n"
        "    movq $0, 56(%rax)\n"
        "    mov $1, %eax\n"
        "    mov $" TEXT(FD_CALL) ", %edi\n"
        "    movabs $" TEXT(GATE_COPY) " + " TEXT(GATE_ONE) ", %rsi\n"
        "    mov $8, %edx\n"
        "    syscall\n"
        "    xor %eax, %eax\n"
        "    mov $" TEXT(FD_ANSWER) ", %edi\n"
        "    movabs $" TEXT(CALL_PAGE) " + " TEXT(CALL_TAKEN) ", %rsi\n"
        "    mov $8, %edx\n"
        "    syscall\n"
        "    movabs $" TEXT(CALL_PAGE) ", %rcx\n"
        "    mov 40(%rcx), %rax\n"
        "    mov 48(%rcx), %rdx\n"
        "    ret\n"
        "ulv_process_gate_end:\n"
        ".popsection\n");
extern const uint8_t ulv_process_gate[], ulv_process_gate_end[];

static ulv_status
make_pages(struct machine *m, struct ulv_diag *diag)
{
    uint8_t *p;

    m->pages_fd = memfd_create("ulv-pages", MFD_CLOEXEC);
    if (m->pages_fd < 0 || ftruncate(m->pages_fd, 2 * (off_t)PAGE) != 0)
        return ulv_process_error(diag, "gate pages");
    p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m->pages_fd,
             0);
    if (p == MAP_FAILED)
        return ulv_process_error(diag, "gate pages");
    memcpy(p + PAGE, ulv_process_gate,
           (size_t)(ulv_process_gate_end - ulv_process_gate));
    memcpy(p + PAGE + GATE_ONE, &(uint64_t){ 1 }, 8);
    (void)munmap(p + PAGE, PAGE);
    m->page = (struct call_page *)(void *)p;
    return ULV_OK;
}

static ulv_status
process_machine_init(void *machine, const struct ulv_machine_cfg *cfg,
                     struct ulv_diag *diag)
{
    struct machine *m = machine;
    ulv_status status;

    m->made = true;
    m->pages_fd = m->call_fd = m->answer_fd = m->debug_fd = -1;
    m->cfg = *cfg;
    ulv_regions_init(&m->regions, ULV_GUEST_RAM_BASE, ULV_PROCESS_ADDRESS_MAX,
                     m->region, REGIONS_MAX);
    for (uint32_t i = 0; i < REGIONS_MAX; i++)
        m->backing[i].fd = -1;
    if (cfg->vcpu_count != 1)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, cfg->partition,
                        cfg->vcpu_count, 1,
                        "the process backend has one processor, not %u",
                        (uint64_t)cfg->vcpu_count);
    if (cfg->interrupts != 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, cfg->partition,
                        cfg->interrupts, 0,
                        "the process backend cannot interrupt its guests, and "
                        "partition %u is to be interrupted", cfg->partition);
    if (cfg->gate % PAGE != 0 || cfg->gate < LOWEST ||
        cfg->gate >= ULV_GUEST_RAM_BASE)
        return ulv_fail(diag, ULV_E_ARG, cfg->partition, cfg->gate,
                        ULV_GUEST_RAM_BASE,
                        "a gate page from %x to below %x is needed, not %x",
                        LOWEST, ULV_GUEST_RAM_BASE, cfg->gate);
    if (access(ulv_process_launcher(cfg), X_OK) != 0)
        return ulv_process_error(diag, ulv_process_launcher(cfg));
    status = make_pages(m, diag);
    if (status != ULV_OK)
        return status;
    m->call_fd = eventfd(0, EFD_CLOEXEC);
    m->answer_fd = eventfd(0, EFD_CLOEXEC);
    if (cfg->debug != 0)
        m->debug_fd = eventfd(0, EFD_CLOEXEC);
    if (m->call_fd < 0 || m->answer_fd < 0 ||
        (cfg->debug != 0 && m->debug_fd < 0))
        return ulv_process_error(diag, "eventfd");
    return ULV_OK;
}

void
ulv_process_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void
close_regions(struct machine *m)
{
    for (uint32_t i = 0; i < REGIONS_MAX; i++)
        ulv_process_close(&m->backing[i].fd);
}

static void
process_machine_fini(void *machine)
{
    struct machine *m = machine;

    if (!m->made)
        return;
    close_regions(m);
    if (m->page != NULL)
        (void)munmap(m->page, PAGE);
    ulv_process_close(&m->pages_fd);
    ulv_process_close(&m->call_fd);
    ulv_process_close(&m->answer_fd);
    ulv_process_close(&m->debug_fd);
    m->made = false;
}

static ulv_status
process_map(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
            uint64_t offset, void *p, uint32_t access)
{
    struct machine *m = machine;
    ulv_status status = ulv_regions_check(&m->regions, guest.value, bytes);
    uint32_t slot = 0;

    if (status == ULV_OK && m->pages_fd < 0)
        status = ULV_E_UNSUPPORTED; /* the guest has started */
    if (status != ULV_OK)
        return status;
    while (m->backing[slot].fd >= 0)
        slot++;
    m->backing[slot].fd = fcntl((int)memory, F_DUPFD_CLOEXEC, 0);
    if (m->backing[slot].fd < 0)
        return ulv_process_error(NULL, "");
    m->backing[slot].offset = offset;
    ulv_regions_add(&m->regions, guest.value, bytes, p, access)->slot = slot;
    return ULV_OK;
}

static ulv_status
process_unmap(void *machine, ulv_gpa guest, uint64_t bytes)
{
    struct machine *m = machine;
    struct ulv_region *r = ulv_regions_find(&m->regions, guest.value, bytes);

    if (r == NULL)
        return ULV_E_NOT_FOUND;
    if (m->pages_fd < 0)
        return ULV_E_UNSUPPORTED;
    ulv_process_close(&m->backing[r->slot].fd);
    ulv_regions_remove(&m->regions, r);
    return ULV_OK;
}

/* ---- start and end ------------------------------------------------------- */

static ulv_status
watch_both(struct vcpu *v, struct ulv_diag *diag)
{
    struct epoll_event event = { .events = EPOLLIN };

    v->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    v->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (v->epoll_fd < 0 || v->kick_fd < 0 ||
        epoll_ctl(v->epoll_fd, EPOLL_CTL_ADD, v->machine->call_fd, &event) !=
            0 ||
        epoll_ctl(v->epoll_fd, EPOLL_CTL_ADD, v->pidfd, &event) != 0)
        return ulv_process_error(diag, "epoll");
    return ULV_OK;
}

static ulv_status
process_vcpu_init(void *vcpu, void *machine, uint32_t idx, ulv_gpa entry,
                  ulv_gpa stack, uint64_t argument, struct ulv_diag *diag)
{
    struct vcpu *v = vcpu;
    const uint64_t start[3] = { entry.value, stack.value, argument };
    ulv_status status;

    (void)idx;
    v->machine = machine;
    v->made = true;
    v->pidfd = v->epoll_fd = v->kick_fd = -1;
    status = ulv_process_start(v, start, diag);
    if (status != ULV_OK)
        return status;
    close_regions(v->machine);
    ulv_process_close(&v->machine->pages_fd);
    v->answered = true; /* the first run lets it in */
    if (v->machine->debug_fd >= 0) {
        v->answered = false;
        status = ulv_process_await_entry(v, diag);
    }
    return status == ULV_OK ? watch_both(v, diag) : status;
}

static void
process_vcpu_fini(void *vcpu)
{
    struct vcpu *v = vcpu;

    if (!v->made)
        return;
    v->made = false;
    ulv_process_end(v);
    ulv_process_close(&v->epoll_fd);
    ulv_process_close(&v->kick_fd);
}

/* ---- run ----------------------------------------------------------------- */

static void
take_instruction(const struct machine *m, struct ulv_exit_fault *fault)
{
    ulv_regions_take_instruction(&m->regions, fault);
    ulv_fault_take_instruction(
        fault, m->cfg.gate,
        (uint64_t)(ulv_process_gate_end - ulv_process_gate),
        ulv_process_gate);
}

void
ulv_process_copy_page(const struct call_page *from, struct call_page *to)
{
    const uint64_t *shared = (const void *)from;
    uint64_t words[sizeof(*to) / 8];

    for (size_t i = 0; i < ULV_COUNT_OF(words); i++)
        words[i] = __atomic_load_n(&shared[i], __ATOMIC_RELAXED);
    memcpy(to, words, sizeof(words));
}

/*
 * What entered the kernel lies before rip, which is behind it. Where it is
 * cannot be told of sysenter, which does not keep it.
 */
static void
find_call(const struct machine *m, struct ulv_exit_fault *fault)
{
    struct ulv_exit_fault before = { .registers = fault->registers };

    before.registers.rip -= 2;
    take_instruction(m, &before);
    if (before.instruction_bytes >= 2 &&
        ((before.instruction[0] == 0x0f && before.instruction[1] == 0x05) ||
         (before.instruction[0] == 0xcd && before.instruction[1] == 0x80)))
        fault->registers.rip -= 2;
}

/* What the guest's process says of itself: words of a hostile one. */
static void
take_fault(const struct machine *m, const struct call_page *page,
           struct ulv_exit_fault *fault)
{
    /* by the kernel: no exception of the processor */
    const bool refused =
        page->signal == SIGSYS ||
        (page->signal == SIGILL && page->trap != ULV_VECTOR_OPCODE);

    fault->error_code = page->error_code;
    fault->address = page->address;
    memcpy(&fault->registers, page->registers, sizeof(page->registers));
    if (refused)
        find_call(m, fault);
    take_instruction(m, fault);
    fault->vector = page->trap;
    if (page->code <= 0) { /* sent by somebody, not raised */
        fault->kind = ULV_FAULT_KILLED;
        fault->vector = page->signal;
    } else if (refused) {
        fault->vector = page->signal;
        fault->kind = ULV_FAULT_INSTRUCTION;
        fault->address = fault->registers.rip;
    } else {
        ulv_fault_classify(fault);
    }
}

/* It ended without a fault record: killed by somebody, or by the kernel
 * because not even the record could be written. */
static void
take_end(struct vcpu *v, struct ulv_exit *out)
{
    struct ulv_exit_fault *fault = &out->u.fault;
    siginfo_t info;

    v->ended = true;
    out->reason = ULV_EXIT_ENDED;
    fault->kind = ULV_FAULT_KILLED;
    memset(&info, 0, sizeof(info));
    if (waitid(P_PIDFD, (id_t)v->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) !=
            0 ||
        info.si_code == CLD_EXITED)
        return;
    fault->vector = (uint32_t)info.si_status;
    switch (info.si_status) {
    case SIGILL:
    case SIGTRAP:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV:
    case SIGSYS:
        fault->kind = ULV_FAULT_TRIPLE;
        break;
    default:
        break;
    }
}

void
ulv_process_take_fault(struct vcpu *v, const struct call_page *page,
                       struct ulv_exit *out)
{
    v->ended = true;
    ulv_process_kill(v); /* what says so need not have stopped */
    out->reason = ULV_EXIT_FAULT;
    take_fault(v->machine, page, &out->u.fault);
}

static void
take_exit(struct vcpu *v, struct ulv_exit *out)
{
    struct call_page page;

    v->call_waits = false;
    ulv_process_copy_page(v->machine->page, &page);
    if (page.kind != CALL_KIND_FAULT) {
        out->reason = ULV_EXIT_CALL;
        out->u.call.number = page.number;
        memcpy(out->u.call.argument, page.argument, sizeof(page.argument));
        return;
    }
    ulv_process_take_fault(v, &page, out);
}

static ulv_status
process_vcpu_run(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *out)
{
    struct vcpu *v = vcpu;
    struct pollfd fds[3] = { { .fd = v->machine->call_fd, .events = POLLIN },
                             { .fd = v->kick_fd, .events = POLLIN },
                             { .fd = v->pidfd, .events = POLLIN } };
    struct timespec wait = { (time_t)(budget_ns / 1000000000),
                             (long)(budget_ns % 1000000000) };
    uint64_t one = 1;

    memset(out, 0, sizeof(*out));
    if (v->ended) {
        out->reason = ULV_EXIT_ENDED;
        out->u.fault.kind = ULV_FAULT_KILLED;
        return ULV_OK;
    }
    if (v->stopped && !v->held)
        ulv_process_go_on(v);
    if (v->answered && write(v->machine->answer_fd, &one, 8) != 8)
        return ULV_E_HOST;
    v->answered = false;
    if (ppoll(fds, 3, &wait, NULL) < 0)
        return errno == EINTR ? ULV_OK : ULV_E_HOST;
    if ((fds[1].revents & POLLIN) != 0)
        (void)!read(v->kick_fd, &one, 8);
    if ((fds[0].revents & POLLIN) != 0) {
        if (read(v->machine->call_fd, &one, 8) != 8)
            return ULV_E_HOST;
        if (v->machine->debug_fd < 0 || !ulv_process_stopped(v, one, out))
            take_exit(v, out);
    } else if (v->call_waits) {
        take_exit(v, out);
    } else if ((fds[2].revents & POLLIN) != 0) {
        take_end(v, out);
    }
    return ULV_OK;
}

static void
process_vcpu_answer(void *vcpu, int64_t status, uint64_t value)
{
    struct vcpu *v = vcpu;

    v->machine->page->status = status;
    v->machine->page->value = value;
    v->answered = true;
}

static void
process_vcpu_kick(void *vcpu)
{
    struct vcpu *v = vcpu;
    uint64_t one = 1;

    (void)!write(v->kick_fd, &one, 8);
}

/* Nothing that the guest can do keeps a SIGSTOP from it. */
void
ulv_process_hold(const struct vcpu *v, bool hold)
{
    siginfo_t info;

    (void)syscall(SYS_pidfd_send_signal, v->pidfd, hold ? SIGSTOP : SIGCONT,
                  NULL, 0);
    while (hold &&
           waitid(P_PIDFD, (id_t)v->pidfd, &info,
                  WSTOPPED | WEXITED | WNOWAIT) != 0 &&
           errno == EINTR)
        continue;
}

static void
process_vcpu_hold(void *vcpu, bool hold)
{
    struct vcpu *v = vcpu;

    v->held = hold;
    if (!hold && v->stopped)
        ulv_process_go_on(v);
    ulv_process_hold(v, hold);
}

/* clock_getcpuclockid(3) makes one more call to see whether the process is
 * there; it is until we have waited for it. <linux/posix-timers.h> */
#define CLOCK_OF(pid) ((clockid_t)(~(uint32_t)(pid) << 3 | 2))

static ulv_nsec
process_vcpu_time(void *vcpu)
{
    struct vcpu *v = vcpu;
    struct timespec now;

    if (v->pidfd >= 0 && clock_gettime(CLOCK_OF(v->pid), &now) == 0)
        v->time = (ulv_nsec)now.tv_sec * 1000000000 + (ulv_nsec)now.tv_nsec;
    return v->time;
}

static ulv_handle
process_vcpu_event(void *vcpu)
{
    return ((struct vcpu *)vcpu)->epoll_fd;
}

const struct ulv_backend_ops ulv_backend_process = {
    .size = sizeof(struct ulv_backend_ops),
    .flags = ULV_BACKEND_STARTS_LATE,
    .name = "process",
    .machine_bytes = sizeof(struct machine),
    .vcpu_bytes = sizeof(struct vcpu),
    .probe = ulv_process_probe,
    .machine_init = process_machine_init,
    .machine_fini = process_machine_fini,
    .map = process_map,
    .unmap = process_unmap,
    .vcpu_init = process_vcpu_init,
    .vcpu_fini = process_vcpu_fini,
    .vcpu_run = process_vcpu_run,
    .vcpu_answer = process_vcpu_answer,
    .vcpu_kick = process_vcpu_kick,
    .vcpu_hold = process_vcpu_hold,
    .vcpu_event = process_vcpu_event,
    .vcpu_time = process_vcpu_time,
    .vcpu_registers = ulv_process_registers,
    .vcpu_set_registers = ulv_process_set_registers,
    .vcpu_debug = ulv_process_debug,
};
