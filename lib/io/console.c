/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "io/console.h"

#include "base/base.h"

static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;

ulv_status
ulv_console_server_start(struct ulv_console_server *server, void *p,
                         uint64_t bytes)
{
    return ulv_channel_attach_able(
        &server->end, p, bytes, ULV_END_SERVER, type_console,
        ULV_CONSOLE_TYPING && server->want != NULL ? ULV_CONSOLE_FEATURE_INPUT
                                                   : 0);
}

/* One record: what was accepted before is cut off, a gap is no stream. */
static ulv_status
accept_output(struct ulv_console_server *server,
              const struct ulv_ring_record *record)
{
    uint8_t copy[sizeof(struct ulv_console_output) + ULV_CONSOLE_OUTPUT_MAX];
    uint64_t offset, next = server->region->console_offset, len, skip;
    ulv_status status;

    if (record->type != ULV_CONSOLE_OUTPUT ||
        record->len < sizeof(struct ulv_console_output) ||
        record->len > sizeof(copy))
        return ULV_E_PEER_PROTOCOL;
    memcpy(copy, record->data, record->len);
    offset = ulv_get_le64(copy);
    len = record->len - sizeof(struct ulv_console_output);
    if (offset > next)
        return ULV_E_PEER_PROTOCOL;
    skip = next - offset;
    if (skip >= len)
        return ULV_OK; /* all of it was accepted before */
    status = server->sink(server->self, next,
                          copy + sizeof(struct ulv_console_output) + skip,
                          (size_t)(len - skip));
    if (status == ULV_OK)
        server->region->console_offset = offset + len;
    return status;
}

bool
ulv_console_server_step(struct ulv_console_server *server, uint32_t turn,
                        bool *ret_ring)
{
    if (ULV_CONSOLE_TYPING)
        ulv_console_server_ask(server);
    while (server->failed == ULV_OK && turn-- > 0) {
        struct ulv_ring_record record;
        ulv_status status = ulv_ring_rx_peek(&server->end.rx, &record);

        if (status == ULV_E_EMPTY)
            return ulv_ring_rx_wait(&server->end.rx);
        if (status == ULV_OK)
            status = accept_output(server, &record);
        if (status == ULV_E_FULL)
            return true;
        if (status != ULV_OK)
            server->failed = status;
        else if (ulv_ring_rx_release(&server->end.rx))
            *ret_ring = true;
    }
    return server->failed == ULV_OK;
}
