/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Nobody but the ultravisor can change an assignment, and the ultravisor only
 * within the frame table: each kind of role asks the keeper for memory.
 */
#include "../port/port_test.h"

#include "port/test/test.h"
#include "system/keeper.h"
#include "system/link.h"

struct asked {
    struct keeper keeper;
    struct post far; /* the role's end of the link */
    uint32_t faults;
    uint32_t events;    /* by kind: bits */
    ulv_id spoken_of;   /* partition of the last event */
    struct ulv_diag answer;
    bool answered;
    uint32_t said[64]; /* messages heard, by kind */
    char console[4096]; /* what was told of consoles */
    size_t console_len;
    uint64_t console_next, lost, losses;
};

static void
note(void *self, uint32_t event, ulv_id partition, uint64_t value,
     const void *data, size_t bytes)
{
    struct asked *a = self;

    if (event == ULV_EVENT_CONSOLE) {
        assert_true(bytes <= ULV_EVENT_BYTES_MAX &&
                    a->console_len + bytes <= sizeof(a->console));
        assert_int_equal(value, a->console_next);
        memcpy(a->console + a->console_len, data, bytes);
        a->console_len += bytes;
        a->console_next += bytes;
    }
    if (event == ULV_EVENT_LOST) {
        a->losses++;
        a->lost += value;
        a->console_next += value;
    }
    a->faults += event == ULV_EVENT_FAULT ? 1 : 0;
    a->events |= UINT32_C(1) << event;
    a->spoken_of = partition;
}

/* A keeper with one role of a kind, whose link we hold. */
static void
begin(struct asked *a, struct ulv_test_host *t, ulv_handle waits,
      uint32_t kind)
{
    struct ulv_link *near, *far;
    struct keeper_partition *p;

    memset(a, 0, sizeof(*a));
    assert_int_equal(ulv_keeper_init(&a->keeper, &t->host, waits), ULV_OK);
    a->keeper.tell = note;
    a->keeper.self = a;
    assert_int_equal(ulv_frame_table_add(&a->keeper.frames, 0x1000000,
                                         ULV_MIB(16), ULV_FRAME_FREE, NULL),
                     ULV_OK);
    assert_int_equal(ulv_frame_table_add(&a->keeper.frames, 0x10000000,
                                         ULV_MIB(2), ULV_FRAME_NEVER, NULL),
                     ULV_OK);
    p = ulv_keeper_partition_add(&a->keeper, 7, kind, "role");
    assert_non_null(p);
    assert_int_equal(ulv_link_create(&t->host, &near, &far), ULV_OK);
    assert_int_equal(ulv_post_init(&p->post, &t->host, waits, near), ULV_OK);
    assert_int_equal(ulv_post_init(&a->far, &t->host, waits, far), ULV_OK);
    p->alive = true;
    if (kind == ULV_PARTITION_ULTRAVISOR)
        a->keeper.ultravisor = p;
}

static void
end(struct asked *a)
{
    ulv_post_fini(&a->far);
    ulv_keeper_fini(&a->keeper);
}

/* Order a grant of frames as that role, and hear what comes of it. */
static void
order(struct asked *a, uint64_t ticket, uint64_t frame)
{
    struct say say = { .kind = SAY_ORDER };
    struct ulv_effect effect = { .kind = ULV_EFFECT_EXTENT_GRANT };
    struct role_need need = { false, ULV_FOREVER };
    struct heard heard;

    effect.u.extent.id = 100 + ticket;
    effect.u.extent.partition = 50 + ticket;
    effect.u.extent.frame = frame;
    effect.u.extent.bytes = ULV_MIB(2);
    say.u.order.ticket = ticket;
    say.u.order.effect_count = 1;
    say.tail_bytes = sizeof(effect);
    assert_int_equal(ulv_post_send(&a->far, &say, &effect, NULL, 0), ULV_OK);
    ulv_keeper_step(&a->keeper, &need);
    a->answered = ulv_post_receive(&a->far, &heard) == ULV_OK;
    if (a->answered) {
        assert_int_equal(heard.say.kind, SAY_ORDER_DONE);
        a->answer = heard.say.u.order_done.diag;
    }
}

static void
commit(struct asked *a, uint64_t ticket)
{
    struct say say = { .kind = SAY_COMMITTED };
    struct role_need need = { false, ULV_FOREVER };

    say.u.order.ticket = ticket;
    assert_int_equal(ulv_post_send(&a->far, &say, NULL, NULL, 0), ULV_OK);
    ulv_keeper_step(&a->keeper, &need);
}

static void
test_system_keeper__only_the_ultravisor_orders(void **state)
{
    static const uint32_t kinds[] = { ULV_PARTITION_GUEST,
                                      ULV_PARTITION_COMMAND, ULV_PARTITION_IO,
                                      ULV_PARTITION_OPERATIONS };
    struct ulv_test_host t;
    ulv_handle waits;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(kinds); i++) {
        struct asked a;

        ulv_test_host_init(&t);
        assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
        begin(&a, &t, waits, kinds[i]);
        order(&a, 1, 0x1000000);
        assert_false(a.answered);
        assert_int_equal(a.faults, 1);
        assert_null(a.keeper.extents);
        end(&a);
        t.host.handle_close(t.host.self, waits);
        assert_int_equal(ulv_test_host_fini(&t), 0);
    }
}

static void
test_system_keeper__a_wrong_database_is_refused(void **state)
{
    struct ulv_test_host t;
    struct asked a;
    ulv_handle waits;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
    begin(&a, &t, waits, ULV_PARTITION_ULTRAVISOR);
    order(&a, 1, 0x1000000);
    assert_true(a.answered);
    assert_int_equal(a.answer.status, ULV_OK);
    commit(&a, 1);
    /* the same frames for another partition: a double grant */
    order(&a, 2, 0x1000000);
    assert_int_equal(a.answer.status, ULV_E_DENIED);
    assert_int_equal(a.faults, 1);
    /* frames that are nobody's to give, and frames that are not there */
    order(&a, 3, 0x10000000);
    assert_int_equal(a.answer.status, ULV_E_DENIED);
    order(&a, 4, 0x40000000);
    assert_int_equal(a.answer.status, ULV_E_DENIED);
    assert_int_equal(a.faults, 3);
    assert_int_equal(a.keeper.extents->partition, 51);
    assert_null(a.keeper.extents->next);
    assert_int_equal(ulv_frame_table_check(&a.keeper.frames, NULL), ULV_OK);
    end(&a);
    t.host.handle_close(t.host.self, waits);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* What each kind of role may at most make a program hear of. */
static const struct {
    uint32_t kind, events;
} hostile[] = {
    { ULV_PARTITION_GUEST, 1u << ULV_EVENT_LOG | 1u << ULV_EVENT_FAULT },
    { ULV_PARTITION_COMMAND,
      1u << ULV_EVENT_LOG | 1u << ULV_EVENT_DECISION | 1u << ULV_EVENT_FAULT },
    { ULV_PARTITION_OPERATIONS, 1u << ULV_EVENT_LOG | 1u << ULV_EVENT_FAULT },
    { ULV_PARTITION_IO, 1u << ULV_EVENT_LOG | 1u << ULV_EVENT_SERVING |
                            1u << ULV_EVENT_TAKEOVER | 1u << ULV_EVENT_FAULT },
};

/* One message of random bytes, of a kind that there is or not. */
static void
say_anything(struct asked *a, struct ulv_test_host *t)
{
    static uint8_t tail[4096];
    struct role_need need = { false, ULV_FOREVER };
    struct heard heard;
    struct say say;

    t->host.entropy(t->host.self, &say, sizeof(say));
    t->host.entropy(t->host.self, tail, sizeof(tail));
    say.kind %= SAY_SETTLED + 3;
    say.tail_bytes %= sizeof(tail);
    if (say.kind == SAY_EVENT)
        say.u.event.kind %= ULV_EVENT_RESET + 3;
    (void)ulv_post_send(&a->far, &say, tail, NULL, 0);
    ulv_keeper_step(&a->keeper, &need);
    while (ulv_post_receive(&a->far, &heard) == ULV_OK)
        continue;
}

static void
test_system_keeper__any_bytes_from_a_role(void **state)
{
    struct ulv_test_host t;
    ulv_handle waits;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(hostile); i++) {
        ulv_test_host_init(&t);
        assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
        for (int round = 0; round < 20; round++) {
            struct asked a;

            begin(&a, &t, waits, hostile[i].kind);
            for (int n = 0; n < 500 && a.keeper.partitions->alive; n++) {
                say_anything(&a, &t);
                assert_true(a.events == 0 || a.spoken_of == 7);
            }
            /* the keeper's own word when it ends a role */
            a.events &= ~(1u << ULV_EVENT_DIED);
            assert_int_equal(a.events & ~hostile[i].events, 0);
            assert_null(a.keeper.extents);
            assert_null(a.keeper.channels);
            assert_int_equal(ulv_frame_table_check(&a.keeper.frames, NULL),
                             ULV_OK);
            end(&a);
        }
        t.host.handle_close(t.host.self, waits);
        assert_int_equal(ulv_test_host_fini(&t), 0);
    }
}

/* The ultravisor itself: whatever it orders, the frame table holds. */
static void
test_system_keeper__any_bytes_from_the_ultravisor(void **state)
{
    struct ulv_test_host t;
    ulv_handle waits;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
    for (int round = 0; round < 50; round++) {
        struct asked a;

        begin(&a, &t, waits, ULV_PARTITION_ULTRAVISOR);
        for (int n = 0; n < 500 && a.keeper.partitions->alive; n++)
            say_anything(&a, &t);
        assert_int_equal(ulv_frame_table_check(&a.keeper.frames, NULL),
                         ULV_OK);
        end(&a);
    }
    t.host.handle_close(t.host.self, waits);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* Order so many effects, and hear the answer. */
static ulv_status
order_effects(struct asked *a, uint64_t ticket, const struct ulv_effect *e,
              uint32_t count)
{
    struct say say = { .kind = SAY_ORDER };
    struct role_need need = { false, ULV_FOREVER };
    ulv_status status = ULV_E_INTERNAL;
    struct heard heard;

    say.u.order.ticket = ticket;
    say.u.order.effect_count = count;
    say.tail_bytes = count * (uint32_t)sizeof(*e);
    assert_int_equal(ulv_post_send(&a->far, &say, e, NULL, 0), ULV_OK);
    ulv_keeper_step(&a->keeper, &need);
    while (ulv_post_receive(&a->far, &heard) == ULV_OK) {
        for (uint32_t i = 0; i < heard.handle_count; i++)
            a->keeper.host->handle_close(a->keeper.host->self,
                                         heard.handle[i]);
        if (heard.say.kind == SAY_ORDER_DONE)
            status = heard.say.u.order_done.diag.status;
    }
    return status;
}

/* What a database that has gone wrong could order of partitions. */
static void
test_system_keeper__partitions_are_held(void **state)
{
    struct ulv_effect e[2];
    struct ulv_test_host t;
    struct asked a;
    ulv_handle waits;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
    begin(&a, &t, waits, ULV_PARTITION_ULTRAVISOR);
    a.keeper.boot = 9;
    assert_non_null(ulv_keeper_partition_add(&a.keeper, 9, ULV_PARTITION_BOOT,
                                             "boot"));
    /* the same extent taken away twice in one order */
    order(&a, 1, 0x1000000);
    commit(&a, 1);
    memset(e, 0, sizeof(e));
    e[0].kind = e[1].kind = ULV_EFFECT_EXTENT_REVOKE;
    e[0].u.removal.id = e[1].u.removal.id = 101;
    assert_int_equal(order_effects(&a, 2, e, 2), ULV_OK);
    commit(&a, 2);
    assert_null(a.keeper.extents);
    /* the boot partition, and the ultravisor itself, destroyed */
    e[0].kind = ULV_EFFECT_PARTITION_DESTROY;
    e[0].u.removal.id = 9;
    assert_int_equal(order_effects(&a, 3, e, 1), ULV_E_DENIED);
    e[0].u.removal.id = 7;
    assert_int_equal(order_effects(&a, 4, e, 1), ULV_E_DENIED);
    /* a second ultravisor; after the start, any further role */
    e[0].kind = ULV_EFFECT_PARTITION_CREATE;
    e[0].u.partition_create.id = 30;
    e[0].u.partition_create.kind = ULV_PARTITION_ULTRAVISOR;
    memcpy(e[0].u.partition_create.name, "second", 7);
    assert_int_equal(order_effects(&a, 5, e, 1), ULV_E_DENIED);
    a.keeper.booted = true;
    e[0].u.partition_create.kind = ULV_PARTITION_IO;
    assert_int_equal(order_effects(&a, 6, e, 1), ULV_E_DENIED);
    assert_null(ulv_keeper_partition(&a.keeper, 30));
    end(&a);
    t.host.handle_close(t.host.self, waits);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* The caller gives a start up between the order and its commit. */
static void
test_system_keeper__an_image_that_is_gone(void **state)
{
    static const uint8_t image[4096];
    const struct ulv_source source = ULV_SOURCE_MEMORY(image, sizeof(image));
    struct ulv_effect e;
    struct ulv_test_host t;
    struct asked a;
    struct keeper_partition *web;
    ulv_handle waits;
    uint64_t bytes;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
    begin(&a, &t, waits, ULV_PARTITION_ULTRAVISOR);
    web = ulv_keeper_partition_add(&a.keeper, 20, ULV_PARTITION_GUEST, "web");
    assert_non_null(web);
    assert_int_equal(ulv_keeper_source_add(&a.keeper, 77, &source, 1,
                                           ULV_MEDIUM_READ_ONLY |
                                               ULV_MEDIUM_ANY_SIZE,
                                           &bytes, NULL),
                     ULV_OK);
    memset(&e, 0, sizeof(e));
    e.kind = ULV_EFFECT_INTENT;
    e.u.intent.partition = 20;
    e.u.intent.intent = ULV_INTENT_RUNNING;
    e.u.intent.image = 77;
    assert_int_equal(order_effects(&a, 1, &e, 1), ULV_OK);
    ulv_keeper_source_drop(&a.keeper, 77);
    commit(&a, 1);
    assert_int_equal(web->start_diag.status, ULV_E_PEER_GONE);
    assert_false(web->alive);
    end(&a);
    t.host.handle_close(t.host.self, waits);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* A device moves away from a server that is dead, and from no other. */
static void
test_system_keeper__who_lives_goes_on_serving(void **state)
{
    struct ulv_effect e;
    struct ulv_test_host t;
    struct asked a;
    struct keeper_partition *server;
    ulv_handle waits;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
    begin(&a, &t, waits, ULV_PARTITION_ULTRAVISOR);
    server = ulv_keeper_partition_add(&a.keeper, 21, ULV_PARTITION_IO, "io-a");
    assert_non_null(server);
    assert_non_null(ulv_keeper_partition_add(&a.keeper, 22, ULV_PARTITION_IO,
                                             "io-b"));
    memset(&e, 0, sizeof(e));
    e.kind = ULV_EFFECT_DEVICE_OFFER;
    e.u.device.id = 30;
    e.u.device.primary = 21;
    e.u.device.standby = 22;
    e.u.device.kind = ULV_DEVICE_CONSOLE;
    assert_int_equal(order_effects(&a, 1, &e, 1), ULV_OK);
    commit(&a, 1);
    memset(&e, 0, sizeof(e));
    e.kind = ULV_EFFECT_DEVICE_REHOME;
    e.u.rehome.device = 30;
    e.u.rehome.from = 21;
    e.u.rehome.to = 22;
    server->alive = true;
    assert_int_equal(order_effects(&a, 2, &e, 1), ULV_E_DENIED);
    assert_int_equal(a.faults, 1);
    assert_int_equal(ulv_keeper_device(&a.keeper, 30)->serving, 21);
    server->alive = false;
    assert_int_equal(order_effects(&a, 3, &e, 1), ULV_OK);
    commit(&a, 3);
    assert_int_equal(ulv_keeper_device(&a.keeper, 30)->serving, 22);
    end(&a);
    t.host.handle_close(t.host.self, waits);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* The channels of roles among themselves stay as long as they. */
static void
test_system_keeper__a_channel_of_roles_stays(void **state)
{
    struct ulv_effect e;
    struct ulv_test_host t;
    struct asked a;
    ulv_handle waits;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
    begin(&a, &t, waits, ULV_PARTITION_ULTRAVISOR);
    assert_non_null(ulv_keeper_partition_add(&a.keeper, 21,
                                             ULV_PARTITION_COMMAND,
                                             "command"));
    assert_non_null(ulv_keeper_partition_add(&a.keeper, 22,
                                             ULV_PARTITION_GUEST, "web"));
    for (ulv_id client = 21; client <= 22; client++) {
        memset(&e, 0, sizeof(e));
        e.kind = ULV_EFFECT_CHANNEL_CREATE;
        e.u.channel.id = 20 + client;
        e.u.channel.server = 7;
        e.u.channel.client = client;
        e.u.channel.frame = 0x1000000 + (client - 21) * 0x10000;
        e.u.channel.bytes = 0x10000;
        assert_int_equal(order_effects(&a, client, &e, 1), ULV_OK);
        commit(&a, client);
    }
    for (ulv_id client = 21; client <= 22; client++) {
        memset(&e, 0, sizeof(e));
        e.kind = ULV_EFFECT_CHANNEL_DESTROY;
        e.u.removal.id = 20 + client;
        assert_int_equal(order_effects(&a, 10 + client, &e, 1),
                         client == 21 ? ULV_E_DENIED : ULV_OK);
        if (client == 22)
            commit(&a, 10 + client);
    }
    assert_non_null(ulv_keeper_channel(&a.keeper, 41));
    assert_null(ulv_keeper_channel(&a.keeper, 42));
    end(&a);
    t.host.handle_close(t.host.self, waits);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static void
step(struct asked *a)
{
    struct role_need need = { false, ULV_FOREVER };
    struct heard heard;

    ulv_keeper_step(&a->keeper, &need);
    ulv_keeper_step(&a->keeper, &need);
    while (ulv_post_receive(&a->far, &heard) == ULV_OK)
        a->said[heard.say.kind % 64]++;
}

static void
say_console(struct post *from, uint64_t offset, const char *bytes, size_t len)
{
    struct say say = { .kind = SAY_CONSOLE, .tail_bytes = (uint32_t)len };

    say.u.console.channel = 41;
    say.u.console.offset = offset;
    assert_int_equal(ulv_post_send(from, &say, bytes, NULL, 0), ULV_OK);
}

/* A channel as the keeper has it; what it holds does not matter here. */
static struct keeper_channel *
add_console(struct asked *a, struct ulv_test_host *t, ulv_id server)
{
    static const uint8_t type[16] = ULV_CHANNEL_TYPE_CONSOLE;
    struct keeper_channel *c = t->host.alloc(t->host.self, sizeof(*c), 8);

    assert_non_null(c);
    c->id = 41;
    c->server = server;
    c->client = 22;
    c->memory = c->bell[0] = c->bell[1] = c->fresh = ULV_NO_HANDLE;
    memcpy(c->type, type, 16);
    ulv_keeper_channel_add(&a->keeper, c);
    assert_non_null(ulv_keeper_partition_add(&a->keeper, 22,
                                             ULV_PARTITION_GUEST, "web"));
    return c;
}

/* Another I/O partition, whose end of the link is *ret_far. */
static void
add_io(struct asked *a, struct ulv_test_host *t, ulv_handle waits, ulv_id id,
       struct post *ret_far)
{
    struct keeper_partition *p =
        ulv_keeper_partition_add(&a->keeper, id, ULV_PARTITION_IO, "io");
    struct ulv_link *near, *far;

    assert_non_null(p);
    assert_int_equal(ulv_link_create(&t->host, &near, &far), ULV_OK);
    assert_int_equal(ulv_post_init(&p->post, &t->host, waits, near), ULV_OK);
    assert_int_equal(ulv_post_init(ret_far, &t->host, waits, far), ULV_OK);
    p->alive = true;
}

/* A console over a take-over: bytes that both servers give are told once, of
 * bytes that neither gives it is told once that they are lost, and the stream
 * goes on. */
static void
test_system_keeper__a_console_over_a_take_over(void **state)
{
    static char much[3000];
    struct ulv_test_host t;
    struct asked a;
    struct keeper_channel *c;
    struct post next;
    ulv_handle waits;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
    begin(&a, &t, waits, ULV_PARTITION_IO);
    c = add_console(&a, &t, 7);
    add_io(&a, &t, waits, 8, &next);
    say_console(&a.far, 0, "one ", 4);
    say_console(&next, 0, "not my channel", 14);
    step(&a);
    /* what it had said before it is dropped is heard */
    say_console(&a.far, 4, "two ", 4);
    ulv_keeper_role_drop(&a.keeper, ulv_keeper_partition(&a.keeper, 7));
    assert_int_equal(a.console_len, 8);
    c->server = 8;
    say_console(&next, 4, "two three ", 10);
    step(&a);
    say_console(&next, 20, "five ", 5);
    say_console(&next, 20, "five six", 8);
    step(&a);
    assert_int_equal(a.losses, 1);
    assert_int_equal(a.lost, 6);
    assert_int_equal(a.console_len, 22);
    assert_memory_equal(a.console, "one two three five six", 22);
    /* more at a time than an event holds; offsets that cannot be */
    say_console(&next, 28, much, sizeof(much));
    say_console(&next, UINT64_MAX - 3, "xxxxx", 5);
    step(&a);
    assert_int_equal(a.console_len, 22 + sizeof(much));
    assert_int_equal(c->console_offset, 28 + sizeof(much));
    assert_int_equal(a.losses, 1);
    ulv_post_fini(&next);
    end(&a);
    t.host.handle_close(t.host.self, waits);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static void
say_wanted(struct post *from, ulv_id channel, uint64_t offset)
{
    struct say say = { .kind = SAY_WANTED };

    say.u.console.channel = channel;
    say.u.console.offset = offset;
    assert_int_equal(ulv_post_send(from, &say, NULL, NULL, 0), ULV_OK);
}

/* What the keeper gives next, or nothing: "". */
static const char *
given(struct asked *a, struct post *to, uint64_t *ret_offset)
{
    static char text[4097];
    struct role_need need = { false, ULV_FOREVER };
    struct heard heard;

    ulv_keeper_step(&a->keeper, &need);
    ulv_keeper_step(&a->keeper, &need);
    text[0] = '\0';
    if (ulv_post_receive(to, &heard) != ULV_OK)
        return text;
    assert_int_equal(heard.say.kind, SAY_INPUT);
    assert_int_equal(heard.say.u.console.channel, 41);
    *ret_offset = heard.say.u.console.offset;
    memcpy(text, heard.tail, heard.say.tail_bytes);
    text[heard.say.tail_bytes] = '\0';
    return text;
}

/* A server is given what it asks for, once and no more; one that asks for what
 * it was not given, or that does not serve, is given nothing, and nothing is
 * forgotten for it. */
static void
test_system_keeper__what_is_typed_over_a_take_over(void **state)
{
    struct keeper_device device = { .id = 50, .serving = 7, .standby = 8 };
    struct ulv_test_host t;
    struct asked a;
    struct keeper_channel *c;
    struct post next;
    ulv_handle waits;
    uint64_t at = 0;
    size_t taken;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
    begin(&a, &t, waits, ULV_PARTITION_IO);
    c = add_console(&a, &t, 7);
    add_io(&a, &t, waits, 8, &next);
    say_wanted(&a.far, 41, 5); /* of nothing */
    assert_string_equal(given(&a, &a.far, &at), "");
    (void)ulv_keeper_input_type(&a.keeper, c, (const uint8_t *)"one two", 7,
                                &taken);
    say_wanted(&a.far, 41, 1); /* it was not given that */
    say_wanted(&a.far, 42, 0);
    say_wanted(&next, 41, 0); /* not its channel */
    assert_string_equal(given(&a, &next, &at), "");
    assert_string_equal(given(&a, &a.far, &at), "");
    say_wanted(&a.far, 41, 0);
    assert_string_equal(given(&a, &a.far, &at), "one two");
    (void)ulv_keeper_input_type(&a.keeper, c, (const uint8_t *)" three", 6,
                                &taken);
    assert_string_equal(given(&a, &a.far, &at), "");
    say_wanted(&a.far, 41, 8); /* more than it was given */
    say_wanted(&a.far, 41, UINT64_MAX);
    assert_string_equal(given(&a, &a.far, &at), "");
    /* it dies with what it had put into the ring, and had noted 4 of */
    ulv_keeper_device_add(&a.keeper, &device);
    c->device = device.id;
    say_wanted(&next, 41, 4); /* an heir knows before the keeper that it is */
    assert_string_equal(given(&a, &next, &at), "");
    c->server = 8;
    ulv_keeper_input_rehomed(&a.keeper, c);
    assert_string_equal(given(&a, &next, &at), "two three");
    assert_int_equal(at, 4);
    say_wanted(&a.far, 41, 13);
    say_wanted(&next, 41, 3); /* nothing goes back */
    assert_string_equal(given(&a, &next, &at), "");
    assert_int_equal(c->input.count, 9);
    say_wanted(&next, 41, 13);
    assert_string_equal(given(&a, &next, &at), "");
    assert_int_equal(c->input.count, 0);
    a.keeper.devices = NULL;
    ulv_post_fini(&next);
    end(&a);
    t.host.handle_close(t.host.self, waits);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

/* A process that is killed at once and dead when the test says so. */
static bool process_is_dead;

static void
kill_process(void *self, ulv_handle process)
{
    (void)self;
    (void)process;
}

static ulv_status
reap_process(void *self, ulv_handle process, struct ulv_process_end *ret)
{
    (void)self;
    (void)process;
    memset(ret, 0, sizeof(*ret));
    return process_is_dead ? ULV_OK : ULV_E_AGAIN;
}

static const struct ulv_platform slow_platform = {
    .size = sizeof(struct ulv_platform),
    .process_kill = kill_process,
    .process_reap = reap_process,
};

static bool
is_told(struct asked *a, uint32_t event)
{
    return (a->events & 1u << event) != 0;
}

/* A guest whose monitor is a process; ret_far is the monitor's end. */
static struct keeper_partition *
add_running(struct asked *a, struct ulv_test_host *t, ulv_handle waits,
            struct post *ret_far)
{
    struct keeper_partition *web =
        ulv_keeper_partition_add(&a->keeper, 20, ULV_PARTITION_GUEST, "web");
    struct ulv_link *near, *far;

    assert_non_null(web);
    assert_int_equal(ulv_link_create(&t->host, &near, &far), ULV_OK);
    assert_int_equal(ulv_post_init(&web->post, &t->host, waits, near), ULV_OK);
    assert_int_equal(ulv_post_init(ret_far, &t->host, waits, far), ULV_OK);
    assert_int_equal(t->host.event_create(t->host.self, &web->process),
                     ULV_OK);
    web->alive = true;
    web->state = ULV_STATE_RUNNING;
    a->keeper.processes = true;
    a->keeper.platform = &slow_platform;
    return web;
}

/* The end of a guest is told when it can be started or destroyed again: its
 * monitor is reaped, and the ultravisor has committed the state. */
static void
test_system_keeper__an_end_is_told_when_it_is_one(void **state)
{
    struct say ended = { .kind = SAY_ENDED };
    struct say noted = { .kind = SAY_NOTED };
    struct keeper_partition *web;
    struct ulv_test_host t;
    struct post monitor;
    struct asked a;
    ulv_handle waits;

    (void)state;
    /* the ultravisor notes the end, or dies over it */
    for (int dies = 0; dies < 2; dies++) {
        ulv_test_host_init(&t);
        assert_int_equal(t.host.wait_create(t.host.self, &waits), ULV_OK);
        begin(&a, &t, waits, ULV_PARTITION_ULTRAVISOR);
        web = add_running(&a, &t, waits, &monitor);
        process_is_dead = false;
        ended.u.end.reason = ULV_END_REASON_STOP;
        assert_int_equal(ulv_post_send(&monitor, &ended, NULL, NULL, 0),
                         ULV_OK);
        step(&a);
        assert_true(web->alive);
        assert_false(is_told(&a, ULV_EVENT_ENDED));
        assert_int_equal(a.said[SAY_STATE], 0);
        process_is_dead = true;
        step(&a);
        assert_false(web->alive);
        assert_int_equal(a.said[SAY_STATE], 1);
        assert_false(is_told(&a, ULV_EVENT_ENDED));
        assert_int_equal(web->state, ULV_STATE_RUNNING);
        noted.u.state.partition = 20;
        noted.u.state.state = ULV_STATE_RUNNING; /* of before */
        assert_int_equal(ulv_post_send(&a.far, &noted, NULL, NULL, 0), ULV_OK);
        step(&a);
        assert_false(is_told(&a, ULV_EVENT_ENDED));
        noted.u.state.state = ULV_STATE_STOPPED;
        if (dies == 0) {
            assert_int_equal(ulv_post_send(&a.far, &noted, NULL, NULL, 0),
                             ULV_OK);
            step(&a);
        } else {
            a.keeper.processes = false; /* dropped where it stands */
            ulv_keeper_role_kill(&a.keeper, a.keeper.ultravisor);
        }
        assert_true(is_told(&a, ULV_EVENT_ENDED));
        assert_int_equal(web->state, ULV_STATE_STOPPED);
        assert_int_equal(a.faults, 0);
        ulv_post_fini(&monitor);
        a.keeper.processes = false;
        end(&a);
        t.host.handle_close(t.host.self, waits);
        assert_int_equal(ulv_test_host_fini(&t), 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_keeper__only_the_ultravisor_orders),
        cmocka_unit_test(test_system_keeper__a_wrong_database_is_refused),
        cmocka_unit_test(test_system_keeper__partitions_are_held),
        cmocka_unit_test(test_system_keeper__an_image_that_is_gone),
        cmocka_unit_test(test_system_keeper__who_lives_goes_on_serving),
        cmocka_unit_test(test_system_keeper__a_channel_of_roles_stays),
        cmocka_unit_test(test_system_keeper__a_console_over_a_take_over),
        cmocka_unit_test(test_system_keeper__what_is_typed_over_a_take_over),
        cmocka_unit_test(test_system_keeper__an_end_is_told_when_it_is_one),
        cmocka_unit_test(test_system_keeper__any_bytes_from_a_role),
        cmocka_unit_test(test_system_keeper__any_bytes_from_the_ultravisor),
    };

    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
