/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A machine that has changed: the keeper says what there is, and the database
 * comes to have that by one transaction. Of what is gone whoever had it is told
 * when that is committed.
 *
 * What differs is worked out when the errand is run: others that came before it
 * may have given a device away, or taken it.
 */
#include <ultravisor/rescan.h>

#include "base/base.h"
#include "system/ultravisor.h"

bool
ulv_next_record(const struct ulv_database *db, uint32_t kind, uint64_t after,
                void *ret, size_t size)
{
    uint32_t bytes, count = 0;
    bool more;

    return ulv_database_query(db, kind, after, ret, size, &bytes, &count,
                              &more) == ULV_OK &&
           count != 0;
}

/* ---- what was there and is ----------------------------------------------- */

/* Records of the database beside what was found. */
struct match {
    const struct errand *found;
    ulv_id *id; /* of each that was found; 0: it is new */
    struct ulv_hardware_record *known;
    uint32_t *at; /* where each of them was found; UINT32_MAX: it is gone */
    uint32_t count;
};

static uint32_t
count_hardware(const struct ulv_database *db)
{
    struct ulv_hardware_record h = {.id = 0};
    uint32_t count = 0;

    while (ulv_next_record(db, ULV_QUERY_HARDWARE, h.id, &h, sizeof(h)))
        count++;
    return count;
}

static void
free_match(const struct ulv_host *host, struct match *m)
{
    host->free(host->self, m->id, (m->found->count + 1) * sizeof(*m->id));
    host->free(host->self, m->known, (m->count + 1) * sizeof(*m->known));
    host->free(host->self, m->at, (m->count + 1) * sizeof(*m->at));
}

static ulv_status
read_known(struct ultravisor_role *r, struct match *m)
{
    const struct ulv_host *host = r->role.host;
    uint64_t after = 0;

    m->count = count_hardware(r->db);
    m->id = host->alloc(host->self, (m->found->count + 1) * sizeof(*m->id), 8);
    m->known = host->alloc(host->self, (m->count + 1) * sizeof(*m->known), 8);
    m->at = host->alloc(host->self, (m->count + 1) * sizeof(*m->at), 8);
    if (m->id == NULL || m->known == NULL || m->at == NULL)
        return ULV_E_NO_MEMORY;
    for (uint32_t i = 0; i < m->count; i++) {
        (void)ulv_next_record(r->db, ULV_QUERY_HARDWARE, after, &m->known[i],
                              sizeof(*m->known));
        after = m->known[i].id;
    }
    return ULV_OK;
}

/* One with the same name that is of another model or size is another one. */
static bool
is_that(const struct ulv_hardware_record *h, const struct ulv_operation *o)
{
    const struct ulv_op_add_hardware *op = &o->u.add_hardware;

    return o->kind == ULV_OP_ADD_HARDWARE && h->kind == op->kind &&
           h->model == op->model && h->device_class == op->device_class &&
           h->bytes == op->bytes &&
           ulv_string_equal(h->name, op->name, sizeof(h->name));
}

static uint32_t
find(const struct match *m, const struct ulv_hardware_record *h)
{
    uint32_t i = 0;

    while (i < m->found->count && !is_that(h, &m->found->operations[i]))
        i++;
    return i < m->found->count ? i : UINT32_MAX;
}

static bool
is_there(const struct match *m, ulv_id id)
{
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->known[i].id == id)
            return m->at[i] != UINT32_MAX;
    }
    return false;
}

/* A function goes with what it is of. */
static void
match(struct match *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        m->at[i] = find(m, &m->known[i]);
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->known[i].parent != 0 && !is_there(m, m->known[i].parent))
            m->at[i] = UINT32_MAX;
        if (m->at[i] != UINT32_MAX)
            m->id[m->at[i]] = m->known[i].id;
    }
}

/* ---- what is to be done -------------------------------------------------- */

static struct ulv_operation *
add(struct difference *d, uint32_t kind, const struct ulv_machine_change *c)
{
    d->change[d->count] = *c;
    d->operation[d->count].kind = kind;
    return &d->operation[d->count++];
}

static void
drop_devices(struct difference *d, const struct match *m, bool functions)
{
    for (uint32_t i = 0; i < m->count; i++) {
        const struct ulv_hardware_record *h = &m->known[i];
        struct ulv_machine_change c = {
            .object = h->id,
            .owner = h->owner == ULV_ID_IDLE ? 0 : h->owner,
            .what = ULV_MACHINE_REMOVED,
            .kind = ULV_QUERY_HARDWARE,
        };
        struct ulv_op_remove_hardware *op;

        if (m->at[i] != UINT32_MAX || (h->parent != 0) != functions)
            continue;
        ulv_string_copy(c.name, sizeof(c.name), h->name);
        op = &add(d, ULV_OP_REMOVE_HARDWARE, &c)->u.remove_hardware;
        op->id = h->id;
        op->gone = 1;
    }
}

/* The id of what the keeper's i-th is a function of. Its numbers go up by one,
 * and what others are functions of comes before them. */
static ulv_id
parent_of(const struct match *m, uint32_t i)
{
    const struct ulv_op_add_hardware *op =
        &m->found->operations[i].u.add_hardware;
    const uint64_t back = op->id - op->parent;

    return op->parent == 0 || back > i ? 0 : m->id[i - back];
}

static void
add_devices(struct difference *d, const struct match *m)
{
    for (uint32_t i = 0; i < m->found->count; i++) {
        const struct ulv_operation *from = &m->found->operations[i];
        struct ulv_machine_change c = {.what = ULV_MACHINE_ADDED,
                                       .kind = ULV_QUERY_HARDWARE};
        struct ulv_operation *o;

        if (from->kind != ULV_OP_ADD_HARDWARE || m->id[i] != 0)
            continue;
        c.object = m->id[i] = d->next++;
        ulv_string_copy(c.name, sizeof(c.name), from->u.add_hardware.name);
        o = add(d, ULV_OP_ADD_HARDWARE, &c);
        *o = *from;
        o->u.add_hardware.id = m->id[i];
        o->u.add_hardware.parent = parent_of(m, i);
    }
}

void
ulv_difference_free(struct difference *d)
{
    const struct ulv_host *host = d->host;

    if (host == NULL)
        return;
    host->free(host->self, d->operation, d->capacity * sizeof(*d->operation));
    host->free(host->self, d->change, d->capacity * sizeof(*d->change));
}

/* So many ids, which are the database's when what uses them is committed. */
static ulv_status
have_ids(struct ultravisor_role *r, uint32_t count)
{
    ulv_status status;

    if (r->ids_end - r->ids >= count)
        return ULV_OK;
    status = ulv_ultravisor_lease(r, &r->ids);
    r->ids_end = status == ULV_OK ? r->ids + ULV_ID_LEASE_COUNT : r->ids;
    return status;
}

ulv_status
ulv_ultravisor_compare(struct ultravisor_role *r, const struct errand *found,
                       struct difference *ret)
{
    const struct ulv_host *host = r->role.host;
    struct match m = {.found = found};
    ulv_status status = read_known(r, &m);

    *ret = (struct difference){.host = host};
    if (status == ULV_OK)
        status = have_ids(r, found->count);
    if (status == ULV_OK) {
        ret->capacity = m.count + found->count + 1;
        ret->operation =
            host->alloc(host->self, ret->capacity * sizeof(*ret->operation), 8);
        ret->change =
            host->alloc(host->self, ret->capacity * sizeof(*ret->change), 8);
        if (ret->operation == NULL || ret->change == NULL)
            status = ULV_E_NO_MEMORY;
    }
    if (status == ULV_OK) {
        ret->next = r->ids;
        match(&m);
        drop_devices(ret, &m, true);
        drop_devices(ret, &m, false);
        add_devices(ret, &m);
    }
    free_match(host, &m);
    return status;
}

void
ulv_ultravisor_tell_loss(struct ultravisor_role *r, const struct difference *d)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct ulv_machine_change *c = &d->change[i];
        struct ulv_partition_record p;
        struct ulv_text line;
        char text[96];

        if (c->owner == 0 || ulv_database_find(r->db, ULV_QUERY_PARTITIONS,
                                               c->owner, &p) != ULV_OK)
            continue;
        ulv_text_init(&line, text, sizeof(text));
        ulv_text_format(&line, "%s: its device %s is gone", p.name, c->name);
        ulv_role_tell(&r->role, ULV_EVENT_FAULT, p.id, c->object, text);
    }
}

/* ---- as an errand -------------------------------------------------------- */

ulv_status
ulv_ultravisor_hear_machine(struct ultravisor_role *r,
                            const struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    struct errand *e;
    ulv_status status = ulv_ultravisor_gather(r, heard, &e);

    if (status != ULV_OK || e == NULL)
        return status;
    e->scan = host->alloc(host->self, sizeof(*e->scan), 8);
    if (e->scan == NULL) {
        ulv_ultravisor_free_errand(r, e);
        return ULV_E_NO_MEMORY;
    }
    e->scan->number = heard->say.u.machine.number;
    e->scan->dry_run = heard->say.u.machine.dry_run != 0;
    e->quiet = true; /* who asks is told */
    ulv_ultravisor_queue_errand(r, e);
    return ULV_OK;
}

void
ulv_ultravisor_run_scan(struct ultravisor_role *r)
{
    struct errand *e = r->errand;
    struct difference *d = &e->scan->difference;
    struct ulv_request request = {.operation_count = 0};
    struct ulv_diag diag = ULV_DIAG_INIT;

    diag.status = ulv_ultravisor_compare(r, e, d);
    if (diag.status != ULV_OK)
        ulv_fail(&diag, diag.status, 0, 0, 0,
                 "what the machine has now cannot be compared: %s",
                 ulv_status_text(diag.status));
    if (diag.status != ULV_OK || d->count == 0) {
        ulv_ultravisor_finish(r, &diag, UINT32_MAX,
                              ulv_database_revision(r->db));
        return;
    }
    request.operations = d->operation;
    request.operation_count = d->count;
    request.options = e->scan->dry_run ? ULV_TRANSACTION_DRY_RUN : 0;
    ulv_ultravisor_begin(r, &request);
}

void
ulv_ultravisor_end_scan(struct ultravisor_role *r, const struct errand *errand,
                        const struct ulv_diag *diag)
{
    const struct scan *scan = errand->scan;
    const struct difference *d = &scan->difference;
    struct say say = {.kind = SAY_SCANNED};

    say.u.scanned.number = scan->number;
    say.u.scanned.revision = ulv_database_revision(r->db);
    say.u.scanned.diag = *diag;
    if (diag->status == ULV_OK) {
        say.u.scanned.count = d->count;
        say.u.scanned.told = ULV_MIN(d->count, ULV_RESCAN_CHANGES_MAX);
        say.tail_bytes = say.u.scanned.told * (uint32_t)sizeof(*d->change);
    }
    if (diag->status == ULV_OK && !scan->dry_run) {
        r->ids = d->next;
        ulv_ultravisor_tell_loss(r, d);
    }
    ulv_post_tell(&r->role.post, &say, d->change, NULL, 0);
}
