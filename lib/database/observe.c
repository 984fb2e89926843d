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

static uint64_t
sum_of(const struct label *label)
{
    return ulv_changes_label_sum(label->key, label->value);
}

static uint64_t *
chain_of(struct observed *o, ulv_id object)
{
    return &o->gone[object % GONE_CHAINS];
}

static void
forget_gone(struct observed *o)
{
    if (o->labels_go)
        memset(o->gone, 0, sizeof(o->gone));
    o->labels_go = false;
}

/* Its note is the last one. */
static void
label_goes(struct observed *o, const struct label *label,
           struct ulv_changes_labels *labels)
{
    uint64_t *chain = chain_of(o, label->object->id);

    labels->of = label->object->id;
    ulv_changes_label(labels, sum_of(label));
    labels->before = *chain;
    *chain = o->changes->end;
    o->labels_go = true;
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

    struct ulv_changes_labels *labels;

    if (what != ULV_CHANGE_MADE)
        ulv_db_concerned(r, change.partition);
    labels = ulv_changes_add(db->observed->changes, &change);
    if (r->kind == ULV_QUERY_LABELS && what != ULV_CHANGE_MADE)
        label_goes(db->observed, (const void *)r, labels);
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

/* ---- labels -------------------------------------------------------------- */

/* What an object has now, and what the plan has taken from it or changed. */
static void
add_labels(const struct ulv_database *db, struct ulv_changes_labels *labels,
           ulv_id object)
{
    const struct ulv_changes *c = db->observed->changes;
    const struct record *r = ulv_db_find_any(db, object);

    for (const struct label *l = r == NULL ? NULL : r->labels; l != NULL;
         l = l->next)
        ulv_changes_label(labels, sum_of(l));
    for (uint64_t at = *chain_of(db->observed, object); at > c->first;) {
        const struct ulv_changes_labels *gone =
            &c->labels[(at - 1) % ULV_CHANGES_COUNT];

        if (gone->of == object)
            ulv_changes_label(labels, gone->sum[0]);
        at = gone->before;
    }
}

/* Labels of a change, when all of its revision is noted. */
static void
label_change(const struct ulv_database *db, const struct ulv_change *change,
             struct ulv_changes_labels *labels)
{
    const struct label *label =
        change->kind == ULV_QUERY_LABELS
            ? (const void *)ulv_db_find(db, change->object, change->kind)
            : NULL;
    ulv_id object = labels->of != 0 ? labels->of : change->object;

    if (label != NULL)
        object = label->object->id;
    add_labels(db, labels, object);
    for (uint32_t i = 0; i < ULV_CHANGE_PARTITIONS; i++) {
        if (change->partition[i] != 0 && change->partition[i] != object)
            add_labels(db, labels, change->partition[i]);
    }
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

    const bool labelled =
        db->observed->labels_go || db->first[ULV_QUERY_LABELS] != NULL;

    for (uint64_t at = c->end; at > c->first; at--) {
        const uint64_t place = (at - 1) % ULV_CHANGES_COUNT;

        if (c->ring[place].revision != db->revision)
            break;
        complete(db, &c->ring[place]);
        if (labelled)
            label_change(db, &c->ring[place], &c->labels[place]);
    }
    forget_gone(db->observed);
    (void)ulv_changes_add(c, &log);
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
    forget_gone(db->observed);
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
