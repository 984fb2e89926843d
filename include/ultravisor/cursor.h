/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Cursors: the records of the resource database as they are at one revision,
 * read in pieces while transactions go on.
 *
 *     ulv_cursor_open(system, ULV_CURSOR_KIND(ULV_QUERY_EXTENTS), 0, &cursor,
 *                     &diag);
 *     while (ulv_cursor_next(cursor, &page, &diag) == ULV_OK && page.count > 0)
 *         use(page.records, page.count);
 *     ulv_cursor_close(cursor);
 *
 * For programs that read more than fits one answer, or several kinds that have
 * to agree. Nobody waits for a cursor: what changes is kept for it as it was,
 * up to a bound, and one that is not used for 10 s is over.
 */
#ifndef ULTRAVISOR_CURSOR_H
#define ULTRAVISOR_CURSOR_H

#include <ultravisor/abi/command.h>
#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ulv_cursor ulv_cursor;

#define ULV_CURSOR_KIND(query) (UINT32_C(1) << (query))

struct ulv_cursor_records {
    uint32_t size;
    uint32_t kind;       /* ULV_QUERY_* */
    const void *records; /* of the type of that name in abi/command.h; valid
                            until the next call for this cursor */
    uint32_t count;      /* 0: there are no more */
    uint32_t rsvd_;
    uint64_t revision;   /* the same for all of a cursor */
};

#define ULV_CURSOR_RECORDS_INIT                                                \
    {                                                                          \
        (uint32_t)sizeof(struct ulv_cursor_records), 0, NULL, 0, 0, 0          \
    }

/**
 * Begin to read.
 *
 * @param system     a system
 * @param kinds      of records, ULV_CURSOR_KIND() | ...; not the log and usage,
 *                   which are of no revision
 * @param partition  what it has or is; 0: of all
 * @param ret        the cursor; ulv_cursor_close() ends it
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_ARG    kinds
 *          ULV_E_LIMIT  eight are open, or more memory would be needed for it
 *                       than one may have
 *          ULV_E_NO_MEMORY, ULV_E_PEER_GONE, ULV_E_UNSUPPORTED (on a bare
 *          machine)
 * Context: serial; steps the system until the answer is there
 * Since:   0.1
 */
ULV_API ulv_status ulv_cursor_open(ulv_system *system, uint32_t kinds,
                                   ulv_id partition, ulv_cursor **ret,
                                   struct ulv_diag *diag);

/**
 * The next records, each once: kind by kind, in no order within one.
 *
 * @param cursor  a cursor
 * @param ret     filled; ret->size as initialised by ULV_CURSOR_RECORDS_INIT
 * @param diag    NULL or where the failure is explained
 *
 * Errors:  ULV_E_EXPIRED  it was not used for too long, or too much has changed
 *                         meanwhile: open another
 *          ULV_E_ARG (ret->size), ULV_E_PEER_GONE, ULV_E_PEER_PROTOCOL
 * Context: serial; steps the system until the answer is there
 * Since:   0.1
 */
ULV_API ulv_status ulv_cursor_next(ulv_cursor *cursor,
                                   struct ulv_cursor_records *ret,
                                   struct ulv_diag *diag);

/**
 * Read no more. Before the system is destroyed.
 *
 * @param cursor  NULL is allowed
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_cursor_close(ulv_cursor *cursor);

#ifdef __cplusplus
}
#endif

#endif
