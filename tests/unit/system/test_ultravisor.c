/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The ultravisor role by itself, between a keeper and a client of its command
 * channel that are both the test.
 */
#include "role_alone.h"

/* What the boot transaction made. */
struct made {
    ulv_id boot, command, io[2];
};

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
    struct say say = { .kind = SAY_BOOT };
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
    o[count].u.add_memory.bytes = ULV_MIB(32);
    count++;
    m->boot = a->lease;
    m->command = a->lease + 2;
    m->io[0] = a->lease + 3;
    m->io[1] = a->lease + 4;
    say.tail_bytes = count * (uint32_t)sizeof(*o);
    a->booted.status = ULV_E_AGAIN;
    assert_int_equal(ulv_post_send(&a->keeper, &say, o, NULL, 0), ULV_OK);
    alone_run(a);
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
    struct ulv_message_transaction_answer answer;
    bool ring = false;

    assert_int_equal(
        ulv_command_send_transaction(&c->end, 0, NULL, 0, o, count, &ring),
        ULV_OK);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_ultravisor__two_deaths_at_once),
        cmocka_unit_test(test_system_ultravisor__a_move_that_is_refused),
        cmocka_unit_test(test_system_ultravisor__a_death_moves_what_is_served),
    };

    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
