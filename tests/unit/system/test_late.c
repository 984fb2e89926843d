/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Who answers late, or never, in virtual time: every change settles within its
 * limit, who hangs is named in a record, what he had is scrubbed before it is
 * anybody's, and a neighbour goes on. The same run gives the same events twice.
 */
#include "../port/port_test.h"

#include <stdio.h>
#include <stdlib.h>

#include <ultravisor/sys/virtual.h>
#include <ultravisor/ultravisor.h>

#include "base/base.h"
#include "mock_image.h"
#include "port/test/test.h"
#include "system/system_priv.h"

#define LIMIT  UINT64_C(200000000) /* to settle */
#define BLOCK  ULV_MIB(2)
#define SECOND UINT64_C(1000000000)
#define MS     UINT64_C(1000000)

/* Everything that was told, as text. */
struct trace {
    char text[1 << 22];
    size_t len;
};

struct world {
    struct ulv_test_host memory; /* what the host is made from */
    ulv_virtual *host;
    ulv_system *system;
    struct trace *trace;
    struct mock_image image[2];
    ulv_id guest[2];
    ulv_id channel[2]; /* to a disk */
};

static void
drain(struct world *w)
{
    struct ulv_event e = ULV_EVENT_INIT;

    while (ulv_event_next(w->system, &e) == ULV_OK) {
        struct trace *t = w->trace;
        int len = snprintf(t->text + t->len, sizeof(t->text) - t->len,
                           "%llu %u %llu %llu %s\n", (unsigned long long)e.time,
                           e.kind, (unsigned long long)e.partition,
                           (unsigned long long)e.value, e.data);

        assert_true(len > 0 && (size_t)len < sizeof(t->text) - t->len);
        t->len += (size_t)len;
    }
}

/* A guest that takes 4 MiB: the first 2 MiB of it are its own for good. */
static void
start(struct world *w, uint32_t idx, const char *name,
      const struct ulv_mock_step *steps, size_t count)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_image image;
    static const uint8_t sectors[4096];
    ulv_transaction *t = ulv_transaction_begin(w->system);
    ulv_id disk;

    mock_image_init(&w->image[idx], steps, count);
    memset(&image, 0, sizeof(image));
    image.kernel = ULV_SOURCE_MEMORY(&w->image[idx], sizeof(w->image[idx]));
    w->guest[idx] = ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);
    ulv_transaction_memory(t, w->guest[idx], BLOCK, ULV_ANY_NODE);
    ulv_transaction_memory(t, w->guest[idx], BLOCK, ULV_ANY_NODE);
    ulv_transaction_processors(t, w->guest[idx], 1, ULV_SHARED);
    ulv_transaction_console(t, w->guest[idx], 0, 0);
    disk = ulv_transaction_offer(t, 0, 0,
                                 ULV_SOURCE_MEMORY(sectors, sizeof(sectors)));
    w->channel[idx] =
        ulv_transaction_attach(t, w->guest[idx], disk, ULV_DISK_READ_ONLY);
    if (ulv_transaction_commit(t, &diag) != ULV_OK ||
        ulv_partition_start(w->system, w->guest[idx], &image, &diag) != ULV_OK)
        fail_msg("%s: %s", name, diag.text);
}

static void
begin_in(struct world *w, struct trace *trace, uint64_t seed,
         uint32_t placement)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;

    memset(w, 0, sizeof(*w));
    memset(trace, 0, sizeof(*trace));
    w->trace = trace;
    ulv_test_host_init(&w->memory);
    assert_int_equal(ulv_virtual_create(&w->memory.host, seed, &w->host),
                     ULV_OK);
    opts.backend = "mock";
    opts.placement = placement;
    opts.memory = ULV_MIB(128);
    opts.settle_limit = LIMIT;
    if (ulv_system_create(ulv_virtual_host(w->host), &opts, &w->system,
                          &diag) != ULV_OK)
        fail_msg("%s", diag.text);
}

static void
begin(struct world *w, struct trace *trace, uint64_t seed)
{
    begin_in(w, trace, seed, ULV_PLACEMENT_PROCESSES);
}

static void
end(struct world *w)
{
    drain(w);
    ulv_system_destroy(w->system);
    assert_int_equal(ulv_virtual_destroy(w->host), 0);
    assert_int_equal(ulv_test_host_fini(&w->memory), 0);
}

static void
pass(struct world *w, ulv_nsec ns)
{
    ulv_nsec until = ulv_system_now(w->system) + ns;

    while (ulv_system_now(w->system) < until) {
        (void)ulv_system_step(w->system, until);
        drain(w);
    }
}

/* What idle and the guests have now. */
static uint64_t
bytes_of(struct world *w, ulv_id partition)
{
    struct ulv_extent_record record[32];
    uint32_t count = 0;
    uint64_t bytes = 0;

    assert_int_equal(ulv_system_query(w->system, ULV_QUERY_EXTENTS, 0, record,
                                      sizeof(record), &count),
                     ULV_OK);
    for (uint32_t i = 0; i < count; i++)
        bytes += record[i].partition == partition ? record[i].bytes : 0;
    return bytes;
}

/* Commit and let it settle; returns how long that took. */
static ulv_nsec
settle(struct world *w, ulv_transaction *t)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_nsec before = ulv_system_now(w->system);

    if (ulv_transaction_commit(t, &diag) != ULV_OK ||
        ulv_wait_settled(w->system, ulv_system_revision(w->system),
                         before + 10 * SECOND, &diag) != ULV_OK)
        fail_msg("%s", diag.text);
    drain(w);
    return ulv_system_now(w->system) - before;
}

/* Take the second extent from the first guest and give it to the second. */
static ulv_transaction *
moving(struct world *w)
{
    ulv_transaction *t = ulv_transaction_begin(w->system);

    ulv_transaction_move(t, w->guest[0], (ulv_gpa){ULV_GUEST_RAM_BASE + BLOCK},
                         BLOCK, w->guest[1]);
    return t;
}

/* The fault of that partition, if it has one. */
static bool
fault_of(struct world *w, ulv_id partition, struct ulv_fault_record *ret)
{
    uint64_t after = 0;

    ret->size = sizeof(*ret);
    while (ulv_fault_next(w->system, after, ret) == ULV_OK) {
        if (ret->partition == partition)
            return true;
        after = ret->sequence;
    }
    return false;
}

static uint32_t
is_alive(struct world *w, const char *name)
{
    struct ulv_role role;

    for (uint32_t i = 0; ulv_system_role(w->system, i, &role) == ULV_OK; i++) {
        if (strcmp(role.name, name) == 0)
            return role.alive;
    }
    return 0;
}

/* Waits, and is woken by its view. */
#define REST                                                                   \
    {.kind = ULV_MOCK_CALL,                                                    \
     .number = ULV_CALL_WAIT,                                                  \
     .argument = {UINT64_C(1) << 62}},                                         \
    {                                                                          \
        .kind = ULV_MOCK_REPEAT, .number = 1, .argument = { UINT64_MAX }       \
    }

static const struct ulv_mock_step rest[] = {REST};

/* The unmap of its memory takes so long; whether it lives. */
static bool
late_by(struct trace *trace, ulv_nsec late, ulv_nsec *ret_took)
{
    const struct ulv_mock_step script[] = {
        {.kind = ULV_MOCK_RULE,
         .number = ULV_MOCK_ON_UNMAP,
         .argument = {0, late}},
        REST,
    };
    struct ulv_fault_record record;
    struct world w;
    bool lives;

    begin(&w, trace, 1);
    start(&w, 0, "late", script, ULV_COUNT_OF(script));
    start(&w, 1, "next", rest, ULV_COUNT_OF(rest));
    pass(&w, SECOND);
    *ret_took = settle(&w, moving(&w));
    assert_int_equal(bytes_of(&w, w.guest[1]), 3 * BLOCK);
    lives = is_alive(&w, "late");
    assert_int_equal(fault_of(&w, w.guest[0], &record), !lives);
    if (!lives) {
        assert_int_equal(record.end.code, ULV_FAULT_UNRESPONSIVE);
        assert_string_equal(record.name, "late");
        assert_non_null(strstr(record.end.text, "within 200 ms"));
    }
    pass(&w, SECOND);
    assert_int_equal(is_alive(&w, "next"), 1);
    assert_false(fault_of(&w, w.guest[1], &record));
    end(&w);
    return lives;
}

static void
test_system_late__an_unmap_within_the_limit_and_beyond(void **state)
{
    static struct trace trace;
    ulv_nsec took, left = LIMIT - ULV_REVOKE_GRACE;

    (void)state;
    assert_true(late_by(&trace, 0, &took));
    assert_true(took >= ULV_REVOKE_GRACE && took < LIMIT);
    assert_true(late_by(&trace, left - 5 * MS, &took));
    assert_true(took >= LIMIT - 5 * MS && took < LIMIT);
    assert_false(late_by(&trace, left + MS, &took));
    assert_true(took >= LIMIT && took < LIMIT + 5 * MS);
    assert_false(late_by(&trace, ULV_FOREVER, &took));
    assert_true(took >= LIMIT && took < LIMIT + 5 * MS);
}

/* Two guests, and the first one is named in a fault that says why. */
static void
two(struct world *w, struct trace *trace, const struct ulv_mock_step *steps,
    size_t count)
{
    begin(w, trace, 1);
    start(w, 0, "late", steps, count);
    start(w, 1, "next", rest, ULV_COUNT_OF(rest));
    pass(w, SECOND);
}

/* It is dead for that reason, what it had is free of it, and the other goes
 * on. */
static void
check_dead(struct world *w, uint32_t code)
{
    struct ulv_fault_record record;

    assert_int_equal(is_alive(w, "late"), 0);
    assert_true(fault_of(w, w->guest[0], &record));
    assert_string_equal(record.name, "late");
    assert_int_equal(record.end.code, code);
    pass(w, SECOND);
    assert_int_equal(is_alive(w, "next"), 1);
    assert_false(fault_of(w, w->guest[1], &record));
}

static void
test_system_late__a_monitor_that_is_slow_or_hangs(void **state)
{
    static struct trace trace;
    const ulv_nsec stall[] = {LIMIT - ULV_REVOKE_GRACE - MS, LIMIT + MS,
                              ULV_FOREVER};
    struct world w;

    (void)state;
    for (uint32_t i = 0; i < ULV_COUNT_OF(stall); i++) {
        ulv_nsec took;

        two(&w, &trace, rest, ULV_COUNT_OF(rest));
        assert_int_equal(ulv_virtual_stall(w.host, "late", stall[i]), ULV_OK);
        took = settle(&w, moving(&w));
        if (i == 0) {
            assert_int_equal(is_alive(&w, "late"), 1);
            assert_true(took < LIMIT);
        } else {
            assert_true(took >= LIMIT && took < LIMIT + 5 * MS);
            check_dead(&w, ULV_FAULT_UNRESPONSIVE);
        }
        assert_int_equal(bytes_of(&w, w.guest[1]), 3 * BLOCK);
        end(&w);
    }
}

static void
test_system_late__a_guest_that_never_comes_back(void **state)
{
    static struct trace trace;
    const struct ulv_mock_step script[] = {
        {.kind = ULV_MOCK_RUN, .number = 100 * MS},
        {.kind = ULV_MOCK_HANG, .number = ULV_FOREVER},
    };
    struct world w;
    ulv_nsec took;

    (void)state;
    two(&w, &trace, script, ULV_COUNT_OF(script));
    assert_int_equal(is_alive(&w, "late"), 1); /* nothing was asked of it */
    took = settle(&w, moving(&w));
    assert_true(took >= LIMIT && took < LIMIT + 5 * MS);
    check_dead(&w, ULV_FAULT_UNRESPONSIVE);
    assert_int_equal(bytes_of(&w, w.guest[1]), 3 * BLOCK);
    end(&w);
}

/* The memory is nobody else's before its holder is dead, and is zeroes then:
 * both guests see the same pages of the host, and no third place has them. */
static void
test_system_late__memory_goes_only_after_a_death(void **state)
{
    static struct trace trace;
    const uint64_t there = ULV_GUEST_RAM_BASE + BLOCK, more = there + BLOCK;
    const struct ulv_mock_step script[] = {
        {.kind = ULV_MOCK_STORE, .argument = {there, UINT64_MAX}},
        REST,
    };
    const struct ulv_mock_step taker[] = {
        {.kind = ULV_MOCK_CALL,
         .number = ULV_CALL_WAIT,
         .argument = {UINT64_C(1) << 62}},
        {.kind = ULV_MOCK_CALL, .number = ULV_CALL_ACCEPT, .argument = {more}},
        {.kind = ULV_MOCK_REPEAT, .number = 2, .argument = {UINT64_MAX}},
    };
    uint64_t word = 1;
    struct world w;

    (void)state;
    begin(&w, &trace, 1);
    start(&w, 0, "late", script, ULV_COUNT_OF(script));
    start(&w, 1, "next", taker, ULV_COUNT_OF(taker));
    pass(&w, SECOND);
    assert_int_equal(ulv_partition_read(w.system, w.guest[0], (ulv_gpa){there},
                                        &word, 8, NULL),
                     ULV_OK);
    assert_true(word == UINT64_MAX);
    assert_int_equal(ulv_virtual_stall(w.host, "late", ULV_FOREVER), ULV_OK);
    assert_int_equal(ulv_transaction_commit(moving(&w), NULL), ULV_OK);
    pass(&w, LIMIT - 5 * MS);
    assert_int_equal(is_alive(&w, "late"), 1);
    assert_int_equal(bytes_of(&w, w.guest[1]), 2 * BLOCK);
    pass(&w, 10 * MS);
    assert_int_equal(is_alive(&w, "late"), 0);
    assert_int_equal(bytes_of(&w, w.guest[0]), BLOCK);
    assert_int_equal(bytes_of(&w, w.guest[1]), 3 * BLOCK);
    assert_int_equal(ulv_partition_read(w.system, w.guest[1], (ulv_gpa){more},
                                        &word, 8, NULL),
                     ULV_OK);
    assert_true(word == 0);
    check_dead(&w, ULV_FAULT_UNRESPONSIVE);
    end(&w);
}

static void
test_system_late__an_unmap_that_fails(void **state)
{
    static struct trace trace;
    const struct ulv_mock_step script[] = {
        {.kind = ULV_MOCK_RULE,
         .number = ULV_MOCK_ON_UNMAP,
         .argument = {0, MS, (uint64_t)ULV_E_UNSUPPORTED}},
        REST,
    };
    struct world w;
    ulv_nsec took;

    (void)state;
    two(&w, &trace, script, ULV_COUNT_OF(script));
    took = settle(&w, moving(&w));
    assert_true(took >= ULV_REVOKE_GRACE && took < LIMIT);
    check_dead(&w, ULV_FAULT_BACKEND);
    assert_int_equal(bytes_of(&w, w.guest[1]), 3 * BLOCK);
    end(&w);
}

/* A channel is taken from a guest whose end never lets go. */
static void
test_system_late__a_channel_end_that_is_kept(void **state)
{
    static struct trace trace;
    const struct ulv_mock_step script[] = {
        {.kind = ULV_MOCK_RULE,
         .number = ULV_MOCK_ON_UNMAP,
         .argument = {0, ULV_FOREVER}},
        REST,
    };
    struct world w;
    ulv_transaction *t;
    ulv_nsec took;

    (void)state;
    two(&w, &trace, script, ULV_COUNT_OF(script));
    t = ulv_transaction_begin(w.system);
    ulv_transaction_revoke(t, w.channel[0]);
    took = settle(&w, t);
    assert_true(took >= LIMIT && took < LIMIT + 5 * MS);
    check_dead(&w, ULV_FAULT_UNRESPONSIVE);
    end(&w);
}

/* An I/O partition that hangs is dead when its limit is over; its peer serves
 * what it had, and no guest ends. */
static void
test_system_late__an_io_partition_that_hangs(void **state)
{
    static struct trace trace;
    struct ulv_fault_record record;
    ulv_transaction *t;
    struct world w;
    ulv_nsec took;
    ulv_id io;

    (void)state;
    two(&w, &trace, rest, ULV_COUNT_OF(rest));
    assert_int_equal(ulv_system_find(w.system, "io-a", &io), ULV_OK);
    assert_int_equal(ulv_virtual_stall(w.host, "io-a", ULV_FOREVER), ULV_OK);
    t = ulv_transaction_begin(w.system);
    ulv_transaction_revoke(t, w.channel[0]);
    took = settle(&w, t);
    assert_true(took >= LIMIT && took < LIMIT + 5 * MS);
    assert_int_equal(is_alive(&w, "io-a"), 0);
    assert_int_equal(is_alive(&w, "io-b"), 1);
    assert_true(fault_of(&w, io, &record));
    assert_non_null(strstr(record.end.text, "did not let go of channel"));
    assert_non_null(strstr(record.end.text, "within 200 ms"));
    pass(&w, SECOND);
    assert_int_equal(is_alive(&w, "late"), 1);
    assert_int_equal(is_alive(&w, "next"), 1);
    end(&w);
}

/* Nobody is killed for what was said and not heard: the caller was away. */
static void
test_system_late__the_caller_was_away(void **state)
{
    static struct trace trace;
    struct world w;

    (void)state;
    two(&w, &trace, rest, ULV_COUNT_OF(rest));
    assert_int_equal(ulv_transaction_commit(moving(&w), NULL), ULV_OK);
    pass(&w, 10 * MS);
    assert_int_equal(bytes_of(&w, w.guest[1]), 2 * BLOCK);
    ulv_virtual_advance(w.host, 100 * SECOND);
    pass(&w, SECOND);
    assert_int_equal(is_alive(&w, "late"), 1);
    assert_int_equal(is_alive(&w, "next"), 1);
    assert_int_equal(bytes_of(&w, w.guest[1]), 3 * BLOCK);
    end(&w);
}

/* A monitor may have followed before we hear what it is to follow. */
static void
test_system_late__who_is_quick_lives(void **state)
{
    static struct trace trace;
    struct world w;

    (void)state;
    two(&w, &trace, rest, ULV_COUNT_OF(rest));
    ulv_virtual_delay(w.host, 10 * MS);
    for (uint32_t i = 0; i < 20; i++) {
        ulv_transaction *t = ulv_transaction_begin(w.system);

        ulv_transaction_memory(t, w.guest[i % 2], BLOCK, ULV_ANY_NODE);
        (void)settle(&w, t);
        pass(&w, 2 * LIMIT);
        assert_int_equal(is_alive(&w, "late"), 1);
        assert_int_equal(is_alive(&w, "next"), 1);
    }
    end(&w);
}

/* What a paused guest is rung for keeps nobody busy: it would not be later. */
static void
test_system_late__a_paused_guest_that_is_rung(void **state)
{
    static const struct ulv_guid type = {{1}};
    const struct ulv_mock_step rings[] = {
        {.kind = ULV_MOCK_CALL,
         .number = ULV_CALL_WAIT, /* until it is connected */
         .argument = {2 * SECOND}},
        {.kind = ULV_MOCK_REPEAT, .number = 1, .argument = {9}}, /* views */
        {.kind = ULV_MOCK_CALL, .number = ULV_CALL_SIGNAL, .argument = {2}},
        {.kind = ULV_MOCK_EXPECT},
        REST,
    };
    static struct trace trace;
    struct world w;
    ulv_transaction *t;

    (void)state;
    begin_in(&w, &trace, 1, ULV_PLACEMENT_IN_PROCESS);
    start(&w, 0, "still", rest, ULV_COUNT_OF(rest));
    start(&w, 1, "rings", rings, ULV_COUNT_OF(rings));
    t = ulv_transaction_begin(w.system);
    (void)ulv_transaction_connect(t, w.guest[1], w.guest[0], &type);
    (void)settle(&w, t);
    pass(&w, SECOND);
    assert_int_equal(ulv_partition_pause(w.system, w.guest[0], NULL), ULV_OK);
    pass(&w, 3 * SECOND);
    assert_int_equal(is_alive(&w, "rings"), 1);
    assert_int_equal(ulv_partition_resume(w.system, w.guest[0], NULL), ULV_OK);
    pass(&w, SECOND);
    end(&w);
}

/* ---- at random ----------------------------------------------------------- */

static uint64_t
random_below(uint64_t *seed, uint64_t n)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed % n;
}

static const char *const names[] = {"late", "next"};

/* Destroyed and started anew, if it is dead: nobody comes back by itself.
 * Returns whether it was. */
static bool
renew(struct world *w, uint32_t idx)
{
    struct ulv_fault_record record;
    struct ulv_end how;
    ulv_transaction *t;

    if (!fault_of(w, w->guest[idx], &record))
        return false;
    assert_int_equal(record.end.code, ULV_FAULT_UNRESPONSIVE);
    assert_int_equal(ulv_partition_wait(w->system, w->guest[idx], &how,
                                        ulv_system_now(w->system) + SECOND,
                                        NULL),
                     ULV_OK);
    t = ulv_transaction_begin(w->system);
    ulv_transaction_destroy(t, w->guest[idx]);
    (void)settle(w, t);
    start(w, idx, names[idx], rest, ULV_COUNT_OF(rest));
    return true;
}

/* Give, take or move; what a guest no longer has may be asked for. */
static ulv_transaction *
any_change(struct world *w, uint64_t *seed)
{
    ulv_transaction *t = ulv_transaction_begin(w->system);
    ulv_gpa at = {ULV_GUEST_RAM_BASE + BLOCK * (1 + random_below(seed, 3))};
    uint32_t idx = (uint32_t)random_below(seed, 2);

    switch (random_below(seed, 4)) {
    case 0:
        if (bytes_of(w, w->guest[idx]) < 6 * BLOCK)
            ulv_transaction_memory(t, w->guest[idx], BLOCK, ULV_ANY_NODE);
        break;
    case 1:
        ulv_transaction_release(t, w->guest[idx], at, BLOCK);
        break;
    case 2:
        ulv_transaction_revoke(t, w->channel[idx]);
        break;
    default:
        ulv_transaction_move(t, w->guest[idx], at, BLOCK, w->guest[1 - idx]);
    }
    return t;
}

/* What every moment between two changes has in common: each frame has one
 * owner, in the database as in the keeper's table, and nothing is lost. */
static void
check_all(struct world *w)
{
    struct ulv_extent_record record[64];
    struct ulv_memory_record memory[4];
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t count = 0, nodes = 0;

    assert_int_equal(ulv_system_query(w->system, ULV_QUERY_MEMORY, 0, memory,
                                      sizeof(memory), &nodes),
                     ULV_OK);
    assert_int_equal(nodes, 1);
    assert_int_equal(ulv_system_query(w->system, ULV_QUERY_EXTENTS, 0, record,
                                      sizeof(record), &count),
                     ULV_OK);
    assert_true(count > 0 && count < ULV_COUNT_OF(record));
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(record[i].flags & ULV_EXTENT_DRAINING, 0);
        assert_true(ulv_range_inside(record[i].frame - memory[0].base,
                                     record[i].bytes, memory[0].bytes));
        for (uint32_t k = 0; k < i; k++)
            assert_false(ulv_ranges_overlap(record[i].frame, record[i].bytes,
                                            record[k].frame, record[k].bytes));
    }
    if (ulv_frame_table_check(&w->system->keeper.frames, &diag) != ULV_OK)
        fail_msg("%s", diag.text);
}

/* Changes of guests whose monitors, and io-a, are late or hang at random. */
static void
at_random(struct trace *trace, uint64_t seed, uint32_t rounds)
{
    uint64_t random = seed;
    uint32_t done = 0, killed = 0;
    struct world w;

    begin(&w, trace, seed);
    ulv_virtual_delay(w.host, MS);
    start(&w, 0, names[0], rest, ULV_COUNT_OF(rest));
    start(&w, 1, names[1], rest, ULV_COUNT_OF(rest));
    for (uint32_t i = 0; i < rounds; i++) {
        ulv_nsec before = ulv_system_now(w.system), late = 0;
        ulv_transaction *t = any_change(&w, &random);
        struct ulv_diag diag = ULV_DIAG_INIT;
        uint32_t who = (uint32_t)random_below(&random, 2);

        if (random_below(&random, 3) == 0)
            late = random_below(&random, 2 * LIMIT);
        if (random_below(&random, 16) == 0)
            late = ULV_FOREVER;
        assert_int_equal(ulv_virtual_stall(w.host, names[who], late), ULV_OK);
        if (ulv_transaction_commit(t, &diag) == ULV_OK) {
            done++;
            assert_int_equal(ulv_wait_settled(w.system,
                                              ulv_system_revision(w.system),
                                              before + SECOND, NULL),
                             ULV_OK);
        } else {
            assert_true(diag.text[0] != '\0');
        }
        (void)ulv_virtual_stall(w.host, names[who], 0);
        pass(&w, 10 * MS);
        assert_false(renew(&w, 1 - who)); /* it was in time */
        if (renew(&w, who)) {
            assert_true(late != 0);
            killed++;
        }
        check_all(&w);
    }
    print_message("# seed %llu: %u of %u changes, %u killed\n",
                  (unsigned long long)seed, done, rounds, killed);
    assert_true(done > rounds / 4 && killed > 0);
    end(&w);
}

static void
test_system_late__at_random(void **state)
{
    static struct trace first, second;
    const char *text = getenv("ULV_SEED"), *count = getenv("ULV_ROUNDS");
    uint64_t seed = text == NULL ? 1 : strtoull(text, NULL, 0);
    uint32_t rounds = count == NULL ? 200 : (uint32_t)strtoul(count, NULL, 0);

    (void)state;
    at_random(&first, seed, rounds);
    at_random(&second, seed, rounds);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.text, second.text, first.len);
}

static void
test_system_late__the_same_run_twice(void **state)
{
    static struct trace first, second;
    ulv_nsec took;

    (void)state;
    (void)late_by(&first, ULV_FOREVER, &took);
    (void)late_by(&second, ULV_FOREVER, &took);
    assert_true(first.len > 0);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.text, second.text, first.len);
    (void)late_by(&second, 0, &took); /* another run differs */
    assert_true(first.len != second.len ||
                memcmp(first.text, second.text, first.len) != 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_system_late__an_unmap_within_the_limit_and_beyond),
        cmocka_unit_test(test_system_late__a_monitor_that_is_slow_or_hangs),
        cmocka_unit_test(test_system_late__a_guest_that_never_comes_back),
        cmocka_unit_test(test_system_late__memory_goes_only_after_a_death),
        cmocka_unit_test(test_system_late__an_unmap_that_fails),
        cmocka_unit_test(test_system_late__a_channel_end_that_is_kept),
        cmocka_unit_test(test_system_late__an_io_partition_that_hangs),
        cmocka_unit_test(test_system_late__the_caller_was_away),
        cmocka_unit_test(test_system_late__a_paused_guest_that_is_rung),
        cmocka_unit_test(test_system_late__the_same_run_twice),
        cmocka_unit_test(test_system_late__who_is_quick_lives),
        cmocka_unit_test(test_system_late__at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
