/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Who may make which system call once its sandbox is closed.
 * doc/threat-model.md has the same table; a test compares them.
 */
#include "port/posix/sandbox.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/posix/spawn.h"

/* Linux 5.14 */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define EVERY   ULV_SANDBOX_EVERY
#define IO      ULV_SANDBOX_IO
#define KVM     ULV_SANDBOX_MONITOR_KVM
#define PROCESS ULV_SANDBOX_MONITOR_PROCESS

#define LINK         ULV_POSIX_LINK_DESCRIPTOR
#define LOCK_AT_ONCE (LOCK_EX | LOCK_NB)

#define CALL(who, call)                                                        \
    {                                                                          \
        who, SCMP_SYS(call), ULV_SANDBOX_ANY, 0, 0, #call, ""                  \
    }
#define EQUAL(who, call, argument, value)                                      \
    {                                                                          \
        who, SCMP_SYS(call), ULV_SANDBOX_EQUAL, argument, (uint64_t)(value),   \
            #call, #value                                                      \
    }
#define CLEAR(who, call, argument, value)                                      \
    {                                                                          \
        who, SCMP_SYS(call), ULV_SANDBOX_CLEAR, argument, (uint64_t)(value),   \
            #call, #value                                                      \
    }
#define OWN(who, call, argument)                                               \
    {                                                                          \
        who, SCMP_SYS(call), ULV_SANDBOX_OWN_PROCESS, argument, 0, #call, ""   \
    }

static const struct ulv_sandbox_rule rules[] = {
    /* doorbells, and the link to the keeper */
    CALL(EVERY, read),
    CALL(EVERY, write),
    CALL(EVERY, preadv2),
    EQUAL(EVERY, recvmsg, 0, LINK),
    EQUAL(EVERY, sendmsg, 0, LINK),
    EQUAL(EVERY, fcntl, 1, F_GETFD),
    CALL(EVERY, close),
    /* waiting; epoll_wait on kernels before 5.11 */
    CALL(EVERY, epoll_ctl),
    CALL(EVERY, epoll_pwait2),
    CALL(EVERY, epoll_wait),
    CALL(EVERY, restart_syscall), /* after SIGSTOP and SIGCONT */
    CALL(EVERY, clock_gettime),   /* where the vdso cannot */
    /* memory: none that can be executed */
    CLEAR(EVERY, mmap, 2, PROT_EXEC),
    CALL(EVERY, munmap),
    CALL(EVERY, brk),
    CALL(EVERY, getrandom),
    /* the end, by return or by abort() with its word on standard error */
    CALL(EVERY, exit_group),
    EQUAL(EVERY, writev, 0, STDERR_FILENO),
    CALL(EVERY, rt_sigprocmask),
    CALL(EVERY, getpid),
    CALL(EVERY, gettid),
    OWN(EVERY, tgkill, 0),
    /* pages of views */
    EQUAL(ULV_SANDBOX_ULTRAVISOR, madvise, 2, MADV_POPULATE_WRITE),
    /* media and fences */
    CALL(IO, pread64),
    CALL(IO, pwrite64),
    CALL(IO, fdatasync),
    EQUAL(IO, fcntl, 1, F_GETFL),
    EQUAL(IO, flock, 1, LOCK_AT_ONCE),
    /* the image, memory of the machine, its processor, the end of a stay */
    CALL(KVM, pread64),
    EQUAL(KVM, ioctl, 1, KVM_RUN),
    EQUAL(KVM, ioctl, 1, KVM_SET_USER_MEMORY_REGION),
    EQUAL(KVM, ioctl, 1, KVM_CREATE_VCPU),
    EQUAL(KVM, ioctl, 1, KVM_SET_CPUID2),
    EQUAL(KVM, ioctl, 1, KVM_GET_SREGS),
    EQUAL(KVM, ioctl, 1, KVM_SET_SREGS),
    EQUAL(KVM, ioctl, 1, KVM_SET_REGS),
    EQUAL(KVM, ioctl, 1, KVM_SET_SIGNAL_MASK),
    EQUAL(KVM, ioctl, 1, KVM_IOEVENTFD),
    /* interrupts: their chip, made before the first processor, and bells */
    EQUAL(KVM, ioctl, 1, KVM_ENABLE_CAP),
    EQUAL(KVM, ioctl, 1, KVM_CREATE_IRQCHIP),
    EQUAL(KVM, ioctl, 1, KVM_GET_LAPIC),
    EQUAL(KVM, ioctl, 1, KVM_SET_LAPIC),
    EQUAL(KVM, ioctl, 1, KVM_SET_MP_STATE),
    EQUAL(KVM, ioctl, 1, KVM_SIGNAL_MSI),
    EQUAL(KVM, ioctl, 1, KVM_SET_GSI_ROUTING),
    EQUAL(KVM, ioctl, 1, KVM_IRQFD),
    /* a stock kernel's: its interrupt, and whether it sleeps for ever */
    EQUAL(KVM, ioctl, 1, KVM_IRQ_LINE),
    EQUAL(KVM, ioctl, 1, KVM_GET_MP_STATE),
    /* saving and restoring a processor */
    EQUAL(KVM, ioctl, 1, KVM_GET_VCPU_EVENTS),
    EQUAL(KVM, ioctl, 1, KVM_GET_XCRS),
    EQUAL(KVM, ioctl, 1, KVM_SET_XCRS),
    EQUAL(KVM, ioctl, 1, KVM_GET_XSAVE),
    EQUAL(KVM, ioctl, 1, KVM_SET_XSAVE),
    EQUAL(KVM, ioctl, 1, KVM_GET_MSRS),
    EQUAL(KVM, ioctl, 1, KVM_SET_MSRS),
    EQUAL(KVM, ioctl, 1, KVM_GET_TSC_KHZ),
    EQUAL(KVM, ioctl, 1, KVM_SET_TSC_KHZ),
    EQUAL(KVM, ioctl, 1, KVM_GET_DIRTY_LOG),
    EQUAL(KVM, ioctl, 1, KVM_CLEAR_DIRTY_LOG),
    EQUAL(KVM, ioctl, 1, KVM_SET_GUEST_DEBUG),
    CALL(KVM, timer_create),
    CALL(KVM, timer_settime),
    CALL(KVM, timer_delete),
    CALL(KVM, rt_sigtimedwait),
    CALL(KVM, sched_yield),
    /* a thread a processor: they and the monitor's own wait for one another */
    CALL(KVM, futex),
    CALL(KVM, exit),
    CALL(KVM, madvise),
    /* the guest's process: hear it, hold it, end it */
    CALL(PROCESS, ppoll),
    EQUAL(PROCESS, pidfd_send_signal, 1, SIGKILL),
    EQUAL(PROCESS, pidfd_send_signal, 1, SIGSTOP),
    EQUAL(PROCESS, pidfd_send_signal, 1, SIGCONT),
    EQUAL(PROCESS, pidfd_send_signal, 1, SIGTRAP), /* of one that is debugged */
    EQUAL(PROCESS, waitid, 0, P_PIDFD),
#ifdef ULV_SANITIZED
#define LIBRARY (EVERY | ULV_SANDBOX_SANITIZERS)
    CALL(LIBRARY, clock_nanosleep),
    CALL(LIBRARY, futex),
    CALL(LIBRARY, getrlimit),
    EQUAL(LIBRARY, ioctl, 1, TCGETS),
    CALL(LIBRARY, madvise),
    CALL(LIBRARY, mprotect),
    CALL(LIBRARY, mremap),
    CALL(LIBRARY, nanosleep),
    CALL(LIBRARY, newfstatat),
    CALL(LIBRARY, open), /* Landlock stands before these two */
    CALL(LIBRARY, openat),
    CALL(LIBRARY, prlimit64),
    CALL(LIBRARY, readlink),
    CALL(LIBRARY, rt_sigaction),
    CALL(LIBRARY, rt_sigreturn),
    CALL(LIBRARY, sched_getaffinity),
    CALL(LIBRARY, sched_yield),
    CALL(LIBRARY, sigaltstack),
    CALL(LIBRARY, uname),
#endif
};

const struct ulv_sandbox_rule *
ulv_sandbox_rules(size_t *ret_count)
{
    *ret_count = ULV_COUNT_OF(rules);
    return rules;
}

#ifdef ULV_SANITIZED
/*
 * What the run-time libraries of the sanitizers ask a program. Looking for
 * leaks takes a further process and ptrace(2), names of functions a further
 * program: a role has neither, its report has addresses.
 */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__ubsan_default_options(void);

const char *
__asan_default_options(void)
{
    return "detect_leaks=0:symbolize=0";
}

const char *
__tsan_default_options(void)
{
    return "symbolize=0";
}

const char *
__ubsan_default_options(void)
{
    return "symbolize=0";
}
#endif
