/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Media in memory or behind a function, and fences. */
#include "host/objects_priv.h"

#define SECTOR_BYTES 512

static ulv_status
object_medium_open(void *self, const struct ulv_source *source, uint32_t flags,
                   ulv_handle *ret, struct ulv_diag *diag)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object *object = NULL;
    ulv_status status;

    if (source->kind != ULV_SOURCE_KIND_MEMORY &&
        source->kind != ULV_SOURCE_KIND_READ)
        return ulv_fail(
            diag, ULV_E_UNSUPPORTED, 0, source->kind, ULV_SOURCE_KIND_MEMORY,
            "medium: no files here: source of kind %u", (uint64_t)source->kind);
    if ((flags & ~ULV_MEDIUM_FLAGS) != 0)
        return ulv_fail(diag, ULV_E_ARG, 0, flags, ULV_MEDIUM_FLAGS,
                        "medium: flags %x", (uint64_t)flags);
    if (source->bytes == 0 || ((flags & ULV_MEDIUM_ANY_SIZE) == 0 &&
                               source->bytes % SECTOR_BYTES != 0))
        return ulv_fail(diag, ULV_E_FORMAT, 0, source->bytes, SECTOR_BYTES,
                        "medium: %u bytes, not a multiple of %u", source->bytes,
                        (uint64_t)SECTOR_BYTES);
    status = ulv_object_create(o, ULV_OBJECT_MEDIUM, &object, ret);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "medium: no memory");
    object->source = *source;
    object->bytes = source->bytes;
    return ULV_OK;
}

static ulv_status
object_medium_bytes(void *self, ulv_handle medium, uint64_t *ret)
{
    struct ulv_object_slot *slot = slot_of(self, medium, ULV_OBJECT_MEDIUM);

    if (slot == NULL)
        return ULV_E_ARG;
    *ret = slot->object->bytes;
    return ULV_OK;
}

static ulv_status
object_medium_read(void *self, ulv_handle medium, uint64_t offset, void *buf,
                   size_t len, size_t *ret_len)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object_slot *slot =
        ulv_object_slot(o, medium, ULV_OBJECT_MEDIUM);
    const struct ulv_source *source;
    uint64_t end;

    if (slot == NULL || !ulv_range_inside(offset, len, INT64_MAX))
        return ULV_E_ARG;
    source = &slot->object->source;
    end = source->bytes;
    *ret_len = 0;
    if (offset >= end)
        return ULV_OK;
    len = (size_t)ULV_MIN(len, end - offset);
    if (source->kind == ULV_SOURCE_KIND_READ)
        return source->read(source->opaque, offset, buf, len, ret_len);
    memcpy(buf, (const uint8_t *)source->memory + offset, len);
    *ret_len = len;
    return ULV_OK;
}

static ulv_status
object_medium_lock(void *self, ulv_handle medium)
{
    return slot_of(self, medium, ULV_OBJECT_MEDIUM) == NULL ? ULV_E_ARG
                                                            : ULV_OK;
}

static ulv_status
object_fence_create(void *self, ulv_handle *ret)
{
    return ulv_object_plain(self, ULV_OBJECT_FENCE, ret);
}

static ulv_status
object_fence_open(void *self, ulv_handle fence, ulv_handle *ret)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object_slot *slot = ulv_object_slot(o, fence, ULV_OBJECT_FENCE);
    struct ulv_object_opening *opening;
    ulv_status status;

    if (slot == NULL)
        return ULV_E_ARG;
    opening = ulv_object_alloc(o, sizeof(*opening));
    if (opening == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_object_handle(o, slot->object, ret);
    if (status != ULV_OK) {
        ulv_object_free(o, opening, sizeof(*opening));
        return status;
    }
    opening->handles = 1;
    ulv_object_slot(o, *ret, ULV_OBJECT_FENCE)->opening = opening;
    return ULV_OK;
}

static ulv_status
object_fence_try_take(void *self, ulv_handle fence)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object_slot *slot = ulv_object_slot(o, fence, ULV_OBJECT_FENCE);

    if (slot == NULL)
        return ULV_E_ARG;
    if (slot->opening == NULL) {
        ulv_object_misuse(o, "fence: taken by the keeper's own handle");
        return ULV_E_ARG;
    }
    if (slot->object->holder != NULL && slot->object->holder != slot->opening)
        return ULV_E_AGAIN;
    slot->object->holder = slot->opening;
    return ULV_OK;
}

void
ulv_objects_medium_members(struct ulv_host *host)
{
    host->medium_open = object_medium_open;
    host->medium_bytes = object_medium_bytes;
    host->medium_read = object_medium_read;
    host->medium_lock = object_medium_lock;
    host->fence_create = object_fence_create;
    host->fence_open = object_fence_open;
    host->fence_try_take = object_fence_try_take;
}
