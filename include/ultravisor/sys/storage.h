/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Storage: where a host keeps what shall outlast the program, namely the
 * journal of the resource database, and a policy that was put in force.
 * Optional: without it the database lives in memory, and what it says of its
 * durability is "none".
 *
 * For authors of ports. ulv_posix_storage_open() has one in a directory. What
 * is written into it is described in <ultravisor/abi/journal.h>.
 *
 * A storage holds six objects of bytes, which are empty at first. Nobody else
 * writes to it meanwhile. One thread uses it.
 *
 * Each member says what holds on failure: NO_MEMORY (it is full), MEDIUM (it
 * does not work), DENIED, or another status of the host's; diag, which may be
 * NULL, says it in words and has the host's own code. All of them may block.
 */
#ifndef ULTRAVISOR_SYS_STORAGE_H
#define ULTRAVISOR_SYS_STORAGE_H

#include <ultravisor/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ULV_STORAGE_CHECKPOINT 0u /* replaced as a whole, or not at all */
#define ULV_STORAGE_NEXT       1u /* becomes the checkpoint */
#define ULV_STORAGE_SEGMENT    2u /* this and the next: appended to, in turns */
#define ULV_STORAGE_POLICY      4u /* replaced as the checkpoint is */
#define ULV_STORAGE_POLICY_NEXT 5u /* becomes the policy */
#define ULV_STORAGE_OBJECTS     6u

struct ulv_storage {
    uint32_t size; /* sizeof(struct ulv_storage) at the port's compile time */
    uint32_t rsvd_;
    void *self; /* passed to every function below; all are required */

    /* How long the object is. */
    ulv_status (*bytes)(void *self, uint32_t object, uint64_t *ret,
                        struct ulv_diag *diag);
    /* All len bytes from offset on, which are there: bytes said so. */
    ulv_status (*read)(void *self, uint32_t object, uint64_t offset, void *buf,
                       size_t len, struct ulv_diag *diag);
    /* At the end of it. On failure any part of it may be there, and after a
     * crash any part of what was appended since the last sync. */
    ulv_status (*append)(void *self, uint32_t object, const void *p,
                         size_t len, struct ulv_diag *diag);
    /* What was appended and truncated so far outlasts the machine's end. On
     * failure nothing is known of what was not synced before, and a later
     * success says nothing of it either. */
    ulv_status (*sync)(void *self, uint32_t object, struct ulv_diag *diag);
    /* Only the first bytes stay, of at least so many. On failure either
     * length. */
    ulv_status (*truncate)(void *self, uint32_t object, uint64_t bytes,
                           struct ulv_diag *diag);
    /* to becomes what from, which is synced, was, and from is empty: at once,
     * and for good when this returns. On failure either may be the case, also
     * one now and the other after a crash. */
    ulv_status (*replace)(void *self, uint32_t from, uint32_t to,
                          struct ulv_diag *diag);
    /* The storage is not used any more. */
    void (*close)(void *self);
};

#ifdef __cplusplus
}
#endif

#endif
