/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/posix/platform.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
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

/* Only a set for 1024 processors: machines with more say EINVAL. */
static ulv_status
platform_bind(void *self, int64_t number, const struct ulv_processor_set *set,
              bool others, struct ulv_diag *diag)
{
    cpu_set_t own, wanted;
    uint32_t count = 0;
    int code;

    (void)self;
    if (sched_getaffinity(0, sizeof(own), &own) != 0)
        return ulv_posix_fail(diag, errno, "sched_getaffinity", 0, 0);
    CPU_ZERO(&wanted);
    for (uint32_t n = 0; n < CPU_SETSIZE; n++) {
        bool named = (set->bits[n / 64] >> n % 64 & 1) != 0;

        if (named != others && (!others || CPU_ISSET(n, &own))) {
            CPU_SET(n, &wanted);
            count++;
        }
    }
    if (count == 0)
        return ulv_fail(diag, ULV_E_LIMIT, 0, 0, 0,
                        "every processor is somebody's own: it runs on them "
                        "all the same");
    if (sched_setaffinity((pid_t)number, sizeof(wanted), &wanted) == 0)
        return ULV_OK;
    code = errno;
    return ulv_fail(diag, code == EPERM ? ULV_E_DENIED : ULV_E_HOST, 0,
                    (uint64_t)code, 0,
                    "its processors could not be set: %s",
                    code == EPERM    ? "not permitted"
                    : code == EINVAL ? "this program may not use them"
                                     : "the system refuses");
}

/* The clock of a process by its number, as clock_getcpuclockid(3) makes it; it
 * goes on to be there until the process is reaped. <linux/posix-timers.h> */
#define CLOCK_OF(pid) ((clockid_t)(~(uint32_t)(pid) << 3 | 2))

static ulv_status
platform_time(void *self, int64_t number, ulv_nsec *ret)
{
    struct timespec time;

    (void)self;
    if (clock_gettime(CLOCK_OF(number), &time) != 0)
        return ULV_E_HOST;
    *ret = (ulv_nsec)time.tv_sec * 1000000000 + (ulv_nsec)time.tv_nsec;
    return ULV_OK;
}

const struct ulv_platform ulv_posix_platform = {
    .size = sizeof(struct ulv_platform),
    .process_start = platform_start,
    .process_kill = platform_kill,
    .process_reap = platform_reap,
    .process_bind = platform_bind,
    .process_time = platform_time,
    .link_create = ulv_posix_link_create,
    .link_open = ulv_posix_link_open,
};
