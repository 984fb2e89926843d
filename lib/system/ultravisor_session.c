/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What clients of the ultravisor's command channels ask. They are not believed:
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
        status = ulv_ultravisor_lease(r, &first);
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

/* Why a client may not ask for it; an empty one: it may. */
static const char *const denied[] = {
    [ULV_OP_ADD_PROCESSOR] = "the machine is what it is",
    [ULV_OP_ADD_MEMORY] = "the machine is what it is",
    [ULV_OP_CREATE_PARTITION] = "",
    [ULV_OP_DESTROY_PARTITION] = "",
    [ULV_OP_ASSIGN_MEMORY] = "",
    [ULV_OP_RELEASE_MEMORY] = "",
    [ULV_OP_ASSIGN_PROCESSORS] = "",
    [ULV_OP_OFFER] = "",
    [ULV_OP_ATTACH] = "",
    [ULV_OP_CONNECT] = "",
    [ULV_OP_REHOME] = "a device moves when its server died",
    [ULV_OP_REVOKE] = "",
    [ULV_OP_SET_INTENT] = "",
    [ULV_OP_SET_STATE] = "the keeper says what became of a partition",
    [ULV_OP_MOVE_MEMORY] = "",
    [ULV_OP_SETTLE] = "the keeper says what nobody has any more",
    [ULV_OP_GRANT] = "the keeper says what nobody has any more",
    [ULV_OP_SET_QUANTA] = "",
    [ULV_OP_CREATE_ZONE] = "",
    [ULV_OP_DESTROY_ZONE] = "",
    [ULV_OP_SET_ZONE] = "",
    [ULV_OP_SET_QUOTA] = "",
    [ULV_OP_SET_LABEL] = "",
    [ULV_OP_SET_POLICY] = "",
    [ULV_OP_ADD_HARDWARE] = "the machine is what it is",
    [ULV_OP_REMOVE_HARDWARE] = "the machine is what it is",
    [ULV_OP_ASSIGN_HARDWARE] = "",
    [ULV_OP_RELEASE_HARDWARE] = "",
    [ULV_OP_MOVE_HARDWARE] = "",
    [ULV_OP_ASSIGN_RANGE] = "",
    [ULV_OP_RELEASE_RANGE] = "",
    [ULV_OP_MOVE_RANGE] = "",
    [ULV_OP_RETIRE_MEMORY] = "",
    [ULV_OP_RETIRE_PROCESSOR] = "",
    [ULV_OP_RELEASE_PROCESSORS] = "",
    [ULV_OP_MOVE_PROCESSOR] = "",
    [ULV_OP_CHANGE_PARTITION] = "",
    [ULV_OP_RESIZE_MEMORY] = "the machine is what it is",
};

static ulv_status
check_operation(const struct ulv_operation *o, struct ulv_diag *diag)
{
    const uint64_t allowed = ULV_STOCK_KERNELS
                                 ? ULV_CAP_GUEST_MAX
                                 : ULV_CAP_GUEST_MAX & ~ULV_CAP_STOCK;
    const struct ulv_op_create_partition *create = &o->u.create_partition;
    const char *why = o->kind < ULV_COUNT_OF(denied) ? denied[o->kind] : NULL;

    if (why == NULL)
        why = "it is unknown";
    if (o->kind == ULV_OP_CREATE_PARTITION) {
        if (create->kind != ULV_PARTITION_GUEST)
            why = "it makes guests only";
        else if ((create->capabilities & ~allowed) != 0)
            why = "a guest has no such capability";
    }
    if (ULV_DEVICES && o->kind == ULV_OP_RETIRE_PROCESSOR &&
        o->u.retire_processor.how != ULV_RETIRE_BROKEN)
        why = "the machine says which processors are online";
    if (why[0] == '\0')
        return ULV_OK;
    /* each names what it is about first */
    return ulv_fail(diag, ULV_E_DENIED, o->u.words[0], o->kind, 0,
                    "operation %u is not a client's to ask: %s",
                    (uint64_t)o->kind, why);
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

    if (!may_ask(session, &request))
        return;
    r->asking = session;
    ulv_ultravisor_begin(r, &request);
}

/* One transaction at a time, and our own come first. */
static bool
on_ready(void *self)
{
    const struct ultravisor_role *r = self;

    return r->plan == NULL && r->errands == NULL &&
           r->role.post.waiting_count == 0;
}

const struct ulv_command_handlers ulv_ultravisor_handlers = {
    .hello = on_hello,
    .transaction = on_transaction,
    .query = on_query,
    .cursor = ulv_ultravisor_on_cursor,
    .ready = on_ready,
    .ring = ulv_sessions_ring,
    .broken = ulv_sessions_broken,
    .recall = ulv_ultravisor_recall,
};
