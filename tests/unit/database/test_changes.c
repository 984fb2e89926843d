/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What readers are told of changes: the ring by itself, and a database that is
 * observed while random transactions change it, each compared with all that
 * queries say before and after. Argument: how many transactions (default 300);
 * ULV_SEED sets the seed.
 */
#include "model.h"
#include "operations.h"

#include <stdlib.h>

#include "database/database_priv.h"
#include "database/observe.h"

static uint64_t steps = 300;

/* ---- the ring ------------------------------------------------------------ */

static void
add(struct ulv_changes *c, uint64_t revision, uint32_t count)
{
    struct ulv_change change = { .revision = revision,
                                 .change = ULV_CHANGE_CHANGED };

    for (uint32_t i = 0; i < count; i++) {
        change.object = i;
        ulv_changes_add(c, &change);
    }
}

static void
next_is(const struct ulv_changes *c, struct ulv_changes_place *place,
        uint32_t change, uint64_t revision, bool more)
{
    const struct ulv_changes_filter all = { .kinds = 0 };
    struct ulv_change got;
    bool has_more = !more;

    assert_true(ulv_changes_next(c, &all, place, &got, &has_more));
    assert_int_equal(got.change, change);
    assert_int_equal(got.revision, revision);
    assert_int_equal(has_more, more);
}

static void
no_next(const struct ulv_changes *c, struct ulv_changes_place *place)
{
    const struct ulv_changes_filter all = { .kinds = 0 };
    struct ulv_change got;
    bool more;

    assert_false(ulv_changes_next(c, &all, place, &got, &more));
}

static void
test_database_changes__readers_see_what_is_shown(void **state)
{
    struct ulv_test_host t;
    struct ulv_changes c;
    struct ulv_changes_place at, ahead;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(ulv_changes_init(&c, &t.host, 7), ULV_OK);
    at = ulv_changes_place(&c, 7);
    ahead = ulv_changes_place(&c, 9);
    add(&c, 8, 2);
    no_next(&c, &at);
    ulv_changes_undo(&c, 7);
    add(&c, 8, 1);
    ulv_changes_show(&c, 8);
    next_is(&c, &at, ULV_CHANGE_CHANGED, 8, false);
    no_next(&c, &at);
    add(&c, 9, 2);
    ulv_changes_show(&c, 9);
    add(&c, 10, 1);
    ulv_changes_show(&c, 10);
    next_is(&c, &at, ULV_CHANGE_CHANGED, 9, true);
    next_is(&c, &at, ULV_CHANGE_CHANGED, 9, false);
    next_is(&c, &at, ULV_CHANGE_CHANGED, 10, false);
    no_next(&c, &at);
    /* one that began ahead of the ring hears nothing twice */
    next_is(&c, &ahead, ULV_CHANGE_CHANGED, 10, false);
    no_next(&c, &ahead);
    /* what was before the ring is lost, once */
    at = ulv_changes_place(&c, 3);
    next_is(&c, &at, ULV_CHANGE_LOST, 7, false);
    next_is(&c, &at, ULV_CHANGE_CHANGED, 8, false);
    ulv_changes_fini(&c);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static void
test_database_changes__the_oldest_make_room(void **state)
{
    struct ulv_test_host t;
    struct ulv_changes c;
    struct ulv_changes_place slow, part;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(ulv_changes_init(&c, &t.host, 0), ULV_OK);
    slow = part = ulv_changes_place(&c, 0);
    add(&c, 1, 3);
    ulv_changes_show(&c, 1);
    next_is(&c, &part, ULV_CHANGE_CHANGED, 1, true);
    /* all but one of the first are pushed out, and that counts as all */
    add(&c, 2, ULV_CHANGES_COUNT - 1);
    ulv_changes_show(&c, 2);
    next_is(&c, &part, ULV_CHANGE_LOST, 1, false);
    next_is(&c, &part, ULV_CHANGE_CHANGED, 2, true);
    next_is(&c, &slow, ULV_CHANGE_LOST, 1, false);
    next_is(&c, &slow, ULV_CHANGE_CHANGED, 2, true);
    /* one that is larger than the ring is itself lost, but not what follows */
    add(&c, 3, ULV_CHANGES_COUNT + 5);
    next_is(&c, &slow, ULV_CHANGE_LOST, 2, false);
    no_next(&c, &slow);
    ulv_changes_show(&c, 3);
    next_is(&c, &slow, ULV_CHANGE_LOST, 3, false);
    no_next(&c, &slow);
    /* one that is larger and undone: the next of its number is heard */
    add(&c, 4, ULV_CHANGES_COUNT + 5);
    ulv_changes_undo(&c, 3);
    add(&c, 4, 1);
    ulv_changes_show(&c, 4);
    next_is(&c, &slow, ULV_CHANGE_CHANGED, 4, false);
    ulv_changes_lose(&c, 20);
    next_is(&c, &slow, ULV_CHANGE_LOST, 20, false);
    no_next(&c, &slow);
    ulv_changes_fini(&c);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static void
test_database_changes__labels(void **state)
{
    char key[16] = "tier", value[48] = "web";
    static const char none[48];
    struct ulv_changes_filter all = { .kinds = 0 }, by = all;
    struct ulv_changes_labels labels = { .count = 0 };

    (void)state;
    assert_int_equal(ulv_changes_by_label(&by, none, none), ULV_OK);
    assert_true(by.label_mask == 0);
    assert_int_equal(ulv_changes_by_label(&by, none, value), ULV_E_ARG);
    assert_int_equal(ulv_changes_by_label(&by, key, value), ULV_OK);
    assert_true(by.label == ulv_changes_label_sum(key, value));
    memset(key, 'k', sizeof(key));
    assert_int_equal(ulv_changes_by_label(&by, key, value), ULV_E_ARG);
    key[15] = '\0';
    memset(value, 'v', sizeof(value));
    assert_int_equal(ulv_changes_by_label(&by, key, value), ULV_E_ARG);
    for (uint64_t i = 1; i <= ULV_CHANGE_LABELS_MAX; i++) {
        ulv_changes_label(&labels, i);
        ulv_changes_label(&labels, i);
    }
    assert_int_equal(labels.count, ULV_CHANGE_LABELS_MAX);
    assert_true(labels.sum[ULV_CHANGE_LABELS_MAX - 1] ==
                ULV_CHANGE_LABELS_MAX);
    ulv_changes_label(&labels, 77); /* one more than are kept */
    assert_int_equal(labels.count, ULV_CHANGE_LABELS_MAX);
    assert_true(labels.sum[ULV_CHANGE_LABELS_MAX - 1] ==
                ULV_CHANGE_LABEL_MANY);
}

/* ---- a database ---------------------------------------------------------- */

#define RECORDS_MAX 4096u

/* Ids and versions of all records of each kind. */
struct picture {
    uint32_t count;
    struct {
        uint64_t id, version;
        uint32_t kind;
    } record[RECORDS_MAX];
};

static void
look(const struct ulv_database *db, struct picture *picture)
{
    picture->count = 0;
    for (uint32_t kind = 1; kind < KIND_COUNT; kind++) {
        for (const struct record *r = db->first[kind]; r != NULL;
             r = r->after) {
            assert_true(picture->count < RECORDS_MAX);
            picture->record[picture->count].id = r->id;
            picture->record[picture->count].version = r->version;
            picture->record[picture->count++].kind = r->kind;
        }
    }
}

static uint32_t
place_of(const struct picture *picture, uint64_t id, uint32_t kind)
{
    uint32_t i = 0;

    while (i < picture->count && (picture->record[i].id != id ||
                                  picture->record[i].kind != kind))
        i++;
    return i;
}

/* Make of a picture what a change says. */
static void
apply(struct picture *picture, const struct ulv_change *change)
{
    uint32_t i = place_of(picture, change->object, change->kind);
    bool there = i < picture->count;

    if (change->change == ULV_CHANGE_REMOVED) {
        if (there) /* or the same transaction has made it */
            picture->record[i] = picture->record[--picture->count];
        return;
    }
    assert_int_equal(change->change,
                     there ? ULV_CHANGE_CHANGED : ULV_CHANGE_MADE);
    assert_true(i < RECORDS_MAX);
    picture->count += there ? 0 : 1;
    picture->record[i].id = change->object;
    picture->record[i].kind = change->kind;
    picture->record[i].version = change->revision;
}

static void
are_equal(const struct picture *mirror, const struct picture *db)
{
    assert_int_equal(mirror->count, db->count);
    for (uint32_t i = 0; i < db->count; i++) {
        uint32_t at =
            place_of(mirror, db->record[i].id, db->record[i].kind);

        assert_true(at < mirror->count);
        assert_int_equal(mirror->record[at].version, db->record[i].version);
    }
}

/* All that is new, into the mirror; each revision ends with the log's. */
static void
hear(const struct ulv_changes *c, struct ulv_changes_place *place,
     struct picture *mirror, uint64_t revision)
{
    const struct ulv_changes_filter all = { .kinds = 0 };
    struct ulv_change change;
    bool more = true;

    while (ulv_changes_next(c, &all, place, &change, &more)) {
        assert_int_not_equal(change.change, ULV_CHANGE_LOST);
        assert_int_equal(more, change.kind != ULV_QUERY_LOG);
        if (more)
            apply(mirror, &change);
    }
    assert_int_equal(place->after, revision);
}

static void
test_database_changes__are_all_that_changes(void **state)
{
    static struct picture mirror, db;
    static struct model m;
    struct ulv_changes_place place;
    struct ulv_changes c;

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)model_seed);
    begin(&m);
    assert_int_equal(ulv_changes_init(&c, &m.t.host, m.revision), ULV_OK);
    assert_int_equal(ulv_database_observe(m.db, &c), ULV_OK);
    assert_int_equal(ulv_database_observe(m.db, &c), ULV_E_EXISTS);
    place = ulv_changes_place(&c, m.revision);
    look(m.db, &mirror);
    for (uint64_t n = 0; n < steps; n++) {
        model_step(&m);
        look(m.db, &db);
        hear(&c, &place, &mirror, m.revision);
        are_equal(&mirror, &db);
    }
    ulv_database_unobserve(m.db);
    ulv_changes_fini(&c);
    end(&m);
}

/* Of a rehomed device hears who had it, who has it, and nobody else. */
static void
test_database_changes__concern_who_had_and_who_has(void **state)
{
    static struct model m;
    struct ulv_operation o[2];
    struct ulv_changes c;
    uint32_t heard[4] = { 0 };

    (void)state;
    begin(&m);
    assert_int_equal(ulv_changes_init(&c, &m.t.host, m.revision), ULV_OK);
    assert_int_equal(ulv_database_observe(m.db, &c), ULV_OK);
    memset(o, 0, sizeof(o));
    o[0].kind = ULV_OP_OFFER;
    o[0].u.offer.id = m.next++;
    o[0].u.offer.primary = m.io[0];
    o[0].u.offer.standby = m.io[1];
    o[0].u.offer.kind = ULV_DEVICE_CONSOLE;
    memcpy(o[0].u.offer.name, "c", 2);
    o[1].kind = ULV_OP_SET_STATE;
    o[1].u.set_state.partition = m.io[1];
    o[1].u.set_state.state = ULV_STATE_RUNNING;
    assert_int_equal(commit(&m, o, 2), ULV_OK);
    o[1].kind = ULV_OP_REHOME;
    o[1].u.rehome.device = o[0].u.offer.id;
    o[1].u.rehome.server = m.io[1];
    assert_int_equal(commit(&m, &o[1], 1), ULV_OK);
    for (uint32_t i = 0; i < 4; i++) {
        const struct ulv_changes_filter devices = {
            .kinds = 1u << ULV_QUERY_DEVICES,
            .partition = i < 2 ? m.io[i] : i == 2 ? m.ultravisor : 0,
        };
        struct ulv_changes_place place =
            ulv_changes_place(&c, m.revision - 1);
        struct ulv_change change;
        bool more;

        while (ulv_changes_next(&c, &devices, &place, &change, &more))
            heard[i]++;
    }
    assert_int_equal(heard[0], 1);
    assert_int_equal(heard[1], 1);
    assert_int_equal(heard[2], 0);
    assert_int_equal(heard[3], 1);
    /* nobody has to stop observing first */
    ulv_database_destroy(m.db);
    ulv_changes_fini(&c);
    assert_int_equal(ulv_test_host_fini(&m.t), 0);
}

/* A guest that runs loses a device that is gone, and hears of it. */
static void
test_database_changes__of_hardware_that_is_gone(void **state)
{
    static struct model m;
    struct ulv_operation o[3];
    struct ulv_changes_filter hardware = { .kinds = 1u << ULV_QUERY_HARDWARE };
    struct ulv_changes_place place;
    struct ulv_changes c;
    struct ulv_change change;
    bool more;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    assert_int_equal(ulv_changes_init(&c, &m.t.host, m.revision), ULV_OK);
    assert_int_equal(ulv_database_observe(m.db, &c), ULV_OK);
    memset(o, 0, sizeof(o));
    o[0].kind = ULV_OP_ADD_HARDWARE;
    o[0].u.add_hardware.id = m.next++;
    o[0].u.add_hardware.kind = ULV_HARDWARE_DISK;
    memcpy(o[0].u.add_hardware.name, "sda", 4);
    o[1].kind = ULV_OP_ASSIGN_HARDWARE;
    o[1].u.assign_hardware.id = o[0].u.add_hardware.id;
    o[1].u.assign_hardware.partition = m.p[1].id;
    o[2].kind = ULV_OP_SET_STATE;
    o[2].u.set_state.partition = m.p[1].id;
    o[2].u.set_state.state = ULV_STATE_RUNNING;
    assert_int_equal(commit(&m, o, 3), ULV_OK);
    hardware.partition = m.p[1].id;
    place = ulv_changes_place(&c, m.revision);
    o[1] = (struct ulv_operation){ .kind = ULV_OP_REMOVE_HARDWARE };
    o[1].u.remove_hardware.id = o[0].u.add_hardware.id;
    assert_int_equal(commit(&m, &o[1], 1), ULV_E_BUSY);
    o[1].u.remove_hardware.gone = 1;
    assert_int_equal(commit(&m, &o[1], 1), ULV_OK);
    assert_true(ulv_changes_next(&c, &hardware, &place, &change, &more));
    assert_int_equal(change.change, ULV_CHANGE_REMOVED);
    assert_int_equal(change.object, o[0].u.add_hardware.id);
    assert_false(ulv_changes_next(&c, &hardware, &place, &change, &more));
    ulv_database_unobserve(m.db);
    ulv_changes_fini(&c);
    end(&m);
}

/* ---- labels -------------------------------------------------------------- */

/* How many changes above a revision a reader hears of that label. */
static uint32_t
hears(const struct ulv_changes *c, uint64_t after, const char *key,
      const char *value)
{
    struct ulv_changes_filter by = { .kinds = 0 };
    struct ulv_changes_place place = ulv_changes_place(c, after);
    char k[16] = { 0 }, v[48] = { 0 };
    struct ulv_change change;
    uint32_t count = 0;
    bool more;

    ulv_string_copy(k, sizeof(k), key);
    ulv_string_copy(v, sizeof(v), value);
    assert_int_equal(ulv_changes_by_label(&by, k, v), ULV_OK);
    while (ulv_changes_next(c, &by, &place, &change, &more)) {
        assert_int_not_equal(change.change, ULV_CHANGE_LOST);
        count++;
    }
    return count;
}

/* Who had the label before a change or has it after hears of it, whatever
 * becomes of the label later. */
static void
test_database_changes__by_label(void **state)
{
    static struct model m;
    struct ulv_operation o[4];
    struct ulv_changes c;
    uint64_t begun;
    ulv_id web;

    (void)state;
    begin(&m);
    assert_int_equal(ulv_changes_init(&c, &m.t.host, m.revision), ULV_OK);
    assert_int_equal(ulv_database_observe(m.db, &c), ULV_OK);
    begun = m.revision;
    model_create(&m, 1);
    web = m.p[1].id;
    assert_int_equal(hears(&c, begun, "tier", ""), 0);
    o[0] = op_label(web, "tier", "web");
    assert_int_equal(commit(&m, o, 1), ULV_OK); /* the label's record */
    assert_int_equal(hears(&c, begun, "tier", ""), 1);
    assert_int_equal(hears(&c, begun, "tier", "web"), 1);
    assert_int_equal(hears(&c, begun, "tier", "db"), 0);
    assert_int_equal(hears(&c, begun, "tie", ""), 0);
    memset(o, 0, sizeof(o));
    o[0].kind = ULV_OP_ASSIGN_MEMORY;
    o[0].u.assign_memory.partition = web;
    o[0].u.assign_memory.bytes = 4096;
    assert_int_equal(commit(&m, o, 1), ULV_OK); /* partition and extent */
    assert_int_equal(hears(&c, begun, "tier", "web"), 3);
    /* from one value to another: both hear of the label, and of all else in
     * that transaction, in whatever order */
    o[1] = op_label(web, "tier", "db");
    assert_int_equal(commit(&m, o, 2), ULV_OK);
    assert_int_equal(hears(&c, begun, "tier", "web"), 6);
    assert_int_equal(hears(&c, begun, "tier", "db"), 3);
    assert_int_equal(hears(&c, begun, "tier", ""), 6);
    assert_int_equal(commit(&m, o, 1), ULV_OK); /* of db alone */
    assert_int_equal(hears(&c, begun, "tier", "web"), 6);
    assert_int_equal(hears(&c, begun, "tier", "db"), 5);
    /* taken off before the rest of its transaction, and with its partition */
    o[1] = o[0];
    o[0] = op_label(web, "tier", "");
    assert_int_equal(commit(&m, o, 2), ULV_OK);
    assert_int_equal(hears(&c, m.revision - 1, "tier", "db"), 3);
    o[0] = op_label(web, "tier", "web");
    assert_int_equal(commit(&m, o, 1), ULV_OK);
    o[0] = (struct ulv_operation){ .kind = ULV_OP_DESTROY_PARTITION };
    o[0].u.destroy_partition.id = web;
    assert_int_equal(commit(&m, o, 1), ULV_OK);
    /* four extents, the label, the partition */
    assert_int_equal(hears(&c, m.revision - 1, "tier", "web"), 6);
    assert_int_equal(hears(&c, m.revision - 1, "tier", "db"), 0);
    /* and of what was it hears as before */
    assert_int_equal(hears(&c, begun, "tier", "db"), 8);
    ulv_database_destroy(m.db);
    ulv_changes_fini(&c);
    assert_int_equal(ulv_test_host_fini(&m.t), 0);
}

/* What a label's reader hears of random transactions, beside what the labels
 * of queries say before and after each. */
static void
test_database_changes__by_label_as_queries_have_it(void **state)
{
    static struct ulv_label_record before[256], after[256];
    static struct model m;
    struct ulv_changes c;
    uint32_t bytes, had, has, heard = 0;
    bool more;

    (void)state;
    begin(&m);
    assert_int_equal(ulv_changes_init(&c, &m.t.host, m.revision), ULV_OK);
    assert_int_equal(ulv_database_observe(m.db, &c), ULV_OK);
    for (uint64_t n = 0; n < steps; n++) {
        const struct ulv_changes_filter all = { .kinds = 0 };
        struct ulv_changes_place place = ulv_changes_place(&c, m.revision);
        const uint64_t revision = m.revision;
        struct ulv_change change;
        uint32_t expected = 0;

        assert_int_equal(ulv_database_query(m.db, ULV_QUERY_LABELS, 0, before,
                                            sizeof(before), &bytes, &had,
                                            &more),
                         ULV_OK);
        if (model_random(3) == 0)
            model_label(&m, model_random(PARTITIONS));
        else
            model_step(&m);
        assert_int_equal(ulv_database_query(m.db, ULV_QUERY_LABELS, 0, after,
                                            sizeof(after), &bytes, &has,
                                            &more),
                         ULV_OK);
        while (ulv_changes_next(&c, &all, &place, &change, &more)) {
            bool concerned = false;

            for (uint32_t i = 0; i < had + has; i++) {
                const struct ulv_label_record *l =
                    i < had ? &before[i] : &after[i - had];

                concerned |= l->key[0] == 'a' && l->value[0] == '1' &&
                             (l->object == change.object ||
                              l->object == change.partition[0] ||
                              l->object == change.partition[1] ||
                              l->id == change.object);
            }
            expected += concerned ? 1 : 0;
        }
        assert_int_equal(hears(&c, revision, "a", "1"), expected);
        heard += expected;
    }
    assert_true(heard > 0);
    ulv_database_unobserve(m.db);
    ulv_changes_fini(&c);
    end(&m);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_changes__readers_see_what_is_shown),
        cmocka_unit_test(test_database_changes__the_oldest_make_room),
        cmocka_unit_test(test_database_changes__labels),
        cmocka_unit_test(test_database_changes__by_label),
        cmocka_unit_test(test_database_changes__by_label_as_queries_have_it),
        cmocka_unit_test(test_database_changes__are_all_that_changes),
        cmocka_unit_test(test_database_changes__concern_who_had_and_who_has),
        cmocka_unit_test(test_database_changes__of_hardware_that_is_gone),
    };

    if (argc > 1)
        steps = strtoull(argv[1], NULL, 10);
    if (getenv("ULV_SEED") != NULL)
        model_seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
