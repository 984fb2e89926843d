/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The builder of transactions, and the way to the command role and back. */
#include <ultravisor/abi/block.h>
#include <ultravisor/abi/system_call.h>

#include "base/base.h"
#include "system/system_priv.h"

/* A medium that the transaction offers: opened at commit. */
struct offered {
    struct offered *next;
    ulv_id device;
    struct ulv_source source;
    uint32_t operation_idx;
    char path[4096]; /* a copy: sources are borrowed */
};

struct ulv_transaction {
    ulv_system *system;
    struct ulv_diag diag; /* status: the first error */
    uint32_t options, count;
    struct offered *offered;
    struct ulv_operation *many; /* in place of few, when those are too few */
    struct ulv_operation few[ULV_OPERATION_MESSAGE_MAX];
};

static struct ulv_operation *
operations_of(ulv_transaction *t)
{
    return ULV_LARGE_TRANSACTIONS && t->many != NULL ? t->many : t->few;
}

/* ---- the way there ------------------------------------------------------- */

struct awaited {
    const struct ulv_message *answer;
    uint64_t request;
    ulv_status status; /* AGAIN: not there yet */
};

bool
ulv_system_role_is_dead(const ulv_system *system, uint32_t kind)
{
    const struct keeper_partition *p = system->keeper.partitions;

    while (p != NULL && p->kind != kind)
        p = p->next;
    return p != NULL && !p->alive;
}

static bool
is_answer(const struct ulv_message *m, uint64_t request)
{
    return m->request == request && m->kind != ULV_MESSAGE_EVENT;
}

static bool
answer_is_there(ulv_system *system, void *self)
{
    struct awaited *a = self;
    bool ring = false;

    for (;;) {
        a->status = ulv_command_receive(&system->client, &a->answer, &ring);
        if (a->status != ULV_OK || is_answer(a->answer, a->request))
            break;
        if (system->heed != NULL)
            system->heed(system, a->answer);
    }
    if (ring)
        ulv_wire_ring(&system->wire);
    if (a->status != ULV_E_EMPTY)
        return true;
    if (!ulv_system_role_is_dead(system, ULV_PARTITION_COMMAND))
        return false;
    a->status = ULV_E_PEER_GONE;
    return true;
}

ulv_status
ulv_system_await_until(ulv_system *system, ulv_status sent, bool ring,
                       const struct ulv_message **ret, ulv_nsec deadline,
                       struct ulv_diag *diag)
{
    struct awaited a = { .request = system->client.next_request - 1 };
    ulv_status status = sent;

    if (ring)
        ulv_wire_ring(&system->wire);
    if (status == ULV_OK)
        status = ulv_system_run_until(system, answer_is_there, &a, deadline);
    if (status == ULV_OK)
        status = a.status;
    if (status == ULV_E_PEER_GONE)
        return ulv_fail(diag, status, 0, 0, 0,
                        "the command partition is dead");
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0,
                        "the command partition cannot be asked: %s",
                        ulv_status_text(status));
    *ret = a.answer;
    return ULV_OK;
}

ulv_status
ulv_system_await(ulv_system *system, ulv_status sent, bool ring,
                 const struct ulv_message **ret, struct ulv_diag *diag)
{
    return ulv_system_await_until(system, sent, ring, ret, ULV_FOREVER, diag);
}

ulv_status
ulv_system_ask(ulv_system *system, uint32_t options,
               const struct ulv_operation *operations, uint32_t count,
               struct ulv_diag *diag)
{
    const struct ulv_message *m = NULL;
    const struct ulv_message_transaction_answer *answer;
    const struct ulv_command_transaction transaction = {
        .options = options,
        .operation_count = count,
        .operations = operations,
    };
    bool ring = false;
    ulv_status status =
        ulv_command_send_transaction(&system->client, &transaction, &ring);

    status = ulv_system_await(system, status, ring, &m, diag);
    ulv_system_hear_decisions(system);
    if (status != ULV_OK)
        return status;
    answer = (const void *)m;
    if (answer->status != ULV_OK)
        return ulv_fail(diag, answer->status, answer->object, answer->value,
                        answer->bound, "%s", answer->text);
    if ((options & ULV_TRANSACTION_DRY_RUN) == 0)
        system->revision = answer->revision;
    return ULV_OK;
}

ulv_status
ulv_system_check(ulv_system *system, struct ulv_diag *diag)
{
    return ulv_system_ask(system,
                          ULV_TRANSACTION_CHECK | ULV_TRANSACTION_DRY_RUN,
                          NULL, 0, diag);
}

ulv_id
ulv_system_new_id(ulv_system *system, struct ulv_diag *diag)
{
    ulv_id id = ulv_command_client_id(&system->client);
    const struct ulv_message *answer;
    bool ring = false;
    ulv_status status;

    if (id != 0)
        return id;
    status = ulv_command_send_hello(&system->client, &ring);
    if (ulv_system_await(system, status, ring, &answer, diag) != ULV_OK)
        return 0;
    id = ulv_command_client_id(&system->client);
    if (id == 0)
        (void)ulv_fail(diag, ULV_E_LIMIT, 0, 0, 0, "no ids are left");
    return id;
}

/* ---- the builder --------------------------------------------------------- */

ulv_transaction *
ulv_transaction_begin(ulv_system *system)
{
    const struct ulv_host *host = system->host;
    ulv_transaction *t = host->alloc(host->self, sizeof(*t), 8);

    if (t == NULL)
        return NULL;
    t->system = system;
    t->diag.size = sizeof(t->diag);
    return t;
}

static bool
make_room(ulv_transaction *t)
{
    const struct ulv_host *host = t->system->host;

    if (!ULV_LARGE_TRANSACTIONS || t->count != ULV_COUNT_OF(t->few))
        return true;
    t->many = host->alloc(host->self,
                          ULV_OPERATION_COUNT_MAX * sizeof(*t->many), 8);
    if (t->many == NULL) {
        t->diag.status = ulv_fail(&t->diag, ULV_E_NO_MEMORY, 0, t->count, 0,
                                  "no memory for more than %u operations",
                                  (uint64_t)t->count);
        return false;
    }
    memcpy(t->many, t->few, sizeof(t->few));
    return true;
}

struct ulv_operation *
ulv_transaction_add(ulv_transaction *t, uint32_t kind)
{
    struct ulv_operation *o;

    if (t == NULL || t->diag.status != ULV_OK)
        return NULL;
    if (t->count == ULV_COMMAND_OPERATIONS_MAX) {
        t->diag.status = ulv_fail(&t->diag, ULV_E_LIMIT, 0, t->count, t->count,
                                  "more than %u operations in a transaction",
                                  (uint64_t)t->count);
        return NULL;
    }
    if (!make_room(t))
        return NULL;
    o = &operations_of(t)[t->count++];
    o->kind = kind;
    return o;
}

ulv_id
ulv_transaction_new_id(ulv_transaction *t)
{
    ulv_id id = ulv_system_new_id(t->system, &t->diag);

    if (id == 0 && t->diag.status == ULV_OK)
        t->diag.status = ULV_E_LIMIT;
    return id;
}

static ulv_id
self_or(const ulv_transaction *t, ulv_id id)
{
    return id == ULV_SELF ? t->system->keeper.boot : id;
}

ulv_id
ulv_transaction_partition(ulv_transaction *t, const char *name, uint32_t kind)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_CREATE_PARTITION);
    struct ulv_op_create_partition *op;
    size_t len;

    if (o == NULL)
        return 0;
    op = &o->u.create_partition;
    len = name == NULL ? 0 : ulv_string_length(name, ULV_NAME_MAX + 1);
    if (len == 0 || len > ULV_NAME_MAX) {
        t->diag.status =
            ulv_fail(&t->diag, ULV_E_ARG, 0, len, ULV_NAME_MAX,
                     "a partition's name has 1 to %u bytes",
                     (uint64_t)ULV_NAME_MAX);
        return 0;
    }
    op->id = ulv_transaction_new_id(t);
    op->kind = kind;
    op->capabilities = ULV_CAP_GUEST;
    ulv_string_copy(op->name, sizeof(op->name), name);
    return op->id;
}

/* What makes a partition in this transaction; NULL: nothing. */
static struct ulv_op_create_partition *
find_made(ulv_transaction *t, ulv_id partition)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct ulv_operation *o = &operations_of(t)[i];

        if (o->kind == ULV_OP_CREATE_PARTITION &&
            o->u.create_partition.id == partition)
            return &o->u.create_partition;
    }
    return NULL;
}

void
ulv_transaction_processor_level(ulv_transaction *t, ulv_id partition,
                                uint32_t level)
{
    static const uint64_t capability[] = { 0, ULV_CAP_CPU_V3,
                                           ULV_CAP_CPU_HOST };
    struct ulv_op_create_partition *op;

    if (t == NULL || t->diag.status != ULV_OK)
        return;
    op = find_made(t, partition);
    if (op != NULL && level <= ULV_CPU_HOST) {
        op->capabilities &= ~(ULV_CAP_CPU_V3 | ULV_CAP_CPU_HOST);
        op->capabilities |= capability[level];
        return;
    }
    t->diag.status = ulv_fail(&t->diag, ULV_E_ARG, partition, level,
                              ULV_CPU_HOST,
                              "partition %u is not made here, or there is no "
                              "processor level %u",
                              partition, (uint64_t)level);
}

void
ulv_transaction_interrupts(ulv_transaction *t, ulv_id partition)
{
    struct ulv_op_create_partition *op;

    if (t == NULL || t->diag.status != ULV_OK)
        return;
    op = find_made(t, partition);
    if (op != NULL)
        op->capabilities |= ULV_CAP_INTERRUPT;
    else
        t->diag.status = ulv_fail(&t->diag, ULV_E_ARG, partition, 0, 0,
                                  "partition %u is not made here", partition);
}

void
ulv_transaction_stock(ulv_transaction *t, ulv_id partition)
{
    struct ulv_op_create_partition *op;

    if (t == NULL || t->diag.status != ULV_OK)
        return;
    op = find_made(t, partition);
    if (op == NULL) {
        t->diag.status = ulv_fail(&t->diag, ULV_E_ARG, partition, 0, 0,
                                  "partition %u is not made here", partition);
        return;
    }
    op->capabilities &= ~ULV_CAP_GUEST; /* it makes no calls */
    op->capabilities |= ULV_CAP_STOCK;
}

void
ulv_transaction_destroy(ulv_transaction *t, ulv_id partition)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_DESTROY_PARTITION);

    if (o != NULL)
        o->u.destroy_partition.id = partition;
}

void
ulv_transaction_memory(ulv_transaction *t, ulv_id partition, uint64_t bytes,
                       uint32_t node)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_ASSIGN_MEMORY);

    if (o == NULL)
        return;
    o->u.assign_memory.partition = partition;
    o->u.assign_memory.bytes = bytes;
    o->u.assign_memory.node = node;
}

void
ulv_transaction_release(ulv_transaction *t, ulv_id partition, ulv_gpa address,
                        uint64_t bytes)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_RELEASE_MEMORY);

    if (o == NULL)
        return;
    o->u.release_memory.partition = partition;
    o->u.release_memory.guest_address = address.value;
    o->u.release_memory.bytes = bytes;
}

void
ulv_transaction_move(ulv_transaction *t, ulv_id partition, ulv_gpa address,
                     uint64_t bytes, ulv_id to)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_MOVE_MEMORY);

    if (o == NULL)
        return;
    o->u.move_memory.partition = partition;
    o->u.move_memory.guest_address = address.value;
    o->u.move_memory.bytes = bytes;
    o->u.move_memory.to = to;
}

void
ulv_transaction_revoke(ulv_transaction *t, ulv_id channel)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_REVOKE);

    if (o != NULL)
        o->u.revoke.channel = channel;
}

void
ulv_transaction_processors(ulv_transaction *t, ulv_id partition,
                           uint32_t count, uint32_t mode)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_ASSIGN_PROCESSORS);

    if (o == NULL)
        return;
    o->u.assign_processors.partition = partition;
    o->u.assign_processors.count = count;
    o->u.assign_processors.mode = mode;
}

void
ulv_transaction_processor(ulv_transaction *t, ulv_id partition,
                          ulv_id processor, uint32_t mode, uint32_t quanta)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_ASSIGN_PROCESSORS);

    if (o == NULL)
        return;
    o->u.assign_processors.partition = partition;
    o->u.assign_processors.count = 1;
    o->u.assign_processors.mode = mode;
    o->u.assign_processors.processor = processor;
    o->u.assign_processors.quanta = quanta;
}

void
ulv_transaction_quanta(ulv_transaction *t, ulv_id partition, uint32_t vcpu_idx,
                       uint32_t quanta)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_SET_QUANTA);

    if (o == NULL)
        return;
    o->u.set_quanta.partition = partition;
    o->u.set_quanta.vcpu_idx = vcpu_idx;
    o->u.set_quanta.quanta = quanta;
}

/* What a device is called: the last part of its path. */
static void
name_device(struct ulv_op_offer *op, const struct ulv_source *source)
{
    const char *name = "medium";

    if (source->kind == ULV_SOURCE_KIND_PATH && source->path != NULL) {
        name = source->path;
        for (const char *c = source->path; *c != '\0'; c++) {
            if (*c == '/' && c[1] != '\0')
                name = c + 1;
        }
    }
    ulv_string_copy(op->name, sizeof(op->name), name);
    for (size_t i = 0; op->name[i] != '\0'; i++) {
        if ((uint8_t)op->name[i] <= 0x20 || op->name[i] == 0x7f)
            op->name[i] = '_';
    }
}

ulv_id
ulv_transaction_offer(ulv_transaction *t, ulv_id primary, ulv_id standby,
                      struct ulv_source source)
{
    return ulv_transaction_offer_disk(t, primary, standby, source,
                                      ULV_DISK_READ_ONLY);
}

ulv_id
ulv_transaction_offer_disk(ulv_transaction *t, ulv_id primary, ulv_id standby,
                           struct ulv_source source, uint32_t flags)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_OFFER);
    const struct ulv_host *host;
    struct offered *offered;

    if (o == NULL)
        return 0;
    if (ULV_MEDIA_WRITES && flags > ULV_DISK_READ_ONLY) {
        t->diag.status = ulv_fail(&t->diag, ULV_E_ARG, 0, flags,
                                  ULV_DISK_READ_ONLY,
                                  "a disk is offered with flags %u, at most %u",
                                  (uint64_t)flags,
                                  (uint64_t)ULV_DISK_READ_ONLY);
        return 0;
    }
    host = t->system->host;
    offered = host->alloc(host->self, sizeof(*offered), 8);
    if (offered == NULL) {
        t->diag.status = ulv_fail(&t->diag, ULV_E_NO_MEMORY, 0, 0, 0,
                                  "out of memory");
        return 0;
    }
    offered->source = source;
    offered->operation_idx = t->count - 1;
    offered->next = t->offered;
    t->offered = offered;
    if (source.kind == ULV_SOURCE_KIND_PATH && source.path != NULL) {
        ulv_string_copy(offered->path, sizeof(offered->path), source.path);
        offered->source.path = offered->path;
    }
    o->u.offer.id = offered->device = ulv_transaction_new_id(t);
    o->u.offer.primary = primary;
    o->u.offer.standby = standby;
    o->u.offer.kind = ULV_DEVICE_BLOCK;
    o->u.offer.flags = ULV_MEDIA_WRITES && flags == ULV_DISK_READ_WRITE
                           ? 0
                           : ULV_BLOCK_READ_ONLY;
    name_device(&o->u.offer, &source);
    return o->u.offer.id;
}

ulv_id
ulv_transaction_attach(ulv_transaction *t, ulv_id partition, ulv_id device,
                       uint32_t flags)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_ATTACH);

    if (o == NULL)
        return 0;
    o->u.attach.channel = ulv_transaction_new_id(t);
    o->u.attach.partition = partition;
    o->u.attach.device = device;
    o->u.attach.flags = flags == ULV_DISK_READ_ONLY ? ULV_BLOCK_READ_ONLY : 0;
    return o->u.attach.channel;
}

ulv_id
ulv_transaction_console(ulv_transaction *t, ulv_id partition, ulv_id primary,
                        ulv_id standby)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_OFFER);
    struct ulv_text name;

    if (o == NULL)
        return 0;
    o->u.offer.id = ulv_transaction_new_id(t);
    o->u.offer.primary = primary;
    o->u.offer.standby = standby;
    o->u.offer.kind = ULV_DEVICE_CONSOLE;
    ulv_text_init(&name, o->u.offer.name, sizeof(o->u.offer.name));
    ulv_text_format(&name, "console-%u", partition);
    return ulv_transaction_attach(t, partition, o->u.offer.id,
                                  ULV_DISK_READ_WRITE);
}

ulv_id
ulv_transaction_connect(ulv_transaction *t, ulv_id client, ulv_id server,
                        const struct ulv_guid *type)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_CONNECT);

    if (o == NULL)
        return 0;
    o->u.connect.channel = ulv_transaction_new_id(t);
    o->u.connect.server = self_or(t, server);
    o->u.connect.client = self_or(t, client);
    o->u.connect.ring_bytes = ULV_KIB(64);
    memcpy(o->u.connect.type, type->bytes, 16);
    return o->u.connect.channel;
}

ulv_id
ulv_transaction_connect_sized(ulv_transaction *t, ulv_id client,
                              ulv_id server, const struct ulv_guid *type,
                              uint64_t ring_bytes, uint64_t bulk_bytes)
{
    ulv_id id = ulv_transaction_connect(t, client, server, type);
    struct ulv_op_connect *op;

    if (id == 0)
        return 0;
    op = &operations_of(t)[t->count - 1].u.connect;
    op->ring_bytes = ring_bytes;
    op->bulk_bytes = bulk_bytes;
    if (ULV_BULK_AREAS || bulk_bytes == 0)
        return id;
    t->diag.status = ulv_fail(&t->diag, ULV_E_UNSUPPORTED, id, bulk_bytes, 0,
                              "channel %u: there are no bulk areas here", id);
    return 0;
}

/* ---- zones, quotas, labels ----------------------------------------------- */

void
ulv_transaction_text(ulv_transaction *t, char *to, size_t size,
                     const char *from, ulv_id object, const char *what)
{
    const size_t len = from == NULL ? 0 : ulv_string_length(from, size);

    if (len == size)
        t->diag.status = ulv_fail(&t->diag, ULV_E_ARG, object, len, size - 1,
                                  "%s of object %u has more than %u bytes",
                                  what, object, (uint64_t)size - 1);
    else if (len != 0)
        memcpy(to, from, len);
}

ulv_id
ulv_transaction_zone(ulv_transaction *t, const char *name)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_CREATE_ZONE);

    if (o == NULL)
        return 0;
    o->u.create_zone.id = ulv_transaction_new_id(t);
    ulv_transaction_text(t, o->u.create_zone.name,
                         sizeof(o->u.create_zone.name), name,
                         o->u.create_zone.id, "the name");
    return t->diag.status == ULV_OK ? o->u.create_zone.id : 0;
}

void
ulv_transaction_zone_destroy(ulv_transaction *t, ulv_id zone)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_DESTROY_ZONE);

    if (o != NULL)
        o->u.destroy_zone.id = zone;
}

void
ulv_transaction_zone_set(ulv_transaction *t, ulv_id partition, ulv_id zone)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_SET_ZONE);

    if (o == NULL)
        return;
    o->u.set_zone.partition = partition;
    o->u.set_zone.zone = zone;
}

void
ulv_transaction_quota(ulv_transaction *t, ulv_id object, uint32_t resource,
                      uint64_t limit)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_SET_QUOTA);

    if (o == NULL)
        return;
    o->u.set_quota.object = object;
    o->u.set_quota.resource = resource;
    o->u.set_quota.limit = limit;
}

void
ulv_transaction_label(ulv_transaction *t, ulv_id object, const char *key,
                      const char *value)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_SET_LABEL);

    if (o == NULL)
        return;
    o->u.set_label.object = object;
    ulv_transaction_text(t, o->u.set_label.key, sizeof(o->u.set_label.key),
                         key, object, "a key");
    ulv_transaction_text(t, o->u.set_label.value,
                         sizeof(o->u.set_label.value), value, object,
                         "a label");
}

void
ulv_transaction_policy(ulv_transaction *t, ulv_id object, const char *name)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_SET_POLICY);

    if (o == NULL)
        return;
    o->u.set_policy.object = object;
    ulv_transaction_text(t, o->u.set_policy.name,
                         sizeof(o->u.set_policy.name), name, object,
                         "the policy");
}

void
ulv_transaction_dry_run(ulv_transaction *t)
{
    if (t != NULL)
        t->options |= ULV_TRANSACTION_DRY_RUN;
}

/* ---- commit -------------------------------------------------------------- */

void
ulv_transaction_abort(ulv_transaction *t)
{
    const struct ulv_host *host;

    if (t == NULL)
        return;
    host = t->system->host;
    while (t->offered != NULL) {
        struct offered *offered = t->offered;

        t->offered = offered->next;
        ulv_keeper_source_drop(&t->system->keeper, offered->device);
        host->free(host->self, offered, sizeof(*offered));
    }
    if (ULV_LARGE_TRANSACTIONS)
        host->free(host->self, t->many,
                   ULV_OPERATION_COUNT_MAX * sizeof(*t->many));
    host->free(host->self, t, sizeof(*t));
}

static ulv_status
open_media(ulv_transaction *t, struct ulv_diag *diag)
{
    for (struct offered *o = t->offered; o != NULL; o = o->next) {
        struct ulv_op_offer *op = &operations_of(t)[o->operation_idx].u.offer;
        ulv_status status =
            ulv_keeper_source_add(&t->system->keeper, o->device, &o->source, 2,
                                  ULV_MEDIA_WRITES && op->flags == 0
                                      ? 0
                                      : ULV_MEDIUM_READ_ONLY,
                                  &op->bytes, diag);

        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

ulv_status
ulv_transaction_commit(ulv_transaction *t, struct ulv_diag *diag)
{
    ulv_status status;

    if (t == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, 0, 0,
                        "no memory for a transaction");
    status = t->diag.status;
    if (status != ULV_OK && diag != NULL)
        *diag = t->diag;
    if (status == ULV_OK)
        status = open_media(t, diag);
    if (status == ULV_OK)
        status = ulv_system_ask(t->system, t->options, operations_of(t),
                                t->count, diag);
    ulv_transaction_abort(t);
    return status;
}
