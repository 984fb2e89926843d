/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What observe.c and cursor.c share. */
#ifndef DATABASE_OBSERVE_PRIV_H
#define DATABASE_OBSERVE_PRIV_H

#include "database/database_priv.h"
#include "database/observe.h"

struct cursor;

#define GONE_CHAINS 64u

struct observed {
    struct ulv_changes *changes;
    struct cursor *cursors;
    uint32_t cursor_count;
    uint64_t cursor_number; /* of the last one */
    /* Labels that the plan takes off, or gives other values, in chains by what
     * they are labels of: the number of the last one's entry + 1; 0: none. */
    uint64_t gone[GONE_CHAINS];
    bool labels_go; /* there are some */
};

/* The partitions that have this record, each once, others 0: as it is now,
 * beside those that are in the array. */
void ulv_db_concerned(const struct record *r,
                      uint64_t partition[ULV_CHANGE_PARTITIONS]);

/* cursor.c, while there are any: as in struct observer */
void ulv_db_cursors_before(struct ulv_database *db, const struct record *r,
                           uint32_t what);
void ulv_db_cursors_shown(struct ulv_database *db);
void ulv_db_cursors_undone(struct ulv_database *db);
void ulv_db_cursors_end(struct ulv_database *db);

#endif
