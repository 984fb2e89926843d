/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A storage that no system uses: its database, read and written as records. */
#include "database/import.h"
#include "base/base.h"
#include "database/journal.h"

ulv_status
ulv_storage_read(const struct ulv_host *host, const struct ulv_storage *storage,
                 ulv_records_fn read, void *opaque, struct ulv_diag *diag)
{
    struct ulv_database *db;
    bool found;
    ulv_status status = ulv_database_create(host, &db);

    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "no memory for a database");
    status = ulv_journal_read(db, storage, &found, diag);
    if (status == ULV_OK && !found)
        status = ulv_fail(diag, ULV_E_NOT_FOUND, 0, 0, 0,
                          "the storage has no database");
    if (status == ULV_OK)
        status = ulv_database_read(db, read, opaque, diag);
    ulv_database_destroy(db);
    return status;
}

/* What is there already is never written over. */
static ulv_status
check_empty(const struct ulv_storage *storage, struct ulv_diag *diag)
{
    uint64_t bytes;
    ulv_status status =
        storage->bytes(storage->self, ULV_STORAGE_CHECKPOINT, &bytes, diag);

    if (status == ULV_OK && bytes != 0)
        return ulv_fail(diag, ULV_E_EXISTS, ULV_STORAGE_CHECKPOINT, bytes, 0,
                        "the storage has a database already: its checkpoint "
                        "has %u bytes",
                        bytes);
    return status;
}

ulv_status
ulv_storage_fill(const struct ulv_host *host, const struct ulv_storage *storage,
                 const struct ulv_import *import, struct ulv_diag *diag)
{
    struct ulv_database *db;
    struct ulv_journal *journal = NULL;
    ulv_status status;

    if (import->size < sizeof(*import))
        return ulv_fail(diag, ULV_E_ARG, 0, import->size, sizeof(*import),
                        "an import of %u bytes, this library knows %u",
                        (uint64_t)import->size, (uint64_t)sizeof(*import));
    status = check_empty(storage, diag);
    if (status != ULV_OK)
        return status;
    status = ulv_database_create(host, &db);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "no memory for a database");
    status = ulv_database_import(db, import, diag);
    if (status == ULV_OK)
        status = ulv_journal_open(db, storage, &journal, diag);
    ulv_journal_close(journal);
    ulv_database_destroy(db);
    return status;
}
