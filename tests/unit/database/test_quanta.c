/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The quantum map, and the accounts beside it. */
#include "database_test.h"

static void
guest(struct model *m, uint64_t i)
{
    struct ulv_operation o = create(new_id(m), ULV_PARTITION_GUEST, i);

    assert_int_equal(commit(m, &o, 1), ULV_OK);
    m->p[i].id = o.u.create_partition.id;
}

static struct ulv_operation
assign(ulv_id partition, ulv_id processor, uint32_t mode, uint32_t quanta)
{
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_PROCESSORS };

    o.u.assign_processors.partition = partition;
    o.u.assign_processors.count = 1;
    o.u.assign_processors.mode = mode;
    o.u.assign_processors.processor = processor;
    o.u.assign_processors.quanta = quanta;
    return o;
}

static struct ulv_operation
set_quanta(ulv_id partition, uint32_t quanta)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_QUANTA };

    o.u.set_quanta.partition = partition;
    o.u.set_quanta.quanta = quanta;
    return o;
}

static uint64_t
quanta_of(const struct model *m, ulv_id partition)
{
    struct ulv_view_processor view;

    assert_int_equal(ulv_database_view_processors(
                         ulv_database_partition(m->db, partition), &view, 1),
                     1);
    return view.quanta;
}

static void
test_database_quanta__move_in_one_transaction(void **state)
{
    static struct model m;
    struct ulv_operation o[3];
    struct ulv_request request = { .operations = o, .operation_count = 2 };
    const ulv_id *touched;
    struct ulv_plan *plan;
    uint32_t idx, count;
    ulv_id a, b, c;

    (void)state;
    begin(&m);
    for (uint64_t i = 1; i <= 3; i++)
        guest(&m, i);
    a = m.p[1].id;
    b = m.p[2].id;
    c = m.p[3].id;
    o[0] = assign(a, m.processor[1], ULV_PROCESSOR_SHARED, 40);
    o[1] = assign(b, m.processor[1], ULV_PROCESSOR_SHARED, 20);
    o[2] = assign(c, m.processor[1], ULV_PROCESSOR_SHARED, 0);
    assert_int_equal(commit(&m, o, 3), ULV_OK);
    assert_true(quanta_of(&m, a) == UINT64_C(0xffffffffff));
    assert_true(quanta_of(&m, b) == UINT64_C(0xfffff) << 40);
    assert_true(quanta_of(&m, c) == UINT64_C(0xf) << 60);
    /* the one that has none keeps one to run in */
    o[0] = set_quanta(b, 24);
    assert_int_equal(commit(&m, o, 1), ULV_E_LIMIT);
    /* from a to b: what is given up first */
    o[0] = set_quanta(b, 50);
    o[1] = set_quanta(a, 10);
    assert_int_equal(commit(&m, o, 2), ULV_E_LIMIT);
    o[0] = set_quanta(a, 10);
    o[1] = set_quanta(b, 50);
    assert_int_equal(ulv_database_prepare(m.db, &request, &plan, &idx, NULL),
                     ULV_OK);
    touched = ulv_plan_touched(plan, &count);
    assert_int_equal(count, 3); /* a, b, and c whose gaps lie elsewhere */
    assert_true(touched[0] == a);
    (void)ulv_database_commit(m.db, plan);
    assert_true(quanta_of(&m, a) == 0x3ff);
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
    end(&m);
}

static void
test_database_quanta__are_refused_by_name(void **state)
{
    static struct model m;
    struct ulv_operation o;
    struct ulv_request request = { .operations = &o, .operation_count = 1 };
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_plan *plan;
    uint32_t idx;

    (void)state;
    begin(&m);
    guest(&m, 1);
    guest(&m, 2);
    o = assign(m.p[1].id, m.processor[0], ULV_PROCESSOR_SHARED, 60);
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    o = assign(m.p[2].id, m.processor[0], ULV_PROCESSOR_SHARED, 5);
    assert_int_equal(ulv_database_prepare(m.db, &request, &plan, &idx, &diag),
                     ULV_E_LIMIT);
    assert_int_equal(diag.value, 5);
    assert_int_equal(diag.bound, 4);
    assert_non_null(strstr(diag.text, "p2: 5 quanta of processor"));
    o = assign(m.p[2].id, m.processor[0], ULV_PROCESSOR_DEDICATED, 0);
    assert_int_equal(commit(&m, &o, 1), ULV_E_LIMIT);
    o = assign(m.p[2].id, m.processor[1], ULV_PROCESSOR_DEDICATED, 1);
    assert_int_equal(commit(&m, &o, 1), ULV_E_ARG);
    o = assign(m.p[2].id, 555555, ULV_PROCESSOR_SHARED, 1);
    assert_int_equal(commit(&m, &o, 1), ULV_E_NOT_FOUND);
    o = assign(m.p[2].id, m.processor[1], ULV_PROCESSOR_SHARED, ULV_QUANTA + 1);
    assert_int_equal(commit(&m, &o, 1), ULV_E_ARG);
    o = assign(m.p[2].id, m.processor[1], ULV_PROCESSOR_DEDICATED, 0);
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    o = set_quanta(m.p[2].id, 1);
    assert_int_equal(commit(&m, &o, 1), ULV_E_STATE);
    end(&m);
}

/* ---- accounts ------ */

static struct ulv_usage_record
usage_of(const struct model *m, ulv_id id, uint64_t *ret_all)
{
    struct ulv_usage_record all[16], found = { 0 };
    uint32_t bytes, count;
    bool more;

    assert_int_equal(ulv_database_query(m->db, ULV_QUERY_USAGE, 0, all,
                                        sizeof(all), &bytes, &count, &more),
                     ULV_OK);
    assert_int_equal(bytes, sizeof(all[0]));
    assert_false(more);
    *ret_all = all[0].gone;
    for (uint32_t i = 0; i < count; i++) {
        *ret_all += all[i].used;
        if (all[i].id == id)
            found = all[i];
    }
    assert_int_equal(found.id, id);
    return found;
}

static void
test_database_usage__sums_up_to_what_elapsed(void **state)
{
    static struct model m;
    struct ulv_operation o;
    struct ulv_usage_record idle, one;
    uint64_t all;
    ulv_id first;

    (void)state;
    begin(&m);
    guest(&m, 1);
    first = m.p[1].id;
    o = assign(first, m.processor[0], ULV_PROCESSOR_SHARED, 48);
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    m.t.now += 1000000;
    ulv_database_account(m.db, first, 300000);
    ulv_database_account(m.db, first, 200000);
    ulv_database_account(m.db, 444444, 1); /* nobody */
    one = usage_of(&m, first, &all);
    assert_int_equal(one.used, 500000);
    assert_int_equal(one.quanta, 48);
    assert_true(one.elapsed >= 2000000);
    assert_int_equal(all, one.elapsed);
    idle = usage_of(&m, ULV_ID_IDLE, &all);
    assert_int_equal(idle.quanta, 2 * ULV_QUANTA - 48);
    assert_int_equal(idle.used, idle.elapsed - 500000);
    o = (struct ulv_operation){ .kind = ULV_OP_DESTROY_PARTITION };
    o.u.destroy_partition.id = first;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    idle = usage_of(&m, ULV_ID_IDLE, &all);
    assert_int_equal(idle.gone, 500000);
    assert_int_equal(all, idle.elapsed);
    /* who claims more than there was makes idle's share nothing, no less */
    ulv_database_account(m.db, m.io[0], UINT64_MAX);
    ulv_database_account(m.db, m.io[0], UINT64_MAX);
    idle = usage_of(&m, ULV_ID_IDLE, &all);
    assert_int_equal(idle.used, 0);
    end(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_quanta__move_in_one_transaction),
        cmocka_unit_test(test_database_quanta__are_refused_by_name),
        cmocka_unit_test(test_database_usage__sums_up_to_what_elapsed),
    };

    return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
