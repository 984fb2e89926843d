/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The journal of a database: every change is in a storage before anybody is
 * told of it, and a database that is opened again is what it was.
 *
 *     ulv_journal_open(db, storage, &j, &diag);    an empty database is filled
 *     ulv_journal_prepare(j, &request, &plan, &idx, &diag);
 *     ulv_journal_hold(j, plan, NULL, &revision, &diag);
 *     ...                                          more of them
 *     ulv_journal_sync(j, &diag);    all of them durable, or none took place
 *
 * For the ultravisor role and for programs that embed the database. While there
 * is a journal, these take the place of ulv_database_prepare, _commit and
 * _lease. Until sync, reading the database shows what is not durable yet.
 */
#ifndef DATABASE_JOURNAL_H
#define DATABASE_JOURNAL_H

#include <ultravisor/abi/journal.h>
#include <ultravisor/sys/storage.h>

#include "database/database.h"

struct ulv_journal;

#define ULV_JOURNAL_GROUP_MAX   256u  /* transactions in one sync */
#define ULV_JOURNAL_CLIENTS_MAX 64u   /* whose answers are remembered */
#define ULV_JOURNAL_ANSWERS_MAX 1024u /* of each the last so many */

/**
 * Fill the database with what the storage has, and journal from now on. A
 * storage that is empty begins with the database as it is.
 * @param db  new; on failure it is good for ulv_database_destroy only
 * @param storage  borrowed until close
 * Errors: FORMAT (it is no journal, of a later version, or damaged: diag says
 * where; nothing was changed), NO_MEMORY, and those of the storage
 */
ulv_status ulv_journal_open(struct ulv_database *db,
                            const struct ulv_storage *storage,
                            struct ulv_journal **ret, struct ulv_diag *diag);
/**
 * Only fill the database with what the storage has, if it has anything.
 * Errors: as of open; nothing is written
 */
ulv_status ulv_journal_read(struct ulv_database *db,
                            const struct ulv_storage *storage,
                            bool *ret_found, struct ulv_diag *diag);
/* What is held is undone. The database stays; NULL is allowed. */
void ulv_journal_close(struct ulv_journal *j);

/**
 * As ulv_database_prepare; here the journal mends what a failure has left, and
 * writes a checkpoint when one is due.
 * Errors: AGAIN (the group is full: sync, then ask again), those of the
 * storage (nothing can be committed until it works), and as there
 */
ulv_status ulv_journal_prepare(struct ulv_journal *j,
                               const struct ulv_request *request,
                               struct ulv_plan **ret_plan,
                               uint32_t *ret_operation_idx,
                               struct ulv_diag *diag);
/**
 * Make the plan part of the group; consumes it, on failure too. The plan's
 * effects and touched partitions stay readable until the next prepare.
 * @param answer  NULL, or whose request it was; its revision is filled in
 * Errors: NO_MEMORY
 */
ulv_status ulv_journal_hold(struct ulv_journal *j, struct ulv_plan *plan,
                            struct ulv_journal_answer *answer,
                            uint64_t *ret_revision, struct ulv_diag *diag);
/**
 * Write the group. On failure all of it is undone, and may be there after a
 * crash only if no later call of prepare succeeded.
 * Errors: those of the storage
 */
ulv_status ulv_journal_sync(struct ulv_journal *j, struct ulv_diag *diag);

/**
 * One transaction alone: it is durable, and ulv_database_commit is to follow at
 * once; on failure ulv_database_abort, and what was said of sync holds.
 * Errors: BUSY (a group is open), NO_MEMORY, those of the storage
 */
ulv_status ulv_journal_write(struct ulv_journal *j, struct ulv_plan *plan,
                             struct ulv_journal_answer *answer,
                             struct ulv_diag *diag);

/* As ulv_database_lease, durable. A group that is open is synced first. */
ulv_status ulv_journal_lease(struct ulv_journal *j, ulv_id *ret_first,
                             struct ulv_diag *diag);

/**
 * What a client's requests have led to: each transaction of it that was
 * committed, among the last ULV_JOURNAL_ANSWERS_MAX numbers.
 * @param idx  from 0, in no order
 * @param ret_newest  highest number of that client's
 * Errors: NOT_FOUND (no such client, no more)
 */
ulv_status ulv_journal_recall(const struct ulv_journal *j,
                              const uint8_t client[16], uint32_t idx,
                              uint64_t *ret_newest,
                              struct ulv_journal_answer *ret);

/**
 * Add to the open plan the effects of having made everything that there is.
 * @param held  false: for a keeper that has nothing yet, without devices and
 *              what they are served over; true: for one that has it, with what
 *              drains
 * Errors: NO_MEMORY
 */
ulv_status ulv_database_adopt(struct ulv_database *db, bool held,
                              struct ulv_diag *diag);

/* Write all of the database anew, and go on in a new segment. */
ulv_status ulv_journal_checkpoint(struct ulv_journal *j,
                                  struct ulv_diag *diag);

#endif
