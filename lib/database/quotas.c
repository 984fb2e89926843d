/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Zones and quotas. What a guest has is counted by resource, for itself and for
 * the zone it is in, and never is more than either's limit: what would be is
 * refused, and so is a limit below what there is.
 */
#include "database/database_priv.h"

void
ulv_db_quota_init(struct quota *quota)
{
    for (uint32_t i = 0; i < ULV_QUOTA_COUNT; i++) {
        quota->limit[i] = ULV_UNLIMITED;
        quota->used[i] = 0;
    }
}

/* ---- counting ------------------------------------------------------------ */

static const char *const resource_name[ULV_QUOTA_COUNT] = {
    "memory", "processors", "quanta", "channels", "devices", "partitions",
};

static ulv_status
over(struct ulv_diag *diag, ulv_id object, const char *name, uint32_t resource,
     const struct quota *quota, uint64_t more)
{
    const uint64_t all = quota->used[resource] + more;
    const uint64_t limit = quota->limit[resource];

    if (resource == ULV_QUOTA_MEMORY)
        return ulv_fail(diag, ULV_E_QUOTA, object, all, limit,
                        "%s: memory of %z asked beyond %z that it has: its "
                        "quota is %z",
                        name, more, quota->used[resource], limit);
    return ulv_fail(diag, ULV_E_QUOTA, object, all, limit,
                    "%s: %u %s asked beyond %u that it has: its quota is %u",
                    name, more, resource_name[resource], quota->used[resource],
                    limit);
}

static bool
fits(const struct quota *quota, uint32_t resource, uint64_t more)
{
    return more <= quota->limit[resource] - quota->used[resource];
}

ulv_status
ulv_db_charge(struct ulv_database *db, struct partition *p, uint32_t resource,
              uint64_t more, struct ulv_diag *diag)
{
    struct zone *zone = p->zone;

    if (p->kind != ULV_PARTITION_GUEST || more == 0)
        return ULV_OK;
    if (!fits(&p->quota, resource, more))
        return over(diag, p->r.id, p->name, resource, &p->quota, more);
    if (zone != NULL && !fits(&zone->quota, resource, more))
        return over(diag, zone->r.id, zone->name, resource, &zone->quota,
                    more);
    if (!ulv_db_touch_in(db, &p->r, &p->quota.used[resource]) ||
        (zone != NULL && !TOUCH(db, &zone->quota.used[resource])))
        return ulv_db_no_memory(diag);
    p->quota.used[resource] += more;
    if (zone != NULL)
        zone->quota.used[resource] += more;
    return ULV_OK;
}

bool
ulv_db_discharge(struct ulv_database *db, struct partition *p,
                 uint32_t resource, uint64_t less)
{
    struct zone *zone = p->zone;

    if (p->kind != ULV_PARTITION_GUEST || less == 0)
        return true;
    if (!ulv_db_touch_in(db, &p->r, &p->quota.used[resource]) ||
        (zone != NULL && !TOUCH(db, &zone->quota.used[resource])))
        return false;
    p->quota.used[resource] -= less;
    if (zone != NULL)
        zone->quota.used[resource] -= less;
    return true;
}

bool
ulv_db_leave_zone(struct ulv_database *db, struct partition *p)
{
    struct zone *zone = p->zone;

    if (zone == NULL)
        return true;
    if (!TOUCH(db, &zone->quota) || !ulv_db_touched(db, p))
        return false;
    for (uint32_t i = 0; i < ULV_QUOTA_COUNT; i++)
        zone->quota.used[i] -= p->quota.used[i];
    p->zone = NULL;
    return true;
}

/* ---- operations ---------------------------------------------------------- */

static struct zone *
find_zone(const struct ulv_database *db, ulv_id id)
{
    return (struct zone *)(void *)ulv_db_find(db, id, ULV_QUERY_ZONES);
}

static ulv_status
no_zone(struct ulv_diag *diag, ulv_id id)
{
    return ulv_fail(diag, ULV_E_NOT_FOUND, id, 0, 0, "zone %u does not exist",
                    id);
}

ulv_status
ulv_db_create_zone(struct ulv_database *db, const struct ulv_op_create_zone *op,
                   struct ulv_diag *diag)
{
    struct zone *zone;
    struct record *r;
    uint32_t count = 0;
    ulv_status status = ulv_db_check_name(op->name, op->id, diag);

    if (status != ULV_OK)
        return status;
    for (r = db->first[ULV_QUERY_ZONES]; r != NULL; r = r->after, count++) {
        zone = (struct zone *)(void *)r;
        if (ulv_string_equal(zone->name, op->name, sizeof(zone->name)))
            return ulv_fail(diag, ULV_E_EXISTS, r->id, op->id, r->id,
                            "%s: zone %u has that name", op->name, r->id);
    }
    if (count == ULV_DB_ZONES_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, op->id, count + 1, ULV_DB_ZONES_MAX,
                        "%s: more than %u zones", op->name,
                        (uint64_t)ULV_DB_ZONES_MAX);
    status = ulv_db_record_add(db, op->id, ULV_QUERY_ZONES, sizeof(*zone), &r,
                               diag);
    if (status != ULV_OK)
        return status;
    zone = (struct zone *)(void *)r;
    ulv_db_quota_init(&zone->quota);
    memcpy(zone->name, op->name, sizeof(zone->name));
    return ulv_db_changed(db, op->id, ULV_QUERY_ZONES)
               ? ULV_OK
               : ulv_db_no_memory(diag);
}

ulv_status
ulv_db_destroy_zone(struct ulv_database *db,
                    const struct ulv_op_destroy_zone *op,
                    struct ulv_diag *diag)
{
    struct zone *zone = find_zone(db, op->id);
    uint64_t count;

    if (zone == NULL)
        return no_zone(diag, op->id);
    count = zone->quota.used[ULV_QUOTA_PARTITIONS];
    if (count != 0)
        return ulv_fail(diag, ULV_E_BUSY, op->id, count, 0,
                        "%s: %u partitions are in it", zone->name, count);
    if (ulv_db_labels_drop(db, &zone->r) != ULV_OK ||
        !ulv_db_changed(db, op->id, ULV_QUERY_ZONES) ||
        ulv_db_record_remove(db, &zone->r) != ULV_OK)
        return ulv_db_no_memory(diag);
    return ULV_OK;
}

static ulv_status
enter_zone(struct ulv_database *db, struct partition *p, struct zone *zone,
           struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < ULV_QUOTA_COUNT; i++) {
        if (!fits(&zone->quota, i, p->quota.used[i]))
            return over(diag, zone->r.id, zone->name, i, &zone->quota,
                        p->quota.used[i]);
    }
    if (!TOUCH(db, &zone->quota))
        return ulv_db_no_memory(diag);
    for (uint32_t i = 0; i < ULV_QUOTA_COUNT; i++)
        zone->quota.used[i] += p->quota.used[i];
    p->zone = zone; /* remembered by the caller */
    return ULV_OK;
}

ulv_status
ulv_db_set_zone(struct ulv_database *db, const struct ulv_op_set_zone *op,
                struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->partition);
    struct zone *zone = find_zone(db, op->zone);

    if (p == NULL || p->kind != ULV_PARTITION_GUEST)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->partition, 0, 0,
                        "%u is no guest's partition: only those are in zones",
                        op->partition);
    if (op->zone != 0 && zone == NULL)
        return no_zone(diag, op->zone);
    if (!ulv_db_touched(db, p) || !ulv_db_leave_zone(db, p))
        return ulv_db_no_memory(diag);
    return zone == NULL ? ULV_OK : enter_zone(db, p, zone, diag);
}

/* Of a guest or a zone; what is told of it is remembered. */
static struct quota *
find_quota(struct ulv_database *db, ulv_id object, const char **ret_name,
           ulv_status *ret_status)
{
    struct partition *p = find_partition(db, object);
    struct zone *zone = find_zone(db, object);

    *ret_status = ULV_OK;
    if (p != NULL && p->kind == ULV_PARTITION_GUEST) {
        if (!ulv_db_touched(db, p))
            *ret_status = ULV_E_NO_MEMORY;
        *ret_name = p->name;
        return &p->quota;
    }
    if (zone == NULL)
        return NULL;
    if (!ulv_db_change(db, &zone->r) ||
        !ulv_db_changed(db, object, ULV_QUERY_ZONES))
        *ret_status = ULV_E_NO_MEMORY;
    *ret_name = zone->name;
    return &zone->quota;
}

ulv_status
ulv_db_set_quota(struct ulv_database *db, const struct ulv_op_set_quota *op,
                 struct ulv_diag *diag)
{
    const char *name;
    ulv_status status;
    struct quota *quota = find_quota(db, op->object, &name, &status);

    if (quota == NULL)
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->object, 0, 0,
                        "%u is neither a guest's partition nor a zone",
                        op->object);
    if (status != ULV_OK)
        return ulv_db_no_memory(diag);
    if (op->resource >= ULV_QUOTA_COUNT)
        return ulv_fail(diag, ULV_E_ARG, op->object, op->resource,
                        ULV_QUOTA_COUNT - 1, "%s: unknown resource %u", name,
                        (uint64_t)op->resource);
    if (op->limit < quota->used[op->resource])
        return ulv_fail(diag, ULV_E_QUOTA, op->object,
                        quota->used[op->resource], op->limit,
                        "%s: has %u of %s: its quota cannot be %u", name,
                        quota->used[op->resource], resource_name[op->resource],
                        op->limit);
    quota->limit[op->resource] = op->limit;
    return ULV_OK;
}
