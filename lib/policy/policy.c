/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "policy/policy.h"

#include "base/base.h"

void
ulv_policy_default(struct ulv_policy *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->magic = ULV_POLICY_MAGIC;
    ret->memory_per_guest = ULV_GIB(1);
    ret->processors_per_guest = 4;
    ret->guests = 64;
    ret->rule_count = 1;
    ulv_string_copy(ret->rule[0].device, 32, "*");
    ulv_string_copy(ret->rule[0].primary, 32, "io-a");
    ulv_string_copy(ret->rule[0].standby, 32, "io-b");
}

static bool
is_terminated(const char s[32])
{
    return ulv_string_length(s, 32) < 32;
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
    struct ulv_policy p;

    if (len != sizeof(p))
        return ulv_fail(diag, ULV_E_FORMAT, 0, len, sizeof(p),
                        "a compiled policy has %u bytes, not %u",
                        (uint64_t)sizeof(p), (uint64_t)len);
    memcpy(&p, bytes, sizeof(p));
    if (p.magic != ULV_POLICY_MAGIC)
        return ulv_fail(diag, ULV_E_FORMAT, 0, p.magic, ULV_POLICY_MAGIC,
                        "not a compiled policy: it starts with %x", p.magic);
    if (p.node > ULV_POLICY_NODE_FIRST)
        return out_of_range(diag, "node", p.node, ULV_POLICY_NODE_FIRST);
    if (p.side > ULV_POLICY_SIDE_FIRST)
        return out_of_range(diag, "side", p.side, ULV_POLICY_SIDE_FIRST);
    if (p.restarts > ULV_RESTARTS_MAX)
        return out_of_range(diag, "restarts", p.restarts, ULV_RESTARTS_MAX);
    if (p.rule_count > ULV_POLICY_RULES_MAX)
        return out_of_range(diag, "rule_count", p.rule_count,
                            ULV_POLICY_RULES_MAX);
    for (uint32_t i = 0; i < p.rule_count; i++) {
        if (!is_terminated(p.rule[i].device) ||
            !is_terminated(p.rule[i].primary) ||
            !is_terminated(p.rule[i].standby))
            return ulv_fail(diag, ULV_E_FORMAT, 0, i, p.rule_count,
                            "policy: rule %u has a name without an end",
                            (uint64_t)i);
    }
    return ULV_OK;
}

/* ---- one transaction ----------------------------------------------------- */

struct decision {
    const struct ulv_policy *policy;
    const struct ulv_policy_facts *facts;
    struct ulv_operation *operations;
    uint32_t count;
    const struct ulv_policy_reasons *reasons;
    struct ulv_diag *diag;
};

static const struct ulv_partition_record *
find_partition(const struct decision *d, ulv_id id)
{
    for (uint32_t i = 0; i < d->facts->partition_count; i++) {
        if (d->facts->partitions[i].id == id)
            return &d->facts->partitions[i];
    }
    return NULL;
}

/* A guest may have any name that is free: it does not become a server. */
static ulv_id
io_by_name(const struct decision *d, const char name[32])
{
    for (uint32_t i = 0; i < d->facts->partition_count; i++) {
        if (d->facts->partitions[i].kind == ULV_PARTITION_IO &&
            ulv_string_equal(d->facts->partitions[i].name, name, 32))
            return d->facts->partitions[i].id;
    }
    return 0;
}

/* A partition's name, also one that this transaction creates. */
static const char *
name_of(const struct decision *d, ulv_id id)
{
    const struct ulv_partition_record *p = find_partition(d, id);

    for (uint32_t i = 0; i < d->count && p == NULL; i++) {
        const struct ulv_operation *o = &d->operations[i];

        if (o->kind == ULV_OP_CREATE_PARTITION &&
            o->u.create_partition.id == id &&
            is_terminated(o->u.create_partition.name))
            return o->u.create_partition.name;
    }
    return p == NULL ? "?" : p->name;
}

static void
reason(const struct decision *d, const char *line)
{
    d->reasons->add(d->reasons->self, line);
}

/* The client's names are no strings before they are looked at. */
static ulv_status
unnamed(const struct decision *d, ulv_id id)
{
    return ulv_fail(d->diag, ULV_E_ARG, id, 32, 31,
                    "object %u: a name has at most 31 bytes and an end", id);
}

static ulv_status
decide_create(const struct decision *d, struct ulv_op_create_partition *op)
{
    uint32_t guests = 0;

    if (!is_terminated(op->name))
        return unnamed(d, op->id);
    if (op->kind != ULV_PARTITION_GUEST)
        return ulv_fail(d->diag, ULV_E_POLICY, op->id, op->kind, 0,
                        "%s: only guests are created by request", op->name);
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
    if (op->restarts == 0)
        op->restarts = d->policy->restarts;
    if (op->restarts > d->policy->restarts)
        return ulv_fail(d->diag, ULV_E_POLICY, op->id, op->restarts,
                        d->policy->restarts,
                        "%s: %u restarts a minute asked, policy allows %u "
                        "(restarts_per_minute)",
                        op->name, (uint64_t)op->restarts,
                        (uint64_t)d->policy->restarts);
    if (op->silence_limit == 0)
        op->silence_limit = d->policy->silence_limit;
    if (d->policy->silence_limit != 0 &&
        op->silence_limit > d->policy->silence_limit)
        return ulv_fail(d->diag, ULV_E_POLICY, op->id, op->silence_limit,
                        d->policy->silence_limit,
                        "%s: %u ns without a system call asked, policy allows "
                        "%u (silence_limit_ms)",
                        op->name, op->silence_limit,
                        d->policy->silence_limit);
    return ULV_OK;
}

/* What a partition would have after this transaction. */
static uint64_t
memory_after(const struct decision *d, ulv_id id)
{
    const struct ulv_partition_record *p = find_partition(d, id);
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

/* Free on a node when this transaction has what it asks for there. */
static uint64_t
free_after(const struct decision *d, const struct ulv_memory_record *node)
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

static const struct ulv_memory_record *
choose_node(const struct decision *d, uint64_t bytes, uint64_t *ret_free)
{
    const struct ulv_memory_record *best = NULL;

    for (uint32_t i = 0; i < d->facts->node_count; i++) {
        const struct ulv_memory_record *node = &d->facts->nodes[i];
        uint64_t free_bytes = free_after(d, node);

        if (free_bytes < bytes)
            continue;
        if (best == NULL || (d->policy->node == ULV_POLICY_NODE_MOST_FREE &&
                             free_bytes > *ret_free)) {
            best = node;
            *ret_free = free_bytes;
        }
    }
    return best;
}

/* Whether policy lets a guest have what it would have. */
static ulv_status
check_memory(const struct decision *d, ulv_id id)
{
    uint64_t bytes = memory_after(d, id);

    if (bytes <= d->policy->memory_per_guest)
        return ULV_OK;
    return ulv_fail(d->diag, ULV_E_POLICY, id, bytes,
                    d->policy->memory_per_guest,
                    "%s: %z asked, policy allows %z a guest "
                    "(memory_per_guest)",
                    name_of(d, id), bytes, d->policy->memory_per_guest);
}

static ulv_status
decide_memory(const struct decision *d, struct ulv_op_assign_memory *op)
{
    ulv_status status = check_memory(d, op->partition);
    const struct ulv_memory_record *node;
    uint64_t free_bytes = 0;
    struct ulv_text line;
    char text[160];

    if (status != ULV_OK)
        return status;
    if (op->node != ULV_NODE_ANY)
        return ULV_OK;
    node = choose_node(d, op->bytes, &free_bytes);
    if (node == NULL)
        return ULV_OK; /* no single node has it: the ultravisor gathers */
    op->node = node->node;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: memory from node %u, %s (%z free)",
                    name_of(d, op->partition), (uint64_t)node->node,
                    d->policy->node == ULV_POLICY_NODE_MOST_FREE
                        ? "which has most free"
                        : "the first that has enough",
                    free_bytes);
    reason(d, text);
    return ULV_OK;
}

/* As memory_after(); 512 times 32 bits do not wrap. */
static uint64_t
processors_after(const struct decision *d, ulv_id id)
{
    const struct ulv_partition_record *p = find_partition(d, id);
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
decide_processors(const struct decision *d,
                  const struct ulv_op_assign_processors *op)
{
    uint64_t count = processors_after(d, op->partition);

    if (count > d->policy->processors_per_guest)
        return ulv_fail(d->diag, ULV_E_POLICY, op->partition, count,
                        d->policy->processors_per_guest,
                        "%s: %u processors asked, policy allows %u a guest "
                        "(processors_per_guest)",
                        name_of(d, op->partition), count,
                        (uint64_t)d->policy->processors_per_guest);
    return ULV_OK;
}

/* ---- devices ------------------------------------------------------------- */

static bool
matches(const char pattern[32], const char name[32])
{
    size_t len = ulv_string_length(pattern, 32);

    if (len > 0 && pattern[len - 1] == '*')
        return ulv_string_length(name, 32) >= len - 1 &&
               memcmp(pattern, name, len - 1) == 0;
    return ulv_string_equal(pattern, name, 32);
}

static uint64_t
load_of(const struct decision *d, ulv_id io)
{
    uint64_t served = 0;

    for (uint32_t i = 0; i < d->facts->device_count; i++)
        served += d->facts->devices[i].serving == io;
    for (uint32_t i = 0; i < d->count; i++)
        served += d->operations[i].kind == ULV_OP_OFFER &&
                  d->operations[i].u.offer.primary == io;
    return served;
}

static bool
serves(const struct decision *d, ulv_id io)
{
    const struct ulv_partition_record *p = find_partition(d, io);

    return p != NULL && p->kind == ULV_PARTITION_IO &&
           p->state == ULV_STATE_RUNNING;
}

/* The side that serves first: one that runs, then as the policy prefers. */
static ulv_status
choose_side(const struct decision *d, struct ulv_op_offer *op, ulv_id a,
            ulv_id b)
{
    bool a_serves = serves(d, a), b_serves = serves(d, b);
    bool b_is_better = d->policy->side == ULV_POLICY_SIDE_LEAST_LOADED &&
                       load_of(d, b) < load_of(d, a);
    bool swap = b_serves && (!a_serves || b_is_better);
    struct ulv_text line;
    char text[160];

    if (!a_serves && !b_serves)
        return ulv_fail(d->diag, ULV_E_NOT_FOUND, op->id, a, b,
                        "%s: of its pair neither %s nor %s runs (io)",
                        op->name, a == 0 ? "nobody" : name_of(d, a),
                        b == 0 ? "nobody" : name_of(d, b));
    op->primary = swap ? b : a;
    op->standby = swap ? a : b;
    ulv_text_init(&line, text, sizeof(text));
    ulv_text_format(&line, "%s: %s serves first, %s stands by (", op->name,
                    name_of(d, op->primary),
                    op->standby == 0 ? "nobody" : name_of(d, op->standby));
    if (!a_serves || !b_serves)
        ulv_text_string(&line, "the other is not running)");
    else if (d->policy->side == ULV_POLICY_SIDE_FIRST)
        ulv_text_string(&line, "first of its rule)");
    else
        ulv_text_format(&line, "least loaded: %u and %u devices)",
                        load_of(d, op->primary) - 1,
                        load_of(d, op->standby));
    reason(d, text);
    return ULV_OK;
}

/* Whether the pair a, b (0: there is none) may serve as was asked. */
static bool
lets(const struct ulv_op_offer *op, ulv_id a, ulv_id b)
{
    return op->primary != 0 && (op->primary == a || op->primary == b) &&
           (op->standby == 0 || op->standby == a || op->standby == b);
}

static ulv_status
decide_offer(const struct decision *d, struct ulv_op_offer *op)
{
    if (!is_terminated(op->name))
        return unnamed(d, op->id);
    for (uint32_t i = 0; i < d->policy->rule_count; i++) {
        const struct ulv_policy_rule *rule = &d->policy->rule[i];
        ulv_id a = io_by_name(d, rule->primary);
        ulv_id b = io_by_name(d, rule->standby);

        if (!matches(rule->device, op->name) || (a == 0 && b == 0))
            continue;
        if (op->primary == 0 && op->standby == 0)
            return choose_side(d, op, a, a == b ? 0 : b);
        if (lets(op, a, b))
            return ULV_OK;
    }
    return ulv_fail(d->diag, ULV_E_POLICY, op->id, op->primary, op->standby,
                    "%s: no rule lets %s and %s serve it (io)", op->name,
                    op->primary == 0 ? "any pair" : name_of(d, op->primary),
                    op->standby == 0 ? "none" : name_of(d, op->standby));
}

static ulv_status
decide_one(const struct decision *d, struct ulv_operation *o)
{
    switch (o->kind) {
    case ULV_OP_CREATE_PARTITION:
        return decide_create(d, &o->u.create_partition);
    case ULV_OP_ASSIGN_MEMORY:
        return decide_memory(d, &o->u.assign_memory);
    case ULV_OP_MOVE_MEMORY:
        return check_memory(d, o->u.move_memory.to);
    case ULV_OP_ASSIGN_PROCESSORS:
        return decide_processors(d, &o->u.assign_processors);
    case ULV_OP_OFFER:
        return decide_offer(d, &o->u.offer);
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
    struct decision d = { policy, facts, operations, count, reasons, diag };
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < count && status == ULV_OK; i++)
        status = decide_one(&d, &operations[i]);
    return status;
}
