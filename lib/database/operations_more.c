/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Operations that a system can do without, and a bare machine does: zones,
 * quotas and labels, hardware and ranges, what is retired. In its place there:
 * operations_plain.c. */
#include "database/database_priv.h"

ulv_status
ulv_db_apply_more(struct ulv_database *db, const struct ulv_operation *o,
                 struct ulv_diag *diag)
{
    switch (o->kind) {
    case ULV_OP_CREATE_ZONE:
        return ulv_db_create_zone(db, &o->u.create_zone, diag);
    case ULV_OP_DESTROY_ZONE:
        return ulv_db_destroy_zone(db, &o->u.destroy_zone, diag);
    case ULV_OP_SET_ZONE:
        return ulv_db_set_zone(db, &o->u.set_zone, diag);
    case ULV_OP_SET_QUOTA:
        return ulv_db_set_quota(db, &o->u.set_quota, diag);
    case ULV_OP_SET_LABEL:
        return ulv_db_set_label(db, &o->u.set_label, diag);
    case ULV_OP_SET_POLICY:
        return ulv_db_set_policy(db, &o->u.set_policy, diag);
    case ULV_OP_ADD_HARDWARE:
        return ulv_db_add_hardware(db, &o->u.add_hardware, diag);
    case ULV_OP_REMOVE_HARDWARE:
        return ulv_db_remove_hardware(db, &o->u.remove_hardware, diag);
    case ULV_OP_ASSIGN_HARDWARE:
        return ulv_db_assign_hardware(db, &o->u.assign_hardware, diag);
    case ULV_OP_RELEASE_HARDWARE:
        return ulv_db_release_hardware(db, &o->u.release_hardware, diag);
    case ULV_OP_MOVE_HARDWARE:
        return ulv_db_move_hardware(db, &o->u.move_hardware, diag);
    case ULV_OP_ASSIGN_RANGE:
        return ulv_db_assign_range(db, &o->u.assign_range, diag);
    case ULV_OP_RELEASE_RANGE:
        return ulv_db_release_range(db, &o->u.release_range, diag);
    case ULV_OP_MOVE_RANGE:
        return ulv_db_move_range(db, &o->u.move_range, diag);
    case ULV_OP_RETIRE_MEMORY:
        return ulv_db_retire_memory(db, &o->u.retire_memory, diag);
    case ULV_OP_RETIRE_PROCESSOR:
        return ulv_db_retire_processor(db, &o->u.retire_processor, diag);
    case ULV_OP_RELEASE_PROCESSORS:
        return ulv_db_release_processors(db, &o->u.release_processors, diag);
    case ULV_OP_MOVE_PROCESSOR:
        return ulv_db_move_processor(db, &o->u.move_processor, diag);
    case ULV_OP_CHANGE_PARTITION:
        return ulv_db_change_partition(db, &o->u.change_partition, diag);
    case ULV_OP_RESIZE_MEMORY:
        return ulv_db_resize_memory(db, &o->u.resize_memory, diag);
    default:
        return ulv_fail(diag, ULV_E_ARG, 0, o->kind, ULV_OP_RESIZE_MEMORY,
                        "unknown operation %u", (uint64_t)o->kind);
    }
}
