/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The whole resource database as JSON: every record of every kind, as they are
 * at one revision. doc/formats/database-json.md has the format.
 *
 * For programs that show the database, compare two states of it, or keep one.
 */
#ifndef ULTRAVISOR_EXPORT_H
#define ULTRAVISOR_EXPORT_H

#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Take the next bytes of the text; a status other than ULV_OK ends the export
 * with that. Context: serial; not for calls to the system. */
typedef ulv_status (*ulv_export_fn)(void *opaque, const void *p, size_t len);

/**
 * Write all records, except the log and usage, which are of no revision.
 *
 * @param system  a system
 * @param write   takes the text, in pieces of at most 64 KiB
 * @param opaque  passed to write
 * @param diag    NULL or where the failure is explained
 *
 * Errors:  what write returned
 *          ULV_E_EXPIRED  too much has changed meanwhile: begin again
 *          ULV_E_LIMIT    too many cursors are open
 *          ULV_E_NO_MEMORY, ULV_E_PEER_GONE, ULV_E_PEER_PROTOCOL
 * Context: serial; steps the system
 * Since:   0.1
 */
ULV_API ulv_status ulv_system_export(ulv_system *system, ulv_export_fn write,
                                     void *opaque, struct ulv_diag *diag);

#ifdef __cplusplus
}
#endif

#endif
