/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The host table that a backend under test is given: each function hands on to
 * the caller's, counts what is asked for and given back, and refuses what it
 * was told to. A backend may use it from threads of its own.
 */
#include "conformance/conformance_priv.h"

#define REAL(self) (((struct kit_host *)(self))->real)

/* Whether this one is refused. */
static bool
refused(struct kit_host *h)
{
    uint64_t number = __atomic_add_fetch(&h->acquired, 1, __ATOMIC_RELAXED);

    return number == h->fail_at;
}

/* A count of its own; nobody waits for it. */
static void
add(int64_t *count, int64_t n)
{
    (void)__atomic_add_fetch(count, n, __ATOMIC_RELAXED);
}

static ulv_status
count_handle(struct kit_host *h, ulv_status status)
{
    if (status == ULV_OK)
        add(&h->handles, 1);
    return status;
}

static void *
host_alloc(void *self, size_t bytes, size_t align)
{
    struct kit_host *h = self;
    void *p = refused(h) ? NULL : h->real->alloc(h->real->self, bytes, align);

    if (p != NULL)
        add(&h->bytes, (int64_t)bytes);
    return p;
}

static void
host_free(void *self, void *p, size_t bytes)
{
    struct kit_host *h = self;

    if (p != NULL)
        add(&h->bytes, -(int64_t)bytes);
    h->real->free(h->real->self, p, bytes);
}

static ulv_nsec
host_now(void *self)
{
    return REAL(self)->now(REAL(self)->self);
}

static void
host_entropy(void *self, void *buf, size_t bytes)
{
    REAL(self)->entropy(REAL(self)->self, buf, bytes);
}

static void
host_log(void *self, uint32_t level, const char *text)
{
    REAL(self)->log(REAL(self)->self, level, text);
}

/* ---- memory -------------------------------------------------------------- */

static ulv_status
host_memory_create(void *self, const char *name, uint64_t bytes,
                   uint32_t flags, ulv_handle *ret)
{
    struct kit_host *h = self;

    if (refused(h))
        return ULV_E_NO_MEMORY;
    return count_handle(h, h->real->memory_create(h->real->self, name, bytes,
                                                  flags, ret));
}

static ulv_status
host_memory_map(void *self, ulv_handle memory, uint64_t offset,
                uint64_t bytes, uint32_t protection, void *at, void **ret)
{
    struct kit_host *h = self;

    if (refused(h))
        return ULV_E_NO_MEMORY;
    return h->real->memory_map(h->real->self, memory, offset, bytes,
                               protection, at, ret);
}

static void
host_memory_unmap(void *self, void *p, uint64_t bytes)
{
    REAL(self)->memory_unmap(REAL(self)->self, p, bytes);
}

static void
host_memory_unmap_at(void *self, void *p, uint64_t bytes)
{
    REAL(self)->memory_unmap_at(REAL(self)->self, p, bytes);
}

static ulv_status
host_memory_reserve(void *self, uint64_t bytes, uint64_t align, void **ret)
{
    struct kit_host *h = self;

    if (refused(h))
        return ULV_E_NO_MEMORY;
    return h->real->memory_reserve(h->real->self, bytes, align, ret);
}

static ulv_status
host_memory_seal(void *self, ulv_handle memory, uint32_t seals)
{
    return REAL(self)->memory_seal(REAL(self)->self, memory, seals);
}

static ulv_status
host_memory_read_only(void *self, ulv_handle memory, ulv_handle *ret)
{
    struct kit_host *h = self;

    if (refused(h))
        return ULV_E_NO_MEMORY;
    return count_handle(
        h, h->real->memory_read_only(h->real->self, memory, ret));
}

static ulv_status
host_memory_discard(void *self, ulv_handle memory, uint64_t offset,
                    uint64_t bytes)
{
    return REAL(self)->memory_discard(REAL(self)->self, memory, offset, bytes);
}

static ulv_status
host_memory_bytes(void *self, ulv_handle memory, uint64_t *ret)
{
    return REAL(self)->memory_bytes(REAL(self)->self, memory, ret);
}

static ulv_status
host_memory_at(void *self, uint64_t physical, uint64_t bytes, ulv_handle *ret)
{
    struct kit_host *h = self;

    if (refused(h))
        return ULV_E_NO_MEMORY;
    return count_handle(
        h, h->real->memory_at(h->real->self, physical, bytes, ret));
}

static uint64_t
host_physical(void *self, const void *p)
{
    return REAL(self)->physical(REAL(self)->self, p);
}

static void **
host_processor_slot(void *self)
{
    return REAL(self)->processor_slot(REAL(self)->self);
}

/* ---- events, handles, waiting -------------------------------------------- */

static ulv_status
host_event_create(void *self, ulv_handle *ret)
{
    struct kit_host *h = self;

    if (refused(h))
        return ULV_E_NO_MEMORY;
    return count_handle(h, h->real->event_create(h->real->self, ret));
}

static void
host_event_signal(void *self, ulv_handle event)
{
    REAL(self)->event_signal(REAL(self)->self, event);
}

static bool
host_event_take(void *self, ulv_handle event)
{
    return REAL(self)->event_take(REAL(self)->self, event);
}

static ulv_status
host_handle_duplicate(void *self, ulv_handle handle, ulv_handle *ret)
{
    struct kit_host *h = self;

    if (refused(h))
        return ULV_E_NO_MEMORY;
    return count_handle(h,
                        h->real->handle_duplicate(h->real->self, handle, ret));
}

static void
host_handle_close(void *self, ulv_handle handle)
{
    struct kit_host *h = self;

    add(&h->handles, -1);
    h->real->handle_close(h->real->self, handle);
}

static ulv_status
host_wait_create(void *self, ulv_handle *ret)
{
    struct kit_host *h = self;

    if (refused(h))
        return ULV_E_NO_MEMORY;
    return count_handle(h, h->real->wait_create(h->real->self, ret));
}

static ulv_status
host_watch(void *self, ulv_handle set, ulv_handle handle)
{
    return REAL(self)->watch(REAL(self)->self, set, handle);
}

static void
host_unwatch(void *self, ulv_handle set, ulv_handle handle)
{
    REAL(self)->unwatch(REAL(self)->self, set, handle);
}

static ulv_status
host_wait(void *self, ulv_handle set, ulv_nsec deadline)
{
    return REAL(self)->wait(REAL(self)->self, set, deadline);
}

/* Whether the caller's table has a member at all. */
#define HAND_ON(h, member)                                                     \
    do {                                                                       \
        if ((h)->real->size >=                                                 \
                offsetof(struct ulv_host, member) + sizeof(void *) &&          \
            (h)->real->member != NULL)                                         \
            (h)->host.member = host_##member;                                  \
    } while (0)

void
ulv_kit_host_init(struct kit_host *h, const struct ulv_host *real)
{
    memset(h, 0, sizeof(*h));
    h->real = real;
    h->host.size = sizeof(h->host);
    h->host.self = h;
    HAND_ON(h, alloc);
    HAND_ON(h, free);
    HAND_ON(h, now);
    HAND_ON(h, entropy);
    HAND_ON(h, log);
    HAND_ON(h, memory_create);
    HAND_ON(h, memory_map);
    HAND_ON(h, memory_unmap);
    HAND_ON(h, memory_unmap_at);
    HAND_ON(h, memory_reserve);
    HAND_ON(h, memory_seal);
    HAND_ON(h, memory_read_only);
    HAND_ON(h, memory_discard);
    HAND_ON(h, memory_bytes);
    HAND_ON(h, memory_at);
    HAND_ON(h, physical);
    HAND_ON(h, processor_slot);
    HAND_ON(h, event_create);
    HAND_ON(h, event_signal);
    HAND_ON(h, event_take);
    HAND_ON(h, handle_duplicate);
    HAND_ON(h, handle_close);
    HAND_ON(h, wait_create);
    HAND_ON(h, watch);
    HAND_ON(h, unwatch);
    HAND_ON(h, wait);
}
