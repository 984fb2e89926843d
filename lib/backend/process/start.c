/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* From a machine with its memory to a process that waits to be let in. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/process/process_priv.h"
#include "base/base.h"

#define READY_MS 20000 /* until the launcher must be ready */

/* Whether a guest may have another user than we: it must remain ours to end. */
static bool
may_kill_anybody(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3,
                                               0 };
    struct __user_cap_data_struct data[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective & (UINT32_C(1) << CAP_KILL)) != 0;
}

static void
fill_table(const struct machine *m, struct table *t, const uint64_t start[3])
{
    t->gate = m->cfg.gate;
    t->entry = start[0];
    t->stack = start[1];
    t->argument = start[2];
    t->other_user = may_kill_anybody();
    t->debug = m->cfg.debug;
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
#define FIXED      6
#define PLACES_MAX (FIXED + REGIONS_MAX)

static int
copy_descriptors(const struct machine *m, const int fixed[FIXED],
                 int copies[PLACES_MAX])
{
    const int above = FD_TABLE + FIXED + (int)m->regions.count;

    for (uint32_t i = 0; i < FIXED + m->regions.count; i++) {
        int fd = i < FIXED ? fixed[i]
                       : m->backing[m->regions.region[i - FIXED].slot].fd;

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
    const char *path = ulv_process_launcher(&m->cfg);
    char name[] = "ulv-guest";
    char *arguments[] = { name, NULL }, *environment[] = { NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int before, error = posix_spawn_file_actions_init(&actions);

    if (error != 0)
        return error;
    error = place_descriptors(copies, &actions);
    if (error == 0)
        error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        /* Ours is not the guest's: it can map page 0 for good, and make all
         * memory executable. The thread's own, and inherited. */
        before = personality(0);
        (void)sigemptyset(&none);
        (void)sigfillset(&all);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setsigdefault(&attributes, &all);
        (void)posix_spawnattr_setflags(
            &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        error = posix_spawn(ret, path, &actions, &attributes, arguments,
                            environment);
        if (before > 0)
            (void)personality((unsigned long)before);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* The process of that number, if it is a child of ours that was not waited
 * for: no other one can be killed by mistake. */
static int
open_child(pid_t pid)
{
    siginfo_t info;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd >= 0 && waitid(P_PIDFD, (id_t)fd, &info,
                          WEXITED | WNOHANG | WNOWAIT) != 0) {
        ulv_process_close(&fd);
        errno = ECHILD;
    }
    return fd;
}

static ulv_status
launch(struct vcpu *v, int table_fd, struct ulv_diag *diag)
{
    struct machine *m = v->machine;
    int parent = (int)syscall(SYS_pidfd_open, getpid(), 0);
    /* one that is not debugged closes whatever lies at FD_DEBUG */
    const int fixed[FIXED] = { table_fd,
                               m->call_fd,
                               m->answer_fd,
                               m->cfg.debug != 0 ? m->debug_fd : m->pages_fd,
                               m->pages_fd,
                               parent };
    int copies[PLACES_MAX];
    int error = parent < 0 ? errno : 0;
    pid_t pid = 0;

    for (uint32_t i = 0; i < PLACES_MAX; i++)
        copies[i] = -1;
    if (error == 0)
        error = copy_descriptors(m, fixed, copies);
    if (error == 0)
        error = spawn(m, copies, &pid);
    for (uint32_t i = 0; i < PLACES_MAX; i++)
        ulv_process_close(&copies[i]);
    ulv_process_close(&parent);
    if (error == 0) {
        v->pidfd = open_child(pid);
        v->pid = pid;
        if (v->pidfd >= 0)
            return ULV_OK;
        error = errno;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    errno = error;
    return ulv_process_error(diag, ulv_process_launcher(&m->cfg));
}

/* The launcher may have made another process that goes on as the guest. */
static ulv_status
follow(struct vcpu *v, const struct table *t, struct ulv_diag *diag)
{
    if (t->guest == 0)
        return ULV_OK;
    ulv_process_end(v);
    v->pidfd = open_child(t->guest);
    v->pid = t->guest;
    return v->pidfd >= 0 ? ULV_OK : ulv_process_error(diag, "guest's process");
}

static const char *const step_text[] = {
    [STEP_START] = "to start",
    [STEP_SPACE] = "to empty its address space",
    [STEP_PROCESS] = "to make a process",
    [STEP_MAP] = "to map memory",
    [STEP_PAGES] = "to map the gate",
    [STEP_PARENT] = "to find its parent",
    [STEP_CLOSE] = "to close descriptors",
    [STEP_LIMITS] = "to give up rights",
    [STEP_SIGNALS] = "to catch faults",
    [STEP_SECCOMP] = "to filter calls",
};

static ulv_status
failed(const struct vcpu *v, const struct table *t, bool late,
       struct ulv_diag *diag)
{
    siginfo_t info;
    const char *why = "timed out";

    memset(&info, 0, sizeof(info));
    if (!late && waitid(P_PIDFD, (id_t)v->pidfd, &info,
                        WEXITED | WNOHANG | WNOWAIT) == 0)
        why = info.si_code == CLD_EXITED ? strerror(info.si_status)
                                         : strsignal(info.si_status);
    return ulv_fail(diag, ULV_E_HOST, v->machine->cfg.partition, t->address,
                    (uint64_t)info.si_status,
                    "the guest's process failed %s at %x: %s",
                    step_text[ULV_MIN(t->step, (uint32_t)STEP_COUNT - 1)],
                    t->address, why);
}

/* After it nothing changes the table. */
static void
stop(const struct vcpu *v)
{
    siginfo_t info;

    ulv_process_kill(v);
    while (waitid(P_PIDFD, (id_t)v->pidfd, &info, WEXITED | WNOWAIT) != 0 &&
           errno == EINTR)
        continue;
}

/* Until the guest's process says that it is ready, or ends, or neither. */
static ulv_status
await_ready(struct vcpu *v, const struct table *t, struct ulv_diag *diag)
{
    struct pollfd fds[2] = { { .fd = v->machine->call_fd, .events = POLLIN },
                             { .fd = v->pidfd, .events = POLLIN } };
    bool followed = false;
    ulv_status status;
    uint64_t one;
    int n;

    for (;;) {
        n = poll(fds, 2, READY_MS);
        if (n < 0 && errno == EINTR)
            continue;
        if (!followed && (n <= 0 || t->guest != 0)) {
            if (n <= 0)
                stop(v);
            followed = t->guest != 0;
            status = follow(v, t, diag);
            if (status != ULV_OK)
                return status;
            fds[1].fd = v->pidfd;
            if (n > 0 && (fds[0].revents & POLLIN) == 0)
                continue;
        }
        if (n > 0 && (fds[0].revents & POLLIN) != 0 &&
            read(v->machine->call_fd, &one, sizeof(one)) == sizeof(one))
            return ULV_OK;
        return failed(v, t, n <= 0, diag);
    }
}

ulv_status
ulv_process_start(struct vcpu *v, const uint64_t start[3],
                  struct ulv_diag *diag)
{
    int table_fd = memfd_create("ulv-table", MFD_CLOEXEC);
    struct table *t = MAP_FAILED;
    ulv_status status;

    if (table_fd >= 0 && ftruncate(table_fd, TABLE_BYTES) == 0)
        t = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                 table_fd, 0);
    if (t == MAP_FAILED) {
        status = ulv_process_error(diag, "start table");
        ulv_process_close(&table_fd);
        return status;
    }
    fill_table(v->machine, t, start);
    status = launch(v, table_fd, diag);
    if (status == ULV_OK)
        status = await_ready(v, t, diag);
    (void)munmap(t, TABLE_BYTES);
    ulv_process_close(&table_fd);
    return status;
}

void
ulv_process_kill(const struct vcpu *v)
{
    if (v->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, v->pidfd, SIGKILL, NULL, 0);
}

void
ulv_process_end(struct vcpu *v)
{
    siginfo_t info;

    if (v->pidfd < 0)
        return;
    ulv_process_kill(v);
    while (waitid(P_PIDFD, (id_t)v->pidfd, &info, WEXITED) != 0 &&
           errno == EINTR)
        continue;
    ulv_process_close(&v->pidfd);
}
