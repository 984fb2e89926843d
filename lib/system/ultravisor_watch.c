/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What clients of the ultravisor can watch: its log. */
#include "system/ultravisor.h"

uint64_t
ulv_ultravisor_revision(void *self)
{
    const struct ultravisor_role *r = self;

    return ulv_database_revision(r->db);
}

bool
ulv_ultravisor_event(void *self, uint64_t after, struct ulv_log_record *ret)
{
    const struct ultravisor_role *r = self;
    uint32_t bytes, count = 0;
    bool more;

    return ulv_database_query(r->db, ULV_QUERY_LOG, after, ret, sizeof(*ret),
                              &bytes, &count, &more) == ULV_OK &&
           count == 1;
}
