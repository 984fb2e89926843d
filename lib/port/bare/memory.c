/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Memory objects: runs of frames, seen at their physical addresses. All parts
 * share one address space: rights belong to handles, not to mappings. */
#include "port/bare/bare_priv.h"

#define SEALS (ULV_SEAL_SIZE | ULV_SEAL_WRITE | ULV_SEAL_SEALS)

/* The run becomes an object, or is given back. */
static ulv_status
object_of(struct ulv_bare *b, struct ulv_bare_run *run, ulv_handle *ret)
{
    struct ulv_bare_object *object = NULL;
    ulv_status status = bare_object(b, BARE_MEMORY, &object, ret);

    if (status != ULV_OK) {
        bare_frames_give(b, run);
        return status;
    }
    memset(bare_at(run->start), 0, run->bytes);
    object->run = run;
    object->bytes = run->bytes;
    object->next = b->objects;
    b->objects = object;
    return ULV_OK;
}

static ulv_status
bare_memory_create(void *self, const char *name, uint64_t bytes, uint32_t flags,
                   ulv_handle *ret)
{
    struct ulv_bare *b = self;
    struct ulv_bare_run *run = NULL;
    ulv_status status;

    (void)name;
    if (bytes == 0 || bytes % BARE_PAGE != 0 || (flags & ~ULV_MEMORY_LAZY) != 0)
        return ULV_E_ARG;
    status = bare_frames_take(
        b, bytes, bytes >= BARE_LARGE_PAGE ? BARE_LARGE_PAGE : BARE_PAGE, &run);
    return status != ULV_OK ? status : object_of(b, run, ret);
}

static ulv_status
bare_memory_at(void *self, uint64_t physical, uint64_t bytes, ulv_handle *ret)
{
    struct ulv_bare *b = self;
    struct ulv_bare_run *run = NULL;
    ulv_status status;

    if (bytes == 0 || physical % BARE_PAGE != 0 || bytes % BARE_PAGE != 0)
        return ULV_E_ARG;
    if (!bare_ranges_are(b, physical, bytes, ULV_BARE_RANGE_RAM))
        return ULV_E_DENIED;
    status = bare_frames_take_at(b, physical, bytes, &run);
    return status != ULV_OK ? status : object_of(b, run, ret);
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
    *ret = bare_at(slot->object->run->start + offset);
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
        if (at->maps == 0 || start < at->run->start ||
            !is_range(at, start - at->run->start, bytes))
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
    memset(bare_at(slot->object->run->start + offset), 0, bytes);
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
    host->memory_map = bare_memory_map;
    host->memory_unmap = bare_memory_unmap;
    host->memory_seal = bare_memory_seal;
    host->memory_read_only = bare_memory_read_only;
    host->memory_discard = bare_memory_discard;
    host->memory_bytes = bare_memory_bytes;
    host->physical = bare_physical;
}
