/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The notes of a plan stand in the ring as it is worked out, each with the
 * partitions that had the record; when the plan becomes a revision, those that
 * have it now are added, and what the plan itself has removed again is struck
 * out. Readers see none of it before the revision is one that is not undone.
 */
#include "database/observe_priv.h"

static void
add_partition(const struct partition *p,
              uint64_t partition[ULV_CHANGE_PARTITIONS])
{
    for (uint32_t i = 0; p != NULL && i < ULV_CHANGE_PARTITIONS; i++) {
        if (partition[i] == 0)
            partition[i] = p->r.id;
        if (partition[i] == p->r.id)
            return;
    }
}

void
ulv_db_concerned(const struct record *r,
                 uint64_t partition[ULV_CHANGE_PARTITIONS])
{
    const struct channel *channel = (const void *)r;
    const struct device *device = (const void *)r;

    switch (r->kind) {
    case ULV_QUERY_PARTITIONS:
        add_partition((const void *)r, partition);
        break;
    case ULV_QUERY_EXTENTS:
        add_partition(((const struct extent *)(const void *)r)->partition,
                      partition);
        break;
    case ULV_QUERY_CHANNELS:
        add_partition(channel->server, partition);
        add_partition(channel->client, partition);
        break;
    case ULV_QUERY_DEVICES:
        add_partition(device->serving, partition);
        add_partition(device->standby, partition);
        break;
    case ULV_QUERY_PROCESSORS:
        add_partition(((const struct processor *)(const void *)r)->owner,
                      partition);
        break;
    case ULV_QUERY_RANGES:
        add_partition(((const struct range_record *)(const void *)r)->owner,
                      partition);
        break;
    case ULV_QUERY_HARDWARE:
        add_partition(((const struct hardware *)(const void *)r)->owner,
                      partition);
        break;
    case ULV_QUERY_LABELS: /* those of what it is a label of */
        ulv_db_concerned(((const struct label *)(const void *)r)->object,
                         partition);
        break;
    default:
        break;
    }
}

static void
before(struct ulv_database *db, const struct record *r, uint32_t what)
{
    struct ulv_change change = {
        .revision = db->revision + 1,
        .object = r->id,
        .kind = r->kind,
        .change = what,
    };

    if (what != ULV_CHANGE_MADE)
        ulv_db_concerned(r, change.partition);
    ulv_changes_add(db->observed->changes, &change);
    if (db->observed->cursors != NULL)
        ulv_db_cursors_before(db, r, what);
}

/* What the plan has noted, as it turned out. */
static void
complete(const struct ulv_database *db, struct ulv_change *change)
{
    const struct record *r;

    if (change->change == ULV_CHANGE_REMOVED)
        return;
    r = ulv_db_find(db, change->object, change->kind);
    if (r == NULL)
        change->change = 0;
    else
        ulv_db_concerned(r, change->partition);
}

static void
formed(struct ulv_database *db)
{
    struct ulv_changes *c = db->observed->changes;
    struct ulv_change log = {
        .revision = db->revision,
        .object = db->revision,
        .kind = ULV_QUERY_LOG,
        .change = ULV_CHANGE_MADE,
    };

    for (uint64_t at = c->end; at > c->first; at--) {
        struct ulv_change *change = &c->ring[(at - 1) % ULV_CHANGES_COUNT];

        if (change->revision != db->revision)
            break;
        complete(db, change);
    }
    ulv_changes_add(c, &log);
}

static void
shown(struct ulv_database *db)
{
    ulv_changes_show(db->observed->changes, db->revision);
    if (db->observed->cursors != NULL)
        ulv_db_cursors_shown(db);
}

static void
undone(struct ulv_database *db)
{
    ulv_changes_undo(db->observed->changes, db->revision);
    if (db->observed->cursors != NULL)
        ulv_db_cursors_undone(db);
}

static const struct observer observer = {
    .before = before,
    .formed = formed,
    .shown = shown,
    .undone = undone,
    .end = ulv_database_unobserve,
};

ulv_status
ulv_database_observe(struct ulv_database *db, struct ulv_changes *changes)
{
    const struct ulv_host *host = db->host;

    if (db->observer != NULL)
        return ULV_E_EXISTS;
    db->observed = host->alloc(host->self, sizeof(*db->observed), 8);
    if (db->observed == NULL)
        return ULV_E_NO_MEMORY;
    db->observed->changes = changes;
    db->observer = &observer;
    return ULV_OK;
}

void
ulv_database_unobserve(struct ulv_database *db)
{
    const struct ulv_host *host = db->host;

    if (db->observer == NULL)
        return;
    ulv_db_cursors_end(db);
    host->free(host->self, db->observed, sizeof(*db->observed));
    db->observed = NULL;
    db->observer = NULL;
}
