/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The program of a role that has a process of its own: takes up its link, is
 * told what it is, steps until the keeper is gone.
 */
#include "base/base.h"
#include "port/posix/sandbox.h"
#include "port/posix/spawn.h"
#include "system/role_monitor.h"

static ulv_status
work(const struct ulv_host *host, ulv_handle waits, struct role **role)
{
    for (;;) {
        struct role_need need = { false, ULV_FOREVER };
        ulv_status status = ulv_role_step(role, &need);

        if (status != ULV_OK)
            return status;
        if (need.again)
            continue;
        if ((*role)->post.waiting_count != 0)
            need.deadline =
                ULV_MIN(need.deadline, host->now(host->self) + 1000000);
        status = host->wait(host->self, waits, need.deadline);
        if (status != ULV_OK && status != ULV_E_TIMEOUT)
            return status;
    }
}

/* What a log line says of the sandbox, with the name of whom it holds. */
static void
say(void *self, const char *text)
{
    struct role *role = self;
    char line[192];
    struct ulv_text out;

    ulv_text_init(&out, line, sizeof(line));
    ulv_text_format(&out, "%s: %s", role->name, text);
    ulv_role_tell(role, ULV_EVENT_LOG, role->partition, 0, line);
}

static ulv_status
confine(struct role *role, const char *backend)
{
    return ulv_sandbox_enter(ulv_sandbox_of(role->kind, backend), say, role);
}

static void
say_nothing(void *self, const char *text)
{
    (void)self;
    (void)text;
}

/* What the kernel lacks was said when the process was confined. */
static ulv_status
confine_thread(const struct role *role, const char *backend)
{
    return ulv_sandbox_enter(ulv_sandbox_of(role->kind, backend), say_nothing,
                             NULL);
}

int
main(void)
{
    const struct ulv_host *host = ulv_posix_host();
    struct ulv_link *link;
    struct role *role = NULL;
    ulv_handle waits = ULV_NO_HANDLE;
    ulv_status status = ulv_posix_role_begin(host, &link);

    if (status == ULV_OK)
        status = host->wait_create(host->self, &waits);
    if (status == ULV_OK)
        status = ulv_role_create(host, waits, link, &role);
    if (status == ULV_OK) {
        role->confine = confine;
        role->confine_thread = confine_thread;
        role->hear_state = ulv_role_state_hear;
        role->debug = &ulv_role_debug;
        status = work(host, waits, &role);
    }
    ulv_role_destroy(role);
    if (waits != ULV_NO_HANDLE)
        host->handle_close(host->self, waits);
    return status == ULV_E_PEER_GONE ? 0 : -status;
}
