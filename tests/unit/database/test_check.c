/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What is wrong in a database is found by its check, which names the object. */
#include "model.h"

#include "database/database_priv.h"

/* A guest with memory, a shared processor and a channel, in a zone; ranges and
 * hardware of an I/O partition. */
static void
furnish(struct model *m)
{
    struct ulv_operation o[6];

    begin(m);
    model_create(m, 1);
    model_create(m, 2);
    memset(o, 0, sizeof(o));
    o[0].kind = ULV_OP_ASSIGN_MEMORY;
    o[0].u.assign_memory.partition = m->p[1].id;
    o[0].u.assign_memory.bytes = ULV_MIB(2) + 4096;
    o[0].u.assign_memory.node = ULV_NODE_ANY;
    o[1].kind = ULV_OP_ASSIGN_PROCESSORS;
    o[1].u.assign_processors.partition = m->p[1].id;
    o[1].u.assign_processors.count = 1;
    o[1].u.assign_processors.processor = m->processor[0];
    o[1].u.assign_processors.quanta = 8;
    o[2].kind = ULV_OP_CONNECT;
    o[2].u.connect.channel = new_id(m);
    o[2].u.connect.server = m->p[2].id;
    o[2].u.connect.client = m->p[1].id;
    o[2].u.connect.ring_bytes = 4096;
    o[3].kind = ULV_OP_CREATE_ZONE;
    o[3].u.create_zone.id = new_id(m);
    o[3].u.create_zone.name[0] = 'z';
    o[4].kind = ULV_OP_SET_ZONE;
    o[4].u.set_zone.partition = m->p[1].id;
    o[4].u.set_zone.zone = o[3].u.create_zone.id;
    o[5].kind = ULV_OP_ASSIGN_RANGE;
    o[5].u.assign_range.id = new_id(m);
    o[5].u.assign_range.partition = m->io[0];
    o[5].u.assign_range.kind = ULV_RANGE_PORTS;
    o[5].u.assign_range.first = 0x3f8;
    o[5].u.assign_range.count = 8;
    assert_int_equal(commit(m, o, 6), ULV_OK);
}

/* While the bytes at p have another value the check says so of that object, or
 * of another (0); afterwards all is well. */
static void
finds_at(struct model *m, void *p, ulv_id object)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint8_t *byte = p;

    assert_int_equal(ulv_database_check(m->db, NULL), ULV_OK);
    byte[0] ^= 0x40;
    assert_int_equal(ulv_database_check(m->db, &diag), ULV_E_INTERNAL);
    assert_true(diag.text[0] != '\0');
    if (object != 0)
        assert_int_equal(diag.object, object);
    byte[0] ^= 0x40;
    assert_int_equal(ulv_database_check(m->db, NULL), ULV_OK);
}
#define FINDS(m, field, object) finds_at((m), &(field), (object))

static struct partition *
guest(const struct model *m)
{
    return (void *)ulv_db_find(m->db, m->p[1].id, ULV_QUERY_PARTITIONS);
}

static void
test_database_check__finds_wrong_counts(void **state)
{
    static struct model m;
    struct partition *p, *io;
    struct zone *zone;
    struct processor *processor;

    (void)state;
    furnish(&m);
    p = guest(&m);
    io = (void *)ulv_db_find(m.db, m.io[0], ULV_QUERY_PARTITIONS);
    zone = p->zone;
    processor = p->shares->processor;
    FINDS(&m, p->ram_bytes, p->r.id);
    FINDS(&m, p->top, p->r.id);
    FINDS(&m, p->extent_count, p->r.id);
    FINDS(&m, p->channel_count, p->r.id);
    FINDS(&m, p->processor_count, p->r.id);
    FINDS(&m, io->owned_count, io->r.id);
    FINDS(&m, p->name, p->r.id);
    for (uint32_t i = 0; i < ULV_QUOTA_COUNT; i++) {
        FINDS(&m, p->quota.used[i], p->r.id);
        FINDS(&m, zone->quota.used[i], zone->r.id);
    }
    FINDS(&m, processor->share_count, processor->r.id);
    FINDS(&m, processor->taken, processor->r.id);
    FINDS(&m, m.db->ids.count, 0);
    end(&m);
}

static void
test_database_check__finds_whom_nothing_belongs_to(void **state)
{
    static struct model m;
    struct partition *p, stranger = { .r.id = 1 };
    struct range_record *range;
    struct channel *c;
    struct zone elsewhere = { .r.id = 1 };
    struct zone *zone;
    struct processor *processor, nobody = { .r.id = 1 };

    (void)state;
    furnish(&m);
    p = guest(&m);
    c = (void *)m.db->first[ULV_QUERY_CHANNELS];
    range = (void *)m.db->first[ULV_QUERY_RANGES];
    c->client = &stranger;
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_E_INTERNAL);
    c->client = p;
    range->owner = &stranger;
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_E_INTERNAL);
    range->owner = (void *)ulv_db_find(m.db, m.io[0], ULV_QUERY_PARTITIONS);
    zone = p->zone;
    p->zone = &elsewhere;
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_E_INTERNAL);
    p->zone = zone;
    processor = p->shares->processor;
    p->shares->processor = &nobody;
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_E_INTERNAL);
    assert_int_equal(nobody.found_shares, 0); /* nothing is written there */
    p->shares->processor = processor;
    c = p->slot[c->client_slot];
    p->slot[c->client_slot] = NULL;
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_E_INTERNAL);
    p->slot[c->client_slot] = c;
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
    end(&m);
}

/* A page that is somebody else's, a page that is nobody's, and a page that
 * belongs to what is no partition. */
static void
test_database_check__finds_pages_of_another(void **state)
{
    static struct model m;
    struct ulv_page_map *map;
    struct extent *e;
    ulv_id owner;

    (void)state;
    furnish(&m);
    e = guest(&m)->extents;
    owner = e->partition->r.id;
    map = &ulv_db_pool_of(m.db, e->frame)->map;
    for (uint32_t i = 0; i < 3; i++) {
        const uint64_t wrong[] = { m.p[2].id, ULV_PAGE_FREE, 12345678 };
        struct ulv_diag diag = ULV_DIAG_INIT;

        assert_int_equal(ulv_page_map_set(map, e->frame, 4096, owner,
                                          wrong[i]),
                         ULV_OK);
        assert_int_equal(ulv_database_check(m.db, &diag), ULV_E_INTERNAL);
        if (i == 2) {
            assert_int_equal(diag.object, 12345678);
            assert_int_equal(diag.value, e->frame);
        }
        assert_int_equal(ulv_page_map_set(map, e->frame, 4096, wrong[i],
                                          owner),
                         ULV_OK);
        ulv_page_map_settle(map, e->frame, 4096);
        assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
    }
    end(&m);
}

static void
test_database_check__finds_quanta_of_two(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_PROCESSORS };
    struct partition *other;
    struct share *a, *b;
    uint64_t quanta;

    (void)state;
    furnish(&m);
    o.u.assign_processors.partition = m.p[2].id;
    o.u.assign_processors.count = 1;
    o.u.assign_processors.processor = m.processor[0];
    o.u.assign_processors.quanta = 8;
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    other = (void *)ulv_db_find(m.db, m.p[2].id, ULV_QUERY_PARTITIONS);
    a = guest(&m)->shares;
    b = other->shares;
    quanta = b->quanta;
    b->quanta = a->quanta;
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_E_INTERNAL);
    b->quanta = quanta;
    b->mode = ULV_PROCESSOR_DEDICATED;
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_E_INTERNAL);
    b->mode = ULV_PROCESSOR_SHARED;
    assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
    end(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_check__finds_wrong_counts),
        cmocka_unit_test(test_database_check__finds_whom_nothing_belongs_to),
        cmocka_unit_test(test_database_check__finds_pages_of_another),
        cmocka_unit_test(test_database_check__finds_quanta_of_two),
    };

    return cmocka_run_group_tests_name("database-check", tests, NULL, NULL);
}
