/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: every page reachable from generation g, for the newest g, for the
 * ULV_VIEW_COPIES - 1 before it and for the one the monitor acknowledged last,
 * holds what was written for it. Pages are replaced, never edited; the root
 * word is the one word that changes.
 *
 * G7:[P3 M5] = generation 7 shows page 3 (partition) and page 5 (memory).
 *
 * 1. Memory is added: G7:[P3 M5], write page 9, root word -> G8:[P3 M9].
 *    A reader in G7 still reads 5; it is not used again before G15.
 * 2. The monitor is slow and acknowledged G7 last: 40 generations later page 5
 *    is still kept, because acknowledged = 7; the monitor reads it in peace.
 * 3. A guest reads G7, sleeps, wakes at G20: page 5 was used for G16. Its copy
 *    shows another generation in front (V1) or behind (V2): AGAIN, not a lie.
 * 4. What must fail: the segment has no page left that nobody may be reading
 *    (a monitor that never acknowledges a view of many pages): prepare says
 *    LIMIT and nothing was written. The alternative, taking page 5, would show
 *    a monitor half of G7 and half of G8.
 */
#include "view/publish.h"

#include "base/base.h"

#define HEADER sizeof(struct ulv_view_page)
#define ROOM   (ULV_VIEW_PAGE_BYTES - HEADER)

static struct ulv_view_page *
page_at(const struct ulv_view_publisher *publisher, uint32_t idx)
{
    return (void *)(publisher->segment + (uint64_t)idx * ULV_VIEW_PAGE_BYTES);
}

ulv_status
ulv_view_publisher_init(struct ulv_view_publisher *publisher, void *segment,
                        uint64_t bytes, uint32_t part, uint64_t partition,
                        uint64_t epoch)
{
    struct ulv_view_root *root = segment;

    if (bytes != ULV_VIEW_SEGMENT_BYTES)
        return ULV_E_ARG;
    memset(publisher, 0, sizeof(*publisher));
    publisher->segment = segment;
    publisher->pages = ULV_VIEW_SEGMENT_PAGES;
    root->magic = ULV_VIEW_MAGIC;
    root->version = ULV_VIEW_VERSION;
    root->part = part;
    root->epoch = epoch;
    root->partition = partition;
    root->segment_bytes = bytes;
    return ULV_OK;
}

/* Nobody that is promised anything can be reading it. */
static bool
page_is_free(const struct ulv_view_publisher *publisher, uint32_t idx)
{
    uint64_t last = publisher->last_used[idx];

    if (last == UINT64_MAX)
        return false; /* of the newest generation, or prepared */
    if (last == 0)
        return true;
    return last + ULV_VIEW_COPIES <= publisher->generation + 1 &&
           last < publisher->acknowledged;
}

static uint32_t
take_page(struct ulv_view_publisher *publisher)
{
    for (uint32_t i = 1; i < publisher->pages; i++) {
        if (page_is_free(publisher, i)) {
            publisher->last_used[i] = UINT64_MAX;
            return i;
        }
    }
    return 0;
}

/* Words, so that a reader that races with us is a race of atomics only. */
static void
write_words(uint64_t *to, const void *from, size_t bytes)
{
    const uint8_t *source = from;

    for (size_t done = 0; done < bytes; done += 8) {
        uint64_t word = 0;

        memcpy(&word, source + done, ULV_MIN(bytes - done, (size_t)8));
        __atomic_store_n(&to[done / 8], word, __ATOMIC_RELAXED);
    }
}

static void
write_page(const struct ulv_view_publisher *publisher, uint32_t idx,
           const struct ulv_view_page *header, const void *records)
{
    uint64_t *shared = (void *)page_at(publisher, idx);
    size_t bytes = header->record_count * (size_t)header->record_bytes;

    __atomic_store_n(&shared[0], 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* V2 */
    write_words(&shared[1], (const uint8_t *)header + 8, HEADER - 8);
    write_words(&shared[HEADER / 8], records, bytes);
    __atomic_store_n(&shared[0], header->generation, __ATOMIC_RELEASE); /* V1 */
}

static struct ulv_view_page
page_header(const struct ulv_view_publisher *publisher, uint32_t kind,
            uint32_t idx)
{
    struct ulv_view_page header = { .generation = publisher->generation + 1,
                                    .kind = kind,
                                    .idx = idx };

    return header;
}

/* The page of the newest generation that already says this, or NULL. */
static const struct ulv_view_entry *
find_same(const struct ulv_view_publisher *publisher,
          const struct ulv_view_page *header, const void *records)
{
    for (uint32_t i = 0; i < publisher->entry_count; i++) {
        const struct ulv_view_entry *entry = &publisher->entry[i];
        const struct ulv_view_page *page = page_at(publisher, entry->page);

        if (entry->kind == header->kind && entry->idx == header->idx &&
            page->record_count == header->record_count &&
            page->crc == header->crc &&
            memcmp(page + 1, records,
                   header->record_count * (size_t)header->record_bytes) == 0)
            return entry;
    }
    return NULL;
}

static bool
prepare_page(struct ulv_view_publisher *publisher,
             const struct ulv_view_section *section, uint32_t idx,
             uint32_t count)
{
    struct ulv_view_page header = page_header(publisher, section->kind, idx);
    const uint32_t a_page = (uint32_t)(ROOM / section->record_bytes);
    const uint8_t *records = (const uint8_t *)section->records +
                             (size_t)idx * a_page * section->record_bytes;
    struct ulv_view_entry *next = &publisher->next[publisher->next_count];
    const struct ulv_view_entry *same;

    if (publisher->next_count >= ROOM / sizeof(*next) ||
        publisher->next_count >= ULV_VIEW_SEGMENT_PAGES)
        return false;
    header.record_bytes = section->record_bytes;
    header.record_count = count;
    header.crc =
        ulv_crc32c(0, records, count * (size_t)section->record_bytes);
    same = find_same(publisher, &header, records);
    if (same != NULL) {
        *next = *same;
    } else {
        memset(next, 0, sizeof(*next));
        next->kind = section->kind;
        next->idx = idx;
        next->generation = header.generation;
        next->page = take_page(publisher);
        if (next->page == 0)
            return false;
        write_page(publisher, next->page, &header, records);
    }
    publisher->next_count++;
    return true;
}

static bool
prepare_section(struct ulv_view_publisher *publisher,
                const struct ulv_view_section *section)
{
    uint32_t a_page = (uint32_t)(ROOM / section->record_bytes);

    for (uint32_t done = 0; done < section->record_count; done += a_page) {
        uint32_t some = ULV_MIN(section->record_count - done, a_page);

        if (!prepare_page(publisher, section, done / a_page, some))
            return false;
    }
    return true;
}

static bool
prepare_directory(struct ulv_view_publisher *publisher)
{
    struct ulv_view_page header =
        page_header(publisher, ULV_VIEW_DIRECTORY, 0);

    header.record_bytes = sizeof(struct ulv_view_entry);
    header.record_count = publisher->next_count;
    header.crc = ulv_crc32c(0, publisher->next,
                            publisher->next_count *
                                sizeof(struct ulv_view_entry));
    publisher->next_directory = take_page(publisher);
    if (publisher->next_directory == 0)
        return false;
    write_page(publisher, publisher->next_directory, &header,
               publisher->next);
    return true;
}

/* Give back the pages a prepare took that was not published. */
static void
drop_prepared(struct ulv_view_publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->next_count; i++) {
        if (publisher->next[i].generation > publisher->generation)
            publisher->last_used[publisher->next[i].page] = 0;
    }
    if (publisher->next_directory != 0)
        publisher->last_used[publisher->next_directory] = 0;
    publisher->next_count = 0;
    publisher->next_directory = 0;
}

ulv_status
ulv_view_prepare(struct ulv_view_publisher *publisher,
                 const struct ulv_view_section *sections, uint32_t count,
                 struct ulv_diag *diag)
{
    const struct ulv_view_root *root = (const void *)publisher->segment;
    bool fits = true;

    drop_prepared(publisher);
    for (uint32_t i = 0; i < count && fits; i++)
        fits = prepare_section(publisher, &sections[i]);
    if (fits && prepare_directory(publisher))
        return ULV_OK;
    drop_prepared(publisher);
    return ulv_fail(diag, ULV_E_LIMIT, root->partition, publisher->pages,
                    publisher->pages,
                    "the view of partition %u does not fit %u pages",
                    root->partition, (uint64_t)publisher->pages);
}

uint64_t
ulv_view_publish(struct ulv_view_publisher *publisher)
{
    struct ulv_view_root *root = (void *)publisher->segment;
    uint64_t old = publisher->generation;

    /* What the old generation showed and the new one does not. */
    for (uint32_t i = 0; i < publisher->entry_count; i++)
        publisher->last_used[publisher->entry[i].page] = old;
    if (publisher->directory != 0)
        publisher->last_used[publisher->directory] = old;
    for (uint32_t i = 0; i < publisher->next_count; i++)
        publisher->last_used[publisher->next[i].page] = UINT64_MAX;
    memcpy(publisher->entry, publisher->next, sizeof(publisher->entry));
    publisher->entry_count = publisher->next_count;
    publisher->directory = publisher->next_directory;
    publisher->next_count = publisher->next_directory = 0;
    publisher->generation = old + 1;
    /* V0: after every page it leads to */
    __atomic_store_n(&root->root,
                     publisher->generation << 16 | publisher->directory,
                     __ATOMIC_RELEASE);
    return publisher->generation;
}

void
ulv_view_acknowledge(struct ulv_view_publisher *publisher,
                     uint64_t generation)
{
    if (generation <= publisher->generation &&
        generation > publisher->acknowledged)
        publisher->acknowledged = generation;
}
