/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef HOST_OBJECTS_PRIV_H
#define HOST_OBJECTS_PRIV_H

#include <ultravisor/sys/objects.h>

#include "base/base.h"

/* They follow the host table, which is the first thing self points to. */
static inline struct ulv_objects *
ulv_objects_of(void *self)
{
    return (struct ulv_objects *)(void *)((char *)self +
                                          sizeof(struct ulv_host));
}

static inline struct ulv_object_slot *
slot_of(void *self, ulv_handle h, enum ulv_object_kind kind)
{
    return ulv_object_slot(ulv_objects_of(self), h, kind);
}

/* An object of which there is nothing more to say. */
static inline ulv_status
ulv_object_plain(void *self, enum ulv_object_kind kind, ulv_handle *ret)
{
    struct ulv_object *object = NULL;

    return ulv_object_create(ulv_objects_of(self), kind, &object, ret);
}

/* objects.c */
void ulv_object_misuse(struct ulv_objects *o, const char *text);
bool ulv_object_fails(struct ulv_objects *o);
void *ulv_object_alloc(struct ulv_objects *o, size_t bytes);
void ulv_object_free(struct ulv_objects *o, void *p, size_t bytes);
/* A new handle of object, which gets one holder more; LIMIT: no slot. */
ulv_status ulv_object_handle(struct ulv_objects *o, struct ulv_object *object,
                             ulv_handle *ret);
/* One holder less. */
void ulv_object_drop(struct ulv_objects *o, struct ulv_object *object);

/* object_memory.c, object_event.c, object_medium.c */
void ulv_objects_memory_members(struct ulv_host *host);
void ulv_objects_event_members(struct ulv_host *host);
void ulv_objects_medium_members(struct ulv_host *host);

#endif
