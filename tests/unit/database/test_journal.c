/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The journal beside the model: what is found again is what was acknowledged.
 * Argument: how many random transactions (default 400); ULV_SEED sets the seed.
 */
#include "journal_test.h"

#include "database/journal_priv.h"

static uint64_t steps = 400;

/* ---- whole lives ------ */

static void
test_journal__finds_nothing_in_an_empty_storage(void **state)
{
    struct ulv_test_storage s;
    struct again a;

    (void)state;
    ulv_test_storage_init(&s);
    assert_int_equal(open_again(&a, &s.storage), ULV_OK);
    assert_int_equal(ulv_database_revision(a.db), 0);
    close_again(&a);
    assert_int_equal(open_again(&a, &s.storage), ULV_OK);
    assert_int_equal(ulv_database_revision(a.db), 0);
    close_again(&a);
    ulv_test_storage_fini(&s);
}

/* The model goes on with the database that was found again. */
static void
live_again(struct model *m, struct ulv_test_storage *s)
{
    struct said said = say_all(m->db);
    struct ulv_database *db;

    if (model_seed % 2 == 0)
        ulv_test_storage_crash(s);
    ulv_journal_close(m->journal);
    ulv_database_destroy(m->db);
    assert_int_equal(ulv_test_host_live(&m->t), 0);
    assert_int_equal(ulv_database_create(&m->t.host, &db), ULV_OK);
    m->db = db;
    assert_int_equal(ulv_journal_open(db, &s->storage, &m->journal, NULL),
                     ULV_OK);
    assert_int_equal(ulv_database_check(db, NULL), ULV_OK);
    assert_true(says(db, &said));
    free(said.p);
}

static void
test_journal__random_lives_go_on(void **state)
{
    static struct model m;
    struct ulv_test_storage s;

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)model_seed);
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    for (uint64_t n = 0; n < steps; n++) {
        model_step(&m);
        model_compare(&m);
        if (n % 16 == 15)
            live_again(&m, &s);
    }
    end_journaled(&m);
    ulv_test_storage_fini(&s);
}

/* ---- groups ------ */

static void
hold(struct model *m, const struct ulv_operation *o, uint32_t count)
{
    struct ulv_request request = { .operations = o, .operation_count = count };
    struct ulv_plan *plan;
    uint64_t revision;
    uint32_t idx;

    assert_int_equal(
        ulv_journal_prepare(m->journal, &request, &plan, &idx, NULL), ULV_OK);
    assert_int_equal(
        ulv_journal_hold(m->journal, plan, NULL, &revision, NULL), ULV_OK);
    assert_int_equal(revision, ulv_database_revision(m->db));
}

static void
hold_guest(struct model *m, ulv_id *ret)
{
    struct ulv_operation o[3];

    memset(o, 0, sizeof(o));
    *ret = new_id(m);
    o[0] = create(*ret, ULV_PARTITION_GUEST, *ret);
    o[1].kind = ULV_OP_ASSIGN_MEMORY;
    o[1].u.assign_memory.partition = *ret;
    o[1].u.assign_memory.bytes = ULV_MIB(3);
    o[1].u.assign_memory.node = ULV_NODE_ANY;
    o[2].kind = ULV_OP_ASSIGN_PROCESSORS;
    o[2].u.assign_processors.partition = *ret;
    o[2].u.assign_processors.count = 1;
    hold(m, o, 3);
}

/* Each sees what those before it have done; the last undoes the first. */
static void
hold_group(struct model *m)
{
    struct ulv_operation o = { .kind = ULV_OP_DESTROY_PARTITION };
    ulv_id first, other;

    hold_guest(m, &first);
    hold_guest(m, &other);
    o.u.destroy_partition.id = first;
    hold(m, &o, 1);
}

static void
test_journal_group__is_one_sync(void **state)
{
    static struct model m;
    struct ulv_test_storage s;
    struct said said;
    struct again a;
    uint64_t syncs;

    (void)state;
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    syncs = s.syncs;
    hold_group(&m);
    assert_int_equal(s.syncs, syncs);
    assert_int_equal(ulv_journal_sync(m.journal, NULL), ULV_OK);
    assert_int_equal(s.syncs, syncs + 1);
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
    said = say_all(m.db);
    end_journaled(&m);
    ulv_test_storage_crash(&s);
    assert_int_equal(open_again(&a, &s.storage), ULV_OK);
    assert_true(says(a.db, &said));
    close_again(&a);
    free(said.p);
    ulv_test_storage_fini(&s);
}

static void
test_journal_group__fails_as_a_whole(void **state)
{
    static struct model m;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_test_storage s;
    struct said before, after;
    struct again a;

    (void)state;
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    before = say_all(m.db);
    hold_group(&m);
    ulv_test_storage_fail_at(&s, 2, ULV_TEST_STORAGE_FAIL); /* its sync */
    assert_int_equal(ulv_journal_sync(m.journal, &diag), ULV_E_MEDIUM);
    assert_true(diag.text[0] != '\0');
    assert_true(says(m.db, &before));
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
    hold_group(&m);
    assert_int_equal(ulv_journal_sync(m.journal, &diag), ULV_OK);
    after = say_all(m.db);
    end_journaled(&m);
    ulv_test_storage_crash(&s);
    assert_int_equal(open_again(&a, &s.storage), ULV_OK);
    assert_true(says(a.db, &after));
    close_again(&a);
    free(before.p);
    free(after.p);
    ulv_test_storage_fini(&s);
}

static void
test_journal_group__is_bounded(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
    struct ulv_request request = { .operations = &o, .operation_count = 1 };
    struct ulv_test_storage s;
    struct ulv_plan *plan;
    uint32_t idx;

    (void)state;
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    o.u.set_state.partition = m.io[0];
    o.u.set_state.state = ULV_STATE_RUNNING;
    for (uint32_t i = 0; i < ULV_JOURNAL_GROUP_MAX; i++)
        hold(&m, &o, 1);
    assert_int_equal(
        ulv_journal_prepare(m.journal, &request, &plan, &idx, NULL),
        ULV_E_AGAIN);
    assert_int_equal(ulv_journal_sync(m.journal, NULL), ULV_OK);
    hold(&m, &o, 1);
    end_journaled(&m); /* what is held is undone */
    ulv_test_storage_fini(&s);
}

/* A transaction that would lease ids is not part of a group: what it would
 * move is what the group's undo log points to. */
static void
test_journal_group__ends_before_ids_are_leased(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
    struct ulv_request request = { .operations = &o, .operation_count = 1 };
    struct ulv_test_storage s;
    struct said said;
    struct ulv_plan *plan;
    struct again a;
    ulv_id guest, first;
    uint32_t idx;

    (void)state;
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    o.u.set_state.partition = m.io[0];
    o.u.set_state.state = ULV_STATE_RUNNING;
    while (m.db->own_end - m.db->own_next > ULV_DB_OWN_MIN)
        m.db->own_next++; /* as if they had been used */
    hold_guest(&m, &guest);
    assert_int_equal(
        ulv_journal_prepare(m.journal, &request, &plan, &idx, NULL),
        ULV_E_AGAIN);
    assert_int_equal(ulv_journal_lease(m.journal, &first, NULL), ULV_OK);
    hold(&m, &o, 1); /* the group was synced by the lease */
    assert_int_equal(ulv_journal_sync(m.journal, NULL), ULV_OK);
    said = say_all(m.db);
    end_journaled(&m);
    assert_int_equal(open_again(&a, &s.storage), ULV_OK);
    assert_true(says(a.db, &said));
    assert_int_equal(ulv_journal_lease(a.journal, &guest, NULL), ULV_OK);
    assert_true(guest > first);
    close_again(&a);
    free(said.p);
    ulv_test_storage_fini(&s);
}

/* ---- damage ------ */

/* Opened with one bit of an object the other way round. */
static void
open_damaged(const struct ulv_test_storage *base, uint32_t object,
             uint64_t offset, struct again *a)
{
    struct ulv_test_storage s;

    ulv_test_storage_init(&s);
    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
        ulv_test_storage_set(&s, i, base->now[i].p, base->now[i].bytes);
    s.now[object].p[offset] ^= (uint8_t)(1u << offset % 8);
    if (open_again(a, &s.storage) != ULV_OK) {
        s.now[object].p[offset] ^= (uint8_t)(1u << offset % 8);
        for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++) {
            assert_int_equal(s.now[i].bytes, base->now[i].bytes);
            assert_memory_equal(s.now[i].p, base->now[i].p, s.now[i].bytes);
        }
    }
    ulv_test_storage_fini(&s);
}

/* Each bit counts: it is refused, and nothing is written; but for the last
 * frame, which could have been torn. */
static void
test_journal_damage__of_each_byte_is_seen(void **state)
{
    static struct model m;
    struct ulv_test_storage s;
    struct said before, last;
    uint64_t last_from;
    uint32_t dropped = 0;

    (void)state;
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    model_create(&m, 0);
    assert_int_equal(ulv_journal_checkpoint(m.journal, NULL), ULV_OK);
    model_create(&m, 1);
    model_create(&m, 2);
    before = say_all(m.db);
    last_from = s.now[ULV_STORAGE_SEGMENT].bytes;
    model_create(&m, 3);
    last = say_all(m.db);
    assert_int_equal(m.journal->segment % 2, 0);
    for (uint64_t i = 0; i < s.now[ULV_STORAGE_CHECKPOINT].bytes; i++) {
        struct again a;

        open_damaged(&s, ULV_STORAGE_CHECKPOINT, i, &a);
        assert_int_equal(a.status, ULV_E_FORMAT);
        close_again(&a);
    }
    for (uint64_t i = 0; i < s.now[ULV_STORAGE_SEGMENT].bytes; i++) {
        struct again a;

        open_damaged(&s, ULV_STORAGE_SEGMENT, i, &a);
        if (i < last_from)
            assert_int_equal(a.status, ULV_E_FORMAT);
        else
            assert_true(a.status == ULV_OK && says(a.db, &before));
        dropped += a.status == ULV_OK;
        close_again(&a);
    }
    assert_true(dropped > 100 && !says(m.db, &before) && says(m.db, &last));
    end_journaled(&m);
    free(before.p);
    free(last.p);
    ulv_test_storage_fini(&s);
}

/* ---- answers ------ */

static void
test_journal__remembers_answers(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
    struct ulv_request request = { .operations = &o, .operation_count = 1 };
    struct ulv_journal_answer answer = { { 7, 8, 9 }, 0, 0 }, found;
    struct ulv_test_storage s;
    struct again a;
    uint64_t newest, revision, first;

    (void)state;
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    o.u.set_state.partition = m.io[0];
    o.u.set_state.state = ULV_STATE_RUNNING;
    first = ulv_database_revision(m.db) + 1;
    for (uint32_t i = 0; i < ULV_JOURNAL_ANSWERS_MAX + 10; i++) {
        struct ulv_plan *plan;
        uint32_t idx;

        answer.request = i + 1;
        assert_int_equal(
            ulv_journal_prepare(m.journal, &request, &plan, &idx, NULL),
            ULV_OK);
        assert_int_equal(
            ulv_journal_hold(m.journal, plan, &answer, &revision, NULL),
            ULV_OK);
        assert_int_equal(ulv_journal_sync(m.journal, NULL), ULV_OK);
    }
    end_journaled(&m);
    assert_int_equal(open_again(&a, &s.storage), ULV_OK);
    for (uint32_t i = 0; i < ULV_JOURNAL_ANSWERS_MAX; i++) {
        assert_int_equal(ulv_journal_recall(a.journal, answer.client, i,
                                            &newest, &found),
                         ULV_OK);
        assert_int_equal(newest, ULV_JOURNAL_ANSWERS_MAX + 10);
        assert_true(found.request > 10 && found.request <= newest);
        assert_int_equal(found.revision, first + found.request - 1);
    }
    assert_int_equal(ulv_journal_recall(a.journal, answer.client,
                                        ULV_JOURNAL_ANSWERS_MAX, &newest,
                                        &found),
                     ULV_E_NOT_FOUND);
    found.client[0] = 1;
    assert_int_equal(
        ulv_journal_recall(a.journal, found.client, 0, &newest, &found),
        ULV_E_NOT_FOUND);
    close_again(&a);
    ulv_test_storage_fini(&s);
}

/* ---- failures ------ */

/* A life in which the n-th call of the storage fails; what is acknowledged is
 * found again after a crash. Returns whether it came to that call. */
static bool
fail_once(uint64_t n, uint32_t how)
{
    static struct model m;
    struct ulv_test_storage s;
    struct said before, after;
    struct again a;
    bool failed;

    ulv_test_storage_init(&s);
    model_seed = 99;
    begin_journaled(&m, &s.storage);
    ulv_test_storage_fail_at(&s, n, how);
    for (uint32_t i = 0; i < 24; i++) {
        struct ulv_operation o = create(new_id(&m), ULV_PARTITION_GUEST, i);
        struct ulv_request request = { .operations = &o, .operation_count = 1 };
        struct ulv_plan *plan;
        uint64_t revision;
        uint32_t idx;
        ulv_status status;

        before = say_all(m.db);
        if (i % 8 == 7 && ulv_journal_checkpoint(m.journal, NULL) != ULV_OK)
            assert_true(says(m.db, &before));
        status = ulv_journal_prepare(m.journal, &request, &plan, &idx, NULL);
        if (status == ULV_OK) {
            assert_int_equal(
                ulv_journal_hold(m.journal, plan, NULL, &revision, NULL),
                ULV_OK);
            status = ulv_journal_sync(m.journal, NULL);
        }
        if (status != ULV_OK) {
            assert_int_equal(status, ULV_E_MEDIUM);
            assert_true(says(m.db, &before));
            assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
        }
        free(before.p);
    }
    failed = s.calls >= n;
    after = say_all(m.db);
    end_journaled(&m);
    ulv_test_storage_fail_at(&s, 0, 0);
    if (n % 2 == 0)
        ulv_test_storage_crash(&s);
    assert_int_equal(open_again(&a, &s.storage), ULV_OK);
    assert_true(says(a.db, &after));
    close_again(&a);
    free(after.p);
    ulv_test_storage_fini(&s);
    return failed;
}

static void
test_journal_failure__of_each_call_is_survived(void **state)
{
    uint64_t n;

    (void)state;
    for (uint32_t how = 0; how < ULV_TEST_STORAGE_HOWS; how++) {
        for (n = 1; fail_once(n, how); n++) {
        }
        assert_true(n > 60);
    }
}

static void
test_journal_failure__of_all_calls_lets_nothing_happen(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
    struct ulv_request request = { .operations = &o, .operation_count = 1 };
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_test_storage s;
    struct said before;
    struct ulv_plan *plan;
    uint64_t revision;
    uint32_t idx;

    (void)state;
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    o.u.set_state.partition = m.io[0];
    o.u.set_state.state = ULV_STATE_LOST;
    before = say_all(m.db);
    ulv_test_storage_fail_at(&s, 1, ULV_TEST_STORAGE_FAIL);
    s.stays = true;
    assert_int_equal(
        ulv_journal_prepare(m.journal, &request, &plan, &idx, NULL), ULV_OK);
    assert_int_equal(
        ulv_journal_hold(m.journal, plan, NULL, &revision, NULL), ULV_OK);
    assert_int_equal(ulv_journal_sync(m.journal, NULL), ULV_E_MEDIUM);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(
            ulv_journal_prepare(m.journal, &request, &plan, &idx, &diag),
            ULV_E_MEDIUM);
        assert_null(plan);
        assert_true(says(m.db, &before));
    }
    s.stays = false;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    end_journaled(&m);
    free(before.p);
    ulv_test_storage_fini(&s);
}

static void
test_journal_failure__full_storage_works_again(void **state)
{
    static struct model m;
    struct ulv_test_storage s;
    struct said before, after;
    struct again a;
    uint32_t refused = 0;

    (void)state;
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    s.room = 6000;
    for (uint64_t i = 0; i < 40; i++) {
        struct ulv_operation o = create(new_id(&m), ULV_PARTITION_GUEST, i);
        struct ulv_request request = { .operations = &o, .operation_count = 1 };
        struct ulv_diag diag = ULV_DIAG_INIT;
        struct ulv_plan *plan;
        uint64_t revision;
        uint32_t idx;
        ulv_status status;

        if (i == 36)
            s.room = UINT64_MAX;
        before = say_all(m.db);
        status = ulv_journal_prepare(m.journal, &request, &plan, &idx, &diag);
        if (status == ULV_OK) {
            assert_int_equal(
                ulv_journal_hold(m.journal, plan, NULL, &revision, NULL),
                ULV_OK);
            status = ulv_journal_sync(m.journal, &diag);
        }
        if (status != ULV_OK) {
            assert_int_equal(status, ULV_E_NO_MEMORY);
            assert_string_equal(diag.text, "the storage is full");
            assert_true(says(m.db, &before));
            assert_true(i < 36);
            refused++;
        }
        free(before.p);
    }
    assert_true(refused > 3);
    after = say_all(m.db);
    end_journaled(&m);
    ulv_test_storage_crash(&s);
    assert_int_equal(open_again(&a, &s.storage), ULV_OK);
    assert_true(says(a.db, &after));
    close_again(&a);
    free(after.p);
    ulv_test_storage_fini(&s);
}

/* Each allocation of our own fails in turn, while it is opened. */
static void
test_journal_memory__each_allocation_fails_in_turn(void **state)
{
    static struct model m;
    struct ulv_test_storage s;
    struct said said;
    ulv_status status = ULV_E_NO_MEMORY;
    uint64_t n = 0;

    (void)state;
    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    for (uint32_t i = 0; i < 200; i++)
        model_step(&m);
    said = say_all(m.db);
    end_journaled(&m);
    while (status != ULV_OK) {
        struct again a;

        memset(&a, 0, sizeof(a));
        ulv_test_host_init(&a.t);
        assert_int_equal(ulv_database_create(&a.t.host, &a.db), ULV_OK);
        ulv_test_host_fail_at(&a.t, ++n);
        status = ulv_journal_open(a.db, &s.storage, &a.journal, &a.diag);
        ulv_test_host_fail_at(&a.t, 0);
        if (status == ULV_OK)
            assert_true(says(a.db, &said));
        else
            assert_int_equal(status, ULV_E_NO_MEMORY);
        close_again(&a);
    }
    assert_true(n > 60);
    free(said.p);
    ulv_test_storage_fini(&s);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal__finds_nothing_in_an_empty_storage),
        cmocka_unit_test(test_journal__random_lives_go_on),
        cmocka_unit_test(test_journal_group__is_one_sync),
        cmocka_unit_test(test_journal_group__fails_as_a_whole),
        cmocka_unit_test(test_journal_group__is_bounded),
        cmocka_unit_test(test_journal_group__ends_before_ids_are_leased),
        cmocka_unit_test(test_journal_damage__of_each_byte_is_seen),
        cmocka_unit_test(test_journal__remembers_answers),
        cmocka_unit_test(test_journal_failure__of_each_call_is_survived),
        cmocka_unit_test(
            test_journal_failure__of_all_calls_lets_nothing_happen),
        cmocka_unit_test(test_journal_failure__full_storage_works_again),
        cmocka_unit_test(test_journal_memory__each_allocation_fails_in_turn),
    };

    if (argc > 1)
        steps = strtoull(argv[1], NULL, 10);
    if (getenv("ULV_SEED") != NULL)
        model_seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
