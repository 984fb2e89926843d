/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The ultravisor role by itself, between a keeper and a client of its command
 * channel that are both the test.
 */
#include "role_alone.h"

/* What the boot transaction made. */
struct made {
    ulv_id boot, command, io[2], channel;
};

/* In two parts. */
static ulv_status
say_parts(struct alone *a, uint32_t kind, const struct ulv_operation *o,
            uint32_t count)
{
    const uint32_t half = count / 2;
    struct say say = { .kind = kind };
    ulv_status status;

    say.u.machine.number = 5;
    say.u.machine.all = 1u << ULV_QUERY_HARDWARE;
    say.u.machine.count = count;
    say.tail_bytes = half * (uint32_t)sizeof(*o);
    status = ulv_post_send(&a->keeper, &say, o, NULL, 0);
    say.u.machine.first = half;
    say.tail_bytes = (count - half) * (uint32_t)sizeof(*o);
    if (status == ULV_OK)
        status = ulv_post_send(&a->keeper, &say, &o[half], NULL, 0);
    alone_run(a);
    return status;
}

static void
say_machine(struct alone *a, uint32_t kind, const struct ulv_operation *o,
            uint32_t count)
{
    assert_int_equal(say_parts(a, kind, o, count), ULV_OK);
}

static void
boot(struct alone *a, struct made *m)
{
    static const uint32_t kinds[] = {
        ULV_PARTITION_BOOT,    ULV_PARTITION_ULTRAVISOR,
        ULV_PARTITION_COMMAND, ULV_PARTITION_IO,
        ULV_PARTITION_IO,
    };
    static const char *const names[] = { "boot", "ultravisor", "command",
                                         "io-a", "io-b" };
    struct ulv_operation o[8];
    uint32_t count = 0;

    alone_begin(a, ULV_PARTITION_ULTRAVISOR, NULL, 0);
    alone_run(a);
    assert_int_not_equal(a->lease, 0);
    memset(o, 0, sizeof(o));
    for (; count < ULV_COUNT_OF(kinds); count++) {
        o[count].kind = ULV_OP_CREATE_PARTITION;
        o[count].u.create_partition.id = a->lease + count;
        o[count].u.create_partition.kind = kinds[count];
        memcpy(o[count].u.create_partition.name, names[count],
               strlen(names[count]));
    }
    o[count].kind = ULV_OP_ADD_MEMORY;
    o[count].u.add_memory.id = a->lease + count;
    o[count].u.add_memory.base = UINT64_C(1) << 40;
    o[count].u.add_memory.bytes = ULV_MIB(512);
    count++;
    o[count].kind = ULV_OP_CONNECT;
    o[count].u.connect.channel = a->lease + count;
    o[count].u.connect.server = a->lease + 2;
    o[count].u.connect.client = a->lease;
    o[count].u.connect.ring_bytes = 4096;
    m->channel = o[count].u.connect.channel;
    count++;
    m->boot = a->lease;
    m->command = a->lease + 2;
    m->io[0] = a->lease + 3;
    m->io[1] = a->lease + 4;
    a->booted.status = ULV_E_AGAIN;
    say_machine(a, SAY_BOOT, o, count);
    assert_int_equal(a->booted.status, ULV_OK);
}

/* The client of its command channel. */
struct client {
    struct alone_channel channel;
    struct ulv_command_client end;
};

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;

static const struct ulv_message *
hear_answer(struct alone *a, struct client *c)
{
    const struct ulv_message *m = NULL;
    bool ring = false;

    alone_ring(a, &c->channel);
    alone_run(a);
    assert_int_equal(ulv_command_receive(&c->end, &m, &ring), ULV_OK);
    return m;
}

static const struct ulv_message_hello_answer *
greet(struct alone *a, struct client *c)
{
    bool ring = false;

    assert_int_equal(ulv_command_send_hello(&c->end, &ring), ULV_OK);
    return (const void *)hear_answer(a, c);
}

static void
connect_client(struct alone *a, struct client *c)
{
    alone_channel(a, 9000, ULV_END_SERVER, type_command, &c->channel);
    assert_int_equal(ulv_command_client_init(&c->end, &a->t.host,
                                             c->channel.p, c->channel.bytes),
                     ULV_OK);
    assert_int_equal(greet(a, c)->status, ULV_OK);
}

static void
disconnect_client(struct alone *a, struct client *c)
{
    ulv_command_client_fini(&c->end);
    alone_channel_end(a, &c->channel);
}

static struct ulv_message_transaction_answer
ask(struct alone *a, struct client *c, const struct ulv_operation *o,
    uint32_t count)
{
    const struct ulv_command_transaction transaction = {
        .operations = o,
        .operation_count = count,
    };
    struct ulv_message_transaction_answer answer;
    bool ring = false;

    assert_int_equal(
        ulv_command_send_transaction(&c->end, &transaction, &ring), ULV_OK);
    memcpy(&answer, hear_answer(a, c), sizeof(answer));
    return answer;
}

/* All records of a kind. */
static uint32_t
query(struct alone *a, struct client *c, uint32_t kind, void *buf,
      size_t bytes)
{
    const struct ulv_message_query_answer *answer;
    bool ring = false;

    assert_int_equal(ulv_command_send_query(&c->end, kind, 0, &ring), ULV_OK);
    answer = (const void *)hear_answer(a, c);
    assert_int_equal(answer->status, ULV_OK);
    assert_int_equal(answer->more, 0);
    assert_true(answer->record_count * answer->record_bytes <= bytes);
    memcpy(buf, answer + 1, answer->record_count * answer->record_bytes);
    return answer->record_count;
}

static uint32_t
state_of(struct alone *a, struct client *c, ulv_id id)
{
    struct ulv_partition_record p[16];
    uint32_t count = query(a, c, ULV_QUERY_PARTITIONS, p, sizeof(p));

    for (uint32_t i = 0; i < count; i++) {
        if (p[i].id == id)
            return p[i].state;
    }
    return UINT32_MAX;
}

static struct ulv_device_record
device_of(struct alone *a, struct client *c, ulv_id id)
{
    struct ulv_device_record d[16];
    uint32_t count = query(a, c, ULV_QUERY_DEVICES, d, sizeof(d));

    for (uint32_t i = 0; i < count; i++) {
        if (d[i].id == id)
            return d[i];
    }
    memset(&d[0], 0, sizeof(d[0]));
    return d[0];
}

static ulv_id
offer(struct alone *a, struct client *c, ulv_id primary, ulv_id standby)
{
    struct ulv_operation o = { .kind = ULV_OP_OFFER };

    o.u.offer.id = ulv_command_client_id(&c->end);
    o.u.offer.primary = primary;
    o.u.offer.standby = standby;
    o.u.offer.kind = ULV_DEVICE_CONSOLE;
    memcpy(o.u.offer.name, "console", 8);
    assert_int_equal(ask(a, c, &o, 1).status, ULV_OK);
    return o.u.offer.id;
}

static void
tell_death(struct alone *a, ulv_id dead)
{
    struct say say = { .kind = SAY_DIED };

    say.u.state.partition = dead;
    assert_int_equal(ulv_post_send(&a->keeper, &say, NULL, NULL, 0), ULV_OK);
}

/* ---- deaths -------------------------------------------------------------- */

/* What moves is known when it moves: both deaths are heard in one turn. */
static void
test_system_ultravisor__two_deaths_at_once(void **state)
{
    struct alone a;
    struct client c;
    struct made m;
    ulv_id device[2];

    (void)state;
    boot(&a, &m);
    connect_client(&a, &c);
    device[0] = offer(&a, &c, m.io[0], m.io[1]);
    device[1] = offer(&a, &c, m.io[1], m.io[0]);
    tell_death(&a, m.io[0]);
    tell_death(&a, m.io[1]);
    alone_run(&a);
    assert_int_equal(state_of(&a, &c, m.io[0]), ULV_STATE_LOST);
    assert_int_equal(state_of(&a, &c, m.io[1]), ULV_STATE_LOST);
    assert_int_equal(a.faults, 0);
    /* nobody was left to serve them */
    for (int i = 0; i < 2; i++)
        assert_int_equal(device_of(&a, &c, device[i]).serving, m.io[i]);
    disconnect_client(&a, &c);
    alone_end(&a);
}

/* The keeper refuses the move: the state is a fact all the same, and so is
 * that of the role that dies next. */
static void
test_system_ultravisor__a_move_that_is_refused(void **state)
{
    struct alone a;
    struct client c;
    struct made m;
    ulv_id device;

    (void)state;
    boot(&a, &m);
    connect_client(&a, &c);
    device = offer(&a, &c, m.io[0], m.io[1]);
    a.refuse = ULV_EFFECT_DEVICE_REHOME;
    tell_death(&a, m.io[0]);
    alone_run(&a);
    assert_int_equal(a.effects[ULV_EFFECT_DEVICE_REHOME], 1);
    assert_int_equal(state_of(&a, &c, m.io[0]), ULV_STATE_LOST);
    assert_int_equal(device_of(&a, &c, device).serving, m.io[0]);
    assert_int_equal(a.faults, 1);
    assert_string_equal(a.fault, "refused by the test");
    tell_death(&a, m.io[1]);
    alone_run(&a);
    assert_int_equal(state_of(&a, &c, m.io[1]), ULV_STATE_LOST);
    assert_int_equal(a.faults, 1);
    disconnect_client(&a, &c);
    alone_end(&a);
}

static void
test_system_ultravisor__a_death_moves_what_is_served(void **state)
{
    struct alone a;
    struct client c;
    struct made m;
    ulv_id device[2];

    (void)state;
    boot(&a, &m);
    connect_client(&a, &c);
    device[0] = offer(&a, &c, m.io[0], m.io[1]);
    device[1] = offer(&a, &c, m.io[1], m.io[0]);
    tell_death(&a, m.io[0]);
    alone_run(&a);
    assert_int_equal(state_of(&a, &c, m.io[0]), ULV_STATE_LOST);
    for (int i = 0; i < 2; i++)
        assert_int_equal(device_of(&a, &c, device[i]).serving, m.io[1]);
    assert_int_equal(device_of(&a, &c, device[0]).standby, 0);
    disconnect_client(&a, &c);
    alone_end(&a);
}

/* ---- what a client may not ask ------------------------------------------- */

static void
refused(struct alone *a, struct client *c, struct ulv_operation *o,
        const char *word)
{
    struct ulv_operation two[2];
    struct ulv_message_transaction_answer answer;
    uint32_t orders = a->orders, committed = a->committed;

    /* behind one that is harmless, so that the index says something */
    memset(two, 0, sizeof(two));
    two[0].kind = ULV_OP_CREATE_PARTITION;
    two[0].u.create_partition.id = ulv_command_client_id(&c->end);
    two[0].u.create_partition.capabilities = ULV_CAP_GUEST;
    memcpy(two[0].u.create_partition.name, "web", 4);
    two[1] = *o;
    answer = ask(a, c, two, 2);
    assert_int_equal(answer.status, ULV_E_DENIED);
    assert_int_equal(answer.operation_idx, 1);
    assert_non_null(strstr(answer.text, word));
    assert_int_equal(a->orders, orders);
    assert_int_equal(a->committed, committed);
    memset(o, 0, sizeof(*o));
}

static void
test_system_ultravisor__a_client_has_guests_only(void **state)
{
    static const uint32_t kinds[] = {
        ULV_PARTITION_IDLE,       ULV_PARTITION_BOOT,
        ULV_PARTITION_ULTRAVISOR, ULV_PARTITION_OPERATIONS,
        ULV_PARTITION_COMMAND,    ULV_PARTITION_IO,
    };
    struct alone a;
    struct client c;
    struct made m;
    struct ulv_operation o;
    ulv_id device;

    (void)state;
    memset(&o, 0, sizeof(o));
    boot(&a, &m);
    connect_client(&a, &c);
    device = offer(&a, &c, m.io[0], m.io[1]);
    for (size_t i = 0; i < ULV_COUNT_OF(kinds); i++) {
        o.kind = ULV_OP_CREATE_PARTITION;
        o.u.create_partition.id = ulv_command_client_id(&c.end);
        o.u.create_partition.kind = kinds[i];
        memcpy(o.u.create_partition.name, "role", 5);
        refused(&a, &c, &o, "guests only");
    }
    o.kind = ULV_OP_CREATE_PARTITION;
    o.u.create_partition.id = ulv_command_client_id(&c.end);
    o.u.create_partition.capabilities = ULV_CAP_GUEST | ULV_CAP_COMMAND;
    memcpy(o.u.create_partition.name, "role", 5);
    refused(&a, &c, &o, "capability");
    o.kind = ULV_OP_SET_STATE;
    o.u.set_state.partition = m.io[1];
    o.u.set_state.state = ULV_STATE_LOST;
    refused(&a, &c, &o, "what became of a partition");
    o.kind = ULV_OP_REHOME;
    o.u.rehome.device = device;
    o.u.rehome.server = m.io[1];
    refused(&a, &c, &o, "when its server died");
    o.kind = ULV_OP_ADD_MEMORY;
    o.u.add_memory.id = ulv_command_client_id(&c.end);
    o.u.add_memory.base = UINT64_C(1) << 41;
    o.u.add_memory.bytes = ULV_MIB(2);
    refused(&a, &c, &o, "machine");
    o.kind = ULV_OP_ADD_PROCESSOR;
    o.u.add_processor.id = ulv_command_client_id(&c.end);
    refused(&a, &c, &o, "machine");
    o = (struct ulv_operation){ .kind = ULV_OP_RETIRE_PROCESSOR };
    o.u.retire_processor.how = ULV_RETIRE_OFFLINE;
    refused(&a, &c, &o, "which processors are online");
    o.kind = 4711;
    refused(&a, &c, &o, "unknown");
    assert_int_equal(state_of(&a, &c, m.io[1]), ULV_STATE_RUNNING);
    assert_int_equal(device_of(&a, &c, device).serving, m.io[0]);
    disconnect_client(&a, &c);
    alone_end(&a);
}

/* ---- what is taken away -------------------------------------------------- */

static ulv_id
attach(struct alone *a, struct client *c, ulv_id device)
{
    struct ulv_operation o[2];

    memset(o, 0, sizeof(o));
    o[0].kind = ULV_OP_CREATE_PARTITION;
    o[0].u.create_partition.id = ulv_command_client_id(&c->end);
    memcpy(o[0].u.create_partition.name, "web", 4);
    o[1].kind = ULV_OP_ATTACH;
    o[1].u.attach.channel = ulv_command_client_id(&c->end);
    o[1].u.attach.partition = o[0].u.create_partition.id;
    o[1].u.attach.device = device;
    assert_int_equal(ask(a, c, o, 2).status, ULV_OK);
    return o[1].u.attach.channel;
}

/* With its last channel the device goes; what roles speak over stays. */
static void
test_system_ultravisor__a_channel_is_revoked(void **state)
{
    struct ulv_operation o = { .kind = ULV_OP_REVOKE };
    struct ulv_message_transaction_answer answer;
    struct alone a;
    struct client c;
    struct made m;
    ulv_id device;

    (void)state;
    boot(&a, &m);
    connect_client(&a, &c);
    device = offer(&a, &c, m.io[0], m.io[1]);
    o.u.revoke.channel = attach(&a, &c, device);
    assert_int_equal(ask(&a, &c, &o, 1).status, ULV_OK);
    assert_int_equal(a.effects[ULV_EFFECT_CHANNEL_DESTROY], 1);
    assert_int_equal(a.effects[ULV_EFFECT_DEVICE_WITHDRAW], 1);
    assert_int_equal(device_of(&a, &c, device).id, 0);
    o.u.revoke.channel = m.channel;
    answer = ask(&a, &c, &o, 1);
    assert_int_equal(answer.status, ULV_E_DENIED);
    assert_non_null(strstr(answer.text, "boot talks to command"));
    assert_int_equal(a.effects[ULV_EFFECT_CHANNEL_DESTROY], 1);
    disconnect_client(&a, &c);
    alone_end(&a);
}

/* ---- what it writes into headers ----------------------------------------- */

/* As the keeper does when it has made the memory of a channel. */
static struct ulv_channel_header *
made_channel(struct alone *a, ulv_id id, uint64_t bytes, ulv_handle *memory)
{
    const struct ulv_host *host = &a->t.host;
    struct say say = { .kind = SAY_CHANNEL };
    void *p;

    assert_int_equal(
        host->memory_create(host->self, "channel", bytes, 0, memory), ULV_OK);
    assert_int_equal(host->memory_map(host->self, *memory, 0, bytes,
                                      ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p),
                     ULV_OK);
    say.u.channel.channel = id;
    say.u.channel.bytes = bytes;
    say.u.channel.ring_bytes = ULV_CONSOLE_RING_BYTES;
    say.u.channel.format = 1;
    assert_int_equal(ulv_post_send(&a->keeper, &say, NULL, memory, 1), ULV_OK);
    alone_run(a);
    return p;
}

static void
test_system_ultravisor__headers_say_who_died(void **state)
{
    const uint64_t bytes = ulv_channel_bytes(ULV_CONSOLE_RING_BYTES, 0);
    struct ulv_operation o = { .kind = ULV_OP_REVOKE };
    struct ulv_channel_header *h;
    struct alone a;
    struct client c;
    struct made m;
    ulv_handle memory;
    ulv_id device;

    (void)state;
    boot(&a, &m);
    connect_client(&a, &c);
    device = offer(&a, &c, m.io[0], m.io[1]);
    o.u.revoke.channel = attach(&a, &c, device);
    h = made_channel(&a, o.u.revoke.channel, bytes, &memory);
    h->end[ULV_END_SERVER].state = ULV_END_ATTACHED;
    h->end[ULV_END_CLIENT].state = ULV_END_ATTACHED;
    /* of the standby it says nothing, of the server it does before it moves */
    tell_death(&a, m.io[1]);
    alone_run(&a);
    assert_int_equal(a.rings, 0);
    assert_int_equal(h->end[ULV_END_SERVER].state, ULV_END_ATTACHED);
    a.refuse = ULV_EFFECT_DEVICE_REHOME;
    tell_death(&a, m.io[0]);
    alone_run(&a);
    assert_int_equal(a.rings, 1);
    assert_int_equal(h->end[ULV_END_SERVER].state, ULV_END_DETACHED);
    assert_int_equal(h->end[ULV_END_CLIENT].state, ULV_END_ATTACHED);
    /* nobody's word keeps it from being revoked */
    h->end[ULV_END_CLIENT].state = UINT32_MAX;
    assert_int_equal(ask(&a, &c, &o, 1).status, ULV_OK);
    assert_int_equal(h->end[ULV_END_SERVER].state, ULV_END_REVOKED);
    assert_int_equal(h->end[ULV_END_CLIENT].state, ULV_END_REVOKED);
    a.t.host.memory_unmap(a.t.host.self, h, bytes);
    a.t.host.handle_close(a.t.host.self, memory);
    disconnect_client(&a, &c);
    alone_end(&a);
}

/* ---- ids ----------------------------------------------------------------- */

static ulv_status
create_with(struct alone *a, struct client *c, ulv_id id, const char *name)
{
    struct ulv_operation o[2];

    memset(o, 0, sizeof(o));
    o[0].kind = ULV_OP_CREATE_PARTITION;
    o[0].u.create_partition.id = id;
    memcpy(o[0].u.create_partition.name, name, strlen(name));
    o[1].kind = ULV_OP_ASSIGN_MEMORY;
    o[1].u.assign_memory.partition = id;
    o[1].u.assign_memory.bytes = 4096;
    o[1].u.assign_memory.node = ULV_NODE_ANY;
    return ask(a, c, o, 2).status;
}

/* Ids that the database gives itself are nobody's to use. */
static void
test_system_ultravisor__its_own_ids(void **state)
{
    struct alone a;
    struct client c;
    struct made m;

    (void)state;
    boot(&a, &m);
    connect_client(&a, &c);
    for (ulv_id id = 0; id < ULV_ID_LEASE_COUNT; id += 257)
        assert_int_equal(create_with(&a, &c, id, "own"), ULV_E_ARG);
    assert_int_equal(create_with(&a, &c, ulv_command_client_id(&c.end), "web"),
                     ULV_OK);
    disconnect_client(&a, &c);
    alone_end(&a);
}

/* A client that asks for ids without end is told that there is one, and what
 * it has goes on being good. */
static void
test_system_ultravisor__leases_have_a_bound(void **state)
{
    struct alone a;
    struct client c;
    struct made m;
    ulv_status status = ULV_OK;
    uint32_t count = 1; /* the first greeting's */

    (void)state;
    boot(&a, &m);
    connect_client(&a, &c);
    for (; status == ULV_OK && count < 10000; count++)
        status = greet(&a, &c)->status;
    assert_int_equal(status, ULV_E_LIMIT);
    assert_int_equal(count, 1025);
    assert_int_equal(greet(&a, &c)->status, ULV_E_LIMIT);
    assert_int_equal(create_with(&a, &c, ulv_command_client_id(&c.end), "web"),
                     ULV_OK);
    disconnect_client(&a, &c);
    alone_end(&a);
}

/* ---- more than an order holds -------------------------------------------- */

#define GUESTS  5u
#define EXTENTS 13312u /* of each guest */
#define AT_ONCE 512u

static void
give_pages(struct alone *a, struct client *c, ulv_id guest)
{
    static struct ulv_operation o[AT_ONCE];

    for (uint32_t given = 0; given < EXTENTS; given += AT_ONCE) {
        memset(o, 0, sizeof(o));
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            o[i].kind = ULV_OP_ASSIGN_MEMORY;
            o[i].u.assign_memory.partition = guest;
            o[i].u.assign_memory.bytes = 4096;
            o[i].u.assign_memory.node = ULV_NODE_ANY;
        }
        assert_int_equal(ask(a, c, o, AT_ONCE).status, ULV_OK);
    }
}

static void
test_system_ultravisor__an_order_has_a_bound(void **state)
{
    struct ulv_message_transaction_answer answer;
    struct ulv_operation o[GUESTS];
    struct alone a;
    struct client c;
    struct made m;

    (void)state;
    boot(&a, &m);
    connect_client(&a, &c);
    memset(o, 0, sizeof(o));
    for (uint32_t i = 0; i < GUESTS; i++) {
        ulv_id guest = ulv_command_client_id(&c.end);

        o[i].kind = ULV_OP_CREATE_PARTITION;
        o[i].u.create_partition.id = guest;
        o[i].u.create_partition.capabilities = ULV_CAP_GUEST;
        o[i].u.create_partition.name[0] = (char)('a' + i);
        assert_int_equal(ask(&a, &c, &o[i], 1).status, ULV_OK);
        give_pages(&a, &c, guest);
        memset(&o[i], 0, sizeof(o[i]));
        o[i].kind = ULV_OP_DESTROY_PARTITION;
        o[i].u.destroy_partition.id = guest;
    }
    a.orders = a.aborted = 0;
    answer = ask(&a, &c, o, GUESTS);
    assert_int_equal(answer.status, ULV_E_LIMIT);
    assert_non_null(strstr(answer.text, "65536"));
    assert_int_equal(a.orders, 0);
    assert_int_equal(state_of(&a, &c, o[0].u.destroy_partition.id),
                     ULV_STATE_DEFINED);
    assert_int_equal(ask(&a, &c, o, GUESTS - 1).status, ULV_OK);
    assert_int_equal(ask(&a, &c, &o[GUESTS - 1], 1).status, ULV_OK);
    assert_int_equal(a.orders, 2);
    disconnect_client(&a, &c);
    alone_end(&a);
}

/* ---- a machine that changes ---------------------------------------------- */

#define DISKS 5u

static void
write_disks(struct ulv_operation o[DISKS], uint32_t first)
{
    memset(o, 0, DISKS * sizeof(*o));
    for (uint32_t i = 0; i < DISKS; i++) {
        o[i].kind = ULV_OP_ADD_HARDWARE;
        o[i].u.add_hardware.id = 1 + i;
        o[i].u.add_hardware.kind = ULV_HARDWARE_DISK;
        o[i].u.add_hardware.name[0] = (char)('a' + first + i);
    }
}

/* Two new, two gone; then nothing has changed. */
static void
test_system_ultravisor__a_machine_in_parts(void **state)
{
    struct ulv_operation o[DISKS];
    struct alone a;
    struct made m;

    (void)state;
    boot(&a, &m);
    write_disks(o, 0);
    say_machine(&a, SAY_MACHINE, o, DISKS);
    assert_int_equal(a.answers, 1);
    assert_int_equal(a.scanned.diag.status, ULV_OK);
    assert_int_equal(a.scanned.number, 5);
    assert_int_equal(a.scanned.count, DISKS);
    assert_int_equal(a.scanned.revision, 2);
    write_disks(o, 2);
    say_machine(&a, SAY_MACHINE, o, DISKS);
    assert_int_equal(a.scanned.count, 4);
    assert_int_equal(a.scanned.told, 4);
    assert_int_equal(a.scanned.revision, 3);
    say_machine(&a, SAY_MACHINE, o, DISKS);
    assert_int_equal(a.answers, 3);
    assert_int_equal(a.scanned.count, 0);
    assert_int_equal(a.scanned.revision, 3);
    alone_end(&a);
}

/* Parts that are none of a whole end it: they are not its keeper's. */
static void
test_system_ultravisor__parts_of_no_whole(void **state)
{
    static const uint32_t first[] = { 1, 0, 0 }, count[] = { 5, 4, 1u << 20 };
    struct ulv_operation o[DISKS];

    (void)state;
    for (uint32_t i = 0; i < ULV_COUNT_OF(first); i++) {
        struct say say = { .kind = SAY_MACHINE, .tail_bytes = sizeof(o) };
        struct alone a;
        struct made m;

        boot(&a, &m);
        write_disks(o, 0);
        say.u.machine.first = first[i];
        say.u.machine.count = count[i];
        assert_int_equal(ulv_post_send(&a.keeper, &say, o, NULL, 0), ULV_OK);
        alone_run(&a);
        assert_int_equal(a.ended, ULV_E_PEER_PROTOCOL);
        alone_end(&a);
    }
}

/* It changes wholly, or not and that is said, or the role ends. */
static void
test_system_ultravisor__a_machine_without_memory(void **state)
{
    struct ulv_operation o[DISKS];
    bool failed = true;

    (void)state;
    write_disks(o, 0);
    for (uint64_t n = 1; failed; n++) {
        struct alone a;
        struct made m;

        boot(&a, &m);
        ulv_test_host_fail_at(&a.t, n);
        (void)say_parts(&a, SAY_MACHINE, o, DISKS);
        failed = ulv_test_host_failed(&a.t);
        ulv_test_host_fail_at(&a.t, 0);
        if (a.ended == ULV_OK && a.answers == 1) {
            assert_int_equal(a.scanned.diag.status,
                             failed ? ULV_E_NO_MEMORY : ULV_OK);
            assert_int_equal(a.scanned.count, failed ? 0 : DISKS);
            assert_int_equal(a.scanned.revision, failed ? 1 : 2);
        } else {
            assert_true(failed);
        }
        alone_end(&a);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_ultravisor__two_deaths_at_once),
        cmocka_unit_test(test_system_ultravisor__a_move_that_is_refused),
        cmocka_unit_test(test_system_ultravisor__a_death_moves_what_is_served),
        cmocka_unit_test(test_system_ultravisor__a_client_has_guests_only),
        cmocka_unit_test(test_system_ultravisor__a_channel_is_revoked),
        cmocka_unit_test(test_system_ultravisor__headers_say_who_died),
        cmocka_unit_test(test_system_ultravisor__its_own_ids),
        cmocka_unit_test(test_system_ultravisor__leases_have_a_bound),
        cmocka_unit_test(test_system_ultravisor__an_order_has_a_bound),
        cmocka_unit_test(test_system_ultravisor__a_machine_in_parts),
        cmocka_unit_test(test_system_ultravisor__parts_of_no_whole),
        cmocka_unit_test(test_system_ultravisor__a_machine_without_memory),
    };

    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
