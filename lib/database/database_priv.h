/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef DATABASE_DATABASE_PRIV_H
#define DATABASE_DATABASE_PRIV_H

#include <ultravisor/abi/system_call.h>

#include "base/base.h"
#include "database/database.h"
#include "database/page_map.h"

/* What is found by its hash: each entry has its link inside. */
struct link {
    struct link *next;
    uint64_t hash;
};
#define INDEX_SEGMENT  1024u /* buckets */
#define INDEX_SEGMENTS 2048u
struct index {
    struct link **segment[INDEX_SEGMENTS];
    uint32_t bucket_count, count;
    uint32_t level; /* largest power of two not above bucket_count */
};

/* Every record with an id; kept in an index and in a list of its kind. */
struct record {
    struct link by_id; /* first */
    struct record *before, *after; /* of its kind, ascending id */
    ulv_id id;
    uint64_t version; /* revision of the last change */
    uint32_t kind;    /* ULV_QUERY_* of it */
    uint32_t bytes;   /* of the whole object */
    struct label *labels;
};
#define KIND_COUNT 16u

struct label {
    struct record r;
    struct label *next; /* of the object */
    struct record *object;
    char key[16], value[48];
};

/* What there may be of each ULV_QUOTA_*, and what there is. */
struct quota {
    uint64_t limit[ULV_QUOTA_COUNT], used[ULV_QUOTA_COUNT];
};

struct range_record { /* of ports or vectors */
    struct record r;
    struct partition *owner;
    uint64_t first, count;
    uint32_t kind;
};

struct hardware {
    struct record r;
    struct partition *owner; /* or idle */
    struct hardware *parent; /* or NULL */
    uint64_t address, bytes;
    uint32_t kind, device_class, node, model;
    char name[24], driver[16];
};
/* How many there may be. */
#define ULV_DB_RANGES_MAX   4096u
#define ULV_DB_RETIRED_MAX  4096u
#define ULV_DB_ZONES_MAX    4096u

struct retired { /* memory */
    struct record r;
    uint64_t frame, bytes;
};

struct zone {
    struct record r;
    struct quota quota;
    uint64_t found[ULV_QUOTA_COUNT]; /* by a check: what its guests have */
    char name[32], policy[32];
};

struct extent {
    struct record r;
    struct link by_place; /* partition and guest address */
    struct extent *next, *before; /* of the partition, ascending address */
    struct partition *partition;
    uint64_t frame, bytes, guest_address;
    uint32_t node;
    bool draining; /* taken away; its monitor has not let go of it yet */
    ulv_id heir;   /* who gets it then, or 0 */
};

struct share { /* a virtual processor */
    struct share *next;
    struct processor *processor;
    uint32_t vcpu_idx, mode;
    uint64_t quanta; /* its own; 0: shared, and it runs in those left over */
};

/* What a check has counted of a partition; nobody else looks at it. */
struct tally {
    uint64_t page_bytes; /* of the page maps */
    uint64_t coming;     /* bytes that drain to it */
    uint32_t channels, slots, hardware, owned;
};

struct partition {
    struct record r;
    uint32_t kind, state, intent, end_reason;
    uint64_t end_code, capabilities, silence_limit;
    uint64_t ram_bytes; /* sum of its extents */
    uint64_t top;       /* end of the last of them, guest address */
    uint64_t window;    /* as it was when the partition was started */
    struct extent *extents, **extents_end;
    struct share *shares;
    uint64_t slots; /* bit n: slot[n] is taken */
    uint32_t extent_count, processor_count, channel_count, device_count;
    uint32_t owned_count; /* ranges and hardware */
    uint64_t touched; /* by the plan that leads to this revision */
    /* by the one before that; and of the last, as views go: the first extent,
     * share and slot that it changed, or UINT32_MAX, and the window as it
     * was */
    uint64_t touched_before, window_before;
    uint32_t changed_extent, changed_share, changed_slot;
    uint64_t used; /* ns of processor time, as reported */
    bool ran; /* once at least */
    uint32_t restarts, restarted; /* allowed, and used up in this window */
    uint32_t restart_window;      /* [ms]; 0: ULV_RESTART_WINDOW */
    uint64_t restart_since;       /* [ns] when it began */
    struct zone *zone;            /* or NULL; guests only */
    struct quota quota;           /* guests only */
    struct link by_name;
    char name[32], policy[32];
    /* Of guests. A plan that changes the partition remembers what is above
     * this, and a slot where it changes that: ulv_db_set_slot(). */
    struct channel *slot[ULV_SLOT_COUNT];
    struct tally found;
};

struct channel {
    struct record r;
    struct partition *server, *client;
    struct device *device; /* or NULL */
    uint64_t frame, bytes;
    uint32_t epoch, seen[2];
    bool draining;
    uint32_t server_slot, client_slot; /* in a guest's view */
    uint32_t ring_bytes; /* the rest is the header and the bulk area */
    uint8_t type[16], instance[16];
};

struct device {
    struct record r;
    struct partition *serving, *standby;
    struct channel *channel; /* its only one */
    uint64_t medium_bytes;
    uint32_t kind, flags, channel_count;
    char name[32];
};

struct processor {
    struct record r;
    struct partition *owner; /* idle, or the one it is dedicated to */
    uint32_t package, core, thread, node, os_number, share_count;
    uint64_t taken; /* quanta that are somebody's own; the rest is idle's */
    uint32_t retired; /* ULV_RETIRED_*, or 0 */
    uint32_t found_shares; /* these two by a check */
    uint64_t found_taken;
};

struct pool { /* of a memory node */
    struct record r;
    struct ulv_page_map map;
    uint64_t born; /* the revision that made it */
    uint64_t gone; /* bytes at its end that the machine has no more */
    uint32_t node;
};

struct undo {
    struct undo *next;
    void *p;
    size_t bytes;
    bool made; /* p was allocated: free it; else: old bytes follow */
};

/* What a plan remembers comes from chunks that end with it. */
struct chunk {
    struct chunk *next;
    size_t bytes, used; /* of what follows */
};
#define CHUNK_BYTES 16384u /* at least */

struct range { /* to settle at the end */
    struct range *next;
    struct pool *pool;
    uint64_t address, bytes;
};

/* A record that no effect tells of: for the journal. */
struct change {
    ulv_id id;
    uint32_t kind;
};

/* Where a plan began: what each of them changes. */
struct marks {
    ulv_id own_next;
    uint32_t ids, names, places; /* entries of the indices */
};

struct ulv_plan {
    struct ulv_database *db;
    struct marks marks;
    struct undo *undo;
    struct undo *dead; /* p: freed at commit */
    struct range *ranges;
    struct chunk *chunks; /* the last of them outlives the plan */
    struct ulv_effect *effects;
    uint32_t effect_count, effect_capacity;
    ulv_id *touched;
    uint32_t touched_count, touched_capacity;
    struct change *changes;
    uint32_t change_count, change_capacity;
    struct ulv_log_record log;
};

/*
 * Who looks on while records change: see observe.c. None of it can fail, nor
 * change a record.
 */
struct observer {
    /* This one is about to change or to be removed, or was made: its links are
     * those of a record, its content is still to come. ULV_CHANGE_*. */
    void (*before)(struct ulv_database *db, const struct record *r,
                   uint32_t change);
    void (*formed)(struct ulv_database *db); /* a plan became a revision */
    void (*shown)(struct ulv_database *db);  /* that is not undone any more */
    void (*undone)(struct ulv_database *db); /* back at this revision */
    void (*end)(struct ulv_database *db);
};

struct lease {
    ulv_id next; /* lowest id of the block not used yet */
    bool own;    /* the database gives these itself, and no request may */
};

/* What is freed again and again, kept for the next of its size. */
struct spare {
    struct spare *next;
};
#define SPARE_KINDS 3u  /* extents, channels, index pages */
#define SPARE_MAX   32u /* of each */
struct spares {
    size_t bytes;   /* of one */
    size_t cleared; /* of these, so many must be 0 */
    uint32_t count;
    struct spare *first;
};

struct ulv_database {
    const struct ulv_host *host;
    struct spares spares[SPARE_KINDS];
    struct ulv_page_map_memory map_memory;
    uint64_t revision;
    struct index ids, names, places; /* of partitions, and of extents */
    struct record *first[KIND_COUNT], *last[KIND_COUNT];
    ulv_id own_next, own_end; /* ids the database gives itself */
    struct lease *leases;
    uint32_t lease_count, lease_capacity;
    struct partition *idle, *ultravisor;
    uint64_t gone; /* of all pools */
    struct ulv_plan *plan; /* NULL, or the one below: its arrays stay */
    struct ulv_plan only_plan;
    struct held *held; /* a group of transactions; the newest of them */
    size_t chunk_bytes; /* of a new one: tests make each memory its own */
    struct ulv_log_record log[ULV_LOG_COUNT]; /* revision % count */
    ulv_nsec start;     /* accounts begin */
    uint64_t used_gone; /* by partitions that are destroyed */
    const struct observer *observer; /* NULL: nobody observes */
    struct observed *observed;       /* what it knows */
    uint32_t entropy_left;
    uint8_t entropy[256]; /* fetched at once for several channels */
};

/* records.c: all but these two go through the plan's undo log */
struct record *ulv_db_find(const struct ulv_database *db, ulv_id id,
                           uint32_t kind);
/* Of whatever kind. */
struct record *ulv_db_find_any(const struct ulv_database *db, ulv_id id);
bool ulv_db_touch(struct ulv_database *db, void *p, size_t bytes);
/* The same for 8 bytes, which most are. */
bool ulv_db_touch_word(struct ulv_database *db, void *p);
#define TOUCH(db, object)                                                     \
    (sizeof(*(object)) == 8                                                   \
         ? ulv_db_touch_word((db), (object))                                  \
         : ulv_db_touch((db), (object), sizeof(*(object))))
/* The same, unless all of the record that it lies in is remembered. */
bool ulv_db_touch_in(struct ulv_database *db, const struct record *r,
                     void *word);
/* The whole record is about to change: remembered, and of a new version. */
bool ulv_db_change(struct ulv_database *db, struct record *r);
void *ulv_db_allocate(struct ulv_database *db, size_t bytes);
void ulv_db_return_to(struct ulv_database *db, const struct marks *marks);

/* spare.c: memory, zeroed, that was somebody's of the same size before. */
void ulv_db_init_spares(struct ulv_database *db);
void *ulv_db_take(struct ulv_database *db, size_t bytes);
void ulv_db_free(struct ulv_database *db, void *p, size_t bytes);
void ulv_db_free_spares(struct ulv_database *db);

/* Of the plan, until it ends; not zeroed. */
void *ulv_db_scratch(struct ulv_database *db, size_t bytes);
ulv_status ulv_db_bury(struct ulv_database *db, void *p, size_t bytes);
ulv_status ulv_db_record_add(struct ulv_database *db, ulv_id id,
                             uint32_t kind, size_t bytes, struct record **ret,
                             struct ulv_diag *diag);
/* The same for an id that is known to be good, of any version. */
ulv_status ulv_db_record_insert(struct ulv_database *db, ulv_id id,
                                uint32_t kind, size_t bytes,
                                struct record **ret, struct ulv_diag *diag);
ulv_status ulv_db_record_remove(struct ulv_database *db, struct record *r);
ulv_status ulv_db_fresh_id(struct ulv_database *db, ulv_id *ret);
/* Enough of them for any one transaction, extents and channels of a whole
 * partition; between plans. */
#define ULV_DB_OWN_MIN 32768u
ulv_status ulv_db_own_ids(struct ulv_database *db, struct ulv_diag *diag);
struct ulv_effect *ulv_db_effect(struct ulv_database *db, uint32_t kind);
bool ulv_db_touched(struct ulv_database *db, struct partition *p);
/* Of a guest that is touched; NULL: the slot is free again. */
bool ulv_db_set_slot(struct ulv_database *db, struct partition *p,
                     uint32_t slot, struct channel *c);
/* Of a partition that is touched: of the extents or slots of its view, those
 * from that number on change. */
static inline void
ulv_db_view_changes(uint32_t *first, uint32_t number)
{
    if (ULV_VIEW_UPDATES)
        *first = ULV_MIN(*first, number);
}
bool ulv_db_changed(struct ulv_database *db, ulv_id id, uint32_t kind);
struct partition *ulv_db_find_name(const struct ulv_database *db,
                                   const char name[32]);
uint64_t ulv_db_hash_name(const char name[32]);

/* 1 .. ULV_NAME_MAX printable bytes, UTF-8 beyond ASCII let through. */
ulv_status ulv_db_check_name(const char name[32], ulv_id id,
                             struct ulv_diag *diag);
/* One that a partition is created with. */
bool ulv_db_kind_is_known(uint32_t kind);
uint64_t ulv_db_hash_id(ulv_id id);
uint64_t ulv_db_hash_place(ulv_id partition, uint64_t address);
struct pool *ulv_db_pool_of(const struct ulv_database *db, uint64_t frame);

/* database.c: a record as queries show it, of a kind that has its own. */
uint32_t ulv_db_record_bytes(uint32_t kind);
void ulv_db_write_record(const struct ulv_database *db,
                         const struct record *r, uint32_t kind, void *ret);
/* The kind of the records that such a query is about. */
uint32_t ulv_db_list_of(uint32_t kind);

/* cursor.c: the same, and of what only cursors read. */
uint32_t ulv_db_read_bytes(uint32_t kind);
void ulv_db_write_share(const struct partition *p, const struct share *share,
                        struct ulv_share_record *ret);

/* index.c: add and remove through the undo log; grow between plans */
ulv_status ulv_index_init(struct index *index, const struct ulv_host *host);
void ulv_index_fini(struct index *index, const struct ulv_host *host);
struct link **ulv_index_bucket(const struct index *index, uint64_t hash);
bool ulv_index_add(struct ulv_database *db, struct index *index,
                   struct link *link, uint64_t hash);
bool ulv_index_remove(struct ulv_database *db, struct index *index,
                      struct link *link);
void ulv_index_grow(struct index *index, const struct ulv_host *host);

static inline struct partition *
find_partition(const struct ulv_database *db, ulv_id id)
{
    return (struct partition *)(void *)ulv_db_find(db, id,
                                                   ULV_QUERY_PARTITIONS);
}

/* Has, or is about to have, a monitor that runs it. */
static inline bool
ulv_db_runs(const struct partition *p)
{
    return p->state == ULV_STATE_STARTING || p->state == ULV_STATE_RUNNING;
}

/* Where view and channels begin: above all memory; fixed while it runs. */
static inline uint64_t
ulv_db_window(const struct partition *p)
{
    const uint64_t end = (p->top + ULV_GIB(1) - 1) & ~(ULV_GIB(1) - 1);

    return ulv_db_runs(p) ? p->window : ULV_MAX(end, ULV_GUEST_WINDOW);
}

/* operations_more.c: those that are not the smallest machine's. */
ulv_status ulv_db_apply_more(struct ulv_database *db,
                             const struct ulv_operation *o,
                             struct ulv_diag *diag);

/* quotas.c */
/* Whether so much more may be had, and that it is: undone by discharge, or if
 * the plan is. Errors: QUOTA, NO_MEMORY. */
ulv_status ulv_db_charge(struct ulv_database *db, struct partition *p,
                         uint32_t resource, uint64_t more,
                         struct ulv_diag *diag);
bool ulv_db_discharge(struct ulv_database *db, struct partition *p,
                      uint32_t resource, uint64_t less);
void ulv_db_quota_init(struct quota *quota);
ulv_status ulv_db_create_zone(struct ulv_database *db,
                              const struct ulv_op_create_zone *op,
                              struct ulv_diag *diag);
ulv_status ulv_db_destroy_zone(struct ulv_database *db,
                               const struct ulv_op_destroy_zone *op,
                               struct ulv_diag *diag);
ulv_status ulv_db_set_zone(struct ulv_database *db,
                           const struct ulv_op_set_zone *op,
                           struct ulv_diag *diag);
ulv_status ulv_db_set_quota(struct ulv_database *db,
                            const struct ulv_op_set_quota *op,
                            struct ulv_diag *diag);
/* Out of its zone. */
bool ulv_db_leave_zone(struct ulv_database *db, struct partition *p);
/* Quanta that a virtual processor counts as. */
static inline uint64_t
ulv_db_quanta_of(uint32_t mode, uint32_t quanta)
{
    return mode == ULV_PROCESSOR_DEDICATED ? ULV_QUANTA : quanta;
}

/* ahead.c: into the cache, before operations are applied; so many at once. */
#define ULV_DB_AHEAD 8u
void ulv_db_fetch_ahead(const struct ulv_database *db,
                        const struct ulv_operation *o, uint32_t count);
/* memory.c: what is changed when this page is given or taken. */
void ulv_db_fetch_pages(const struct ulv_database *db, uint64_t frame);

/* change.c */
/* Whether a partition may have so many. */
ulv_status ulv_db_check_restarts(const char *name, ulv_id id,
                                 uint32_t restarts, struct ulv_diag *diag);
ulv_status ulv_db_change_partition(struct ulv_database *db,
                                   const struct ulv_op_change_partition *op,
                                   struct ulv_diag *diag);

/* labels.c */
ulv_status ulv_db_set_label(struct ulv_database *db,
                            const struct ulv_op_set_label *op,
                            struct ulv_diag *diag);
ulv_status ulv_db_set_policy(struct ulv_database *db,
                             const struct ulv_op_set_policy *op,
                             struct ulv_diag *diag);
/* All that an object has. */
ulv_status ulv_db_labels_drop(struct ulv_database *db, struct record *object);
/* Whether these may be a label's. */
bool ulv_db_key_is_good(const char key[16]);
bool ulv_db_value_is_good(const char value[48]);
/* Whether an object of that kind can have one. */
bool ulv_db_can_be_labelled(uint32_t kind);

/* Zero at its end, no byte below least. */
bool ulv_db_is_text(const char *text, size_t room, uint8_t least);

/* ranges.c */
ulv_status ulv_db_assign_range(struct ulv_database *db,
                               const struct ulv_op_assign_range *op,
                               struct ulv_diag *diag);
ulv_status ulv_db_release_range(struct ulv_database *db,
                                const struct ulv_op_release_range *op,
                                struct ulv_diag *diag);
ulv_status ulv_db_move_range(struct ulv_database *db,
                             const struct ulv_op_move_range *op,
                             struct ulv_diag *diag);
ulv_status ulv_db_ranges_drop(struct ulv_database *db,
                              const struct partition *p);
bool ulv_db_range_is_good(uint32_t kind, uint64_t first, uint64_t count);
/* One of that kind that overlaps; NULL: none, and how many there are. */
const struct range_record *ulv_db_range_at(const struct ulv_database *db,
                                           uint32_t kind, uint64_t first,
                                           uint64_t count,
                                           uint32_t *ret_count);
/* Whether p can have ranges and hardware, and may get or lose some now. */
ulv_status ulv_db_may_own(const struct ulv_database *db,
                          const struct partition *p, ulv_id id,
                          struct ulv_diag *diag);

/* hardware.c */
ulv_status ulv_db_add_hardware(struct ulv_database *db,
                               const struct ulv_op_add_hardware *op,
                               struct ulv_diag *diag);
ulv_status ulv_db_remove_hardware(struct ulv_database *db,
                                  const struct ulv_op_remove_hardware *op,
                                  struct ulv_diag *diag);
ulv_status ulv_db_assign_hardware(struct ulv_database *db,
                                  const struct ulv_op_assign_hardware *op,
                                  struct ulv_diag *diag);
ulv_status ulv_db_release_hardware(struct ulv_database *db,
                                   const struct ulv_op_release_hardware *op,
                                   struct ulv_diag *diag);
ulv_status ulv_db_move_hardware(struct ulv_database *db,
                                const struct ulv_op_move_hardware *op,
                                struct ulv_diag *diag);
ulv_status ulv_db_hardware_drop(struct ulv_database *db,
                                const struct partition *p);
bool ulv_db_hardware_is_good(uint32_t kind, const char name[24],
                             const char driver[16]);
/* The one of that kind and name; NULL: none, and how many there are. */
const struct hardware *ulv_db_hardware_named(const struct ulv_database *db,
                                             uint32_t kind,
                                             const char name[24],
                                             uint32_t *ret_count);

/* retire.c */
ulv_status ulv_db_retire_memory(struct ulv_database *db,
                                const struct ulv_op_retire_memory *op,
                                struct ulv_diag *diag);
ulv_status ulv_db_retire_processor(struct ulv_database *db,
                                   const struct ulv_op_retire_processor *op,
                                   struct ulv_diag *diag);
/* Of pages that were given back just now, those that are retired. */
ulv_status ulv_db_retire_returned(struct ulv_database *db, uint64_t frame,
                                  uint64_t bytes);
/* Whether a page that is retired or gone is among these. */
bool ulv_db_is_retired(const struct ulv_database *db, uint64_t frame,
                       uint64_t bytes);
/* Of those, bytes that are somebody's still. */
uint64_t ulv_db_retired_pending(const struct ulv_database *db,
                                const struct retired *x);
/* Taken from a guest that can lose it; or kept, and its view says so. */
ulv_status ulv_db_extent_retire(struct ulv_database *db, struct extent *e,
                                bool take, struct ulv_diag *diag);
ulv_status ulv_db_revoke_channel(struct ulv_database *db,
                                 const struct ulv_op_revoke *op,
                                 struct ulv_diag *diag);
/* It is settled when the plan has ended. */
ulv_status ulv_db_remember_range(struct ulv_database *db, struct pool *pool,
                                 uint64_t address, uint64_t bytes);
/* As ulv_page_map_set(), and remembered if it needs that. */
ulv_status ulv_db_set_pages(struct ulv_database *db, struct pool *pool,
                            uint64_t address, uint64_t bytes, uint64_t from,
                            uint64_t to);

/* resize.c */
ulv_status ulv_db_resize_memory(struct ulv_database *db,
                                const struct ulv_op_resize_memory *op,
                                struct ulv_diag *diag);
/* Of pages that were given back just now, those that are gone. */
ulv_status ulv_db_gone_returned(struct ulv_database *db, struct pool *pool,
                                uint64_t frame, uint64_t bytes);
/* Bytes that are gone and nobody's. */
ulv_status ulv_db_check_gone(const struct ulv_database *db, uint64_t *ret,
                             struct ulv_diag *diag);

/* check.c, check_count.c, check_machine.c */
ulv_status ulv_db_wrong(struct ulv_diag *diag, const struct record *r,
                        uint64_t value, uint64_t bound, const char *what);
ulv_status ulv_db_check_count(const struct ulv_database *db,
                              struct ulv_diag *diag);
ulv_status ulv_db_check_machine(const struct ulv_database *db,
                                struct ulv_diag *diag);

/* memory.c, operations.c, processors.c */
ulv_status ulv_db_apply(struct ulv_database *db, const struct ulv_operation *o,
                        struct ulv_diag *diag);
ulv_status ulv_db_no_memory(struct ulv_diag *diag);
ulv_status ulv_db_add_processor(struct ulv_database *db,
                                const struct ulv_op_add_processor *op,
                                struct ulv_diag *diag);
/* Whether memory there is no other pool's than that one (or NULL). */
ulv_status ulv_db_check_pool(const struct ulv_database *db,
                             const struct pool *but, uint32_t node,
                             uint64_t base, uint64_t bytes,
                             struct ulv_diag *diag);
ulv_status ulv_db_add_memory(struct ulv_database *db,
                             const struct ulv_op_add_memory *op,
                             struct ulv_diag *diag);
ulv_status ulv_db_assign_memory(struct ulv_database *db,
                                const struct ulv_op_assign_memory *op,
                                struct ulv_diag *diag);
ulv_status ulv_db_release_memory(struct ulv_database *db,
                                 const struct ulv_op_release_memory *op,
                                 struct ulv_diag *diag);
ulv_status ulv_db_assign_processors(struct ulv_database *db,
                                    const struct ulv_op_assign_processors *op,
                                    struct ulv_diag *diag);
ulv_status
ulv_db_release_processors(struct ulv_database *db,
                          const struct ulv_op_release_processors *op,
                          struct ulv_diag *diag);
ulv_status ulv_db_move_processor(struct ulv_database *db,
                                 const struct ulv_op_move_processor *op,
                                 struct ulv_diag *diag);
ulv_status ulv_db_set_quanta(struct ulv_database *db,
                             const struct ulv_op_set_quanta *op,
                             struct ulv_diag *diag);
/* How many quanta these are. */
uint32_t ulv_db_count(uint64_t quanta);
uint64_t ulv_db_time_idle(const struct ulv_database *db, uint64_t elapsed);
ulv_status ulv_db_move_memory(struct ulv_database *db,
                              const struct ulv_op_move_memory *op,
                              struct ulv_diag *diag);
ulv_status ulv_db_grant(struct ulv_database *db, const struct ulv_op_grant *op,
                        struct ulv_diag *diag);
ulv_status ulv_db_settle_extent(struct ulv_database *db, struct extent *e,
                                struct ulv_diag *diag);
/* The one that begins at this guest address, or NULL. */
struct extent *ulv_db_extent_at(const struct ulv_database *db,
                                const struct partition *p, uint64_t address);
/* All that a partition has. */
ulv_status ulv_db_extents_drop(struct ulv_database *db, struct partition *p);
ulv_status ulv_db_shares_drop(struct ulv_database *db, struct partition *p);
/* One contiguous run for a channel, owned by the ultravisor partition. */
ulv_status ulv_db_take_run(struct ulv_database *db, uint64_t bytes,
                           uint64_t owner, uint64_t *ret_frame);
ulv_status ulv_db_give_back(struct ulv_database *db, uint64_t frame,
                            uint64_t bytes, uint64_t owner);
/* Where its memory begins. */
static inline uint64_t
ulv_db_ram_base(const struct partition *p)
{
    return ULV_STOCK_KERNELS && (p->capabilities & ULV_CAP_STOCK) != 0
               ? 0
               : ULV_GUEST_RAM_BASE;
}

#endif
