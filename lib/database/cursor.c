/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Cursors: records as they were at one revision, read in pieces while
 * transactions go on. Opening one copies nothing; a record that it has still to
 * come to is kept, as it was, when it is about to change or to go.
 *
 * Invariant, of a cursor of revision R that stands at a kind and an id: what it
 * has still to say are the records behind that whose version is at most R, and
 * the images. What is changed or made later has a version above R.
 *
 * c = changed, m = made, r = removed, ^ = where it stands.
 *
 * 1. 1 2 ^ 3 4c 5: 4 is kept; it says 3, 5, and then the image of 4.
 * 2. 1 2 ^ 3 4cc 5r: 4 is kept once, its version tells; 5 is kept.
 * 3. 1c 2 ^ 3 4m: nothing is kept: 1 was said, 4 was not there.
 * 4. 3 4c ^, and the plan that changes 4 is undone: its version is that of
 *    before again, and the image of it goes. What must fail is to keep it: 4
 *    would be said twice.
 *
 * Pools, zones and quotas say sums that change without a version, and shares of
 * processors have none: all of them are kept when the cursor is opened.
 */
#include "database/observe_priv.h"

#define KIND(kind) (1u << ULV_QUERY_##kind)
#define SUMS                                                                   \
    (KIND(MEMORY) | KIND(ZONES) | KIND(QUOTAS) | KIND(RETIRED) | KIND(SHARES))
#define RECORDS                                                                \
    (KIND(PARTITIONS) | KIND(CHANNELS) | KIND(DEVICES) | KIND(PROCESSORS) |    \
     KIND(EXTENTS) | KIND(LABELS) | KIND(RANGES) | KIND(HARDWARE))

struct image {
    struct image *next; /* newest first */
    uint64_t revision;  /* of the transaction that changes it */
    uint32_t kind, bytes; /* of what follows */
};

struct cursor {
    struct cursor *next;
    uint64_t number, revision;
    ulv_nsec deadline;
    uint8_t owner[16];
    ulv_id partition;
    uint32_t kinds; /* still to be said */
    uint32_t kind;  /* the lowest of them */
    bool expired;
    ulv_id after; /* of that kind, all up to here were looked at */
    ulv_id near;  /* the last record there is that is not behind it, or 0 */
    struct image *images;
    uint64_t bytes; /* of images */
};

static bool
concerns(const struct cursor *c, const struct record *r)
{
    uint64_t partition[ULV_CHANGE_PARTITIONS] = { 0 };

    if (c->partition == 0)
        return true;
    ulv_db_concerned(r, partition);
    for (uint32_t i = 0; i < ULV_CHANGE_PARTITIONS; i++) {
        if (partition[i] == c->partition)
            return true;
    }
    return false;
}

/* ---- images -------------------------------------------------------------- */

static void
drop_image(struct ulv_database *db, struct cursor *c, struct image **at)
{
    const struct ulv_host *host = db->host;
    struct image *image = *at;

    *at = image->next;
    c->bytes -= image->bytes;
    host->free(host->self, image, sizeof(*image) + image->bytes);
}

/* It cannot go on. */
static void
expire(struct ulv_database *db, struct cursor *c)
{
    while (c->images != NULL)
        drop_image(db, c, &c->images);
    c->expired = true;
}

void
ulv_db_write_share(const struct partition *p, const struct share *share,
                   struct ulv_share_record *ret)
{
    ret->id = p->r.id;
    ret->processor = share->processor->r.id;
    ret->quanta = share->quanta;
    ret->vcpu_idx = share->vcpu_idx;
    ret->mode = share->mode;
}

uint32_t
ulv_db_read_bytes(uint32_t kind)
{
    return kind == ULV_QUERY_SHARES ? sizeof(struct ulv_share_record)
                                    : ulv_db_record_bytes(kind);
}

/* Room for a record as it is now. */
static ulv_status
add_image(struct ulv_database *db, struct cursor *c, uint32_t kind,
          struct image **ret)
{
    const struct ulv_host *host = db->host;
    const uint32_t bytes = ulv_db_read_bytes(kind);
    struct image *image;

    if (c->bytes + bytes > ULV_CURSOR_BYTES_MAX)
        return ULV_E_LIMIT;
    image = host->alloc(host->self, sizeof(*image) + bytes, 8);
    if (image == NULL)
        return ULV_E_NO_MEMORY;
    image->revision = db->revision + 1;
    image->kind = kind;
    image->bytes = bytes;
    image->next = c->images;
    c->images = image;
    c->bytes += bytes;
    *ret = image;
    return ULV_OK;
}

static ulv_status
keep(struct ulv_database *db, struct cursor *c, const struct record *r,
     uint32_t kind)
{
    struct image *image;
    ulv_status status = add_image(db, c, kind, &image);

    if (status == ULV_OK)
        ulv_db_write_record(db, r, kind, image + 1);
    return status;
}

/* The virtual processors of a partition. */
static ulv_status
keep_shares(struct ulv_database *db, struct cursor *c, const struct record *r)
{
    const struct partition *p = (const void *)r;
    struct image *image;
    ulv_status status = ULV_OK;

    for (const struct share *s = p->shares; s != NULL; s = s->next) {
        status = add_image(db, c, ULV_QUERY_SHARES, &image);
        if (status != ULV_OK)
            break;
        ulv_db_write_share(p, s, (void *)(image + 1));
    }
    return status;
}

static bool
is_to_come(const struct cursor *c, const struct record *r)
{
    return r->version <= c->revision &&
           (c->kinds & RECORDS & 1u << r->kind) != 0 &&
           (r->kind != c->kind || r->id > c->after) && concerns(c, r);
}

void
ulv_db_cursors_before(struct ulv_database *db, const struct record *r,
                      uint32_t what)
{
    for (struct cursor *c = db->observed->cursors; c != NULL; c = c->next) {
        if (what == ULV_CHANGE_REMOVED && c->kind == r->kind &&
            c->near == r->id)
            c->near = r->before == NULL ? 0 : r->before->id;
        if (!c->expired && what != ULV_CHANGE_MADE && is_to_come(c, r) &&
            keep(db, c, r, r->kind) != ULV_OK)
            expire(db, c);
    }
}

void
ulv_db_cursors_undone(struct ulv_database *db)
{
    for (struct cursor *c = db->observed->cursors; c != NULL; c = c->next) {
        while (c->images != NULL && c->images->revision > db->revision)
            drop_image(db, c, &c->images);
        if (c->near != 0 && ulv_db_find(db, c->near, c->kind) == NULL)
            c->near = 0; /* made by what is undone: looked for anew */
    }
}

/* ---- life ---------------------------------------------------------------- */

static void
drop(struct ulv_database *db, struct cursor **at)
{
    const struct ulv_host *host = db->host;
    struct cursor *c = *at;

    expire(db, c);
    *at = c->next;
    db->observed->cursor_count--;
    host->free(host->self, c, sizeof(*c));
}

void
ulv_db_cursors_end(struct ulv_database *db)
{
    while (db->observed->cursors != NULL)
        drop(db, &db->observed->cursors);
}

/* Those that nobody has used for too long. */
void
ulv_db_cursors_shown(struct ulv_database *db)
{
    const ulv_nsec now = db->host->now(db->host->self);
    struct cursor **at = &db->observed->cursors;

    while (*at != NULL) {
        if ((*at)->deadline <= now)
            drop(db, at);
        else
            at = &(*at)->next;
    }
}

/* Records of a kind that sums: all, now. They are of this revision. */
static ulv_status
keep_sums(struct ulv_database *db, struct cursor *c, uint32_t kind)
{
    ulv_status status = ULV_OK;

    for (const struct record *r = db->first[ulv_db_list_of(kind)];
         r != NULL && status == ULV_OK; r = r->after) {
        if (concerns(c, r))
            status = kind == ULV_QUERY_SHARES ? keep_shares(db, c, r)
                                              : keep(db, c, r, kind);
    }
    for (struct image *image = c->images; image != NULL; image = image->next)
        image->revision = db->revision;
    return status;
}

static void
begin_kind(struct cursor *c)
{
    c->kind = c->kinds == 0 ? 0 : (uint32_t)__builtin_ctz(c->kinds);
    c->after = c->near = 0;
}

static ulv_status
check(const struct ulv_database *db, uint32_t kinds)
{
    if (db->observed == NULL)
        return ULV_E_UNSUPPORTED;
    if (db->plan != NULL || db->held != NULL)
        return ULV_E_BUSY;
    if (kinds == 0 || (kinds & ~(RECORDS | SUMS)) != 0)
        return ULV_E_ARG;
    return ULV_OK;
}

ulv_status
ulv_database_cursor_open(struct ulv_database *db, const uint8_t owner[16],
                         uint32_t kinds, ulv_id partition,
                         uint64_t *ret_number)
{
    const struct ulv_host *host = db->host;
    struct cursor *c;
    ulv_status status = check(db, kinds);

    if (status != ULV_OK)
        return status;
    ulv_db_cursors_shown(db);
    if (db->observed->cursor_count == ULV_CURSORS_MAX)
        return ULV_E_LIMIT;
    c = host->alloc(host->self, sizeof(*c), 8);
    if (c == NULL)
        return ULV_E_NO_MEMORY;
    c->number = ++db->observed->cursor_number;
    c->revision = db->revision;
    c->deadline = host->now(host->self) + ULV_CURSOR_IDLE;
    c->partition = partition;
    c->kinds = kinds;
    memcpy(c->owner, owner, sizeof(c->owner));
    begin_kind(c);
    c->next = db->observed->cursors;
    db->observed->cursors = c;
    db->observed->cursor_count++;
    for (uint32_t kind = 0; kind < KIND_COUNT && status == ULV_OK; kind++) {
        if ((kinds & SUMS & 1u << kind) != 0)
            status = keep_sums(db, c, kind);
    }
    if (status != ULV_OK)
        drop(db, &db->observed->cursors);
    else
        *ret_number = c->number;
    return status;
}

/* Where that one of the owner's is linked, or the end. */
static struct cursor **
find(const struct ulv_database *db, const uint8_t owner[16], uint64_t number)
{
    struct cursor **at = &db->observed->cursors;

    while (*at != NULL && ((*at)->number != number ||
                           !ulv_guid_equal((*at)->owner, owner)))
        at = &(*at)->next;
    return at;
}

void
ulv_database_cursor_close(struct ulv_database *db, const uint8_t owner[16],
                          uint64_t number)
{
    struct cursor **at;

    if (db->observed == NULL)
        return;
    at = find(db, owner, number);
    if (*at != NULL)
        drop(db, at);
}

/* ---- reading ------------------------------------------------------------- */

/* A piece that is being written. */
struct piece {
    uint8_t *to;
    uint32_t room, count, bytes; /* of records; of each */
};

static struct record *
first_to_look_at(const struct ulv_database *db, const struct cursor *c)
{
    struct record *r = c->near == 0 ? db->first[c->kind]
                                    : ulv_db_find(db, c->near, c->kind);

    while (r != NULL && r->id <= c->after)
        r = r->after;
    return r;
}

/* Those that are as they were; true: all of the kind were looked at. */
static bool
say_records(const struct ulv_database *db, struct cursor *c,
            struct piece *piece)
{
    const struct record *r;
    uint32_t looked = 0;

    if ((c->kinds & SUMS & 1u << c->kind) != 0)
        return true;
    for (r = first_to_look_at(db, c); r != NULL; r = r->after) {
        if (piece->count == piece->room || looked++ == ULV_CURSOR_LOOK)
            return false;
        c->after = c->near = r->id;
        if (r->version > c->revision || !concerns(c, r))
            continue;
        ulv_db_write_record(db, r, c->kind,
                            piece->to + (size_t)piece->count * piece->bytes);
        piece->count++;
    }
    c->after = UINT64_MAX;
    return true;
}

/* Those that were kept; true: that were all. */
static bool
say_images(struct ulv_database *db, struct cursor *c, struct piece *piece)
{
    struct image **at = &c->images;

    while (*at != NULL) {
        if ((*at)->kind != c->kind) {
            at = &(*at)->next;
            continue;
        }
        if (piece->count == piece->room)
            return false;
        memcpy(piece->to + (size_t)piece->count * piece->bytes, *at + 1,
               piece->bytes);
        piece->count++;
        drop_image(db, c, at);
    }
    return true;
}

ulv_status
ulv_database_cursor_next(struct ulv_database *db, const uint8_t owner[16],
                         uint64_t number, void *buf, size_t bytes,
                         struct ulv_cursor_page *ret)
{
    const ulv_nsec now = db->host->now(db->host->self);
    struct piece piece = { .to = buf };
    struct cursor **at, *c;
    ulv_status status = check(db, RECORDS);

    if (status != ULV_OK)
        return status;
    at = find(db, owner, number);
    c = *at;
    if (c == NULL)
        return ULV_E_EXPIRED;
    if (c->expired || c->deadline <= now) {
        drop(db, at);
        return ULV_E_EXPIRED;
    }
    c->deadline = now + ULV_CURSOR_IDLE;
    piece.bytes = ulv_db_read_bytes(c->kind);
    piece.room = (uint32_t)ULV_MIN(bytes / piece.bytes, (size_t)UINT32_MAX);
    if (piece.room == 0)
        return ULV_E_ARG;
    ret->kind = c->kind;
    ret->record_bytes = piece.bytes;
    ret->revision = c->revision;
    if (say_records(db, c, &piece) && say_images(db, c, &piece)) {
        c->kinds &= ~(1u << c->kind);
        begin_kind(c);
    }
    ret->record_count = piece.count;
    ret->more = c->kinds != 0;
    if (!ret->more)
        drop(db, at);
    return ULV_OK;
}
