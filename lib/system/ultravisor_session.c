/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the client of the ultravisor's command channel asks. */
#include "base/base.h"
#include "system/ultravisor.h"

static void
on_hello(void *self, struct ulv_command_session *session)
{
    struct ultravisor_role *r = self;
    ulv_id first = 0;
    ulv_status status = ulv_database_lease(r->db, &first);

    ulv_command_answer_hello(session, status, first,
                             ulv_database_revision(r->db));
}

static void
on_query(void *self, struct ulv_command_session *session,
         const struct ulv_message_query *query)
{
    struct ultravisor_role *r = self;
    struct ulv_message_query_answer header = { .kind = query->kind };
    uint8_t *records = (uint8_t *)r->picture; /* scratch */
    bool more = false;

    ulv_ultravisor_look_at_channels(r);
    header.status = ulv_database_query(
        r->db, query->kind, query->after, records,
        ULV_COMMAND_MESSAGE_MAX - sizeof(header), &header.record_bytes,
        &header.record_count, &more);
    header.more = more;
    header.revision = ulv_database_revision(r->db);
    ulv_command_answer_query(session, &header, records);
}

static void
on_transaction(void *self, struct ulv_command_session *session,
               const struct ulv_command_request *from)
{
    struct ultravisor_role *r = self;
    struct ulv_request request = {
        .session = session->number,
        .request = from->request,
        .options = from->u.transaction->options,
        .precondition_count = from->u.transaction->precondition_count,
        .operation_count = from->u.transaction->operation_count,
        .preconditions = from->preconditions,
        .operations = from->operations,
    };

    ulv_ultravisor_begin(r, &request);
}

void
ulv_ultravisor_handlers(struct ultravisor_role *r)
{
    r->handlers.self = r;
    r->handlers.hello = on_hello;
    r->handlers.query = on_query;
    r->handlers.transaction = on_transaction;
}
