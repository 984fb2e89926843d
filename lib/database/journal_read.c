/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * From bytes to what the database shall be. Nothing that is read is believed:
 * it may be cut, torn, of another journal, or not one at all. What is refused
 * is refused whole, and the storage is left as it is.
 *
 * A segment ends with its last whole frame. What lies behind was never
 * acknowledged, unless a whole frame of a later number lies there: then what is
 * between was, and is damaged.
 */
#include "database/journal_priv.h"

#define WINDOW_BYTES 65536u

struct reader {
    struct ulv_journal *j;
    struct stage *stage;
    uint32_t object;
    uint64_t bytes;  /* of the object */
    uint64_t offset; /* of the frame or header that is being read */
    uint64_t segment, sequence;
    uint64_t entry_count; /* so far */
    bool ended, has_state;
    uint8_t *p; /* a frame */
    size_t capacity;
    struct ulv_diag *diag;
};

static const char *
object_name(uint32_t object)
{
    return object == ULV_STORAGE_CHECKPOINT ? "checkpoint" : "segment";
}

static ulv_status
damaged(const struct reader *r, uint64_t value, const char *what)
{
    return ulv_fail(r->diag, ULV_E_FORMAT, r->object, r->offset, value,
                    "the journal's %s is damaged at byte %u: %s (%u); "
                    "nothing was changed",
                    object_name(r->object), r->offset, what, value);
}

/* ---- entries ------------------------------------------------------------- */

/* It was used, so it is not used again. */
static ulv_status
burn_id(const struct reader *r, ulv_id id)
{
    struct ulv_database *db = r->j->db;
    const uint64_t block = id / ULV_ID_LEASE_COUNT;

    if (id == 0 || block >= db->lease_count)
        return damaged(r, id, "an id that was never leased");
    db->leases[block].next = ULV_MAX(db->leases[block].next, id + 1);
    return ULV_OK;
}

static ulv_status
take_state(struct reader *r, const struct ulv_journal_state *state)
{
    struct ulv_database *db = r->j->db;

    if (state->own_next > state->own_end ||
        state->own_end > (uint64_t)db->lease_count * ULV_ID_LEASE_COUNT ||
        (state->own_next < state->own_end &&
         !db->leases[state->own_next / ULV_ID_LEASE_COUNT].own) ||
        state->own_end - state->own_next > ULV_ID_LEASE_COUNT)
        return damaged(r, state->own_next, "ids of the database's own");
    if (r->object != ULV_STORAGE_CHECKPOINT &&
        state->revision != r->stage->revision)
        return damaged(r, state->revision, "a revision that does not follow");
    r->has_state = true;
    r->stage->revision = state->revision;
    db->own_next = state->own_next;
    db->own_end = state->own_end;
    return ULV_OK;
}

/* The database is new, and has the first lease for its own. */
static ulv_status
take_lease(const struct reader *r, const struct ulv_journal_lease *lease)
{
    struct ulv_database *db = r->j->db;
    const uint64_t first = lease->block * ULV_ID_LEASE_COUNT;
    ulv_id leased;

    if (lease->block > db->lease_count || lease->own > 1 ||
        lease->block > UINT32_MAX || lease->next < first ||
        lease->next - first > ULV_ID_LEASE_COUNT)
        return damaged(r, lease->block, "a lease of ids");
    if (lease->block == db->lease_count &&
        ulv_database_lease(db, &leased) != ULV_OK)
        return ulv_db_no_memory(r->diag);
    db->leases[lease->block].next = lease->next;
    db->leases[lease->block].own = lease->own != 0;
    return ULV_OK;
}

static ulv_status
take_transaction(struct reader *r, const struct ulv_log_record *log)
{
    struct ulv_database *db = r->j->db;

    if (r->object == ULV_STORAGE_CHECKPOINT
            ? log->revision > r->stage->revision
            : log->revision != ++r->stage->revision)
        return damaged(r, log->revision, "a revision that does not follow");
    db->log[log->revision % ULV_LOG_COUNT] = *log;
    return ULV_OK;
}

static ulv_status
take_answer(const struct reader *r, const struct ulv_journal_answer *answer)
{
    struct client *c = ulv_journal_client(r->j, answer->client);

    if (c == NULL)
        return ulv_db_no_memory(r->diag);
    if (answer->request == 0)
        return damaged(r, 0, "an answer to no request");
    ulv_journal_remember(c, answer);
    return ULV_OK;
}

static ulv_status
take_record(const struct reader *r, const struct ulv_journal_entry *e)
{
    ulv_id id;
    ulv_status status;

    memcpy(&id, e + 1, sizeof(id));
    status = burn_id(r, id);
    if (status == ULV_OK &&
        ulv_stage_put(r->stage, e->kind, e + 1, e->bytes) == NULL)
        status = ulv_db_no_memory(r->diag);
    return status;
}

static const struct {
    uint32_t bytes, more; /* at least, and a multiple of that on top */
} entry_bytes[] = {
    [ULV_JOURNAL_STATE] = { sizeof(struct ulv_journal_state), 0 },
    [ULV_JOURNAL_LEASE] = { sizeof(struct ulv_journal_lease), 0 },
    [ULV_JOURNAL_TRANSACTION] = { sizeof(struct ulv_log_record), 0 },
    [ULV_JOURNAL_REMOVE] = { sizeof(struct ulv_journal_remove), 0 },
    [ULV_JOURNAL_ANSWER] = { sizeof(struct ulv_journal_answer), 0 },
    [ULV_JOURNAL_END] = { sizeof(struct ulv_journal_end), 0 },
    [ULV_JOURNAL_PARTITION] = { sizeof(struct ulv_journal_partition),
                                sizeof(struct ulv_journal_share) },
    [ULV_JOURNAL_PROCESSOR] = { sizeof(struct ulv_journal_processor), 0 },
    [ULV_JOURNAL_POOL] = { sizeof(struct ulv_journal_pool), 0 },
    [ULV_JOURNAL_DEVICE] = { sizeof(struct ulv_journal_device), 0 },
    [ULV_JOURNAL_EXTENT] = { sizeof(struct ulv_journal_extent), 0 },
    [ULV_JOURNAL_CHANNEL] = { sizeof(struct ulv_journal_channel), 0 },
    [ULV_JOURNAL_ZONE] = { sizeof(struct ulv_journal_zone), 0 },
    [ULV_JOURNAL_LABEL] = { sizeof(struct ulv_journal_label), 0 },
    [ULV_JOURNAL_RANGE] = { sizeof(struct ulv_journal_range), 0 },
    [ULV_JOURNAL_HARDWARE] = { sizeof(struct ulv_journal_hardware), 0 },
    [ULV_JOURNAL_RETIRED] = { sizeof(struct ulv_journal_retired), 0 },
};

static bool
size_is_right(const struct ulv_journal_entry *e)
{
    uint32_t least;

    if (e->kind == 0 || e->kind >= ULV_COUNT_OF(entry_bytes))
        return false;
    least = entry_bytes[e->kind].bytes;
    if (entry_bytes[e->kind].more == 0)
        return e->bytes == least;
    return e->bytes >= least && (e->bytes - least) % entry_bytes[e->kind].more
                                    == 0;
}

static ulv_status
take_entry(struct reader *r, const struct ulv_journal_entry *e)
{
    const void *content = e + 1;
    ulv_status status;
    ulv_id id;

    if (!size_is_right(e) || r->ended)
        return damaged(r, e->kind, "an entry of an unknown kind or size");
    switch (e->kind) {
    case ULV_JOURNAL_STATE:
        return take_state(r, content);
    case ULV_JOURNAL_LEASE:
        return take_lease(r, content);
    case ULV_JOURNAL_TRANSACTION:
        return take_transaction(r, content);
    case ULV_JOURNAL_ANSWER:
        return take_answer(r, content);
    case ULV_JOURNAL_REMOVE:
        memcpy(&id, content, sizeof(id));
        status = burn_id(r, id);
        if (status == ULV_OK)
            ulv_stage_remove(r->stage, id);
        return status;
    case ULV_JOURNAL_END:
        r->ended = true;
        memcpy(&id, content, sizeof(id));
        return r->object == ULV_STORAGE_CHECKPOINT && id == r->entry_count
                   ? ULV_OK
                   : damaged(r, id, "an end that comes too early or late");
    default:
        return take_record(r, e);
    }
}

static ulv_status
take_entries(struct reader *r, const struct ulv_journal_frame *frame)
{
    const uint8_t *at = (const void *)(frame + 1);
    uint32_t left = frame->bytes, count = 0;

    for (; left > 0; count++) {
        const struct ulv_journal_entry *e = (const void *)at;
        ulv_status status;

        if (left < sizeof(*e) || e->bytes % 8 != 0 ||
            e->bytes > left - sizeof(*e))
            return damaged(r, left, "an entry that ends outside its frame");
        status = take_entry(r, e);
        if (status != ULV_OK)
            return status;
        r->entry_count++;
        at += sizeof(*e) + e->bytes;
        left -= (uint32_t)sizeof(*e) + e->bytes;
    }
    if (count != frame->entry_count)
        return damaged(r, frame->entry_count, "another number of entries");
    return ULV_OK;
}

/* ---- frames -------------------------------------------------------------- */

static ulv_status
make_room(struct reader *r, size_t bytes)
{
    const struct ulv_host *host = r->j->host;

    if (bytes <= r->capacity)
        return ULV_OK;
    host->free(host->self, r->p, r->capacity);
    r->capacity = 0;
    r->p = host->alloc(host->self, bytes, 8);
    if (r->p == NULL)
        return ulv_db_no_memory(r->diag);
    r->capacity = bytes;
    return ULV_OK;
}

/* Whether a whole frame of a number from sequence on is there; its bytes are in
 * r->p then. Errors: only what has nothing to do with the content. */
static ulv_status
read_frame(struct reader *r, uint64_t offset, uint64_t sequence, bool *ret)
{
    const struct ulv_storage *storage = r->j->storage;
    struct ulv_journal_frame frame;
    uint64_t bytes;
    uint32_t crc;
    ulv_status status;

    *ret = false;
    if (!ulv_range_inside(offset, sizeof(frame), r->bytes))
        return ULV_OK;
    status = storage->read(storage->self, r->object, offset, &frame,
                           sizeof(frame), r->diag);
    bytes = sizeof(frame) + (uint64_t)frame.bytes;
    if (status != ULV_OK || frame.magic != ULV_JOURNAL_FRAME ||
        frame.segment != r->segment || frame.sequence < sequence ||
        frame.bytes % 8 != 0 || frame.bytes > ULV_JOURNAL_FRAME_BYTES_MAX ||
        !ulv_range_inside(offset, bytes, r->bytes))
        return status;
    status = make_room(r, bytes);
    if (status == ULV_OK)
        status = storage->read(storage->self, r->object, offset, r->p, bytes,
                               r->diag);
    if (status != ULV_OK)
        return status;
    memcpy(r->p, &frame, sizeof(frame)); /* as it was looked at */
    ((struct ulv_journal_frame *)(void *)r->p)->crc = 0;
    crc = ulv_crc32c(0, r->j->guid, sizeof(r->j->guid));
    *ret = ulv_crc32c(crc, r->p, bytes) == frame.crc;
    return ULV_OK;
}

/* Frames in turn, to the first that is not one. */
static ulv_status
take_frames(struct reader *r)
{
    bool whole = true;
    ulv_status status = ULV_OK;

    while (status == ULV_OK && whole && !r->ended) {
        const struct ulv_journal_frame *frame;

        status = read_frame(r, r->offset, r->sequence + 1, &whole);
        frame = (const void *)r->p;
        if (status != ULV_OK || !whole)
            break;
        if (frame->sequence != r->sequence + 1)
            return damaged(r, frame->sequence, "a frame is missing before");
        r->has_state = r->object == ULV_STORAGE_CHECKPOINT && r->has_state;
        status = take_entries(r, frame);
        if (status == ULV_OK && !r->has_state)
            return damaged(r, frame->sequence, "a frame without a state");
        r->sequence++;
        r->offset += sizeof(*frame) + frame->bytes;
    }
    return status;
}

/* Nothing whole may lie behind what was read last. */
static ulv_status
look_behind(struct reader *r)
{
    const struct ulv_storage *storage = r->j->storage;
    const struct ulv_host *host = r->j->host;
    uint8_t *window = host->alloc(host->self, WINDOW_BYTES, 8);
    ulv_status status = window == NULL ? ulv_db_no_memory(r->diag) : ULV_OK;

    for (uint64_t at = r->offset; at < r->bytes && status == ULV_OK;
         at += WINDOW_BYTES) {
        const size_t len = ULV_MIN(WINDOW_BYTES, r->bytes - at);

        status = storage->read(storage->self, r->object, at, window, len,
                               r->diag);
        for (size_t i = 0; i + 8 <= len && status == ULV_OK; i += 8) {
            bool whole = false;

            if (ulv_get_le32(window + i) == ULV_JOURNAL_FRAME)
                status = read_frame(r, at + i, r->sequence + 1, &whole);
            if (status == ULV_OK && whole)
                status = damaged(r, at + i, "a later record is whole");
        }
    }
    host->free(host->self, window, WINDOW_BYTES);
    return status;
}

/* ---- objects ------------------------------------------------------------- */

static ulv_status
read_header(struct reader *r, struct ulv_journal_header *ret)
{
    static const uint8_t magic[8] = ULV_JOURNAL_MAGIC;
    const struct ulv_storage *storage = r->j->storage;
    ulv_status status;

    r->offset = 0;
    if (r->bytes < sizeof(*ret))
        return damaged(r, r->bytes, "it is too short");
    status = storage->read(storage->self, r->object, 0, ret, sizeof(*ret),
                           r->diag);
    if (status != ULV_OK)
        return status;
    if (memcmp(ret->magic, magic, sizeof(magic)) != 0)
        return damaged(r, ret->magic[0], "it is no journal");
    if (ret->version != ULV_JOURNAL_VERSION)
        return ulv_fail(r->diag, ULV_E_FORMAT, r->object, ret->version,
                        ULV_JOURNAL_VERSION,
                        "the journal's %s is of version %u, this library "
                        "knows %u; nothing was changed",
                        object_name(r->object), (uint64_t)ret->version,
                        (uint64_t)ULV_JOURNAL_VERSION);
    if (ret->crc !=
        ulv_crc32c(0, ret, offsetof(struct ulv_journal_header, crc)))
        return damaged(r, ret->crc, "the checksum of its header");
    r->offset = sizeof(*ret);
    return ULV_OK;
}

static ulv_status
look_at(struct reader *r, uint32_t object)
{
    const struct ulv_storage *storage = r->j->storage;

    r->object = object;
    r->ended = r->has_state = false;
    r->entry_count = 0;
    return storage->bytes(storage->self, object, &r->bytes, r->diag);
}

/* There is no checkpoint: nor may there be anything that one has led to. The
 * first segment may have been begun, and then the crash came. */
static ulv_status
check_empty(struct reader *r)
{
    for (uint32_t i = 0; i < 2; i++) {
        ulv_status status = look_at(r, ULV_STORAGE_SEGMENT + i);

        if (status == ULV_OK &&
            r->bytes > (i == 1 ? sizeof(struct ulv_journal_header) : 0))
            status = damaged(r, r->bytes, "the checkpoint is missing");
        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

/* Queries count on the log to have each of the last revisions. */
static ulv_status
check_log(const struct reader *r)
{
    const uint64_t revision = r->stage->revision;
    const uint64_t count = ULV_MIN(revision, (uint64_t)ULV_LOG_COUNT);

    if (revision > ULV_REVISION_MAX)
        return damaged(r, revision, "a revision that cannot be");
    for (uint64_t i = 0; i < count; i++) {
        if (r->j->db->log[(revision - i) % ULV_LOG_COUNT].revision !=
            revision - i)
            return damaged(r, revision - i, "a transaction is missing");
    }
    return ULV_OK;
}

static ulv_status
read_checkpoint(struct reader *r, struct ulv_journal_header *header)
{
    ulv_status status = read_header(r, header);

    if (status != ULV_OK)
        return status;
    if (header->kind != ULV_JOURNAL_CHECKPOINT || header->segment == 0)
        return damaged(r, header->kind, "it is no checkpoint");
    memcpy(r->j->guid, header->journal, sizeof(r->j->guid));
    r->segment = header->segment;
    r->sequence = 0;
    status = take_frames(r);
    if (status != ULV_OK)
        return status;
    if (!r->ended || !r->has_state || r->offset != r->bytes)
        return damaged(r, r->bytes, "it does not end here");
    return check_log(r);
}

static ulv_status
read_segment(struct reader *r, const struct ulv_journal_header *checkpoint)
{
    struct ulv_journal_header header;
    ulv_status status = read_header(r, &header);

    if (status != ULV_OK)
        return status;
    if (header.kind != ULV_JOURNAL_SEGMENT ||
        header.segment != checkpoint->segment ||
        !ulv_guid_equal(header.journal, checkpoint->journal))
        return damaged(r, header.segment, "it is not the one that goes on");
    r->segment = checkpoint->segment;
    r->sequence = checkpoint->sequence;
    status = take_frames(r);
    if (status == ULV_OK)
        status = look_behind(r);
    r->j->segment = r->segment;
    r->j->sequence = r->sequence;
    return status;
}

ulv_status
ulv_journal_read_all(struct ulv_journal *j, struct stage *stage,
                     bool *ret_found, struct ulv_diag *diag)
{
    const struct ulv_host *host = j->host;
    struct reader r = { .j = j, .stage = stage, .diag = diag };
    struct ulv_journal_header header;
    ulv_status status = look_at(&r, ULV_STORAGE_CHECKPOINT);

    if (status == ULV_OK && r.bytes == 0)
        return check_empty(&r);
    *ret_found = true;
    if (status == ULV_OK)
        status = read_checkpoint(&r, &header);
    if (status == ULV_OK)
        status = look_at(&r, ULV_STORAGE_SEGMENT + header.segment % 2);
    if (status == ULV_OK)
        status = read_segment(&r, &header);
    host->free(host->self, r.p, r.capacity);
    return status;
}
