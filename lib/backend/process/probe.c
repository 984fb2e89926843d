/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the kernel allows this process for the containment of its guests. */
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/process/process_priv.h"
#include "base/base.h"

#define LANDLOCK_CREATE_RULESET 444 /* newer than some headers */

static ulv_status
lacks(struct ulv_diag *diag, const char *what)
{
    int code = errno;

    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, (uint64_t)code, 0,
                    "the kernel has no %s: %s", what, strerror(code));
}

#define NAMESPACES                                                             \
    (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS | \
     CLONE_NEWCGROUP)

/*
 * A process that does with unshare what the launcher does, and ends with 0 if
 * it may. It shares our memory and our stack while we wait for its end, so it
 * touches neither.
 */
static pid_t
try_to_leave(void)
{
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    long pid;

    __asm__ volatile("syscall\n"
                     "    test %%rax, %%rax\n"
                     "    jnz 2f\n"
                     "    mov %[unshare], %%eax\n"
                     "    mov %[all], %%edi\n"
                     "    syscall\n"
                     "    test %%rax, %%rax\n"
                     "    jz 1f\n"
                     "    mov %[unshare], %%eax\n"
                     "    mov %[all_and_user], %%edi\n"
                     "    syscall\n"
                     "1:  mov %%eax, %%edi\n"
                     "    mov %[exit], %%eax\n"
                     "    syscall\n"
                     "    ud2\n"
                     "2:\n"
                     : "=a"(pid)
                     : "a"((long)SYS_clone),
                       "D"((long)(CLONE_VM | CLONE_VFORK)), "S"(0L), "d"(0L),
                       "r"(r10), "r"(r8),
                       [unshare] "i"(SYS_unshare), [all] "i"(NAMESPACES),
                       [all_and_user] "i"(NAMESPACES | CLONE_NEWUSER),
                       [exit] "i"(SYS_exit)
                     : "rcx", "r11", "memory");
    return (pid_t)pid;
}

/* Only to try it tells. What tries ends without a signal to us: nothing of it
 * stays. */
static bool
has_namespaces(void)
{
    int saved = errno, ended = 1;
    sigset_t all, before;
    pid_t pid;

    /* a handler of the program must not run there */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = try_to_leave();
    if (pid > 0) {
        while (waitpid(pid, &ended, __WALL) < 0 && errno == EINTR)
            continue;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid > 0 && ended == 0;
}

static const char *
containment(void)
{
    bool files = syscall(LANDLOCK_CREATE_RULESET, NULL, 0, 1) >= 1;

    if (has_namespaces())
        return files ? "seccomp, namespaces, Landlock" : "seccomp, namespaces";
    return files ? "seccomp+Landlock, no namespaces"
                 : "seccomp only: no namespaces";
}

ulv_status
ulv_process_probe(const struct ulv_host *host,
                  struct ulv_backend_caps *ret_caps, struct ulv_diag *diag)
{
    int fd;

    (void)host;
    memset(ret_caps, 0, sizeof(*ret_caps));
    ret_caps->size = sizeof(*ret_caps);
    ret_caps->vcpus_max = 1;
    ret_caps->guest_address_max = ULV_PROCESS_ADDRESS_MAX;
    ret_caps->regions_max = REGIONS_MAX;
    ret_caps->debug = ULV_DEBUG_CAN_READ | ULV_DEBUG_CAN_SET |
                      ULV_DEBUG_CAN_BREAK | ULV_DEBUG_CAN_STEP |
                      ULV_DEBUG_FROM_START;
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
    ulv_string_copy(ret_caps->version, sizeof(ret_caps->version),
                    containment());
    return ULV_OK;
}
