/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reading one record again and again: while the root word is the same, what was
 * found before is where it was, and was checked. So two loads are left beside
 * the copy, as many as of a sequence lock; but where the publisher was faster,
 * the copy is whole all the same as long as its page lives.
 *
 * Goes with read.[ch] where those are vendored.
 */
#ifndef VIEW_READ_FAST_H
#define VIEW_READ_FAST_H

#include "base/libc.h"
#include "view/read.h"

/* What is copied while it is written over is thrown away (V2): a race that does
 * no harm, and that the thread sanitizer is told of word by word. */
static inline __attribute__((always_inline)) void
ulv_view_copy_racing(void *to, const uint64_t *from, size_t bytes)
{
#ifdef ULV_THREAD_SANITIZER
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = __atomic_load_n(from + i / 8, __ATOMIC_RELAXED);

        memcpy((uint8_t *)to + i, &word, 8);
    }
#else
    memcpy(to, from, bytes);
#endif
}

/* ulv_view_read_newest. */
static inline ulv_status
ulv_view_read_fast(struct ulv_view_reader *reader, uint32_t kind, uint32_t idx,
                   void *ret, size_t bytes)
{
    const struct ulv_view_entry *entry = &reader->entry;
    const struct ulv_view_root *root = (const void *)reader->segment;
    const uint64_t *page, *from;

    /* V0: the page was whole when this word was stored */
    if (reader->entry_root == 0 ||
        __atomic_load_n(&root->root, __ATOMIC_ACQUIRE) !=
            reader->entry_root ||
        entry->kind != kind || idx - entry->first >= entry->count ||
        entry->record_bytes != bytes)
        return ulv_view_read_newest(reader, kind, idx, ret, bytes);
    page = (const void *)(reader->segment +
                          (uint64_t)entry->page * ULV_VIEW_PAGE_BYTES);
    from = page + entry->offset / 8 + (idx - entry->first) * bytes / 8;
    ulv_view_copy_racing(ret, from, bytes);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* V2 */
    if (__atomic_load_n(&page[0], __ATOMIC_RELAXED) == entry->generation)
        return ULV_OK;
    reader->retries++;
    return ULV_E_AGAIN;
}

#endif
