/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* More records than the indexes begin with: found while they grow, after an
 * abort, and when most are gone. */
#include "database_test.h"

#include "database/page_map.h"

#define GUESTS  3000u
#define NAMES   10000u /* what begin() takes is below */
#define CHUNK   100u /* operations of a transaction */

static struct ulv_operation
assign(ulv_id partition)
{
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_MEMORY };

    o.u.assign_memory.partition = partition;
    o.u.assign_memory.bytes = 4096;
    o.u.assign_memory.node = ULV_NODE_ANY;
    return o;
}

/* Each partition with a page; aborts it once before. */
static void
make_guests(struct model *m, ulv_id *first)
{
    struct ulv_operation o[2 * CHUNK];
    struct ulv_request request = { .operations = o,
                                   .operation_count = 2 * CHUNK };

    for (uint32_t done = 0; done < GUESTS; done += CHUNK) {
        struct ulv_plan *plan;
        uint32_t idx;

        for (uint32_t i = 0; i < CHUNK; i++) {
            ulv_id id = new_id(m);

            if (done + i == 0)
                *first = id;
            o[2 * i] = create(id, ULV_PARTITION_GUEST, NAMES + done + i);
            o[2 * i + 1] = assign(id);
        }
        assert_int_equal(ulv_database_prepare(m->db, &request, &plan, &idx,
                                              NULL),
                         ULV_OK);
        ulv_database_abort(m->db, plan);
        assert_int_equal(ulv_database_prepare(m->db, &request, &plan, &idx,
                                              NULL),
                         ULV_OK);
        m->revision = ulv_database_commit(m->db, plan);
    }
}

static void
test_database_index__grows_with_its_records(void **state)
{
    static struct model m;
    struct ulv_partition_record record;
    struct ulv_operation o = { 0 };
    ulv_id first = 0;

    (void)state;
    begin(&m);
    make_guests(&m, &first);
    for (uint32_t i = 0; i < GUESTS; i++) {
        assert_int_equal(ulv_database_find(m.db, ULV_QUERY_PARTITIONS,
                                           first + i, &record),
                         ULV_OK);
        assert_int_equal(record.id, first + i);
        assert_int_equal(record.memory_bytes, 4096);
    }
    o = create(new_id(&m), ULV_PARTITION_GUEST, NAMES + GUESTS / 2);
    assert_int_equal(commit(&m, &o, 1), ULV_E_EXISTS);
    for (uint32_t i = 0; i + 1 < GUESTS; i++) {
        struct ulv_request request = { .operations = &o,
                                       .operation_count = 1 };
        struct ulv_plan *plan;
        uint32_t idx;

        o.kind = ULV_OP_DESTROY_PARTITION;
        o.u.destroy_partition.id = first + i;
        assert_int_equal(ulv_database_prepare(m.db, &request, &plan, &idx,
                                              NULL),
                         ULV_OK);
        m.revision = ulv_database_commit(m.db, plan);
        assert_int_equal(ulv_database_find(m.db, ULV_QUERY_PARTITIONS,
                                           first + i, &record),
                         ULV_E_NOT_FOUND);
    }
    o = create(new_id(&m), ULV_PARTITION_GUEST, NAMES);
    assert_int_equal(commit(&m, &o, 1), ULV_OK); /* the name is free again */
    end(&m);
}

/* Channels come and go: they share a block, and others stay whole. */
static void
test_database_index__small_runs_share_a_block(void **state)
{
    static struct model m;
    struct ulv_channel_record record;
    struct ulv_operation o[2], channel = { .kind = ULV_OP_CONNECT };
    ulv_id id[2] = { 0, 0 };

    (void)state;
    begin(&m);
    memset(o, 0, sizeof(o));
    for (uint32_t i = 0; i < 2; i++) {
        id[i] = new_id(&m);
        o[i] = create(id[i], ULV_PARTITION_GUEST, i);
    }
    assert_int_equal(commit(&m, o, 2), ULV_OK);
    channel.u.connect.server = id[0];
    channel.u.connect.client = id[1];
    channel.u.connect.ring_bytes = 4096;
    for (uint32_t i = 0; i < 60; i++) {
        channel.u.connect.channel = new_id(&m);
        assert_int_equal(commit(&m, &channel, 1), ULV_OK);
        assert_int_equal(ulv_database_find(m.db, ULV_QUERY_CHANNELS,
                                           channel.u.connect.channel, &record),
                         ULV_OK);
    }
    /* the others are whole, and can be had as one run */
    o[0] = assign(id[0]);
    o[0].u.assign_memory.bytes = POOL - ULV_PAGE_MAP_BLOCK;
    assert_int_equal(commit(&m, o, 1), ULV_OK);
    {
        struct ulv_view_memory run[2];

        assert_int_equal(
            ulv_database_view_memory(m.db, ulv_database_partition(m.db, id[0]),
                                     0, run, 2),
            1);
        assert_int_equal(run[0].bytes, POOL - ULV_PAGE_MAP_BLOCK);
    }
    end(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_index__grows_with_its_records),
        cmocka_unit_test(test_database_index__small_runs_share_a_block),
    };

    return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
