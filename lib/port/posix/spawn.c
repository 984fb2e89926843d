/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Source: posix_spawn(3), pidfd_open(2), waitid(2), prctl(2)
 */
#include "port/posix/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/posix/link.h"

#define VARIABLE_BYTES 4096
#define VARIABLES_MAX  8

/* Passed on if set: where the library lies, and what sanitizers read. */
static const char *const variable_names[] = {
    "LD_LIBRARY_PATH", "ASAN_OPTIONS",  "LSAN_OPTIONS",
    "TSAN_OPTIONS",    "UBSAN_OPTIONS",
};

struct environment {
    char *variables[VARIABLES_MAX];
    char text[VARIABLES_MAX][VARIABLE_BYTES];
};

static void
fill_environment(struct environment *e)
{
    size_t count = 0;

    for (size_t i = 0; i < ULV_COUNT_OF(variable_names); i++) {
        const char *value = getenv(variable_names[i]);
        struct ulv_text text;

        if (value == NULL ||
            ulv_string_length(value, VARIABLE_BYTES) > VARIABLE_BYTES - 32)
            continue;
        ulv_text_init(&text, e->text[count], VARIABLE_BYTES);
        ulv_text_bytes(&text, variable_names[i],
                       ulv_string_length(variable_names[i], 32));
        ulv_text_bytes(&text, "=", 1);
        ulv_text_bytes(&text, value, ulv_string_length(value, VARIABLE_BYTES));
        e->variables[count] = e->text[count];
        count++;
    }
    e->variables[count] = NULL;
}

/* Signals as a fresh program expects them, whatever the caller blocks. */
static int
set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int code;

    sigemptyset(&none);
    sigfillset(&all);
    code = posix_spawnattr_setsigmask(attributes, &none);
    if (code == 0)
        code = posix_spawnattr_setsigdefault(attributes, &all);
    if (code == 0)
        code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK |
                                                        POSIX_SPAWN_SETSIGDEF);
    return code;
}

static int
set_actions(posix_spawn_file_actions_t *actions, int link)
{
    int code = posix_spawn_file_actions_adddup2(actions, link,
                                                ULV_POSIX_LINK_DESCRIPTOR);

    if (code == 0)
        code = posix_spawn_file_actions_addclosefrom_np(
            actions, ULV_POSIX_LINK_DESCRIPTOR + 1);
    return code;
}

static int
spawn(const char *program, const char *const *arguments, int link, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    struct environment *environment;
    int code;

    environment = calloc(1, sizeof(*environment));
    if (environment == NULL)
        return ENOMEM;
    fill_environment(environment);
    code = posix_spawnattr_init(&attributes);
    if (code != 0)
        goto free_environment;
    code = posix_spawn_file_actions_init(&actions);
    if (code != 0)
        goto destroy_attributes;
    code = set_attributes(&attributes);
    if (code == 0)
        code = set_actions(&actions, link);
    /* posix_spawn() does not write to the arguments, whatever its type says. */
    if (code == 0)
        code = posix_spawn(ret, program, &actions, &attributes,
                           (char *const *)(uintptr_t)arguments,
                           environment->variables);
    posix_spawn_file_actions_destroy(&actions);
destroy_attributes:
    posix_spawnattr_destroy(&attributes);
free_environment:
    free(environment);
    return code;
}

/* The end of a path, as much as a diagnostic has room for. */
static const char *
short_name(const char *path)
{
    size_t len = ulv_string_length(path, 4096);

    return len <= 100 ? path : path + len - 100;
}

ulv_status
ulv_posix_process_start(const char *program, const char *const *arguments,
                        ulv_handle link, struct ulv_posix_process *ret,
                        struct ulv_diag *diag)
{
    const char *name = short_name(program);
    pid_t pid = 0;
    int code, fd;

    if (ulv_posix_descriptor(link) < 0)
        return ulv_posix_fail(diag, EBADF, name, 0, 0);
    code = spawn(program, arguments, ulv_posix_descriptor(link), &pid);
    if (code != 0)
        return ulv_posix_fail(diag, code, name, 0, 0);
    /* The pid is ours until we reap it, so this is the right process. */
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        code = errno;
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return ulv_posix_fail(diag, code, name, 0, 0);
    }
    *ret = (struct ulv_posix_process){.pid = pid, .handle = fd};
    return ULV_OK;
}

void
ulv_posix_process_kill(const struct ulv_posix_process *process)
{
    if (ulv_posix_descriptor(process->handle) >= 0)
        syscall(SYS_pidfd_send_signal, (int)process->handle, SIGKILL, NULL, 0);
}

ulv_status
ulv_posix_process_reap(struct ulv_posix_process *process,
                       struct ulv_posix_end *ret)
{
    siginfo_t info;
    int result;

    memset(&info, 0, sizeof(info));
    do {
        result =
            waitid(P_PIDFD, (id_t)process->handle, &info, WEXITED | WNOHANG);
    } while (result != 0 && errno == EINTR);
    if (result == 0 && info.si_pid == 0)
        return ULV_E_AGAIN;
    ulv_posix_handle_close(NULL, process->handle);
    *process = (struct ulv_posix_process){.handle = ULV_NO_HANDLE};
    if (result != 0)
        return ULV_E_HOST;
    ret->exit_code = info.si_code == CLD_EXITED ? info.si_status : -1;
    ret->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    return ULV_OK;
}

ulv_status
ulv_posix_role_begin(const struct ulv_host *host, struct ulv_link **ret)
{
    struct pollfd end = {.fd = ULV_POSIX_LINK_DESCRIPTOR, .events = POLLIN};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        fcntl(ULV_POSIX_LINK_DESCRIPTOR, F_SETFD, FD_CLOEXEC) != 0)
        return ulv_posix_status(errno);
    /* It may have died before we asked; then nobody holds the other end. */
    if (poll(&end, 1, 0) > 0 && (end.revents & POLLHUP) != 0)
        return ULV_E_ENDED;
    return ulv_posix_link_open(host, ULV_POSIX_LINK_DESCRIPTOR, ret);
}
