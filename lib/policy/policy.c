/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "policy/policy.h"

#include "policy/policy_priv.h"

void
ulv_policy_default(struct ulv_policy *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->magic = ULV_POLICY_MAGIC;
    ret->version = ULV_POLICY_VERSION;
    ret->bytes = sizeof(*ret);
    ret->memory_per_guest = ULV_GIB(1);
    ret->processors_per_guest = 4;
    ret->guests = 64;
    ret->rule_count = 1;
    ulv_string_copy(ret->rule[0].device, 32, "*");
    ulv_string_copy(ret->rule[0].primary, 32, "io-a");
    ulv_string_copy(ret->rule[0].standby, 32, "io-b");
}

static ulv_status
out_of_range(struct ulv_diag *diag, const char *field, uint64_t value,
             uint64_t bound)
{
    return ulv_fail(diag, ULV_E_FORMAT, 0, value, bound,
                    "policy: %s is %u, at most %u allowed", field, value,
                    bound);
}

ulv_status
ulv_policy_check(const void *bytes, size_t len, struct ulv_diag *diag)
{
    const struct ulv_policy *p = bytes;

    if (len != sizeof(*p))
        return ulv_fail(diag, ULV_E_FORMAT, 0, len, sizeof(*p),
                        "a compiled policy has %u bytes, not %u",
                        (uint64_t)sizeof(*p), (uint64_t)len);
    if (p->magic != ULV_POLICY_MAGIC)
        return ulv_fail(diag, ULV_E_FORMAT, 0, p->magic, ULV_POLICY_MAGIC,
                        "not a compiled policy: it starts with %x", p->magic);
    if (p->version != ULV_POLICY_VERSION || p->bytes != sizeof(*p))
        return ulv_fail(diag, ULV_E_FORMAT, 0, p->version, ULV_POLICY_VERSION,
                        "policy: version %u of %u bytes, %u wanted",
                        (uint64_t)p->version, (uint64_t)p->bytes,
                        (uint64_t)ULV_POLICY_VERSION);
    if (p->node > ULV_POLICY_NODE_FIRST)
        return out_of_range(diag, "node", p->node, ULV_POLICY_NODE_FIRST);
    if (p->side > ULV_POLICY_SIDE_FIRST)
        return out_of_range(diag, "side", p->side, ULV_POLICY_SIDE_FIRST);
    if (p->restarts > ULV_RESTARTS_MAX)
        return out_of_range(diag, "restarts", p->restarts, ULV_RESTARTS_MAX);
    if (p->rule_count > ULV_POLICY_RULES_MAX)
        return out_of_range(diag, "rule_count", p->rule_count,
                            ULV_POLICY_RULES_MAX);
    for (uint32_t i = 0; i < p->rule_count; i++) {
        if (!ulv_policy_terminated(p->rule[i].device) ||
            !ulv_policy_terminated(p->rule[i].primary) ||
            !ulv_policy_terminated(p->rule[i].standby))
            return ulv_fail(diag, ULV_E_FORMAT, 0, i, p->rule_count,
                            "policy: rule %u has a name without an end",
                            (uint64_t)i);
    }
    return ulv_policy_check_rules(p, diag);
}

/* ---- one transaction ----------------------------------------------------- */

/* Ids go up. */
const struct ulv_partition_record *
ulv_policy_partition(const struct decision *d, ulv_id id)
{
    const struct ulv_partition_record *all = d->facts->partitions;
    uint32_t low = 0, high = d->facts->partition_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (all[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < d->facts->partition_count && all[low].id == id ? &all[low]
                                                                : NULL;
}

ulv_id
ulv_policy_io(const struct decision *d, const char name[32])
{
    for (uint32_t i = 0; i < d->facts->partition_count; i++) {
        if (d->facts->partitions[i].kind == ULV_PARTITION_IO &&
            ulv_string_equal(d->facts->partitions[i].name, name, 32))
            return d->facts->partitions[i].id;
    }
    return 0;
}

const struct ulv_op_create_partition *
ulv_policy_made(const struct decision *d, ulv_id id)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_operation *o = &d->operations[i];

        if (o->kind == ULV_OP_CREATE_PARTITION &&
            o->u.create_partition.id == id &&
            ulv_policy_terminated(o->u.create_partition.name))
            return &o->u.create_partition;
    }
    return NULL;
}

const char *
ulv_policy_name(const struct decision *d, ulv_id id)
{
    const struct ulv_partition_record *p = ulv_policy_partition(d, id);
    const struct ulv_op_create_partition *made =
        p == NULL ? ulv_policy_made(d, id) : NULL;

    if (p != NULL)
        return p->name;
    return made == NULL ? "?" : made->name;
}

void
ulv_policy_begin(struct decision *d, uint32_t kind, ulv_id object)
{
    memset(&d->said, 0, sizeof(d->said));
    d->said.kind = kind;
    d->said.object = object;
    d->said.operation_idx = d->idx;
}

void
ulv_policy_say(struct decision *d, const char *text)
{
    ulv_string_copy(d->said.text, sizeof(d->said.text), text);
    d->reasons->add(d->reasons->self, &d->said);
}

ulv_status
ulv_policy_unnamed(const struct decision *d, ulv_id id)
{
    return ulv_fail(d->diag, ULV_E_ARG, id, 32, 31,
                    "object %u: a name has at most 31 bytes and an end", id);
}

/* What is looked at now is bounded by this key. */
static void
by_key(struct decision *d, uint32_t kind, ulv_id object, const char *key)
{
    ulv_policy_begin(d, kind, object);
    ulv_string_copy(d->said.rule, sizeof(d->said.rule), key);
}

ulv_status
ulv_policy_may_be_silent(struct decision *d, ulv_id guest, const char *name,
                         uint64_t limit)
{
    by_key(d, ULV_DECISION_LIMIT, guest, "silence_limit_ms");
    if (d->policy->silence_limit == 0 ||
        (limit != 0 && limit <= d->policy->silence_limit))
        return ULV_OK;
    return ulv_fail(d->diag, ULV_E_POLICY, guest, limit,
                    d->policy->silence_limit,
                    "%s: %u ns without a system call asked, policy allows "
                    "%u (silence_limit_ms)",
                    name, limit, d->policy->silence_limit);
}

/* How long it may be silent, and how often it starts again. */
static ulv_status
decide_ends(struct decision *d, struct ulv_op_create_partition *op)
{
    ulv_status status;

    op->restart_window = 0; /* it is the policy's to say */
    if (op->silence_limit == 0)
        op->silence_limit = d->policy->silence_limit;
    status =
        ulv_policy_may_be_silent(d, op->id, op->name, op->silence_limit);
    return status != ULV_OK ? status : ulv_policy_restarts(d, op);
}

static ulv_status
decide_create(struct decision *d, struct ulv_op_create_partition *op)
{
    uint32_t guests = 0;

    if (!ulv_policy_terminated(op->name))
        return ulv_policy_unnamed(d, op->id);
    if (op->kind != ULV_PARTITION_GUEST)
        return ulv_fail(d->diag, ULV_E_POLICY, op->id, op->kind, 0,
                        "%s: only guests are created by request", op->name);
    by_key(d, ULV_DECISION_LIMIT, op->id, "guests");
    for (uint32_t i = 0; i < d->facts->partition_count; i++)
        guests += d->facts->partitions[i].kind == ULV_PARTITION_GUEST;
    for (uint32_t i = 0; i < d->count; i++)
        guests += d->operations[i].kind == ULV_OP_CREATE_PARTITION;
    if (guests > d->policy->guests)
        return ulv_fail(d->diag, ULV_E_POLICY, op->id, guests,
                        d->policy->guests,
                        "%s would be guest %u, policy allows %u (guests)",
                        op->name, (uint64_t)guests,
                        (uint64_t)d->policy->guests);
    return decide_ends(d, op);
}

/* What a partition would have after this transaction. */
static uint64_t
memory_after(const struct decision *d, ulv_id id)
{
    const struct ulv_partition_record *p = ulv_policy_partition(d, id);
    uint64_t bytes = p == NULL ? 0 : p->memory_bytes;

    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_operation *o = &d->operations[i];

        if (o->kind == ULV_OP_ASSIGN_MEMORY &&
            o->u.assign_memory.partition == id &&
            !ulv_add_u64(bytes, o->u.assign_memory.bytes, &bytes))
            return UINT64_MAX;
        if (o->kind == ULV_OP_MOVE_MEMORY && o->u.move_memory.to == id &&
            !ulv_add_u64(bytes, o->u.move_memory.bytes, &bytes))
            return UINT64_MAX;
    }
    return bytes;
}

uint64_t
ulv_policy_free(const struct decision *d, const struct ulv_memory_record *node)
{
    uint64_t bytes = node->free_bytes;

    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_operation *o = &d->operations[i];

        if (o->kind == ULV_OP_ASSIGN_MEMORY &&
            o->u.assign_memory.node == node->node)
            bytes -= ULV_MIN(bytes, o->u.assign_memory.bytes);
    }
    return bytes;
}

/* Whether policy lets a guest have what it would have. */
static ulv_status
check_memory(struct decision *d, ulv_id id)
{
    uint64_t bytes = memory_after(d, id);

    by_key(d, ULV_DECISION_LIMIT, id, "memory_per_guest");
    if (bytes <= d->policy->memory_per_guest)
        return ULV_OK;
    return ulv_fail(d->diag, ULV_E_POLICY, id, bytes,
                    d->policy->memory_per_guest,
                    "%s: %z asked, policy allows %z a guest "
                    "(memory_per_guest)",
                    ulv_policy_name(d, id), bytes, d->policy->memory_per_guest);
}

static ulv_status
decide_memory(struct decision *d, struct ulv_op_assign_memory *op)
{
    ulv_status status = check_memory(d, op->partition);

    return status != ULV_OK ? status : ulv_policy_place_memory(d, op);
}

static ulv_status
decide_move(struct decision *d, const struct ulv_op_move_memory *op)
{
    ulv_status status = check_memory(d, op->to);

    return status != ULV_OK ? status : ulv_policy_place_move(d, op);
}

/* As memory_after(); 4096 times 32 bits do not wrap. */
static uint64_t
processors_after(const struct decision *d, ulv_id id)
{
    const struct ulv_partition_record *p = ulv_policy_partition(d, id);
    uint64_t count = p == NULL ? 0 : p->processor_count;

    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_operation *o = &d->operations[i];

        if (o->kind == ULV_OP_ASSIGN_PROCESSORS &&
            o->u.assign_processors.partition == id)
            count += o->u.assign_processors.count;
    }
    return count;
}

static ulv_status
decide_processors(struct decision *d, struct ulv_op_assign_processors *op)
{
    uint64_t count = processors_after(d, op->partition);

    by_key(d, ULV_DECISION_LIMIT, op->partition, "processors_per_guest");
    if (count > d->policy->processors_per_guest)
        return ulv_fail(d->diag, ULV_E_POLICY, op->partition, count,
                        d->policy->processors_per_guest,
                        "%s: %u processors asked, policy allows %u a guest "
                        "(processors_per_guest)",
                        ulv_policy_name(d, op->partition), count,
                        (uint64_t)d->policy->processors_per_guest);
    return ulv_policy_place_processors(d, op);
}

/* ---- devices ------------------------------------------------------------- */

bool
ulv_policy_matches(const char pattern[32], const char *name, size_t size)
{
    size_t len = ulv_string_length(pattern, 32);

    if (len > 0 && pattern[len - 1] == '*')
        return ulv_string_length(name, size) >= len - 1 &&
               memcmp(pattern, name, len - 1) == 0;
    return ulv_string_equal(pattern, name, size);
}

uint64_t
ulv_policy_load(const struct decision *d, ulv_id io)
{
    uint64_t served = 0;

    for (uint32_t i = 0; i < d->facts->device_count; i++)
        served += d->facts->devices[i].serving == io;
    for (uint32_t i = 0; i < d->count; i++)
        served += d->operations[i].kind == ULV_OP_OFFER &&
                  d->operations[i].u.offer.primary == io;
    return served;
}

bool
ulv_policy_serves(const struct decision *d, ulv_id io)
{
    const struct ulv_partition_record *p = ulv_policy_partition(d, io);

    return p != NULL && p->kind == ULV_PARTITION_IO &&
           p->state == ULV_STATE_RUNNING;
}

bool
ulv_policy_lets(const struct ulv_op_offer *op, ulv_id a, ulv_id b)
{
    return op->primary != 0 && (op->primary == a || op->primary == b) &&
           (op->standby == 0 || op->standby == a || op->standby == b);
}

static ulv_status
decide_offer(struct decision *d, struct ulv_op_offer *op)
{
    if (!ulv_policy_terminated(op->name))
        return ulv_policy_unnamed(d, op->id);
    by_key(d, ULV_DECISION_SIDE, op->id, "io");
    return ulv_policy_place_device(d, op);
}

static ulv_status
decide_one(struct decision *d, struct ulv_operation *o)
{
    switch (o->kind) {
    case ULV_OP_CREATE_PARTITION:
        return decide_create(d, &o->u.create_partition);
    case ULV_OP_ASSIGN_MEMORY:
        return decide_memory(d, &o->u.assign_memory);
    case ULV_OP_MOVE_MEMORY:
        return decide_move(d, &o->u.move_memory);
    case ULV_OP_ASSIGN_PROCESSORS:
        return decide_processors(d, &o->u.assign_processors);
    case ULV_OP_OFFER:
        return decide_offer(d, &o->u.offer);
    case ULV_OP_CHANGE_PARTITION:
        return ulv_policy_change(d, &o->u.change_partition);
    case ULV_OP_DESTROY_PARTITION:
    case ULV_OP_RELEASE_MEMORY:
    case ULV_OP_ATTACH:
    case ULV_OP_CONNECT:
    case ULV_OP_REVOKE:
    case ULV_OP_SET_INTENT:
    case ULV_OP_SET_QUANTA:
    case ULV_OP_CREATE_ZONE:
    case ULV_OP_DESTROY_ZONE:
    case ULV_OP_SET_ZONE:
    case ULV_OP_SET_QUOTA:
    case ULV_OP_SET_LABEL:
    case ULV_OP_SET_POLICY:
    case ULV_OP_ASSIGN_HARDWARE:
    case ULV_OP_RELEASE_HARDWARE:
    case ULV_OP_MOVE_HARDWARE:
    case ULV_OP_ASSIGN_RANGE:
    case ULV_OP_RELEASE_RANGE:
    case ULV_OP_MOVE_RANGE:
    case ULV_OP_RETIRE_MEMORY:
    case ULV_OP_RETIRE_PROCESSOR:
    case ULV_OP_RELEASE_PROCESSORS:
    case ULV_OP_MOVE_PROCESSOR:
        return ULV_OK;
    default:
        return ulv_fail(d->diag, ULV_E_POLICY, 0, o->kind, 0,
                        "operation %u is not for clients", (uint64_t)o->kind);
    }
}

ulv_status
ulv_policy_decide(const struct ulv_policy *policy,
                  const struct ulv_policy_facts *facts,
                  struct ulv_operation *operations, uint32_t count,
                  const struct ulv_policy_reasons *reasons,
                  struct ulv_diag *diag)
{
    struct ulv_diag why = ULV_DIAG_INIT;
    struct decision d = {
        .policy = policy,
        .facts = facts,
        .operations = operations,
        .count = count,
        .reasons = reasons,
        .diag = diag == NULL ? &why : diag,
    };
    ulv_status status = ULV_OK;

    for (; d.idx < count && status == ULV_OK; d.idx++)
        status = decide_one(&d, &operations[d.idx]);
    if (status == ULV_OK)
        status = ulv_policy_check_limits(&d);
    if (status != ULV_OK)
        ulv_policy_say_refusal(&d);
    return status;
}
