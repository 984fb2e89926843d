/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* In place of ultravisor_durable.c and ultravisor_machine.c on a bare machine:
 * it has no storage, and does not change. */
#include "base/base.h"
#include "system/system_priv.h"
#include "system/ultravisor.h"

ulv_status
ulv_ultravisor_open(struct ultravisor_role *r, struct heard *configure,
                    ulv_id *ret_lease, struct ulv_diag *diag)
{
    ulv_status status = ulv_database_create(r->role.host, &r->db);

    (void)configure;
    (void)diag;
    return status == ULV_OK ? ulv_database_lease(r->db, ret_lease) : status;
}

ulv_status
ulv_ultravisor_recall(void *self, struct ulv_command_session *session)
{
    (void)self;
    (void)session;
    return ULV_OK;
}

ulv_status
ulv_ultravisor_adopt_all(struct ultravisor_role *r,
                         const struct say_adopt *say)
{
    (void)r;
    (void)say;
    return ULV_E_UNSUPPORTED;
}

/* In one part. */
ulv_status
ulv_ultravisor_gather(struct ultravisor_role *r, const struct heard *heard,
                      struct errand **ret)
{
    const uint32_t bytes = heard->say.tail_bytes;
    struct errand *e = ulv_ultravisor_make_errand(
        r, bytes / (uint32_t)sizeof(struct ulv_operation));

    *ret = e;
    if (e == NULL)
        return ULV_E_NO_MEMORY;
    memcpy(e->operations, heard->tail, e->count * sizeof(*e->operations));
    return ULV_OK;
}

ulv_status
ulv_ultravisor_hear_machine(struct ultravisor_role *r,
                            const struct heard *heard)
{
    (void)r;
    (void)heard;
    return ULV_E_UNSUPPORTED;
}

ulv_status
ulv_ultravisor_prepare(struct ultravisor_role *r,
                       const struct ulv_request *request,
                       uint32_t *ret_operation_idx, struct ulv_diag *diag)
{
    return ulv_database_prepare(r->db, request, &r->plan, ret_operation_idx,
                                diag);
}

ulv_status
ulv_ultravisor_lease(struct ultravisor_role *r, ulv_id *ret_first)
{
    return ulv_database_lease(r->db, ret_first);
}

ulv_status
ulv_ultravisor_write(struct ultravisor_role *r, struct ulv_diag *diag)
{
    (void)r;
    (void)diag;
    return ULV_OK;
}

ulv_status
ulv_system_give_storage(ulv_system *system, const struct ulv_system_opts *opts,
                        struct ulv_diag *diag)
{
    (void)system;
    return opts->storage == NULL
               ? ULV_OK
               : ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                          "a bare machine keeps no journal");
}

const char *
ulv_system_durability(const ulv_system *system)
{
    (void)system;
    return "none";
}
