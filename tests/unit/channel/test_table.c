/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A shared table: values, successors, what a hostile writer can do to readers,
 * and one writer beside readers in threads. */
#include "../port/port_test.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <ultravisor/table.h>

#include "base/base.h"

#define BYTES   UINT64_C(8192)
#define ENTRIES 5u
#define WORDS   4u /* of a value */
#define VALUE   (WORDS * 8)
#define STRIDE  192u /* of an entry, as the document says */
#define FIRST   192u

struct value {
    uint64_t word[WORDS];
};

struct fixture {
    struct ulv_table_section *section; /* between guard pages */
    struct ulv_table_writer writer;
    struct ulv_table_reader reader;
};

static void
begin(struct fixture *f)
{
    uint8_t *p = mmap(NULL, BYTES + 8192, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    f->section = (void *)(p + 4096);
    assert_int_equal(mprotect(f->section, BYTES, PROT_READ | PROT_WRITE), 0);
    ulv_table_reader_init(&f->reader, f->section, BYTES);
}

static void
end(struct fixture *f)
{
    (void)munmap((uint8_t *)f->section - 4096, BYTES + 8192);
}

static void
take(struct fixture *f)
{
    assert_int_equal(
        ulv_table_take(&f->writer, f->section, BYTES, ENTRIES, VALUE), ULV_OK);
}

static struct value
value_of(uint64_t n)
{
    struct value v;

    for (uint32_t i = 0; i < WORDS; i++)
        v.word[i] = n;
    return v;
}

static void
put(struct fixture *f, uint32_t idx, uint64_t n)
{
    struct value v = value_of(n);

    assert_int_equal(ulv_table_put(&f->writer, idx, &v), ULV_OK);
}

static ulv_status
get(const struct ulv_table_reader *reader, uint32_t idx, uint64_t *ret)
{
    struct value v = { { 0 } };
    ulv_status status = ulv_table_read(reader, idx, &v, sizeof(v), NULL);

    for (uint32_t i = 1; i < WORDS && status == ULV_OK; i++)
        assert_int_equal(v.word[i], v.word[0]);
    *ret = v.word[0];
    return status;
}

static void
has(struct fixture *f, uint32_t idx, uint64_t n)
{
    uint64_t found;

    assert_int_equal(get(&f->reader, idx, &found), ULV_OK);
    assert_int_equal(found, n);
}

static uint64_t *
sequence_of(struct fixture *f, uint32_t idx)
{
    return (void *)((uint8_t *)f->section + FIRST + idx * STRIDE);
}

static void
test_channel_table__shows_what_was_put(void **state)
{
    struct fixture f;
    struct value v;
    uint64_t changes, n;

    (void)state;
    begin(&f);
    assert_int_equal(ulv_table_refresh(&f.reader, &changes), ULV_E_AGAIN);
    assert_int_equal(get(&f.reader, 0, &n), ULV_E_NOT_FOUND);
    take(&f);
    assert_int_equal(ulv_table_refresh(&f.reader, &changes), ULV_OK);
    assert_int_equal(changes, 0);
    assert_int_equal(get(&f.reader, 0, &n), ULV_E_NOT_FOUND);
    for (uint64_t i = 1; i <= 20; i++) {
        put(&f, 2, i);
        has(&f, 2, i);
        assert_int_equal(
            ulv_table_read(&f.reader, 2, &v, sizeof(v), &n), ULV_OK);
        assert_int_equal(n, i);
    }
    assert_int_equal(get(&f.reader, 1, &n), ULV_E_NOT_FOUND);
    assert_int_equal(get(&f.reader, ENTRIES, &n), ULV_E_NOT_FOUND);
    assert_int_equal(ulv_table_read(&f.reader, 2, &v, 8, NULL), ULV_E_FORMAT);
    assert_int_equal(ulv_table_put(&f.writer, ENTRIES, &v), ULV_E_NOT_FOUND);
    put(&f, ENTRIES - 1, 99);
    has(&f, ENTRIES - 1, 99);
    assert_int_equal(ulv_table_refresh(&f.reader, &changes), ULV_OK);
    assert_int_equal(changes, 21);
    assert_int_equal(ulv_table_state(&f.reader), 0);
    ulv_table_set_state(&f.writer, 7);
    assert_int_equal(ulv_table_state(&f.reader), 7);
    end(&f);
}

static void
test_channel_table__asks_to_be_rung(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_false(ulv_table_is_awaited(&f.reader));
    take(&f);
    assert_false(ulv_table_is_awaited(&f.reader));
    ulv_table_await(&f.writer, true);
    assert_true(ulv_table_is_awaited(&f.reader));
    take(&f); /* a successor has not asked */
    assert_false(ulv_table_is_awaited(&f.reader));
    end(&f);
}

static void
test_channel_table__refuses_shapes(void **state)
{
    static const struct {
        uint64_t bytes;
        uint32_t count, entry;
        ulv_status status;
    } row[] = {
        { BYTES, 0, 8, ULV_E_ARG },
        { BYTES, 1, 0, ULV_E_ARG },
        { BYTES, 1, 12, ULV_E_ARG },
        { UINT64_MAX, 1, ULV_TABLE_ENTRY_BYTES_MAX + 8, ULV_E_ARG },
        { 0, 1, 8, ULV_E_LIMIT },
        { 191, 1, 8, ULV_E_LIMIT },
        { 255, 1, 8, ULV_E_LIMIT },
        { 256, 1, 8, ULV_OK },
        { 256, 2, 8, ULV_E_LIMIT },
        { BYTES, UINT32_MAX, 8, ULV_E_LIMIT },
        { BYTES, UINT32_MAX, ULV_TABLE_ENTRY_BYTES_MAX, ULV_E_LIMIT },
        { BYTES, 41, 40, ULV_OK },
        { BYTES, 42, 40, ULV_E_LIMIT },
    };
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < ULV_COUNT_OF(row); i++)
        assert_int_equal(ulv_table_take(&f.writer, f.section, row[i].bytes,
                                        row[i].count, row[i].entry),
                         row[i].status);
    end(&f);
}

static void
test_channel_table__a_successor_keeps_values(void **state)
{
    struct fixture f;
    uint64_t n;

    (void)state;
    begin(&f);
    take(&f);
    put(&f, 0, 1);
    put(&f, 0, 2);
    ulv_table_set_state(&f.writer, 3);
    assert_int_equal(ulv_table_refresh(&f.reader, NULL), ULV_OK);
    /* it died while it wrote 3 */
    memset((uint8_t *)sequence_of(&f, 0) + 8 + 3 * VALUE, 3, VALUE / 2);
    has(&f, 0, 2);
    take(&f);
    assert_int_equal(get(&f.reader, 0, &n), ULV_E_AGAIN); /* another writer */
    assert_int_equal(ulv_table_refresh(&f.reader, &n), ULV_OK);
    assert_int_equal(n, 2);
    has(&f, 0, 2);
    assert_int_equal(ulv_table_state(&f.reader), 3);
    put(&f, 0, 3);
    has(&f, 0, 3);
    end(&f);
}

static void
test_channel_table__another_shape_empties(void **state)
{
    struct fixture f;
    uint64_t n, epoch;

    (void)state;
    begin(&f);
    take(&f);
    put(&f, 0, 1);
    assert_int_equal(ulv_table_refresh(&f.reader, NULL), ULV_OK);
    epoch = f.section->epoch;
    assert_int_equal(
        ulv_table_take(&f.writer, f.section, BYTES, ENTRIES + 1, VALUE),
        ULV_OK);
    assert_int_equal(f.section->epoch, epoch + 2);
    assert_int_equal(get(&f.reader, 0, &n), ULV_E_AGAIN);
    assert_int_equal(ulv_table_refresh(&f.reader, &n), ULV_OK);
    assert_int_equal(n, 0);
    assert_int_equal(get(&f.reader, 0, &n), ULV_E_NOT_FOUND);
    /* one that died while it emptied the section: empty, whatever it says */
    put(&f, 0, 1);
    f.section->epoch++;
    assert_int_equal(ulv_table_refresh(&f.reader, &n), ULV_E_AGAIN);
    assert_int_equal(get(&f.reader, 0, &n), ULV_E_NOT_FOUND);
    assert_int_equal(
        ulv_table_take(&f.writer, f.section, BYTES, ENTRIES + 1, VALUE),
        ULV_OK);
    assert_int_equal(ulv_table_refresh(&f.reader, &n), ULV_OK);
    assert_int_equal(get(&f.reader, 0, &n), ULV_E_NOT_FOUND);
    end(&f);
}

/* What a writer says that means harm. */
static void
test_channel_table__a_shape_that_cannot_be(void **state)
{
    static const struct ulv_table_section row[] = {
        { ULV_TABLE_MAGIC + 1, 1, ENTRIES, VALUE },
        { ULV_TABLE_MAGIC, 0, ENTRIES, VALUE },
        { ULV_TABLE_MAGIC, 2, ENTRIES, VALUE },
        { ULV_TABLE_MAGIC, 1, 0, VALUE },
        { ULV_TABLE_MAGIC, 1, 42, VALUE },
        { ULV_TABLE_MAGIC, 1, UINT32_MAX, VALUE },
        { ULV_TABLE_MAGIC, 1, ENTRIES, 0 },
        { ULV_TABLE_MAGIC, 1, ENTRIES, VALUE + 4 },
        { ULV_TABLE_MAGIC, 1, ENTRIES, 4096 },
        { ULV_TABLE_MAGIC, 1, ENTRIES, UINT32_MAX - 7 },
        { ULV_TABLE_MAGIC, 1, UINT32_MAX, ULV_TABLE_ENTRY_BYTES_MAX },
    };
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < ULV_COUNT_OF(row); i++) {
        uint64_t n;

        *f.section = row[i];
        f.section->epoch = 2;
        assert_int_equal(ulv_table_refresh(&f.reader, NULL), ULV_E_FORMAT);
        assert_int_equal(get(&f.reader, 0, &n), ULV_E_NOT_FOUND);
    }
    take(&f);
    for (uint64_t bytes = 0; bytes < FIRST + ENTRIES * STRIDE; bytes += 8) {
        struct ulv_table_reader reader;

        ulv_table_reader_init(&reader, f.section, bytes);
        assert_int_equal(ulv_table_refresh(&reader, NULL), ULV_E_FORMAT);
        if (bytes < sizeof(*f.section)) {
            assert_int_equal(ulv_table_state(&reader), 0);
            assert_false(ulv_table_is_awaited(&reader));
        }
    }
    end(&f);
}

/* What was latched is what counts, and numbers may be any. */
static void
test_channel_table__a_hostile_writer(void **state)
{
    uint64_t seed = 1;
    struct fixture f;

    (void)state;
    begin(&f);
    take(&f);
    assert_int_equal(ulv_table_refresh(&f.reader, NULL), ULV_OK);
    for (uint32_t round = 0; round < 20000; round++) {
        uint64_t n, *word = (uint64_t *)(void *)f.section;
        struct value v;
        ulv_status status;

        seed = seed * UINT64_C(6364136223846793005) + 1;
        if (round % 64 != 0)
            word[seed >> 33 & 0x3ff] = seed;
        else
            f.section->epoch = f.reader.epoch;
        status = ulv_table_read(&f.reader, round % (ENTRIES + 1), &v,
                                sizeof(v), &n);
        assert_true(status == ULV_OK || status == ULV_E_AGAIN ||
                    status == ULV_E_NOT_FOUND);
        if (round % 256 == 0)
            (void)ulv_table_refresh(&f.reader, &n);
        if (f.reader.entry_bytes != VALUE || f.reader.entry_count != ENTRIES) {
            take(&f);
            assert_int_equal(ulv_table_refresh(&f.reader, NULL), ULV_OK);
        }
    }
    end(&f);
}

/* What readers write into a section that is not theirs harms its writer's
 * values, not its writer. */
static void
test_channel_table__a_hostile_reader(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    take(&f);
    for (uint32_t i = 0; i < 4096; i++) {
        memset(f.section, (int)(i * 37), BYTES);
        put(&f, i % ENTRIES, i);
    }
    take(&f);
    assert_int_equal(ulv_table_refresh(&f.reader, NULL), ULV_OK);
    put(&f, 0, 5);
    has(&f, 0, 5);
    end(&f);
}

/* ---- threads ------------------------------------------------------------- */

#define PUTS    20000u
#define READERS 2u
#define MEET    500u

struct look {
    struct ulv_table_reader reader;
    const char *wrong;
    uint64_t read_count, lapped;
};

static void *
look_on(void *argument)
{
    struct look *l = argument;
    uint64_t last = 0, number = 0;

    while (last < PUTS) {
        struct value v;
        ulv_status status = ulv_table_read(&l->reader, 0, &v, sizeof(v),
                                           &number);

        if (status == ULV_E_NOT_FOUND || status == ULV_E_AGAIN) {
            l->lapped += status == ULV_E_AGAIN;
            (void)ulv_table_refresh(&l->reader, NULL);
            continue;
        }
        for (uint32_t i = 0; i < WORDS; i++) {
            if (v.word[i] != number)
                l->wrong = "half a value";
        }
        if (status != ULV_OK || number < last)
            l->wrong = "an older value, or none";
        last = number;
        /* with meet() */
        __atomic_store_n(&l->read_count, l->read_count + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* Until each has read something since: else they all sleep meanwhile. */
static void
meet(const struct look look[READERS])
{
    for (uint32_t i = 0; i < READERS; i++) {
        const uint64_t *count = &look[i].read_count;
        uint64_t before = __atomic_load_n(count, __ATOMIC_ACQUIRE);

        while (__atomic_load_n(count, __ATOMIC_ACQUIRE) == before)
            (void)sched_yield();
    }
}

static void
test_channel_table__beside_readers(void **state)
{
    static struct look look[READERS];
    pthread_t thread[READERS];
    struct fixture f;

    (void)state;
    begin(&f);
    for (uint32_t i = 0; i < READERS; i++) {
        ulv_table_reader_init(&look[i].reader, f.section, BYTES);
        assert_int_equal(
            pthread_create(&thread[i], NULL, look_on, &look[i]), 0);
    }
    take(&f);
    for (uint64_t n = 1; n <= PUTS; n++) {
        put(&f, 0, n);
        if (n % MEET == 0 && n != PUTS)
            meet(look);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        if (look[i].wrong != NULL)
            fail_msg("%s", look[i].wrong);
        print_message("# %llu values, lapped %llu times\n",
                      (unsigned long long)look[i].read_count,
                      (unsigned long long)look[i].lapped);
    }
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_table__shows_what_was_put),
        cmocka_unit_test(test_channel_table__asks_to_be_rung),
        cmocka_unit_test(test_channel_table__refuses_shapes),
        cmocka_unit_test(test_channel_table__a_successor_keeps_values),
        cmocka_unit_test(test_channel_table__another_shape_empties),
        cmocka_unit_test(test_channel_table__a_shape_that_cannot_be),
        cmocka_unit_test(test_channel_table__a_hostile_writer),
        cmocka_unit_test(test_channel_table__a_hostile_reader),
        cmocka_unit_test(test_channel_table__beside_readers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
