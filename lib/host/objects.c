/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Handles, and what stands behind them: <ultravisor/sys/objects.h>. */
#include "host/objects_priv.h"

#define SLOT_BITS 12

_Static_assert(ULV_OBJECT_SLOTS == 1 << SLOT_BITS, "slots of a handle");

void
ulv_object_misuse(struct ulv_objects *o, const char *text)
{
    if (o->misuse != NULL)
        o->misuse(o->host, text);
}

bool
ulv_object_fails(struct ulv_objects *o)
{
    return o->fails != NULL && o->fails(o->host);
}

void *
ulv_object_alloc(struct ulv_objects *o, size_t bytes)
{
    return o->host->alloc(o->host->self, bytes, 8);
}

void
ulv_object_free(struct ulv_objects *o, void *p, size_t bytes)
{
    o->host->free(o->host->self, p, bytes);
}

ulv_status
ulv_object_handle(struct ulv_objects *o, struct ulv_object *object,
                  ulv_handle *ret)
{
    for (uint32_t n = 0; n < ULV_OBJECT_SLOTS; n++) {
        uint32_t i = (o->slot_hint + n) % ULV_OBJECT_SLOTS;
        struct ulv_object_slot *slot = &o->slots[i];

        if (slot->object != NULL)
            continue;
        slot->object = object;
        slot->opening = NULL;
        slot->read_only = false;
        object->holders++;
        o->slot_hint = i + 1;
        o->live_handles++;
        *ret = (ulv_handle)slot->generation << SLOT_BITS | i;
        return ULV_OK;
    }
    return ULV_E_LIMIT;
}

struct ulv_object_slot *
ulv_object_slot(struct ulv_objects *o, ulv_handle h, enum ulv_object_kind kind)
{
    if (h >= 0) {
        struct ulv_object_slot *slot = &o->slots[h & (ULV_OBJECT_SLOTS - 1)];

        if (slot->object != NULL && slot->generation == h >> SLOT_BITS &&
            (kind == ULV_OBJECT_ANY || slot->object->kind == kind))
            return slot;
    }
    ulv_object_misuse(o, "a handle that is closed, or of another kind");
    return NULL;
}

ulv_status
ulv_object_create(struct ulv_objects *o, enum ulv_object_kind kind,
                  struct ulv_object **ret_object, ulv_handle *ret)
{
    struct ulv_object *object = ulv_object_alloc(o, sizeof(*object));
    ulv_status status;

    if (object == NULL)
        return ULV_E_NO_MEMORY;
    object->kind = kind;
    status = ulv_object_handle(o, object, ret);
    if (status != ULV_OK) {
        ulv_object_free(o, object, sizeof(*object));
        return status;
    }
    *ret_object = object;
    return ULV_OK;
}

void
ulv_object_drop(struct ulv_objects *o, struct ulv_object *object)
{
    if (--object->holders > 0)
        return;
    if (object->p != NULL)
        o->release(o->host, object);
    ulv_object_free(o, object->watched,
                    object->watched_room * sizeof(object->watched[0]));
    ulv_object_free(o, object, sizeof(*object));
}

static void
object_handle_close(void *self, ulv_handle h)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object_slot *slot;
    struct ulv_object *object;
    struct ulv_object_opening *opening;

    if (h == ULV_NO_HANDLE)
        return;
    slot = ulv_object_slot(o, h, ULV_OBJECT_ANY);
    if (slot == NULL)
        return;
    object = slot->object;
    opening = slot->opening;
    if (opening != NULL && --opening->handles == 0) {
        if (object->holder == opening)
            object->holder = NULL;
        ulv_object_free(o, opening, sizeof(*opening));
    }
    slot->object = NULL;
    slot->opening = NULL;
    slot->generation++;
    o->live_handles--;
    ulv_object_drop(o, object);
}

static ulv_status
object_handle_duplicate(void *self, ulv_handle h, ulv_handle *ret)
{
    struct ulv_objects *o = ulv_objects_of(self);
    struct ulv_object_slot *slot = ulv_object_slot(o, h, ULV_OBJECT_ANY);
    struct ulv_object_slot *copy;
    ulv_status status;

    if (slot == NULL)
        return ULV_E_ARG;
    if (ulv_object_fails(o))
        return ULV_E_LIMIT;
    status = ulv_object_handle(o, slot->object, ret);
    if (status != ULV_OK)
        return status;
    copy = ulv_object_slot(o, *ret, ULV_OBJECT_ANY);
    copy->read_only = slot->read_only;
    copy->opening = slot->opening;
    if (copy->opening != NULL)
        copy->opening->handles++;
    return ULV_OK;
}

void
ulv_objects_init(struct ulv_objects *o, struct ulv_host *host,
                 struct ulv_object_slot *slots)
{
    o->host = host;
    o->slots = slots;
    /* so that 0 is never a handle */
    for (uint32_t i = 0; i < ULV_OBJECT_SLOTS; i++)
        slots[i].generation = 1;
    host->handle_close = object_handle_close;
    host->handle_duplicate = object_handle_duplicate;
    ulv_objects_memory_members(host);
    ulv_objects_event_members(host);
    ulv_objects_medium_members(host);
}

void
ulv_objects_fini(struct ulv_objects *o)
{
    while (o->maps != NULL)
        o->host->memory_unmap(o->host->self, o->maps->p, o->maps->bytes);
    for (uint32_t i = 0; i < ULV_OBJECT_SLOTS; i++) {
        struct ulv_object_slot *slot = &o->slots[i];

        if (slot->object != NULL)
            object_handle_close(o->host->self,
                                (ulv_handle)slot->generation << SLOT_BITS | i);
    }
}
