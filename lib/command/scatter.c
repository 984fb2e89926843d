/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transactions of more operations than a message holds: the client's side. What
 * does not fit into the TRANSACTION is copied, and follows as the ring has room
 * for it; until all of it was sent, nothing else is.
 */
#include "command/client.h"

#include "base/base.h"

ulv_status
ulv_command_scatter_keep(struct ulv_command_client *client,
                         const struct ulv_operation *operations,
                         uint32_t count)
{
    const struct ulv_host *host = client->host;
    struct ulv_command_rest *rest = &client->rest;

    if (rest->operations != NULL)
        return ULV_E_FULL;
    rest->operations =
        host->alloc(host->self, count * sizeof(*operations), 8);
    if (rest->operations == NULL)
        return ULV_E_NO_MEMORY;
    memcpy(rest->operations, operations, count * sizeof(*operations));
    rest->count = count;
    rest->sent = 0;
    return ULV_OK;
}

void
ulv_command_scatter_drop(struct ulv_command_client *client)
{
    const struct ulv_host *host = client->host;
    struct ulv_command_rest *rest = &client->rest;

    host->free(host->self, rest->operations,
               rest->count * sizeof(*rest->operations));
    memset(rest, 0, sizeof(*rest));
}

/* The next of them, as many as a message holds. */
static ulv_status
send_some(struct ulv_command_client *client)
{
    struct ulv_command_rest *rest = &client->rest;
    const uint32_t count =
        ULV_MIN(rest->count - rest->sent, ULV_OPERATION_MESSAGE_MAX);
    const size_t bytes = count * sizeof(*rest->operations);
    const struct ulv_message_operations header = {
        .m = { .bytes = (uint32_t)(sizeof(header) + bytes),
               .kind = ULV_MESSAGE_OPERATIONS,
               .version = ULV_COMMAND_VERSION,
               .request = rest->request },
        .operation_count = count,
    };
    void *slot;
    ulv_status status;

    if (!ulv_ring_tx_wait(&client->end.tx, header.m.bytes))
        return ULV_E_FULL; /* the server rings when there is room */
    status = ulv_ring_tx_reserve(&client->end.tx, header.m.kind,
                                 header.m.bytes, &slot);
    if (status != ULV_OK)
        return status;
    memcpy(slot, &header, sizeof(header));
    memcpy((uint8_t *)slot + sizeof(header), rest->operations + rest->sent,
           bytes);
    rest->sent += count;
    return ULV_OK;
}

ulv_status
ulv_command_scatter(struct ulv_command_client *client, bool *ret_ring)
{
    const struct ulv_command_rest *rest = &client->rest;

    while (rest->operations != NULL) {
        ulv_status status = send_some(client);

        if (status != ULV_OK)
            return status == ULV_E_FULL ? ULV_OK : status;
        if (ulv_ring_tx_submit(&client->end.tx))
            *ret_ring = true;
        if (rest->sent == rest->count)
            ulv_command_scatter_drop(client);
    }
    return ULV_OK;
}
