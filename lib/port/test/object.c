/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Handles: <ultravisor/sys/objects.h>, with memory of the C library or of a
 * machine that is played, and a clock that jumps. */
#include "port/test/object.h"

#include <stdlib.h>

#include "base/base.h"

#define PAGE_BYTES UINT64_C(4096)

_Static_assert(offsetof(struct ulv_test_host, objects) ==
                   sizeof(struct ulv_host),
               "sys/objects.h");

static void
note_misuse(struct ulv_host *host, const char *text)
{
    ulv_test_misuse(host->self, text);
}

static bool
is_to_fail(struct ulv_host *host)
{
    return ulv_test_fails(host->self);
}

static void
release(struct ulv_host *host, struct ulv_object *memory)
{
    (void)host;
    if (memory->of_port == NULL)
        free(memory->p);
}

static ulv_status
test_memory_create(void *self, const char *name, uint64_t bytes, uint32_t flags,
                   ulv_handle *ret)
{
    struct ulv_test_host *t = self;
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
    status = ulv_object_memory(&t->objects, p, bytes, NULL, ret);
    if (status != ULV_OK)
        free(p);
    return status;
}

#define OWN_BYTES UINT64_C(0x200000)

static ulv_status
test_frames(void *self, struct ulv_host_frames *ret, uint32_t capacity,
            uint32_t *ret_count)
{
    const struct ulv_test_host *t = self;
    const struct ulv_host_frames all[] = {
        {.base = t->frames_base - OWN_BYTES, .bytes = OWN_BYTES},
        {.base = t->frames_base, .bytes = t->frames_bytes, .usable = 1},
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
    for (uint32_t i = 0; i < ULV_OBJECT_SLOTS; i++) {
        const struct ulv_object *object = t->objects.slots[i].object;

        if (object != NULL && object->of_port != NULL &&
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
    uint64_t offset = physical - t->frames_base;

    if (bytes == 0 || bytes % PAGE_BYTES != 0 || physical % PAGE_BYTES != 0)
        return ULV_E_ARG;
    if (physical < t->frames_base ||
        !ulv_range_inside(offset, bytes, t->frames_bytes))
        return ULV_E_DENIED;
    if (is_taken(t, t->frames + offset, bytes)) {
        ulv_test_misuse(t, "memory_at: those frames are in use");
        return ULV_E_EXISTS;
    }
    memset(t->frames + offset, 0, bytes);
    return ulv_object_memory(&t->objects, t->frames + offset, bytes, t->frames,
                             ret);
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

static void
test_event_signal(void *self, ulv_handle event)
{
    struct ulv_test_host *t = self;

    t->signals++;
    t->event_signal(self, event);
}

/* Nothing can become ready while the only thread waits: the clock jumps. */
static ulv_status
test_wait(void *self, ulv_handle set, ulv_nsec deadline)
{
    struct ulv_test_host *t = self;
    struct ulv_object_slot *slot =
        ulv_object_slot(&t->objects, set, ULV_OBJECT_SET);

    if (slot == NULL)
        return ULV_E_ARG;
    if (ulv_object_is_ready(&t->objects, slot->object))
        return ULV_OK;
    if (deadline != ULV_FOREVER && deadline > t->now)
        t->now = deadline;
    return ULV_E_TIMEOUT;
}

void
ulv_test_object_init(struct ulv_test_host *t)
{
    struct ulv_object_slot *slots = calloc(ULV_OBJECT_SLOTS, sizeof(*slots));

    if (slots == NULL)
        abort();
    t->objects.misuse = note_misuse;
    t->objects.fails = is_to_fail;
    t->objects.release = release;
    ulv_objects_init(&t->objects, &t->host, slots);
    t->event_signal = t->host.event_signal;
    t->host.event_signal = test_event_signal;
    t->host.memory_create = test_memory_create;
    t->host.wait = test_wait;
}
