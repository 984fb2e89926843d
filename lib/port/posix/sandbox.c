/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/posix/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

uint32_t
ulv_sandbox_of(uint32_t kind, const char *backend)
{
    switch (kind) {
    case ULV_PARTITION_ULTRAVISOR:
        return ULV_SANDBOX_ULTRAVISOR;
    case ULV_PARTITION_OPERATIONS:
        return ULV_SANDBOX_OPERATIONS;
    case ULV_PARTITION_COMMAND:
        return ULV_SANDBOX_COMMAND;
    case ULV_PARTITION_IO:
        return ULV_SANDBOX_IO;
    default:
        if (backend != NULL && strcmp(backend, "kvm") == 0)
            return ULV_SANDBOX_MONITOR_KVM;
        if (backend != NULL && strcmp(backend, "process") == 0)
            return ULV_SANDBOX_MONITOR_PROCESS;
        return ULV_SANDBOX_MONITOR;
    }
}

/* ---- system calls -------------------------------------------------------- */

/* 0, or an errno value, negative. */
static int
add_rule(scmp_filter_ctx filter, const struct ulv_sandbox_rule *rule)
{
    const unsigned int argument = rule->argument;
    int code;

    switch (rule->test) {
    case ULV_SANDBOX_EQUAL:
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, rule->number, 1,
                                SCMP_CMP(argument, SCMP_CMP_EQ, rule->value));
        break;
    case ULV_SANDBOX_CLEAR:
        code = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, rule->number, 1,
            SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, rule->value, 0));
        break;
    case ULV_SANDBOX_OWN_PROCESS:
        code = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, rule->number, 1,
            SCMP_CMP(argument, SCMP_CMP_EQ, (uint64_t)getpid()));
        break;
    default:
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, rule->number, 0);
    }
    return code == -EEXIST ? 0 : code; /* an alternative says it already */
}

void *
ulv_sandbox_filter(uint32_t who, int *ret_code)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    size_t count;
    const struct ulv_sandbox_rule *rule = ulv_sandbox_rules(&count);
    int code = 0;

    *ret_code = ENOSYS; /* no filters, or none that kill a process */
    if (filter == NULL)
        return NULL;
    /* Calls of 32-bit code, and errno values as the kernel gives them. */
    code = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
                            SCMP_ACT_KILL_PROCESS);
    if (code == 0)
        code = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
    for (size_t i = 0; i < count && code == 0; i++) {
        if ((rule[i].who & who) != 0)
            code = add_rule(filter, &rule[i]);
    }
    if (code == 0)
        return filter;
    seccomp_release(filter);
    *ret_code = -code;
    return NULL;
}

/* ---- files --------------------------------------------------------------- */

/* <linux/landlock.h> of version 7; older ones know less of it. */
struct landlock_rules {
    uint64_t files, ports, scopes;
};

#define LANDLOCK_VERSION 1U /* flag: tell the version */
#define FILES_1          UINT64_C(0x1fff)
#define FILES_2          UINT64_C(0x3fff) /* moving between folders */
#define FILES_3          UINT64_C(0x7fff) /* truncating */
#define FILES_5          UINT64_C(0xffff) /* requests to devices */
#define PORTS            UINT64_C(3)
#define SCOPE_SOCKETS    UINT64_C(1)
#define SCOPE_SIGNALS    UINT64_C(2)

/* No rule follows: nothing of what is handled is allowed. */
static struct landlock_rules
rules_of(long version, uint32_t who)
{
    struct landlock_rules rules = { FILES_1, 0, 0 };

    if (version >= 2)
        rules.files = FILES_2;
    if (version >= 3)
        rules.files = FILES_3;
    if (version >= 4)
        rules.ports = PORTS;
    if (version >= 5)
        rules.files = FILES_5;
    if (version >= 6)
        rules.scopes = SCOPE_SOCKETS;
    /* the guest's process is older than this, and is to be killed */
    if (version >= 6 && who != ULV_SANDBOX_MONITOR_PROCESS)
        rules.scopes |= SCOPE_SIGNALS;
    return rules;
}

static int
close_files(uint32_t who)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                           LANDLOCK_VERSION);
    struct landlock_rules rules;
    int fd, code = 0;

    if (version < 0)
        return errno;
    rules = rules_of(version, who);
    fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
    if (fd < 0)
        return errno;
    if (syscall(SYS_landlock_restrict_self, fd, 0) != 0)
        code = errno;
    (void)close(fd);
    return code;
}

/* ---- rights and limits --------------------------------------------------- */

/*
 * All capabilities. A monitor whose guest is a process keeps the right to
 * signal others, if it has it: its guest may have become another user.
 */
static int
drop_capabilities(uint32_t who)
{
    const uint32_t kept = who == ULV_SANDBOX_MONITOR_PROCESS
                              ? UINT32_C(1) << CAP_KILL
                              : 0;
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3,
                                               0 };
    struct __user_cap_data_struct data[2];

    memset(data, 0, sizeof(data));
    if (syscall(SYS_capget, &header, data) != 0)
        return errno;
    data[0].effective &= kept;
    data[0].permitted &= kept;
    data[1].effective = data[1].permitted = 0;
    data[0].inheritable = data[1].inheritable = 0;
    return syscall(SYS_capset, &header, data) != 0 ? errno : 0;
}

static int
set_limits(void)
{
    /* One byte: too little for any core file, and, other than 0, also the end
     * of one that goes to a program (fs/coredump.c). It would hold memory of
     * guests. */
    const struct rlimit core = { 1, 1 }, none = { 0, 0 };
    struct rlimit files;

    if (setrlimit(RLIMIT_CORE, &core) != 0 ||
        setrlimit(RLIMIT_NPROC, &none) != 0 ||
        getrlimit(RLIMIT_NOFILE, &files) != 0)
        return errno;
    files.rlim_max = files.rlim_cur;
    return setrlimit(RLIMIT_NOFILE, &files) != 0 ? errno : 0;
}

/* ---- all of it ----------------------------------------------------------- */

struct speaker {
    void (*say)(void *self, const char *text);
    void *self;
};

static ulv_status
failed(const struct speaker *speaker, const char *layer, int code)
{
    char line[160];
    struct ulv_text text;

    ulv_text_init(&text, line, sizeof(line));
    ulv_text_format(&text, "the sandbox could not be entered: %s: %s", layer,
                    strerror(code));
    speaker->say(speaker->self, line);
    return code == ENOMEM ? ULV_E_NO_MEMORY : ULV_E_HOST;
}

/* What a kernel without a layer says, or a container that hides it. */
static bool
is_lack(int code)
{
    return code == ENOSYS || code == EOPNOTSUPP || code == EINVAL ||
           code == EPERM;
}

static ulv_status
entered(const struct speaker *speaker, const char *layer, int code,
        const char *without)
{
    char line[160];
    struct ulv_text text;

    if (code == 0)
        return ULV_OK;
    if (!is_lack(code))
        return failed(speaker, layer, code);
    ulv_text_init(&text, line, sizeof(line));
    ulv_text_format(&text, "the kernel has no %s (%s): %s", layer,
                    strerror(code), without);
    speaker->say(speaker->self, line);
    return ULV_OK;
}

static ulv_status
filter_calls(uint32_t who, const struct speaker *speaker)
{
    static const char layer[] = "seccomp filters";
    int code;
    scmp_filter_ctx filter = ulv_sandbox_filter(who, &code);

    if (filter == NULL && code != ENOSYS)
        return failed(speaker, layer, code);
    if (filter != NULL) {
        code = -seccomp_load(filter);
        seccomp_release(filter);
    }
    return entered(speaker, layer, code, "system calls are not filtered");
}

ulv_status
ulv_sandbox_enter(uint32_t who, void (*say)(void *self, const char *text),
                  void *self)
{
    const struct speaker speaker = { say, self };
    ulv_status status;
    int code = 0;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failed(&speaker, "no new privileges", errno);
    code = drop_capabilities(who);
    if (code != 0)
        return failed(&speaker, "capabilities", code);
    code = set_limits();
    if (code != 0)
        return failed(&speaker, "limits", code);
    status = entered(&speaker, "Landlock", close_files(who),
                     "only the filter of system calls keeps files closed");
    if (status == ULV_OK)
        status = filter_calls(who, &speaker);
    return status;
}
