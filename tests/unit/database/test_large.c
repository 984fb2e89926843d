/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transactions of as many operations as there may be: what the model asked for
 * one by one, and the database has done, is done by another in one, or not at
 * all.
 */
#include "journal_test.h"

#define MOST ULV_OPERATION_COUNT_MAX

/* Each was committed in turn. */
static struct ulv_operation all[MOST];

/* What names nothing that the database itself has numbered: that depends on
 * where memory was free. */
static void
some_step(struct model *m)
{
    static void (*const tries[])(struct model *m, uint64_t i) = {
        model_create,   model_create,  model_memory, model_zone_step,
        model_enter,    model_limit,   model_label,  model_range,
        model_hardware, model_hardware, model_retire,
        model_release_processors,
        model_move_processor,
    };

    tries[model_random(ULV_COUNT_OF(tries))](m, model_random(PARTITIONS));
}

static void
tape(struct model *m, uint32_t count)
{
    begin(m);
    m->tape = all;
    m->tape_max = count;
    model_seed = 4711;
    while (m->taped < count)
        some_step(m);
    m->tape = NULL;
    model_compare(m);
}

static struct ulv_request
request_of(uint32_t count)
{
    return (struct ulv_request){ .operations = all, .operation_count = count };
}

static void
test_database_large__does_what_the_model_did(void **state)
{
    static struct model one, many;
    struct ulv_database *of_many;
    struct ulv_request request;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_plan *plan = NULL;
    uint32_t idx;

    (void)state;
    tape(&many, MOST);
    print_message("# %u operations\n", many.taped);
    request = request_of(many.taped);
    begin(&one);
    assert_int_equal(
        ulv_database_prepare(one.db, &request, &plan, &idx, &diag), ULV_OK);
    (void)ulv_database_commit(one.db, plan);
    assert_int_equal(ulv_database_check(one.db, &diag), ULV_OK);
    of_many = many.db;
    many.db = one.db;
    model_compare(&many);
    many.db = of_many;
    end(&one);
    end(&many);
}

/* The last of them fails: nothing of those before it is left, and the answer
 * names it. */
static void
test_database_large__the_last_can_undo_all(void **state)
{
    static struct model one, many;
    struct ulv_request request;
    struct ulv_plan *plan = NULL;
    struct said said;

    (void)state;
    tape(&many, MOST - 1);
    end(&many);
    begin(&one);
    said = say_all(one.db);
    for (uint32_t at = MOST - 1; at > 0; at /= 3) {
        const struct ulv_operation kept = all[at];
        struct ulv_diag diag = ULV_DIAG_INIT;
        uint32_t idx = 0;

        memset(&all[at], 0, sizeof(all[at]));
        all[at].kind = ULV_OP_DESTROY_PARTITION;
        all[at].u.destroy_partition.id = NOBODY;
        request = request_of(MOST);
        assert_int_equal(
            ulv_database_prepare(one.db, &request, &plan, &idx, &diag),
            ULV_E_NOT_FOUND);
        assert_int_equal(idx, at);
        assert_int_equal(diag.object, NOBODY);
        assert_true(says(one.db, &said));
        assert_int_equal(ulv_database_check(one.db, &diag), ULV_OK);
        all[at] = kept;
    }
    free(said.p);
    end(&one);
}

/* Each of some thousand allocations fails: the more of them, the further
 * apart. */
static void
test_database_large__no_memory_leaves_no_trace(void **state)
{
    static struct model one, many;
    struct ulv_request request;
    struct ulv_plan *plan = NULL;
    struct said said;
    ulv_status status = ULV_E_NO_MEMORY;
    uint64_t n = 1;
    uint32_t idx;

    (void)state;
    tape(&many, MOST);
    request = request_of(many.taped);
    end(&many);
    begin(&one);
    said = say_all(one.db);
    for (; status != ULV_OK; n += 1 + n / 16) {
        ulv_test_host_fail_at(&one.t, n);
        status = ulv_database_prepare(one.db, &request, &plan, &idx, NULL);
        ulv_test_host_fail_at(&one.t, 0);
        if (status == ULV_OK)
            break;
        assert_int_equal(status, ULV_E_NO_MEMORY);
        assert_true(says(one.db, &said));
    }
    assert_true(n > 500);
    ulv_database_abort(one.db, plan);
    assert_true(says(one.db, &said));
    assert_int_equal(ulv_database_check(one.db, NULL), ULV_OK);
    free(said.p);
    end(&one);
}

/* ---- the journal --------------------------------------------------------- */

#define OBJECT (ULV_STORAGE_SEGMENT + 1u) /* the first is number 1 */

/* The same, without the last bytes of the segment. */
static void
cut(struct ulv_test_storage *ret, const struct ulv_test_storage *from,
    uint64_t bytes)
{
    ulv_test_storage_init(ret);
    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
        ulv_test_storage_set(ret, i, from->now[i].p,
                             from->now[i].bytes - (i == OBJECT ? bytes : 0));
}

static void
test_database_large__is_one_frame(void **state)
{
    static struct ulv_test_storage s, torn;
    static struct model one, many;
    struct said before, after;
    struct again a;
    uint64_t bytes;

    (void)state;
    tape(&many, MOST);
    ulv_test_storage_init(&s);
    begin_journaled(&one, &s.storage);
    before = say_all(one.db);
    bytes = s.now[OBJECT].bytes;
    assert_int_equal(commit(&one, all, many.taped), ULV_OK);
    bytes = s.now[OBJECT].bytes - bytes;
    assert_true(bytes > 10000);
    after = say_all(one.db);
    print_message("# %u operations, %llu bytes\n", many.taped,
                  (unsigned long long)bytes);
    for (uint64_t n = 0; n <= bytes; n += n < 64 ? 1 : 1 + n / 8) {
        cut(&torn, &s, n);
        assert_int_equal(open_again(&a, &torn.storage), ULV_OK);
        assert_true(says(a.db, n == 0 ? &after : &before));
        close_again(&a);
        ulv_test_storage_fini(&torn);
    }
    free(before.p);
    free(after.p);
    end_journaled(&one);
    ulv_test_storage_fini(&s);
    end(&many);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_large__does_what_the_model_did),
        cmocka_unit_test(test_database_large__the_last_can_undo_all),
        cmocka_unit_test(test_database_large__no_memory_leaves_no_trace),
        cmocka_unit_test(test_database_large__is_one_frame),
    };

    return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
