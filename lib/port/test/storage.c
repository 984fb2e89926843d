/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/test/storage.h"

#include <stdlib.h>

#include "base/base.h"

static void
set(struct ulv_test_bytes *b, const void *p, uint64_t bytes)
{
    uint8_t *copy = malloc(bytes == 0 ? 1 : bytes);

    if (copy == NULL)
        abort();
    if (bytes != 0)
        memcpy(copy, p, bytes);
    free(b->p);
    b->p = copy;
    b->bytes = bytes;
}

/* ULV_OK, or the failure of this call; *ret_how: how much is done all the
 * same. */
static ulv_status
count(struct ulv_test_storage *s, uint32_t *ret_how, struct ulv_diag *diag)
{
    s->calls++;
    *ret_how = s->how;
    if (s->fail_at == 0 || s->calls < s->fail_at ||
        (s->calls > s->fail_at && !s->stays))
        return ULV_OK;
    return ulv_fail(diag, ULV_E_MEDIUM, 0, s->calls, 0,
                    "call %u of the storage fails", s->calls);
}

static ulv_status
test_bytes(void *self, uint32_t object, uint64_t *ret, struct ulv_diag *diag)
{
    struct ulv_test_storage *s = self;
    uint32_t how;

    *ret = s->now[object].bytes;
    return count(s, &how, diag);
}

static ulv_status
test_read(void *self, uint32_t object, uint64_t offset, void *buf, size_t len,
          struct ulv_diag *diag)
{
    struct ulv_test_storage *s = self;
    uint32_t how;
    ulv_status status = count(s, &how, diag);

    if (!ulv_range_inside(offset, len, s->now[object].bytes))
        abort(); /* bytes said otherwise */
    if (status == ULV_OK)
        memcpy(buf, s->now[object].p + offset, len);
    return status;
}

static uint64_t
all_bytes(const struct ulv_test_storage *s)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
        bytes += s->now[i].bytes;
    return bytes;
}

static void
append_some(struct ulv_test_bytes *b, const void *p, size_t len, size_t zeroes)
{
    uint8_t *more = realloc(b->p, b->bytes + len + 1);

    if (more == NULL)
        abort();
    memcpy(more + b->bytes, p, len);
    memset(more + b->bytes, 0, zeroes);
    b->p = more;
    b->bytes += len;
}

static ulv_status
test_append(void *self, uint32_t object, const void *p, size_t len,
            struct ulv_diag *diag)
{
    struct ulv_test_storage *s = self;
    uint32_t how;
    ulv_status status = count(s, &how, diag);
    uint64_t used = all_bytes(s);

    if (status == ULV_OK && len > s->room - ULV_MIN(s->room, used)) {
        append_some(&s->now[object], p, s->room - ULV_MIN(s->room, used), 0);
        return ulv_fail(diag, ULV_E_NO_MEMORY, object, len, s->room,
                        "the storage is full");
    }
    if (status == ULV_OK || how == ULV_TEST_STORAGE_DONE)
        append_some(&s->now[object], p, len, 0);
    else if (how == ULV_TEST_STORAGE_SHORT)
        append_some(&s->now[object], p, len / 2, 0);
    else if (how == ULV_TEST_STORAGE_TORN)
        append_some(&s->now[object], p, len, len / 2);
    return status;
}

static ulv_status
test_sync(void *self, uint32_t object, struct ulv_diag *diag)
{
    struct ulv_test_storage *s = self;
    uint32_t how;
    ulv_status status = count(s, &how, diag);

    s->syncs++;
    if (status != ULV_OK && how != ULV_TEST_STORAGE_DONE) {
        s->lost_from[object] = ULV_MIN(s->synced[object].bytes,
                                       s->now[object].bytes);
        s->lost_to[object] = s->now[object].bytes;
        return status;
    }
    set(&s->synced[object], s->now[object].p, s->now[object].bytes);
    if (s->lost_from[object] < s->lost_to[object])
        memset(s->synced[object].p + s->lost_from[object], 0,
               s->lost_to[object] - s->lost_from[object]);
    return status;
}

static ulv_status
test_truncate(void *self, uint32_t object, uint64_t bytes,
              struct ulv_diag *diag)
{
    struct ulv_test_storage *s = self;
    uint32_t how;
    ulv_status status = count(s, &how, diag);

    if (bytes > s->now[object].bytes)
        return ULV_E_ARG;
    if (status == ULV_OK || how == ULV_TEST_STORAGE_DONE)
        s->now[object].bytes = bytes;
    s->lost_to[object] = ULV_MIN(s->lost_to[object], s->now[object].bytes);
    return status;
}

/* A rename that fails may stand in memory only, or on the disk as well. */
static ulv_status
test_replace(void *self, uint32_t from, uint32_t to, struct ulv_diag *diag)
{
    struct ulv_test_storage *s = self;
    uint32_t how;
    ulv_status status = count(s, &how, diag);

    if (status != ULV_OK && how == ULV_TEST_STORAGE_FAIL)
        return status;
    set(&s->now[to], s->synced[from].p, s->synced[from].bytes);
    set(&s->now[from], NULL, 0);
    if (status != ULV_OK && how != ULV_TEST_STORAGE_DONE)
        return status;
    set(&s->synced[to], s->now[to].p, s->now[to].bytes);
    set(&s->synced[from], NULL, 0);
    return status;
}

static void
test_close(void *self)
{
    ((struct ulv_test_storage *)self)->closed++;
}

void
ulv_test_storage_init(struct ulv_test_storage *s)
{
    memset(s, 0, sizeof(*s));
    s->room = UINT64_MAX;
    s->storage = (struct ulv_storage){
        .size = sizeof(s->storage),
        .self = s,
        .bytes = test_bytes,
        .read = test_read,
        .append = test_append,
        .sync = test_sync,
        .truncate = test_truncate,
        .replace = test_replace,
        .close = test_close,
    };
}

void
ulv_test_storage_fini(struct ulv_test_storage *s)
{
    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++) {
        free(s->now[i].p);
        free(s->synced[i].p);
    }
}

void
ulv_test_storage_fail_at(struct ulv_test_storage *s, uint64_t n, uint32_t how)
{
    s->calls = 0;
    s->fail_at = n;
    s->how = how;
}

void
ulv_test_storage_crash(struct ulv_test_storage *s)
{
    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
        set(&s->now[i], s->synced[i].p, s->synced[i].bytes);
}

void
ulv_test_storage_set(struct ulv_test_storage *s, uint32_t object,
                     const void *p, uint64_t bytes)
{
    set(&s->now[object], p, bytes);
    set(&s->synced[object], p, bytes);
}
