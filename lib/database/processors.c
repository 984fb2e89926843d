/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Processors: where they come from and who gets them. */
#include "database/database_priv.h"

ulv_status
ulv_db_add_processor(struct ulv_database *db,
                     const struct ulv_op_add_processor *op,
                     struct ulv_diag *diag)
{
    struct record *r;
    struct processor *processor;
    ulv_status status;

    for (r = db->first[ULV_QUERY_PROCESSORS]; r != NULL; r = r->after) {
        processor = (struct processor *)(void *)r;
        if (processor->os_number == op->os_number)
            return ulv_fail(diag, ULV_E_EXISTS, r->id, op->os_number, 0,
                            "processor %u is there already",
                            (uint64_t)op->os_number);
    }
    status = ulv_db_record_add(db, op->id, ULV_QUERY_PROCESSORS,
                               sizeof(*processor), &r, diag);
    if (status != ULV_OK)
        return status;
    processor = (struct processor *)(void *)r;
    processor->owner = db->idle;
    processor->package = op->package;
    processor->core = op->core;
    processor->thread = op->thread;
    processor->node = op->node;
    processor->os_number = op->os_number;
    return ULV_OK;
}

/* The processor fewest share, that nobody has for himself. */
static struct processor *
least_shared(const struct ulv_database *db, const struct partition *p,
             bool dedicated)
{
    struct processor *best = NULL;

    for (struct record *r = db->first[ULV_QUERY_PROCESSORS]; r != NULL;
         r = r->after) {
        struct processor *processor = (struct processor *)(void *)r;
        const struct share *share = p->shares;

        while (share != NULL && share->processor != processor)
            share = share->next;
        if (share != NULL || processor->owner != db->idle ||
            (dedicated && processor->share_count > 0))
            continue;
        if (best == NULL || processor->share_count < best->share_count)
            best = processor;
    }
    return best;
}

static ulv_status
assign_processor(struct ulv_database *db, struct partition *p, uint32_t mode,
                 struct ulv_diag *diag)
{
    bool dedicated = mode == ULV_PROCESSOR_DEDICATED;
    struct processor *processor = least_shared(db, p, dedicated);
    struct share *share;

    if (processor == NULL)
        return ulv_fail(diag, ULV_E_LIMIT, p->r.id, p->processor_count + 1,
                        p->processor_count,
                        "%s: no further processor can be %s", p->name,
                        dedicated ? "dedicated" : "shared");
    share = ulv_db_allocate(db, sizeof(*share));
    if (share == NULL || !TOUCH(db, processor) || !ulv_db_touched(db, p))
        return ulv_db_no_memory(diag);
    share->processor = processor;
    share->mode = mode;
    share->vcpu_idx = p->processor_count++;
    share->next = p->shares;
    p->shares = share;
    processor->share_count++;
    processor->r.version = db->revision + 1;
    if (dedicated)
        processor->owner = p;
    return ULV_OK;
}

ulv_status
ulv_db_assign_processors(struct ulv_database *db,
                         const struct ulv_op_assign_processors *op,
                         struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);

    if (p == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->partition, 0, 0,
                        "partition %u does not exist", op->partition);
    if (p->kind != ULV_PARTITION_GUEST)
        return ulv_fail(diag, ULV_E_DENIED, p->r.id, p->kind, 0,
                        "%s is no guest: processors are given to guests",
                        p->name);
    if (op->mode > ULV_PROCESSOR_DEDICATED || op->count == 0)
        return ulv_fail(diag, ULV_E_ARG, op->partition, op->mode, 1,
                        "%s: %u processors in mode %u", p->name,
                        (uint64_t)op->count, (uint64_t)op->mode);
    for (uint32_t i = 0; i < op->count; i++) {
        ulv_status status = assign_processor(db, p, op->mode, diag);

        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

ulv_status
ulv_db_shares_drop(struct ulv_database *db, struct partition *p)
{
    for (struct share *share = p->shares; share != NULL; share = share->next) {
        struct processor *processor = share->processor;

        if (!TOUCH(db, processor) ||
            ulv_db_bury(db, share, sizeof(*share)) != ULV_OK)
            return ULV_E_NO_MEMORY;
        processor->share_count--;
        processor->owner = db->idle;
        processor->r.version = db->revision + 1;
    }
    p->shares = NULL;
    p->processor_count = 0;
    return ULV_OK;
}
