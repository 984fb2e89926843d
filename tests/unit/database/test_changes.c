/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What readers are told of changes: the ring by itself, and a database that is
 * observed while random transactions change it, each compared with all that
 * queries say before and after. Argument: how many transactions (default 300);
 * ULV_SEED sets the seed.
 */
#include "model.h"

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
    const struct ulv_changes_filter all = { 0, 0 };
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
    const struct ulv_changes_filter all = { 0, 0 };
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
    const struct ulv_changes_filter all = { 0, 0 };
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

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_changes__readers_see_what_is_shown),
        cmocka_unit_test(test_database_changes__the_oldest_make_room),
        cmocka_unit_test(test_database_changes__are_all_that_changes),
        cmocka_unit_test(test_database_changes__concern_who_had_and_who_has),
    };

    if (argc > 1)
        steps = strtoull(argv[1], NULL, 10);
    if (getenv("ULV_SEED") != NULL)
        model_seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
