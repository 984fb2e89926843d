/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Records, their index, and the undo log that every change goes through. */
#include "database/database_priv.h"

uint64_t
ulv_db_hash_id(ulv_id id)
{
    return id * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

struct record *
ulv_db_find_any(const struct ulv_database *db, ulv_id id)
{
    struct link *link = *ulv_index_bucket(&db->ids, ulv_db_hash_id(id));

    for (; link != NULL; link = link->next) {
        struct record *r = (struct record *)(void *)link;

        if (r->id == id)
            return r;
    }
    return NULL;
}

struct record *
ulv_db_find(const struct ulv_database *db, ulv_id id, uint32_t kind)
{
    struct record *r = ulv_db_find_any(db, id);

    return r != NULL && r->kind == kind ? r : NULL;
}

uint64_t
ulv_db_hash_name(const char name[32])
{
    return ulv_crc32c(0, name, ulv_string_length(name, 32));
}

struct partition *
ulv_db_find_name(const struct ulv_database *db, const char name[32])
{
    struct link *link = *ulv_index_bucket(&db->names, ulv_db_hash_name(name));

    for (; link != NULL; link = link->next) {
        struct partition *p =
            ULV_CONTAINER_OF(link, struct partition, by_name);

        if (ulv_string_equal(p->name, name, 32))
            return p;
    }
    return NULL;
}

/* ---- undo log ------------------------------------------------------------ */

static ULV_SELDOM struct chunk *
add_chunk(struct ulv_database *db, size_t bytes)
{
    const struct ulv_host *host = db->host;
    const size_t more = ULV_MAX(bytes, db->chunk_bytes);
    struct chunk *chunk = host->alloc(host->self, sizeof(*chunk) + more, 8);

    if (chunk == NULL)
        return NULL;
    chunk->bytes = more;
    chunk->next = db->plan->chunks;
    db->plan->chunks = chunk;
    return chunk;
}

void *
ulv_db_scratch(struct ulv_database *db, size_t bytes)
{
    struct chunk *chunk = db->plan->chunks;

    bytes = (bytes + 7) & ~(size_t)7;
    if (chunk == NULL || chunk->bytes - chunk->used < bytes)
        chunk = add_chunk(db, bytes);
    if (chunk == NULL)
        return NULL;
    chunk->used += bytes;
    return (uint8_t *)(chunk + 1) + chunk->used - bytes;
}

static struct undo *
new_undo(struct ulv_database *db, struct undo **list, void *p, size_t bytes,
         size_t old_bytes)
{
    struct undo *undo = ulv_db_scratch(db, sizeof(*undo) + old_bytes);

    if (undo == NULL)
        return NULL;
    undo->made = false;
    undo->p = p;
    undo->bytes = bytes;
    undo->next = *list;
    *list = undo;
    return undo;
}

bool
ulv_db_touch(struct ulv_database *db, void *p, size_t bytes)
{
    struct undo *undo;

    if (db->plan == NULL)
        return true; /* while the database itself is made */
    undo = new_undo(db, &db->plan->undo, p, bytes, bytes);
    if (undo == NULL)
        return false;
    memcpy(undo + 1, p, bytes);
    return true;
}

bool
ulv_db_touch_word(struct ulv_database *db, void *p)
{
    struct undo *undo;

    if (!ULV_FAST_DATABASE)
        return ulv_db_touch(db, p, 8);
    if (db->plan == NULL)
        return true;
    undo = new_undo(db, &db->plan->undo, p, 8, 8);
    if (undo == NULL)
        return false;
    memcpy(undo + 1, p, 8);
    return true;
}

bool
ulv_db_touch_in(struct ulv_database *db, const struct record *r, void *word)
{
    return r->version == db->revision + 1 || ulv_db_touch_word(db, word);
}

void *
ulv_db_allocate(struct ulv_database *db, size_t bytes)
{
    void *p = ulv_db_take(db, bytes);
    struct undo *undo;

    if (p == NULL || db->plan == NULL)
        return p;
    undo = new_undo(db, &db->plan->undo, p, bytes, 0);
    if (undo == NULL) {
        ulv_db_free(db, p, bytes);
        return NULL;
    }
    undo->made = true;
    return p;
}

ulv_status
ulv_db_bury(struct ulv_database *db, void *p, size_t bytes)
{
    if (new_undo(db, &db->plan->dead, p, bytes, 0) == NULL)
        return ULV_E_NO_MEMORY;
    return ULV_OK;
}

/* What a plan remembers of it; the slots are half of a partition, and most
 * plans change none. */
static uint32_t
bytes_to_keep(const struct record *r)
{
    return ULV_FAST_DATABASE && r->kind == ULV_QUERY_PARTITIONS
               ? offsetof(struct partition, slot)
               : r->bytes;
}

bool
ulv_db_set_slot(struct ulv_database *db, struct partition *p, uint32_t slot,
                struct channel *c)
{
    if (ULV_FAST_DATABASE && !ulv_db_touch_word(db, &p->slot[slot]))
        return false;
    p->slot[slot] = c;
    p->slots ^= UINT64_C(1) << slot;
    ulv_db_view_changes(&p->changed_slot, slot);
    return true;
}

bool
ulv_db_change(struct ulv_database *db, struct record *r)
{
    if (r->version == db->revision + 1)
        return true; /* and all of it remembered */
    if (!ulv_db_touch(db, r, bytes_to_keep(r)))
        return false;
    if (db->observer != NULL)
        db->observer->before(db, r, ULV_CHANGE_CHANGED);
    r->version = db->revision + 1;
    return true;
}

/* ---- records ------------------------------------------------------------- */

/* Within a lease ids go up, so a used one cannot come again. */
static ulv_status
use_id(struct ulv_database *db, ulv_id id, struct ulv_diag *diag)
{
    uint64_t block = id / ULV_ID_LEASE_COUNT;
    struct lease *lease;

    if (id == 0 || block >= db->lease_count)
        return ulv_fail(diag, ULV_E_ARG, id, id,
                        db->lease_count * (uint64_t)ULV_ID_LEASE_COUNT,
                        "id %u was never leased", id);
    lease = &db->leases[block];
    if (lease->own && id != db->own_next - 1)
        return ulv_fail(diag, ULV_E_ARG, id, id, 0,
                        "id %u is not yours: the database gives it itself",
                        id);
    if (id < lease->next)
        return ulv_fail(diag, ULV_E_EXISTS, id, id, lease->next,
                        "id %u is used or burned", id);
    if (!TOUCH(db, &lease->next))
        return ulv_db_no_memory(diag);
    lease->next = id + 1;
    return ULV_OK;
}

/* The two links of its list that lead to a record, once it is in it: they lead
 * to these now. */
static bool
relink(struct ulv_database *db, const struct record *r, struct record *forth,
       struct record *back)
{
    struct record **from_first =
        r->before == NULL ? &db->first[r->kind] : &r->before->after;
    struct record **from_last =
        r->after == NULL ? &db->last[r->kind] : &r->after->before;

    if (!TOUCH(db, from_first) || !TOUCH(db, from_last))
        return false;
    *from_first = forth;
    *from_last = back;
    return true;
}

static bool
link_in_order(struct ulv_database *db, struct record *r)
{
    struct record *before = db->last[r->kind];

    while (before != NULL && before->id > r->id)
        before = before->before;
    r->before = before;
    r->after = before == NULL ? db->first[r->kind] : before->after;
    return relink(db, r, r, r);
}

ulv_status
ulv_db_record_insert(struct ulv_database *db, ulv_id id, uint32_t kind,
                     size_t bytes, struct record **ret, struct ulv_diag *diag)
{
    struct record *r = ulv_db_allocate(db, bytes);

    if (r == NULL ||
        !ulv_index_add(db, &db->ids, &r->by_id, ulv_db_hash_id(id)))
        return ulv_db_no_memory(diag);
    r->id = id;
    r->version = db->revision + 1;
    r->kind = kind;
    r->bytes = (uint32_t)bytes;
    if (!link_in_order(db, r))
        return ulv_db_no_memory(diag);
    if (db->observer != NULL)
        db->observer->before(db, r, ULV_CHANGE_MADE);
    *ret = r;
    return ULV_OK;
}

ulv_status
ulv_db_record_add(struct ulv_database *db, ulv_id id, uint32_t kind,
                  size_t bytes, struct record **ret, struct ulv_diag *diag)
{
    ulv_status status = use_id(db, id, diag);

    if (status != ULV_OK)
        return status;
    return ulv_db_record_insert(db, id, kind, bytes, ret, diag);
}

ulv_status
ulv_db_record_remove(struct ulv_database *db, struct record *r)
{
    if (!ulv_index_remove(db, &db->ids, &r->by_id))
        return ULV_E_NO_MEMORY;
    if (db->observer != NULL)
        db->observer->before(db, r, ULV_CHANGE_REMOVED);
    if (!relink(db, r, r->after, r->before))
        return ULV_E_NO_MEMORY;
    return ulv_db_bury(db, r, r->bytes);
}

ulv_status
ulv_db_own_ids(struct ulv_database *db, struct ulv_diag *diag)
{
    ulv_id first;
    ulv_status status;

    if (db->own_end - db->own_next >= ULV_DB_OWN_MIN)
        return ULV_OK;
    status = ulv_database_lease(db, &first);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "no ids are left");
    db->leases[first / ULV_ID_LEASE_COUNT].own = true;
    db->own_next = first + 1;
    db->own_end = first + ULV_ID_LEASE_COUNT;
    return ULV_OK;
}

ulv_status
ulv_db_fresh_id(struct ulv_database *db, ulv_id *ret)
{
    if (db->own_next == db->own_end)
        return ULV_E_LIMIT;
    *ret = db->own_next++;
    return ULV_OK;
}

/* ---- what a plan collects ------------------------------------------------ */

static ULV_SELDOM void *
grow_array(struct ulv_database *db, void *old, uint32_t count,
           uint32_t *capacity, size_t bytes)
{
    const struct ulv_host *host = db->host;
    uint32_t more = *capacity * 2 + 16;
    void *array = host->alloc(host->self, more * bytes, 8);

    if (array == NULL)
        return NULL;
    if (count != 0)
        memcpy(array, old, count * bytes);
    host->free(host->self, old, *capacity * bytes);
    *capacity = more;
    return array;
}

struct ulv_effect *
ulv_db_effect(struct ulv_database *db, uint32_t kind)
{
    struct ulv_plan *plan = db->plan;
    struct ulv_effect *effect;

    if (plan->effect_count == plan->effect_capacity) {
        void *array = grow_array(db, plan->effects, plan->effect_count,
                                 &plan->effect_capacity,
                                 sizeof(*plan->effects));

        if (array == NULL)
            return NULL;
        plan->effects = array;
    }
    effect = &plan->effects[plan->effect_count++];
    memset(effect, 0, sizeof(*effect));
    effect->kind = kind;
    return effect;
}

bool
ulv_db_changed(struct ulv_database *db, ulv_id id, uint32_t kind)
{
    struct ulv_plan *plan = db->plan;

    if (plan->change_count == plan->change_capacity) {
        void *array = grow_array(db, plan->changes, plan->change_count,
                                 &plan->change_capacity,
                                 sizeof(*plan->changes));

        if (array == NULL)
            return false;
        plan->changes = array;
    }
    plan->changes[plan->change_count].id = id;
    plan->changes[plan->change_count++].kind = kind;
    return true;
}

/* The partition's record and view change with this plan. */
bool
ulv_db_touched(struct ulv_database *db, struct partition *p)
{
    struct ulv_plan *plan = db->plan;

    if (p->touched == db->revision + 1)
        return true; /* and all of it remembered */
    if (plan->touched_count == plan->touched_capacity) {
        void *array = grow_array(db, plan->touched, plan->touched_count,
                                 &plan->touched_capacity,
                                 sizeof(*plan->touched));

        if (array == NULL)
            return false;
        plan->touched = array;
    }
    if (!ulv_db_change(db, &p->r))
        return false;
    if (ULV_VIEW_UPDATES) {
        p->touched_before = p->touched;
        p->window_before = ulv_db_window(p);
        p->changed_extent = p->changed_share = p->changed_slot = UINT32_MAX;
    }
    p->touched = db->revision + 1;
    plan->touched[plan->touched_count++] = p->r.id;
    return true;
}
