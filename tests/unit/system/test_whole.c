/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The whole in one process on a host of the test's: boot, a transaction, a
 * scripted guest, its end; then the same with each fallible call of the host
 * failing in turn. Whatever happens, nothing is left behind.
 */
#include "../port/port_test.h"

#include <poll.h>
#include <stdio.h>

#include <ultravisor/ultravisor.h>

#include "base/base.h"
#include "database/page_map.h"
#include "mock_image.h"
#include "policy/policy.h"
#include "port/test/test.h"
#include "system/system_priv.h"

static ulv_status
two_processors(void *self, struct ulv_host_processor *ret, uint32_t capacity,
               uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    (void)diag;
    for (uint32_t i = 0; i < 2 && i < capacity; i++) {
        memset(&ret[i], 0, sizeof(ret[i]));
        ret[i].number = ret[i].core = i;
    }
    *ret_count = 2;
    return ULV_OK;
}

static ulv_status
one_node(void *self, struct ulv_host_node *ret, uint32_t capacity,
         uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    (void)diag;
    (void)capacity;
    memset(&ret[0], 0, sizeof(ret[0]));
    ret[0].total_bytes = ret[0].free_bytes = ULV_MIB(64);
    *ret_count = 1;
    return ULV_OK;
}

static void
make_host(struct ulv_test_host *t)
{
    ulv_test_host_init(t);
    t->host.processors = two_processors;
    t->host.nodes = one_node;
}

static const struct ulv_mock_step script[] = {
    { .kind = ULV_MOCK_CALL, .number = ULV_CALL_TIME },
    { .kind = ULV_MOCK_EXPECT, .argument = { 0 } },
    { .kind = ULV_MOCK_CALL, .number = 0xffff },
    { .kind = ULV_MOCK_EXPECT, .argument = { (uint64_t)ULV_E_UNSUPPORTED } },
    { .kind = ULV_MOCK_CALL, .number = ULV_CALL_STOP, .argument = { 42 } },
};

static ulv_status
assign(ulv_system *system, ulv_id *ret_web, struct ulv_diag *diag)
{
    static const uint8_t sectors[4096];
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id disk;

    *ret_web = ulv_transaction_partition(t, "web", ULV_PARTITION_GUEST);
    disk = ulv_transaction_offer(t, 0, 0,
                                 ULV_SOURCE_MEMORY(sectors, sizeof(sectors)));
    ulv_transaction_memory(t, *ret_web, ULV_MIB(2), ULV_ANY_NODE);
    ulv_transaction_processors(t, *ret_web, 1, ULV_SHARED);
    ulv_transaction_console(t, *ret_web, 0, 0);
    ulv_transaction_attach(t, *ret_web, disk, ULV_DISK_READ_ONLY);
    return ulv_transaction_commit(t, diag);
}

/* Boot, and runs to their ends; any status, and everything closed again. */
static ulv_status
scenario(const struct ulv_host *host, uint32_t runs, struct ulv_end *end)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct mock_image image;
    struct ulv_image start;
    ulv_system *system;
    ulv_id web;
    ulv_status status;

    opts.backend = "mock";
    opts.memory = ULV_MIB(32);
    mock_image_init(&image, script, ULV_COUNT_OF(script));
    memset(&start, 0, sizeof(start));
    start.kernel = ULV_SOURCE_MEMORY(&image, sizeof(image));
    status = ulv_system_create(host, &opts, &system, &diag);
    if (status != ULV_OK)
        return status;
    status = assign(system, &web, &diag);
    for (uint32_t run = 0; run < runs && status == ULV_OK; run++) {
        status = ulv_partition_start(system, web, &start, &diag);
        if (status == ULV_OK)
            status = ulv_partition_wait(system, web, end,
                                        ulv_system_now(system) + 1000000000,
                                        &diag);
    }
    ulv_system_destroy(system);
    return status;
}

static void
test_system_whole__runs(void **state)
{
    struct ulv_test_host t;
    struct ulv_end end = { 0 };

    (void)state;
    make_host(&t);
    assert_int_equal(scenario(&t.host, 3, &end), ULV_OK);
    assert_int_equal(end.reason, ULV_END_REASON_STOP);
    assert_int_equal(end.code, 42);
    assert_int_equal(ulv_test_host_live(&t), 0);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* A transaction without operations, if objects have these versions. */
static int32_t
ask_if(ulv_system *system, const struct ulv_precondition *preconditions,
       uint32_t count)
{
    const struct ulv_message_transaction_answer *answer;
    const struct ulv_message *m;
    const struct ulv_command_transaction transaction = {
        .preconditions = preconditions,
        .precondition_count = count,
    };
    bool ring = false;
    ulv_status status =
        ulv_command_send_transaction(&system->client, &transaction, &ring);

    assert_int_equal(ulv_system_await(system, status, ring, &m, NULL), ULV_OK);
    answer = (const void *)m;
    return answer->status;
}

static void
test_system_whole__preconditions_reach_the_ultravisor(void **state)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_precondition conditions[2] = { { UINT64_C(1) << 50, 0 } };
    struct ulv_partition_record first;
    struct ulv_test_host t;
    ulv_system *system;
    uint32_t count = 0;

    (void)state;
    make_host(&t);
    opts.backend = "mock";
    opts.memory = ULV_MIB(32);
    assert_int_equal(ulv_system_create(&t.host, &opts, &system, NULL), ULV_OK);
    assert_int_equal(ulv_system_query(system, ULV_QUERY_PARTITIONS, 0, &first,
                                      sizeof(first), &count),
                     ULV_OK);
    assert_int_equal(count, 1);
    assert_int_equal(ask_if(system, NULL, 0), ULV_OK);
    assert_int_equal(ask_if(system, conditions, 1), ULV_OK);
    conditions[1].object = first.id;
    conditions[1].version = first.version;
    assert_int_equal(ask_if(system, conditions, 2), ULV_OK);
    conditions[1].version++;
    assert_int_not_equal(ask_if(system, conditions, 2), ULV_OK);
    assert_int_equal(ask_if(system, conditions, 1), ULV_OK);
    ulv_system_destroy(system);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* The database's frames are the machine's: what a guest gets is memory there,
 * and nothing outside of what is usable is ever asked for. */
static void
test_system_whole__on_the_frames_of_a_machine(void **state)
{
    struct ulv_test_host t;
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_memory_record memory[4];
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_end end = { 0 };
    ulv_system *system;
    uint32_t count;

    (void)state;
    make_host(&t);
    ulv_test_host_frames(&t, ULV_MIB(512), ULV_MIB(64));
    assert_int_equal(scenario(&t.host, 1, &end), ULV_OK);
    assert_int_equal(end.code, 42);
    opts.backend = "mock";
    assert_int_equal(ulv_system_create(&t.host, &opts, &system, &diag),
                     ULV_OK);
    assert_int_equal(ulv_system_query(system, ULV_QUERY_MEMORY, 0, memory,
                                      sizeof(memory), &count),
                     ULV_OK);
    assert_int_equal(count, 1);
    assert_int_equal(memory[0].base, ULV_MIB(512));
    assert_int_equal(memory[0].bytes, ULV_MIB(64)); /* all that is usable */
    ulv_system_destroy(system);
    opts.memory = ULV_MIB(68);
    assert_int_equal(ulv_system_create(&t.host, &opts, &system, &diag),
                     ULV_E_NO_MEMORY);
    assert_int_equal(diag.value, ULV_MIB(68));
    assert_int_equal(diag.bound, ULV_MIB(64));
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* Where the page map's blocks are larger than a host's units, the ends of a
 * range can be in none. */
static void
test_system_whole__on_whole_blocks(void **state)
{
    const uint64_t base = ulv_round_up(ULV_MIB(510), ULV_PAGE_MAP_BLOCK);
    const uint64_t end = ulv_round_down(ULV_MIB(578), ULV_PAGE_MAP_BLOCK);
    struct ulv_test_host t;
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_memory_record memory;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system;
    uint32_t count;

    (void)state;
    make_host(&t);
    ulv_test_host_frames(&t, ULV_MIB(510), ULV_MIB(68));
    opts.backend = "mock";
    assert_int_equal(ulv_system_create(&t.host, &opts, &system, &diag), ULV_OK);
    assert_int_equal(ulv_system_query(system, ULV_QUERY_MEMORY, 0, &memory,
                                      sizeof(memory), &count),
                     ULV_OK);
    assert_int_equal(count, 1);
    assert_int_equal(memory.base, base);
    assert_int_equal(memory.bytes, end - base);
    ulv_system_destroy(system);
    opts.memory = ULV_PAGE_MAP_BLOCK + ULV_MIB(1);
    assert_int_equal(ulv_system_create(&t.host, &opts, &system, &diag),
                     ULV_E_ARG);
    assert_int_equal(diag.bound, ULV_PAGE_MAP_BLOCK);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* The command partition judges by all that there is, also where that takes
 * several answers: the policy's bound is met exactly. */
static void
test_system_whole__command_sees_every_partition(void **state)
{
    struct ulv_test_host t;
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_policy policy;
    ulv_status status = ULV_OK;
    ulv_system *system;
    uint32_t guests = 0;

    (void)state;
    make_host(&t);
    ulv_policy_default(&policy);
    policy.guests = 900;
    opts.backend = "mock";
    opts.policy = &policy;
    opts.policy_bytes = sizeof(policy);
    assert_int_equal(ulv_system_create(&t.host, &opts, &system, &diag),
                     ULV_OK);
    for (; status == ULV_OK && guests < 1000; guests++) {
        ulv_transaction *transaction = ulv_transaction_begin(system);
        char name[16];

        (void)snprintf(name, sizeof(name), "guest-%u", guests);
        (void)ulv_transaction_partition(transaction, name,
                                        ULV_PARTITION_GUEST);
        status = ulv_transaction_commit(transaction, &diag);
    }
    assert_int_equal(status, ULV_E_POLICY);
    assert_int_equal(diag.bound, 900);
    assert_int_equal(guests, 901);
    ulv_system_destroy(system);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static void
test_system_whole__who_cannot_be_killed(void **state)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_test_host t;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system;
    ulv_id id;

    (void)state;
    make_host(&t);
    opts.backend = "mock";
    opts.memory = ULV_MIB(32);
    assert_int_equal(ulv_system_create(&t.host, &opts, &system, NULL), ULV_OK);
    assert_int_equal(ulv_system_find(system, "idle", &id), ULV_OK);
    assert_int_equal(ulv_system_kill(system, id, &diag), ULV_E_ARG);
    assert_non_null(strstr(diag.text, "idle"));
    assert_int_equal(ulv_system_find(system, "boot", &id), ULV_OK);
    assert_int_equal(ulv_system_kill(system, id, &diag), ULV_E_ARG);
    assert_int_equal(ulv_system_kill(system, 4711, &diag), ULV_E_NOT_FOUND);
    assert_int_equal(ulv_system_find(system, "io-a", &id), ULV_OK);
    assert_int_equal(ulv_system_kill(system, id, &diag), ULV_OK);
    assert_int_equal(ulv_system_kill(system, id, &diag), ULV_E_ENDED);
    ulv_system_destroy(system);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* A guest and the caller, and a channel between them. */
static ulv_channel *
open_to(ulv_system *system, ulv_id *ret_web, ulv_id *ret_channel)
{
    static const struct ulv_guid type = { { 1, 2, 3 } };
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_channel *channel = NULL;

    *ret_web = ulv_transaction_partition(t, "web", ULV_PARTITION_GUEST);
    *ret_channel = ulv_transaction_connect(t, *ret_web, ULV_SELF, &type);
    assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
    assert_int_equal(ulv_channel_open(system, *ret_channel, &channel, NULL),
                     ULV_OK);
    return channel;
}

/* The caller's end of a channel that is destroyed is no memory any more: what
 * lay there may be somebody else's now. */
static void
test_system_whole__a_channel_goes_from_under_its_end(void **state)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_test_host t;
    struct ulv_bytes data;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *transaction;
    ulv_channel *channel, *again;
    ulv_system *system;
    ulv_id web, id;
    uint32_t type, maps;

    (void)state;
    make_host(&t);
    ulv_test_host_frames(&t, ULV_MIB(512), ULV_MIB(64));
    opts.backend = "mock";
    assert_int_equal(ulv_system_create(&t.host, &opts, &system, NULL), ULV_OK);
    channel = open_to(system, &web, &id);
    assert_int_equal(ulv_channel_send(channel, 1, "x", 1), ULV_OK);
    assert_int_equal(ulv_channel_peek(channel, &type, &data), ULV_E_EMPTY);
    maps = t.objects.live_maps;
    transaction = ulv_transaction_begin(system);
    ulv_transaction_destroy(transaction, web);
    assert_int_equal(ulv_transaction_commit(transaction, &diag), ULV_OK);
    assert_true(t.objects.live_maps < maps);
    assert_int_equal(ulv_channel_send(channel, 1, "x", 1), ULV_E_PEER_GONE);
    assert_int_equal(ulv_channel_peek(channel, &type, &data),
                     ULV_E_PEER_GONE);
    ulv_channel_release(channel);
    assert_int_equal(ulv_channel_open(system, id, &again, NULL),
                     ULV_E_NOT_FOUND);
    while (ulv_system_step(system, 0) == ULV_OK)
        continue;
    ulv_channel_close(channel);
    /* one that is left to the end of the system */
    (void)open_to(system, &web, &id);
    transaction = ulv_transaction_begin(system);
    ulv_transaction_destroy(transaction, web);
    assert_int_equal(ulv_transaction_commit(transaction, &diag), ULV_OK);
    ulv_system_destroy(system);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* A guest driven by a loop that knows nothing but the descriptor. */
static void
run_by_descriptor(const struct ulv_mock_step *steps, size_t count,
                  uint32_t rounds, uint32_t until)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_event event = ULV_EVENT_INIT;
    struct mock_image image;
    struct ulv_image start = { .cmdline = NULL };
    struct pollfd fd = { .events = POLLIN };
    ulv_system *system;
    bool seen = false;
    ulv_id web;

    opts.backend = "mock";
    opts.memory = ULV_MIB(32);
    mock_image_init(&image, steps, count);
    start.kernel = ULV_SOURCE_MEMORY(&image, sizeof(image));
    assert_int_equal(ulv_system_create(ulv_posix_host(), &opts, &system, NULL),
                     ULV_OK);
    assert_int_equal(assign(system, &web, NULL), ULV_OK);
    assert_int_equal(ulv_partition_start(system, web, &start, NULL), ULV_OK);
    fd.fd = ulv_posix_fd(system);
    for (uint32_t i = 0; i < rounds && !seen; i++) {
        /* the limit is how long a failure takes, no more */
        assert_int_equal(poll(&fd, 1, 20000), 1);
        (void)ulv_system_step(system, 0);
        while (ulv_event_next(system, &event) == ULV_OK)
            seen |= event.kind == until;
    }
    assert_true(seen || until == ULV_EVENT_LOST);
    ulv_system_destroy(system);
}

static void
test_system_whole__a_loop_needs_but_the_descriptor(void **state)
{
    /* on the guest's clock; what wakes it before is that its view changed */
    const struct ulv_mock_step sleeper[] = {
        { .kind = ULV_MOCK_CALL,
          .number = ULV_CALL_WAIT,
          .argument = { 100000000 } },
        { .kind = ULV_MOCK_CALL,
          .number = ULV_CALL_WAIT,
          .argument = { 200000000 } },
        { .kind = ULV_MOCK_CALL,
          .number = ULV_CALL_WAIT,
          .argument = { 300000000 } },
        { .kind = ULV_MOCK_CALL, .number = ULV_CALL_STOP },
    };
    const struct ulv_mock_step busy[] = { { .kind = ULV_MOCK_SPIN } };

    (void)state;
    run_by_descriptor(sleeper, ULV_COUNT_OF(sleeper), UINT32_MAX,
                      ULV_EVENT_ENDED);
    run_by_descriptor(busy, ULV_COUNT_OF(busy), 100, ULV_EVENT_LOST);
}

static void
test_system_whole__each_call_fails_in_turn(void **state)
{
    struct ulv_test_host t;
    uint64_t n = 1, survived = 0;
    bool reached = true;

    (void)state;
    for (; reached; n++) {
        struct ulv_end end = { 0 };
        ulv_status status;

        make_host(&t);
        ulv_test_host_fail_at(&t, n);
        status = scenario(&t.host, 2, &end);
        reached = ulv_test_host_failed(&t);
        if (ulv_test_host_live(&t) != 0 || t.misuse != 0)
            print_message("call %llu failing: %llu left, %s\n",
                          (unsigned long long)n,
                          (unsigned long long)ulv_test_host_live(&t),
                          t.misuse_text == NULL ? "no misuse"
                                                : t.misuse_text);
        assert_int_equal(ulv_test_host_live(&t), 0);
        assert_int_equal(ulv_test_host_fini(&t), 0);
        survived += status == ULV_OK ? 1 : 0;
        if (!reached)
            assert_int_equal(status, ULV_OK);
    }
    print_message("# %llu calls failed in turn, %llu of them did no harm\n",
                  (unsigned long long)(n - 2),
                  (unsigned long long)(survived - 1));
    assert_true(n > 100);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_whole__runs),
        cmocka_unit_test(test_system_whole__on_the_frames_of_a_machine),
        cmocka_unit_test(test_system_whole__on_whole_blocks),
        cmocka_unit_test(test_system_whole__preconditions_reach_the_ultravisor),
        cmocka_unit_test(test_system_whole__command_sees_every_partition),
        cmocka_unit_test(test_system_whole__who_cannot_be_killed),
        cmocka_unit_test(test_system_whole__a_channel_goes_from_under_its_end),
        cmocka_unit_test(test_system_whole__a_loop_needs_but_the_descriptor),
        cmocka_unit_test(test_system_whole__each_call_fails_in_turn),
    };

    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
