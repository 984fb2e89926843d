/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* alloc and free: free blocks in order of address, merged when neighbours.
 * The size comes back with free, so a block in use carries nothing. */
#include "port/bare/bare_priv.h"

#define GRANULE UINT64_C(16)

/* At the start of each free block. */
struct ulv_bare_block {
    struct ulv_bare_block *next;
    uint64_t bytes;
};

_Static_assert(sizeof(struct ulv_bare_block) == GRANULE, "fits any hole");

static uint64_t
address_of(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

void
bare_heap_init(struct ulv_bare *b, uint64_t start, uint64_t bytes)
{
    b->heap = bare_at(start);
    b->heap->next = NULL;
    b->heap->bytes = bytes;
    b->heap_start = start;
    b->heap_bytes = bytes;
    b->heap_free = bytes;
}

/* Cut [start, start + bytes) out of the block that *link points to. */
static void
cut(struct ulv_bare_block **link, uint64_t start, uint64_t bytes)
{
    struct ulv_bare_block *block = *link;
    uint64_t before = start - address_of(block);
    uint64_t after = block->bytes - before - bytes;

    if (after != 0) {
        struct ulv_bare_block *rest = bare_at(start + bytes);

        rest->next = block->next;
        rest->bytes = after;
        block->next = rest;
    }
    if (before != 0)
        block->bytes = before;
    else
        *link = block->next;
}

void *
bare_alloc(void *self, size_t bytes, size_t align)
{
    struct ulv_bare *b = self;
    uint64_t need = ulv_round_up(ULV_MAX(bytes, 1), GRANULE);

    if (need == 0 || !ulv_is_power_of_two(align))
        return NULL;
    align = ULV_MAX(align, GRANULE);
    for (struct ulv_bare_block **link = &b->heap; *link != NULL;
         link = &(*link)->next) {
        uint64_t start = ulv_round_up(address_of(*link), align);

        if (start == 0 ||
            !ulv_range_inside(start - address_of(*link), need, (*link)->bytes))
            continue;
        cut(link, start, need);
        b->heap_free -= need;
        memset(bare_at(start), 0, need);
        return bare_at(start);
    }
    return NULL;
}

void
bare_free(void *self, void *p, size_t bytes)
{
    struct ulv_bare *b = self;
    struct ulv_bare_block *block = p, *previous = NULL, *next = b->heap;
    uint64_t start = address_of(p);
    uint64_t need = ulv_round_up(ULV_MAX(bytes, 1), GRANULE);

    if (p == NULL)
        return;
    while (next != NULL && address_of(next) < start) {
        previous = next;
        next = next->next;
    }
    if (need == 0 || start % GRANULE != 0 || start < b->heap_start ||
        !ulv_range_inside(start - b->heap_start, need, b->heap_bytes) ||
        (next != NULL && start + need > address_of(next)) ||
        (previous != NULL && address_of(previous) + previous->bytes > start)) {
        bare_misuse(b, "free: not an allocation of this size");
        return;
    }
    b->heap_free += need;
    block->next = next;
    block->bytes = need;
    if (next != NULL && start + need == address_of(next)) {
        block->bytes += next->bytes;
        block->next = next->next;
    }
    if (previous == NULL) {
        b->heap = block;
    } else if (address_of(previous) + previous->bytes == start) {
        previous->bytes += block->bytes;
        previous->next = block->next;
    } else {
        previous->next = block;
    }
}
