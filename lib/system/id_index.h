/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Objects that are found by a number they have, each by one entry that is part
 * of it: chains behind a fixed number of buckets, so that to add one needs no
 * memory and cannot fail. Several may have the same number; the one that came
 * last is found first. A bare machine has few objects, and one chain.
 */
#ifndef SYSTEM_ID_INDEX_H
#define SYSTEM_ID_INDEX_H

#include <ultravisor/types.h>

#ifndef ID_INDEX_BUCKETS
#define ID_INDEX_BUCKETS 1024u
#endif

struct id_entry {
    struct id_entry *next; /* of its bucket */
    ulv_id id;
    bool there; /* in an index */
};

/* Made of zeros. */
struct id_index {
    struct id_entry *bucket[ID_INDEX_BUCKETS];
};

/* One that is there is found under that number only from then on. */
void ulv_id_index_add(struct id_index *index, struct id_entry *entry,
                      ulv_id id);
/* One that is in none is allowed. */
void ulv_id_index_remove(struct id_index *index, struct id_entry *entry);
/* NULL: there is none. */
struct id_entry *ulv_id_index_find(const struct id_index *index, ulv_id id);
/* The next one of the same number, or NULL. */
struct id_entry *ulv_id_index_next(const struct id_entry *entry);

#endif
