/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the keeper holds for others: how it comes, and how it goes. */
#include "base/base.h"
#include "system/keeper.h"

void
ulv_keeper_extent_add(struct keeper *k, struct keeper_extent *e)
{
    e->next = k->extents;
    k->extents = e;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_enter_extent(k, e);
}

void
ulv_keeper_channel_add(struct keeper *k, struct keeper_channel *c)
{
    c->next = k->channels;
    k->channels = c;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_enter_channel(k, c);
}

void
ulv_keeper_device_add(struct keeper *k, struct keeper_device *d)
{
    d->next = k->devices;
    k->devices = d;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_enter_device(k, d);
}

void
ulv_keeper_close(const struct keeper *k, ulv_handle *h)
{
    if (*h != ULV_NO_HANDLE)
        k->host->handle_close(k->host->self, *h);
    *h = ULV_NO_HANDLE;
}

/* Scrub first, then free: whoever gets the frames next gets zeroes in a new
 * memory object. */
static void
scrub(struct keeper *k, ulv_handle *memory, uint64_t bytes)
{
    if (*memory != ULV_NO_HANDLE)
        (void)k->host->memory_discard(k->host->self, *memory, 0, bytes);
    ulv_keeper_close(k, memory);
}

void
ulv_keeper_extent_remove(struct keeper *k, struct keeper_extent *e)
{
    struct keeper_extent **at = &k->extents;

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_leave_extent(k, e);
    scrub(k, &e->memory, e->bytes);
    if (!e->lacking)
        (void)ulv_frame_table_release(&k->frames, e->frame, e->bytes,
                                      e->partition, NULL);
    k->host->free(k->host->self, e, sizeof(*e));
}

void
ulv_keeper_channel_remove(struct keeper *k, struct keeper_channel *c)
{
    struct keeper_channel **at = &k->channels;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_leave_channel(k, c);
    scrub(k, &c->memory, c->bytes);
    if (ULV_CONSOLE_TYPING)
        ulv_keeper_input_drop(k, c);
    ulv_keeper_close(k, &c->fresh);
    ulv_keeper_close(k, &c->bell[0]);
    ulv_keeper_close(k, &c->bell[1]);
    if (!c->lacking)
        (void)ulv_frame_table_release(&k->frames, c->frame, c->bytes, c->id,
                                      NULL);
    k->host->free(k->host->self, c, sizeof(*c));
}

void
ulv_keeper_device_remove(struct keeper *k, struct keeper_device *d)
{
    struct keeper_device **at = &k->devices;

    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_leave_device(k, d);
    for (uint32_t i = 0; i < 2; i++) {
        ulv_keeper_close(k, &d->medium[i]);
        ulv_keeper_close(k, &d->lock[i]);
    }
    ulv_keeper_close(k, &d->takeover);
    ulv_keeper_close(k, &d->fresh);
    k->host->free(k->host->self, d, sizeof(*d));
}
