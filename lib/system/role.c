/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/role.h"

#include "base/base.h"

/* Messages heard in one step, so that no peer can keep a role from its work. */
#define HEAR_TURN 64

static const struct role_ops *
ops_of(uint32_t kind)
{
    switch (kind) {
    case ULV_PARTITION_ULTRAVISOR:
        return &ulv_role_ultravisor;
    case ULV_PARTITION_OPERATIONS:
        return &ulv_role_operations;
    case ULV_PARTITION_COMMAND:
        return &ulv_role_command;
    case ULV_PARTITION_IO:
        return &ulv_role_io;
    case ULV_PARTITION_GUEST:
        return &ulv_role_monitor;
    default:
        return NULL;
    }
}

ulv_status
ulv_role_create(const struct ulv_host *host, ulv_handle waits,
                struct ulv_link *link, struct role **ret)
{
    struct role *role = host->alloc(host->self, sizeof(*role), 16);

    if (role == NULL) {
        link->ops->close(link);
        return ULV_E_NO_MEMORY;
    }
    role->host = host;
    role->waits = waits;
    if (ulv_post_init(&role->post, host, waits, link) != ULV_OK) {
        host->free(host->self, role, sizeof(*role));
        return ULV_E_NO_MEMORY;
    }
    *ret = role;
    return ULV_OK;
}

static size_t
role_bytes(const struct role *role)
{
    return role->ops == NULL ? sizeof(*role) : role->ops->bytes;
}

void
ulv_role_destroy(struct role *role)
{
    if (role == NULL)
        return;
    if (role->ops != NULL)
        role->ops->fini(role);
    if (role->drop != NULL)
        role->drop(role->durable);
    ulv_post_fini(&role->post);
    role->host->free(role->host->self, role, role_bytes(role));
}

/* The first message: the role becomes what it says. */
static ulv_status
become(struct role **role_at, struct heard *heard)
{
    struct role *blank = *role_at, *role;
    const struct say_configure *configure = &heard->say.u.configure;
    const struct role_ops *ops = ops_of(configure->kind);
    const struct ulv_host *host = blank->host;
    ulv_status status;

    if (heard->say.kind != SAY_CONFIGURE || configure->build != SAY_BUILD ||
        ops == NULL)
        return ULV_E_PEER_PROTOCOL;
    role = host->alloc(host->self, ops->bytes, 16);
    if (role == NULL)
        return ULV_E_NO_MEMORY;
    *role = *blank;
    if (role->post.first == NULL)
        role->post.last = &role->post.first;
    role->ops = ops;
    role->partition = configure->partition;
    role->kind = configure->kind;
    role->processes = configure->processes != 0;
    ulv_string_copy(role->name, sizeof(role->name), configure->name);
    host->free(host->self, blank, sizeof(*blank));
    *role_at = role;
    status = ops->init(role, heard);
    /* a monitor has a machine to make before */
    if (status == ULV_OK && role->confine != NULL &&
        role->kind != ULV_PARTITION_GUEST)
        status = role->confine(role, NULL);
    return status;
}

static ulv_status
hear_one(struct role **role_at)
{
    struct heard heard;
    struct role *role = *role_at;
    ulv_status status = ulv_post_receive(&role->post, &heard);

    if (status != ULV_OK)
        return status;
    if (role->ops == NULL)
        status = become(role_at, &heard);
    else
        status = role->ops->hear(role, &heard);
    role = *role_at;
    for (uint32_t i = 0; i < heard.handle_count; i++)
        role->host->handle_close(role->host->self, heard.handle[i]);
    return status;
}

static void
rang(struct bell *bell)
{
    ULV_CONTAINER_OF(bell, struct role, bell)->rang = true;
}

ulv_status
ulv_role_listen(struct role *role, struct rung *rung)
{
    role->rung = rung;
    return ulv_rung_add(rung, &role->bell, role->post.link->readable, rang);
}

/* Whether the keeper may have said something. */
static bool
look(struct role *role, struct role_need *need)
{
    if (role->rung == NULL || !ulv_rung_can_tell(role->rung))
        return true;
    role->rang = role->post.gone;
    need->again |= ulv_rung_look(role->rung);
    return role->rang;
}

ulv_status
ulv_role_step(struct role **role_at, struct role_need *need)
{
    const uint32_t turn = look(*role_at, need) ? HEAR_TURN : 0;

    for (uint32_t i = 0; i < turn; i++) {
        ulv_status status = hear_one(role_at);

        if (status == ULV_E_AGAIN)
            break;
        if (status != ULV_OK)
            return status;
        need->again = true;
    }
    if ((*role_at)->ops != NULL)
        (*role_at)->ops->step(*role_at, need);
    ulv_post_flush(&(*role_at)->post);
    return ULV_OK;
}

void
ulv_role_tell(struct role *role, uint32_t event, ulv_id partition,
              uint64_t value, const char *text)
{
    struct say say = { .kind = SAY_EVENT };

    say.u.event.kind = event;
    say.u.event.partition = partition;
    say.u.event.value = value;
    ulv_string_copy(say.u.event.text, sizeof(say.u.event.text), text);
    ulv_post_tell(&role->post, &say, NULL, NULL, 0);
}

void
ulv_role_tell_broken(struct role *role, ulv_id channel, const char *who,
                     ulv_status why)
{
    char text[160];
    struct ulv_text line;

    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line,
                    "%s on command channel %u sent garbage and was "
                    "disconnected: %s",
                    who, channel, ulv_status_text(why));
    ulv_role_tell(role, ULV_EVENT_FAULT, role->partition, channel, text);
}
