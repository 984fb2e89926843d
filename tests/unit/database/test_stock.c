/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Guest addresses of a partition that runs a stock kernel. */
#include <ultravisor/abi/system_call.h>

#include "database_test.h"

static ulv_id
stock(struct model *m, uint64_t number, uint64_t capabilities)
{
    struct ulv_operation o = create(new_id(m), ULV_PARTITION_GUEST, number);

    o.u.create_partition.capabilities = capabilities;
    assert_int_equal(commit(m, &o, 1), ULV_OK);
    return o.u.create_partition.id;
}

static ulv_status
release(struct model *m, ulv_id partition, uint64_t address, uint64_t bytes)
{
    struct ulv_operation o = { .kind = ULV_OP_RELEASE_MEMORY };

    o.u.release_memory.partition = partition;
    o.u.release_memory.guest_address = address;
    o.u.release_memory.bytes = bytes;
    return commit(m, &o, 1);
}

static ulv_status
move(struct model *m, ulv_id from, uint64_t address, uint64_t bytes, ulv_id to)
{
    struct ulv_operation o = { .kind = ULV_OP_MOVE_MEMORY };

    o.u.move_memory.partition = from;
    o.u.move_memory.guest_address = address;
    o.u.move_memory.bytes = bytes;
    o.u.move_memory.to = to;
    return commit(m, &o, 1);
}

static void
run(struct model *m, ulv_id partition)
{
    struct ulv_operation o[3] = { { .kind = ULV_OP_ASSIGN_PROCESSORS },
                                  { .kind = ULV_OP_SET_INTENT },
                                  { .kind = ULV_OP_SET_STATE } };

    o[0].u.assign_processors.partition = partition;
    o[0].u.assign_processors.count = 1;
    o[0].u.assign_processors.mode = ULV_PROCESSOR_SHARED;
    o[1].u.set_intent.partition = partition;
    o[1].u.set_intent.intent = ULV_INTENT_RUNNING;
    o[2].u.set_state.partition = partition;
    o[2].u.set_state.state = ULV_STATE_RUNNING;
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(commit(m, &o[i], 1), ULV_OK);
}

static void
add_pool(struct model *m, uint64_t bytes)
{
    struct ulv_operation o = { .kind = ULV_OP_ADD_MEMORY };

    o.u.add_memory.id = new_id(m);
    o.u.add_memory.base = ULV_GIB(16);
    o.u.add_memory.bytes = bytes;
    o.u.add_memory.node = 1;
    assert_int_equal(commit(m, &o, 1), ULV_OK);
}

/* Memory from 0, none in the hole, all of it there. */
static void
test_database_stock__around_the_hole(void **state)
{
    static struct model m;
    static struct ulv_view_memory memory[ULV_EXTENTS_MAX];
    uint64_t next = 0, bytes = 0;
    uint32_t count;
    ulv_id id;

    (void)state;
    begin(&m);
    add_pool(&m, ULV_GIB(8));
    id = stock(&m, 1, ULV_CAP_STOCK);
    assert_int_equal(give_memory(&m, id, ULV_MIB(1)), ULV_OK);
    assert_int_equal(give_memory(&m, id, ULV_GIB(5)), ULV_OK);
    count = ulv_database_view_memory(m.db, ulv_database_partition(m.db, id), 0,
                                     memory, ULV_EXTENTS_MAX);
    assert_true(count >= 3);
    for (uint32_t i = 0; i < count; i++) {
        if (next == ULV_STOCK_HOLE)
            next = ULV_STOCK_HOLE_END;
        assert_true(memory[i].guest_address == next);
        next += memory[i].bytes;
        bytes += memory[i].bytes;
        assert_false(ulv_ranges_overlap(memory[i].guest_address,
                                        memory[i].bytes, ULV_STOCK_HOLE,
                                        ULV_STOCK_HOLE_END - ULV_STOCK_HOLE));
    }
    assert_true(bytes == ULV_GIB(5) + ULV_MIB(1));
    assert_true(next == ULV_GIB(6) + ULV_MIB(1));
    assert_int_equal(release(&m, id, memory[0].guest_address,
                             memory[0].bytes),
                     ULV_OK);
    assert_int_equal(give_memory(&m, id, memory[0].bytes), ULV_OK);
    end(&m);
}

/* It hears of no change while it runs; a guest of the SDK does. */
static void
test_database_stock__stays_while_it_runs(void **state)
{
    static struct model m;
    ulv_id id, other, idle;

    (void)state;
    begin(&m);
    id = stock(&m, 1, ULV_CAP_STOCK);
    other = stock(&m, 2, ULV_CAP_GUEST);
    idle = stock(&m, 3, ULV_CAP_STOCK);
    assert_int_equal(give_memory(&m, id, ULV_MIB(2)), ULV_OK);
    assert_int_equal(give_memory(&m, other, ULV_MIB(2)), ULV_OK);
    assert_int_equal(give_memory(&m, other, ULV_MIB(2)), ULV_OK);
    run(&m, id);
    run(&m, other);
    assert_int_equal(give_memory(&m, id, ULV_MIB(2)), ULV_E_UNSUPPORTED);
    assert_int_equal(release(&m, id, 0, ULV_MIB(2)), ULV_E_UNSUPPORTED);
    assert_int_equal(move(&m, id, 0, ULV_MIB(2), other), ULV_E_UNSUPPORTED);
    assert_int_equal(move(&m, other, ULV_GUEST_RAM_BASE, ULV_MIB(2), id),
                     ULV_E_UNSUPPORTED);
    assert_int_equal(move(&m, other, ULV_GUEST_RAM_BASE, ULV_MIB(2), idle),
                     ULV_OK);
    end(&m);
}

/* What it keeps of retired memory goes to nobody else when it has stopped. */
static void
test_database_stock__retired_memory_is_not_moved(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_RETIRE_MEMORY };
    struct ulv_view_memory memory[2];
    ulv_id id, other;

    (void)state;
    begin(&m);
    id = stock(&m, 1, ULV_CAP_STOCK);
    other = stock(&m, 2, ULV_CAP_GUEST);
    assert_int_equal(give_memory(&m, id, ULV_MIB(2)), ULV_OK);
    assert_int_equal(give_memory(&m, id, ULV_MIB(2)), ULV_OK);
    assert_int_equal(ulv_database_view_memory(
                         m.db, ulv_database_partition(m.db, id), 0, memory, 2),
                     2);
    run(&m, id);
    o.u.retire_memory.id = new_id(&m);
    o.u.retire_memory.frame = memory[0].frame + 4096;
    o.u.retire_memory.bytes = 4096;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    memset(&o, 0, sizeof(o));
    o.kind = ULV_OP_SET_STATE;
    o.u.set_state.partition = id;
    o.u.set_state.state = ULV_STATE_STOPPED;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    assert_int_equal(move(&m, id, memory[0].guest_address, ULV_MIB(2), other),
                     ULV_E_STATE);
    assert_int_equal(move(&m, id, memory[0].guest_address, ULV_MIB(4), other),
                     ULV_E_STATE);
    assert_int_equal(move(&m, id, memory[1].guest_address, ULV_MIB(2), other),
                     ULV_OK);
    assert_int_equal(release(&m, id, memory[0].guest_address, ULV_MIB(2)),
                     ULV_OK);
    end(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_stock__around_the_hole),
        cmocka_unit_test(test_database_stock__retired_memory_is_not_moved),
        cmocka_unit_test(test_database_stock__stays_while_it_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
