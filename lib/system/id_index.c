/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/id_index.h"

#include "base/base.h"

/* Numbers are given out one after the other, to objects of all kinds in turn:
 * what is multiplied spreads them whatever the step between two of a kind. */
static uint32_t
bucket_of(ulv_id id)
{
    return (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) %
           ID_INDEX_BUCKETS;
}

static struct id_entry *
find_from(struct id_entry *entry, ulv_id id)
{
    while (entry != NULL && entry->id != id)
        entry = entry->next;
    return entry;
}

void
ulv_id_index_remove(struct id_index *index, struct id_entry *entry)
{
    struct id_entry **at = &index->bucket[bucket_of(entry->id)];

    if (!entry->there)
        return;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    entry->there = false;
}

void
ulv_id_index_add(struct id_index *index, struct id_entry *entry, ulv_id id)
{
    struct id_entry **bucket = &index->bucket[bucket_of(id)];

    ulv_id_index_remove(index, entry);
    entry->id = id;
    entry->there = true;
    entry->next = *bucket;
    *bucket = entry;
}

struct id_entry *
ulv_id_index_find(const struct id_index *index, ulv_id id)
{
    return find_from(index->bucket[bucket_of(id)], id);
}

struct id_entry *
ulv_id_index_next(const struct id_entry *entry)
{
    return find_from(entry->next, entry->id);
}
