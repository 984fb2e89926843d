/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Text building: input byte 0 is the size of the buffer, the others a string
 * and numbers. Whatever they are, the text is terminated and inside its buffer.
 */
#include <stdlib.h>

#include "base/base.h"

#include "fuzz.h"

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static void
check(const struct ulv_text *text)
{
    require(text->len < text->size);
    require(text->buf[text->len] == '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ulv_text text;
    size_t room = size == 0 ? 1 : (size_t)data[0] + 1;
    char *buf = malloc(room);

    require(buf != NULL);
    ulv_text_init(&text, buf, room);
    while (size >= 8) {
        uint64_t n = ulv_get_le64(data);

        ulv_text_bytes(&text, (const char *)data, n % 9);
        check(&text);
        ulv_text_format(&text, "%u|%x|%z|%i|%s|%%|%?", n, n, n, (int64_t)n,
                        n % 2 == 0 ? "even" : "");
        check(&text);
        data += 8;
        size -= 8;
    }
    free(buf);
    return 0;
}
