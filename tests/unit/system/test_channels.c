/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The program's own ends of channels, to guests that send back what they are
 * sent: in place, many at once, waited for, and left by a guest that ends.
 * And what the header says of an end that died, to a program and to a guest.
 * Arguments: launcher, echo.elf, ultravisor-role, hears_peer.elf.
 */
#include "../port/port_test.h"

#include <stdio.h>

#include <ultravisor/ultravisor.h>

#define LINES   3u
#define RECORDS 3000u
#define LONGEST 700u

static const char *launcher, *echo, *role_program, *hears_peer;
static const struct ulv_guid type_echo = { "ultravisor echo" };

struct fixture {
    ulv_system *system;
    ulv_id guest[LINES];
    ulv_channel *line[LINES];
};

static void
begin(struct fixture *f, uint32_t placement)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_image image = { .kernel = ULV_SOURCE_PATH(echo) };
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_id channel[LINES];
    ulv_transaction *t;

    opts.backend = "process";
    opts.placement = placement;
    opts.launcher_program = launcher;
    opts.role_program = role_program;
    if (ulv_system_create(ulv_posix_host(), &opts, &f->system, &diag) !=
        ULV_OK) {
        print_message("# %s\n", diag.text);
        skip();
    }
    t = ulv_transaction_begin(f->system);
    for (uint32_t i = 0; i < LINES; i++) {
        char name[8] = { 'e', 'c', 'h', 'o', (char)('0' + i) };

        f->guest[i] =
            ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);
        ulv_transaction_memory(t, f->guest[i], ULV_MIB(4), ULV_ANY_NODE);
        ulv_transaction_processors(t, f->guest[i], 1, ULV_SHARED);
        channel[i] =
            ulv_transaction_connect(t, f->guest[i], ULV_SELF, &type_echo);
    }
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
    for (uint32_t i = 0; i < LINES; i++) {
        assert_int_equal(
            ulv_partition_start(f->system, f->guest[i], &image, &diag),
            ULV_OK);
        assert_int_equal(
            ulv_channel_open(f->system, channel[i], &f->line[i], &diag),
            ULV_OK);
    }
}

static void
end(struct fixture *f)
{
    for (uint32_t i = 0; i < LINES; i++)
        ulv_channel_close(f->line[i]);
    ulv_system_destroy(f->system);
}

static uint32_t
length_of(uint32_t n)
{
    return n * 37 % LONGEST;
}

/* As many as fit, in place; the last one submits. */
static uint32_t
send_some(ulv_channel *line, uint32_t sent)
{
    void *slot;

    while (sent < RECORDS && ulv_channel_reserve(line, sent + 1,
                                                 length_of(sent), &slot) ==
                                 ULV_OK) {
        memset(slot, (int)(sent & 0xff), length_of(sent));
        ulv_channel_publish(line);
        sent++;
    }
    ulv_channel_submit(line);
    return sent;
}

static uint32_t
receive_some(ulv_channel *line, uint32_t received)
{
    struct ulv_bytes data;
    uint32_t type;

    while (ulv_channel_look(line, &type, &data) == ULV_OK) {
        assert_int_equal(type, received + 1);
        assert_int_equal(data.len, length_of(received));
        for (size_t i = 0; i < data.len; i++)
            assert_int_equal(((const uint8_t *)data.p)[i], received & 0xff);
        ulv_channel_pass(line);
        received++;
    }
    return received;
}

static void
exchange(struct fixture *f)
{
    struct ulv_channel_awaited all[LINES] = { 0 };
    uint32_t sent[LINES] = { 0 }, received[LINES] = { 0 }, left = LINES;

    for (uint32_t i = 0; i < LINES; i++)
        all[i].channel = f->line[i];
    while (left != 0) {
        left = 0;
        for (uint32_t i = 0; i < LINES; i++) {
            sent[i] = send_some(f->line[i], sent[i]);
            received[i] = receive_some(f->line[i], received[i]);
            all[i].wanted = received[i] < RECORDS ? ULV_CHANNEL_DATA : 0;
            if (sent[i] < RECORDS)
                all[i].wanted |= ULV_CHANNEL_ROOM;
            all[i].room = LONGEST;
            left += received[i] < RECORDS;
        }
        if (left != 0)
            assert_int_equal(
                ulv_channel_wait_any(all, LINES, ULV_FOREVER), ULV_OK);
    }
}

/* The same, waited for in a set. */
static void
exchange_by_set(struct fixture *f)
{
    uint32_t sent[LINES] = { 0 }, received[LINES] = { 0 }, left = LINES;
    ulv_channel_set *set;

    assert_int_equal(ulv_channel_set_create(f->system, &set), ULV_OK);
    for (uint32_t i = 0; i < LINES; i++)
        assert_int_equal(ulv_channel_set_add(set, f->line[i],
                                             ULV_CHANNEL_DATA |
                                                 ULV_CHANNEL_ROOM,
                                             LONGEST),
                         ULV_OK);
    while (left != 0) {
        struct ulv_channel_awaited ready[2]; /* never all at once */
        size_t count;

        assert_int_equal(
            ulv_channel_set_wait(set, ready, 2, &count, ULV_FOREVER), ULV_OK);
        assert_in_range(count, 1, 2);
        for (size_t n = 0; n < count; n++) {
            uint32_t i = 0;

            while (f->line[i] != ready[n].channel)
                i++;
            assert_int_equal(ready[n].status, ULV_OK);
            sent[i] = send_some(f->line[i], sent[i]);
            received[i] = receive_some(f->line[i], received[i]);
            if (received[i] == RECORDS) {
                ulv_channel_set_remove(set, f->line[i]);
                left--;
            } else if (sent[i] == RECORDS) {
                assert_int_equal(ulv_channel_set_add(set, f->line[i],
                                                     ULV_CHANNEL_DATA, 0),
                                 ULV_OK);
            }
        }
    }
    ulv_channel_set_destroy(set);
}

static void
check_counters(const ulv_channel *line)
{
    struct ulv_channel_counters c = { .size = sizeof(c) - 1 };
    uint64_t bytes = 0;

    for (uint32_t n = 0; n < RECORDS; n++)
        bytes += length_of(n);
    assert_int_equal(ulv_channel_counters(line, &c), ULV_E_ARG);
    c.size = sizeof(c);
    assert_int_equal(ulv_channel_counters(line, &c), ULV_OK);
    assert_int_equal(c.records_sent, RECORDS);
    assert_int_equal(c.bytes_sent, bytes);
    assert_int_equal(c.records_received, RECORDS);
    assert_int_equal(c.bytes_received, bytes);
    assert_true(c.doorbells_rung < 2 * RECORDS);
    assert_true(c.spins <= c.waits);
    print_message("# %llu doorbells rung, %llu spared; %llu waits, %llu over "
                  "before it slept\n",
                  (unsigned long long)c.doorbells_rung,
                  (unsigned long long)c.doorbells_spared,
                  (unsigned long long)c.waits, (unsigned long long)c.spins);
}

static void
check_waiting(struct fixture *f)
{
    ulv_channel *line = f->line[0];
    ulv_nsec now = ulv_system_now(f->system);
    struct ulv_bytes data;
    struct ulv_end over;
    uint32_t type;

    assert_int_equal(ulv_channel_wait_any(NULL, 0, 0), ULV_E_ARG);
    assert_int_equal(ulv_channel_wait(line, ULV_CHANNEL_DATA, 0, 0),
                     ULV_E_TIMEOUT);
    assert_int_equal(
        ulv_channel_wait(line, ULV_CHANNEL_DATA, 0, now + 2000000),
        ULV_E_TIMEOUT);
    assert_true(ulv_system_now(f->system) >= now + 2000000);
    assert_int_equal(ulv_channel_wait(line, ULV_CHANNEL_ROOM, 100, 0), ULV_OK);
    assert_int_equal(ulv_channel_send(line, 7, "x", 1), ULV_OK);
    assert_int_equal(
        ulv_channel_wait(line, ULV_CHANNEL_DATA, 0, ULV_FOREVER), ULV_OK);
    /* it stays there, and is there again */
    assert_int_equal(
        ulv_channel_wait(line, ULV_CHANNEL_DATA, 0, ULV_FOREVER), ULV_OK);
    assert_int_equal(ulv_channel_peek(line, &type, &data), ULV_OK);
    assert_int_equal(type, 7);
    ulv_channel_release(line);
    /* type 0 ends it: the wait is over, too */
    assert_int_equal(ulv_channel_send(line, 0, "", 0), ULV_OK);
    assert_int_equal(
        ulv_channel_wait(line, ULV_CHANNEL_DATA, 0, ULV_FOREVER),
        ULV_E_PEER_GONE);
    assert_int_equal(
        ulv_partition_wait(f->system, f->guest[0], &over, 0, NULL), ULV_OK);
    assert_int_equal(over.code, 0);
}

static void
run_all(uint32_t placement, void (*run)(struct fixture *f))
{
    struct fixture f;

    begin(&f, placement);
    run(&f);
    for (uint32_t i = 0; i < LINES; i++)
        check_counters(f.line[i]);
    check_waiting(&f);
    end(&f);
}

/* ---- a set --------------------------------------------------------------- */

static void
echoes_in_set(ulv_channel_set *set, ulv_channel *line)
{
    struct ulv_channel_awaited ready;
    struct ulv_bytes data;
    uint32_t type;
    size_t count;

    /* the set does not know that it is used: it was cold */
    assert_int_equal(ulv_channel_send(line, 3, "x", 1), ULV_OK);
    for (int i = 0; i < 2; i++) { /* it stays there, and is told of again */
        assert_int_equal(
            ulv_channel_set_wait(set, &ready, 1, &count, ULV_FOREVER), ULV_OK);
        assert_int_equal(count, 1);
        assert_ptr_equal(ready.channel, line);
        assert_int_equal(ready.ready, ULV_CHANNEL_DATA);
    }
    assert_int_equal(ulv_channel_peek(line, &type, &data), ULV_OK);
    assert_int_equal(type, 3);
    ulv_channel_pass(line);
}

static void
check_set(struct fixture *f, ulv_channel_set *set, ulv_channel_set *other)
{
    struct ulv_channel_awaited ready;
    size_t count = 7;

    assert_int_equal(ulv_channel_set_wait(set, &ready, 0, &count, 0),
                     ULV_E_ARG);
    assert_int_equal(count, 0);
    assert_int_equal(ulv_channel_set_wait(set, &ready, 1, &count, 0),
                     ULV_E_TIMEOUT);
    for (uint32_t i = 0; i < LINES; i++)
        assert_int_equal(
            ulv_channel_set_add(set, f->line[i], ULV_CHANNEL_DATA, 0), ULV_OK);
    assert_int_equal(
        ulv_channel_set_add(other, f->line[0], ULV_CHANNEL_DATA, 0),
        ULV_E_BUSY);
    assert_int_equal(ulv_channel_set_add(set, f->line[0], 4, 0), ULV_E_ARG);
    ulv_channel_set_remove(other, f->line[0]); /* is in the first still */
    assert_int_equal(ulv_channel_set_wait(
                         set, &ready, 1, &count,
                         ulv_system_now(f->system) + 2000000),
                     ULV_E_TIMEOUT);
    for (uint32_t round = 0; round < 100; round++)
        echoes_in_set(set, f->line[round % LINES]);
}

/* One that nobody rings for, and one that is closed while it is in it. */
static void
check_ends_in_set(struct fixture *f, ulv_channel_set *set)
{
    struct ulv_channel_awaited ready;
    size_t count;

    assert_int_equal(ulv_system_kill(f->system, f->guest[1], NULL), ULV_OK);
    do
        assert_int_equal(
            ulv_channel_set_wait(set, &ready, 1, &count, ULV_FOREVER), ULV_OK);
    while (ready.status == ULV_OK);
    assert_ptr_equal(ready.channel, f->line[1]);
    assert_int_equal(ready.status, ULV_E_PEER_GONE);
    ulv_channel_close(f->line[1]);
    f->line[1] = NULL;
    assert_int_equal(ulv_channel_set_wait(set, &ready, 1, &count, 0),
                     ULV_E_TIMEOUT);
    echoes_in_set(set, f->line[2]);
}

static void
run_set(uint32_t placement)
{
    ulv_channel_set *set, *other;
    struct fixture f;

    begin(&f, placement);
    assert_int_equal(ulv_channel_set_create(f.system, &set), ULV_OK);
    assert_int_equal(ulv_channel_set_create(f.system, &other), ULV_OK);
    check_set(&f, set, other);
    check_ends_in_set(&f, set);
    ulv_channel_set_destroy(other);
    ulv_channel_set_destroy(set); /* its channels stay open */
    ulv_channel_set_destroy(NULL);
    end(&f);
}

static void
test_system_channels__members_in_process(void **state)
{
    (void)state;
    run_set(ULV_PLACEMENT_IN_PROCESS);
}

static void
test_system_channels__members_in_processes(void **state)
{
    (void)state;
    run_set(ULV_PLACEMENT_PROCESSES);
}

/* ---- an end that died ---------------------------------------------------- */

static void
check_program_hears(struct fixture *f)
{
    struct ulv_end over;

    assert_int_equal(ulv_channel_wait(f->line[1], ULV_CHANNEL_ROOM, 1,
                                      ULV_FOREVER),
                     ULV_OK);
    while (ulv_channel_peer(f->line[1]) != ULV_END_ATTACHED)
        (void)ulv_system_step(f->system, ulv_system_now(f->system) + 1000000);
    assert_int_equal(ulv_system_kill(f->system, f->guest[1], NULL), ULV_OK);
    assert_int_equal(
        ulv_partition_wait(f->system, f->guest[1], &over, ULV_FOREVER, NULL),
        ULV_OK);
    assert_int_equal(ulv_channel_peer(f->line[1]), ULV_END_DETACHED);
    assert_int_equal(
        ulv_channel_wait(f->line[1], ULV_CHANNEL_DATA, 0, ULV_FOREVER),
        ULV_E_PEER_GONE);
}

static bool
have_met(ulv_system *system)
{
    struct ulv_event event = ULV_EVENT_INIT;

    while (ulv_event_next(system, &event) == ULV_OK) {
        if (event.kind == ULV_EVENT_LOG && event.bytes == 3 &&
            memcmp(event.data, "met", 3) == 0)
            return true;
    }
    return false;
}

static void
check_guest_hears(ulv_system *system)
{
    static const struct ulv_guid type = { "hears peer" };
    static const char *const names[2] = { "dies", "stays" };
    struct ulv_image image = { .kernel = ULV_SOURCE_PATH(hears_peer) };
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t = ulv_transaction_begin(system);
    struct ulv_end over;
    ulv_id guest[2];

    for (uint32_t i = 0; i < 2; i++) {
        guest[i] =
            ulv_transaction_partition(t, names[i], ULV_PARTITION_GUEST);
        ulv_transaction_memory(t, guest[i], ULV_MIB(4), ULV_ANY_NODE);
        ulv_transaction_processors(t, guest[i], 1, ULV_SHARED);
    }
    ulv_transaction_connect(t, guest[0], guest[1], &type);
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(ulv_partition_start(system, guest[i], &image, &diag),
                         ULV_OK);
    while (!have_met(system))
        (void)ulv_system_step(system, ULV_FOREVER);
    assert_int_equal(ulv_system_kill(system, guest[0], NULL), ULV_OK);
    assert_int_equal(
        ulv_partition_wait(system, guest[1], &over, ULV_FOREVER, NULL),
        ULV_OK);
    assert_int_equal(over.reason, ULV_END_REASON_STOP);
    assert_int_equal(over.code, 7);
}

static void
run_deaths(uint32_t placement)
{
    struct fixture f;

    begin(&f, placement);
    check_program_hears(&f);
    check_guest_hears(f.system);
    end(&f);
}

static void
test_system_channels__a_death_in_process(void **state)
{
    (void)state;
    run_deaths(ULV_PLACEMENT_IN_PROCESS);
}

static void
test_system_channels__a_death_in_processes(void **state)
{
    (void)state;
    run_deaths(ULV_PLACEMENT_PROCESSES);
}

static void
test_system_channels__in_process(void **state)
{
    (void)state;
    run_all(ULV_PLACEMENT_IN_PROCESS, exchange);
}

static void
test_system_channels__in_processes(void **state)
{
    (void)state;
    run_all(ULV_PLACEMENT_PROCESSES, exchange);
}

static void
test_system_channels__a_set_in_process(void **state)
{
    (void)state;
    run_all(ULV_PLACEMENT_IN_PROCESS, exchange_by_set);
}

static void
test_system_channels__a_set_in_processes(void **state)
{
    (void)state;
    run_all(ULV_PLACEMENT_PROCESSES, exchange_by_set);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_channels__in_process),
        cmocka_unit_test(test_system_channels__in_processes),
        cmocka_unit_test(test_system_channels__a_set_in_process),
        cmocka_unit_test(test_system_channels__a_set_in_processes),
        cmocka_unit_test(test_system_channels__members_in_process),
        cmocka_unit_test(test_system_channels__members_in_processes),
        cmocka_unit_test(test_system_channels__a_death_in_process),
        cmocka_unit_test(test_system_channels__a_death_in_processes),
    };

    if (argc != 5)
        return fprintf(stderr, "usage: test LAUNCHER ECHO ROLE PEER\n"), 2;
    launcher = argv[1];
    echo = argv[2];
    role_program = argv[3];
    hears_peer = argv[4];
    return cmocka_run_group_tests_name("system-channels", tests, NULL, NULL);
}
