/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A storage that a role uses and the keeper works: the role has no files, the
 * keeper has the storage that the caller gave. Between them lie a page that
 * says what is asked, a window of bytes behind it, and two doorbells. One
 * request at a time; who asks waits for the answer.
 *
 * The keeper believes nothing of what it reads there: it is a role that writes
 * it. What it writes to the storage for it is that role's own.
 */
#ifndef SYSTEM_STORAGE_FAR_H
#define SYSTEM_STORAGE_FAR_H

#include <ultravisor/sys/host.h>
#include <ultravisor/sys/storage.h>

#include "system/rung.h"

#define FAR_STORAGE_HANDLES 3u /* memory, own bell, the keeper's bell */

struct far_page;

/* The keeper's side. Made of zeros; p NULL: there is none. */
struct far_server {
    struct far_page *p;
    struct rung *rung;
    ulv_handle memory;
    ulv_handle bell[2]; /* the role's, and ours, which is watched */
    struct bell ours;
    bool rang;       /* so it is worth a step */
    uint64_t served; /* number of the last request */
};

/* Errors: NO_MEMORY, and what the host says; it leaves nothing behind. */
ulv_status ulv_far_server_init(struct far_server *s,
                               const struct ulv_host *host, struct rung *rung);
void ulv_far_server_fini(struct far_server *s, const struct ulv_host *host);
/* Do what was asked, if anything was. */
void ulv_far_server_step(struct far_server *s, const struct ulv_host *host,
                         const struct ulv_storage *storage);

/**
 * The role's side, whose functions wait for the keeper.
 * @param handles  FAR_STORAGE_HANDLES, that were handed over; taken on success
 * Errors: NO_MEMORY, and what the host says
 */
ulv_status ulv_far_storage_open(const struct ulv_host *host,
                                const ulv_handle *handles,
                                const struct ulv_storage **ret);

#endif
