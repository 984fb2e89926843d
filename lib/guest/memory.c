/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The heap over the memory that the view lists. */
#include "base/base.h"
#include "guest/guest_priv.h"
#include "guest/heap.h"

#define FAULT_MEMORY 0x6d656dull /* "mem" */

extern char guest_image_end[]; /* guest.ld */

static struct heap heap;
static bool has_begun;

static struct heap_area *
area_at(uint64_t extent)
{
    struct heap_area *area = heap.areas;

    while (area != NULL && area->extent != extent)
        area = area->next;
    return area;
}

static void
add(uint64_t from, uint64_t end, uint64_t extent)
{
    if (from < end)
        (void)heap_add(&heap, (void *)(uintptr_t)from, end - from, extent);
}

/* What the guest was started with: the image lies in the first of it, the
 * stack of processor 0 at its end, wherever this function's own frame is. */
static void
begin(void)
{
    uint64_t image = (uint64_t)(uintptr_t)guest_image_end, end = 0;
    struct ulv_view_memory m;

    has_begun = true;
    for (uint32_t i = 0; guest_view(ULV_VIEW_MEMORY, i, &m, sizeof(m)); i++) {
        /* EXISTS: it was there from the start, or the program took it */
        if ((m.flags & ULV_VIEW_REVOKED) == 0 &&
            guest_call(ULV_CALL_ACCEPT, m.guest_address, 0, 0).status ==
                ULV_OK)
            add(m.guest_address, m.guest_address + m.bytes, m.guest_address);
    }
    for (uint32_t i = 0; guest_view(ULV_VIEW_MEMORY, i, &m, sizeof(m)); i++) {
        if (area_at(m.guest_address) != NULL ||
            (m.flags & ULV_VIEW_REVOKED) != 0)
            continue;
        end = m.guest_address + m.bytes;
        if (m.guest_address <= guest_stack_end - 1 && guest_stack_end <= end)
            end = guest_stack_end - GUEST_STACK_BYTES;
        /* one with the image or the stack in it is never given back */
        add(ULV_MAX(m.guest_address, image), end,
            m.guest_address >= image && end == m.guest_address + m.bytes
                ? m.guest_address
                : 0);
    }
}

void *
guest_alloc_aligned(size_t bytes, size_t align)
{
    if (!has_begun)
        begin();
    return heap_alloc(&heap, bytes, align);
}

void *
guest_alloc(size_t bytes)
{
    return guest_alloc_aligned(bytes, HEAP_ALIGN);
}

static bool
give_up(struct heap_area *area)
{
    uint64_t extent = area->extent;

    if (area->used != 0 || extent == 0)
        return false;
    heap_remove(&heap, area);
    return guest_release(extent);
}

void
guest_free(void *p)
{
    struct heap_area *area;
    const char *wrong;

    if (p == NULL)
        return;
    wrong = heap_free(&heap, p, &area);
    if (wrong != NULL) {
        char text[ULV_CALL_TEXT_MAX];

        (void)guest_format(text, sizeof(text), "memory at %p: %s", p, wrong);
        guest_fault(FAULT_MEMORY, text);
    }
    if (area->closed)
        (void)give_up(area);
}

void *
guest_resize(void *p, size_t bytes)
{
    uint64_t before = p == NULL ? 0 : heap_size(&heap, p);
    void *to = guest_alloc(bytes);

    if (to == NULL || p == NULL)
        return to;
    memcpy(to, p, ULV_MIN(before, bytes));
    guest_free(p);
    return to;
}

void
guest_memory_check(void)
{
    const char *wrong = heap_check(&heap);

    if (wrong != NULL)
        guest_fault(FAULT_MEMORY, wrong);
}

void
guest_memory_count(struct guest_memory *ret)
{
    if (!has_begun)
        begin();
    heap_count(&heap, ret);
}

uint64_t
guest_memory_follow(void)
{
    struct ulv_view_memory m;
    uint64_t bytes = 0;

    if (!has_begun)
        return 0;
    for (uint32_t i = 0; guest_view(ULV_VIEW_MEMORY, i, &m, sizeof(m)); i++) {
        struct heap_area *area = area_at(m.guest_address);

        if ((m.flags & ULV_VIEW_REVOKED) == 0) {
            uint64_t got =
                area == NULL ? guest_accept(m.guest_address) : 0;

            add(m.guest_address, m.guest_address + got, m.guest_address);
            bytes += got;
        } else if (area != NULL && !area->closed) {
            heap_close(&heap, area);
            (void)give_up(area);
        }
    }
    return bytes;
}

uint64_t
guest_memory_give(uint64_t bytes)
{
    struct heap_area *area = heap.areas, *next;
    uint64_t given = 0;

    for (; area != NULL && given < bytes; area = next) {
        uint64_t some = area->bytes;

        next = area->next;
        if (give_up(area))
            given += some;
    }
    return given;
}
