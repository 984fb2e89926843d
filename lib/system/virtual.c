/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Processes that are role objects of their own, each with its own time: a turn
 * is done at once, and what the process said in it is heard when the time that
 * the turn took is over. The keeper's end of a link sees to that.
 */
#include <ultravisor/sys/objects.h>
#include <ultravisor/sys/platform.h>
#include <ultravisor/sys/virtual.h>

#include "base/base.h"
#include "system/link.h"
#include "system/role_monitor.h"

#define PAGE_BYTES UINT64_C(4096)

struct process {
    struct ulv_link link;   /* the keeper's end, while linked; it holds back */
    struct ulv_link *inner; /* what it holds back; NULL: closed */
    struct ulv_virtual *of;
    struct role *role; /* NULL: dead */
    ulv_handle waits;
    ulv_handle handle; /* event: it has ended; NO_HANDLE: this place is free */
    ulv_nsec busy;     /* until then */
    ulv_nsec deadline; /* it wants a turn then */
    uint32_t code;
    bool again, killed, reaped, muted;
    char name[ULV_NAME_MAX + 1];
};

struct ulv_virtual {
    struct ulv_host host;
    struct ulv_objects objects;
    const struct ulv_host *base;
    struct ulv_platform platform;
    ulv_nsec now, spent; /* spent: by the process whose turn it is */
    ulv_nsec delay;
    uint64_t random;
    int64_t started;
    struct process *current;
    bool away; /* the caller */
    struct process process[ULV_VIRTUAL_PROCESSES];
};

_Static_assert(offsetof(struct ulv_virtual, objects) ==
                   sizeof(struct ulv_host),
               "sys/objects.h");

static ulv_nsec
later(ulv_nsec when, ulv_nsec ns)
{
    return ns > ULV_FOREVER - when ? ULV_FOREVER : when + ns;
}

/* SplitMix64 (Steele, Lea, Flood, 2014). */
static uint64_t
next_random(struct ulv_virtual *v)
{
    uint64_t z = v->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- what every host has ------------------------------------------------- */

static void *
virtual_alloc(void *self, size_t bytes, size_t align)
{
    const struct ulv_virtual *v = self;

    return v->base->alloc(v->base->self, bytes, align);
}

static void
virtual_free(void *self, void *p, size_t bytes)
{
    const struct ulv_virtual *v = self;

    v->base->free(v->base->self, p, bytes);
}

static ulv_nsec
virtual_now(void *self)
{
    const struct ulv_virtual *v = self;

    return v->current == NULL ? v->now : later(v->now, v->spent);
}

static void
virtual_spend(void *self, ulv_nsec ns)
{
    struct ulv_virtual *v = self;

    if (v->current == NULL)
        v->now = later(v->now, ns);
    else
        v->spent = later(v->spent, ns);
}

static void
virtual_entropy(void *self, void *buf, size_t bytes)
{
    uint8_t *at = buf;

    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)next_random(self);
}

static void
virtual_log(void *self, uint32_t level, const char *text)
{
    const struct ulv_virtual *v = self;

    if (v->base->log != NULL)
        v->base->log(v->base->self, level, text);
}

static ulv_status
virtual_processors(void *self, struct ulv_host_processor *ret,
                   uint32_t capacity, uint32_t *ret_count,
                   struct ulv_diag *diag)
{
    (void)self;
    (void)diag;
    for (uint32_t i = 0; i < 2 && i < capacity; i++) {
        memset(&ret[i], 0, sizeof(ret[i]));
        ret[i].number = ret[i].core = i;
    }
    *ret_count = 2;
    return ULV_OK;
}

static ulv_status
virtual_nodes(void *self, struct ulv_host_node *ret, uint32_t capacity,
              uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    (void)diag;
    *ret_count = 1;
    if (capacity == 0)
        return ULV_OK;
    memset(&ret[0], 0, sizeof(ret[0]));
    ret[0].total_bytes = ret[0].free_bytes = ULV_MIB(256);
    return ULV_OK;
}

static ulv_status
virtual_memory_create(void *self, const char *name, uint64_t bytes,
                      uint32_t flags, ulv_handle *ret)
{
    struct ulv_virtual *v = self;
    ulv_status status;
    void *p;

    (void)name;
    if (bytes == 0 || bytes % PAGE_BYTES != 0 ||
        (flags & ~ULV_MEMORY_LAZY) != 0)
        return ULV_E_ARG;
    p = virtual_alloc(v, bytes, PAGE_BYTES);
    if (p == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_object_memory(&v->objects, p, bytes, NULL, ret);
    if (status != ULV_OK)
        virtual_free(v, p, bytes);
    return status;
}

static void
release(struct ulv_host *host, struct ulv_object *memory)
{
    virtual_free(host->self, memory->p, memory->bytes);
}

/* ---- processes ----------------------------------------------------------- */

static bool
is_free(const struct process *p)
{
    return p->handle == ULV_NO_HANDLE && p->inner == NULL;
}

static bool
is_signalled(struct ulv_virtual *v, ulv_handle event)
{
    const struct ulv_object_slot *slot =
        ulv_object_slot(&v->objects, event, ULV_OBJECT_EVENT);

    return slot != NULL && slot->object->signalled;
}

/* What it said is heard now, if its time is over. */
static void
let_hear(struct ulv_virtual *v, struct process *p)
{
    const struct ulv_host *host = &v->host;

    if (p->inner != NULL && (p->busy <= v->now || p->role == NULL) &&
        is_signalled(v, p->inner->readable))
        host->event_signal(host->self, p->link.readable);
}

static ulv_status
held_send(struct ulv_link *link, const void *message, size_t len,
          const ulv_handle *handles, uint32_t handle_count)
{
    struct process *p = ULV_CONTAINER_OF(link, struct process, link);

    return p->inner->ops->send(p->inner, message, len, handles, handle_count);
}

static ulv_status
held_receive(struct ulv_link *link, void *buf, size_t *ret_len,
             ulv_handle *handles, uint32_t *ret_handle_count)
{
    struct process *p = ULV_CONTAINER_OF(link, struct process, link);
    const struct ulv_host *host = &p->of->host;
    ulv_status status = ULV_E_AGAIN;

    if (p->muted) /* killed before it was heard */
        return ULV_E_PEER_GONE;
    if (p->busy <= p->of->now || p->role == NULL)
        status = p->inner->ops->receive(p->inner, buf, ret_len, handles,
                                        ret_handle_count);
    if (status == ULV_E_AGAIN)
        (void)host->event_take(host->self, link->readable);
    return status;
}

static void
held_close(struct ulv_link *link)
{
    struct process *p = ULV_CONTAINER_OF(link, struct process, link);
    const struct ulv_host *host = &p->of->host;

    p->inner->ops->close(p->inner);
    p->inner = NULL;
    host->handle_close(host->self, link->readable);
}

static const struct ulv_link_ops held_ops = {
    .send = held_send,
    .receive = held_receive,
    .close = held_close,
};

/* It has ended, by itself or by a kill. */
static void
end_process(struct ulv_virtual *v, struct process *p)
{
    const struct ulv_host *host = &v->host;

    ulv_role_destroy(p->role);
    p->role = NULL;
    host->handle_close(host->self, p->waits);
    host->event_signal(host->self, p->handle);
    let_hear(v, p);
}

static bool
is_due(struct ulv_virtual *v, struct process *p)
{
    const struct ulv_object_slot *slot;

    /* what it said is heard before it is busy again, if anybody hears */
    if (p->role == NULL || p->busy > v->now ||
        (!v->away && p->inner != NULL && is_signalled(v, p->link.readable)))
        return false;
    if (p->again || p->deadline <= v->now)
        return true;
    slot = ulv_object_slot(&v->objects, p->waits, ULV_OBJECT_SET);
    return slot != NULL && ulv_object_is_ready(&v->objects, slot->object);
}

static void
run_process(struct ulv_virtual *v, struct process *p)
{
    struct role_need need = { false, ULV_FOREVER };
    ulv_status status;

    v->current = p;
    v->spent = ULV_VIRTUAL_STEP_NS;
    if (v->delay != 0)
        v->spent += next_random(v) % v->delay;
    status = ulv_role_step(&p->role, &need);
    if (status == ULV_OK && p->role->post.waiting_count != 0)
        need.deadline = ULV_MIN(need.deadline, virtual_now(v) + 1000000);
    v->current = NULL;
    p->busy = later(v->now, v->spent);
    p->again = need.again;
    p->deadline = need.deadline;
    if (status == ULV_OK)
        return;
    p->code = status == ULV_E_PEER_GONE ? 0 : (uint32_t)-status;
    end_process(v, p);
}

/* Everybody who is due has a turn; *ret_next: when somebody is again. */
static bool
run_processes(struct ulv_virtual *v, ulv_nsec *ret_next)
{
    bool any = false;

    *ret_next = ULV_FOREVER;
    for (uint32_t i = 0; i < ULV_VIRTUAL_PROCESSES; i++) {
        struct process *p = &v->process[i];

        if (is_free(p))
            continue;
        let_hear(v, p);
        if (p->role == NULL)
            continue;
        if (is_due(v, p)) {
            run_process(v, p);
            any = true;
        }
        if (p->busy > v->now)
            *ret_next = ULV_MIN(*ret_next, p->busy);
        else
            *ret_next = ULV_MIN(*ret_next, p->deadline);
    }
    return any;
}

/* Of the caller; a role that waits by itself lets its time pass. */
static ulv_status
virtual_wait(void *self, ulv_handle set, ulv_nsec deadline)
{
    struct ulv_virtual *v = self;

    for (;;) {
        const struct ulv_object_slot *slot =
            ulv_object_slot(&v->objects, set, ULV_OBJECT_SET);
        ulv_nsec next = ULV_FOREVER, now = virtual_now(v);
        bool any = v->current == NULL && run_processes(v, &next);

        if (slot == NULL)
            return ULV_E_ARG;
        if (ulv_object_is_ready(&v->objects, slot->object))
            return ULV_OK;
        if (now >= deadline)
            return ULV_E_TIMEOUT;
        if (any)
            continue;
        if (next == ULV_FOREVER && deadline == ULV_FOREVER)
            return ULV_E_HOST; /* nothing can happen any more */
        next = ULV_MAX(next, now + 1);
        virtual_spend(v, ULV_MIN(next, deadline) - now);
    }
}

static ulv_status
open_process(struct ulv_virtual *v, struct process *p)
{
    const struct ulv_host *host = &v->host;
    struct ulv_link *far;
    ulv_status status = host->event_create(host->self, &p->handle);

    if (status != ULV_OK)
        return status;
    status = host->event_create(host->self, &p->link.readable);
    if (status != ULV_OK)
        goto close_handle;
    status = host->wait_create(host->self, &p->waits);
    if (status != ULV_OK)
        goto close_readable;
    status = ulv_link_create(host, &p->inner, &far);
    if (status != ULV_OK)
        goto close_waits;
    status = ulv_role_create(host, p->waits, far, &p->role);
    if (status == ULV_OK)
        return ULV_OK;
    p->inner->ops->close(p->inner);

close_waits:
    host->handle_close(host->self, p->waits);
close_readable:
    host->handle_close(host->self, p->link.readable);
close_handle:
    host->handle_close(host->self, p->handle);
    memset(p, 0, sizeof(*p));
    p->handle = ULV_NO_HANDLE;
    return status;
}

static ulv_status
virtual_start(void *self, const char *program, const char *name,
              struct ulv_link **ret_link, ulv_handle *ret_process,
              int64_t *ret_number, struct ulv_diag *diag)
{
    struct ulv_virtual *v = self;
    uint32_t i = 0;
    ulv_status status;
    struct process *p;

    (void)program;
    while (i < ULV_VIRTUAL_PROCESSES && !is_free(&v->process[i]))
        i++;
    if (i == ULV_VIRTUAL_PROCESSES)
        return ulv_fail(diag, ULV_E_LIMIT, 0, i, ULV_VIRTUAL_PROCESSES,
                        "%s: there are %u processes, and no more", name,
                        (uint64_t)i);
    p = &v->process[i];
    memset(p, 0, sizeof(*p));
    p->of = v;
    p->link.ops = &held_ops;
    p->again = true;
    ulv_string_copy(p->name, sizeof(p->name), name);
    status = open_process(v, p);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "%s: no process: %s", name,
                        ulv_status_text(status));
    p->role->hear_state = ulv_role_state_hear;
    *ret_link = &p->link;
    *ret_process = p->handle;
    *ret_number = ++v->started;
    return ULV_OK;
}

static struct process *
process_of(struct ulv_virtual *v, ulv_handle handle)
{
    for (uint32_t i = 0; i < ULV_VIRTUAL_PROCESSES; i++) {
        if (v->process[i].handle == handle && handle != ULV_NO_HANDLE)
            return &v->process[i];
    }
    return NULL;
}

static void
virtual_kill(void *self, ulv_handle process)
{
    struct ulv_virtual *v = self;
    struct process *p = process_of(v, process);

    if (p == NULL || p->role == NULL)
        return;
    p->killed = true;
    p->muted = p->busy > v->now;
    end_process(v, p);
}

static ulv_status
virtual_reap(void *self, ulv_handle process, struct ulv_process_end *ret)
{
    struct process *p = process_of(self, process);

    if (p == NULL)
        return ULV_E_ARG;
    if (p->role != NULL)
        return ULV_E_AGAIN;
    ret->signalled = p->killed ? ULV_PROCESS_SIGNALLED : ULV_PROCESS_EXITED;
    ret->code = p->killed ? 9 : p->code;
    p->handle = ULV_NO_HANDLE;
    return ULV_OK;
}

/* ---- create and destroy -------------------------------------------------- */

static void
fill_host(struct ulv_virtual *v)
{
    struct ulv_host *host = &v->host;

    host->size = sizeof(*host);
    host->self = v;
    host->alloc = virtual_alloc;
    host->free = virtual_free;
    host->now = virtual_now;
    host->spend = virtual_spend;
    host->entropy = virtual_entropy;
    host->log = virtual_log;
    host->processors = virtual_processors;
    host->nodes = virtual_nodes;
    v->platform.size = sizeof(v->platform);
    v->platform.process_start = virtual_start;
    v->platform.process_kill = virtual_kill;
    v->platform.process_reap = virtual_reap;
    host->platform = &v->platform;
}

ulv_status
ulv_virtual_create(const struct ulv_host *base, uint64_t seed,
                   ulv_virtual **ret)
{
    const size_t bytes = ULV_OBJECT_SLOTS * sizeof(struct ulv_object_slot);
    struct ulv_virtual *v = base->alloc(base->self, sizeof(*v), 16);
    struct ulv_object_slot *slots = base->alloc(base->self, bytes, 16);

    *ret = NULL;
    if (v == NULL || slots == NULL) {
        base->free(base->self, v, sizeof(*v));
        base->free(base->self, slots, bytes);
        return ULV_E_NO_MEMORY;
    }
    v->base = base;
    v->now = 1;
    v->random = seed;
    for (uint32_t i = 0; i < ULV_VIRTUAL_PROCESSES; i++)
        v->process[i].handle = ULV_NO_HANDLE;
    fill_host(v);
    v->objects.release = release;
    ulv_objects_init(&v->objects, &v->host, slots);
    v->host.memory_create = virtual_memory_create;
    v->host.wait = virtual_wait;
    *ret = v;
    return ULV_OK;
}

uint64_t
ulv_virtual_destroy(ulv_virtual *v)
{
    const struct ulv_host *base;
    uint64_t left;

    if (v == NULL)
        return 0;
    base = v->base;
    left = v->objects.live_handles + v->objects.live_maps;
    for (uint32_t i = 0; i < ULV_VIRTUAL_PROCESSES; i++) {
        if (v->process[i].role == NULL)
            continue;
        left++;
        ulv_role_destroy(v->process[i].role);
    }
    ulv_objects_fini(&v->objects);
    base->free(base->self, v->objects.slots,
               ULV_OBJECT_SLOTS * sizeof(*v->objects.slots));
    base->free(base->self, v, sizeof(*v));
    return left;
}

const struct ulv_host *
ulv_virtual_host(ulv_virtual *v)
{
    return &v->host;
}

/* ---- what a test tells it ------------------------------------------------ */

ulv_status
ulv_virtual_stall(ulv_virtual *v, const char *name, ulv_nsec ns)
{
    for (uint32_t i = 0; i < ULV_VIRTUAL_PROCESSES; i++) {
        struct process *p = &v->process[i];

        if (p->role == NULL ||
            !ulv_string_equal(p->name, name, sizeof(p->name)))
            continue;
        p->busy = later(v->now, ns);
        return ULV_OK;
    }
    return ULV_E_NOT_FOUND;
}

void
ulv_virtual_delay(ulv_virtual *v, ulv_nsec most_ns)
{
    v->delay = most_ns;
}

void
ulv_virtual_advance(ulv_virtual *v, ulv_nsec ns)
{
    ulv_nsec end = later(v->now, ns), next;

    v->away = true;
    while (v->now < end) {
        if (!run_processes(v, &next))
            v->now = ULV_MIN(ULV_MAX(next, v->now + 1), end);
    }
    v->away = false;
}
