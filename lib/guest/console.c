/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <stdarg.h>
#include <ultravisor/guest.h>

#include "base/base.h"
#include "guest/format.h"
#include "guest/guest_priv.h"

static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;

static struct guest_channel channel;
static bool is_open;
static uint64_t offset; /* of the next byte in the stream */
static char line[512];
static size_t line_len;

bool
guest_console_open(void)
{
    is_open = guest_channel_open(&channel, type_console, 0);
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
