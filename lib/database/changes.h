/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What transactions have changed, record by record, in a ring of a fixed size:
 * the oldest make room for the newest. Any number of readers, each with a place
 * of its own; none of them is waited for. One that is so slow that what it has
 * not seen is gone is told so, once, and goes on behind that.
 *
 * For the ultravisor role, whose database fills one, for the command role,
 * which keeps a copy for its clients, and for programs that embed the database.
 */
#ifndef DATABASE_CHANGES_H
#define DATABASE_CHANGES_H

#include <ultravisor/abi/command.h>
#include <ultravisor/sys/host.h>

#define ULV_CHANGES_COUNT 8192u /* kept */

/* The labels that the record of a change, or a partition that it concerns, had
 * before it or has after it, at its revision: each once. */
struct ulv_changes_labels {
    uint32_t count;
    ulv_id of; /* of a label's own record: what it is a label of */
    uint64_t before; /* observe.c: the one before it in its chain */
    uint64_t sum[ULV_CHANGE_LABELS_MAX]; /* as in struct ulv_change_label */
};

struct ulv_changes {
    const struct ulv_host *host;
    struct ulv_change *ring; /* entry n is ring[n % ULV_CHANGES_COUNT] */
    struct ulv_changes_labels *labels; /* of the entries, in the same places */
    uint64_t first, end;     /* those that are there; revisions ascend */
    uint64_t newest; /* revision that readers see; entries above may go again */
    uint64_t floor;  /* of revisions up to this not all is there */
};

struct ulv_changes_filter {
    uint32_t kinds;   /* bits 1 << ULV_QUERY_*; 0: all */
    ulv_id partition; /* 0: all */
    uint64_t label, label_mask; /* these bits of a label's sum; mask 0: all */
};

/* Where a reader stands. */
struct ulv_changes_place {
    uint64_t after; /* all up to this revision was seen */
    uint64_t at;    /* the entry that is looked at next */
    uint64_t told;  /* the entry that was told last, or UINT64_MAX */
};

/* Nothing before that revision is known. Errors: NO_MEMORY. */
ulv_status ulv_changes_init(struct ulv_changes *c, const struct ulv_host *host,
                            uint64_t revision);
void ulv_changes_fini(struct ulv_changes *c);

/* Add one that readers do not see yet. Returns its labels, of which there are
 * none; they may be added until readers see it. */
struct ulv_changes_labels *ulv_changes_add(struct ulv_changes *c,
                                           const struct ulv_change *change);
/* One more, if it is not among them. */
void ulv_changes_label(struct ulv_changes_labels *labels, uint64_t sum);
uint64_t ulv_changes_label_sum(const char key[16], const char value[48]);
/* Those that have a label of that key, and value if it is not empty. Errors:
 * ARG (a text without an end, a value without a key). */
ulv_status ulv_changes_by_label(struct ulv_changes_filter *filter,
                                const char key[16], const char value[48]);
/* All that was added is seen from now on, up to this revision. */
void ulv_changes_show(struct ulv_changes *c, uint64_t revision);
/* What is above this revision was never added. */
void ulv_changes_undo(struct ulv_changes *c, uint64_t revision);
/* All up to this revision is unknown; what was there is dropped. */
void ulv_changes_lose(struct ulv_changes *c, uint64_t revision);

/* A place behind that revision. */
struct ulv_changes_place
ulv_changes_place(const struct ulv_changes *c, uint64_t after);
/**
 * The next change for this reader.
 * @param ret_more  whether the one after it is of the same revision
 * Returns false if there is none yet. ULV_CHANGE_LOST says that all up to its
 * revision may have been missed.
 */
bool ulv_changes_next(const struct ulv_changes *c,
                      const struct ulv_changes_filter *filter,
                      struct ulv_changes_place *place, struct ulv_change *ret,
                      bool *ret_more);
/* Of what was told to that reader just now; of LOST none. */
const struct ulv_changes_labels *
ulv_changes_labels(const struct ulv_changes *c,
                   const struct ulv_changes_place *place);

#endif
