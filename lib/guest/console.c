/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <stdarg.h>
#include <ultravisor/guest.h>

#include "base/base.h"
#include "guest/guest_priv.h"

static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;

static struct ulv_channel_end end;
static uint32_t slot;
static bool is_open;
static uint64_t offset; /* of the next byte in the stream */
static char line[512];
static size_t line_len;

bool
guest_console_open(void)
{
    is_open = guest_channel_open(&end, type_console, 0, &slot);
    return is_open;
}

static void
flush(void)
{
    uint32_t len = (uint32_t)(sizeof(offset) + line_len);
    void *record;
    ulv_status status = ULV_E_FULL;

    while (is_open && line_len > 0 && status == ULV_E_FULL) {
        status = ulv_ring_tx_reserve(&end.tx, ULV_CONSOLE_OUTPUT, len, &record);
        if (status == ULV_E_FULL && !ulv_ring_tx_wait(&end.tx, len))
            guest_wait();
    }
    if (is_open && status == ULV_OK) {
        memcpy(record, &offset, sizeof(offset));
        memcpy((uint8_t *)record + sizeof(offset), line, line_len);
        offset += line_len;
        if (ulv_ring_tx_submit(&end.tx))
            guest_signal(slot);
    }
    line_len = 0;
}

static void
put(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        line[line_len++] = bytes[i];
        if (bytes[i] == '\n' || line_len == sizeof(line))
            flush();
    }
}

void
guest_print(const char *format, ...)
{
    char text[512];
    struct ulv_text t;
    va_list arguments;

    ulv_text_init(&t, text, sizeof(text));
    va_start(arguments, format);
    ulv_text_arguments(&t, format, arguments);
    va_end(arguments);
    put(text, t.len);
}
