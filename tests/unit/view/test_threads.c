/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One publisher and several readers in threads of their own. Each record of a
 * generation says which generation it is of, so that half a commit shows; and
 * the thread sanitizer sees a page that is used while it is being written.
 */
#include "../port/port_test.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "view/publish.h"
#include "view/read_fast.h"

#define COMMITS 4000u
#define READERS 4u
#define MEMORY  220u /* records at most: three pages */
#define SELDOM  (4 * ULV_VIEW_COPIES)
#define ROUNDS  50u

struct content {
    struct ulv_view_partition partition;
    struct ulv_view_memory memory[MEMORY];
    struct ulv_view_processor processor[5];
    uint32_t memory_count, processor_count;
};

static uint32_t
memory_count(uint64_t mark)
{
    return 1 + (uint32_t)(mark * 37 % MEMORY);
}

/* A section that changes seldom: its page stays for SELDOM generations. */
static uint32_t
processor_count(uint64_t mark)
{
    return 1 + (uint32_t)(mark / SELDOM % 5);
}

static struct ulv_view_memory
memory_of(uint64_t mark, uint32_t idx)
{
    struct ulv_view_memory memory = { .guest_address = mark,
                                      .frame = idx,
                                      .bytes = mark * 2654435761u + idx,
                                      .extent = memory_count(mark),
                                      .flags = (uint32_t)mark,
                                      .node = ~(uint32_t)mark };

    return memory;
}

static void
fill(struct content *c, uint64_t mark)
{
    memset(c, 0, sizeof(*c));
    c->partition.id = 7;
    c->partition.silence_limit = mark;
    c->memory_count = memory_count(mark);
    for (uint32_t i = 0; i < c->memory_count; i++)
        c->memory[i] = memory_of(mark, i);
    c->processor_count = processor_count(mark);
    for (uint32_t i = 0; i < c->processor_count; i++) {
        c->processor[i].id = mark / SELDOM;
        c->processor[i].vcpu_idx = i;
    }
}

static ulv_status
prepare(struct ulv_view_publisher *publisher, uint64_t mark)
{
    static struct content c; /* of the one publisher */
    struct ulv_view_section section[3] = {
        { ULV_VIEW_PARTITION, sizeof(c.partition), 1, &c.partition },
        { ULV_VIEW_MEMORY, sizeof(c.memory[0]), 0, c.memory },
        { ULV_VIEW_PROCESSOR, sizeof(c.processor[0]), 0, c.processor },
    };

    fill(&c, mark);
    section[1].record_count = c.memory_count;
    section[2].record_count = c.processor_count;
    return ulv_view_prepare(publisher, section, 3, NULL);
}

/* Show generation mark with what belongs to it. */
static const char *
commit(struct ulv_view_publisher *publisher, uint64_t mark)
{
    /* a transaction that fails in the end: nobody may ever see it */
    if (mark % 3 == 0 && prepare(publisher, mark + 1000000) != ULV_OK)
        return "no room to prepare";
    if (prepare(publisher, mark) != ULV_OK)
        return "no room to prepare again";
    if (ulv_view_publish(publisher) != mark)
        return "another generation was published";
    ulv_view_acknowledge(publisher, mark);
    return NULL;
}

struct look {
    struct ulv_view_reader reader, newest;
    bool lingers; /* in a generation, until it is gone */
    uint64_t pictures, lapped;
    const char *wrong;
};

static ulv_status
look_at_memory(struct look *l, uint64_t mark, uint32_t idx)
{
    struct ulv_view_memory memory, expected = memory_of(mark, idx);
    ulv_status status = ulv_view_read(&l->reader, ULV_VIEW_MEMORY, idx,
                                      &memory, sizeof(memory));

    if (status == ULV_OK && idx >= memory_count(mark))
        l->wrong = "more memory than there is";
    else if (status == ULV_E_NOT_FOUND && idx < memory_count(mark))
        l->wrong = "less memory than there is";
    else if (status == ULV_OK && memcmp(&memory, &expected, sizeof(memory)))
        l->wrong = "memory of another generation";
    return status == ULV_E_NOT_FOUND ? ULV_OK : status;
}

static ulv_status
look_at_processor(struct look *l, uint64_t mark, uint32_t idx)
{
    struct ulv_view_processor processor;
    ulv_status status = ulv_view_read(&l->reader, ULV_VIEW_PROCESSOR, idx,
                                      &processor, sizeof(processor));

    if ((status == ULV_OK) != (idx < processor_count(mark)) &&
        status != ULV_E_AGAIN)
        l->wrong = "another number of processors";
    else if (status == ULV_OK &&
             (processor.id != mark / SELDOM || processor.vcpu_idx != idx))
        l->wrong = "a processor of another generation";
    return status == ULV_E_NOT_FOUND ? ULV_OK : status;
}

/* All of the generation of the last refresh, or AGAIN. */
static ulv_status
look_at_all(struct look *l)
{
    uint64_t mark = (l->reader.root >> 16);
    uint32_t count = memory_count(mark);
    const uint32_t idx[] = { 0, count - 1, count, count / 2, 100, 101, 202,
                             UINT32_MAX };
    struct ulv_view_partition partition;
    ulv_status status = ulv_view_partition_read(&l->reader, &partition);

    if (status == ULV_OK &&
        (partition.id != 7 || partition.silence_limit != mark))
        l->wrong = "the partition of another generation";
    for (size_t i = 0; i < ULV_COUNT_OF(idx) && status == ULV_OK; i++)
        status = look_at_memory(l, mark, idx[i]);
    for (uint32_t i = 0; i < 6 && status == ULV_OK; i++)
        status = look_at_processor(l, mark, i);
    if (status != ULV_OK && status != ULV_E_AGAIN)
        l->wrong = ulv_status_name(status);
    if (status == ULV_E_AGAIN)
        l->lapped++;
    if (l->reader.retries != l->lapped)
        l->wrong = "retries are not counted";
    return status;
}

/* One record, again and again, of this generation or a later one. */
static void
look_at_newest(struct look *l, uint64_t newest)
{
    struct ulv_view_partition partition;
    ulv_status status = ulv_view_read_fast(&l->newest, ULV_VIEW_PARTITION, 0,
                                           &partition, sizeof(partition));

    if (status == ULV_OK &&
        (partition.id != 7 || partition.silence_limit < newest))
        l->wrong = "the newest is older than it was";
    else if (status != ULV_OK && status != ULV_E_AGAIN)
        l->wrong = ulv_status_name(status);
}

/* Be there when the pages of an old generation are written over. */
static void
linger(struct look *l)
{
    ulv_status status = ULV_OK;
    uint64_t newest = 0;

    while (status == ULV_OK && newest < COMMITS && l->wrong == NULL) {
        if (ulv_view_refresh(&l->newest, &newest) != ULV_OK)
            l->wrong = "the root word went away";
        look_at_newest(l, newest);
        status = look_at_memory(l, (l->reader.root >> 16), 0);
    }
    if (status == ULV_E_AGAIN)
        l->lapped++;
    else if (status != ULV_OK)
        l->wrong = ulv_status_name(status);
}

/* Look until the last generation was seen whole. */
static void *
keep_looking(void *opaque)
{
    struct look *l = opaque;
    uint64_t generation = 0, seen = 0;

    while (seen < COMMITS && l->wrong == NULL) {
        ulv_status status = ulv_view_refresh(&l->reader, &generation);

        if (status == ULV_E_AGAIN && seen == 0) {
            sched_yield(); /* nothing is published yet */
        } else if (status != ULV_OK || generation < seen) {
            l->wrong = "the root word went back or away";
        } else if (look_at_all(l) == ULV_OK) {
            seen = generation;
            l->pictures++;
            if (l->lingers)
                linger(l);
        }
    }
    return NULL;
}

static uint8_t *
make_segment(struct ulv_view_publisher *publisher)
{
    uint8_t *segment = aligned_alloc(4096, ULV_VIEW_SEGMENT_BYTES);

    assert_non_null(segment);
    memset(segment, 0, ULV_VIEW_SEGMENT_BYTES);
    assert_int_equal(ulv_view_publisher_init(publisher, segment,
                                             ULV_VIEW_SEGMENT_BYTES, 0, 7, 1),
                     ULV_OK);
    return segment;
}

static void
test_view_threads__never_half_a_commit(void **state)
{
    static struct ulv_view_publisher publisher;
    static struct look look[READERS];
    pthread_t thread[READERS];
    uint8_t *segment = make_segment(&publisher);
    const char *wrong = NULL;

    (void)state;
    for (uint32_t i = 0; i < READERS; i++) {
        ulv_view_reader_init(&look[i].reader, segment, ULV_VIEW_SEGMENT_BYTES);
        ulv_view_reader_init(&look[i].newest, segment, ULV_VIEW_SEGMENT_BYTES);
        look[i].lingers = i % 2 != 0;
        assert_int_equal(pthread_create(&thread[i], NULL, keep_looking,
                                        &look[i]),
                         0);
    }
    for (uint64_t mark = 1; mark <= COMMITS; mark++) {
        const char *bad = commit(&publisher, mark);

        wrong = wrong == NULL ? bad : wrong;
        if (bad != NULL)
            _Exit(9); /* the readers would wait for ever */
    }
    for (uint32_t i = 0; i < READERS; i++) {
        pthread_join(thread[i], NULL);
        print_message("# reader %u: %llu pictures, lapped %llu times\n", i,
                      (unsigned long long)look[i].pictures,
                      (unsigned long long)look[i].lapped);
        wrong = wrong == NULL ? look[i].wrong : wrong;
    }
    free(segment);
    if (wrong != NULL)
        fail_msg("%s", wrong);
}

/* A reader that sleeps while the publisher goes on by so many generations. */
struct nap {
    struct look look;
    pthread_barrier_t asleep, awake;
    uint64_t generation; /* in which it slept */
};

static void *
take_naps(void *opaque)
{
    struct nap *nap = opaque;
    struct look *l = &nap->look;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        ulv_status status = ulv_view_refresh(&l->reader, &nap->generation);

        if (status == ULV_OK)
            status = look_at_all(l);
        if (status != ULV_OK)
            l->wrong = "nobody was in the way, and yet no picture";
        (void)pthread_barrier_wait(&nap->asleep);
        (void)pthread_barrier_wait(&nap->awake);
        /* seven generations later it is as it was; eight later it is gone */
        status = look_at_all(l);
        if (status != (round % 2 == 0 ? ULV_OK : ULV_E_AGAIN))
            l->wrong = round % 2 == 0 ? "a page was used again too early"
                                      : "a page of long ago was believed";
    }
    return NULL;
}

static void
test_view_threads__a_lapped_reader_says_so(void **state)
{
    static struct ulv_view_publisher publisher;
    static struct nap nap;
    pthread_t sleeper;
    uint8_t *segment = make_segment(&publisher);
    const char *wrong = NULL;
    uint64_t mark = 0;

    (void)state;
    while (mark < 40 && wrong == NULL)
        wrong = commit(&publisher, ++mark);
    assert_null(wrong);
    ulv_view_reader_init(&nap.look.reader, segment, ULV_VIEW_SEGMENT_BYTES);
    assert_int_equal(pthread_barrier_init(&nap.asleep, NULL, 2), 0);
    assert_int_equal(pthread_barrier_init(&nap.awake, NULL, 2), 0);
    assert_int_equal(pthread_create(&sleeper, NULL, take_naps, &nap), 0);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t later = round % 2 == 0 ? ULV_VIEW_COPIES - 1 : 64;

        (void)pthread_barrier_wait(&nap.asleep);
        while (later-- > 0 && wrong == NULL)
            wrong = commit(&publisher, ++mark);
        (void)pthread_barrier_wait(&nap.awake);
    }
    pthread_join(sleeper, NULL);
    (void)pthread_barrier_destroy(&nap.asleep);
    (void)pthread_barrier_destroy(&nap.awake);
    free(segment);
    wrong = wrong == NULL ? nap.look.wrong : wrong;
    if (wrong != NULL)
        fail_msg("%s", wrong);
    assert_int_equal(nap.look.lapped, ROUNDS / 2);
    assert_int_equal(nap.look.reader.retries, ROUNDS / 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_threads__never_half_a_commit),
        cmocka_unit_test(test_view_threads__a_lapped_reader_says_so),
    };

    return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
