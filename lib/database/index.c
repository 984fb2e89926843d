/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Linear hashing: when there are more entries than buckets, one bucket after
 * the other is split in two, a few at each commit, so that no transaction pays
 * for all. W. Litwin, "Linear hashing", VLDB 1980.
 */
#include "database/database_priv.h"

#define SPLITS_MAX 256u /* at one commit */

ulv_status
ulv_index_init(struct index *index, const struct ulv_host *host)
{
    index->segment[0] =
        host->alloc(host->self, INDEX_SEGMENT * sizeof(struct link *), 8);
    index->bucket_count = index->level = INDEX_SEGMENT;
    return index->segment[0] == NULL ? ULV_E_NO_MEMORY : ULV_OK;
}

void
ulv_index_fini(struct index *index, const struct ulv_host *host)
{
    for (uint32_t i = 0; i < INDEX_SEGMENTS; i++)
        host->free(host->self, index->segment[i],
                   INDEX_SEGMENT * sizeof(struct link *));
}

static struct link **
bucket(const struct index *index, uint32_t i)
{
    return &index->segment[i / INDEX_SEGMENT][i % INDEX_SEGMENT];
}

struct link **
ulv_index_bucket(const struct index *index, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (2 * index->level - 1);

    return bucket(index,
                  i < index->bucket_count ? i : i & (index->level - 1));
}

bool
ulv_index_add(struct ulv_database *db, struct index *index, struct link *link,
              uint64_t hash)
{
    struct link **at = ulv_index_bucket(index, hash);

    if (!TOUCH(db, at))
        return false;
    link->hash = hash;
    link->next = *at;
    *at = link;
    index->count++;
    return true;
}

bool
ulv_index_remove(struct ulv_database *db, struct index *index,
                 struct link *link)
{
    struct link **at = ulv_index_bucket(index, link->hash);

    while (*at != link)
        at = &(*at)->next;
    if (!TOUCH(db, at))
        return false;
    *at = link->next;
    index->count--;
    return true;
}

/* Between plans only: undo entries point into buckets. Without memory for a
 * segment the index stays as it is, and chains grow. */
void
ulv_index_grow(struct index *index, const struct ulv_host *host)
{
    for (uint32_t i = 0; i < SPLITS_MAX && index->count > index->bucket_count;
         i++) {
        const uint32_t new = index->bucket_count;
        struct link **from, **to, **segment;

        if (new == INDEX_SEGMENT * INDEX_SEGMENTS)
            return;
        segment = index->segment[new / INDEX_SEGMENT];
        if (segment == NULL)
            segment = host->alloc(host->self,
                                  INDEX_SEGMENT * sizeof(*segment), 8);
        if (segment == NULL)
            return;
        index->segment[new / INDEX_SEGMENT] = segment;
        from = bucket(index, new - index->level);
        to = bucket(index, new);
        while (*from != NULL) {
            struct link *link = *from;

            if (((uint32_t)link->hash & (2 * index->level - 1)) == new) {
                *from = link->next;
                link->next = *to;
                *to = link;
            } else {
                from = &link->next;
            }
        }
        index->bucket_count++;
        /* What the next split looks at, which is a commit or more away. */
        if (ULV_FAST_DATABASE)
            __builtin_prefetch(*bucket(index, new + 1 - index->level));
        if (index->bucket_count == 2 * index->level)
            index->level = index->bucket_count;
    }
}
