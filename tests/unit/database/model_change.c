/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the model says of that which partitions were made with. */
#include "model.h"

#define NAMES (PARTITIONS + 8u)
#define WHAT_END (2 * ULV_PARTITION_SET_RESTARTS)

struct model_partition *
model_named(struct model *m, uint64_t number)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        if (m->p[i].id != 0 && m->p[i].name == number)
            return &m->p[i];
    }
    return NULL;
}

/* Sometimes into one that is refused: what is expected then. */
static ulv_status
spoil(const struct model *m, struct ulv_op_change_partition *op)
{
    switch (model_random(16)) {
    case 0:
        op->id = m->io[0];
        return ULV_E_DENIED;
    case 1:
        op->what |= WHAT_END;
        return ULV_E_ARG;
    case 2:
        op->what = ULV_PARTITION_SET_RESTARTS;
        op->restarts = ULV_RESTARTS_MAX + 1;
        return ULV_E_ARG;
    case 3:
        op->what = ULV_PARTITION_SET_NAME;
        memset(op->name, model_random(2) == 0 ? 'x' : 0, sizeof(op->name));
        return ULV_E_ARG;
    default:
        return ULV_OK;
    }
}

void
model_change(struct model *m, uint64_t i)
{
    struct model_partition *p = &m->p[i], *named;
    struct ulv_operation o = { .kind = ULV_OP_CHANGE_PARTITION };
    struct ulv_op_change_partition *op = &o.u.change_partition;
    uint64_t number = model_random(NAMES);
    struct ulv_text name;
    ulv_status status, expected;

    op->id = p->id != 0 ? p->id : NOBODY;
    op->what = (uint32_t)model_random(WHAT_END);
    op->silence_limit = model_random(1000);
    op->restarts = (uint32_t)model_random(ULV_RESTARTS_MAX + 1);
    op->restart_window = (uint32_t)model_random(100000);
    ulv_text_init(&name, op->name, sizeof(op->name));
    ulv_text_format(&name, "p%u", number);
    expected = spoil(m, op);
    if (p->id == 0 && op->id == NOBODY)
        expected = ULV_E_NOT_FOUND;
    if (expected == ULV_OK && op->what == 0)
        expected = ULV_E_ARG;
    named = model_named(m, number);
    if (expected == ULV_OK && (op->what & ULV_PARTITION_SET_NAME) != 0 &&
        named != NULL && named != p)
        expected = ULV_E_EXISTS;
    status = commit(m, &o, 1);
    assert_int_equal(status, expected);
    if (status != ULV_OK)
        return;
    if ((op->what & ULV_PARTITION_SET_NAME) != 0)
        p->name = number;
    if ((op->what & ULV_PARTITION_SET_SILENCE) != 0)
        p->silence = op->silence_limit;
    if ((op->what & ULV_PARTITION_SET_RESTARTS) != 0) {
        p->restarts = op->restarts;
        p->window = op->restart_window;
    }
}

void
model_compare_changes(const struct model *m)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct model_partition *p = &m->p[i];
        struct ulv_view_partition view;
        struct ulv_partition_record r;
        struct ulv_text line;
        char name[32];

        if (p->id == 0)
            continue;
        ulv_text_init(&line, name, sizeof(name));
        ulv_text_format(&line, "p%u", p->name);
        assert_int_equal(
            ulv_database_find(m->db, ULV_QUERY_PARTITIONS, p->id, &r), ULV_OK);
        assert_string_equal(r.name, name);
        assert_int_equal(r.silence_limit, p->silence);
        assert_int_equal(r.restarts, p->restarts);
        assert_int_equal(r.restart_window, p->window);
        assert_int_equal(ulv_database_view_partition(
                             ulv_database_partition(m->db, p->id), &view),
                         ULV_OK);
        assert_string_equal(view.name, name);
        assert_int_equal(view.silence_limit, p->silence);
    }
}
