/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The frame table beside a model that has one entry a page, on random
 * operations, right and wrong, with the host out of memory now and then. After
 * each the two say the same; what was refused left every run as it was.
 */
#include "../port/port_test.h"

#include "monitor/frame_table.h"
#include "port/test/test.h"

#define OPERATIONS 150000u
#define START_OVER 500u   /* operations until a new, empty table */
#define PAGES      72u
#define PAGE       UINT64_C(4096)
#define BASE       UINT64_C(0x10000000)
#define GAP        9u /* a state of the model: never added */
#define IDS        5u /* partitions 1 .. 5, channels 101 .. 105 */
#define GRANTS     256u

struct page {
    uint32_t state;
    uint64_t object, end[ULV_FRAME_ENDS_MAX];
};

/* A grant that is as it was granted. */
struct grant {
    uint32_t at, count;
    uint64_t object;
};

struct model {
    struct ulv_test_host t;
    struct ulv_frame_table table;
    struct page page[PAGES];
    struct grant grant[GRANTS];
    uint32_t grant_count;
    /* the table before an operation */
    struct ulv_frame_run before[PAGES];
    uint32_t before_count;
    uint64_t done, refused, no_memory;
};

static uint64_t seed = 11;

static uint32_t
random_below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 16) % n);
}

static uint64_t
frame_of(uint32_t at)
{
    return BASE + at * PAGE;
}

static void
begin(struct model *m)
{
    ulv_test_host_init(&m->t);
    ulv_frame_table_init(&m->table, &m->t.host);
    m->grant_count = 0;
    memset(m->page, 0, sizeof(m->page));
    for (uint32_t i = 0; i < PAGES; i++)
        m->page[i].state = GAP;
}

static void
end(struct model *m)
{
    ulv_frame_table_fini(&m->table);
    assert_int_equal(ulv_test_host_live(&m->t), 0);
    assert_int_equal(ulv_test_host_fini(&m->t), 0);
}

static bool
page_is_open(const struct page *page, uint64_t partition)
{
    bool open = false;

    if (page->state == ULV_FRAME_OWNED)
        return page->object == partition;
    if (page->state != ULV_FRAME_CHANNEL)
        return false;
    for (uint32_t e = 0; e < ULV_FRAME_ENDS_MAX; e++)
        open = open || page->end[e] == partition;
    return open;
}

/* The table says of each page what the model says. */
static void
compare_pages(const struct model *m)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < m->table.count; i++) {
        const struct ulv_frame_run *run = &m->table.run[i];

        for (; frame_of(at) < run->frame; at++)
            assert_int_equal(m->page[at].state, GAP);
        for (; frame_of(at) < run->frame + run->bytes; at++) {
            assert_true(at < PAGES);
            assert_int_equal(m->page[at].state, run->state);
            assert_int_equal(m->page[at].object, run->object);
            assert_memory_equal(m->page[at].end, run->end, sizeof(run->end));
        }
    }
    for (; at < PAGES; at++)
        assert_int_equal(m->page[at].state, GAP);
}

static void
compare_may_map(const struct model *m)
{
    uint32_t at = random_below(PAGES);
    uint32_t count = 1 + random_below(PAGES - at > 6 ? 6 : PAGES - at);

    for (uint64_t partition = 0; partition <= IDS; partition++) {
        bool open = partition != 0;

        for (uint32_t i = at; i < at + count; i++)
            open = open && page_is_open(&m->page[i], partition);
        assert_int_equal(ulv_frame_table_may_map(&m->table, frame_of(at),
                                                 count * PAGE, partition),
                         open);
    }
}

/* Remember the table; let the next allocation fail, or not. */
static void
before(struct model *m)
{
    m->before_count = m->table.count;
    assert_true(m->before_count <= PAGES);
    if (m->before_count != 0)
        memcpy(m->before, m->table.run,
               m->before_count * sizeof(m->before[0]));
    ulv_test_host_fail_at(&m->t, random_below(4) == 0 ? 1 : 0);
}

/* Returns whether the operation was carried out, which it was to be or not. */
static bool
after(struct model *m, ulv_status status, ulv_status expected,
      const struct ulv_diag *diag)
{
    struct ulv_diag unmerged = ULV_DIAG_INIT;
    bool failed = ulv_test_host_failed(&m->t);

    ulv_test_host_fail_at(&m->t, 0);
    if (expected == ULV_OK && failed)
        expected = ULV_E_NO_MEMORY;
    assert_int_equal(status, expected);
    assert_int_equal(ulv_frame_table_check(&m->table, &unmerged), ULV_OK);
    m->done += status == ULV_OK ? 1 : 0;
    m->refused += status != ULV_OK ? 1 : 0;
    m->no_memory += status == ULV_E_NO_MEMORY ? 1 : 0;
    if (status == ULV_OK)
        return true;
    assert_int_equal(m->table.count, m->before_count);
    if (m->before_count != 0)
        assert_memory_equal(m->before, m->table.run,
                            m->before_count * sizeof(m->before[0]));
    if (diag != NULL) {
        assert_int_equal(diag->status, status);
        assert_true(diag->text[0] != '\0');
    }
    return false;
}

/* A range that is mostly short and starts mostly at a page in that state. */
static uint32_t
random_range(const struct model *m, uint32_t state, uint32_t *ret_count)
{
    uint32_t at = random_below(PAGES), most;

    if (random_below(4) != 0) {
        for (uint32_t i = 0; i < PAGES && m->page[at].state != state; i++)
            at = (at + 1) % PAGES;
    }
    most = random_below(16) == 0 ? PAGES - at : 4;
    *ret_count = 1 + random_below(most);
    if (*ret_count > PAGES - at)
        *ret_count = PAGES - at;
    return at;
}

static void
add(struct model *m)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t count, at = random_range(m, GAP, &count);
    uint32_t state = random_below(3) == 0 ? random_below(5) : ULV_FRAME_FREE;
    ulv_status status, expected = ULV_OK;

    for (uint32_t i = at; i < at + count; i++) {
        if (m->page[i].state != GAP)
            expected = ULV_E_EXISTS;
    }
    if (state != ULV_FRAME_FREE && state != ULV_FRAME_NEVER)
        expected = ULV_E_ARG;
    before(m);
    status = ulv_frame_table_add(&m->table, frame_of(at), count * PAGE, state,
                                 &diag);
    if (!after(m, status, expected, &diag))
        return;
    for (uint32_t i = at; i < at + count; i++)
        m->page[i].state = state;
}

static void
random_grant(struct ulv_frame_run *wanted, uint32_t at, uint32_t count)
{
    static const uint32_t states[] = { ULV_FRAME_OWNED, ULV_FRAME_OWNED,
                                       ULV_FRAME_OWNED, ULV_FRAME_CHANNEL,
                                       ULV_FRAME_CHANNEL, ULV_FRAME_CHANNEL,
                                       ULV_FRAME_FREE,  ULV_FRAME_NEVER, 4,
                                       UINT32_MAX };

    memset(wanted, 0, sizeof(*wanted));
    wanted->frame = frame_of(at);
    wanted->bytes = count * PAGE;
    wanted->state = states[random_below(ULV_COUNT_OF(states))];
    wanted->object = 1 + random_below(IDS);
    if (wanted->state != ULV_FRAME_CHANNEL)
        return;
    wanted->object += 100;
    wanted->end[0] = 1 + random_below(IDS);
    wanted->end[1] = 1 + random_below(IDS);
    wanted->end[2] = random_below(IDS + 1);
}

static void
grant(struct model *m)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_frame_run wanted;
    uint32_t count, at = random_range(m, ULV_FRAME_FREE, &count), taken = at;
    ulv_status status, expected = ULV_OK;

    while (taken < at + count && m->page[taken].state == ULV_FRAME_FREE)
        taken++;
    if (taken < at + count)
        expected = ULV_E_DENIED;
    random_grant(&wanted, at, count);
    if (wanted.state != ULV_FRAME_OWNED && wanted.state != ULV_FRAME_CHANNEL)
        expected = ULV_E_ARG;
    before(m);
    status = ulv_frame_table_grant(&m->table, &wanted, &diag);
    if (status == ULV_E_DENIED && expected == ULV_E_DENIED) {
        assert_int_equal(diag.object, wanted.object);
        assert_int_equal(diag.value, frame_of(taken));
        assert_int_equal(diag.bound, m->page[taken].object);
    }
    if (!after(m, status, expected, &diag))
        return;
    for (uint32_t i = at; i < at + count; i++) {
        m->page[i].state = wanted.state;
        m->page[i].object = wanted.object;
        memcpy(m->page[i].end, wanted.end, sizeof(wanted.end));
    }
    assert_true(m->grant_count < GRANTS);
    m->grant[m->grant_count++] = (struct grant){ at, count, wanted.object };
}

/* The pages are free; grants that had any of them are none any more. */
static void
make_free(struct model *m, uint32_t at, uint32_t count)
{
    memset(&m->page[at], 0, count * sizeof(m->page[0]));
    for (uint32_t i = m->grant_count; i-- > 0;) {
        if (ulv_ranges_overlap(at, count, m->grant[i].at, m->grant[i].count))
            m->grant[i] = m->grant[--m->grant_count];
    }
}

static void
release(struct model *m)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t held = random_below(2) == 0 ? ULV_FRAME_OWNED : ULV_FRAME_CHANNEL;
    uint32_t count, at = random_range(m, held, &count);
    uint64_t object = m->page[at].object;
    ulv_status status, expected = ULV_OK;

    if (random_below(8) == 0)
        object = random_below(IDS + 1) + (random_below(2) == 0 ? 0 : 100);
    for (uint32_t i = at; i < at + count; i++) {
        if ((m->page[i].state != ULV_FRAME_OWNED &&
             m->page[i].state != ULV_FRAME_CHANNEL) ||
            m->page[i].object != object)
            expected = ULV_E_DENIED;
    }
    before(m);
    status = ulv_frame_table_release(&m->table, frame_of(at), count * PAGE,
                                     object, &diag);
    if (after(m, status, expected, &diag))
        make_free(m, at, count);
}

/* What was granted can be given back, memory or not. */
static void
release_grant(struct model *m)
{
    struct grant grant;
    ulv_status status;

    if (m->grant_count == 0)
        return;
    grant = m->grant[random_below(m->grant_count)];
    before(m);
    ulv_test_host_fail_at(&m->t, 1);
    status = ulv_frame_table_release(&m->table, frame_of(grant.at),
                                     grant.count * PAGE, grant.object, NULL);
    assert_false(ulv_test_host_failed(&m->t));
    (void)after(m, status, ULV_OK, NULL);
    make_free(m, grant.at, grant.count);
}

/* Returns whether the page had such an end. */
static bool
move_page(struct page *page, uint64_t from, uint64_t to)
{
    for (uint32_t e = 0; e < ULV_FRAME_ENDS_MAX; e++) {
        if (page->end[e] == from) {
            page->end[e] = to;
            return true;
        }
    }
    return false;
}

static void
move_end(struct model *m)
{
    uint64_t channel = random_below(IDS + 1) + (random_below(8) == 0 ? 0 : 101);
    uint64_t from = random_below(IDS + 2), to = random_below(IDS + 1);
    ulv_status status, expected = ULV_E_NOT_FOUND;

    before(m);
    status = ulv_frame_table_move_end(&m->table, channel, from, to);
    for (uint32_t i = 0; i < PAGES; i++) {
        if (m->page[i].state != ULV_FRAME_CHANNEL ||
            m->page[i].object != channel)
            continue;
        if (move_page(&m->page[i], from, to))
            expected = ULV_OK;
        else if (expected != ULV_OK)
            expected = ULV_E_DENIED;
    }
    (void)after(m, status, expected, NULL);
}

/* Ranges that are none, whatever the pages. */
static void
wrong_range(struct model *m)
{
    static const struct {
        uint64_t frame, bytes;
    } wrong[] = {
        { BASE, 0 },
        { BASE, 1 },
        { BASE, PAGE - 1 },
        { BASE, PAGE + 8 },
        { BASE + 1, PAGE },
        { BASE + PAGE - 8, PAGE },
        { BASE, UINT64_MAX },
        { BASE, UINT64_MAX - PAGE + 1 },
        { UINT64_MAX - PAGE + 1, PAGE },
        { UINT64_MAX, PAGE },
    };
    uint32_t i = random_below(ULV_COUNT_OF(wrong));
    struct ulv_frame_run wanted = { .frame = wrong[i].frame,
                                    .bytes = wrong[i].bytes,
                                    .state = ULV_FRAME_OWNED,
                                    .object = 1 };
    struct ulv_diag diag = ULV_DIAG_INIT;

    before(m);
    (void)after(m, ulv_frame_table_grant(&m->table, &wanted, &diag), ULV_E_ARG,
                &diag);
    (void)after(m, ulv_frame_table_add(&m->table, wanted.frame, wanted.bytes,
                                       ULV_FRAME_FREE, &diag),
                ULV_E_ARG, &diag);
    (void)after(m, ulv_frame_table_release(&m->table, wanted.frame,
                                           wanted.bytes, 1, &diag),
                ULV_E_ARG, &diag);
    assert_false(ulv_frame_table_may_map(&m->table, wanted.frame,
                                         wanted.bytes, 1));
}

static void
test_monitor_frame_table__model(void **state)
{
    static struct model m;
    static void (*const operation[])(struct model *m) = {
        add,     grant,         grant,    grant,      release,
        release, release_grant, move_end, wrong_range,
    };

    (void)state;
    for (uint32_t n = 0; n < OPERATIONS; n++) {
        if (n % START_OVER == 0)
            begin(&m);
        operation[random_below(ULV_COUNT_OF(operation))](&m);
        compare_pages(&m);
        compare_may_map(&m);
        if (n % START_OVER == START_OVER - 1)
            end(&m);
    }
    print_message("# %llu carried out, %llu refused, %llu of them for want of "
                  "memory\n",
                  (unsigned long long)m.done, (unsigned long long)m.refused,
                  (unsigned long long)m.no_memory);
    assert_true(m.done > OPERATIONS / 5);
    assert_true(m.no_memory > 0);
}

/* Nothing is in it, and nothing may be read of it. */
static void
test_monitor_frame_table__empty(void **state)
{
    static struct model m;
    struct ulv_frame_run wanted = { .frame = BASE,
                                    .bytes = PAGE,
                                    .state = ULV_FRAME_OWNED,
                                    .object = 1 };
    struct ulv_diag diag = ULV_DIAG_INIT;

    (void)state;
    begin(&m);
    assert_int_equal(ulv_frame_table_grant(&m.table, &wanted, &diag),
                     ULV_E_DENIED);
    assert_int_equal(diag.value, BASE);
    assert_int_equal(ulv_frame_table_release(&m.table, BASE, PAGE, 1, NULL),
                     ULV_E_DENIED);
    assert_int_equal(ulv_frame_table_move_end(&m.table, 1, 2, 3),
                     ULV_E_NOT_FOUND);
    assert_false(ulv_frame_table_may_map(&m.table, BASE, PAGE, 1));
    assert_int_equal(ulv_frame_table_check(&m.table, NULL), ULV_OK);
    end(&m);
}

/* check() sees what no operation makes. */
static void
test_monitor_frame_table__check_sees_damage(void **state)
{
    static const struct ulv_frame_run good[2] = {
        { .frame = BASE, .bytes = 4 * PAGE, .state = ULV_FRAME_FREE },
        { .frame = BASE + 8 * PAGE, .bytes = PAGE, .state = ULV_FRAME_FREE },
    };
    static const struct ulv_frame_run bad[] = {
        { .frame = BASE + 4 * PAGE, .bytes = PAGE },
        { .frame = BASE + 3 * PAGE, .bytes = PAGE, .state = ULV_FRAME_NEVER },
        { .frame = BASE, .bytes = PAGE, .state = ULV_FRAME_NEVER },
        { .frame = BASE + 8 * PAGE, .bytes = 0 },
        { .frame = BASE + 8 * PAGE, .bytes = PAGE - 1 },
        { .frame = BASE + 8 * PAGE + 1, .bytes = PAGE },
        { .frame = BASE + 8 * PAGE, .bytes = UINT64_MAX - PAGE + 1 },
        { .frame = BASE + 8 * PAGE, .bytes = PAGE, .state = 4 },
    };
    struct ulv_frame_run run[2];
    struct ulv_frame_table table = { .run = run, .count = 2, .capacity = 2 };

    (void)state;
    memcpy(run, good, sizeof(run));
    assert_int_equal(ulv_frame_table_check(&table, NULL), ULV_OK);
    for (size_t i = 0; i < ULV_COUNT_OF(bad); i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;

        run[1] = bad[i];
        assert_int_equal(ulv_frame_table_check(&table, &diag), ULV_E_INTERNAL);
        assert_int_equal(diag.value, bad[i].frame);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitor_frame_table__model),
        cmocka_unit_test(test_monitor_frame_table__empty),
        cmocka_unit_test(test_monitor_frame_table__check_sees_damage),
    };

    return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
