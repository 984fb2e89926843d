/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/test/object.h"

#include <stdlib.h>

#include "base/base.h"

#define SECTOR_BYTES 512

/* A path becomes the memory of the medium of that name. */
static ulv_status
resolve(struct ulv_test_host *t, const struct ulv_source *source,
        struct ulv_source *ret, struct ulv_diag *diag)
{
    *ret = *source;
    if (source->kind == ULV_SOURCE_KIND_MEMORY ||
        source->kind == ULV_SOURCE_KIND_READ)
        return ULV_OK;
    if (source->kind != ULV_SOURCE_KIND_PATH)
        return ulv_fail(diag, ULV_E_ARG, 0, source->kind, ULV_SOURCE_KIND_READ,
                        "medium: source of kind %u", (uint64_t)source->kind);
    for (uint32_t i = 0; i < t->media_count; i++) {
        if (!ulv_string_equal(t->media[i].name, source->path, 4096))
            continue;
        *ret = ULV_SOURCE_MEMORY(t->media[i].p, t->media[i].bytes);
        return ULV_OK;
    }
    return ulv_fail(diag, ULV_E_NOT_FOUND, 0, 0, 0, "%s: no such medium",
                    source->path);
}

static ulv_status
test_medium_open(void *self, const struct ulv_source *source, uint32_t flags,
                 ulv_handle *ret, struct ulv_diag *diag)
{
    struct ulv_test_host *t = self;
    struct ulv_test_object *object = NULL;
    struct ulv_source found;
    ulv_status status = resolve(t, source, &found, diag);

    if (status != ULV_OK)
        return status;
    if ((flags & ~ULV_MEDIUM_FLAGS) != 0)
        return ulv_fail(diag, ULV_E_ARG, 0, flags, ULV_MEDIUM_FLAGS,
                        "medium: flags %x", (uint64_t)flags);
    if (found.bytes == 0 || ((flags & ULV_MEDIUM_ANY_SIZE) == 0 &&
                             found.bytes % SECTOR_BYTES != 0))
        return ulv_fail(diag, ULV_E_FORMAT, 0, found.bytes, SECTOR_BYTES,
                        "medium: %u bytes, not a multiple of %u", found.bytes,
                        (uint64_t)SECTOR_BYTES);
    if (t->medium_open_status != ULV_OK)
        return ulv_fail(diag, t->medium_open_status, 0, 0, 0,
                        "medium: told to fail");
    status = ulv_test_object(t, ULV_TEST_MEDIUM, &object, ret);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "medium: no memory");
    object->source = found;
    object->bytes = found.bytes;
    return ULV_OK;
}

static ulv_status
test_medium_bytes(void *self, ulv_handle medium, uint64_t *ret)
{
    struct ulv_test_slot *slot = ulv_test_slot(self, medium, ULV_TEST_MEDIUM);

    if (slot == NULL)
        return ULV_E_ARG;
    *ret = slot->object->bytes;
    return ULV_OK;
}

static ulv_status
test_medium_read(void *self, ulv_handle medium, uint64_t offset, void *buf,
                 size_t len, size_t *ret_len)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, medium, ULV_TEST_MEDIUM);
    const struct ulv_source *source;
    uint64_t end;

    if (slot == NULL || !ulv_range_inside(offset, len, INT64_MAX))
        return ULV_E_ARG;
    if (ulv_ranges_overlap(offset, len, t->medium_error_offset,
                           t->medium_error_bytes))
        return ULV_E_MEDIUM;
    source = &slot->object->source;
    end = ULV_MIN(source->bytes, t->medium_end_offset);
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
test_medium_lock(void *self, ulv_handle medium)
{
    return ulv_test_slot(self, medium, ULV_TEST_MEDIUM) == NULL ? ULV_E_ARG
                                                                : ULV_OK;
}

static ulv_status
test_fence_create(void *self, ulv_handle *ret)
{
    struct ulv_test_object *object = NULL;

    return ulv_test_object(self, ULV_TEST_FENCE, &object, ret);
}

static ulv_status
test_fence_open(void *self, ulv_handle fence, ulv_handle *ret)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, fence, ULV_TEST_FENCE);
    struct ulv_test_opening *opening;
    ulv_status status;

    if (slot == NULL)
        return ULV_E_ARG;
    if (ulv_test_fails(t))
        return ULV_E_LIMIT;
    opening = calloc(1, sizeof(*opening));
    if (opening == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_test_handle(t, slot->object, ret);
    if (status != ULV_OK) {
        free(opening);
        return status;
    }
    opening->handles = 1;
    ulv_test_slot(t, *ret, ULV_TEST_FENCE)->opening = opening;
    return ULV_OK;
}

static ulv_status
test_fence_try_take(void *self, ulv_handle fence)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, fence, ULV_TEST_FENCE);

    if (slot == NULL)
        return ULV_E_ARG;
    if (slot->opening == NULL) {
        ulv_test_misuse(t, "fence: taken by the keeper's own handle");
        return ULV_E_ARG;
    }
    if (slot->object->holder != NULL && slot->object->holder != slot->opening)
        return ULV_E_AGAIN;
    slot->object->holder = slot->opening;
    return ULV_OK;
}

void
ulv_test_medium_members(struct ulv_host *host)
{
    host->medium_open = test_medium_open;
    host->medium_bytes = test_medium_bytes;
    host->medium_read = test_medium_read;
    host->medium_lock = test_medium_lock;
    host->fence_create = test_fence_create;
    host->fence_open = test_fence_open;
    host->fence_try_take = test_fence_try_take;
}
