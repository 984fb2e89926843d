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
    client->host->free(client->host->self, client->answer,
                       ULV_COMMAND_MESSAGE_MAX);
    memset(client, 0, sizeof(*client));
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
    ulv_status status = ulv_ring_tx_reserve(&client->end.tx, kind,
                                            (uint32_t)len, ret_slot);

    if (status != ULV_OK)
        return status;
    memset(*ret_slot, 0, len);
    memcpy(*ret_slot, &header, sizeof(header));
    client->next_request++;
    client->asked = kind;
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

ulv_status
ulv_command_send_transaction(struct ulv_command_client *client,
                             uint32_t options,
                             const struct ulv_precondition *preconditions,
                             uint32_t precondition_count,
                             const struct ulv_operation *operations,
                             uint32_t operation_count, bool *ret_ring)
{
    size_t before = precondition_count * sizeof(*preconditions);
    size_t bytes = operation_count * sizeof(*operations);
    struct ulv_message_transaction *t;
    void *slot;
    ulv_status status;

    if (operation_count > ULV_OPERATION_COUNT_MAX ||
        precondition_count > ULV_PRECONDITION_COUNT_MAX)
        return ULV_E_LIMIT;
    status = begin(client, ULV_MESSAGE_TRANSACTION,
                   sizeof(*t) + before + bytes, &slot);
    if (status != ULV_OK)
        return status;
    t = slot;
    t->options = options;
    t->precondition_count = precondition_count;
    t->operation_count = operation_count;
    memcpy(t + 1, preconditions, before);
    memcpy((uint8_t *)(t + 1) + before, operations, bytes);
    finish(client, ret_ring);
    return ULV_OK;
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

static ulv_status
check_query_answer(const struct ulv_message_query_answer *answer)
{
    size_t bytes = (size_t)answer->record_count * answer->record_bytes;

    return answer->m.bytes == sizeof(*answer) + bytes ? ULV_OK
                                                      : ULV_E_PEER_LENGTH;
}

ulv_status
ulv_command_receive(struct ulv_command_client *client,
                    const struct ulv_message **ret, bool *ret_ring)
{
    struct ulv_ring_record record;
    struct ulv_message m;
    ulv_status status = ulv_ring_rx_peek(&client->end.rx, &record);

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
    status = ulv_command_decode_answer(client->answer, record.len, &m);
    if (status == ULV_OK && m.kind != record.type)
        status = ULV_E_PEER_PROTOCOL;
    if (status == ULV_OK &&
        m.kind == (ULV_MESSAGE_QUERY | ULV_MESSAGE_ANSWER))
        status = check_query_answer(client->answer);
    if (status == ULV_OK && m.request == client->next_request - 1 &&
        m.kind != (client->asked | ULV_MESSAGE_ANSWER))
        status = ULV_E_PEER_PROTOCOL;
    if (status != ULV_OK)
        return status;
    if (m.kind == (ULV_MESSAGE_HELLO | ULV_MESSAGE_ANSWER)) {
        const struct ulv_message_hello_answer *hello = client->answer;

        if (hello->status == ULV_OK) {
            client->lease_next = hello->lease_first;
            client->lease_end = hello->lease_first + ULV_ID_LEASE_COUNT;
        }
    }
    *ret = client->answer;
    return ULV_OK;
}

uint64_t
ulv_command_client_id(struct ulv_command_client *client)
{
    if (client->lease_next == client->lease_end)
        return 0;
    return client->lease_next++;
}
