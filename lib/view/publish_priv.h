/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Pages of a view that is published: what its two files share. */
#ifndef VIEW_PUBLISH_PRIV_H
#define VIEW_PUBLISH_PRIV_H

#include "base/base.h"
#include "view/publish.h"

/* Small kinds: what they may have in all. Beside it a directory has room for
 * all its entries. */
#define SMALL_BYTES UINT32_C(2048)
#define HEAD        ((uint32_t)sizeof(struct ulv_view_page))
#define ENTRY       ((uint32_t)sizeof(struct ulv_view_entry))
#define ROOM        (ULV_VIEW_PAGE_BYTES - HEAD)

/* Where the records of small kinds begin, and in units of how many bytes they
 * have room, each kind lines of its own: what comes and goes shall move nothing
 * else, so each has room for more, and for a first record, unless there are
 * many entries. */
#define SPREAD_BEGIN UINT32_C(768)
#define SPREAD_UNIT  UINT32_C(256)

_Static_assert(SPREAD_BEGIN + SMALL_BYTES + ULV_VIEW_PLACES * SPREAD_UNIT <=
                   ULV_VIEW_PAGE_BYTES,
               "small kinds fit, also when they are spread");

_Static_assert(HEAD + ULV_VIEW_ENTRIES_MAX * ENTRY + SMALL_BYTES <=
                   ULV_VIEW_PAGE_BYTES,
               "a directory is one page");

/* What the records of a kind have, with the room that is left for more. */
static inline uint32_t
spread_bytes(uint32_t bytes)
{
    return bytes / SPREAD_UNIT * SPREAD_UNIT + SPREAD_UNIT;
}

static inline uint64_t *
page_at(const struct ulv_view_publisher *publisher, uint32_t idx)
{
    return (void *)(publisher->segment + (uint64_t)idx * ULV_VIEW_PAGE_BYTES);
}

/* From here to end_page() nobody takes it for a page of any generation. */
static inline void
begin_page(uint64_t *page)
{
    __atomic_store_n(&page[0], 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* V2 */
}

static inline void
end_page(uint64_t *page, uint64_t generation)
{
    __atomic_store_n(&page[0], generation, __ATOMIC_RELEASE); /* V1 */
}

/* gcc has a word for it, and clang has another. */
#ifdef __SANITIZE_THREAD__
#define DETECTS_RACES
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DETECTS_RACES
#endif
#endif

/*
 * A reader may race with this: what it reads then it throws away, by V1 and V2,
 * which keep their order with any stores between them. So these may be as wide
 * as they come; the race detector is shown words, a race of atomics only.
 */
static inline void
write_words(uint64_t *page, uint32_t offset, const void *from, uint32_t bytes)
{
    uint64_t *to = &page[offset / 8];

#ifdef DETECTS_RACES
    for (uint32_t i = 0; i < bytes / 8; i++) {
        uint64_t word;

        memcpy(&word, (const uint8_t *)from + i * 8, 8);
        __atomic_store_n(&to[i], word, __ATOMIC_RELAXED);
    }
#else
    memcpy(to, from, bytes);
#endif
}

/* The entries of the next generation, with their number. */
static inline void
write_entries(const struct ulv_view_listing *next, uint64_t *page)
{
    write_words(page, 8, &(uint64_t){ next->entry_count }, 8);
    write_words(page, HEAD, next->entry, next->entry_count * ENTRY);
}

/* publish_small.c */

/*
 * The directory of the next generation with all there is, where all is small
 * and was so before. False: so it is not, and nothing is written.
 */
bool ulv_view_prepare_small(struct ulv_view_publisher *publisher,
                            const struct ulv_view_section *sections,
                            uint32_t count);
/* What is about to be written of the next directory, most often. */
void ulv_view_prefetch(const struct ulv_view_publisher *publisher);
/* The next directory has these lines other than the newest; bit n: line n. */
void ulv_view_changes(struct ulv_view_publisher *publisher, uint64_t lines);

#endif
