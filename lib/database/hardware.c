/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The machine's devices: functions, files, disks, taps. Each is idle's, or the
 * one partition's that it was assigned to. */
#include "database/database_priv.h"

static struct hardware *
find_hardware(const struct ulv_database *db, ulv_id id)
{
    return (struct hardware *)(void *)ulv_db_find(db, id, ULV_QUERY_HARDWARE);
}

static ulv_status
no_hardware(struct ulv_diag *diag, ulv_id id)
{
    return ulv_fail(diag, ULV_E_NOT_FOUND, id, 0, 0,
                    "hardware %u does not exist", id);
}

bool
ulv_db_hardware_is_good(uint32_t kind, const char name[24],
                        const char driver[16])
{
    return kind >= ULV_HARDWARE_PCI && kind <= ULV_HARDWARE_FUNCTION &&
           name[0] != '\0' && ulv_db_is_text(name, 24, 0x21) &&
           ulv_db_is_text(driver, 16, 0x21);
}

/* One of that kind and name. */
const struct hardware *
ulv_db_hardware_named(const struct ulv_database *db, uint32_t kind,
                      const char name[24], uint32_t *ret_count)
{
    *ret_count = 0;
    for (const struct record *r = db->first[ULV_QUERY_HARDWARE]; r != NULL;
         r = r->after) {
        const struct hardware *h = (const void *)r;

        if (h->kind == kind && ulv_string_equal(h->name, name, 24))
            return h;
        ++*ret_count;
    }
    return NULL;
}

static ulv_status
check_new(const struct ulv_database *db, const struct ulv_op_add_hardware *op,
          struct ulv_diag *diag)
{
    const struct hardware *there;
    uint32_t count;

    if (!ulv_db_hardware_is_good(op->kind, op->name, op->driver))
        return ulv_fail(diag, ULV_E_ARG, op->id, op->kind,
                        ULV_HARDWARE_FUNCTION,
                        "hardware of kind %u: its kind is 1 to %u, its name "
                        "has 1 to 23 printable bytes, its driver at most 15",
                        (uint64_t)op->kind, (uint64_t)ULV_HARDWARE_FUNCTION);
    there = ulv_db_hardware_named(db, op->kind, op->name, &count);
    if (there != NULL)
        return ulv_fail(diag, ULV_E_EXISTS, there->r.id, op->id, there->r.id,
                        "%s: hardware %u has that name", op->name,
                        there->r.id);
    if (count == ULV_DB_HARDWARE_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, op->id, count + 1,
                        ULV_DB_HARDWARE_MAX, "%s: more than %u devices",
                        op->name, (uint64_t)ULV_DB_HARDWARE_MAX);
    if (op->parent == 0)
        return ULV_OK;
    there = find_hardware(db, op->parent);
    if (there == NULL)
        return no_hardware(diag, op->parent);
    if (op->kind != ULV_HARDWARE_FUNCTION || there->kind != ULV_HARDWARE_PCI)
        return ulv_fail(diag, ULV_E_ARG, op->id, op->kind, there->kind,
                        "%s: only virtual functions have a parent, which is "
                        "a PCI device",
                        op->name);
    return ULV_OK;
}

ulv_status
ulv_db_add_hardware(struct ulv_database *db,
                    const struct ulv_op_add_hardware *op,
                    struct ulv_diag *diag)
{
    struct hardware *h;
    struct record *r;
    ulv_status status = check_new(db, op, diag);

    if (status == ULV_OK)
        status = ulv_db_record_add(db, op->id, ULV_QUERY_HARDWARE, sizeof(*h),
                                   &r, diag);
    if (status != ULV_OK)
        return status;
    h = (struct hardware *)(void *)r;
    h->owner = db->idle;
    h->parent = find_hardware(db, op->parent);
    h->address = op->address;
    h->bytes = op->bytes;
    h->kind = op->kind;
    h->device_class = op->device_class;
    h->node = op->node;
    h->model = op->model;
    memcpy(h->name, op->name, sizeof(h->name));
    memcpy(h->driver, op->driver, sizeof(h->driver));
    return ulv_db_changed(db, op->id, ULV_QUERY_HARDWARE)
               ? ULV_OK
               : ulv_db_no_memory(diag);
}

static ulv_status
check_old(const struct ulv_database *db, const struct hardware *h,
          const struct ulv_op_remove_hardware *op, struct ulv_diag *diag)
{
    if (h == NULL)
        return no_hardware(diag, op->id);
    if (op->gone > 1)
        return ulv_fail(diag, ULV_E_ARG, op->id, op->gone, 1,
                        "%s: gone is %u, 0 or 1 is wanted", h->name,
                        (uint64_t)op->gone);
    if (h->owner != db->idle && op->gone == 0)
        return ulv_fail(diag, ULV_E_BUSY, op->id, h->owner->r.id, 0,
                        "%s is %s's: release it first", h->name,
                        h->owner->name);
    for (const struct record *r = db->first[ULV_QUERY_HARDWARE]; r != NULL;
         r = r->after) {
        if (((const struct hardware *)(const void *)r)->parent == h)
            return ulv_fail(diag, ULV_E_BUSY, op->id, r->id, 0,
                            "%s has functions: remove hardware %u first",
                            h->name, r->id);
    }
    return ULV_OK;
}

/* Its record goes with its owner in it: who watches that one is told. */
static bool
lose(struct ulv_database *db, const struct hardware *h)
{
    struct partition *p = h->owner;

    if (p == db->idle)
        return true;
    if (!ulv_db_touched(db, p) ||
        !ulv_db_discharge(db, p, ULV_QUOTA_DEVICES, 1))
        return false;
    p->owned_count--;
    return true;
}

ulv_status
ulv_db_remove_hardware(struct ulv_database *db,
                       const struct ulv_op_remove_hardware *op,
                       struct ulv_diag *diag)
{
    struct hardware *h = find_hardware(db, op->id);
    ulv_status status = check_old(db, h, op, diag);

    if (status != ULV_OK)
        return status;
    if (!lose(db, h) || ulv_db_labels_drop(db, &h->r) != ULV_OK ||
        !ulv_db_changed(db, op->id, ULV_QUERY_HARDWARE) ||
        ulv_db_record_remove(db, &h->r) != ULV_OK)
        return ulv_db_no_memory(diag);
    return ULV_OK;
}

/* ---- who has it ---------------------------------------------------------- */

/* From the one to the other; one of them may be idle. */
static ulv_status
hand_over(struct ulv_database *db, struct hardware *h, struct partition *to,
          struct ulv_diag *diag)
{
    struct partition *from = h->owner;
    ulv_status status;

    if (!ulv_db_change(db, &h->r) ||
        !ulv_db_changed(db, h->r.id, ULV_QUERY_HARDWARE) ||
        (from != db->idle && !ulv_db_touched(db, from)) ||
        (to != db->idle && !ulv_db_touched(db, to)) ||
        !ulv_db_discharge(db, from, ULV_QUOTA_DEVICES, 1))
        return ulv_db_no_memory(diag);
    status = ulv_db_charge(db, to, ULV_QUOTA_DEVICES, 1, diag);
    if (status != ULV_OK)
        return status;
    from->owned_count -= from != db->idle ? 1 : 0;
    to->owned_count += to != db->idle ? 1 : 0;
    h->owner = to;
    return ULV_OK;
}

ulv_status
ulv_db_assign_hardware(struct ulv_database *db,
                       const struct ulv_op_assign_hardware *op,
                       struct ulv_diag *diag)
{
    struct hardware *h = find_hardware(db, op->id);
    struct partition *p = find_partition(db, op->partition);
    ulv_status status;

    if (h == NULL)
        return no_hardware(diag, op->id);
    status = ulv_db_may_own(db, p, op->partition, diag);
    if (status != ULV_OK)
        return status;
    if (h->owner != db->idle)
        return ulv_fail(diag, ULV_E_BUSY, op->id, op->partition, h->owner->r.id,
                        "%s is %s's", h->name, h->owner->name);
    return hand_over(db, h, p, diag);
}

/* The one that has it, and may lose it. */
static ulv_status
may_lose(const struct ulv_database *db, const struct hardware *h,
         struct ulv_diag *diag)
{
    if (h->owner == db->idle)
        return ulv_fail(diag, ULV_E_STATE, h->r.id, 0, 0, "%s is nobody's",
                        h->name);
    return ulv_db_may_own(db, h->owner, h->owner->r.id, diag);
}

ulv_status
ulv_db_release_hardware(struct ulv_database *db,
                        const struct ulv_op_release_hardware *op,
                        struct ulv_diag *diag)
{
    struct hardware *h = find_hardware(db, op->id);
    ulv_status status;

    if (h == NULL)
        return no_hardware(diag, op->id);
    status = may_lose(db, h, diag);
    return status == ULV_OK ? hand_over(db, h, db->idle, diag) : status;
}

ulv_status
ulv_db_move_hardware(struct ulv_database *db,
                     const struct ulv_op_move_hardware *op,
                     struct ulv_diag *diag)
{
    struct hardware *h = find_hardware(db, op->id);
    struct partition *to = find_partition(db, op->to);
    ulv_status status;

    if (h == NULL)
        return no_hardware(diag, op->id);
    status = may_lose(db, h, diag);
    if (status == ULV_OK)
        status = ulv_db_may_own(db, to, op->to, diag);
    if (status != ULV_OK)
        return status;
    if (h->owner == to)
        return ulv_fail(diag, ULV_E_ARG, op->id, op->to, 0,
                        "%s has %s already", to->name, h->name);
    return hand_over(db, h, to, diag);
}

ulv_status
ulv_db_hardware_drop(struct ulv_database *db, const struct partition *p)
{
    for (struct record *r = db->first[ULV_QUERY_HARDWARE];
         r != NULL && p->owned_count != 0; r = r->after) {
        struct hardware *h = (struct hardware *)(void *)r;

        if (h->owner == p && hand_over(db, h, db->idle, NULL) != ULV_OK)
            return ULV_E_NO_MEMORY;
    }
    return ULV_OK;
}
