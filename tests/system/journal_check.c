/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Reads the journal in a directory, verifies the database, prints its
 * revision. */
#include <stdio.h>
#include <ultravisor/posix.h>

#include "database/journal.h"

static int
check(const struct ulv_storage *storage, struct ulv_diag *diag)
{
    struct ulv_database *db;
    struct ulv_journal *journal;
    ulv_status status = ulv_database_create(ulv_posix_host(), &db);

    if (status != ULV_OK)
        return 1;
    status = ulv_journal_open(db, storage, &journal, diag);
    if (status == ULV_OK) {
        status = ulv_database_check(db, diag);
        printf("%llu\n", (unsigned long long)ulv_database_revision(db));
        ulv_journal_close(journal);
    }
    ulv_database_destroy(db);
    return status == ULV_OK ? 0 : 1;
}

int
main(int argc, char **argv)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_storage *storage;
    int code = 1;

    if (argc == 2 &&
        ulv_posix_storage_open(argv[1], &storage, &diag) == ULV_OK) {
        code = check(storage, &diag);
        storage->close(storage->self);
    }
    if (code != 0)
        fprintf(stderr, "%s\n", diag.text);
    return code;
}
