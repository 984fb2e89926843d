/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A program that has no system, on a command channel that it was admitted to.
 *
 * Invariant: before it sleeps it has asked to be rung and looked again; the
 * link, over which nothing is said after the admission, is watched with the
 * doorbell, so the end of the other program wakes it too. What lies in the ring
 * is heard before its end is.
 */
#include <ultravisor/abi/admission.h>
#include <ultravisor/client.h>
#include <ultravisor/sys/platform.h>

#include "base/base.h"
#include "command/client.h"
#include "system/watch.h"

struct ulv_client {
    const struct ulv_host *host;
    struct ulv_link *link;
    /* own_bell is watched, and the link */
    ulv_handle waits, own_bell, peer_bell;
    bool watched[2];
    void *p;
    uint64_t bytes;
    struct ulv_command_client command;
    bool attached;
    bool gone; /* the link says so */
    uint8_t scratch[ULV_LINK_MESSAGE_MAX];
};

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;

/* ---- opening ------------------------------------------------------------- */

static ulv_status
check_admission(const struct ulv_client *client,
                const struct ulv_admission *admission, size_t len,
                uint32_t handle_count, struct ulv_diag *diag)
{
    if (len != sizeof(*admission) || handle_count != 3 ||
        admission->magic != ULV_ADMISSION_MAGIC ||
        admission->version != ULV_ADMISSION_VERSION)
        return ulv_fail(diag, ULV_E_PEER_PROTOCOL, 0, len, sizeof(*admission),
                        "what was handed over is no admission");
    if (admission->end != ULV_END_CLIENT ||
        !ulv_guid_equal(admission->type, type_command))
        return ulv_fail(diag, ULV_E_PEER_PROTOCOL, admission->channel,
                        admission->end, ULV_END_CLIENT,
                        "channel %u is no command channel, or this is not its "
                        "client's end",
                        admission->channel);
    if (admission->bytes != client->bytes)
        return ulv_fail(diag, ULV_E_PEER_PROTOCOL, admission->channel,
                        admission->bytes, client->bytes,
                        "channel %u is said to have %u bytes, its memory has "
                        "%u",
                        admission->channel, admission->bytes, client->bytes);
    return ULV_OK;
}

static ulv_status
watch_both(ulv_client *client)
{
    const struct ulv_host *host = client->host;
    const ulv_handle handle[2] = { client->own_bell, client->link->readable };
    ulv_status status = host->wait_create(host->self, &client->waits);

    for (uint32_t i = 0; i < 2 && status == ULV_OK; i++) {
        status = host->watch(host->self, client->waits, handle[i]);
        client->watched[i] = status == ULV_OK;
    }
    return status;
}

/* The message that lies there already, and what came with it. */
static ulv_status
take_admission(ulv_client *client, struct ulv_diag *diag)
{
    const struct ulv_host *host = client->host;
    ulv_handle handles[ULV_LINK_HANDLES_MAX];
    struct ulv_admission admission = { .magic = 0 };
    uint32_t count = 0;
    size_t len = 0;
    ulv_status status = client->link->ops->receive(
        client->link, client->scratch, &len, handles, &count);

    if (status != ULV_OK)
        return ulv_fail(diag, status == ULV_E_AGAIN ? ULV_E_ARG : status, 0, 0,
                        0, "no admission came: %s", ulv_status_text(status));
    memcpy(&admission, client->scratch, ULV_MIN(len, sizeof(admission)));
    if (count == 3)
        status = host->memory_bytes(host->self, handles[0], &client->bytes);
    if (status == ULV_OK)
        status = check_admission(client, &admission, len, count, diag);
    if (status == ULV_OK)
        status = host->memory_map(host->self, handles[0], 0, client->bytes,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                                  &client->p);
    if (status == ULV_OK) {
        client->own_bell = handles[1];
        client->peer_bell = handles[2];
        count = 1; /* of those that are closed here */
        status = watch_both(client);
    }
    for (uint32_t i = 0; i < count; i++)
        host->handle_close(host->self, handles[i]);
    return status;
}

static void
ring_server(const ulv_client *client, bool ring)
{
    if (ring)
        client->host->event_signal(client->host->self, client->peer_bell);
}

static ulv_status
greet(ulv_client *client, ulv_nsec deadline)
{
    struct ulv_client_answer answer = { .size = sizeof(answer) };
    uint64_t request;
    ulv_status status = ulv_client_greet(client, &request);

    ring_server(client, true); /* a predecessor may have died before it did */
    while (status == ULV_OK) {
        status = ulv_client_receive(client, &answer);
        if (status == ULV_OK && answer.request == request)
            return answer.status;
        if (status == ULV_E_EMPTY)
            status = ulv_client_wait(client, deadline);
    }
    return status;
}

static ulv_status
open_client(ulv_client *client, ulv_handle admission, ulv_nsec deadline,
            struct ulv_diag *diag)
{
    const struct ulv_host *host = client->host;
    ulv_status status = host->platform->link_open(host, admission,
                                                  &client->link);

    if (status != ULV_OK) {
        host->handle_close(host->self, admission);
        return ulv_fail(diag, status, 0, 0, 0,
                        "this is no descriptor that admits: %s",
                        ulv_status_text(status));
    }
    status = take_admission(client, diag);
    if (status == ULV_OK)
        status = ulv_command_client_init(&client->command, host, client->p,
                                         client->bytes);
    client->attached = status == ULV_OK;
    if (status == ULV_OK)
        status = greet(client, deadline);
    if (status != ULV_OK && (diag == NULL || diag->status == ULV_OK))
        return ulv_fail(diag, status, 0, 0, 0,
                        "the command channel could not be opened: %s",
                        ulv_status_text(status));
    return status;
}

ulv_status
ulv_client_open(const struct ulv_host *host, ulv_handle admission,
                ulv_nsec deadline, ulv_client **ret_client,
                struct ulv_diag *diag)
{
    ulv_client *client = NULL;
    ulv_status status;

    *ret_client = NULL;
    if (diag != NULL)
        diag->status = ULV_OK;
    if (!ulv_platform_has_links(host))
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                        "this host hands nothing to other programs");
    client = host->alloc(host->self, sizeof(*client), 16);
    if (client == NULL) {
        host->handle_close(host->self, admission);
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*client), 0,
                        "no memory for a client");
    }
    client->host = host;
    client->waits = client->own_bell = client->peer_bell = ULV_NO_HANDLE;
    status = open_client(client, admission, deadline, diag);
    if (status != ULV_OK)
        ulv_client_close(client);
    else
        *ret_client = client;
    return status;
}

static void
close_handle(const ulv_client *client, ulv_handle h, bool watched)
{
    const struct ulv_host *host = client->host;

    if (h == ULV_NO_HANDLE)
        return;
    if (watched)
        host->unwatch(host->self, client->waits, h);
    host->handle_close(host->self, h);
}

void
ulv_client_close(ulv_client *client)
{
    const struct ulv_host *host;

    if (client == NULL)
        return;
    host = client->host;
    if (client->attached)
        ulv_command_client_fini(&client->command);
    close_handle(client, client->own_bell, client->watched[0]);
    close_handle(client, client->peer_bell, false);
    if (client->watched[1])
        host->unwatch(host->self, client->waits, client->link->readable);
    if (client->link != NULL)
        client->link->ops->close(client->link);
    close_handle(client, client->waits, false);
    if (client->p != NULL)
        host->memory_unmap(host->self, client->p, client->bytes);
    host->free(host->self, client, sizeof(*client));
}

/* ---- asking -------------------------------------------------------------- */

/* After a request was put: what became of it. */
static ulv_status
sent(ulv_client *client, ulv_status status, bool ring, uint64_t *ret_request)
{
    ring_server(client, ring);
    if (status == ULV_OK)
        *ret_request = client->command.next_request - 1;
    return status;
}

ulv_id
ulv_client_id(ulv_client *client)
{
    return ulv_command_client_id(&client->command);
}

ulv_status
ulv_client_greet(ulv_client *client, uint64_t *ret_request)
{
    bool ring = false;
    ulv_status status = ulv_command_send_hello(&client->command, &ring);

    return sent(client, status, ring, ret_request);
}

ulv_status
ulv_client_transact(ulv_client *client,
                    const struct ulv_client_transaction *from,
                    uint64_t *ret_request)
{
    const struct ulv_command_transaction transaction = {
        .options = from->options,
        .precondition_count = from->precondition_count,
        .operation_count = from->operation_count,
        .deadline = from->deadline,
        .preconditions = from->preconditions,
        .operations = from->operations,
    };
    bool ring = false;
    ulv_status status = ulv_command_send_transaction(&client->command,
                                                     &transaction, &ring);

    return sent(client, status, ring, ret_request);
}

ulv_status
ulv_client_query(ulv_client *client, uint32_t kind, uint64_t after,
                 uint64_t *ret_request)
{
    bool ring = false;
    ulv_status status =
        ulv_command_send_query(&client->command, kind, after, &ring);

    return sent(client, status, ring, ret_request);
}

ulv_status
ulv_client_cancel(ulv_client *client, uint64_t target, uint64_t *ret_request)
{
    bool ring = false;
    ulv_status status =
        ulv_command_send_cancel(&client->command, target, &ring);

    return sent(client, status, ring, ret_request);
}

ulv_status
ulv_client_watch(ulv_client *client, const struct ulv_watch_opts *opts,
                 uint64_t *ret_request)
{
    struct ulv_command_watching watching;
    bool ring = false;
    ulv_status status = ulv_watch_asked(opts, &watching, NULL);

    if (status != ULV_OK)
        return status;
    status = ulv_command_send_watch(&client->command, &watching, &ring);
    return sent(client, status, ring, ret_request);
}

/* ---- answers ------------------------------------------------------------- */

static void
fill_transaction(const struct ulv_message_transaction_answer *from,
                 struct ulv_client_answer *ret)
{
    ret->operation_idx = from->operation_idx;
    ret->revision = from->revision;
    ret->diag.object = from->object;
    ret->diag.value = from->value;
    ret->diag.bound = from->bound;
    ulv_string_copy(ret->diag.text, sizeof(ret->diag.text), from->text);
}

static void
fill_query(const struct ulv_message_query_answer *from,
           struct ulv_client_answer *ret)
{
    ret->revision = from->revision;
    ret->records = from + 1;
    ret->record_bytes = from->record_bytes;
    ret->record_count = from->record_count;
    ret->more = from->more;
}

static void
fill_event(const struct ulv_message_event *from, struct ulv_client_answer *ret)
{
    ret->kind = ULV_MESSAGE_EVENT;
    ret->status = ULV_OK;
    ret->revision = from->change.revision;
    ret->sequence = from->sequence;
    ret->more = from->more;
    ret->change = from->change;
}

static void
fill(const struct ulv_message *m, struct ulv_client_answer *ret)
{
    const struct ulv_message_hello_answer *any = (const void *)m;

    memset(ret, 0, sizeof(*ret));
    ret->size = sizeof(*ret);
    ret->diag.size = sizeof(ret->diag);
    ret->kind = m->kind & ~ULV_MESSAGE_ANSWER;
    ret->request = m->request;
    ret->operation_idx = UINT32_MAX;
    ret->status = any->status; /* all answers have it there */
    if (m->kind == ULV_MESSAGE_EVENT) {
        fill_event((const void *)m, ret);
    } else if (ret->kind == ULV_MESSAGE_TRANSACTION) {
        fill_transaction((const void *)m, ret);
    } else if (ret->kind == ULV_MESSAGE_QUERY) {
        fill_query((const void *)m, ret);
    } else if (ret->kind == ULV_MESSAGE_HELLO) {
        ret->revision = any->revision;
    } else if (ret->kind == ULV_MESSAGE_WATCH) {
        ret->revision = ((const struct ulv_message_watch_answer *)(const void *)
                             m)->after;
    }
    ret->diag.status = ret->status;
}

/* Nobody is there, or will be, who could answer. */
static bool
is_over(const ulv_client *client)
{
    const struct ulv_channel_end *end = &client->command.end;
    uint32_t state = ulv_channel_peer_state(end);

    return client->gone || state == ULV_END_REVOKED ||
           (state == ULV_END_DETACHED && ulv_channel_peer_was_there(end));
}

ulv_status
ulv_client_receive(ulv_client *client, struct ulv_client_answer *ret)
{
    const struct ulv_message *m = NULL;
    bool ring = false;
    ulv_status status;

    if (ret->size != sizeof(*ret))
        return ULV_E_ARG;
    status = ulv_command_receive(&client->command, &m, &ring);
    ring_server(client, ring);
    if (status == ULV_OK)
        fill(m, ret);
    /* memory that was taken back has impossible indices: no fault of theirs */
    else if (is_over(client))
        status = ULV_E_PEER_GONE;
    return status;
}

/* What woke us; the link has nothing more to say but that it is over. */
static void
take_bells(ulv_client *client)
{
    const struct ulv_host *host = client->host;
    ulv_handle handles[ULV_LINK_HANDLES_MAX];
    uint32_t count = 0;
    size_t len;

    (void)host->event_take(host->self, client->own_bell);
    if (client->gone || client->link->ops->receive(client->link,
                                                   client->scratch, &len,
                                                   handles,
                                                   &count) == ULV_E_AGAIN)
        return;
    client->gone = true;
    for (uint32_t i = 0; i < count; i++)
        host->handle_close(host->self, handles[i]);
}

ulv_status
ulv_client_wait(ulv_client *client, ulv_nsec deadline)
{
    const struct ulv_host *host = client->host;
    struct ulv_channel_end *end = &client->command.end;
    struct ulv_ring_record record;

    for (;;) {
        bool ring = false;
        ulv_status status = ulv_command_scatter(&client->command, &ring);

        ring_server(client, ring);
        if (status == ULV_OK)
            status = ulv_ring_rx_peek(&end->rx, &record);
        if (status != ULV_E_EMPTY || is_over(client) ||
            ulv_channel_peer_state(end) == ULV_END_FAILED)
            return ULV_OK;
        if (ulv_ring_rx_wait(&end->rx))
            continue;
        status = host->wait(host->self, client->waits, deadline);
        take_bells(client);
        if (status == ULV_E_TIMEOUT &&
            ulv_ring_rx_peek(&end->rx, &record) != ULV_E_EMPTY)
            return ULV_OK;
        if (status != ULV_OK)
            return status;
    }
}

ulv_handle
ulv_client_handle(const ulv_client *client)
{
    return client->waits;
}
