/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The records of the database as JSON has them: what export.c writes and
 * import.c reads. doc/formats/database-json.md */
#ifndef PORT_POSIX_RECORDS_H
#define PORT_POSIX_RECORDS_H

#include <ultravisor/abi/command.h>

#include "base/base.h"

#define ULV_RECORDS_FORMAT  "ultravisor database"
#define ULV_RECORDS_VERSION 3u

#define FIELD_U8   0u /* an identifier of bytes, written in hexadecimal */
#define FIELD_U32  1u
#define FIELD_U64  2u
#define FIELD_CHAR 3u

struct record_field {
    const char *name;
    uint32_t offset, type, count;
};

struct record_kind {
    const char *name;
    uint32_t bytes;
    const struct record_field *fields;
    size_t field_count;
};

#include "port/posix/record_fields.h"

/* Whether there are such records, and they are of a revision. */
static inline bool
ulv_record_is_kept(uint32_t kind)
{
    return kind < ULV_COUNT_OF(record_kinds) &&
           record_kinds[kind].name != NULL && kind != ULV_QUERY_LOG &&
           kind != ULV_QUERY_USAGE;
}

#endif
