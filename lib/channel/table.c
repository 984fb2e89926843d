/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: number n of an entry is written into copy n % COPIES while the
 * entry says n - 1, and shown by storing n. So what a reader copied while the
 * entry said n is whole as long as the entry says at most n + COPIES - 2: only
 * then does n + COPIES begin, which takes the same copy.
 *
 *   W: copy 1, F, sequence=1 (W1) | copy 2, sequence=2 | copy 3, sequence=3 ...
 *   R: sequence 1 (R1), copy 1, F2, sequence <= 3: whole
 *   R: sequence 1 (R1), copy 1, F2, sequence 4: copy 1 may be of 5: AGAIN
 *
 * A writer that dies anywhere leaves what it showed last. An epoch that is odd,
 * or another one, says that the entries may lie elsewhere: it is read before
 * and after like the sequence (E).
 *
 * Whoever changed something and then looks who wants to be rung, and whoever
 * asks to be rung and then looks what has changed, have a full fence (F3)
 * between the two, so that one of them sees the other.
 */
#include <ultravisor/table.h>

#include "base/base.h"

#define HEAD sizeof(struct ulv_table_section)

static uint64_t
entry_stride(uint32_t entry_bytes)
{
    return ulv_round_up(sizeof(struct ulv_table_entry) +
                            (uint64_t)ULV_TABLE_COPIES * entry_bytes,
                        64);
}

static bool
entry_can_be(uint32_t entry_bytes)
{
    return entry_bytes != 0 && entry_bytes % 8 == 0 &&
           entry_bytes <= ULV_TABLE_ENTRY_BYTES_MAX;
}

static bool
fits(uint32_t entry_count, uint32_t entry_bytes, uint64_t bytes)
{
    return bytes >= HEAD &&
           entry_count <= (bytes - HEAD) / entry_stride(entry_bytes);
}

/* The sequence number; the copies follow. */
static uint64_t
entry_offset(uint32_t entry_bytes, uint32_t idx)
{
    return HEAD + idx * entry_stride(entry_bytes);
}

static uint64_t
copy_offset(uint32_t entry_bytes, uint64_t sequence)
{
    return sizeof(struct ulv_table_entry) +
           sequence % ULV_TABLE_COPIES * entry_bytes;
}

/* ---- writer -------------------------------------------------------------- */

static uint64_t *
entry_at(const struct ulv_table_writer *writer, uint32_t idx)
{
    return (void *)((uint8_t *)writer->section +
                    entry_offset(writer->entry_bytes, idx));
}

/* While the epoch is odd. */
static void
empty(struct ulv_table_writer *writer)
{
    struct ulv_table_section *s = writer->section;

    __atomic_store_n(&s->magic, ULV_TABLE_MAGIC, __ATOMIC_RELAXED);
    __atomic_store_n(&s->version, ULV_TABLE_VERSION, __ATOMIC_RELAXED);
    __atomic_store_n(&s->entry_count, writer->entry_count, __ATOMIC_RELAXED);
    __atomic_store_n(&s->entry_bytes, writer->entry_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&s->changes, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->state, 0, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < writer->entry_count; i++)
        __atomic_store_n(entry_at(writer, i), 0, __ATOMIC_RELAXED);
}

static bool
has_shape(const struct ulv_table_writer *writer)
{
    const struct ulv_table_section *s = writer->section;

    return s->magic == ULV_TABLE_MAGIC && s->version == ULV_TABLE_VERSION &&
           s->epoch % 2 == 0 && s->entry_count == writer->entry_count &&
           s->entry_bytes == writer->entry_bytes;
}

/* The next even one; 0 would say that nobody is there. */
static uint64_t
next_epoch(uint64_t epoch)
{
    uint64_t next = (epoch | 1) + 1;

    return next == 0 ? 2 : next;
}

ulv_status
ulv_table_take(struct ulv_table_writer *writer, void *section, uint64_t bytes,
               uint32_t entry_count, uint32_t entry_bytes)
{
    struct ulv_table_section *s = section;
    uint64_t epoch;

    if (entry_count == 0 || !entry_can_be(entry_bytes))
        return ULV_E_ARG;
    if (!fits(entry_count, entry_bytes, bytes))
        return ULV_E_LIMIT;
    writer->section = s;
    writer->entry_count = entry_count;
    writer->entry_bytes = entry_bytes;
    epoch = next_epoch(s->epoch);
    if (!has_shape(writer)) {
        __atomic_store_n(&s->epoch, epoch - 1, __ATOMIC_RELAXED); /* E */
        __atomic_thread_fence(__ATOMIC_RELEASE);
        empty(writer);
    }
    writer->changes = s->changes;
    ulv_table_await(writer, false);
    __atomic_store_n(&s->epoch, epoch, __ATOMIC_RELEASE); /* E */
    return ULV_OK;
}

ulv_status
ulv_table_put(struct ulv_table_writer *writer, uint32_t idx, const void *value)
{
    uint64_t *entry, *to, sequence;

    if (idx >= writer->entry_count)
        return ULV_E_NOT_FOUND;
    entry = entry_at(writer, idx);
    sequence = __atomic_load_n(entry, __ATOMIC_RELAXED) + 1;
    to = entry + copy_offset(writer->entry_bytes, sequence) / 8;
    __atomic_thread_fence(__ATOMIC_RELEASE); /* with F2: behind sequence - 1 */
    for (uint32_t i = 0; i < writer->entry_bytes / 8; i++) {
        uint64_t word;

        memcpy(&word, (const uint8_t *)value + (size_t)i * 8, 8);
        __atomic_store_n(&to[i], word, __ATOMIC_RELAXED);
    }
    __atomic_store_n(entry, sequence, __ATOMIC_RELEASE); /* W1 */
    /* with the refresh of who looks whether anything has changed */
    __atomic_store_n(&writer->section->changes, ++writer->changes,
                     __ATOMIC_RELEASE);
    return ULV_OK;
}

void
ulv_table_set_state(struct ulv_table_writer *writer, uint32_t state)
{
    /* with ulv_table_state() */
    __atomic_store_n(&writer->section->state, state, __ATOMIC_RELEASE);
}

void
ulv_table_await(struct ulv_table_writer *writer, bool awaits)
{
    __atomic_store_n(&writer->section->awaits, awaits, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* F3 */
}

/* ---- reader -------------------------------------------------------------- */

void
ulv_table_reader_init(struct ulv_table_reader *reader, const void *section,
                      uint64_t bytes)
{
    memset(reader, 0, sizeof(*reader));
    reader->section = section;
    reader->bytes = bytes;
}

ulv_status
ulv_table_refresh(struct ulv_table_reader *reader, uint64_t *ret_changes)
{
    const struct ulv_table_section *s = reader->section;
    uint64_t epoch, magic;
    uint32_t version, count, bytes;

    reader->entry_count = 0;
    reader->epoch = 0;
    if (reader->bytes < HEAD)
        return ULV_E_FORMAT;
    epoch = __atomic_load_n(&s->epoch, __ATOMIC_ACQUIRE); /* E */
    if (epoch == 0 || epoch % 2 != 0)
        return ULV_E_AGAIN;
    magic = __atomic_load_n(&s->magic, __ATOMIC_RELAXED);
    version = __atomic_load_n(&s->version, __ATOMIC_RELAXED);
    count = __atomic_load_n(&s->entry_count, __ATOMIC_RELAXED);
    bytes = __atomic_load_n(&s->entry_bytes, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&s->epoch, __ATOMIC_RELAXED) != epoch)
        return ULV_E_AGAIN;
    if (magic != ULV_TABLE_MAGIC || version != ULV_TABLE_VERSION ||
        count == 0 || !entry_can_be(bytes) ||
        !fits(count, bytes, reader->bytes))
        return ULV_E_FORMAT;
    reader->epoch = epoch;
    reader->entry_count = count;
    reader->entry_bytes = bytes;
    if (ret_changes != NULL)
        *ret_changes = __atomic_load_n(&s->changes, __ATOMIC_ACQUIRE);
    return ULV_OK;
}

/* What is copied while it is written over is thrown away: a race that does no
 * harm, and that the thread sanitizer is told of word by word. */
static void
copy_racing(void *to, const uint64_t *from, size_t bytes)
{
#ifdef ULV_THREAD_SANITIZER
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = __atomic_load_n(&from[i / 8], __ATOMIC_RELAXED);

        memcpy((uint8_t *)to + i, &word, 8);
    }
#else
    memcpy(to, from, bytes);
#endif
}

ulv_status
ulv_table_read(const struct ulv_table_reader *reader, uint32_t idx, void *ret,
               size_t bytes, uint64_t *ret_sequence)
{
    const struct ulv_table_section *s = reader->section;
    const uint64_t *entry;
    uint64_t sequence, after;

    if (idx >= reader->entry_count)
        return ULV_E_NOT_FOUND;
    if (bytes != reader->entry_bytes)
        return ULV_E_FORMAT;
    if (__atomic_load_n(&s->epoch, __ATOMIC_ACQUIRE) != reader->epoch) /* E */
        return ULV_E_AGAIN;
    entry = (const void *)((const uint8_t *)s +
                           entry_offset(reader->entry_bytes, idx));
    sequence = __atomic_load_n(entry, __ATOMIC_ACQUIRE); /* R1 */
    if (sequence == 0)
        return ULV_E_NOT_FOUND;
    copy_racing(ret, entry + copy_offset(reader->entry_bytes, sequence) / 8,
                bytes);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* F2 */
    after = __atomic_load_n(entry, __ATOMIC_RELAXED);
    if (after - sequence > ULV_TABLE_COPIES - 2 ||
        __atomic_load_n(&s->epoch, __ATOMIC_RELAXED) != reader->epoch)
        return ULV_E_AGAIN;
    if (ret_sequence != NULL)
        *ret_sequence = sequence;
    return ULV_OK;
}

uint32_t
ulv_table_state(const struct ulv_table_reader *reader)
{
    return reader->bytes < HEAD
               ? 0
               : __atomic_load_n(&reader->section->state, __ATOMIC_ACQUIRE);
}

bool
ulv_table_is_awaited(const struct ulv_table_reader *reader)
{
    if (reader->bytes < HEAD)
        return false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* F3 */
    return __atomic_load_n(&reader->section->awaits, __ATOMIC_RELAXED) != 0;
}
