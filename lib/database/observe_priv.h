/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What observe.c and cursor.c share. */
#ifndef DATABASE_OBSERVE_PRIV_H
#define DATABASE_OBSERVE_PRIV_H

#include "database/database_priv.h"
#include "database/observe.h"

struct observed {
    struct ulv_changes *changes;
};

/* The partitions that have this record, each once, others 0: as it is now,
 * beside those that are in the array. */
void ulv_db_concerned(const struct record *r,
                      uint64_t partition[ULV_CHANGE_PARTITIONS]);

#endif
