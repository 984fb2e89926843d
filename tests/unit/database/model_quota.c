/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the model says of zones, quotas and labels. */
#include "model.h"

/* ---- quotas ------ */

void
model_unlimited(uint64_t limit[ULV_QUOTA_COUNT])
{
    for (uint32_t i = 0; i < ULV_QUOTA_COUNT; i++)
        limit[i] = ULV_UNLIMITED;
}

uint64_t
model_used_by(const struct model *m, const struct model_partition *p,
        uint32_t resource)
{
    uint64_t used = 0;

    switch (resource) {
    case ULV_QUOTA_MEMORY:
        used = p->memory;
        for (uint32_t i = 0; i < DRAINING; i++) {
            if (m->draining[i].object != 0 && m->draining[i].heir == p->id)
                used += m->draining[i].bytes;
        }
        return used;
    case ULV_QUOTA_PROCESSORS:
        return p->processors;
    case ULV_QUOTA_QUANTA:
        for (uint32_t v = 0; v < p->processors; v++)
            used += p->share[v].mode == ULV_PROCESSOR_DEDICATED
                        ? ULV_QUANTA
                        : p->share[v].quanta;
        return used;
    case ULV_QUOTA_CHANNELS:
        return p->channels;
    case ULV_QUOTA_DEVICES:
        for (uint32_t i = 0; i < HARDWARE; i++)
            used += m->hardware[i].id != 0 && m->hardware[i].owner == p;
        return used;
    case ULV_QUOTA_PARTITIONS:
        return 1;
    default:
        return 0;
    }
}

uint64_t
model_used_in(const struct model *m, uint32_t zone, uint32_t resource)
{
    uint64_t used = 0;

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        if (m->p[i].id != 0 && m->p[i].zone == zone)
            used += model_used_by(m, &m->p[i], resource);
    }
    return used;
}

bool
model_may_have(const struct model *m, const struct model_partition *p,
         uint32_t resource, uint64_t more)
{
    return more <= p->limit[resource] - model_used_by(m, p, resource) &&
           (p->zone == 0 || more <= m->zone[p->zone - 1].limit[resource] -
                                        model_used_in(m, p->zone, resource));
}

/* What is expected where all else is well. */
ulv_status
model_by_quota(struct model *m, const struct model_partition *p,
               uint32_t resource, uint64_t more)
{
    if (more == 0 || model_may_have(m, p, resource, more))
        return ULV_OK;
    m->over++;
    return ULV_E_QUOTA;
}

void
model_zone_step(struct model *m, uint64_t i)
{
    struct model_zone *zone = &m->zone[i % ZONES];
    struct ulv_operation o = { .kind = ULV_OP_CREATE_ZONE };
    struct ulv_text name;
    ulv_status status, expected = ULV_OK;

    if (model_random(4) == 0) {
        o.kind = ULV_OP_DESTROY_ZONE;
        o.u.destroy_zone.id = zone->id != 0 ? zone->id : NOBODY;
        if (zone->id == 0)
            expected = ULV_E_NOT_FOUND;
        else if (model_used_in(m, (uint32_t)(i % ZONES) + 1,
                         ULV_QUOTA_PARTITIONS) != 0)
            expected = ULV_E_BUSY;
        status = commit(m, &o, 1);
        assert_int_equal(status, expected);
        if (status == ULV_OK)
            zone->id = 0;
        return;
    }
    o.u.create_zone.id = new_id(m);
    ulv_text_init(&name, o.u.create_zone.name, 32);
    ulv_text_format(&name, "z%u", i % ZONES);
    status = commit(m, &o, 1);
    assert_int_equal(status, zone->id != 0 ? ULV_E_EXISTS : ULV_OK);
    if (status == ULV_OK) {
        zone->id = o.u.create_zone.id;
        model_unlimited(zone->limit);
    }
}

void
model_enter(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    uint32_t to = (uint32_t)model_random(ZONES + 1);
    struct model_zone *zone = to == 0 ? NULL : &m->zone[to - 1];
    struct ulv_operation o = { .kind = ULV_OP_SET_ZONE };
    ulv_status status, expected = ULV_OK;

    o.u.set_zone.partition = p->id != 0 ? p->id : NOBODY;
    if (zone != NULL)
        o.u.set_zone.zone = zone->id != 0 ? zone->id : NOBODY;
    if (p->id == 0 || (zone != NULL && zone->id == 0))
        expected = ULV_E_NOT_FOUND;
    for (uint32_t r = 0; expected == ULV_OK && zone != NULL && to != p->zone &&
                         r < ULV_QUOTA_COUNT;
         r++) {
        if (model_used_by(m, p, r) > zone->limit[r] - model_used_in(m, to, r))
            expected = ULV_E_QUOTA;
    }
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status == ULV_OK)
        p->zone = to;
}

void
model_limit(struct model *m, uint64_t i)
{
    static const uint64_t most[ULV_QUOTA_COUNT] = { POOL / 4, 4, 128, 8, 2, 8 };
    struct model_partition *p = &m->p[i];
    struct model_zone *zone = &m->zone[i % ZONES];
    struct ulv_operation o = { .kind = ULV_OP_SET_QUOTA };
    const bool of_zone = model_random(2) == 0;
    uint64_t *limit = of_zone ? zone->limit : p->limit, used;
    uint32_t resource = (uint32_t)model_random(ULV_QUOTA_COUNT + 1);
    ulv_status status, expected = ULV_OK;

    o.u.set_quota.object = of_zone ? zone->id : p->id;
    o.u.set_quota.resource = resource;
    o.u.set_quota.limit = ULV_UNLIMITED;
    if (o.u.set_quota.object == 0)
        return;
    if (resource == ULV_QUOTA_COUNT) {
        assert_int_equal(commit(m, &o, 1), ULV_E_ARG);
        return;
    }
    if (model_random(2) == 0)
        o.u.set_quota.limit = model_random(most[resource] + 1);
    used = of_zone ? model_used_in(m, (uint32_t)(i % ZONES) + 1, resource)
                   : model_used_by(m, p, resource);
    if (used > o.u.set_quota.limit)
        expected = ULV_E_QUOTA;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status == ULV_OK)
        limit[resource] = o.u.set_quota.limit;
}

/* All that queries say of quotas, beside the model. */
void
model_compare_quotas(const struct model *m)
{
    struct ulv_quota_record q;
    struct ulv_zone_record z;

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct model_partition *p = &m->p[i];

        if (p->id == 0)
            continue;
        assert_int_equal(ulv_database_find(m->db, ULV_QUERY_QUOTAS, p->id, &q),
                         ULV_OK);
        for (uint32_t r = 0; r < ULV_QUOTA_COUNT; r++) {
            assert_true(q.limit[r] == p->limit[r]);
            assert_true(q.used[r] == model_used_by(m, p, r));
        }
    }
    for (uint32_t i = 0; i < ZONES; i++) {
        if (m->zone[i].id == 0)
            continue;
        assert_int_equal(ulv_database_find(m->db, ULV_QUERY_ZONES,
                                           m->zone[i].id, &z),
                         ULV_OK);
        for (uint32_t r = 0; r < ULV_QUOTA_COUNT; r++) {
            assert_true(z.limit[r] == m->zone[i].limit[r]);
            assert_true(z.used[r] == model_used_in(m, i + 1, r));
        }
    }
}

/* ---- labels ------ */

void
model_label(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i];
    struct ulv_operation o = { .kind = ULV_OP_SET_LABEL };
    uint32_t key = (uint32_t)model_random(KEYS);
    uint32_t value = (uint32_t)model_random(4);
    ulv_status status, expected = ULV_OK;

    o.u.set_label.object = p->id != 0 ? p->id : NOBODY;
    o.u.set_label.key[0] = (char)('a' + key);
    if (value != 0)
        o.u.set_label.value[0] = (char)('0' + value);
    if (p->id == 0 || (value == 0 && p->label[key] == 0))
        expected = ULV_E_NOT_FOUND;
    if (model_random(8) == 0 && p->id != 0) {
        o.u.set_label.key[0] = ' ';
        expected = ULV_E_ARG;
    }
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status == ULV_OK)
        p->label[key] = value;
}

void
model_compare_labels(const struct model *m)
{
    static struct ulv_label_record all[PARTITIONS * KEYS];
    uint32_t bytes, count, there = 0;
    bool more;

    assert_int_equal(ulv_database_query(m->db, ULV_QUERY_LABELS, 0, all,
                                        sizeof(all), &bytes, &count, &more),
                     ULV_OK);
    assert_false(more);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        for (uint32_t key = 0; key < KEYS; key++) {
            uint32_t found = 0;

            for (uint32_t n = 0; n < count && m->p[i].id != 0; n++) {
                if (all[n].object == m->p[i].id &&
                    all[n].key[0] == (char)('a' + key))
                    found = (uint32_t)(all[n].value[0] - '0');
            }
            assert_int_equal(found, m->p[i].label[key]);
            there += found != 0 ? 1 : 0;
        }
    }
    assert_int_equal(there, count);
}
