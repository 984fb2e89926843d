/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a guest's partition was made with, changed while it is there. */
#include "database/database_priv.h"

#define WHAT                                                                  \
    (ULV_PARTITION_SET_NAME | ULV_PARTITION_SET_SILENCE |                     \
     ULV_PARTITION_SET_RESTARTS)

ulv_status
ulv_db_check_restarts(const char *name, ulv_id id, uint32_t restarts,
                      struct ulv_diag *diag)
{
    if (restarts <= ULV_RESTARTS_MAX)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_ARG, id, restarts, ULV_RESTARTS_MAX,
                    "%s: %u restarts asked, there are at most %u", name,
                    (uint64_t)restarts, (uint64_t)ULV_RESTARTS_MAX);
}

/* Good, and nobody else's. */
static ulv_status
check_new_name(const struct ulv_database *db, const struct partition *p,
               const char name[32], struct ulv_diag *diag)
{
    const struct partition *other;
    ulv_status status = ulv_db_check_name(name, p->r.id, diag);

    if (status != ULV_OK)
        return status;
    other = ulv_db_find_name(db, name);
    if (other == NULL || other == p)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_EXISTS, p->r.id, other->r.id, other->r.id,
                    "%s cannot become %s: partition %u has that name", p->name,
                    name, other->r.id);
}

static ulv_status
check(const struct ulv_database *db, const struct partition *p,
      const struct ulv_op_change_partition *op, struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    if (p == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->id, 0, 0,
                        "partition %u does not exist", op->id);
    if (p->kind != ULV_PARTITION_GUEST)
        return ulv_fail(diag, ULV_E_DENIED, op->id, p->kind,
                        ULV_PARTITION_GUEST,
                        "%s is no guest's: it stays as it was made", p->name);
    if (op->what == 0 || (op->what & ~WHAT) != 0)
        return ulv_fail(diag, ULV_E_ARG, op->id, op->what, WHAT,
                        "%s: bits %x say what is to change, of %x at least "
                        "one is needed",
                        p->name, (uint64_t)op->what, (uint64_t)WHAT);
    if ((op->what & ULV_PARTITION_SET_NAME) != 0)
        status = check_new_name(db, p, op->name, diag);
    if (status == ULV_OK && (op->what & ULV_PARTITION_SET_RESTARTS) != 0)
        status = ulv_db_check_restarts(p->name, op->id, op->restarts, diag);
    return status;
}

static bool
rename_partition(struct ulv_database *db, struct partition *p,
                 const char name[32])
{
    if (!ulv_index_remove(db, &db->names, &p->by_name))
        return false;
    memset(p->name, 0, sizeof(p->name));
    memcpy(p->name, name, ulv_string_length(name, sizeof(p->name)));
    return ulv_index_add(db, &db->names, &p->by_name,
                         ulv_db_hash_name(p->name));
}

ulv_status
ulv_db_change_partition(struct ulv_database *db,
                        const struct ulv_op_change_partition *op,
                        struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->id);
    struct ulv_effect *effect;
    ulv_status status = check(db, p, op, diag);

    if (status != ULV_OK)
        return status;
    effect = ulv_db_effect(db, ULV_EFFECT_PARTITION_CHANGE);
    if (effect == NULL || !ulv_db_touched(db, p))
        return ulv_db_no_memory(diag);
    if ((op->what & ULV_PARTITION_SET_NAME) != 0 &&
        !rename_partition(db, p, op->name))
        return ulv_db_no_memory(diag);
    if ((op->what & ULV_PARTITION_SET_SILENCE) != 0)
        p->silence_limit = op->silence_limit;
    if ((op->what & ULV_PARTITION_SET_RESTARTS) != 0) {
        p->restarts = op->restarts;
        p->restart_window = op->restart_window;
    }
    effect->u.partition_create.id = p->r.id;
    effect->u.partition_create.kind = p->kind;
    effect->u.partition_create.restarts = p->restarts;
    memcpy(effect->u.partition_create.name, p->name, sizeof(p->name));
    return ULV_OK;
}
