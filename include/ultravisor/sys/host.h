/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The host interface: everything the library asks of the world it is linked
 * into. A port fills in one constant struct ulv_host; every object made from
 * it keeps the pointer, so it outlives them all.
 *
 * For authors of ports (lib/port has four to look at) and for programs that
 * bring their own memory or clock. A program on Linux calls ulv_posix_host()
 * and needs nothing from here.
 *
 * Each member says: Required or Optional (what NULL means) - context - may it
 * block - what holds on failure. Statuses are negative ULV_E_* only; a port
 * converts its own codes (errno) on the spot and puts them into diag.os_code
 * where it is handed a diag.
 */
#ifndef ULTRAVISOR_SYS_HOST_H
#define ULTRAVISOR_SYS_HOST_H

#include <ultravisor/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A thing the host keeps for us: a memory object, an event, a set of watched
 * handles, a medium, a fence, the end of a link. A descriptor on Linux. Owned
 * by whoever holds it; close once.
 */
typedef int64_t ulv_handle;
#define ULV_NO_HANDLE ((ulv_handle)-1)

/* memory_map */
#define ULV_MAP_READ  UINT32_C(1)
#define ULV_MAP_WRITE UINT32_C(2)
/* Little of it will be there: it need not lie as large pages do. */
#define ULV_MAP_SPARSE UINT32_C(4)

/* memory_create */
#define ULV_MEMORY_LAZY UINT32_C(1) /* may fail to be there when touched */

/* memory_seal: a seal is for ever. */
#define ULV_SEAL_SIZE  UINT32_C(1) /* neither grows nor shrinks */
#define ULV_SEAL_WRITE UINT32_C(2) /* no new writable mapping, no write */
#define ULV_SEAL_SEALS UINT32_C(4) /* no further seals */

/* medium_open */
#define ULV_MEDIUM_READ_ONLY UINT32_C(1)
#define ULV_MEDIUM_ANY_SIZE  UINT32_C(2) /* an image, not a disk */
#define ULV_MEDIUM_FLAGS     UINT32_C(3)

/* log levels */
#define ULV_LOG_ERROR   UINT32_C(0)
#define ULV_LOG_WARNING UINT32_C(1)
#define ULV_LOG_INFO    UINT32_C(2)
#define ULV_LOG_DEBUG   UINT32_C(3)

/* One processor of the machine that this program may use. */
struct ulv_host_processor {
    uint32_t number;  /* the host's own number */
    uint32_t node;    /* of memory it is nearest to */
    uint32_t package; /* socket */
    uint32_t core;    /* of the machine; threads of a core share it */
    uint32_t thread;  /* 0 .. within the core */
};

/* One node of memory. */
struct ulv_host_node {
    uint32_t number;
    uint32_t rsvd_;
    uint64_t total_bytes;
    uint64_t free_bytes; /* what could be had now */
};

/* A device of the machine. */
struct ulv_host_device {
    uint64_t address; /* PCI: domain << 16 | bus << 8 | slot << 3 | function;
                         of a disk: its numbers, major << 32 | minor */
    uint64_t bytes;   /* of a disk or file */
    uint32_t kind;    /* ULV_HARDWARE_* of abi/command.h */
    uint32_t device_class; /* PCI */
    uint32_t node;    /* or UINT32_MAX */
    uint32_t model;   /* PCI: vendor << 16 | device */
    uint32_t parent;  /* of a virtual function: the index of what it is of,
                         which comes before; else UINT32_MAX */
    uint32_t rsvd_;
    char name[24];    /* unique among its kind; printable, no spaces */
    char driver[16];  /* the host's; may be empty */
};

/* A range of the machine's own memory, for a host that is given all of it. */
struct ulv_host_frames {
    uint64_t base;  /* physical address, and */
    uint64_t bytes; /* multiples of 2 MiB where usable, of 4096 otherwise */
    uint32_t node;
    uint32_t usable; /* 1: memory_at makes objects of it; 0: the host's own */
};

struct ulv_platform;

struct ulv_host {
    uint32_t size; /* sizeof(struct ulv_host) at the port's compile time */
    uint32_t rsvd_;
    void *self; /* passed to every function below */

    /* ---- Required ------------------------------------------------------ */

    /* Memory for the library's own objects, zeroed; align is a power of two.
     * NULL on exhaustion. Context: any. Never blocks. */
    void *(*alloc)(void *self, size_t bytes, size_t align);
    /* bytes equals what was asked; p may be NULL. Context: any. */
    void (*free)(void *self, void *p, size_t bytes);
    /* Monotonic clock [ns since an arbitrary origin]. Context: any, exit. */
    ulv_nsec (*now)(void *self);

    /* ---- Optional: NULL means the host has no such thing ---------------- */

    /* Fill buf with random bytes. NULL: ids and GUIDs come from a counter. */
    void (*entropy)(void *self, void *buf, size_t bytes);
    /* One line without a newline. NULL: silence. Context: any. */
    void (*log)(void *self, uint32_t level, const char *text);

    /* Memory objects: pages that several parties can map. A new one reads as
     * zeroes and is really there (NO_MEMORY now, never a fault later) unless
     * ULV_MEMORY_LAZY. bytes is a multiple of 4096. name is for humans. */
    ulv_status (*memory_create)(void *self, const char *name, uint64_t bytes,
                                uint32_t flags, ulv_handle *ret);
    /* Map [offset, offset + bytes), both multiples of 4096. at: NULL, or an
     * address inside a range that memory_reserve returned, or what this
     * returned for as many bytes: then it takes the place of what is mapped
     * there, at once (ARG where a host cannot, which changes nothing). */
    ulv_status (*memory_map)(void *self, ulv_handle memory, uint64_t offset,
                             uint64_t bytes, uint32_t protection, void *at,
                             void **ret);
    /* Undo a map without an address, or a whole reservation. */
    void (*memory_unmap)(void *self, void *p, uint64_t bytes);
    /* Undo a map inside a reservation: the range is reserved again, so that
     * nobody else's memory can come to lie there. */
    void (*memory_unmap_at)(void *self, void *p, uint64_t bytes);
    /* Address space that faults until something is mapped into it. */
    ulv_status (*memory_reserve)(void *self, uint64_t bytes, uint64_t align,
                                 void **ret);
    ulv_status (*memory_seal)(void *self, ulv_handle memory, uint32_t seals);
    /* A second handle through which nobody can write: against a holder with
     * all rights of the host only together with ULV_SEAL_WRITE. */
    ulv_status (*memory_read_only)(void *self, ulv_handle memory,
                                   ulv_handle *ret);
    /* Drop the content: it reads as zeroes, and the pages are the host's
     * again, whoever still maps them. */
    ulv_status (*memory_discard)(void *self, ulv_handle memory, uint64_t offset,
                                 uint64_t bytes);
    /* Size of the object [bytes], for whoever was handed it. */
    ulv_status (*memory_bytes)(void *self, ulv_handle memory, uint64_t *ret);

    /* Events: a counter that wakes. signal never blocks. take returns whether
     * it had been signalled, and clears it. */
    ulv_status (*event_create)(void *self, ulv_handle *ret);
    void (*event_signal)(void *self, ulv_handle event);
    bool (*event_take)(void *self, ulv_handle event);

    /* Any handle. duplicate gives one of the same object, to be closed for
     * itself; it may have the same number, and then one set cannot watch
     * both. */
    ulv_status (*handle_duplicate)(void *self, ulv_handle h, ulv_handle *ret);
    void (*handle_close)(void *self, ulv_handle h);

    /* Waiting: a set of watched handles, itself a handle (close it), and
     * itself watchable: on Linux the descriptor that an event loop polls.
     * unwatch before the handle is closed. wait returns ULV_OK when a watched
     * handle is ready (or a signal came: look, then wait again) and TIMEOUT
     * at the deadline; a deadline in the past only looks. Level-triggered.
     * watch: EXISTS if it is watched already, ARG if it cannot be. wait may
     * block; the others may not. */
    ulv_status (*wait_create)(void *self, ulv_handle *ret);
    ulv_status (*watch)(void *self, ulv_handle set, ulv_handle h);
    void (*unwatch)(void *self, ulv_handle set, ulv_handle h);
    ulv_status (*wait)(void *self, ulv_handle set, ulv_nsec deadline);
    /* Which watched handles are ready now: at most capacity of them, and how
     * many were written; those that are left come the next time, if need be
     * before any that was told already. Never blocks. NULL: who is woken looks
     * at everything it watches. */
    uint32_t (*ready)(void *self, ulv_handle set, ulv_handle *ret,
                      uint32_t capacity);

    /* Media: what an I/O partition serves. medium_open refuses with a diag:
     * missing, unreadable, a directory, empty, not a multiple of 512 bytes.
     * The handle can be sent to another role. read returns fewer bytes only
     * at the end of the medium; MEDIUM: those bytes cannot be read. */
    ulv_status (*medium_open)(void *self, const struct ulv_source *source,
                              uint32_t flags, ulv_handle *ret,
                              struct ulv_diag *diag);
    ulv_status (*medium_bytes)(void *self, ulv_handle medium, uint64_t *ret);
    ulv_status (*medium_read)(void *self, ulv_handle medium, uint64_t offset,
                              void *buf, size_t len, size_t *ret_len);
    /* Keep writers away from a medium opened read-only, everybody else from
     * one that is not: BUSY while another program holds it against us. Two
     * readers of one medium never exclude one another; which of two servers
     * of a device serves is decided by a fence. Gone with the last handle. */
    ulv_status (*medium_lock)(void *self, ulv_handle medium);

    /* Fences: of all openings of one fence, one holds it. The keeper creates
     * it and opens it once for each server, hands that out and closes its
     * own copy: the fence is free again when the last copy of the opening
     * that held it is closed, whatever became of the process. try_take: AGAIN
     * while another opening holds it, ULV_OK if this one does already. */
    ulv_status (*fence_create)(void *self, ulv_handle *ret);
    ulv_status (*fence_open)(void *self, ulv_handle fence, ulv_handle *ret);
    ulv_status (*fence_try_take)(void *self, ulv_handle fence);

    /* The machine: fill at most capacity entries, ordered by number; *ret_count
     * is how many there are, also where that is more. */
    ulv_status (*processors)(void *self, struct ulv_host_processor *ret,
                             uint32_t capacity, uint32_t *ret_count,
                             struct ulv_diag *diag);
    ulv_status (*nodes)(void *self, struct ulv_host_node *ret,
                        uint32_t capacity, uint32_t *ret_count,
                        struct ulv_diag *diag);

    /* Roles as processes; <ultravisor/sys/platform.h>. */
    const struct ulv_platform *platform;

    /* ---- A host that is the machine's only program --------------------- */

    /* Physical address of the byte at p, which alloc or memory_map returned;
     * NULL: the host has none (a program of an operating system). */
    uint64_t (*physical)(void *self, const void *p);
    /* All memory of the machine, as nodes fills its array; ranges are disjoint.
     * Where it is there, memory_at is too, and a frame of the database is a
     * frame of the machine; otherwise a pool has numbers of its own. */
    ulv_status (*frames)(void *self, struct ulv_host_frames *ret,
                         uint32_t capacity, uint32_t *ret_count);
    /* The object that is exactly these bytes, zeroed; multiples of 4096.
     * Errors: DENIED (not inside one usable range), EXISTS (part of an object
     * that is still open), NO_MEMORY, ARG. */
    ulv_status (*memory_at)(void *self, uint64_t physical, uint64_t bytes,
                            ulv_handle *ret);
    /* A pointer that belongs to the backend, one a processor: that of the
     * processor which runs this; NULL at first. Context: any. */
    void **(*processor_slot)(void *self);

    /* ---- A host whose wait sets are watched from outside ---------------- */

    /* Alarms: a handle to watch, ready from a time on. A program that waits in
     * an event loop of its own sees in its wait set what wait would have been
     * told as the deadline. NULL: nobody waits but by wait. Both are there or
     * neither. */
    ulv_status (*alarm_create)(void *self, ulv_handle *ret);
    /* Ready from when on and until it is set anew; 0: now, ULV_FOREVER: never,
     * as when it is new. Never blocks. */
    void (*alarm_set)(void *self, ulv_handle alarm, ulv_nsec when);

    /* ---- A host whose clock does not move by itself --------------------- */

    /* Who would have worked for so long [ns] says so, and now is later by
     * that; ULV_FOREVER: it never comes back. NULL: time passes anyway. Never
     * blocks. */
    void (*spend)(void *self, ulv_nsec ns);

    /* ---- A host whose lazy memory can be made sure of ------------------- */

    /* What is mapped here, writable, is really there from now on, as if it had
     * not been made lazy: NO_MEMORY now, never a fault later. Multiples of
     * 4096. NULL: what is lazy stays so. */
    ulv_status (*memory_back)(void *self, void *p, uint64_t bytes);

    /* ---- A host that knows its devices ---------------------------------- */

    /* As processors fills its array, ordered as the host likes; only whoever
     * has them is kept. NULL: none. */
    ulv_status (*devices)(void *self, struct ulv_host_device *ret,
                          uint32_t capacity, uint32_t *ret_count,
                          struct ulv_diag *diag);

    /* ---- A host whose media can be written ------------------------------ */

    /* Both or none of these. write: fewer bytes only when the medium is full;
     * ARG: it was opened read-only. sync: what was written before is on the
     * medium, whoever wrote it. MEDIUM: it is not, or not all of it. */
    ulv_status (*medium_write)(void *self, ulv_handle medium, uint64_t offset,
                               const void *buf, size_t len, size_t *ret_len);
    ulv_status (*medium_sync)(void *self, ulv_handle medium);
};

/* Whether this table goes as far, and has that member. */
#define ULV_HOST_HAS(host, member)                                             \
    ((host)->size >= offsetof(struct ulv_host, member) +                       \
                         sizeof((host)->member) &&                             \
     (host)->member != NULL)

/*
 * A link: ordered messages with handles between two roles, set up by the
 * keeper. In process it is a queue (lib/system/link.c), between processes a
 * socket (lib/port/posix/link.c). Both ends are used by one thread each.
 */
#define ULV_LINK_MESSAGE_MAX 49152 /* [bytes] */
#define ULV_LINK_HANDLES_MAX 64

struct ulv_link;

struct ulv_link_ops {
    /* All or nothing. Handles are duplicated: the sender still owns its own.
     * Errors: FULL (retry later), PEER_GONE, LIMIT (len, count), HOST. */
    ulv_status (*send)(struct ulv_link *link, const void *message, size_t len,
                       const ulv_handle *handles, uint32_t handle_count);
    /* One whole message into buf of ULV_LINK_MESSAGE_MAX bytes; the receiver
     * owns the handles. Errors: AGAIN (none there), PEER_GONE (none there and
     * none will come), PEER_LENGTH, HOST. Never blocks. */
    ulv_status (*receive)(struct ulv_link *link, void *buf, size_t *ret_len,
                          ulv_handle *handles, uint32_t *ret_handle_count);
    /* Frees the end; handles in messages not received are closed. */
    void (*close)(struct ulv_link *link);
};

struct ulv_link {
    const struct ulv_link_ops *ops;
    /* Watch this to be woken when a message is there or the peer is gone. */
    ulv_handle readable;
};

#ifdef __cplusplus
}
#endif

#endif
