/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the tests of the database share: a database with a pool, two processors
 * and two I/O partitions, and what a model says of it. */
#ifndef DATABASE_TEST_H
#define DATABASE_TEST_H

#include "../port/port_test.h"

#include "database/database.h"
#include "database/journal.h"
#include "port/test/test.h"

#define PARTITIONS 24
#define DRAINING   16
#define PROCESSORS 2
#define POOL       ULV_MIB(64)

#define ZONES      4
#define KEYS       4
#define RANGES     12
#define HARDWARE   6
#define RETIRED    16

struct model_share {
    uint32_t processor, mode, quanta;
};

struct model_partition {
    ulv_id id; /* 0: not there */
    uint64_t memory;
    struct model_share share[PROCESSORS];
    uint32_t processors, channels;
    bool runs;
    uint32_t zone; /* its number and one; 0: none */
    uint64_t limit[ULV_QUOTA_COUNT];
    uint32_t label[KEYS]; /* value of each key; 0: none */
    uint64_t name; /* the number in it */
    uint64_t silence;
    uint32_t restarts, window;
};

struct model_range {
    ulv_id id; /* 0: not there */
    struct model_partition *owner;
    uint64_t first, count;
    uint32_t kind;
};

struct model_hardware {
    ulv_id id; /* 0: not there */
    struct model_partition *owner; /* NULL: idle */
};

struct model_retired {
    uint64_t frame, bytes; /* 0: not there */
};

struct model_zone {
    ulv_id id; /* 0: not there */
    uint64_t limit[ULV_QUOTA_COUNT];
};

/* Taken from a partition that ran, and not settled. */
struct draining {
    ulv_id object; /* 0: none */
    struct model_partition *of;
    ulv_id heir;
    uint64_t frame, bytes; /* 0: a channel */
};

struct model {
    struct draining draining[DRAINING];
    struct ulv_test_host t;
    struct ulv_database *db;
    struct ulv_journal *journal; /* NULL: none */
    /* NULL, or: what is committed is held by it, for keep_held or undo_held */
    ulv_status (*hold)(struct ulv_database *db, struct ulv_plan *plan);
    struct model_partition p[PARTITIONS];
    struct model_zone zone[ZONES];
    struct model_range range[RANGES];
    struct model_hardware hardware[HARDWARE]; /* odd: a function of 0 */
    struct model_retired retired[RETIRED];
    ulv_id next, io[2], ultravisor, memory, processor[PROCESSORS];
    uint32_t dedicated, exhausted, over; /* how often that was seen */
    uint64_t free_bytes, revision;
    uint64_t pool, there; /* bytes: that it ever had, and that it has now */
    struct ulv_operation *tape; /* NULL, or: what was committed, in order */
    uint32_t taped, tape_max;
};

/* Ids go up; a lease that is used up is followed by another. */
static inline ulv_id
new_id(struct model *m)
{
    if (m->next % ULV_ID_LEASE_COUNT == 0)
        assert_int_equal(m->journal == NULL
                             ? ulv_database_lease(m->db, &m->next)
                             : ulv_journal_lease(m->journal, &m->next, NULL),
                         ULV_OK);
    return m->next++;
}

/* The plan takes effect: at once, held, or when it is in the journal. */
static inline uint64_t
take_effect(struct model *m, struct ulv_plan *plan)
{
    uint64_t revision = 0;

    if (m->hold != NULL) {
        assert_int_equal(m->hold(m->db, plan), ULV_OK);
        return ulv_database_revision(m->db);
    }
    if (m->journal == NULL)
        return ulv_database_commit(m->db, plan);
    assert_int_equal(
        ulv_journal_hold(m->journal, plan, NULL, &revision, NULL), ULV_OK);
    assert_int_equal(ulv_journal_sync(m->journal, NULL), ULV_OK);
    return revision;
}

static inline void
record(struct model *m, const struct ulv_operation *o, uint32_t count)
{
    if (m->tape == NULL || m->taped + count > m->tape_max)
        return;
    memcpy(&m->tape[m->taped], o, count * sizeof(*o));
    m->taped += count;
}

static inline ulv_status
commit(struct model *m, const struct ulv_operation *o, uint32_t count)
{
    struct ulv_request request = { .operations = o, .operation_count = count };
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_plan *plan;
    uint32_t idx;
    ulv_status status =
        m->journal == NULL
            ? ulv_database_prepare(m->db, &request, &plan, &idx, &diag)
            : ulv_journal_prepare(m->journal, &request, &plan, &idx, &diag);

    if (status == ULV_OK) {
        m->revision++;
        assert_int_equal(take_effect(m, plan), m->revision);
        record(m, o, count);
    } else {
        assert_null(plan);
        assert_true(idx < count);
        assert_int_equal(diag.status, status);
        assert_true(diag.text[0] != '\0');
    }
    status = ulv_database_check(m->db, &diag) == ULV_OK ? status
                                                        : ULV_E_INTERNAL;
    if (status == ULV_E_INTERNAL)
        print_message("%s\n", diag.text);
    assert_int_not_equal(status, ULV_E_INTERNAL);
    return status;
}

static inline ulv_status
give_memory(struct model *m, ulv_id partition, uint64_t bytes)
{
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_MEMORY };

    o.u.assign_memory.partition = partition;
    o.u.assign_memory.bytes = bytes;
    o.u.assign_memory.node = ULV_NODE_ANY;
    return commit(m, &o, 1);
}

/* A console, offered and attached: operations that succeed or fail together. */
static inline void
give_console(struct model *m, ulv_id partition, struct ulv_operation o[2])
{
    memset(o, 0, 2 * sizeof(*o));
    o[0].kind = ULV_OP_OFFER;
    o[0].u.offer.id = new_id(m);
    o[0].u.offer.primary = m->io[0];
    o[0].u.offer.standby = m->io[1];
    o[0].u.offer.kind = ULV_DEVICE_CONSOLE;
    memcpy(o[0].u.offer.name, "c", 2);
    o[1].kind = ULV_OP_ATTACH;
    o[1].u.attach.channel = new_id(m);
    o[1].u.attach.partition = partition;
    o[1].u.attach.device = o[0].u.offer.id;
}

static inline struct ulv_operation
create(ulv_id id, uint32_t kind, uint64_t number)
{
    struct ulv_operation o = { .kind = ULV_OP_CREATE_PARTITION };
    struct ulv_text name;

    o.u.create_partition.id = id;
    o.u.create_partition.kind = kind;
    ulv_text_init(&name, o.u.create_partition.name, 32);
    ulv_text_format(&name, "p%u", number);
    return o;
}

/* storage: NULL, or where the journal is to be. */
static inline void
begin_with(struct model *m, const struct ulv_storage *storage)
{
    struct ulv_operation o[6];

    memset(m, 0, sizeof(*m));
    memset(o, 0, sizeof(o));
    ulv_test_host_init(&m->t);
    assert_int_equal(ulv_database_create(&m->t.host, &m->db), ULV_OK);
    if (storage != NULL)
        assert_int_equal(ulv_journal_open(m->db, storage, &m->journal, NULL),
                         ULV_OK);
    assert_int_equal(m->journal == NULL
                         ? ulv_database_lease(m->db, &m->next)
                         : ulv_journal_lease(m->journal, &m->next, NULL),
                     ULV_OK);
    m->ultravisor = m->next;
    m->io[0] = m->next + 1;
    m->io[1] = m->next + 2;
    o[0] = create(m->next++, ULV_PARTITION_ULTRAVISOR, 1000);
    o[1] = create(m->next++, ULV_PARTITION_IO, 1001);
    o[2] = create(m->next++, ULV_PARTITION_IO, 1002);
    o[3].kind = ULV_OP_ADD_MEMORY;
    o[3].u.add_memory.id = m->memory = m->next++;
    o[3].u.add_memory.bytes = POOL;
    for (uint32_t i = 4; i < 6; i++) {
        o[i].kind = ULV_OP_ADD_PROCESSOR;
        o[i].u.add_processor.id = m->processor[i - 4] = m->next++;
        o[i].u.add_processor.os_number = i;
    }
    assert_int_equal(commit(m, o, 6), ULV_OK);
    m->free_bytes = m->pool = m->there = POOL;
}

static inline void
begin(struct model *m)
{
    begin_with(m, NULL);
}

static inline void
end(struct model *m)
{
    ulv_database_destroy(m->db);
    assert_int_equal(ulv_test_host_fini(&m->t), 0);
}

#endif
