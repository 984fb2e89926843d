/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The role program, with two additions that are made before main(): on signal
 * FIRST + n it does the n-th thing of the list below, which a role may not do;
 * and if its file's name says so, it meets a kernel without a layer.
 *
 *     role_variant --acts    prints the list, but what nobody can do on this
 *                            machine
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST (SIGRTMIN + 6) /* the kvm backend has the one before */
#define X32   0x40000000

/* Exit codes of a role that is still there. */
#define SURVIVED 77
#define REFUSED  78 /* with EACCES */

static void
act_nothing(void)
{
}

static void
act_open(void)
{
    struct open_how how = { .flags = O_RDONLY };

    if (syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof(how)) < 0 &&
        errno == EACCES)
        _exit(REFUSED);
}

static void
act_socket(void)
{
    (void)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
}

static void
act_execve(void)
{
    char *const none[] = { NULL };

    (void)syscall(SYS_execve, "/bin/true", none, none);
}

static void
act_execveat(void)
{
    char *const none[] = { NULL };

    (void)syscall(SYS_execveat, -1, "/bin/true", none, none, 0);
}

static void
act_fork(void)
{
    if (syscall(SYS_fork) == 0)
        _exit(0);
}

static void
act_clone(void)
{
    (void)syscall(SYS_clone, SIGCHLD | 0x4000 /* VFORK */, 0, 0, 0, 0);
}

static void
act_ptrace(void)
{
    (void)syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
}

static void
act_kill(void)
{
    (void)syscall(SYS_kill, getppid(), 0);
}

static void
act_signal_other(void)
{
    (void)syscall(SYS_tgkill, 1, 1, 0);
}

static void
act_code(void)
{
    (void)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

#ifndef ULV_SANITIZED
static void
act_protection(void)
{
    (void)syscall(SYS_mprotect, NULL, 4096, PROT_READ | PROT_EXEC);
}
#endif

static void
act_terminal(void)
{
    (void)syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

static void
act_machine(void)
{
    (void)syscall(SYS_ioctl, -1, KVM_CREATE_VM, 0);
}

static void
act_memory(void)
{
    (void)syscall(SYS_memfd_create, "", 0);
}

static void
act_dup(void)
{
    (void)syscall(SYS_dup2, 0, 1);
}

static void
act_control(void)
{
    (void)syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void
act_ring(void)
{
    (void)syscall(SYS_io_uring_setup, 1, NULL);
}

static void
act_send(void)
{
    (void)syscall(SYS_sendmsg, 0, NULL, 0);
}

static void
act_setuid(void)
{
    (void)syscall(SYS_setuid, 0);
}

static void
act_namespace(void)
{
    (void)syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */);
}

static void
act_32_bit(void)
{
    long result = 20; /* getpid */

    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
}

static void
act_x32(void)
{
    (void)syscall(SYS_getpid | X32);
}

static const struct {
    const char *name;
    void (*act)(void);
} acts[] = {
    { "nothing", act_nothing }, /* to see that only the others kill */
    { "open", act_open },
    { "socket", act_socket },
    { "execve", act_execve },
    { "execveat", act_execveat },
    { "fork", act_fork },
    { "clone", act_clone },
    { "ptrace", act_ptrace },
    { "kill", act_kill },
    { "signal_other", act_signal_other },
    { "code", act_code },
#ifndef ULV_SANITIZED
    { "protection", act_protection },
#endif
    { "terminal", act_terminal },
    { "machine", act_machine },
    { "memory", act_memory },
    { "dup", act_dup },
    { "control", act_control },
    { "ring", act_ring },
    { "send", act_send },
    { "setuid", act_setuid },
    { "namespace", act_namespace },
    { "32_bit", act_32_bit },
    { "x32", act_x32 },
};

#define ACTS ((int)(sizeof(acts) / sizeof(acts[0])))

static void
on_signal(int number)
{
    acts[number - FIRST].act();
    _exit(SURVIVED);
}

/* Whether it can be done here by whom no sandbox keeps from it. */
static bool
is_possible(void (*act)(void))
{
    pid_t child;
    int status = 0;

    if (act != act_32_bit)
        return true;
    child = fork();
    if (child == 0) {
        act();
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* From here on a system call fails with an errno value. */
static void
take_away(uint32_t call, uint32_t code)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { 4, filter };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        abort();
}

__attribute__((constructor)) static void
add(int count, char **arguments)
{
    struct sigaction action;

    if (count > 1 && strcmp(arguments[1], "--acts") == 0) {
        for (int i = 0; i < ACTS; i++) {
            if (is_possible(acts[i].act))
                (void)printf("%d %s\n", FIRST + i, acts[i].name);
        }
        exit(0);
    }
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    for (int i = 0; i < ACTS; i++)
        (void)sigaction(FIRST + i, &action, NULL);
    if (count > 0 && strstr(arguments[0], "without-landlock") != NULL)
        take_away(SYS_landlock_create_ruleset, ENOSYS);
    if (count > 0 && strstr(arguments[0], "without-seccomp") != NULL)
        take_away(SYS_seccomp, ENOSYS);
}
