/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Doorbells of the programs that a test in Python talks to; one that does not
 * work ends the program. */
#ifndef TESTS_FORMATS_BELL_H
#define TESTS_FORMATS_BELL_H

#include <stdint.h>
#include <unistd.h>

static inline void
ring(int bell)
{
    const uint64_t one = 1;

    if (write(bell, &one, sizeof(one)) != sizeof(one))
        _exit(10);
}

static inline void
await(int bell)
{
    uint64_t count;

    if (read(bell, &count, sizeof(count)) != sizeof(count))
        _exit(11);
}

#endif
