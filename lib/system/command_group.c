/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Requests of several clients that wait become one transaction: decided once,
 * ordered once, and synced once. It is what one client could have asked for.
 * Who comes while the facts are asked for is decided about with the first.
 *
 * A, B, C = requests of three clients, ABC = one transaction of all of them,
 * + = it is committed, ! = the answer is that it is not, ? = there is none.
 *
 * 1. ABC+: each is answered with the same revision.
 * 2. ABC! A+ B! C+: one by one, as if they had never been together. Who was
 *    right has lost time, and B alone is told why.
 * 3. ABC, and the ultravisor dies: asked again under its number, like any
 *    other.
 * 4. ABC?: it may have been carried out, so none of them is asked again: each
 *    hears that there is no answer.
 * 5. What must fail: AB, where B expects a version that A changes: B alone
 *    would be a CONFLICT. So only the first may have preconditions.
 * 6. What must fail: AB, where what A destroys makes room for B under a rule
 *    that A alone leaves broken. So those that destroy are among themselves.
 *
 * Who was answered together tends to ask together: if some of them have not
 * asked again when the next of the others comes, these are waited for, at most
 * half as long as it took to carry out what they asked for. Otherwise two
 * halves would take turns, and each would wait for the other's sync and for its
 * own. Where that came to nothing it is tried less and less.
 *
 * What starts or stops somebody, or takes memory, processors or a channel away,
 * comes alone: in one order two of these could contradict one another (a guest
 * that one client starts and another stops, memory that drains twice), which is
 * held against the ultravisor. The machine's devices and ranges are only in the
 * books, and no rule is about them: they may come and go in any company.
 */
#include "system/role_command.h"

#include "base/base.h"
#include "command/ahead.h"

/* Which operations requests may have that are carried out together. */
enum company { ALONE, TAKING, GIVING };
static const uint8_t company[] = {
    [ULV_OP_CREATE_PARTITION] = TAKING,  [ULV_OP_DESTROY_PARTITION] = GIVING,
    [ULV_OP_ASSIGN_MEMORY] = TAKING,     [ULV_OP_ASSIGN_PROCESSORS] = TAKING,
    [ULV_OP_CREATE_ZONE] = TAKING,       [ULV_OP_DESTROY_ZONE] = TAKING,
    [ULV_OP_SET_ZONE] = TAKING,          [ULV_OP_SET_QUOTA] = TAKING,
    [ULV_OP_SET_LABEL] = TAKING,         [ULV_OP_SET_POLICY] = TAKING,
    [ULV_OP_OFFER] = TAKING,             [ULV_OP_ATTACH] = TAKING,
    [ULV_OP_CONNECT] = TAKING,           [ULV_OP_SET_QUANTA] = TAKING,
    [ULV_OP_ASSIGN_HARDWARE] = TAKING,   [ULV_OP_RELEASE_HARDWARE] = TAKING,
    [ULV_OP_MOVE_HARDWARE] = TAKING,     [ULV_OP_ASSIGN_RANGE] = TAKING,
    [ULV_OP_RELEASE_RANGE] = TAKING,     [ULV_OP_MOVE_RANGE] = TAKING,
    [ULV_OP_CHANGE_PARTITION] = TAKING,
};

static enum company
company_of(uint32_t options, const struct ulv_operation *operations,
           uint32_t count)
{
    uint8_t found = TAKING;

    if (options != 0 || count > GROUP_OPERATIONS_MAX)
        return ALONE;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t kind = operations[i].kind < ULV_COUNT_OF(company)
                                 ? company[operations[i].kind]
                                 : ALONE;

        if (i != 0 && kind != found)
            return ALONE;
        found = kind;
    }
    return found;
}

/* It is not away any more. */
static void
is_back(struct command_round *round, struct ulv_command_session *session)
{
    if (session->round == round->number && round->away != 0)
        round->away--;
    session->round = 0;
}

static void
add(struct command_group *g, struct ulv_command_session *session,
    const struct ulv_operation *operations, uint32_t count)
{
    struct command_member *m = &g->member[g->count++];

    is_back(&g->round, session);
    m->session = session;
    m->first = g->used;
    m->count = count;
    if (count != 0)
        memcpy(&g->asked[g->used], operations, count * sizeof(*operations));
    g->used += count;
}

/* ---- together ------------------------------------------------------------ */

bool
ulv_command_group_begin(struct command_role *r)
{
    r->group.company =
        company_of(r->transaction.options, r->operations,
                   r->transaction.operation_count);
    if (r->group.company == ALONE)
        return false;
    r->state = STATE_JOIN;
    return true;
}

static bool
join(void *self, struct ulv_command_session *session,
     const struct ulv_command_request *request)
{
    struct command_role *r = self;
    struct command_group *g = &r->group;
    const struct ulv_message_transaction *t = request->u.transaction;

    if (g->count == ULV_COUNT_OF(g->member) || t->precondition_count != 0 ||
        company_of(t->options, request->operations, t->operation_count) !=
            g->company ||
        t->operation_count > ULV_COUNT_OF(g->asked) - g->used)
        return false;
    add(g, session, request->operations, t->operation_count);
    return true;
}

/* What is to be carried out, and who waits and may be with it. */
static void
gather(struct command_role *r)
{
    struct command_group *g = &r->group;
    struct ulv_command_transaction *t = &r->transaction;

    if (!g->together) {
        g->used = 0;
        add(g, r->asking, r->operations, t->operation_count);
        g->precondition_count = t->precondition_count;
    }
    ulv_command_server_join(&r->sessions.server, join);
    g->together = g->count > 1;
    if (g->together) {
        memcpy(r->operations, g->asked, g->used * sizeof(*g->asked));
        t->operation_count = g->used;
        r->asking = NULL; /* all of them */
    } else {
        g->count = 0;
    }
}

#define WORTH_NS UINT64_C(200000) /* to wait for less is not */
#define VAIN_MAX 6u

/* Whether those who are away are waited for. */
static bool
waits(struct command_role *r, struct role_need *need)
{
    struct command_round *round = &r->group.round;
    const ulv_nsec now = r->role.host->now(r->role.host->self);

    if (round->until == 0) {
        if (round->away == 0 || round->took < WORTH_NS)
            return false;
        if (round->skip != 0) {
            round->skip--;
            return false;
        }
        round->until = now + round->took / 2;
        round->away_then = round->away;
    }
    if (round->away != 0 && now < round->until) {
        need->deadline = ULV_MIN(need->deadline, round->until);
        return true;
    }
    round->until = 0;
    round->vain = round->away < round->away_then
                      ? 0
                      : ULV_MIN(round->vain + 1, VAIN_MAX);
    round->skip = (1u << round->vain) - 1;
    return false;
}

void
ulv_command_group_sent(struct command_role *r)
{
    struct command_round *round = &r->group.round;

    round->number++;
    round->away = 0;
    round->began = r->role.host->now(r->role.host->self);
}

void
ulv_command_group_answer(struct command_role *r,
                         struct ulv_command_session *session)
{
    struct command_round *round = &r->group.round;

    round->took = r->role.host->now(r->role.host->self) - round->began;
    round->away++;
    session->round = round->number;
}

bool
ulv_command_group_may_grow(const struct command_role *r)
{
    const struct command_group *g = &r->group;

    /* not what is looked at for a review, nor one that is begun again */
    return r->more.review == NULL && g->company != ALONE &&
           (g->together || g->count == 0);
}

static void
answer_all(struct command_role *r,
           const struct ulv_message_transaction_answer *answer)
{
    struct command_group *g = &r->group;

    for (uint32_t i = 0; i < g->count; i++) {
        struct ulv_message_transaction_answer copy = *answer;

        if (g->member[i].session == NULL)
            continue;
        ulv_command_group_answer(r, g->member[i].session);
        ulv_command_answer_transaction(g->member[i].session, &copy);
    }
    g->together = false;
    g->count = 0;
    r->state = STATE_IDLE;
}

/* It was not carried out. */
static void
take_apart(struct command_role *r)
{
    r->group.together = false;
    r->group.next = 0;
    r->state = STATE_IDLE;
}

bool
ulv_command_group_failed(struct command_role *r,
                         const struct ulv_message_transaction_answer *answer)
{
    if (!r->group.together)
        return false;
    if (r->state == STATE_WAIT)
        answer_all(r, answer);
    else
        take_apart(r);
    return true;
}

bool
ulv_command_group_answered(struct command_role *r,
                           const struct ulv_message_transaction_answer *answer)
{
    if (!r->group.together)
        return false;
    if (answer->status == ULV_OK)
        answer_all(r, answer);
    else
        take_apart(r);
    return true;
}

static void
tell_nobody(void *self, const struct ulv_policy_decision *decision)
{
    (void)self;
    (void)decision;
}

/* What is left to the one that has the least; false: to one nothing. */
static bool
least_left(const struct command_group *g, uint64_t *ret)
{
    bool all = true;

    *ret = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        uint64_t left = 0;

        if (g->member[i].session == NULL)
            continue;
        if (!ulv_command_ahead_left(g->member[i].session, &left)) {
            all = false;
            left = 1;
        }
        if (left != 0 && (*ret == 0 || left < *ret))
            *ret = left;
    }
    return all;
}

ulv_status
ulv_command_group_try(struct command_role *r, struct ulv_diag *diag)
{
    const struct ulv_host *host = r->role.host;
    const struct ulv_policy_reasons nobody = { tell_nobody, NULL };
    const uint32_t count = r->transaction.operation_count;
    struct ulv_operation *copy;
    ulv_status status;
    uint64_t left;

    if (!r->group.together || count == 0)
        return ULV_OK;
    if (!least_left(&r->group, &left))
        return ULV_E_TIMEOUT;
    copy = host->alloc(host->self, count * sizeof(*copy), 8);
    if (copy == NULL)
        return ULV_E_NO_MEMORY;
    memcpy(copy, r->operations, count * sizeof(*copy));
    status = ulv_policy_decide(&r->policy, &r->facts, copy, count, &nobody,
                               diag);
    host->free(host->self, copy, count * sizeof(*copy));
    return status;
}

bool
ulv_command_group_left(const struct command_role *r, uint64_t *ret)
{
    if (!r->group.together)
        return ulv_command_ahead_left(r->asking, ret);
    (void)least_left(&r->group, ret); /* too late: the answer will say so */
    return true;
}

const struct ulv_command_session *
ulv_command_group_asking(const struct command_role *r,
                         uint32_t *operation_idx)
{
    const struct command_group *g = &r->group;

    for (uint32_t i = 0; g->together && i < g->count; i++) {
        const struct command_member *m = &g->member[i];

        if (*operation_idx < m->first || *operation_idx - m->first >= m->count)
            continue;
        *operation_idx -= m->first;
        return m->session;
    }
    return r->asking;
}

/* ---- one by one ---------------------------------------------------------- */

static void
begin_alone(struct command_role *r)
{
    struct command_group *g = &r->group;
    struct ulv_command_transaction *t = &r->transaction;
    const struct command_member *m = &g->member[g->next++];

    if (m->session == NULL)
        return; /* it was not begun, and nobody waits for it */
    r->asking = m->session;
    r->tries = 0;
    t->precondition_count = g->next == 1 ? g->precondition_count : 0;
    t->operation_count = m->count;
    memcpy(r->operations, &g->asked[m->first], m->count * sizeof(*g->asked));
    ulv_command_judge(r);
}

void
ulv_command_group_step(struct command_role *r, struct role_need *need)
{
    struct command_group *g = &r->group;

    if (r->state == STATE_JOIN) {
        gather(r);
        if (waits(r, need))
            return;
        ulv_command_judge(r);
    } else if (r->state == STATE_GROW) {
        gather(r);
        ulv_command_decide(r);
    }
    while (r->state == STATE_IDLE && g->next < g->count)
        begin_alone(r);
    if (r->state == STATE_IDLE)
        g->count = 0;
}

void
ulv_command_group_leave(struct command_role *r,
                        struct ulv_command_session *gone)
{
    struct command_group *g = &r->group;

    if (gone != NULL)
        is_back(&g->round, gone);
    for (uint32_t i = 0; i < g->count; i++) {
        if (g->member[i].session == gone)
            g->member[i].session = NULL;
    }
}
