/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The library's views, and a sequence lock: what cannot be cheaper. */
#include "view.h"

#include <string.h>

#include "view/publish.h"
#include "view/read_fast.h"

static void
nothing(void)
{
}

/* ---- ours ---------------------------------------------------------------- */

#define KIND ULV_VIEW_PARTITION

static struct ulv_view_publisher publisher;
static struct ulv_view_reader reader;
static uint8_t *segment;

static void
view_commit(uint64_t value)
{
    uint64_t record[WORDS];
    const struct ulv_view_section section = { KIND, sizeof(record), 1,
                                              record };

    fill(record, value);
    CHECK(ulv_view_prepare(&publisher, &section, 1, NULL) == ULV_OK);
    ulv_view_acknowledge(&publisher, ulv_view_publish(&publisher));
}

static void
view_begin(void *shared)
{
    segment = shared;
    CHECK(ulv_view_publisher_init(&publisher, shared, ULV_VIEW_SEGMENT_BYTES,
                                  0, 1, 1) == ULV_OK);
    view_commit(0);
}

static void
view_reader_begin(void)
{
    ulv_view_reader_init(&reader, segment, ULV_VIEW_SEGMENT_BYTES);
}

static uint64_t
view_read(uint64_t value[WORDS])
{
    uint64_t before = reader.retries;

    while (ulv_view_read_fast(&reader, KIND, 0, value, 8 * WORDS) != ULV_OK)
        ;
    return reader.retries - before;
}

const struct contender contender_view = {
    .name = "view",
    .begin = view_begin,
    .end = nothing,
    .writer_begin = nothing,
    .writer_end = nothing,
    .reader_begin = view_reader_begin,
    .reader_end = nothing,
    .commit = view_commit,
    .read = view_read,
};

/* ---- sequence lock ------------------------------------------------------- */

static struct seqlock {
    uint64_t sequence;
    uint64_t data[WORDS];
} *seqlock;

static void
seqlock_begin(void *shared)
{
    seqlock = shared;
}

static void
seqlock_commit(uint64_t value)
{
    uint64_t sequence = seqlock->sequence;

    __atomic_store_n(&seqlock->sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    fill(seqlock->data, value);
    __atomic_store_n(&seqlock->sequence, sequence + 2, __ATOMIC_RELEASE);
}

static uint64_t
seqlock_read(uint64_t value[WORDS])
{
    for (uint64_t again = 0;; again++) {
        uint64_t sequence =
            __atomic_load_n(&seqlock->sequence, __ATOMIC_ACQUIRE);

        memcpy(value, seqlock->data, sizeof(seqlock->data));
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (sequence % 2 == 0 &&
            __atomic_load_n(&seqlock->sequence, __ATOMIC_RELAXED) == sequence)
            return again;
    }
}

const struct contender contender_seqlock = {
    .name = "seqlock",
    .begin = seqlock_begin,
    .end = nothing,
    .writer_begin = nothing,
    .writer_end = nothing,
    .reader_begin = nothing,
    .reader_end = nothing,
    .commit = seqlock_commit,
    .read = seqlock_read,
};
