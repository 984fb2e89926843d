/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of the journal share. */
#ifndef DATABASE_JOURNAL_PRIV_H
#define DATABASE_JOURNAL_PRIV_H

#include "base/base.h"
#include "database/database_priv.h"
#include "database/journal.h"

struct client {
    uint8_t guid[16];
    uint64_t newest; /* number of a request */
    uint64_t used;   /* revision of its last transaction */
    struct {
        uint64_t request, revision;
    } answer[ULV_JOURNAL_ANSWERS_MAX];
};

/* Entries on their way into a frame. */
struct frame_buffer {
    uint8_t *p; /* a struct ulv_journal_frame, then entries */
    size_t used, capacity;
    uint32_t entry_count;
    ulv_status status; /* of the first failure: no memory */
};

struct ulv_journal {
    const struct ulv_host *host;
    const struct ulv_storage *storage;
    struct ulv_database *db;
    uint8_t guid[16];
    uint64_t segment;  /* the one that is appended to; 0: none yet */
    uint64_t sequence; /* of the last frame in it */
    uint64_t bytes;    /* appended to it */
    uint64_t checkpoint_bytes, due; /* a checkpoint is, at so many bytes */
    bool begun;   /* the next segment has its header */
    bool broken;  /* nothing may be appended: the next segment is to begin */
    uint32_t leases; /* that the storage knows of */
    struct frame_buffer frame; /* of the group */
    uint32_t held;
    struct ulv_journal_answer pending[ULV_JOURNAL_GROUP_MAX];
    uint32_t pending_count;
    struct client *client[ULV_JOURNAL_CLIENTS_MAX];
};

/* A record as the storage has it, until the database is made of all. */
struct staged {
    struct staged *next;
    ulv_id id;
    uint32_t kind, bytes; /* of the content, which follows */
    uint32_t line;    /* of the text that it is from; 0: a journal */
    uint32_t limited; /* a partition: 1: its quotas were there */
};

struct stage {
    const struct ulv_host *host;
    const char *name; /* of the text; NULL: a journal */
    struct staged **bucket;
    uint32_t bucket_count, count;
    uint64_t revision;
};

/* stage.c */
/* In place of what was there with that id, which is what p begins with.
 * NULL: no memory. */
struct staged *ulv_stage_put(struct stage *stage, uint32_t kind, const void *p,
                             uint32_t bytes);
struct staged *ulv_stage_find(const struct stage *stage, ulv_id id);
void ulv_stage_remove(struct stage *stage, ulv_id id);
void ulv_stage_fini(struct stage *stage);

/* No database grows older. */
#define ULV_REVISION_MAX (UINT64_C(1) << 62)

/* group.c: must_end: the next transaction would lease ids, see there */
bool ulv_database_group_must_end(const struct ulv_database *db);
/* Consumes the plan, on failure too. Errors: NO_MEMORY */
ulv_status ulv_database_hold(struct ulv_database *db, struct ulv_plan *plan);
void ulv_database_keep_held(struct ulv_database *db);
void ulv_database_undo_held(struct ulv_database *db);

/* journal_write.c */
void ulv_journal_encode_state(struct ulv_journal *j, uint64_t revision);
void ulv_journal_encode_plan(struct ulv_journal *j, struct ulv_plan *plan,
                             const struct ulv_journal_answer *answer);
/* The frame is closed, and made of a number; its bytes are in the buffer. */
void ulv_journal_close_frame(struct ulv_journal *j, struct frame_buffer *frame,
                             uint64_t segment, uint64_t sequence);
/* The whole database into ULV_STORAGE_NEXT, synced. */
ulv_status ulv_journal_write_all(struct ulv_journal *j, uint64_t segment,
                                 struct ulv_diag *diag);
void ulv_journal_make_header(const struct ulv_journal *j, uint32_t kind,
                             uint64_t segment, struct ulv_journal_header *ret);

/* journal_read.c: what the storage has, into stage, leases, log and clients;
 * *ret_found: whether it has anything */
ulv_status ulv_journal_read_all(struct ulv_journal *j, struct stage *stage,
                                bool *ret_found, struct ulv_diag *diag);

/* restore.c, restore_machine.c */
struct restore {
    struct ulv_database *db;
    const struct stage *stage;
    struct staged **record; /* ascending id, unless said otherwise */
    uint32_t count;
    struct ulv_diag *diag;
};
ulv_status ulv_restore_wrong(const struct restore *w, ulv_id id,
                             uint64_t value, const char *what);
/* Errors: FORMAT (a version of the future), NO_MEMORY */
ulv_status ulv_restore_insert(const struct restore *w, ulv_id id,
                              uint64_t version, uint32_t kind, size_t bytes,
                              struct record **ret);
ulv_status ulv_restore_range(struct restore *w, const void *content);
ulv_status ulv_restore_hardware(struct restore *w, const void *content);
/* When all of them are there. */
ulv_status ulv_restore_parent(struct restore *w, const void *content);
ulv_status ulv_restore_retired(struct restore *w, const void *content);
/* Behind those. */
ulv_status ulv_restore_gone(struct restore *w, const void *content);
ulv_status ulv_database_restore(struct ulv_database *db,
                                const struct stage *stage,
                                struct ulv_diag *diag);

/* journal.c: NULL: no memory */
struct client *ulv_journal_client(struct ulv_journal *j,
                                  const uint8_t guid[16]);
void ulv_journal_remember(struct client *c,
                          const struct ulv_journal_answer *answer);

#endif
