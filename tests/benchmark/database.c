/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a transaction of the resource database costs, beside LMDB (WRITEMAP and
 * NOSYNC), SQLite in memory and plain arrays in the same run; how that grows
 * with the number of partitions, extents and channels; what records take; what
 * it costs to find memory in a map in fragments. With the argument "curve":
 * only the cost at several sizes, as a table.
 *
 * Our transaction has 3 operations, all checked: a partition gets 4 KiB or
 * gives them back, a channel to another is made or revoked, its state is set.
 * A peer's reads 2 and writes 3 records of 64 bytes.
 */
#include "database.h"

#include <malloc.h>
#include <string.h>

#include <ultravisor/abi/system_call.h>
#include <ultravisor/posix.h>

#include "base/base.h"
#include "database/database.h"
#include "database/page_map.h"
#include "system/picture.h"
#include "view/publish.h"

#define EXTENTS_EACH  100u
#define CHANNELS_EACH 10u
#define HOT           10u

struct guest {
    ulv_id id, channel; /* channel: the one that comes and goes, 0: gone */
    bool more;          /* has 4 KiB more than the others */
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
commit(struct bench *b, const struct ulv_operation *o, uint32_t count)
{
    struct ulv_request request = { .operations = o, .operation_count = count };
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_id touched[8];
    uint32_t touched_count = 0, idx;
    struct ulv_plan *plan;

    if (ulv_database_prepare(b->db, &request, &plan, &idx, &diag) != ULV_OK) {
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

static void
transact(struct bench *b, uint32_t at)
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

/* [ns of processor time] of one transaction on one of the first range of
 * partitions */
static double
cost(struct bench *b, uint32_t range, uint32_t count)
{
    uint64_t seed = 88172645463325252u;
    double begun;

    for (uint32_t i = 0; i < count / 10; i++)
        transact(b, (uint32_t)((next_random(&seed) >> 16) % range));
    begun = processor_time();
    for (uint32_t i = 0; i < count; i++)
        transact(b, (uint32_t)((next_random(&seed) >> 16) % range));
    return (processor_time() - begun) / count;
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

static void
measure_peers(void)
{
    const struct peer *const peer[] = { &peer_floor, &peer_lmdb, &peer_sqlite };
    struct bench b;
    double ours, theirs[3], bare;

    begin(&b, HOT, false);
    add_channels(&b);
    bare = cost(&b, HOT, 200000);
    end(&b);
    begin(&b, HOT, true);
    add_channels(&b);
    ours = cost(&b, HOT, 200000);
    end(&b);
    printf("transaction: %.0f ns, with views published %.0f ns\n", bare, ours);
    for (uint32_t i = 0; i < ULV_COUNT_OF(peer); i++) {
        theirs[i] = peer_cost(peer[i], 4096, 200000);
        printf("transaction of %s: %.0f ns, ours is %.2f times as fast, with "
               "views %.2f\n",
               peer[i]->name, theirs[i], theirs[i] / bare, theirs[i] / ours);
    }
}

static void
measure_growth(uint32_t count)
{
    struct bench b;
    double small, hot, any, lmdb, check;
    uint64_t before;

    begin(&b, HOT, false);
    add_extents(&b);
    add_channels(&b);
    small = cost(&b, HOT, 200000);
    end(&b);
    begin(&b, 1, false);
    before = b.allocated;
    end(&b);
    begin(&b, count, false);
    printf("memory: %.0f bytes a partition (<= 2048), ",
           (double)(b.allocated - before) / count);
    before = b.allocated;
    add_extents(&b);
    printf("%.0f an extent (<= 200), ",
           (double)(b.allocated - before) / (count * EXTENTS_EACH));
    before = b.allocated;
    add_channels(&b);
    printf("%.0f a channel\n",
           (double)(b.allocated - before) / (count * CHANNELS_EACH));
    hot = cost(&b, HOT, 20000);
    any = cost(&b, count, 20000);
    check = processor_time();
    CHECK(ulv_database_check(b.db, NULL) == ULV_OK);
    check = processor_time() - check;
    end(&b);
    lmdb = peer_cost(&peer_lmdb, 1u << 20, 20000) /
           peer_cost(&peer_lmdb, 4096, 20000);
    printf("%u partitions, %u extents, %u channels: %.0f ns of 10 hot, %.2f "
           "times that of 10 alone (<= 2); %.0f ns of any, %.2f times (<= 4); "
           "LMDB grows %.2f times; every invariant checked in %.0f ms\n",
           count, count * EXTENTS_EACH, count * CHANNELS_EACH, hot,
           hot / small, any, any / small, lmdb, check / 1e6);
}

static void
print_curve(void)
{
    printf("# partitions hot any\n");
    for (uint32_t count = 10; count <= 10000; count *= 10) {
        struct bench b;
        double hot;

        begin(&b, count, false);
        add_extents(&b);
        add_channels(&b);
        hot = cost(&b, HOT, 20000);
        printf("%u %.0f %.0f\n", count, hot, cost(&b, count, 20000));
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
