/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The keeper: what the boot partition stays as. Sole maker and holder of
 * memory, channel and view descriptors, parent of every process. It does what
 * the ultravisor orders if the frame table allows it, hands descriptors to the
 * role they belong to, and sees who dies. It decides nothing.
 */
#ifndef SYSTEM_KEEPER_H
#define SYSTEM_KEEPER_H

#include <ultravisor/abi/channel.h>
#include <ultravisor/console.h>
#include <ultravisor/event.h>
#include <ultravisor/partition.h>
#include <ultravisor/sys/platform.h>

#include "base/base.h"
#include "monitor/frame_table.h"
#include "system/id_index.h"
#include "system/role.h"
#include "system/rung.h"
#include "system/storage_far.h"
#include "system/wire.h"

/* Messages heard from one role in one step. */
#define KEEPER_TURN 64

/* How far the end of a guest has come; it is told when nothing is left of the
 * run, so that whoever hears of it can start or destroy the guest at once. */
#define ENDING_NO    0u
#define ENDING_ROLE  1u /* its console is emptied, its role is reaped */
#define ENDING_NOTED 2u /* the ultravisor commits the state */

/* An ultravisor that died is started again, if it has a journal: it is to be
 * started, it reads its journal, it orders what that says. */
#define RESTART_NO       0u
#define RESTART_DUE      1u
#define RESTART_READING  2u
#define RESTART_ADOPTING 3u

struct keeper_view {
    ulv_handle writable; /* the ultravisor's; closed once it has mapped it */
    ulv_handle segment;  /* read-only; of the chain before, until then */
    uint64_t bytes;      /* 0: no such part */
};

struct keeper_partition {
    struct keeper_partition *next;
    bool alive;
    bool reaping; /* killed; the process is not yet confirmed dead */
    bool again;   /* it is its turn, whatever it waits for, or */
    ulv_nsec deadline; /* from then on */
    struct keeper *keeper; /* that it is of */
    ulv_id id;
    uint32_t kind;
    char name[ULV_NAME_MAX + 1];
    bool committed; /* the ultravisor has committed its creation */

    /* its role: in process an object, otherwise a process */
    struct post post; /* host NULL: no role */
    struct role *role;
    ulv_handle process;
    int64_t number;
    bool watched; /* the process is */
    bool ran; /* once at least */
    bool behind;  /* it has said more than we have heard */
    struct {
        struct ulv_processor_set set; /* a guest's */
        bool any, promised; /* one that is its own, or quanta of one */
    } processors;
    char degraded[128]; /* what of that could not be set, or "" */
    ulv_nsec used;      /* processor time [ns] that was not yet reported */
    ulv_nsec measured;  /* of its process, so far */
    ulv_handle waits; /* a set of its own, or the keeper's */
    struct bell ready; /* of that set */

    struct keeper_view view[2];
    ulv_handle bell;
    ulv_handle trace; /* of its last run */

    /* guests */
    uint32_t state; /* ULV_STATE_* */
    ulv_id image;   /* number it is started from */
    uint32_t restarts; /* that it may have: its image is kept while it runs */
    uint32_t debug; /* DEBUG_READY or DEBUG_HOLD: what its runs begin with */
    bool debug_made; /* this run did */
    /* SAY_DEBUG that were sent in it, and the last that let it go on */
    uint64_t debug_number, debug_let;
    struct keeper_save *save; /* borrowed: who waits for what it is saved as */
    struct ulv_end end;
    uint32_t ending; /* ENDING_* */
    ulv_id flushing; /* it has ended; this console is not yet empty */
    struct ulv_diag start_diag;
    bool start_due; /* when the ultravisor's successor has made its views */
    uint64_t awaited;        /* view generation that it has to follow */
    uint64_t followed;       /* the last one that it said it follows */
    ulv_nsec follow_until;   /* or it is unresponsive; 0: nothing awaited */
    uint32_t seen;           /* in this start of the ultravisor's journal */
    struct id_entry by_id;
    uint32_t turn; /* its place among the turns */
};

/* When it is whose turn, one after the other in memory: each step looks at all
 * of them. */
struct keeper_turn {
    ulv_nsec at;
    struct keeper_partition *partition; /* NULL: a place that is free */
};

struct keeper_save {
    bool done;
    uint64_t bytes;
    struct ulv_diag diag;
};

struct keeper_extent {
    struct keeper_extent *next;
    ulv_id id, partition;
    uint64_t frame, bytes, guest_address;
    ulv_handle memory;
    bool let_go; /* its holder said so, perhaps before we hear of the drain */
    bool draining, released; /* by its holder, or it is dead */
    bool given_back;         /* its guest did, and it was told */
    bool unknown; /* to the journal: it goes when nobody has it */
    bool lacking; /* it is in the journal only: it has no frames */
    uint32_t seen;
    struct id_entry by_id, by_partition;
};

/* What was typed for a guest, until its console's server has it in the ring and
 * has noted so in the takeover region: keeper_input.c. */
struct keeper_input {
    uint64_t offset; /* in the stream, of the first byte that is kept */
    uint32_t count, sent; /* bytes kept; of them, given to some server */
    bool wanted;  /* the server waits for more */
    bool refused; /* the program waits for room */
    bool heir_wants; /* it does, and nobody has yet said that it serves */
    uint64_t heir_offset;
    uint8_t *bytes; /* ULV_CONSOLE_INPUT_KEPT; NULL: nothing was ever typed */
};

/* Who has an end of it: its server, its client, and while it drains the one
 * that stands by for the server. */
struct channel_end {
    struct id_entry by_partition;
    struct keeper_channel *channel;
};

struct keeper_channel {
    struct keeper_channel *next;
    ulv_id id, device;
    ulv_id server, client;
    bool draining, released;
    uint64_t frame, bytes, ring_bytes, bulk_bytes;
    uint8_t type[16], instance[16];
    ulv_handle memory;
    ulv_handle bell[2]; /* of each end */
    ulv_handle fresh;   /* memory that is to take the place of this one */
    bool dirty;         /* a guest that had it has ended */
    uint32_t epoch;     /* as the ultravisor counts it */
    uint64_t console_offset; /* of a console: next byte to accept */
    struct keeper_input input; /* of a console */
    bool open; /* by ulv_channel_open */
    bool held; /* its server does not serve it: SAY_HOLD */
    ulv_id let_go[3]; /* server, client: said so before that */
    ulv_id holder[3]; /* while it drains: who has not let go; 0 = nobody */
    ulv_nsec release_until;
    bool unknown, lacking;
    uint32_t seen;
    struct id_entry by_id;
    struct channel_end end[3];
};

struct keeper_device {
    struct keeper_device *next;
    ulv_id id;
    ulv_id serving, standby;
    uint64_t bytes;
    uint32_t kind, flags;
    ulv_handle medium[2]; /* a description for each of the pair, or none */
    ulv_handle lock[2];
    ulv_handle takeover;
    ulv_handle fresh; /* a region that is to take the place of this one */
    struct id_entry by_id;
};

/* Something the caller named by ulv_source, under its number. */
struct keeper_source {
    struct keeper_source *next;
    ulv_id id;
    ulv_handle medium[2]; /* an image's second: the initrd, or none */
    uint64_t bytes;
    bool restore; /* a saved guest's monitor, not an image */
    uint64_t initrd_bytes;
    char *cmdline; /* or NULL */
    uint32_t cmdline_bytes; /* with its zero */
};

/* The order that is being prepared or awaits its commit; at most one. */
struct keeper_order {
    uint64_t ticket;
    struct ulv_effect *effects;
    uint32_t count, received, prepared;
    uint64_t revision; /* that it leads to */
    bool adopts; /* of an ultravisor that was started again: what is there */
    bool open, done;
    bool committing; /* decided: whoever dies meanwhile, nothing is undone */
};

struct keeper {
    const struct ulv_host *host;
    ulv_handle waits;
    struct rung rung; /* what of that is ready */
    uint64_t ends; /* of partitions and of the caller's channels, ever */
    const struct ulv_platform *platform; /* NULL: all roles in process */
    bool processes;
    const char *role_program, *launcher, *backend;
    void *spare; /* NULL, or the backend's, for roles in this process */
    bool can_remap;        /* the backend: beside a guest that runs */
    /* for role.hear_state of monitors in process; NULL until one is saved */
    ulv_status (*hear_state)(struct role *role, struct heard *heard);
    /* the same: role.debug; what a guest that starts is handed for it; and what
     * its monitor says of a halt */
    const struct role_debug *debug;
    void (*hand_debug)(struct keeper_partition *p);
    void (*stopped)(void *self, ulv_id partition, const struct heard *heard);
    /* the same: what command decides, and operations says of a policy */
    void (*policy_says)(void *self, ulv_id partition,
                        const struct heard *heard);
    /* the same: what the ultravisor says of a machine that has changed */
    void (*scanned)(void *self, const struct heard *heard);
    uint32_t threads_from; /* as in struct ulv_system_opts, 0 resolved */
    uint32_t memory_flags; /* ULV_MEMORY_* of what guests are given */
    ulv_nsec settle_limit; /* how long a role may take to follow */
    uint64_t settled;      /* revision up to which everybody has followed */
    const void *policy;
    size_t policy_bytes;
    /* NULL, or: a guest ended by a fault */
    void (*fault)(void *self, ulv_id partition, const struct ulv_end *end);
    void (*tell)(void *self, uint32_t event, ulv_id partition, uint64_t value,
                 const void *data, size_t bytes);
    /* A channel that is open here goes: nothing of it may stay mapped. */
    void (*channel_gone)(void *self, ulv_id channel);
    void *self;

    struct ulv_processor_set dedicated; /* to some guest each */
    bool dedicated_ever;

    struct ulv_frame_table frames;
    struct keeper_partition *partitions; /* in order of creation */
    struct keeper_extent *extents;
    struct keeper_channel *channels;
    struct keeper_device *devices;
    struct keeper_source *sources;
    struct keeper_order order;

    struct keeper_partition *ultravisor; /* NULL once it is dead for good */
    const struct ulv_storage *storage; /* of its journal, or NULL */
    struct far_server far; /* how it reaches that, as a process */
    uint32_t restart;      /* RESTART_* */
    uint32_t starts;       /* how often it was started; the views' epoch */
    uint32_t tries;        /* that came to nothing, one after the other */
    ulv_nsec restart_at;   /* RESTART_DUE: not before */
    ulv_nsec adopted_at;   /* when the last one had adopted, and at what */
    uint64_t adopted_revision;
    uint32_t lacks;        /* objects that only the journal has, this time */
    uint64_t revision;     /* that was told of last */
    bool sweeps; /* something is here that the journal does not know */
    ulv_id boot; /* id of our own partition */
    ulv_id lease_first; /* 0 until the ultravisor is ready */
    bool booted;
    struct ulv_diag boot_diag; /* status: of the boot transaction */
    /* what is above by its number, and by that of who has it; empty if
     * ULV_KEEPER_INDEXES is false */
    struct {
        struct id_index partitions, extents, channels, devices;
        struct id_index extents_of, ends_of;
    } by_id;
    struct keeper_turn *turns; /* the same */
    uint32_t turn_count, turn_room;
};

/* Zeroed: much of it is never touched. */
ulv_status ulv_keeper_init(struct keeper *k, const struct ulv_host *host,
                           ulv_handle waits);
/* Kills and reaps every role, closes everything. */
void ulv_keeper_fini(struct keeper *k);

/* One turn: messages, deaths, roles in process. */
void ulv_keeper_step(struct keeper *k, struct role_need *need);

/* ---- partitions and roles (keeper_role.c) -------------------------------- */
struct keeper_partition *ulv_keeper_partition(const struct keeper *k,
                                              ulv_id id);
struct keeper_partition *ulv_keeper_partition_add(struct keeper *k, ulv_id id,
                                                  uint32_t kind,
                                                  const char *name);
void ulv_keeper_partition_remove(struct keeper *k, struct keeper_partition *p);
/* The next one whose turn it can be, after one, or NULL: the first. *deadline
 * becomes when it is that of those passed over, if that is sooner. */
struct keeper_partition *
ulv_keeper_next_turn(const struct keeper *k,
                     const struct keeper_partition *after, ulv_nsec now,
                     ulv_nsec *deadline);
/* What that depends on has changed. Only if ULV_KEEPER_INDEXES. */
void ulv_keeper_set_turn(struct keeper_partition *p);
ulv_status ulv_keeper_role_start(struct keeper *k, struct keeper_partition *p,
                                 struct ulv_diag *diag);
/* At once; what follows from the death is done when it is confirmed. Nothing
 * it said is heard any more. */
void ulv_keeper_role_kill(struct keeper *k, struct keeper_partition *p);
/* At once, too, but what it had said until then is heard. (keeper.c) */
void ulv_keeper_role_drop(struct keeper *k, struct keeper_partition *p);
/* Hear all that it has said. (keeper.c) */
void ulv_keeper_listen(struct keeper *k, struct keeper_partition *p);
/* Whether its process was found dead. */
bool ulv_keeper_role_reap(struct keeper *k, struct keeper_partition *p);

/* ---- the ultravisor, again (keeper_restart.c) ---------------------------- */
/* What one with a process of its own is handed to reach its storage with:
 * FAR_STORAGE_HANDLES, borrowed, or none. */
ulv_status ulv_keeper_reach_storage(struct keeper *k, ulv_handle *handles,
                                    uint32_t *ret_count);
/* What it asks of it, if it rang. */
void ulv_keeper_serve_storage(struct keeper *k);
/* It is dead: returns whether it is to be started again. */
bool ulv_keeper_ultravisor_died(struct keeper *k);
/* Do so, if it is due, and time. */
void ulv_keeper_restart(struct keeper *k, ulv_nsec now);
/* It has read its journal, up to a revision. */
void ulv_keeper_restart_ready(struct keeper *k, uint64_t revision);
/* It could not adopt what is there. */
void ulv_keeper_restart_failed(struct keeper *k, const struct ulv_diag *diag);
/* In place of ulv_keeper_order_prepare and _commit, for k->order.adopts. */
ulv_status ulv_keeper_adopt_prepare(struct keeper *k,
                                    const struct ulv_effect *effect,
                                    struct ulv_diag *diag);
void ulv_keeper_adopt_commit(struct keeper *k, uint64_t revision);
/* What the journal does not know goes when its holders are dead. */
void ulv_keeper_sweep(struct keeper *k);

static inline uint32_t
ulv_keeper_restarts(const struct keeper *k)
{
    return ULV_RESTARTS ? k->restart : RESTART_NO;
}

/* Somebody commits what it is told, now or when it was started again. */
static inline bool
ulv_keeper_is_served(const struct keeper *k)
{
    return k->ultravisor != NULL &&
           (k->ultravisor->alive || ulv_keeper_restarts(k) != RESTART_NO);
}

/* ---- what is handed to whom (keeper_hand.c) ------------------------------ */
void ulv_keeper_hand_view(struct keeper *k, struct keeper_partition *p);
/* Of a new chain: its doorbell is as it was. */
void ulv_keeper_hand_next_view(struct keeper *k, struct keeper_partition *p);
void ulv_keeper_hand_channel(struct keeper *k, struct keeper_channel *c);
/* Both ends of it; NULL: it is gone. */
void ulv_keeper_ring(const struct keeper *k, const struct keeper_channel *c);
/* To its guest, if that runs. */
void ulv_keeper_hand_extent(struct keeper *k, struct keeper_extent *e);
void ulv_keeper_hand_device(struct keeper *k, struct keeper_device *d);
/* To its servers, anew: what they had of it they forget. */
void ulv_keeper_hand_renewed(struct keeper *k, struct keeper_channel *c);
/* An end of our own: the boot partition's. */
ulv_status ulv_keeper_open_end(struct keeper *k,
                               const struct keeper_channel *c, uint32_t end,
                               struct wire *wire);
/* Everything a guest's monitor needs, then SAY_START. */
void ulv_keeper_hand_guest(struct keeper *k, struct keeper_partition *p);

/* ---- what is typed (keeper_input.c) -------------------------------------- */
/* Keep as much as there is room for. Errors: AGAIN: for nothing, NO_MEMORY. */
ulv_status ulv_keeper_input_type(struct keeper *k, struct keeper_channel *c,
                                 const uint8_t *bytes, size_t len,
                                 size_t *ret_taken);
/* A server has all before offset in the ring, and waits for more. */
void ulv_keeper_input_wanted(struct keeper *k,
                             const struct keeper_partition *from,
                             const struct say_console *say);
/* It has another server. */
void ulv_keeper_input_rehomed(struct keeper *k, struct keeper_channel *c);
/* The stream goes on at offset, and nothing is kept of what was typed. */
void ulv_keeper_input_reset(struct keeper *k, struct keeper_channel *c,
                            uint64_t offset);
void ulv_keeper_input_drop(const struct keeper *k, struct keeper_channel *c);
/* The console of a guest, or NULL; and who serves it. (keeper.c) */
struct keeper_channel *ulv_keeper_console(const struct keeper *k, ulv_id guest);
/* Whether an I/O partition serves it, or will. (keeper.c) */
bool ulv_keeper_console_is_served(const struct keeper *k,
                                  const struct keeper_channel *c);

/* ---- orders (keeper_order.c) --------------------------------------------- */
void ulv_keeper_order_receive(struct keeper *k, const struct heard *heard);
void ulv_keeper_order_abort(struct keeper *k);
/* Nothing of its last run is left, or it is to go on from there. */
bool ulv_keeper_may_start(const struct keeper_partition *p, ulv_id image);
/* Whether a guest is at one of its ends, or another program. */
bool ulv_keeper_may_be_removed(const struct keeper *k,
                               const struct keeper_channel *c);
/* Who has an end is told. */
void ulv_keeper_channel_destroy(struct keeper *k, ulv_id id);
/* Its image and intent are committed. */
void ulv_keeper_start_guest(struct keeper *k, struct keeper_partition *p);
/* One effect; what takes away, moves or starts is only looked at. */
ulv_status ulv_keeper_order_prepare(struct keeper *k,
                                    const struct ulv_effect *effect,
                                    struct ulv_diag *diag);
/* The effects that only keeper_change.c knows. */
ulv_status ulv_keeper_change_prepare(struct keeper *k,
                                     const struct ulv_effect *effect,
                                     struct ulv_diag *diag);
void ulv_keeper_change_commit(struct keeper *k,
                              const struct ulv_effect *effect);
/* Forget it; what was prepared stays. */
void ulv_keeper_order_close(struct keeper *k);
/* Memory of a channel and of a device's takeover region, formatted; on failure
 * what was made is *ret. */
ulv_status ulv_keeper_make_channel(struct keeper *k,
                                   const struct keeper_channel *c,
                                   ulv_handle *ret);
ulv_status ulv_keeper_make_takeover(struct keeper *k, ulv_id device,
                                    ulv_handle *ret);
/* The segments of its view, and its doorbell, to the ultravisor. */
ulv_status ulv_keeper_make_views(struct keeper *k, struct keeper_partition *p);

/* ---- a guest that runs again (keeper_again.c) ---------------------------- */
/* Make what takes the place of its channels, as the last run has left them. */
ulv_status ulv_keeper_again_prepare(struct keeper *k,
                                    const struct keeper_partition *p,
                                    struct ulv_diag *diag);
/* Its memory is zero, its channels are new. */
void ulv_keeper_again_commit(struct keeper *k,
                             const struct keeper_partition *p);
/* Its run is over. */
void ulv_keeper_again_dirty(struct keeper *k, const struct keeper_partition *p);
/* keeper_renew.c, or keeper_once.c: one channel. Errors: STATE: a guest at its
 * other end runs, or it cannot be, NO_MEMORY. */
ulv_status ulv_keeper_renew_prepare(struct keeper *k,
                                    const struct keeper_partition *p,
                                    struct keeper_channel *c,
                                    struct ulv_diag *diag);
/* All that the partition has an end of. */
void ulv_keeper_renew_undo(struct keeper *k, ulv_id partition);
void ulv_keeper_renew_commit(struct keeper *k,
                             const struct keeper_partition *p);

/* keeper_commit.c */
void ulv_keeper_order_commit(struct keeper *k, uint64_t ticket);
void ulv_keeper_seal_views(struct keeper *k, struct keeper_partition *p);

/* ---- found by their numbers (keeper_find.c) ------------------------------ */
struct keeper_channel *ulv_keeper_channel(const struct keeper *k, ulv_id id);
struct keeper_device *ulv_keeper_device(const struct keeper *k, ulv_id id);
struct keeper_extent *ulv_keeper_extent(const struct keeper *k, ulv_id id);
/* What a partition has, one after the other: after NULL: the first one, NULL:
 * nothing more. */
struct keeper_extent *ulv_keeper_extent_of(const struct keeper *k,
                                           ulv_id partition,
                                           const struct keeper_extent *after);
/* What it has an end of. */
struct keeper_channel *
ulv_keeper_channel_of(const struct keeper *k, ulv_id partition,
                      const struct keeper_channel *after);
/* So that they are found, also under another number than before; only if
 * ULV_KEEPER_INDEXES. */
void ulv_keeper_enter_partition(struct keeper *k, struct keeper_partition *p);
/* It gets its turns. Errors: NO_MEMORY. */
ulv_status ulv_keeper_enter_turn(struct keeper *k, struct keeper_partition *p);
void ulv_keeper_leave_partition(struct keeper *k, struct keeper_partition *p);
void ulv_keeper_enter_extent(struct keeper *k, struct keeper_extent *e);
void ulv_keeper_leave_extent(struct keeper *k, struct keeper_extent *e);
void ulv_keeper_enter_channel(struct keeper *k, struct keeper_channel *c);
void ulv_keeper_leave_channel(struct keeper *k, struct keeper_channel *c);
void ulv_keeper_enter_device(struct keeper *k, struct keeper_device *d);
void ulv_keeper_leave_device(struct keeper *k, struct keeper_device *d);
/* Another partition has end idx of it from now on. */
void ulv_keeper_enter_end(struct keeper *k, struct keeper_channel *c,
                          uint32_t idx, ulv_id partition);

/* ---- what is held for others (keeper_object.c) --------------------------- */
void ulv_keeper_close(const struct keeper *k, ulv_handle *h);
/* With its numbers set; it is the keeper's from then on. */
void ulv_keeper_extent_add(struct keeper *k, struct keeper_extent *e);
void ulv_keeper_channel_add(struct keeper *k, struct keeper_channel *c);
void ulv_keeper_device_add(struct keeper *k, struct keeper_device *d);
void ulv_keeper_channel_remove(struct keeper *k, struct keeper_channel *c);
void ulv_keeper_device_remove(struct keeper *k, struct keeper_device *d);
void ulv_keeper_extent_remove(struct keeper *k, struct keeper_extent *e);

/* ---- taking away beside a guest that runs (keeper_drain.c) --------------- */
/* Errors: UNSUPPORTED: the backend cannot, and p runs. */
ulv_status ulv_keeper_may_remap(const struct keeper *k,
                                const struct keeper_partition *p,
                                struct ulv_diag *diag);
ulv_status ulv_keeper_drain_prepare(struct keeper *k, ulv_id object,
                                    struct ulv_diag *diag);
void ulv_keeper_drain_commit(struct keeper *k, ulv_id object);
/* A role says that it has let go of it. */
void ulv_keeper_released(struct keeper *k, ulv_id from, ulv_id object);
/* It is dead: it has nothing any more. */
void ulv_keeper_released_all(struct keeper *k, ulv_id dead);
void ulv_keeper_await(struct keeper *k, const struct heard *committed);
void ulv_keeper_acknowledged(struct keeper *k, struct keeper_partition *p,
                             uint64_t generation);
/* Who has not followed in time is killed. */
void ulv_keeper_check_followers(struct keeper *k, struct role_need *need);

/* Open source under id; taken by the order that names id, dropped by
 * ulv_keeper_source_drop(). copies: 2 descriptions of a disk, 1 of an image.
 * flags: ULV_MEDIUM_*; one that is written is nobody else's: BUSY. */
ulv_status ulv_keeper_source_add(struct keeper *k, ulv_id id,
                                 const struct ulv_source *source,
                                 uint32_t copies, uint32_t flags,
                                 uint64_t *ret_bytes, struct ulv_diag *diag);
/* What goes with an image: an initrd, or kind NONE; a command line, or NULL. */
ulv_status ulv_keeper_source_boot(struct keeper *k, ulv_id id,
                                  const struct ulv_source *initrd,
                                  const char *cmdline, struct ulv_diag *diag);
void ulv_keeper_source_drop(struct keeper *k, ulv_id id);
struct keeper_source *ulv_keeper_source(const struct keeper *k, ulv_id id);

/* ---- processors (keeper_schedule.c) -------------------------------------- */
/* Put its role where it belongs, or say why it is not there. */
void ulv_keeper_bind(struct keeper *k, struct keeper_partition *p);
/* All but guests, which keep away from what is dedicated. */
void ulv_keeper_bind_roles(struct keeper *k);
void
ulv_keeper_processor_gone(struct keeper *k,
                          const struct ulv_effect_processor *e);
void ulv_keeper_processor(struct keeper *k,
                          const struct ulv_effect_processor *e);
/* The guest that had these goes. */
void ulv_keeper_give_back(struct keeper *k,
                          const struct ulv_processor_set *set);
/* Take what its process has used until now. */
void ulv_keeper_measure(struct keeper *k, struct keeper_partition *p);
/* Tell the ultravisor what it has used until now. */
void ulv_keeper_account(struct keeper *k, struct keeper_partition *p);

/* ---- what they say (keeper.c) -------------------------------------------- */
/* A line of text as an event. */
void ulv_keeper_tell(struct keeper *k, uint32_t event, ulv_id partition,
                     uint64_t value, const char *format, ...);
/* A revision was committed: an event. */
void ulv_keeper_tell_committed(struct keeper *k, uint64_t revision);
/* Tell the ultravisor, if it lives: a fact. One that is being started again is
 * told all facts when it is ready for them. */
void ulv_keeper_inform(struct keeper *k, const struct say *say);
/* The same at any time. */
void ulv_keeper_say(struct keeper *k, const struct say *say);
/* Tell it what it may not have committed. */
void ulv_keeper_inform_of_states(struct keeper *k);
/* A guest's run is over: told when its last words were heard, its role is no
 * more and the ultravisor knows. */
void ulv_keeper_guest_ended(struct keeper *k, struct keeper_partition *p,
                            const struct ulv_end *end);
/* Its monitor could not start it; diag says why. */
void ulv_keeper_not_started(struct keeper *k, struct keeper_partition *p,
                            const struct ulv_diag *diag);
/* Somebody died whom the end of a guest may wait for, or a console has another
 * server: ask again, or give up waiting. */
void ulv_keeper_end_again(struct keeper *k);
/* Its role is dead. */
void ulv_keeper_go_on_ending(struct keeper *k, struct keeper_partition *p);

#endif
