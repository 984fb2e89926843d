/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What clients of the ultravisor can watch: what its transactions change. */
#include "base/base.h"
#include "database/observe.h"
#include "system/ultravisor.h"

ulv_status
ulv_ultravisor_observe(struct ultravisor_role *r)
{
    const struct ulv_host *host = r->role.host;
    ulv_status status;

    r->changes = host->alloc(host->self, sizeof(*r->changes), 8);
    if (r->changes == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_changes_init(r->changes, host, ulv_database_revision(r->db));
    if (status == ULV_OK)
        status = ulv_database_observe(r->db, r->changes);
    r->sessions.server.changes = r->changes;
    return status;
}

void
ulv_ultravisor_unobserve(struct ultravisor_role *r)
{
    const struct ulv_host *host = r->role.host;

    if (r->changes == NULL)
        return;
    /* the database may outlive the role */
    ulv_database_unobserve(r->db);
    ulv_changes_fini(r->changes);
    host->free(host->self, r->changes, sizeof(*r->changes));
    r->changes = NULL;
}
