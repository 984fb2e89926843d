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

/* ---- cursors ------------------------------------------------------------- */

#define ULV_CURSORS_MAX      32u             /* open at once */
#define ULV_CURSOR_BYTES_MAX (4u << 20) /* of records kept for each */
#define ULV_CURSOR_IDLE      UINT64_C(10000000000) /* [ns] from call to call */
#define ULV_CURSOR_LOOK      65536u /* records looked at in one call */

struct ulv_cursor_page {
    uint32_t kind, record_bytes, record_count;
    bool more; /* false: that was all, and it is closed */
    uint64_t revision;
};

/**
 * Read records of kinds as they are at this revision, while others go on.
 * @param owner  nobody else may use it
 * @param kinds  bits 1 << ULV_QUERY_*, but of the log and of usage
 * @param partition  those that concern this one only; 0: all
 * Errors: ARG (kinds), BUSY (a plan or a group is open), LIMIT
 * (ULV_CURSORS_MAX, or ULV_CURSOR_BYTES_MAX), NO_MEMORY, UNSUPPORTED (nobody
 * observes).
 */
ulv_status ulv_database_cursor_open(struct ulv_database *db,
                                    const uint8_t owner[16], uint32_t kinds,
                                    ulv_id partition, uint64_t *ret_number);
/**
 * The next records, of one kind, perhaps none. Each record once; of a kind
 * first those that are as they were.
 * Errors: EXPIRED (there is none, too long ago, or too much has changed), BUSY
 * (as above), ARG (no room for one).
 */
ulv_status ulv_database_cursor_next(struct ulv_database *db,
                                    const uint8_t owner[16], uint64_t number,
                                    void *buf, size_t bytes,
                                    struct ulv_cursor_page *ret);
void ulv_database_cursor_close(struct ulv_database *db,
                               const uint8_t owner[16], uint64_t number);

#endif
