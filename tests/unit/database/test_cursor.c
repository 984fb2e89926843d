/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Cursors over a database that random transactions change, some undone: what
 * each has said in the end is what queries said when it was opened. Then their
 * bounds. Argument: how many transactions (default 300); ULV_SEED: the seed.
 */
#include "model.h"

#include <stdlib.h>

#include "database/database_priv.h"
#include "database/observe_priv.h"

static uint64_t steps = 300;

static const uint8_t owner[16] = { 1 }, other[16] = { 2 };

#define SAID_MAX    4096u
#define RECORD_MAX  512u
#define OPEN_MAX    6u
#define ALL_KINDS                                                              \
    (((1u << KIND_COUNT) - 2) & ~(1u << ULV_QUERY_LOG | 1u << ULV_QUERY_USAGE))

/* Records as bytes, in no order. */
struct said {
    uint32_t count;
    struct {
        uint32_t kind;
        uint8_t record[RECORD_MAX];
    } one[SAID_MAX];
};

struct reading {
    uint64_t number; /* 0: none */
    uint32_t left;   /* transactions before it goes on */
    struct said was, is;
};

static struct reading readings[OPEN_MAX];

static void
say(struct said *said, uint32_t kind, const void *record, uint32_t bytes)
{
    assert_true(said->count < SAID_MAX && bytes <= RECORD_MAX);
    memset(said->one[said->count].record, 0, RECORD_MAX);
    memcpy(said->one[said->count].record, record, bytes);
    said->one[said->count++].kind = kind;
}

static bool
concerns(const struct ulv_database *db, uint32_t kind, const uint8_t *record,
         ulv_id partition)
{
    uint64_t found[ULV_CHANGE_PARTITIONS] = { 0 };
    ulv_id id;

    memcpy(&id, record, 8);
    if (partition == 0)
        return true;
    ulv_db_concerned(ulv_db_find(db, id, ulv_db_list_of(kind)), found);
    for (uint32_t i = 0; i < ULV_CHANGE_PARTITIONS; i++) {
        if (found[i] == partition)
            return true;
    }
    return false;
}

/* Queries do not have these: as partitions have them. */
static void
say_shares(const struct ulv_database *db, ulv_id partition, struct said *said)
{
    for (const struct record *r = db->first[ULV_QUERY_PARTITIONS]; r != NULL;
         r = r->after) {
        const struct partition *p = (const void *)r;

        if (partition != 0 && partition != r->id)
            continue;
        for (const struct share *s = p->shares; s != NULL; s = s->next) {
            const struct ulv_share_record record = {
                r->id, s->processor->r.id, s->quanta, s->vcpu_idx, s->mode
            };

            say(said, ULV_QUERY_SHARES, &record, sizeof(record));
        }
    }
}

static void
query_all(const struct ulv_database *db, uint32_t kinds, ulv_id partition,
          struct said *said)
{
    static uint8_t buf[SAID_MAX * RECORD_MAX];

    said->count = 0;
    for (uint32_t kind = 1; kind < KIND_COUNT; kind++) {
        uint32_t bytes, count;
        bool more;

        if ((kinds & 1u << kind) == 0)
            continue;
        if (kind == ULV_QUERY_SHARES) {
            say_shares(db, partition, said);
            continue;
        }
        assert_int_equal(ulv_database_query(db, kind, 0, buf, sizeof(buf),
                                            &bytes, &count, &more),
                         ULV_OK);
        assert_false(more);
        for (uint32_t i = 0; i < count; i++) {
            if (concerns(db, kind, buf + (size_t)i * bytes, partition))
                say(said, kind, buf + (size_t)i * bytes, bytes);
        }
    }
}

static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(readings[0].was.one[0]));
}

static void
are_equal(struct said *a, struct said *b)
{
    assert_int_equal(a->count, b->count);
    qsort(a->one, a->count, sizeof(a->one[0]), compare);
    qsort(b->one, b->count, sizeof(b->one[0]), compare);
    assert_memory_equal(a->one, b->one, a->count * sizeof(a->one[0]));
}

/* One piece, of a few records. */
static bool
go_on(struct ulv_database *db, struct reading *r, size_t bytes)
{
    static uint8_t buf[65536];
    struct ulv_cursor_page page;

    assert_int_equal(ulv_database_cursor_next(db, owner, r->number, buf, bytes,
                                              &page),
                     ULV_OK);
    for (uint32_t i = 0; i < page.record_count; i++)
        say(&r->is, page.kind, buf + (size_t)i * page.record_bytes,
            page.record_bytes);
    return page.more;
}

static void
begin_reading(struct model *m, struct reading *r, uint64_t dice)
{
    uint32_t kinds = dice % 3 == 0 ? (uint32_t)(dice >> 8) & ALL_KINDS : 0;
    ulv_id partition = dice % 4 == 0 ? m->p[dice >> 24 & 7].id : 0;

    if (kinds == 0)
        kinds = ALL_KINDS;
    r->is.count = 0;
    r->left = dice >> 32 & 7;
    query_all(m->db, kinds, partition, &r->was);
    assert_int_equal(
        ulv_database_cursor_open(m->db, owner, kinds, partition, &r->number),
        ULV_OK);
}

/* Something that changes much, and is undone. */
static void
undo_something(struct model *m)
{
    struct ulv_operation o[3];
    struct ulv_request request = { .operations = o, .operation_count = 3 };
    struct ulv_plan *plan;
    uint32_t idx, i = 1;

    while (i < 8 && (m->p[i].id == 0 || m->p[i].runs))
        i++;
    memset(o, 0, sizeof(o));
    o[0] = create(m->next, ULV_PARTITION_GUEST, 9999);
    o[1].kind = ULV_OP_DESTROY_PARTITION;
    o[1].u.destroy_partition.id = m->next;
    o[2].kind = ULV_OP_DESTROY_PARTITION;
    o[2].u.destroy_partition.id = m->p[i].id;
    if (m->next % ULV_ID_LEASE_COUNT == 0 ||
        ulv_database_prepare(m->db, &request, &plan, &idx, NULL) != ULV_OK)
        return;
    assert_int_equal(ulv_database_cursor_next(m->db, owner, 1, o, sizeof(o),
                                              &(struct ulv_cursor_page){ 0 }),
                     ULV_E_BUSY);
    ulv_database_abort(m->db, plan);
}

static void
observe(struct model *m, struct ulv_changes *c)
{
    begin(m);
    assert_int_equal(ulv_changes_init(c, &m->t.host, m->revision), ULV_OK);
    assert_int_equal(ulv_database_observe(m->db, c), ULV_OK);
}

static void
end_observed(struct model *m, struct ulv_changes *c)
{
    ulv_database_unobserve(m->db);
    ulv_changes_fini(c);
    end(m);
}

static void
test_database_cursor__says_what_was(void **state)
{
    static struct model m;
    struct ulv_changes c;
    uint64_t dice = model_seed;
    uint32_t done = 0;

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)model_seed);
    observe(&m, &c);
    for (uint64_t n = 0; n < steps; n++) {
        model_step(&m);
        undo_something(&m);
        for (uint32_t i = 0; i < OPEN_MAX; i++) {
            struct reading *r = &readings[i];

            dice = dice * UINT64_C(6364136223846793005) +
                   UINT64_C(1442695040888963407);
            if (r->number == 0) {
                begin_reading(&m, r, dice >> 8);
            } else if (r->left > 0) {
                r->left--;
            } else if (!go_on(m.db, r, 512 + (dice >> 40 & 2047))) {
                are_equal(&r->was, &r->is);
                r->number = 0;
                done++;
            }
        }
    }
    assert_true(done > 10);
    end_observed(&m, &c);
}

static void
test_database_cursor__is_bounded(void **state)
{
    static struct model m;
    static uint8_t buf[65536];
    const uint32_t partitions = 1u << ULV_QUERY_PARTITIONS;
    struct ulv_cursor_page page;
    struct ulv_changes c;
    uint64_t number[ULV_CURSORS_MAX], another;

    (void)state;
    observe(&m, &c);
    assert_int_equal(ulv_database_cursor_open(m.db, owner, 0, 0, &another),
                     ULV_E_ARG);
    assert_int_equal(ulv_database_cursor_open(m.db, owner,
                                              1u << ULV_QUERY_USAGE, 0,
                                              &another),
                     ULV_E_ARG);
    for (uint32_t i = 0; i < ULV_CURSORS_MAX; i++)
        assert_int_equal(ulv_database_cursor_open(m.db, owner, partitions, 0,
                                                  &number[i]),
                         ULV_OK);
    assert_int_equal(
        ulv_database_cursor_open(m.db, owner, partitions, 0, &another),
        ULV_E_LIMIT);
    /* nobody else's, no such one, no room */
    assert_int_equal(ulv_database_cursor_next(m.db, other, number[0], buf,
                                              sizeof(buf), &page),
                     ULV_E_EXPIRED);
    assert_int_equal(ulv_database_cursor_next(m.db, owner, 4711, buf,
                                              sizeof(buf), &page),
                     ULV_E_EXPIRED);
    assert_int_equal(
        ulv_database_cursor_next(m.db, owner, number[0], buf, 8, &page),
        ULV_E_ARG);
    ulv_database_cursor_close(m.db, other, number[0]);
    assert_int_equal(ulv_database_cursor_next(m.db, owner, number[0], buf,
                                              sizeof(buf), &page),
                     ULV_OK);
    assert_false(page.more);
    assert_int_equal(page.record_count, 4); /* with idle */
    ulv_database_cursor_close(m.db, owner, number[1]);
    /* time: the clock of the test is the test's */
    m.t.now += ULV_CURSOR_IDLE;
    assert_int_equal(ulv_database_cursor_next(m.db, owner, number[2], buf,
                                              sizeof(buf), &page),
                     ULV_E_EXPIRED);
    assert_int_equal(
        ulv_database_cursor_open(m.db, owner, partitions, 0, &another),
        ULV_OK);
    assert_int_equal(m.db->observed->cursor_count, 1); /* that one */
    end_observed(&m, &c);
}

/* More changes than are kept: it is over, and gives back all it had. */
static void
test_database_cursor__what_changes_too_much_ends_it(void **state)
{
    static struct model m;
    static uint8_t buf[65536];
    struct ulv_cursor_page page;
    struct ulv_changes c;
    uint64_t number;
    ulv_id one;
    struct ulv_operation o[2];

    (void)state;
    observe(&m, &c);
    memset(o, 0, sizeof(o));
    o[0] = create(m.next++, ULV_PARTITION_GUEST, 1);
    one = o[0].u.create_partition.id;
    assert_int_equal(commit(&m, o, 1), ULV_OK);
    /* one can be kept once only */
    assert_int_equal(ulv_database_cursor_open(m.db, owner,
                                              1u << ULV_QUERY_PARTITIONS, 0,
                                              &number),
                     ULV_OK);
    o[0].kind = ULV_OP_ASSIGN_MEMORY;
    memset(&o[0].u, 0, sizeof(o[0].u));
    o[0].u.assign_memory.partition = one;
    o[0].u.assign_memory.bytes = 4096;
    o[0].u.assign_memory.node = ULV_NODE_ANY;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(commit(&m, o, 1), ULV_OK);
    assert_int_equal(ulv_database_cursor_next(m.db, owner, number, buf,
                                              sizeof(buf), &page),
                     ULV_OK);
    assert_int_equal(page.record_count, 5);
    assert_false(page.more);
    /* no memory for it is no failure of the transaction */
    assert_int_equal(ulv_database_cursor_open(m.db, owner,
                                              1u << ULV_QUERY_EXTENTS, 0,
                                              &number),
                     ULV_OK);
    o[0].kind = ULV_OP_RELEASE_MEMORY;
    o[0].u.words[0] = one;
    o[0].u.release_memory.guest_address = ULV_GUEST_RAM_BASE;
    o[0].u.release_memory.bytes = 4096;
    ulv_test_host_fail_at(&m.t, 1);
    assert_int_equal(commit(&m, o, 1), ULV_OK);
    ulv_test_host_fail_at(&m.t, 0);
    assert_int_equal(ulv_database_cursor_next(m.db, owner, number, buf,
                                              sizeof(buf), &page),
                     ULV_E_EXPIRED);
    assert_int_equal(m.db->observed->cursor_count, 0);
    end_observed(&m, &c);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_cursor__says_what_was),
        cmocka_unit_test(test_database_cursor__is_bounded),
        cmocka_unit_test(test_database_cursor__what_changes_too_much_ends_it),
    };

    if (argc > 1)
        steps = strtoull(argv[1], NULL, 10);
    if (getenv("ULV_SEED") != NULL)
        model_seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
