/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/process/table.h"
#include "base/base.h"
#include "monitor/exception.h"
#include "monitor/regions.h"

#define PAGE         UINT64_C(4096)
#define ADDRESS_MAX  UINT64_C(0x500000000000) /* the launcher lies above */
#define READY_MS     20000 /* until the launcher must be ready */
/* Lowest gate: vm.mmap_min_addr, as the kernel's manual advises it, and the
 * call page. */
#define LOWEST       (UINT64_C(65536) + PAGE)

#ifndef ULV_LAUNCHER_PATH
#define ULV_LAUNCHER_PATH "ultravisor-launcher"
#endif

/* Of a region, until the start: our descriptor of its memory. */
struct backing {
    int fd;
    uint64_t offset;
};

struct machine {
    struct ulv_machine_cfg cfg;
    bool made;
    int pages_fd, call_fd, answer_fd;
    struct call_page *page; /* shared with the guest */
    struct ulv_regions regions;
    struct backing backing[REGIONS_MAX]; /* by the region's slot */
};

struct vcpu {
    struct machine *machine;
    bool made;
    int pidfd, epoll_fd, kick_fd;
    pid_t pid;
    bool ended, answered;
};

static ulv_status
host_error(struct ulv_diag *diag, const char *what)
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

static const char *
launcher_path(const struct ulv_machine_cfg *cfg)
{
    return cfg->launcher != NULL ? cfg->launcher : ULV_LAUNCHER_PATH;
}

static ulv_status
lacks(struct ulv_diag *diag, const char *what)
{
    int code = errno;

    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, (uint64_t)code, 0,
                    "the kernel has no %s: %s", what, strerror(code));
}

static ulv_status
process_probe(const struct ulv_host *host, struct ulv_backend_caps *ret_caps,
              struct ulv_diag *diag)
{
    int fd;

    (void)host;
    memset(ret_caps, 0, sizeof(*ret_caps));
    ret_caps->size = sizeof(*ret_caps);
    ret_caps->vcpus_max = 1;
    ret_caps->guest_address_max = ADDRESS_MAX;
    ret_caps->regions_max = REGIONS_MAX;
    ulv_string_copy(ret_caps->version, sizeof(ret_caps->version), "seccomp");
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0,
                &(uint32_t){ SECCOMP_RET_TRAP }) != 0)
        return lacks(diag, "seccomp filters");
    fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd < 0)
        return lacks(diag, "pidfd_open");
    (void)close(fd);
    /* of the last number there can be: closes nothing */
    if (syscall(SYS_close_range, UINT32_MAX, UINT32_MAX, 0) != 0)
        return lacks(diag, "close_range");
    return ULV_OK;
}

/* ---- machine ------------------------------------------------------------- */

/* write(call), read(answer): position-independent, the call page lies one page
 * below the gate. */
__asm__(".pushsection .rodata\n"
        "ulv_process_gate:\n"
        ".set call_page, ulv_process_gate - 4096\n"
        "    mov %rdi, call_page + 0(%rip)\n"
        "    mov %rsi, call_page + 8(%rip)\n"
        "    mov %rdx, call_page + 16(%rip)\n"
        "    mov %rcx, call_page + 24(%rip)\n"
        "    mov %r8, call_page + 32(%rip)\n"
        "    movq $0, call_page + 56(%rip)\n"
        "    movq $1, call_page + 64(%rip)\n"
        "    mov $1, %eax\n"
        "    mov $4, %edi\n"
        "    lea call_page + 64(%rip), %rsi\n"
        "    mov $8, %edx\n"
        "    syscall\n"
        "    xor %eax, %eax\n"
        "    mov $5, %edi\n"
        "    lea call_page + 72(%rip), %rsi\n"
        "    mov $8, %edx\n"
        "    syscall\n"
        "    mov call_page + 40(%rip), %rax\n"
        "    mov call_page + 48(%rip), %rdx\n"
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
        return host_error(diag, "gate pages");
    p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m->pages_fd,
             0);
    if (p == MAP_FAILED)
        return host_error(diag, "gate pages");
    memcpy(p + PAGE, ulv_process_gate,
           (size_t)(ulv_process_gate_end - ulv_process_gate));
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
    m->pages_fd = m->call_fd = m->answer_fd = -1;
    m->cfg = *cfg;
    ulv_regions_init(&m->regions, ULV_GUEST_RAM_BASE, ADDRESS_MAX,
                     REGIONS_MAX);
    for (uint32_t i = 0; i < REGIONS_MAX; i++)
        m->backing[i].fd = -1;
    if (cfg->vcpu_count != 1)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, cfg->partition,
                        cfg->vcpu_count, 1,
                        "the process backend has one processor");
    /* the call page lies one page below the gate; neither may be page 0 */
    if (cfg->gate % PAGE != 0 || cfg->gate < LOWEST ||
        cfg->gate >= ULV_GUEST_RAM_BASE)
        return ulv_fail(diag, ULV_E_ARG, cfg->partition, cfg->gate,
                        ULV_GUEST_RAM_BASE,
                        "a gate page from %x to below %x is needed, not %x",
                        LOWEST, ULV_GUEST_RAM_BASE, cfg->gate);
    if (access(launcher_path(cfg), X_OK) != 0)
        return host_error(diag, launcher_path(cfg));
    status = make_pages(m, diag);
    if (status != ULV_OK)
        return status;
    m->call_fd = eventfd(0, EFD_CLOEXEC);
    m->answer_fd = eventfd(0, EFD_CLOEXEC);
    if (m->call_fd < 0 || m->answer_fd < 0)
        return host_error(diag, "eventfd");
    return ULV_OK;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void
close_regions(struct machine *m)
{
    for (uint32_t i = 0; i < REGIONS_MAX; i++)
        close_fd(&m->backing[i].fd);
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
    close_fd(&m->pages_fd);
    close_fd(&m->call_fd);
    close_fd(&m->answer_fd);
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
        return host_error(NULL, "");
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
    close_fd(&m->backing[r->slot].fd);
    ulv_regions_remove(&m->regions, r);
    return ULV_OK;
}

/* ---- start --------------------------------------------------------------- */

static void
fill_table(const struct machine *m, struct table *t, const uint64_t start[3])
{
    t->gate = m->cfg.gate;
    t->entry = start[0];
    t->stack = start[1];
    t->argument = start[2];
    t->parent = getpid();
    t->region_count = m->regions.count;
    for (uint32_t i = 0; i < m->regions.count; i++) {
        const struct ulv_region *r = &m->regions.region[i];

        t->region[i].guest = r->guest;
        t->region[i].bytes = r->bytes;
        t->region[i].offset = m->backing[r->slot].offset;
        t->region[i].fd = FD_MEMORY + (int32_t)i;
        t->region[i].access =
            ((r->access & ULV_GUEST_WRITE) != 0 ? ACCESS_WRITE : 0) |
            ((r->access & ULV_GUEST_EXECUTE) != 0 ? ACCESS_EXECUTE : 0);
    }
}

/*
 * Our descriptors go to their numbers in the launcher: fixed ones, then memory.
 * They are copied above all of these first, so that none is overwritten before
 * it was moved.
 */
#define PLACES_MAX (4 + REGIONS_MAX)

static int
copy_descriptors(const struct machine *m, const int fixed[4],
                 int copies[PLACES_MAX])
{
    const int above = FD_TABLE + 4 + (int)m->regions.count;

    for (uint32_t i = 0; i < 4 + m->regions.count; i++) {
        int fd = i < 4 ? fixed[i]
                       : m->backing[m->regions.region[i - 4].slot].fd;

        copies[i] = fcntl(fd, F_DUPFD_CLOEXEC, above);
        if (copies[i] < 0) /* EINVAL: above the limit of descriptors */
            return errno == EINVAL ? EMFILE : errno;
    }
    return 0;
}

static int
place_descriptors(const int copies[PLACES_MAX],
                  posix_spawn_file_actions_t *actions)
{
    int error = 0;

    for (int i = 0; i < (int)PLACES_MAX && copies[i] >= 0 && error == 0; i++)
        error = posix_spawn_file_actions_adddup2(actions, copies[i],
                                                 FD_TABLE + i);
    return error;
}

static int
spawn(const struct machine *m, const int copies[PLACES_MAX], pid_t *ret)
{
    const char *path = launcher_path(&m->cfg);
    char name[] = "ulv-guest";
    char *arguments[] = { name, NULL }, *environment[] = { NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int error = posix_spawn_file_actions_init(&actions);

    if (error != 0)
        return error;
    error = place_descriptors(copies, &actions);
    if (error == 0)
        error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        (void)sigemptyset(&none);
        (void)sigfillset(&all);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setsigdefault(&attributes, &all);
        (void)posix_spawnattr_setflags(
            &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        error = posix_spawn(ret, path, &actions, &attributes, arguments,
                            environment);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

static ulv_status
launch(struct vcpu *v, int table_fd, struct ulv_diag *diag)
{
    struct machine *m = v->machine;
    const int fixed[4] = { table_fd, m->call_fd, m->answer_fd, m->pages_fd };
    int copies[PLACES_MAX];
    int error;

    for (uint32_t i = 0; i < PLACES_MAX; i++)
        copies[i] = -1;
    error = copy_descriptors(m, fixed, copies);
    if (error == 0)
        error = spawn(m, copies, &v->pid);
    for (uint32_t i = 0; i < PLACES_MAX; i++)
        close_fd(&copies[i]);
    if (error == 0) {
        v->pidfd = (int)syscall(SYS_pidfd_open, v->pid, 0);
        if (v->pidfd >= 0)
            return ULV_OK;
        error = errno;
        (void)kill(v->pid, SIGKILL);
        (void)waitpid(v->pid, NULL, 0);
    }
    errno = error;
    return host_error(diag, launcher_path(&m->cfg));
}

static const char *const step_text[] = {
    [STEP_START] = "to start",           [STEP_CLOSE] = "to close descriptors",
    [STEP_MAP] = "to map memory",        [STEP_PAGES] = "to map the gate",
    [STEP_LIMITS] = "to give up rights", [STEP_SIGNALS] = "to catch faults",
    [STEP_SECCOMP] = "to filter calls",  [STEP_READY] = "to enter the guest",
};

static ulv_status
await_ready(struct vcpu *v, const struct table *t, struct ulv_diag *diag)
{
    struct pollfd fds[2] = { { .fd = v->machine->call_fd, .events = POLLIN },
                             { .fd = v->pidfd, .events = POLLIN } };
    uint32_t step;
    uint64_t one;
    int n;

    do {
        n = poll(fds, 2, READY_MS);
    } while (n < 0 && errno == EINTR);
    if (n > 0 && (fds[0].revents & POLLIN) != 0) {
        one = 1;
        if (read(v->machine->call_fd, &one, sizeof(one)) == sizeof(one))
            return ULV_OK;
    }
    step = ULV_MIN(t->step, (uint32_t)STEP_READY);
    return ulv_fail(diag, ULV_E_HOST, v->machine->cfg.partition, t->address,
                    (uint64_t)t->code,
                    "the guest's process failed %s at %x: %s", step_text[step],
                    t->address, n == 0 ? "timed out" : strerror(t->code));
}

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
        return host_error(diag, "epoll");
    return ULV_OK;
}

static ulv_status
process_vcpu_init(void *vcpu, void *machine, uint32_t idx, ulv_gpa entry,
                  ulv_gpa stack, uint64_t argument, struct ulv_diag *diag)
{
    struct vcpu *v = vcpu;
    const uint64_t start[3] = { entry.value, stack.value, argument };
    int table_fd = memfd_create("ulv-table", MFD_CLOEXEC);
    struct table *t = MAP_FAILED;
    ulv_status status;

    (void)idx;
    v->machine = machine;
    v->made = true;
    v->pidfd = v->epoll_fd = v->kick_fd = -1;
    if (table_fd >= 0 && ftruncate(table_fd, TABLE_BYTES) == 0)
        t = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                 table_fd, 0);
    if (t == MAP_FAILED) {
        status = host_error(diag, "start table");
        close_fd(&table_fd);
        return status;
    }
    fill_table(v->machine, t, start);
    status = launch(v, table_fd, diag);
    if (status == ULV_OK)
        status = await_ready(v, t, diag);
    (void)munmap(t, TABLE_BYTES);
    close_fd(&table_fd);
    if (status != ULV_OK)
        return status;
    close_regions(v->machine);
    close_fd(&v->machine->pages_fd);
    v->answered = true; /* the first run lets it in */
    return watch_both(v, diag);
}

static void
process_vcpu_fini(void *vcpu)
{
    struct vcpu *v = vcpu;
    siginfo_t info;

    if (!v->made)
        return;
    v->made = false;
    if (v->pidfd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, v->pidfd, SIGKILL, NULL, 0);
        while (waitid(P_PIDFD, (id_t)v->pidfd, &info, WEXITED) != 0 &&
               errno == EINTR)
            continue;
    }
    close_fd(&v->epoll_fd);
    close_fd(&v->kick_fd);
    close_fd(&v->pidfd);
}

/* ---- run ----------------------------------------------------------------- */

/* The guest can write the page at any time: each word is read once. */
static void
copy_page(const struct call_page *from, struct call_page *to)
{
    const uint64_t *shared = (const void *)from;
    uint64_t words[sizeof(*to) / 8];

    for (size_t i = 0; i < ULV_COUNT_OF(words); i++)
        words[i] = __atomic_load_n(&shared[i], __ATOMIC_RELAXED);
    memcpy(to, words, sizeof(words));
}

static void
take_fault(const struct machine *m, const struct call_page *page,
           struct ulv_exit_fault *fault)
{
    fault->error_code = page->error_code;
    fault->address = page->address;
    memcpy(&fault->registers, page->registers, sizeof(page->registers));
    ulv_regions_take_instruction(&m->regions, fault);
    if (page->signal == SIGSYS) { /* no exception: a call of the kernel */
        fault->kind = ULV_FAULT_INSTRUCTION;
        fault->vector = SIGSYS;
        fault->address = fault->registers.rip;
        return;
    }
    fault->vector = page->trap;
    ulv_fault_classify(fault);
}

static void
take_exit(struct vcpu *v, struct ulv_exit *out)
{
    struct call_page page;

    copy_page(v->machine->page, &page);
    if (page.kind != CALL_KIND_FAULT) {
        out->reason = ULV_EXIT_CALL;
        out->u.call.number = page.number;
        memcpy(out->u.call.argument, page.argument, sizeof(page.argument));
        return;
    }
    v->ended = true;
    out->reason = ULV_EXIT_FAULT;
    take_fault(v->machine, &page, &out->u.fault);
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
        take_exit(v, out);
    } else if ((fds[2].revents & POLLIN) != 0) {
        v->ended = true;
        out->reason = ULV_EXIT_ENDED;
        out->u.fault.kind = ULV_FAULT_KILLED;
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

static ulv_handle
process_vcpu_event(void *vcpu)
{
    return ((struct vcpu *)vcpu)->epoll_fd;
}

const struct ulv_backend_ops ulv_backend_process = {
    .size = sizeof(struct ulv_backend_ops),
    .name = "process",
    .machine_bytes = sizeof(struct machine),
    .vcpu_bytes = sizeof(struct vcpu),
    .probe = process_probe,
    .machine_init = process_machine_init,
    .machine_fini = process_machine_fini,
    .map = process_map,
    .unmap = process_unmap,
    .vcpu_init = process_vcpu_init,
    .vcpu_fini = process_vcpu_fini,
    .vcpu_run = process_vcpu_run,
    .vcpu_answer = process_vcpu_answer,
    .vcpu_kick = process_vcpu_kick,
    .vcpu_event = process_vcpu_event,
};
