/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Looking at a database that goes on changing: what its transactions change,
 * in a ring for readers (database/changes.h), and cursors, which read records
 * as they were at one revision. A database that nobody observes pays nothing.
 *
 * For the ultravisor role, and for programs that embed the database. One thread
 * owns all of it, the database's.
 */
#ifndef DATABASE_OBSERVE_H
#define DATABASE_OBSERVE_H

#include "database/changes.h"
#include "database/database.h"

/**
 * Note what changes from now on.
 * @param changes  made for the database's revision; outlives the observation
 * Errors: NO_MEMORY, EXISTS (somebody observes it).
 */
ulv_status ulv_database_observe(struct ulv_database *db,
                                struct ulv_changes *changes);
/* Note nothing more; every cursor is closed. */
void ulv_database_unobserve(struct ulv_database *db);

#endif
