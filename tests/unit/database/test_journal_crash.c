/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A crash at every byte of a journal. A workload writes; every call of its
 * storage is remembered. Then for each call, and each byte of what it appended,
 * the storage is made as it would lie there after a crash at that point, and
 * the database found in it is compared with what had been acknowledged.
 *
 * Argument: how many transactions (default 24); ULV_SEED sets the seed.
 */
#include "journal_test.h"

static uint64_t steps = 24;

#define APPEND   0u
#define SYNC     1u
#define TRUNCATE 2u
#define REPLACE  3u

struct call {
    uint32_t what, object;
    uint64_t bytes;   /* appended, or what stays */
    uint8_t *p;       /* appended */
    uint64_t acknowledged, asked; /* revisions, when it was made */
};

#define REVISIONS_MAX 4096u

struct trace {
    struct ulv_test_storage s;
    struct ulv_storage storage; /* remembers, then calls s.storage */
    struct call *call;
    uint32_t count, capacity;
    struct model m;
    uint64_t acknowledged, asked;
    struct said said[REVISIONS_MAX]; /* by revision */
};

static struct trace trace;

/* ---- remembering ------ */

static void
remember(uint32_t what, uint32_t object, uint64_t bytes, const void *p)
{
    struct call *c;

    if (trace.count == trace.capacity) {
        trace.capacity = 2 * trace.capacity + 64;
        trace.call =
            realloc(trace.call, trace.capacity * sizeof(*trace.call));
        assert_non_null(trace.call);
    }
    c = &trace.call[trace.count++];
    *c = (struct call){ what, object, bytes, NULL, trace.acknowledged,
                        trace.asked };
    if (p != NULL) {
        c->p = malloc(bytes);
        assert_non_null(c->p);
        memcpy(c->p, p, bytes);
    }
}

/* What is on its way into a segment is in the database already. */
static void
ask(void)
{
    uint64_t revision = ulv_database_revision(trace.m.db);

    assert_true(revision < REVISIONS_MAX);
    if (trace.said[revision].p == NULL)
        trace.said[revision] = say_all(trace.m.db);
    trace.asked = revision;
}

static ulv_status
trace_append(void *self, uint32_t object, const void *p, size_t len,
             struct ulv_diag *diag)
{
    if (trace.m.db != NULL)
        ask();
    remember(APPEND, object, len, p);
    return trace.s.storage.append(self, object, p, len, diag);
}

static ulv_status
trace_sync(void *self, uint32_t object, struct ulv_diag *diag)
{
    ulv_status status;

    remember(SYNC, object, 0, NULL);
    status = trace.s.storage.sync(self, object, diag);
    trace.acknowledged = trace.asked;
    return status;
}

static ulv_status
trace_truncate(void *self, uint32_t object, uint64_t bytes,
               struct ulv_diag *diag)
{
    remember(TRUNCATE, object, bytes, NULL);
    return trace.s.storage.truncate(self, object, bytes, diag);
}

static ulv_status
trace_replace(void *self, uint32_t from, uint32_t to, struct ulv_diag *diag)
{
    remember(REPLACE, from, to, NULL);
    return trace.s.storage.replace(self, from, to, diag);
}

/* ---- the workload ------ */

/* Two transactions that become durable at once. */
static void
commit_group(struct model *m, uint64_t number)
{
    for (uint64_t i = 0; i < 2; i++) {
        struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
        struct ulv_request request = { .operations = &o,
                                       .operation_count = 1 };
        struct ulv_plan *plan;
        uint64_t revision;
        uint32_t idx;

        o.u.set_state.partition = m->io[i];
        o.u.set_state.state = ULV_STATE_RUNNING;
        o.u.set_state.code = number;
        assert_int_equal(
            ulv_journal_prepare(m->journal, &request, &plan, &idx, NULL),
            ULV_OK);
        assert_int_equal(
            ulv_journal_hold(m->journal, plan, NULL, &revision, NULL), ULV_OK);
    }
    assert_int_equal(ulv_journal_sync(m->journal, NULL), ULV_OK);
    m->revision = ulv_database_revision(m->db);
}

static void
work(void)
{
    struct model *m = &trace.m;

    begin_journaled(m, &trace.storage);
    for (uint64_t n = 0; n < steps; n++) {
        model_step(m);
        if (n % 5 == 4)
            commit_group(m, n);
        if (n % 9 == 8)
            assert_int_equal(ulv_journal_checkpoint(m->journal, NULL), ULV_OK);
    }
    end_journaled(m);
}

/* ---- what is found ------ */

static void
expect(struct ulv_test_storage *s, const struct call *c)
{
    struct again a;
    uint64_t revision;

    if (open_again(&a, &s->storage) != ULV_OK) {
        print_message("# call %u: %s\n", (unsigned)(c - trace.call),
                      a.diag.text);
        fail();
    }
    revision = ulv_database_revision(a.db);
    if (revision != c->acknowledged && revision != c->asked) {
        print_message("# call %u: revision %llu, %llu was acknowledged\n",
                      (unsigned)(c - trace.call),
                      (unsigned long long)revision,
                      (unsigned long long)c->acknowledged);
        fail();
    }
    assert_true(revision == 0 || says(a.db, &trace.said[revision]));
    close_again(&a);
}

/* The storage as it is, with an object that has more at its end. */
static void
expect_with(const struct ulv_test_storage *base, const struct call *c,
            const uint8_t *more, uint64_t bytes)
{
    struct ulv_test_storage s;

    ulv_test_storage_init(&s);
    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
        ulv_test_storage_set(&s, i, base->now[i].p, base->now[i].bytes);
    assert_int_equal(
        s.storage.append(&s, c->object, more, bytes, NULL), ULV_OK);
    expect(&s, c);
    ulv_test_storage_fini(&s);
}

/* Cut at each byte; and torn: the end is there, a part before it is not. */
static void
crash_in_append(const struct ulv_test_storage *base, const struct call *c)
{
    uint8_t *torn = malloc(c->bytes);

    assert_non_null(torn);
    for (uint64_t cut = 0; cut <= c->bytes; cut++)
        expect_with(base, c, c->p, cut);
    for (uint64_t at = 0; at < c->bytes; at += 64) {
        const size_t len = (size_t)ULV_MIN(64, c->bytes - at);

        memcpy(torn, c->p, c->bytes);
        memset(torn + at, 0, len); /* never written */
        expect_with(base, c, torn, c->bytes);
        memset(torn + at, 0xa5, len); /* what lay there before */
        expect_with(base, c, torn, c->bytes);
        memset(torn, 0, at + len);
        expect_with(base, c, torn, c->bytes);
    }
    free(torn);
}

/* Only what was synced is there. */
static void
crash_unsynced(const struct ulv_test_storage *base, const struct call *c)
{
    struct ulv_test_storage s;

    ulv_test_storage_init(&s);
    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
        ulv_test_storage_set(&s, i, base->synced[i].p, base->synced[i].bytes);
    expect(&s, c);
    ulv_test_storage_fini(&s);
}

static void
repeat(struct ulv_test_storage *s, const struct call *c)
{
    const struct ulv_storage *storage = &s->storage;
    ulv_status status;

    if (c->what == APPEND)
        status = storage->append(s, c->object, c->p, c->bytes, NULL);
    else if (c->what == SYNC)
        status = storage->sync(s, c->object, NULL);
    else if (c->what == TRUNCATE)
        status = storage->truncate(s, c->object, c->bytes, NULL);
    else
        status = storage->replace(s, c->object, (uint32_t)c->bytes, NULL);
    assert_int_equal(status, ULV_OK);
}

static void
test_journal_crash__at_every_byte(void **state)
{
    struct ulv_test_storage base;
    uint64_t bytes = 0;

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)model_seed);
    ulv_test_storage_init(&trace.s);
    trace.storage = trace.s.storage;
    trace.storage.append = trace_append;
    trace.storage.sync = trace_sync;
    trace.storage.truncate = trace_truncate;
    trace.storage.replace = trace_replace;
    work();
    ulv_test_storage_init(&base);
    for (uint32_t i = 0; i < trace.count; i++) {
        const struct call *c = &trace.call[i];

        crash_unsynced(&base, c);
        if (c->what == APPEND)
            crash_in_append(&base, c);
        bytes += c->what == APPEND ? c->bytes : 0;
        repeat(&base, c);
        free(c->p);
    }
    print_message("# %llu bytes in %u calls, revision %llu\n",
                  (unsigned long long)bytes, trace.count,
                  (unsigned long long)trace.acknowledged);
    ulv_test_storage_fini(&base);
    ulv_test_storage_fini(&trace.s);
    free(trace.call);
    for (uint32_t i = 0; i < REVISIONS_MAX; i++)
        free(trace.said[i].p);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_crash__at_every_byte),
    };

    if (argc > 1)
        steps = strtoull(argv[1], NULL, 10);
    if (getenv("ULV_SEED") != NULL)
        model_seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
