/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/test/object.h"

#include "base/base.h"

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
    struct ulv_source found;
    ulv_status status = resolve(t, source, &found, diag);

    if (status != ULV_OK)
        return status;
    if (t->medium_open_status != ULV_OK)
        return ulv_fail(diag, t->medium_open_status, 0, 0, 0,
                        "medium: told to fail");
    return t->medium_open(self, &found, flags, ret, diag);
}

static ulv_status
test_medium_read(void *self, ulv_handle medium, uint64_t offset, void *buf,
                 size_t len, size_t *ret_len)
{
    struct ulv_test_host *t = self;

    if (ulv_ranges_overlap(offset, len, t->medium_error_offset,
                           t->medium_error_bytes))
        return ULV_E_MEDIUM;
    if (offset < t->medium_end_offset)
        len = (size_t)ULV_MIN(len, t->medium_end_offset - offset);
    else
        len = 0;
    return t->medium_read(self, medium, offset, buf, len, ret_len);
}

void
ulv_test_medium_init(struct ulv_test_host *t)
{
    t->medium_open = t->host.medium_open;
    t->medium_read = t->host.medium_read;
    t->host.medium_open = test_medium_open;
    t->host.medium_read = test_medium_read;
}
