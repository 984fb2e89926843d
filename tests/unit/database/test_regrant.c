/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Plans that free pages and give them out again, and such as do not. */
#include "model.h"

#define PIECES 8u

static struct ulv_operation
assign(ulv_id partition, uint64_t bytes)
{
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_MEMORY };

    o.u.assign_memory.partition = partition;
    o.u.assign_memory.bytes = bytes;
    o.u.assign_memory.node = ULV_NODE_ANY;
    return o;
}

static struct ulv_operation
destroy(ulv_id partition)
{
    struct ulv_operation o = { .kind = ULV_OP_DESTROY_PARTITION };

    o.u.destroy_partition.id = partition;
    return o;
}

/* What a check of the plan says; it is aborted. */
static ulv_status
check(struct model *m, const struct ulv_operation *o, uint32_t count,
      struct ulv_diag *diag)
{
    struct ulv_request request = { .operations = o, .operation_count = count };
    struct ulv_plan *plan;
    uint32_t idx;
    ulv_status status;

    assert_int_equal(ulv_database_prepare(m->db, &request, &plan, &idx, diag),
                     ULV_OK);
    status = ulv_plan_check_regrants(m->db, plan, diag);
    ulv_database_abort(m->db, plan);
    assert_int_equal(ulv_database_check(m->db, diag), ULV_OK);
    return status;
}

static void
test_database_regrant__of_pages_just_freed_is_seen(void **state)
{
    static struct model m;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_operation o[4];
    ulv_id first, second;

    (void)state;
    begin(&m);
    o[0] = create(first = m.next++, ULV_PARTITION_GUEST, 1);
    o[1] = create(second = m.next++, ULV_PARTITION_GUEST, 2);
    o[2] = assign(first, ULV_MIB(32));
    assert_int_equal(commit(&m, o, 3), ULV_OK);

    /* all there is: half of it was another's until now */
    o[0] = destroy(first);
    o[1] = assign(second, POOL);
    assert_int_equal(check(&m, o, 2, &diag), ULV_E_CONFLICT);
    assert_int_equal(diag.object, second);
    assert_true(diag.bound != 0);
    assert_non_null(strstr(diag.text, "this transaction frees"));

    /* given before it is freed: other pages */
    o[0] = assign(second, ULV_MIB(32));
    o[1] = destroy(first);
    assert_int_equal(check(&m, o, 2, &diag), ULV_OK);

    /* given, taken and given within it */
    o[0] = assign(second, ULV_MIB(2));
    o[1] = destroy(second);
    o[2] = assign(first, ULV_MIB(2));
    assert_int_equal(check(&m, o, 2, &diag), ULV_OK);
    assert_int_equal(check(&m, o, 3, &diag), ULV_E_CONFLICT);
    end(&m);
}

/* Many pieces freed and as many given, in no order: one of them is seen. */
static void
test_database_regrant__one_of_many_is_seen(void **state)
{
    static struct model m;
    static struct ulv_operation o[3 * PIECES];
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_id old[PIECES], new;

    (void)state;
    begin(&m);
    for (uint32_t i = 0; i < PIECES; i++) {
        o[2 * i] = create(old[i] = m.next++, ULV_PARTITION_GUEST, i);
        o[2 * i + 1] = assign(old[i], ULV_MIB(2));
    }
    assert_int_equal(commit(&m, o, 2 * PIECES), ULV_OK);
    o[0] = create(new = m.next++, ULV_PARTITION_GUEST, PIECES);
    assert_int_equal(commit(&m, o, 1), ULV_OK);

    /* all that is free is given, and then all is freed */
    for (uint32_t i = 0; i < PIECES; i++)
        o[i] = assign(new, (POOL - PIECES * ULV_MIB(2)) / PIECES);
    for (uint32_t i = 0; i < PIECES; i++)
        o[PIECES + i] = destroy(old[i * 5 % PIECES]);
    assert_int_equal(check(&m, o, 2 * PIECES, &diag), ULV_OK);

    /* one page more, of any of those that were freed */
    o[2 * PIECES] = assign(new, 4096);
    assert_int_equal(check(&m, o, 2 * PIECES + 1, &diag), ULV_E_CONFLICT);
    assert_int_equal(diag.object, new);
    end(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_regrant__of_pages_just_freed_is_seen),
        cmocka_unit_test(test_database_regrant__one_of_many_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
