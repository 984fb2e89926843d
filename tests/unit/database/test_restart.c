/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* How often a guest may start again, in which window; also when its database is
 * found again. */
#include "database_test.h"
#include "port/test/storage.h"

#define SECOND UINT64_C(1000000000)

static ulv_id
guest(struct model *m, uint64_t number, uint32_t restarts, uint32_t window)
{
    struct ulv_operation o = create(new_id(m), ULV_PARTITION_GUEST, number);

    o.u.create_partition.restarts = restarts;
    o.u.create_partition.restart_window = window;
    assert_int_equal(commit(m, &o, 1), ULV_OK);
    return o.u.create_partition.id;
}

/* Twice in a window, whose beginning is the first. */
static void
twice_in(struct ulv_database *db, ulv_id id, uint64_t window)
{
    uint64_t now = 7 * SECOND;

    for (uint32_t round = 0; round < 3; round++) {
        assert_true(ulv_database_take_restart(db, id, now));
        assert_true(ulv_database_take_restart(db, id, now + window / 2));
        assert_false(ulv_database_take_restart(db, id, now + window / 2));
        assert_false(ulv_database_take_restart(db, id, now + window - 1));
        now += window;
    }
}

static void
test_database_restart__in_a_window(void **state)
{
    struct model m;
    ulv_id never;

    (void)state;
    begin(&m);
    twice_in(m.db, guest(&m, 1, 2, 0), ULV_RESTART_WINDOW);
    twice_in(m.db, guest(&m, 2, 2, 5000), 5 * SECOND);
    twice_in(m.db, guest(&m, 3, 2, UINT32_MAX),
             UINT32_MAX * UINT64_C(1000000));
    never = guest(&m, 4, 0, 5000);
    assert_false(ulv_database_take_restart(m.db, never, SECOND));
    assert_false(ulv_database_take_restart(m.db, 999, SECOND));
    end(&m);
}

/* A journal with more would not be read. */
static void
test_database_restart__at_most(void **state)
{
    struct ulv_operation o = { .kind = ULV_OP_CREATE_PARTITION };
    struct model m;

    (void)state;
    begin(&m);
    o = create(new_id(&m), ULV_PARTITION_GUEST, 1);
    o.u.create_partition.restarts = ULV_RESTARTS_MAX + 1;
    assert_int_equal(commit(&m, &o, 1), ULV_E_ARG);
    o.u.create_partition.restarts = ULV_RESTARTS_MAX;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    end(&m);
}

static void
change(struct model *m, ulv_id id, uint32_t restarts, uint32_t window)
{
    struct ulv_operation o = { .kind = ULV_OP_CHANGE_PARTITION };

    o.u.change_partition.id = id;
    o.u.change_partition.what = ULV_PARTITION_SET_RESTARTS;
    o.u.change_partition.restarts = restarts;
    o.u.change_partition.restart_window = window;
    assert_int_equal(commit(m, &o, 1), ULV_OK);
}

/* What a guest has used up counts on when more or fewer are allowed. */
static void
test_database_restart__changed_within_a_window(void **state)
{
    struct model m;
    ulv_id id;

    (void)state;
    begin(&m);
    id = guest(&m, 1, 3, 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(ulv_database_take_restart(m.db, id, SECOND));
    change(&m, id, 2, 0);
    assert_false(ulv_database_take_restart(m.db, id, SECOND));
    change(&m, id, 4, 0);
    assert_true(ulv_database_take_restart(m.db, id, SECOND));
    assert_false(ulv_database_take_restart(m.db, id, SECOND));
    change(&m, id, 2, 5000);
    twice_in(m.db, id, 5 * SECOND);
    change(&m, id, 0, 0);
    assert_false(ulv_database_take_restart(m.db, id, 1000 * SECOND));
    end(&m);
}

static void
test_database_restart__as_the_journal_has_it(void **state)
{
    struct ulv_test_storage s;
    struct ulv_test_host t;
    struct ulv_database *db;
    struct ulv_journal *journal;
    struct model m;
    ulv_id id;

    (void)state;
    ulv_test_storage_init(&s);
    begin_with(&m, &s.storage);
    id = guest(&m, 1, 7, 0);
    change(&m, id, 2, 5000);
    ulv_journal_close(m.journal);
    end(&m);
    ulv_test_host_init(&t);
    assert_int_equal(ulv_database_create(&t.host, &db), ULV_OK);
    assert_int_equal(ulv_journal_open(db, &s.storage, &journal, NULL), ULV_OK);
    twice_in(db, id, 5 * SECOND);
    ulv_journal_close(journal);
    ulv_database_destroy(db);
    assert_int_equal(ulv_test_host_fini(&t), 0);
    ulv_test_storage_fini(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_restart__in_a_window),
        cmocka_unit_test(test_database_restart__at_most),
        cmocka_unit_test(test_database_restart__changed_within_a_window),
        cmocka_unit_test(test_database_restart__as_the_journal_has_it),
    };

    return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
