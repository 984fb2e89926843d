/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: outside prepare, the database satisfies ulv_database_check(); a
 * plan is a set of changes made in place with the bytes that stood there before
 * in an undo log, so that abort restores every byte, in reverse order.
 *
 * T1[create web, 256 MiB] = prepare of a transaction; c = commit, a = abort.
 *
 * 1. T1[create web, memory] k c: prepared, the keeper agrees (k), committed.
 *    Only now are views published; nobody saw the database in between, since
 *    the ultravisor answers queries from committed state only.
 * 2. T1[create web, memory] k! a: the keeper has no memory. Undo gives back the
 *    pages, the record and the id: the next T1 may use the same id.
 * 3. T1[create web, 300 MiB of 192 free]: the second operation fails inside
 *    prepare; the first is undone; the answer names operation 1, 300 and 192.
 * 4. What must fail: T1[...] T2[...]: a second prepare while T1 is open gets
 *    BUSY. If it were let in, a T1 would restore bytes that T2 had changed
 *    since, and one page could have two owners.
 *
 * Index pages that merge do so after commit or abort (settle), never inside a
 * plan: undo entries point into them.
 */
#include "database/database_priv.h"

static ulv_status
check_preconditions(const struct ulv_database *db,
                    const struct ulv_request *request, struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < request->precondition_count; i++) {
        const struct ulv_precondition *want = &request->preconditions[i];
        const struct record *r = ulv_db_find_any(db, want->object);
        const uint64_t version = r == NULL ? 0 : r->version;

        if (version != want->version)
            return ulv_fail(diag, ULV_E_CONFLICT, want->object, version,
                            want->version,
                            "object %u has version %u, %u was expected",
                            want->object, version, want->version);
    }
    return ULV_OK;
}

#define NAME(text) { sizeof(text) - 1, text }
static const struct {
    uint8_t length;
    char text[19];
} operation_name[] = {
    NAME("nothing"), NAME("add processor"), NAME("add memory"),
    NAME("create partition"), NAME("destroy partition"),
    NAME("assign memory"), NAME("release memory"), NAME("assign processors"),
    NAME("offer device"), NAME("attach device"), NAME("connect"),
    NAME("rehome device"), NAME("revoke channel"), NAME("set intent"),
    NAME("state"), NAME("move memory"), NAME("settle"), NAME("grant memory"),
    NAME("set quanta"), NAME("create zone"), NAME("destroy zone"),
    NAME("set zone"), NAME("set quota"), NAME("set label"),
    NAME("set policy"), NAME("add hardware"), NAME("remove hardware"),
    NAME("assign hardware"), NAME("release hardware"), NAME("move hardware"),
    NAME("assign range"), NAME("release range"), NAME("move range"),
    NAME("retire memory"), NAME("retire processor"),
    NAME("release processors"), NAME("move processor"),
    NAME("change partition"), NAME("resize memory"),
};

_Static_assert(ULV_COUNT_OF(operation_name) == ULV_OP_RESIZE_MEMORY + 1,
               "the last operation has a name, too");

/* One line: what it did, in the order asked, equal operations counted. */
static void
describe(const struct ulv_request *request, struct ulv_log_record *log)
{
    struct ulv_text line;
    uint32_t i = 0;

    log->request = request->request;
    log->session = request->session;
    log->operation_count = request->operation_count;
    if (request->operation_count > 0) {
        log->kind = request->operations[0].kind;
        log->object = request->operations[0].u.words[0];
    }
    ulv_text_init(&line, log->text, sizeof(log->text));
    while (i < request->operation_count) {
        uint32_t kind = request->operations[i].kind, same = 0;

        while (i + same < request->operation_count &&
               request->operations[i + same].kind == kind)
            same++;
        if (i != 0)
            ulv_text_bytes(&line, ", ", 2);
        if (kind < ULV_COUNT_OF(operation_name))
            ulv_text_bytes(&line, operation_name[kind].text,
                           operation_name[kind].length);
        if (ULV_FAST_DATABASE && same > 1 && same < 10)
            ulv_text_bytes(&line,
                           (const char[]){ ' ', 'x', (char)('0' + same) }, 3);
        else if (same > 1)
            ulv_text_format(&line, " x%u", (uint64_t)same);
        i += same;
    }
}

/* What every plan changes, so that no undo entry is needed for it. */
static struct marks
marks_of(const struct ulv_database *db)
{
    return (struct marks){ db->own_next, db->ids.count, db->names.count,
                           db->places.count };
}

void
ulv_db_return_to(struct ulv_database *db, const struct marks *marks)
{
    db->own_next = marks->own_next;
    db->ids.count = marks->ids;
    db->names.count = marks->names;
    db->places.count = marks->places;
}

static void
settle_ranges(struct ulv_plan *plan)
{
    while (plan->ranges != NULL) {
        struct range *range = plan->ranges;

        plan->ranges = range->next;
        if (range->pool != NULL)
            ulv_page_map_settle(&range->pool->map, range->address,
                                range->bytes);
    }
}

/* The arrays and one chunk stay for the next. */
static void
end_plan(struct ulv_database *db, struct ulv_plan *plan)
{
    const struct ulv_host *host = db->host;

    while (plan->chunks != NULL && plan->chunks->next != NULL) {
        struct chunk *chunk = plan->chunks;

        plan->chunks = chunk->next;
        host->free(host->self, chunk, sizeof(*chunk) + chunk->bytes);
    }
    if (plan->chunks != NULL)
        plan->chunks->used = 0;
    plan->undo = plan->dead = NULL;
    plan->effect_count = plan->touched_count = plan->change_count = 0;
    db->plan = NULL;
}

static void
grow(struct index *index, const struct ulv_host *host)
{
    if (!ULV_FAST_DATABASE || index->count > index->bucket_count)
        ulv_index_grow(index, host);
}

uint64_t
ulv_database_commit(struct ulv_database *db, struct ulv_plan *plan)
{
    const struct ulv_host *host = db->host;

    settle_ranges(plan);
    for (struct undo *dead = plan->dead; dead != NULL; dead = dead->next)
        ulv_db_free(db, dead->p, dead->bytes);
    db->revision++;
    plan->log.revision = db->revision;
    db->log[db->revision % ULV_LOG_COUNT] = plan->log;
    if (db->observer != NULL) {
        db->observer->formed(db);
        db->observer->shown(db);
    }
    end_plan(db, plan);
    grow(&db->ids, host);
    grow(&db->names, host);
    grow(&db->places, host);
    return db->revision;
}

void
ulv_database_abort(struct ulv_database *db, struct ulv_plan *plan)
{
    /* A pool that this plan made is about to vanish with its map. */
    for (struct range *r = plan->ranges; r != NULL; r = r->next) {
        if (r->pool != NULL && r->pool->born == db->revision + 1)
            r->pool = NULL;
    }
    while (plan->undo != NULL) {
        struct undo *undo = plan->undo;

        plan->undo = undo->next;
        if (undo->made)
            ulv_db_free(db, undo->p, undo->bytes);
        else
            memcpy(undo->p, undo + 1, undo->bytes);
    }
    ulv_db_return_to(db, &plan->marks);
    if (db->observer != NULL)
        db->observer->undone(db);
    settle_ranges(plan);
    end_plan(db, plan);
}

ulv_status
ulv_database_prepare(struct ulv_database *db, const struct ulv_request *request,
                     struct ulv_plan **ret_plan, uint32_t *ret_operation_idx,
                     struct ulv_diag *diag)
{
    struct ulv_plan *plan = &db->only_plan;
    ulv_status status;

    *ret_plan = NULL;
    *ret_operation_idx = UINT32_MAX;
    if (db->plan != NULL)
        return ulv_fail(diag, ULV_E_BUSY, 0, 0, 0,
                        "another transaction is being prepared");
    status = check_preconditions(db, request, diag);
    if (status == ULV_OK)
        status = ulv_db_own_ids(db, diag);
    if (status != ULV_OK)
        return status;
    plan->db = db;
    plan->marks = marks_of(db);
    db->plan = plan;
    memset(&plan->log, 0, sizeof(plan->log));
    /* Nobody has looked at it for as many transactions as there are. */
    __builtin_prefetch(&db->log[(db->revision + 1) % ULV_LOG_COUNT], 1);
    plan->log.time = db->host->now(db->host->self);
    describe(request, &plan->log);
    for (uint32_t i = 0; i < request->operation_count; i++) {
        if (ULV_FAST_DATABASE && i % ULV_DB_AHEAD == 0)
            ulv_db_fetch_ahead(
                db, &request->operations[i],
                ULV_MIN(request->operation_count - i, ULV_DB_AHEAD));
        status = ulv_db_apply(db, &request->operations[i], diag);
        if (status != ULV_OK) {
            *ret_operation_idx = i;
            ulv_database_abort(db, plan);
            return status;
        }
    }
    *ret_plan = plan;
    return ULV_OK;
}

const struct ulv_effect *
ulv_plan_effects(const struct ulv_plan *plan, uint32_t *ret_count)
{
    *ret_count = plan->effect_count;
    return plan->effects;
}

const ulv_id *
ulv_plan_touched(const struct ulv_plan *plan, uint32_t *ret_count)
{
    *ret_count = plan->touched_count;
    return plan->touched;
}
