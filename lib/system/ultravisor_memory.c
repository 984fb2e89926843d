/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Nodes of memory that came, went or are of another size: part of what
 * ultravisor_machine.c compares. The keeper says how much the pool has of each
 * node now; its frames are the first of the node's.
 */
#include <ultravisor/rescan.h>

#include "base/base.h"
#include "system/ultravisor.h"

static const struct ulv_op_add_memory *
find_node(const struct errand *found, uint32_t node)
{
    for (uint32_t i = 0; i < found->count; i++) {
        const struct ulv_operation *o = &found->operations[i];

        if (o->kind == ULV_OP_ADD_MEMORY && o->u.add_memory.node == node)
            return &o->u.add_memory;
    }
    return NULL;
}

static struct ulv_machine_change
change_of(ulv_id id, uint32_t node, uint64_t before, uint64_t after)
{
    struct ulv_machine_change c = {
        .object = id,
        .what = after > before ? ULV_MACHINE_ADDED : ULV_MACHINE_OFFLINE,
        .kind = ULV_QUERY_MEMORY,
        .bytes = after > before ? after - before : before - after,
    };
    struct ulv_text name;

    ulv_text_init(&name, c.name, sizeof(c.name));
    ulv_text_decimal(&name, node);
    return c;
}

/* Those that were known; one that is not named is gone, if all are. */
static void
follow_nodes(struct difference *d, const struct ulv_database *db,
             const struct errand *found, bool all)
{
    struct ulv_memory_record m = { .id = 0 };

    while (ulv_next_record(db, ULV_QUERY_MEMORY, m.id, &m, sizeof(m))) {
        const struct ulv_op_add_memory *now = find_node(found, m.node);
        const uint64_t before = m.bytes - m.gone_bytes;
        const uint64_t after = now == NULL ? 0 : now->bytes;
        struct ulv_machine_change c = change_of(m.id, m.node, before, after);
        struct ulv_op_resize_memory *op;

        if (before == after || (now == NULL && !all))
            continue;
        op = &ulv_difference_add(d, ULV_OP_RESIZE_MEMORY, &c)->u.resize_memory;
        op->id = m.id;
        op->bytes = after;
    }
}

static bool
is_known(const struct ulv_database *db, uint32_t node)
{
    struct ulv_memory_record m = { .id = 0 };
    bool more = true;

    while (more && (m.id == 0 || m.node != node))
        more = ulv_next_record(db, ULV_QUERY_MEMORY, m.id, &m, sizeof(m));
    return more;
}

void
ulv_ultravisor_compare_memory(struct difference *d,
                              const struct ulv_database *db,
                              const struct errand *found, bool all)
{
    follow_nodes(d, db, found, all);
    for (uint32_t i = 0; i < found->count; i++) {
        const struct ulv_operation *from = &found->operations[i];
        const struct ulv_op_add_memory *op = &from->u.add_memory;
        struct ulv_machine_change c;
        struct ulv_operation *o;

        if (from->kind != ULV_OP_ADD_MEMORY || is_known(db, op->node))
            continue;
        c = change_of(d->next++, op->node, 0, op->bytes);
        o = ulv_difference_add(d, ULV_OP_ADD_MEMORY, &c);
        *o = *from;
        o->u.add_memory.id = c.object;
    }
}

/* The same memory, but for what has gone since, or has come back. */
bool
ulv_ultravisor_has_memory(const struct ulv_database *db,
                          const struct ulv_op_add_memory *op)
{
    struct ulv_memory_record m = { .id = 0 };

    while (ulv_next_record(db, ULV_QUERY_MEMORY, m.id, &m, sizeof(m))) {
        if (m.base == op->base && (m.bytes == op->bytes ||
                                   m.bytes - m.gone_bytes == op->bytes))
            return true;
    }
    return false;
}
