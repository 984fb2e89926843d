/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Handles and what stands behind them. */
#include "port/bare/bare_priv.h"

void
bare_misuse(struct ulv_bare *b, const char *text)
{
    if (b->misuse++ == 0)
        b->host.log(b, ULV_LOG_ERROR, text);
}

ulv_status
bare_handle(struct ulv_bare *b, struct ulv_bare_object *object, ulv_handle *ret)
{
    for (uint32_t n = 0; n < BARE_SLOTS; n++) {
        uint32_t i = (b->slot_hint + n) % BARE_SLOTS;
        struct ulv_bare_slot *slot = &b->slots[i];

        if (slot->object != NULL)
            continue;
        slot->object = object;
        slot->opening = NULL;
        slot->read_only = false;
        object->holders++;
        b->slot_hint = i + 1;
        b->live_handles++;
        *ret = (ulv_handle)slot->generation << BARE_SLOT_BITS | i;
        return ULV_OK;
    }
    return ULV_E_LIMIT;
}

struct ulv_bare_slot *
bare_slot(struct ulv_bare *b, ulv_handle h, enum bare_kind kind)
{
    if (h >= 0) {
        struct ulv_bare_slot *slot = &b->slots[h & (BARE_SLOTS - 1)];

        if (slot->object != NULL && slot->generation == h >> BARE_SLOT_BITS &&
            (kind == BARE_ANY || slot->object->kind == kind))
            return slot;
    }
    bare_misuse(b, "a handle that is closed, or of another kind");
    return NULL;
}

ulv_status
bare_object(struct ulv_bare *b, enum bare_kind kind,
            struct ulv_bare_object **ret_object, ulv_handle *ret)
{
    struct ulv_bare_object *object =
        bare_alloc(b, sizeof(*object), _Alignof(struct ulv_bare_object));
    ulv_status status;

    if (object == NULL)
        return ULV_E_NO_MEMORY;
    object->kind = kind;
    status = bare_handle(b, object, ret);
    if (status != ULV_OK) {
        bare_free(b, object, sizeof(*object));
        return status;
    }
    *ret_object = object;
    return ULV_OK;
}

void
bare_object_drop(struct ulv_bare *b, struct ulv_bare_object *object)
{
    struct ulv_bare_object **at = &b->objects;

    if (--object->holders > 0)
        return;
    while (*at != NULL && *at != object)
        at = &(*at)->next;
    if (*at == object)
        *at = object->next;
    if (object->run != NULL)
        bare_frames_give(b, object->run);
    else if (object->kind == BARE_MEMORY)
        bare_free(b, bare_at(object->start), object->bytes);
    bare_free(b, object->watched,
              object->watched_room * sizeof(object->watched[0]));
    bare_free(b, object, sizeof(*object));
}

static void
bare_handle_close(void *self, ulv_handle h)
{
    struct ulv_bare *b = self;
    struct ulv_bare_slot *slot;
    struct ulv_bare_object *object;
    struct bare_opening *opening;

    if (h == ULV_NO_HANDLE)
        return;
    slot = bare_slot(b, h, BARE_ANY);
    if (slot == NULL)
        return;
    object = slot->object;
    opening = slot->opening;
    if (opening != NULL && --opening->handles == 0) {
        if (object->holder == opening)
            object->holder = NULL;
        bare_free(b, opening, sizeof(*opening));
    }
    slot->object = NULL;
    slot->opening = NULL;
    slot->generation++;
    b->live_handles--;
    bare_object_drop(b, object);
}

static ulv_status
bare_handle_duplicate(void *self, ulv_handle h, ulv_handle *ret)
{
    struct ulv_bare *b = self;
    struct ulv_bare_slot *slot = bare_slot(b, h, BARE_ANY);
    struct ulv_bare_slot *copy;
    ulv_status status;

    if (slot == NULL)
        return ULV_E_ARG;
    status = bare_handle(b, slot->object, ret);
    if (status != ULV_OK)
        return status;
    copy = bare_slot(b, *ret, BARE_ANY);
    copy->read_only = slot->read_only;
    copy->opening = slot->opening;
    if (copy->opening != NULL)
        copy->opening->handles++;
    return ULV_OK;
}

/* ---- events -------------------------------------------------------------- */

static ulv_status
bare_event_create(void *self, ulv_handle *ret)
{
    struct ulv_bare_object *object = NULL;

    return bare_object(self, BARE_EVENT, &object, ret);
}

static void
bare_event_signal(void *self, ulv_handle event)
{
    struct ulv_bare_slot *slot = bare_slot(self, event, BARE_EVENT);

    if (slot != NULL)
        slot->object->signalled = true;
}

static bool
bare_event_take(void *self, ulv_handle event)
{
    struct ulv_bare_slot *slot = bare_slot(self, event, BARE_EVENT);
    bool was = slot != NULL && slot->object->signalled;

    if (was)
        slot->object->signalled = false;
    return was;
}

/* ---- wait sets ----------------------------------------------------------- */

static ulv_status
bare_wait_create(void *self, ulv_handle *ret)
{
    struct ulv_bare_object *object = NULL;

    return bare_object(self, BARE_SET, &object, ret);
}

static uint32_t
find_watched(const struct ulv_bare_object *set, ulv_handle h)
{
    uint32_t i = 0;

    while (i < set->watched_count && set->watched[i] != h)
        i++;
    return i;
}

static ulv_status
grow(struct ulv_bare *b, struct ulv_bare_object *set)
{
    uint32_t room = ULV_MAX(set->watched_room * 2, 8);
    ulv_handle *watched =
        bare_alloc(b, room * sizeof(*watched), _Alignof(ulv_handle));

    if (watched == NULL)
        return ULV_E_NO_MEMORY;
    memcpy(watched, set->watched, set->watched_count * sizeof(*watched));
    bare_free(b, set->watched, set->watched_room * sizeof(*watched));
    set->watched = watched;
    set->watched_room = room;
    return ULV_OK;
}

static ulv_status
bare_watch(void *self, ulv_handle set, ulv_handle h)
{
    struct ulv_bare *b = self;
    struct ulv_bare_slot *slot = bare_slot(b, set, BARE_SET);
    struct ulv_bare_slot *watched = bare_slot(b, h, BARE_ANY);
    struct ulv_bare_object *object;

    if (slot == NULL || watched == NULL || slot->object == watched->object ||
        (watched->object->kind != BARE_EVENT &&
         watched->object->kind != BARE_SET))
        return ULV_E_ARG;
    object = slot->object;
    if (find_watched(object, h) < object->watched_count)
        return ULV_E_EXISTS;
    if (object->watched_count == object->watched_room) {
        ulv_status status = grow(b, object);

        if (status != ULV_OK)
            return status;
    }
    object->watched[object->watched_count++] = h;
    return ULV_OK;
}

static void
bare_unwatch(void *self, ulv_handle set, ulv_handle h)
{
    struct ulv_bare_slot *slot = bare_slot(self, set, BARE_SET);
    uint32_t i;

    if (slot == NULL)
        return;
    i = find_watched(slot->object, h);
    if (i == slot->object->watched_count)
        bare_misuse(self, "unwatch: not watched");
    else
        slot->object->watched[i] =
            slot->object->watched[--slot->object->watched_count];
}

/* Whether a watched handle is ready; a set in a set counts if its own is. */
static bool
is_ready(struct ulv_bare *b, const struct ulv_bare_object *set, uint32_t depth)
{
    for (uint32_t i = 0; i < set->watched_count; i++) {
        struct ulv_bare_slot *slot = bare_slot(b, set->watched[i], BARE_ANY);

        if (slot == NULL)
            continue;
        if (slot->object->signalled)
            return true;
        if (slot->object->kind == BARE_SET && depth > 0 &&
            is_ready(b, slot->object, depth - 1))
            return true;
    }
    return false;
}

/* One processor runs and nothing interrupts it: what is not ready now will
 * not be before the deadline. A deadline that never comes is over at once. */
static ulv_status
bare_wait(void *self, ulv_handle set, ulv_nsec deadline)
{
    struct ulv_bare *b = self;
    struct ulv_bare_slot *slot = bare_slot(b, set, BARE_SET);

    if (slot == NULL)
        return ULV_E_ARG;
    if (is_ready(b, slot->object, 4))
        return ULV_OK;
    while (deadline != ULV_FOREVER && bare_now(b) < deadline)
        bare_pause();
    return ULV_E_TIMEOUT;
}

ulv_status
bare_object_init(struct ulv_bare *b)
{
    struct ulv_host *host = &b->host;

    b->slots = bare_alloc(b, BARE_SLOTS * sizeof(b->slots[0]),
                          _Alignof(struct ulv_bare_slot));
    if (b->slots == NULL)
        return ULV_E_NO_MEMORY;
    /* so that 0 is never a handle */
    for (uint32_t i = 0; i < BARE_SLOTS; i++)
        b->slots[i].generation = 1;
    host->handle_close = bare_handle_close;
    host->handle_duplicate = bare_handle_duplicate;
    host->event_create = bare_event_create;
    host->event_signal = bare_event_signal;
    host->event_take = bare_event_take;
    host->wait_create = bare_wait_create;
    host->watch = bare_watch;
    host->unwatch = bare_unwatch;
    host->wait = bare_wait;
    return ULV_OK;
}
