/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Operations that tests of more than one folder ask for. */
#ifndef DATABASE_OPERATIONS_H
#define DATABASE_OPERATIONS_H

#include <ultravisor/abi/command.h>

#include "base/base.h"

static inline struct ulv_operation
op_label(ulv_id object, const char *key, const char *value)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_LABEL };

    o.u.set_label.object = object;
    ulv_string_copy(o.u.set_label.key, 16, key);
    ulv_string_copy(o.u.set_label.value, 48, value);
    return o;
}

#endif
