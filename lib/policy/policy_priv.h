/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the files of this folder share: one transaction that is decided about,
 * and how its parts are looked at. Cost: the size of the facts for each
 * operation and rule; nothing is allocated.
 */
#ifndef POLICY_POLICY_PRIV_H
#define POLICY_POLICY_PRIV_H

#include "base/base.h"
#include "policy/policy.h"

struct decision {
    const struct ulv_policy *policy;
    const struct ulv_policy_facts *facts;
    struct ulv_operation *operations;
    uint32_t count;
    uint32_t idx; /* of the operation that is looked at */
    const struct ulv_policy_reasons *reasons;
    struct ulv_diag *diag;
    bool review; /* nothing is asked: what there is is looked at */
    struct ulv_policy_decision said; /* what is being decided */
};

/* ---- policy.c ------------------------------------------------------------ */

static inline bool
ulv_policy_terminated(const char s[32])
{
    return ulv_string_length(s, 32) < 32;
}

const struct ulv_partition_record *
ulv_policy_partition(const struct decision *d, ulv_id id);
/* What makes it in this transaction; NULL: nothing, or without a name. */
const struct ulv_op_create_partition *
ulv_policy_made(const struct decision *d, ulv_id id);
/* A partition's name, also one that this transaction creates; or "?". */
const char *ulv_policy_name(const struct decision *d, ulv_id id);
/* An I/O partition. A guest may have any name that is free: it does not become
 * a server. 0: there is none. */
ulv_id ulv_policy_io(const struct decision *d, const char name[32]);
/* A name of at most size bytes, or a prefix and a final '*'. */
bool ulv_policy_matches(const char pattern[32], const char *name, size_t size);
bool ulv_policy_serves(const struct decision *d, ulv_id io);
/* Devices that it serves, with those of this transaction. */
uint64_t ulv_policy_load(const struct decision *d, ulv_id io);
/* Free on a node when this transaction has what it asks for there. */
uint64_t ulv_policy_free(const struct decision *d,
                         const struct ulv_memory_record *node);
/* Whether the pair a, b (0: there is none) may serve as was asked. */
bool ulv_policy_lets(const struct ulv_op_offer *op, ulv_id a, ulv_id b);

/* Whether it may run so long without a system call. [ns; 0: for ever] */
ulv_status ulv_policy_may_be_silent(struct decision *d, ulv_id guest,
                                    const char *name, uint64_t limit);
/* A client's name is no string before it is looked at. */
ulv_status ulv_policy_unnamed(const struct decision *d, ulv_id id);

/* Begin to say what is decided, and say it: format is what diag or the caller
 * is told. */
void ulv_policy_begin(struct decision *d, uint32_t kind, ulv_id object);
void ulv_policy_say(struct decision *d, const char *text);

/* What may come of it: the next of those that are told, or spare. */
struct ulv_policy_candidate *
ulv_policy_candidate(struct decision *d, uint64_t what,
                     struct ulv_policy_candidate *spare);
/* The first that one of them was not taken for; "": none. */
static inline const char *
ulv_policy_first_rule(const struct decision *d)
{
    for (uint32_t i = 0; i < d->said.candidate_count &&
                         i < ULV_DECISION_CANDIDATES_MAX;
         i++) {
        if (d->said.candidate[i].rule[0] != '\0')
            return d->said.candidate[i].rule;
    }
    return "";
}
/* Those that could have been it are outranked by the best; shown: what that is
 * told by. */
void ulv_policy_outrank(struct decision *d, uint32_t best, uint64_t shown);

/* ---- place.c, or plain.c where there are no rules but the first ones ----- */
ulv_status ulv_policy_place_memory(struct decision *d,
                                   struct ulv_op_assign_memory *op);
ulv_status ulv_policy_place_device(struct decision *d,
                                   struct ulv_op_offer *op);
ulv_status ulv_policy_place_processors(struct decision *d,
                                       struct ulv_op_assign_processors *op);
/* Nothing of a move is chosen: whether it may be there. */
ulv_status ulv_policy_place_move(struct decision *d,
                                 const struct ulv_op_move_memory *op);

/* ---- rules.c, or plain.c ------------------------------------------------- */
ulv_status ulv_policy_check_rules(const struct ulv_policy *policy,
                                  struct ulv_diag *diag);
/* How often it starts again. */
ulv_status ulv_policy_restarts(struct decision *d,
                               struct ulv_op_create_partition *op);
/* Whether so often, and within which window [ms; 0: ULV_RESTART_WINDOW]. */
ulv_status ulv_policy_may_restart(struct decision *d, ulv_id guest,
                                  const char *name, uint32_t restarts,
                                  uint32_t *ret_window);
/* Whether a guest that is there may be changed so. (change.c) */
ulv_status ulv_policy_change(struct decision *d,
                             struct ulv_op_change_partition *op);
/* The name that this transaction gives it last; NULL: none. (change.c) */
const char *ulv_policy_renamed(const struct decision *d, ulv_id id);
bool ulv_policy_selects(const struct decision *d,
                        const struct ulv_policy_selector *of, ulv_id id);
/* By label, zone or policy. (tags.c) */
bool ulv_policy_is_tagged(const struct decision *d,
                          const struct ulv_policy_selector *of, ulv_id guest);
/* What an operation gives or takes such a tag, or 0; and what it renames. */
ulv_id ulv_policy_tags(const struct ulv_operation *o);
ulv_id ulv_policy_renames(const struct ulv_operation *o);
/* Whether it is to be destroyed. */
bool ulv_policy_goes(const struct decision *d, ulv_id partition);
/* A refusal is told, and counted. */
typedef void ulv_policy_find(struct decision *d, ulv_status status,
                             uint32_t *count);
void ulv_policy_review_limits(struct decision *d, ulv_policy_find *find,
                              uint32_t *count);
void ulv_policy_review_affinity(struct decision *d, ulv_policy_find *find,
                                uint32_t *count);
/* When all is decided: the sums. */
ulv_status ulv_policy_check_limits(struct decision *d);
/* What diag says was refused is a decision too. */
void ulv_policy_say_refusal(struct decision *d);
/* Refuse: by which rule, value, bound; the text is said and told. */
ulv_status ulv_policy_refuse(struct decision *d, const char *rule,
                             uint64_t value, uint64_t bound, const char *text);

/* ---- affinity.c ---------------------------------------------------------- */

/* Somewhere that a guest might be: a node, an I/O partition (and the other of
 * its pair), a processor. */
struct place {
    uint64_t what, other;
    const struct ulv_processor_record *processor;
    uint32_t over[3]; /* ULV_POLICY_OVER_* that it is one of */
    uint32_t over_count;
};

/* Whether rules keep the guest from it: fills in the candidate and returns
 * false. *ret_missed counts what would rather be otherwise. */
bool ulv_policy_admits(const struct decision *d, ulv_id guest,
                       const struct place *place,
                       struct ulv_policy_candidate *candidate,
                       uint32_t *ret_missed);
/* Whether a rule that must be kept is of it, over one of these (bits). */
bool ulv_policy_is_bound(const struct decision *d, ulv_id guest,
                         uint32_t over);
/* How many pieces those that a rule is of have there, but this one: what each
 * has of a node counts one, as does each operation. */
uint64_t ulv_policy_peers(const struct decision *d,
                          const struct ulv_policy_selector *of, ulv_id but,
                          const struct place *place, uint32_t over);
/* Bytes of a node, or processors, that are held back from the guest; *ret the
 * last rule that holds some. */
uint64_t ulv_policy_held(const struct decision *d, ulv_id guest, uint32_t node,
                         const struct ulv_policy_reservation **ret);

/* The same of processors. */
uint32_t ulv_policy_held_processors(const struct decision *d, ulv_id guest,
                                    uint32_t node,
                                    const struct ulv_policy_reservation **ret);

#endif
