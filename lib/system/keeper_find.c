/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the keeper has, found by its number or by that of who has it. */
#include "base/base.h"
#include "system/keeper.h"

/* The object that an entry is part of; NULL of NULL. */
#define OBJECT_OF(entry, type, member)                                         \
    ((entry) == NULL ? NULL : ULV_CONTAINER_OF(entry, type, member))

struct keeper_partition *
ulv_keeper_partition(const struct keeper *k, ulv_id id)
{
    struct id_entry *entry = ulv_id_index_find(&k->by_id.partitions, id);

    return OBJECT_OF(entry, struct keeper_partition, by_id);
}

struct keeper_channel *
ulv_keeper_channel(const struct keeper *k, ulv_id id)
{
    struct id_entry *entry = ulv_id_index_find(&k->by_id.channels, id);

    return OBJECT_OF(entry, struct keeper_channel, by_id);
}

struct keeper_device *
ulv_keeper_device(const struct keeper *k, ulv_id id)
{
    struct id_entry *entry = ulv_id_index_find(&k->by_id.devices, id);

    return OBJECT_OF(entry, struct keeper_device, by_id);
}

struct keeper_extent *
ulv_keeper_extent(const struct keeper *k, ulv_id id)
{
    struct id_entry *entry = ulv_id_index_find(&k->by_id.extents, id);

    return OBJECT_OF(entry, struct keeper_extent, by_id);
}

struct keeper_extent *
ulv_keeper_extent_of(const struct keeper *k, ulv_id partition,
                     const struct keeper_extent *after)
{
    struct id_entry *entry =
        after == NULL ? ulv_id_index_find(&k->by_id.extents_of, partition)
                      : ulv_id_index_next(&after->by_partition);

    return OBJECT_OF(entry, struct keeper_extent, by_partition);
}

/* Who has several ends of a channel has it by the first of them. */
static const struct channel_end *
end_of(const struct keeper_channel *c, ulv_id partition)
{
    const struct channel_end *end = c->end;

    while (!end->by_partition.there || end->by_partition.id != partition)
        end++;
    return end;
}

struct keeper_channel *
ulv_keeper_channel_of(const struct keeper *k, ulv_id partition,
                      const struct keeper_channel *after)
{
    struct id_entry *entry =
        after == NULL
            ? ulv_id_index_find(&k->by_id.ends_of, partition)
            : ulv_id_index_next(&end_of(after, partition)->by_partition);

    for (; entry != NULL; entry = ulv_id_index_next(entry)) {
        struct channel_end *end =
            ULV_CONTAINER_OF(entry, struct channel_end, by_partition);

        if (end == end_of(end->channel, partition))
            return end->channel;
    }
    return NULL;
}

/* ---- turns --------------------------------------------------------------- */

struct keeper_partition *
ulv_keeper_next_turn(const struct keeper *k,
                     const struct keeper_partition *after, ulv_nsec now,
                     ulv_nsec *deadline)
{
    for (uint32_t i = after == NULL ? 0 : after->turn + 1; i < k->turn_count;
         i++) {
        if (k->turns[i].at <= now && k->turns[i].partition != NULL)
            return k->turns[i].partition;
        *deadline = ULV_MIN(*deadline, k->turns[i].at);
    }
    return NULL;
}

void
ulv_keeper_set_turn(struct keeper_partition *p)
{
    const struct keeper *k = p->keeper;
    const bool now = p->again || p->reaping || !ulv_rung_can_tell(&k->rung);

    k->turns[p->turn].at = !p->alive ? ULV_FOREVER : now ? 0 : p->deadline;
}

static ulv_status
make_room(struct keeper *k)
{
    const struct ulv_host *host = k->host;
    const uint32_t room = 2 * k->turn_room + 16;
    struct keeper_turn *turns;

    if (k->turn_count < k->turn_room)
        return ULV_OK;
    turns = host->alloc(host->self, room * sizeof(*turns), 8);
    if (turns == NULL)
        return ULV_E_NO_MEMORY;
    if (k->turn_count != 0)
        memcpy(turns, k->turns, k->turn_count * sizeof(*turns));
    host->free(host->self, k->turns, k->turn_room * sizeof(*turns));
    k->turns = turns;
    k->turn_room = room;
    return ULV_OK;
}

/* At a place that another one has left, or behind all others. */
ulv_status
ulv_keeper_enter_turn(struct keeper *k, struct keeper_partition *p)
{
    uint32_t turn = 0;

    while (turn < k->turn_count && k->turns[turn].partition != NULL)
        turn++;
    if (turn == k->turn_count) {
        const ulv_status status = make_room(k);

        if (status != ULV_OK)
            return status;
        k->turn_count++;
    }
    p->keeper = k;
    p->turn = turn;
    k->turns[turn].partition = p;
    k->turns[turn].at = 0;
    return ULV_OK;
}

/* ---- what comes and goes ------------------------------------------------- */

void
ulv_keeper_enter_partition(struct keeper *k, struct keeper_partition *p)
{
    ulv_id_index_add(&k->by_id.partitions, &p->by_id, p->id);
}

void
ulv_keeper_leave_partition(struct keeper *k, struct keeper_partition *p)
{
    ulv_id_index_remove(&k->by_id.partitions, &p->by_id);
    k->turns[p->turn].partition = NULL;
    k->turns[p->turn].at = ULV_FOREVER;
}

void
ulv_keeper_enter_extent(struct keeper *k, struct keeper_extent *e)
{
    ulv_id_index_add(&k->by_id.extents, &e->by_id, e->id);
    ulv_id_index_add(&k->by_id.extents_of, &e->by_partition, e->partition);
}

void
ulv_keeper_leave_extent(struct keeper *k, struct keeper_extent *e)
{
    ulv_id_index_remove(&k->by_id.extents, &e->by_id);
    ulv_id_index_remove(&k->by_id.extents_of, &e->by_partition);
}

void
ulv_keeper_enter_end(struct keeper *k, struct keeper_channel *c, uint32_t idx,
                     ulv_id partition)
{
    struct channel_end *end = &c->end[idx];

    end->channel = c;
    ulv_id_index_add(&k->by_id.ends_of, &end->by_partition, partition);
}

void
ulv_keeper_enter_channel(struct keeper *k, struct keeper_channel *c)
{
    ulv_id_index_add(&k->by_id.channels, &c->by_id, c->id);
    ulv_keeper_enter_end(k, c, 0, c->server);
    ulv_keeper_enter_end(k, c, 1, c->client);
}

void
ulv_keeper_leave_channel(struct keeper *k, struct keeper_channel *c)
{
    ulv_id_index_remove(&k->by_id.channels, &c->by_id);
    for (uint32_t i = 0; i < ULV_COUNT_OF(c->end); i++)
        ulv_id_index_remove(&k->by_id.ends_of, &c->end[i].by_partition);
}

void
ulv_keeper_enter_device(struct keeper *k, struct keeper_device *d)
{
    ulv_id_index_add(&k->by_id.devices, &d->by_id, d->id);
}

void
ulv_keeper_leave_device(struct keeper *k, struct keeper_device *d)
{
    ulv_id_index_remove(&k->by_id.devices, &d->by_id);
}
