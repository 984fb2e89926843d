/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef SYSTEM_SYSTEM_PRIV_H
#define SYSTEM_SYSTEM_PRIV_H

#include <ultravisor/channel.h>
#include <ultravisor/event.h>
#include <ultravisor/fault.h>
#include <ultravisor/partition.h>
#include <ultravisor/policy.h>
#include <ultravisor/system.h>
#include <ultravisor/transaction.h>

#include "channel/spin.h"
#include "command/client.h"
#include "policy/policy.h"
#include "system/keeper.h"
#include "system/wire.h"

#define EVENTS_MAX   4096u
#define SETTLE_LIMIT UINT64_C(1000000000) /* unless the caller sets one */

/* An event that waits to be taken; data follows. */
struct waiting_event {
    struct waiting_event *next;
    uint32_t kind, bytes;
    uint64_t sequence, value;
    ulv_nsec time;
    ulv_id partition;
};

/* A channel end of the caller's own, made by ULV_SELF. */
struct ulv_channel {
    struct ulv_channel *next;
    ulv_system *system;
    struct wire wire; /* host NULL: the channel was destroyed */
    struct bell bell; /* of the wire */
    struct ulv_channel_end end;
    struct ulv_channel_counters count;
    /* of the set it is in, or NULL, and what is done then when its doorbell
     * rings or its user does something, or closes it: channel_set.c */
    struct member *member;
    void (*news)(struct ulv_channel *channel, bool closes);
};

/* What is known of the machine's nodes of memory, to see what changes. */
#define NODES_MAX 64u
/* Frame addresses of a node's pool start at (node + 1) * this: they are the
 * pool's own numbers, not the machine's, unless the host knows those. */
#define NODE_SPAN UINT64_C(0x10000000000)
/* Of a node no more is counted: no sum or product of them wraps. */
#define NODE_MIB_MAX (UINT64_C(1) << 28)
struct known_node {
    uint32_t number;
    uint64_t mib;                   /* that it had when it was looked at */
    uint64_t pool;                  /* bytes that the pool has of it */
    uint64_t first_mib, first_pool; /* both, when it was first seen */
    uint64_t framed;                /* bytes that the frame table has */
};

struct ulv_system {
    const struct ulv_host *host;
    ulv_handle waits;
    ulv_handle alarm; /* watched; for whoever waits for the set himself */
    ulv_nsec alarm_when; /* what it is set to */
    ulv_handle due; /* watched like alarm: an event for "now" */
    bool is_due; /* it is signalled */
    struct keeper keeper;
    struct ulv_policy policy;
    const char *backend;
    char passed_over[512];
    char launcher[256];

    struct wire wire; /* to the command partition */
    struct ulv_command_client client;
    bool has_client;
    bool durable; /* the ultravisor was given a storage */

    struct waiting_event *events, **events_end;
    uint32_t event_count;
    uint64_t revision; /* of the caller's last transaction */
    uint64_t sequence, lost;
    struct ulv_fault_record *faults[ULV_FAULTS_KEPT]; /* or NULL */
    uint64_t fault_sequence; /* of the last one */
    /* the last decisions, and what became of a policy that is offered:
     * system_policy.c */
    struct ulv_policy_decision *decisions[ULV_DECISIONS_KEPT]; /* or NULL */
    uint64_t decision_sequence;
    struct ulv_policy_review *review; /* borrowed: who waits for it */
    uint64_t review_number;
    const struct ulv_storage *storage; /* or NULL: where a policy is kept */
    ulv_status review_status;
    char review_text[192];
    bool reviewed;
    struct rescan *rescan; /* borrowed: who waits for it; rescan.c */
    uint64_t rescan_number;
    struct known_node nodes[ULV_DEVICES ? NODES_MAX : 1];
    uint32_t node_count;
    struct ulv_channel *channels;
    bool rang; /* one of them */
    /* programs that were handed an end, and what is done with them: hand_out.c,
     * where one was */
    struct visitor *visitors;
    bool visitor_left; /* one of them */
    void (*visitors_step)(ulv_system *system);
    void (*visitors_fini)(ulv_system *system);
    void (*visitor_gone)(ulv_system *system, ulv_id channel);
    struct ulv_spin spin; /* of waiting for them */
    /* what is watched, and where messages go that are no answers: watch.c,
     * where something was watched */
    struct ulv_watch *watches;
    void (*heed)(ulv_system *system, const struct ulv_message *m);
    void (*watch_fini)(ulv_system *system);
    /* stubs for debuggers, and what is done with them: debug.c, where one was
     * started */
    struct debugger *debuggers;
    void (*debug_step)(ulv_system *system, struct role_need *need);
    void (*debug_fini)(ulv_system *system);
};

/* Step until done returns true. PEER_GONE: the role it hangs on is dead. */
ulv_status ulv_system_run_until(ulv_system *system,
                                bool (*done)(ulv_system *system, void *self),
                                void *self, ulv_nsec deadline);

bool ulv_system_role_is_dead(const ulv_system *system, uint32_t kind);
/* Of a record of a query's kind; 0: there is no such kind. */
uint32_t ulv_system_record_bytes(uint32_t kind);
/* Send nothing more and wait for the answer to the request just sent; a copy
 * of it is borrowed until the next call. */
ulv_status ulv_system_await(ulv_system *system, ulv_status sent, bool ring,
                            const struct ulv_message **ret,
                            struct ulv_diag *diag);
ulv_status ulv_system_await_until(ulv_system *system, ulv_status sent,
                                  bool ring, const struct ulv_message **ret,
                                  ulv_nsec deadline, struct ulv_diag *diag);
/* Send operations as one transaction and wait for what comes of it. */
ulv_status ulv_system_ask(ulv_system *system, uint32_t options,
                          const struct ulv_operation *operations,
                          uint32_t count, struct ulv_diag *diag);
/* A new id; asks for a lease when the last one is used up. 0: none. */
ulv_id ulv_system_new_id(ulv_system *system, struct ulv_diag *diag);
/* Room for an operation, unless an error sticks already: NULL. */
struct ulv_operation *ulv_transaction_add(ulv_transaction *t, uint32_t kind);
/* The same, or 0 and the error sticks. */
ulv_id ulv_transaction_new_id(ulv_transaction *t);
/* A text that fits, zero at its end; or the error sticks. */
void ulv_transaction_text(ulv_transaction *t, char *to, size_t size,
                          const char *from, ulv_id object, const char *what);
/* Whether the caller's end has lost its channel to a transaction. */
bool ulv_system_channel_is_gone(const struct ulv_channel *channel);
/* Ring, or count that it was not needed. */
void ulv_system_channel_ring(struct ulv_channel *channel, bool ring);
/* Of the keeper: self is the system. */
void ulv_system_channel_gone(void *self, ulv_id channel);
struct keeper_partition *ulv_system_guest(ulv_system *system, ulv_id id,
                                          struct ulv_diag *diag);
/* One that can be started now; NULL: status says why not. */
struct keeper_partition *ulv_system_startable(ulv_system *system, ulv_id id,
                                              ulv_status *status,
                                              struct ulv_diag *diag);
/* Start it from what the keeper has under a number. */
ulv_status ulv_system_start_from(ulv_system *system, ulv_id partition,
                                 ulv_id source, struct ulv_diag *diag);
/* For the ultravisor that is about to be started. Errors: UNSUPPORTED. */
ulv_status ulv_system_give_storage(ulv_system *system,
                                   const struct ulv_system_opts *opts,
                                   struct ulv_diag *diag);
/* The policy of a storage, if it has one and the caller none (policy_kept.c).
 * Errors: FORMAT (it is damaged), and those of the storage. */
ulv_status ulv_system_load_policy(ulv_system *system,
                           const struct ulv_system_opts *opts,
                           struct ulv_diag *diag);
/* Write one there that is to be kept; it is when it was put in its place. */
ulv_status ulv_system_write_policy(const struct ulv_storage *storage,
                            const struct ulv_policy *policy,
                            struct ulv_diag *diag);
ulv_status ulv_system_keep_policy(const struct ulv_storage *storage,
                           struct ulv_diag *diag);
/* Keep what is decided (nothing of it on a bare machine). */
void ulv_system_keep_decisions(ulv_system *system);
void ulv_system_drop_decisions(ulv_system *system);
/* An answer is there: what was decided for it was said before. */
void ulv_system_hear_decisions(ulv_system *system);
/* Say to the ultravisor what the machine has, in parts. Errors: those of
 * ulv_post_send(). */
ulv_status ulv_system_say_machine(const ulv_system *system, struct say *say,
                                  const struct ulv_operation *operations,
                                  uint32_t count);
/* The host's processors, numbered from first on, as operations; of more than
 * MACHINE_PROCESSORS_MAX the first. Errors: those of the host. */
ulv_status ulv_system_find_processors(const ulv_system *system, ulv_id first,
                                      struct ulv_operation *ret,
                                      uint32_t *ret_count,
                                      struct ulv_diag *diag);
/* The host's devices, numbered from first on, as operations; of more than
 * ULV_DB_HARDWARE_MAX the first. Errors: NO_MEMORY, and those of the host.
 * (rescan.c) */
ulv_status ulv_system_find_devices(const ulv_system *system, ulv_id first,
                                   struct ulv_operation *ret,
                                   uint32_t *ret_count, struct ulv_diag *diag);
ulv_status ulv_system_boot(ulv_system *system,
                           const struct ulv_system_opts *opts,
                           struct ulv_diag *diag);

#endif
