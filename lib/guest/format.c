/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Formatted text. Source: C11, 7.21.6.1, but for floating point and %n. */
#include "guest/format.h"

#include "base/libc.h"

#define DIGITS_MAX 22u /* of 64 bits in octal */

struct sink {
    guest_format_put *put;
    void *self;
    size_t len;
};

/* One conversion as it stands in the format. */
struct conversion {
    bool left, zero, plus, space, alternate;
    int width;     /* 0: none */
    int precision; /* negative: none */
    char size;     /* h, H (hh), l, q (ll), z, t, j or 0 */
};

static void
put(struct sink *sink, const char *bytes, size_t len)
{
    if (len > 0)
        sink->put(sink->self, bytes, len);
    sink->len += len;
}

static void
put_repeated(struct sink *sink, char byte, size_t count)
{
    while (count-- > 0)
        put(sink, &byte, 1);
}

static int
read_number(const char **at)
{
    int n = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++) {
        if (n < 100000)
            n = n * 10 + (**at - '0');
    }
    return n;
}

static void
read_flags(struct conversion *c, const char **at)
{
    for (;; (*at)++) {
        switch (**at) {
        case '-':
            c->left = true;
            break;
        case '0':
            c->zero = true;
            break;
        case '+':
            c->plus = true;
            break;
        case ' ':
            c->space = true;
            break;
        case '#':
            c->alternate = true;
            break;
        default:
            return;
        }
    }
}

static char
read_size(const char **at)
{
    char size = **at;

    if (size == 'h' || size == 'l') {
        (*at)++;
        if (**at != size)
            return size;
        (*at)++;
        return size == 'h' ? 'H' : 'q';
    }
    if (size != 'z' && size != 'j' && size != 't')
        return 0;
    (*at)++;
    return size;
}

/* What comes after the flags and before the letter. */
static void
read_conversion(struct conversion *c, const char **at, va_list *arguments)
{
    *c = (struct conversion){ .precision = -1 };
    read_flags(c, at);
    if (**at == '*') {
        (*at)++;
        c->width = va_arg(*arguments, int);
        if (c->width < 0) {
            c->left = true;
            c->width = -c->width;
        }
    } else {
        c->width = read_number(at);
    }
    if (**at == '.') {
        (*at)++;
        if (**at == '*') {
            (*at)++;
            c->precision = va_arg(*arguments, int);
        } else {
            c->precision = read_number(at);
        }
    }
    c->size = read_size(at);
}

static uint64_t
take_unsigned(const struct conversion *c, va_list *arguments)
{
    switch (c->size) {
    case 'H':
        return (uint8_t)va_arg(*arguments, unsigned);
    case 'h':
        return (uint16_t)va_arg(*arguments, unsigned);
    case 0:
        return va_arg(*arguments, unsigned);
    default:
        return va_arg(*arguments, uint64_t);
    }
}

static int64_t
take_signed(const struct conversion *c, va_list *arguments)
{
    switch (c->size) {
    case 'H':
        return (int8_t)va_arg(*arguments, int);
    case 'h':
        return (int16_t)va_arg(*arguments, int);
    case 0:
        return va_arg(*arguments, int);
    default:
        return va_arg(*arguments, int64_t);
    }
}

/* Prefix, zeros and digits, padded to the width. */
static void
put_padded(struct sink *sink, const struct conversion *c, const char *prefix,
           size_t zeros, const char *text, size_t len)
{
    size_t prefix_len = 0, all, padding;

    while (prefix[prefix_len] != '\0')
        prefix_len++;
    all = prefix_len + zeros + len;
    padding = (size_t)c->width > all ? (size_t)c->width - all : 0;
    if (!c->left)
        put_repeated(sink, ' ', padding);
    put(sink, prefix, prefix_len);
    put_repeated(sink, '0', zeros);
    put(sink, text, len);
    if (c->left)
        put_repeated(sink, ' ', padding);
}

static void
put_number(struct sink *sink, const struct conversion *c, const char *prefix,
           uint64_t n, char letter)
{
    const char *digit =
        letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    uint64_t base = letter == 'o'                    ? 8
                    : letter == 'x' || letter == 'X' ? 16
                                                     : 10;
    char text[DIGITS_MAX];
    size_t at = DIGITS_MAX, len, zeros, prefix_len = prefix[0] != '\0';

    for (; n != 0; n /= base)
        text[--at] = digit[n % base];
    len = DIGITS_MAX - at;
    if (c->precision < 0 && len == 0)
        text[--at] = '0';
    len = DIGITS_MAX - at;
    zeros = c->precision > 0 && (size_t)c->precision > len
                ? (size_t)c->precision - len
                : 0;
    if (letter == 'o' && c->alternate && zeros == 0 &&
        (len == 0 || text[at] != '0'))
        zeros = 1;
    if (prefix_len > 0 && prefix[1] != '\0')
        prefix_len = 2;
    if (c->zero && !c->left && c->precision < 0 &&
        (size_t)c->width > len + zeros + prefix_len)
        zeros = (size_t)c->width - len - prefix_len;
    put_padded(sink, c, prefix, zeros, text + at, len);
}

static void
put_signed(struct sink *sink, const struct conversion *c, int64_t n)
{
    const char *prefix = n < 0      ? "-"
                         : c->plus  ? "+"
                         : c->space ? " "
                                    : "";

    put_number(sink, c, prefix, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, 'd');
}

static void
put_unsigned(struct sink *sink, const struct conversion *c, uint64_t n,
             char letter)
{
    const char *prefix = "";

    if (c->alternate && n != 0 && letter != 'u' && letter != 'o')
        prefix = letter == 'x' ? "0x" : "0X";
    put_number(sink, c, prefix, n, letter);
}

static void
put_string(struct sink *sink, const struct conversion *c, const char *s)
{
    size_t len = 0, limit = c->precision < 0 ? SIZE_MAX : (size_t)c->precision;

    if (s == NULL)
        s = "(null)";
    while (len < limit && s[len] != '\0')
        len++;
    put_padded(sink, c, "", 0, s, len);
}

/* false: no letter that we know, and no argument was taken. */
static bool
convert(struct sink *sink, struct conversion *c, char letter,
        va_list *arguments)
{
    char byte;

    switch (letter) {
    case 'd':
    case 'i':
        put_signed(sink, c, take_signed(c, arguments));
        return true;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        put_unsigned(sink, c, take_unsigned(c, arguments), letter);
        return true;
    case 'p':
        c->alternate = true;
        put_number(sink, c, "0x",
                   (uint64_t)(uintptr_t)va_arg(*arguments, void *), 'x');
        return true;
    case 'c':
        byte = (char)va_arg(*arguments, int);
        put_padded(sink, c, "", 0, &byte, 1);
        return true;
    case 's':
        put_string(sink, c, va_arg(*arguments, const char *));
        return true;
    case '%':
        put(sink, "%", 1);
        return true;
    default:
        return false;
    }
}

size_t
guest_format_to(guest_format_put *to, void *self, const char *format,
                va_list arguments)
{
    struct sink sink = { .put = to, .self = self };
    struct conversion c;
    va_list copy;

    va_copy(copy, arguments);
    while (*format != '\0') {
        const char *start = format;

        while (*format != '\0' && *format != '%')
            format++;
        put(&sink, start, (size_t)(format - start));
        if (*format == '\0')
            break;
        start = format++;
        read_conversion(&c, &format, &copy);
        if (!convert(&sink, &c, *format, &copy)) {
            /* what cannot be read ends the text as it stands there */
            while (*format != '\0')
                format++;
            put(&sink, start, (size_t)(format - start));
            break;
        }
        format++;
    }
    va_end(copy);
    return sink.len;
}

struct buffer {
    char *p;
    size_t room, len;
};

static void
put_buffer(void *self, const char *bytes, size_t len)
{
    struct buffer *buffer = self;
    size_t room = buffer->room - buffer->len;

    if (len > room)
        len = room;
    if (len == 0)
        return; /* there may be no buffer */
    memcpy(buffer->p + buffer->len, bytes, len);
    buffer->len += len;
}

size_t
guest_format_arguments(char *text, size_t size, const char *format,
                       __builtin_va_list arguments)
{
    struct buffer buffer = { .p = text, .room = size > 0 ? size - 1 : 0 };
    size_t len = guest_format_to(put_buffer, &buffer, format, arguments);

    if (size > 0)
        text[buffer.len] = '\0';
    return len;
}

size_t
guest_format(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    size_t len;

    va_start(arguments, format);
    len = guest_format_arguments(text, size, format, arguments);
    va_end(arguments);
    return len;
}
