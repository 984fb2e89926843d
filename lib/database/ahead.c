/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What operations on a large database wait for is memory: records lie all over
 * it, and each is found by way of another. So what some operations will need is
 * fetched before the first of them is applied, and all of it at once: the
 * buckets of whatever they name, what these lead to, and what that leads to.
 * Nothing of this changes anything, nor can it fail: an id that is none leads
 * to a bucket like any other.
 */
#include "database/database_priv.h"

#define LINE        64u
#define WORDS       3u    /* of an operation, that may be ids */
#define RECORDS_MIN 4096u /* of what has fewer, all is near */

struct ahead {
    const struct ulv_database *db;
    uint32_t count;
    struct link *const *bucket[ULV_DB_AHEAD * (WORDS + 1)];
    uint64_t places; /* bit n: bucket n is one of places */
    ulv_id last;     /* that the last operation is about */
};

static void
fetch(const void *p, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += LINE)
        __builtin_prefetch((const void *)((uintptr_t)p + at));
}

static void
add(struct ahead *a, const struct index *index, uint64_t hash)
{
    struct link *const *bucket = ulv_index_bucket(index, hash);

    __builtin_prefetch(bucket);
    a->bucket[a->count++] = bucket;
}

/* Where its first words lead, and memory that it takes away. */
static void
add_operation(struct ahead *a, const struct ulv_operation *o)
{
    const uint64_t *words = o->u.words;

    for (uint32_t i = 0; i < WORDS; i++) {
        if (words[i] != a->last && words[i] != 0)
            add(a, &a->db->ids, ulv_db_hash_id(words[i]));
        a->last = i == 0 ? words[i] : a->last;
    }
    if (o->kind == ULV_OP_RELEASE_MEMORY) {
        a->places |= UINT64_C(1) << a->count;
        add(a, &a->db->places, ulv_db_hash_place(words[0], words[1]));
    }
}

static const struct record *
record_of(const struct link *by_id)
{
    return (const void *)by_id;
}

static const struct record *
extent_of(const struct link *by_place)
{
    const uint8_t *p = (const uint8_t *)by_place;

    return (const void *)(p - offsetof(struct extent, by_place));
}

/* What is changed with a record. */
static void
fetch_record(const struct ulv_database *db, const struct record *r)
{
    const struct channel *c = (const void *)r;
    const struct extent *e = (const void *)r;

    if (r->kind == ULV_QUERY_PARTITIONS)
        fetch(r, sizeof(struct partition));
    if (r->kind != ULV_QUERY_CHANNELS && r->kind != ULV_QUERY_EXTENTS)
        return;
    __builtin_prefetch(r->before);
    __builtin_prefetch(r->after);
    if (r->kind == ULV_QUERY_CHANNELS) {
        fetch(c->server, sizeof(*c->server));
        fetch(c->client, sizeof(*c->client));
        ulv_db_fetch_pages(db, c->frame);
    } else {
        fetch(e->before, sizeof(*e));
        __builtin_prefetch(ulv_index_bucket(&db->ids, e->r.by_id.hash));
        ulv_db_fetch_pages(db, e->frame);
    }
}

/* Where memory that is assigned goes. */
static void
fetch_place(const struct ulv_database *db, const struct ulv_operation *o)
{
    const struct partition *p =
        find_partition(db, o->u.assign_memory.partition);

    if (p == NULL)
        return;
    __builtin_prefetch(p->extents_end);
    __builtin_prefetch(ulv_index_bucket(&db->places,
                                        ulv_db_hash_place(p->r.id, p->top)));
    __builtin_prefetch(
        ulv_index_bucket(&db->ids, ulv_db_hash_id(db->own_next)));
}

void
ulv_db_fetch_ahead(const struct ulv_database *db,
                   const struct ulv_operation *o, uint32_t count)
{
    struct ahead a;

    if (db->ids.count < RECORDS_MIN)
        return;
    a.db = db;
    a.count = 0;
    a.places = 0;
    a.last = 0;
    for (uint32_t i = 0; i < count; i++)
        add_operation(&a, &o[i]);
    for (uint32_t i = 0; i < a.count; i++)
        fetch(*a.bucket[i], 2 * LINE);
    for (uint32_t i = 0; i < a.count; i++) {
        const struct link *link = *a.bucket[i];

        if (link == NULL)
            continue;
        fetch_record(db, (a.places >> i & 1) != 0 ? extent_of(link)
                                                  : record_of(link));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (o[i].kind == ULV_OP_ASSIGN_MEMORY)
            fetch_place(db, &o[i]);
    }
}
