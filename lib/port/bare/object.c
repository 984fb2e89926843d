/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Handles: <ultravisor/sys/objects.h>, with memory of the heap or of frames,
 * and a clock that is waited for. */
#include "port/bare/bare_priv.h"

_Static_assert(offsetof(struct ulv_bare, objects) == sizeof(struct ulv_host),
               "sys/objects.h");

void
bare_misuse(struct ulv_bare *b, const char *text)
{
    if (b->misuse++ == 0)
        b->host.log(b, ULV_LOG_ERROR, text);
}

static void
note_misuse(struct ulv_host *host, const char *text)
{
    bare_misuse(host->self, text);
}

static void
release(struct ulv_host *host, struct ulv_object *memory)
{
    if (memory->of_port != NULL)
        bare_frames_give(host->self, memory->of_port);
    else
        host->free(host->self, memory->p, memory->bytes);
}

/* One processor runs and nothing interrupts it: what is not ready now will
 * not be before the deadline. A deadline that never comes is over at once. */
static ulv_status
bare_wait(void *self, ulv_handle set, ulv_nsec deadline)
{
    struct ulv_bare *b = self;
    struct ulv_object_slot *slot =
        ulv_object_slot(&b->objects, set, ULV_OBJECT_SET);

    if (slot == NULL)
        return ULV_E_ARG;
    if (ulv_object_is_ready(&b->objects, slot->object))
        return ULV_OK;
    while (deadline != ULV_FOREVER && bare_now(b) < deadline)
        bare_pause();
    return ULV_E_TIMEOUT;
}

ulv_status
bare_object_init(struct ulv_bare *b)
{
    struct ulv_object_slot *slots = bare_alloc(
        b, ULV_OBJECT_SLOTS * sizeof(*slots), _Alignof(struct ulv_object_slot));

    if (slots == NULL)
        return ULV_E_NO_MEMORY;
    b->objects.misuse = note_misuse;
    b->objects.release = release;
    ulv_objects_init(&b->objects, &b->host, slots);
    b->host.wait = bare_wait;
    return ULV_OK;
}
