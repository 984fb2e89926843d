/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The frame table: who may map which frame. The one thing that every monitor
 * and the keeper believe beside a partition's own view; the ultravisor's
 * database has no way to write it, it can only ask the keeper, and what
 * contradicts the table is refused. So a wrong database cannot let two
 * partitions share a page.
 *
 * On Linux the keeper holds it and makes one descriptor a run; on bare metal
 * it lies in root memory.
 */
#ifndef MONITOR_FRAME_TABLE_H
#define MONITOR_FRAME_TABLE_H

#include <ultravisor/sys/host.h>

#define ULV_FRAME_FREE    0u
#define ULV_FRAME_OWNED   1u /* one partition */
#define ULV_FRAME_CHANNEL 2u /* the partitions listed, nobody else */
#define ULV_FRAME_NEVER   3u /* not to be given to anybody */

/* The two ends of a channel and the standby of the serving one. */
#define ULV_FRAME_ENDS_MAX 3

struct ulv_frame_run {
    uint64_t frame; /* byte address in the pool, multiple of 4096 */
    uint64_t bytes;
    uint32_t state; /* ULV_FRAME_* */
    uint32_t rsvd_;
    uint64_t object; /* partition, or channel */
    uint64_t end[ULV_FRAME_ENDS_MAX];
};

struct ulv_frame_table {
    const struct ulv_host *host;
    struct ulv_frame_run *run; /* ascending, gap = never; free ones and
                                  nevers are merged, grants are not */
    uint32_t count, capacity;
};

void ulv_frame_table_init(struct ulv_frame_table *t,
                          const struct ulv_host *host);
void ulv_frame_table_fini(struct ulv_frame_table *t);

/**
 * Frames that exist, free or never.
 * Errors: EXISTS (overlaps), ARG (alignment, empty, wraps, state), NO_MEMORY.
 */
ulv_status ulv_frame_table_add(struct ulv_frame_table *t, uint64_t frame,
                               uint64_t bytes, uint32_t state,
                               struct ulv_diag *diag);

/**
 * Take frames that are free; all of [frame, frame + bytes) or nothing.
 * wanted: state OWNED or CHANNEL, object, ends.
 * Errors: DENIED (not free: diag names the frame and who has it), ARG,
 * NO_MEMORY.
 */
ulv_status ulv_frame_table_grant(struct ulv_frame_table *t,
                                 const struct ulv_frame_run *wanted,
                                 struct ulv_diag *diag);

/**
 * Make frames free again that object has; the caller has scrubbed them.
 * Cannot run out of memory when the range is as it was granted.
 * Errors: DENIED (object does not have all of them), ARG, NO_MEMORY.
 */
ulv_status ulv_frame_table_release(struct ulv_frame_table *t, uint64_t frame,
                                   uint64_t bytes, uint64_t object,
                                   struct ulv_diag *diag);

/**
 * Replace one end of a channel by another partition, in all its frames.
 * Errors: NOT_FOUND (no such channel), DENIED (from is no end of it).
 */
ulv_status ulv_frame_table_move_end(struct ulv_frame_table *t,
                                    uint64_t channel, uint64_t from,
                                    uint64_t to);

/* Whether partition may map all of [frame, frame + bytes). */
bool ulv_frame_table_may_map(const struct ulv_frame_table *t, uint64_t frame,
                             uint64_t bytes, uint64_t partition);

/* Every invariant from scratch; INTERNAL with a diag that names the run. */
ulv_status ulv_frame_table_check(const struct ulv_frame_table *t,
                                 struct ulv_diag *diag);

#endif
