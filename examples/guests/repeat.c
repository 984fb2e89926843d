/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Says each line again that is typed at its console; an empty one ends it.
 *
 *   ultravisor run repeat.elf --input
 */
#include <ultravisor/guest.h>

#define LINE_MAX 256u

/* A line without its end; what is longer comes in pieces. Returns its length,
 * or -1: there is no input. */
static int
read_line(char line[LINE_MAX])
{
    uint32_t len = 0, one;

    while (len < LINE_MAX) {
        if (guest_console_read(line + len, 1, &one, UINT64_MAX) != 0)
            return -1;
        if (line[len] == '\n')
            break;
        len++;
    }
    return (int)len;
}

int
guest_main(void)
{
    char line[LINE_MAX];
    int len;

    if (!guest_console_open())
        return 1;
    while ((len = read_line(line)) > 0)
        guest_print("%.*s\n", len, line);
    return len < 0 ? 2 : 0;
}
