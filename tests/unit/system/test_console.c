/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Typing to consoles: a client of the test's beside a guest that does nothing,
 * over all that can happen to its servers; and a guest whose server is hostile.
 * Arguments: launcher, repeat.elf, ultravisor-role.
 */
#include "../port/port_test.h"

#include <ultravisor/abi/console.h>
#include <ultravisor/ultravisor.h>

#include "base/base.h"
#include "channel/channel.h"
#include "mock_image.h"
#include "system/system_priv.h"

#define BYTES 20000u /* more than is kept and a ring hold */

static const char *launcher, *repeat, *role_program;
static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;

struct fixture {
    ulv_system *system;
    ulv_id guest, console;
    struct ulv_channel_end client;
    uint64_t typed, heard;
    uint32_t rooms; /* events that say so */
    char said[256];
    size_t said_len;
};

static uint8_t
byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 7 + offset / 251);
}

static void
begin(struct fixture *f, const char *backend, uint32_t placement)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t;

    memset(f, 0, sizeof(*f));
    opts.backend = backend;
    opts.placement = placement;
    opts.role_program = role_program;
    opts.launcher_program = launcher;
    opts.memory = ULV_MIB(32);
    opts.settle_limit = UINT64_C(60000000000);
    assert_int_equal(
        ulv_system_create(ulv_posix_host(), &opts, &f->system, &diag), ULV_OK);
    t = ulv_transaction_begin(f->system);
    f->guest = ulv_transaction_partition(t, "web", ULV_PARTITION_GUEST);
    ulv_transaction_memory(t, f->guest, ULV_MIB(2), ULV_ANY_NODE);
    ulv_transaction_processors(t, f->guest, 1, ULV_SHARED);
    f->console = ulv_transaction_console(t, f->guest, 0, 0);
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
}

static void
hear_events(struct fixture *f)
{
    struct ulv_event event = ULV_EVENT_INIT;

    while (ulv_event_next(f->system, &event) == ULV_OK) {
        f->rooms += event.kind == ULV_EVENT_CONSOLE_ROOM;
        if (event.kind != ULV_EVENT_CONSOLE ||
            f->said_len + event.bytes >= sizeof(f->said))
            continue;
        memcpy(f->said + f->said_len, event.data, event.bytes);
        f->said_len += event.bytes;
    }
}

static void
settle(struct fixture *f)
{
    while (ulv_system_step(f->system, 0) == ULV_OK)
        hear_events(f);
    hear_events(f);
}

/* The console's memory as a program maps it, for the time of the test. */
static void *
map(const struct fixture *f, const struct keeper_channel *c)
{
    const struct ulv_host *host = f->system->host;
    void *p;

    assert_int_equal(host->memory_map(host->self, c->memory, 0, c->bytes,
                                      ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p),
                     ULV_OK);
    return p;
}

static const struct keeper_channel *
channel_of(const struct fixture *f)
{
    return ulv_keeper_channel(&f->system->keeper, f->console);
}

static void
attach(struct fixture *f)
{
    const struct keeper_channel *c = channel_of(f);

    assert_int_equal(
        ulv_channel_attach_able(&f->client, map(f, c), c->bytes,
                                ULV_END_CLIENT, type_console,
                                ULV_CONSOLE_FEATURE_INPUT),
        ULV_OK);
    ulv_keeper_ring(&f->system->keeper, c);
}

static void
detach(struct fixture *f)
{
    const struct ulv_host *host = f->system->host;

    host->memory_unmap(host->self, f->client.header, f->client.bytes);
}

/* As much as is taken. */
static ulv_status
type_on(struct fixture *f)
{
    uint8_t bytes[300];
    size_t taken, len = (size_t)ULV_MIN(sizeof(bytes), BYTES - f->typed);
    ulv_status status;

    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(f->typed + i);
    status = ulv_console_write(f->system, f->guest, bytes, len, &taken, NULL);
    assert_true(taken <= len && (status == ULV_OK || taken == 0));
    f->typed += taken;
    return status;
}

static void
hear_typed(struct fixture *f)
{
    struct ulv_ring_record record;

    while (ulv_ring_rx_peek(&f->client.rx, &record) == ULV_OK) {
        const uint8_t *bytes = record.data;
        uint64_t offset = ulv_get_le64(bytes);

        assert_int_equal(record.type, ULV_CONSOLE_INPUT);
        assert_true(offset <= f->heard);
        for (uint64_t i = f->heard - offset; i < record.len - 8; i++)
            assert_int_equal(bytes[8 + i], byte_at(f->heard++));
        if (ulv_ring_rx_release(&f->client.rx))
            ulv_keeper_ring(&f->system->keeper, channel_of(f));
    }
    (void)ulv_ring_rx_wait(&f->client.rx);
}

/* Nobody is there yet; what is typed is kept, and not more than may be. */
static void
test_system_console__before_a_guest_reads(void **state)
{
    static struct fixture f;
    struct ulv_diag diag = ULV_DIAG_INIT;
    size_t taken;

    (void)state;
    begin(&f, "mock", ULV_PLACEMENT_IN_PROCESS);
    while (type_on(&f) == ULV_OK)
        settle(&f);
    assert_int_equal(f.typed, ULV_CONSOLE_INPUT_KEPT);
    assert_int_equal(
        ulv_console_write(f.system, f.guest, "x", 1, &taken, &diag),
        ULV_E_AGAIN);
    assert_int_equal(taken, 0);
    assert_int_equal(diag.value, ULV_CONSOLE_INPUT_KEPT);
    assert_int_equal(diag.bound, ULV_CONSOLE_INPUT_KEPT);
    assert_int_equal(
        ulv_console_write(f.system, f.guest, "x", 0, &taken, &diag), ULV_OK);
    assert_int_equal(type_on(&f), ULV_E_AGAIN);
    assert_int_equal(f.rooms, 0);
    attach(&f);
    settle(&f);
    assert_int_equal(f.rooms, 1);
    hear_typed(&f);
    assert_int_equal(f.heard, f.typed);
    detach(&f);
    ulv_system_destroy(f.system);
}

/* Every byte once and in order, whenever the first server dies. */
static void
take_over_after(uint32_t steps, bool read)
{
    static struct fixture f;
    ulv_id io;

    begin(&f, "mock", ULV_PLACEMENT_IN_PROCESS);
    attach(&f);
    for (uint32_t i = 0; f.heard < BYTES; i++) {
        if (f.typed < BYTES)
            (void)type_on(&f);
        (void)ulv_system_step(f.system, 0);
        hear_events(&f);
        if (read || i > steps)
            hear_typed(&f);
        if (i == steps) {
            assert_int_equal(ulv_system_find(f.system, "io-a", &io), ULV_OK);
            assert_int_equal(ulv_system_kill(f.system, io, NULL), ULV_OK);
        }
        assert_true(i < 100000);
    }
    settle(&f);
    hear_typed(&f);
    assert_int_equal(f.heard, BYTES);
    detach(&f);
    ulv_system_destroy(f.system);
}

static void
test_system_console__a_successor_loses_and_repeats_nothing(void **state)
{
    (void)state;
    for (uint32_t steps = 0; steps < 40; steps++)
        take_over_after(steps, steps % 2 == 0);
}

static void
test_system_console__nobody_serves(void **state)
{
    static const char *const names[] = { "io-a", "io-b" };
    static struct fixture f;
    ulv_id io;

    (void)state;
    begin(&f, "mock", ULV_PLACEMENT_IN_PROCESS);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(type_on(&f), ULV_OK);
        assert_int_equal(ulv_system_find(f.system, names[i], &io), ULV_OK);
        assert_int_equal(ulv_system_kill(f.system, io, NULL), ULV_OK);
        settle(&f);
    }
    assert_int_equal(type_on(&f), ULV_E_PEER_GONE);
    ulv_system_destroy(f.system);
}

static void
test_system_console__refusals(void **state)
{
    static struct fixture f;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t;
    ulv_id io, mute;
    size_t taken = 7;

    (void)state;
    begin(&f, "mock", ULV_PLACEMENT_IN_PROCESS);
    assert_int_equal(ulv_system_find(f.system, "io-a", &io), ULV_OK);
    assert_int_equal(ulv_console_write(f.system, io, "x", 1, &taken, &diag),
                     ULV_E_NOT_FOUND);
    assert_int_equal(taken, 0);
    assert_int_equal(ulv_console_write(f.system, 4711, "x", 1, &taken, &diag),
                     ULV_E_NOT_FOUND);
    t = ulv_transaction_begin(f.system);
    mute = ulv_transaction_partition(t, "mute", ULV_PARTITION_GUEST);
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
    assert_int_equal(ulv_console_write(f.system, mute, "x", 1, &taken, &diag),
                     ULV_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "mute has no console"));
    /* one that is taken away */
    assert_int_equal(type_on(&f), ULV_OK);
    t = ulv_transaction_begin(f.system);
    ulv_transaction_revoke(t, f.console);
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
    settle(&f);
    assert_int_equal(type_on(&f), ULV_E_NOT_FOUND);
    ulv_system_destroy(f.system);
}

/* What a run has not read is gone with it: the next one's stream is new. */
static void
test_system_console__each_run_has_its_own(void **state)
{
    static const struct ulv_mock_step script[] = {
        { .kind = ULV_MOCK_CALL,
          .number = ULV_CALL_WAIT,
          .argument = { UINT64_MAX } },
        { .kind = ULV_MOCK_REPEAT, .number = 1, .argument = { 1000000 } },
    };
    static struct fixture f;
    struct mock_image image;
    struct ulv_image start = { .cmdline = NULL };

    (void)state;
    begin(&f, "mock", ULV_PLACEMENT_IN_PROCESS);
    mock_image_init(&image, script, ULV_COUNT_OF(script));
    start.kernel = ULV_SOURCE_MEMORY(&image, sizeof(image));
    for (uint32_t run = 0; run < 3; run++) {
        f.typed = f.heard = 0;
        assert_int_equal(ulv_partition_start(f.system, f.guest, &start, NULL),
                         ULV_OK);
        attach(&f);
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(type_on(&f), ULV_OK);
            settle(&f);
        }
        hear_typed(&f);
        assert_int_equal(f.heard, f.typed);
        assert_int_equal(type_on(&f), ULV_OK); /* this it does not read */
        detach(&f);
        assert_int_equal(ulv_partition_stop(f.system, f.guest, NULL), ULV_OK);
        assert_int_equal(type_on(&f), ULV_E_STATE);
    }
    ulv_system_destroy(f.system);
}

/* ---- a guest and a hostile server ---------------------------------------- */

/* A record as whoever writes the ring may leave it there. */
static void
put_record(struct fixture *f, uint32_t type, uint64_t offset, uint32_t len,
           uint32_t declared)
{
    const struct keeper_channel *c = channel_of(f);
    const struct ulv_host *host = f->system->host;
    uint8_t *p = map(f, c);
    const struct ulv_channel_header *h = (void *)p;
    const struct ulv_ring_geometry *g = &h->ring[ULV_END_SERVER];
    uint8_t bytes[2048] = { 0 };
    struct ulv_ring_tx tx;
    void *slot;

    assert_int_equal(ulv_ring_tx_init(&tx, (void *)(p + g->control_offset),
                                      p + g->data_offset, g->data_bytes),
                     ULV_OK);
    memcpy(bytes, &offset, sizeof(offset));
    memset(bytes + 8, 'x', sizeof(bytes) - 8);
    assert_int_equal(ulv_ring_tx_reserve(&tx, type, len, &slot), ULV_OK);
    memcpy(slot, bytes, len);
    memcpy((uint8_t *)slot - 8, &declared, sizeof(declared));
    (void)ulv_ring_tx_submit(&tx);
    ulv_keeper_ring(&f->system->keeper, c);
    host->memory_unmap(host->self, p, c->bytes);
}

/* Until the guest has said that, or has ended: its code, or -1. */
static int
run_until(struct fixture *f, const char *said)
{
    struct ulv_end end;

    for (;;) {
        (void)ulv_system_step(f->system, ulv_system_now(f->system) + 10000000);
        hear_events(f);
        f->said[f->said_len] = '\0';
        if (said != NULL && strstr(f->said, said) != NULL)
            return -1;
        if (ulv_partition_wait(f->system, f->guest, &end, 0, NULL) == ULV_OK) {
            assert_int_equal(end.reason, ULV_END_REASON_STOP);
            return (int)end.code;
        }
    }
}

static const struct bad {
    uint32_t type;
    uint64_t offset;
    uint32_t len, declared;
} bad[] = {
    { ULV_CONSOLE_OUTPUT, 6, 12, 12 },
    { 0, 6, 12, 12 },
    { ULV_CONSOLE_INPUT, 7, 12, 12 }, /* a gap */
    { ULV_CONSOLE_INPUT, UINT64_MAX, 12, 12 },
    { ULV_CONSOLE_INPUT, 6, 8, 8 }, /* no byte */
    { ULV_CONSOLE_INPUT, 6, 4, 4 },
    { ULV_CONSOLE_INPUT, 6, 0, 0 },
    { ULV_CONSOLE_INPUT, 6, 8 + ULV_CONSOLE_INPUT_MAX + 1,
      8 + ULV_CONSOLE_INPUT_MAX + 1 },
    { ULV_CONSOLE_INPUT, 6, 12, UINT32_MAX },
    { ULV_CONSOLE_INPUT, 6, 12, 5000 },
    { ULV_RECORD_PAD - 1, 6, 12, 12 },
};

/* The guest reads on after what was said twice, and no more after nonsense. */
static void
hostile_server(const char *backend)
{
    struct fixture f;
    struct ulv_image image = { .cmdline = NULL };
    size_t taken;

    begin(&f, backend, ULV_PLACEMENT_IN_PROCESS);
    image.kernel = ULV_SOURCE_PATH(repeat);
    for (size_t i = 0; i < ULV_COUNT_OF(bad); i++) {
        f.said_len = 0;
        assert_int_equal(ulv_partition_start(f.system, f.guest, &image, NULL),
                         ULV_OK);
        assert_int_equal(ulv_console_write(f.system, f.guest, "hello\n", 6,
                                           &taken, NULL),
                         ULV_OK);
        assert_int_equal(taken, 6);
        assert_int_equal(run_until(&f, "hello\n"), -1);
        put_record(&f, ULV_CONSOLE_INPUT, 0, 8 + 6, 8 + 6); /* again */
        put_record(&f, bad[i].type, bad[i].offset, bad[i].len,
                   bad[i].declared);
        assert_int_equal(run_until(&f, NULL), 2);
        assert_string_equal(f.said, "hello\n");
    }
    ulv_system_destroy(f.system);
}

static void
test_system_console__a_hostile_server(void **state)
{
    uint32_t ran = 0;

    (void)state;
    for (uint32_t i = 0;; i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;
        const char *name;
        ulv_status status =
            ulv_backend_probe(ulv_posix_host(), i, &name, &diag);

        if (status == ULV_E_NOT_FOUND)
            break;
        if (status != ULV_OK)
            print_message("# %s is left out: %s\n", name, diag.text);
        if (status != ULV_OK || strcmp(name, "mock") == 0)
            continue;
        hostile_server(name);
        ran++;
    }
    if (ran == 0) {
        print_message("# no backend runs guests here\n");
        skip();
    }
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_console__before_a_guest_reads),
        cmocka_unit_test(
            test_system_console__a_successor_loses_and_repeats_nothing),
        cmocka_unit_test(test_system_console__nobody_serves),
        cmocka_unit_test(test_system_console__refusals),
        cmocka_unit_test(test_system_console__each_run_has_its_own),
        cmocka_unit_test(test_system_console__a_hostile_server),
    };

    if (argc != 4)
        return 2;
    launcher = argv[1];
    repeat = argv[2];
    role_program = argv[3];
    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
