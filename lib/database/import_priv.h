/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of the import share. */
#ifndef DATABASE_IMPORT_PRIV_H
#define DATABASE_IMPORT_PRIV_H

#include "database/import.h"
#include "database/journal_priv.h"

struct importing {
    struct ulv_database *db;
    const struct ulv_import *import;
    struct stage stage;
    uint64_t highest;        /* id */
    uint32_t of[KIND_COUNT]; /* how many records of each kind there are */
    uint32_t shares_left;    /* of those, not yet some partition's */
    struct ulv_diag *diag;
};

/* import.c: FORMAT, with the record's line */
ulv_status ulv_import_wrong(const struct importing *w,
                            const struct ulv_import_record *in, uint64_t value,
                            uint64_t bound, const char *what);

/* import_check.c: before anything is made of them, how many there are */
ulv_status ulv_import_count(struct importing *w);
/* What no record says of itself, and no journal of ours ever had otherwise:
 * the database is made. */
ulv_status ulv_import_check_records(const struct importing *w);
/* Every invariant: what is found only there is what the text says. */
ulv_status ulv_import_check_all(const struct importing *w);

#endif
