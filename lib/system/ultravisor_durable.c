/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A database that outlasts the ultravisor, and the program: the role's journal,
 * and what becomes of what is found in it when the program has begun anew. (If
 * only the ultravisor has, everything is there: ultravisor_adopt.c.)
 *
 * F = the journal is opened and has a database, S = everybody who had anything
 * is dead: guests that ran have ended, what drained is settled, channels of
 * guests are gone with their media; B = the keeper says what the machine has;
 * D = devices and memory that are gone were taken from whoever had them,
 * processors that are gone are offline, what is new is idle's; A = it is
 * ordered to make everything that the database has.
 *
 * 1. F S B D A: the memory is the same, the keeper makes it, roles start.
 * 2. F S B!: the machine is another one: refused, and the journal has S only.
 * 3. F S B D A!: the keeper has not the memory: the same, and D.
 * 4. What must fail: F B A S: a guest's channel is made again whose device
 *    nobody can serve, and only then taken away.
 */
#include "base/base.h"
#include "database/journal.h"
#include "system/storage_far.h"
#include "system/system_priv.h"
#include "system/ultravisor.h"

struct durable {
    const struct ulv_host *host;
    struct ulv_database *db;
    struct ulv_journal *journal;
    const struct ulv_storage *far; /* NULL, or the storage: our side of it */
    bool found; /* it was there before */
    bool held;  /* so is everything that it has */
};

static void
close_durable(struct durable *d)
{
    const struct ulv_host *host = d->host;

    ulv_journal_close(d->journal);
    ulv_database_destroy(d->db);
    if (d->far != NULL)
        d->far->close(d->far->self);
    host->free(host->self, d, sizeof(*d));
}

/* ---- what is found ------------------------------------------------------- */

/* Operations, as many as it takes. */
struct list {
    const struct ulv_host *host;
    struct ulv_operation *operation;
    uint32_t count, capacity;
    bool full; /* no memory for more */
};

static struct ulv_operation *
add(struct list *l, uint32_t kind)
{
    const struct ulv_host *host = l->host;
    const uint32_t more = 2 * l->capacity + 64;
    struct ulv_operation *all;

    if (l->count == l->capacity) {
        all = host->alloc(host->self, more * sizeof(*all), 8);
        if (all == NULL) {
            l->full = true;
            return NULL;
        }
        if (l->count != 0)
            memcpy(all, l->operation, l->count * sizeof(*all));
        host->free(host->self, l->operation, l->capacity * sizeof(*all));
        l->operation = all;
        l->capacity = more;
    }
    l->operation[l->count].kind = kind;
    return &l->operation[l->count++];
}

static void
set_state(struct list *l, const struct ulv_partition_record *p, uint32_t state,
          uint32_t reason)
{
    struct ulv_operation *o = add(l, ULV_OP_SET_STATE);

    if (o == NULL)
        return;
    o->u.set_state.partition = p->id;
    o->u.set_state.state = state;
    o->u.set_state.reason = reason;
    o->u.set_state.code = p->end_code;
}

static void
end_guests(const struct ulv_database *db, struct list *l)
{
    struct ulv_partition_record p = { .id = 0 };

    while (ulv_next_record(db, ULV_QUERY_PARTITIONS, p.id, &p, sizeof(p))) {
        if (p.kind == ULV_PARTITION_GUEST &&
            (p.state == ULV_STATE_STARTING || p.state == ULV_STATE_RUNNING))
            set_state(l, &p, ULV_STATE_STOPPED, ULV_END_REASON_KILLED);
    }
}

static void
settle_extents(const struct ulv_database *db, struct list *l)
{
    struct ulv_extent_record e = { .id = 0 };

    while (ulv_next_record(db, ULV_QUERY_EXTENTS, e.id, &e, sizeof(e))) {
        struct ulv_partition_record heir;
        struct ulv_operation *o;

        if ((e.flags & ULV_EXTENT_DRAINING) == 0)
            continue;
        o = add(l, ULV_OP_SETTLE);
        if (o != NULL)
            o->u.settle.object = e.id;
        if (ulv_database_find(db, ULV_QUERY_PARTITIONS, e.heir, &heir) !=
            ULV_OK)
            continue;
        o = add(l, ULV_OP_GRANT);
        if (o == NULL)
            return;
        o->u.grant.partition = e.heir;
        o->u.grant.frame = e.frame;
        o->u.grant.bytes = e.bytes;
    }
}

static bool
is_guest(const struct ulv_database *db, ulv_id id)
{
    struct ulv_partition_record p;

    return ulv_database_find(db, ULV_QUERY_PARTITIONS, id, &p) == ULV_OK &&
           p.kind == ULV_PARTITION_GUEST;
}

/* A command channel that came after the boot transaction's lease. */
static bool
is_a_programs(const struct ulv_channel_record *c)
{
    static const uint8_t command[16] = ULV_CHANNEL_TYPE_COMMAND;

    return ulv_guid_equal(c->type, command) &&
           c->id / ULV_ID_LEASE_COUNT != c->client / ULV_ID_LEASE_COUNT;
}

static void
close_channels(const struct ulv_database *db, struct list *l)
{
    struct ulv_channel_record c = { .id = 0 };

    while (ulv_next_record(db, ULV_QUERY_CHANNELS, c.id, &c, sizeof(c))) {
        struct ulv_effect_extent what;
        struct ulv_operation *o;

        if (!is_guest(db, c.server) && !is_guest(db, c.client) &&
            !is_a_programs(&c))
            continue;
        if (ulv_database_draining(db, c.id, &what)) {
            o = add(l, ULV_OP_SETTLE);
            if (o != NULL)
                o->u.settle.object = c.id;
        } else {
            o = add(l, ULV_OP_REVOKE);
            if (o != NULL)
                o->u.revoke.channel = c.id;
        }
    }
}

/* Everybody is dead: one transaction of the ultravisor's own, for whose effects
 * there is nobody yet. The list is used up. */
static ulv_status
carry_out(struct durable *d, struct list *l, struct ulv_diag *diag)
{
    const struct ulv_host *host = d->host;
    const struct ulv_request request = { .operations = l->operation,
                                         .operation_count = l->count };
    struct ulv_plan *plan = NULL;
    uint32_t idx;
    uint64_t revision;
    ulv_status status = ULV_OK;

    if (l->full)
        status = ulv_fail(diag, ULV_E_NO_MEMORY, 0, l->count, 0,
                          "no memory to settle what was found");
    else if (l->count != 0)
        status = ulv_journal_prepare(d->journal, &request, &plan, &idx, diag);
    if (plan != NULL)
        status = ulv_journal_hold(d->journal, plan, NULL, &revision, diag);
    if (status == ULV_OK)
        status = ulv_journal_sync(d->journal, diag);
    host->free(host->self, l->operation, l->capacity * sizeof(*l->operation));
    return status;
}

static ulv_status
settle_found(struct durable *d, struct ulv_diag *diag)
{
    struct list l = { .host = d->host };

    end_guests(d->db, &l);
    settle_extents(d->db, &l);
    close_channels(d->db, &l);
    return carry_out(d, &l, diag);
}

/* ---- the machine, as it was and as it is --------------------------------- */

/* By its ends: its id comes behind those of what may be others now. */
static bool
has_channel(const struct ulv_database *db, const struct ulv_op_connect *op)
{
    struct ulv_channel_record c = { .id = 0 };

    while (ulv_next_record(db, ULV_QUERY_CHANNELS, c.id, &c, sizeof(c))) {
        if (c.server == op->server && c.client == op->client &&
            ulv_guid_equal(c.type, op->type))
            return true;
    }
    return false;
}

static bool
is_the_same(const struct ulv_database *db, const struct ulv_operation *o)
{
    struct ulv_partition_record p;

    switch (o->kind) {
    case ULV_OP_CREATE_PARTITION:
        return ulv_database_find(db, ULV_QUERY_PARTITIONS, o->u.words[0],
                                 &p) == ULV_OK &&
               p.kind == o->u.create_partition.kind &&
               ulv_string_equal(p.name, o->u.create_partition.name, 32);
    case ULV_OP_ADD_MEMORY:
        return ulv_ultravisor_has_memory(db, &o->u.add_memory);
    case ULV_OP_CONNECT:
        return has_channel(db, &o->u.connect);
    case ULV_OP_ADD_PROCESSOR:
    case ULV_OP_ADD_HARDWARE:
        return true; /* may have changed */
    default:
        return false;
    }
}

static uint64_t
pool_bytes(const struct ulv_database *db)
{
    struct ulv_memory_record pool = { .id = 0 };
    uint64_t bytes = 0;

    while (ulv_next_record(db, ULV_QUERY_MEMORY, pool.id, &pool, sizeof(pool)))
        bytes += pool.bytes - pool.gone_bytes;
    return bytes;
}

static ulv_status
compare(const struct ulv_database *db, const struct ulv_operation *o,
        uint32_t count, struct ulv_diag *diag)
{
    uint64_t bytes = 0;
    bool same = true;

    for (uint32_t i = 0; i < count; i++) {
        same = same && is_the_same(db, &o[i]);
        if (o[i].kind == ULV_OP_ADD_MEMORY)
            bytes += o[i].u.add_memory.bytes;
    }
    if (same)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_STATE, 0, bytes, pool_bytes(db),
                    "the journal is of a pool of %u bytes, here is one of %u "
                    "or on other nodes: ask for the same memory",
                    pool_bytes(db), bytes);
}

/* What guests have of memory that is gone: there is nothing in it. */
static ulv_status
release_gone(struct durable *d, struct ulv_diag *diag)
{
    struct ulv_extent_record e = { .id = 0 };
    struct list l = { .host = d->host };

    while (ulv_next_record(d->db, ULV_QUERY_EXTENTS, e.id, &e, sizeof(e))) {
        struct ulv_operation *o;

        if (!ulv_database_is_gone(d->db, e.frame, e.bytes))
            continue;
        o = add(&l, ULV_OP_RELEASE_MEMORY);
        if (o == NULL)
            break;
        o->u.release_memory.partition = e.partition;
        o->u.release_memory.guest_address = e.guest_address;
        o->u.release_memory.bytes = e.bytes;
    }
    return carry_out(d, &l, diag);
}

/* The database comes to have the processors, memory and devices that there are.
 * Nobody runs. */
static ulv_status
follow_machine(struct ultravisor_role *r, const struct errand *found,
               uint32_t all, struct ulv_diag *diag)
{
    struct durable *d = r->role.durable;
    struct difference differs;
    struct list l = { .host = d->host };
    ulv_status status = ulv_ultravisor_compare(r, found, all, &differs);

    if (status != ULV_OK) {
        ulv_difference_free(&differs);
        return ulv_fail(diag, status, 0, found->count, 0,
                        "what there is now cannot be compared: %s",
                        ulv_status_text(status));
    }
    l.operation = differs.operation;
    l.count = differs.count;
    l.capacity = differs.capacity;
    differs.operation = NULL; /* used up */
    status = carry_out(d, &l, diag);
    if (status == ULV_OK) {
        r->ids = differs.next;
        ulv_ultravisor_tell_loss(r, &differs);
    }
    ulv_difference_free(&differs);
    return status == ULV_OK ? release_gone(d, diag) : status;
}

/* ---- it goes on ---------------------------------------------------------- */

/* An errand in place of the boot transaction: everybody's view is to be
 * published, and the roles run. */
static ulv_status
adopt_all(struct ultravisor_role *r)
{
    const struct ulv_host *host = r->role.host;
    struct ulv_partition_record p = { .id = 0 };
    struct list l = { .host = host };
    struct errand *e = NULL;

    while (ulv_next_record(r->db, ULV_QUERY_PARTITIONS, p.id, &p, sizeof(p))) {
        if (p.kind != ULV_PARTITION_IDLE)
            set_state(&l, &p,
                      p.kind == ULV_PARTITION_GUEST ? p.state
                                                    : ULV_STATE_RUNNING,
                      p.end_reason);
    }
    if (!l.full)
        e = ulv_ultravisor_new_errand(r, l.count);
    if (e != NULL) {
        e->boot = true;
        memcpy(e->operations, l.operation, l.count * sizeof(*l.operation));
    }
    host->free(host->self, l.operation, l.capacity * sizeof(*l.operation));
    return e == NULL ? ULV_E_NO_MEMORY : ULV_OK;
}

static ulv_status
boot_again(struct ultravisor_role *r, const struct errand *found, uint32_t all)
{
    struct say say = { .kind = SAY_BOOTED };
    struct ulv_diag *diag = &say.u.order_done.diag;

    *diag = (struct ulv_diag)ULV_DIAG_INIT;
    diag->status = compare(r->db, found->operations, found->count, diag);
    if (diag->status == ULV_OK)
        diag->status = follow_machine(r, found, all, diag);
    if (diag->status == ULV_OK)
        return adopt_all(r);
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
    return ULV_OK;
}

/* ---- in place of the database's own functions ---------------------------- */

/* The boot partition was the first that was made. */
static ulv_id
first_of_boot(const struct ulv_database *db)
{
    struct ulv_partition_record p = { .id = 0 };

    while (ulv_next_record(db, ULV_QUERY_PARTITIONS, p.id, &p, sizeof(p))) {
        if (p.kind == ULV_PARTITION_BOOT)
            return p.id;
    }
    return 0;
}

/* The caller's, in this process or behind the keeper; or none. */
static ulv_status
find_storage(struct role *role, struct heard *configure, struct durable *d,
             const struct ulv_storage **ret)
{
    ulv_status status;

    *ret = role->storage;
    if (configure->handle_count != FAR_STORAGE_HANDLES)
        return ULV_OK;
    status = ulv_far_storage_open(role->host, configure->handle, &d->far);
    if (status == ULV_OK)
        configure->handle_count = 0;
    *ret = d->far;
    return status;
}

static ulv_status
read_durable(struct durable *d, const struct ulv_storage *storage,
             struct ulv_diag *diag)
{
    ulv_status status =
        ulv_journal_open(d->db, storage, &d->journal, diag);

    if (status != ULV_OK)
        return status;
    d->found = ulv_database_revision(d->db) != 0;
    if (d->held && !d->found)
        return ulv_fail(diag, ULV_E_STATE, 0, 0, 0,
                        "the storage has lost its journal");
    return d->found && !d->held ? settle_found(d, diag) : ULV_OK;
}

static ulv_status
open_durable(struct role *role, struct heard *configure, struct ulv_diag *diag)
{
    const struct ulv_host *host = role->host;
    const struct ulv_storage *storage;
    struct durable *d = host->alloc(host->self, sizeof(*d), 8);
    ulv_status status;

    if (d == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, 0, 0, "out of memory");
    d->host = host;
    d->held = configure->say.u.configure.again != 0;
    status = find_storage(role, configure, d, &storage);
    if (status != ULV_OK)
        ulv_fail(diag, status, 0, 0, 0, "the storage cannot be reached");
    else if ((status = ulv_database_create(host, &d->db)) != ULV_OK)
        ulv_fail(diag, status, 0, 0, 0, "out of memory");
    else if (storage != NULL)
        status = read_durable(d, storage, diag);
    if (status != ULV_OK) {
        close_durable(d);
        return status;
    }
    role->durable = d;
    role->drop = close_durable;
    return ULV_OK;
}

ulv_status
ulv_ultravisor_open(struct ultravisor_role *r, struct heard *configure,
                    ulv_id *ret_lease, struct ulv_diag *diag)
{
    const struct durable *d;
    ulv_status status = open_durable(&r->role, configure, diag);

    if (status != ULV_OK)
        return status;
    d = r->role.durable;
    r->db = d->db;
    if (!d->found)
        return ulv_ultravisor_lease(r, ret_lease);
    if (d->held)
        r->adopt = ulv_ultravisor_adopt;
    else
        r->boot_again = boot_again;
    *ret_lease = first_of_boot(d->db);
    return *ret_lease != 0
               ? ULV_OK
               : ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0,
                          "the journal knows no boot partition");
}

ulv_status
ulv_ultravisor_recall(void *self, struct ulv_command_session *session)
{
    const struct ultravisor_role *r = self;
    const struct durable *d = r->role.durable;
    /* of a program that has begun anew all clients are new */
    const struct ulv_journal *journal = d->held ? d->journal : NULL;
    struct ulv_journal_answer answer;
    uint64_t newest = 0;
    ulv_status status = ULV_OK;

    for (uint32_t i = 0;
         journal != NULL && status == ULV_OK &&
         ulv_journal_recall(journal, session->client, i, &newest, &answer) ==
             ULV_OK;
         i++)
        status = ulv_command_recall(session, answer.request, answer.revision,
                                    newest);
    return status;
}

ulv_status
ulv_ultravisor_prepare(struct ultravisor_role *r,
                       const struct ulv_request *request,
                       uint32_t *ret_operation_idx, struct ulv_diag *diag)
{
    const struct durable *d = r->role.durable;
    ulv_status status;

    if (d->journal == NULL)
        status = ulv_database_prepare(r->db, request, &r->plan,
                                      ret_operation_idx, diag);
    else
        status = ulv_journal_prepare(d->journal, request, &r->plan,
                                     ret_operation_idx, diag);
    if (status != ULV_OK)
        return status;
    status = ulv_plan_check_regrants(r->db, r->plan, diag);
    if (status == ULV_OK && d->journal != NULL && r->errand != NULL &&
        r->errand->boot && d->found)
        status = ulv_database_adopt(r->db, d->held, diag);
    if (status != ULV_OK) {
        ulv_database_abort(r->db, r->plan);
        r->plan = NULL;
    }
    return status;
}

ulv_status
ulv_ultravisor_lease(struct ultravisor_role *r, ulv_id *ret_first)
{
    if (r->role.durable->journal == NULL)
        return ulv_database_lease(r->db, ret_first);
    return ulv_journal_lease(r->role.durable->journal, ret_first, NULL);
}

/* Without entropy all clients of all lives have the same. */
static bool
has_guid(const struct ulv_command_session *session)
{
    static const uint8_t none[16];

    return !ulv_guid_equal(session->client, none);
}

ulv_status
ulv_ultravisor_write(struct ultravisor_role *r, struct ulv_diag *diag)
{
    struct ulv_journal_answer answer = { .request = 0 };
    const struct ulv_command_session *session =
        r->errand == NULL ? r->asking : NULL;
    ulv_status status;

    if (r->role.durable->journal == NULL)
        return ULV_OK;
    if (session != NULL && has_guid(session)) {
        memcpy(answer.client, session->client, sizeof(answer.client));
        answer.request = session->request;
    }
    status = ulv_journal_write(r->role.durable->journal, r->plan,
                               answer.request != 0 ? &answer : NULL,
                               diag);
    if (status != ULV_OK)
        ulv_views_forget(&r->views);
    return status;
}

/* ---- the system ---------------------------------------------------------- */

ulv_status
ulv_system_give_storage(ulv_system *system, const struct ulv_system_opts *opts,
                        struct ulv_diag *diag)
{
    system->keeper.storage = opts->storage;
    system->durable = opts->storage != NULL;
    return opts->storage == NULL ? ULV_OK
                                 : ulv_system_load_policy(system, opts, diag);
}

const char *
ulv_system_durability(const ulv_system *system)
{
    return system->durable ? "storage" : "none";
}
