/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Looking for what the machine has, at the boot and again.
 *
 * F = the host says what there is, S = it is said to the ultravisor, A = its
 * answer, X = the ultravisor dies, N = it was started again.
 *
 * 1. F S A: the database has what there is, and the answer says what changed.
 * 2. F S X N S A: asked again; what the first one had committed is not told
 *    twice.
 * 3. What must fail: F S X N A: an answer is waited for that nobody gives.
 */
#include <ultravisor/rescan.h>

#include "base/base.h"
#include "database/page_map.h"
#include "system/system_priv.h"

#define ASKED_MAX 4u /* times, until somebody answers */

/* What the host has now. */
struct found {
    struct ulv_operation *operation;
    uint32_t count;
    uint32_t all; /* as in struct say_machine */
    struct known_node node[NODES_MAX];
    uint32_t node_count;
};

/* Linux hands memory out and takes it back in blocks of this size or larger; a
 * node whose total differs by less is what it was. */
#define NODE_MIB_MIN 128u

/* Who waits for the answer. */
struct rescan {
    struct ulv_rescan *ret;
    struct ulv_diag diag;
    uint32_t starts; /* of the ultravisor, when it was asked */
    bool done;
};

/* ---- what there is ------------------------------------------------------- */

static void
write_device(struct ulv_operation *o, const struct ulv_host_device *d,
             uint32_t idx, ulv_id first)
{
    struct ulv_op_add_hardware *op = &o->u.add_hardware;

    o->kind = ULV_OP_ADD_HARDWARE;
    op->id = first + idx;
    op->parent = d->parent == UINT32_MAX ? 0 : first + d->parent;
    op->address = d->address;
    op->bytes = d->bytes;
    op->kind = d->kind;
    op->device_class = d->device_class;
    op->node = d->node;
    op->model = d->model;
    memcpy(op->name, d->name, sizeof(op->name));
    memcpy(op->driver, d->driver, sizeof(op->driver));
}

ulv_status
ulv_system_find_devices(const ulv_system *system, ulv_id first,
                        struct ulv_operation *ret, uint32_t *ret_count,
                        struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    const size_t bytes = ULV_DB_HARDWARE_MAX * sizeof(struct ulv_host_device);
    struct ulv_host_device *found = host->alloc(host->self, bytes, 8);
    ulv_status status;

    if (found == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, bytes, 0, "out of memory");
    status =
        host->devices(host->self, found, ULV_DB_HARDWARE_MAX, ret_count, diag);
    for (uint32_t i = 0;
         status == ULV_OK && i < ULV_MIN(*ret_count, ULV_DB_HARDWARE_MAX); i++)
        write_device(&ret[i], &found[i], i, first);
    host->free(host->self, found, bytes);
    return status;
}

/* ---- memory -------------------------------------------------------------- */

/* Of a node that is new the pool gets the share that it has of the others. */
static void
know_new(struct found *f, uint32_t number, uint64_t mib)
{
    struct known_node *k = &f->node[f->node_count];
    uint64_t all_mib = 0, pool_mib = 0;

    for (uint32_t i = 0; i < f->node_count; i++) {
        all_mib += f->node[i].first_mib;
        pool_mib += f->node[i].first_pool >> 20;
    }
    *k = (struct known_node){.number = number, .first_mib = mib};
    k->first_pool = all_mib == 0 ? 0 : (pool_mib * mib / all_mib) << 20;
    f->node_count++;
}

/* The pool keeps its share of a node that has another size now; it gets no more
 * than what is free there. */
static void
follow_node(struct known_node *k, const struct ulv_host_node *now, uint64_t mib)
{
    const uint64_t differs = mib > k->mib ? mib - k->mib : k->mib - mib;
    uint64_t bytes = 0;

    if (differs < NODE_MIB_MIN && (mib == 0) == (k->mib == 0))
        return;
    if (k->first_mib != 0)
        bytes = ((k->first_pool >> 20) * mib / k->first_mib) << 20;
    if (bytes > k->pool)
        bytes = ULV_MIN(bytes, k->pool + now->free_bytes);
    bytes = ULV_MIN(ulv_round_down(bytes, ULV_PAGE_MAP_BLOCK), NODE_SPAN);
    k->mib = mib;
    k->pool = bytes;
}

static ulv_status
look_at_node(struct found *f, const struct ulv_host_node *now,
             struct ulv_diag *diag)
{
    const uint64_t mib = ULV_MIN(now->total_bytes >> 20, NODE_MIB_MAX);
    struct ulv_operation *o = &f->operation[f->count];
    uint32_t i = 0;

    while (i < f->node_count && f->node[i].number != now->number)
        i++;
    if (i == NODES_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, 0, now->number, NODES_MAX,
                        "node %u: %u nodes of memory are known already",
                        (uint64_t)now->number, (uint64_t)NODES_MAX);
    if (i == f->node_count)
        know_new(f, now->number, mib);
    follow_node(&f->node[i], now, mib);
    if (f->node[i].pool == 0)
        return ULV_OK;
    o->kind = ULV_OP_ADD_MEMORY;
    o->u.add_memory.node = now->number;
    o->u.add_memory.base = (now->number + UINT64_C(1)) * NODE_SPAN;
    o->u.add_memory.bytes = f->node[i].pool;
    f->count++;
    return ULV_OK;
}

/* Nodes that are not named any more have nothing. */
static void
forget_others(struct found *f, const struct ulv_host_node *now, uint32_t count)
{
    for (uint32_t i = 0; i < f->node_count; i++) {
        uint32_t n = 0;

        while (n < count && now[n].number != f->node[i].number)
            n++;
        if (n == count)
            f->node[i].mib = f->node[i].pool = 0;
    }
}

static ulv_status
find_memory(const ulv_system *system, struct found *f, struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    struct ulv_host_node now[NODES_MAX];
    uint32_t count = 0;
    ulv_status status = host->nodes(host->self, now, NODES_MAX, &count, diag);

    memcpy(f->node, system->nodes, sizeof(f->node));
    f->node_count = system->node_count;
    if (status == ULV_OK && count <= NODES_MAX) {
        forget_others(f, now, count);
        f->all |= 1u << ULV_QUERY_MEMORY;
    }
    for (uint32_t i = 0; i < ULV_MIN(count, NODES_MAX) && status == ULV_OK; i++)
        status = look_at_node(f, &now[i], diag);
    return status;
}

/* The keeper's own word for what the ultravisor is about to give out: before
 * that hears of it, and for good. */
static ulv_status
add_frames(ulv_system *system, const struct found *f, struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < f->node_count; i++) {
        const struct known_node *now = &f->node[i];
        struct known_node *k = &system->nodes[i];
        ulv_status status;

        if (i == system->node_count) {
            *k = *now;
            k->mib = k->pool = 0;
            system->node_count++;
        }
        if (now->pool <= k->framed)
            continue;
        status = ulv_frame_table_add(
            &system->keeper.frames,
            (k->number + UINT64_C(1)) * NODE_SPAN + k->framed,
            now->pool - k->framed, ULV_FRAME_FREE, diag);
        if (status != ULV_OK)
            return status;
        k->framed = now->pool;
    }
    return ULV_OK;
}

/* It is done. */
static void
note_nodes(ulv_system *system, const struct found *f)
{
    for (uint32_t i = 0; i < f->node_count; i++) {
        system->nodes[i].mib = f->node[i].mib;
        system->nodes[i].pool = f->node[i].pool;
    }
}

/* ---- what has changed ---------------------------------------------------- */

static void
hear_scanned(void *self, const struct heard *heard)
{
    const ulv_system *system = self;
    const struct say_scanned *say = &heard->say.u.scanned;
    struct rescan *w = system->rescan;

    if (w == NULL || say->number != system->rescan_number)
        return;
    w->done = true;
    w->diag = say->diag;
    w->diag.text[sizeof(w->diag.text) - 1] = '\0';
    if (say->told > ULV_RESCAN_CHANGES_MAX || say->told > say->count ||
        heard->say.tail_bytes != say->told * sizeof(w->ret->change[0])) {
        w->diag.status = ULV_E_PEER_PROTOCOL;
        return;
    }
    w->ret->count = say->count;
    w->ret->told = say->told;
    w->ret->revision = say->revision;
    memcpy(w->ret->change, heard->tail, heard->say.tail_bytes);
    for (uint32_t i = 0; i < say->told; i++)
        w->ret->change[i].name[sizeof(w->ret->change[i].name) - 1] = '\0';
}

static bool
is_there(ulv_system *system, void *self)
{
    (void)self;
    return ulv_keeper_restarts(&system->keeper) == RESTART_NO ||
           !ulv_keeper_is_served(&system->keeper);
}

static bool
is_answered(ulv_system *system, void *self)
{
    const struct rescan *w = self;

    return w->done || system->keeper.starts != w->starts ||
           !ulv_keeper_is_served(&system->keeper);
}

/* Of whoever is the ultravisor, until one has answered; one that dies of it
 * each time is not asked for ever. */
static ulv_status
ask(ulv_system *system, struct rescan *w, uint32_t flags, const struct found *f)
{
    ulv_status status = ULV_OK;

    for (uint32_t n = 0; status == ULV_OK && !w->done; n++) {
        struct say say = {.kind = SAY_MACHINE};

        status = ulv_system_run_until(system, is_there, NULL, ULV_FOREVER);
        if (status == ULV_OK &&
            (n == ASKED_MAX || !ulv_keeper_is_served(&system->keeper)))
            status = ULV_E_PEER_GONE;
        if (status != ULV_OK)
            break;
        w->starts = system->keeper.starts;
        say.u.machine.number = ++system->rescan_number;
        say.u.machine.all = f->all;
        say.u.machine.dry_run = flags & ULV_RESCAN_DRY_RUN;
        status = ulv_system_say_machine(system, &say, f->operation, f->count);
        if (status == ULV_OK)
            status = ulv_system_run_until(system, is_answered, w, ULV_FOREVER);
    }
    return status;
}

static ulv_status
compare(ulv_system *system, uint32_t flags, struct ulv_rescan *ret,
        const struct found *f, struct ulv_diag *diag)
{
    struct rescan w = {.ret = ret, .diag = ULV_DIAG_INIT};
    ulv_status status;

    system->rescan = &w;
    system->keeper.scanned = hear_scanned;
    status = ask(system, &w, flags, f);
    system->rescan = NULL;
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0,
                        "the ultravisor does not say what has changed: %s",
                        ulv_status_text(status));
    if (w.diag.status == ULV_OK)
        return ULV_OK;
    return ulv_fail(
        diag, w.diag.status > 0 ? ULV_E_PEER_PROTOCOL : w.diag.status,
        w.diag.object, w.diag.value, w.diag.bound, "%s",
        w.diag.text[0] != '\0' ? w.diag.text : ulv_status_text(w.diag.status));
}

static ulv_status
check(uint32_t flags, const struct ulv_rescan *ret, struct ulv_diag *diag)
{
    if ((flags & ~ULV_RESCAN_DRY_RUN) != 0)
        return ulv_fail(diag, ULV_E_ARG, 0, flags, ULV_RESCAN_DRY_RUN,
                        "unknown flags %x", (uint64_t)flags);
    if (ret->size < sizeof(*ret))
        return ulv_fail(diag, ULV_E_ARG, 0, ret->size, sizeof(*ret),
                        "a report of %u bytes, this library knows %u",
                        (uint64_t)ret->size, (uint64_t)sizeof(*ret));
    return ULV_OK;
}

static ulv_status
find_devices(const ulv_system *system, struct found *f, struct ulv_diag *diag)
{
    uint32_t count = 0;
    ulv_status status = ulv_system_find_devices(
        system, 1 + f->count, &f->operation[f->count], &count, diag);

    if (status == ULV_OK && count > ULV_DB_HARDWARE_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, 0, count, ULV_DB_HARDWARE_MAX,
                        "the machine has %u devices, %u can be known",
                        (uint64_t)count, (uint64_t)ULV_DB_HARDWARE_MAX);
    f->count += count;
    f->all |= 1u << ULV_QUERY_HARDWARE;
    return status;
}

/* Processors, devices and memory, where the host says which it has. */
static ulv_status
find_all(const ulv_system *system, struct found *f, struct ulv_diag *diag)
{
    uint32_t count = 0;
    ulv_status status =
        ulv_system_find_processors(system, 1, f->operation, &count, diag);

    f->count = ULV_MIN(count, MACHINE_PROCESSORS_MAX);
    if (count <= MACHINE_PROCESSORS_MAX)
        f->all |= 1u << ULV_QUERY_PROCESSORS;
    if (status == ULV_OK && ULV_HOST_HAS(system->host, devices))
        status = find_devices(system, f, diag);
    return status == ULV_OK && system->host->frames == NULL
               ? find_memory(system, f, diag)
               : status;
}

ulv_status
ulv_system_rescan(ulv_system *system, uint32_t flags, struct ulv_rescan *ret,
                  struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    const size_t bytes = MACHINE_MAX * sizeof(struct ulv_operation);
    const bool dry_run = (flags & ULV_RESCAN_DRY_RUN) != 0;
    struct found f = {.all = 0};
    ulv_status status = check(flags, ret, diag);

    if (status != ULV_OK)
        return status;
    ret->count = ret->told = 0;
    f.operation = host->alloc(host->self, bytes, 8);
    if (f.operation == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, bytes, 0, "out of memory");
    status = find_all(system, &f, diag);
    if (status == ULV_OK && !dry_run)
        status = add_frames(system, &f, diag);
    if (status == ULV_OK)
        status = compare(system, flags, ret, &f, diag);
    if (status == ULV_OK && !dry_run)
        note_nodes(system, &f);
    host->free(host->self, f.operation, bytes);
    return status;
}
