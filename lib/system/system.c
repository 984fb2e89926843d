/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The composition root as the caller sees it: the boot partition, which is the
 * keeper, and a client of the command partition.
 *
 * Invariant: everything happens inside the caller's calls, in one thread: a
 * step gives each role in process one turn, hears what the roles said, and
 * then, if nothing is left to do at once, waits for a watched handle.
 *
 * C = call, K = keeper, X = a role; [..] = inside one call.
 *
 * 1. [C commit: send, step: X answers, K orders, step: answer there] returns.
 * 2. [C step] X has news for C: the doorbell is watched, so wait returns.
 * 3. [C commit, the command role dies] K sees the death in a step: PEER_GONE,
 *    not a wait for ever.
 * 4. What must fail: a callback that calls back into the system while it
 *    steps. There is none: news for the caller are events that he takes.
 */
#include "system/system_priv.h"

#include <ultravisor/posix.h>

#include "base/base.h"
#include "database/page_map.h"
#include "system/fault.h"

/* ---- events and faults --------------------------------------------------- */

static void
keep_fault(void *self, ulv_id partition, const struct ulv_end *end)
{
    ulv_system_keep_fault(self, partition, end);
}

static void
keep_refusal(ulv_system *system, ulv_id partition, const char *text,
             size_t len)
{
    struct ulv_end end = { .reason = ULV_END_REASON_NONE };

    len = ULV_MIN(len, sizeof(end.text) - 1);
    memcpy(end.text, text, len);
    ulv_system_keep_fault(system, partition, &end);
}

static void
add_event(void *self, uint32_t kind, ulv_id partition, uint64_t value,
          const void *data, size_t bytes)
{
    ulv_system *system = self;
    const struct ulv_host *host = system->host;
    struct waiting_event *event = NULL;

    if (kind == ULV_EVENT_FAULT)
        keep_refusal(system, partition, data, bytes);
    bytes = ULV_MIN(bytes, (size_t)ULV_EVENT_BYTES_MAX);
    system->sequence++;
    if (system->event_count < EVENTS_MAX)
        event = host->alloc(host->self, sizeof(*event) + bytes + 1, 8);
    if (event == NULL) {
        system->lost++;
        return;
    }
    event->kind = kind;
    event->bytes = (uint32_t)bytes;
    event->sequence = system->sequence;
    event->value = value;
    event->time = host->now(host->self);
    event->partition = partition;
    if (bytes != 0)
        memcpy(event + 1, data, bytes);
    *system->events_end = event;
    system->events_end = &event->next;
    system->event_count++;
}

ulv_status
ulv_event_next(ulv_system *system, struct ulv_event *ret)
{
    const struct ulv_host *host = system->host;
    struct waiting_event *event = system->events;

    if (ret->size < sizeof(*ret))
        return ULV_E_ARG;
    if (event == NULL && system->lost == 0)
        return ULV_E_AGAIN;
    memset(ret, 0, sizeof(*ret));
    ret->size = sizeof(*ret);
    if (event == NULL) {
        ret->kind = ULV_EVENT_LOST;
        ret->sequence = system->sequence;
        ret->value = system->lost;
        ret->time = host->now(host->self);
        system->lost = 0;
        return ULV_OK;
    }
    ret->kind = event->kind;
    ret->sequence = event->sequence;
    ret->time = event->time;
    ret->partition = event->partition;
    ret->value = event->value;
    ret->bytes = event->bytes;
    memcpy(ret->data, event + 1, event->bytes);
    system->events = event->next;
    if (system->events == NULL)
        system->events_end = &system->events;
    system->event_count--;
    host->free(host->self, event, sizeof(*event) + event->bytes + 1);
    return ULV_OK;
}

/* ---- create and destroy -------------------------------------------------- */

static ulv_status
check_opts(const struct ulv_host *host, const struct ulv_system_opts *opts,
           struct ulv_diag *diag)
{
    if (opts->size != sizeof(*opts))
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, opts->size, sizeof(*opts),
                        "options of %u bytes, this library knows %u",
                        (uint64_t)opts->size, (uint64_t)sizeof(*opts));
    if (opts->placement > ULV_PLACEMENT_PROCESSES)
        return ulv_fail(diag, ULV_E_ARG, 0, opts->placement,
                        ULV_PLACEMENT_PROCESSES, "unknown placement %u",
                        (uint64_t)opts->placement);
    if (opts->placement == ULV_PLACEMENT_PROCESSES && host->platform == NULL)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, opts->placement, 0,
                        "this host has no processes to put roles into");
    if (opts->memory % ULV_PAGE_MAP_BLOCK != 0)
        return ulv_fail(diag, ULV_E_ARG, 0, opts->memory, ULV_PAGE_MAP_BLOCK,
                        ULV_PAGE_MAP_ORDER == 9
                            ? "a pool of %u bytes is not a multiple of 2 MiB"
                            : "a pool of %u bytes is not a multiple of 4 MiB",
                        opts->memory);
    if (host->memory_create == NULL || host->event_create == NULL ||
        host->wait_create == NULL || host->medium_open == NULL ||
        host->fence_create == NULL)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                        "the host has no memory objects, events, wait sets, "
                        "media or fences");
    return ULV_OK;
}

static void
note_passed_over(ulv_system *system, const char *name,
                 const struct ulv_diag *why)
{
    size_t len =
        ulv_string_length(system->passed_over, sizeof(system->passed_over));
    struct ulv_text line;

    ulv_text_init(&line, system->passed_over + len,
                  sizeof(system->passed_over) - len);
    ulv_text_format(&line, "%s%s: %s", len == 0 ? "" : "\n", name, why->text);
}

/* The one that was named, or the first that can be used; mock is never
 * chosen by itself. */
static ulv_status
choose_backend(ulv_system *system, const char *wanted, struct ulv_diag *diag)
{
    const struct ulv_backend_ops *ops;
    struct ulv_backend_caps caps;
    struct ulv_diag why = ULV_DIAG_INIT;

    for (uint32_t i = 0; (ops = ulv_backend_at(i)) != NULL; i++) {
        bool named =
            wanted != NULL && ulv_string_equal(ops->name, wanted, 16);

        if (wanted != NULL ? !named : ulv_string_equal(ops->name, "mock", 16))
            continue;
        if (ops->probe(system->host, &caps, &why) == ULV_OK) {
            system->backend = ops->name;
            system->keeper.can_remap = caps.can_remap != 0;
            return ULV_OK;
        }
        note_passed_over(system, ops->name, &why);
    }
    if (wanted != NULL && why.status == ULV_OK)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                        "there is no backend %s in this build", wanted);
    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                    "no backend can be used: %s", system->passed_over);
}

static ulv_status
set_policy(ulv_system *system, const struct ulv_system_opts *opts,
           struct ulv_diag *diag)
{
    if (opts->policy == NULL) {
        ulv_policy_default(&system->policy);
        return ULV_OK;
    }
    if (opts->policy_bytes == sizeof(system->policy))
        memcpy(&system->policy, opts->policy, sizeof(system->policy));
    return ulv_policy_check(&system->policy, opts->policy_bytes, diag);
}

/* A handle that make has made is watched, or gone. */
static ulv_status
make_watched(ulv_system *system,
             ulv_status (*make)(void *self, ulv_handle *ret), ulv_handle *ret)
{
    const struct ulv_host *host = system->host;
    ulv_status status = make(host->self, ret);

    if (status != ULV_OK)
        return status;
    status = host->watch(host->self, system->waits, *ret);
    if (status != ULV_OK) {
        host->handle_close(host->self, *ret);
        *ret = ULV_NO_HANDLE;
    }
    return status;
}

/* Where the host has such a thing. */
static ulv_status
make_alarm(ulv_system *system)
{
    const struct ulv_host *host = system->host;
    ulv_status status;

    if (host->size < offsetof(struct ulv_host, spend) ||
        host->alarm_create == NULL)
        return ULV_OK;
    status = make_watched(system, host->alarm_create, &system->alarm);
    if (status == ULV_OK)
        status = make_watched(system, host->event_create, &system->due);
    return status;
}

static void
end_watched(ulv_system *system, ulv_handle h)
{
    const struct ulv_host *host = system->host;

    if (h == ULV_NO_HANDLE)
        return;
    host->unwatch(host->self, system->waits, h);
    host->handle_close(host->self, h);
}

/* Without one guests start all the same. */
static void
make_spare(ulv_system *system)
{
    const struct ulv_host *host = system->host;
    const struct ulv_backend_ops *ops = ulv_backend_find(system->backend);
    void *spare;

    if (ops == NULL || ops->spare_init == NULL)
        return;
    spare = host->alloc(host->self, ops->spare_bytes, 16);
    if (spare != NULL && ops->spare_init(spare, host) != ULV_OK) {
        host->free(host->self, spare, ops->spare_bytes);
        spare = NULL;
    }
    system->keeper.spare = spare;
}

static void
end_spare(ulv_system *system)
{
    const struct ulv_host *host = system->host;
    const struct ulv_backend_ops *ops;

    if (system->keeper.spare == NULL)
        return;
    ops = ulv_backend_find(system->backend);
    ops->spare_fini(system->keeper.spare);
    host->free(host->self, system->keeper.spare, ops->spare_bytes);
}

static ulv_status
set_up(ulv_system *system, const struct ulv_system_opts *opts,
       struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    struct keeper *k = &system->keeper;
    ulv_status status = host->wait_create(host->self, &system->waits);

    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "no wait set: %s",
                        ulv_status_text(status));
    status = make_alarm(system);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "no alarm: %s",
                        ulv_status_text(status));
    (void)ulv_keeper_init(k, host, system->waits);
    k->platform = host->platform;
    k->processes = opts->placement == ULV_PLACEMENT_PROCESSES;
    k->role_program = opts->role_program;
    k->threads_from = opts->threads_from;
    if (k->threads_from == 0)
        k->threads_from = k->processes ? 2 : 0;
    k->memory_flags = opts->lazy_memory != 0 ? ULV_MEMORY_LAZY : 0;
    k->settle_limit =
        opts->settle_limit == 0 ? SETTLE_LIMIT : opts->settle_limit;
    k->policy = &system->policy;
    k->policy_bytes = sizeof(system->policy);
    k->tell = add_event;
    k->fault = keep_fault;
    k->channel_gone = ulv_system_channel_gone;
    k->self = system;
    ulv_system_keep_decisions(system);
    if (opts->launcher_program != NULL) {
        ulv_string_copy(system->launcher, sizeof(system->launcher),
                        opts->launcher_program);
        k->launcher = system->launcher;
    }
    status = set_policy(system, opts, diag);
    if (status == ULV_OK)
        status = choose_backend(system, opts->backend, diag);
    k->backend = system->backend;
    if (ULV_SPARE_MACHINES && status == ULV_OK && !k->processes &&
        opts->no_spare == 0)
        make_spare(system);
    return status;
}

ulv_status
ulv_system_create(const struct ulv_host *host,
                  const struct ulv_system_opts *opts, ulv_system **ret_system,
                  struct ulv_diag *diag)
{
    struct ulv_system_opts defaults = ULV_SYSTEM_OPTS_INIT;
    ulv_system *system;
    ulv_status status;

    if (opts == NULL)
        opts = &defaults;
    *ret_system = NULL;
    status = check_opts(host, opts, diag);
    if (status != ULV_OK)
        return status;
    system = host->alloc(host->self, sizeof(*system), 16);
    if (system == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*system), 0,
                        "no memory for a system");
    system->host = host;
    system->waits = system->alarm = system->due = ULV_NO_HANDLE;
    system->alarm_when = ULV_FOREVER;
    system->events_end = &system->events;
    status = set_up(system, opts, diag);
    if (status == ULV_OK)
        status = ulv_system_boot(system, opts, diag);
    if (status != ULV_OK) {
        ulv_system_destroy(system);
        return status;
    }
    *ret_system = system;
    return ULV_OK;
}

void
ulv_system_destroy(ulv_system *system)
{
    const struct ulv_host *host;

    if (system == NULL)
        return;
    host = system->host;
    if (system->debug_fini != NULL)
        system->debug_fini(system);
    if (system->watch_fini != NULL)
        system->watch_fini(system);
    if (system->visitors_fini != NULL)
        system->visitors_fini(system);
    while (system->channels != NULL)
        ulv_channel_close(system->channels);
    ulv_command_client_fini(&system->client);
    ulv_wire_fini(&system->wire);
    if (system->keeper.host != NULL)
        ulv_keeper_fini(&system->keeper);
    if (ULV_SPARE_MACHINES)
        end_spare(system);
    while (system->events != NULL) {
        struct waiting_event *event = system->events;

        system->events = event->next;
        host->free(host->self, event, sizeof(*event) + event->bytes + 1);
    }
    ulv_system_drop_faults(system);
    ulv_system_drop_decisions(system);
    end_watched(system, system->due);
    end_watched(system, system->alarm);
    if (system->waits != ULV_NO_HANDLE)
        host->handle_close(host->self, system->waits);
    host->free(host->self, system, sizeof(*system));
}

/* ---- stepping ------------------------------------------------------------ */

static void
turn(ulv_system *system, struct role_need *need)
{
    /* A doorbell taken is news that the caller has not seen. */
    if (system->has_client)
        need->again |= ulv_wire_take(&system->wire);
    if (!ulv_rung_can_tell(&system->keeper.rung)) {
        for (struct ulv_channel *c = system->channels; c != NULL; c = c->next)
            need->again |= c->wire.host != NULL && ulv_wire_take(&c->wire);
    }
    ulv_keeper_step(&system->keeper, need); /* it asks which rang */
    need->again |= system->rang;
    system->rang = false;
    if (system->visitor_left)
        system->visitors_step(system);
    if (system->debug_step != NULL)
        system->debug_step(system, need);
}

/* The wait set is ready at the latest then; 0: now, by an event, which costs
 * less than an alarm that goes off at once. */
static void
set_alarm(ulv_system *system, ulv_nsec when)
{
    const struct ulv_host *host = system->host;

    if (system->due == ULV_NO_HANDLE)
        return;
    if (system->is_due && when != 0)
        (void)host->event_take(host->self, system->due);
    else if (!system->is_due && when == 0)
        host->event_signal(host->self, system->due);
    system->is_due = when == 0;
    if (when == 0 || system->alarm_when == when)
        return;
    host->alarm_set(host->self, system->alarm, when);
    system->alarm_when = when;
}

ulv_status
ulv_system_step(ulv_system *system, ulv_nsec deadline)
{
    const struct ulv_host *host = system->host;

    for (;;) {
        struct role_need need = { false, ULV_FOREVER };
        uint64_t sequence = system->sequence;
        ulv_status status;

        turn(system, &need);
        if (need.again || system->sequence != sequence) {
            set_alarm(system, 0); /* there may be more to do at once */
            return ULV_OK;
        }
        set_alarm(system, need.deadline);
        if (host->now(host->self) >= deadline)
            return ULV_E_TIMEOUT;
        status = host->wait(host->self, system->waits,
                            ULV_MIN(deadline, need.deadline));
        if (status != ULV_OK && status != ULV_E_TIMEOUT)
            return status;
        if (status == ULV_E_TIMEOUT && host->now(host->self) >= deadline &&
            need.deadline > deadline)
            return ULV_E_TIMEOUT;
    }
}

ulv_nsec
ulv_system_now(const ulv_system *system)
{
    return system->host->now(system->host->self);
}

ulv_status
ulv_system_run_until(ulv_system *system,
                     bool (*done)(ulv_system *system, void *self), void *self,
                     ulv_nsec deadline)
{
    while (!done(system, self)) {
        ulv_status status = ulv_system_step(system, deadline);

        if (done(system, self))
            return ULV_OK;
        if (status != ULV_OK)
            return status;
        /* a guest that never rests gives a step something to do each time */
        if (deadline != ULV_FOREVER && ulv_system_now(system) >= deadline)
            return ULV_E_TIMEOUT;
    }
    return ULV_OK;
}

struct settling {
    uint64_t revision;
    bool dead;
};

static bool
is_settled(ulv_system *system, void *self)
{
    struct settling *s = self;
    const struct keeper *k = &system->keeper;

    if (k->settled >= s->revision)
        return true;
    s->dead = !ulv_keeper_is_served(k);
    return s->dead;
}

ulv_status
ulv_wait_settled(ulv_system *system, uint64_t revision, ulv_nsec deadline,
                 struct ulv_diag *diag)
{
    struct settling s = { .revision = revision };
    ulv_status status =
        ulv_system_run_until(system, is_settled, &s, deadline);

    if (status == ULV_OK && s.dead)
        status = ULV_E_PEER_GONE;
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, revision, system->keeper.settled,
                        "revision %u is not settled, up to %u is: %s",
                        revision, system->keeper.settled,
                        ulv_status_text(status));
    return ULV_OK;
}

uint64_t
ulv_system_revision(const ulv_system *system)
{
    return system->revision;
}

/* ---- looking ------------------------------------------------------------- */

const char *
ulv_system_backend(const ulv_system *system, const char **ret_passed_over)
{
    if (ret_passed_over != NULL)
        *ret_passed_over = system->passed_over;
    return system->backend;
}

ulv_status
ulv_system_find(ulv_system *system, const char *name, ulv_id *ret_id)
{
    struct keeper_partition *p = system->keeper.partitions;

    if (ulv_string_equal(name, "idle", 32)) {
        *ret_id = ULV_ID_IDLE;
        return ULV_OK;
    }
    while (p != NULL && !ulv_string_equal(p->name, name, 32))
        p = p->next;
    if (p == NULL)
        return ULV_E_NOT_FOUND;
    *ret_id = p->id;
    return ULV_OK;
}

ulv_status
ulv_system_kill(ulv_system *system, ulv_id partition, struct ulv_diag *diag)
{
    struct keeper_partition *p =
        ulv_keeper_partition(&system->keeper, partition);

    if (partition == ULV_ID_IDLE)
        return ulv_fail(diag, ULV_E_ARG, partition, ULV_PARTITION_IDLE, 0,
                        "idle has no role: it owns what nobody uses");
    if (p == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, partition, 0, 0,
                        "partition %u does not exist", partition);
    if (p->kind == ULV_PARTITION_BOOT)
        return ulv_fail(diag, ULV_E_ARG, partition, p->kind, 0,
                        "boot is the caller's own process");
    if (!p->alive)
        return ulv_fail(diag, ULV_E_ENDED, partition, 0, 0,
                        "%s does not run", p->name);
    ulv_keeper_role_drop(&system->keeper, p);
    return ULV_OK;
}

ulv_status
ulv_system_role(ulv_system *system, uint32_t idx, struct ulv_role *ret)
{
    struct keeper_partition *p = system->keeper.partitions;

    while (p != NULL && idx > 0) {
        p = p->next;
        idx--;
    }
    if (p == NULL)
        return ULV_E_NOT_FOUND;
    memset(ret, 0, sizeof(*ret));
    ret->partition = p->id;
    ret->kind = p->kind;
    ret->alive = p->alive || p->kind == ULV_PARTITION_BOOT;
    ret->process = p->number;
    ulv_string_copy(ret->name, sizeof(ret->name), p->name);
    return ULV_OK;
}

const char *
ulv_version(void)
{
    return "0.1.0";
}

ulv_status
ulv_backend_probe(const struct ulv_host *host, uint32_t idx,
                  const char **ret_name, struct ulv_diag *diag)
{
    const struct ulv_backend_ops *ops = ulv_backend_at(idx);
    struct ulv_backend_caps caps;

    if (ops == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, 0, idx, 0,
                        "there is no backend number %u", (uint64_t)idx);
    *ret_name = ops->name;
    return ops->probe(host, &caps, diag);
}

/* A descriptor where the host's handles are; see <ultravisor/posix.h>. */
int
ulv_posix_fd(const ulv_system *system)
{
    return (int)system->waits;
}
