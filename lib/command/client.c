/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "command/client.h"

#include "base/base.h"

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;

ulv_status
ulv_command_client_init(struct ulv_command_client *client,
                        const struct ulv_host *host, void *p, uint64_t bytes)
{
    ulv_status status;

    memset(client, 0, sizeof(*client));
    client->answer = host->alloc(host->self, ULV_COMMAND_MESSAGE_MAX, 8);
    if (client->answer == NULL)
        return ULV_E_NO_MEMORY;
    client->host = host;
    client->next_request = 1;
    if (host->entropy != NULL)
        host->entropy(host->self, client->session, sizeof(client->session));
    status = ulv_channel_attach(&client->end, p, bytes, ULV_END_CLIENT,
                                type_command);
    if (status != ULV_OK)
        ulv_command_client_fini(client);
    return status;
}

void
ulv_command_client_fini(struct ulv_command_client *client)
{
    if (client->host == NULL)
        return;
    ulv_channel_detach(&client->end);
    if (ULV_LARGE_TRANSACTIONS)
        ulv_command_scatter_drop(client);
    client->host->free(client->host->self, client->answer,
                       ULV_COMMAND_MESSAGE_MAX);
    memset(client, 0, sizeof(*client));
}

ulv_status
ulv_command_client_again(struct ulv_command_client *client, void *p,
                         uint64_t bytes)
{
    ulv_channel_detach(&client->end);
    if (ULV_LARGE_TRANSACTIONS)
        ulv_command_scatter_drop(client);
    memset(client->asked, 0, sizeof(client->asked));
    memset(client->watch, 0, sizeof(client->watch));
    return ulv_channel_attach(&client->end, p, bytes, ULV_END_CLIENT,
                              type_command);
}

#define ANSWERED 0x8000u /* beside a kind in asked */

/* Where the kind of a request is kept; NULL: it is none of the latest. */
static uint16_t *
asked_at(struct ulv_command_client *client, uint64_t number)
{
    if (client->next_request - number - 1 >= ULV_COMMAND_UNDER_WAY_MAX)
        return NULL;
    return &client->asked[number % ULV_COMMAND_UNDER_WAY_MAX];
}

/* Room for a message with its header filled in. */
static ulv_status
begin(struct ulv_command_client *client, uint16_t kind, size_t len,
      void **ret_slot)
{
    struct ulv_message header = { .bytes = (uint32_t)len,
                                  .kind = kind,
                                  .version = ULV_COMMAND_VERSION,
                                  .request = client->next_request };
    uint16_t *asked =
        &client->asked[client->next_request % ULV_COMMAND_UNDER_WAY_MAX];
    ulv_status status;

    if (*asked != 0 && (*asked & ANSWERED) == 0)
        return ULV_E_FULL;
    if (ulv_command_is_scattering(client))
        return ULV_E_FULL;
    status = ulv_ring_tx_reserve(&client->end.tx, kind, (uint32_t)len,
                                 ret_slot);
    if (status != ULV_OK)
        return status;
    memset(*ret_slot, 0, len);
    memcpy(*ret_slot, &header, sizeof(header));
    client->next_request++;
    *asked = kind;
    return ULV_OK;
}

static void
finish(struct ulv_command_client *client, bool *ret_ring)
{
    if (ulv_ring_tx_submit(&client->end.tx))
        *ret_ring = true;
}

ulv_status
ulv_command_send_hello(struct ulv_command_client *client, bool *ret_ring)
{
    struct ulv_message_hello *hello;
    void *slot;
    ulv_status status = begin(client, ULV_MESSAGE_HELLO, sizeof(*hello), &slot);

    if (status != ULV_OK)
        return status;
    hello = slot;
    memcpy(hello->session, client->session, sizeof(hello->session));
    finish(client, ret_ring);
    return ULV_OK;
}

/* The TRANSACTION itself, with the first of its operations. */
static ulv_status
send_first(struct ulv_command_client *client,
           const struct ulv_command_transaction *from, uint32_t first,
           bool *ret_ring)
{
    size_t before = from->precondition_count * sizeof(*from->preconditions);
    size_t bytes = first * sizeof(*from->operations);
    struct ulv_message_transaction *t;
    void *slot;
    ulv_status status;

    status = begin(client, ULV_MESSAGE_TRANSACTION,
                   sizeof(*t) + before + bytes, &slot);
    if (status != ULV_OK)
        return status;
    t = slot;
    t->options = from->options;
    t->precondition_count = from->precondition_count;
    t->operation_count = first;
    if (ULV_LARGE_TRANSACTIONS)
        t->more = from->operation_count - first;
    t->deadline = from->deadline;
    if (before != 0)
        memcpy(t + 1, from->preconditions, before);
    if (bytes != 0)
        memcpy((uint8_t *)(t + 1) + before, from->operations, bytes);
    finish(client, ret_ring);
    return ULV_OK;
}

/* One with more operations than a message holds. */
static ulv_status
send_large(struct ulv_command_client *client,
           const struct ulv_command_transaction *from, bool *ret_ring)
{
    const uint32_t first = ULV_OPERATION_MESSAGE_MAX;
    ulv_status status = ulv_command_scatter_keep(
        client, from->operations + first, from->operation_count - first);

    if (status != ULV_OK)
        return status;
    status = send_first(client, from, first, ret_ring);
    if (status != ULV_OK) {
        ulv_command_scatter_drop(client);
        return status;
    }
    client->rest.request = client->next_request - 1;
    return ulv_command_scatter(client, ret_ring);
}

ulv_status
ulv_command_send_transaction(struct ulv_command_client *client,
                             const struct ulv_command_transaction *from,
                             bool *ret_ring)
{
    if (from->operation_count > ULV_COMMAND_OPERATIONS_MAX ||
        from->precondition_count > ULV_PRECONDITION_COUNT_MAX)
        return ULV_E_LIMIT;
    if (ULV_LARGE_TRANSACTIONS &&
        from->operation_count > ULV_OPERATION_MESSAGE_MAX)
        return send_large(client, from, ret_ring);
    return send_first(client, from, from->operation_count, ret_ring);
}

ulv_status
ulv_command_send_again(struct ulv_command_client *client, uint64_t number,
                       const struct ulv_command_transaction *transaction,
                       bool *ret_ring)
{
    const uint64_t next = client->next_request;
    ulv_status status;

    client->next_request = number;
    status = ulv_command_send_transaction(client, transaction, ret_ring);
    client->next_request = next;
    return status;
}

ulv_status
ulv_command_send_query(struct ulv_command_client *client, uint32_t kind,
                       uint64_t after, bool *ret_ring)
{
    struct ulv_message_query *query;
    void *slot;
    ulv_status status = begin(client, ULV_MESSAGE_QUERY, sizeof(*query), &slot);

    if (status != ULV_OK)
        return status;
    query = slot;
    query->kind = kind;
    query->after = after;
    finish(client, ret_ring);
    return ULV_OK;
}

ulv_status
ulv_command_send_cursor(struct ulv_command_client *client,
                        const struct ulv_command_reading *reading,
                        bool *ret_ring)
{
    struct ulv_message_cursor *cursor;
    void *slot;
    ulv_status status =
        begin(client, ULV_MESSAGE_CURSOR, sizeof(*cursor), &slot);

    if (status != ULV_OK)
        return status;
    cursor = slot;
    cursor->what = reading->what;
    cursor->kinds = reading->kinds;
    cursor->cursor = reading->cursor;
    cursor->partition = reading->partition;
    finish(client, ret_ring);
    return ULV_OK;
}

/* Where that one is noted; 0: a place for another. NULL: none. */
static struct ulv_command_watched *
watch_at(struct ulv_command_client *client, uint64_t number)
{
    for (size_t i = 0; i < ULV_COUNT_OF(client->watch); i++) {
        if (client->watch[i].number == number)
            return &client->watch[i];
    }
    return NULL;
}

/* Its events are heeded no more. */
static void
unwatch(struct ulv_command_client *client, uint64_t number)
{
    struct ulv_command_watched *at =
        number == 0 ? NULL : watch_at(client, number);

    if (at != NULL)
        at->number = 0;
}

ulv_status
ulv_command_send_cancel(struct ulv_command_client *client, uint64_t target,
                        bool *ret_ring)
{
    struct ulv_message_cancel *cancel;
    void *slot;
    ulv_status status =
        begin(client, ULV_MESSAGE_CANCEL, sizeof(*cancel), &slot);

    if (status != ULV_OK)
        return status;
    cancel = slot;
    cancel->target = target;
    unwatch(client, target);
    finish(client, ret_ring);
    return ULV_OK;
}

/* ---- answers ------------------------------------------------------------- */

static void
take_lease(struct ulv_command_client *client)
{
    const struct ulv_message_hello_answer *hello = client->answer;

    if (hello->status != ULV_OK)
        return;
    client->lease_next = hello->lease_first;
    client->lease_end = hello->lease_first + ULV_ID_LEASE_COUNT;
}

/* Take what a decoded message means for us. */
static ulv_status
take(struct ulv_command_client *client, const struct ulv_message *m)
{
    uint16_t *asked = asked_at(client, m->request);

    if (client->heed != NULL && client->heed(client, m) != ULV_OK)
        return ULV_E_PEER_PROTOCOL;
    if (m->kind == ULV_MESSAGE_EVENT)
        return ULV_OK;
    if (asked != NULL && *asked != 0) {
        if (m->kind != ((*asked & ~ANSWERED) | ULV_MESSAGE_ANSWER))
            return ULV_E_PEER_PROTOCOL;
        *asked |= ANSWERED;
    }
    if (m->kind == (ULV_MESSAGE_HELLO | ULV_MESSAGE_ANSWER))
        take_lease(client);
    return ULV_OK;
}

ulv_status
ulv_command_receive(struct ulv_command_client *client,
                    const struct ulv_message **ret, bool *ret_ring)
{
    const struct ulv_message *m = client->answer;
    struct ulv_ring_record record;
    ulv_status status = ULV_OK;

    if (ULV_LARGE_TRANSACTIONS)
        status = ulv_command_scatter(client, ret_ring);
    if (status == ULV_OK)
        status = ulv_ring_rx_peek(&client->end.rx, &record);
    if (status == ULV_E_EMPTY && ulv_ring_rx_wait(&client->end.rx))
        status = ulv_ring_rx_peek(&client->end.rx, &record);
    if (status == ULV_E_EMPTY &&
        ulv_channel_peer_state(&client->end) == ULV_END_FAILED)
        return ULV_E_PEER_PROTOCOL; /* it disconnected us: no answer comes */
    if (status != ULV_OK)
        return status;
    if (record.len > ULV_COMMAND_MESSAGE_MAX)
        return ULV_E_PEER_LENGTH;
    memcpy(client->answer, record.data, record.len);
    if (ulv_ring_rx_release(&client->end.rx))
        *ret_ring = true;
    status = ulv_command_decode_answer(client->answer, record.len);
    if (status == ULV_OK && m->kind != record.type)
        status = ULV_E_PEER_PROTOCOL;
    if (status == ULV_OK)
        status = take(client, m);
    if (status == ULV_OK)
        *ret = m;
    return status;
}

uint64_t
ulv_command_client_id(struct ulv_command_client *client)
{
    if (client->lease_next == client->lease_end)
        return 0;
    return client->lease_next++;
}

/* ---- watching ------------------------------------------------------------ */

/* An event of a WATCH is the next one of it. */
static ulv_status
heed(struct ulv_command_client *client, const struct ulv_message *m)
{
    const struct ulv_message_watch_answer *answer = (const void *)m;
    const struct ulv_message_event *event = (const void *)m;
    struct ulv_command_watched *at = watch_at(client, m->request);

    if (m->request == 0 || at == NULL)
        return ULV_OK;
    if (m->kind == ULV_MESSAGE_EVENT)
        return event->sequence == ++at->sequence ? ULV_OK : ULV_E_PEER_PROTOCOL;
    if (m->kind == (ULV_MESSAGE_WATCH | ULV_MESSAGE_ANSWER) &&
        answer->status != ULV_OK)
        at->number = 0;
    return ULV_OK;
}

ulv_status
ulv_command_send_watch(struct ulv_command_client *client,
                       const struct ulv_command_watching *watching,
                       bool *ret_ring)
{
    struct ulv_message_watch *watch;
    struct ulv_command_watched *at = watch_at(client, 0);
    void *slot;
    ulv_status status;

    if (at == NULL)
        return ULV_E_LIMIT;
    status = begin(client, ULV_MESSAGE_WATCH, sizeof(*watch), &slot);
    if (status != ULV_OK)
        return status;
    watch = slot;
    watch->after = watching->after;
    watch->partition = watching->partition;
    watch->kinds = watching->kinds;
    memcpy(watch->key, watching->key, sizeof(watch->key));
    memcpy(watch->value, watching->value, sizeof(watch->value));
    at->number = client->next_request - 1;
    at->sequence = 0;
    client->heed = heed;
    finish(client, ret_ring);
    return ULV_OK;
}
