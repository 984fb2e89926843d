/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the client of the ultravisor's command channel asks. It is not believed:
 * what the machine consists of, which role died and who serves in its place is
 * the ultravisor's own to say, and a client has guests only.
 */
#include <ultravisor/abi/system_call.h>

#include "base/base.h"
#include "system/ultravisor.h"

/* Each costs memory for ever: this many are 2^26 ids. */
#define LEASES_MAX 1024u

static void
on_hello(void *self, struct ulv_command_session *session)
{
    struct ultravisor_role *r = self;
    ulv_id first = 0;
    ulv_status status = ULV_E_LIMIT;

    if (r->leases < LEASES_MAX)
        status = ulv_database_lease(r->db, &first);
    r->leases += status == ULV_OK ? 1 : 0;
    ulv_command_answer_hello(session, status, first,
                             ulv_database_revision(r->db));
}

static void
on_query(void *self, struct ulv_command_session *session,
         const struct ulv_message_query *query)
{
    struct ultravisor_role *r = self;
    struct ulv_message_query_answer header = { .kind = query->kind };
    uint8_t *records = (uint8_t *)r->views.picture; /* scratch */
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

static ulv_status
deny(const struct ulv_operation *o, ulv_id object, const char *what,
     struct ulv_diag *diag)
{
    return ulv_fail(diag, ULV_E_DENIED, object, o->kind, 0,
                    "operation %u is not a client's to ask: %s",
                    (uint64_t)o->kind, what);
}

static ulv_status
check_operation(const struct ulv_operation *o, struct ulv_diag *diag)
{
    const struct ulv_op_create_partition *create = &o->u.create_partition;

    switch (o->kind) {
    case ULV_OP_CREATE_PARTITION:
        if (create->kind != ULV_PARTITION_GUEST)
            return deny(o, create->id, "it makes guests only", diag);
        if ((create->capabilities & ~ULV_CAP_GUEST_MAX) != 0)
            return deny(o, create->id, "a guest has no such capability",
                        diag);
        return ULV_OK;
    case ULV_OP_DESTROY_PARTITION:
    case ULV_OP_ASSIGN_MEMORY:
    case ULV_OP_RELEASE_MEMORY:
    case ULV_OP_MOVE_MEMORY:
    case ULV_OP_ASSIGN_PROCESSORS:
    case ULV_OP_SET_QUANTA:
    case ULV_OP_OFFER:
    case ULV_OP_ATTACH:
    case ULV_OP_CONNECT:
    case ULV_OP_REVOKE:
    case ULV_OP_SET_INTENT:
        return ULV_OK;
    case ULV_OP_ADD_PROCESSOR:
    case ULV_OP_ADD_MEMORY:
        return deny(o, o->u.words[0], "the machine is what it is", diag);
    case ULV_OP_REHOME:
        return deny(o, o->u.rehome.device,
                    "a device moves when its server died", diag);
    case ULV_OP_SETTLE:
    case ULV_OP_GRANT:
        return deny(o, o->u.words[0],
                    "the keeper says what nobody has any more", diag);
    case ULV_OP_SET_STATE:
        return deny(o, o->u.set_state.partition,
                    "the keeper says what became of a partition", diag);
    default:
        return deny(o, 0, "it is unknown", diag);
    }
}

/* Whether all of it may be asked; if not, it is answered. */
static bool
may_ask(struct ulv_command_session *session, const struct ulv_request *request)
{
    struct ulv_message_transaction_answer answer = { .status = ULV_OK };
    struct ulv_diag diag = ULV_DIAG_INIT;

    for (uint32_t i = 0; i < request->operation_count; i++) {
        answer.status = check_operation(&request->operations[i], &diag);
        if (answer.status == ULV_OK)
            continue;
        answer.operation_idx = i;
        answer.object = diag.object;
        answer.value = diag.value;
        ulv_string_copy(answer.text, sizeof(answer.text), diag.text);
        ulv_command_answer_transaction(session, &answer);
        return false;
    }
    return true;
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

    if (may_ask(session, &request))
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
