/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A database that has gone wrong in any way: orders that are well formed and
 * otherwise random, of objects that are there and not, of frames that overlap,
 * that contradict one another and themselves. Whatever comes: the frame table
 * is consistent, no frame has two owners, nothing that a guest runs with is
 * taken away, nothing leaks. ULV_SEED sets the seed.
 */
#include "../port/port_test.h"

#include <stdlib.h>

#include "mock_image.h"
#include "port/test/test.h"
#include "system/keeper.h"
#include "system/link.h"

#define ROUNDS     40
#define ORDERS     500 /* of a round */
#define POOL_BASE  UINT64_C(0x1000000)
#define POOL_BYTES ULV_MIB(4)
#define BLOCK      UINT64_C(0x4000)

#define ULTRAVISOR 7
#define BOOT       9
#define COMMAND    11
#define IO_A       12
#define IO_B       13
#define IMAGE      77 /* is there, and the next one is not */

static uint64_t seed = 1;

/* A process of a role: nothing but its end of the link, which the test has. */
struct process {
    ulv_handle handle; /* NO_HANDLE: this place is free */
    struct post far;
    bool dead;
};

#define PROCESSES 32
#define KINDS     (ULV_EFFECT_PARTITION_CHANGE + 1)

struct shop {
    struct ulv_test_host t;
    ulv_handle waits;
    struct keeper keeper;
    struct process process[PROCESSES]; /* 0: the ultravisor's */
    int64_t started; /* processes */
    uint32_t done, refused;
    uint64_t ticket;
    uint32_t by_kind[KINDS]; /* effects of orders done */
};

static uint64_t
random_below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static void
ignore(void *self, uint32_t event, ulv_id partition, uint64_t value,
       const void *data, size_t bytes)
{
    (void)self;
    (void)event;
    (void)partition;
    (void)value;
    (void)data;
    (void)bytes;
}

static struct shop *shop; /* what the platform's functions work on */

static struct process *
process_of(ulv_handle handle)
{
    for (int i = 0; i < PROCESSES; i++) {
        if (handle != ULV_NO_HANDLE && shop->process[i].handle == handle)
            return &shop->process[i];
    }
    return NULL;
}

static ulv_status
start(void *self, const char *program, const char *name,
      struct ulv_link **ret_link, ulv_handle *ret_process,
      int64_t *ret_number, struct ulv_diag *diag)
{
    const struct ulv_host *host = &shop->t.host;
    struct process *p = shop->process;
    struct ulv_link *far;

    (void)self;
    (void)program;
    while (p < shop->process + PROCESSES && p->handle != ULV_NO_HANDLE)
        p++;
    if (p == shop->process + PROCESSES)
        return ulv_fail(diag, ULV_E_LIMIT, 0, 0, 0, "%s: no process", name);
    assert_int_equal(ulv_link_create(host, ret_link, &far), ULV_OK);
    assert_int_equal(ulv_post_init(&p->far, host, shop->waits, far), ULV_OK);
    assert_int_equal(host->event_create(host->self, &p->handle), ULV_OK);
    p->dead = false;
    *ret_process = p->handle;
    *ret_number = ++shop->started;
    return ULV_OK;
}

static void
kill_it(void *self, ulv_handle handle)
{
    struct process *p = process_of(handle);

    (void)self;
    if (p != NULL)
        p->dead = true;
}

static ulv_status
reap(void *self, ulv_handle handle, struct ulv_process_end *ret)
{
    struct process *p = process_of(handle);

    (void)self;
    assert_non_null(p);
    memset(ret, 0, sizeof(*ret));
    if (!p->dead)
        return ULV_E_AGAIN;
    ulv_post_fini(&p->far);
    p->handle = ULV_NO_HANDLE;
    return ULV_OK;
}

static const struct ulv_platform platform = {
    .size = sizeof(struct ulv_platform),
    .process_start = start,
    .process_kill = kill_it,
    .process_reap = reap,
};

static struct keeper_partition *
add(struct shop *s, ulv_id id, uint32_t kind, const char *name, bool runs)
{
    struct keeper_partition *p =
        ulv_keeper_partition_add(&s->keeper, id, kind, name);

    assert_non_null(p);
    p->committed = true;
    assert_int_equal(s->t.host.event_create(s->t.host.self, &p->bell), ULV_OK);
    if (runs)
        assert_int_equal(ulv_keeper_role_start(&s->keeper, p, NULL), ULV_OK);
    return p;
}

static void
begin(struct shop *s)
{
    memset(s, 0, sizeof(*s));
    shop = s;
    for (int i = 0; i < PROCESSES; i++)
        s->process[i].handle = ULV_NO_HANDLE;
    ulv_test_host_init(&s->t);
    assert_int_equal(s->t.host.wait_create(s->t.host.self, &s->waits), ULV_OK);
    assert_int_equal(ulv_keeper_init(&s->keeper, &s->t.host, s->waits),
                     ULV_OK);
    s->keeper.tell = ignore;
    s->keeper.backend = "mock";
    s->keeper.platform = &platform;
    s->keeper.processes = true;
    assert_int_equal(ulv_frame_table_add(&s->keeper.frames, POOL_BASE,
                                         POOL_BYTES, ULV_FRAME_FREE, NULL),
                     ULV_OK);
    s->keeper.ultravisor = add(s, ULTRAVISOR, ULV_PARTITION_ULTRAVISOR,
                               "ultravisor", true);
    s->keeper.boot = BOOT;
    s->keeper.booted = true;
    (void)add(s, BOOT, ULV_PARTITION_BOOT, "boot", false);
    (void)add(s, COMMAND, ULV_PARTITION_COMMAND, "command", false);
    /* dead, or not */
    (void)add(s, IO_A, ULV_PARTITION_IO, "io-a", random_below(2) == 0);
    (void)add(s, IO_B, ULV_PARTITION_IO, "io-b", true);
}

static void
end(struct shop *s)
{
    ulv_keeper_fini(&s->keeper);
    s->t.host.handle_close(s->t.host.self, s->waits);
    assert_int_equal(ulv_test_host_fini(&s->t), 0);
}

/* ---- making them --------------------------------------------------------- */

/* One of a few, so that they meet again: roles 7 .. 13, guests 20 .. 27,
 * extents 30 .., channels 40 .., devices 50 ..; and sometimes of all. */
static ulv_id
any_id(uint64_t first)
{
    return random_below(16) == 0 ? random_below(64) : first + random_below(8);
}

static ulv_id
any_partition(void)
{
    return random_below(3) == 0 ? any_id(ULTRAVISOR) : any_id(20);
}

static void
any_frames(uint64_t *frame, uint64_t *bytes)
{
    *frame = POOL_BASE + random_below(POOL_BYTES / BLOCK + 2) * BLOCK;
    *bytes = (1 + random_below(4)) * BLOCK;
    if (random_below(32) == 0)
        *frame = random_below(UINT64_MAX);
    if (random_below(32) == 0)
        *bytes = random_below(4) == 0 ? random_below(UINT64_MAX)
                                      : random_below(3) * 2048;
}

static void
any_channel(struct ulv_effect_channel *c)
{
    static const uint8_t types[3][16] = { ULV_CHANNEL_TYPE_CONSOLE,
                                          ULV_CHANNEL_TYPE_BLOCK,
                                          ULV_CHANNEL_TYPE_COMMAND };

    c->id = any_id(40);
    c->device = any_id(50);
    c->server = any_partition();
    c->client = any_partition();
    any_frames(&c->frame, &c->bytes);
    c->ring_bytes = random_below(2) == 0 ? 4096 : random_below(1 << 20);
    c->bulk_bytes = random_below(2) == 0 ? 0 : random_below(1 << 20);
    memcpy(c->type, types[random_below(3)], 16);
}

static void
any_effect(struct ulv_effect *e)
{
    memset(e, 0, sizeof(*e));
    e->kind = 1 + (uint32_t)random_below(ULV_EFFECT_INTENT);
    if (random_below(8) == 0)
        e->kind = ULV_EFFECT_PARTITION_CHANGE;
    if (random_below(200) == 0)
        e->kind = (uint32_t)random_below(UINT32_MAX);
    switch (e->kind) {
    case ULV_EFFECT_PARTITION_CREATE:
        e->u.partition_create.id = any_partition();
        e->u.partition_create.kind = random_below(16) == 0
                                         ? (uint32_t)random_below(9)
                                         : ULV_PARTITION_GUEST;
        memset(e->u.partition_create.name, 'x', 32);
        break;
    case ULV_EFFECT_PARTITION_CHANGE:
        e->u.partition_create.id = any_partition();
        memset(e->u.partition_create.name, 'y',
               random_below(4) == 0 ? 32 : 31);
        break;
    case ULV_EFFECT_EXTENT_GRANT:
        e->u.extent.id = any_id(30);
        e->u.extent.partition = any_partition();
        any_frames(&e->u.extent.frame, &e->u.extent.bytes);
        e->u.extent.guest_address = random_below(8) * BLOCK;
        break;
    case ULV_EFFECT_CHANNEL_CREATE:
        any_channel(&e->u.channel);
        break;
    case ULV_EFFECT_DEVICE_OFFER:
        e->u.device.id = any_id(50);
        e->u.device.primary = IO_A + random_below(2);
        e->u.device.standby = random_below(4) == 0 ? any_partition()
                                                   : IO_A + random_below(2);
        e->u.device.kind = random_below(4) == 0 ? (uint32_t)random_below(4)
                                                : ULV_DEVICE_CONSOLE;
        break;
    case ULV_EFFECT_DEVICE_REHOME:
        e->u.rehome.device = any_id(50);
        e->u.rehome.from = IO_A + random_below(2);
        e->u.rehome.to = IO_A + random_below(2);
        break;
    case ULV_EFFECT_INTENT:
        e->u.intent.partition = any_id(20);
        e->u.intent.intent = (uint32_t)random_below(3);
        e->u.intent.image = IMAGE + random_below(8) / 7;
        break;
    case ULV_EFFECT_PARTITION_DESTROY:
        e->u.removal.id = any_partition();
        break;
    case ULV_EFFECT_EXTENT_REVOKE:
        e->u.removal.id = any_id(30);
        break;
    case ULV_EFFECT_CHANNEL_DESTROY:
        e->u.removal.id = any_id(40);
        break;
    default:
        e->u.removal.id = any_id(50);
    }
}

/* ---- giving them --------------------------------------------------------- */

static void
hear(struct shop *s, const struct ulv_effect *e, uint32_t count)
{
    for (int i = 0; i < PROCESSES; i++) {
        struct heard heard;

        while (s->process[i].handle != ULV_NO_HANDLE &&
               ulv_post_receive(&s->process[i].far, &heard) == ULV_OK) {
            for (uint32_t h = 0; h < heard.handle_count; h++)
                s->t.host.handle_close(s->t.host.self, heard.handle[h]);
            if (heard.say.kind != SAY_ORDER_DONE)
                continue;
            if (heard.say.u.order_done.diag.status != ULV_OK) {
                s->refused++;
                continue;
            }
            s->done++;
            for (uint32_t n = 0; n < count; n++)
                s->by_kind[e[n].kind]++;
        }
    }
}

static void
say(struct shop *s, uint32_t kind, uint64_t ticket)
{
    struct say say = { .kind = kind };

    say.u.order.ticket = ticket;
    say.u.state.partition = ticket; /* NOTED: a partition */
    if (kind == SAY_NOTED) {
        say.u.state.partition = any_id(20);
        say.u.state.state = (uint32_t)random_below(6);
    }
    assert_int_equal(ulv_post_send(&s->process[0].far, &say, NULL, NULL, 0),
                     ULV_OK);
}

/* What monitors do: run, end, die. */
static void
live(struct shop *s)
{
    struct process *p = &s->process[3 + random_below(PROCESSES - 3)];
    struct say say = { .kind = SAY_RUNNING };

    if (p->handle == ULV_NO_HANDLE || p->dead)
        return;
    if (random_below(4) == 0) {
        say.kind = SAY_ENDED;
        say.u.end.reason = 1 + (uint32_t)random_below(4);
    }
    if (random_below(16) == 0)
        p->dead = true;
    else
        assert_int_equal(ulv_post_send(&p->far, &say, NULL, NULL, 0), ULV_OK);
}

/* An order, in one message or two, and what the ultravisor makes of it. */
static void
give(struct shop *s)
{
    struct say order = { .kind = SAY_ORDER };
    struct ulv_effect e[6];
    uint32_t count = 1, first;
    struct role_need need = { false, ULV_FOREVER };

    if (random_below(2) == 0)
        count += (uint32_t)random_below(ULV_COUNT_OF(e));
    for (uint32_t i = 0; i < count; i++)
        any_effect(&e[i]);
    order.u.order.ticket = ++s->ticket;
    order.u.order.effect_count = count;
    first = random_below(4) == 0 ? (uint32_t)random_below(count) : 0;
    if (first > 0) {
        order.tail_bytes = first * (uint32_t)sizeof(*e);
        assert_int_equal(ulv_post_send(&s->process[0].far, &order, e, NULL, 0),
                         ULV_OK);
    }
    order.u.order.first = first;
    order.tail_bytes = (count - first) * (uint32_t)sizeof(*e);
    assert_int_equal(ulv_post_send(&s->process[0].far, &order, &e[first],
                                   NULL, 0),
                     ULV_OK);
    ulv_keeper_step(&s->keeper, &need);
    hear(s, e, count);
    switch (random_below(8)) {
    case 0:
        say(s, SAY_ABORTED, s->ticket);
        break;
    case 1:
        say(s, SAY_COMMITTED, s->ticket + random_below(3) - 1);
        break;
    case 2:
        break; /* left open: the next one finds it so */
    default:
        say(s, SAY_COMMITTED, s->ticket);
    }
    if (random_below(4) == 0)
        say(s, SAY_NOTED, 0);
    live(s);
    for (uint64_t n = random_below(4); n > 0; n--)
        ulv_keeper_step(&s->keeper, &need);
    hear(s, NULL, 0);
}

/* ---- what holds ---------------------------------------------------------- */

static void
disjoint(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    assert_true(a + a_bytes <= b || b + b_bytes <= a);
}

static uint32_t
times_found(const struct keeper *k, ulv_id partition,
            const struct keeper_channel *wanted)
{
    const struct keeper_channel *c = NULL;
    uint32_t times = 0;

    while ((c = ulv_keeper_channel_of(k, partition, c)) != NULL)
        times += c == wanted;
    return times;
}

/* What the lists have is found by its numbers, and once by who has it. */
static void
check_found(const struct keeper *k)
{
    for (const struct keeper_partition *p = k->partitions; p != NULL;
         p = p->next)
        assert_ptr_equal(ulv_keeper_partition(k, p->id), p);
    for (const struct keeper_device *d = k->devices; d != NULL; d = d->next)
        assert_ptr_equal(ulv_keeper_device(k, d->id), d);
    for (const struct keeper_extent *e = k->extents; e != NULL; e = e->next) {
        const struct keeper_extent *found = NULL;
        uint32_t times = 0;

        assert_ptr_equal(ulv_keeper_extent(k, e->id), e);
        while ((found = ulv_keeper_extent_of(k, e->partition, found)) != NULL) {
            assert_true(found->partition == e->partition);
            times += found == e;
        }
        assert_int_equal(times, 1);
    }
    for (const struct keeper_channel *c = k->channels; c != NULL; c = c->next) {
        assert_ptr_equal(ulv_keeper_channel(k, c->id), c);
        assert_int_equal(times_found(k, c->server, c), 1);
        assert_int_equal(times_found(k, c->client, c), 1);
    }
}

static void
check(struct shop *s)
{
    struct keeper *k = &s->keeper;

    assert_int_equal(ulv_frame_table_check(&k->frames, NULL), ULV_OK);
    check_found(k);
    for (struct keeper_extent *e = k->extents; e != NULL; e = e->next) {
        /* what is nobody's is nobody's to map */
        assert_true(ulv_frame_table_may_map(&k->frames, e->frame, e->bytes,
                                            e->partition) ==
                    (e->partition != 0));
        for (struct keeper_extent *o = e->next; o != NULL; o = o->next)
            disjoint(e->frame, e->bytes, o->frame, o->bytes);
        for (struct keeper_channel *c = k->channels; c != NULL; c = c->next)
            disjoint(e->frame, e->bytes, c->frame, c->bytes);
    }
    for (struct keeper_channel *c = k->channels; c != NULL; c = c->next) {
        for (struct keeper_channel *o = c->next; o != NULL; o = o->next)
            disjoint(c->frame, c->bytes, o->frame, o->bytes);
    }
    assert_true(k->ultravisor != NULL && k->ultravisor->alive);
    assert_non_null(ulv_keeper_partition(k, BOOT));
    assert_non_null(ulv_keeper_partition(k, COMMAND));
}

/* A run of a guest, and what it has. */
struct run {
    int64_t process; /* 0: it does not run */
    uint64_t bytes;
};

static uint64_t
held(const struct shop *s, ulv_id partition)
{
    uint64_t bytes = 0;

    for (const struct keeper_extent *e = s->keeper.extents; e != NULL;
         e = e->next)
        bytes += e->partition == partition ? e->bytes : 0;
    for (const struct keeper_channel *c = s->keeper.channels; c != NULL;
         c = c->next)
        bytes += c->client == partition ? c->bytes : 0;
    return bytes;
}

static void
look_at(const struct shop *s, struct run run[8])
{
    for (ulv_id g = 0; g < 8; g++) {
        const struct keeper_partition *p =
            ulv_keeper_partition(&s->keeper, 20 + g);

        run[g].process = p != NULL && p->alive ? p->number : 0;
        /* what an open order has prepared is nobody's yet */
        run[g].bytes = s->keeper.order.open ? 0 : held(s, 20 + g);
    }
}

/* Nothing was taken from a guest that ran all the time. */
static void
still_held(const struct shop *s, const struct run before[8])
{
    struct run now[8];

    look_at(s, now);
    for (ulv_id g = 0; g < 8; g++) {
        if (before[g].process != 0 && now[g].process == before[g].process)
            assert_true(held(s, 20 + g) >= before[g].bytes);
    }
}

static void
test_system_orders__whatever_the_database_says(void **state)
{
    static const struct ulv_mock_step spin[] = { { .kind = ULV_MOCK_SPIN } };
    struct mock_image image;
    const struct ulv_source source = ULV_SOURCE_MEMORY(&image, sizeof(image));
    uint64_t kinds[KINDS] = { 0 }, started = 0;
    uint64_t done = 0, refused = 0;

    (void)state;
    if (getenv("ULV_SEED") != NULL)
        seed = strtoull(getenv("ULV_SEED"), NULL, 0);
    print_message("# seed %llu\n", (unsigned long long)seed);
    mock_image_init(&image, spin, 1);
    for (int round = 0; round < ROUNDS; round++) {
        struct shop s;

        begin(&s);
        for (int n = 0; n < ORDERS; n++) {
            struct run before[8];
            uint64_t bytes;

            if (ulv_keeper_source(&s.keeper, IMAGE) == NULL)
                assert_int_equal(ulv_keeper_source_add(&s.keeper, IMAGE,
                                                       &source, 1,
                                                       ULV_MEDIUM_READ_ONLY |
                                                       ULV_MEDIUM_ANY_SIZE,
                                                       &bytes, NULL),
                                 ULV_OK);
            look_at(&s, before);
            give(&s);
            check(&s);
            still_held(&s, before);
        }
        started += (uint64_t)s.started;
        for (uint32_t i = 0; i < KINDS; i++)
            kinds[i] += s.by_kind[i];
        done += s.done;
        refused += s.refused;
        end(&s);
    }
    /* a generator whose orders are all refused shows nothing */
    for (uint32_t i = 1; i <= ULV_EFFECT_INTENT; i++)
        assert_true(kinds[i] > 0);
    assert_true(kinds[ULV_EFFECT_PARTITION_CHANGE] > 0);
    assert_true(started > 3 * ROUNDS);
    print_message("# %llu orders done, %llu refused, %llu guests started\n",
                  (unsigned long long)done, (unsigned long long)refused,
                  (unsigned long long)started);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_orders__whatever_the_database_says),
    };

    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
