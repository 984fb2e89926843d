/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "monitor/trace.h"

#include "base/base.h"

#define WORDS (sizeof(struct ulv_trace_record) / sizeof(uint64_t))

/* Word by word, since the other side reads or writes meanwhile; a record is
 * whole if its sequence is the same before and after (word 0). */
void
ulv_trace_add(struct ulv_trace *trace, const struct ulv_trace_record *record)
{
    uint64_t sequence = trace->written + 1, words[WORDS];
    uint64_t *to =
        (uint64_t *)(void *)&trace->record[sequence % ULV_TRACE_COUNT];

    memcpy(words, record, sizeof(words));
    __atomic_store_n(&to[0], 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* pairs with the reader's */
    for (size_t i = 1; i < WORDS; i++)
        __atomic_store_n(&to[i], words[i], __ATOMIC_RELAXED);
    __atomic_store_n(&to[0], sequence, __ATOMIC_RELEASE);
    __atomic_store_n(&trace->written, sequence, __ATOMIC_RELEASE);
}

static bool
read_one(const struct ulv_trace *trace, uint64_t sequence,
         struct ulv_trace_record *ret)
{
    const uint64_t *from =
        (const uint64_t *)(const void *)&trace
            ->record[sequence % ULV_TRACE_COUNT];
    uint64_t words[WORDS];

    words[0] = __atomic_load_n(&from[0], __ATOMIC_ACQUIRE);
    for (size_t i = 1; i < WORDS; i++)
        words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with the writer's */
    if (words[0] != sequence ||
        __atomic_load_n(&from[0], __ATOMIC_RELAXED) != sequence)
        return false;
    memcpy(ret, words, sizeof(words));
    return true;
}

uint32_t
ulv_trace_read(const struct ulv_trace *trace, uint64_t after,
               struct ulv_trace_record *buf, uint32_t room)
{
    uint64_t written = __atomic_load_n(&trace->written, __ATOMIC_ACQUIRE);
    uint32_t count = 0;

    if (after >= written)
        return 0;
    if (written - after > ULV_TRACE_COUNT)
        after = written - ULV_TRACE_COUNT;
    while (after < written && count < room) {
        if (read_one(trace, ++after, &buf[count]))
            count++;
    }
    return count;
}
