/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/template/template.h"

#include "base/base.h"

static void *
template_alloc(void *self, size_t bytes, size_t align)
{
    struct ulv_template *t = self;
    uint64_t base = (uint64_t)(uintptr_t)t->buf;
    uint64_t start = ulv_round_up(base + t->used, align) - base;

    if (!ulv_range_inside(start, bytes, t->bytes))
        return NULL;
    t->used = (size_t)start + bytes;
    memset(t->buf + start, 0, bytes);
    return t->buf + start;
}

static void
template_free(void *self, void *p, size_t bytes)
{
    struct ulv_template *t = self;
    uint8_t *start = p;

    if (p != NULL && start + bytes == t->buf + t->used)
        t->used = (size_t)(start - t->buf);
}

static ulv_nsec
template_now(void *self)
{
    struct ulv_template *t = self;

    return t->clock();
}

/* The event of a handle, or NULL. */
static struct ulv_template_event *
event_of(struct ulv_template *t, ulv_handle h)
{
    if (h < 0 || h >= ULV_TEMPLATE_EVENTS_MAX || t->events[h].holders == 0)
        return NULL;
    return &t->events[h];
}

static ulv_status
template_event_create(void *self, ulv_handle *ret)
{
    struct ulv_template *t = self;

    for (uint32_t i = 0; i < ULV_TEMPLATE_EVENTS_MAX; i++) {
        if (t->events[i].holders != 0)
            continue;
        t->events[i].holders = 1;
        t->events[i].signalled = false;
        *ret = i;
        return ULV_OK;
    }
    return ULV_E_LIMIT;
}

static void
template_event_signal(void *self, ulv_handle h)
{
    struct ulv_template_event *event = event_of(self, h);

    if (event != NULL)
        event->signalled = true;
}

static bool
template_event_take(void *self, ulv_handle h)
{
    struct ulv_template_event *event = event_of(self, h);
    bool was = event != NULL && event->signalled;

    if (was)
        event->signalled = false;
    return was;
}

static ulv_status
template_handle_duplicate(void *self, ulv_handle h, ulv_handle *ret)
{
    struct ulv_template_event *event = event_of(self, h);

    if (event == NULL)
        return ULV_E_ARG;
    event->holders++;
    *ret = h;
    return ULV_OK;
}

static void
template_handle_close(void *self, ulv_handle h)
{
    struct ulv_template_event *event = event_of(self, h);

    if (event != NULL)
        event->holders--;
}

void
ulv_template_init(struct ulv_template *t, void *buf, size_t bytes,
                  ulv_nsec (*clock)(void))
{
    memset(t, 0, sizeof(*t));
    t->buf = buf;
    t->bytes = bytes;
    t->clock = clock;
    t->host.size = sizeof(t->host);
    t->host.self = t;
    t->host.alloc = template_alloc;
    t->host.free = template_free;
    t->host.now = template_now;
    t->host.event_create = template_event_create;
    t->host.event_signal = template_event_signal;
    t->host.event_take = template_event_take;
    t->host.handle_duplicate = template_handle_duplicate;
    t->host.handle_close = template_handle_close;
}
