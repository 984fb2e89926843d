/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What is committed and not yet settled: which partition has to follow which
 * generation of its view, and which objects still drain, for which revision.
 *
 * For the ultravisor role.
 */
#ifndef SYSTEM_SETTLE_H
#define SYSTEM_SETTLE_H

#include <ultravisor/sys/host.h>

struct unsettled;

struct settle {
    const struct ulv_host *host;
    struct unsettled *first, *spare;
    uint64_t told; /* the last answer of ulv_settle_changed() */
};

/* Room for so many calls of ulv_settle_await(). Errors: NO_MEMORY. */
ulv_status ulv_settle_reserve(struct settle *s, uint32_t count);
/* A revision awaits that partition follows generation, or that object is gone;
 * the other is 0. Cannot fail: there is room. */
void ulv_settle_await(struct settle *s, uint64_t revision, ulv_id partition,
                      uint64_t generation, ulv_id object);
void ulv_settle_followed(struct settle *s, ulv_id partition,
                         uint64_t generation);
/* Returns the revision that awaited it, 0: none. */
uint64_t ulv_settle_object_gone(struct settle *s, ulv_id object);
/* Whether more is settled than at the last call: up to *ret_revision. */
bool ulv_settle_changed(struct settle *s, uint64_t revision,
                        uint64_t *ret_revision);
void ulv_settle_fini(struct settle *s);

#endif
