/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Memory objects, which every map shows at the same address. */
#include "host/objects_priv.h"

#define PAGE  UINT64_C(4096)
#define SEALS (ULV_SEAL_SIZE | ULV_SEAL_WRITE | ULV_SEAL_SEALS)

ulv_status
ulv_object_memory(struct ulv_objects *o, void *p, uint64_t bytes, void *of_port,
                  ulv_handle *ret)
{
    struct ulv_object *object = NULL;
    ulv_status status = ulv_object_create(o, ULV_OBJECT_MEMORY, &object, ret);

    if (status != ULV_OK)
        return status;
    object->p = p;
    object->bytes = bytes;
    object->of_port = of_port;
    return ULV_OK;
}

static bool
is_range(const struct ulv_object *object, uint64_t offset, uint64_t bytes)
{
    return bytes != 0 && offset % PAGE == 0 && bytes % PAGE == 0 &&
           ulv_range_inside(offset, bytes, object->bytes);
}

static bool
may_write(const struct ulv_object_slot *slot)
{
    return !slot->read_only && (slot->object->seals & ULV_SEAL_WRITE) == 0;
}

static ulv_status
object_memory_map(void *self, ulv_handle memory, uint64_t offset,
                  uint64_t bytes, uint32_t protection, void *at, void **ret)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object_slot *slot =
        ulv_object_slot(o, memory, ULV_OBJECT_MEMORY);
    struct ulv_object_map *map;

    if (slot == NULL || at != NULL || (protection & ULV_MAP_READ) == 0 ||
        !is_range(slot->object, offset, bytes))
        return ULV_E_ARG;
    if ((protection & ULV_MAP_WRITE) != 0 && !may_write(slot))
        return ULV_E_DENIED;
    map = ulv_object_alloc(o, sizeof(*map));
    if (map == NULL)
        return ULV_E_NO_MEMORY;
    map->next = o->maps;
    map->object = slot->object;
    map->p = slot->object->p + offset;
    map->bytes = bytes;
    o->maps = map;
    o->live_maps++;
    map->object->holders++;
    *ret = map->p;
    return ULV_OK;
}

static void
object_memory_unmap(void *self, void *p, uint64_t bytes)
{
    struct ulv_objects *o = ulv_objects_of(self);

    if (p == NULL)
        return;
    for (struct ulv_object_map **at = &o->maps; *at != NULL;
         at = &(*at)->next) {
        struct ulv_object_map *map = *at;

        if (map->p != p || map->bytes != bytes)
            continue;
        *at = map->next;
        o->live_maps--;
        ulv_object_drop(o, map->object);
        ulv_object_free(o, map, sizeof(*map));
        return;
    }
    ulv_object_misuse(o, "unmap: no such map of this size");
}

static ulv_status
object_memory_seal(void *self, ulv_handle memory, uint32_t seals)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object_slot *slot =
        ulv_object_slot(o, memory, ULV_OBJECT_MEMORY);

    if (slot == NULL || (seals & ~SEALS) != 0)
        return ULV_E_ARG;
    if (slot->read_only || (slot->object->seals & ULV_SEAL_SEALS) != 0)
        return ULV_E_DENIED;
    if (ulv_object_fails(o))
        return ULV_E_HOST;
    slot->object->seals |= seals;
    return ULV_OK;
}

static ulv_status
object_memory_read_only(void *self, ulv_handle memory, ulv_handle *ret)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object_slot *slot =
        ulv_object_slot(o, memory, ULV_OBJECT_MEMORY);
    ulv_status status;

    if (slot == NULL)
        return ULV_E_ARG;
    if (ulv_object_fails(o))
        return ULV_E_LIMIT;
    status = ulv_object_handle(o, slot->object, ret);
    if (status == ULV_OK)
        ulv_object_slot(o, *ret, ULV_OBJECT_MEMORY)->read_only = true;
    return status;
}

static ulv_status
object_memory_discard(void *self, ulv_handle memory, uint64_t offset,
                      uint64_t bytes)
{
    struct ulv_object_slot *slot = slot_of(self, memory, ULV_OBJECT_MEMORY);

    if (slot == NULL || !is_range(slot->object, offset, bytes))
        return ULV_E_ARG;
    if (!may_write(slot))
        return ULV_E_DENIED;
    memset(slot->object->p + offset, 0, bytes);
    return ULV_OK;
}

static ulv_status
object_memory_bytes(void *self, ulv_handle memory, uint64_t *ret)
{
    struct ulv_object_slot *slot = slot_of(self, memory, ULV_OBJECT_MEMORY);

    if (slot == NULL)
        return ULV_E_ARG;
    *ret = slot->object->bytes;
    return ULV_OK;
}

void
ulv_objects_memory_members(struct ulv_host *host)
{
    host->memory_map = object_memory_map;
    host->memory_unmap = object_memory_unmap;
    host->memory_seal = object_memory_seal;
    host->memory_read_only = object_memory_read_only;
    host->memory_discard = object_memory_discard;
    host->memory_bytes = object_memory_bytes;
}
