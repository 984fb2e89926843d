/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a check counts: each record is looked at once, and what it means for a
 * partition, a processor or a zone is added up there. So a check takes time by
 * what there is, not by that for each partition.
 */
#include "database/database_priv.h"

static void
begin(const struct ulv_database *db)
{
    for (struct record *r = db->first[ULV_QUERY_PARTITIONS]; r != NULL;
         r = r->after)
        memset(&((struct partition *)(void *)r)->found, 0,
               sizeof(struct tally));
    for (struct record *r = db->first[ULV_QUERY_PROCESSORS]; r != NULL;
         r = r->after) {
        struct processor *processor = (void *)r;

        processor->found_shares = 0;
        processor->found_taken = 0;
    }
    for (struct record *r = db->first[ULV_QUERY_ZONES]; r != NULL;
         r = r->after)
        memset(((struct zone *)(void *)r)->found, 0,
               sizeof(((struct zone *)(void *)r)->found));
}

/* ---- pages --------------------------------------------------------------- */

/* Of one pool. */
struct pages {
    const struct ulv_database *db;
    struct partition *owner; /* of the last run: the next is often the same's */
    uint64_t stray, stray_owner; /* where a run is whose owner is nobody */
    bool wrong;
};

static void
count_pages(void *self, uint64_t address, uint64_t bytes, uint64_t owner)
{
    struct pages *pages = self;

    if (owner == ULV_PAGE_FREE || owner == ULV_PAGE_NEVER)
        return;
    if (pages->owner == NULL || pages->owner->r.id != owner)
        pages->owner = find_partition(pages->db, owner);
    if (pages->owner != NULL) {
        pages->owner->found.page_bytes += bytes;
        return;
    }
    pages->wrong = true;
    pages->stray = address;
    pages->stray_owner = owner;
}

static ulv_status
count_pools(const struct ulv_database *db, struct ulv_diag *diag)
{
    for (const struct record *r = db->first[ULV_QUERY_MEMORY]; r != NULL;
         r = r->after) {
        const struct ulv_page_map *map =
            &((const struct pool *)(const void *)r)->map;
        struct pages pages = { .db = db };

        if (!ulv_page_map_walk(map, count_pages, &pages))
            return ulv_db_wrong(diag, r, 0, 0, "counts of its index pages");
        if (pages.wrong)
            return ulv_fail(diag, ULV_E_INTERNAL, pages.stray_owner,
                            pages.stray, 0,
                            "memory at %x is object %u's, which is no "
                            "partition",
                            pages.stray, pages.stray_owner);
    }
    return ULV_OK;
}

/* ---- what is somebody's -------------------------------------------------- */

static void
count_channels(const struct ulv_database *db)
{
    for (const struct record *r = db->first[ULV_QUERY_CHANNELS]; r != NULL;
         r = r->after) {
        const struct channel *c = (const void *)r;

        c->server->found.channels++;
        c->client->found.channels++;
    }
}

static void
count_machine(const struct ulv_database *db)
{
    const struct record *r;

    for (r = db->first[ULV_QUERY_EXTENTS]; r != NULL; r = r->after) {
        const struct extent *e = (const void *)r;
        struct partition *heir = find_partition(db, e->heir);

        if (heir != NULL)
            heir->found.coming += e->bytes;
    }
    for (r = db->first[ULV_QUERY_RANGES]; r != NULL; r = r->after)
        ((const struct range_record *)(const void *)r)->owner->found.owned++;
    for (r = db->first[ULV_QUERY_HARDWARE]; r != NULL; r = r->after) {
        struct partition *p =
            ((const struct hardware *)(const void *)r)->owner;

        p->found.hardware++;
        p->found.owned += p == db->idle ? 0 : 1;
    }
}

static void
count_guest(const struct partition *p)
{
    for (uint32_t i = 0; p->zone != NULL && i < ULV_QUOTA_COUNT; i++)
        p->zone->found[i] += p->quota.used[i];
}

static ulv_status
count_share(const struct ulv_database *db, const struct partition *p,
            const struct share *s, struct ulv_diag *diag)
{
    struct processor *processor = s->processor;

    if (ulv_db_find(db, processor->r.id, ULV_QUERY_PROCESSORS) !=
        &processor->r)
        return ulv_db_wrong(diag, &p->r, 0, 0, "a share dangles");
    processor->found_shares++;
    if ((processor->found_taken & s->quanta) != 0)
        return ulv_db_wrong(diag, &processor->r,
                            processor->found_taken & s->quanta, 0,
                            "quanta with two owners");
    processor->found_taken |= s->quanta;
    if (processor->taken == UINT64_MAX && s->quanta == 0)
        return ulv_db_wrong(diag, &p->r, 0, 1, "quanta left to run in");
    if (s->mode == ULV_PROCESSOR_DEDICATED && processor->owner != p)
        return ulv_db_wrong(diag, &processor->r, processor->owner->r.id,
                            p->r.id, "owner of a dedicated processor");
    return ULV_OK;
}

static ulv_status
count_partitions(const struct ulv_database *db, struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    for (struct record *r = db->first[ULV_QUERY_PARTITIONS]; r != NULL;
         r = r->after) {
        struct partition *p = (void *)r;

        for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++)
            p->found.slots += p->slot[i] != NULL ? 1 : 0;
        for (const struct share *s = p->shares;
             s != NULL && status == ULV_OK; s = s->next)
            status = count_share(db, p, s, diag);
        count_guest(p);
    }
    return status;
}

ulv_status
ulv_db_check_count(const struct ulv_database *db, struct ulv_diag *diag)
{
    ulv_status status;

    begin(db);
    status = count_pools(db, diag);
    if (status == ULV_OK)
        status = count_partitions(db, diag);
    count_channels(db);
    count_machine(db);
    return status;
}
