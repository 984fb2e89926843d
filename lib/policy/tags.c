/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What guests are known by beside their names: labels, the zone they are in,
 * and the part of the policy that they, or their zones, refer to. As the facts
 * have it, changed by the operations of the transaction in their order.
 */
#include "policy/policy_priv.h"

#define KEY_BYTES   16u
#define VALUE_BYTES 48u
#define NAME_BYTES  32u

/* "key=value" */
static void
label_text(char text[64], const struct ulv_op_set_label *op)
{
    struct ulv_text line;

    ulv_text_init(&line, text, 64);
    ulv_text_bytes(&line, op->key, ulv_string_length(op->key, KEY_BYTES));
    ulv_text_string(&line, "=");
    ulv_text_bytes(&line, op->value, ulv_string_length(op->value, VALUE_BYTES));
}

/* Whether an operation from first on sets the label that begins like text. */
static bool
is_set_later(const struct decision *d, ulv_id object, const char text[64],
             uint32_t first)
{
    for (uint32_t i = first; i < d->count; i++) {
        const struct ulv_op_set_label *op = &d->operations[i].u.set_label;
        size_t len;

        if (d->operations[i].kind != ULV_OP_SET_LABEL || op->object != object)
            continue;
        len = ulv_string_length(op->key, KEY_BYTES);
        if (memcmp(op->key, text, len) == 0 && text[len] == '=')
            return true;
    }
    return false;
}

static uint32_t
first_tag(const struct decision *d, ulv_id object)
{
    const struct ulv_policy_tag *all = d->facts->tags;
    uint32_t low = 0, high = d->facts->tag_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (all[middle].object < object)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
has_label(const struct decision *d, ulv_id object, const char pattern[32])
{
    char text[64];

    for (uint32_t i = first_tag(d, object);
         i < d->facts->tag_count && d->facts->tags[i].object == object; i++) {
        const struct ulv_policy_tag *tag = &d->facts->tags[i];

        if (tag->kind == ULV_POLICY_OF_LABEL &&
            ulv_policy_matches(pattern, tag->text, sizeof(tag->text)) &&
            !is_set_later(d, object, tag->text, 0))
            return true;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_op_set_label *op = &d->operations[i].u.set_label;

        if (d->operations[i].kind != ULV_OP_SET_LABEL ||
            op->object != object || op->value[0] == '\0')
            continue;
        label_text(text, op);
        if (ulv_policy_matches(pattern, text, sizeof(text)) &&
            !is_set_later(d, object, text, i + 1))
            return true;
    }
    return false;
}

/* Its zone, when this transaction is done; 0: none. */
static ulv_id
zone_of(const struct decision *d, ulv_id guest)
{
    const struct ulv_partition_record *p = ulv_policy_partition(d, guest);
    ulv_id zone = p == NULL ? 0 : p->zone;

    for (uint32_t i = 0; i < d->count; i++) {
        if (d->operations[i].kind == ULV_OP_SET_ZONE &&
            d->operations[i].u.set_zone.partition == guest)
            zone = d->operations[i].u.set_zone.zone;
    }
    return zone;
}

/* The text of that kind, of a zone or a guest: *ret has size bytes; NULL: it
 * has none. */
static const char *
text_of(const struct decision *d, ulv_id object, uint32_t kind, size_t *ret)
{
    const struct ulv_partition_record *p = ulv_policy_partition(d, object);
    const char *found = NULL;

    *ret = NAME_BYTES;
    if (p != NULL && kind == ULV_POLICY_OF_POLICY)
        found = p->policy;
    for (uint32_t i = first_tag(d, object);
         i < d->facts->tag_count && d->facts->tags[i].object == object; i++) {
        if (d->facts->tags[i].kind == kind)
            found = d->facts->tags[i].text;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_operation *o = &d->operations[i];

        if (kind == ULV_POLICY_OF_POLICY && o->kind == ULV_OP_SET_POLICY &&
            o->u.set_policy.object == object)
            found = o->u.set_policy.name;
        if (kind == ULV_POLICY_OF_ZONE && o->kind == ULV_OP_CREATE_ZONE &&
            o->u.create_zone.id == object)
            found = o->u.create_zone.name;
    }
    return found == NULL || found[0] == '\0' ? NULL : found;
}

/* What a guest refers to goes before what its zone does. */
bool
ulv_policy_is_tagged(const struct decision *d,
                     const struct ulv_policy_selector *of, ulv_id guest)
{
    const char *text = NULL;
    size_t size = 0;
    ulv_id zone;

    if (of->kind == ULV_POLICY_OF_LABEL)
        return has_label(d, guest, of->pattern);
    zone = zone_of(d, guest);
    if (of->kind == ULV_POLICY_OF_POLICY)
        text = text_of(d, guest, of->kind, &size);
    if (text == NULL && zone != 0)
        text = text_of(d, zone, of->kind, &size);
    return text != NULL && ulv_policy_matches(of->pattern, text, size);
}

ulv_id
ulv_policy_tags(const struct ulv_operation *o)
{
    switch (o->kind) {
    case ULV_OP_SET_LABEL:
        return o->u.set_label.object;
    case ULV_OP_SET_ZONE:
        return o->u.set_zone.partition;
    case ULV_OP_SET_POLICY:
        return o->u.set_policy.object;
    default:
        return 0;
    }
}
