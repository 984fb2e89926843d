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
count_records(const struct ulv_database *db, uint32_t kind)
{
    uint64_t record[32] = {0}; /* of any kind; its id comes first */
    uint32_t count = 0;

    while (ulv_next_record(db, kind, record[0], record, sizeof(record)))
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

    m->count = count_records(r->db, ULV_QUERY_HARDWARE);
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

struct ulv_operation *
ulv_difference_add(struct difference *d, uint32_t kind,
                   const struct ulv_machine_change *c)
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
        op = &ulv_difference_add(d, ULV_OP_REMOVE_HARDWARE, &c)
                  ->u.remove_hardware;
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
        o = ulv_difference_add(d, ULV_OP_ADD_HARDWARE, &c);
        *o = *from;
        o->u.add_hardware.id = m->id[i];
        o->u.add_hardware.parent = parent_of(m, i);
    }
}

/* ---- processors ---------------------------------------------------------- */

static const struct ulv_op_add_processor *
find_processor(const struct errand *found, uint32_t os_number)
{
    for (uint32_t i = 0; i < found->count; i++) {
        const struct ulv_operation *o = &found->operations[i];

        if (o->kind == ULV_OP_ADD_PROCESSOR &&
            o->u.add_processor.os_number == os_number)
            return &o->u.add_processor;
    }
    return NULL;
}

static struct ulv_machine_change
change_of(ulv_id id, uint32_t os_number, uint32_t what)
{
    struct ulv_machine_change c = {
        .object = id, .what = what, .kind = ULV_QUERY_PROCESSORS};
    struct ulv_text name;

    ulv_text_init(&name, c.name, sizeof(c.name));
    ulv_text_decimal(&name, os_number);
    return c;
}

static void
retire(struct difference *d, const struct ulv_processor_record *p, bool online)
{
    struct ulv_machine_change c = change_of(
        p->id, p->os_number, online ? ULV_MACHINE_ONLINE : ULV_MACHINE_OFFLINE);
    struct ulv_op_retire_processor *op;

    c.owner = p->owner == ULV_ID_IDLE ? 0 : p->owner;
    op = &ulv_difference_add(d, ULV_OP_RETIRE_PROCESSOR, &c)
              ->u.retire_processor;
    op->processor = p->id;
    op->how = online ? ULV_RETIRE_ONLINE : ULV_RETIRE_OFFLINE;
}

/* Those that were known. What is broken stays so. */
static void
follow_processors(struct difference *d, const struct ulv_database *db,
                  const struct errand *found, bool all)
{
    struct ulv_processor_record p = {.id = 0};

    while (ulv_next_record(db, ULV_QUERY_PROCESSORS, p.id, &p, sizeof(p))) {
        const bool online = find_processor(found, p.os_number) != NULL;

        if (online ? p.retired == ULV_RETIRED_OFFLINE : all && p.retired == 0)
            retire(d, &p, online);
    }
}

static bool
is_known(const struct ulv_database *db, uint32_t os_number)
{
    struct ulv_processor_record p = {.id = 0};
    bool more = true;

    while (more && (p.id == 0 || p.os_number != os_number))
        more = ulv_next_record(db, ULV_QUERY_PROCESSORS, p.id, &p, sizeof(p));
    return more;
}

static void
add_processors(struct difference *d, const struct ulv_database *db,
               const struct errand *found)
{
    for (uint32_t i = 0; i < found->count; i++) {
        const struct ulv_operation *from = &found->operations[i];
        struct ulv_machine_change c;
        struct ulv_operation *o;

        if (from->kind != ULV_OP_ADD_PROCESSOR ||
            is_known(db, from->u.add_processor.os_number))
            continue;
        c = change_of(d->next++, from->u.add_processor.os_number,
                      ULV_MACHINE_ADDED);
        o = ulv_difference_add(d, ULV_OP_ADD_PROCESSOR, &c);
        *o = *from;
        o->u.add_processor.id = c.object;
    }
}

/* ---- the whole ----------------------------------------------------------- */

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

static ulv_status
make_room(struct difference *d, uint32_t count)
{
    const struct ulv_host *host = d->host;

    d->capacity = count;
    d->operation = host->alloc(host->self, count * sizeof(*d->operation), 8);
    d->change = host->alloc(host->self, count * sizeof(*d->change), 8);
    return d->operation == NULL || d->change == NULL ? ULV_E_NO_MEMORY : ULV_OK;
}

ulv_status
ulv_ultravisor_compare(struct ultravisor_role *r, const struct errand *found,
                       uint32_t all, struct difference *ret)
{
    struct match m = {.found = found};
    ulv_status status = read_known(r, &m);

    *ret = (struct difference){.host = r->role.host};
    if (status == ULV_OK)
        status = have_ids(r, found->count);
    if (status == ULV_OK)
        status = make_room(
            ret, m.count + count_records(r->db, ULV_QUERY_PROCESSORS) +
                     count_records(r->db, ULV_QUERY_MEMORY) + found->count + 1);
    if (status == ULV_OK) {
        ret->next = r->ids;
        follow_processors(ret, r->db, found,
                          (all & 1u << ULV_QUERY_PROCESSORS) != 0);
        add_processors(ret, r->db, found);
        ulv_ultravisor_compare_memory(ret, r->db, found,
                                      (all & 1u << ULV_QUERY_MEMORY) != 0);
    }
    if (status == ULV_OK && (all & 1u << ULV_QUERY_HARDWARE) != 0) {
        match(&m);
        drop_devices(ret, &m, true);
        drop_devices(ret, &m, false);
        add_devices(ret, &m);
    }
    free_match(r->role.host, &m);
    return status;
}

/* ---- who is told --------------------------------------------------------- */

static bool
runs_on(const struct ulv_database *db, ulv_id partition, ulv_id processor)
{
    struct ulv_view_processor on[MACHINE_PROCESSORS_MAX];
    const uint32_t count = ulv_database_view_processors(
        ulv_database_partition(db, partition), on, MACHINE_PROCESSORS_MAX);

    for (uint32_t i = 0; i < ULV_MIN(count, MACHINE_PROCESSORS_MAX); i++) {
        if (on[i].id == processor)
            return true;
    }
    return false;
}

static bool
is_concerned(const struct ulv_database *db, const struct ulv_machine_change *c,
             ulv_id partition)
{
    switch (c->kind) {
    case ULV_QUERY_HARDWARE:
        return c->what == ULV_MACHINE_REMOVED && c->owner == partition;
    case ULV_QUERY_PROCESSORS:
        return c->what == ULV_MACHINE_OFFLINE &&
               runs_on(db, partition, c->object);
    default:
        return c->what == ULV_MACHINE_OFFLINE &&
               ulv_database_gone_bytes(db, c->object, partition) != 0;
    }
}

static void
tell_loss(struct ultravisor_role *r, const struct ulv_machine_change *c,
          const struct ulv_partition_record *p)
{
    struct ulv_text line;
    char text[96];

    ulv_text_init(&line, text, sizeof(text));
    if (c->kind == ULV_QUERY_MEMORY)
        ulv_text_format(&line, "%s: %z of its memory on node %s are offline",
                        p->name,
                        ulv_database_gone_bytes(r->db, c->object, p->id),
                        c->name);
    else if (c->kind == ULV_QUERY_HARDWARE)
        ulv_text_format(&line, "%s: its device %s is gone", p->name, c->name);
    else
        ulv_text_format(&line, "%s: its processor %s is offline", p->name,
                        c->name);
    ulv_role_tell(&r->role, ULV_EVENT_FAULT, p->id, c->object, text);
}

void
ulv_ultravisor_tell_loss(struct ultravisor_role *r, const struct difference *d)
{
    struct ulv_partition_record p = {.id = 0};

    while (ulv_next_record(r->db, ULV_QUERY_PARTITIONS, p.id, &p, sizeof(p))) {
        for (uint32_t i = 0; i < d->count; i++) {
            if (is_concerned(r->db, &d->change[i], p.id))
                tell_loss(r, &d->change[i], &p);
        }
    }
}

/* ---- as an errand -------------------------------------------------------- */

ulv_status
ulv_ultravisor_gather(struct ultravisor_role *r, const struct heard *heard,
                      struct errand **ret)
{
    const struct say_machine *say = &heard->say.u.machine;
    const uint32_t some =
        heard->say.tail_bytes / (uint32_t)sizeof(struct ulv_operation);
    struct errand *e = r->gathering;

    *ret = NULL;
    if (say->first == 0) {
        ulv_ultravisor_free_errand(r, e);
        r->gathering = e = say->count > MACHINE_MAX
                               ? NULL
                               : ulv_ultravisor_make_errand(r, say->count);
        r->gathered = 0;
    }
    if (e == NULL || e->count != say->count || r->gathered != say->first ||
        some > say->count - say->first)
        return ULV_E_PEER_PROTOCOL;
    memcpy(&e->operations[say->first], heard->tail,
           some * sizeof(struct ulv_operation));
    r->gathered += some;
    if (r->gathered == say->count) {
        *ret = e;
        r->gathering = NULL;
    }
    return ULV_OK;
}

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
    e->scan->all = heard->say.u.machine.all;
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

    diag.status = ulv_ultravisor_compare(r, e, e->scan->all, d);
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
