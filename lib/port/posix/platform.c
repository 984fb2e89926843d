/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/posix/platform.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "port/posix/link.h"
#include "port/posix/spawn.h"

#ifndef ULV_ROLE_PATH
#define ULV_ROLE_PATH "ultravisor-role"
#endif

static ulv_status
platform_start(void *self, const char *program, const char *name,
               struct ulv_link **ret_link, ulv_handle *ret_process,
               int64_t *ret_number, struct ulv_diag *diag)
{
    const struct ulv_host *host = ulv_posix_host();
    const char *path = program != NULL ? program : ULV_ROLE_PATH;
    const char *arguments[] = { path, name, NULL };
    struct ulv_posix_process process;
    ulv_handle far;
    ulv_status status = ulv_posix_link_create(host, ret_link, &far);

    (void)self;
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "%s: no link: %s", name,
                        ulv_status_text(status));
    status = ulv_posix_process_start(path, arguments, far, &process, diag);
    host->handle_close(host->self, far);
    if (status != ULV_OK) {
        (*ret_link)->ops->close(*ret_link);
        return status;
    }
    *ret_process = process.handle;
    *ret_number = process.pid;
    return ULV_OK;
}

static void
platform_kill(void *self, ulv_handle process)
{
    (void)self;
    (void)syscall(SYS_pidfd_send_signal, ulv_posix_descriptor(process),
                  SIGKILL, NULL, 0);
}

static ulv_status
platform_reap(void *self, ulv_handle process, struct ulv_process_end *ret)
{
    siginfo_t info = { 0 };

    (void)self;
    if (waitid(P_PIDFD, (id_t)ulv_posix_descriptor(process), &info,
               WEXITED | WNOHANG) != 0) {
        if (errno == EINTR)
            return ULV_E_AGAIN;
        /* Somebody else reaped it: it has ended all the same. */
        ret->signalled = 0;
        ret->code = 0;
        return ULV_OK;
    }
    if (info.si_pid == 0)
        return ULV_E_AGAIN;
    if (info.si_code == CLD_EXITED)
        ret->signalled = ULV_PROCESS_EXITED;
    else
        ret->signalled = info.si_status == SIGSYS ? ULV_PROCESS_FORBIDDEN
                                                  : ULV_PROCESS_SIGNALLED;
    ret->code = (uint32_t)info.si_status;
    return ULV_OK;
}

const struct ulv_platform ulv_posix_platform = {
    .size = sizeof(struct ulv_platform),
    .process_start = platform_start,
    .process_kill = platform_kill,
    .process_reap = platform_reap,
};
