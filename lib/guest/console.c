/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <stdarg.h>
#include <ultravisor/abi/console.h>
#include <ultravisor/guest.h>

#include "base/base.h"
#include "guest/format.h"
#include "guest/guest_priv.h"

static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;

static struct guest_channel channel;
static bool is_open;
static uint64_t offset; /* of the next byte in the stream */
static uint64_t input_offset; /* the same of what is read */
static char line[512];
static size_t line_len;

bool
guest_console_open(void)
{
    struct ulv_view_channel found;

    is_open = guest_channel_find(type_console, 0, &found) &&
              guest_channel_attach_able(&channel, &found,
                                        ULV_CONSOLE_FEATURE_INPUT) == ULV_OK;
    return is_open;
}

static void
flush(void)
{
    uint8_t record[sizeof(offset) + sizeof(line)];

    memcpy(record, &offset, sizeof(offset));
    memcpy(record + sizeof(offset), line, line_len);
    if (is_open && line_len > 0 &&
        guest_channel_send(&channel, ULV_CONSOLE_OUTPUT, record,
                           (uint32_t)(sizeof(offset) + line_len)) == 0)
        offset += line_len;
    line_len = 0;
}

static void
put(void *self, const char *bytes, size_t len)
{
    (void)self;
    for (size_t i = 0; i < len; i++) {
        line[line_len++] = bytes[i];
        if (bytes[i] == '\n' || line_len == sizeof(line))
            flush();
    }
}

void
guest_console_flush(void)
{
    flush();
}

void
guest_print(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)guest_format_to(put, NULL, format, arguments);
    va_end(arguments);
}

/* ---- input --------------------------------------------------------------- */

/* The part of a record that was not read yet. A successor of a server may say
 * again what that had said; a gap is no stream. PEER_PROTOCOL, or its bytes. */
static int32_t
find_unread(const struct guest_record *record, const uint8_t **ret_at,
            uint64_t *ret_len)
{
    struct ulv_console_input head;
    uint64_t skip;

    if (record->type != ULV_CONSOLE_INPUT || record->len <= sizeof(head) ||
        record->len > sizeof(head) + ULV_CONSOLE_INPUT_MAX)
        return ULV_E_PEER_PROTOCOL;
    memcpy(&head, record->data, sizeof(head));
    if (head.offset > input_offset)
        return ULV_E_PEER_PROTOCOL;
    skip = ULV_MIN(input_offset - head.offset, record->len - sizeof(head));
    *ret_at = (const uint8_t *)record->data + sizeof(head) + skip;
    *ret_len = record->len - sizeof(head) - skip;
    return ULV_OK;
}

/* What is there now. EMPTY: nothing. */
static int32_t
take(void *buf, uint32_t size, uint32_t *ret_len)
{
    struct guest_record record;
    const uint8_t *at;
    uint64_t len;
    int32_t status;

    for (;;) {
        status = guest_channel_peek(&channel, &record);
        if (status == ULV_OK)
            status = find_unread(&record, &at, &len);
        if (status != ULV_OK)
            return status;
        *ret_len = (uint32_t)ULV_MIN(len, (uint64_t)size);
        memcpy(buf, at, *ret_len);
        input_offset += *ret_len;
        if (*ret_len == len)
            guest_channel_release(&channel);
        if (len != 0)
            return ULV_OK;
    }
}

/* Whether somebody serves the console who does not give input. */
static bool
has_no_input(void)
{
    const struct ulv_channel_end *end = &line_seen(&channel)->end;

    return ulv_channel_peer_state(end) == ULV_END_ATTACHED &&
           (ulv_channel_peer_features(end) & ULV_CONSOLE_FEATURE_INPUT) == 0;
}

int32_t
guest_console_read(void *buf, uint32_t size, uint32_t *ret_len, uint64_t time)
{
    int32_t status;

    *ret_len = 0;
    if (!is_open)
        return ULV_E_STATE;
    flush();
    for (;;) {
        status = take(buf, size, ret_len);
        if (status == ULV_OK)
            return status;
        if (status != ULV_E_EMPTY)
            break;
        if (has_no_input())
            return ULV_E_UNSUPPORTED;
        if (guest_channel_ask(&channel))
            continue;
        if (guest_time() >= time)
            return ULV_E_TIMEOUT;
        (void)guest_wait_until(time);
    }
    guest_channel_fail(&channel, status);
    is_open = false;
    return status;
}

struct guest_channel *
guest_console_channel(void)
{
    return &channel;
}
