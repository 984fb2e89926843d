/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Ends of channels that are handed to other programs. Such a program holds one
 * end of a link, at first with the admission in it; its death, or that it
 * closes that, is what the other end hears. Then the ultravisor is told that
 * nobody is there: it takes a command channel away, and of another one says in
 * its header that the end is detached.
 *
 * L = a program leaves, T = the ultravisor is told, X = it dies, N = it was
 * started again, G = the channel is gone, O = somebody else is given its end.
 *
 * 1. L T G: nothing is remembered.
 * 2. L T X N T G: what was told may have died with it.
 * 3. L T O X N: what the dead one was told is true no more.
 * 4. What must fail: L T X N, and the channel is there for ever.
 */
#include <ultravisor/abi/admission.h>
#include <ultravisor/client.h>

#include "base/base.h"
#include "system/system_priv.h"

struct visitor {
    struct visitor *next;
    ulv_system *system;
    struct ulv_link *link; /* NULL: it has left, and that was heard */
    struct bell bell;      /* of the link */
    ulv_id channel;
    uint32_t end;
    uint32_t told; /* an ultravisor: the number of its start and one; 0: none */
    bool left, taken_away;
};

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;

/* It says nothing; so it has left, or is to. */
static void
rang(struct bell *bell)
{
    struct visitor *visitor = ULV_CONTAINER_OF(bell, struct visitor, bell);

    visitor->left = visitor->system->visitor_left = true;
    visitor->system->rang = true;
}

static void
close_link(struct visitor *visitor)
{
    ulv_system *system = visitor->system;
    const struct ulv_host *host = system->host;

    if (visitor->link == NULL)
        return;
    ulv_rung_remove(&system->keeper.rung, &visitor->bell);
    host->unwatch(host->self, system->waits, visitor->link->readable);
    visitor->link->ops->close(visitor->link);
    visitor->link = NULL;
}

static void
drop(struct visitor **at)
{
    struct visitor *visitor = *at;
    const struct ulv_host *host = visitor->system->host;

    *at = visitor->next;
    close_link(visitor);
    host->free(host->self, visitor, sizeof(*visitor));
}

/* Nobody needs to hear of it any more. */
static bool
is_over(const struct visitor *visitor)
{
    const struct keeper_channel *c =
        ulv_keeper_channel(&visitor->system->keeper, visitor->channel);

    return c == NULL || visitor->taken_away ||
           (visitor->told != 0 && c->open);
}

/* Whoever is the ultravisor hears of it. */
static void
leave(struct visitor *visitor)
{
    struct keeper *k = &visitor->system->keeper;
    struct say say = { .kind = SAY_LEFT };

    if (visitor->told == k->starts + 1)
        return;
    if (visitor->told == 0)
        ulv_keeper_channel(k, visitor->channel)->open = false;
    visitor->told = k->starts + 1;
    close_link(visitor);
    say.u.channel.channel = visitor->channel;
    say.u.channel.end = visitor->end;
    ulv_keeper_inform(k, &say);
}

/* Once a turn, as long as one that has left is remembered. */
static void
visitors_step(ulv_system *system)
{
    struct visitor **at = &system->visitors;

    if (ulv_keeper_restarts(&system->keeper) != RESTART_NO)
        return; /* who notes it is being started again */
    system->visitor_left = false;
    while (*at != NULL) {
        struct visitor *visitor = *at;

        if ((visitor->left || visitor->taken_away) && is_over(visitor)) {
            drop(at);
            continue;
        }
        if (visitor->left) {
            leave(visitor);
            system->visitor_left = true;
        }
        at = &visitor->next;
    }
}

static void
visitors_fini(ulv_system *system)
{
    while (system->visitors != NULL)
        drop(&system->visitors);
}

/* The keeper takes the channel away. */
static void
visitor_gone(ulv_system *system, ulv_id channel)
{
    for (struct visitor *v = system->visitors; v != NULL; v = v->next) {
        if (v->channel == channel)
            v->taken_away = system->visitor_left = true;
    }
}

/* With what it needs; nothing of it is ours afterwards. */
static ulv_status
send_admission(struct ulv_link *link, const struct keeper_channel *c,
               uint32_t end)
{
    const ulv_handle handles[3] = { c->memory, c->bell[end],
                                    c->bell[1 - end] };
    struct ulv_admission admission = { .magic = ULV_ADMISSION_MAGIC,
                                       .version = ULV_ADMISSION_VERSION,
                                       .end = end,
                                       .channel = c->id,
                                       .bytes = c->bytes };

    memcpy(admission.type, c->type, sizeof(admission.type));
    return link->ops->send(link, &admission, sizeof(admission), handles, 3);
}

/* The link is watched, or gone. */
static ulv_status
watch_link(ulv_system *system, struct visitor *visitor)
{
    const struct ulv_host *host = system->host;
    const ulv_handle readable = visitor->link->readable;
    ulv_status status = host->watch(host->self, system->waits, readable);

    if (status != ULV_OK)
        return status;
    status = ulv_rung_add(&system->keeper.rung, &visitor->bell, readable,
                          rang);
    if (status != ULV_OK)
        host->unwatch(host->self, system->waits, readable);
    return status;
}

static ulv_status
hand_out(ulv_system *system, struct keeper_channel *c, ulv_handle *ret)
{
    const struct ulv_host *host = system->host;
    struct visitor *visitor = host->alloc(host->self, sizeof(*visitor), 8);
    ulv_handle far = ULV_NO_HANDLE;
    ulv_status status = ULV_E_NO_MEMORY;

    if (visitor == NULL)
        return status;
    visitor->system = system;
    visitor->channel = c->id;
    visitor->end = c->server == system->keeper.boot ? ULV_END_SERVER
                                                    : ULV_END_CLIENT;
    status = host->platform->link_create(host, &visitor->link, &far);
    if (status == ULV_OK) {
        status = send_admission(visitor->link, c, visitor->end);
        if (status == ULV_OK)
            status = watch_link(system, visitor);
        if (status != ULV_OK) {
            host->handle_close(host->self, far);
            visitor->link->ops->close(visitor->link);
        }
    }
    if (status != ULV_OK) {
        host->free(host->self, visitor, sizeof(*visitor));
        return status;
    }
    visitor->next = system->visitors;
    system->visitors = visitor;
    system->visitors_step = visitors_step;
    system->visitors_fini = visitors_fini;
    system->visitor_gone = visitor_gone;
    c->open = true;
    *ret = far;
    return ULV_OK;
}

static ulv_status
can_hand_out(const ulv_system *system, struct ulv_diag *diag)
{
    if (ulv_platform_has_links(system->host) &&
        ulv_rung_can_tell(&system->keeper.rung))
        return ULV_OK;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                    "this host hands nothing to other programs");
}

ulv_status
ulv_channel_hand_out(ulv_system *system, ulv_id channel,
                     ulv_handle *ret_admission, struct ulv_diag *diag)
{
    struct keeper *k = &system->keeper;
    struct keeper_channel *c = ulv_keeper_channel(k, channel);
    ulv_status status = can_hand_out(system, diag);

    *ret_admission = ULV_NO_HANDLE;
    if (status != ULV_OK)
        return status;
    if (c == NULL || (c->server != k->boot && c->client != k->boot) ||
        channel == system->wire.channel || c->draining)
        return ulv_fail(diag, ULV_E_NOT_FOUND, channel, 0, 0,
                        "channel %u has no end here", channel);
    if (c->open)
        return ulv_fail(diag, ULV_E_BUSY, channel, 0, 0, "channel %u is open",
                        channel);
    status = hand_out(system, c, ret_admission);
    if (status != ULV_OK)
        return ulv_fail(diag, status, channel, 0, 0,
                        "channel %u could not be handed out: %s", channel,
                        ulv_status_text(status));
    return ULV_OK;
}

static ulv_id
command_partition(const ulv_system *system)
{
    const struct keeper_partition *p = system->keeper.partitions;

    while (p != NULL && p->kind != ULV_PARTITION_COMMAND)
        p = p->next;
    return p == NULL ? 0 : p->id;
}

ulv_status
ulv_client_admit(ulv_system *system, ulv_id *ret_channel,
                 ulv_handle *ret_admission, struct ulv_diag *diag)
{
    struct ulv_operation o = { .kind = ULV_OP_CONNECT };
    ulv_status status = can_hand_out(system, diag);

    *ret_admission = ULV_NO_HANDLE;
    if (status != ULV_OK)
        return status;
    o.u.connect.channel = ulv_system_new_id(system, diag);
    if (o.u.connect.channel == 0)
        return diag == NULL ? ULV_E_LIMIT : diag->status;
    o.u.connect.server = command_partition(system);
    o.u.connect.client = system->keeper.boot;
    o.u.connect.ring_bytes = ULV_COMMAND_RING_BYTES;
    memcpy(o.u.connect.type, type_command, sizeof(type_command));
    status = ulv_system_ask(system, 0, &o, 1, diag);
    if (status != ULV_OK)
        return status;
    *ret_channel = o.u.connect.channel;
    status = ulv_channel_hand_out(system, *ret_channel, ret_admission, diag);
    if (status != ULV_OK) {
        struct ulv_operation undo = { .kind = ULV_OP_REVOKE };

        undo.u.revoke.channel = *ret_channel;
        (void)ulv_system_ask(system, 0, &undo, 1, NULL);
    }
    return status;
}
