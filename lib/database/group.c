/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transactions that become durable together. A plan that is held has changed
 * the database in place like one that is committed, and the next is checked
 * against that; but it keeps its undo log, so that all of them can go together.
 *
 * H1 = T1 is held; + = the journal has the group; ! = it could not be written.
 *
 * 1. H1 H2 H3 +: what was removed is freed, what can merge merges.
 * 2. H1 H2 !: T2 is undone, then T1: every byte is as before T1.
 * 3. H1, and T2 fails in prepare: T2 alone is undone, as ever.
 * 4. What must fail: H1 L !, where L takes a lease of ids and moves the array
 *    of leases: T1's undo log points into the old one. See must_end.
 */
#include "database/journal_priv.h"

struct held {
    struct held *before; /* the one that was held before */
    struct undo *undo, *dead;
    struct range *ranges;
    struct chunk *chunks; /* in one of which this lies */
    struct ulv_log_record overwritten; /* in the log of the database */
    struct marks marks;
};

bool
ulv_database_group_must_end(const struct ulv_database *db)
{
    return db->held != NULL && db->own_end - db->own_next < ULV_DB_OWN_MIN;
}

ulv_status
ulv_database_hold(struct ulv_database *db, struct ulv_plan *plan)
{
    struct held *held = ulv_db_scratch(db, sizeof(*held));
    struct ulv_log_record *log;

    if (held == NULL) {
        ulv_database_abort(db, plan);
        return ULV_E_NO_MEMORY;
    }
    db->revision++;
    log = &db->log[db->revision % ULV_LOG_COUNT];
    held->overwritten = *log;
    *log = plan->log;
    held->marks = plan->marks;
    held->undo = plan->undo;
    held->dead = plan->dead;
    held->ranges = plan->ranges;
    held->chunks = plan->chunks;
    held->before = db->held;
    db->held = held;
    plan->undo = plan->dead = NULL;
    plan->ranges = NULL;
    plan->chunks = NULL;
    plan->effect_count = plan->touched_count = plan->change_count = 0;
    db->plan = NULL;
    if (db->observer != NULL)
        db->observer->formed(db);
    return ULV_OK;
}

static void
settle_ranges(struct range *ranges)
{
    for (; ranges != NULL; ranges = ranges->next) {
        if (ranges->pool != NULL)
            ulv_page_map_settle(&ranges->pool->map, ranges->address,
                                ranges->bytes);
    }
}

/* What was changed may merge now; and the last chunk serves the next plan. */
static void
end_group(struct ulv_database *db)
{
    const struct ulv_host *host = db->host;

    for (struct held *h = db->held; h != NULL; h = h->before)
        settle_ranges(h->ranges);
    while (db->held != NULL) {
        struct chunk *chunk = db->held->chunks;

        db->held = db->held->before;
        while (chunk != NULL) {
            struct chunk *next = chunk->next;

            host->free(host->self, chunk, sizeof(*chunk) + chunk->bytes);
            chunk = next;
        }
    }
    ulv_index_grow(&db->ids, host);
    ulv_index_grow(&db->names, host);
    ulv_index_grow(&db->places, host);
}

void
ulv_database_keep_held(struct ulv_database *db)
{
    for (struct held *h = db->held; h != NULL; h = h->before) {
        for (struct undo *dead = h->dead; dead != NULL; dead = dead->next)
            ulv_db_free(db, dead->p, dead->bytes);
    }
    end_group(db);
    if (db->observer != NULL)
        db->observer->shown(db);
}

static void
undo_one(struct ulv_database *db, struct held *h)
{
    for (struct undo *undo = h->undo; undo != NULL; undo = undo->next) {
        if (undo->made)
            ulv_db_free(db, undo->p, undo->bytes);
        else
            memcpy(undo->p, undo + 1, undo->bytes);
    }
    ulv_db_return_to(db, &h->marks);
    db->log[db->revision % ULV_LOG_COUNT] = h->overwritten;
    db->revision--;
}

void
ulv_database_undo_held(struct ulv_database *db)
{
    uint64_t first = db->revision + 1;

    for (struct held *h = db->held; h != NULL; h = h->before)
        first--;
    /* A pool that one of them made is about to vanish with its map. */
    for (struct held *h = db->held; h != NULL; h = h->before) {
        for (struct range *r = h->ranges; r != NULL; r = r->next) {
            if (r->pool != NULL && r->pool->born >= first)
                r->pool = NULL;
        }
    }
    for (struct held *h = db->held; h != NULL; h = h->before)
        undo_one(db, h);
    end_group(db);
    if (db->observer != NULL)
        db->observer->undone(db);
}
