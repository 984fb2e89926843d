/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: every page reachable from generation g, for the newest g, for the
 * ULV_VIEW_COPIES - 1 before it and for the one the monitor acknowledged last,
 * holds what was written for it. Pages are replaced, never edited; the root
 * word is the one word that changes.
 *
 * Kinds with few bytes of records lie in the directory, which each generation
 * has one of; the others have pages, which are kept while they say the same.
 * Where all kinds are small, publish_small.c does the work.
 *
 * G7:[D3 M5] = generation 7 shows page 3 (directory, partition) and page 5
 * (memory).
 *
 * 1. Memory is added: G7:[D3 M5], write pages 9, 4, root word -> G8:[D4 M9].
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
#include "view/publish_priv.h"

/* What a predecessor can have come to: half of what the root word can say. */
#define GENERATION_MAX (UINT64_C(1) << 47)

/* Nothing but the smallest where that is the largest, too. */
static bool
segment_can_be(uint64_t bytes)
{
    return bytes == ULV_VIEW_SEGMENT_BYTES ||
           (ULV_VIEW_SEGMENT_BYTES != ULV_VIEW_SEGMENT_BYTES_MAX &&
            bytes > ULV_VIEW_SEGMENT_BYTES &&
            bytes <= ULV_VIEW_SEGMENT_BYTES_MAX &&
            bytes % (ULV_VIEW_BACK_PAGES * ULV_VIEW_PAGE_BYTES) == 0);
}

ulv_status
ulv_view_publisher_init(struct ulv_view_publisher *publisher, void *segment,
                        uint64_t bytes, uint32_t part, uint64_t partition,
                        uint64_t epoch)
{
    struct ulv_view_root *root = segment;

    if (!segment_can_be(bytes))
        return ULV_E_ARG;
    memset(publisher, 0, sizeof(*publisher));
    publisher->segment = segment;
    publisher->pages = publisher->backed =
        (uint32_t)(bytes / ULV_VIEW_PAGE_BYTES);
    publisher->used = 1;
    root->magic = ULV_VIEW_MAGIC;
    root->version = ULV_VIEW_VERSION;
    root->part = part;
    root->epoch = epoch;
    root->partition = partition;
    root->segment_bytes = bytes;
    return ULV_OK;
}

ulv_status
ulv_view_publisher_succeed(struct ulv_view_publisher *publisher,
                           uint64_t generation)
{
    if (generation >= GENERATION_MAX)
        return ULV_E_ARG;
    publisher->generation = publisher->acknowledged = generation;
    return ULV_OK;
}

/* ---- pages --------------------------------------------------------------- */

void
ulv_view_publisher_lazy(struct ulv_view_publisher *publisher,
                        const struct ulv_host *host)
{
    publisher->host = host;
    publisher->backed = ULV_VIEW_BACK_PAGES;
}

/* Whether page idx is there; those below it are. */
static bool
back_page(struct ulv_view_publisher *publisher, uint32_t idx)
{
    const struct ulv_host *host = publisher->host;

    if (idx < publisher->backed)
        return true;
    if (host->memory_back(host->self, page_at(publisher, idx),
                          ULV_VIEW_BACK_PAGES * ULV_VIEW_PAGE_BYTES) !=
        ULV_OK) {
        publisher->lacks_memory = true;
        return false;
    }
    publisher->backed += ULV_VIEW_BACK_PAGES;
    return true;
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

/* One that was used before and is free, or 0. They are used in turn, most
 * often, and the one behind the newest directory has been free for longest.
 * Directories alone need no more than one beside the copies, unless the monitor
 * is slow: once it has caught up, the pages that it took are left alone. */
static uint32_t
find_page(const struct ulv_view_publisher *publisher)
{
    uint32_t at = publisher->newest.directory;

    if (at > ULV_VIEW_COPIES && !publisher->newest.has_pages)
        at = 0;
    for (uint32_t i = 1; i < publisher->used; i++) {
        at = at + 1 < publisher->used ? at + 1 : 1;
        if (page_is_free(publisher, at))
            return at;
    }
    return 0;
}

/* 0: none. */
static uint32_t
take_page(struct ulv_view_publisher *publisher)
{
    uint32_t idx = find_page(publisher);

    if (idx == 0) {
        idx = publisher->used;
        if (idx == publisher->pages || !back_page(publisher, idx))
            return 0;
        publisher->used++;
    }
    publisher->last_used[idx] = UINT64_MAX;
    return idx;
}

/* ---- sections ------------------------------------------------------------ */

static uint32_t
bytes_of(const struct ulv_view_entry *entry)
{
    return entry->count * entry->record_bytes;
}

static const uint8_t *
records_of(const struct ulv_view_section *section,
           const struct ulv_view_entry *entry)
{
    return (const uint8_t *)section->records +
           (size_t)entry->first * section->record_bytes;
}

/* Where the newest generation shows what an entry of it leads to. */
static const uint64_t *
shown_at(const struct ulv_view_publisher *publisher,
         const struct ulv_view_entry *shown)
{
    const uint32_t idx =
        shown->page != 0 ? shown->page : publisher->newest.directory;

    return page_at(publisher, idx) + shown->offset / 8;
}

/* The entry of the newest generation with that record of a kind, or NULL. */
static const struct ulv_view_entry *
find_shown(const struct ulv_view_publisher *publisher, uint32_t kind,
           uint32_t idx)
{
    const struct ulv_view_listing *newest = &publisher->newest;

    for (uint32_t i = 0; i < newest->entry_count; i++) {
        const struct ulv_view_entry *e = &newest->entry[i];

        if (e->kind == kind && idx - e->first < e->count)
            return e;
    }
    return NULL;
}

/* How many bytes of the records of an entry are those of the newest
 * generation. */
static uint32_t
same_bytes(const struct ulv_view_section *section,
           const struct ulv_view_entry *entry)
{
    return !ULV_VIEW_UPDATES || section->same <= entry->first
               ? 0
               : ULV_MIN(section->same - entry->first, entry->count) *
                     entry->record_bytes;
}

/* The records of an entry, from those on that are not the same as they are
 * shown. */
static void
write_records(uint64_t *page, const struct ulv_view_section *section,
              const struct ulv_view_entry *entry)
{
    const uint32_t same = same_bytes(section, entry);

    write_words(page, entry->offset + same, records_of(section, entry) + same,
                bytes_of(entry) - same);
}

/* Those before: they lie elsewhere, where they are shown. */
static void
copy_shown(const struct ulv_view_publisher *publisher, uint64_t *page,
           const struct ulv_view_section *section,
           const struct ulv_view_entry *entry,
           const struct ulv_view_entry *shown)
{
    const uint32_t same = same_bytes(section, entry);

    if (ULV_VIEW_UPDATES && same != 0)
        write_words(page, entry->offset, shown_at(publisher, shown), same);
}

/* The entry of the newest generation that already says this, or NULL. */
static const struct ulv_view_entry *
find_same(const struct ulv_view_publisher *publisher,
          const struct ulv_view_section *section,
          const struct ulv_view_entry *wanted)
{
    const uint32_t same = same_bytes(section, wanted);
    const struct ulv_view_entry *e =
        find_shown(publisher, wanted->kind, wanted->first);

    if (e == NULL || e->page == 0 || e->count != wanted->count ||
        e->record_bytes != wanted->record_bytes)
        return NULL;
    return memcmp(shown_at(publisher, e) + same / 8,
                  records_of(section, wanted) + same,
                  bytes_of(wanted) - same) == 0
               ? e
               : NULL;
}

/* Records that have a page. */
static bool
prepare_page(struct ulv_view_publisher *publisher,
             const struct ulv_view_section *section,
             struct ulv_view_entry *entry)
{
    const struct ulv_view_entry *same = find_same(publisher, section, entry);
    uint64_t *page;

    if (same != NULL) {
        *entry = *same;
        return true;
    }
    entry->page = take_page(publisher);
    if (entry->page == 0)
        return false;
    entry->generation = publisher->generation + 1;
    entry->offset = HEAD;
    page = page_at(publisher, entry->page);
    begin_page(page);
    write_words(page, 8, &(uint64_t){ 0 }, 8);
    copy_shown(publisher, page, section, entry,
               find_shown(publisher, entry->kind, entry->first));
    write_records(page, section, entry);
    end_page(page, entry->generation);
    return true;
}

/* One more of the next generation, on the page of the directory; NULL: there
 * is no room. */
static struct ulv_view_entry *
add_entry(struct ulv_view_publisher *publisher,
          const struct ulv_view_section *section, uint32_t first,
          uint32_t count)
{
    struct ulv_view_listing *next = &publisher->next;
    struct ulv_view_entry *entry = &next->entry[next->entry_count];

    if (next->entry_count == ULV_VIEW_ENTRIES_MAX)
        return NULL;
    next->entry_count++;
    *entry = (struct ulv_view_entry){ .kind = section->kind,
                                      .first = first,
                                      .count = count,
                                      .record_bytes = section->record_bytes };
    return entry;
}

/* How many records there are of its kind. */
static uint32_t
count_of(const struct ulv_view_publisher *publisher,
         const struct ulv_view_section *section)
{
    const struct ulv_view_listing *newest = &publisher->newest;
    uint32_t count = 0;

    if (!ulv_view_all_same(section->same))
        return section->record_count;
    for (uint32_t i = 0; i < newest->entry_count; i++) {
        if (newest->entry[i].kind == section->kind)
            count += newest->entry[i].count;
    }
    return count;
}

/* *small: what is left for small kinds. Those are written with the
 * directory. */
static bool
prepare_section(struct ulv_view_publisher *publisher,
                const struct ulv_view_section *section, uint32_t *small)
{
    const uint32_t count = count_of(publisher, section);
    const uint64_t bytes = (uint64_t)count * section->record_bytes;
    uint32_t some, a_page;

    if (bytes <= *small) {
        *small -= (uint32_t)bytes;
        return bytes == 0 || add_entry(publisher, section, 0, count) != NULL;
    }
    a_page = ROOM / section->record_bytes;
    for (uint32_t done = 0; done < count; done += some) {
        struct ulv_view_entry *entry;

        some = ULV_MIN(count - done, a_page);
        publisher->next.has_pages = true;
        entry = add_entry(publisher, section, done, some);
        if (entry == NULL)
            return false;
        if (!prepare_page(publisher, section, entry)) {
            publisher->next.entry_count--;
            return false;
        }
    }
    return true;
}

/* ---- the directory ------------------------------------------------------- */

/* Entries, and the small kinds in their order. */
static void
write_directory(struct ulv_view_publisher *publisher,
                const struct ulv_view_section *sections, uint32_t count)
{
    struct ulv_view_listing *next = &publisher->next;
    struct ulv_view_entry *e = next->entry;
    struct ulv_view_entry *const end = e + next->entry_count;
    uint64_t *page = page_at(publisher, next->directory);
    const bool spread =
        ULV_VIEW_UPDATES && !next->has_pages && count <= ULV_VIEW_PLACES;
    uint32_t offset = spread ? SPREAD_BEGIN : HEAD + next->entry_count * ENTRY;

    begin_page(page);
    next->place_count = spread ? count : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = 0;

        if (spread)
            next->place[i] = (struct ulv_view_place){ 0, offset };
        for (; e < end && e->kind == sections[i].kind; e++) {
            if (e->page != 0)
                continue;
            e->offset = offset;
            bytes = bytes_of(e);
            if (spread)
                next->place[i].count = e->count;
            copy_shown(publisher, page, &sections[i], e,
                       find_shown(publisher, e->kind, e->first));
            write_records(page, &sections[i], e);
        }
        offset += spread ? spread_bytes(bytes) : bytes;
    }
    write_entries(next, page);
    end_page(page, publisher->generation + 1);
    if (ULV_VIEW_UPDATES)
        ulv_view_changes(publisher, UINT64_MAX);
}

/* ---- prepare and publish ------------------------------------------------- */

/* Give back the pages a prepare took that was not published. */
static void
drop_prepared(struct ulv_view_publisher *publisher)
{
    struct ulv_view_listing *next = &publisher->next;

    if (next->directory == 0)
        return;
    for (uint32_t i = 0; i < next->entry_count; i++) {
        if (next->entry[i].generation > publisher->generation)
            publisher->last_used[next->entry[i].page] = 0;
    }
    publisher->last_used[next->directory] = 0;
    if (ULV_VIEW_UPDATES) /* that of no generation */
        begin_page(page_at(publisher, next->directory));
    next->entry_count = next->directory = 0;
    next->has_pages = false;
    if (ULV_VIEW_UPDATES)
        next->is_shown = false;
}

/* The directory has its page, or there is none. */
static ULV_SELDOM ulv_status
prepare_all(struct ulv_view_publisher *publisher,
            const struct ulv_view_section *sections, uint32_t count,
            struct ulv_diag *diag)
{
    const struct ulv_view_root *root = (const void *)publisher->segment;
    bool fits = publisher->next.directory != 0;
    uint32_t small = SMALL_BYTES;

    publisher->next.entry_count = 0;
    for (uint32_t i = 0; i < count && fits; i++)
        fits = prepare_section(publisher, &sections[i], &small);
    if (fits) {
        write_directory(publisher, sections, count);
        return ULV_OK;
    }
    drop_prepared(publisher);
    if (publisher->lacks_memory)
        return ulv_fail(diag, ULV_E_NO_MEMORY, root->partition,
                        publisher->backed, publisher->pages,
                        "no memory for more than %u pages of the view of "
                        "partition %u",
                        (uint64_t)publisher->backed, root->partition);
    return ulv_fail(diag, ULV_E_LIMIT, root->partition, publisher->pages,
                    publisher->pages,
                    "the view of partition %u does not fit %u pages",
                    root->partition, (uint64_t)publisher->pages);
}

ulv_status
ulv_view_prepare(struct ulv_view_publisher *publisher,
                 const struct ulv_view_section *sections, uint32_t count,
                 struct ulv_diag *diag)
{
    struct ulv_view_listing *next = &publisher->next;

    drop_prepared(publisher);
    publisher->lacks_memory = false;
    next->directory = take_page(publisher);
    if (ULV_VIEW_UPDATES)
        ulv_view_prefetch(publisher);
    if (ULV_VIEW_UPDATES && next->directory != 0 &&
        ulv_view_prepare_small(publisher, sections, count))
        return ULV_OK;
    return prepare_all(publisher, sections, count, diag);
}

static void
set_last_used(struct ulv_view_publisher *publisher,
              const struct ulv_view_listing *listing, uint64_t generation)
{
    /* Of page 0, which is the root's, nobody asks it. */
    for (uint32_t i = 0; listing->has_pages && i < listing->entry_count; i++)
        publisher->last_used[listing->entry[i].page] = generation;
    publisher->last_used[listing->directory] = generation;
}

uint64_t
ulv_view_publish(struct ulv_view_publisher *publisher)
{
    struct ulv_view_root *root = (void *)publisher->segment;
    struct ulv_view_listing *next = &publisher->next;

    if (ULV_VIEW_UPDATES && next->is_shown) {
        publisher->last_used[publisher->newest.directory] =
            publisher->generation;
        publisher->newest.directory = next->directory;
    } else {
        /* What the old generation shows and the new one does not. */
        set_last_used(publisher, &publisher->newest, publisher->generation);
        set_last_used(publisher, next, UINT64_MAX);
        memcpy(&publisher->newest, next,
               offsetof(struct ulv_view_listing, entry) +
                   next->entry_count * sizeof(next->entry[0]));
    }
    next->entry_count = next->directory = 0;
    next->has_pages = false;
    if (ULV_VIEW_UPDATES)
        next->is_shown = false;
    publisher->generation++;
    /* V0: after every page it leads to */
    __atomic_store_n(&root->root,
                     publisher->generation << 16 |
                         publisher->newest.directory,
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
