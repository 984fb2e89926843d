/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The database beside a model of arrays, on random transactions, valid and
 * not; every invariant is checked after each. Argument: how many transactions
 * (default 2000); ULV_SEED sets the seed. If they fail those that matter are
 * written to a file, which the arguments "replay" and its name run again.
 */
#include "model.h"

#include <stdlib.h>

#include <ultravisor/abi/block.h>
#include <ultravisor/abi/system_call.h>

#include "database/database_priv.h"

static uint64_t steps = 2000, seed = 1;
static uint64_t begun; /* steps, of the run that may have failed */
static bool agreed;

static void
test_database_model__agrees(void **state)
{
    static struct model m;

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    begin(&m);
    for (begun = 0; begun < steps;) {
        model_seed = script_step(seed, begun++);
        model_step(&m);
        model_compare(&m);
    }
    print_message("# dedicated %u, exhausted %u, over %u\n", m.dedicated,
                  m.exhausted, m.over);
    assert_true(m.exhausted != 0 && m.over != 0);
    assert_true(m.dedicated != 0 || steps < 50000); /* which are few */
    end(&m);
    agreed = true;
}

/* ---- undo ------ */

#define LARGE 14

/* A transaction that touches everything. */
static uint32_t
large(struct model *m, struct ulv_operation o[LARGE])
{
    memset(o, 0, LARGE * sizeof(*o));
    o[0] = create(m->next, ULV_PARTITION_GUEST, 77);
    o[1].kind = ULV_OP_ASSIGN_MEMORY;
    o[1].u.assign_memory.partition = m->next;
    o[1].u.assign_memory.bytes = ULV_MIB(5) + 4096;
    o[1].u.assign_memory.node = ULV_NODE_ANY;
    o[2].kind = ULV_OP_ASSIGN_PROCESSORS;
    o[2].u.assign_processors.partition = m->next;
    o[2].u.assign_processors.count = 2;
    o[3].kind = ULV_OP_OFFER;
    o[3].u.offer.id = m->next + 1;
    o[3].u.offer.primary = m->io[0];
    o[3].u.offer.standby = m->io[1];
    o[3].u.offer.kind = ULV_DEVICE_BLOCK;
    o[3].u.offer.flags = ULV_BLOCK_READ_ONLY;
    memcpy(o[3].u.offer.name, "d", 2);
    o[4].kind = ULV_OP_ATTACH;
    o[4].u.attach.channel = m->next + 2;
    o[4].u.attach.partition = m->next;
    o[4].u.attach.device = m->next + 1;
    o[4].u.attach.flags = ULV_BLOCK_READ_ONLY;
    o[5].kind = ULV_OP_SET_QUANTA;
    o[5].u.set_quanta.partition = m->next;
    o[5].u.set_quanta.vcpu_idx = 1;
    o[5].u.set_quanta.quanta = 20;
    o[6].kind = ULV_OP_CREATE_ZONE;
    o[6].u.create_zone.id = m->next + 3;
    memcpy(o[6].u.create_zone.name, "zone", 5);
    o[7].kind = ULV_OP_SET_ZONE;
    o[7].u.set_zone.partition = m->next;
    o[7].u.set_zone.zone = m->next + 3;
    o[8].kind = ULV_OP_SET_QUOTA;
    o[8].u.set_quota.object = m->next + 3;
    o[8].u.set_quota.limit = ULV_MIB(6);
    for (uint32_t i = 9; i < 12; i++) {
        o[i].kind = ULV_OP_SET_LABEL;
        o[i].u.set_label.object = m->next + i % 2 * 3;
        memcpy(o[i].u.set_label.key, "key", 4);
        o[i].u.set_label.value[0] = (char)('0' + i);
    }
    o[12].kind = ULV_OP_SET_POLICY;
    o[12].u.set_policy.object = m->next;
    memcpy(o[12].u.set_policy.name, "gold", 5);
    o[13].kind = ULV_OP_CHANGE_PARTITION;
    o[13].u.change_partition.id = m->next;
    o[13].u.change_partition.what =
        ULV_PARTITION_SET_NAME | ULV_PARTITION_SET_RESTARTS;
    o[13].u.change_partition.restarts = 3;
    memcpy(o[13].u.change_partition.name, "other", 6);
    return LARGE;
}

static void
test_database_undo__leaves_no_trace(void **state)
{
    static uint8_t before[EVERYTHING_MAX], after[EVERYTHING_MAX];
    static struct model m;
    struct ulv_operation o[LARGE];
    struct ulv_request request = { .operations = o };
    struct ulv_plan *plan;
    uint32_t idx;
    size_t len;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    model_memory(&m, 1);
    request.operation_count = large(&m, o);
    assert_int_equal(ulv_database_prepare(m.db, &request, &plan, &idx, NULL),
                     ULV_OK);
    assert_int_equal(ulv_database_prepare(m.db, &request, &plan, &idx, NULL),
                     ULV_E_BUSY);
    end(&m); /* an open plan is aborted */
    begin(&m);
    model_create(&m, 1);
    request.operation_count = large(&m, o);
    len = model_everything(m.db, before, sizeof(before));
    assert_int_equal(ulv_database_prepare(m.db, &request, &plan, &idx, NULL),
                     ULV_OK);
    ulv_database_abort(m.db, plan);
    assert_int_equal(model_everything(m.db, after, sizeof(after)), len);
    assert_memory_equal(before, after, len);
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
    /* and what was undone can be done, with the same ids */
    assert_int_equal(commit(&m, o, LARGE), ULV_OK);
    end(&m);
}

/* From here on each change that can be undone is an allocation. */
static void
forget_chunk(struct model *m)
{
    struct ulv_plan *plan = &m->db->only_plan;

    m->t.host.free(m->t.host.self, plan->chunks,
                   sizeof(*plan->chunks) + plan->chunks->bytes);
    plan->chunks = NULL;
    m->db->chunk_bytes = 0;
}

static void
test_database_memory__each_allocation_fails_in_turn(void **state)
{
    static uint8_t before[EVERYTHING_MAX], after[EVERYTHING_MAX];
    static struct model m;
    struct ulv_operation o[LARGE + 1];
    struct ulv_request request = { .operations = o };
    uint64_t n = 1;
    ulv_status status = ULV_E_NO_MEMORY;

    (void)state;
    begin(&m);
    forget_chunk(&m);
    request.operation_count = large(&m, o) + 1;
    memset(&o[LARGE], 0, sizeof(o[LARGE]));
    o[LARGE].kind = ULV_OP_RELEASE_MEMORY;
    o[LARGE].u.release_memory.partition = o[0].u.create_partition.id;
    o[LARGE].u.release_memory.guest_address = ULV_GUEST_RAM_BASE;
    o[LARGE].u.release_memory.bytes = o[1].u.assign_memory.bytes;
    for (; status != ULV_OK; n++) {
        struct ulv_plan *plan;
        uint32_t idx;
        size_t len = model_everything(m.db, before, sizeof(before));

        ulv_test_host_fail_at(&m.t, n);
        status = ulv_database_prepare(m.db, &request, &plan, &idx, NULL);
        ulv_test_host_fail_at(&m.t, 0);
        if (status == ULV_OK) {
            (void)ulv_database_commit(m.db, plan);
        } else {
            assert_int_equal(status, ULV_E_NO_MEMORY);
            assert_int_equal(model_everything(m.db, after, sizeof(after)), len);
            assert_memory_equal(before, after, len);
        }
        assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
    }
    assert_true(n > 20);
    end(&m);
}

/* ---- retries and preconditions ------ */

static void
test_database_preconditions__decide(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_PROCESSORS };
    struct ulv_precondition want;
    struct ulv_request request = { .operations = &o,
                                   .operation_count = 1,
                                   .preconditions = &want,
                                   .precondition_count = 1 };
    struct ulv_partition_record r;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_plan *plan;
    uint32_t idx;

    (void)state;
    begin(&m);
    model_create(&m, 1);
    assert_int_equal(
        ulv_database_find(m.db, ULV_QUERY_PARTITIONS, m.p[1].id, &r), ULV_OK);
    o.u.assign_processors.partition = want.object = m.p[1].id;
    o.u.assign_processors.count = 1;
    want.version = r.version;
    assert_int_equal(ulv_database_prepare(m.db, &request, &plan, &idx, &diag),
                     ULV_OK);
    (void)ulv_database_commit(m.db, plan);
    /* the same again: the record has moved on */
    assert_int_equal(ulv_database_prepare(m.db, &request, &plan, &idx, &diag),
                     ULV_E_CONFLICT);
    assert_int_equal(diag.object, m.p[1].id);
    assert_int_equal(diag.bound, want.version);
    end(&m);
}

/* ---- what failed, in short ------ */

#define SCRIPT "database-model.script"

static void
write_script(void)
{
    struct script script = { calloc(begun, sizeof(uint64_t)), begun };

    for (uint64_t i = 0; script.step != NULL && i < begun; i++)
        script.step[i] = script_step(seed, i);
    if (script.step == NULL)
        return;
    (void)model_shrink(&script, NULL);
    script_write(&script, SCRIPT, "steps of test_database_model replay");
    print_message("# %llu steps of seed %llu came to %zu, in " SCRIPT "\n",
                  (unsigned long long)begun, (unsigned long long)seed,
                  script.count);
    script_fini(&script);
}

static const char *replayed;

static void
test_database_model__replays(void **state)
{
    struct script script;

    (void)state;
    script_read(&script, replayed);
    model_run(&script, NULL, &begun);
    script_fini(&script);
}

static int
replay(const char *path)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_model__replays),
    };

    replayed = path;
    return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_model__agrees),
        cmocka_unit_test(test_database_undo__leaves_no_trace),
        cmocka_unit_test(test_database_memory__each_allocation_fails_in_turn),
        cmocka_unit_test(test_database_preconditions__decide),
    };

    int failed;

    if (argc > 2 && strcmp(argv[1], "replay") == 0)
        return replay(argv[2]);
    if (argc > 1)
        steps = strtoull(argv[1], NULL, 10);
    if (getenv("ULV_SEED") != NULL)
        seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    failed = cmocka_run_group_tests_name("database", tests, NULL, NULL);
    if (agreed)
        return failed;
    write_script();
    return 1;
}
