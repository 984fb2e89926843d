/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Who answers late, or never, in virtual time: every change settles within its
 * limit, who hangs is named in a record, what he had is scrubbed before it is
 * anybody's, and a neighbour goes on. The same run gives the same events twice.
 */
#include "../port/port_test.h"

#include <stdio.h>

#include <ultravisor/sys/virtual.h>
#include <ultravisor/ultravisor.h>

#include "base/base.h"
#include "mock_image.h"
#include "port/test/test.h"

#define LIMIT   UINT64_C(200000000) /* to settle */
#define BLOCK   ULV_MIB(2)
#define SECOND  UINT64_C(1000000000)
#define MS      UINT64_C(1000000)

/* Everything that was told, as text. */
struct trace {
    char text[1 << 16];
    size_t len;
};

struct world {
    struct ulv_test_host memory; /* what the host is made from */
    ulv_virtual *host;
    ulv_system *system;
    struct trace *trace;
    struct mock_image image[2];
    ulv_id guest[2];
};

static void
drain(struct world *w)
{
    struct ulv_event e = ULV_EVENT_INIT;

    while (ulv_event_next(w->system, &e) == ULV_OK) {
        struct trace *t = w->trace;
        int len = snprintf(t->text + t->len, sizeof(t->text) - t->len,
                           "%llu %u %llu %llu %s\n",
                           (unsigned long long)e.time, e.kind,
                           (unsigned long long)e.partition,
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
    ulv_transaction *t = ulv_transaction_begin(w->system);

    mock_image_init(&w->image[idx], steps, count);
    memset(&image, 0, sizeof(image));
    image.kernel = ULV_SOURCE_MEMORY(&w->image[idx], sizeof(w->image[idx]));
    w->guest[idx] = ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);
    ulv_transaction_memory(t, w->guest[idx], BLOCK, ULV_ANY_NODE);
    ulv_transaction_memory(t, w->guest[idx], BLOCK, ULV_ANY_NODE);
    ulv_transaction_processors(t, w->guest[idx], 1, ULV_SHARED);
    ulv_transaction_console(t, w->guest[idx], 0, 0);
    if (ulv_transaction_commit(t, &diag) != ULV_OK ||
        ulv_partition_start(w->system, w->guest[idx], &image, &diag) != ULV_OK)
        fail_msg("%s: %s", name, diag.text);
}

static void
begin(struct world *w, struct trace *trace, uint64_t seed)
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
    opts.placement = ULV_PLACEMENT_PROCESSES;
    opts.memory = ULV_MIB(32);
    opts.settle_limit = LIMIT;
    if (ulv_system_create(ulv_virtual_host(w->host), &opts, &w->system,
                          &diag) != ULV_OK)
        fail_msg("%s", diag.text);
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

/* Take the second extent from the first guest and give it to the second;
 * returns how long that took to settle. */
static ulv_nsec
move(struct world *w)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_nsec before = ulv_system_now(w->system);
    ulv_transaction *t = ulv_transaction_begin(w->system);

    ulv_transaction_move(t, w->guest[0],
                         (ulv_gpa){ ULV_GUEST_RAM_BASE + BLOCK }, BLOCK,
                         w->guest[1]);
    if (ulv_transaction_commit(t, &diag) != ULV_OK ||
        ulv_wait_settled(w->system, ulv_system_revision(w->system),
                         before + 10 * SECOND, &diag) != ULV_OK)
        fail_msg("%s", diag.text);
    drain(w);
    return ulv_system_now(w->system) - before;
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
    { .kind = ULV_MOCK_CALL, .number = ULV_CALL_WAIT,                          \
      .argument = { UINT64_C(1) << 62 } },                                     \
    {                                                                          \
        .kind = ULV_MOCK_REPEAT, .number = 1, .argument = { UINT64_MAX }       \
    }

static const struct ulv_mock_step rest[] = { REST };

/* The unmap of its memory takes so long; whether it lives. */
static bool
late_by(struct trace *trace, ulv_nsec late, ulv_nsec *ret_took)
{
    const struct ulv_mock_step script[] = {
        { .kind = ULV_MOCK_RULE,
          .number = ULV_MOCK_ON_UNMAP,
          .argument = { 0, late } },
        REST,
    };
    struct ulv_fault_record record;
    struct world w;
    bool lives;

    begin(&w, trace, 1);
    start(&w, 0, "late", script, ULV_COUNT_OF(script));
    start(&w, 1, "next", rest, ULV_COUNT_OF(rest));
    pass(&w, SECOND);
    *ret_took = move(&w);
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
        cmocka_unit_test(test_system_late__the_same_run_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
