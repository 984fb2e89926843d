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

/* ---- the quantum map ----------------------------------------------------- */

uint32_t
ulv_db_count(uint64_t quanta)
{
    /* sums of 2, 4 and 8 bits side by side, then of all bytes in the top one */
    quanta -= quanta >> 1 & UINT64_C(0x5555555555555555);
    quanta = (quanta & UINT64_C(0x3333333333333333)) +
             (quanta >> 2 & UINT64_C(0x3333333333333333));
    quanta = (quanta + (quanta >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)(quanta * UINT64_C(0x0101010101010101) >> 56);
}

static bool
fills_gaps(const struct share *share)
{
    return share->mode == ULV_PROCESSOR_SHARED && share->quanta == 0;
}

/* Quanta of a processor that can become somebody's own: those who share it and
 * have none keep one to run in. */
static uint32_t
quanta_to_give(const struct ulv_database *db,
               const struct processor *processor, const struct share *but)
{
    uint32_t count = ulv_db_count(~processor->taken);

    if (processor->retired)
        return 0;
    for (const struct record *r = db->first[ULV_QUERY_PARTITIONS]; r != NULL;
         r = r->after) {
        const struct partition *p = (const void *)r;

        for (const struct share *s = p->shares; s != NULL; s = s->next) {
            if (s != but && s->processor == processor && fills_gaps(s))
                return count == 0 ? 0 : count - 1;
        }
    }
    return count;
}

/* The partition's view says other things about its processors. */
static bool
touch_shares(struct ulv_database *db, struct partition *p)
{
    if (!ulv_db_touched(db, p))
        return false;
    ulv_db_view_changes(&p->changed_share, 0);
    return true;
}

/* Those who fill the gaps have others now, and their views say so. */
static bool
gaps_changed(struct ulv_database *db, const struct processor *processor)
{
    for (struct record *r = db->first[ULV_QUERY_PARTITIONS]; r != NULL;
         r = r->after) {
        struct partition *p = (struct partition *)(void *)r;

        for (const struct share *s = p->shares; s != NULL; s = s->next) {
            if (s->processor == processor && fills_gaps(s) &&
                !touch_shares(db, p))
                return false;
        }
    }
    return true;
}

/* The lowest that are idle's are added, the highest of its own are given up:
 * what a guest has lies together where it can. The share and the processor are
 * touched, and there are enough. */
static bool
give_quanta(struct ulv_database *db, struct share *share, uint32_t count)
{
    struct processor *processor = share->processor;
    uint32_t has = ulv_db_count(share->quanta);

    if (has == count)
        return true;
    for (uint64_t idle = ~processor->taken; has < count;
         has++, idle &= idle - 1) {
        share->quanta |= idle & -idle;
        processor->taken |= idle & -idle;
    }
    for (; has > count; has--) {
        uint64_t last = UINT64_C(1) << (63 - __builtin_clzll(share->quanta));

        share->quanta ^= last;
        processor->taken ^= last;
    }
    return gaps_changed(db, processor);
}

static ulv_status
announce(struct ulv_database *db, const struct partition *p,
         const struct share *share, struct ulv_diag *diag)
{
    struct ulv_effect *effect = ulv_db_effect(db, ULV_EFFECT_PROCESSOR);

    if (effect == NULL)
        return ulv_db_no_memory(diag);
    effect->u.processor.partition = p->r.id;
    effect->u.processor.os_number = share->processor->os_number;
    effect->u.processor.mode = share->mode;
    effect->u.processor.quanta = ulv_db_count(share->quanta);
    return ULV_OK;
}

static ulv_status
no_quanta(struct ulv_diag *diag, const struct partition *p, ulv_id processor,
          uint32_t asked, uint32_t left)
{
    return ulv_fail(diag, ULV_E_LIMIT, p->r.id, asked, left,
                    "%s: %u quanta of processor %u asked, %u can be had",
                    p->name, (uint64_t)asked, processor, (uint64_t)left);
}

/* From what it has to so many. */
static ulv_status
charge_quanta(struct ulv_database *db, struct partition *p,
              const struct share *share, uint32_t quanta,
              struct ulv_diag *diag)
{
    const uint32_t has = ulv_db_count(share->quanta);

    if (quanta > has)
        return ulv_db_charge(db, p, ULV_QUOTA_QUANTA, quanta - has, diag);
    return ulv_db_discharge(db, p, ULV_QUOTA_QUANTA, has - quanta)
               ? ULV_OK
               : ulv_db_no_memory(diag);
}

ulv_status
ulv_db_set_quanta(struct ulv_database *db, const struct ulv_op_set_quanta *op,
                  struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct share *share = p == NULL ? NULL : p->shares;
    uint32_t left;
    ulv_status status;

    if (p == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->partition, 0, 0,
                        "partition %u does not exist", op->partition);
    while (share != NULL && share->vcpu_idx != op->vcpu_idx)
        share = share->next;
    if (share == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, p->r.id, op->vcpu_idx,
                        p->processor_count, "%s has no processor %u", p->name,
                        (uint64_t)op->vcpu_idx);
    if (share->mode != ULV_PROCESSOR_SHARED)
        return ulv_fail(diag, ULV_E_STATE, p->r.id, op->vcpu_idx, 0,
                        "%s has its processor %u for itself", p->name,
                        (uint64_t)op->vcpu_idx);
    left = quanta_to_give(db, share->processor, share) +
           ulv_db_count(share->quanta);
    if (op->quanta > left)
        return no_quanta(diag, p, share->processor->r.id, op->quanta, left);
    status = charge_quanta(db, p, share, op->quanta, diag);
    if (status != ULV_OK)
        return status;
    if (!TOUCH(db, share) || !ulv_db_change(db, &share->processor->r) ||
        !touch_shares(db, p) || !give_quanta(db, share, op->quanta))
        return ulv_db_no_memory(diag);
    return announce(db, p, share, diag);
}

/* ---- who gets which ------------------------------------------------------ */

/* Whether nobody has it for himself, p not already, and enough is left. */
static bool
can_have(const struct ulv_database *db, const struct partition *p,
         const struct processor *processor,
         const struct ulv_op_assign_processors *op)
{
    const struct share *share = p->shares;

    while (share != NULL && share->processor != processor)
        share = share->next;
    if (share != NULL || processor->owner != db->idle || processor->retired)
        return false;
    if (op->mode == ULV_PROCESSOR_DEDICATED)
        return processor->share_count == 0;
    if (op->quanta == 0)
        return processor->taken != UINT64_MAX;
    return op->quanta <= quanta_to_give(db, processor, NULL);
}

/* The one that was named, or the one fewest share. */
static struct processor *
choose(const struct ulv_database *db, const struct partition *p,
       const struct ulv_op_assign_processors *op)
{
    struct processor *best = NULL;

    for (struct record *r = db->first[ULV_QUERY_PROCESSORS]; r != NULL;
         r = r->after) {
        struct processor *processor = (struct processor *)(void *)r;

        if ((op->processor == 0 || op->processor == r->id) &&
            can_have(db, p, processor, op) &&
            (best == NULL || processor->share_count < best->share_count))
            best = processor;
    }
    return best;
}

/* Why there is none. */
static ulv_status
none_left(const struct ulv_database *db, const struct partition *p,
          const struct ulv_op_assign_processors *op, struct ulv_diag *diag)
{
    bool dedicated = op->mode == ULV_PROCESSOR_DEDICATED;
    struct processor *processor =
        (void *)ulv_db_find(db, op->processor, ULV_QUERY_PROCESSORS);

    if (op->processor != 0 && processor == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->processor, 0, 0,
                        "processor %u does not exist", op->processor);
    if (processor != NULL && !dedicated && processor->owner == db->idle)
        return no_quanta(diag, p, op->processor, op->quanta,
                         quanta_to_give(db, processor, NULL));
    return ulv_fail(diag, ULV_E_LIMIT, p->r.id, p->processor_count + 1,
                    p->processor_count, "%s: no further processor can be %s",
                    p->name, dedicated ? "dedicated" : "shared");
}

static ulv_status
assign_processor(struct ulv_database *db, struct partition *p,
                 const struct ulv_op_assign_processors *op,
                 struct ulv_diag *diag)
{
    struct processor *processor = choose(db, p, op);
    struct share *share;

    ulv_status status;

    if (processor == NULL)
        return none_left(db, p, op, diag);
    status = ulv_db_charge(db, p, ULV_QUOTA_PROCESSORS, 1, diag);
    if (status == ULV_OK)
        status = ulv_db_charge(db, p, ULV_QUOTA_QUANTA,
                               ulv_db_quanta_of(op->mode, op->quanta), diag);
    if (status != ULV_OK)
        return status;
    share = ulv_db_allocate(db, sizeof(*share));
    if (share == NULL || !ulv_db_change(db, &processor->r) ||
        !touch_shares(db, p))
        return ulv_db_no_memory(diag);
    share->processor = processor;
    share->mode = op->mode;
    share->vcpu_idx = p->processor_count++;
    share->next = p->shares;
    p->shares = share;
    processor->share_count++;
    if (op->mode == ULV_PROCESSOR_DEDICATED)
        processor->owner = p;
    if (!give_quanta(db, share, op->quanta))
        return ulv_db_no_memory(diag);
    return announce(db, p, share, diag);
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
    if (op->mode > ULV_PROCESSOR_DEDICATED || op->count == 0 ||
        (op->processor != 0 && op->count != 1))
        return ulv_fail(diag, ULV_E_ARG, op->partition, op->mode, 1,
                        "%s: %u processors in mode %u", p->name,
                        (uint64_t)op->count, (uint64_t)op->mode);
    if (op->quanta >
        (op->mode == ULV_PROCESSOR_DEDICATED ? 0 : ULV_QUANTA))
        return ulv_fail(diag, ULV_E_ARG, op->partition, op->quanta, ULV_QUANTA,
                        "%s: %u quanta in mode %u", p->name,
                        (uint64_t)op->quanta, (uint64_t)op->mode);
    for (uint32_t i = 0; i < op->count; i++) {
        ulv_status status = assign_processor(db, p, op, diag);

        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

/* Its last virtual processor, off the list; the share is not p's any more. */
static bool
take_last(struct ulv_database *db, struct partition *p, struct share *share)
{
    struct ulv_effect *effect =
        ulv_db_effect(db, ULV_EFFECT_PROCESSOR_GONE);
    struct processor *processor = share->processor;
    uint64_t quanta =
        ulv_db_quanta_of(share->mode, ulv_db_count(share->quanta));

    if (effect == NULL || !TOUCH(db, share) ||
        !ulv_db_change(db, &processor->r) || !touch_shares(db, p) ||
        !ulv_db_discharge(db, p, ULV_QUOTA_PROCESSORS, 1) ||
        !ulv_db_discharge(db, p, ULV_QUOTA_QUANTA, quanta))
        return false;
    effect->u.processor.partition = p->r.id;
    effect->u.processor.os_number = processor->os_number;
    effect->u.processor.mode = share->mode;
    p->shares = share->next;
    p->processor_count--;
    return true;
}

static bool
drop_last(struct ulv_database *db, struct partition *p)
{
    struct share *share = p->shares;
    struct processor *processor = share->processor;

    if (!take_last(db, p, share) || !give_quanta(db, share, 0) ||
        ulv_db_bury(db, share, sizeof(*share)) != ULV_OK)
        return false;
    processor->share_count--;
    processor->owner = db->idle;
    return true;
}

ulv_status
ulv_db_shares_drop(struct ulv_database *db, struct partition *p)
{
    while (p->shares != NULL) {
        if (!drop_last(db, p))
            return ULV_E_NO_MEMORY;
    }
    return ULV_OK;
}

/* A guest that does not run, with so many of them. */
static ulv_status
may_give(const struct ulv_database *db, const struct partition *p, ulv_id id,
         uint32_t count, struct ulv_diag *diag)
{
    if (p == NULL || p == db->idle)
        return ulv_fail(diag, ULV_E_NOT_FOUND, id, 0, 0,
                        "partition %u does not exist", id);
    if (count == 0 || count > p->processor_count)
        return ulv_fail(diag, ULV_E_ARG, id, count, p->processor_count,
                        "%s: %u processors of %u that it has", p->name,
                        (uint64_t)count, (uint64_t)p->processor_count);
    if (ulv_db_runs(p))
        return ulv_fail(diag, ULV_E_BUSY, id, p->state, 0,
                        "%s runs on its processors: stop it first", p->name);
    return ULV_OK;
}

ulv_status
ulv_db_release_processors(struct ulv_database *db,
                          const struct ulv_op_release_processors *op,
                          struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    ulv_status status = may_give(db, p, op->partition, op->count, diag);

    if (status != ULV_OK)
        return status;
    for (uint32_t i = 0; i < op->count; i++) {
        if (!drop_last(db, p))
            return ulv_db_no_memory(diag);
    }
    return ULV_OK;
}

static ulv_status
may_get(const struct partition *to, ulv_id id, const struct share *share,
        struct ulv_diag *diag)
{
    if (to == NULL || to->kind != ULV_PARTITION_GUEST)
        return ulv_fail(diag, ULV_E_NOT_FOUND, id, 0, 0,
                        "%u is no guest: processors are given to guests", id);
    if (share->processor->retired)
        return ulv_fail(diag, ULV_E_STATE, id, share->processor->r.id, 0,
                        "processor %u is retired", share->processor->r.id);
    for (const struct share *s = to->shares; s != NULL; s = s->next) {
        if (s->processor == share->processor)
            return ulv_fail(diag, ULV_E_EXISTS, id, share->processor->r.id, 0,
                            "%s is on processor %u already", to->name,
                            share->processor->r.id);
    }
    return ULV_OK;
}

ulv_status
ulv_db_move_processor(struct ulv_database *db,
                      const struct ulv_op_move_processor *op,
                      struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct partition *to = find_partition(db, op->to);
    ulv_status status = may_give(db, p, op->partition, 1, diag);
    struct share *share;

    if (status != ULV_OK)
        return status;
    share = p->shares;
    status = may_get(to, op->to, share, diag);
    if (status != ULV_OK)
        return status;
    if (!take_last(db, p, share) || !touch_shares(db, to))
        return ulv_db_no_memory(diag);
    status = ulv_db_charge(db, to, ULV_QUOTA_PROCESSORS, 1, diag);
    if (status == ULV_OK)
        status = ulv_db_charge(
            db, to, ULV_QUOTA_QUANTA,
            ulv_db_quanta_of(share->mode, ulv_db_count(share->quanta)), diag);
    if (status != ULV_OK)
        return status;
    share->next = to->shares;
    share->vcpu_idx = to->processor_count++;
    to->shares = share;
    if (share->mode == ULV_PROCESSOR_DEDICATED)
        share->processor->owner = to;
    return announce(db, to, share, diag);
}

/* ---- accounts ------------------------------------------------------------ */

void
ulv_database_account(struct ulv_database *db, ulv_id id, ulv_nsec used)
{
    struct partition *p = find_partition(db, id);

    if (p != NULL && !ulv_add_u64(p->used, used, &p->used))
        p->used = UINT64_MAX;
}

/* What is left of that time when all others have what they used. */
uint64_t
ulv_db_time_idle(const struct ulv_database *db, uint64_t elapsed)
{
    elapsed -= ULV_MIN(elapsed, db->used_gone);
    for (const struct record *r = db->first[ULV_QUERY_PARTITIONS]; r != NULL;
         r = r->after) {
        const struct partition *p = (const void *)r;

        elapsed -= ULV_MIN(elapsed, p->used);
    }
    return elapsed;
}
