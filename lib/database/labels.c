/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Labels of objects, and references to the policy: texts that the database
 * keeps for those who read them, and gives no meaning to. */
#include "database/database_priv.h"

bool
ulv_db_is_text(const char *text, size_t room, uint8_t least)
{
    const size_t len = ulv_string_length(text, room);

    if (len == room)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)text[i] < least || text[i] == 0x7f)
            return false;
    }
    return true;
}

bool
ulv_db_key_is_good(const char key[16])
{
    return key[0] != '\0' && ulv_db_is_text(key, 16, 0x21);
}

bool
ulv_db_value_is_good(const char value[48])
{
    return ulv_db_is_text(value, 48, 0x20);
}

bool
ulv_db_can_be_labelled(uint32_t kind)
{
    return kind != ULV_QUERY_LABELS && kind != ULV_QUERY_EXTENTS;
}

/* The link to the one of that key, or to the end. */
static struct label **
find_label(struct record *object, const char key[16], uint32_t *ret_count)
{
    struct label **at = &object->labels;

    *ret_count = 0;
    for (; *at != NULL; at = &(*at)->next) {
        if (ulv_string_equal((*at)->key, key, sizeof((*at)->key)))
            break;
        ++*ret_count;
    }
    return at;
}

static ulv_status
drop_label(struct ulv_database *db, struct label **at)
{
    struct label *label = *at;

    if (!TOUCH(db, at) ||
        !ulv_db_changed(db, label->r.id, ULV_QUERY_LABELS) ||
        ulv_db_record_remove(db, &label->r) != ULV_OK)
        return ULV_E_NO_MEMORY;
    *at = label->next;
    return ULV_OK;
}

ulv_status
ulv_db_labels_drop(struct ulv_database *db, struct record *object)
{
    while (object->labels != NULL) {
        if (drop_label(db, &object->labels) != ULV_OK)
            return ULV_E_NO_MEMORY;
    }
    return ULV_OK;
}

static ulv_status
add_label(struct ulv_database *db, struct record *object, struct label **at,
          const struct ulv_op_set_label *op)
{
    struct label *label;
    struct record *r;
    ulv_id id;
    ulv_status status = ulv_db_fresh_id(db, &id);

    if (status == ULV_OK)
        status = ulv_db_record_add(db, id, ULV_QUERY_LABELS, sizeof(*label),
                                   &r, NULL);
    if (status != ULV_OK)
        return status;
    if (!TOUCH(db, at) || !ulv_db_changed(db, id, ULV_QUERY_LABELS))
        return ULV_E_NO_MEMORY;
    label = (struct label *)(void *)r;
    label->object = object;
    memcpy(label->key, op->key, sizeof(label->key));
    memcpy(label->value, op->value, sizeof(label->value));
    *at = label;
    return ULV_OK;
}

static ulv_status
change_label(struct ulv_database *db, struct label *label,
             const struct ulv_op_set_label *op)
{
    if (!ulv_db_change(db, &label->r) ||
        !ulv_db_changed(db, label->r.id, ULV_QUERY_LABELS))
        return ULV_E_NO_MEMORY;
    memcpy(label->value, op->value, sizeof(label->value));
    return ULV_OK;
}

ulv_status
ulv_db_set_label(struct ulv_database *db, const struct ulv_op_set_label *op,
                 struct ulv_diag *diag)
{
    struct record *object = ulv_db_find_any(db, op->object);
    struct label **at;
    uint32_t count;
    ulv_status status;

    if (object == NULL || !ulv_db_can_be_labelled(object->kind))
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->object, 0, 0,
                        "there is no object %u that can have labels",
                        op->object);
    if (!ulv_db_key_is_good(op->key) || !ulv_db_value_is_good(op->value))
        return ulv_fail(diag, ULV_E_ARG, op->object, 0, sizeof(op->value) - 1,
                        "a label of object %u: its key has 1 to 15 bytes "
                        "without spaces, its value at most 47, printable",
                        op->object);
    at = find_label(object, op->key, &count);
    if (op->value[0] == '\0') {
        if (*at == NULL)
            return ulv_fail(diag, ULV_E_NOT_FOUND, op->object, 0, 0,
                            "object %u has no label %s", op->object, op->key);
        status = drop_label(db, at);
    } else if (*at != NULL) {
        status = change_label(db, *at, op);
    } else if (count == ULV_LABELS_MAX) {
        return ulv_fail(diag, ULV_E_LIMIT, op->object, count + 1,
                        ULV_LABELS_MAX, "object %u: more than %u labels",
                        op->object, (uint64_t)ULV_LABELS_MAX);
    } else {
        status = add_label(db, object, at, op);
    }
    return status == ULV_OK ? ULV_OK : ulv_db_no_memory(diag);
}

ulv_status
ulv_db_set_policy(struct ulv_database *db, const struct ulv_op_set_policy *op,
                  struct ulv_diag *diag)
{
    struct partition *p = find_partition(db, op->object);
    struct zone *zone = (void *)ulv_db_find(db, op->object, ULV_QUERY_ZONES);

    if (p == db->idle || (p == NULL && zone == NULL))
        return ulv_fail(diag, ULV_E_NOT_FOUND, op->object, 0, 0,
                        "%u is neither a partition nor a zone", op->object);
    if (op->name[0] != '\0') {
        ulv_status status = ulv_db_check_name(op->name, op->object, diag);

        if (status != ULV_OK)
            return status;
    }
    if (p != NULL) {
        if (!ulv_db_touched(db, p))
            return ulv_db_no_memory(diag);
        memcpy(p->policy, op->name, sizeof(p->policy));
        return ULV_OK;
    }
    if (!ulv_db_change(db, &zone->r) ||
        !ulv_db_changed(db, op->object, ULV_QUERY_ZONES))
        return ulv_db_no_memory(diag);
    memcpy(zone->policy, op->name, sizeof(zone->policy));
    return ULV_OK;
}
