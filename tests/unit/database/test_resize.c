/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A memory node that becomes larger or smaller, is gone, and comes back. */
#include "model.h"

#include "database/database_priv.h"

static struct ulv_operation
resize_to(const struct model *m, uint64_t bytes)
{
    struct ulv_operation o = { .kind = ULV_OP_RESIZE_MEMORY };

    o.u.resize_memory.id = m->memory;
    o.u.resize_memory.bytes = bytes;
    return o;
}

static ulv_status
resize(struct model *m, uint64_t bytes)
{
    const struct ulv_operation o = resize_to(m, bytes);

    return commit(m, &o, 1);
}

static void
assert_memory(const struct model *m, uint64_t bytes, uint64_t gone,
              uint64_t is_free)
{
    struct ulv_memory_record r;

    assert_int_equal(
        ulv_database_find(m->db, ULV_QUERY_MEMORY, m->memory, &r), ULV_OK);
    assert_int_equal(r.bytes, bytes);
    assert_int_equal(r.gone_bytes, gone);
    assert_int_equal(r.free_bytes, is_free);
    assert_int_equal(ulv_database_check(m->db, NULL), ULV_OK);
}

/* By what the log says of the newest revision. */
static void
assert_logged(const struct model *m, const char *text)
{
    struct ulv_log_record r;
    uint32_t bytes, count;
    bool more;

    assert_int_equal(ulv_database_query(m->db, ULV_QUERY_LOG, m->revision - 1,
                                        &r, sizeof(r), &bytes, &count, &more),
                     ULV_OK);
    assert_int_equal(count, 1);
    assert_string_equal(r.text, text);
}

static void
test_database_resize__grows_over_tiers(void **state)
{
    static const uint64_t sizes[] = { ULV_MIB(128), ULV_GIB(2), ULV_GIB(700) };
    static struct model m;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    assert_int_equal(give_memory(&m, m.p[1].id, POOL), ULV_OK);
    for (uint32_t i = 0; i < ULV_COUNT_OF(sizes); i++) {
        assert_int_equal(resize(&m, sizes[i]), ULV_OK);
        assert_logged(&m, "resize memory");
        assert_memory(&m, sizes[i], 0, sizes[i] - POOL);
    }
    assert_int_equal(give_memory(&m, m.p[1].id, ULV_GIB(700) - POOL), ULV_OK);
    assert_memory(&m, ULV_GIB(700), 0, 0);
    end(&m);
}

/* Each allocation fails in turn; and what is aborted was never there, also
 * where somebody has got some of it. */
static void
test_database_resize__all_or_nothing(void **state)
{
    static uint8_t before[EVERYTHING_MAX], after[EVERYTHING_MAX];
    static struct model m;
    struct ulv_operation o[2];
    struct ulv_request request = { .operations = o, .operation_count = 2 };
    struct ulv_plan *plan;
    uint32_t idx;
    ulv_status status = ULV_E_NO_MEMORY;
    size_t len;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    o[0] = resize_to(&m, ULV_GIB(2));
    o[1] = (struct ulv_operation){ .kind = ULV_OP_ASSIGN_MEMORY };
    o[1].u.assign_memory.partition = m.p[1].id;
    o[1].u.assign_memory.bytes = ULV_GIB(1) + 4096;
    o[1].u.assign_memory.node = ULV_NODE_ANY;
    len = model_everything(m.db, before, sizeof(before));
    for (uint64_t n = 1; status != ULV_OK; n++) {
        ulv_test_host_fail_at(&m.t, n);
        status = ulv_database_prepare(m.db, &request, &plan, &idx, NULL);
        ulv_test_host_fail_at(&m.t, 0);
        if (status == ULV_OK)
            ulv_database_abort(m.db, plan);
        else
            assert_int_equal(status, ULV_E_NO_MEMORY);
        assert_int_equal(model_everything(m.db, after, sizeof(after)), len);
        assert_memory_equal(before, after, len);
        assert_memory(&m, POOL, 0, POOL);
    }
    assert_int_equal(commit(&m, o, 2), ULV_OK);
    assert_memory(&m, ULV_GIB(2), 0, ULV_GIB(1) - 4096);
    end(&m);
}

static void
assert_flags(const struct model *m, uint32_t flags)
{
    const struct partition *p = ulv_database_partition(m->db, m->p[1].id);
    struct ulv_view_memory view[4];

    assert_int_equal(ulv_database_view_memory(m->db, p, 0, view, 4), 1);
    assert_int_equal(view[0].flags, flags);
}

static ulv_status
take(struct model *m, uint32_t kind, uint64_t bytes, ulv_id to)
{
    struct ulv_operation o = { .kind = kind };

    o.u.move_memory.partition = m->p[1].id;
    o.u.move_memory.guest_address = ULV_GUEST_RAM_BASE;
    o.u.move_memory.bytes = bytes;
    o.u.move_memory.to = to;
    return commit(m, &o, 1);
}

/* A guest that runs keeps what it has, and hears of it; nobody gets it when it
 * comes back. A page that is broken stays so when the node is there again. */
static void
test_database_resize__who_has_it_keeps_it(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
    const uint64_t some = ULV_MIB(4);

    (void)state;
    begin(&m);
    model_create(&m, 1);
    model_create(&m, 2);
    assert_int_equal(give_memory(&m, m.p[1].id, some), ULV_OK);
    o.u.set_state.partition = m.p[1].id;
    o.u.set_state.state = ULV_STATE_RUNNING;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    assert_flags(&m, 0);
    assert_int_equal(resize(&m, 0), ULV_OK);
    assert_memory(&m, POOL, POOL, 0);
    assert_flags(&m, ULV_VIEW_RETIRED);
    assert_int_equal(ulv_database_gone_bytes(m.db, m.memory, m.p[1].id), some);
    assert_int_equal(ulv_database_gone_bytes(m.db, m.memory, m.p[2].id), 0);
    assert_int_equal(give_memory(&m, m.p[1].id, 4096), ULV_E_NO_MEMORY);
    assert_int_equal(take(&m, ULV_OP_MOVE_MEMORY, some, m.p[2].id),
                     ULV_E_STATE);
    o.u.set_state.state = ULV_STATE_STOPPED;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    assert_int_equal(take(&m, ULV_OP_RELEASE_MEMORY, some, 0), ULV_OK);
    assert_memory(&m, POOL, POOL, 0);
    memset(&o, 0, sizeof(o));
    o.kind = ULV_OP_RETIRE_MEMORY;
    o.u.retire_memory.id = new_id(&m);
    o.u.retire_memory.frame = some;
    o.u.retire_memory.bytes = 4096;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    assert_memory(&m, POOL, POOL, 0);
    assert_int_equal(resize(&m, ULV_PAGE_MAP_BLOCK), ULV_OK);
    assert_memory(&m, POOL, POOL - ULV_PAGE_MAP_BLOCK, ULV_PAGE_MAP_BLOCK);
    assert_int_equal(resize(&m, 2 * POOL), ULV_OK);
    assert_memory(&m, 2 * POOL, 0, 2 * POOL - 4096);
    end(&m);
}

/* One that moves does not arrive; a channel stays, and what it gives back is
 * nobody's. */
static void
test_database_resize__what_moves_and_channels(void **state)
{
    static struct model m;
    struct ulv_operation o[2];
    struct ulv_operation run = { .kind = ULV_OP_SET_STATE };
    struct ulv_effect_extent what;
    struct ulv_extent_record e;
    struct ulv_channel_record c;
    uint32_t bytes, count;
    bool more;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    model_create(&m, 2);
    assert_int_equal(give_memory(&m, m.p[1].id, ULV_MIB(2)), ULV_OK);
    give_console(&m, m.p[1].id, o);
    assert_int_equal(commit(&m, o, 2), ULV_OK);
    run.u.set_state.partition = m.p[1].id;
    run.u.set_state.state = ULV_STATE_RUNNING;
    assert_int_equal(commit(&m, &run, 1), ULV_OK);
    assert_int_equal(take(&m, ULV_OP_MOVE_MEMORY, ULV_MIB(2), m.p[2].id),
                     ULV_OK);
    assert_int_equal(ulv_database_query(m.db, ULV_QUERY_EXTENTS, 0, &e,
                                        sizeof(e), &bytes, &count, &more),
                     ULV_OK);
    assert_true(ulv_database_draining(m.db, e.id, &what));
    assert_int_equal(what.partition, m.p[2].id);
    assert_int_equal(resize(&m, 0), ULV_OK);
    assert_true(ulv_database_draining(m.db, e.id, &what));
    assert_int_equal(what.partition, 0);
    assert_flags(&m, ULV_VIEW_REVOKED | ULV_VIEW_RETIRED);
    assert_int_equal(
        ulv_database_find(m.db, ULV_QUERY_CHANNELS, o[1].u.attach.channel, &c),
        ULV_OK);
    run.u.set_state.state = ULV_STATE_STOPPED;
    assert_int_equal(commit(&m, &run, 1), ULV_OK);
    run.kind = ULV_OP_DESTROY_PARTITION;
    run.u.destroy_partition.id = m.p[1].id;
    assert_int_equal(commit(&m, &run, 1), ULV_OK);
    assert_memory(&m, POOL, POOL, 0);
    end(&m);
}

static void
test_database_resize__refuses(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_ADD_MEMORY };

    (void)state;
    begin(&m);
    o.u.add_memory.id = new_id(&m);
    o.u.add_memory.base = ULV_GIB(4);
    o.u.add_memory.bytes = POOL;
    o.u.add_memory.node = 1;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    assert_int_equal(resize(&m, POOL), ULV_E_EXISTS);
    assert_int_equal(resize(&m, POOL + 4096), ULV_E_ARG);
    assert_int_equal(resize(&m, ULV_GIB(5)), ULV_E_EXISTS);
    assert_int_equal(resize(&m, ULV_GIB(4)), ULV_OK);
    m.memory = o.u.add_memory.id;
    assert_int_equal(resize(&m, UINT64_C(1) << 60), ULV_E_ARG);
    assert_int_equal(resize(&m, 0 - ULV_GIB(2)), ULV_E_ARG);
    m.memory = m.ultravisor;
    assert_int_equal(resize(&m, 0), ULV_E_NOT_FOUND);
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
    end(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_resize__grows_over_tiers),
        cmocka_unit_test(test_database_resize__all_or_nothing),
        cmocka_unit_test(test_database_resize__who_has_it_keeps_it),
        cmocka_unit_test(test_database_resize__what_moves_and_channels),
        cmocka_unit_test(test_database_resize__refuses),
    };

    return cmocka_run_group_tests_name("database-resize", tests, NULL, NULL);
}
