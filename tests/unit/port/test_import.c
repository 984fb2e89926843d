/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Random databases, written as JSON, read and written again: the same, byte by
 * byte. Then texts that say what cannot be. Argument: how many databases
 * (default 100); ULV_SEED sets the seed.
 */
#include "../database/journal_test.h"

#include <ultravisor/posix.h>

#include "database/database_priv.h"

#define OF_ONE_DATABASE 200u

static uint32_t states = 100;

struct written {
    char *p;
    size_t len;
};

static ulv_status
append(void *opaque, const void *p, size_t len)
{
    struct written *w = opaque;

    w->p = realloc(w->p, w->len + len + 1);
    assert_non_null(w->p);
    memcpy(w->p + w->len, p, len);
    w->len += len;
    w->p[w->len] = '\0';
    return ULV_OK;
}

static struct written
export_of(const struct ulv_test_storage *s)
{
    struct written w = { NULL, 0 };

    assert_int_equal(ulv_posix_export(&s->storage, append, &w, NULL), ULV_OK);
    return w;
}

static void
import_into(struct ulv_test_storage *s, const struct written *w)
{
    struct ulv_diag diag = ULV_DIAG_INIT;

    ulv_test_storage_init(s);
    if (ulv_posix_import(&s->storage, "db.json", w->p, w->len, &diag) !=
        ULV_OK) {
        print_message("# %s\n", diag.text);
        fail();
    }
}

/* It is a database like any other: found again, and it goes on. */
static void
use(const struct ulv_test_storage *s, const struct model *m)
{
    struct ulv_operation o = create(0, ULV_PARTITION_GUEST, 5000);
    struct ulv_request request = { .operations = &o, .operation_count = 1 };
    struct ulv_plan *plan;
    struct again a;
    uint64_t revision;
    uint32_t idx;

    assert_int_equal(open_again(&a, &s->storage), ULV_OK);
    assert_int_equal(ulv_database_revision(a.db), ulv_database_revision(m->db));
    assert_int_equal(
        ulv_journal_lease(a.journal, &o.u.create_partition.id, NULL), ULV_OK);
    assert_int_equal(
        ulv_journal_prepare(a.journal, &request, &plan, &idx, NULL), ULV_OK);
    assert_int_equal(ulv_journal_hold(a.journal, plan, NULL, &revision, NULL),
                     ULV_OK);
    assert_int_equal(ulv_journal_sync(a.journal, NULL), ULV_OK);
    assert_int_equal(ulv_database_check(a.db, NULL), ULV_OK);
    close_again(&a);
}

static void
compare(const struct ulv_test_storage *s, const struct model *m)
{
    static struct ulv_test_storage copy;
    struct written first = export_of(s), again;

    import_into(&copy, &first);
    again = export_of(&copy);
    assert_int_equal(again.len, first.len);
    assert_memory_equal(again.p, first.p, first.len);
    use(&copy, m);
    ulv_test_storage_fini(&copy);
    free(first.p);
    free(again.p);
}

/* With a partition of every role, as a system has. */
static void
begin_whole(struct model *m, const struct ulv_storage *storage)
{
    static const uint32_t kind[] = { ULV_PARTITION_BOOT,
                                     ULV_PARTITION_OPERATIONS,
                                     ULV_PARTITION_COMMAND };
    struct ulv_operation o[ULV_COUNT_OF(kind)];

    begin_journaled(m, storage);
    for (uint32_t i = 0; i < ULV_COUNT_OF(kind); i++)
        o[i] = create(m->next++, kind[i], 2000 + i);
    assert_int_equal(commit(m, o, ULV_COUNT_OF(kind)), ULV_OK);
}

static void
test_port_import__what_was_written_is_read_byte_by_byte(void **state)
{
    static struct ulv_test_storage s;
    static struct model m;

    (void)state;
    for (uint32_t done = 0; done < states;) {
        ulv_test_storage_init(&s);
        begin_whole(&m, &s.storage);
        for (uint32_t n = 0; n < OF_ONE_DATABASE && done < states;
             n++, done++) {
            model_step(&m);
            compare(&s, &m);
        }
        end_journaled(&m);
        ulv_test_storage_fini(&s);
    }
    print_message("# %u databases\n", states);
}

/* ---- what cannot be ------------------------------------------------------ */

/* A text with one place changed; NULL: the place is not there. */
static char *
replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    size_t len = strlen(text) + strlen(to) + 1;
    char *changed;

    if (at == NULL)
        return NULL;
    changed = calloc(1, len);
    assert_non_null(changed);
    memcpy(changed, text, (size_t)(at - text));
    strcat(changed, to);
    strcat(changed, at + strlen(from));
    return changed;
}

static uint64_t
line_at(const char *text, const char *place)
{
    uint64_t line = 1;

    for (const char *end = strstr(text, place); text < end; text++)
        line += *text == '\n';
    return line;
}

/* at: where it is found out; NULL: nowhere, it is of the whole. */
static void
is_refused(const char *text, const char *from, const char *to, const char *at,
           const char *words)
{
    char *changed = replaced(text, from, to), line[32];
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_test_storage s;
    struct ulv_text t;

    assert_non_null(changed);
    ulv_test_storage_init(&s);
    assert_int_equal(ulv_posix_import(&s.storage, "db.json", changed,
                                      strlen(changed), &diag),
                     ULV_E_FORMAT);
    ulv_text_init(&t, line, sizeof(line));
    if (at != NULL)
        ulv_text_format(&t, "db.json:%u: ", line_at(text, at));
    else
        ulv_text_format(&t, "db.json: ");
    if (strstr(diag.text, words) == NULL || strstr(diag.text, line) == NULL) {
        print_message("# %s -> %s: %s\n", from, to, diag.text);
        fail();
    }
    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
        assert_int_equal(s.now[i].bytes, 0);
    ulv_test_storage_fini(&s);
    free(changed);
}

static struct written
two_guests(struct ulv_test_storage *s)
{
    static struct model m;
    struct ulv_operation o[5];
    struct written w;

    ulv_test_storage_init(s);
    begin_whole(&m, &s->storage);
    memset(o, 0, sizeof(o));
    o[0] = create(m.next++, ULV_PARTITION_GUEST, 1);
    o[1] = create(m.next++, ULV_PARTITION_GUEST, 2);
    o[2].kind = ULV_OP_ASSIGN_MEMORY;
    o[2].u.assign_memory.partition = m.next - 1;
    o[2].u.assign_memory.bytes = ULV_MIB(4);
    o[2].u.assign_memory.node = ULV_NODE_ANY;
    o[3].kind = ULV_OP_ASSIGN_PROCESSORS;
    o[3].u.assign_processors.partition = m.next - 1;
    o[3].u.assign_processors.count = 1;
    o[3].u.assign_processors.mode = ULV_PROCESSOR_SHARED;
    o[3].u.assign_processors.quanta = 7;
    o[4].kind = ULV_OP_CONNECT;
    o[4].u.connect.server = m.next - 2;
    o[4].u.connect.client = m.next - 1;
    o[4].u.connect.channel = m.next++;
    o[4].u.connect.ring_bytes = 4096;
    assert_int_equal(commit(&m, o, 5), ULV_OK);
    w = export_of(s);
    end_journaled(&m);
    return w;
}

static void
test_port_import__what_cannot_be_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *from, *to, *words;
        const char *at; /* where it is found out; NULL: there */
    } wrong[] = {
        { "ultravisor database", "grocery list", "wanted" },
        { "\"version\": 3", "\"version\": 1", "version" },
        { "\"name\": \"p1\"", "\"name\": \"p2\"", "its name",
         "\"name\": \"p2\"" },
        { "\"name\": \"p2\"", "\"name\": 2", "a text wanted" },
        { "\"name\": \"p2\"", "\"name\": 2,\n\n\"more\": 0",
          "a text wanted" }, /* where the record begins */
        { "\"name\": \"p1000\"",
         "\"name\": "
         "\"a name that has more bytes than there is room for\"",
         "too long" },
        { "\"memory_bytes\": 4194304", "\"memory_bytes\": 4096",
         "memory_bytes is 4096, but by what the other records say it is "
         "4194304" },
        { "\"memory_bytes\": 4194304", "\"memory_bytes\": -1", "whole number" },
        { "\"memory_bytes\": 4194304", "\"no_bytes\": 4194304", "missing" },
        { "\"bytes\": 4194304", "\"bytes\": 134217728", "pages" },
        { "\"guest_address\": ", "\"guest_address\": 1", "guest address" },
        { "\"free_bytes\": ", "\"free_bytes\": 1", "free_bytes" },
        { "\"share_count\": 1", "\"share_count\": 2", "share_count" },
        { "\"retired\": 0", "\"retired\": 4294967296", "above 4294967295" },
        { "\"vcpu_idx\": 0", "\"vcpu_idx\": 1", "more processors" },
        { "\"quanta\": 127", "\"quanta\": 63", "idle_quanta",
         "\"idle_quanta\": 57" },
        { "\"processors\": [", "\"processors\": {", "an array wanted" },
        { "\"zones\": []", "\"zones\": [7]", "an object wanted" },
        { "\"zones\": []", "\"zones\": [], \"zones\": []", "twice" },
        { "\"version\": 3,", "\"version\": 3, \"version\": 3,",
          "version: it is there twice" },
        { "\"revision\": 3,", "\"revision\": 3, \"revision\": 3,",
          "revision: it is there twice" },
        { "\"version\": 3,", "\"version\": 3, \"format\": 1,",
          "format: it is there twice" },
        { "\"kind\": 16", "\"kind\": 8", "a second partition of its kind" },
        { "\"processor_count\": 1", "\"processor_count\": 2",
          "more processors than records of them" },
        { "\"flags\": 0, \"heir\": 0", "\"flags\": 1, \"heir\": 65546",
          "no other guest" },
        { "\"flags\": 0, \"heir\": 0", "\"flags\": 1, \"heir\": 65542",
          "no other guest" },
        { "\"ring_bytes\": 4096", "\"ring_bytes\": 4095",
          "a ring that is no power of two" },
        { "\"server\": 65545", "\"server\": 65537", "that is a role" },
        { "\"os_number\": 4", "\"os_number\": 5", "number of a processor",
         "\"os_number\": 5" },
    };
    struct ulv_test_storage s;
    struct written w = two_guests(&s);

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(wrong); i++)
        is_refused(w.p, wrong[i].from, wrong[i].to,
                   wrong[i].at == NULL ? wrong[i].from : wrong[i].at,
                   wrong[i].words);
    ulv_test_storage_fini(&s);
    free(w.p);
}

static void
test_port_import__memory_is_not_gone_that_cannot_be(void **state)
{
    struct ulv_test_storage s;
    struct written w = two_guests(&s);

    (void)state;
    is_refused(w.p, "\"gone_bytes\": 0", "\"gone_bytes\": 5",
               "\"gone_bytes\": 0",
               "gone_bytes is 5, but by what the other records say it is 0");
    is_refused(w.p, "\"gone_bytes\": 0", "\"gone_bytes\": 134217728",
               "\"gone_bytes\": 0", "what is gone of a pool");
    ulv_test_storage_fini(&s);
    free(w.p);
}

/* More ranges than there may be, all in one line. */
static char *
many_ranges(uint32_t count)
{
    const size_t bytes = 64 + (size_t)count * 100;
    char *text = calloc(1, bytes);
    struct ulv_text t;

    assert_non_null(text);
    ulv_text_init(&t, text, bytes);
    ulv_text_format(&t, "\"ranges\": [");
    for (uint64_t i = 0; i < count; i++)
        ulv_text_format(&t,
                        "%s{\"id\": %u, \"version\": 1, \"owner\": 65546, "
                        "\"first\": %u, \"count\": 1, \"kind\": 1}",
                        i == 0 ? "" : ", ", 100 + i, i);
    ulv_text_format(&t, "]");
    return text;
}

static void
test_port_import__the_whole_is_bounded(void **state)
{
    struct ulv_test_storage s;
    struct written w = two_guests(&s);
    char *ranges = many_ranges(ULV_DB_RANGES_MAX + 1);

    (void)state;
    is_refused(w.p, "\"revision\": 3", "\"revision\": 0", NULL,
               "records of revision 0");
    is_refused(w.p, "\"revision\": 3", "\"revision\": 2305843009213693953",
               NULL, "at most 2305843009213693952");
    is_refused(w.p, "\"kind\": 8", "\"kind\": 17", NULL,
               "there is no boot partition");
    is_refused(w.p, "\"ranges\": []", ranges, "\"ranges\": []",
               "more of its kind than there may be (4097)");
    ulv_test_storage_fini(&s);
    free(ranges);
    free(w.p);
}

static void
test_port_import__no_database_is_written_over(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_test_storage s;
    struct written w = two_guests(&s), again;

    (void)state;
    assert_int_equal(ulv_posix_import(&s.storage, "db.json", w.p, w.len, &diag),
                     ULV_E_EXISTS);
    again = export_of(&s);
    assert_string_equal(again.p, w.p);
    ulv_test_storage_fini(&s);
    free(again.p);
    free(w.p);
}

/* A text that ends anywhere is none. */
static void
test_port_import__a_text_that_is_cut_is_refused(void **state)
{
    struct ulv_test_storage s, empty;
    struct written w = two_guests(&s);

    (void)state;
    ulv_test_storage_init(&empty);
    for (size_t len = 0; len + 1 < w.len; len++) {
        struct ulv_diag diag = ULV_DIAG_INIT;

        assert_int_equal(
            ulv_posix_import(&empty.storage, "db.json", w.p, len, &diag),
            ULV_E_FORMAT);
        assert_int_equal(empty.now[0].bytes, 0);
    }
    ulv_test_storage_fini(&empty);
    ulv_test_storage_fini(&s);
    free(w.p);
}

/* ---- memory -------------------------------------------------------------- */

#define RECORDS_MAX 512u

/* Records of a storage, kept. */
struct kept {
    uint64_t bytes[65536];
    struct ulv_import_record records[RECORDS_MAX];
    struct ulv_import import;
    size_t used;
};

static ulv_status
keep(void *opaque, const struct ulv_cursor_records *page)
{
    struct kept *k = opaque;

    for (uint32_t i = 0; i < page->count; i++) {
        const size_t words = ulv_db_read_bytes(page->kind) / 8;
        struct ulv_import_record *r = &k->records[k->import.count++];

        assert_true(k->import.count <= RECORDS_MAX);
        assert_true(k->used + words <= ULV_COUNT_OF(k->bytes));
        memcpy(&k->bytes[k->used],
               (const uint64_t *)page->records + i * words, words * 8);
        r->record = &k->bytes[k->used];
        r->kind = page->kind;
        k->used += words;
    }
    k->import.revision = page->revision;
    return ULV_OK;
}

/* Each allocation fails in turn: a storage is filled or was not touched. */
static void
test_port_import__each_allocation_fails_in_turn(void **state)
{
    static struct kept k;
    struct ulv_test_storage s, to;
    struct written first = two_guests(&s), again;
    struct ulv_test_host t;
    uint64_t n = 0;
    bool failed;

    (void)state;
    assert_int_equal(
        ulv_storage_read(ulv_posix_host(), &s.storage, keep, &k, NULL),
        ULV_OK);
    k.import.size = sizeof(k.import);
    k.import.name = "records";
    k.import.records = k.records;
    do {
        struct ulv_diag diag = ULV_DIAG_INIT;
        ulv_status status;

        ulv_test_storage_init(&to);
        ulv_test_host_init(&t);
        ulv_test_host_fail_at(&t, ++n);
        status = ulv_storage_fill(&t.host, &to.storage, &k.import, &diag);
        failed = ulv_test_host_failed(&t);
        if (status != ULV_OK) { /* an index that does not grow is slower */
            assert_true(failed);
            assert_int_equal(status, ULV_E_NO_MEMORY);
            assert_true(diag.text[0] != '\0');
            assert_int_equal(to.now[ULV_STORAGE_CHECKPOINT].bytes, 0);
        } else {
            again = export_of(&to);
            assert_string_equal(again.p, first.p);
            free(again.p);
        }
        assert_int_equal(ulv_test_host_fini(&t), 0);
        ulv_test_storage_fini(&to);
    } while (failed);
    assert_true(n > 20);
    print_message("# %u allocations\n", (unsigned)n - 1);
    ulv_test_storage_fini(&s);
    free(first.p);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_port_import__what_was_written_is_read_byte_by_byte),
        cmocka_unit_test(
            test_port_import__what_cannot_be_is_refused_with_its_line),
        cmocka_unit_test(test_port_import__memory_is_not_gone_that_cannot_be),
        cmocka_unit_test(test_port_import__the_whole_is_bounded),
        cmocka_unit_test(test_port_import__no_database_is_written_over),
        cmocka_unit_test(test_port_import__a_text_that_is_cut_is_refused),
        cmocka_unit_test(test_port_import__each_allocation_fails_in_turn),
    };

    if (argc > 1)
        states = (uint32_t)strtoul(argv[1], NULL, 10);
    if (getenv("ULV_SEED") != NULL)
        model_seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
