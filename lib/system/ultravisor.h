/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of the ultravisor role share. */
#ifndef SYSTEM_ULTRAVISOR_H
#define SYSTEM_ULTRAVISOR_H

#include "database/database.h"
#include "system/id_index.h"
#include "system/sessions.h"
#include "system/settle.h"
#include "system/views.h"

/* What differs between the machine and the database, and is to be done. */
struct difference {
    const struct ulv_host *host;
    struct ulv_operation *operation;
    struct ulv_machine_change *change; /* that each makes */
    uint32_t count, capacity;
    ulv_id next; /* the first id that it has not used */
};

/* The keeper's question that an errand is for. */
struct scan {
    uint64_t number;
    uint32_t all;
    bool dry_run;
    struct difference difference;
};

/* A transaction of our own. */
struct errand {
    struct errand *next;
    bool boot;
    ulv_id dead;  /* this role is: operations say so, and what it served moves
                     with it */
    bool moving;  /* that is part of the transaction under way */
    bool told;    /* a state that the keeper waits to see noted */
    bool stays;   /* it cannot move: the state alone */
    bool again;   /* the state, and a start that may be refused */
    bool adopts;  /* what there is already: changes nothing */
    bool quiet;   /* that it cannot be done is no fault */
    ulv_id settles; /* the object that has drained by it */
    struct scan *scan; /* NULL, or: operations are what the machine has */
    uint32_t count;
    struct ulv_operation operations[];
};

/* Who has it, as the database says. */
struct header_end {
    struct id_entry by_partition;
    struct header *header;
};

struct header {
    struct header *next;
    ulv_id channel;
    struct header_end end[2];
    struct ulv_channel_header *p;
};

struct ultravisor_role {
    struct role role;
    struct ulv_database *db;
    struct views views;
    struct settle settle;
    struct header *headers;
    struct id_index ends; /* of them; empty without ULV_KEEPER_INDEXES */
    struct errand *errands, **errands_end;
    bool booted;
    /* NULL, or: a database was found again; it is not made by what the keeper
     * found, but compared with it. */
    ulv_status (*boot_again)(struct ultravisor_role *r,
                             const struct errand *found, uint32_t all);
    /* NULL, or: the keeper lives, and has what the database has. */
    void (*adopt)(struct ultravisor_role *r);
    uint64_t settled; /* before that */

    struct sessions sessions; /* the command channels */
    struct ulv_changes *changes; /* that they watch, or NULL */
    uint32_t leases; /* that the clients got */
    struct errand *gathering; /* what the keeper says in parts, or NULL */
    uint32_t gathered;        /* operations of that */
    ulv_id ids, ids_end; /* for what is found in the machine */

    /* the transaction under way */
    struct ulv_plan *plan;
    struct errand *errand; /* NULL: of asking */
    struct ulv_command_session *asking; /* NULL: it is gone */
    uint64_t ticket;
};

/* Begin a transaction: r->errand's, or r->asking's where that is NULL. */
void ulv_ultravisor_begin(struct ultravisor_role *r,
                          const struct ulv_request *request);

/* For who adopts. */
void ulv_ultravisor_finish(struct ultravisor_role *r,
                           const struct ulv_diag *diag, uint32_t operation_idx,
                           uint64_t revision);
void ulv_ultravisor_tell_keeper(struct ultravisor_role *r, uint32_t kind);
void ulv_ultravisor_tell_committed(struct ultravisor_role *r,
                                   uint64_t revision,
                                   const struct say_generation *follow,
                                   uint32_t count);
void ulv_ultravisor_tell_settled(struct ultravisor_role *r);
/* The last of r->plan, with the effects of having made all that there is: show
 * everybody's view. (ultravisor_adopt.c) */
void ulv_ultravisor_adopt(struct ultravisor_role *r);

/* ---- errands (ultravisor_errand.c) --------------------------------------- */
/* Begin the first that waits. */
void ulv_ultravisor_run_errand(struct ultravisor_role *r);
/* The one under way is done: told, repeated in part, or forgotten. */
void ulv_ultravisor_end_errand(struct ultravisor_role *r,
                               struct errand *errand,
                               const struct ulv_diag *diag);
void ulv_ultravisor_drop_errands(struct ultravisor_role *r);
/* What the keeper asks for. Errors: NO_MEMORY, PEER_PROTOCOL. */
ulv_status ulv_ultravisor_boot(struct ultravisor_role *r,
                               const struct heard *heard);
ulv_status ulv_ultravisor_adopt_all(struct ultravisor_role *r,
                                    const struct say_adopt *say);
ulv_status ulv_ultravisor_note_state(struct ultravisor_role *r,
                                     const struct say_state *say);
ulv_status ulv_ultravisor_note_drained(struct ultravisor_role *r,
                                       ulv_id object);
ulv_status ulv_ultravisor_note_returned(struct ultravisor_role *r,
                                        const struct say_returned *say);
/* ultravisor_left.c; on a bare machine no end is handed out: unwatched.c */
ulv_status ulv_ultravisor_note_left(struct ultravisor_role *r,
                                    const struct say_channel *say);
ulv_status ulv_ultravisor_note_death(struct ultravisor_role *r, ulv_id dead);

/* A new one, at the end of those that wait; NULL: no memory. */
struct errand *ulv_ultravisor_new_errand(struct ultravisor_role *r,
                                         uint32_t count);

/* The same, but it does not wait yet. */
struct errand *ulv_ultravisor_make_errand(struct ultravisor_role *r,
                                          uint32_t count);
void ulv_ultravisor_queue_errand(struct ultravisor_role *r, struct errand *e);
void ulv_ultravisor_free_errand(struct ultravisor_role *r, struct errand *e);
/* Operations come in parts; *ret is an errand that does not wait yet when all
 * are there, else NULL. Errors: NO_MEMORY, PEER_PROTOCOL. */
ulv_status ulv_ultravisor_gather(struct ultravisor_role *r,
                                 const struct heard *heard,
                                 struct errand **ret);

/* ---- a machine that changes (ultravisor_machine.c) ----------------------- */
ulv_status ulv_ultravisor_hear_machine(struct ultravisor_role *r,
                                       const struct heard *heard);
/* Begin r->errand, which has a scan; and end it. */
void ulv_ultravisor_run_scan(struct ultravisor_role *r);
void ulv_ultravisor_end_scan(struct ultravisor_role *r,
                             const struct errand *errand,
                             const struct ulv_diag *diag);
/* What is to be done for the database to have what was found; all: as in struct
 * say_machine. To be freed, also on failure. Errors: NO_MEMORY, those of a
 * lease. */
ulv_status ulv_ultravisor_compare(struct ultravisor_role *r,
                                  const struct errand *found, uint32_t all,
                                  struct difference *ret);
void ulv_difference_free(struct difference *d);
/* One more; there is room. */
struct ulv_operation *ulv_difference_add(struct difference *d, uint32_t kind,
                                         const struct ulv_machine_change *c);
/* Its part that is of memory (ultravisor_memory.c). */
void ulv_ultravisor_compare_memory(struct difference *d,
                                   const struct ulv_database *db,
                                   const struct errand *found, bool all);
/* Whether the database has that pool, all of it or what is not gone. */
bool ulv_ultravisor_has_memory(const struct ulv_database *db,
                               const struct ulv_op_add_memory *op);
/* It was done: to those that had what is gone, and run on what is offline. */
void ulv_ultravisor_tell_loss(struct ultravisor_role *r,
                              const struct difference *d);
/* The record of a kind behind the id; false: there is none. */
bool ulv_next_record(const struct ulv_database *db, uint32_t kind,
                                uint64_t after, void *ret, size_t size);

/* ---- the journal, if there is one (ultravisor_durable.c; on a bare machine
 * there is none: ultravisor_volatile.c) ------------------------------------ */
/* The database, and the ids that the boot transaction begins with. */
ulv_status ulv_ultravisor_open(struct ultravisor_role *r,
                               struct heard *configure, ulv_id *ret_lease,
                               struct ulv_diag *diag);
/* What a client's requests have led to. */
ulv_status ulv_ultravisor_recall(void *self,
                                 struct ulv_command_session *session);
/* In place of the database's own functions; r->plan is the plan. */
ulv_status ulv_ultravisor_prepare(struct ultravisor_role *r,
                                  const struct ulv_request *request,
                                  uint32_t *ret_operation_idx,
                                  struct ulv_diag *diag);
ulv_status ulv_ultravisor_lease(struct ultravisor_role *r, ulv_id *ret_first);
/* Just before it is committed; if it fails nothing takes effect. */
ulv_status ulv_ultravisor_write(struct ultravisor_role *r,
                                struct ulv_diag *diag);

/* ---- the command channel (ultravisor_session.c) -------------------------- */
extern const struct ulv_command_handlers ulv_ultravisor_handlers;
/* What there is to watch (ultravisor_watch.c); on a bare machine nothing.
 * Errors: NO_MEMORY */
ulv_status ulv_ultravisor_observe(struct ultravisor_role *r);
void ulv_ultravisor_unobserve(struct ultravisor_role *r);
/* Every invariant of the database. Errors: INTERNAL; on a bare machine
 * UNSUPPORTED. */
ulv_status ulv_ultravisor_check(const struct ultravisor_role *r,
                                struct ulv_diag *diag);
/* A handler of the command server. */
void ulv_ultravisor_on_cursor(void *self, struct ulv_command_session *session,
                              const struct ulv_message_cursor *asked);
void ulv_ultravisor_look_at_channels(struct ultravisor_role *r);
/* Its channels say so, before anybody takes its place; both ends are rung. */
void ulv_ultravisor_mark_dead(struct ultravisor_role *r, ulv_id dead);
/* Both ends of a channel that is taken away read that in its header; false: it
 * has no such channel. */
bool ulv_ultravisor_revoke(struct ultravisor_role *r, ulv_id channel);
void ulv_ultravisor_mark_left(struct ultravisor_role *r, struct header *h,
                              uint32_t end);

#endif
