/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/vtx/ept.h"

#include "base/base.h"

#define ENTRIES 512u
#define LEVELS  4u
/* SDM vol. 3C tables 28-1 to 28-6 */
#define ENTRY_LARGE      UINT64_C(0x80) /* a page, above the last level */
#define ENTRY_WRITE_BACK (UINT64_C(6) << 3)
#define ENTRY_ADDRESS    UINT64_C(0x000ffffffffff000)
/* SDM vol. 3C 24.6.11: write-back, a walk of four levels */
#define POINTER_WRITE_BACK UINT64_C(6)
#define POINTER_LEVELS     (UINT64_C(3) << 3)

/* The first page is the processor's, the second ours: where a table lies. */
struct ulv_vtx_table {
    uint64_t entry[ENTRIES];
    struct ulv_vtx_table *below[ENTRIES];
};

/* What one entry covers; the lowest level is 0. */
static uint64_t
level_bytes(uint32_t level)
{
    return ULV_VTX_PAGE << 9 * level;
}

static uint32_t
index_of(uint64_t guest, uint32_t level)
{
    return (uint32_t)(guest >> (12 + 9 * level)) % ENTRIES;
}

static struct ulv_vtx_table *
new_table(struct ulv_vtx_ept *ept, ulv_status *ret_status)
{
    struct ulv_vtx_table *table = NULL;

    *ret_status = ULV_E_LIMIT;
    if (ept->tables < ept->tables_max) {
        table = ept->host->alloc(ept->host->self, sizeof(*table),
                                 ULV_VTX_PAGE);
        *ret_status = table == NULL ? ULV_E_NO_MEMORY : ULV_OK;
    }
    if (table != NULL)
        ept->tables++;
    return table;
}

static void
free_table(struct ulv_vtx_ept *ept, struct ulv_vtx_table *table)
{
    ept->host->free(ept->host->self, table, sizeof(*table));
    ept->tables--;
}

static uint64_t
physical_of(const struct ulv_vtx_ept *ept, const struct ulv_vtx_table *table)
{
    return ept->host->physical(ept->host->self, table);
}

/* Rights are those of the page: no table on the way takes any. */
static void
hang_in(const struct ulv_vtx_ept *ept, struct ulv_vtx_table *table, uint32_t i,
        struct ulv_vtx_table *below)
{
    table->below[i] = below;
    table->entry[i] = physical_of(ept, below) | ULV_VTX_EPT_RIGHTS;
}

static uint64_t
page_entry(uint64_t physical, uint64_t rights, uint32_t level)
{
    return physical | rights | ENTRY_WRITE_BACK |
           (level > 0 ? ENTRY_LARGE : 0);
}

ulv_status
ulv_vtx_ept_init(struct ulv_vtx_ept *ept, const struct ulv_host *host,
                 uint32_t tables_max, bool giant)
{
    ulv_status status;

    memset(ept, 0, sizeof(*ept));
    ept->host = host;
    ept->tables_max = tables_max;
    ept->giant = giant;
    ept->root = new_table(ept, &status);
    return status;
}

/* ---- look ---------------------------------------------------------------- */

struct ulv_vtx_translation
ulv_vtx_ept_find(const struct ulv_vtx_ept *ept, uint64_t guest)
{
    const struct ulv_vtx_table *table = ept->root;
    struct ulv_vtx_translation found = { 0, 0, 0 };
    uint32_t level = LEVELS - 1;
    uint64_t entry, inside;

    while (table->below[index_of(guest, level)] != NULL)
        table = table->below[index_of(guest, level--)];
    entry = table->entry[index_of(guest, level)];
    found.bytes = level_bytes(level);
    if (entry == 0)
        return found;
    inside = guest & (found.bytes - 1);
    found.physical = (entry & ENTRY_ADDRESS) + inside;
    found.rights = entry & ULV_VTX_EPT_RIGHTS;
    return found;
}

static bool
is_empty(const struct ulv_vtx_ept *ept, uint64_t guest, uint64_t bytes)
{
    uint64_t end = guest + bytes;

    while (guest < end) {
        struct ulv_vtx_translation found = ulv_vtx_ept_find(ept, guest);

        if (found.rights != 0)
            return false;
        guest = (guest & ~(found.bytes - 1)) + found.bytes;
    }
    return true;
}

uint64_t
ulv_vtx_ept_pointer(const struct ulv_vtx_ept *ept)
{
    return physical_of(ept, ept->root) | POINTER_WRITE_BACK | POINTER_LEVELS;
}

/* ---- unmap --------------------------------------------------------------- */

/* Put a table in the place of a page that lies across guest, until guest is
 * where a page begins. What is mapped stays the same. */
static ulv_status
split_at(struct ulv_vtx_ept *ept, uint64_t guest)
{
    struct ulv_vtx_table *table = ept->root;

    for (uint32_t level = LEVELS - 1; level > 0; level--) {
        uint32_t i = index_of(guest, level);
        uint64_t old = table->entry[i];
        ulv_status status;

        if (old == 0 || guest % level_bytes(level) == 0)
            return ULV_OK;
        if (table->below[i] == NULL) {
            struct ulv_vtx_table *pages = new_table(ept, &status);

            if (pages == NULL)
                return status;
            for (uint32_t n = 0; n < ENTRIES; n++)
                pages->entry[n] = page_entry(
                    (old & ENTRY_ADDRESS) + n * level_bytes(level - 1),
                    old & ULV_VTX_EPT_RIGHTS, level - 1);
            hang_in(ept, table, i, pages);
        }
        table = table->below[i];
    }
    return ULV_OK;
}

/* Clear [from, to) of a table, offsets in what it covers, where no page lies
 * across an edge, and free what is empty then. Returns whether all of it is. */
static bool
clear(struct ulv_vtx_ept *ept, struct ulv_vtx_table *table, uint32_t level,
      uint64_t from, uint64_t to)
{
    uint64_t each = level_bytes(level);

    while (from < to) {
        uint32_t i = (uint32_t)(from / each);
        uint64_t first = from % each;
        uint64_t last = ULV_MIN(to - i * each, each);
        struct ulv_vtx_table *below = table->below[i];

        if (below == NULL || clear(ept, below, level - 1, first, last)) {
            table->entry[i] = 0;
            table->below[i] = NULL;
            if (below != NULL)
                free_table(ept, below);
        }
        from = (i + 1) * each;
    }
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (table->entry[i] != 0)
            return false;
    }
    return true;
}

static ulv_status
check_range(uint64_t guest, uint64_t bytes)
{
    if (bytes == 0 || guest % ULV_VTX_PAGE != 0 || bytes % ULV_VTX_PAGE != 0)
        return ULV_E_ARG;
    return ulv_range_inside(guest, bytes, ULV_VTX_EPT_END) ? ULV_OK
                                                           : ULV_E_LIMIT;
}

ulv_status
ulv_vtx_ept_unmap(struct ulv_vtx_ept *ept, uint64_t guest, uint64_t bytes)
{
    ulv_status status = check_range(guest, bytes);

    if (status == ULV_OK)
        status = split_at(ept, guest);
    if (status == ULV_OK && guest + bytes < ULV_VTX_EPT_END)
        status = split_at(ept, guest + bytes);
    if (status == ULV_OK)
        (void)clear(ept, ept->root, LEVELS - 1, guest, guest + bytes);
    return status;
}

void
ulv_vtx_ept_fini(struct ulv_vtx_ept *ept)
{
    if (ept->root == NULL)
        return;
    (void)clear(ept, ept->root, LEVELS - 1, 0, ULV_VTX_EPT_END);
    free_table(ept, ept->root);
    ept->root = NULL;
}

/* ---- map ----------------------------------------------------------------- */

static uint32_t
best_level(const struct ulv_vtx_ept *ept, uint64_t addresses, uint64_t bytes)
{
    uint32_t level = ept->giant ? 2 : 1;

    while (addresses % level_bytes(level) != 0 || bytes < level_bytes(level))
        level--;
    return level;
}

static ulv_status
map_page(struct ulv_vtx_ept *ept, uint64_t guest, uint64_t physical,
         uint64_t rights, uint32_t level)
{
    struct ulv_vtx_table *table = ept->root;

    for (uint32_t at = LEVELS - 1; at > level; at--) {
        uint32_t i = index_of(guest, at);
        ulv_status status;

        if (table->below[i] == NULL) {
            struct ulv_vtx_table *below = new_table(ept, &status);

            if (below == NULL)
                return status;
            hang_in(ept, table, i, below);
        }
        table = table->below[i];
    }
    table->entry[index_of(guest, level)] =
        page_entry(physical, rights, level);
    return ULV_OK;
}

ulv_status
ulv_vtx_ept_map(struct ulv_vtx_ept *ept, uint64_t guest, uint64_t physical,
                uint64_t bytes, uint64_t rights)
{
    ulv_status status = check_range(guest, bytes);
    uint64_t done = 0;

    if (physical % ULV_VTX_PAGE != 0 || (rights & ULV_VTX_EPT_READ) == 0 ||
        (rights & ~ULV_VTX_EPT_RIGHTS) != 0)
        return ULV_E_ARG;
    if (status != ULV_OK)
        return status;
    if (!ulv_range_inside(physical, bytes, ENTRY_ADDRESS))
        return ULV_E_LIMIT;
    if (!is_empty(ept, guest, bytes))
        return ULV_E_EXISTS;
    while (done < bytes) {
        uint32_t level = best_level(ept, (guest + done) | (physical + done),
                                    bytes - done);

        status = map_page(ept, guest + done, physical + done, rights, level);
        if (status != ULV_OK) {
            /* the tables of the page that failed, too: it was empty */
            (void)clear(ept, ept->root, LEVELS - 1, guest,
                        guest + done + ULV_VTX_PAGE);
            return status;
        }
        done += level_bytes(level);
    }
    return ULV_OK;
}
