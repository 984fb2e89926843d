/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A model of arrays beside the database: one random transaction, valid or not,
 * and what the model says of it. */
#include "model.h"

#include <stdlib.h>

uint64_t model_seed = 1;

uint64_t
model_random(uint64_t n)
{
    model_seed ^= model_seed << 13;
    model_seed ^= model_seed >> 7;
    model_seed ^= model_seed << 17;
    return model_seed % n;
}

static uint64_t
channel_bytes(bool block)
{
    return 8192 + 2 * ULV_BLOCK_RING_BYTES +
           (block ? ULV_BLOCK_BULK_BYTES : 0);
}

/* ---- one random transaction and what the model says of it ------ */

void
model_create(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct ulv_operation o = create(new_id(m), ULV_PARTITION_GUEST, i);
    ulv_id id = o.u.create_partition.id;
    bool is_taken = model_named(m, i) != NULL;
    ulv_status status;

    if (p->id != 0 && !is_taken)
        return; /* the model has no room for it */
    status = commit(m, &o, 1);
    assert_int_equal(status, is_taken ? ULV_E_EXISTS : ULV_OK);
    if (status == ULV_OK) {
        p->id = id;
        p->name = i;
        model_unlimited(p->limit);
    }
}

void
model_memory(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_MEMORY };
    uint64_t bytes = model_random(2048) * 4096;
    ulv_status status, expected = ULV_OK;

    o.u.assign_memory.partition = p->id != 0 ? p->id : NOBODY;
    o.u.assign_memory.bytes = bytes;
    o.u.assign_memory.node = model_random(2) == 0 ? ULV_NODE_ANY : 0;
    if (p->id == 0)
        expected = ULV_E_NOT_FOUND;
    else if (bytes == 0)
        expected = ULV_E_ARG;
    else if (bytes > m->free_bytes)
        expected = ULV_E_NO_MEMORY;
    else
        expected = model_by_quota(m, p, ULV_QUOTA_MEMORY, bytes);
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status == ULV_OK) {
        p->memory += bytes;
        m->free_bytes -= bytes;
    }
}

/* What the model says of a processor. */
struct sharers {
    uint32_t shares, dedicated, without, quanta; /* of all of them */
};

static struct sharers
sharers_of(const struct model *m, uint32_t processor,
           const struct model_share *but)
{
    struct sharers all = { 0 };

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        for (uint32_t v = 0; v < m->p[i].processors; v++) {
            const struct model_share *s = &m->p[i].share[v];

            if (s->processor != processor || s == but)
                continue;
            all.shares++;
            all.dedicated += s->mode == ULV_PROCESSOR_DEDICATED;
            all.without += s->mode == ULV_PROCESSOR_SHARED && s->quanta == 0;
            all.quanta += s->quanta;
        }
    }
    return all;
}

static bool
model_can_have(const struct model *m, const struct model_partition *p,
               const struct model_share *want)
{
    struct sharers others = sharers_of(m, want->processor, NULL);

    for (uint32_t v = 0; v < p->processors; v++) {
        if (p->share[v].processor == want->processor)
            return false;
    }
    if (others.dedicated != 0)
        return false;
    if (want->mode == ULV_PROCESSOR_DEDICATED)
        return others.shares == 0;
    if (want->quanta == 0)
        return others.quanta < ULV_QUANTA;
    return want->quanta + others.quanta + (others.without != 0 ? 1 : 0) <=
           ULV_QUANTA;
}

/* Which processor of the model a virtual one is on, as the view has it. */
static uint32_t
processor_of(const struct model *m, const struct model_partition *p,
             uint32_t vcpu_idx)
{
    struct ulv_view_processor view[PROCESSORS];
    uint32_t count = ulv_database_view_processors(
        ulv_database_partition(m->db, p->id), view, PROCESSORS);

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t n = 0; n < PROCESSORS; n++) {
            if (view[i].vcpu_idx == vcpu_idx && view[i].id == m->processor[n])
                return n;
        }
    }
    fail();
    return 0;
}

static void
try_processor(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_PROCESSORS };
    struct model_share want = { 0 }, other;
    bool named = model_random(2) == 0, possible;
    ulv_status status, expected = ULV_E_LIMIT;

    if (p->id == 0)
        return;
    want.processor = (uint32_t)model_random(PROCESSORS);
    want.mode = model_random(4) == 0 ? ULV_PROCESSOR_DEDICATED
                                     : ULV_PROCESSOR_SHARED;
    if (want.mode == ULV_PROCESSOR_SHARED && model_random(2) == 0)
        want.quanta = 1 + (uint32_t)model_random(ULV_QUANTA);
    o.u.assign_processors.partition = p->id;
    o.u.assign_processors.count = 1;
    o.u.assign_processors.mode = want.mode;
    o.u.assign_processors.quanta = want.quanta;
    if (named)
        o.u.assign_processors.processor = m->processor[want.processor];
    other = want;
    other.processor = !want.processor;
    possible = model_can_have(m, p, &want) ||
               (!named && model_can_have(m, p, &other));
    if (possible)
        expected = model_by_quota(m, p, ULV_QUOTA_PROCESSORS, 1);
    if (expected == ULV_OK)
        expected = model_by_quota(m, p, ULV_QUOTA_QUANTA,
                            want.mode == ULV_PROCESSOR_DEDICATED ? ULV_QUANTA
                                                                 : want.quanta);
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status != ULV_OK)
        return;
    if (!named)
        want.processor = processor_of(m, p, p->processors);
    assert_true(model_can_have(m, p, &want));
    m->dedicated += want.mode == ULV_PROCESSOR_DEDICATED;
    p->share[p->processors++] = want;
}

static void
try_quanta(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct ulv_operation o = { .kind = ULV_OP_SET_QUANTA };
    uint32_t vcpu_idx = (uint32_t)model_random(PROCESSORS);
    uint32_t quanta = (uint32_t)model_random(ULV_QUANTA + 2);
    struct model_share *s = &p->share[vcpu_idx];
    struct sharers others = sharers_of(m, s->processor, s);
    ulv_status status, expected = ULV_OK;

    o.u.set_quanta.partition = p->id != 0 ? p->id : NOBODY;
    o.u.set_quanta.vcpu_idx = vcpu_idx;
    o.u.set_quanta.quanta = quanta;
    if (p->id == 0 || vcpu_idx >= p->processors)
        expected = ULV_E_NOT_FOUND;
    else if (s->mode == ULV_PROCESSOR_DEDICATED)
        expected = ULV_E_STATE;
    else if (quanta + others.quanta +
                 (others.without != 0 && quanta > s->quanta ? 1 : 0) >
             ULV_QUANTA)
        expected = ULV_E_LIMIT;
    else if (quanta > s->quanta)
        expected = model_by_quota(m, p, ULV_QUOTA_QUANTA, quanta - s->quanta);
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    m->exhausted += status == ULV_E_LIMIT;
    if (status == ULV_OK)
        s->quanta = quanta;
}

/* The views say of each quantum whose it is: one partition's own, or of all
 * those together that have none. */
static void
compare_quanta(const struct model *m)
{
    uint64_t own[PROCESSORS] = { 0 }, gaps[PROCESSORS];

    memset(gaps, 0xff, sizeof(gaps));
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct model_partition *p = &m->p[i];
        struct ulv_view_processor view[PROCESSORS];
        uint32_t count = p->id == 0 ? 0
                                    : ulv_database_view_processors(
                                          ulv_database_partition(m->db, p->id),
                                          view, PROCESSORS);

        assert_int_equal(count, p->processors);
        for (uint32_t n = 0; n < count; n++) {
            const struct model_share *s = &p->share[view[n].vcpu_idx];
            uint64_t quanta = view[n].quanta;

            assert_int_equal(view[n].id, m->processor[s->processor]);
            assert_int_equal(view[n].mode, s->mode);
            if (s->mode == ULV_PROCESSOR_DEDICATED) {
                assert_true(quanta == UINT64_MAX);
            } else if (s->quanta != 0) {
                assert_int_equal(__builtin_popcountll(quanta), s->quanta);
                assert_true((own[s->processor] & quanta) == 0);
                own[s->processor] |= quanta;
            } else {
                gaps[s->processor] &= quanta;
                assert_true(quanta != 0);
            }
        }
    }
    for (uint32_t n = 0; n < PROCESSORS; n++) {
        if (sharers_of(m, n, NULL).without != 0)
            assert_true(gaps[n] == ~own[n]);
    }
}

static void
try_console(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct ulv_operation o[2];
    ulv_status status;

    if (p->id == 0 || p->channels == 8)
        return;
    give_console(m, p->id, o);
    status = commit(m, o, 2);
    if (m->free_bytes >= ULV_MIB(8))
        assert_int_equal(status, model_by_quota(m, p, ULV_QUOTA_CHANNELS, 1));
    if (status == ULV_OK) {
        p->channels++;
        m->free_bytes -= channel_bytes(false);
    }
}

static void
try_intent(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct ulv_operation o = { .kind = ULV_OP_SET_INTENT };
    ulv_status status, expected = ULV_OK;

    if (p->id == 0)
        return;
    o.u.set_intent.partition = p->id;
    o.u.set_intent.intent = ULV_INTENT_RUNNING;
    if (p->runs || p->memory == 0 || p->processors == 0)
        expected = ULV_E_STATE;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    p->runs |= status == ULV_OK;
}

static void
try_ended(struct model *m, uint64_t i)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };

    if (m->p[i].id == 0)
        return;
    o.u.set_state.partition = m->p[i].id;
    o.u.set_state.state = ULV_STATE_STOPPED;
    assert_int_equal(commit(m, &o, 1), ULV_OK);
    m->p[i].runs = false;
}

/* A random record of a kind; false: there is none. */
static bool
pick(const struct model *m, uint32_t kind, void *ret, size_t bytes_)
{
    uint8_t *all = malloc(1024 * bytes_);
    uint32_t bytes, count;
    bool more;

    assert_non_null(all);
    assert_int_equal(ulv_database_query(m->db, kind, 0, all, 1024 * bytes_,
                                        &bytes, &count, &more),
                     ULV_OK);
    assert_int_equal(bytes, bytes_);
    if (count != 0)
        memcpy(ret, all + model_random(count) * bytes_, bytes_);
    free(all);
    return count != 0;
}

static struct model_partition *
of_id(struct model *m, ulv_id id)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        if (m->p[i].id == id)
            return &m->p[i];
    }
    return NULL;
}

struct draining *
model_find_draining(struct model *m, ulv_id object)
{
    for (uint32_t i = 0; i < DRAINING; i++) {
        if (m->draining[i].object == object)
            return &m->draining[i];
    }
    return NULL;
}

/* Release or move one extent, or a part of one. */
static void
try_take(struct model *m, uint64_t i)
{
    struct ulv_operation o = { .kind = ULV_OP_RELEASE_MEMORY };
    struct draining *room = model_find_draining(m, 0);
    struct ulv_extent_record e;
    struct model_partition *p;
    bool moves = model_random(2) == 0 && m->p[i].id != 0;
    bool part = model_random(8) == 0;
    ulv_status status, expected = ULV_OK;

    if (room == NULL || !pick(m, ULV_QUERY_EXTENTS, &e, sizeof(e)))
        return;
    p = of_id(m, e.partition);
    o.u.release_memory.partition = e.partition;
    o.u.release_memory.guest_address = e.guest_address;
    o.u.release_memory.bytes = e.bytes - (part ? 4096 : 0);
    if (moves) {
        o.kind = ULV_OP_MOVE_MEMORY;
        o.u.move_memory.to = m->p[i].id;
    }
    if (moves && p == &m->p[i])
        expected = ULV_E_ARG;
    else if (part && e.bytes == 4096)
        expected = ULV_E_ARG;
    else if ((e.flags & ULV_EXTENT_DRAINING) != 0)
        expected = ULV_E_BUSY;
    else if (part)
        expected = ULV_E_ARG;
    else if (moves)
        expected = model_by_quota(m, &m->p[i], ULV_QUOTA_MEMORY, e.bytes);
    if (moves && expected == ULV_OK &&
        model_retired_in(m, e.frame, e.bytes) != 0)
        expected = ULV_E_STATE;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status != ULV_OK)
        return;
    if (!p->runs && !moves) {
        p->memory -= e.bytes;
        m->free_bytes += e.bytes - model_retired_in(m, e.frame, e.bytes);
        return;
    }
    *room = (struct draining){ e.id, p, moves ? m->p[i].id : 0, e.frame,
                               e.bytes };
}

static void
try_revoke(struct model *m, uint64_t i)
{
    struct ulv_operation o = { .kind = ULV_OP_REVOKE };
    struct draining *room = model_find_draining(m, 0);
    struct ulv_channel_record c;
    struct model_partition *p;
    ulv_status status, expected = ULV_OK;

    (void)i;
    if (room == NULL || !pick(m, ULV_QUERY_CHANNELS, &c, sizeof(c)))
        return;
    p = of_id(m, c.client);
    o.u.revoke.channel = c.id;
    if (model_find_draining(m, c.id) != NULL)
        expected = ULV_E_BUSY;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status != ULV_OK)
        return;
    if (p->runs) {
        *room = (struct draining){ c.id, p, 0, 0, 0 };
        return;
    }
    p->channels--;
    m->free_bytes += channel_bytes(false);
}

/* What comes after the monitor has let go. */
static void
try_settle(struct model *m, uint64_t i)
{
    struct ulv_operation o = { .kind = ULV_OP_SETTLE };
    struct draining *d = &m->draining[i % DRAINING], was = *d;
    struct model_partition *heir;

    o.u.settle.object = d->object != 0 ? d->object : NOBODY;
    if (d->object == 0) {
        assert_int_equal(commit(m, &o, 1), ULV_E_NOT_FOUND);
        return;
    }
    assert_int_equal(commit(m, &o, 1), ULV_OK);
    memset(d, 0, sizeof(*d));
    if (was.bytes == 0) {
        was.of->channels--;
        m->free_bytes += channel_bytes(false);
        return;
    }
    was.of->memory -= was.bytes;
    m->free_bytes += was.bytes - model_retired_in(m, was.frame, was.bytes);
    if (was.heir == 0)
        return;
    o.kind = ULV_OP_GRANT;
    o.u.grant.partition = was.heir;
    o.u.grant.frame = was.frame;
    o.u.grant.bytes = was.bytes;
    heir = of_id(m, was.heir);
    assert_int_equal(commit(m, &o, 1), heir != NULL ? ULV_OK
                                                    : ULV_E_NOT_FOUND);
    if (heir == NULL)
        return;
    heir->memory += was.bytes;
    m->free_bytes -= was.bytes;
    /* those frames have an owner now */
    assert_int_equal(commit(m, &o, 1), ULV_E_BUSY);
}

static bool
moves_memory(const struct model *m, const struct model_partition *p)
{
    for (uint32_t i = 0; i < DRAINING; i++) {
        if (m->draining[i].of == p && m->draining[i].heir != 0)
            return true;
    }
    return false;
}

static void
try_destroy(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct ulv_operation o = { .kind = ULV_OP_DESTROY_PARTITION };
    const uint64_t retired = model_retired_of(m, p);
    ulv_status status, expected = ULV_OK;

    o.u.destroy_partition.id = p->id != 0 ? p->id : NOBODY;
    if (p->id == 0)
        expected = ULV_E_NOT_FOUND;
    else if (p->runs || moves_memory(m, p))
        expected = ULV_E_BUSY;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status != ULV_OK)
        return;
    for (uint32_t d = 0; d < DRAINING; d++) {
        if (m->draining[d].of == p)
            memset(&m->draining[d], 0, sizeof(m->draining[d]));
    }
    m->free_bytes +=
        p->memory - retired + p->channels * channel_bytes(false);
    model_forget(m, p);
    memset(p, 0, sizeof(*p));
}

void
model_compare(const struct model *m)
{
    struct ulv_partition_record r;
    struct ulv_memory_record pool;
    uint32_t bytes, count;
    bool more;

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct model_partition *p = &m->p[i];

        if (p->id == 0)
            continue;
        assert_int_equal(
            ulv_database_find(m->db, ULV_QUERY_PARTITIONS, p->id, &r), ULV_OK);
        assert_int_equal(r.memory_bytes, p->memory);
        assert_int_equal(r.processor_count, p->processors);
        assert_int_equal(r.channel_count, p->channels);
    }
    assert_int_equal(ulv_database_query(m->db, ULV_QUERY_MEMORY, 0, &pool,
                                        sizeof(pool), &bytes, &count, &more),
                     ULV_OK);
    assert_int_equal(pool.free_bytes, m->free_bytes);
    assert_int_equal(pool.bytes, m->pool);
    assert_int_equal(pool.gone_bytes, m->pool - m->there);
    model_compare_quotas(m);
    model_compare_labels(m);
    model_compare_machine(m);
    model_compare_changes(m);
    compare_quanta(m);
}

void
model_step(struct model *m)
{
    static void (*const tries[])(struct model *m, uint64_t i) = {
        model_create,
        model_create,
        model_create,
        model_create,
        model_memory,
        try_processor,
        try_console,
        try_intent,
        try_ended,
        try_destroy,
        try_take,
        try_revoke,
        try_settle,
        try_quanta,
        model_zone_step,
        model_enter,
        model_limit,
        model_label,
        model_range,
        model_range,
        model_hardware,
        model_retire,
        model_resize,
        model_release_processors,
        model_release_processors,
        model_release_processors,
        model_move_processor,
        model_change,
        model_change,
    };

    tries[model_random(ULV_COUNT_OF(tries))](m, model_random(PARTITIONS));
}

/* ---- everything a database says ------ */

struct room {
    uint8_t *p;
    size_t used, size;
};

static void
add(struct room *r, const void *p, size_t bytes)
{
    assert_true(bytes <= r->size - r->used);
    memcpy(r->p + r->used, p, bytes);
    r->used += bytes;
}

static void
add_views(struct room *r, const struct ulv_database *db, ulv_id id)
{
    static struct ulv_view_memory memory[4096];
    const struct partition *of = ulv_database_partition(db, id);
    struct ulv_view_partition partition;
    struct ulv_view_processor processor[PROCESSORS];
    struct ulv_view_channel channel[256];
    struct ulv_view_device device[256];
    uint32_t count;

    assert_int_equal(ulv_database_view_partition(of, &partition), ULV_OK);
    add(r, &partition, sizeof(partition));
    count = ulv_database_view_memory(db, of, 0, memory, 4096);
    assert_true(count <= 4096);
    add(r, memory, count * sizeof(*memory));
    count = ulv_database_view_processors(of, processor, PROCESSORS);
    add(r, processor, count * sizeof(*processor));
    count = ulv_database_view_channels(db, of, 0, channel, 256);
    assert_true(count <= 256);
    add(r, channel, count * sizeof(*channel));
    count = ulv_database_view_devices(db, of, device, 256);
    assert_true(count <= 256);
    add(r, device, count * sizeof(*device));
}

size_t
model_everything(const struct ulv_database *db, uint8_t *buf, size_t size)
{
    static struct ulv_partition_record partition[PARTITIONS + 8];
    struct room r = { buf, 0, size };
    uint32_t bytes, count;
    bool more;

    for (uint32_t kind = 1; kind <= ULV_QUERY_RETIRED; kind++) {
        if (kind == ULV_QUERY_USAGE)
            continue;
        assert_int_equal(ulv_database_query(db, kind, 0, buf + r.used,
                                            size - r.used, &bytes, &count,
                                            &more),
                         ULV_OK);
        assert_false(more);
        r.used += (size_t)bytes * count;
    }
    assert_int_equal(ulv_database_query(db, ULV_QUERY_PARTITIONS, 0, partition,
                                        sizeof(partition), &bytes, &count,
                                        &more),
                     ULV_OK);
    assert_false(more);
    for (uint32_t i = 0; i < count; i++)
        add_views(&r, db, partition[i].id);
    return r.used;
}
