/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/base.h"

struct status_row {
    ulv_status status;
    uint32_t class;
    const char *name, *text, *remedy;
};

#include "status_table.h"

static const struct status_row *
find_row(ulv_status status)
{
    for (size_t i = 0; i < ULV_COUNT_OF(status_rows); i++) {
        if (status_rows[i].status == status)
            return &status_rows[i];
    }
    return NULL;
}

const char *
ulv_status_text(ulv_status status)
{
    const struct status_row *row = find_row(status);

    if (status == ULV_OK)
        return "done";
    return row == NULL ? "unknown status" : row->text;
}

const char *
ulv_status_name(ulv_status status)
{
    const struct status_row *row = find_row(status);

    if (status == ULV_OK)
        return "ULV_OK";
    return row == NULL ? "unknown status" : row->name;
}

uint32_t
ulv_status_class(ulv_status status)
{
    const struct status_row *row = find_row(status);

    return row == NULL ? 0 : row->class;
}
