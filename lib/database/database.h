/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The resource database: the one truth about who owns each processor, page and
 * device of the host, in memory. Changed by transactions only: prepare checks
 * everything and may fail, commit and abort cannot.
 *
 * For the ultravisor role, for the publisher of views, and for programs that
 * embed nothing but the database. One thread owns it.
 */
#ifndef DATABASE_DATABASE_H
#define DATABASE_DATABASE_H

#include <ultravisor/abi/command.h>
#include <ultravisor/abi/view.h>
#include <ultravisor/sys/host.h>

struct ulv_database;
struct ulv_plan;

/* The idle partition: owner of what nobody uses. */
#define ULV_ID_IDLE UINT64_C(1)

#define ULV_EXTENTS_MAX 16384u /* of one partition */
#define ULV_LOG_COUNT   1024u  /* committed transactions remembered */
#define ULV_DB_HARDWARE_MAX 4096u

/* Sizes of the channels that the database lays out itself. */
#define ULV_BLOCK_RING_BYTES   UINT64_C(16384)
#define ULV_BLOCK_BULK_BYTES   UINT64_C(4194304)
#define ULV_CONSOLE_RING_BYTES UINT64_C(16384)

struct ulv_request {
    uint64_t session, request; /* for the log */
    uint32_t options;          /* ULV_TRANSACTION_* */
    uint32_t precondition_count, operation_count;
    const struct ulv_precondition *preconditions;
    const struct ulv_operation *operations;
};

/*
 * What a transaction means for whoever holds memory and descriptors. In the
 * order in which it is to be done: what is taken away comes first.
 */
#define ULV_EFFECT_PARTITION_CREATE  1u
#define ULV_EFFECT_PARTITION_DESTROY 2u
#define ULV_EFFECT_EXTENT_GRANT      3u
#define ULV_EFFECT_EXTENT_REVOKE     4u
#define ULV_EFFECT_CHANNEL_CREATE    5u
#define ULV_EFFECT_CHANNEL_DESTROY   6u
#define ULV_EFFECT_DEVICE_OFFER      7u
#define ULV_EFFECT_DEVICE_REHOME     8u
#define ULV_EFFECT_DEVICE_WITHDRAW   9u
#define ULV_EFFECT_INTENT            10u
#define ULV_EFFECT_DRAIN             11u /* an extent or channel is to go */
#define ULV_EFFECT_PROCESSOR         12u /* a guest's, or its quanta */
#define ULV_EFFECT_PROCESSOR_GONE    13u /* is not that guest's any more */
#define ULV_EFFECT_PARTITION_CHANGE  14u /* its name, its restarts */

struct ulv_effect_partition {
    ulv_id id;
    uint32_t kind;
    uint32_t restarts;
    char name[32];
};
struct ulv_effect_extent {
    ulv_id id, partition;
    uint64_t frame, bytes, guest_address;
};
struct ulv_effect_channel {
    ulv_id id, device, server, client;
    uint64_t frame, bytes, ring_bytes, bulk_bytes;
    uint8_t type[16], instance[16];
};
struct ulv_effect_device {
    ulv_id id, primary, standby;
    uint32_t kind, flags;
};
struct ulv_effect_rehome {
    ulv_id device, from, to;
};
struct ulv_effect_intent {
    ulv_id partition;
    uint64_t image;
    uint32_t intent;
};
struct ulv_effect_processor {
    ulv_id partition;
    uint32_t os_number, mode, quanta;
    uint32_t rsvd_;
};
struct ulv_effect_removal {
    ulv_id id;
};

struct ulv_effect {
    uint32_t kind; /* ULV_EFFECT_* */
    uint32_t rsvd_;
    union {
        struct ulv_effect_partition partition_create; /* CREATE, CHANGE */
        struct ulv_effect_extent extent; /* GRANT */
        struct ulv_effect_channel channel; /* CREATE */
        struct ulv_effect_device device; /* OFFER */
        struct ulv_effect_rehome rehome;
        struct ulv_effect_intent intent;
        struct ulv_effect_processor processor;
        struct ulv_effect_removal removal; /* DESTROY, REVOKE, WITHDRAW,
                                              DRAIN */
    } u;
};

/* Whether a guest that has reset itself may be started again now; counts it.
 * Between plans; nothing of it is a change. */
bool ulv_database_take_restart(struct ulv_database *db, ulv_id id,
                               uint64_t now);
/**
 * An empty database with the idle partition in it.
 * Errors: NO_MEMORY.  Context: serial
 */
ulv_status ulv_database_create(const struct ulv_host *host,
                               struct ulv_database **ret);
/* An open plan is aborted; NULL is allowed. */
void ulv_database_destroy(struct ulv_database *db);

/**
 * Ids nobody has had: ULV_ID_LEASE_COUNT of them from *ret_first. Within a
 * lease they are used in ascending order; one passed over is burned.
 * Errors: NO_MEMORY, LIMIT.
 */
ulv_status ulv_database_lease(struct ulv_database *db, ulv_id *ret_first);

/**
 * Check the whole request and work it out; nothing shows before commit.
 * @param ret_plan  NULL on failure; one plan at a time
 * @param ret_operation_idx  of the operation that failed, UINT32_MAX: none
 * Errors: BUSY (a plan is open), CONFLICT (precondition), and what each
 * operation can fail with: ARG EXISTS NOT_FOUND STATE BUSY NO_MEMORY LIMIT
 */
ulv_status ulv_database_prepare(struct ulv_database *db,
                                const struct ulv_request *request,
                                struct ulv_plan **ret_plan,
                                uint32_t *ret_operation_idx,
                                struct ulv_diag *diag);
/* Both consume the plan and cannot fail. commit returns the new revision. */
uint64_t ulv_database_commit(struct ulv_database *db, struct ulv_plan *plan);
void ulv_database_abort(struct ulv_database *db, struct ulv_plan *plan);

/* Borrowed until commit or abort. */
const struct ulv_effect *ulv_plan_effects(const struct ulv_plan *plan,
                                          uint32_t *ret_count);
/* Partitions whose views say something else now, each once; borrowed. */
const ulv_id *ulv_plan_touched(const struct ulv_plan *plan,
                               uint32_t *ret_count);

/**
 * Whether nothing is given out that the plan has freed: whoever holds memory
 * takes it away only after what is new was made.
 * Errors: CONFLICT (diag: who would get it, the frame, the bytes), NO_MEMORY.
 * Cost: n log n of what is given and freed.
 */
ulv_status ulv_plan_check_regrants(struct ulv_database *db,
                                   const struct ulv_plan *plan,
                                   struct ulv_diag *diag);

/* ---- reading: as committed, or as the open plan has it ------------------- */

uint64_t ulv_database_revision(const struct ulv_database *db);

/**
 * Records with an id above after (log: revision), ascending, as many as fit.
 * @param ret_bytes  of one record of this kind
 * Errors: ARG (unknown kind, no room for one).
 */
ulv_status ulv_database_query(const struct ulv_database *db, uint32_t kind,
                              uint64_t after, void *buf, size_t bytes,
                              uint32_t *ret_bytes, uint32_t *ret_count,
                              bool *ret_more);
/* One record of that kind by its id. Errors: NOT_FOUND. */
ulv_status ulv_database_find(const struct ulv_database *db, uint32_t kind,
                             ulv_id id, void *ret);

/* One that is there, until the database changes; NULL: it is not. */
struct partition;
const struct partition *
ulv_database_partition(const struct ulv_database *db, ulv_id id);

/*
 * What a partition's view says; of NULL, which no partition is, nothing.
 * Errors: NOT_FOUND (NULL).
 */
ulv_status ulv_database_view_partition(const struct partition *p,
                                       struct ulv_view_partition *ret);
/*
 * How many of the first records of a kind are what they were at a revision, by
 * what the database remembers: the last change only. UINT32_MAX: all, and there
 * are as many. 0 of a revision 0.
 */
struct ulv_database_same {
    uint32_t memory, processors, channels;
};
void ulv_database_view_same(const struct partition *p, uint64_t revision,
                            struct ulv_database_same *ret);
/* All of a kind into buf, as far as it holds them, but for those before from,
 * which stay as they are there; returns how many exist. */
uint32_t ulv_database_view_memory(const struct ulv_database *db,
                                  const struct partition *p, uint32_t from,
                                  struct ulv_view_memory *buf, uint32_t room);
uint32_t
ulv_database_view_processors(const struct partition *p,
                             struct ulv_view_processor *buf, uint32_t room);
uint32_t
ulv_database_view_channels(const struct ulv_database *db,
                           const struct partition *p, uint32_t from,
                           struct ulv_view_channel *buf, uint32_t room);
uint32_t ulv_database_view_devices(const struct ulv_database *db,
                                   const struct partition *p,
                                   struct ulv_view_device *buf, uint32_t room);

/*
 * Whether the object drains: an extent or a channel that was taken from a
 * partition that runs and waits for ULV_OP_SETTLE. Of an extent that moves,
 * ret says who gets it (partition, 0: nobody), frame and bytes.
 */
bool ulv_database_draining(const struct ulv_database *db, ulv_id object,
                           struct ulv_effect_extent *ret);

/* Whether the machine has some of these frames no more. */
bool ulv_database_is_gone(const struct ulv_database *db, uint64_t frame,
                          uint64_t bytes);
/* Of a partition's extents, bytes that the machine has no more of a memory. */
uint64_t ulv_database_gone_bytes(const struct ulv_database *db, ulv_id memory,
                                 ulv_id partition);

/* The partition has used the processors for so long, beyond what was reported
 * before; shown by queries only. */
void ulv_database_account(struct ulv_database *db, ulv_id partition,
                          ulv_nsec used);

/* The ultravisor saw this in a channel's header; shown by queries only. */
void ulv_database_channel_seen(struct ulv_database *db, ulv_id channel,
                               const uint32_t state[2]);

/**
 * Verify every invariant from scratch: one owner for each page, processor,
 * quantum and device; counts equal sums; nothing dangles.
 * Errors: INTERNAL, diag names what is wrong.  Cost: all records.
 */
ulv_status ulv_database_check(const struct ulv_database *db,
                              struct ulv_diag *diag);

#endif
