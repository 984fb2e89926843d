/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Publishing and reading a view: round trips, laps, limits, hostile bytes. */
#include "../port/port_test.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/base.h"
#include "view/publish.h"
#include "view/read_fast.h"

#define MUTATIONS 20000

struct fixture {
    uint8_t *segment; /* between two guard pages */
    uint64_t bytes;
    struct ulv_view_publisher publisher;
    struct ulv_view_reader reader;
};

static void
begin_of(struct fixture *f, uint64_t bytes)
{
    uint8_t *p = mmap(NULL, bytes + 8192, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    f->segment = p + 4096;
    f->bytes = bytes;
    assert_int_equal(mprotect(f->segment, bytes, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(
        ulv_view_publisher_init(&f->publisher, f->segment, bytes, 0, 7, 1),
        ULV_OK);
    ulv_view_reader_init(&f->reader, f->segment, bytes);
}

static void
begin(struct fixture *f)
{
    begin_of(f, ULV_VIEW_SEGMENT_BYTES);
}

static void
end(struct fixture *f)
{
    (void)munmap(f->segment - 4096, f->bytes + 8192);
}

static uint64_t
publish(struct fixture *f, uint32_t memory_count, uint64_t mark)
{
    static struct ulv_view_memory memory[4096];
    struct ulv_view_partition partition = { .id = 7, .intent = 1 };
    struct ulv_view_section section[2] = {
        { ULV_VIEW_PARTITION, sizeof(partition), 1, &partition },
        { ULV_VIEW_MEMORY, sizeof(memory[0]), memory_count, memory },
    };

    for (uint32_t i = 0; i < memory_count; i++)
        memory[i].guest_address = mark + i;
    if (ulv_view_prepare(&f->publisher, section, 2, NULL) != ULV_OK)
        return 0;
    return ulv_view_publish(&f->publisher);
}

/* How many more times there is memory. */
static uint32_t memory_left;

static ulv_status
back(void *self, void *p, uint64_t bytes)
{
    (void)self;
    if (memory_left == 0)
        return ULV_E_NO_MEMORY;
    memory_left--;
    assert_int_equal(mprotect(p, bytes, PROT_READ | PROT_WRITE), 0);
    return ULV_OK;
}

/* Pages that nobody made sure of are not touched; where there is no memory for
 * more, what is shown stays. */
static void
test_view__a_lazy_segment(void **state)
{
    static const struct ulv_host host = { .memory_back = back };
    const uint64_t begin_bytes = ULV_VIEW_BACK_PAGES * ULV_VIEW_PAGE_BYTES;
    struct fixture f;
    uint64_t generation = 0, next, read;

    (void)state;
    begin(&f);
    assert_int_equal(mprotect(f.segment + begin_bytes,
                              ULV_VIEW_SEGMENT_BYTES - begin_bytes, PROT_NONE),
                     0);
    ulv_view_publisher_lazy(&f.publisher, &host);
    memory_left = 1;
    while ((next = publish(&f, 200, generation * 1000)) != 0)
        generation = next;
    assert_int_equal(f.publisher.backed, 2 * ULV_VIEW_BACK_PAGES);
    assert_true(f.publisher.lacks_memory);
    assert_int_equal(ulv_view_refresh(&f.reader, &read), ULV_OK);
    assert_int_equal(read, generation);
    memory_left = 1;
    assert_int_equal(publish(&f, 200, 5), generation + 1);
    assert_int_equal(f.publisher.backed, 3 * ULV_VIEW_BACK_PAGES);
    end(&f);
}

#define RECORDS_MAX 20

/* The reader finds so many, all as they should be. */
static void
check_kind(struct fixture *f, const struct ulv_view_section *section,
           const void *expected)
{
    const uint32_t bytes = section->record_bytes;
    struct ulv_view_partition largest;

    for (uint32_t i = 0; i <= section->record_count; i++) {
        const bool is_there = i < section->record_count;

        assert_int_equal(
            ulv_view_read_newest(&f->reader, section->kind, i, &largest, bytes),
            is_there ? ULV_OK : ULV_E_NOT_FOUND);
        if (is_there)
            assert_memory_equal(&largest, (const uint8_t *)expected + i * bytes,
                                bytes);
    }
}

/* Which kinds change is drawn, and how many records they have; of those that do
 * not is said that they are the same, and what stands in their place is not
 * true. */
static void
test_view__what_is_the_same_stays(void **state)
{
    static uint8_t shown[2][RECORDS_MAX * sizeof(struct ulv_view_partition)];
    static const uint8_t not_true[sizeof(shown[0])];
    struct ulv_view_section section[2] = {
        { ULV_VIEW_PARTITION, sizeof(struct ulv_view_partition), 1, NULL },
        { ULV_VIEW_MEMORY, sizeof(struct ulv_view_memory), 2, NULL },
    };
    uint64_t seed = 7;
    struct fixture f;

    (void)state;
    begin(&f);
    for (uint64_t n = 1; n <= 4000; n++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        for (uint32_t i = 0; i < 2; i++) {
            const uint32_t draw = (uint32_t)(seed >> (20 + 16 * i)) % 65536;
            const bool changes = n == 1 || draw % 4 <= 2 - 2 * i;

            section[i].same = changes ? 0 : UINT32_MAX;
            section[i].records = changes ? shown[i] : not_true;
            if (changes)
                memset(shown[i], (int)n, sizeof(shown[i]));
            if (changes && draw / 4 % 8 == 0)
                section[i].record_count = 1 + draw / 32 % (8 + 12 * i);
        }
        assert_int_equal(ulv_view_prepare(&f.publisher, section, 2, NULL),
                         ULV_OK);
        ulv_view_acknowledge(&f.publisher, ulv_view_publish(&f.publisher));
        for (uint32_t i = 0; i < 2; i++)
            check_kind(&f, &section[i], shown[i]);
    }
    end(&f);
}

/* As much as a picture can have, all of it new in each generation, and a
 * monitor that has not moved on since the first. */
static void
test_view__grows(void **state)
{
    const uint32_t count = 4096;
    struct ulv_view_memory memory;
    struct ulv_view_reader slow;
    struct fixture f;
    uint64_t generation;

    (void)state;
    begin_of(&f, ULV_VIEW_SEGMENT_BYTES_MAX);
    assert_int_equal(publish(&f, count, 1000000), 1);
    ulv_view_acknowledge(&f.publisher, 1);
    ulv_view_reader_init(&slow, f.segment, f.bytes);
    assert_int_equal(ulv_view_refresh(&slow, &generation), ULV_OK);
    for (uint64_t n = 2; n <= 40; n++) {
        if (n == 20) /* all that was kept for it is free now */
            ulv_view_acknowledge(&f.publisher, n - 1);
        generation = publish(&f, count, n * 1000000);
        if (generation == 0) {
            assert_true(n > ULV_VIEW_COPIES);
            ulv_view_acknowledge(&f.publisher, n - 1);
            generation = publish(&f, count, n * 1000000);
        }
        assert_int_equal(generation, n);
        assert_int_equal(ulv_view_read_newest(&f.reader, ULV_VIEW_MEMORY,
                                              count - 1, &memory,
                                              sizeof(memory)),
                         ULV_OK);
        assert_int_equal(memory.guest_address, n * 1000000 + count - 1);
        if (n <= ULV_VIEW_COPIES)
            assert_int_equal(ulv_view_read(&slow, ULV_VIEW_MEMORY, count / 2,
                                           &memory, sizeof(memory)),
                             ULV_OK);
    }
    end(&f);
}

static void
test_view__segments_that_cannot_be(void **state)
{
    static const uint64_t bytes[] = { 0, 4096, 262143, 262145, 262144 + 4096,
                                      ULV_VIEW_SEGMENT_BYTES_MAX + 65536 };
    static struct ulv_view_publisher publisher;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(bytes); i++)
        assert_int_equal(
            ulv_view_publisher_init(&publisher, NULL, bytes[i], 0, 7, 1),
            ULV_E_ARG);
}

/* The same record again and again, while everything about it changes. */
static void
test_view__read_fast(void **state)
{
    struct ulv_view_memory memory;
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(ulv_view_read_fast(&f.reader, ULV_VIEW_MEMORY, 1, &memory,
                                        sizeof(memory)),
                     ULV_E_AGAIN);
    for (uint64_t n = 1; n <= 60; n++) {
        const uint32_t count = (uint32_t)(n * 37 % 220 + 2);

        assert_int_equal(publish(&f, count, n * 1000), n);
        ulv_view_acknowledge(&f.publisher, n);
        for (uint32_t again = 0; again < 3; again++) {
            const uint32_t idx = n % 2 == 0 ? 1 : count - 1;

            assert_int_equal(ulv_view_read_fast(&f.reader, ULV_VIEW_MEMORY,
                                                idx, &memory, sizeof(memory)),
                             ULV_OK);
            assert_int_equal(memory.guest_address, n * 1000 + idx);
        }
        assert_int_equal(ulv_view_read_fast(&f.reader, ULV_VIEW_MEMORY, count,
                                            &memory, sizeof(memory)),
                         ULV_E_NOT_FOUND);
        assert_int_equal(
            ulv_view_read_fast(&f.reader, ULV_VIEW_MEMORY, 0, &memory, 8),
            ULV_E_FORMAT);
    }
    assert_int_equal(f.reader.retries, 0);
    end(&f);
}

static void
test_view__round_trip(void **state)
{
    struct fixture f;
    struct ulv_view_partition partition;
    struct ulv_view_memory memory;
    uint64_t generation;

    (void)state;
    begin(&f);
    assert_int_equal(ulv_view_refresh(&f.reader, &generation), ULV_E_AGAIN);
    assert_int_equal(publish(&f, 500, 1000), 1);
    assert_int_equal(ulv_view_refresh(&f.reader, &generation), ULV_OK);
    assert_int_equal(generation, 1);
    assert_int_equal(ulv_view_partition_read(&f.reader, &partition), ULV_OK);
    assert_int_equal(partition.id, 7);
    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(ulv_view_read(&f.reader, ULV_VIEW_MEMORY, i, &memory,
                                       sizeof(memory)),
                         ULV_OK);
        assert_int_equal(memory.guest_address, 1000 + i);
    }
    assert_int_equal(ulv_view_read(&f.reader, ULV_VIEW_MEMORY, 500, &memory,
                                   sizeof(memory)),
                     ULV_E_NOT_FOUND);
    assert_int_equal(ulv_view_read(&f.reader, ULV_VIEW_DEVICE, 0, &memory,
                                   sizeof(memory)),
                     ULV_E_NOT_FOUND);
    end(&f);
}

static void
test_view__old_generations_stay_readable(void **state)
{
    struct fixture f;
    struct ulv_view_memory memory;
    uint64_t generation;

    (void)state;
    begin(&f);
    (void)publish(&f, 10, 0);
    assert_int_equal(ulv_view_refresh(&f.reader, &generation), ULV_OK);
    ulv_view_acknowledge(&f.publisher, 1);
    for (uint64_t n = 1; n < 200; n++) {
        ulv_status status;
        uint64_t now = publish(&f, 10, n * 100);

        assert_int_equal(now, n + 1);
        status = ulv_view_read(&f.reader, ULV_VIEW_MEMORY, 3, &memory,
                               sizeof(memory));
        /* the acknowledged one for ever, whatever is published */
        assert_int_equal(status, ULV_OK);
        assert_int_equal(memory.guest_address, 3);
        if (n == 20)
            break;
    }
    ulv_view_acknowledge(&f.publisher, f.publisher.generation);
    for (uint64_t n = 0; n < 100; n++) {
        assert_int_not_equal(publish(&f, 10, n), 0);
        ulv_view_acknowledge(&f.publisher, f.publisher.generation);
    }
    assert_int_equal(ulv_view_read(&f.reader, ULV_VIEW_MEMORY, 3, &memory,
                                   sizeof(memory)),
                     ULV_E_AGAIN);
    assert_true(f.reader.retries > 0);
    end(&f);
}

/* A successor's segment comes in the place of the old one between any two
 * looks of a reader. */
static void
test_view__a_successor_in_its_place(void **state)
{
    struct fixture old, next;
    struct ulv_view_memory memory;
    uint64_t generation;

    (void)state;
    for (uint32_t before = 1; before < 12; before++) {
        begin(&old);
        begin(&next);
        for (uint64_t n = 1; n <= before; n++)
            assert_int_equal(publish(&old, 300, 1000 * n), n);
        assert_int_equal(
            ulv_view_publisher_succeed(&next.publisher, before), ULV_OK);
        assert_int_equal(publish(&next, 300, 5000000), before + 1);
        assert_int_equal(ulv_view_refresh(&old.reader, &generation), ULV_OK);
        assert_int_equal(ulv_view_read(&old.reader, ULV_VIEW_MEMORY, 0,
                                       &memory, sizeof(memory)),
                         ULV_OK);
        memcpy(old.segment, next.segment, ULV_VIEW_SEGMENT_BYTES);
        for (uint32_t i = 0; i < 300; i++)
            assert_int_equal(ulv_view_read(&old.reader, ULV_VIEW_MEMORY, i,
                                           &memory, sizeof(memory)),
                             ULV_E_AGAIN);
        assert_int_equal(ulv_view_refresh(&old.reader, &generation), ULV_OK);
        assert_int_equal(generation, before + 1);
        assert_int_equal(ulv_view_read(&old.reader, ULV_VIEW_MEMORY, 7,
                                       &memory, sizeof(memory)),
                         ULV_OK);
        assert_int_equal(memory.guest_address, 5000007);
        end(&next);
        end(&old);
    }
    begin(&next);
    assert_int_equal(ulv_view_publisher_succeed(&next.publisher,
                                                UINT64_C(1) << 47),
                     ULV_E_ARG);
    end(&next);
}

static void
test_view__says_limit_and_changes_nothing(void **state)
{
    struct fixture f;
    struct ulv_view_memory memory;
    uint64_t generation, published = 0;

    (void)state;
    begin(&f);
    assert_int_equal(publish(&f, 4096, 1), 1);
    while (publish(&f, 500, published * 7) != 0)
        published++; /* nobody acknowledges: pages run out */
    assert_true(published > 0);
    assert_int_equal(ulv_view_refresh(&f.reader, &generation), ULV_OK);
    assert_int_equal(generation, published + 1);
    assert_int_equal(ulv_view_read(&f.reader, ULV_VIEW_MEMORY, 0, &memory,
                                   sizeof(memory)),
                     ULV_OK);
    assert_int_equal(memory.guest_address, (published - 1) * 7);
    ulv_view_acknowledge(&f.publisher, generation);
    end(&f);
}

/* Of a view that is small there is not even a page for a directory; who comes
 * then finds it as it was, and it goes on. */
static void
test_view__says_limit_without_a_directory(void **state)
{
    struct fixture f;
    struct ulv_view_partition partition;
    uint64_t generation, published = 0;

    (void)state;
    begin(&f);
    while (publish(&f, 1, published) != 0)
        published++;
    assert_int_equal(published, f.publisher.pages - 1);
    assert_int_equal(publish(&f, 1, published), 0);
    assert_int_equal(ulv_view_refresh(&f.reader, &generation), ULV_OK);
    assert_int_equal(generation, published);
    assert_int_equal(ulv_view_partition_read(&f.reader, &partition), ULV_OK);
    assert_int_equal(partition.id, 7);
    ulv_view_acknowledge(&f.publisher, generation);
    assert_int_equal(publish(&f, 1, published), generation + 1);
    end(&f);
}

static void
test_view__any_bytes_yield_a_value_or_an_error(void **state)
{
    struct fixture f;
    uint64_t seed = 3, generation;

    (void)state;
    begin(&f);
    (void)publish(&f, 300, 1);
    for (uint32_t n = 0; n < MUTATIONS; n++) {
        uint8_t record[4096];
        uint64_t at;
        uint8_t was;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        at = (seed >> 20) % (6 * 4096);
        was = f.segment[at];
        f.segment[at] = (uint8_t)(seed >> 50);
        if (ulv_view_refresh(&f.reader, &generation) == ULV_OK) {
            for (uint32_t kind = 0; kind < 8; kind++)
                (void)ulv_view_read(&f.reader, kind, (uint32_t)(seed >> 60),
                                    record, kind * 8 + 8);
            (void)ulv_view_read(&f.reader, ULV_VIEW_MEMORY, UINT32_MAX,
                                record, sizeof(struct ulv_view_memory));
        }
        if (n % 8 != 0)
            f.segment[at] = was; /* sometimes they add up */
    }
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view__round_trip),
        cmocka_unit_test(test_view__what_is_the_same_stays),
        cmocka_unit_test(test_view__grows),
        cmocka_unit_test(test_view__segments_that_cannot_be),
        cmocka_unit_test(test_view__read_fast),
        cmocka_unit_test(test_view__a_lazy_segment),
        cmocka_unit_test(test_view__old_generations_stay_readable),
        cmocka_unit_test(test_view__a_successor_in_its_place),
        cmocka_unit_test(test_view__says_limit_and_changes_nothing),
        cmocka_unit_test(test_view__says_limit_without_a_directory),
        cmocka_unit_test(test_view__any_bytes_yield_a_value_or_an_error),
    };

    return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
