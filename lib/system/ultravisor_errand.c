/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Errands: the transactions that the ultravisor makes by itself, in the order
 * in which the keeper told of what they are about.
 *
 * D(a) = the errand of a role's death: state LOST, and its devices to their
 * standby. What moves is worked out when the errand is run, not when the death
 * is heard.
 *
 * 1. D(a): what a served is served by b, and a is LOST, at once.
 * 2. D(a) D(b): a's devices stay, since b is known to be dead; both are LOST.
 * 3. D(a), and the keeper or the database refuse the move: D(a) again without
 *    it. The state is a fact, whatever becomes of the devices.
 * 4. What must fail: a move that was worked out before D(a) names b after D(b)
 *    has made it LOST, is refused, and takes the state down with it.
 */
#include "base/base.h"
#include "system/ultravisor.h"

static size_t
errand_bytes(const struct errand *e)
{
    return sizeof(*e) + e->count * sizeof(struct ulv_operation);
}

struct errand *
ulv_ultravisor_make_errand(struct ultravisor_role *r, uint32_t count)
{
    const struct ulv_host *host = r->role.host;
    struct errand *e = host->alloc(
        host->self, sizeof(*e) + count * sizeof(struct ulv_operation), 8);

    if (e != NULL)
        e->count = count;
    return e;
}

void
ulv_ultravisor_queue_errand(struct ultravisor_role *r, struct errand *e)
{
    *r->errands_end = e;
    r->errands_end = &e->next;
}

struct errand *
ulv_ultravisor_new_errand(struct ultravisor_role *r, uint32_t count)
{
    struct errand *e = ulv_ultravisor_make_errand(r, count);

    if (e != NULL)
        ulv_ultravisor_queue_errand(r, e);
    return e;
}

void
ulv_ultravisor_free_errand(struct ultravisor_role *r, struct errand *e)
{
    const struct ulv_host *host = r->role.host;

    if (e == NULL)
        return;
    if (ULV_DEVICES && e->scan != NULL) {
        ulv_difference_free(&e->scan->difference);
        host->free(host->self, e->scan, sizeof(*e->scan));
    }
    host->free(host->self, e, errand_bytes(e));
}

static bool
is_lost(const struct ultravisor_role *r, ulv_id id)
{
    struct ulv_partition_record p;

    for (const struct errand *e = r->errands; e != NULL; e = e->next) {
        if (e->dead == id)
            return true;
    }
    return ulv_database_find(r->db, ULV_QUERY_PARTITIONS, id, &p) != ULV_OK ||
           p.state == ULV_STATE_LOST;
}

/* Devices that the dead one served and another can serve: at most room of
 * them into operations, all are counted. */
static uint32_t
moves(const struct ultravisor_role *r, ulv_id dead,
      struct ulv_operation *operations, uint32_t room)
{
    struct ulv_device_record d;
    uint32_t bytes, some, count = 0;
    uint64_t after = 0;
    bool more = true;

    while (more) {
        if (ulv_database_query(r->db, ULV_QUERY_DEVICES, after, &d, sizeof(d),
                               &bytes, &some, &more) != ULV_OK ||
            some == 0)
            break;
        after = d.id;
        if (d.serving != dead || d.standby == 0 || is_lost(r, d.standby))
            continue;
        if (count < room) {
            operations[count].kind = ULV_OP_REHOME;
            operations[count].u.rehome.device = d.id;
            operations[count].u.rehome.server = d.standby;
        }
        count++;
    }
    return count;
}

/* The operations of an errand, behind those that move devices. */
static void
move_and(struct ultravisor_role *r, struct errand *e, uint32_t count)
{
    const struct ulv_host *host = r->role.host;
    struct ulv_request request = { .operation_count = count + e->count };
    const size_t bytes =
        request.operation_count * sizeof(struct ulv_operation);
    struct ulv_operation *all = host->alloc(host->self, bytes, 8);
    struct ulv_diag diag = ULV_DIAG_INIT;

    e->moving = true;
    if (all == NULL) {
        diag.status = ulv_fail(&diag, ULV_E_NO_MEMORY, e->dead, count, 0,
                               "no memory to move %u devices",
                               (uint64_t)count);
        r->errand = NULL;
        ulv_ultravisor_end_errand(r, e, &diag);
        return;
    }
    (void)moves(r, e->dead, all, count);
    memcpy(&all[count], e->operations, e->count * sizeof(*all));
    request.operations = all;
    ulv_ultravisor_begin(r, &request);
    host->free(host->self, all, bytes);
}

void
ulv_ultravisor_run_errand(struct ultravisor_role *r)
{
    struct errand *e = r->errands;
    struct ulv_request request = { .operations = e->operations,
                                   .operation_count = e->count };
    uint32_t count;

    r->errands = e->next;
    if (r->errands == NULL)
        r->errands_end = &r->errands;
    r->errand = e;
    if (ULV_DEVICES && e->scan != NULL) {
        ulv_ultravisor_run_scan(r);
        return;
    }
    count = e->dead == 0 || e->stays ? 0 : moves(r, e->dead, NULL, 0);
    if (count > 0)
        move_and(r, e, count);
    else
        ulv_ultravisor_begin(r, &request);
}

/* It could not be started again: then it has ended. */
static void
note_end_only(struct ultravisor_role *r, const struct ulv_op_set_state *op)
{
    const struct say_state say = { .partition = op->partition,
                                   .state = op->state,
                                   .reason = op->reason,
                                   .code = op->code };

    (void)ulv_ultravisor_note_state(r, &say);
}

void
ulv_ultravisor_end_errand(struct ultravisor_role *r, struct errand *errand,
                          const struct ulv_diag *diag)
{
    struct say say = { .kind = SAY_BOOTED };

    if (ULV_DEVICES && errand->scan != NULL)
        ulv_ultravisor_end_scan(r, errand, diag);
    if (errand->boot) {
        r->booted = diag->status == ULV_OK;
        say.u.order_done.diag = *diag;
        ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
    } else if (diag->status != ULV_OK && !errand->quiet) {
        ulv_role_tell(&r->role, ULV_EVENT_FAULT, diag->object, 0, diag->text);
    }
    if (errand->told) {
        say.kind = SAY_NOTED;
        say.u.state.partition = errand->operations[0].u.set_state.partition;
        say.u.state.state = errand->operations[0].u.set_state.state;
        ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
    }
    if (diag->status != ULV_OK && errand->again)
        note_end_only(r, &errand->operations[0].u.set_state);
    if (diag->status != ULV_OK && errand->moving) {
        errand->moving = false;
        errand->stays = true;
        errand->next = r->errands;
        if (r->errands == NULL)
            r->errands_end = &errand->next;
        r->errands = errand;
        return;
    }
    if (diag->status != ULV_OK)
        (void)ulv_settle_object_gone(&r->settle, errand->settles);
    ulv_ultravisor_free_errand(r, errand);
}

void
ulv_ultravisor_drop_errands(struct ultravisor_role *r)
{
    ulv_ultravisor_free_errand(r, r->errand);
    if (ULV_DEVICES)
        ulv_ultravisor_free_errand(r, r->gathering);
    while (r->errands != NULL) {
        struct errand *e = r->errands;

        r->errands = e->next;
        ulv_ultravisor_free_errand(r, e);
    }
}

/* ---- what the keeper tells ----------------------------------------------- */

/* Of a guest that has reset itself: it starts again in the transaction in which
 * it ended, if its rule allows one more. */
static bool
is_to_start_again(struct ultravisor_role *r, const struct say_state *say)
{
    const struct ulv_host *host = r->role.host;

    return say->state == ULV_STATE_STOPPED && say->image != 0 &&
           say->reason == ULV_END_REASON_RESET &&
           ulv_database_take_restart(r->db, say->partition,
                                     host->now(host->self));
}

ulv_status
ulv_ultravisor_note_state(struct ultravisor_role *r,
                          const struct say_state *say)
{
    struct ulv_partition_record p;
    struct errand *e;
    bool again;

    /* told again to one that was started again */
    if (ULV_RESTARTS && say->state == ULV_STATE_RUNNING &&
        ulv_database_find(r->db, ULV_QUERY_PARTITIONS, say->partition, &p) ==
            ULV_OK &&
        p.state == ULV_STATE_RUNNING)
        return ULV_OK;
    again = is_to_start_again(r, say);
    e = ulv_ultravisor_new_errand(r, again ? 2 : 1);
    if (e == NULL)
        return ULV_E_NO_MEMORY;
    if (say->state != ULV_STATE_RUNNING) /* the keeper tells ends only */
        ulv_ultravisor_mark_dead(r, say->partition);
    e->operations[0].kind = ULV_OP_SET_STATE;
    e->operations[0].u.set_state.partition = say->partition;
    e->operations[0].u.set_state.state = say->state;
    e->operations[0].u.set_state.reason = say->reason;
    e->operations[0].u.set_state.code = say->code;
    e->told = !again;
    e->again = again;
    if (again) {
        e->operations[1].kind = ULV_OP_SET_INTENT;
        e->operations[1].u.set_intent.partition = say->partition;
        e->operations[1].u.set_intent.intent = ULV_INTENT_RUNNING;
        e->operations[1].u.set_intent.image = say->image;
    }
    return ULV_OK;
}

ulv_status
ulv_ultravisor_note_death(struct ultravisor_role *r, ulv_id dead)
{
    struct ulv_partition_record p;
    struct errand *e;

    /* told again to one that was started again */
    if (ULV_RESTARTS &&
        ulv_database_find(r->db, ULV_QUERY_PARTITIONS, dead, &p) == ULV_OK &&
        p.state == ULV_STATE_LOST)
        return ULV_OK;
    e = ulv_ultravisor_new_errand(r, 1);
    if (e == NULL)
        return ULV_E_NO_MEMORY;
    ulv_ultravisor_mark_dead(r, dead);
    e->dead = dead;
    e->operations[0].kind = ULV_OP_SET_STATE;
    e->operations[0].u.set_state.partition = dead;
    e->operations[0].u.set_state.state = ULV_STATE_LOST;
    return ULV_OK;
}

/* Nobody has it any more. Memory that moves is given on at once: errands run
 * one after the other, before anybody else's transaction. */
ulv_status
ulv_ultravisor_note_drained(struct ultravisor_role *r, ulv_id object)
{
    struct ulv_effect_extent what;
    struct errand *settle, *grant;

    if (!ulv_database_draining(r->db, object, &what))
        return ULV_OK;
    settle = ulv_ultravisor_new_errand(r, 1);
    if (settle == NULL)
        return ULV_E_NO_MEMORY;
    settle->quiet = true; /* it may be destroyed before */
    settle->operations[0].kind = ULV_OP_SETTLE;
    settle->operations[0].u.settle.object = object;
    if (what.partition == 0) {
        settle->settles = object;
        return ULV_OK;
    }
    grant = ulv_ultravisor_new_errand(r, 1);
    if (grant == NULL)
        return ULV_E_NO_MEMORY;
    grant->settles = object;
    grant->operations[0].kind = ULV_OP_GRANT;
    grant->operations[0].u.grant.partition = what.partition;
    grant->operations[0].u.grant.frame = what.frame;
    grant->operations[0].u.grant.bytes = what.bytes;
    return ULV_OK;
}

/* A guest gave memory back; somebody may have taken it from it meanwhile. */
ulv_status
ulv_ultravisor_note_returned(struct ultravisor_role *r,
                             const struct say_returned *say)
{
    struct errand *e = ulv_ultravisor_new_errand(r, 1);

    if (e == NULL)
        return ULV_E_NO_MEMORY;
    e->quiet = true;
    e->operations[0].kind = ULV_OP_RELEASE_MEMORY;
    e->operations[0].u.release_memory.partition = say->partition;
    e->operations[0].u.release_memory.guest_address = say->guest_address;
    e->operations[0].u.release_memory.bytes = say->bytes;
    return ULV_OK;
}

ulv_status
ulv_ultravisor_boot(struct ultravisor_role *r, const struct heard *heard)
{
    struct errand *e;
    ulv_status status =
        r->booted ? ULV_E_PEER_PROTOCOL : ulv_ultravisor_gather(r, heard, &e);

    if (status != ULV_OK || e == NULL)
        return status;
    if (r->boot_again != NULL) {
        status = r->boot_again(r, e, heard->say.u.machine.all);
        ulv_ultravisor_free_errand(r, e);
        return status;
    }
    e->boot = true;
    ulv_ultravisor_queue_errand(r, e);
    return ULV_OK;
}
