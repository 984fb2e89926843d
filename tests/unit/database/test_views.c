/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Views that are brought up to date by what transactions have changed, beside
 * pictures that are taken whole, on the random transactions of the model.
 * Argument: how many (default 2000); ULV_SEED sets the seed.
 */
#include "model.h"

#include <stdlib.h>

#include <ultravisor/abi/system_call.h>

#include "system/picture.h"
#include "view/read.h"

#define FOLLOWERS 512u /* views at most */

struct follower {
    ulv_id partition;
    struct ulv_view_publisher publisher[2];
    struct ulv_view_reader reader[2];
    uint8_t *segment[2];
};

static uint64_t steps = 2000, seed = 1;
static struct follower *follower[FOLLOWERS];
static struct picture picture;

static struct follower *
make_follower(ulv_id partition)
{
    struct follower *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->partition = partition;
    for (uint32_t part = 0; part < 2; part++) {
        f->segment[part] = calloc(1, ULV_VIEW_SEGMENT_BYTES);
        assert_non_null(f->segment[part]);
        assert_int_equal(ulv_view_publisher_init(
                             &f->publisher[part], f->segment[part],
                             ULV_VIEW_SEGMENT_BYTES, part, partition, 1),
                         ULV_OK);
        ulv_view_reader_init(&f->reader[part], f->segment[part],
                             ULV_VIEW_SEGMENT_BYTES);
    }
    return f;
}

static void
free_follower(struct follower *f)
{
    for (uint32_t part = 0; part < 2 && f != NULL; part++)
        free(f->segment[part]);
    free(f);
}

/* Both parts; false: the view has no room for it beside what is kept. */
static bool
prepare(struct follower *f, const struct ulv_database *db)
{
    ulv_status status =
        ulv_picture_take(&picture, db, f->partition,
                         ULV_MIN(f->publisher[0].revision,
                                 f->publisher[1].revision),
                         NULL);

    assert_int_equal(status, ULV_OK);
    for (uint32_t part = 0; part < 2; part++) {
        if (part == ULV_VIEW_PART_GUEST)
            ulv_picture_blank(&picture);
        status = ulv_view_prepare(&f->publisher[part], picture.section, 5,
                                  NULL);
        if (status == ULV_E_LIMIT)
            return false;
        assert_int_equal(status, ULV_OK);
    }
    return true;
}

/* What is read is the picture, whole. */
static void
compare(struct follower *f, uint32_t part)
{
    uint64_t generation;

    assert_int_equal(ulv_view_refresh(&f->reader[part], &generation), ULV_OK);
    for (uint32_t i = 0; i < 5; i++) {
        const struct ulv_view_section *s = &picture.section[i];
        const uint8_t *record = s->records;
        uint8_t read[128];

        for (uint32_t n = 0; n < s->record_count; n++) {
            assert_int_equal(ulv_view_read(&f->reader[part], s->kind, n, read,
                                           s->record_bytes),
                             ULV_OK);
            assert_memory_equal(read, record, s->record_bytes);
            record += s->record_bytes;
        }
        assert_int_equal(ulv_view_read(&f->reader[part], s->kind,
                                       s->record_count, read,
                                       s->record_bytes),
                         ULV_E_NOT_FOUND);
    }
}

/* What was prepared, which is all there is. */
static void
show(struct follower *f, const struct ulv_database *db)
{
    for (uint32_t part = 0; part < 2; part++) {
        (void)ulv_view_publish(&f->publisher[part]);
        f->publisher[part].revision = ulv_database_revision(db);
    }
    assert_int_equal(ulv_picture_take(&picture, db, f->partition, 0, NULL),
                     ULV_OK);
    compare(f, ULV_VIEW_PART_MONITOR);
    ulv_picture_blank(&picture);
    compare(f, ULV_VIEW_PART_GUEST);
}

/* What a plan says that is given up. */
static void
prepare_in_vain(struct follower *f, struct ulv_database *db)
{
    struct ulv_operation o = { .kind = ULV_OP_RELEASE_MEMORY };
    struct ulv_request request = { .operations = &o, .operation_count = 1 };
    struct ulv_view_memory first;
    struct ulv_plan *plan;
    uint32_t idx;

    if (ulv_database_view_memory(db, ulv_database_partition(db, f->partition),
                                 0, &first, 1) == 0)
        return;
    o.u.release_memory.partition = f->partition;
    o.u.release_memory.guest_address = first.guest_address;
    o.u.release_memory.bytes = first.bytes;
    if (ulv_database_prepare(db, &request, &plan, &idx, NULL) != ULV_OK)
        return;
    (void)prepare(f, db);
    ulv_database_abort(db, plan);
}

static void
acknowledge(struct follower *f)
{
    for (uint32_t part = 0; part < 2; part++)
        ulv_view_acknowledge(&f->publisher[part],
                             f->publisher[part].generation);
}

/* It may be late, may prepare what is never shown, and its monitor may be
 * slow. What is never shown spoils a page for its next use: it is seldom. */
static void
follow(struct follower *f, struct ulv_database *db)
{
    if (model_random(8) == 0)
        return;
    if (model_random(64) == 0)
        prepare_in_vain(f, db);
    if (model_random(4) == 0)
        acknowledge(f);
    if (!prepare(f, db)) {
        acknowledge(f);
        if (!prepare(f, db))
            return;
    }
    show(f, db);
}

static void
follow_all(struct ulv_database *db)
{
    struct ulv_partition_record p;

    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        if (follower[i] == NULL)
            continue;
        if (ulv_database_find(db, ULV_QUERY_PARTITIONS, follower[i]->partition,
                              &p) == ULV_OK) {
            follow(follower[i], db);
        } else {
            free_follower(follower[i]);
            follower[i] = NULL;
        }
    }
}

static void
begin_to_follow(const struct ulv_database *db)
{
    struct ulv_partition_record p;
    uint32_t bytes, count;
    uint64_t after = 0;
    bool more = true;

    while (more) {
        struct follower **at;

        assert_int_equal(ulv_database_query(db, ULV_QUERY_PARTITIONS, after,
                                            &p, sizeof(p), &bytes, &count,
                                            &more),
                         ULV_OK);
        if (count == 0)
            return;
        after = p.id;
        at = &follower[p.id % FOLLOWERS];
        if (*at == NULL)
            *at = make_follower(p.id);
    }
}

static void
test_database_views__are_what_pictures_are(void **state)
{
    static struct model m;

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    begin(&m);
    for (uint64_t i = 0; i < steps; i++) {
        model_seed = script_step(seed, i);
        model_step(&m);
        follow_all(m.db);
        begin_to_follow(m.db);
    }
    for (uint32_t i = 0; i < FOLLOWERS; i++)
        free_follower(follower[i]);
    end(&m);
}

/* ---- what the model does seldom ------ */

static void
change(struct model *m, struct follower *f, const struct ulv_operation *o,
       uint32_t count)
{
    assert_int_equal(commit(m, o, count), ULV_OK);
    assert_true(prepare(f, m->db));
    show(f, m->db);
    acknowledge(f);
}

static void
set_state(struct model *m, struct follower *f, uint32_t state)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };

    o.u.set_state.partition = f->partition;
    o.u.set_state.state = state;
    change(m, f, &o, 1);
}

static void
run(struct model *m, struct follower *f)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_INTENT };

    o.u.set_intent.partition = f->partition;
    o.u.set_intent.intent = ULV_INTENT_RUNNING;
    change(m, f, &o, 1);
    set_state(m, f, ULV_STATE_RUNNING);
}

/* Memory, a processor, two disks, one of which the standby serves then. */
static void
equip(struct model *m, struct follower *f)
{
    struct ulv_operation o[2] = { { .kind = ULV_OP_ASSIGN_MEMORY },
                                  { .kind = ULV_OP_ASSIGN_PROCESSORS } };

    o[0].u.assign_memory.partition = f->partition;
    o[0].u.assign_memory.bytes = ULV_MIB(4);
    o[0].u.assign_memory.node = ULV_NODE_ANY;
    o[1].u.assign_processors.partition = f->partition;
    o[1].u.assign_processors.count = 1;
    change(m, f, o, 2);
    for (uint32_t i = 0; i < 2; i++) {
        give_console(m, f->partition, o);
        change(m, f, o, 2);
    }
    o[1].kind = ULV_OP_REHOME;
    o[1].u.rehome.device = o[0].u.offer.id;
    o[1].u.rehome.server = m->io[1];
    change(m, f, &o[1], 1);
}

static void
test_database_views__follow_a_life(void **state)
{
    static struct model m;
    struct ulv_operation o[2];
    struct ulv_extent_record e;
    uint32_t bytes, count;
    struct follower *f;
    bool more;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    f = make_follower(m.p[1].id);
    equip(&m, f);
    run(&m, f);
    set_state(&m, f, ULV_STATE_STOPPED);
    run(&m, f); /* its channels are of another epoch */
    assert_int_equal(ulv_database_query(m.db, ULV_QUERY_EXTENTS, 0, &e,
                                        sizeof(e), &bytes, &count, &more),
                     ULV_OK);
    memset(o, 0, sizeof(o));
    o[0].kind = ULV_OP_RELEASE_MEMORY;
    o[0].u.release_memory.partition = f->partition;
    o[0].u.release_memory.guest_address = e.guest_address;
    o[0].u.release_memory.bytes = e.bytes;
    change(&m, f, o, 1); /* it drains, and is broken then */
    o[1].kind = ULV_OP_RETIRE_MEMORY;
    o[1].u.retire_memory.id = new_id(&m);
    o[1].u.retire_memory.frame = e.frame;
    o[1].u.retire_memory.bytes = 4096;
    change(&m, f, &o[1], 1);
    set_state(&m, f, ULV_STATE_STOPPED);
    memset(o, 0, sizeof(o));
    o[0].kind = ULV_OP_SETTLE;
    o[0].u.settle.object = e.id;
    change(&m, f, o, 1);
    free_follower(f);
    end(&m);
}

/* Of the partition alone. */
static void
set_quota(struct model *m, struct follower *f, uint64_t limit)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_QUOTA };

    o.u.set_quota.object = f->partition;
    o.u.set_quota.resource = ULV_QUOTA_MEMORY;
    o.u.set_quota.limit = limit;
    change(m, f, &o, 1);
}

/* Its memory takes pages of its own, two of them and more, and fits the
 * directory again; between, changes that leave it as it is. */
static void
test_database_views__grow_and_shrink(void **state)
{
    static struct model m;
    const uint32_t runs = 250;
    struct ulv_view_memory memory[250];
    struct ulv_operation o;
    struct follower *f;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    f = make_follower(m.p[1].id);
    memset(&o, 0, sizeof(o));
    o.kind = ULV_OP_ASSIGN_MEMORY;
    o.u.assign_memory.partition = f->partition;
    o.u.assign_memory.bytes = 4096;
    o.u.assign_memory.node = ULV_NODE_ANY;
    for (uint32_t i = 0; i < runs; i++) {
        change(&m, f, &o, 1);
        set_quota(&m, f, ULV_MIB(2) + i * ULV_MIB(1));
    }
    assert_int_equal(ulv_database_view_memory(
                         m.db, ulv_database_partition(m.db, f->partition), 0,
                         memory, runs),
                     runs);
    memset(&o, 0, sizeof(o));
    o.kind = ULV_OP_RELEASE_MEMORY;
    o.u.release_memory.partition = f->partition;
    o.u.release_memory.bytes = 4096;
    for (uint32_t i = runs; i > 0; i--) {
        o.u.release_memory.guest_address =
            memory[i * 7 % runs].guest_address;
        change(&m, f, &o, 1);
        set_quota(&m, f, ULV_MIB(2) + i * ULV_MIB(1));
    }
    free_follower(f);
    end(&m);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_views__are_what_pictures_are),
        cmocka_unit_test(test_database_views__follow_a_life),
        cmocka_unit_test(test_database_views__grow_and_shrink),
    };

    ulv_picture_init(&picture);
    if (argc > 1)
        steps = strtoull(argv[1], NULL, 0);
    if (getenv("ULV_SEED") != NULL)
        seed = strtoull(getenv("ULV_SEED"), NULL, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
