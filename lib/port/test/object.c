/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/test/object.h"

#include <stdlib.h>

#include "base/base.h"

#define PAGE_BYTES UINT64_C(4096)
#define SLOT_BITS  12

_Static_assert(ULV_TEST_HANDLES_MAX == 1 << SLOT_BITS, "slots of a handle");

/* A map, so that the right size is given back. */
struct ulv_test_map {
    struct ulv_test_map *next;
    struct ulv_test_object *object;
    void *p;
    uint64_t bytes;
};

static void
drop(struct ulv_test_object *object)
{
    if (--object->holders > 0)
        return;
    if (!object->is_at)
        free(object->p);
    free(object->watched);
    free(object);
}

ulv_status
ulv_test_handle(struct ulv_test_host *t, struct ulv_test_object *object,
                ulv_handle *ret)
{
    for (uint32_t i = 0; i < ULV_TEST_HANDLES_MAX; i++) {
        struct ulv_test_slot *slot = &t->slots[i];

        if (slot->object != NULL)
            continue;
        slot->object = object;
        slot->opening = NULL;
        slot->read_only = false;
        object->holders++;
        t->live_handles++;
        *ret = (ulv_handle)slot->generation << SLOT_BITS | i;
        return ULV_OK;
    }
    return ULV_E_LIMIT;
}

struct ulv_test_slot *
ulv_test_slot(struct ulv_test_host *t, ulv_handle h, enum ulv_test_kind kind)
{
    struct ulv_test_slot *slot;

    if (h >= 0) {
        slot = &t->slots[h & (ULV_TEST_HANDLES_MAX - 1)];
        if (slot->object != NULL && slot->generation == h >> SLOT_BITS &&
            (kind == ULV_TEST_FREE || slot->object->kind == kind))
            return slot;
    }
    ulv_test_misuse(t, "a handle that is closed, or of another kind");
    return NULL;
}

ulv_status
ulv_test_object(struct ulv_test_host *t, enum ulv_test_kind kind,
                struct ulv_test_object **ret_object, ulv_handle *ret)
{
    struct ulv_test_object *object;
    ulv_status status;

    if (ulv_test_fails(t))
        return ULV_E_NO_MEMORY;
    object = calloc(1, sizeof(*object));
    if (object == NULL)
        return ULV_E_NO_MEMORY;
    object->kind = kind;
    status = ulv_test_handle(t, object, ret);
    if (status != ULV_OK) {
        free(object);
        return status;
    }
    *ret_object = object;
    return ULV_OK;
}

static void
test_handle_close(void *self, ulv_handle h)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot;
    struct ulv_test_object *object;
    struct ulv_test_opening *opening;

    if (h == ULV_NO_HANDLE)
        return;
    slot = ulv_test_slot(t, h, ULV_TEST_FREE);
    if (slot == NULL)
        return;
    object = slot->object;
    opening = slot->opening;
    if (opening != NULL && --opening->handles == 0) {
        if (object->holder == opening)
            object->holder = NULL;
        free(opening);
    }
    slot->object = NULL;
    slot->opening = NULL;
    slot->generation++;
    t->live_handles--;
    drop(object);
}

static ulv_status
test_handle_duplicate(void *self, ulv_handle h, ulv_handle *ret)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, h, ULV_TEST_FREE);
    struct ulv_test_slot *copy;
    ulv_status status;

    if (slot == NULL)
        return ULV_E_ARG;
    if (ulv_test_fails(t))
        return ULV_E_LIMIT;
    status = ulv_test_handle(t, slot->object, ret);
    if (status != ULV_OK)
        return status;
    copy = ulv_test_slot(t, *ret, ULV_TEST_FREE);
    copy->read_only = slot->read_only;
    copy->opening = slot->opening;
    if (copy->opening != NULL)
        copy->opening->handles++;
    return ULV_OK;
}

static ulv_status
test_memory_create(void *self, const char *name, uint64_t bytes, uint32_t flags,
                   ulv_handle *ret)
{
    struct ulv_test_host *t = self;
    struct ulv_test_object *object = NULL;
    ulv_status status;
    uint8_t *p;

    (void)name;
    if (bytes == 0 || bytes % PAGE_BYTES != 0 ||
        (flags & ~ULV_MEMORY_LAZY) != 0)
        return ULV_E_ARG;
    p = aligned_alloc(PAGE_BYTES, bytes);
    if (p == NULL)
        return ULV_E_NO_MEMORY;
    memset(p, 0, bytes);
    status = ulv_test_object(t, ULV_TEST_MEMORY, &object, ret);
    if (status != ULV_OK) {
        free(p);
        return status;
    }
    object->p = p;
    object->bytes = bytes;
    return ULV_OK;
}

#define OWN_BYTES UINT64_C(0x200000)

static ulv_status
test_frames(void *self, struct ulv_host_frames *ret, uint32_t capacity,
            uint32_t *ret_count)
{
    const struct ulv_test_host *t = self;
    const struct ulv_host_frames all[] = {
        { .base = t->frames_base - OWN_BYTES, .bytes = OWN_BYTES },
        { .base = t->frames_base, .bytes = t->frames_bytes, .usable = 1 },
    };

    *ret_count = ULV_COUNT_OF(all);
    for (uint32_t i = 0; i < ULV_COUNT_OF(all) && i < capacity; i++)
        ret[i] = all[i];
    return ULV_OK;
}

/* Whether an object that is open has a byte of [p, p + bytes). */
static bool
is_taken(const struct ulv_test_host *t, const uint8_t *p, uint64_t bytes)
{
    for (uint32_t i = 0; i < ULV_TEST_HANDLES_MAX; i++) {
        const struct ulv_test_object *object = t->slots[i].object;

        if (object != NULL && object->is_at &&
            ulv_ranges_overlap((uintptr_t)p, bytes, (uintptr_t)object->p,
                               object->bytes))
            return true;
    }
    return false;
}

static ulv_status
test_memory_at(void *self, uint64_t physical, uint64_t bytes, ulv_handle *ret)
{
    struct ulv_test_host *t = self;
    struct ulv_test_object *object = NULL;
    uint64_t offset = physical - t->frames_base;
    ulv_status status;

    if (bytes == 0 || bytes % PAGE_BYTES != 0 || physical % PAGE_BYTES != 0)
        return ULV_E_ARG;
    if (physical < t->frames_base ||
        !ulv_range_inside(offset, bytes, t->frames_bytes))
        return ULV_E_DENIED;
    if (is_taken(t, t->frames + offset, bytes)) {
        ulv_test_misuse(t, "memory_at: those frames are in use");
        return ULV_E_EXISTS;
    }
    status = ulv_test_object(t, ULV_TEST_MEMORY, &object, ret);
    if (status != ULV_OK)
        return status;
    object->p = t->frames + offset;
    object->bytes = bytes;
    object->is_at = true;
    memset(object->p, 0, bytes);
    return ULV_OK;
}

static uint64_t
test_physical(void *self, const void *p)
{
    const struct ulv_test_host *t = self;

    return t->frames_base + (uint64_t)((const uint8_t *)p - t->frames);
}

void
ulv_test_host_frames(struct ulv_test_host *t, uint64_t base, uint64_t bytes)
{
    t->frames = aligned_alloc(PAGE_BYTES, bytes);
    if (t->frames == NULL)
        abort();
    t->frames_base = base;
    t->frames_bytes = bytes;
    t->host.frames = test_frames;
    t->host.memory_at = test_memory_at;
    t->host.physical = test_physical;
}

static bool
is_range(const struct ulv_test_object *object, uint64_t offset, uint64_t bytes)
{
    return bytes != 0 && offset % PAGE_BYTES == 0 && bytes % PAGE_BYTES == 0 &&
           ulv_range_inside(offset, bytes, object->bytes);
}

static ulv_status
add_map(struct ulv_test_host *t, struct ulv_test_object *object,
        uint64_t offset, uint64_t bytes, void **ret)
{
    struct ulv_test_map *map = malloc(sizeof(*map));

    if (map == NULL)
        return ULV_E_NO_MEMORY;
    *map = (struct ulv_test_map){t->maps, object, object->p + offset, bytes};
    t->maps = map;
    t->live_maps++;
    object->holders++;
    *ret = map->p;
    return ULV_OK;
}

static ulv_status
test_memory_map(void *self, ulv_handle memory, uint64_t offset, uint64_t bytes,
                uint32_t protection, void *at, void **ret)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, memory, ULV_TEST_MEMORY);

    if (slot == NULL || at != NULL || (protection & ULV_MAP_READ) == 0 ||
        !is_range(slot->object, offset, bytes))
        return ULV_E_ARG;
    if ((protection & ULV_MAP_WRITE) != 0 &&
        (slot->read_only || (slot->object->seals & ULV_SEAL_WRITE) != 0))
        return ULV_E_DENIED;
    if (ulv_test_fails(t))
        return ULV_E_NO_MEMORY;
    return add_map(t, slot->object, offset, bytes, ret);
}

static void
test_memory_unmap(void *self, void *p, uint64_t bytes)
{
    struct ulv_test_host *t = self;

    if (p == NULL)
        return;
    for (struct ulv_test_map **at = &t->maps; *at != NULL; at = &(*at)->next) {
        struct ulv_test_map *map = *at;

        if (map->p != p || map->bytes != bytes)
            continue;
        *at = map->next;
        t->live_maps--;
        drop(map->object);
        free(map);
        return;
    }
    ulv_test_misuse(t, "unmap: no such map of this size");
}

static ulv_status
test_memory_seal(void *self, ulv_handle memory, uint32_t seals)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, memory, ULV_TEST_MEMORY);

    if (slot == NULL ||
        (seals & ~(ULV_SEAL_SIZE | ULV_SEAL_WRITE | ULV_SEAL_SEALS)) != 0)
        return ULV_E_ARG;
    if (slot->read_only || (slot->object->seals & ULV_SEAL_SEALS) != 0)
        return ULV_E_DENIED;
    if (ulv_test_fails(t))
        return ULV_E_HOST;
    slot->object->seals |= seals;
    return ULV_OK;
}

static ulv_status
test_memory_read_only(void *self, ulv_handle memory, ulv_handle *ret)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, memory, ULV_TEST_MEMORY);
    ulv_status status;

    if (slot == NULL)
        return ULV_E_ARG;
    if (ulv_test_fails(t))
        return ULV_E_LIMIT;
    status = ulv_test_handle(t, slot->object, ret);
    if (status == ULV_OK)
        ulv_test_slot(t, *ret, ULV_TEST_MEMORY)->read_only = true;
    return status;
}

static ulv_status
test_memory_discard(void *self, ulv_handle memory, uint64_t offset,
                    uint64_t bytes)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, memory, ULV_TEST_MEMORY);

    if (slot == NULL || !is_range(slot->object, offset, bytes))
        return ULV_E_ARG;
    if (slot->read_only || (slot->object->seals & ULV_SEAL_WRITE) != 0)
        return ULV_E_DENIED;
    memset(slot->object->p + offset, 0, bytes);
    return ULV_OK;
}

static ulv_status
test_memory_bytes(void *self, ulv_handle memory, uint64_t *ret)
{
    struct ulv_test_slot *slot = ulv_test_slot(self, memory, ULV_TEST_MEMORY);

    if (slot == NULL)
        return ULV_E_ARG;
    *ret = slot->object->bytes;
    return ULV_OK;
}

static ulv_status
test_event_create(void *self, ulv_handle *ret)
{
    struct ulv_test_object *object = NULL;

    return ulv_test_object(self, ULV_TEST_EVENT, &object, ret);
}

static void
test_event_signal(void *self, ulv_handle event)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, event, ULV_TEST_EVENT);

    if (slot == NULL)
        return;
    slot->object->signalled = true;
    t->signals++;
}

static bool
test_event_take(void *self, ulv_handle event)
{
    struct ulv_test_slot *slot = ulv_test_slot(self, event, ULV_TEST_EVENT);
    bool was = slot != NULL && slot->object->signalled;

    if (was)
        slot->object->signalled = false;
    return was;
}

static ulv_status
test_wait_create(void *self, ulv_handle *ret)
{
    struct ulv_test_host *t = self;
    struct ulv_test_object *object = NULL;
    ulv_handle *watched = calloc(ULV_TEST_HANDLES_MAX, sizeof(*watched));
    ulv_status status;

    if (watched == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_test_object(t, ULV_TEST_SET, &object, ret);
    if (status != ULV_OK) {
        free(watched);
        return status;
    }
    object->watched = watched;
    return ULV_OK;
}

/* The place of h in the set, or watched_count. */
static uint32_t
find_watched(const struct ulv_test_object *set, ulv_handle h)
{
    uint32_t i = 0;

    while (i < set->watched_count && set->watched[i] != h)
        i++;
    return i;
}

static ulv_status
test_watch(void *self, ulv_handle set, ulv_handle h)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, set, ULV_TEST_SET);
    struct ulv_test_slot *watched = ulv_test_slot(t, h, ULV_TEST_FREE);
    struct ulv_test_object *object;

    if (slot == NULL || watched == NULL || set == h ||
        (watched->object->kind != ULV_TEST_EVENT &&
         watched->object->kind != ULV_TEST_SET))
        return ULV_E_ARG;
    object = slot->object;
    if (find_watched(object, h) < object->watched_count)
        return ULV_E_EXISTS;
    if (ulv_test_fails(t) || object->watched_count == ULV_TEST_HANDLES_MAX)
        return ULV_E_LIMIT;
    object->watched[object->watched_count++] = h;
    return ULV_OK;
}

static void
test_unwatch(void *self, ulv_handle set, ulv_handle h)
{
    struct ulv_test_slot *slot = ulv_test_slot(self, set, ULV_TEST_SET);
    uint32_t i;

    if (slot == NULL)
        return;
    i = find_watched(slot->object, h);
    if (i == slot->object->watched_count)
        ulv_test_misuse(self, "unwatch: not watched");
    else
        slot->object->watched[i] =
            slot->object->watched[--slot->object->watched_count];
}

/* Whether a watched handle is ready; a set in a set counts if its own is. */
static bool
is_ready(struct ulv_test_host *t, const struct ulv_test_object *set,
         uint32_t depth)
{
    for (uint32_t i = 0; i < set->watched_count; i++) {
        struct ulv_test_slot *slot =
            ulv_test_slot(t, set->watched[i], ULV_TEST_FREE);

        if (slot == NULL)
            continue;
        if (slot->object->signalled)
            return true;
        if (slot->object->kind == ULV_TEST_SET && depth > 0 &&
            is_ready(t, slot->object, depth - 1))
            return true;
    }
    return false;
}

/* Nothing can become ready while the only thread waits: the clock jumps. */
static ulv_status
test_wait(void *self, ulv_handle set, ulv_nsec deadline)
{
    struct ulv_test_host *t = self;
    struct ulv_test_slot *slot = ulv_test_slot(t, set, ULV_TEST_SET);

    if (slot == NULL)
        return ULV_E_ARG;
    if (is_ready(t, slot->object, 4))
        return ULV_OK;
    if (deadline != ULV_FOREVER && deadline > t->now)
        t->now = deadline;
    return ULV_E_TIMEOUT;
}

void
ulv_test_object_members(struct ulv_host *host)
{
    host->memory_create = test_memory_create;
    host->memory_map = test_memory_map;
    host->memory_unmap = test_memory_unmap;
    host->memory_seal = test_memory_seal;
    host->memory_read_only = test_memory_read_only;
    host->memory_discard = test_memory_discard;
    host->memory_bytes = test_memory_bytes;
    host->event_create = test_event_create;
    host->event_signal = test_event_signal;
    host->event_take = test_event_take;
    host->handle_duplicate = test_handle_duplicate;
    host->handle_close = test_handle_close;
    host->wait_create = test_wait_create;
    host->watch = test_watch;
    host->unwatch = test_unwatch;
    host->wait = test_wait;
}

void
ulv_test_object_fini(struct ulv_test_host *t)
{
    while (t->maps != NULL)
        test_memory_unmap(t, t->maps->p, t->maps->bytes);
    for (uint32_t i = 0; i < ULV_TEST_HANDLES_MAX; i++) {
        struct ulv_test_slot *slot = &t->slots[i];

        if (slot->object != NULL)
            test_handle_close(t, (ulv_handle)slot->generation << SLOT_BITS | i);
    }
}
