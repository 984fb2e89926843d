/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Memory objects, seen at their physical addresses. All parts
 * share one address space: rights belong to handles, not to mappings. */
#include "port/bare/bare_priv.h"

#define SEALS (ULV_SEAL_SIZE | ULV_SEAL_WRITE | ULV_SEAL_SEALS)

static void
fill(struct ulv_bare *b, struct ulv_bare_object *object,
     struct ulv_bare_run *run, uint64_t start, uint64_t bytes)
{
    object->run = run;
    object->start = start;
    object->bytes = bytes;
    object->next = b->objects;
    b->objects = object;
}

/* Of the heap: the frames of node 0 are for memory_at alone. */
static ulv_status
bare_memory_create(void *self, const char *name, uint64_t bytes, uint32_t flags,
                   ulv_handle *ret)
{
    struct ulv_bare *b = self;
    struct ulv_bare_object *object = NULL;
    ulv_status status;
    void *p;

    (void)name;
    if (bytes == 0 || bytes % BARE_PAGE != 0 || (flags & ~ULV_MEMORY_LAZY) != 0)
        return ULV_E_ARG;
    p = bare_alloc(b, bytes,
                   bytes >= BARE_LARGE_PAGE ? BARE_LARGE_PAGE : BARE_PAGE);
    if (p == NULL)
        return ULV_E_NO_MEMORY;
    status = bare_object(b, BARE_MEMORY, &object, ret);
    if (status != ULV_OK) {
        bare_free(b, p, bytes);
        return status;
    }
    fill(b, object, NULL, (uint64_t)(uintptr_t)p, bytes);
    return ULV_OK;
}

static ulv_status
bare_memory_at(void *self, uint64_t physical, uint64_t bytes, ulv_handle *ret)
{
    struct ulv_bare *b = self;
    struct ulv_bare_object *object = NULL;
    struct ulv_bare_run *run = NULL;
    ulv_status status;

    if (bytes == 0 || physical % BARE_PAGE != 0 || bytes % BARE_PAGE != 0)
        return ULV_E_ARG;
    if (!bare_ranges_are(b, physical, bytes, ULV_BARE_RANGE_RAM))
        return ULV_E_DENIED;
    status = bare_frames_take_at(b, physical, bytes, &run);
    if (status != ULV_OK)
        return status;
    status = bare_object(b, BARE_MEMORY, &object, ret);
    if (status != ULV_OK) {
        bare_frames_give(b, run);
        return status;
    }
    memset(bare_at(physical), 0, bytes);
    fill(b, object, run, physical, bytes);
    return ULV_OK;
}

/* Appends a range that is not empty; counts also what finds no room. */
static void
append(struct ulv_host_frames *ret, uint32_t capacity, uint32_t *count,
       struct ulv_host_frames range)
{
    if (range.bytes == 0)
        return;
    if (*count < capacity)
        ret[*count] = range;
    (*count)++;
}

/* RAM in whole large pages is usable; what is left of it, and what else is RAM
 * but taken, is not. What is no RAM is not there at all. */
static ulv_status
bare_frames(void *self, struct ulv_host_frames *ret, uint32_t capacity,
            uint32_t *ret_count)
{
    const struct ulv_bare *b = self;

    *ret_count = 0;
    for (uint32_t i = 0; i < b->range_count; i++) {
        const struct ulv_bare_range *range = &b->ranges[i];
        uint64_t start = range->start, end = start + range->bytes;
        uint64_t first = end, last = end;

        if (range->type >= ULV_BARE_RANGE_RESERVED &&
            range->type <= ULV_BARE_RANGE_BAD)
            continue;
        if (range->type == ULV_BARE_RANGE_RAM) {
            first = ULV_MIN(ulv_round_up(start, BARE_LARGE_PAGE), end);
            last = ULV_MAX(ulv_round_down(end, BARE_LARGE_PAGE), first);
        }
        append(ret, capacity, ret_count,
               (struct ulv_host_frames){ .base = start,
                                         .bytes = first - start });
        append(ret, capacity, ret_count,
               (struct ulv_host_frames){ .base = first,
                                         .bytes = last - first,
                                         .usable = 1 });
        append(ret, capacity, ret_count,
               (struct ulv_host_frames){ .base = last, .bytes = end - last });
    }
    return ULV_OK;
}

static bool
is_range(const struct ulv_bare_object *object, uint64_t offset, uint64_t bytes)
{
    return bytes != 0 && offset % BARE_PAGE == 0 && bytes % BARE_PAGE == 0 &&
           ulv_range_inside(offset, bytes, object->bytes);
}

static bool
may_write(const struct ulv_bare_slot *slot)
{
    return !slot->read_only && (slot->object->seals & ULV_SEAL_WRITE) == 0;
}

static ulv_status
bare_memory_map(void *self, ulv_handle memory, uint64_t offset, uint64_t bytes,
                uint32_t protection, void *at, void **ret)
{
    struct ulv_bare_slot *slot = bare_slot(self, memory, BARE_MEMORY);

    if (slot == NULL || at != NULL || (protection & ULV_MAP_READ) == 0 ||
        !is_range(slot->object, offset, bytes))
        return ULV_E_ARG;
    if ((protection & ULV_MAP_WRITE) != 0 && !may_write(slot))
        return ULV_E_DENIED;
    slot->object->holders++;
    slot->object->maps++;
    *ret = bare_at(slot->object->start + offset);
    return ULV_OK;
}

static void
bare_memory_unmap(void *self, void *p, uint64_t bytes)
{
    struct ulv_bare *b = self;
    uint64_t start = (uint64_t)(uintptr_t)p;

    if (p == NULL)
        return;
    for (struct ulv_bare_object *at = b->objects; at != NULL; at = at->next) {
        if (at->maps == 0 || start < at->start ||
            !is_range(at, start - at->start, bytes))
            continue;
        at->maps--;
        bare_object_drop(b, at);
        return;
    }
    bare_misuse(b, "unmap: nothing is mapped there");
}

static ulv_status
bare_memory_seal(void *self, ulv_handle memory, uint32_t seals)
{
    struct ulv_bare_slot *slot = bare_slot(self, memory, BARE_MEMORY);

    if (slot == NULL || (seals & ~SEALS) != 0)
        return ULV_E_ARG;
    if (slot->read_only || (slot->object->seals & ULV_SEAL_SEALS) != 0)
        return ULV_E_DENIED;
    slot->object->seals |= seals;
    return ULV_OK;
}

static ulv_status
bare_memory_read_only(void *self, ulv_handle memory, ulv_handle *ret)
{
    struct ulv_bare *b = self;
    struct ulv_bare_slot *slot = bare_slot(b, memory, BARE_MEMORY);
    ulv_status status;

    if (slot == NULL)
        return ULV_E_ARG;
    status = bare_handle(b, slot->object, ret);
    if (status == ULV_OK)
        bare_slot(b, *ret, BARE_MEMORY)->read_only = true;
    return status;
}

static ulv_status
bare_memory_discard(void *self, ulv_handle memory, uint64_t offset,
                    uint64_t bytes)
{
    struct ulv_bare_slot *slot = bare_slot(self, memory, BARE_MEMORY);

    if (slot == NULL || !is_range(slot->object, offset, bytes))
        return ULV_E_ARG;
    if (!may_write(slot))
        return ULV_E_DENIED;
    memset(bare_at(slot->object->start + offset), 0, bytes);
    return ULV_OK;
}

static ulv_status
bare_memory_bytes(void *self, ulv_handle memory, uint64_t *ret)
{
    struct ulv_bare_slot *slot = bare_slot(self, memory, BARE_MEMORY);

    if (slot == NULL)
        return ULV_E_ARG;
    *ret = slot->object->bytes;
    return ULV_OK;
}

static uint64_t
bare_physical(void *self, const void *p)
{
    (void)self;
    return (uint64_t)(uintptr_t)p;
}

void
bare_memory_members(struct ulv_host *host)
{
    host->memory_create = bare_memory_create;
    host->memory_at = bare_memory_at;
    host->frames = bare_frames;
    host->memory_map = bare_memory_map;
    host->memory_unmap = bare_memory_unmap;
    host->memory_seal = bare_memory_seal;
    host->memory_read_only = bare_memory_read_only;
    host->memory_discard = bare_memory_discard;
    host->memory_bytes = bare_memory_bytes;
    host->physical = bare_physical;
}
