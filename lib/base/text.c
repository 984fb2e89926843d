/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/base.h"

size_t
ulv_string_length(const char *s, size_t limit)
{
    size_t len = 0;

    while (len < limit && s[len] != '\0')
        len++;
    return len;
}

bool
ulv_string_equal(const char *a, const char *b, size_t limit)
{
    size_t len = ulv_string_length(a, limit);

    return len == ulv_string_length(b, limit) && memcmp(a, b, len) == 0;
}

void
ulv_string_copy(char *to, size_t size, const char *from)
{
    size_t len = ulv_string_length(from, size - 1);

    memcpy(to, from, len);
    memset(to + len, 0, size - len);
}

void
ulv_text_init(struct ulv_text *t, char *buf, size_t size)
{
    t->buf = buf;
    t->size = size;
    t->len = 0;
    buf[0] = '\0';
}

void
ulv_text_bytes(struct ulv_text *t, const char *s, size_t len)
{
    size_t room = t->size - 1 - t->len;

    if (len > room)
        len = room;
    memcpy(t->buf + t->len, s, len);
    t->len += len;
    t->buf[t->len] = '\0';
}

void
ulv_text_string(struct ulv_text *t, const char *s)
{
    ulv_text_bytes(t, s, ulv_string_length(s, t->size));
}

static void
text_number(struct ulv_text *t, uint64_t n, uint64_t base)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n != 0);
    ulv_text_bytes(t, digits + at, sizeof(digits) - at);
}

void
ulv_text_decimal(struct ulv_text *t, uint64_t n)
{
    text_number(t, n, 10);
}

void
ulv_text_hex(struct ulv_text *t, uint64_t n)
{
    ulv_text_string(t, "0x");
    text_number(t, n, 16);
}

void
ulv_text_size(struct ulv_text *t, uint64_t bytes)
{
    static const char *const unit[] = { " B", " KiB", " MiB", " GiB", " TiB" };
    size_t i = 0;

    while (i + 1 < ULV_COUNT_OF(unit) && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        i++;
    }
    text_number(t, bytes, 10);
    ulv_text_string(t, unit[i]);
}

static void
text_signed(struct ulv_text *t, int64_t n)
{
    if (n < 0)
        ulv_text_string(t, "-");
    text_number(t, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, 10);
}

void
ulv_text_arguments(struct ulv_text *t, const char *format, va_list arguments)
{
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            ulv_text_bytes(t, format, 1);
            continue;
        }
        switch (*++format) {
        case 's':
            ulv_text_string(t, va_arg(arguments, const char *));
            break;
        case 'u':
            ulv_text_decimal(t, va_arg(arguments, uint64_t));
            break;
        case 'x':
            ulv_text_hex(t, va_arg(arguments, uint64_t));
            break;
        case 'z':
            ulv_text_size(t, va_arg(arguments, uint64_t));
            break;
        case 'i':
            text_signed(t, va_arg(arguments, int64_t));
            break;
        case '\0':
            return;
        default:
            ulv_text_bytes(t, format, 1);
        }
    }
}

void
ulv_text_format(struct ulv_text *t, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    ulv_text_arguments(t, format, arguments);
    va_end(arguments);
}

ulv_status
ulv_fail(struct ulv_diag *diag, ulv_status status, ulv_id object,
         uint64_t value, uint64_t bound, const char *text, ...)
{
    va_list arguments;
    struct ulv_text line;

    if (diag == NULL)
        return status;
    diag->status = status;
    diag->site = 0;
    diag->os_code = 0;
    diag->object = object;
    diag->value = value;
    diag->bound = bound;
    ulv_text_init(&line, diag->text, sizeof(diag->text));
    va_start(arguments, text);
    ulv_text_arguments(&line, text, arguments);
    va_end(arguments);
    return status;
}
