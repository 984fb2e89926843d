/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the keeper and the roles say to one another over their links. Each role
 * has one link, and it leads to the keeper; the keeper believes a message only
 * from a role that may send it (the table in keeper.c).
 *
 * Not an ABI: both ends are of one build, and the first message says so.
 */
#ifndef SYSTEM_MESSAGE_H
#define SYSTEM_MESSAGE_H

#include <ultravisor/abi/command.h>
#include <ultravisor/partition.h>
#include <ultravisor/sys/backend.h>
#include <ultravisor/sys/host.h>

#include "database/database.h"

#define SAY_BUILD UINT32_C(0x756c0001)

/* ---- keeper to role ------------------------------------------------------ */
#define SAY_CONFIGURE      1u /* first: who you are; tail: policy, or path;
                                  handles: of a far storage, if any */
#define SAY_VIEW           2u /* handle: segment */
#define SAY_BELL           3u /* handle: view doorbell of a partition */
#define SAY_EXTENT         4u /* handle: memory */
#define SAY_CHANNEL        5u /* handles: memory, own bell, peer's bell */
#define SAY_CHANNEL_CLOSE  6u
#define SAY_DEVICE         7u /* handles: takeover region, lock [, medium] */
#define SAY_START          8u /* handles: image [, initrd]; tail: its words */
#define SAY_STOP           9u
#define SAY_BOOT           10u /* to the ultravisor; tail: operations, in
                                  parts */
#define SAY_ORDER_DONE     11u
#define SAY_STATE          12u /* to the ultravisor: a partition's state */
#define SAY_DIED           13u /* to ultravisor, command: a role is dead;
                                  state: the partition's kind */
#define SAY_ACKNOWLEDGED   14u /* to the ultravisor */
#define SAY_PARTITION_GONE 15u /* to the ultravisor: drop its view */
#define SAY_FLUSH          16u /* to I/O: say when this console is empty */
#define SAY_DRAINED        17u /* to the ultravisor: nobody has it any more */
#define SAY_TRACE          19u /* to a monitor; handle: memory */
#define SAY_RENEW          20u /* to I/O: its channel comes anew; handle: its
                                  takeover region, anew */
#define SAY_USED           21u /* to the ultravisor, and by monitors to the
                                  keeper: processor time */
#define SAY_SAVE           22u /* to a monitor; part: SAVE_*; handle: memory
                                  to write to */
#define SAY_RESTORE        23u /* in place of START; handle: what it wrote */
#define SAY_HOLD           24u /* to I/O: serve this channel no more, say so */
#define SAY_LET            25u /* to I/O: take it up where its rings stand */
#define SAY_DEBUG          26u /* to a monitor; tail: say_registers */
#define SAY_LEFT           27u /* to the ultravisor: nobody has this end of a
                                  channel any more that the caller handed out */
#define SAY_POLICY         28u /* to operations; tail: ulv_policy_offer */
#define SAY_ADOPT          29u /* to an ultravisor that was started again:
                                  order what your database has */
#define SAY_RETURNED       18u /* to the ultravisor: a guest gave memory back */
#define SAY_INPUT          30u /* to I/O: of a console; tail: bytes */
#define SAY_MACHINE        31u /* to the ultravisor: what there is now; tail:
                                  operations, in parts */

/* ---- role to keeper ------------------------------------------------------ */
#define SAY_READY       32u
#define SAY_ORDER       33u /* tail: effects */
#define SAY_COMMITTED   34u /* an order took effect; tail: say_generation of
                               each guest that runs and has to follow */
#define SAY_ABORTED     35u
#define SAY_BOOTED      36u
#define SAY_ACKNOWLEDGE 37u /* a view generation was followed */
#define SAY_RUNNING     38u
#define SAY_ENDED       39u
#define SAY_NOT_STARTED 40u
#define SAY_CONSOLE     41u /* tail: bytes */
#define SAY_EVENT       42u
#define SAY_FLUSHED     43u /* what was in the console's ring was said */
#define SAY_NOTED       44u /* the ultravisor: a STATE was committed, or could
                               not be */
#define SAY_RELEASED    45u /* it has let go of an extent or a channel */
#define SAY_GIVEN_BACK  46u /* its guest gave memory back */
#define SAY_SETTLED     47u /* the ultravisor: it was not with a COMMITTED */

#define SAY_SAVED       48u /* a monitor: it wrote ticket bytes, or could not */
#define SAY_HELD        49u /* an I/O partition: it does not serve it */

#define SAY_RING        51u /* the ultravisor: an end of this channel died, its
                               header says so: ring both */
#define SAY_STOPPED     50u /* a monitor: a debugger's guest stands; tail:
                               registers of the processors that are known */

#define SAY_DECISION    52u /* command; tail: struct ulv_policy_decision */
#define SAY_REVIEWED    53u /* operations; tail: struct ulv_policy_reviewed and
                               its findings */

#define SAY_WANTED      54u /* I/O: a console's input from offset on; what is
                               before is in its ring */

#define SAY_SCANNED     55u /* the ultravisor: what MACHINE has led to; tail:
                               struct ulv_machine_change of each */

#define SAY_TAIL_MAX 40960u

/* Effects of one order; of one that says all that there is. */
#define ORDER_EFFECTS_MAX UINT32_C(65536)
#define ADOPTED_MAX       UINT32_C(4194304)

#define MACHINE_PROCESSORS_MAX 256u

/* BOOT and MACHINE: roles, processors, nodes, devices, channels. */
#define MACHINE_MAX (512u + ULV_DB_HARDWARE_MAX)

/* SAY_CHANNEL to the ultravisor, when it is to be no end of it: format it, or
 * look at its header only. */
#define CHANNEL_NEW    1u
#define CHANNEL_HEADER 2u

/* SAY_DEBUG. Before SAY_START: the guest can be debugged, and is held before
 * its first instruction; later: halt it, let it go on as said, let it be. */
#define DEBUG_READY 1u
#define DEBUG_HOLD  2u
#define DEBUG_HALT  3u
#define DEBUG_GO    4u
#define DEBUG_LET   5u

/* SAY_SAVE: write what the monitor knows; keep account of the pages that are
 * written, or no more; write which were, a bit each, in ascending order. */
#define SAVE_STATE   0u
#define SAVE_TRACK   1u
#define SAVE_UNTRACK 2u
#define SAVE_WRITTEN 3u

struct say_configure {
    uint32_t build;
    uint32_t kind;
    ulv_id partition;
    uint32_t processes; /* 1: this role has a process of its own */
    uint32_t threads_from; /* monitors; <ultravisor/system.h> */
    uint32_t again; /* the ultravisor: what it ordered before is there */
    uint32_t rsvd_;
    char name[ULV_NAME_MAX + 1];
    char backend[16];
};
struct say_view {
    ulv_id partition;
    uint64_t bytes;
    uint32_t part;
    uint32_t rsvd_;
    /* to the ultravisor: of the chain, and what the one before came to */
    uint64_t epoch, generation;
};
struct say_start { /* and RESTORE */
    uint64_t bytes; /* of the image */
    uint64_t initrd_bytes;
};
struct say_extent {
    ulv_id extent;
    uint64_t bytes;
    uint64_t guest_address;
};
struct say_channel {
    ulv_id channel, device;
    uint64_t bytes, ring_bytes, bulk_bytes;
    uint8_t type[16], instance[16];
    uint32_t end;
    uint32_t format; /* to the ultravisor: CHANNEL_NEW, CHANNEL_HEADER */
    uint32_t epoch;  /* to roles: as it is handed over */
    uint32_t rsvd_;
};
struct say_device {
    ulv_id device;
    uint64_t bytes;
    uint32_t kind, flags;
};
struct say_machine { /* and BOOT */
    uint64_t number; /* of MACHINE, for the answer */
    uint32_t count;  /* of operations in all parts */
    uint32_t first;  /* index of the first one in this message */
    uint32_t all; /* a bit 1 << ULV_QUERY_*: there are no others of it */
    uint32_t dry_run;     /* of MACHINE */
};
struct say_scanned {
    uint64_t number, revision;
    uint32_t count; /* of changes; the first of them are told */
    uint32_t told;
    struct ulv_diag diag;
};
struct say_order {
    uint64_t ticket;
    uint32_t effect_count;
    uint32_t first; /* index of the first effect in this message */
    uint32_t more;  /* 1: the order goes on in the next message */
    uint32_t rsvd_;
    uint64_t revision; /* that it leads to; SETTLED: every one up to it */
    uint64_t settled;  /* COMMITTED: the same; 0: as before */
};
struct say_order_done {
    uint64_t ticket;
    struct ulv_diag diag;
};
struct say_state {
    ulv_id partition;
    uint32_t state, reason;
    uint64_t code;
    ulv_id image; /* it was started from, if that can be had again; or 0 */
};
struct say_generation {
    ulv_id partition;
    uint64_t generation;
};
struct say_returned {
    ulv_id partition; /* filled in by the keeper */
    uint64_t guest_address;
    uint64_t bytes;
};
struct say_used {
    ulv_id partition; /* filled in by the keeper */
    ulv_nsec time;    /* beyond what was told before */
};
struct say_ready {
    ulv_id lease_first; /* the ultravisor: ids for the boot transaction */
    uint64_t revision;  /* of its database */
};
struct say_adopt {
    uint64_t settled; /* every revision up to this one */
};
struct say_console { /* and INPUT, WANTED */
    ulv_id channel;
    uint64_t offset;
};
struct say_event {
    uint32_t kind; /* ULV_EVENT_* */
    uint32_t rsvd_;
    ulv_id partition;
    uint64_t value;
    char text[192];
};

struct say_debug {
    uint32_t action; /* DEBUG_* */
    uint32_t rsvd_;
    uint64_t number; /* of these messages in a run; SAY_STOPPED says the last */
    uint64_t run, step; /* processors, a bit each */
    struct ulv_debug debug;
};
struct say_registers {
    uint32_t processor, rsvd_;
    struct ulv_registers registers;
};
struct say_stopped {
    uint32_t processor, cause; /* ULV_DEBUG_*; 0: asked to */
    uint64_t number;
    uint64_t address;
    uint64_t there, known; /* processors, a bit each */
};

struct say {
    uint32_t kind;
    uint32_t tail_bytes; /* after this struct */
    union {
        struct say_configure configure;
        struct say_view view;
        struct say_start start;
        struct say_extent extent;
        struct say_channel channel;
        struct say_device device;
        struct say_machine machine;
        struct say_scanned scanned;
        struct say_order order;
        struct say_order_done order_done; /* BOOTED, NOT_STARTED, SAVED */
        struct say_state state;
        struct say_generation generation;
        struct say_returned returned;
        struct say_used used;
        ulv_id object; /* RELEASED, DRAINED, HOLD, LET, HELD, RING */
        struct say_ready ready;
        struct say_adopt adopt;
        struct say_console console;
        struct say_event event;
        struct say_debug debug;
        struct say_stopped stopped;
        struct ulv_end end;
    } u;
};

/* A received message; tail points behind it. */
struct heard {
    struct say say;
    const uint8_t *tail;
    ulv_handle handle[ULV_LINK_HANDLES_MAX];
    uint32_t handle_count;
};

#endif
