/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What is typed is kept by who typed it until region->input_offset says that it
 * is in the ring. It is put there first and noted then: a successor of a server
 * that died in between puts it there again, at the same place of the stream,
 * and the client leaves out what it has read. So nothing has to be kept here:
 * there is room for what was asked for, since nobody else sends in this ring.
 */
#include "base/base.h"
#include "io/console.h"

#define RECORD_MAX                                                             \
    (uint32_t)(sizeof(struct ulv_console_input) + ULV_CONSOLE_INPUT_MAX)

void
ulv_console_server_ask(struct ulv_console_server *server)
{
    const uint32_t features = ULV_CONSOLE_FEATURE_INPUT;

    if (server->failed != ULV_OK || server->asked || server->want == NULL ||
        (ulv_channel_peer_features(&server->end) & features) == 0 ||
        !ulv_ring_tx_wait(&server->end.tx, RECORD_MAX))
        return;
    server->failed = server->end.tx.closed;
    if (server->failed != ULV_OK)
        return;
    server->asked = true;
    server->want(server->self, server->region->input_offset);
}

void
ulv_console_server_input(struct ulv_console_server *server, uint64_t offset,
                         const void *bytes, size_t len, bool *ret_ring)
{
    struct ulv_takeover_region *region = server->region;
    uint8_t *record;
    void *slot;
    ulv_status status;

    if (!server->asked || offset != region->input_offset || len == 0 ||
        len > ULV_CONSOLE_INPUT_MAX)
        return;
    status = ulv_ring_tx_reserve(&server->end.tx, ULV_CONSOLE_INPUT,
                                 (uint32_t)(sizeof(offset) + len), &slot);
    if (status != ULV_OK) {
        server->failed = status;
        return;
    }
    record = slot;
    memcpy(record, &offset, sizeof(offset));
    memcpy(record + sizeof(offset), bytes, len);
    if (ulv_ring_tx_submit(&server->end.tx))
        *ret_ring = true;
    /* pairs with a successor's look at it: the ring has these bytes */
    __atomic_store_n(&region->input_offset, offset + len, __ATOMIC_RELEASE);
    server->asked = false;
}
