/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the tests of this folder share: CMocka and its four headers. */
#ifndef PORT_TEST_H
#define PORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

#endif
