/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A line of text made of words and numbers; there is no printf here. */
#ifndef LINE_H
#define LINE_H

#include <ultravisor/sys/host.h>

struct line {
    char text[128];
    uint32_t len;
};

static inline void
line_word(struct line *l, const char *word)
{
    for (; *word != '\0' && l->len < sizeof(l->text) - 1; word++)
        l->text[l->len++] = *word;
    l->text[l->len] = '\0';
}

static inline void
line_number(struct line *l, uint64_t n, uint32_t base)
{
    char digits[24];
    uint32_t at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n != 0);
    line_word(l, base == 16 ? "0x" : "");
    line_word(l, &digits[at]);
}

/* Says it, and begins the next. */
static inline void
line_end(struct line *l, const struct ulv_host *host, uint32_t level)
{
    host->log(host->self, level, l->text);
    l->len = 0;
}

#endif
