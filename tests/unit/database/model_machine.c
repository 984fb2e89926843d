/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the model says of ranges, hardware, retired memory and processors that
 * are given up. */
#include "model.h"

#include "database/database_priv.h"

/* ---- ranges ------ */

static bool
is_inside(uint32_t kind, uint64_t first, uint64_t count)
{
    return kind == ULV_RANGE_PORTS
               ? first + count <= 65536
               : first >= 32 && first + count <= 256;
}

static ulv_status
may_own(const struct model_partition *p)
{
    if (p->id == 0)
        return ULV_E_NOT_FOUND;
    return p->runs ? ULV_E_BUSY : ULV_OK;
}

static void
assign_range(struct model *m, uint64_t i)
{
    struct model_range *to = &m->range[model_random(RANGES)];
    struct model_range want = { .owner = &m->p[i] };
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_RANGE };
    ulv_status status, expected = may_own(want.owner);

    if (to->id != 0)
        return;
    want.kind = (uint32_t)(1 + model_random(2));
    want.first = model_random(4) == 0 ? 0 : 32 + model_random(224);
    want.count = 1 + model_random(24);
    o.u.assign_range.id = want.id = new_id(m);
    o.u.assign_range.partition = want.owner->id != 0 ? want.owner->id : NOBODY;
    o.u.assign_range.first = want.first;
    o.u.assign_range.count = want.count;
    o.u.assign_range.kind = want.kind;
    if (expected == ULV_OK && !is_inside(want.kind, want.first, want.count))
        expected = ULV_E_ARG;
    for (uint32_t n = 0; n < RANGES && expected == ULV_OK; n++) {
        const struct model_range *r = &m->range[n];

        if (r->id != 0 && r->kind == want.kind &&
            r->first < want.first + want.count &&
            want.first < r->first + r->count)
            expected = ULV_E_EXISTS;
    }
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status == ULV_OK)
        *to = want;
}

static void
move_range(struct model *m, struct model_range *range,
           struct model_partition *to)
{
    struct ulv_operation o = { .kind = ULV_OP_MOVE_RANGE };
    ulv_status status, expected = may_own(range->owner);

    o.u.move_range.id = range->id;
    o.u.move_range.to = to->id != 0 ? to->id : NOBODY;
    if (expected == ULV_OK)
        expected = may_own(to);
    if (expected == ULV_OK && range->owner == to)
        expected = ULV_E_ARG;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status == ULV_OK)
        range->owner = to;
}

void
model_range(struct model *m, uint64_t i)
{
    struct model_range *range = &m->range[model_random(RANGES)];
    struct ulv_operation o = { .kind = ULV_OP_RELEASE_RANGE };
    ulv_status status;

    if (range->id == 0) {
        assign_range(m, i);
    } else if (model_random(2) == 0) {
        move_range(m, range, &m->p[i]);
    } else {
        o.u.release_range.id = range->id;
        status = commit(m, &o, 1);
        assert_int_equal(status, may_own(range->owner));
        if (status == ULV_OK)
            range->id = 0;
    }
}

/* ---- hardware ------ */

static void
add_hardware(struct model *m, uint32_t n)
{
    struct ulv_operation o = { .kind = ULV_OP_ADD_HARDWARE };
    struct ulv_op_add_hardware *op = &o.u.add_hardware;
    ulv_status status, expected = ULV_OK;

    op->id = new_id(m);
    op->kind = n % 2 == 0 ? ULV_HARDWARE_PCI : ULV_HARDWARE_FUNCTION;
    op->name[0] = (char)('a' + n);
    op->parent = n % 2 == 0 ? 0 : m->hardware[0].id;
    if (m->hardware[n].id != 0)
        expected = ULV_E_EXISTS;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status == ULV_OK) {
        m->hardware[n].id = op->id;
        m->hardware[n].owner = NULL;
    }
}

/* Whether others are functions of it, as they were when they were added. */
static bool
has_functions(const struct model *m, uint32_t n)
{
    for (uint32_t i = 1; n == 0 && i < HARDWARE; i += 2) {
        struct ulv_hardware_record r;

        if (m->hardware[i].id == 0)
            continue;
        assert_int_equal(ulv_database_find(m->db, ULV_QUERY_HARDWARE,
                                           m->hardware[i].id, &r),
                         ULV_OK);
        if (r.parent != 0)
            return true;
    }
    return false;
}

static void
remove_hardware(struct model *m, uint32_t n)
{
    struct ulv_operation o = { .kind = ULV_OP_REMOVE_HARDWARE };
    ulv_status status, expected = ULV_OK;

    o.u.remove_hardware.id = m->hardware[n].id;
    o.u.remove_hardware.gone = (uint32_t)model_random(3);
    if (o.u.remove_hardware.gone > 1)
        expected = ULV_E_ARG;
    else if ((m->hardware[n].owner != NULL && o.u.remove_hardware.gone == 0) ||
             has_functions(m, n))
        expected = ULV_E_BUSY;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status == ULV_OK)
        m->hardware[n].id = 0;
}

/* To p, from idle or from another; or back to idle. */
static void
hand_hardware(struct model *m, struct model_hardware *h,
              struct model_partition *p)
{
    struct model_partition *from = h->owner;
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_HARDWARE };
    ulv_status status, expected;

    o.u.assign_hardware.id = h->id;
    o.u.assign_hardware.partition = p->id != 0 ? p->id : NOBODY;
    if (from != NULL && model_random(2) == 0)
        o.kind = ULV_OP_MOVE_HARDWARE;
    expected = o.kind == ULV_OP_MOVE_HARDWARE ? may_own(from) : ULV_OK;
    if (expected == ULV_OK)
        expected = may_own(p);
    if (expected == ULV_OK && o.kind == ULV_OP_ASSIGN_HARDWARE && from != NULL)
        expected = ULV_E_BUSY;
    if (expected == ULV_OK && from == p)
        expected = ULV_E_ARG;
    if (expected == ULV_OK) {
        h->owner = NULL; /* what it gives up is not in the way */
        expected = model_by_quota(m, p, ULV_QUOTA_DEVICES, 1);
    }
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    h->owner = status == ULV_OK ? p : from;
}

void
model_hardware(struct model *m, uint64_t i)
{
    const uint32_t n = (uint32_t)model_random(HARDWARE);
    struct model_hardware *h = &m->hardware[n];
    struct ulv_operation o = { .kind = ULV_OP_RELEASE_HARDWARE };
    ulv_status status;

    if (h->id == 0 || model_random(8) == 0) {
        add_hardware(m, n);
    } else if (model_random(4) == 0) {
        remove_hardware(m, n);
    } else if (model_random(2) == 0) {
        hand_hardware(m, h, &m->p[i]);
    } else {
        o.u.release_hardware.id = h->id;
        status = commit(m, &o, 1);
        assert_int_equal(status, h->owner == NULL ? ULV_E_STATE
                                                  : may_own(h->owner));
        if (status == ULV_OK)
            h->owner = NULL;
    }
}

/* ---- retired memory ------ */

/* Of those pages, bytes that are broken. */
static uint64_t
broken_in(const struct model *m, uint64_t frame, uint64_t bytes)
{
    uint64_t found = 0;

    for (uint32_t i = 0; i < RETIRED; i++) {
        const struct model_retired *x = &m->retired[i];
        const uint64_t first = ULV_MAX(x->frame, frame);
        const uint64_t end = ULV_MIN(x->frame + x->bytes, frame + bytes);

        found += first < end ? end - first : 0;
    }
    return found;
}

uint64_t
model_retired_in(const struct model *m, uint64_t frame, uint64_t bytes)
{
    const uint64_t end = ULV_MAX(frame, ULV_MIN(frame + bytes, m->there));

    return broken_in(m, frame, end - frame) + (frame + bytes - end);
}

/* Every extent that there is. */
static uint32_t
all_extents(const struct model *m, struct ulv_extent_record *ret, size_t size)
{
    uint32_t bytes, count;
    bool more;

    assert_int_equal(ulv_database_query(m->db, ULV_QUERY_EXTENTS, 0, ret, size,
                                        &bytes, &count, &more),
                     ULV_OK);
    assert_false(more);
    return count;
}

static struct ulv_extent_record extents[8192];

uint64_t
model_retired_of(const struct model *m, const struct model_partition *p)
{
    uint32_t count = all_extents(m, extents, sizeof(extents));
    uint64_t found = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (extents[i].partition == p->id)
            found += model_retired_in(m, extents[i].frame, extents[i].bytes);
    }
    return found;
}

static struct model_partition *
owner_of(struct model *m, ulv_id id)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        if (m->p[i].id == id)
            return &m->p[i];
    }
    fail();
    return NULL;
}

/* What becomes of an extent of which some is retired. */
static void
retire_extent(struct model *m, const struct ulv_extent_record *e,
              struct draining *room)
{
    struct draining *d = model_find_draining(m, e->id);
    struct model_partition *p = owner_of(m, e->partition);

    if (d != NULL) {
        d->heir = 0;
    } else if (p->runs) {
        *room = (struct draining){ e->id, p, 0, e->frame, e->bytes };
    } else {
        p->memory -= e->bytes;
        m->free_bytes +=
            e->bytes - model_retired_in(m, e->frame, e->bytes);
    }
}

/* One page; of those that channels have another test tells. */
void
model_retire(struct model *m, uint64_t i)
{
    struct draining *room = model_find_draining(m, 0);
    struct ulv_operation o = { .kind = ULV_OP_RETIRE_MEMORY };
    struct model_retired *x = m->retired;
    const uint64_t frame = model_random(POOL / 4096) * 4096;
    const struct ulv_extent_record *e = extents;
    uint32_t count = all_extents(m, extents, sizeof(extents));

    (void)i;
    while (x < m->retired + RETIRED && x->bytes != 0)
        x++;
    if (room == NULL || x == m->retired + RETIRED || model_random(8) != 0)
        return;
    o.u.retire_memory.id = new_id(m);
    o.u.retire_memory.frame = frame;
    o.u.retire_memory.bytes = 4096;
    if (broken_in(m, frame, 4096) != 0) {
        assert_int_equal(commit(m, &o, 1), ULV_E_EXISTS);
        return;
    }
    while (e < extents + count &&
           !(e->frame <= frame && frame < e->frame + e->bytes))
        e++;
    if (e == extents + count &&
        ulv_page_map_owner(&ulv_db_pool_of(m->db, frame)->map, frame) !=
            ULV_PAGE_FREE)
        return;
    assert_int_equal(commit(m, &o, 1), ULV_OK);
    x->frame = frame;
    x->bytes = 4096;
    if (e == extents + count)
        m->free_bytes -= 4096;
    else
        retire_extent(m, e, room);
}

/* ---- memory that comes and goes ------ */

/* Of [first, end) bytes that extents have; of those that are taken nobody gets
 * any, now. UINT64_MAX: channels have some. */
static uint64_t
had_in(struct model *m, uint64_t first, uint64_t end)
{
    const struct pool *pool = ulv_db_pool_of(m->db, 0);
    uint32_t count = all_extents(m, extents, sizeof(extents));
    uint64_t bytes = 0;

    for (uint64_t at = first; at < end; at += 4096) {
        if (ulv_page_map_owner(&pool->map, at) == m->ultravisor)
            return UINT64_MAX;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct ulv_extent_record *e = &extents[i];
        const uint64_t from = ULV_MAX(e->frame, first);
        const uint64_t to = ULV_MIN(e->frame + e->bytes, end);
        struct draining *d = model_find_draining(m, e->id);

        if (from >= to)
            continue;
        bytes += to - from - broken_in(m, from, to - from);
        if (d != NULL)
            d->heir = 0;
    }
    return bytes;
}

/* To any size that the node might have; mostly all that it ever had. */
void
model_resize(struct model *m, uint64_t i)
{
    struct ulv_operation o = { .kind = ULV_OP_RESIZE_MEMORY };
    const uint64_t bytes =
        model_random(4) != 0 ? m->pool
                             : model_random(2 * POOL / ULV_PAGE_MAP_BLOCK + 1) *
                                   ULV_PAGE_MAP_BLOCK;
    const uint64_t first = ULV_MIN(bytes, m->there);
    const uint64_t end = ULV_MAX(bytes, m->there), known = m->pool;
    uint64_t had, changed;

    (void)i;
    o.u.resize_memory.id = m->memory;
    o.u.resize_memory.bytes = bytes;
    if (model_random(4) != 0)
        return;
    if (bytes == m->there) {
        assert_int_equal(commit(m, &o, 1), ULV_E_EXISTS);
        return;
    }
    had = had_in(m, first, ULV_MIN(end, known));
    if (had == UINT64_MAX)
        return; /* another test tells */
    assert_int_equal(commit(m, &o, 1), ULV_OK);
    changed = end - first - broken_in(m, first, end - first) - had;
    m->free_bytes += bytes > m->there ? changed : 0 - changed;
    m->there = bytes;
    m->pool = ULV_MAX(known, bytes);
}

/* ---- processors ------ */

void
model_release_processors(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct ulv_operation o = { .kind = ULV_OP_RELEASE_PROCESSORS };
    uint32_t count = 1 + (uint32_t)model_random(PROCESSORS);
    ulv_status status, expected = ULV_OK;

    o.u.release_processors.partition = p->id != 0 ? p->id : NOBODY;
    o.u.release_processors.count = count;
    if (p->id == 0)
        expected = ULV_E_NOT_FOUND;
    else if (count > p->processors)
        expected = ULV_E_ARG;
    else if (p->runs)
        expected = ULV_E_BUSY;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    p->processors -= status == ULV_OK ? count : 0;
}

void
model_move_processor(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct model_partition *to = &m->p[model_random(PARTITIONS)];
    struct ulv_operation o = { .kind = ULV_OP_MOVE_PROCESSOR };
    struct model_share last = { 0 };
    ulv_status status, expected = ULV_OK;

    o.u.move_processor.partition = p->id != 0 ? p->id : NOBODY;
    o.u.move_processor.to = to->id != 0 ? to->id : NOBODY + 1;
    if (p->id == 0)
        expected = ULV_E_NOT_FOUND;
    else if (p->processors == 0)
        expected = ULV_E_ARG;
    else if (p->runs)
        expected = ULV_E_BUSY;
    else if (to->id == 0)
        expected = ULV_E_NOT_FOUND;
    if (expected == ULV_OK) {
        last = p->share[p->processors - 1];
        for (uint32_t v = 0; v < to->processors; v++) {
            if (to->share[v].processor == last.processor)
                expected = ULV_E_EXISTS;
        }
    }
    if (expected == ULV_OK) {
        p->processors--; /* what it gives up is not in the way */
        expected = model_by_quota(m, to, ULV_QUOTA_PROCESSORS, 1);
        if (expected == ULV_OK)
            expected = model_by_quota(
                m, to, ULV_QUOTA_QUANTA,
                last.mode == ULV_PROCESSOR_DEDICATED ? ULV_QUANTA
                                                     : last.quanta);
        p->processors += expected == ULV_OK ? 0 : 1;
    }
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status == ULV_OK)
        to->share[to->processors++] = last;
}

/* ---- all of it ------ */

void
model_forget(struct model *m, const struct model_partition *p)
{
    for (uint32_t i = 0; i < RANGES; i++) {
        if (m->range[i].owner == p)
            m->range[i].id = 0;
    }
    for (uint32_t i = 0; i < HARDWARE; i++) {
        if (m->hardware[i].owner == p)
            m->hardware[i].owner = NULL;
    }
}

void
model_compare_machine(const struct model *m)
{
    for (uint32_t i = 0; i < RANGES; i++) {
        const struct model_range *range = &m->range[i];
        struct ulv_range_record r;

        if (range->id == 0)
            continue;
        assert_int_equal(
            ulv_database_find(m->db, ULV_QUERY_RANGES, range->id, &r), ULV_OK);
        assert_int_equal(r.owner, range->owner->id);
        assert_int_equal(r.first, range->first);
        assert_int_equal(r.count, range->count);
    }
    for (uint32_t i = 0; i < HARDWARE; i++) {
        const struct model_hardware *h = &m->hardware[i];
        struct ulv_hardware_record r;

        if (h->id == 0)
            continue;
        assert_int_equal(
            ulv_database_find(m->db, ULV_QUERY_HARDWARE, h->id, &r), ULV_OK);
        assert_int_equal(r.owner, h->owner == NULL ? ULV_ID_IDLE
                                                   : h->owner->id);
    }
}
