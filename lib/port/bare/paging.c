/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The identity map: entry.S made that of the first 4 GiB, by large pages. What
 * a defect of ours would touch first is taken out. SDM 3A 4.5. */
#include "port/bare/bare_priv.h"

#define MAPPED_AT_ENTRY UINT64_C(0x100000000) /* entry.S */
#define GIB             UINT64_C(0x40000000)
#define ENTRIES         512
#define PAGE_PRESENT    UINT64_C(0x01)
#define PAGE_WRITABLE   UINT64_C(0x02)
#define PAGE_IS_LARGE   UINT64_C(0x80)
#define PAGE_TABLE      (PAGE_PRESENT | PAGE_WRITABLE)
#define PAGE_ADDRESS    UINT64_C(0x000ffffffffff000)

extern uint64_t bare_pointers[ENTRIES];
extern uint8_t bare_stack_guard[];
extern const uint8_t bare_image_start[], bare_read_only_end[];

/* A table of 512 pages from start on, each bytes long. */
static uint64_t *
new_table(struct ulv_bare *b, uint64_t start, uint64_t bytes, uint64_t flags)
{
    uint64_t *table = bare_alloc(b, BARE_PAGE, BARE_PAGE);

    for (uint64_t i = 0; table != NULL && i < ENTRIES; i++)
        table[i] = (start + i * bytes) | flags;
    return table;
}

/* Pages of 4 KiB in place of one large page, where it is not so already. */
static ulv_status
set_page(struct ulv_bare *b, uint64_t address, uint64_t flags)
{
    uint64_t *directory = bare_at(bare_pointers[address / GIB] & PAGE_ADDRESS);
    uint64_t *entry = &directory[address / BARE_LARGE_PAGE % ENTRIES];
    uint64_t *table;

    if ((*entry & PAGE_IS_LARGE) != 0) {
        table = new_table(b, ulv_round_down(address, BARE_LARGE_PAGE),
                          BARE_PAGE, PAGE_TABLE);
        if (table == NULL)
            return ULV_E_NO_MEMORY;
        *entry = (uint64_t)(uintptr_t)table | PAGE_TABLE;
    }
    table = bare_at(*entry & PAGE_ADDRESS);
    table[address / BARE_PAGE % ENTRIES] =
        flags == 0 ? 0 : ulv_round_down(address, BARE_PAGE) | flags;
    return ULV_OK;
}

static ulv_status
protect(struct ulv_bare *b)
{
    uint64_t at = (uint64_t)(uintptr_t)bare_image_start;
    uint64_t end = (uint64_t)(uintptr_t)bare_read_only_end;
    ulv_status status = set_page(b, 0, 0);

    if (status == ULV_OK)
        status = set_page(b, (uint64_t)(uintptr_t)bare_stack_guard, 0);
    for (; at < end && status == ULV_OK; at += BARE_PAGE)
        status = set_page(b, at, PAGE_PRESENT);
    return status;
}

static ulv_status
leave_unreachable(struct ulv_bare *b, uint64_t limit)
{
    for (uint32_t i = 0; i < b->range_count; i++) {
        struct ulv_bare_range range = b->ranges[i];
        uint64_t end = range.start + range.bytes;
        uint64_t start = ULV_MAX(range.start, limit);
        ulv_status status;

        if (range.type != ULV_BARE_RANGE_RAM || end <= limit)
            continue;
        status =
            bare_ranges_set(b, start, end - start, ULV_BARE_RANGE_UNREACHABLE);
        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

ulv_status
bare_paging_init(struct ulv_bare *b)
{
    ulv_status status = leave_unreachable(b, ENTRIES * GIB);
    uint64_t end = bare_ranges_end(b), level4;

    for (uint64_t at = MAPPED_AT_ENTRY; at < end && status == ULV_OK;
         at += GIB) {
        uint64_t *directory =
            new_table(b, at, BARE_LARGE_PAGE, PAGE_TABLE | PAGE_IS_LARGE);

        if (directory == NULL)
            return ULV_E_NO_MEMORY;
        bare_pointers[at / GIB] = (uint64_t)(uintptr_t)directory | PAGE_TABLE;
    }
    if (status == ULV_OK)
        status = protect(b);
    /* forget what was mapped otherwise: SDM 3A 4.10.4.1 */
    __asm__ volatile("mov %%cr3, %0\n"
                     "    mov %0, %%cr3"
                     : "=r"(level4)
                     :
                     : "memory");
    return status;
}
