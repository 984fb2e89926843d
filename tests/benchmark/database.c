/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a transaction of the resource database costs, beside LMDB (WRITEMAP and
 * NOSYNC), SQLite in memory and plain arrays, in rounds that take turns; how
 * that grows with the number of partitions, extents and channels; what records
 * take; what it costs to find memory in a map in fragments. With the argument
 * "curve": only the cost at several sizes, as a table.
 *
 * A peer's transaction reads 2 and writes 3 records of 64 bytes. Ours have 3
 * operations, all checked:
 *
 *  records   as a peer's: 2 preconditions, and 3 partitions pause or go on
 *  one       a partition pauses or goes on; its quota and its label change
 *  objects   a partition gets 4 KiB or gives them back, a channel to another is
 *            made or revoked, its state is set: both see it
 */
#include "database.h"

#include <malloc.h>
#include <string.h>

#include <ultravisor/abi/system_call.h>
#include <ultravisor/posix.h>

#include "base/base.h"
#include "database/database.h"
#include "database/page_map.h"
#include "median.h"
#include "system/picture.h"
#include "view/publish.h"

#define EXTENTS_EACH  100u
#define CHANNELS_EACH 10u
#define HOT           10u
#define ROUNDS        7u

struct guest {
    ulv_id id, channel; /* channel: the one that comes and goes, 0: gone */
    bool more;          /* has 4 KiB more than the others */
    bool paused;
    uint64_t version;
    struct ulv_view_publisher *view[2];
};

struct bench {
    struct ulv_host host;
    struct ulv_database *db;
    struct picture *picture;
    struct guest *guest;
    ulv_id next, ultravisor;
    uint32_t count, extents_each;
    bool views;
    uint64_t allocated; /* bytes, with the allocator's own */
};

/* ---- a host that counts -------------------------------------------------- */

static void *
count_alloc(void *self, size_t bytes, size_t align)
{
    struct bench *b = self;
    void *p = calloc(1, bytes == 0 ? 1 : bytes);

    (void)align; /* the database asks for 8 */
    if (p != NULL)
        b->allocated += malloc_usable_size(p) + sizeof(size_t);
    return p;
}

static void
count_free(void *self, void *p, size_t bytes)
{
    struct bench *b = self;

    (void)bytes;
    if (p != NULL)
        b->allocated -= malloc_usable_size(p) + sizeof(size_t);
    free(p);
}

/* ---- transactions -------------------------------------------------------- */

static ulv_id
fresh_id(struct bench *b)
{
    if (b->next % ULV_ID_LEASE_COUNT == 0)
        CHECK(ulv_database_lease(b->db, &b->next) == ULV_OK);
    return b->next++;
}

static void
prepare_views(struct bench *b, const struct ulv_plan *plan)
{
    uint32_t count;
    const ulv_id *touched = ulv_plan_touched(plan, &count);

    for (uint32_t i = 0; i < count; i++) {
        const uint64_t at = touched[i] - b->guest[0].id;

        if (at >= b->count)
            continue;
        CHECK(ulv_picture_take(b->picture, b->db, touched[i],
                               b->guest[at].view[0]->revision,
                               NULL) == ULV_OK);
        for (uint32_t part = 0; part < 2; part++) {
            if (part == ULV_VIEW_PART_GUEST)
                ulv_picture_blank(b->picture);
            CHECK(ulv_view_prepare(b->guest[at].view[part],
                                   b->picture->section, 5, NULL) == ULV_OK);
        }
    }
}

static void
publish_views(struct bench *b, uint64_t at)
{
    for (uint32_t part = 0; part < 2; part++) {
        struct ulv_view_publisher *view = b->guest[at].view[part];

        ulv_view_acknowledge(view, ulv_view_publish(view));
        view->revision = ulv_database_revision(b->db);
    }
}

static void
commit_request(struct bench *b, const struct ulv_request *request)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_id touched[8];
    uint32_t touched_count = 0, idx;
    struct ulv_plan *plan;

    if (ulv_database_prepare(b->db, request, &plan, &idx, &diag) != ULV_OK) {
        fprintf(stderr, "operation %u: %s\n", idx, diag.text);
        exit(1);
    }
    if (b->views) {
        const ulv_id *ids = ulv_plan_touched(plan, &touched_count);

        CHECK(touched_count <= ULV_COUNT_OF(touched));
        memcpy(touched, ids, touched_count * sizeof(*ids));
        prepare_views(b, plan);
    }
    ulv_database_commit(b->db, plan);
    for (uint32_t i = 0; i < touched_count; i++) {
        if (touched[i] - b->guest[0].id < b->count)
            publish_views(b, touched[i] - b->guest[0].id);
    }
}

static void
commit(struct bench *b, const struct ulv_operation *o, uint32_t count)
{
    const struct ulv_request request = {.operations = o,
                                        .operation_count = count};

    commit_request(b, &request);
}

static struct ulv_operation
create(ulv_id id, uint32_t kind)
{
    struct ulv_operation o = { .kind = ULV_OP_CREATE_PARTITION };

    o.u.create_partition.id = id;
    o.u.create_partition.kind = kind;
    snprintf(o.u.create_partition.name, 32, "p%llu", (unsigned long long)id);
    return o;
}

static struct ulv_operation
connect(struct bench *b, ulv_id server, ulv_id client)
{
    struct ulv_operation o = { .kind = ULV_OP_CONNECT };

    o.u.connect.channel = fresh_id(b);
    o.u.connect.server = server;
    o.u.connect.client = client;
    o.u.connect.ring_bytes = 4096;
    return o;
}

static struct ulv_operation
toggle(struct guest *g)
{
    struct ulv_operation o = {.kind = ULV_OP_SET_INTENT};

    o.u.set_intent.partition = g->id;
    o.u.set_intent.intent = g->paused ? ULV_INTENT_RUNNING : ULV_INTENT_PAUSED;
    g->paused = !g->paused;
    return o;
}

static void
transact_records(struct bench *b, uint32_t at)
{
    static const uint32_t read[] = {1, 5}, written[] = {0, 3, 7};
    struct ulv_precondition as_known[ULV_COUNT_OF(read)];
    struct ulv_operation o[ULV_COUNT_OF(written)];
    const struct ulv_request request = {
        .preconditions = as_known,
        .precondition_count = ULV_COUNT_OF(as_known),
        .operations = o,
        .operation_count = ULV_COUNT_OF(o),
    };

    for (uint32_t i = 0; i < ULV_COUNT_OF(read); i++) {
        const struct guest *g = &b->guest[(at + read[i]) % b->count];

        as_known[i] = (struct ulv_precondition){g->id, g->version};
    }
    for (uint32_t i = 0; i < ULV_COUNT_OF(written); i++)
        o[i] = toggle(&b->guest[(at + written[i]) % b->count]);
    commit_request(b, &request);
    for (uint32_t i = 0; i < ULV_COUNT_OF(written); i++)
        b->guest[(at + written[i]) % b->count].version =
            ulv_database_revision(b->db);
}

static void
transact_one(struct bench *b, uint32_t at)
{
    struct guest *g = &b->guest[at];
    struct ulv_operation o[3];

    memset(o, 0, sizeof(o));
    o[0] = toggle(g);
    o[1].kind = ULV_OP_SET_QUOTA;
    o[1].u.set_quota.object = g->id;
    o[1].u.set_quota.resource = ULV_QUOTA_MEMORY;
    o[1].u.set_quota.limit = g->paused ? ULV_MIB(1) : ULV_MIB(2);
    o[2].kind = ULV_OP_SET_LABEL;
    o[2].u.set_label.object = g->id;
    memcpy(o[2].u.set_label.key, "tier", 5);
    memcpy(o[2].u.set_label.value, g->paused ? "idle" : "busy", 5);
    commit(b, o, ULV_COUNT_OF(o));
}

static void
transact_objects(struct bench *b, uint32_t at)
{
    struct guest *g = &b->guest[at];
    struct ulv_operation o[3];

    memset(o, 0, sizeof(o));
    if (g->more) {
        o[0].kind = ULV_OP_RELEASE_MEMORY;
        o[0].u.release_memory.partition = g->id;
        o[0].u.release_memory.guest_address =
            ULV_GUEST_RAM_BASE + b->extents_each * UINT64_C(4096);
        o[0].u.release_memory.bytes = 4096;
    } else {
        o[0].kind = ULV_OP_ASSIGN_MEMORY;
        o[0].u.assign_memory.partition = g->id;
        o[0].u.assign_memory.bytes = 4096;
        o[0].u.assign_memory.node = ULV_NODE_ANY;
    }
    g->more = !g->more;
    if (g->channel != 0) {
        o[1].kind = ULV_OP_REVOKE;
        o[1].u.revoke.channel = g->channel;
        g->channel = 0;
    } else {
        o[1] = connect(b, g->id, b->guest[(at + 1) % b->count].id);
        g->channel = o[1].u.connect.channel;
    }
    o[2].kind = ULV_OP_SET_STATE;
    o[2].u.set_state.partition = g->id;
    o[2].u.set_state.state = ULV_STATE_DEFINED;
    commit(b, o, 3);
}

/* ---- a database of a size ------------------------------------------------ */

static void
make_view(struct guest *g)
{
    for (uint32_t part = 0; part < 2; part++) {
        g->view[part] = calloc(1, sizeof(*g->view[part]));
        CHECK(g->view[part] != NULL);
        CHECK(ulv_view_publisher_init(g->view[part],
                                      calloc(1, ULV_VIEW_SEGMENT_BYTES),
                                      ULV_VIEW_SEGMENT_BYTES, part, g->id,
                                      1) == ULV_OK);
    }
}

static void
begin(struct bench *b, uint32_t count, bool views)
{
    struct ulv_operation o[2];

    memset(b, 0, sizeof(*b));
    b->host = *ulv_posix_host();
    b->host.self = b;
    b->host.alloc = count_alloc;
    b->host.free = count_free;
    b->count = count;
    b->guest = calloc(count, sizeof(*b->guest));
    b->picture = malloc(sizeof(*b->picture));
    CHECK(b->guest != NULL && b->picture != NULL);
    ulv_picture_init(b->picture);
    CHECK(ulv_database_create(&b->host, &b->db) == ULV_OK);
    memset(o, 0, sizeof(o));
    b->ultravisor = fresh_id(b);
    o[0] = create(b->ultravisor, ULV_PARTITION_ULTRAVISOR);
    o[1].kind = ULV_OP_ADD_MEMORY;
    o[1].u.add_memory.id = fresh_id(b);
    o[1].u.add_memory.bytes = ULV_GIB(16);
    commit(b, o, 2);
    for (uint32_t i = 0; i < count; i++) {
        b->guest[i].id = fresh_id(b);
        o[0] = create(b->guest[i].id, ULV_PARTITION_GUEST);
        commit(b, o, 1);
        if (views)
            make_view(&b->guest[i]);
    }
    b->views = views;
}

static void
add_extents(struct bench *b)
{
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_MEMORY };

    o.u.assign_memory.bytes = 4096;
    o.u.assign_memory.node = ULV_NODE_ANY;
    for (uint32_t i = 0; i < b->count * EXTENTS_EACH; i++) {
        o.u.assign_memory.partition = b->guest[i % b->count].id;
        commit(b, &o, 1);
    }
    b->extents_each = EXTENTS_EACH;
}

/* Guests that run: each has a page and a share of one processor. */
static void
make_run(struct bench *b)
{
    struct ulv_operation o[4];

    memset(o, 0, sizeof(o));
    o[0].kind = ULV_OP_ADD_PROCESSOR;
    o[0].u.add_processor.id = fresh_id(b);
    commit(b, o, 1);
    for (uint32_t i = 0; i < b->count; i++) {
        const ulv_id id = b->guest[i].id;

        memset(o, 0, sizeof(o));
        o[0].kind = ULV_OP_ASSIGN_MEMORY;
        o[0].u.assign_memory.partition = id;
        o[0].u.assign_memory.bytes = 4096;
        o[0].u.assign_memory.node = ULV_NODE_ANY;
        o[1].kind = ULV_OP_ASSIGN_PROCESSORS;
        o[1].u.assign_processors.partition = id;
        o[1].u.assign_processors.count = 1;
        o[1].u.assign_processors.mode = ULV_PROCESSOR_SHARED;
        o[2].kind = ULV_OP_SET_INTENT;
        o[2].u.set_intent.partition = id;
        o[2].u.set_intent.intent = ULV_INTENT_RUNNING;
        o[3].kind = ULV_OP_SET_STATE;
        o[3].u.set_state.partition = id;
        o[3].u.set_state.state = ULV_STATE_RUNNING;
        commit(b, o, 4);
        b->guest[i].version = ulv_database_revision(b->db);
    }
}

static void
add_channels(struct bench *b)
{
    for (uint32_t i = 0; i < b->count * CHANNELS_EACH; i++) {
        uint32_t at = i % b->count, other = 1 + i / b->count;
        struct ulv_operation o =
            connect(b, b->guest[at].id,
                    b->guest[(at + 1 + other % (b->count - 1)) % b->count].id);

        commit(b, &o, 1);
    }
}

static void
end(struct bench *b)
{
    ulv_database_destroy(b->db);
    CHECK(b->allocated == 0);
    for (uint32_t i = 0; i < b->count; i++) {
        for (uint32_t part = 0; part < 2; part++) {
            if (b->guest[i].view[part] != NULL)
                free(b->guest[i].view[part]->segment);
            free(b->guest[i].view[part]);
        }
    }
    free(b->guest);
    free(b->picture);
}

/* ---- contenders in turn -------------------------------------------------- */

/* Ours or a peer's; what it costs in each round. */
struct contender {
    const char *name;
    void (*transact)(struct bench *b, uint32_t at);
    struct bench *b;
    uint32_t range; /* of ours: on which of the first partitions */
    const struct peer *peer;
    void *self;
    uint32_t records; /* of a peer's */
    uint64_t seed;
    double cost[ROUNDS]; /* [ns of processor time] of one transaction */
};

static void
run(struct contender *c, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (c->peer != NULL)
            c->peer->transact(c->self, &c->seed, c->records);
        else
            c->transact(c->b,
                        (uint32_t)((next_random(&c->seed) >> 16) % c->range));
    }
}

/* Each is warm: what it touches it has touched before. */
static void
compete(struct contender *c, uint32_t contenders, uint32_t count)
{
    for (uint32_t i = 0; i < contenders; i++) {
        c[i].seed = 88172645463325252u;
        run(&c[i], count);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < contenders; i++) {
            const double begun = processor_time();

            run(&c[i], count);
            c[i].cost[round] = (processor_time() - begun) / count;
        }
    }
}

static double
cost_of(const struct contender *c)
{
    double cost[ROUNDS];

    memcpy(cost, c->cost, sizeof(cost));
    return median(cost, ROUNDS);
}

/* The median of what one costs in terms of another, with the least and the
 * most of a round. */
static const char *
times(const struct contender *of, const struct contender *in, char text[64])
{
    double ratio[ROUNDS], middle;

    for (uint32_t i = 0; i < ROUNDS; i++)
        ratio[i] = of->cost[i] / in->cost[i];
    middle = median(ratio, ROUNDS);
    snprintf(text, 64, "%.2f times (%.2f .. %.2f)", middle, ratio[0],
             ratio[ROUNDS - 1]);
    return text;
}

static struct contender
peer(const struct peer *peer, uint32_t records)
{
    return (struct contender){.name = peer->name,
                              .peer = peer,
                              .self = peer->begin(records),
                              .records = records};
}

/* ---- the map ------------------------------------------------------------- */

static void *
map_allocate(void *self, size_t bytes)
{
    (void)self;
    return calloc(1, bytes);
}

static bool
map_touch(void *self, void *p, size_t bytes)
{
    (void)self;
    (void)p;
    (void)bytes;
    return true;
}

static void
map_release(void *self, void *p, size_t bytes)
{
    (void)self;
    (void)bytes;
    free(p);
}

#define MAP_BLOCKS 32u

/* Half of its blocks of 1 GiB have every second run of pages taken; the others
 * are taken whole, but for the last, which is free. */
static void
fragment(struct ulv_page_map *map, uint64_t run)
{
    for (uint64_t i = 0; i + 1 < MAP_BLOCKS; i++) {
        if (i % 2 != 0) {
            CHECK(ulv_page_map_set(map, ULV_GIB(i), ULV_GIB(1), 0, 7) ==
                  ULV_OK);
            continue;
        }
        for (uint64_t at = 0; at < ULV_GIB(1); at += 2 * run)
            CHECK(ulv_page_map_set(map, ULV_GIB(i) + at, run, 0, 7) == ULV_OK);
    }
}

static double
gather_cost(struct ulv_page_map *map, uint64_t pages)
{
    uint64_t left = pages * 4096;
    double begun = processor_time();

    while (left > 0) {
        struct ulv_page_run run[64];
        uint32_t count;

        CHECK(ulv_page_map_take(map, left, 9, run, ULV_COUNT_OF(run),
                                &count) == ULV_OK);
        for (uint32_t i = 0; i < count; i++)
            left -= run[i].bytes;
    }
    return (processor_time() - begun) / (double)pages;
}

static void
measure_map(uint64_t run)
{
    struct ulv_page_map_memory memory = { NULL, map_allocate, map_touch,
                                          map_release };
    const uint32_t rounds = 200;
    struct ulv_page_map map;
    uint64_t frame = 0;
    double begun, taken;

    CHECK(ulv_page_map_init(&map, &memory, 0, ULV_GIB(MAP_BLOCKS)) == ULV_OK);
    fragment(&map, run);
    begun = processor_time();
    for (uint32_t i = 0; i < rounds; i++) {
        CHECK(ulv_page_map_find_run(&map, ULV_GIB(1), &frame) == ULV_OK);
        CHECK(ulv_page_map_set(&map, frame, ULV_GIB(1), 0, 9) == ULV_OK);
        if (i + 1 < rounds)
            CHECK(ulv_page_map_set(&map, frame, ULV_GIB(1), 9, 0) == ULV_OK);
    }
    taken = (processor_time() - begun) / rounds;
    printf("map in fragments of %4u KiB: 1 GiB found, taken, given back in "
           "%.2f us (<= 20); gathered at %.1f ns a page (<= 20)\n",
           (uint32_t)(run / 1024), taken / 1e3,
           gather_cost(&map, UINT64_C(1) << 17));
    ulv_page_map_fini(&map);
}

/* ---- what is printed ----------------------------------------------------- */

/* A transaction without views, and with views published. */
struct ours {
    const char *name;
    void (*transact)(struct bench *b, uint32_t at);
    bool run; /* the guests do */
};

static void
measure_peers(void)
{
    static const struct ours ours[] = {{"records", transact_records, true},
                                       {"one", transact_one, true},
                                       {"objects", transact_objects, false}};
    struct bench b[2 * ULV_COUNT_OF(ours)];
    struct contender c[ULV_COUNT_OF(b) + 3];
    const struct contender *lmdb = &c[ULV_COUNT_OF(b)];
    char text[64];

    for (uint32_t i = 0; i < ULV_COUNT_OF(b); i++) {
        begin(&b[i], HOT, i % 2 != 0);
        add_channels(&b[i]);
        if (ours[i / 2].run)
            make_run(&b[i]);
        c[i] = (struct contender){.name = ours[i / 2].name,
                                  .transact = ours[i / 2].transact,
                                  .b = &b[i],
                                  .range = HOT};
    }
    c[ULV_COUNT_OF(b)] = peer(&peer_lmdb, 4096);
    c[ULV_COUNT_OF(b) + 1] = peer(&peer_sqlite, 4096);
    c[ULV_COUNT_OF(b) + 2] = peer(&peer_floor, 4096);
    compete(c, ULV_COUNT_OF(c), 40000);
    for (uint32_t i = ULV_COUNT_OF(b); i < ULV_COUNT_OF(c); i++) {
        printf("transaction of %s: %.0f ns\n", c[i].name, cost_of(&c[i]));
        c[i].peer->end(c[i].self);
    }
    for (uint32_t i = 0; i < ULV_COUNT_OF(b); i++) {
        printf("transaction \"%s\", %s: %.0f ns, LMDB's takes %s\n", c[i].name,
               i % 2 == 0 ? "no views" : "views published", cost_of(&c[i]),
               times(lmdb, &c[i], text));
        end(&b[i]);
    }
}

static void
measure_memory(struct bench *b, uint32_t count)
{
    uint64_t before;

    begin(b, 1, false);
    before = b->allocated;
    end(b);
    begin(b, count, false);
    printf("memory: %.0f bytes a partition (<= 2048), ",
           (double)(b->allocated - before) / count);
    before = b->allocated;
    add_extents(b);
    printf("%.0f an extent (<= 200), ",
           (double)(b->allocated - before) / (count * EXTENTS_EACH));
    before = b->allocated;
    add_channels(b);
    printf("%.0f a channel\n",
           (double)(b->allocated - before) / (count * CHANNELS_EACH));
}

static void
measure_growth(uint32_t count)
{
    struct bench small, large;
    struct contender c[5];
    double check;
    char text[64];

    begin(&small, HOT, false);
    add_extents(&small);
    add_channels(&small);
    measure_memory(&large, count);
    for (uint32_t i = 0; i < 3; i++)
        c[i] = (struct contender){.transact = transact_objects,
                                  .b = i == 0 ? &small : &large,
                                  .range = i == 2 ? count : HOT};
    c[3] = peer(&peer_lmdb, 4096);
    c[4] = peer(&peer_lmdb, 1u << 20);
    compete(c, ULV_COUNT_OF(c), 20000);
    printf("%u partitions, %u extents, %u channels: \"objects\" on 10 hot "
           "partitions %.0f ns, ",
           count, count * EXTENTS_EACH, count * CHANNELS_EACH, cost_of(&c[1]));
    printf("%s that of 10 alone (<= 2); ", times(&c[1], &c[0], text));
    printf("on any %.0f ns, %s (<= 4); ", cost_of(&c[2]),
           times(&c[2], &c[0], text));
    printf("LMDB with a million records %s\n", times(&c[4], &c[3], text));
    check = processor_time();
    CHECK(ulv_database_check(large.db, NULL) == ULV_OK);
    printf("every invariant checked in %.0f ms\n",
           (processor_time() - check) / 1e6);
    c[3].peer->end(c[3].self);
    c[4].peer->end(c[4].self);
    end(&small);
    end(&large);
}

static void
print_curve(void)
{
    printf("# partitions hot any\n");
    for (uint32_t count = 10; count <= 10000; count *= 10) {
        struct contender c[2];
        struct bench b;

        begin(&b, count, false);
        add_extents(&b);
        add_channels(&b);
        for (uint32_t i = 0; i < 2; i++)
            c[i] = (struct contender){.transact = transact_objects,
                                      .b = &b,
                                      .range = i == 0 ? HOT : count};
        compete(c, 2, 20000);
        printf("%u %.0f %.0f\n", count, cost_of(&c[0]), cost_of(&c[1]));
        end(&b);
    }
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "curve") == 0) {
        print_curve();
        return 0;
    }
    measure_peers();
    measure_map(4096);
    measure_map(16 * 4096);
    measure_growth(argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000);
    return 0;
}
