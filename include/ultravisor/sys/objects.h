/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Handles for a host that has no operating system behind it: memory objects,
 * events, wait sets, fences and media in memory, kept in the host's own heap.
 *
 * For authors of ports: a struct that begins with a struct ulv_host and has a
 * struct ulv_objects next; ulv_objects_init() fills in the members of the host
 * table that follow. The port adds memory_create, wait, and what differs; it
 * may replace members and call the functions below from its own.
 *
 * One thread. A handle is the number of a slot and the slot's generation, so
 * that one that is closed is noticed.
 */
#ifndef ULTRAVISOR_SYS_OBJECTS_H
#define ULTRAVISOR_SYS_OBJECTS_H

#include <ultravisor/sys/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ULV_OBJECT_SLOTS 4096 /* handles that can be open at a time */

enum ulv_object_kind {
    ULV_OBJECT_ANY,
    ULV_OBJECT_MEMORY,
    ULV_OBJECT_EVENT,
    ULV_OBJECT_SET,
    ULV_OBJECT_MEDIUM,
    ULV_OBJECT_FENCE,
};

/* One opening of a fence; duplicates of a handle share it. */
struct ulv_object_opening {
    uint32_t handles;
};

/* Shared by all handles that name it; freed with the last. */
struct ulv_object {
    enum ulv_object_kind kind;
    uint32_t holders;         /* handles and maps */
    uint8_t *p;               /* MEMORY: where it lies */
    uint64_t bytes;           /* MEMORY, MEDIUM */
    uint32_t seals;           /* MEMORY: ULV_SEAL_* */
    void *of_port;            /* MEMORY: the port's own */
    bool signalled;           /* EVENT */
    struct ulv_source source; /* MEDIUM: MEMORY or READ */
    ulv_handle *watched;      /* SET */
    uint32_t watched_count;
    uint32_t watched_room;
    struct ulv_object_opening *holder; /* FENCE: who holds it */
};

struct ulv_object_slot {
    struct ulv_object *object;          /* NULL: free */
    struct ulv_object_opening *opening; /* FENCE: of this handle */
    uint32_t generation;
    bool read_only; /* MEMORY */
};

/* A map, so that the right size is given back. */
struct ulv_object_map {
    struct ulv_object_map *next;
    struct ulv_object *object;
    void *p;
    uint64_t bytes;
};

struct ulv_objects {
    struct ulv_host *host; /* the one in front of this */
    /* Give the memory of an object back. Required. */
    void (*release)(struct ulv_host *host, struct ulv_object *memory);
    /* A handle that is closed or of another kind, a map that is not there.
     * NULL: nobody wants to know. */
    void (*misuse)(struct ulv_host *host, const char *text);
    /* Whether a call that allocates nothing is to fail; NULL: never. */
    bool (*fails)(struct ulv_host *host);
    struct ulv_object_slot *slots; /* ULV_OBJECT_SLOTS of them */
    uint32_t slot_hint;
    uint32_t live_handles, live_maps;
    struct ulv_object_map *maps;
};

/* slots: zeroed, ULV_OBJECT_SLOTS of them, the port's. Fills in handle_close
 * and handle_duplicate, memory_map, _unmap, _seal, _read_only, _discard and
 * _bytes, event_*, wait_create, watch, unwatch, medium_*, fence_*. */
void ulv_objects_init(struct ulv_objects *o, struct ulv_host *host,
                      struct ulv_object_slot *slots);
/* Drop every map and close every handle that is left. */
void ulv_objects_fini(struct ulv_objects *o);

/* A new object with a first handle. Errors: NO_MEMORY, LIMIT (no slot). */
ulv_status ulv_object_create(struct ulv_objects *o, enum ulv_object_kind kind,
                             struct ulv_object **ret_object, ulv_handle *ret);
/* Memory at p, which release() gives back once nobody holds it. Errors as
 * above; the memory is still the caller's then. */
ulv_status ulv_object_memory(struct ulv_objects *o, void *p, uint64_t bytes,
                             void *of_port, ulv_handle *ret);
/* The slot of a handle of that kind, or NULL and a misuse. */
struct ulv_object_slot *
ulv_object_slot(struct ulv_objects *o, ulv_handle h, enum ulv_object_kind kind);
/* Whether a watched handle of the set is ready; a set in a set counts if one
 * of its own is. */
bool ulv_object_is_ready(struct ulv_objects *o, const struct ulv_object *set);

#ifdef __cplusplus
}
#endif

#endif
