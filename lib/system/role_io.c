/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An I/O partition: serves the devices that its view says it serves, over the
 * channels it was handed, and stands by for the others. It takes a device up
 * only when its view says so and the device's fence is its own: so never while
 * a predecessor lives.
 */
#include "base/base.h"
#include "io/block.h"
#include "io/console.h"
#include "system/role.h"
#include "system/rung.h"
#include "system/wire.h"
#include "view/read.h"

#define TURN             32u /* requests of one device in one step */
#define FENCE_RETRY_NS   UINT64_C(1000000)
#define VIEW_READ_TRIES  16u

struct served {
    /* what each step looks at of each */
    struct served *next;
    bool serving; /* the server below runs */
    bool rang;    /* its doorbell may have been rung */
    bool busy;    /* there may be more to do without a doorbell */
    bool wanted;  /* the view says so */
    bool broken;  /* the client broke the protocol: never again */
    bool held;    /* the keeper is at its channel */
    bool flush_asked; /* say when its ring is empty */
    ulv_id device;
    struct wire wire; /* of its channel, once there is one */
    struct bell bell; /* of that: its own */
    uint64_t bytes;
    uint32_t kind, flags;
    ulv_handle fence, medium;
    struct ulv_takeover_region *region;
    uint32_t epoch;   /* of the channel, as the view says */
    uint32_t first_epoch; /* as it was handed over */
    bool told_redriven;
    union {
        struct ulv_block_server block;
        struct ulv_console_server console;
    } u;
    struct io_role *role;
};

struct io_role {
    struct role role;
    struct ulv_view_reader view;
    void *view_mapping;
    uint64_t view_bytes;
    ulv_handle bell;
    struct rung rung;    /* which devices were rung for */
    uint64_t generation; /* of the view, that was read last */
    bool look; /* at the view, again: something new was handed over */
    struct served *devices, **devices_end;
    struct served *near; /* the one that was looked for last, or NULL */
};

static struct io_role *
self_of(struct role *role)
{
    return ULV_CONTAINER_OF(role, struct io_role, role);
}

static ulv_status
io_init(struct role *role, struct heard *configure)
{
    (void)configure;
    self_of(role)->devices_end = &self_of(role)->devices;
    self_of(role)->bell = ULV_NO_HANDLE;
    self_of(role)->rung.host = role->host;
    self_of(role)->rung.waits = role->waits;
    return ULV_OK;
}

static void
close_handle(const struct ulv_host *host, ulv_handle *h)
{
    if (*h != ULV_NO_HANDLE)
        host->handle_close(host->self, *h);
    *h = ULV_NO_HANDLE;
}

static void
drop_wire(struct io_role *r, struct served *d)
{
    ulv_rung_remove(&r->rung, &d->bell);
    ulv_wire_fini(&d->wire);
}

static void
drop_device(struct io_role *r, struct served *d)
{
    const struct ulv_host *host = r->role.host;

    drop_wire(r, d);
    if (d->region != NULL)
        host->memory_unmap(host->self, d->region, 4096);
    close_handle(host, &d->medium);
    close_handle(host, &d->fence);
    host->free(host->self, d, sizeof(*d));
}

static void
io_fini(struct role *role)
{
    struct io_role *r = self_of(role);
    const struct ulv_host *host = role->host;

    while (r->devices != NULL) {
        struct served *d = r->devices;

        r->devices = d->next;
        drop_device(r, d);
    }
    if (r->view_mapping != NULL)
        host->memory_unmap(host->self, r->view_mapping, r->view_bytes);
    if (r->bell != ULV_NO_HANDLE)
        host->unwatch(host->self, role->waits, r->bell);
    close_handle(host, &r->bell);
    ulv_rung_fini(&r->rung);
}

static struct served *
find_from(struct served *d, ulv_id id, bool by_channel)
{
    while (d != NULL && (by_channel ? d->wire.channel : d->device) != id)
        d = d->next;
    return d;
}

/* Handed over, listed and given up in the same order, mostly: the next one is
 * near. */
static struct served *
find(struct io_role *r, ulv_id id, bool by_channel)
{
    struct served *d = find_from(r->near, id, by_channel);

    if (d == NULL)
        d = find_from(r->devices, id, by_channel);
    if (d != NULL)
        r->near = d;
    return d;
}

static struct served *
find_device(struct io_role *r, ulv_id device)
{
    return find(r, device, false);
}

static struct served *
find_channel(struct io_role *r, ulv_id channel)
{
    return find(r, channel, true);
}

static void follow_view(struct io_role *r);

/* ---- what is handed over ------------------------------------------------- */

static ulv_status
take_view(struct io_role *r, const struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    const uint64_t bytes = heard->say.u.view.bytes;
    void *p;
    ulv_status status = host->memory_map(host->self, heard->handle[0], 0,
                                         bytes, ULV_MAP_READ, NULL, &p);

    if (status != ULV_OK)
        return status;
    /* a new chain takes the place of the one before */
    if (r->view_mapping != NULL)
        host->memory_unmap(host->self, r->view_mapping, r->view_bytes);
    r->view_mapping = p;
    r->view_bytes = bytes;
    ulv_view_reader_init(&r->view, p, bytes);
    r->look = true;
    return ULV_OK;
}

static ulv_status
take_bell(struct io_role *r, struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    ulv_status status = ULV_E_EXISTS;

    if (r->bell == ULV_NO_HANDLE)
        status = host->watch(host->self, r->role.waits, heard->handle[0]);
    if (status == ULV_OK) {
        r->bell = heard->handle[0];
        heard->handle_count = 0;
    }
    return status;
}

static ulv_status
take_device(struct io_role *r, struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    const struct say_device *say = &heard->say.u.device;
    struct served *d = host->alloc(host->self, sizeof(*d), 8);
    void *region;
    ulv_status status;

    if (d == NULL)
        return ULV_E_NO_MEMORY;
    status = host->memory_map(host->self, heard->handle[0], 0, 4096,
                              ULV_MAP_READ | ULV_MAP_WRITE, NULL, &region);
    if (status != ULV_OK) {
        host->free(host->self, d, sizeof(*d));
        return status;
    }
    host->handle_close(host->self, heard->handle[0]);
    d->role = r;
    d->device = say->device;
    d->bytes = say->bytes;
    d->kind = say->kind;
    if (ULV_MEDIA_WRITES)
        d->flags = say->flags;
    d->region = region;
    d->fence = heard->handle[1];
    d->medium = heard->handle_count == 3 ? heard->handle[2] : ULV_NO_HANDLE;
    heard->handle_count = 0;
    *r->devices_end = d;
    r->devices_end = &d->next;
    return ULV_OK;
}

static void
rang(struct bell *bell)
{
    ULV_CONTAINER_OF(bell, struct served, bell)->rang = true;
}

static ulv_status
take_channel(struct io_role *r, struct heard *heard)
{
    struct served *d = find_device(r, heard->say.u.channel.device);
    ulv_status status;

    if (d == NULL || d->wire.host != NULL)
        return ULV_E_PEER_PROTOCOL;
    d->first_epoch = heard->say.u.channel.epoch;
    status = ulv_wire_init(&d->wire, r->role.host, r->role.waits, heard);
    if (status == ULV_OK)
        status = ulv_rung_add(&r->rung, &d->bell, d->wire.own_bell, rang);
    if (status != ULV_OK)
        drop_wire(r, d);
    return status;
}

static void
close_channel(struct io_role *r, ulv_id channel)
{
    struct served **at = &r->devices;
    struct say say = { .kind = SAY_RELEASED };

    while (*at != NULL && (*at)->wire.channel != channel)
        at = &(*at)->next;
    if (*at != NULL) {
        struct served *d = *at;

        *at = d->next;
        if (d->next == NULL)
            r->devices_end = at;
        r->near = NULL;
        drop_device(r, d);
    }
    say.u.object = channel;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static void
say_flushed(struct io_role *r, ulv_id channel)
{
    struct say say = { .kind = SAY_FLUSHED };

    say.u.console.channel = channel;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static void
ask_flush(struct io_role *r, ulv_id channel)
{
    struct served *d = find_channel(r, channel);

    if (d != NULL && (d->wanted || d->serving))
        d->flush_asked = true;
    else
        say_flushed(r, channel);
}

/* Its client begins from nothing, with a channel that follows this. */
static ulv_status
renew(struct io_role *r, const struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    struct served *d = find_device(r, heard->say.u.device.device);
    void *region;
    ulv_status status;

    if (d == NULL)
        return ULV_E_PEER_PROTOCOL;
    status = host->memory_map(host->self, heard->handle[0], 0, 4096,
                              ULV_MAP_READ | ULV_MAP_WRITE, NULL, &region);
    if (status != ULV_OK)
        return status;
    if (d->flush_asked)
        say_flushed(r, d->wire.channel);
    drop_wire(r, d);
    host->memory_unmap(host->self, d->region, 4096);
    d->region = region;
    d->serving = d->busy = d->wanted = d->broken = d->flush_asked = false;
    d->told_redriven = false;
    return ULV_OK;
}

/* For a console that asked for it; one that stopped meanwhile asks anew. */
static void
take_input(struct io_role *r, const struct heard *heard)
{
    const struct say_console *say = &heard->say.u.console;
    struct served *d = find_channel(r, say->channel);
    bool ring = false;

    if (d == NULL || !d->serving || d->kind != ULV_DEVICE_CONSOLE)
        return;
    ulv_console_server_input(&d->u.console, say->offset, heard->tail,
                             heard->say.tail_bytes, &ring);
    if (ring)
        ulv_wire_ring(&d->wire);
    d->busy = true; /* it may ask for more */
}

/* A server that stops where it stands is to itself as a successor is to one
 * that died: it starts anew, from the rings and the takeover region. */
static void
hold(struct io_role *r, ulv_id channel, bool held)
{
    struct served *d = find_channel(r, channel);
    struct say say = { .kind = SAY_HELD };

    if (d != NULL)
        d->held = held;
    if (!held)
        return;
    if (d != NULL)
        d->serving = false;
    say.u.object = channel;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static ulv_status
io_hear(struct role *role, struct heard *heard)
{
    struct io_role *r = self_of(role);

    switch (heard->say.kind) {
    case SAY_VIEW:
        return take_view(r, heard);
    case SAY_BELL:
        return take_bell(r, heard);
    case SAY_DEVICE:
        r->look = true;
        return take_device(r, heard);
    case SAY_CHANNEL:
        r->look = true;
        return take_channel(r, heard);
    case SAY_RENEW:
        r->look = true;
        return renew(r, heard);
    case SAY_CHANNEL_CLOSE:
        close_channel(r, heard->say.u.channel.channel);
        return ULV_OK;
    case SAY_HOLD:
    case SAY_LET:
        hold(r, heard->say.u.object, heard->say.kind == SAY_HOLD);
        return ULV_OK;
    case SAY_FLUSH:
        follow_view(r); /* it may serve only since a moment ago */
        ask_flush(r, heard->say.u.console.channel);
        return ULV_OK;
    default:
        if (!ULV_CONSOLE_TYPING || heard->say.kind != SAY_INPUT)
            return ULV_E_PEER_PROTOCOL;
        take_input(r, heard);
        return ULV_OK;
    }
}

/* ---- what the view says -------------------------------------------------- */

static ulv_status
read_devices(struct io_role *r)
{
    for (uint32_t i = 0;; i++) {
        struct ulv_view_device device;
        struct served *d;
        ulv_status status = ulv_view_read(&r->view, ULV_VIEW_DEVICE, i,
                                          &device, sizeof(device));

        if (status != ULV_OK)
            return status;
        d = find_device(r, device.id);
        if (d != NULL)
            d->wanted = device.role == ULV_ROLE_SERVING && !d->broken;
    }
}

static ulv_status
read_channels(struct io_role *r)
{
    for (uint32_t i = 0;; i++) {
        struct ulv_view_channel channel;
        struct served *d;
        ulv_status status = ulv_view_read(&r->view, ULV_VIEW_CHANNEL, i,
                                          &channel, sizeof(channel));

        if (status != ULV_OK)
            return status;
        d = find_device(r, channel.device);
        if (d != NULL)
            d->epoch = channel.epoch;
    }
}

static void
acknowledge(struct io_role *r, uint64_t generation)
{
    struct say say = { .kind = SAY_ACKNOWLEDGE };

    say.u.generation.partition = r->role.partition;
    say.u.generation.generation = generation;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static void
follow_view(struct io_role *r)
{
    uint64_t generation = 0;

    for (uint32_t i = 0; i < VIEW_READ_TRIES; i++) {
        if (ulv_view_refresh(&r->view, &generation) != ULV_OK)
            return;
        if (generation == r->generation && !r->look)
            return; /* nothing is new in it */
        if (read_devices(r) == ULV_E_NOT_FOUND &&
            read_channels(r) == ULV_E_NOT_FOUND) {
            r->generation = generation;
            r->look = false;
            acknowledge(r, generation);
            return;
        }
    }
}

/* ---- serving ------------------------------------------------------------- */

static ulv_status
console_sink(void *self, uint64_t offset, const void *bytes, size_t len)
{
    struct served *d = self;
    struct say say = { .kind = SAY_CONSOLE, .tail_bytes = (uint32_t)len };

    /* FULL: the keeper is behind, so shall the guest be */
    say.u.console.channel = d->wire.channel;
    say.u.console.offset = offset;
    return ulv_post_send_now(&d->role->role.post, &say, bytes);
}

/* Lost with us, and asked again by whoever comes after. */
static void
console_want(void *self, uint64_t offset)
{
    struct served *d = self;
    struct say say = { .kind = SAY_WANTED };

    say.u.console.channel = d->wire.channel;
    say.u.console.offset = offset;
    ulv_post_tell(&d->role->role.post, &say, NULL, NULL, 0);
}

static bool
is_written(const struct served *d)
{
    return ULV_MEDIA_WRITES && d->kind == ULV_DEVICE_BLOCK &&
           (d->flags & ULV_BLOCK_READ_ONLY) == 0;
}

/* The device, and if it is written its medium, are ours alone: nobody writes
 * there any more who did before. AGAIN: not yet. */
static ulv_status
take_fence(const struct io_role *r, const struct served *d)
{
    const struct ulv_host *host = r->role.host;
    ulv_status status = host->fence_try_take(host->self, d->fence);

    if (status == ULV_OK && is_written(d))
        status = host->medium_lock(host->self, d->medium);
    return ULV_MEDIA_WRITES && status == ULV_E_BUSY ? ULV_E_AGAIN : status;
}

static ulv_status
start_server(struct io_role *r, struct served *d)
{
    memset(&d->u, 0, sizeof(d->u));
    if (d->kind == ULV_DEVICE_CONSOLE) {
        d->u.console.region = d->region;
        d->u.console.sink = console_sink;
        if (ULV_CONSOLE_TYPING)
            d->u.console.want = console_want;
        d->u.console.self = d;
        return ulv_console_server_start(&d->u.console, d->wire.p,
                                        d->wire.bytes);
    }
    d->u.block.host = r->role.host;
    d->u.block.medium = d->medium;
    d->u.block.sector_count = d->bytes / ULV_BLOCK_SECTOR_BYTES;
    if (is_written(d))
        d->u.block.writable = true;
    d->u.block.epoch = d->epoch;
    d->u.block.partition = r->role.partition;
    d->u.block.region = d->region;
    return ulv_block_server_start(&d->u.block, d->wire.p, d->wire.bytes,
                                  d->device);
}

/* This client is served no more; whoever waits for its last words has them. */
static void
give_up(struct io_role *r, struct served *d)
{
    d->serving = d->wanted = false;
    d->broken = true;
    if (d->flush_asked)
        say_flushed(r, d->wire.channel);
    d->flush_asked = false;
}

static void
take_up(struct io_role *r, struct served *d, struct role_need *need)
{
    const struct ulv_host *host = r->role.host;
    ulv_nsec retry = host->now(host->self) + FENCE_RETRY_NS;
    ulv_status status = take_fence(r, d);

    if (status == ULV_OK)
        status = start_server(r, d);
    if (status == ULV_E_AGAIN) {
        need->deadline = ULV_MIN(need->deadline, retry);
        return;
    }
    d->serving = d->busy = status == ULV_OK;
    if (d->serving)
        ulv_wire_ring(&d->wire); /* a predecessor may have died before it */
    else
        give_up(r, d);
    ulv_role_tell(&r->role,
                  d->serving ? ULV_EVENT_SERVING : ULV_EVENT_FAULT,
                  r->role.partition, d->device,
                  d->serving ? "serves it" : "could not attach its channel");
}

static void
tell_redriven(struct io_role *r, struct served *d)
{
    char text[128];
    struct ulv_text line;

    if (d->told_redriven || d->epoch <= d->first_epoch ||
        d->u.block.redrive_next < ULV_BLOCK_IN_FLIGHT_MAX)
        return;
    d->told_redriven = true;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line,
                    "%s took over device %u with %u open requests (%u taken "
                    "before, %u in the ring)",
                    r->role.name, d->device,
                    d->u.block.redriven + d->u.block.found,
                    d->u.block.redriven, d->u.block.found);
    ulv_role_tell(&r->role, ULV_EVENT_TAKEOVER, r->role.partition,
                  d->u.block.redriven + d->u.block.found, text);
}

static void
tell_broken(struct io_role *r, const struct served *d, ulv_status why)
{
    char text[96];
    struct ulv_text line;

    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "channel %u: disconnected: %s", d->wire.channel,
                    ulv_status_text(why));
    ulv_role_tell(&r->role, ULV_EVENT_FAULT, r->role.partition,
                  d->wire.channel, text);
}

static void
serve(struct io_role *r, struct served *d, struct role_need *need)
{
    bool ring = false, rang = false, more;
    ulv_status failed;

    if (r->role.host->ready == NULL || d->rang)
        rang = ulv_wire_take(&d->wire);
    d->rang = false;
    if (!rang && !d->busy && !d->flush_asked)
        return;
    if (d->kind == ULV_DEVICE_CONSOLE) {
        more = ulv_console_server_step(&d->u.console, TURN, &ring);
        failed = d->u.console.failed;
    } else {
        more = ulv_block_server_step(&d->u.block, TURN, &ring);
        failed = d->u.block.failed;
        tell_redriven(r, d);
    }
    if (ring)
        ulv_wire_ring(&d->wire);
    d->busy = more;
    if (more)
        need->again = true;
    if (d->flush_asked && !more) {
        d->flush_asked = false;
        say_flushed(r, d->wire.channel);
    }
    if (failed != ULV_OK) {
        if (!ULV_ROLE_PROCESSES || !ulv_wire_is_cleared(&d->wire))
            tell_broken(r, d, failed);
        give_up(r, d);
    }
}

/* Of who broke the protocol: it would be ready for ever, and nobody asks. */
static void
ignore_bell(const struct io_role *r, struct served *d)
{
    if (r->role.host->ready == NULL || d->rang)
        (void)ulv_wire_take(&d->wire);
    d->rang = false;
}

static void
io_step(struct role *role, struct role_need *need)
{
    struct io_role *r = self_of(role);

    if (r->view_mapping == NULL || r->bell == ULV_NO_HANDLE)
        return;
    if (role->host->event_take(role->host->self, r->bell) || r->look)
        follow_view(r);
    (void)ulv_rung_look(&r->rung); /* the rest next time */
    for (struct served *d = r->devices; d != NULL; d = d->next) {
        if (d->wire.host == NULL)
            continue;
        if (d->wanted && !d->serving && !d->held)
            take_up(r, d, need);
        if (d->serving)
            serve(r, d, need);
        else if (d->broken)
            ignore_bell(r, d);
    }
}

const struct role_ops ulv_role_io = {
    .bytes = sizeof(struct io_role),
    .init = io_init,
    .fini = io_fini,
    .hear = io_hear,
    .step = io_step,
};
