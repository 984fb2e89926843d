/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A database from the records that queries show, and those of a database that
 * nobody changes. For whoever keeps them in another form.
 */
#ifndef DATABASE_IMPORT_H
#define DATABASE_IMPORT_H

#include <ultravisor/import.h>

#include "database/database.h"

/**
 * Fill a database with records, and check every invariant.
 * @param db  new; on failure it is good for ulv_database_destroy only
 * Errors: FORMAT (diag names the object and the line), NO_MEMORY
 */
ulv_status ulv_database_import(struct ulv_database *db,
                               const struct ulv_import *import,
                               struct ulv_diag *diag);
/**
 * All of them, kind by kind, by ascending id; at last a call with none.
 * Errors: NO_MEMORY, and what read returned
 */
ulv_status ulv_database_read(const struct ulv_database *db,
                             ulv_records_fn read, void *opaque,
                             struct ulv_diag *diag);

#endif
