/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "guest/heap.h"

#include "base/libc.h"

#define SEAL        UINT32_C(0x5ea1b10c)
#define CANARY      0xc5u
#define CANARY_MIN  8u
#define BLOCK_BYTES ((uint64_t)sizeof(struct heap_block) - 16)

/* Sizes are in units of HEAP_ALIGN and count this header. */
struct heap_block {
    uint32_t units;
    uint32_t units_before; /* of the block that ends here; 0: the first */
    uint32_t spare; /* bytes at its end that nobody asked for; 0: free */
    uint32_t seal;
    /* free only, where the user's bytes would be */
    struct heap_block *next, *previous;
};

_Static_assert(sizeof(struct heap_block) == 32, "a header of 16 bytes");
_Static_assert(sizeof(struct heap_area) % HEAP_ALIGN == 0, "blocks follow it");

static uint32_t
seal_of(const struct heap_block *b)
{
    return SEAL ^ b->units ^ (b->units_before << 7 | b->units_before >> 25) ^
           (b->spare << 13 | b->spare >> 19) ^ (uint32_t)(uintptr_t)b;
}

static void
write_block(struct heap_block *b, uint64_t units, uint64_t before,
            uint64_t spare)
{
    b->units = (uint32_t)units;
    b->units_before = (uint32_t)before;
    b->spare = (uint32_t)spare;
    b->seal = seal_of(b);
}

static struct heap_block *
at(const void *p, uint64_t bytes)
{
    return (struct heap_block *)((uintptr_t)p + bytes);
}

static struct heap_block *
after(const struct heap_block *b)
{
    return at(b, (uint64_t)b->units * HEAP_ALIGN);
}

static struct heap_block *
before(const struct heap_block *b)
{
    return (struct heap_block *)((uintptr_t)b -
                                 (uint64_t)b->units_before * HEAP_ALIGN);
}

static struct heap_block *
first_of(const struct heap_area *area)
{
    return at(area, sizeof(*area));
}

static uint32_t
bin_of(uint64_t units)
{
    return 63u - (uint32_t)__builtin_clzll(units);
}

static void
link_block(struct heap *heap, const struct heap_area *area,
           struct heap_block *b)
{
    struct heap_block **head = &heap->bin[bin_of(b->units)];

    if (area->closed)
        return;
    b->previous = NULL;
    b->next = *head;
    if (*head != NULL)
        (*head)->previous = b;
    *head = b;
}

static void
unlink_block(struct heap *heap, const struct heap_area *area,
             struct heap_block *b)
{
    if (area->closed)
        return;
    if (b->next != NULL)
        b->next->previous = b->previous;
    if (b->previous != NULL)
        b->previous->next = b->next;
    else
        heap->bin[bin_of(b->units)] = b->next;
}

static struct heap_area *
area_of(const struct heap *heap, const void *p)
{
    struct heap_area *area = heap->areas;

    while (area != NULL && (uintptr_t)p - (uintptr_t)area >= area->bytes)
        area = area->next;
    return area;
}

bool
heap_add(struct heap *heap, void *p, uint64_t bytes, uint64_t extent)
{
    uint64_t skip = (0 - (uintptr_t)p) % HEAP_ALIGN, units;
    struct heap_area *area = (void *)at(p, skip);
    struct heap_block *b;

    if (bytes < skip + sizeof(*area) + 4 * sizeof(*b))
        return false;
    bytes = (bytes - skip) / HEAP_ALIGN * HEAP_ALIGN;
    units = (bytes - sizeof(*area) - BLOCK_BYTES) / HEAP_ALIGN;
    if (units > UINT32_MAX)
        return false;
    *area = (struct heap_area){ .next = heap->areas,
                                .bytes = bytes,
                                .extent = extent };
    heap->areas = area;
    b = first_of(area);
    write_block(b, units, 0, 0);
    /* an end that is never free, so that nothing is merged across it */
    write_block(after(b), 1, units, 1);
    link_block(heap, area, b);
    return true;
}

void
heap_remove(struct heap *heap, struct heap_area *area)
{
    struct heap_area **from = &heap->areas;

    while (*from != area)
        from = &(*from)->next;
    *from = area->next;
    unlink_block(heap, area, first_of(area));
}

static bool
is_end(const struct heap_area *area, const struct heap_block *b)
{
    return (uintptr_t)b - (uintptr_t)area + BLOCK_BYTES == area->bytes;
}

void
heap_close(struct heap *heap, struct heap_area *area)
{
    for (struct heap_block *b = first_of(area); !is_end(area, b); b = after(b))
        if (b->spare == 0)
            unlink_block(heap, area, b);
    area->closed = true;
}

/* Bytes to leave at the start of a free block, so that what follows the next
 * header is aligned and what is left can be a block. */
static uint64_t
lead_of(const struct heap_block *b, uint64_t align)
{
    uint64_t data = (uintptr_t)b + BLOCK_BYTES, lead = (0 - data) & (align - 1);

    while (lead != 0 && lead < sizeof(*b))
        lead += align;
    return lead;
}

static bool
fits(const struct heap_block *b, uint64_t units, uint64_t align)
{
    return lead_of(b, align) / HEAP_ALIGN + units <= b->units;
}

static struct heap_block *
find(const struct heap *heap, uint64_t units, uint64_t align)
{
    for (uint32_t i = bin_of(units); i < HEAP_BINS; i++) {
        struct heap_block *b = heap->bin[i];

        while (b != NULL && !fits(b, units, align))
            b = b->next;
        if (b != NULL)
            return b;
    }
    return NULL;
}

/* Cut a free block in two; the second one is free too and not linked. */
static struct heap_block *
split(struct heap *heap, const struct heap_area *area, struct heap_block *b,
      uint64_t units)
{
    struct heap_block *rest, *next = after(b);
    uint64_t left = b->units - units;

    unlink_block(heap, area, b);
    write_block(b, units, b->units_before, 0);
    rest = after(b);
    write_block(rest, left, units, 0);
    write_block(next, next->units, left, next->spare);
    link_block(heap, area, b);
    return rest;
}

void *
heap_alloc(struct heap *heap, uint64_t bytes, uint64_t align)
{
    struct heap_area *area;
    struct heap_block *b;
    uint64_t units, lead, spare;

    if (align < HEAP_ALIGN && align != 0 && (align & (align - 1)) == 0)
        align = HEAP_ALIGN;
    units = (bytes + BLOCK_BYTES + CANARY_MIN + HEAP_ALIGN - 1) / HEAP_ALIGN;
    if (units < sizeof(*b) / HEAP_ALIGN)
        units = sizeof(*b) / HEAP_ALIGN;
    b = bytes > (uint64_t)UINT32_MAX * 8 || (align & (align - 1)) != 0 ||
                align == 0
            ? NULL
            : find(heap, units, align);
    if (b == NULL) {
        heap->refused++;
        return NULL;
    }
    area = area_of(heap, b);
    lead = lead_of(b, align);
    if (lead != 0)
        b = split(heap, area, b, lead / HEAP_ALIGN);
    else
        unlink_block(heap, area, b);
    if (b->units >= units + sizeof(*b) / HEAP_ALIGN) {
        /* split() takes a linked one */
        link_block(heap, area, b);
        link_block(heap, area, split(heap, area, b, units));
        unlink_block(heap, area, b);
    }
    spare = (uint64_t)b->units * HEAP_ALIGN - BLOCK_BYTES - bytes;
    write_block(b, b->units, b->units_before, spare);
    memset((uint8_t *)b + BLOCK_BYTES + bytes, CANARY, spare);
    area->used++;
    heap->used_count++;
    heap->used_bytes += (uint64_t)b->units * HEAP_ALIGN;
    return (uint8_t *)b + BLOCK_BYTES;
}

/* NULL, or what is wrong with a block that is in use. */
static const char *
look(const struct heap_block *b)
{
    const uint8_t *end;

    if (b->seal != seal_of(b))
        return "not a block, or what lies before it was overrun";
    if (b->spare == 0)
        return "freed twice";
    end = (const uint8_t *)after(b);
    for (uint64_t i = 1; i <= b->spare; i++)
        if (*(end - i) != CANARY)
            return "overrun: bytes beyond its end were written";
    return NULL;
}

/* One free block of two neighbours; neither is linked afterwards. */
static struct heap_block *
merge(struct heap_block *b, struct heap_block *next)
{
    struct heap_block *end = after(next);
    uint64_t units = (uint64_t)b->units + next->units;

    next->seal = 0; /* no header any more */
    write_block(b, units, b->units_before, 0);
    write_block(end, end->units, units, end->spare);
    return b;
}

static struct heap_block *
block_of(const struct heap_area *area, const void *p)
{
    uintptr_t from = (uintptr_t)p - (uintptr_t)area;

    if (area == NULL || from % HEAP_ALIGN != 0 ||
        from < sizeof(*area) + BLOCK_BYTES || from + BLOCK_BYTES > area->bytes)
        return NULL;
    return (struct heap_block *)((uintptr_t)p - BLOCK_BYTES);
}

const char *
heap_free(struct heap *heap, void *p, struct heap_area **ret_area)
{
    struct heap_area *area = area_of(heap, p);
    struct heap_block *b = block_of(area, p), *next;
    const char *wrong;

    if (b == NULL)
        return "not memory of the heap";
    wrong = look(b);
    if (wrong != NULL)
        return wrong;
    if (after(b)->seal != seal_of(after(b)))
        return "overrun: the next block's header was written";
    area->used--;
    heap->used_count--;
    heap->used_bytes -= (uint64_t)b->units * HEAP_ALIGN;
    write_block(b, b->units, b->units_before, 0);
    next = after(b);
    if (next->spare == 0) {
        unlink_block(heap, area, next);
        (void)merge(b, next);
    }
    if (b->units_before != 0 && before(b)->spare == 0) {
        next = before(b);
        unlink_block(heap, area, next);
        b = merge(next, b);
    }
    link_block(heap, area, b);
    *ret_area = area;
    return NULL;
}

uint64_t
heap_size(const struct heap *heap, const void *p)
{
    const struct heap_block *b = block_of(area_of(heap, p), p);

    if (b == NULL || b->seal != seal_of(b) || b->spare == 0)
        return 0;
    return (uint64_t)b->units * HEAP_ALIGN - BLOCK_BYTES - b->spare;
}

const char *
heap_check(const struct heap *heap)
{
    for (struct heap_area *area = heap->areas; area != NULL;
         area = area->next) {
        const struct heap_block *b = first_of(area);

        for (; !is_end(area, b); b = after(b)) {
            const char *wrong;

            if (b->seal != seal_of(b))
                return "a block's header was overrun";
            wrong = b->spare == 0 ? NULL : look(b);
            if (wrong != NULL)
                return wrong;
        }
    }
    return NULL;
}

void
heap_count(const struct heap *heap, struct guest_memory *ret)
{
    *ret = (struct guest_memory){ .used_bytes = heap->used_bytes,
                                  .used_count = heap->used_count,
                                  .refused_count = heap->refused };
    for (const struct heap_area *area = heap->areas; area != NULL;
         area = area->next) {
        ret->area_count++;
        ret->bytes += area->bytes;
        for (const struct heap_block *b = first_of(area); !is_end(area, b);
             b = after(b)) {
            uint64_t bytes = (uint64_t)b->units * HEAP_ALIGN;

            if (b->spare != 0 || area->closed)
                continue;
            ret->free_bytes += bytes;
            if (bytes > ret->largest_free_bytes)
                ret->largest_free_bytes = bytes;
        }
    }
}
