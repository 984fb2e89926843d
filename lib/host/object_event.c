/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Events and sets of them. */
#include "host/objects_priv.h"

static ulv_status
object_event_create(void *self, ulv_handle *ret)
{
    return ulv_object_plain(self, ULV_OBJECT_EVENT, ret);
}

static void
object_event_signal(void *self, ulv_handle event)
{
    struct ulv_object_slot *slot = slot_of(self, event, ULV_OBJECT_EVENT);

    if (slot != NULL)
        slot->object->signalled = true;
}

static bool
object_event_take(void *self, ulv_handle event)
{
    struct ulv_object_slot *slot = slot_of(self, event, ULV_OBJECT_EVENT);
    bool was = slot != NULL && slot->object->signalled;

    if (was)
        slot->object->signalled = false;
    return was;
}

/* ---- wait sets ----------------------------------------------------------- */

static ulv_status
object_wait_create(void *self, ulv_handle *ret)
{
    return ulv_object_plain(self, ULV_OBJECT_SET, ret);
}

static uint32_t
find_watched(const struct ulv_object *set, ulv_handle h)
{
    uint32_t i = 0;

    while (i < set->watched_count && set->watched[i] != h)
        i++;
    return i;
}

static ulv_status
grow(struct ulv_objects *o, struct ulv_object *set)
{
    uint32_t room = ULV_MAX(set->watched_room * 2, 8);
    ulv_handle *watched = ulv_object_alloc(o, room * sizeof(*watched));

    if (watched == NULL)
        return ULV_E_NO_MEMORY;
    if (set->watched_count != 0)
        memcpy(watched, set->watched, set->watched_count * sizeof(*watched));
    ulv_object_free(o, set->watched, set->watched_room * sizeof(*watched));
    set->watched = watched;
    set->watched_room = room;
    return ULV_OK;
}

static ulv_status
object_watch(void *self, ulv_handle set, ulv_handle h)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object_slot *slot = ulv_object_slot(o, set, ULV_OBJECT_SET);
    struct ulv_object_slot *watched = ulv_object_slot(o, h, ULV_OBJECT_ANY);
    struct ulv_object *object;

    if (slot == NULL || watched == NULL || slot->object == watched->object ||
        (watched->object->kind != ULV_OBJECT_EVENT &&
         watched->object->kind != ULV_OBJECT_SET))
        return ULV_E_ARG;
    object = slot->object;
    if (find_watched(object, h) < object->watched_count)
        return ULV_E_EXISTS;
    if (ulv_object_fails(o))
        return ULV_E_LIMIT;
    if (object->watched_count == object->watched_room) {
        ulv_status status = grow(o, object);

        if (status != ULV_OK)
            return status;
    }
    object->watched[object->watched_count++] = h;
    return ULV_OK;
}

static void
object_unwatch(void *self, ulv_handle set, ulv_handle h)
{
    struct ulv_object_slot *slot = slot_of(self, set, ULV_OBJECT_SET);
    uint32_t i;

    if (slot == NULL)
        return;
    i = find_watched(slot->object, h);
    if (i == slot->object->watched_count)
        ulv_object_misuse(ulv_objects_of(self), "unwatch: not watched");
    else
        slot->object->watched[i] =
            slot->object->watched[--slot->object->watched_count];
}

/* Whether a watched handle is ready; a set in a set counts if its own is. */
static bool
is_ready(struct ulv_objects *o, const struct ulv_object *set, uint32_t depth)
{
    for (uint32_t i = 0; i < set->watched_count; i++) {
        struct ulv_object_slot *slot =
            ulv_object_slot(o, set->watched[i], ULV_OBJECT_ANY);

        if (slot == NULL)
            continue;
        if (slot->object->signalled)
            return true;
        if (slot->object->kind == ULV_OBJECT_SET && depth > 0 &&
            is_ready(o, slot->object, depth - 1))
            return true;
    }
    return false;
}

bool
ulv_object_is_ready(struct ulv_objects *o, const struct ulv_object *set)
{
    return is_ready(o, set, 4);
}

void
ulv_objects_event_members(struct ulv_host *host)
{
    host->event_create = object_event_create;
    host->event_signal = object_event_signal;
    host->event_take = object_event_take;
    host->wait_create = object_wait_create;
    host->watch = object_watch;
    host->unwatch = object_unwatch;
}
