/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* In place of keeper_find.c on a bare machine, which has few objects. */
#include "base/base.h"
#include "system/keeper.h"

struct keeper_partition *
ulv_keeper_partition(const struct keeper *k, ulv_id id)
{
    struct keeper_partition *p = k->partitions;

    while (p != NULL && p->id != id)
        p = p->next;
    return p;
}

struct keeper_channel *
ulv_keeper_channel(const struct keeper *k, ulv_id id)
{
    struct keeper_channel *c = k->channels;

    while (c != NULL && c->id != id)
        c = c->next;
    return c;
}

struct keeper_device *
ulv_keeper_device(const struct keeper *k, ulv_id id)
{
    struct keeper_device *d = k->devices;

    while (d != NULL && d->id != id)
        d = d->next;
    return d;
}

struct keeper_extent *
ulv_keeper_extent(const struct keeper *k, ulv_id id)
{
    struct keeper_extent *e = k->extents;

    while (e != NULL && e->id != id)
        e = e->next;
    return e;
}

struct keeper_extent *
ulv_keeper_extent_of(const struct keeper *k, ulv_id partition,
                     const struct keeper_extent *after)
{
    struct keeper_extent *e = after == NULL ? k->extents : after->next;

    while (e != NULL && e->partition != partition)
        e = e->next;
    return e;
}

struct keeper_channel *
ulv_keeper_channel_of(const struct keeper *k, ulv_id partition,
                      const struct keeper_channel *after)
{
    struct keeper_channel *c = after == NULL ? k->channels : after->next;

    while (c != NULL && c->server != partition && c->client != partition &&
           c->holder[2] != partition)
        c = c->next;
    return c;
}

/* All of them are looked at each time. */
struct keeper_partition *
ulv_keeper_next_turn(const struct keeper *k,
                     const struct keeper_partition *after, ulv_nsec now,
                     ulv_nsec *deadline)
{
    (void)now;
    (void)deadline;
    return after == NULL ? k->partitions : after->next;
}
