/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What is broken is given to nobody any more. */
#include "model.h"

#include "database/database_priv.h"

static ulv_status
retire(struct model *m, uint64_t frame, uint64_t bytes)
{
    struct ulv_operation o = { .kind = ULV_OP_RETIRE_MEMORY };

    o.u.retire_memory.id = new_id(m);
    o.u.retire_memory.frame = frame;
    o.u.retire_memory.bytes = bytes;
    return commit(m, &o, 1);
}

static uint64_t
pending(struct model *m)
{
    struct ulv_retired_record r;
    uint32_t bytes, count;
    bool more;

    assert_int_equal(ulv_database_query(m->db, ULV_QUERY_RETIRED, 0, &r,
                                        sizeof(r), &bytes, &count, &more),
                     ULV_OK);
    assert_int_equal(count, 1);
    return r.pending_bytes;
}

static void
test_database_retire__free_pages_are_never_given(void **state)
{
    static struct model m;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    assert_int_equal(retire(&m, 8192, 8192), ULV_OK);
    assert_int_equal(pending(&m), 0);
    assert_int_equal(retire(&m, 12288, 4096), ULV_E_EXISTS);
    assert_int_equal(retire(&m, POOL, 4096), ULV_E_ARG);
    assert_int_equal(retire(&m, 100, 4096), ULV_E_ARG);
    assert_int_equal(retire(&m, 0, ULV_RETIRE_BYTES_MAX + 4096), ULV_E_ARG);
    assert_int_equal(give_memory(&m, m.p[1].id, POOL), ULV_E_NO_MEMORY);
    assert_int_equal(give_memory(&m, m.p[1].id, POOL - 8192), ULV_OK);
    end(&m);
}

/* All of it comes back but the page. */
static void
test_database_retire__drains_what_a_guest_has(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
    struct ulv_view_memory view[4];
    struct ulv_extent_record e;
    uint32_t bytes, count;
    bool more;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    assert_int_equal(give_memory(&m, m.p[1].id, ULV_MIB(4)), ULV_OK);
    o.u.set_state.partition = m.p[1].id;
    o.u.set_state.state = ULV_STATE_RUNNING;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    assert_int_equal(ulv_database_query(m.db, ULV_QUERY_EXTENTS, 0, &e,
                                        sizeof(e), &bytes, &count, &more),
                     ULV_OK);
    assert_int_equal(retire(&m, e.frame + 4096, 4096), ULV_OK);
    assert_int_equal(pending(&m), 4096);
    count = ulv_database_view_memory(
        m.db, ulv_database_partition(m.db, m.p[1].id), 0, view, 4);
    assert_true(count >= 1);
    assert_int_equal(view[0].flags, ULV_VIEW_REVOKED | ULV_VIEW_RETIRED);
    memset(&o, 0, sizeof(o));
    o.kind = ULV_OP_SETTLE;
    o.u.settle.object = e.id;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    assert_int_equal(pending(&m), 0);
    assert_int_equal(
        ulv_page_map_owner(&ulv_db_pool_of(m.db, e.frame)->map,
                           e.frame + 4096),
        ULV_PAGE_NEVER);
    end(&m);
}

static void
test_database_retire__revokes_a_channel(void **state)
{
    static struct model m;
    struct ulv_operation o[2];
    const struct channel *c;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    give_console(&m, m.p[1].id, o);
    assert_int_equal(commit(&m, o, 2), ULV_OK);
    c = (const void *)m.db->first[ULV_QUERY_CHANNELS];
    assert_int_equal(retire(&m, c->frame, 4096), ULV_OK);
    assert_null(m.db->first[ULV_QUERY_CHANNELS]);
    assert_int_equal(pending(&m), 0);
    end(&m);
}

static void
test_database_retire__a_processor_gets_nobody_new(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_PROCESSORS };
    struct ulv_processor_record r;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    model_create(&m, 2);
    o.u.assign_processors.partition = m.p[1].id;
    o.u.assign_processors.count = 1;
    o.u.assign_processors.processor = m.processor[0];
    o.u.assign_processors.quanta = 8;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    memset(&o, 0, sizeof(o));
    o.kind = ULV_OP_RETIRE_PROCESSOR;
    o.u.retire_processor.processor = m.processor[0];
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    assert_int_equal(commit(&m, &o, 1), ULV_E_EXISTS);
    assert_int_equal(ulv_database_find(m.db, ULV_QUERY_PROCESSORS,
                                       m.processor[0], &r),
                     ULV_OK);
    assert_int_equal(r.retired, 1);
    assert_int_equal(r.share_count, 1);
    assert_int_equal(r.idle_quanta, 0);
    memset(&o, 0, sizeof(o));
    o.kind = ULV_OP_ASSIGN_PROCESSORS;
    o.u.assign_processors.partition = m.p[2].id;
    o.u.assign_processors.count = 1;
    o.u.assign_processors.processor = m.processor[0];
    assert_int_equal(commit(&m, &o, 1), ULV_E_LIMIT);
    o.kind = ULV_OP_SET_QUANTA;
    memset(&o.u, 0, sizeof(o.u));
    o.u.set_quanta.partition = m.p[1].id;
    o.u.set_quanta.quanta = 9;
    assert_int_equal(commit(&m, &o, 1), ULV_E_LIMIT);
    o.u.set_quanta.quanta = 4;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    end(&m);
}

static ulv_status
retire_processor(struct model *m, uint32_t how)
{
    struct ulv_operation o = { .kind = ULV_OP_RETIRE_PROCESSOR };

    o.u.retire_processor.processor = m->processor[0];
    o.u.retire_processor.how = how;
    return commit(m, &o, 1);
}

/* What is offline comes back, what is broken does not; who runs on it is
 * changed by that. */
static void
test_database_retire__a_processor_comes_back(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_PROCESSORS };
    struct ulv_processor_record r;
    struct ulv_partition_record p;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    o.u.assign_processors.partition = m.p[1].id;
    o.u.assign_processors.count = 1;
    o.u.assign_processors.processor = m.processor[0];
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    assert_int_equal(retire_processor(&m, ULV_RETIRE_ONLINE), ULV_E_STATE);
    assert_int_equal(retire_processor(&m, 3), ULV_E_ARG);
    assert_int_equal(retire_processor(&m, ULV_RETIRE_OFFLINE), ULV_OK);
    assert_int_equal(ulv_database_find(m.db, ULV_QUERY_PARTITIONS, m.p[1].id,
                                       &p),
                     ULV_OK);
    assert_int_equal(p.version, m.revision);
    assert_int_equal(retire_processor(&m, ULV_RETIRE_OFFLINE), ULV_E_EXISTS);
    assert_int_equal(ulv_database_find(m.db, ULV_QUERY_PROCESSORS,
                                       m.processor[0], &r),
                     ULV_OK);
    assert_int_equal(r.retired, ULV_RETIRED_OFFLINE);
    assert_int_equal(r.share_count, 1);
    assert_int_equal(r.idle_quanta, 0);
    assert_int_equal(retire_processor(&m, ULV_RETIRE_ONLINE), ULV_OK);
    assert_int_equal(ulv_database_find(m.db, ULV_QUERY_PROCESSORS,
                                       m.processor[0], &r),
                     ULV_OK);
    assert_int_equal(r.retired, 0);
    assert_int_equal(r.idle_quanta, ULV_QUANTA);
    assert_int_equal(retire_processor(&m, ULV_RETIRE_OFFLINE), ULV_OK);
    assert_int_equal(retire_processor(&m, ULV_RETIRE_BROKEN), ULV_OK);
    assert_int_equal(retire_processor(&m, ULV_RETIRE_ONLINE), ULV_E_STATE);
    assert_int_equal(retire_processor(&m, ULV_RETIRE_OFFLINE), ULV_E_EXISTS);
    end(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_retire__free_pages_are_never_given),
        cmocka_unit_test(test_database_retire__drains_what_a_guest_has),
        cmocka_unit_test(test_database_retire__revokes_a_channel),
        cmocka_unit_test(test_database_retire__a_processor_gets_nobody_new),
        cmocka_unit_test(test_database_retire__a_processor_comes_back),
    };

    return cmocka_run_group_tests_name("database-retire", tests, NULL, NULL);
}
