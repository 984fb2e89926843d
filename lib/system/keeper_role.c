/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Partitions as the keeper knows them, and the life of their roles. */
#include "base/base.h"
#include "system/keeper.h"
#include "system/link.h"

struct keeper_partition *
ulv_keeper_partition_add(struct keeper *k, ulv_id id, uint32_t kind,
                         const char *name)
{
    const struct ulv_host *host = k->host;
    struct keeper_partition *p = host->alloc(host->self, sizeof(*p), 8);
    struct keeper_partition **at = &k->partitions;

    if (p == NULL)
        return NULL;
    p->id = id;
    p->kind = kind;
    p->process = p->bell = p->trace = p->waits = ULV_NO_HANDLE;
    for (uint32_t i = 0; i < 2; i++)
        p->view[i].writable = p->view[i].segment = ULV_NO_HANDLE;
    ulv_string_copy(p->name, sizeof(p->name), name);
    if (ULV_KEEPER_INDEXES && ulv_keeper_enter_turn(k, p) != ULV_OK) {
        host->free(host->self, p, sizeof(*p));
        return NULL;
    }
    while (*at != NULL)
        at = &(*at)->next;
    *at = p;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_enter_partition(k, p);
    return p;
}

static void
close_handle(const struct ulv_host *host, ulv_handle *h)
{
    if (*h != ULV_NO_HANDLE)
        host->handle_close(host->self, *h);
    *h = ULV_NO_HANDLE;
}

static void
drop_waits(struct keeper *k, struct keeper_partition *p)
{
    const struct ulv_host *host = k->host;

    ulv_rung_remove(&k->rung, &p->ready);
    if (p->waits != k->waits && p->waits != ULV_NO_HANDLE) {
        host->unwatch(host->self, k->waits, p->waits);
        host->handle_close(host->self, p->waits);
    }
    p->waits = ULV_NO_HANDLE;
}

void
ulv_keeper_partition_remove(struct keeper *k, struct keeper_partition *p)
{
    const struct ulv_host *host = k->host;
    struct keeper_partition **at = &k->partitions;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_leave_partition(k, p);
    if (k->ultravisor == p)
        k->ultravisor = NULL;
    drop_waits(k, p);
    for (uint32_t i = 0; i < 2; i++) {
        close_handle(host, &p->view[i].writable);
        close_handle(host, &p->view[i].segment);
    }
    close_handle(host, &p->bell);
    close_handle(host, &p->trace);
    host->free(host->self, p, sizeof(*p));
}

/* Where all are looked at each time there is nothing to note. */
static void
take_turn(struct keeper_partition *p)
{
    if (!ULV_KEEPER_INDEXES)
        return;
    p->again = true;
    ulv_keeper_set_turn(p);
}

/* It is its turn. */
static void
is_ready(struct bell *bell)
{
    take_turn(ULV_CONTAINER_OF(bell, struct keeper_partition, ready));
}

/* What can wake the keeper or, in process, the role on this one's behalf: the
 * handle of the set says whose turn it is. */
static ulv_status
make_waits(struct keeper *k, struct keeper_partition *p,
           struct ulv_diag *diag)
{
    const struct ulv_host *host = k->host;
    ulv_status status = ULV_OK;

    drop_waits(k, p);
    p->waits = k->waits;
    if (!ulv_rung_can_tell(&k->rung))
        return ULV_OK;
    status = host->wait_create(host->self, &p->waits);
    if (status == ULV_OK) {
        status = host->watch(host->self, k->waits, p->waits);
        if (status != ULV_OK) {
            host->handle_close(host->self, p->waits);
            p->waits = ULV_NO_HANDLE;
        }
    }
    if (status == ULV_OK)
        status = ulv_rung_add(&k->rung, &p->ready, p->waits, is_ready);
    if (status == ULV_OK)
        return ULV_OK;
    drop_waits(k, p);
    return ulv_fail(diag, status, p->id, 0, 0, "%s: no wait set: %s", p->name,
                    ulv_status_text(status));
}

/* Link and role object, or link and process. */
static ulv_status
start_somewhere(struct keeper *k, struct keeper_partition *p,
                struct ulv_link **ret_link, struct ulv_diag *diag)
{
    const struct ulv_host *host = k->host;
    struct ulv_link *far;
    ulv_status status = make_waits(k, p, diag);

    if (status != ULV_OK)
        return status;
    if (k->processes)
        return k->platform->process_start(host->self, k->role_program,
                                          p->name, ret_link, &p->process,
                                          &p->number, diag);
    status = ulv_link_create(host, ret_link, &far);
    if (status == ULV_OK) {
        status = ulv_role_create(host, p->waits, far, &p->role);
        if (status != ULV_OK)
            (*ret_link)->ops->close(*ret_link);
    }
    if (status != ULV_OK)
        return ulv_fail(diag, status, p->id, 0, 0, "%s: no memory for its role",
                        p->name);
    if (ULV_RESTARTS && p->kind == ULV_PARTITION_ULTRAVISOR)
        p->role->storage = k->storage;
    if (ULV_SPARE_MACHINES)
        p->role->spare = k->spare;
    p->role->hear_state = k->hear_state;
    p->role->debug = k->debug;
    return ULV_OK;
}

static ulv_status
configure(struct keeper *k, struct keeper_partition *p)
{
    struct say say = { .kind = SAY_CONFIGURE };
    ulv_handle handles[FAR_STORAGE_HANDLES];
    uint32_t handle_count = 0;
    const void *tail = NULL;
    ulv_status status;

    say.u.configure.build = SAY_BUILD;
    say.u.configure.kind = p->kind;
    say.u.configure.partition = p->id;
    say.u.configure.processes = k->processes;
    say.u.configure.threads_from = k->threads_from;
    ulv_string_copy(say.u.configure.name, sizeof(say.u.configure.name),
                    p->name);
    ulv_string_copy(say.u.configure.backend, sizeof(say.u.configure.backend),
                    k->backend);
    if (p->kind == ULV_PARTITION_OPERATIONS) {
        tail = k->policy;
        say.tail_bytes = (uint32_t)k->policy_bytes;
    } else if (p->kind == ULV_PARTITION_GUEST && k->launcher != NULL) {
        tail = k->launcher;
        say.tail_bytes = (uint32_t)ulv_string_length(k->launcher, 255);
    } else if (ULV_RESTARTS && p->kind == ULV_PARTITION_ULTRAVISOR) {
        say.u.configure.again = k->restart != RESTART_NO;
        status = ulv_keeper_reach_storage(k, handles, &handle_count);
        if (status != ULV_OK)
            return status;
    }
    return ulv_post_send(&p->post, &say, tail, handles, handle_count);
}

static void died(struct keeper *k, struct keeper_partition *p,
                 const char *how, uint64_t code);

ulv_status
ulv_keeper_role_start(struct keeper *k, struct keeper_partition *p,
                      struct ulv_diag *diag)
{
    struct ulv_link *link = NULL;
    ulv_status status = start_somewhere(k, p, &link, diag);

    if (status != ULV_OK) {
        if (p->kind != ULV_PARTITION_GUEST)
            died(k, p, "could not be started, status", (uint64_t)-status);
        return status;
    }
    p->alive = true;
    take_turn(p);
    p->measured = 0;
    ulv_keeper_bind(k, p);
    status = ulv_post_init(&p->post, k->host, p->waits, link);
    if (status == ULV_OK && k->processes) {
        status = k->host->watch(k->host->self, p->waits, p->process);
        p->watched = status == ULV_OK;
    }
    if (status == ULV_OK)
        status = configure(k, p);
    if (status != ULV_OK) {
        ulv_keeper_role_kill(k, p);
        return ulv_fail(diag, status, p->id, 0, 0,
                        "%s: its role could not be set up", p->name);
    }
    return ULV_OK;
}

/* The command partition waits for answers of these two. */
static void
tell_command(struct keeper *k, const struct keeper_partition *dead)
{
    struct say say = { .kind = SAY_DIED };

    say.u.state.partition = dead->id;
    say.u.state.state = dead->kind;
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        if (p->kind == ULV_PARTITION_COMMAND && p->alive)
            ulv_post_tell(&p->post, &say, NULL, NULL, 0);
    }
}

static const char by_sandbox[] = "killed by its sandbox, signal";

/* What a confirmed death means. */
static void
died(struct keeper *k, struct keeper_partition *p, const char *how,
     uint64_t code)
{
    struct say say = { .kind = SAY_DIED };
    bool again = false;

    ulv_keeper_account(k, p); /* before its end is told */
    p->alive = p->reaping = false;
    p->awaited = p->followed = p->follow_until = 0;
    ulv_post_fini(&p->post);
    if (p == k->ultravisor)
        again = ulv_keeper_ultravisor_died(k);
    drop_waits(k, p);
    ulv_keeper_released_all(k, p->id);
    if (p->kind == ULV_PARTITION_GUEST) {
        struct ulv_end end = { .reason = ULV_END_REASON_FAULT,
                               .code = ULV_FAULT_MONITOR };

        if (p->ending != ENDING_NO) { /* it had reported its end */
            ulv_keeper_go_on_ending(k, p);
            return;
        }
        if (p->state != ULV_STATE_STARTING && p->state != ULV_STATE_RUNNING)
            return;
        ulv_string_copy(end.text, sizeof(end.text),
                        how == by_sandbox
                            ? "its monitor died: killed by its sandbox, for a "
                              "system call that it may not make"
                            : "its monitor died");
        ulv_keeper_guest_ended(k, p, &end);
        return;
    }
    p->state = ULV_STATE_LOST;
    if (!again && (p->kind == ULV_PARTITION_ULTRAVISOR ||
                   p->kind == ULV_PARTITION_OPERATIONS))
        tell_command(k, p);
    ulv_keeper_tell(k, ULV_EVENT_DIED, p->id, code, "%s died: %s %u", p->name,
                    how, code);
    if (again)
        return;
    say.u.state.partition = p->id;
    ulv_keeper_inform(k, &say);
    ulv_keeper_end_again(k);
}

void
ulv_keeper_role_kill(struct keeper *k, struct keeper_partition *p)
{
    if (!p->alive)
        return;
    if (!k->processes) {
        ulv_role_destroy(p->role);
        p->role = NULL;
        died(k, p, "dropped, code", 0);
    } else if (!p->reaping) {
        p->reaping = true;
        take_turn(p);
        k->platform->process_kill(k->host->self, p->process);
    }
}

bool
ulv_keeper_role_reap(struct keeper *k, struct keeper_partition *p)
{
    const struct ulv_host *host = k->host;
    struct ulv_process_end end;
    const char *how = "exit code";

    ulv_keeper_measure(k, p); /* what is reaped has no clock any more */
    if (!p->alive || p->process == ULV_NO_HANDLE ||
        k->platform->process_reap(host->self, p->process, &end) != ULV_OK)
        return false;
    if (p->watched)
        host->unwatch(host->self, p->waits, p->process);
    p->watched = false;
    close_handle(host, &p->process);
    if (end.signalled == ULV_PROCESS_FORBIDDEN)
        how = by_sandbox;
    else if (end.signalled == ULV_PROCESS_SIGNALLED)
        how = "signal";
    died(k, p, how, end.code);
    return true;
}
