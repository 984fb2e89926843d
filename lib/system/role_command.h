/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The command role, and what rules of a policy add to it: further facts, the
 * decisions told in full, another policy while it runs. Those are the functions
 * with "more" in their names: command_more.c, or command_plain.c on a bare
 * machine, whose policies have no rules.
 */
#ifndef SYSTEM_ROLE_COMMAND_H
#define SYSTEM_ROLE_COMMAND_H

#include "command/client.h"
#include "policy/policy.h"
#include "system/relay.h"
#include "system/sessions.h"

#define FACTS_MAX 16384u /* partitions, nodes, devices looked at, of each */

#define STATE_IDLE  0u
#define STATE_HELLO 1u /* passing on a HELLO */
#define STATE_QUERY 2u /* passing on a query */
#define STATE_FACTS 3u /* asking, facts_left answers are to come */
#define STATE_WAIT  4u /* the transaction is with the ultravisor */
#define STATE_READ  5u /* passing on what is asked of a cursor */
#define STATE_JOIN  6u /* one came: who else waits is carried out with it */
#define STATE_GROW  7u /* the facts are there; the same, then it is decided */

/* Of one kind, as they were answered. */
struct records {
    void *all;
    uint32_t capacity;
};

struct command_more {
    struct records homes, channels, processors, seats, tags;
    uint32_t home_count; /* in use; the table has gaps */
    /* which operation of the caller's each of ours is of; a processor each */
    bool spread;
    uint16_t origin[ULV_OPERATION_COUNT_MAX];
    struct review *review; /* a policy that is looked at, or NULL */
};

/* How long it pays to wait for those who were answered last: they may be about
 * to ask for their next. */
struct command_round {
    uint64_t number;    /* of those that were answered together, so far */
    uint32_t away;      /* of the last: who has not asked again */
    ulv_nsec began, took; /* what they asked for, at the ultravisor */
    ulv_nsec until;     /* they are waited for; 0: they are not */
    uint32_t away_then; /* when that began */
    uint32_t vain, skip; /* times in a row, and how often not to try */
};

#define GROUP_OPERATIONS_MAX 512u /* of all of its requests */

/* Requests of several clients, as they were asked: command_group.c. */
struct command_group {
    struct command_member {
        struct ulv_command_session *session; /* NULL: it is gone */
        uint32_t first, count; /* of asked */
    } member[64];
    uint32_t count, used;
    uint32_t company; /* enum company of all of them */
    bool together; /* they are one transaction; or, from next on, each is */
    uint32_t next;
    uint32_t precondition_count; /* of the first */
    struct command_round round;
    struct ulv_operation
        asked[ULV_REQUEST_GROUPS ? GROUP_OPERATIONS_MAX : 1];
};

struct command_role {
    struct role role;
    struct wire above, policy_wire; /* to the ultravisor; to operations */
    struct ulv_command_client client;
    struct sessions sessions; /* the callers */
    struct relay relay;       /* what they watch */
    struct ulv_channel_end policy_end;
    bool has_client, has_policy_end, asked_policy, has_policy;
    bool above_lost;
    struct ulv_policy policy;
    struct ulv_diag no_policy; /* status: it was refused */

    /* the request under way */
    struct ulv_command_session *asking; /* NULL: its caller is gone */
    uint32_t state, facts_left;
    struct ulv_command_transaction transaction; /* of the next two */
    uint64_t awaited, upstream; /* request numbers there: first and last */
    uint32_t tries;    /* that came to nothing */
    uint32_t query_kind;
    uint64_t query_after;
    uint64_t revision; /* that the facts are of */
    struct ulv_precondition preconditions[ULV_PRECONDITION_COUNT_MAX];
    struct ulv_operation operations[ULV_COMMAND_OPERATIONS_MAX];
    struct records partitions, nodes, devices;
    struct ulv_policy_facts facts;
    struct command_more more;
    struct command_group group;
};

/* ---- role_command.c ------------------------------------------------------ */

/* Room for more records. Errors: LIMIT (above FACTS_MAX), NO_MEMORY. */
ulv_status ulv_command_reserve(const struct command_role *r,
                               struct records *records, size_t bytes,
                               uint32_t count, uint32_t more);
/* Append those of an answer. Errors: the same, PEER_PROTOCOL. */
ulv_status
ulv_command_take_facts(const struct command_role *r,
                       const struct ulv_message_query_answer *answer,
                       struct records *records, size_t bytes, uint32_t *count);
void ulv_command_drop_records(const struct command_role *r,
                              struct records *records, size_t bytes);
/* Ask for all facts anew; then decide, or review. */
void ulv_command_look(struct command_role *r);

/* The transaction is there: ask for the facts that it needs, then decide. */
void ulv_command_judge(struct command_role *r);
void ulv_command_decide(struct command_role *r);

/* ---- command_group.c; where ULV_REQUEST_GROUPS --------------------------- */

/* Whether others may be carried out with the transaction that has come: then
 * they are looked for in the next step. */
bool ulv_command_group_begin(struct command_role *r);
/* Whether others may join what the facts are there for: then they are looked
 * for in the same step, and it is decided. */
bool ulv_command_group_may_grow(const struct command_role *r);
/* Look for others, or begin the next of those that could not be together. */
void ulv_command_group_step(struct command_role *r, struct role_need *need);
/* What was decided about was sent; one is answered. */
void ulv_command_group_sent(struct command_role *r);
void ulv_command_group_answer(struct command_role *r,
                              struct ulv_command_session *session);
/* Whether what failed were several: each is begun alone, or hears that, if it
 * is not known what became of them. */
bool
ulv_command_group_failed(struct command_role *r,
                         const struct ulv_message_transaction_answer *answer);
/* Whether what was answered were several: all are, or each is begun alone. */
bool
ulv_command_group_answered(struct command_role *r,
                           const struct ulv_message_transaction_answer *answer);
/* What the policy would say to several; nobody is told. Errors: of that,
 * TIMEOUT (to one of them nothing is left), NO_MEMORY. */
ulv_status ulv_command_group_try(struct command_role *r,
                                 struct ulv_diag *diag);
/* As ulv_command_ahead_left(), of all that are carried out. */
bool ulv_command_group_left(const struct command_role *r, uint64_t *ret);
/* Whose operation that is, and which of its; NULL: it is gone. */
const struct ulv_command_session *
ulv_command_group_asking(const struct command_role *r,
                         uint32_t *operation_idx);
void ulv_command_group_leave(struct command_role *r,
                             struct ulv_command_session *gone);

/* ---- command_more.c, or command_plain.c ---------------------------------- */

/* Of reasons: self is the role. */
void ulv_command_say(void *self, const struct ulv_policy_decision *decision);
/* The query behind kind (0: the first); 0: that is all. */
uint32_t ulv_command_more_next(const struct command_role *r, uint32_t kind);
ulv_status ulv_command_more_take(struct command_role *r,
                                 const struct ulv_message_query_answer *answer);
/* The facts are there: a request is to be decided about. Errors: LIMIT. */
ulv_status ulv_command_more_begin(struct command_role *r,
                                  struct ulv_diag *diag);
/* Whether the facts were for a review, which is now done. */
bool ulv_command_more_review(struct command_role *r);
/* Whether what failed was one. */
bool ulv_command_more_failed(struct command_role *r,
                             const struct ulv_diag *diag);
/* An answer tells of our operations: it is to tell of the caller's. */
void ulv_command_more_origin(const struct command_role *r,
                             struct ulv_message_transaction_answer *answer);
void ulv_command_more_step(struct command_role *r);
void ulv_command_more_drop(struct command_role *r);

#endif
