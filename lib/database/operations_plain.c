/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The database of a bare machine keeps no zones, quotas and labels, neither
 * hardware nor ranges, and nothing in it is retired. */
#include "database/database_priv.h"

ulv_status
ulv_db_apply_more(struct ulv_database *db, const struct ulv_operation *o,
                  struct ulv_diag *diag)
{
    (void)db;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, o->kind, ULV_OP_SET_QUANTA,
                    "operation %u is not built in", (uint64_t)o->kind);
}

/* There is no journal that would not take them. */
ulv_status
ulv_db_check_restarts(const char *name, ulv_id id, uint32_t restarts,
                      struct ulv_diag *diag)
{
    (void)name;
    (void)id;
    (void)restarts;
    (void)diag;
    return ULV_OK;
}

void
ulv_db_quota_init(struct quota *quota)
{
    (void)quota;
}

ulv_status
ulv_db_charge(struct ulv_database *db, struct partition *p, uint32_t resource,
              uint64_t more, struct ulv_diag *diag)
{
    (void)db;
    (void)p;
    (void)resource;
    (void)more;
    (void)diag;
    return ULV_OK;
}

bool
ulv_db_discharge(struct ulv_database *db, struct partition *p,
                 uint32_t resource, uint64_t less)
{
    (void)db;
    (void)p;
    (void)resource;
    (void)less;
    return true;
}

bool
ulv_db_leave_zone(struct ulv_database *db, struct partition *p)
{
    (void)db;
    (void)p;
    return true;
}

ulv_status
ulv_db_labels_drop(struct ulv_database *db, struct record *object)
{
    (void)db;
    (void)object;
    return ULV_OK;
}

ulv_status
ulv_db_ranges_drop(struct ulv_database *db, const struct partition *p)
{
    (void)db;
    (void)p;
    return ULV_OK;
}

ulv_status
ulv_db_hardware_drop(struct ulv_database *db, const struct partition *p)
{
    (void)db;
    (void)p;
    return ULV_OK;
}

ulv_status
ulv_db_retire_returned(struct ulv_database *db, uint64_t frame, uint64_t bytes)
{
    (void)db;
    (void)frame;
    (void)bytes;
    return ULV_OK;
}

bool
ulv_database_is_gone(const struct ulv_database *db, uint64_t frame,
                     uint64_t bytes)
{
    (void)db;
    (void)frame;
    (void)bytes;
    return false;
}

ulv_status
ulv_db_gone_returned(struct ulv_database *db, struct pool *pool,
                     uint64_t frame, uint64_t bytes)
{
    (void)db;
    (void)pool;
    (void)frame;
    (void)bytes;
    return ULV_OK;
}

bool
ulv_db_is_retired(const struct ulv_database *db, uint64_t frame,
                  uint64_t bytes)
{
    (void)db;
    (void)frame;
    (void)bytes;
    return false;
}

uint64_t
ulv_db_retired_pending(const struct ulv_database *db, const struct retired *x)
{
    (void)db;
    (void)x;
    return 0;
}
