/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The command partition: takes requests of the caller, decides by the policy
 * it fetched from operations, and is the only client of the ultravisor's
 * command channel.
 *
 * One request at a time: FACTS (what the host looks like now, by queries), then
 * DECIDE, then WAIT for the ultravisor's answer. Queries of the caller are
 * passed on as they are.
 *
 * An ultravisor that died may be started again: then there is a new channel to
 * it, and what it had not answered is asked again; a transaction under its old
 * number, so that it is carried out once. The caller only waits longer.
 */
#include "system/role_command.h"

#include "base/base.h"
#include "command/ahead.h"
#define TRIES_MAX 3u /* of a request under which the ultravisor dies */

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;
static const uint8_t type_policy[16] = ULV_CHANNEL_TYPE_POLICY;

static struct command_role *
self_of(struct role *role)
{
    return ULV_CONTAINER_OF(role, struct command_role, role);
}

/* ---- towards the ultravisor ---------------------------------------------- */

static void
fail_request(struct command_role *r, const struct ulv_diag *diag)
{
    struct ulv_message_transaction_answer answer = {
        .status = diag->status,
        .operation_idx = UINT32_MAX,
        .object = diag->object,
        .value = diag->value,
        .bound = diag->bound,
    };

    ulv_string_copy(answer.text, sizeof(answer.text), diag->text);
    if (ULV_REQUEST_GROUPS && ulv_command_group_failed(r, &answer))
        return;
    r->state = STATE_IDLE;
    ulv_command_answer_transaction(r->asking, &answer);
}

static void
fail_upstream(struct command_role *r, ulv_status status)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_message_query_answer query = { .status = status };
    struct ulv_message_cursor_answer cursor = { .status = status };

    (void)ulv_fail(&diag, status, 0, 0, 0,
                   "the ultravisor partition does not answer: %s",
                   ulv_status_text(status));
    if (ulv_command_more_failed(r, &diag))
        return;
    switch (r->state) {
    case STATE_HELLO:
        ulv_command_answer_hello(r->asking, status, 0, 0);
        break;
    case STATE_QUERY:
        ulv_command_answer_query(r->asking, &query, NULL);
        break;
    case STATE_READ:
        cursor.status = status;
        ulv_relay_cursor_answer(&r->relay, r->asking, &cursor);
        break;
    default:
        fail_request(r, &diag);
    }
    r->state = STATE_IDLE;
}

/* Note that something is under way there, or that it could not be sent. */
static void
sent(struct command_role *r, ulv_status status, bool ring, uint32_t state)
{
    r->state = state;
    r->upstream = r->client.next_request - 1;
    if (state != STATE_FACTS)
        r->awaited = r->upstream;
    if (ring)
        ulv_wire_ring(&r->above);
    if (status != ULV_OK)
        fail_upstream(r, status);
}

/* What is under way, of a new ultravisor. */
static void
ask_again(struct command_role *r)
{
    bool ring = false;
    ulv_status status;

    if (r->state != STATE_IDLE && ++r->tries > TRIES_MAX) {
        fail_upstream(r, ULV_E_PEER_GONE);
        return;
    }
    switch (r->state) {
    case STATE_HELLO:
        status = ulv_command_send_hello(&r->client, &ring);
        sent(r, status, ring, STATE_HELLO);
        break;
    case STATE_QUERY:
        status = ulv_command_send_query(&r->client, r->query_kind,
                                        r->query_after, &ring);
        sent(r, status, ring, STATE_QUERY);
        break;
    case STATE_FACTS:
        ulv_command_look(r);
        break;
    case STATE_READ: /* cursors ended with it */
        fail_upstream(r, ULV_E_EXPIRED);
        break;
    case STATE_WAIT:
        status = ulv_command_send_again(&r->client, r->upstream,
                                        &r->transaction, &ring);
        if (ring)
            ulv_wire_ring(&r->above);
        if (status != ULV_OK)
            fail_upstream(r, status);
        break;
    default:
        break;
    }
}

static void
ask_fact(struct command_role *r, uint32_t kind, bool *ret_ring,
         ulv_status *status)
{
    if (*status == ULV_OK)
        *status = ulv_command_send_query(&r->client, kind, 0, ret_ring);
    r->facts_left++;
}

/* All kinds at once: one wake-up there, and one here. */
void
ulv_command_look(struct command_role *r)
{
    static const uint8_t always[] = { ULV_QUERY_PARTITIONS, ULV_QUERY_MEMORY,
                                      ULV_QUERY_DEVICES };
    bool ring = false;
    ulv_status status = ULV_OK;

    memset(&r->facts, 0, sizeof(r->facts));
    r->awaited = r->client.next_request;
    r->facts_left = 0;
    for (uint32_t i = 0; i < ULV_COUNT_OF(always); i++)
        ask_fact(r, always[i], &ring, &status);
    for (uint32_t kind = ulv_command_more_next(r, 0); kind != 0;
         kind = ulv_command_more_next(r, kind))
        ask_fact(r, kind, &ring, &status);
    sent(r, status, ring, STATE_FACTS);
}

void
ulv_command_decide(struct command_role *r)
{
    struct ulv_policy_reasons reasons = { ulv_command_say, r };
    struct ulv_diag diag = ULV_DIAG_INIT;
    bool ring = false;
    ulv_status status;

    r->facts.partitions = r->partitions.all;
    r->facts.nodes = r->nodes.all;
    r->facts.devices = r->devices.all;
    if (ulv_command_more_review(r))
        return;
    status = ulv_command_more_begin(r, &diag);
    if (ULV_REQUEST_GROUPS && status == ULV_OK)
        status = ulv_command_group_try(r, &diag);
    if (status == ULV_OK)
        status = ulv_policy_decide(&r->policy, &r->facts, r->operations,
                                   r->transaction.operation_count, &reasons,
                                   &diag);
    if (status != ULV_OK) {
        fail_request(r, &diag);
        return;
    }
    status = ULV_E_TIMEOUT;
    if (ULV_REQUEST_GROUPS
            ? ulv_command_group_left(r, &r->transaction.deadline)
            : ulv_command_ahead_left(r->asking, &r->transaction.deadline))
        status =
            ulv_command_send_transaction(&r->client, &r->transaction, &ring);
    if (ULV_REQUEST_GROUPS)
        ulv_command_group_sent(r);
    /* until it is out, nothing can have come of it */
    sent(r, status, ring, status == ULV_OK ? STATE_WAIT : r->state);
}

/* Who came meanwhile may be carried out, too, with what is to be decided. */
static void
facts_are_there(struct command_role *r)
{
    if (ULV_REQUEST_GROUPS && ulv_command_group_may_grow(r))
        r->state = STATE_GROW;
    else
        ulv_command_decide(r);
}

ulv_status
ulv_command_reserve(const struct command_role *r, struct records *records,
                    size_t bytes, uint32_t count, uint32_t more)
{
    const struct ulv_host *host = r->role.host;
    uint32_t capacity = ULV_MAX(count + more, records->capacity * 2);
    void *all;

    if (count + more > FACTS_MAX)
        return ULV_E_LIMIT;
    if (count + more <= records->capacity)
        return ULV_OK;
    all = host->alloc(host->self, capacity * bytes, 8);
    if (all == NULL)
        return ULV_E_NO_MEMORY;
    if (count != 0)
        memcpy(all, records->all, count * bytes);
    host->free(host->self, records->all, records->capacity * bytes);
    records->all = all;
    records->capacity = capacity;
    return ULV_OK;
}

ulv_status
ulv_command_take_facts(const struct command_role *r,
                       const struct ulv_message_query_answer *answer,
                       struct records *records, size_t bytes, uint32_t *count)
{
    ulv_status status;

    if (answer->record_bytes != bytes && answer->record_count != 0)
        return ULV_E_PEER_PROTOCOL;
    if (answer->record_count == 0)
        return ULV_OK;
    status = ulv_command_reserve(r, records, bytes, *count,
                                 answer->record_count);
    if (status != ULV_OK)
        return status;
    memcpy((uint8_t *)records->all + *count * bytes, answer + 1,
           answer->record_count * bytes);
    *count += answer->record_count;
    return ULV_OK;
}

/* What cannot be seen whole cannot be judged. */
static void
fail_facts(struct command_role *r, ulv_status status)
{
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (status != ULV_E_LIMIT) {
        fail_upstream(r, status);
        return;
    }
    (void)ulv_fail(&diag, status, 0, FACTS_MAX + 1, FACTS_MAX,
                   "there are more than %u partitions, nodes or devices: the "
                   "policy cannot be applied",
                   (uint64_t)FACTS_MAX);
    if (!ulv_command_more_failed(r, &diag))
        fail_request(r, &diag);
}

static ulv_status
take_kind(struct command_role *r,
          const struct ulv_message_query_answer *answer)
{
    struct ulv_policy_facts *facts = &r->facts;

    switch (answer->kind) {
    case ULV_QUERY_PARTITIONS:
        return ulv_command_take_facts(r, answer, &r->partitions,
                                      sizeof(struct ulv_partition_record),
                                      &facts->partition_count);
    case ULV_QUERY_MEMORY:
        return ulv_command_take_facts(r, answer, &r->nodes,
                                      sizeof(struct ulv_memory_record),
                                      &facts->node_count);
    case ULV_QUERY_DEVICES:
        return ulv_command_take_facts(r, answer, &r->devices,
                                      sizeof(struct ulv_device_record),
                                      &facts->device_count);
    default:
        return ulv_command_more_take(r, answer);
    }
}

static void
hear_facts(struct command_role *r,
           const struct ulv_message_query_answer *answer)
{
    const uint8_t *records = (const uint8_t *)(answer + 1);
    uint64_t last = 0;
    bool ring = false;
    ulv_status status = answer->status;

    if (status == ULV_OK)
        status = take_kind(r, answer);
    if (status == ULV_OK && answer->record_count != 0)
        last = ulv_get_le64(records + (answer->record_count - 1) *
                                          (size_t)answer->record_bytes);
    r->revision = answer->revision;
    if (status != ULV_OK) {
        fail_facts(r, status);
    } else if (answer->more != 0 && last != 0) {
        status =
            ulv_command_send_query(&r->client, answer->kind, last, &ring);
        sent(r, status, ring, STATE_FACTS);
    } else if (--r->facts_left == 0) {
        facts_are_there(r);
    }
}

void
ulv_command_drop_records(const struct command_role *r, struct records *records,
                         size_t bytes)
{
    const struct ulv_host *host = r->role.host;

    host->free(host->self, records->all, records->capacity * bytes);
}

static void
hear_answer(struct command_role *r, const struct ulv_message *m)
{
    const struct ulv_message_hello_answer *hello = (const void *)m;
    const struct ulv_message_query_answer *query = (const void *)m;
    struct ulv_message_transaction_answer transaction;

    /* of what was given up nothing is heard */
    if (m->request < r->awaited || m->request > r->upstream)
        return;
    switch (r->state) {
    case STATE_HELLO:
        r->state = STATE_IDLE;
        ulv_command_answer_hello(r->asking, hello->status,
                                 hello->lease_first, hello->revision);
        break;
    case STATE_QUERY:
        r->state = STATE_IDLE;
        ulv_command_answer_query(r->asking, query, query + 1);
        break;
    case STATE_READ:
        r->state = STATE_IDLE;
        ulv_relay_cursor_answer(&r->relay, r->asking, (const void *)m);
        break;
    case STATE_FACTS:
        hear_facts(r, query);
        break;
    case STATE_WAIT:
        memcpy(&transaction, m, sizeof(transaction));
        if (ULV_REQUEST_GROUPS && ulv_command_group_answered(r, &transaction))
            break;
        ulv_command_more_origin(r, &transaction);
        r->state = STATE_IDLE;
        if (ULV_REQUEST_GROUPS)
            ulv_command_group_answer(r, r->asking);
        ulv_command_answer_transaction(r->asking, &transaction);
        break;
    default:
        break;
    }
}

/* ---- from the caller ----------------------------------------------------- */

static void
on_hello(void *self, struct ulv_command_session *session)
{
    struct command_role *r = self;
    bool ring = false;
    ulv_status status;

    r->asking = session;
    r->tries = 0;
    if (r->no_policy.status != ULV_OK) {
        ulv_command_answer_hello(session, r->no_policy.status, 0, 0);
        return;
    }
    status = ulv_command_send_hello(&r->client, &ring);
    sent(r, status, ring, STATE_HELLO);
}

static void
on_query(void *self, struct ulv_command_session *session,
         const struct ulv_message_query *query)
{
    struct command_role *r = self;
    bool ring = false;
    ulv_status status = ulv_command_send_query(&r->client, query->kind,
                                               query->after, &ring);

    r->asking = session;
    r->tries = 0;
    r->query_kind = query->kind;
    r->query_after = query->after;
    sent(r, status, ring, STATE_QUERY);
}

static void
on_cursor(void *self, struct ulv_command_session *session,
          const struct ulv_message_cursor *asked)
{
    struct ulv_message_cursor_answer refused = { .cursor = 0 };
    struct command_role *r = self;
    bool ring = false;

    refused.status =
        ulv_relay_cursor(&r->relay, &r->client, session, asked, &ring);
    r->asking = session;
    if (refused.status == ULV_OK)
        sent(r, ULV_OK, ring, STATE_READ);
    else
        ulv_command_answer_cursor(session, &refused, NULL);
}

/* What only gives back, starts or stops is judged by nobody's numbers; so it
 * can be done also where there is more than can be looked at. What is neither
 * counted nor placed is judged by what rules look at, if there are any. */
static bool
needs_facts(const struct command_role *r)
{
    /* on a bare machine, where space is dear, all the same */
    const bool rules =
        !ULV_REQUEST_GROUPS || ulv_command_more_next(r, 0) != 0;

    for (uint32_t i = 0; i < r->transaction.operation_count; i++) {
        switch (r->operations[i].kind) {
        case ULV_OP_DESTROY_PARTITION:
        case ULV_OP_RELEASE_MEMORY:
        case ULV_OP_REVOKE:
        case ULV_OP_SET_INTENT:
            break;
        case ULV_OP_CREATE_PARTITION:
        case ULV_OP_CHANGE_PARTITION:
        case ULV_OP_ASSIGN_MEMORY:
        case ULV_OP_MOVE_MEMORY:
        case ULV_OP_ASSIGN_PROCESSORS:
        case ULV_OP_OFFER:
            return true;
        default:
            if (rules)
                return true;
        }
    }
    return false;
}

void
ulv_command_judge(struct command_role *r)
{
    if (needs_facts(r)) {
        ulv_command_look(r);
    } else {
        memset(&r->facts, 0, sizeof(r->facts));
        ulv_command_decide(r);
    }
}

static void
on_transaction(void *self, struct ulv_command_session *session,
               const struct ulv_command_request *request)
{
    struct command_role *r = self;
    struct ulv_command_transaction *t = &r->transaction;

    r->asking = session;
    r->tries = 0;
    if (r->no_policy.status != ULV_OK) {
        fail_request(r, &r->no_policy);
        return;
    }
    t->options = request->u.transaction->options;
    t->precondition_count = request->u.transaction->precondition_count;
    t->operation_count = request->u.transaction->operation_count;
    memcpy(r->preconditions, request->preconditions,
           t->precondition_count * sizeof(*r->preconditions));
    memcpy(r->operations, request->operations,
           t->operation_count * sizeof(*r->operations));
    if (!ULV_REQUEST_GROUPS || !ulv_command_group_begin(r))
        ulv_command_judge(r);
}

/* One request at a time, and none before it is known what is allowed. */
static bool
on_ready(void *self)
{
    const struct command_role *r = self;

    /* each leads to letters: who does not read them is not sent more */
    return r->state == STATE_IDLE && r->has_client &&
           !ulv_command_is_scattering(&r->client) &&
           (!ULV_REQUEST_GROUPS || r->group.count == 0) &&
           r->role.post.waiting_count == 0 &&
           (r->has_policy || r->no_policy.status != ULV_OK);
}

static const struct ulv_command_handlers handlers = {
    .hello = on_hello,
    .transaction = on_transaction,
    .query = on_query,
    .cursor = on_cursor,
    .ready = on_ready,
    .ring = ulv_sessions_ring,
    .broken = ulv_sessions_broken,
};

/* ---- policy -------------------------------------------------------------- */

/* Without one nothing is decided: each request is told why. */
static void
refuse_policy(struct command_role *r, ulv_status status, const char *why)
{
    char text[sizeof(r->no_policy.text)];
    struct ulv_text line;

    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "the policy that operations gave is refused: %s",
                    why[0] != '\0' ? why : ulv_status_text(status));
    (void)ulv_fail(&r->no_policy, status, r->policy_wire.channel, 0, 0, "%s",
                   text);
    ulv_role_tell(&r->role, ULV_EVENT_FAULT, r->role.partition,
                  r->policy_wire.channel, text);
}

static ulv_status
next_record(struct ulv_ring_rx *rx, struct ulv_ring_record *ret)
{
    ulv_status status = ulv_ring_rx_peek(rx, ret);

    if (status == ULV_E_EMPTY && ulv_ring_rx_wait(rx))
        status = ulv_ring_rx_peek(rx, ret);
    return status;
}

static void
fetch_policy(struct command_role *r)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_ring_record record;
    ulv_status status;
    void *slot;

    if (!r->asked_policy) {
        status = ulv_ring_tx_reserve(&r->policy_end.tx, ULV_POLICY_GET, 0,
                                     &slot);
        if (status != ULV_OK) { /* the ring was empty: it is none */
            refuse_policy(r, status, "");
            return;
        }
        r->asked_policy = true;
        if (ulv_ring_tx_submit(&r->policy_end.tx))
            ulv_wire_ring(&r->policy_wire);
    }
    status = next_record(&r->policy_end.rx, &record);
    if (status == ULV_E_EMPTY)
        return;
    if (status != ULV_OK) {
        refuse_policy(r, status, "");
        return;
    }
    status = ULV_E_PEER_PROTOCOL;
    if (record.type == ULV_POLICY_IS && record.len == sizeof(r->policy)) {
        memcpy(&r->policy, record.data, sizeof(r->policy));
        status = ulv_policy_check(&r->policy, sizeof(r->policy), &diag);
    }
    (void)ulv_ring_rx_release(&r->policy_end.rx);
    if (status != ULV_OK) {
        refuse_policy(r, status, diag.text);
        return;
    }
    r->has_policy = true;
}

/* ---- role ---------------------------------------------------------------- */

static ulv_status
command_init(struct role *role, struct heard *configure)
{
    struct command_role *r = self_of(role);

    (void)configure;
    r->no_policy.size = sizeof(r->no_policy);
    r->transaction.preconditions = r->preconditions;
    r->transaction.operations = r->operations;
    ulv_sessions_init(&r->sessions, role, &handlers, r);
    if (ulv_role_listen(role, &r->sessions.rung) != ULV_OK)
        return ULV_E_NO_MEMORY;
    return ulv_relay_init(&r->relay, role->host, &r->sessions.server);
}

static void
command_fini(struct role *role)
{
    struct command_role *r = self_of(role);

    ulv_command_drop_records(r, &r->partitions,
                             sizeof(struct ulv_partition_record));
    ulv_command_drop_records(r, &r->nodes, sizeof(struct ulv_memory_record));
    ulv_command_drop_records(r, &r->devices, sizeof(struct ulv_device_record));
    ulv_command_more_drop(r);
    ulv_command_client_fini(&r->client);
    ulv_wire_fini(&r->above);
    ulv_wire_fini(&r->policy_wire);
    ulv_sessions_fini(&r->sessions);
    ulv_relay_fini(&r->relay);
}

static void hear_ultravisor(struct command_role *r);

/* What the dead one had answered is heard first. */
static ulv_status
meet_again(struct command_role *r, struct heard *heard)
{
    bool ring = false;
    ulv_status status;

    if (!r->has_client)
        return ULV_E_PEER_PROTOCOL;
    if (!r->above_lost)
        hear_ultravisor(r);
    ulv_channel_detach(&r->client.end);
    ulv_wire_fini(&r->above); /* its doorbell is the new one's too */
    status = ulv_wire_listen(&r->above, &r->sessions.rung, heard);
    if (status == ULV_OK)
        status = ulv_command_client_again(&r->client, r->above.p,
                                          r->above.bytes);
    if (status == ULV_OK)
        status = ulv_command_send_hello(&r->client, &ring);
    if (status != ULV_OK)
        return status;
    if (ring)
        ulv_wire_ring(&r->above);
    r->above_lost = false;
    ask_again(r);
    ulv_relay_again(&r->relay);
    return ULV_OK;
}

static ulv_status
take_channel(struct command_role *r, struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    const struct say_channel *say = &heard->say.u.channel;
    bool command = ulv_guid_equal(say->type, type_command);
    struct wire *wire = command ? &r->above : &r->policy_wire;
    ulv_status status;

    if (command && say->end == ULV_END_SERVER)
        return ulv_sessions_add(&r->sessions, heard);
    if (!command && !ulv_guid_equal(say->type, type_policy))
        return ULV_E_PEER_PROTOCOL;
    if (wire->host != NULL)
        return ULV_RESTARTS && command ? meet_again(r, heard) : ULV_E_EXISTS;
    status = ulv_wire_listen(wire, &r->sessions.rung, heard);
    if (status != ULV_OK)
        return status;
    if (command) {
        status = ulv_command_client_init(&r->client, host, wire->p,
                                         wire->bytes);
        r->has_client = status == ULV_OK;
    } else {
        status = ulv_channel_attach(&r->policy_end, wire->p, wire->bytes,
                                    ULV_END_CLIENT, type_policy);
        r->has_policy_end = status == ULV_OK;
    }
    return status;
}

/* What its client asked for goes on without it. */
static void
close_channel(struct command_role *r, ulv_id channel)
{
    struct ulv_command_session *asking = r->asking;
    struct ulv_command_session *gone =
        ulv_sessions_find(&r->sessions, channel);
    bool ring = false;

    if (gone != NULL)
        ulv_relay_drop(&r->relay, &r->client, gone, &ring);
    if (ULV_REQUEST_GROUPS)
        ulv_command_group_leave(r, gone);
    if (ring)
        ulv_wire_ring(&r->above);
    ulv_sessions_close(&r->sessions, channel, &r->asking);
    if (r->asking != asking)
        r->state = STATE_IDLE;
}

static ulv_status
command_hear(struct role *role, struct heard *heard)
{
    struct command_role *r = self_of(role);

    switch (heard->say.kind) {
    case SAY_VIEW:
    case SAY_BELL:
        return ULV_OK;
    case SAY_CHANNEL_CLOSE:
        close_channel(r, heard->say.u.channel.channel);
        return ULV_OK;
    case SAY_CHANNEL:
        return take_channel(r, heard);
    case SAY_DIED: /* what was asked will not be answered */
        if (heard->say.u.state.state == ULV_PARTITION_OPERATIONS)
            return r->has_policy ? ULV_OK : ULV_E_PEER_GONE;
        if (r->state != STATE_IDLE)
            fail_upstream(r, ULV_E_PEER_GONE);
        ulv_ring_tx_close(&r->client.end.tx, ULV_E_PEER_GONE);
        return ULV_OK;
    default:
        return ULV_E_PEER_PROTOCOL;
    }
}

/* What cannot be understood is not asked again: every request from now on
 * fails, with that reason. */
static void
lose_ultravisor(struct command_role *r, ulv_status status)
{
    r->above_lost = true;
    ulv_role_tell_broken(&r->role, r->above.channel, "the ultravisor", status);
    ulv_channel_give_up(&r->client.end);
    if (r->state != STATE_IDLE)
        fail_upstream(r, status);
}

static void
hear_ultravisor(struct command_role *r)
{
    const struct ulv_message *m;
    bool ring = false;
    ulv_status status;

    (void)ulv_wire_take(&r->above);
    while ((status = ulv_command_receive(&r->client, &m, &ring)) == ULV_OK) {
        if (!ulv_relay_hear(&r->relay, m))
            hear_answer(r, m);
    }
    if (status != ULV_E_EMPTY)
        lose_ultravisor(r, status);
    if (ring)
        ulv_wire_ring(&r->above);
}

static void
watch_ultravisor(struct command_role *r)
{
    bool ring = false;

    ulv_relay_step(&r->relay, &r->sessions.server, &r->client, &ring);
    if (ring)
        ulv_wire_ring(&r->above);
}

static void
command_step(struct role *role, struct role_need *need)
{
    struct command_role *r = self_of(role);

    if (r->has_policy_end && !r->has_policy &&
        r->no_policy.status == ULV_OK) {
        (void)ulv_wire_take(&r->policy_wire);
        fetch_policy(r);
    }
    if (r->has_client && !r->above_lost)
        hear_ultravisor(r);
    if (r->has_policy) /* behind what may have ended a request */
        ulv_command_more_step(r);
    if (ULV_REQUEST_GROUPS && r->state == STATE_IDLE)
        ulv_command_group_step(r, need);
    ulv_sessions_step(&r->sessions, need);
    if (ULV_REQUEST_GROUPS &&
        (r->state == STATE_JOIN || r->state == STATE_GROW)) {
        ulv_command_group_step(r, need);
        need->again |= r->state == STATE_IDLE;
    }
    if (r->has_client && !r->above_lost)
        watch_ultravisor(r);
}

const struct role_ops ulv_role_command = {
    .bytes = sizeof(struct command_role),
    .init = command_init,
    .fini = command_fini,
    .hear = command_hear,
    .step = command_step,
};
