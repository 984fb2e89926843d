/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Each limit of a policy at its bound and on both sides of it. */
#include "policy_test.h"

static void
test_policy_decide__memory_per_guest(void **state)
{
    const uint64_t limit = ULV_MIB(512);
    struct world w;
    struct ulv_operation o[3];

    (void)state;
    world_begin(&w);
    w.policy.memory_per_guest = limit;
    for (int64_t off = -4096; off <= 4096; off += 4096) {
        ulv_status expected = off > 0 ? ULV_E_POLICY : ULV_OK;

        /* a new guest, at once and in two pieces */
        o[0] = op_create(FRESH, "fresh");
        o[1] = op_memory(FRESH, limit + (uint64_t)off, 0);
        assert_int_equal(world_decide(&w, o, 2), expected);
        o[1] = op_memory(FRESH, limit - 8192, 0);
        o[2] = op_memory(FRESH, 8192 + (uint64_t)off, 0);
        assert_int_equal(world_decide(&w, o, 3), expected);
        /* one that has 256 MiB already */
        o[0] = op_memory(GUEST, limit - ULV_MIB(256) + (uint64_t)off, 0);
        assert_int_equal(world_decide(&w, o, 1), expected);
    }
    assert_int_equal(w.diag.object, GUEST);
    assert_int_equal(w.diag.value, limit + 4096);
    assert_int_equal(w.diag.bound, limit);
    assert_string_equal(w.diag.text,
                        "web: 524292 KiB asked, policy allows 512 MiB a guest "
                        "(memory_per_guest)");
    /* what another partition is given does not count */
    o[0] = op_memory(GUEST, ULV_MIB(256), 0);
    o[1] = op_memory(FRESH, limit, 0);
    assert_int_equal(world_decide(&w, o, 2), ULV_OK);
}

static void
test_policy_decide__as_the_document_says(void **state)
{
    struct world w;
    struct ulv_operation o[2] = { op_create(FRESH, "web"),
                                  op_memory(FRESH, ULV_MIB(512),
                                            ULV_NODE_ANY) };

    (void)state;
    world_begin(&w);
    w.policy.memory_per_guest = ULV_MIB(256);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
    assert_string_equal(w.diag.text,
                        "web: 512 MiB asked, policy allows 256 MiB a guest "
                        "(memory_per_guest)");
}

static void
test_policy_decide__memory_that_wraps(void **state)
{
    struct world w;
    struct ulv_operation o[3] = { op_memory(GUEST, UINT64_MAX, 0) };

    (void)state;
    world_begin(&w);
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
    assert_int_equal(w.diag.value, UINT64_MAX);
    o[0] = op_memory(GUEST, UINT64_MAX - ULV_MIB(256) + 1, 0);
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
    o[0] = op_memory(FRESH, UINT64_C(1) << 63, 0);
    o[1] = op_memory(FRESH, UINT64_C(1) << 63, 0);
    o[2] = op_memory(FRESH, 4096, 0);
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
}

static void
test_policy_decide__processors_per_guest(void **state)
{
    struct world w;
    struct ulv_operation o[2];

    (void)state;
    world_begin(&w);
    w.policy.processors_per_guest = 8;
    for (uint32_t count = 7; count <= 9; count++) {
        ulv_status expected = count > 8 ? ULV_E_POLICY : ULV_OK;

        o[0] = op_create(FRESH, "fresh");
        o[1] = op_processors(FRESH, count);
        assert_int_equal(world_decide(&w, o, 2), expected);
        o[0] = op_processors(GUEST, count - 2); /* it has 2 */
        assert_int_equal(world_decide(&w, o, 1), expected);
    }
    assert_int_equal(w.diag.object, GUEST);
    assert_int_equal(w.diag.value, 9);
    assert_int_equal(w.diag.bound, 8);
    assert_string_equal(w.diag.text,
                        "web: 9 processors asked, policy allows 8 a guest "
                        "(processors_per_guest)");
    o[0] = op_processors(FRESH, UINT32_MAX);
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
}

static void
test_policy_decide__processors_in_pieces(void **state)
{
    struct world w;
    struct ulv_operation o[3];

    (void)state;
    world_begin(&w);
    w.policy.processors_per_guest = 8;
    for (uint32_t last = 1; last <= 3; last++) {
        o[0] = op_processors(FRESH, 4);
        o[1] = op_processors(GUEST, 6);
        o[2] = op_processors(FRESH, 2 + last);
        assert_int_equal(world_decide(&w, o, 3),
                         last > 2 ? ULV_E_POLICY : ULV_OK);
    }
    assert_int_equal(w.diag.value, 9);
    /* with those it has these are 1 in 32 bits */
    o[0] = op_processors(GUEST, UINT32_MAX);
    assert_int_equal(world_decide(&w, o, 1), ULV_E_POLICY);
    assert_int_equal(w.diag.value, UINT64_C(2) + UINT32_MAX);
    o[0] = op_processors(FRESH, UINT32_MAX);
    o[1] = op_processors(FRESH, 1);
    assert_int_equal(world_decide(&w, o, 2), ULV_E_POLICY);
}

static void
test_policy_decide__guests(void **state)
{
    struct world w;
    struct ulv_operation o[3];

    (void)state;
    world_begin(&w);
    for (uint32_t i = 0; i < 3; i++)
        o[i] = op_create(FRESH + i, "fresh");
    /* one is there; I/O partitions are no guests */
    for (uint32_t count = 1; count <= 3; count++) {
        for (uint32_t limit = 0; limit <= 5; limit++) {
            w.policy.guests = limit;
            assert_int_equal(world_decide(&w, o, count),
                             1 + count > limit ? ULV_E_POLICY : ULV_OK);
        }
    }
    w.policy.guests = 3;
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
    assert_int_equal(w.diag.value, 4);
    assert_int_equal(w.diag.bound, 3);
    assert_string_equal(w.diag.text,
                        "fresh would be guest 4, policy allows 3 (guests)");
    /* one that stopped still exists */
    w.partitions[2].state = ULV_STATE_STOPPED;
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
    w.partitions[2].state = ULV_STATE_FAULTED;
    assert_int_equal(world_decide(&w, o, 3), ULV_E_POLICY);
    /* nothing is asked: nothing is refused */
    w.policy.guests = 0;
    assert_int_equal(world_decide(&w, o, 0), ULV_OK);
}

static void
test_policy_decide__only_guests_are_created(void **state)
{
    static const uint32_t kinds[] = { 1, 16, ULV_PARTITION_IO, 18, 19, 255,
                                      UINT32_MAX };
    struct world w;

    (void)state;
    world_begin(&w);
    for (size_t i = 0; i < ULV_COUNT_OF(kinds); i++) {
        struct ulv_operation o = op_create(FRESH, "fresh");

        o.u.create_partition.kind = kinds[i];
        assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
        assert_int_equal(w.diag.value, kinds[i]);
        assert_non_null(strstr(w.diag.text, "fresh"));
    }
}

static void
test_policy_decide__fills_in_the_restarts(void **state)
{
    struct world w;
    struct ulv_operation o = op_create(FRESH, "fresh");

    (void)state;
    world_begin(&w);
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.restarts, 0);
    w.policy.restarts = 5;
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.restarts, 5);
    o.u.create_partition.restarts = 2;
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.restarts, 2);
    o.u.create_partition.restarts = 6;
    assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
    assert_int_equal(w.diag.value, 6);
    assert_int_equal(w.diag.bound, 5);
    assert_non_null(strstr(w.diag.text, "restarts_per_minute"));
}

static void
test_policy_decide__fills_in_the_silence_limit(void **state)
{
    struct world w;
    struct ulv_operation o = op_create(FRESH, "fresh");

    (void)state;
    world_begin(&w);
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.silence_limit, 0);
    w.policy.silence_limit = 5000;
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.silence_limit, 5000);
    o.u.create_partition.silence_limit = 300;
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
    assert_int_equal(o.u.create_partition.silence_limit, 300);
    /* asked for more than the policy has for anybody */
    o.u.create_partition.silence_limit = 5001;
    assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
    assert_int_equal(w.diag.value, 5001);
    assert_int_equal(w.diag.bound, 5000);
    w.policy.silence_limit = 0; /* no limit at all */
    assert_int_equal(world_decide(&w, &o, 1), ULV_OK);
}

static void
test_policy_decide__operations_that_are_not_for_clients(void **state)
{
    static const uint8_t allowed[] = {
        [ULV_OP_DESTROY_PARTITION] = 1, [ULV_OP_RELEASE_MEMORY] = 1,
        [ULV_OP_ATTACH] = 1,            [ULV_OP_CONNECT] = 1,
        [ULV_OP_REVOKE] = 1,            [ULV_OP_SET_INTENT] = 1,
        [ULV_OP_MOVE_MEMORY] = 1,        [ULV_OP_SET_QUANTA] = 1,
        [ULV_OP_CREATE_ZONE] = 1,       [ULV_OP_DESTROY_ZONE] = 1,
        [ULV_OP_SET_ZONE] = 1,          [ULV_OP_SET_QUOTA] = 1,
        [ULV_OP_SET_LABEL] = 1,         [ULV_OP_SET_POLICY] = 1,
        [ULV_OP_ASSIGN_HARDWARE] = 1,   [ULV_OP_RELEASE_HARDWARE] = 1,
        [ULV_OP_MOVE_HARDWARE] = 1,     [ULV_OP_ASSIGN_RANGE] = 1,
        [ULV_OP_RELEASE_RANGE] = 1,     [ULV_OP_MOVE_RANGE] = 1,
        [ULV_OP_RETIRE_MEMORY] = 1,     [ULV_OP_RETIRE_PROCESSOR] = 1,
        [ULV_OP_RELEASE_PROCESSORS] = 1, [ULV_OP_MOVE_PROCESSOR] = 1,
        [ULV_OP_CHANGE_PARTITION] = 1,
    };
    struct world w;

    (void)state;
    world_begin(&w);
    for (uint32_t kind = 0; kind < 40; kind++) {
        struct ulv_operation o[2] = { op_processors(FRESH, 1) }, before;
        bool may = kind < ULV_COUNT_OF(allowed) && allowed[kind];

        if (kind == ULV_OP_CREATE_PARTITION || kind == ULV_OP_ASSIGN_MEMORY ||
            kind == ULV_OP_ASSIGN_PROCESSORS || kind == ULV_OP_OFFER)
            continue;
        o[1].kind = kind;
        before = o[1];
        /* also behind one that is allowed */
        assert_int_equal(world_decide(&w, o, 2), may ? ULV_OK : ULV_E_POLICY);
        assert_memory_equal(&o[1], &before, sizeof(before));
        if (!may)
            assert_int_equal(w.diag.value, kind);
    }
    {
        struct ulv_operation o = { .kind = UINT32_MAX };

        assert_int_equal(world_decide(&w, &o, 1), ULV_E_POLICY);
        assert_non_null(strstr(w.diag.text, "4294967295"));
    }
}

static void
test_policy_decide__names_without_an_end(void **state)
{
    struct world w;
    struct ulv_operation o[2];

    (void)state;
    world_begin(&w);
    for (uint32_t limit = 0; limit < 2; limit++) {
        /* refused by another rule or by none: nobody reads beyond the name */
        w.policy.guests = limit * 64;
        o[0] = op_create(FRESH, "");
        memset(o[0].u.create_partition.name, 'N',
               sizeof(o[0]) - offsetof(struct ulv_operation,
                                       u.create_partition.name));
        assert_int_equal(world_decide(&w, o, 1), ULV_E_ARG);
        assert_int_equal(w.diag.object, FRESH);
        assert_null(strstr(w.diag.text, "NN"));
        o[1] = o[0];
        o[0] = op_memory(FRESH, 4096, ULV_NODE_ANY);
        assert_int_equal(world_decide(&w, o, 2), ULV_E_ARG);
        assert_null(strstr(w.diag.text, "NN"));
        assert_true(w.line_count == 0 || strstr(w.lines[0], "NN") == NULL);
        o[0] = op_offer("", 0, 0);
        memset(o[0].u.offer.name, 'N',
               sizeof(o[0]) - offsetof(struct ulv_operation, u.offer.name));
        assert_int_equal(world_decide(&w, o, 1), ULV_E_ARG);
        assert_int_equal(w.diag.object, 50);
        assert_null(strstr(w.diag.text, "NN"));
    }
    /* one byte less is a name */
    o[0] = op_create(FRESH, "1234567890123456789012345678901");
    assert_int_equal(world_decide(&w, o, 1), ULV_OK);
}

/* Whatever is asked: no crash, and what passes keeps to the limits. */
static void
test_policy_decide__survives_random_operations(void **state)
{
    uint64_t seed = 4;
    uint32_t passed = 0;

    (void)state;
    for (uint32_t n = 0; n < 50000; n++) {
        struct ulv_operation o[6];
        uint32_t count = (uint32_t)(random_next(&seed) % 7);
        uint64_t bytes = ULV_MIB(256), guests = 1;
        struct world w;

        world_begin(&w);
        w.policy.guests = 3;
        for (uint32_t i = 0; i < count; i++) {
            uint8_t *at = (uint8_t *)&o[i];

            for (size_t b = 0; b < sizeof(o[i]); b++)
                at[b] = (uint8_t)(random_next(&seed) & 1 ? random_next(&seed)
                                                         : 0);
            o[i].kind = 3 + (uint32_t)(random_next(&seed) % 7);
            o[i].u.words[0] = random_next(&seed) & 1 ? GUEST : FRESH;
            if (o[i].kind == ULV_OP_ASSIGN_MEMORY)
                o[i].u.assign_memory.bytes >>= random_next(&seed) % 64;
            if (o[i].kind == ULV_OP_CREATE_PARTITION)
                o[i].u.create_partition.kind = 0;
        }
        if (world_decide(&w, o, count) != ULV_OK)
            continue;
        passed++;
        for (uint32_t i = 0; i < count; i++) {
            guests += o[i].kind == ULV_OP_CREATE_PARTITION;
            if (o[i].kind == ULV_OP_ASSIGN_MEMORY &&
                o[i].u.assign_memory.partition == GUEST)
                assert_true(ulv_add_u64(bytes, o[i].u.assign_memory.bytes,
                                        &bytes));
        }
        assert_true(bytes <= w.policy.memory_per_guest);
        assert_true(guests == 1 || guests <= w.policy.guests);
    }
    assert_true(passed > 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_decide__memory_per_guest),
        cmocka_unit_test(test_policy_decide__as_the_document_says),
        cmocka_unit_test(test_policy_decide__memory_that_wraps),
        cmocka_unit_test(test_policy_decide__processors_per_guest),
        cmocka_unit_test(test_policy_decide__processors_in_pieces),
        cmocka_unit_test(test_policy_decide__guests),
        cmocka_unit_test(test_policy_decide__only_guests_are_created),
        cmocka_unit_test(test_policy_decide__fills_in_the_restarts),
        cmocka_unit_test(test_policy_decide__fills_in_the_silence_limit),
        cmocka_unit_test(
            test_policy_decide__operations_that_are_not_for_clients),
        cmocka_unit_test(test_policy_decide__names_without_an_end),
        cmocka_unit_test(test_policy_decide__survives_random_operations),
    };

    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
