/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The boot partition's one transaction: the infrastructure partitions, what
 * the machine consists of, and the channels among the roles.
 */
#include <ultravisor/abi/policy.h>
#include <ultravisor/abi/system_call.h>

#include "base/base.h"
#include "database/page_map.h"
#include "system/system_priv.h"

/* In one message. */
#define SAID_MAX (SAY_TAIL_MAX / (uint32_t)sizeof(struct ulv_operation))
#define OPERATIONS_MAX (ULV_DEVICES ? MACHINE_MAX : SAID_MAX)
#define BOOT_NS        UINT64_C(20000000000) /* until the roles must be up */
/* A host's memory begins and ends with one of these, where it is usable. */
#define HOST_FRAMES    ULV_MIB(2)

struct boot {
    ulv_system *system;
    struct ulv_operation *operations;
    uint32_t count;
    ulv_id next; /* ids go up in the order of use */
    uint32_t all; /* as in struct say_machine */
};

static struct ulv_operation *
add(struct boot *b, uint32_t kind)
{
    struct ulv_operation *o = &b->operations[b->count++];

    o->kind = kind;
    return o;
}

static ulv_id
add_partition(struct boot *b, uint32_t kind, const char *name)
{
    struct ulv_op_create_partition *op =
        &add(b, ULV_OP_CREATE_PARTITION)->u.create_partition;

    op->id = b->next++;
    op->kind = kind;
    op->capabilities = kind == ULV_PARTITION_COMMAND ? ULV_CAP_COMMAND : 0;
    ulv_string_copy(op->name, sizeof(op->name), name);
    return op->id;
}

static void
add_channel(struct boot *b, ulv_id server, ulv_id client,
            const uint8_t type[16], uint64_t ring_bytes)
{
    struct ulv_op_connect *op = &add(b, ULV_OP_CONNECT)->u.connect;

    op->channel = b->next++;
    op->server = server;
    op->client = client;
    op->ring_bytes = ring_bytes;
    memcpy(op->type, type, 16);
}

/* There is more than is counted. A bare machine has not as many. */
static void
tell_of_more(struct boot *b, const char *what, uint32_t known, uint32_t count)
{
    if (ULV_DEVICES && count > known)
        ulv_keeper_tell(&b->system->keeper, ULV_EVENT_LOG, 0, count,
                        "%s: %u of %u are known", what, (uint64_t)known,
                        (uint64_t)count);
}

ulv_status
ulv_system_find_processors(const ulv_system *system, ulv_id first,
                           struct ulv_operation *ret, uint32_t *ret_count,
                           struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    struct ulv_host_processor found[MACHINE_PROCESSORS_MAX];
    ulv_status status = host->processors(
        host->self, found, MACHINE_PROCESSORS_MAX, ret_count, diag);
    const uint32_t count =
        status == ULV_OK ? ULV_MIN(*ret_count, MACHINE_PROCESSORS_MAX) : 0;

    for (uint32_t i = 0; i < count; i++) {
        struct ulv_op_add_processor *op = &ret[i].u.add_processor;

        ret[i].kind = ULV_OP_ADD_PROCESSOR;
        op->id = first + i;
        op->package = found[i].package;
        op->core = found[i].core;
        op->thread = found[i].thread;
        op->node = found[i].node;
        op->os_number = found[i].number;
    }
    return status;
}

static ulv_status
add_processors(struct boot *b, struct ulv_diag *diag)
{
    uint32_t count = 0, some;
    ulv_status status = ulv_system_find_processors(
        b->system, b->next, &b->operations[b->count], &count, diag);

    tell_of_more(b, "processors", MACHINE_PROCESSORS_MAX, count);
    some = ULV_MIN(count, MACHINE_PROCESSORS_MAX);
    b->count += some;
    b->next += some;
    if (ULV_DEVICES && count <= MACHINE_PROCESSORS_MAX)
        b->all |= 1u << ULV_QUERY_PROCESSORS;
    return status;
}

static ulv_status
add_pool(struct boot *b, uint32_t node, uint64_t base, uint64_t bytes,
         struct ulv_diag *diag)
{
    struct ulv_op_add_memory *op = &add(b, ULV_OP_ADD_MEMORY)->u.add_memory;

    op->id = b->next++;
    op->node = node;
    op->base = base;
    op->bytes = bytes;
    return ulv_frame_table_add(&b->system->keeper.frames, op->base, bytes,
                               ULV_FRAME_FREE, diag);
}

/* More than there are frame addresses for is left to the host. */
static uint64_t
free_mib(const struct ulv_host_node *node)
{
    return ULV_MIN(node->free_bytes, NODE_SPAN) >> 20;
}

/* For a rescan. */
static void
note_node(ulv_system *system, const struct ulv_host_node *node, uint64_t bytes)
{
    struct known_node *known = &system->nodes[system->node_count];

    if (!ULV_DEVICES)
        return;
    system->node_count++;
    known->number = node->number;
    known->mib = known->first_mib =
        ULV_MIN(node->total_bytes >> 20, NODE_MIB_MAX);
    known->pool = known->first_pool = known->framed = bytes;
}

/* The pool's bytes over the nodes, each by its share of what is free; the rest
 * of the division goes to the node with most. */
static ulv_status
share_out(struct boot *b, const struct ulv_host_node *node, uint32_t count,
          uint64_t wanted, uint64_t all_mib, struct ulv_diag *diag)
{
    uint64_t left = wanted, share[NODES_MAX];
    uint32_t most = 0;

    for (uint32_t i = 0; i < count; i++) {
        share[i] = ulv_round_down(
            ((wanted >> 20) * free_mib(&node[i]) / all_mib) << 20,
            ULV_PAGE_MAP_BLOCK);
        left -= share[i];
        if (node[i].free_bytes > node[most].free_bytes)
            most = i;
    }
    share[most] = ULV_MIN(share[most] + left, NODE_SPAN); /* or a rest less */
    for (uint32_t i = 0; i < count; i++) {
        ulv_status status = ULV_OK;

        note_node(b->system, &node[i], share[i]);
        if (share[i] != 0)
            status = add_pool(b, node[i].number,
                              (node[i].number + UINT64_C(1)) * NODE_SPAN,
                              share[i], diag);
        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

static ulv_status
refuse_pool(uint64_t wanted, uint64_t all, struct ulv_diag *diag)
{
    return ulv_fail(diag, ULV_E_NO_MEMORY, 0, wanted, all,
                    "a pool of %u MiB is asked, the host has %u MiB to give",
                    wanted >> 20, all >> 20);
}

/* Bytes of a range, from *ret_base on, that are whole blocks of the page map,
 * where the host's units are smaller. */
static uint64_t
usable_bytes(const struct ulv_host_frames *range, uint64_t *ret_base)
{
    const uint64_t end = range->base + range->bytes;

    *ret_base = range->base;
    if (range->usable == 0)
        return 0;
    if (ULV_PAGE_MAP_BLOCK == HOST_FRAMES)
        return range->bytes;
    *ret_base = ULV_MIN(ulv_round_up(range->base, ULV_PAGE_MAP_BLOCK), end);
    return ulv_round_down(end - *ret_base, ULV_PAGE_MAP_BLOCK);
}

static ulv_status
add_never(struct boot *b, uint64_t base, uint64_t bytes, struct ulv_diag *diag)
{
    return bytes == 0 ? ULV_OK
                      : ulv_frame_table_add(&b->system->keeper.frames, base,
                                            bytes, ULV_FRAME_NEVER, diag);
}

/* One range of the machine: so much of it as is wanted, the rest never. */
static ulv_status
add_range(struct boot *b, const struct ulv_host_frames *range,
          uint64_t *wanted, struct ulv_diag *diag)
{
    uint64_t base, some = ULV_MIN(usable_bytes(range, &base), *wanted);
    ulv_status status = ULV_OK;

    *wanted -= some;
    if (ULV_PAGE_MAP_BLOCK != HOST_FRAMES)
        status = add_never(b, range->base, base - range->base, diag);
    if (status == ULV_OK && some != 0)
        status = add_pool(b, range->node, base, some, diag);
    if (status == ULV_OK)
        status = add_never(b, base + some,
                           range->base + range->bytes - base - some, diag);
    return status;
}

/* The machine's own memory: all that is usable, or as much as is wanted. */
static ulv_status
add_frames(struct boot *b, uint64_t wanted, struct ulv_diag *diag)
{
    const struct ulv_host *host = b->system->host;
    struct ulv_host_frames range[NODES_MAX];
    uint64_t all = 0, base;
    uint32_t count = 0;
    ulv_status status = host->frames(host->self, range, NODES_MAX, &count);

    if (status == ULV_OK && count > NODES_MAX)
        status = ULV_E_LIMIT;
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, count, NODES_MAX,
                        "the machine's memory has %u ranges, %u can be used",
                        (uint64_t)count, (uint64_t)NODES_MAX);
    for (uint32_t i = 0; i < count; i++)
        all += usable_bytes(&range[i], &base);
    if (wanted == 0)
        wanted = all;
    if (wanted > all || all == 0)
        return refuse_pool(wanted, all, diag);
    for (uint32_t i = 0; i < count && status == ULV_OK; i++)
        status = add_range(b, &range[i], &wanted, diag);
    return status;
}

static ulv_status
add_memory(struct boot *b, uint64_t wanted, struct ulv_diag *diag)
{
    const struct ulv_host *host = b->system->host;
    struct ulv_host_node node[NODES_MAX];
    uint64_t all_mib = 0;
    uint32_t count = 0;
    ulv_status status = host->nodes(host->self, node, NODES_MAX, &count, diag);

    if (status != ULV_OK)
        return status;
    tell_of_more(b, "nodes of memory", NODES_MAX, count);
    if (ULV_DEVICES && count <= NODES_MAX)
        b->all |= 1u << ULV_QUERY_MEMORY;
    count = ULV_MIN(count, NODES_MAX);
    for (uint32_t i = 0; i < count; i++)
        all_mib += free_mib(&node[i]);
    if (wanted == 0)
        wanted = ulv_round_down(all_mib << 20 >> 2, ULV_PAGE_MAP_BLOCK);
    if (wanted > all_mib << 20 || wanted == 0)
        return refuse_pool(wanted, all_mib << 20, diag);
    return share_out(b, node, count, wanted, all_mib, diag);
}

/* As many as can be known; of others, and of a host that cannot say, a line is
 * told: no guest needs them to run. */
static void
add_devices(struct boot *b)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t count = 0, some;

    if (ulv_system_find_devices(b->system, b->next, &b->operations[b->count],
                                &count, &diag) != ULV_OK)
        ulv_keeper_tell(&b->system->keeper, ULV_EVENT_LOG, 0, 0,
                        "devices: none is known: %s", diag.text);
    tell_of_more(b, "devices", ULV_DB_HARDWARE_MAX, count);
    if (diag.status == ULV_OK && count <= ULV_DB_HARDWARE_MAX)
        b->all |= 1u << ULV_QUERY_HARDWARE;
    some = diag.status == ULV_OK ? ULV_MIN(count, ULV_DB_HARDWARE_MAX) : 0;
    b->count += some;
    b->next += some;
}

static ulv_status
describe(struct boot *b, const struct ulv_system_opts *opts,
         struct ulv_diag *diag)
{
    static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;
    static const uint8_t type_policy[16] = ULV_CHANNEL_TYPE_POLICY;
    ulv_id boot = add_partition(b, ULV_PARTITION_BOOT, "boot");
    ulv_id ultravisor =
        add_partition(b, ULV_PARTITION_ULTRAVISOR, "ultravisor");
    ulv_id operations =
        add_partition(b, ULV_PARTITION_OPERATIONS, "operations");
    ulv_id command = add_partition(b, ULV_PARTITION_COMMAND, "command");
    ulv_status status;

    (void)add_partition(b, ULV_PARTITION_IO, "io-a");
    (void)add_partition(b, ULV_PARTITION_IO, "io-b");
    status = add_processors(b, diag);
    if (status == ULV_OK)
        status = b->system->host->frames != NULL
                     ? add_frames(b, opts->memory, diag)
                     : add_memory(b, opts->memory, diag);
    if (ULV_DEVICES && status == ULV_OK &&
        ULV_HOST_HAS(b->system->host, devices))
        add_devices(b);
    add_channel(b, operations, command, type_policy, ULV_POLICY_RING_BYTES);
    add_channel(b, ultravisor, command, type_command, ULV_COMMAND_RING_BYTES);
    add_channel(b, command, boot, type_command, ULV_COMMAND_RING_BYTES);
    return status;
}

/* ---- waiting for it ------------------------------------------------------ */

static bool
ultravisor_is_ready(ulv_system *system, void *self)
{
    (void)self;
    return system->keeper.lease_first != 0 || system->keeper.booted ||
           system->keeper.ultravisor == NULL;
}

static bool
is_booted(ulv_system *system, void *self)
{
    (void)self;
    return system->keeper.booted || system->keeper.ultravisor == NULL;
}

static ulv_status
run(ulv_system *system, bool (*done)(ulv_system *system, void *self),
    const char *what, struct ulv_diag *diag)
{
    ulv_status status = ulv_system_run_until(
        system, done, NULL, ulv_system_now(system) + BOOT_NS);

    if (status == ULV_OK && system->keeper.ultravisor == NULL)
        status = ULV_E_PEER_GONE;
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, BOOT_NS, "%s: %s", what,
                        ulv_status_text(status));
    return ULV_OK;
}

/* It says why, if it has. */
static ulv_status
boot_refused(const struct keeper *k, struct ulv_diag *diag)
{
    if (k->boot_diag.status != ULV_OK && diag != NULL)
        *diag = k->boot_diag;
    return k->boot_diag.status;
}

static ulv_status
start_ultravisor(ulv_system *system, const struct ulv_system_opts *opts,
                 struct ulv_diag *diag)
{
    struct keeper *k = &system->keeper;
    ulv_status status;

    k->ultravisor = ulv_keeper_partition_add(
        k, 0, ULV_PARTITION_ULTRAVISOR, "ultravisor");
    if (k->ultravisor == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, 0, 0, "out of memory");
    status = ulv_system_give_storage(system, opts, diag);
    if (status == ULV_OK)
        status = ulv_keeper_role_start(k, k->ultravisor, diag);
    if (status == ULV_OK)
        status = run(system, ultravisor_is_ready,
                     "the ultravisor did not start", diag);
    return status == ULV_OK ? boot_refused(k, diag) : status;
}

ulv_status
ulv_system_say_machine(const ulv_system *system, struct say *say,
                       const struct ulv_operation *operations, uint32_t count)
{
    struct say_machine *m = &say->u.machine;
    ulv_status status;

    m->count = count;
    do {
        const uint32_t some =
            ULV_DEVICES ? ULV_MIN(SAID_MAX, count - m->first) : count;

        say->tail_bytes = some * (uint32_t)sizeof(*operations);
        status = ulv_post_send(&system->keeper.ultravisor->post, say,
                               &operations[m->first], NULL, 0);
        m->first += some;
    } while (ULV_DEVICES && status == ULV_OK && m->first < count);
    return status;
}

static ulv_status
send_boot(ulv_system *system, const struct boot *b, struct ulv_diag *diag)
{
    struct say say = { .kind = SAY_BOOT };
    struct keeper *k = &system->keeper;
    ulv_status status;

    if (ULV_DEVICES)
        say.u.machine.all = b->all;
    status = ulv_system_say_machine(system, &say, b->operations, b->count);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, b->count, OPERATIONS_MAX,
                        "the boot transaction could not be sent: %s",
                        ulv_status_text(status));
    status = run(system, is_booted, "the boot transaction was not answered",
                 diag);
    return status == ULV_OK ? boot_refused(k, diag) : status;
}

/* All of them run, or there is no system. */
static ulv_status
check_roles(const ulv_system *system, struct ulv_diag *diag)
{
    const struct keeper *k = &system->keeper;

    for (const struct keeper_partition *p = k->partitions; p != NULL;
         p = p->next) {
        if (p->id != k->boot && p->kind != ULV_PARTITION_GUEST && !p->alive)
            return ulv_fail(diag, ULV_E_PEER_GONE, p->id, 0, 0,
                            "%s could not be started", p->name);
    }
    return ULV_OK;
}

/* What was told last of what went wrong; nobody will be able to take it. */
static const char *
last_fault(const ulv_system *system, const char *otherwise)
{
    const char *found = otherwise;

    for (const struct waiting_event *e = system->events; e != NULL;
         e = e->next) {
        if (e->kind == ULV_EVENT_FAULT)
            found = (const char *)(e + 1);
    }
    return found;
}

/* Our own end of the channel to the command partition. */
static ulv_status
open_client(ulv_system *system, struct ulv_diag *diag)
{
    const struct ulv_message *answer;
    const struct ulv_message_hello_answer *hello;
    const struct ulv_host *host = system->host;
    struct keeper_channel *c = system->keeper.channels;
    bool ring = false;
    ulv_status status = ULV_OK;

    while (c != NULL && c->client != system->keeper.boot)
        c = c->next;
    if (c == NULL)
        return ulv_fail(diag, ULV_E_INTERNAL, 0, 0, 0,
                        "no channel leads to the command partition");
    status = ulv_keeper_open_end(&system->keeper, c, ULV_END_CLIENT,
                                 &system->wire);
    if (status == ULV_OK)
        status = ulv_command_client_init(&system->client, host,
                                         system->wire.p, system->wire.bytes);
    system->has_client = status == ULV_OK;
    if (status == ULV_OK)
        status = ulv_command_send_hello(&system->client, &ring);
    status = ulv_system_await_until(system, status, ring, &answer,
                                    ulv_system_now(system) + BOOT_NS, diag);
    if (status != ULV_OK)
        return status;
    hello = (const void *)answer;
    if (hello->status != ULV_OK)
        return ulv_fail(diag, hello->status, 0, 0, 0,
                        "the command partition does not serve us: %s",
                        last_fault(system, ulv_status_text(hello->status)));
    return ULV_OK;
}

ulv_status
ulv_system_boot(ulv_system *system, const struct ulv_system_opts *opts,
                struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    struct keeper *k = &system->keeper;
    struct boot b = { .system = system };
    const size_t bytes = OPERATIONS_MAX * sizeof(*b.operations);
    ulv_status status;

    if (host->processors == NULL || host->nodes == NULL)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                        "the host does not say what it consists of");
    status = start_ultravisor(system, opts, diag);
    if (status != ULV_OK)
        return status;
    b.next = k->lease_first;
    b.operations = host->alloc(host->self, bytes, 8);
    if (b.operations == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, bytes, 0, "out of memory");
    status = describe(&b, opts, diag);
    k->boot = k->lease_first;
    k->ultravisor->id = k->lease_first + 1;
    if (ULV_KEEPER_INDEXES)
        ulv_keeper_enter_partition(k, k->ultravisor);
    if (status == ULV_OK &&
        ulv_keeper_partition_add(k, k->boot, ULV_PARTITION_BOOT, "boot") ==
            NULL)
        status = ulv_fail(diag, ULV_E_NO_MEMORY, 0, 0, 0, "out of memory");
    if (status == ULV_OK)
        status = send_boot(system, &b, diag);
    host->free(host->self, b.operations, bytes);
    if (status == ULV_OK)
        status = check_roles(system, diag);
    if (status == ULV_OK)
        status = open_client(system, diag);
    return status;
}
