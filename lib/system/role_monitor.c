/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The monitor of one guest partition, as a role. */
#include "base/base.h"
#include "system/role_monitor.h"

/* How long a guest runs before the others get their turn: in process all roles
 * share one thread. */
#define BUDGET_SHARED_NS UINT64_C(2000000)
#define BUDGET_ALONE_NS  UINT64_C(20000000)

/* How often what a guest uses beside us is told. */
#define USED_NS UINT64_C(100000000)

static struct monitor_role *
self_of(struct role *role)
{
    return ULV_CONTAINER_OF(role, struct monitor_role, role);
}

static void
guest_logged(void *self, const char *text)
{
    struct monitor_role *r = self;

    ulv_role_tell(&r->role, ULV_EVENT_LOG, r->role.partition, 0, text);
}

static void
released(void *self, ulv_id object)
{
    struct monitor_role *r = self;
    struct say say = { .kind = SAY_RELEASED };

    say.u.object = object;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static void
given_back(void *self, uint64_t guest, uint64_t bytes)
{
    struct monitor_role *r = self;
    struct say say = { .kind = SAY_GIVEN_BACK };

    say.u.returned.guest_address = guest;
    say.u.returned.bytes = bytes;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static ulv_status
confine(void *self)
{
    struct monitor_role *r = self;

    return r->role.confine(&r->role, r->backend);
}

static ulv_status
confine_thread(void *self)
{
    const struct monitor_role *r = self;

    return r->role.confine_thread(&r->role, r->backend);
}

static ulv_status
monitor_init(struct role *role, struct heard *configure)
{
    struct monitor_role *r = self_of(role);
    const struct say_configure *c = &configure->say.u.configure;
    char backend[sizeof(c->backend) + 1] = { 0 };
    struct ulv_monitor_cfg cfg = { .host = role->host,
                                   .waits = role->waits,
                                   .partition = role->partition,
                                   .log = guest_logged,
                                   .released = released,
                                   .given_back = given_back,
                                   .self = r };

    memcpy(backend, c->backend, sizeof(c->backend));
    cfg.backend = ulv_backend_find(backend);
    if (cfg.backend == NULL)
        return ULV_E_UNSUPPORTED;
    r->backend = cfg.backend->name;
    r->beside = cfg.backend->vcpu_time != NULL;
    if (role->confine != NULL)
        cfg.confine = confine;
    if (role->confine_thread != NULL)
        cfg.confine_thread = confine_thread;
    cfg.threads_from = c->threads_from;
    if (ULV_SPARE_MACHINES)
        cfg.spare = role->spare;
    if (configure->say.tail_bytes >= sizeof(r->launcher))
        return ULV_E_PEER_LENGTH;
    memcpy(r->launcher, configure->tail, configure->say.tail_bytes);
    cfg.launcher = r->launcher[0] == '\0' ? NULL : r->launcher;
    return ulv_monitor_create(&cfg, &r->monitor);
}

static void
monitor_fini(struct role *role)
{
    ulv_monitor_destroy(self_of(role)->monitor);
}

void
ulv_role_monitor_started(struct monitor_role *r, ulv_status status,
                         struct ulv_diag *diag)
{
    struct say say = { .kind = SAY_RUNNING };

    if (status == ULV_OK) {
        r->started = true;
    } else {
        say.kind = SAY_NOT_STARTED;
        diag->status = status;
        say.u.order_done.diag = *diag;
    }
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static void
monitor_start(struct monitor_role *r, const struct heard *heard)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_monitor_image image = { .image = heard->handle[0],
                                       .bytes = heard->say.u.start.bytes,
                                       .initrd = ULV_NO_HANDLE };
    ulv_status status;

    if (ULV_STOCK_KERNELS && heard->handle_count == 2)
        image.initrd = heard->handle[1];
    if (ULV_STOCK_KERNELS && heard->say.tail_bytes != 0)
        image.cmdline = (const char *)heard->tail;
    image.initrd_bytes = heard->say.u.start.initrd_bytes;
    status = ulv_monitor_start(r->monitor, &image, &diag);
    ulv_role_monitor_started(r, status, &diag);
}

static ulv_status
monitor_hear(struct role *role, struct heard *heard)
{
    struct monitor_role *r = self_of(role);
    const struct say *say = &heard->say;
    const ulv_handle *h = heard->handle;

    switch (say->kind) {
    case SAY_VIEW:
        heard->handle_count = 0;
        return ulv_monitor_take_view(r->monitor, say->u.view.part, h[0],
                                     say->u.view.bytes);
    case SAY_BELL:
        heard->handle_count = 0;
        return ulv_monitor_take_bell(r->monitor, h[0]);
    case SAY_TRACE:
        heard->handle_count = 0;
        return ulv_monitor_take_trace(r->monitor, h[0]);
    case SAY_EXTENT:
        heard->handle_count = 0;
        return ulv_monitor_take_extent(r->monitor, say->u.extent.extent, h[0],
                                       say->u.extent.bytes);
    case SAY_CHANNEL:
        if (heard->handle_count != 3)
            return ULV_E_PEER_PROTOCOL;
        heard->handle_count = 0;
        return ulv_monitor_take_channel(r->monitor, say->u.channel.channel,
                                        h[0], say->u.channel.bytes, h[1],
                                        h[2]);
    case SAY_START:
        monitor_start(r, heard);
        return ULV_OK;
    case SAY_STOP:
        ulv_monitor_kill(r->monitor);
        return ULV_OK;
    case SAY_DEBUG:
        return role->debug == NULL ? ULV_E_PEER_PROTOCOL
                                   : role->debug->hear(role, heard);
    default:
        if (role->hear_state != NULL)
            return role->hear_state(role, heard);
        return ULV_E_PEER_PROTOCOL;
    }
}

static void
report_end(struct monitor_role *r)
{
    struct say say = { .kind = SAY_ENDED };

    say.u.end = *ulv_monitor_end(r->monitor);
    r->reported = true;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static void
acknowledge(struct monitor_role *r)
{
    struct say say = { .kind = SAY_ACKNOWLEDGE };
    uint64_t generation = ulv_monitor_generation(r->monitor);

    if (generation == r->acknowledged)
        return;
    r->acknowledged = generation;
    say.u.generation.partition = r->role.partition;
    say.u.generation.generation = generation;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static void
tell_used(struct monitor_role *r, struct role_need *need, bool ended)
{
    const struct ulv_host *host = r->role.host;
    struct say say = { .kind = SAY_USED };
    ulv_nsec now = host->now(host->self), used;

    if (now >= r->used_at || ended) {
        used = ulv_monitor_used(r->monitor);
        say.u.used.time = used - ULV_MIN(used, r->used);
        r->used = used;
        r->used_at = now + USED_NS;
        if (say.u.used.time != 0)
            ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
    }
    need->deadline = ULV_MIN(need->deadline, r->used_at);
}

static void
monitor_step(struct role *role, struct role_need *need)
{
    struct monitor_role *r = self_of(role);
    ulv_nsec budget = role->processes ? BUDGET_ALONE_NS : BUDGET_SHARED_NS;
    ulv_nsec deadline = ULV_FOREVER;
    uint32_t state;

    if (!r->started || r->reported)
        return;
    state = ulv_monitor_step(r->monitor, budget, &deadline);
    if (role->debug != NULL)
        role->debug->step(role);
    if (r->beside)
        tell_used(r, need, state == ULV_MONITOR_ENDED);
    switch (state) {
    case ULV_MONITOR_BUSY:
        need->again = true;
        break;
    case ULV_MONITOR_WAITING:
        need->deadline = ULV_MIN(need->deadline, deadline);
        break;
    default:
        report_end(r);
    }
    acknowledge(r);
}

const struct role_ops ulv_role_monitor = {
    .bytes = sizeof(struct monitor_role),
    .init = monitor_init,
    .fini = monitor_fini,
    .hear = monitor_hear,
    .step = monitor_step,
};
