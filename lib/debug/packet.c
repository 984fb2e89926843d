/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Packets: $text#sum, with + and - in between, and what lies in them. */
#include "debug/stub_priv.h"

#define STATE_BETWEEN 0u
#define STATE_TEXT    1u
#define STATE_SUM     2u
#define STATE_SUM_END 3u

static const char digits[] = "0123456789abcdef";

/* -1: none */
static int
digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static uint32_t
between(struct ulv_stub_packet *in, uint8_t byte)
{
    switch (byte) {
    case '$':
        in->state = STATE_TEXT;
        in->len = 0;
        in->sum = 0;
        in->bad = false;
        return PACKET_NONE;
    case '+':
        return PACKET_ACK;
    case '-':
        return PACKET_AGAIN;
    case 3:
        return PACKET_INTERRUPT;
    default:
        return PACKET_NONE; /* what is left of something broken */
    }
}

uint32_t
ulv_stub_packet_byte(struct ulv_stub_packet *in, uint8_t byte)
{
    int digit = digit_of(byte);

    if (in->state == STATE_BETWEEN)
        return between(in, byte);
    if (in->state == STATE_TEXT) {
        if (byte == '$') /* the one before was never finished */
            return between(in, byte);
        if (byte == '#') {
            in->state = STATE_SUM;
            return PACKET_NONE;
        }
        in->sum = (uint8_t)(in->sum + byte);
        if (in->len == ULV_STUB_PACKET_MAX)
            in->bad = true;
        else
            in->text[in->len++] = byte;
        return PACKET_NONE;
    }
    in->bad = in->bad || digit < 0;
    if (in->state == STATE_SUM) {
        in->digit = (uint8_t)digit;
        in->state = STATE_SUM_END;
        return PACKET_NONE;
    }
    in->state = STATE_BETWEEN;
    in->text[in->len] = '\0';
    if (in->bad || in->sum != (uint8_t)((in->digit << 4) | (uint8_t)digit))
        return PACKET_BROKEN;
    return PACKET_WHOLE;
}

/* ---- answers ------------------------------------------------------------- */

void
ulv_stub_begin(struct ulv_stub *s)
{
    s->out_len = s->out_sent = 0;
    if (!s->no_acks)
        s->out[s->out_len++] = '+';
    s->answer_at = s->out_len;
    s->out[s->out_len++] = '$';
}

void
ulv_stub_put(struct ulv_stub *s, const void *text, size_t len)
{
    size_t room = sizeof(s->out) - 3 - s->out_len;

    len = ULV_MIN(len, room);
    memcpy(s->out + s->out_len, text, len);
    s->out_len += (uint32_t)len;
}

void
ulv_stub_put_text(struct ulv_stub *s, const char *text)
{
    ulv_stub_put(s, text, ulv_string_length(text, ULV_STUB_PACKET_MAX));
}

void
ulv_stub_put_bytes(struct ulv_stub *s, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++) {
        const char pair[2] = { digits[p[i] >> 4], digits[p[i] & 15] };

        ulv_stub_put(s, pair, 2);
    }
}

void
ulv_stub_put_number(struct ulv_stub *s, uint64_t number)
{
    char text[16];
    size_t at = sizeof(text);

    do {
        text[--at] = digits[number & 15];
        number >>= 4;
    } while (number != 0);
    ulv_stub_put(s, text + at, sizeof(text) - at);
}

void
ulv_stub_put_binary(struct ulv_stub *s, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++) {
        const uint8_t pair[2] = { '}', p[i] ^ 0x20 };

        if (p[i] == '#' || p[i] == '$' || p[i] == '}' || p[i] == '*')
            ulv_stub_put(s, pair, 2);
        else
            ulv_stub_put(s, &p[i], 1);
    }
}

void
ulv_stub_finish(struct ulv_stub *s)
{
    uint8_t sum = 0, *end;

    for (uint32_t i = s->answer_at + 1; i < s->out_len; i++)
        sum = (uint8_t)(sum + s->out[i]);
    end = s->out + s->out_len;
    end[0] = '#';
    end[1] = (uint8_t)digits[sum >> 4];
    end[2] = (uint8_t)digits[sum & 15];
    s->out_len += 3;
}

void
ulv_stub_answer(struct ulv_stub *s, const char *text)
{
    ulv_stub_begin(s);
    ulv_stub_put_text(s, text);
    ulv_stub_finish(s);
}

/* ---- reading ------------------------------------------------------------- */

bool
ulv_stub_number(const char **p, uint64_t *ret)
{
    uint64_t number = 0;
    uint32_t count = 0;
    int digit;

    while ((digit = digit_of((uint8_t) * *p)) >= 0) {
        if (++count > 16)
            return false;
        number = number << 4 | (uint64_t)digit;
        ++*p;
    }
    *ret = number;
    return count != 0;
}

bool
ulv_stub_expect(const char **p, char c)
{
    if (**p != c)
        return false;
    ++*p;
    return true;
}

bool
ulv_stub_bytes(const char **p, void *to, size_t len)
{
    uint8_t *byte = to;

    for (size_t i = 0; i < len; i++, *p += 2) {
        int high = digit_of((uint8_t)(*p)[0]);
        int low = high < 0 ? -1 : digit_of((uint8_t)(*p)[1]);

        if (low < 0)
            return false;
        byte[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

size_t
ulv_stub_unescape(uint8_t *bytes, size_t len)
{
    size_t to = 0;

    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '}' && i + 1 < len)
            bytes[to++] = bytes[++i] ^ 0x20;
        else
            bytes[to++] = bytes[i];
    }
    return to;
}
