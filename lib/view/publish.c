/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: every page reachable from generation g, for the newest g, for the
 * ULV_VIEW_COPIES - 1 before it and for the one the monitor acknowledged last,
 * holds what was written for it. Pages are replaced, never edited; the root
 * word is the one word that changes.
 *
 * Kinds with few bytes of records lie in the directory, which is written anew
 * for each generation; the others have pages, which are kept while they say the
 * same.
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
#include "view/publish.h"

#include "base/base.h"

/* Small kinds: what they may have in all. Beside it a directory has room for
 * all its entries. */
#define SMALL_BYTES UINT32_C(2048)
#define HEAD        ((uint32_t)sizeof(struct ulv_view_page))
#define ENTRY       ((uint32_t)sizeof(struct ulv_view_entry))
#define ROOM        (ULV_VIEW_PAGE_BYTES - HEAD)

/* gcc has a word for it, and clang has another. */
#ifdef __SANITIZE_THREAD__
#define DETECTS_RACES
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DETECTS_RACES
#endif
#endif

/* What a predecessor can have come to: half of what the root word can say. */
#define GENERATION_MAX (UINT64_C(1) << 47)

_Static_assert(HEAD + ULV_VIEW_ENTRIES_MAX * ENTRY + SMALL_BYTES <=
                   ULV_VIEW_PAGE_BYTES,
               "a directory is one page");

static uint64_t *
page_at(const struct ulv_view_publisher *publisher, uint32_t idx)
{
    return (void *)(publisher->segment + (uint64_t)idx * ULV_VIEW_PAGE_BYTES);
}

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
 * often, and the one behind the newest directory has been free for longest. */
static uint32_t
find_page(const struct ulv_view_publisher *publisher)
{
    uint32_t at = publisher->newest.directory;

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

/* From here to end_page() nobody takes it for a page of any generation. */
static void
begin_page(uint64_t *page)
{
    __atomic_store_n(&page[0], 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* V2 */
}

static void
end_page(uint64_t *page, uint64_t generation)
{
    __atomic_store_n(&page[0], generation, __ATOMIC_RELEASE); /* V1 */
}

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
write_records(struct ulv_view_publisher *publisher,
              const struct ulv_view_section *section,
              const struct ulv_view_entry *entry)
{
    const uint32_t same = same_bytes(section, entry);

    write_words(page_at(publisher, entry->page), entry->offset + same,
                records_of(section, entry) + same, bytes_of(entry) - same);
}

/* Those before: they lie elsewhere, where they are shown. */
static void
copy_shown(struct ulv_view_publisher *publisher,
           const struct ulv_view_section *section,
           const struct ulv_view_entry *entry,
           const struct ulv_view_entry *shown)
{
    const uint32_t same = same_bytes(section, entry);

    if (same == 0)
        return;
    write_words(page_at(publisher, entry->page), entry->offset,
                page_at(publisher, shown->page) + shown->offset / 8, same);
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

    if (e == NULL || e->page == publisher->newest.directory ||
        e->count != wanted->count || e->record_bytes != wanted->record_bytes)
        return NULL;
    return memcmp(page_at(publisher, e->page) + (e->offset + same) / 8,
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
    entry->offset = HEAD;
    page = page_at(publisher, entry->page);
    begin_page(page);
    write_words(page, 8, &(uint64_t){ 0 }, 8);
    copy_shown(publisher, section, entry,
               find_shown(publisher, entry->kind, entry->first));
    write_records(publisher, section, entry);
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
    entry->generation = publisher->generation + 1;
    entry->kind = section->kind;
    entry->first = first;
    entry->count = count;
    entry->record_bytes = section->record_bytes;
    entry->page = next->directory;
    return entry;
}

/* *small: what is left for small kinds. Those are written with the directory,
 * whose page they name from now on. */
static bool
prepare_section(struct ulv_view_publisher *publisher,
                const struct ulv_view_section *section, uint32_t *small)
{
    const uint64_t bytes =
        (uint64_t)section->record_count * section->record_bytes;
    uint32_t some, a_page;

    if (bytes <= *small) {
        *small -= (uint32_t)bytes;
        return bytes == 0 || add_entry(publisher, section, 0,
                                       section->record_count) != NULL;
    }
    a_page = ROOM / section->record_bytes;
    for (uint32_t done = 0; done < section->record_count; done += some) {
        struct ulv_view_entry *entry;

        some = ULV_MIN(section->record_count - done, a_page);
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

/*
 * The page of a directory was one a few generations ago, most often, and most
 * of it is as it has to be. Of each generation is known which lines it changed;
 * so those are copied from the newest directory, and what is new is written
 * over them: a commit costs as much as it changes, not as much as is shown.
 */
static uint64_t *
changed_by(struct ulv_view_publisher *publisher, uint64_t generation)
{
    return &publisher->changed[generation % ULV_VIEW_CHANGES];
}

/* Lines of [from, to), which is on one page. */
static uint64_t
lines_of(uint32_t from, uint32_t to)
{
    const uint32_t first = from / ULV_VIEW_LINE_BYTES;
    const uint32_t last = (to - 1) / ULV_VIEW_LINE_BYTES;

    return from == to ? 0 : UINT64_MAX >> (63 - last + first) << first;
}

/* The lines in which that page differs from the newest directory. */
static uint64_t
lines_behind(struct ulv_view_publisher *publisher, const uint64_t *page)
{
    const bool was_directory = (page[1] & UINT32_MAX) != 0;
    uint64_t lines = 0;

    if (!was_directory || page[0] == 0 ||
        publisher->generation - page[0] >= ULV_VIEW_CHANGES)
        return UINT64_MAX;
    for (uint64_t g = page[0] + 1; g <= publisher->generation; g++)
        lines |= *changed_by(publisher, g);
    return lines;
}

static void
begin_directory(struct ulv_view_publisher *publisher, uint64_t *page)
{
    const uint64_t *from = page_at(publisher, publisher->newest.directory);
    uint64_t lines = !ULV_VIEW_UPDATES || publisher->newest.directory == 0
                         ? 0
                         : lines_behind(publisher, page);

    begin_page(page);
    /* Of the first line nothing stays: it has but the head and entries. */
    for (lines &= ~UINT64_C(1); lines != 0; lines &= lines - 1) {
        const uint32_t at =
            (uint32_t)__builtin_ctzll(lines) * ULV_VIEW_LINE_BYTES;

        write_words(page, at, &from[at / 8], ULV_VIEW_LINE_BYTES);
    }
}

/* Where the records of small kinds begin, and in units of how many bytes they
 * have room: what comes and goes shall move nothing else, so each kind has
 * room for more, and for a first record, unless there are many entries. */
#define SPREAD_BEGIN UINT32_C(768)
#define SPREAD_UNIT  UINT32_C(256)
#define SPREAD_KINDS UINT32_C(5)

_Static_assert(SPREAD_BEGIN + SMALL_BYTES + SPREAD_KINDS * SPREAD_UNIT <=
                   ULV_VIEW_PAGE_BYTES,
               "small kinds fit, also when they are spread");

/* A small kind, which is shown there, or nowhere; returns the lines that this
 * changes. In line, for it is short, and each kind of each view comes here. */
static inline __attribute__((always_inline)) uint64_t
write_small(struct ulv_view_publisher *publisher,
            const struct ulv_view_section *section,
            const struct ulv_view_entry *entry,
            const struct ulv_view_entry *shown)
{
    const uint32_t same = same_bytes(section, entry);
    const uint32_t bytes = bytes_of(entry);
    const bool stays = same != 0 && shown->offset == entry->offset &&
                       shown->page == publisher->newest.directory;

    if (!stays)
        copy_shown(publisher, section, entry, shown);
    if (!stays || same != bytes)
        write_records(publisher, section, entry);
    return ULV_VIEW_UPDATES ? lines_of(entry->offset + (stays ? same : 0),
                                       entry->offset + bytes)
                            : 0;
}

/* Its entries, and it is whole; changed: lines of what they lead to. */
static void
end_directory(struct ulv_view_publisher *publisher, uint64_t *page,
              uint64_t changed)
{
    const struct ulv_view_listing *next = &publisher->next;
    const uint32_t bytes = next->entry_count * ENTRY;

    write_words(page, 8, &(uint64_t){ next->entry_count }, 8);
    write_words(page, HEAD, next->entry, bytes);
    end_page(page, publisher->generation + 1);
    if (ULV_VIEW_UPDATES)
        *changed_by(publisher, publisher->generation + 1) =
            changed | lines_of(0, HEAD + bytes);
}

/* Entries, and the small kinds in their order. */
static void
write_directory(struct ulv_view_publisher *publisher,
                const struct ulv_view_section *sections, uint32_t count)
{
    struct ulv_view_listing *next = &publisher->next;
    struct ulv_view_entry *e = next->entry;
    struct ulv_view_entry *const end = e + next->entry_count;
    uint64_t *page = page_at(publisher, next->directory);
    const uint32_t entries_end = HEAD + next->entry_count * ENTRY;
    const bool spread = ULV_VIEW_UPDATES && entries_end <= SPREAD_BEGIN &&
                        count <= SPREAD_KINDS;
    uint32_t offset = spread ? SPREAD_BEGIN : entries_end;
    uint64_t changed = 0;

    begin_directory(publisher, page);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = 0;

        for (; e < end && e->kind == sections[i].kind; e++) {
            if (e->page != next->directory)
                continue;
            e->offset = offset;
            bytes = bytes_of(e);
            changed |= write_small(publisher, &sections[i], e,
                                   find_shown(publisher, e->kind, e->first));
        }
        offset += spread ? bytes / SPREAD_UNIT * SPREAD_UNIT + SPREAD_UNIT
                         : bytes;
    }
    end_directory(publisher, page, changed);
}

/* Whether all is in a directory, in its places for few small kinds. */
static bool
is_small(const struct ulv_view_section *sections, uint32_t count)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        bytes += (uint64_t)sections[i].record_count * sections[i].record_bytes;
    return count <= SPREAD_KINDS && bytes <= SMALL_BYTES;
}

/* The same as prepare_section() of each and write_directory(), in one go: most
 * views are small, and most of what they say stays where it is. Kinds of what
 * is shown ascend, too. */
static void
prepare_small(struct ulv_view_publisher *publisher,
              const struct ulv_view_section *sections, uint32_t count)
{
    const struct ulv_view_listing *newest = &publisher->newest;
    struct ulv_view_listing *next = &publisher->next;
    const struct ulv_view_entry *shown = newest->entry;
    const struct ulv_view_entry *const end = shown + newest->entry_count;
    struct ulv_view_entry *entry = next->entry;
    uint64_t *page = page_at(publisher, next->directory);
    uint32_t offset = SPREAD_BEGIN;
    uint64_t changed = 0;

    begin_directory(publisher, page);
    for (uint32_t i = 0; i < count; i++) {
        const struct ulv_view_section *s = &sections[i];
        const uint32_t bytes = s->record_count * s->record_bytes;

        while (shown < end && shown->kind < s->kind)
            shown++;
        if (bytes != 0) {
            *entry = (struct ulv_view_entry){ .generation =
                                                  publisher->generation + 1,
                                              .kind = s->kind,
                                              .count = s->record_count,
                                              .record_bytes = s->record_bytes,
                                              .page = next->directory,
                                              .offset = offset };
            changed |= write_small(
                publisher, s, entry,
                shown < end && shown->kind == s->kind ? shown : NULL);
            entry++;
        }
        offset += bytes / SPREAD_UNIT * SPREAD_UNIT + SPREAD_UNIT;
    }
    next->entry_count = (uint32_t)(entry - next->entry);
    end_directory(publisher, page, changed);
}

/* The lines that are written each time: nobody has looked at that page for
 * some generations. */
static void
prefetch_directory(const struct ulv_view_publisher *publisher)
{
    const uint64_t *page = page_at(publisher, publisher->next.directory);

    for (uint32_t at = 0; ULV_VIEW_UPDATES && at < 192;
         at += ULV_VIEW_LINE_BYTES) {
        __builtin_prefetch(&page[at / 8], 1);
        __builtin_prefetch(&page[(SPREAD_BEGIN + at) / 8], 1);
    }
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
}

ulv_status
ulv_view_prepare(struct ulv_view_publisher *publisher,
                 const struct ulv_view_section *sections, uint32_t count,
                 struct ulv_diag *diag)
{
    const struct ulv_view_root *root = (const void *)publisher->segment;
    uint32_t small = SMALL_BYTES;
    bool fits;

    drop_prepared(publisher);
    publisher->lacks_memory = false;
    publisher->next.directory = take_page(publisher);
    prefetch_directory(publisher);
    fits = publisher->next.directory != 0;
    if (ULV_VIEW_UPDATES && fits && is_small(sections, count)) {
        prepare_small(publisher, sections, count);
        return ULV_OK;
    }
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

static void
set_last_used(struct ulv_view_publisher *publisher,
              const struct ulv_view_listing *listing, uint64_t generation)
{
    for (uint32_t i = 0; listing->has_pages && i < listing->entry_count; i++)
        publisher->last_used[listing->entry[i].page] = generation;
    publisher->last_used[listing->directory] = generation;
}

uint64_t
ulv_view_publish(struct ulv_view_publisher *publisher)
{
    struct ulv_view_root *root = (void *)publisher->segment;
    struct ulv_view_listing *next = &publisher->next;

    /* What the old generation shows and the new one does not. */
    set_last_used(publisher, &publisher->newest, publisher->generation);
    set_last_used(publisher, next, UINT64_MAX);
    memcpy(&publisher->newest, next,
           offsetof(struct ulv_view_listing, entry) +
               next->entry_count * sizeof(next->entry[0]));
    next->entry_count = next->directory = 0;
    next->has_pages = false;
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
