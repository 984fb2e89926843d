/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the tests of this folder share: CMocka and its four headers. */
#ifndef PORT_TEST_H
#define PORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

/* What the processor that Bochs 2.7 emulates does not do. */
static inline void
skip_in_bochs(const char *why)
{
    const char *emulator = getenv("ULTRAVISOR_EMULATOR");

    if (emulator != NULL && strcmp(emulator, "bochs") == 0) {
        print_message("# Bochs: %s\n", why);
        skip();
    }
}

#endif
