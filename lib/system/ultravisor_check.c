/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The invariants of the database, looked at because somebody asks. */
#include "system/ultravisor.h"

ulv_status
ulv_ultravisor_check(const struct ultravisor_role *r, struct ulv_diag *diag)
{
    return ulv_database_check(r->db, diag);
}
