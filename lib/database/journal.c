/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: the checkpoint names a segment, and the database as last
 * acknowledged is what the checkpoint says, changed by each whole frame of that
 * segment in turn. Behind the last acknowledged frame lies at most one that was
 * not acknowledged, whole or in part.
 *
 * Cn = checkpoint that names segment n, Sn = that segment's header is synced,
 * F = a frame is appended and synced, ! = the storage fails, X = a crash.
 *
 * 1. S1 C1 F F F S2 C2 F: what segment 1 had is in checkpoint 2.
 * 2. S1 C1 F X, and C1 is read with what is whole of F: then S2 C2, so that
 *    what was read is synced before anybody hears of it, and what was torn is
 *    never looked at again.
 * 3. S1 C1 F F! S2 C2: the second F is undone here, and may be in segment 1;
 *    nothing is committed before a checkpoint without it is there.
 * 4. S1 C1 F S2 C2!: whether C1 or C2 is found after a crash is not known, and
 *    both say the same until the next F. It goes into segment 2 only, and only
 *    after C2 succeeded.
 * 5. What must fail: S1 C1 F F! F in the same segment: if the storage has the
 *    second F after all, a crash brings back what was said to have failed, and
 *    under it lies what was said to have happened.
 */
#include "database/journal_priv.h"

#define DUE_BYTES_MIN UINT64_C(1048576) /* between checkpoints at least */

static uint32_t
segment_object(uint64_t segment)
{
    return ULV_STORAGE_SEGMENT + (uint32_t)(segment % 2);
}

/* ---- answers ------------------------------------------------------------- */

struct client *
ulv_journal_client(struct ulv_journal *j, const uint8_t guid[16])
{
    const struct ulv_host *host = j->host;
    struct client **oldest = &j->client[0];

    for (uint32_t i = 0; i < ULV_JOURNAL_CLIENTS_MAX; i++) {
        struct client **at = &j->client[i];

        if (*at == NULL) {
            *at = host->alloc(host->self, sizeof(**at), 8);
            oldest = at;
            break;
        }
        if (ulv_guid_equal((*at)->guid, guid))
            return *at;
        if ((*at)->used < (*oldest)->used)
            oldest = at;
    }
    if (*oldest == NULL)
        return NULL;
    memset(*oldest, 0, sizeof(**oldest));
    memcpy((*oldest)->guid, guid, 16);
    return *oldest;
}

void
ulv_journal_remember(struct client *c, const struct ulv_journal_answer *answer)
{
    const uint64_t i = answer->request % ULV_JOURNAL_ANSWERS_MAX;

    c->newest = ULV_MAX(c->newest, answer->request);
    c->used = ULV_MAX(c->used, answer->revision);
    c->answer[i].request = answer->request;
    c->answer[i].revision = answer->revision;
}

ulv_status
ulv_journal_recall(const struct ulv_journal *j, const uint8_t client[16],
                   uint32_t idx, uint64_t *ret_newest,
                   struct ulv_journal_answer *ret)
{
    const struct client *c = NULL;

    for (uint32_t i = 0; i < ULV_JOURNAL_CLIENTS_MAX && c == NULL; i++) {
        if (j->client[i] != NULL &&
            ulv_guid_equal(j->client[i]->guid, client))
            c = j->client[i];
    }
    for (uint32_t i = 0; c != NULL && i < ULV_JOURNAL_ANSWERS_MAX; i++) {
        if (c->answer[i].request == 0 || idx-- > 0)
            continue;
        memcpy(ret->client, c->guid, 16);
        ret->request = c->answer[i].request;
        ret->revision = c->answer[i].revision;
        *ret_newest = c->newest;
        return ULV_OK;
    }
    return ULV_E_NOT_FOUND;
}

/* ---- segments ------------------------------------------------------------ */

/* An empty one, of which no checkpoint that may be found knows yet. */
static ulv_status
begin_segment(struct ulv_journal *j, uint64_t segment, struct ulv_diag *diag)
{
    const struct ulv_storage *storage = j->storage;
    const uint32_t object = segment_object(segment);
    struct ulv_journal_header header;
    ulv_status status = storage->truncate(storage->self, object, 0, diag);

    ulv_journal_make_header(j, ULV_JOURNAL_SEGMENT, segment, &header);
    if (status == ULV_OK)
        status = storage->append(storage->self, object, &header,
                                 sizeof(header), diag);
    if (status == ULV_OK)
        status = storage->sync(storage->self, object, diag);
    j->begun = status == ULV_OK;
    return status;
}

ulv_status
ulv_journal_checkpoint(struct ulv_journal *j, struct ulv_diag *diag)
{
    const struct ulv_storage *storage = j->storage;
    const uint64_t segment = j->segment + 1;
    ulv_status status = ULV_OK;

    if (j->db->plan != NULL || j->held != 0)
        return ulv_fail(diag, ULV_E_BUSY, 0, j->held, 0,
                        "no checkpoint while a transaction is under way");
    if (!j->begun)
        status = begin_segment(j, segment, diag);
    if (status == ULV_OK)
        status = ulv_journal_write_all(j, segment, diag);
    if (status != ULV_OK)
        return status;
    j->broken = true; /* from here on either checkpoint may be found */
    status = storage->replace(storage->self, ULV_STORAGE_NEXT,
                              ULV_STORAGE_CHECKPOINT, diag);
    if (status != ULV_OK)
        return status;
    j->segment = segment;
    j->begun = j->broken = false;
    j->bytes = 0;
    j->leases = j->db->lease_count;
    j->due = ULV_MAX(DUE_BYTES_MIN, 2 * j->checkpoint_bytes);
    return ULV_OK;
}

/* Between groups: mend, or make place. That a checkpoint cannot be written
 * while the segment is good is no failure yet. */
static ulv_status
tidy(struct ulv_journal *j, struct ulv_diag *diag)
{
    ulv_status status;

    if (j->broken)
        return ulv_journal_checkpoint(j, diag);
    if (j->bytes < j->due)
        return ULV_OK;
    status = ulv_journal_checkpoint(j, NULL);
    if (status == ULV_OK)
        return ULV_OK;
    j->due = j->bytes + DUE_BYTES_MIN; /* later, then */
    return j->broken ? ulv_journal_checkpoint(j, diag) : ULV_OK;
}

/* ---- life ---------------------------------------------------------------- */

static void
make_guid(struct ulv_journal *j)
{
    const struct ulv_host *host = j->host;
    ulv_nsec now = host->now(host->self);

    if (host->entropy != NULL)
        host->entropy(host->self, j->guid, sizeof(j->guid));
    else
        memcpy(j->guid, &now, sizeof(now));
}

static ulv_status
restore(struct ulv_journal *j, bool *ret_found, struct ulv_diag *diag)
{
    struct stage stage = { .host = j->host };
    ulv_status status;

    *ret_found = false;
    status = ulv_journal_read_all(j, &stage, ret_found, diag);
    if (status == ULV_OK && *ret_found)
        status = ulv_database_restore(j->db, &stage, diag);
    ulv_stage_fini(&stage);
    if (status == ULV_OK && !*ret_found)
        make_guid(j);
    return status;
}

static struct ulv_journal *
create(struct ulv_database *db, const struct ulv_storage *storage)
{
    const struct ulv_host *host = db->host;
    struct ulv_journal *j = host->alloc(host->self, sizeof(*j), 8);

    if (j == NULL)
        return NULL;
    j->host = host;
    j->storage = storage;
    j->db = db;
    return j;
}

ulv_status
ulv_journal_read(struct ulv_database *db, const struct ulv_storage *storage,
                 bool *ret_found, struct ulv_diag *diag)
{
    struct ulv_journal *j = create(db, storage);
    ulv_status status;

    *ret_found = false;
    if (j == NULL)
        return ulv_db_no_memory(diag);
    status = restore(j, ret_found, diag);
    ulv_journal_close(j);
    return status;
}

ulv_status
ulv_journal_open(struct ulv_database *db, const struct ulv_storage *storage,
                 struct ulv_journal **ret, struct ulv_diag *diag)
{
    struct ulv_journal *j = create(db, storage);
    bool found;
    ulv_status status;

    if (j == NULL)
        return ulv_db_no_memory(diag);
    status = restore(j, &found, diag);
    if (status == ULV_OK)
        status = ulv_journal_checkpoint(j, diag);
    if (status != ULV_OK) {
        ulv_journal_close(j);
        return status;
    }
    *ret = j;
    return ULV_OK;
}

void
ulv_journal_close(struct ulv_journal *j)
{
    const struct ulv_host *host;

    if (j == NULL)
        return;
    host = j->host;
    if (j->db->plan != NULL)
        ulv_database_abort(j->db, j->db->plan);
    ulv_database_undo_held(j->db);
    for (uint32_t i = 0; i < ULV_JOURNAL_CLIENTS_MAX; i++)
        host->free(host->self, j->client[i], sizeof(*j->client[i]));
    host->free(host->self, j->frame.p, j->frame.capacity);
    host->free(host->self, j, sizeof(*j));
}

/* ---- transactions -------------------------------------------------------- */

ulv_status
ulv_journal_prepare(struct ulv_journal *j, const struct ulv_request *request,
                    struct ulv_plan **ret_plan, uint32_t *ret_operation_idx,
                    struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    *ret_plan = NULL;
    *ret_operation_idx = UINT32_MAX;
    if (j->db->plan == NULL && j->held == 0)
        status = tidy(j, diag);
    if (status != ULV_OK)
        return status;
    if (j->held == ULV_JOURNAL_GROUP_MAX ||
        ulv_database_group_must_end(j->db))
        return ulv_fail(diag, ULV_E_AGAIN, 0, j->held, ULV_JOURNAL_GROUP_MAX,
                        "the group of %u transactions is to be synced first",
                        (uint64_t)j->held);
    return ulv_database_prepare(j->db, request, ret_plan, ret_operation_idx,
                                diag);
}

/* The plan as entries of the frame, and held; or nothing, and aborted. */
static ulv_status
encode_and_hold(struct ulv_journal *j, struct ulv_plan *plan,
                const struct ulv_journal_answer *answer)
{
    struct frame_buffer *f = &j->frame;
    const size_t used = f->used;
    const uint32_t entry_count = f->entry_count, leases = j->leases;
    ulv_status status;

    ulv_journal_encode_plan(j, plan, answer);
    status = f->status;
    if (status == ULV_OK)
        status = ulv_database_hold(j->db, plan);
    else
        ulv_database_abort(j->db, plan);
    if (status != ULV_OK) {
        f->used = used;
        f->entry_count = entry_count;
        f->status = ULV_OK;
        j->leases = leases;
    }
    return status;
}

ulv_status
ulv_journal_hold(struct ulv_journal *j, struct ulv_plan *plan,
                 struct ulv_journal_answer *answer, uint64_t *ret_revision,
                 struct ulv_diag *diag)
{
    plan->log.revision = j->db->revision + 1;
    if (answer != NULL) {
        answer->revision = plan->log.revision;
        if (ulv_journal_client(j, answer->client) == NULL) {
            ulv_database_abort(j->db, plan);
            return ulv_db_no_memory(diag);
        }
    }
    if (encode_and_hold(j, plan, answer) != ULV_OK)
        return ulv_db_no_memory(diag);
    if (answer != NULL)
        j->pending[j->pending_count++] = *answer;
    j->held++;
    *ret_revision = j->db->revision;
    return ULV_OK;
}

/* Append the frame; what is in the storage afterwards is known on success
 * only. */
static ulv_status
write_frame(struct ulv_journal *j, uint64_t revision, struct ulv_diag *diag)
{
    const struct ulv_storage *storage = j->storage;
    const uint32_t object = segment_object(j->segment);
    struct frame_buffer *f = &j->frame;
    ulv_status status;

    ulv_journal_encode_state(j, revision);
    if (f->status != ULV_OK)
        return ulv_db_no_memory(diag);
    ulv_journal_close_frame(j, f, j->segment, j->sequence + 1);
    status = storage->append(storage->self, object, f->p, f->used, diag);
    if (status == ULV_OK)
        status = storage->sync(storage->self, object, diag);
    if (status == ULV_OK) {
        j->sequence++;
        j->bytes += f->used;
    }
    return status;
}

/* What may be in the segment is to go: at best at once. */
static void
cut_off(struct ulv_journal *j)
{
    const struct ulv_storage *storage = j->storage;
    const uint32_t object = segment_object(j->segment);

    j->broken = true;
    if (storage->truncate(storage->self, object,
                          sizeof(struct ulv_journal_header) + j->bytes,
                          NULL) == ULV_OK)
        (void)storage->sync(storage->self, object, NULL);
}

static void
empty_frame(struct ulv_journal *j)
{
    j->frame.used = 0;
    j->frame.entry_count = 0;
    j->frame.status = ULV_OK;
}

ulv_status
ulv_journal_sync(struct ulv_journal *j, struct ulv_diag *diag)
{
    ulv_status status;

    if (j->held == 0 && j->frame.entry_count == 0)
        return ULV_OK;
    status = write_frame(j, j->db->revision, diag);
    if (status == ULV_OK) {
        ulv_database_keep_held(j->db);
        for (uint32_t i = 0; i < j->pending_count; i++)
            ulv_journal_remember(ulv_journal_client(j, j->pending[i].client),
                                 &j->pending[i]);
    } else {
        ulv_database_undo_held(j->db);
        cut_off(j);
    }
    j->held = j->pending_count = 0;
    empty_frame(j);
    return status;
}

ulv_status
ulv_journal_write(struct ulv_journal *j, struct ulv_plan *plan,
                  struct ulv_journal_answer *answer, struct ulv_diag *diag)
{
    struct client *c = NULL;
    ulv_status status;

    if (j->held != 0)
        return ulv_fail(diag, ULV_E_BUSY, 0, j->held, 0,
                        "a group of %u transactions is to be synced first",
                        (uint64_t)j->held);
    plan->log.revision = j->db->revision + 1;
    if (answer != NULL) {
        answer->revision = plan->log.revision;
        c = ulv_journal_client(j, answer->client);
        if (c == NULL)
            return ulv_db_no_memory(diag);
    }
    ulv_journal_encode_plan(j, plan, answer);
    status = write_frame(j, plan->log.revision, diag);
    if (status == ULV_OK && c != NULL)
        ulv_journal_remember(c, answer);
    if (status != ULV_OK)
        cut_off(j);
    empty_frame(j);
    return status;
}

ulv_status
ulv_journal_lease(struct ulv_journal *j, ulv_id *ret_first,
                  struct ulv_diag *diag)
{
    ulv_status status = j->held == 0 ? ULV_OK : ulv_journal_sync(j, diag);

    if (status == ULV_OK)
        status = tidy(j, diag);
    if (status != ULV_OK)
        return status;
    status = ulv_database_lease(j->db, ret_first);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "no ids are left");
    ulv_journal_encode_state(j, j->db->revision);
    return ulv_journal_sync(j, diag);
}
