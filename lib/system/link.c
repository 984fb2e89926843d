/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Each end owns the queue of what was sent to it, and the event that says so.
 * A pair lives until both ends are closed; a closed end takes no messages,
 * and the other one reads what is left in its own queue first.
 */
#include "system/link.h"

#include "base/base.h"

struct message {
    struct message *next;
    size_t bytes; /* of this allocation */
    size_t len;
    uint32_t handle_count;
    ulv_handle handles[ULV_LINK_HANDLES_MAX];
    uint8_t data[];
};

struct end {
    struct ulv_link link;
    struct pair *pair;
    struct message *first, *last; /* sent to this end, not received yet */
    struct message *taken;        /* the last that was; its receiver reads it */
    uint32_t waiting;
    bool open;
};

struct pair {
    const struct ulv_host *host;
    struct end ends[2];
};

static struct end *
peer_of(struct end *end)
{
    return &end->pair->ends[end == &end->pair->ends[0] ? 1 : 0];
}

static void
free_message(const struct ulv_host *host, struct message *m)
{
    for (uint32_t i = 0; i < m->handle_count; i++)
        host->handle_close(host->self, m->handles[i]);
    host->free(host->self, m, m->bytes);
}

static ulv_status
make_message(const struct ulv_host *host, const void *data, size_t len,
             const ulv_handle *handles, uint32_t handle_count,
             struct message **ret)
{
    size_t bytes = sizeof(struct message) + len;
    struct message *m =
        host->alloc(host->self, bytes, _Alignof(struct message));
    ulv_status status;

    if (m == NULL)
        return ULV_E_NO_MEMORY;
    m->bytes = bytes;
    m->len = len;
    memcpy(m->data, data, len);
    for (uint32_t i = 0; i < handle_count; i++) {
        status = host->handle_duplicate(host->self, handles[i], &m->handles[i]);
        if (status != ULV_OK) {
            free_message(host, m);
            return status;
        }
        m->handle_count++;
    }
    *ret = m;
    return ULV_OK;
}

static ulv_status
link_send(struct ulv_link *link, const void *message, size_t len,
          const ulv_handle *handles, uint32_t handle_count)
{
    struct end *end = ULV_CONTAINER_OF(link, struct end, link);
    const struct ulv_host *host = end->pair->host;
    struct end *peer = peer_of(end);
    struct message *m = NULL;
    ulv_status status;

    if (len == 0 || len > ULV_LINK_MESSAGE_MAX ||
        handle_count > ULV_LINK_HANDLES_MAX)
        return ULV_E_LIMIT;
    if (!peer->open)
        return ULV_E_PEER_GONE;
    if (peer->waiting == ULV_LINK_QUEUE_MAX)
        return ULV_E_FULL;
    status = make_message(host, message, len, handles, handle_count, &m);
    if (status != ULV_OK)
        return status;
    if (peer->last == NULL)
        peer->first = m;
    else
        peer->last->next = m;
    peer->last = m;
    /* ready since the first of those that wait */
    if (peer->waiting++ == 0)
        host->event_signal(host->self, peer->link.readable);
    return ULV_OK;
}

static struct message *
take_message(struct end *end)
{
    struct message *m = end->first;

    if (m == NULL)
        return NULL;
    end->first = m->next;
    if (end->first == NULL)
        end->last = NULL;
    end->waiting--;
    return m;
}

static void
drop_taken(struct end *end)
{
    if (end->taken != NULL)
        free_message(end->pair->host, end->taken);
    end->taken = NULL;
}

ulv_status
ulv_link_take(struct ulv_link *link, const void **ret_message, size_t *ret_len,
              ulv_handle *handles, uint32_t *ret_handle_count)
{
    struct end *end = ULV_CONTAINER_OF(link, struct end, link);
    const struct ulv_host *host = end->pair->host;
    struct message *m = take_message(end);

    if (m == NULL)
        return peer_of(end)->open ? ULV_E_AGAIN : ULV_E_PEER_GONE;
    drop_taken(end);
    end->taken = m;
    *ret_message = m->data;
    memcpy(handles, m->handles, m->handle_count * sizeof(*handles));
    *ret_len = m->len;
    *ret_handle_count = m->handle_count;
    /* The handles are the receiver's now. */
    m->handle_count = 0;
    /* Ready as long as there is more, or the end of it, like a socket. */
    if (end->first == NULL && peer_of(end)->open)
        host->event_take(host->self, link->readable);
    return ULV_OK;
}

static ulv_status
link_receive(struct ulv_link *link, void *buf, size_t *ret_len,
             ulv_handle *handles, uint32_t *ret_handle_count)
{
    const void *message;
    ulv_status status = ulv_link_take(link, &message, ret_len, handles,
                                      ret_handle_count);

    if (status == ULV_OK)
        memcpy(buf, message, *ret_len);
    return status;
}

static void
link_close(struct ulv_link *link)
{
    struct end *end = ULV_CONTAINER_OF(link, struct end, link);
    struct pair *pair = end->pair;
    const struct ulv_host *host = pair->host;
    struct end *peer = peer_of(end);

    drop_taken(end);
    for (struct message *m; (m = take_message(end)) != NULL;)
        free_message(host, m);
    host->handle_close(host->self, link->readable);
    link->readable = ULV_NO_HANDLE;
    end->open = false;
    if (peer->open)
        host->event_signal(host->self, peer->link.readable);
    else
        host->free(host->self, pair, sizeof(*pair));
}

static const struct ulv_link_ops link_ops = {
    .send = link_send,
    .receive = link_receive,
    .close = link_close,
};

/* On a bare machine nobody is a process, and all are. */
bool
ulv_link_is_near(const struct ulv_link *link)
{
    return !ULV_RESTARTS || link->ops == &link_ops;
}

ulv_status
ulv_link_create(const struct ulv_host *host, struct ulv_link **ret_a,
                struct ulv_link **ret_b)
{
    struct pair *pair;
    ulv_status status;

    if (host->event_create == NULL || host->event_signal == NULL ||
        host->event_take == NULL || host->handle_duplicate == NULL ||
        host->handle_close == NULL)
        return ULV_E_UNSUPPORTED;
    pair = host->alloc(host->self, sizeof(*pair), _Alignof(struct pair));
    if (pair == NULL)
        return ULV_E_NO_MEMORY;
    pair->host = host;
    for (size_t i = 0; i < 2; i++) {
        pair->ends[i].link.ops = &link_ops;
        pair->ends[i].pair = pair;
        pair->ends[i].open = true;
    }
    status = host->event_create(host->self, &pair->ends[0].link.readable);
    if (status != ULV_OK)
        goto free_pair;
    status = host->event_create(host->self, &pair->ends[1].link.readable);
    if (status != ULV_OK)
        goto close_first;
    *ret_a = &pair->ends[0].link;
    *ret_b = &pair->ends[1].link;
    return ULV_OK;

close_first:
    host->handle_close(host->self, pair->ends[0].link.readable);
free_pair:
    host->free(host->self, pair, sizeof(*pair));
    return status;
}
