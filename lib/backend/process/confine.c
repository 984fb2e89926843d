/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/process/confine.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "backend/process/kernel.h"
#include "backend/process/table.h"

/* ---- namespaces ---------------------------------------------------------- */

#define NAMESPACES                                                             \
    (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS | \
     CLONE_NEWCGROUP)

#define MS_RDONLY_NOSUID_NODEV_NOEXEC UINT64_C(15)
#define MS_REC_PRIVATE                UINT64_C(0x44000)
#define MNT_DETACH                    UINT64_C(2)

/* A user and a group that own nothing. */
#define NOBODY UINT64_C(65534)

/*
 * The root folder becomes an empty one, and every mount of the host is let go:
 * a guest must not keep a medium busy. Our own mounts must not reach the host,
 * so nothing is mounted before they are private.
 * Source: pivot_root(2), "pivot_root(".", ".")"
 */
static void
empty_root(void)
{
    static const char root[] = "/", here[] = ".", above[] = "/..";
    static const char kind[] = "tmpfs", options[] = "size=4k,mode=555";
    const uint64_t private[6] = { 0, address_of(root), 0, MS_REC_PRIVATE, 0,
                                  0 };
    const uint64_t empty[6] = { address_of(kind), address_of(root),
                                address_of(kind),
                                MS_RDONLY_NOSUID_NODEV_NOEXEC,
                                address_of(options), 0 };

    if (call6(SYS_MOUNT, private) != 0 || call6(SYS_MOUNT, empty) != 0 ||
        call3(SYS_CHDIR, address_of(above), 0, 0) != 0 ||
        call3(SYS_PIVOT_ROOT, address_of(here), address_of(here), 0) != 0)
        return;
    (void)call3(SYS_UMOUNT2, address_of(here), MNT_DETACH, 0);
    (void)call3(SYS_CHDIR, address_of(root), 0, 0);
}

static void
become_nobody(void)
{
    static const uint64_t unlimited[2] = { UINT64_MAX, UINT64_MAX };

    /* RLIMIT_NPROC: of all guests together, now of one user */
    (void)call3(SYS_SETRLIMIT, 6, address_of(unlimited), 0);
    (void)call3(SYS_SETGROUPS, 0, 0, 0);
    (void)call3(SYS_SETRESGID, NOBODY, NOBODY, NOBODY);
    (void)call3(SYS_SETRESUID, NOBODY, NOBODY, NOBODY);
}

/* A privileged user makes the namespaces as such, an ordinary one inside a
 * user namespace of its own. */
bool
launcher_leave(bool other_user)
{
    bool privileged = call3(SYS_UNSHARE, NAMESPACES, 0, 0) == 0;
    long result;

    if (privileged)
        empty_root();
    if (other_user)
        become_nobody();
    result = call3(SYS_UNSHARE,
                   CLONE_NEWUSER | (privileged ? 0U : (uint64_t)NAMESPACES), 0,
                   0);
    if (!privileged && result == 0)
        empty_root();
    return privileged || result == 0;
}

/* ---- rights -------------------------------------------------------------- */

static long
control(uint64_t option, uint64_t a, uint64_t b)
{
    const uint64_t arguments[6] = { option, a, b, 0, 0, 0 };

    return call6(SYS_PRCTL, arguments);
}

/*
 * Landlock with no rule: no file, no port, no signal to anybody outside. Each
 * version of the kernel is asked for what it knows.
 * Source: landlock_create_ruleset(2), Documentation/userspace-api/landlock.rst
 */
static void
lock_files(void)
{
    struct {
        uint64_t files, ports, scopes;
    } handled = { 0x1fff, 0, 0 };
    long version = call3(SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1);
    long fd;

    if (version < 1)
        return;
    if (version >= 2)
        handled.files = 0x3fff; /* moving between folders */
    if (version >= 3)
        handled.files = 0x7fff; /* truncating */
    if (version >= 5)
        handled.files = 0xffff; /* ioctl on devices */
    handled.ports = version >= 4 ? 3 : 0;
    handled.scopes = version >= 6 ? 3 : 0;
    fd = call3(SYS_LANDLOCK_CREATE_RULESET, address_of(&handled),
               sizeof(handled), 0);
    if (fd < 0)
        return;
    (void)call3(SYS_LANDLOCK_RESTRICT_SELF, (uint64_t)fd, 0, 0);
    (void)call3(SYS_CLOSE, (uint64_t)fd, 0, 0);
}

long
launcher_give_up_rights(void)
{
    static const struct __user_cap_header_struct header = {
        _LINUX_CAPABILITY_VERSION_3, 0
    };
    static const struct __user_cap_data_struct nothing[2];
    long result = control(PR_SET_NO_NEW_PRIVS, 1, 0);

    if (result == 0)
        result = call3(SYS_CAPSET, address_of(&header), address_of(nothing),
                       0);
    if (result != 0)
        return result;
    lock_files();
    /* What this process trains, no other one is to follow; where the
     * processor or the kernel cannot, they cannot. */
    (void)control(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH,
                  PR_SPEC_FORCE_DISABLE);
    /* Last: a change of user or of rights takes these back. */
    result = control(PR_SET_DUMPABLE, 0, 0);
    if (result == 0)
        result = control(PR_SET_PDEATHSIG, 9, 0);
    return result;
}

long
launcher_give_up_limits(void)
{
    static const uint64_t zero[2];
    long result = 0;

    /* FSIZE to RTPRIO of <asm-generic/resource.h>; not CPU, which would
     * end a guest that merely works, nor RSS, which means nothing */
    for (uint64_t limit = 1; limit <= 14 && result == 0; limit++) {
        if (limit != 5)
            result = call3(SYS_SETRLIMIT, limit, address_of(zero), 0);
    }
    return result;
}

/* ---- the filter ---------------------------------------------------------- */

#define OFFSET(field) ((uint32_t)offsetof(struct seccomp_data, field))
#define LOAD(offset)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define END(action)   BPF_STMT(BPF_RET | BPF_K, action)
/* equal: skip the instruction that refuses */
#define MUST(offset, value)                                                    \
    LOAD(offset), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0),            \
        END(SECCOMP_RET_TRAP)
#define ARGUMENT(i, value)                                                     \
    MUST(OFFSET(args[i]), (uint32_t)((uint64_t)(value))),                      \
        MUST(OFFSET(args[i]) + 4, (uint32_t)((uint64_t)(value) >> 32))
#define CALL_LENGTH 19
#define CALL(fd, buffer)                                                       \
    ARGUMENT(0, fd), ARGUMENT(1, buffer), ARGUMENT(2, 8),                      \
        END(SECCOMP_RET_ALLOW)

/*
 * By number and by every argument; x32 numbers equal neither, system calls of
 * 32-bit code are of another architecture. Refused is SIGSYS: a fault record,
 * and no system call.
 */
static const struct sock_filter filter[] = {
    MUST(OFFSET(arch), AUDIT_ARCH_X86_64),
    LOAD(OFFSET(nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_WRITE, 0, CALL_LENGTH),
    CALL(FD_CALL, GATE_COPY + GATE_ONE),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_READ, 0, CALL_LENGTH),
    CALL(FD_ANSWER, CALL_PAGE + CALL_TAKEN),
    END(SECCOMP_RET_TRAP),
};

_Static_assert(sizeof(filter) ==
                   (3 + 1 + 2 * (1 + CALL_LENGTH) + 1) * sizeof(filter[0]),
               "the jumps skip one call");

/*
 * Of a guest that is debugged. It also waits to go on after a stop, and comes
 * back from its handler: that can set registers, a mask and a stack of signals,
 * all of them its own.
 */
static const struct sock_filter filter_debug[] = {
    MUST(OFFSET(arch), AUDIT_ARCH_X86_64),
    LOAD(OFFSET(nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_WRITE, 0, CALL_LENGTH),
    CALL(FD_CALL, GATE_COPY + GATE_ONE),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_RT_SIGRETURN, 0, 1),
    END(SECCOMP_RET_ALLOW),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_READ, 0, 2 * CALL_LENGTH + 2),
    LOAD(OFFSET(args[0])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FD_DEBUG, 0, CALL_LENGTH),
    CALL(FD_DEBUG, CALL_PAGE + CALL_TAKEN),
    CALL(FD_ANSWER, CALL_PAGE + CALL_TAKEN),
    END(SECCOMP_RET_TRAP),
};

_Static_assert(sizeof(filter_debug) ==
                   (3 + 1 + 1 + CALL_LENGTH + 2 + 3 + 2 * CALL_LENGTH + 1) *
                       sizeof(filter[0]),
               "the jumps skip one call, or two");

long
launcher_filter(bool debug)
{
    /* the kernel only reads it */
    const struct sock_fprog program = {
        (unsigned short)((debug ? sizeof(filter_debug) : sizeof(filter)) /
                         sizeof(filter[0])),
        (struct sock_filter *)(uintptr_t)(debug ? filter_debug : filter)
    };

    return call3(SYS_SECCOMP, SECCOMP_SET_MODE_FILTER, 0,
                 address_of(&program));
}
