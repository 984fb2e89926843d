/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The segment may change under us and may hold anything: what is copied out of
 * a page is believed only if the page's generation is the same before and after
 * (V1, V2 with the publisher's stores in publish.c), and every index in it is
 * checked. A page lives for at least ULV_VIEW_COPIES generations, so a reader
 * that is not lapped reads undisturbed.
 *
 * A picture that is small lies in its directory: then all that a reader waits
 * for after a commit is the line of the root word and that page's.
 */
#include "view/read_fast.h"

#include "base/base.h"

static uint64_t
load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static uint64_t
generation_of(uint64_t root)
{
    return root >> 16;
}

static const uint64_t *
page_at(const struct ulv_view_reader *reader, uint64_t idx)
{
    return (const void *)(reader->segment + idx * ULV_VIEW_PAGE_BYTES);
}

/* Whether a page is that of a generation: before copying out of it, ... */
static bool
begin_copy(const uint64_t *page, uint64_t generation)
{
    return __atomic_load_n(&page[0], __ATOMIC_ACQUIRE) == generation; /* V1 */
}

/* ... and after. */
static bool
end_copy(const uint64_t *page, uint64_t generation)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* V2 */
    return load(&page[0]) == generation;
}

static ulv_status
lapped(struct ulv_view_reader *reader)
{
    reader->retries++;
    return ULV_E_AGAIN;
}

void
ulv_view_reader_init(struct ulv_view_reader *reader, const void *segment,
                     uint64_t bytes)
{
    memset(reader, 0, sizeof(*reader));
    reader->segment = segment;
    reader->bytes = bytes;
}

ulv_status
ulv_view_refresh(struct ulv_view_reader *reader, uint64_t *ret_generation)
{
    const struct ulv_view_root *root = (const void *)reader->segment;
    uint64_t word;

    if (reader->bytes < 2 * ULV_VIEW_PAGE_BYTES)
        return ULV_E_FORMAT;
    /* V0: pairs with the publisher's last store */
    word = __atomic_load_n(&root->root, __ATOMIC_ACQUIRE);
    if (word == 0)
        return ULV_E_AGAIN;
    if (word != reader->root &&
        (load(&root->magic) != ULV_VIEW_MAGIC ||
         __atomic_load_n(&root->version, __ATOMIC_RELAXED) !=
             ULV_VIEW_VERSION))
        return ULV_E_FORMAT;
    reader->root = word;
    *ret_generation = generation_of(word);
    return ULV_OK;
}

static bool
covers(const struct ulv_view_entry *entry, uint32_t kind, uint32_t idx)
{
    return entry->kind == kind && idx - entry->first < entry->count;
}

/* Whether what it names lies in the segment. */
static bool
entry_can_be(const struct ulv_view_reader *reader,
             const struct ulv_view_entry *entry)
{
    return entry->page < reader->bytes / ULV_VIEW_PAGE_BYTES &&
           entry->generation != 0 &&
           entry->generation <= generation_of(reader->root) &&
           entry->offset >= sizeof(struct ulv_view_page) &&
           entry->offset % 8 == 0 && entry->record_bytes % 8 == 0 &&
           entry->offset + (uint64_t)entry->count * entry->record_bytes <=
               ULV_VIEW_PAGE_BYTES;
}

/* The directory's entry for a record; into reader->entry. Out of the way of who
 * reads the same again. */
static __attribute__((noinline)) ulv_status
find_entry(struct ulv_view_reader *reader, uint32_t kind, uint32_t idx)
{
    const uint64_t at = reader->root & 0xffff;
    const uint64_t generation = generation_of(reader->root);
    const uint64_t *page = page_at(reader, at);
    const uint64_t *from = page + sizeof(struct ulv_view_page) / 8;
    struct ulv_view_entry *entry = &reader->entry;
    uint64_t count;

    reader->entry_root = 0;
    if (at == 0 || at >= reader->bytes / ULV_VIEW_PAGE_BYTES)
        return ULV_E_FORMAT;
    if (!begin_copy(page, generation))
        return lapped(reader);
    count = ULV_MIN(load(&page[1]) & UINT32_MAX, ULV_VIEW_ENTRIES_MAX);
    for (; count > 0; count--) {
        ulv_view_copy_racing(entry, from, sizeof(*entry));
        if (covers(entry, kind, idx))
            break;
        from += sizeof(*entry) / 8;
    }
    if (!end_copy(page, generation))
        return lapped(reader);
    if (count == 0)
        return ULV_E_NOT_FOUND;
    if (entry->page == 0) { /* the directory's own */
        entry->page = (uint32_t)at;
        entry->generation = generation;
    }
    if (!entry_can_be(reader, entry))
        return ULV_E_FORMAT;
    reader->entry_root = reader->root;
    return ULV_OK;
}

ulv_status
ulv_view_read(struct ulv_view_reader *reader, uint32_t kind, uint32_t idx,
              void *ret, size_t bytes)
{
    const struct ulv_view_entry *entry = &reader->entry;
    ulv_status status = ULV_OK;
    const uint64_t *page, *from;

    if (reader->entry_root != reader->root || !covers(entry, kind, idx))
        status = find_entry(reader, kind, idx);
    if (status != ULV_OK)
        return status;
    if (entry->record_bytes != bytes)
        return ULV_E_FORMAT;
    page = page_at(reader, entry->page);
    if (!begin_copy(page, entry->generation))
        return lapped(reader);
    from = page + entry->offset / 8 + (idx - entry->first) * bytes / 8;
    ulv_view_copy_racing(ret, from, bytes);
    return end_copy(page, entry->generation) ? ULV_OK : lapped(reader);
}

ulv_status
ulv_view_read_newest(struct ulv_view_reader *reader, uint32_t kind,
                     uint32_t idx, void *ret, size_t bytes)
{
    uint64_t generation;
    ulv_status status = ulv_view_refresh(reader, &generation);

    return status == ULV_OK ? ulv_view_read(reader, kind, idx, ret, bytes)
                            : status;
}

ulv_status
ulv_view_partition_read(struct ulv_view_reader *reader,
                        struct ulv_view_partition *ret)
{
    ulv_status status =
        ulv_view_read(reader, ULV_VIEW_PARTITION, 0, ret, sizeof(*ret));

    if (status == ULV_OK)
        ret->name[sizeof(ret->name) - 1] = '\0';
    return status;
}
