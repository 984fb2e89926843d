/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The views that the ultravisor writes: one or two segments a partition, taken
 * from the keeper, prepared before a commit and published after it.
 *
 * For the ultravisor role.
 */
#ifndef SYSTEM_VIEWS_H
#define SYSTEM_VIEWS_H

#include "database/database.h"
#include "system/message.h"
#include "system/picture.h"

/* One, where there are few partitions and little room for code. */
#ifndef VIEW_BUCKETS
#define VIEW_BUCKETS 512u
#endif

struct published;

struct views {
    const struct ulv_host *host;
    struct picture *picture;
    struct published *bucket[VIEW_BUCKETS]; /* by partition */
    struct published *prepared;             /* to be published next */
    uint64_t revision;                      /* what that will show; or 0 */
    uint32_t count;
};

/* Errors: NO_MEMORY. fini is safe after a failure. */
ulv_status ulv_views_init(struct views *v, const struct ulv_host *host);
void ulv_views_fini(struct views *v);
/* SAY_VIEW: map the segment. Errors: NO_MEMORY, HOST. */
ulv_status ulv_views_take(struct views *v, const struct heard *heard);
/* SAY_BELL: keep the handle, if the view is one of ours. */
ulv_status ulv_views_take_bell(struct views *v, struct heard *heard);
/* Both parts of a partition's that is gone. */
void ulv_views_drop(struct views *v, ulv_id partition);

/* What was written and is not published is not to be. */
void ulv_views_forget(struct views *v);

/* Write what the plan changes; nobody sees it. On failure nothing of it will be
 * seen. Errors: LIMIT. */
ulv_status ulv_views_prepare(struct views *v, struct ulv_database *db,
                             const struct ulv_plan *plan,
                             struct ulv_diag *diag);
/* The same for every view there is. */
ulv_status ulv_views_prepare_all(struct views *v, struct ulv_database *db,
                                 struct ulv_diag *diag);
/* Show it, after the commit. Fills in which generation each partition is to
 * follow, 0: nobody reads its view; room for one a touched partition. Returns
 * how many. */
uint32_t ulv_views_publish(struct views *v, const struct ulv_database *db,
                           struct say_generation *ret);
void ulv_views_followed(struct views *v, ulv_id partition,
                        uint64_t generation);

#endif
