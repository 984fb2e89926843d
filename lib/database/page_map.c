/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "database/page_map.h"

#include "base/base.h"

#define PAGE    UINT64_C(4096)
#define ENTRIES (1u << ULV_PAGE_MAP_ORDER)

/*
 * An entry is owner << 1, or the address of an index page | 1. Tier t index
 * pages have entries of PAGE << x*(t-1) bytes: those of tier 1 are pages.
 */
struct ulv_index_page {
    uint64_t free_pages;
    uint16_t largest; /* tier of the largest free block inside; 0: none */
    /* entries by the tier of the largest free block in each */
    uint16_t count[ULV_PAGE_MAP_TIERS + 1];
    /* no entry before it has a free block of this tier or a larger one */
    uint16_t first[ULV_PAGE_MAP_TIERS + 1];
    uint16_t other; /* likely one that is not as the first */
    uint64_t entry[ENTRIES];
};

_Static_assert(sizeof(struct ulv_index_page) == ULV_INDEX_PAGE_BYTES,
               "as whoever keeps spare ones knows");

static uint64_t
block_bytes(uint32_t tier)
{
    return PAGE << (ULV_PAGE_MAP_ORDER * (tier - 1));
}

/* The entry for an offset, and the offset in its block: a shift and a mask,
 * where compilers would divide. */
static uint64_t
entry_at(uint64_t offset, uint32_t tier)
{
    return offset / PAGE >> (ULV_PAGE_MAP_ORDER * (tier - 1));
}

static uint64_t
in_block(uint64_t offset, uint32_t tier)
{
    return offset & (block_bytes(tier) - 1);
}

static bool
is_index(uint64_t entry)
{
    return (entry & 1) != 0;
}

static struct ulv_index_page *
index_page(uint64_t entry)
{
    return (struct ulv_index_page *)(uintptr_t)(entry & ~UINT64_C(1));
}

static uint64_t
index_entry(const struct ulv_index_page *page)
{
    return (uint64_t)(uintptr_t)page | 1;
}

/* ---- counts -------------------------------------------------------------- */

static uint64_t
entry_free_pages(uint64_t entry, uint32_t tier)
{
    if (is_index(entry))
        return index_page(entry)->free_pages;
    return entry == ULV_PAGE_FREE ? block_bytes(tier) / PAGE : 0;
}

static uint32_t
entry_largest(uint64_t entry, uint32_t tier)
{
    if (is_index(entry))
        return index_page(entry)->largest;
    return entry == ULV_PAGE_FREE ? tier : 0;
}

/* The largest block in its i-th entry may be of another tier now. */
static void
recount(struct ulv_index_page *page, uint32_t of, uint64_t i, uint32_t before)
{
    const uint32_t after = entry_largest(page->entry[i], of);
    uint32_t tier = ULV_PAGE_MAP_TIERS;

    if (before == after)
        return;
    for (uint32_t t = before + 1; t <= after; t++)
        page->first[t] = ULV_MIN(page->first[t], (uint16_t)i);
    page->count[before]--;
    page->count[after]++;
    while (tier > 0 && page->count[tier] == 0)
        tier--;
    page->largest = (uint16_t)tier;
}

/* ---- life ---------------------------------------------------------------- */

static struct ulv_index_page *
new_index_page(const struct ulv_page_map *map, uint64_t entry, uint32_t tier)
{
    struct ulv_index_page *page =
        map->memory->allocate(map->memory->self, sizeof(*page));

    if (page == NULL)
        return NULL;
    for (uint32_t i = 0; i < ENTRIES; i++)
        page->entry[i] = entry;
    page->free_pages = ENTRIES * entry_free_pages(entry, tier);
    page->largest = (uint16_t)entry_largest(entry, tier);
    page->count[page->largest] = ENTRIES;
    return page;
}

ulv_status
ulv_page_map_init(struct ulv_page_map *map,
                  const struct ulv_page_map_memory *memory, uint64_t base,
                  uint64_t bytes)
{
    uint64_t last;

    memset(map, 0, sizeof(*map));
    if (bytes == 0 || base % block_bytes(2) != 0 ||
        bytes % block_bytes(2) != 0 || !ulv_add_u64(base, bytes, &last))
        return ULV_E_ARG;
    map->memory = memory;
    map->base = base;
    map->bytes = bytes;
    map->top = 1;
    while (map->top < ULV_PAGE_MAP_TIERS &&
           block_bytes(map->top + 1) < bytes)
        map->top++;
    if (block_bytes(map->top) * ENTRIES < bytes)
        return ULV_E_ARG;
    map->root = new_index_page(map, ULV_PAGE_NEVER << 1, map->top);
    if (map->root == NULL)
        return ULV_E_NO_MEMORY;
    return ulv_page_map_set(map, base, bytes, ULV_PAGE_NEVER, ULV_PAGE_FREE);
}

/* A root over the root, which is its first entry. */
static ulv_status
raise_root(struct ulv_page_map *map)
{
    const uint32_t tier = map->top + 1;
    struct ulv_index_page *root =
        new_index_page(map, ULV_PAGE_NEVER << 1, tier);

    if (root == NULL)
        return ULV_E_NO_MEMORY;
    root->entry[0] = index_entry(map->root);
    root->free_pages = map->root->free_pages;
    recount(root, tier, 0, 0);
    map->root = root;
    map->top = tier;
    return ULV_OK;
}

ulv_status
ulv_page_map_grow(struct ulv_page_map *map, uint64_t bytes)
{
    const uint64_t first = map->base + map->bytes;
    const uint64_t more = bytes - map->bytes;
    uint64_t end;

    if (bytes <= map->bytes || bytes % block_bytes(2) != 0 ||
        !ulv_add_u64(map->base, bytes, &end) ||
        block_bytes(ULV_PAGE_MAP_TIERS) * ENTRIES < bytes)
        return ULV_E_ARG;
    if (!map->memory->touch(map->memory->self, map, sizeof(*map)))
        return ULV_E_NO_MEMORY;
    while (block_bytes(map->top) * ENTRIES < bytes) {
        if (raise_root(map) != ULV_OK)
            return ULV_E_NO_MEMORY;
    }
    map->bytes = bytes;
    return ulv_page_map_set(map, first, more, ULV_PAGE_NEVER, ULV_PAGE_FREE);
}

static void
free_index_page(const struct ulv_page_map *map, struct ulv_index_page *page)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (is_index(page->entry[i]))
            free_index_page(map, index_page(page->entry[i]));
    }
    map->memory->release(map->memory->self, page, sizeof(*page));
}

void
ulv_page_map_fini(struct ulv_page_map *map)
{
    if (map->root != NULL)
        free_index_page(map, map->root);
    map->root = NULL;
}

/* ---- set ----------------------------------------------------------------- */

struct change {
    struct ulv_page_map *map;
    uint64_t from, to; /* entries */
    uint64_t some;     /* not 0: only as many pages of the range as from has */
};

static ulv_status set_in_page(const struct change *change,
                              struct ulv_index_page *page, uint32_t tier,
                              uint64_t offset, uint64_t bytes);

/* Part of one entry: an index page takes its place if it is still whole. */
static ulv_status
set_below(const struct change *change, struct ulv_index_page *page,
          uint32_t tier, uint64_t offset, uint64_t bytes)
{
    const struct ulv_page_map_memory *memory = change->map->memory;
    uint64_t *entry = &page->entry[entry_at(offset, tier)];

    if (!is_index(*entry)) {
        struct ulv_index_page *below;

        if (*entry != change->from)
            return ULV_E_DENIED;
        below = new_index_page(change->map, *entry, tier - 1);
        if (below == NULL || !memory->touch(memory->self, entry, 8))
            return ULV_E_NO_MEMORY;
        *entry = index_entry(below);
    }
    return set_in_page(change, index_page(*entry), tier - 1,
                       in_block(offset, tier), bytes);
}

static ulv_status
set_entry(const struct change *change, struct ulv_index_page *page,
          uint32_t tier, uint64_t offset, uint64_t bytes)
{
    const struct ulv_page_map_memory *memory = change->map->memory;
    uint64_t *entry = &page->entry[entry_at(offset, tier)];

    if (bytes < block_bytes(tier) || is_index(*entry))
        return set_below(change, page, tier, offset, bytes);
    if (*entry != change->from)
        return ULV_E_DENIED;
    if (!memory->touch(memory->self, entry, 8))
        return ULV_E_NO_MEMORY;
    *entry = change->to;
    return ULV_OK;
}

/* Entries that are pages, all at once. */
static ulv_status
set_pages(const struct change *change, struct ulv_index_page *page,
          uint64_t first, uint64_t count)
{
    const struct ulv_page_map_memory *memory = change->map->memory;
    const uint64_t some = ULV_GATHER_RUNS > 1 ? change->some : 0;
    const uint64_t pages = some != 0 ? some : count;
    uint64_t *entry = &page->entry[first];

    for (uint64_t i = 0; some == 0 && i < count; i++) {
        if (entry[i] != change->from)
            return ULV_E_DENIED;
    }
    if (!memory->touch(memory->self, entry, count * sizeof(*entry)))
        return ULV_E_NO_MEMORY;
    for (uint64_t i = 0; i < count; i++) {
        if (some == 0 || entry[i] == change->from)
            entry[i] = change->to;
    }
    page->count[change->from == ULV_PAGE_FREE] -= (uint16_t)pages;
    page->count[change->to == ULV_PAGE_FREE] += (uint16_t)pages;
    page->largest = page->count[1] != 0;
    if (change->to == ULV_PAGE_FREE)
        page->first[1] = ULV_MIN(page->first[1], (uint16_t)first);
    return ULV_OK;
}

/* offset: from the first byte the page covers. */
static ulv_status
set_entries(const struct change *change, struct ulv_index_page *page,
            uint32_t tier, uint64_t offset, uint64_t bytes)
{
    while (bytes > 0) {
        const uint64_t some =
            ULV_MIN(bytes, block_bytes(tier) - in_block(offset, tier));
        const uint64_t i = entry_at(offset, tier);
        const uint32_t before = entry_largest(page->entry[i], tier);
        ulv_status status = set_entry(change, page, tier, offset, some);

        if (status != ULV_OK)
            return status;
        recount(page, tier, i, before);
        offset += some;
        bytes -= some;
    }
    return ULV_OK;
}

static ulv_status
set_in_page(const struct change *change, struct ulv_index_page *page,
            uint32_t tier, uint64_t offset, uint64_t bytes)
{
    const struct ulv_page_map_memory *memory = change->map->memory;
    const uint64_t pages = bytes / PAGE;
    ulv_status status;

    if (!memory->touch(memory->self, page,
                       offsetof(struct ulv_index_page, entry)))
        return ULV_E_NO_MEMORY;
    status = tier == 1 ? set_pages(change, page, offset / PAGE, pages)
                       : set_entries(change, page, tier, offset, bytes);
    if (status != ULV_OK)
        return status;
    if (change->from == ULV_PAGE_FREE)
        page->free_pages -= pages;
    if (change->to == ULV_PAGE_FREE)
        page->free_pages += pages;
    return ULV_OK;
}

/* The index page of tier 1 that is there for an offset, and those above it by
 * their tiers; NULL: there is none. */
static struct ulv_index_page *
leaf_of(const struct ulv_page_map *map, uint64_t offset,
        struct ulv_index_page *path[ULV_PAGE_MAP_TIERS + 1])
{
    struct ulv_index_page *page = map->root;

    for (uint32_t tier = map->top; tier > 1; tier--) {
        const uint64_t entry =
            page->entry[entry_at(in_block(offset, tier + 1), tier)];

        if (!is_index(entry))
            return NULL;
        path[tier] = page;
        page = index_page(entry);
    }
    return page;
}

/*
 * Pages of one index page of tier 1, which is there, that stay or become of two
 * owners: nothing splits, nothing is to merge, and no largest block changes.
 * That is most changes. False: it is none of these, and nothing was done.
 */
static bool
set_in_leaf(const struct change *change, uint64_t offset, uint64_t bytes,
            ulv_status *ret)
{
    const struct ulv_page_map_memory *memory = change->map->memory;
    struct ulv_index_page *path[ULV_PAGE_MAP_TIERS + 1];
    struct ulv_index_page *page = leaf_of(change->map, offset, path);
    const uint64_t pages = change->some != 0 ? change->some : bytes / PAGE;
    uint64_t more = 0;

    if (page == NULL || in_block(offset, 2) + bytes > block_bytes(2))
        return false;
    if (change->from == ULV_PAGE_FREE)
        more -= pages;
    if (change->to == ULV_PAGE_FREE)
        more += pages;
    if (page->free_pages + more - 1 >= ENTRIES - 1 || page->free_pages == 0)
        return false; /* none or all of it is free, then or now */
    *ret = ULV_E_NO_MEMORY;
    if (!memory->touch(memory->self, page,
                       offsetof(struct ulv_index_page, entry)))
        return true;
    for (uint32_t tier = 2; more != 0 && tier <= change->map->top; tier++) {
        if (!memory->touch(memory->self, &path[tier]->free_pages, 8))
            return true;
    }
    *ret =
        set_pages(change, page, entry_at(in_block(offset, 2), 1), bytes / PAGE);
    if (*ret != ULV_OK)
        return true;
    page->free_pages += more;
    for (uint32_t tier = 2; tier <= change->map->top; tier++)
        path[tier]->free_pages += more;
    return true;
}

ulv_status
ulv_page_map_set(struct ulv_page_map *map, uint64_t address, uint64_t bytes,
                 uint64_t from, uint64_t to)
{
    struct change change = { map, from << 1, to << 1, 0 };
    ulv_status status = ULV_OK;

    map->settled = false;

    if (address < map->base || address % PAGE != 0 || bytes % PAGE != 0 ||
        bytes == 0 ||
        !ulv_range_inside(address - map->base, bytes, map->bytes))
        return ULV_E_ARG;
    map->settled = ULV_FAST_DATABASE &&
                   set_in_leaf(&change, address - map->base, bytes, &status);
    if (!map->settled)
        status = set_in_page(&change, map->root, map->top,
                             address - map->base, bytes);
    if (status != ULV_OK || bytes >= block_bytes(2))
        return status;
    if (!map->memory->touch(map->memory->self, &map->near, sizeof(map->near)))
        return ULV_E_NO_MEMORY;
    map->near = address - map->base + (to == ULV_PAGE_FREE ? 0 : bytes);
    return ULV_OK;
}

/* ---- find ---------------------------------------------------------------- */

/* First free block of exactly tier want or of a larger one, inside page. What
 * has none is passed over once only: undo brings back how far that was, too. */
static uint64_t
find_block(struct ulv_index_page *page, uint32_t tier, uint32_t want)
{
    uint64_t i = page->first[want], entry;

    while (i < ENTRIES && entry_largest(page->entry[i], tier) < want)
        i++;
    page->first[want] = (uint16_t)i;
    if (i == ENTRIES)
        return UINT64_MAX;
    entry = page->entry[i];
    return i * block_bytes(tier) +
           (is_index(entry) ? find_block(index_page(entry), tier - 1, want)
                            : 0);
}

/* How far [address, ...) stays free in blocks of tier, up to bytes. */
static uint64_t
free_run(const struct ulv_page_map *map, uint64_t offset, uint32_t want,
         uint64_t bytes)
{
    uint64_t run = 0, block = block_bytes(want);

    while (run + block <= bytes && offset + run < map->bytes) {
        const struct ulv_index_page *page = map->root;
        uint32_t tier = map->top;
        uint64_t at = offset + run, i = entry_at(at, tier);

        while (is_index(page->entry[i]) && tier > want) {
            page = index_page(page->entry[i]);
            at = in_block(at, tier--);
            i = entry_at(at, tier);
        }
        if (page->entry[i] != ULV_PAGE_FREE)
            break;
        if (tier > want) {
            run += ULV_MIN(bytes - in_block(bytes, want) - run,
                           block_bytes(tier) - in_block(at, tier));
            continue;
        }
        for (; i < ENTRIES && page->entry[i] == ULV_PAGE_FREE &&
               run + block <= bytes;
             i++)
            run += block;
        if (i < ENTRIES)
            break;
    }
    return run;
}

/* All of bytes without looking at every hole: where the last small run ended or
 * came back, or in the lowest whole block of a tier that holds it. */
static bool
find_whole(const struct ulv_page_map *map, uint64_t bytes, uint64_t *ret_offset)
{
    uint32_t want = 1;

    *ret_offset = map->near;
    if (bytes < block_bytes(2) && free_run(map, map->near, 1, bytes) == bytes)
        return true;
    while (want < map->top && block_bytes(want) < bytes)
        want++;
    if (block_bytes(want) < bytes || map->root->largest < want)
        return false;
    *ret_offset = find_block(map->root, map->top, want);
    return true;
}

ulv_status
ulv_page_map_find(const struct ulv_page_map *map, uint64_t bytes,
                  uint64_t *ret_address, uint64_t *ret_bytes)
{
    uint32_t want = map->top;
    uint64_t offset;

    while (want > 1 && block_bytes(want) > bytes)
        want--;
    if (map->root->largest == 0 || bytes < PAGE)
        return ULV_E_NO_MEMORY;
    if (bytes < block_bytes(2) && find_whole(map, bytes, &offset)) {
        *ret_bytes = bytes;
    } else {
        want = ULV_MIN(want, map->root->largest);
        offset = find_block(map->root, map->top, want);
        *ret_bytes = free_run(map, offset, want, bytes);
    }
    *ret_address = map->base + offset;
    return ULV_OK;
}

/* Runs of its leaf that follow the first, as many as make up bytes; returns how
 * many there are, that one among them. */
static uint32_t
find_more(const struct ulv_page_map *map, uint64_t bytes,
          struct ulv_page_run *run, uint32_t room)
{
    struct ulv_index_page *path[ULV_PAGE_MAP_TIERS + 1];
    const uint64_t offset = run[0].address - map->base;
    const struct ulv_index_page *leaf = leaf_of(map, offset, path);
    const uint64_t leaf_begin = run[0].address - in_block(offset, 2);
    uint64_t i = entry_at(in_block(offset, 2), 1) + run[0].bytes / PAGE;
    uint64_t left = bytes - run[0].bytes;
    uint32_t count = 1;

    for (; leaf != NULL && i < ENTRIES && left > 0; i++) {
        const uint64_t address = leaf_begin + i * PAGE;
        struct ulv_page_run *last = &run[count - 1];

        if (leaf->entry[i] != ULV_PAGE_FREE)
            continue;
        if (last->address + last->bytes != address) {
            if (count == room)
                break;
            last = &run[count++];
            last->address = address;
            last->bytes = 0;
        }
        last->bytes += PAGE;
        left -= PAGE;
    }
    return count;
}

ulv_status
ulv_page_map_take(struct ulv_page_map *map, uint64_t bytes, uint64_t owner,
                  struct ulv_page_run *run, uint32_t room, uint32_t *ret_count)
{
    struct change change = { map, ULV_PAGE_FREE << 1, owner << 1, 0 };
    ulv_status status =
        ulv_page_map_find(map, bytes, &run[0].address, &run[0].bytes);
    uint32_t count = 1;

    if (status != ULV_OK)
        return status;
    if (room > 1 && map->root->largest == 1 && run[0].bytes < bytes)
        count = find_more(map, bytes, run, room);
    for (uint32_t i = 0; i + 1 < count; i++)
        change.some += run[i].bytes / PAGE;
    /* All but the last at once: something stays free until that is taken. */
    if (change.some != 0 &&
        !set_in_leaf(&change, run[0].address - map->base,
                     run[count - 1].address - run[0].address, &status))
        status = ULV_E_INTERNAL;
    if (status != ULV_OK)
        return status;
    *ret_count = count;
    return ulv_page_map_set(map, run[count - 1].address, run[count - 1].bytes,
                            ULV_PAGE_FREE, owner);
}

/* A run that grows while entries are visited in order. */
struct run {
    uint64_t need, start, bytes;
};

static bool
grow_run(struct run *run, const struct ulv_index_page *page, uint32_t tier,
         uint64_t offset)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint64_t entry = page->entry[i];
        uint64_t at = offset + i * block_bytes(tier);

        if (is_index(entry) && index_page(entry)->free_pages != 0) {
            if (grow_run(run, index_page(entry), tier - 1, at))
                return true;
        } else if (entry == ULV_PAGE_FREE) {
            if (run->bytes == 0)
                run->start = at;
            run->bytes += block_bytes(tier);
            if (run->bytes >= run->need)
                return true;
        } else {
            run->bytes = 0;
        }
    }
    return false;
}

ulv_status
ulv_page_map_find_run(const struct ulv_page_map *map, uint64_t bytes,
                      uint64_t *ret_address)
{
    struct run run = { .need = bytes };

    if (find_whole(map, bytes, &run.start)) {
        *ret_address = map->base + run.start;
        return ULV_OK;
    }
    if (!grow_run(&run, map->root, map->top, 0))
        return ULV_E_NO_MEMORY;
    *ret_address = map->base + run.start;
    return ULV_OK;
}

/* ---- look ---------------------------------------------------------------- */

uint64_t
ulv_page_map_run(const struct ulv_page_map *map, uint64_t address,
                 uint64_t *ret_bytes)
{
    const struct ulv_index_page *page = map->root;
    uint64_t offset = address - map->base;
    uint32_t tier = map->top;

    *ret_bytes = PAGE;
    if (address < map->base || offset >= map->bytes)
        return ULV_PAGE_NEVER;
    for (;;) {
        uint64_t entry = page->entry[entry_at(offset, tier)];

        if (!is_index(entry)) {
            *ret_bytes = block_bytes(tier) - in_block(offset, tier);
            return entry >> 1;
        }
        page = index_page(entry);
        offset = in_block(offset, tier--);
    }
}

void
ulv_page_map_fetch(const struct ulv_page_map *map, uint64_t address)
{
    struct ulv_index_page *path[ULV_PAGE_MAP_TIERS + 1];
    const uint64_t offset = address - map->base;
    const struct ulv_index_page *page = leaf_of(map, offset, path);

    if (page == NULL)
        return;
    __builtin_prefetch(page);
    __builtin_prefetch(&page->entry[entry_at(in_block(offset, 2), 1)]);
}

uint64_t
ulv_page_map_owner(const struct ulv_page_map *map, uint64_t address)
{
    uint64_t bytes;

    return ulv_page_map_run(map, address, &bytes);
}

uint64_t
ulv_page_map_free_bytes(const struct ulv_page_map *map)
{
    return map->root->free_pages * PAGE;
}

struct walk {
    void (*visit)(void *self, uint64_t address, uint64_t bytes,
                  uint64_t owner);
    void *self;
};

static bool walk_page(const struct walk *walk,
                      const struct ulv_index_page *page, uint32_t tier,
                      uint64_t address);

/* Entries from the i-th on that one owner has whole; returns the next. */
static uint32_t
visit_run(const struct walk *walk, const struct ulv_index_page *page,
          uint32_t tier, uint64_t address, uint32_t i)
{
    uint32_t next = i + 1;

    while (next < ENTRIES && page->entry[next] == page->entry[i])
        next++;
    walk->visit(walk->self, address + i * block_bytes(tier),
                (next - i) * block_bytes(tier), page->entry[i] >> 1);
    return next;
}

static bool
walk_entries(const struct walk *walk, const struct ulv_index_page *page,
             uint32_t tier, uint64_t address)
{
    uint32_t i = 0;

    while (i < ENTRIES) {
        if (!is_index(page->entry[i])) {
            i = visit_run(walk, page, tier, address, i);
            continue;
        }
        if (tier == 1 || !walk_page(walk, index_page(page->entry[i]), tier - 1,
                                    address + i * block_bytes(tier)))
            return false;
        i++;
    }
    return true;
}

/* False: its counts or its tiers are wrong, or those of a page below. */
static bool
walk_page(const struct walk *walk, const struct ulv_index_page *page,
          uint32_t tier, uint64_t address)
{
    uint32_t count[ULV_PAGE_MAP_TIERS + 1] = { 0 }, largest = 0;
    uint64_t free_pages = 0;

    for (uint32_t i = 0; i < ENTRIES; i++) {
        const uint32_t tier_of = entry_largest(page->entry[i], tier);

        count[tier_of]++;
        largest = ULV_MAX(largest, tier_of);
        for (uint32_t t = 1; t <= tier_of; t++) {
            if (i < page->first[t])
                return false;
        }
        free_pages += entry_free_pages(page->entry[i], tier);
    }
    for (uint32_t i = 0; i <= ULV_PAGE_MAP_TIERS; i++) {
        if (count[i] != page->count[i])
            return false;
    }
    return free_pages == page->free_pages && largest == page->largest &&
           walk_entries(walk, page, tier, address);
}

bool
ulv_page_map_walk(const struct ulv_page_map *map,
                  void (*visit)(void *self, uint64_t address, uint64_t bytes,
                                uint64_t owner),
                  void *self)
{
    const struct walk walk = { visit, self };

    return walk_page(&walk, map->root, map->top, map->base);
}

/* ---- settle -------------------------------------------------------------- */

/* Whether one owner has all of it, which is in no smaller pieces then. */
static bool
is_whole(struct ulv_index_page *page, uint32_t tier)
{
    const uint64_t all = ENTRIES * (block_bytes(tier) / PAGE);
    uint32_t same = 1;

    if (tier == 1 && page->free_pages == all)
        return true;
    if (is_index(page->entry[0]) ||
        page->entry[page->other] != page->entry[0] ||
        (page->free_pages != 0 && page->free_pages != all))
        return false; /* most often, and seen without reading it all */
    while (same < ENTRIES && page->entry[same] == page->entry[0])
        same++;
    page->other = (uint16_t)(same % ENTRIES);
    return same == ENTRIES;
}

static void
settle_in_page(struct ulv_page_map *map, struct ulv_index_page *page,
               uint32_t tier, uint64_t offset, uint64_t bytes)
{
    while (tier > 1 && bytes > 0) {
        const uint64_t at = in_block(offset, tier);
        const uint64_t some = ULV_MIN(bytes, block_bytes(tier) - at);
        const uint64_t i = entry_at(offset, tier);
        const uint32_t before = entry_largest(page->entry[i], tier);

        if (is_index(page->entry[i])) {
            struct ulv_index_page *below = index_page(page->entry[i]);

            settle_in_page(map, below, tier - 1, at, some);
            if (is_whole(below, tier - 1)) {
                page->entry[i] = below->entry[0];
                map->memory->release(map->memory->self, below,
                                     sizeof(*below));
            }
            recount(page, tier, i, before);
        }
        offset += some;
        bytes -= some;
    }
}

void
ulv_page_map_settle(struct ulv_page_map *map, uint64_t address, uint64_t bytes)
{
    const uint64_t offset = address - map->base;

    if (offset < map->bytes)
        settle_in_page(map, map->root, map->top, offset,
                       ULV_MIN(bytes, map->bytes - offset));
}
