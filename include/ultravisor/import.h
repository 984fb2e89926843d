/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The resource database of a storage that no system uses, as records: read
 * them, or fill a storage that is empty with others. A system that is created
 * with it then goes on from what they say.
 *
 * For programs that move a database, or keep it in a form of their own. On
 * Linux ulv_posix_export() and ulv_posix_import() do both as JSON.
 */
#ifndef ULTRAVISOR_IMPORT_H
#define ULTRAVISOR_IMPORT_H

#include <ultravisor/abi/command.h>
#include <ultravisor/cursor.h>
#include <ultravisor/sys/host.h>
#include <ultravisor/sys/storage.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Take the next records; count is 0 at the end. A status other than ULV_OK
 * ends the reading with that. */
typedef ulv_status (*ulv_records_fn)(void *opaque,
                                     const struct ulv_cursor_records *records);

/* No id of a record that is imported is higher. */
#define ULV_IMPORT_ID_MAX UINT64_C(0xfffffffff)

struct ulv_import_record {
    const void *record; /* as queries and cursors have it; aligned to 8 */
    uint32_t kind;      /* ULV_QUERY_*, but of the log and of usage */
    uint32_t line;      /* of the text that it is from */
};

struct ulv_import {
    uint32_t size;
    uint32_t count;
    const char *name;  /* of the text, for diagnostics */
    uint64_t revision; /* that the database is of */
    const struct ulv_import_record *records; /* in any order */
};

/**
 * Read all records of a storage, except the log and usage. Nothing is written
 * to it.
 *
 * @param host     allocates
 * @param storage  one that no system uses
 * @param read     takes them, of one kind at a time
 * @param opaque   passed to read
 * @param diag     NULL or where the failure is explained
 *
 * Errors:  what read returned
 *          ULV_E_NOT_FOUND  the storage is empty
 *          ULV_E_FORMAT     its journal is damaged, or none
 *          ULV_E_NO_MEMORY, those of the storage
 * Context: any; may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_storage_read(const struct ulv_host *host,
                                    const struct ulv_storage *storage,
                                    ulv_records_fn read, void *opaque,
                                    struct ulv_diag *diag);

/**
 * Fill a storage with a database. Everything is checked before anything is
 * written: each record, that what it sums up is so, and every invariant.
 *
 * @param host     allocates
 * @param storage  an empty one
 * @param import   all records; borrowed during the call
 * @param diag     NULL or where the failure is explained: the object, the
 *                 value, the bound if there is one, and in the text the line
 *
 * Errors:  ULV_E_FORMAT  a record is not as it can be, or contradicts others
 *          ULV_E_EXISTS  the storage has a database
 *          ULV_E_ARG     size
 *          ULV_E_NO_MEMORY, those of the storage
 * Context: any; may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_storage_fill(const struct ulv_host *host,
                                    const struct ulv_storage *storage,
                                    const struct ulv_import *import,
                                    struct ulv_diag *diag);

#ifdef __cplusplus
}
#endif

#endif
