/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the tests of the VT-x backend share: a processor that will do. */
#ifndef TESTS_BACKEND_VTX_TEST_H
#define TESTS_BACKEND_VTX_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backend/vtx/capabilities.h"

/* As a fourth-generation Core says it: the bits that must be 1 are those of
 * the TRUE MSRs. */
static const struct ulv_vtx_capabilities good_processor = {
    .cpuid_1_ecx = 0x7ffafbff,
    .physical_bits = 39,
    .feature_control = 5,
    .basic = UINT64_C(0x00da040000000012),
    .pin = UINT64_C(0x0000007f00000016),
    .primary = UINT64_C(0xfff9fffe04006172),
    .secondary = UINT64_C(0x00007cff00000000),
    .exit = UINT64_C(0x007fffff00036dfb),
    .entry = UINT64_C(0x0000ffff000011fb),
    .misc = UINT64_C(0x300481e5),
    .ept_vpid = UINT64_C(0x00000f0106334141),
    .cr0_fixed0 = UINT64_C(0x80000021),
    .cr0_fixed1 = UINT64_C(0xffffffff),
    .cr4_fixed0 = UINT64_C(0x2000),
    .cr4_fixed1 = UINT64_C(0x1727ff),
};

#endif
