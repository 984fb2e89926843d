/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The policy of a system while it runs: what was decided by it and why, what
 * another one would refuse of what there is, and putting that in force.
 *
 * For programs that show decisions, and for those that manage a host. A policy
 * is made by ulv_policy_compile(); what it says is in doc/policy.md.
 */
#ifndef ULTRAVISOR_POLICY_H
#define ULTRAVISOR_POLICY_H

#include <ultravisor/abi/policy.h>
#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ULV_DECISIONS_KEPT 512u

/**
 * The oldest decision with a sequence above after: what was chosen, by which
 * rule, among which candidates, and why not the others; or what was refused.
 * Decisions of dry runs are marked. There is one for each ULV_EVENT_DECISION,
 * whose value is its sequence; what is refused has no event.
 *
 * @param system  a system
 * @param after   0, or the sequence of the decision read last
 * @param ret     filled
 *
 * Errors:  ULV_E_AGAIN  there is none; those before the last
 *                       ULV_DECISIONS_KEPT are forgotten
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_decision_next(const ulv_system *system, uint64_t after,
                                     struct ulv_policy_decision *ret);

/**
 * The sequence of the last decision; 0: none was made.
 *
 * @param system  a system
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API uint64_t ulv_decision_last(const ulv_system *system);

/* What a policy would refuse of what there is. */
struct ulv_policy_review {
    uint32_t size;  /* sizeof, set by the caller */
    uint32_t count; /* of findings; the first of them are told */
    uint32_t told;
    uint32_t in_force;
    uint64_t revision; /* of what was looked at */
    struct ulv_policy_finding finding[ULV_POLICY_FINDINGS_MAX];
};

/**
 * Say what another policy would refuse today, of partitions and what they have;
 * nothing is changed.
 *
 * @param system  a system
 * @param policy  a compiled policy, borrowed
 * @param bytes   of it
 * @param ret     filled; ret->size is set by the caller
 * @param diag    NULL or where the failure is explained
 *
 * Errors:  ULV_E_FORMAT     it is none; diag says what is wrong
 *          ULV_E_ARG        ret->size is too small
 *          ULV_E_PEER_GONE  the command or operations partition is dead
 *          ULV_E_LIMIT      there is more than can be looked at
 *          ULV_E_NO_MEMORY, ULV_E_PEER_PROTOCOL
 * Context: serial; steps the system until the answer is there
 * Since:   0.1
 */
ULV_API ulv_status ulv_policy_preview(ulv_system *system, const void *policy,
                                      size_t bytes,
                                      struct ulv_policy_review *ret,
                                      struct ulv_diag *diag);

/**
 * Put another policy in force, for every request from here on; what there is
 * stays as it is. The operations partition keeps it; where there is a storage
 * it is in that before this returns, and in force in the next system that is
 * given no policy. A failure leaves the old one in force, whole.
 *
 * @param system  a system
 * @param policy  a compiled policy, borrowed
 * @param bytes   of it
 * @param flags   0, or ULV_POLICY_UNLESS_REFUSED: only if it would refuse
 *                nothing of what there is
 * @param ret     NULL, or filled as by ulv_policy_preview()
 * @param diag    NULL or where the failure is explained
 *
 * Errors:  those of ulv_policy_preview()
 *          ULV_E_POLICY  it would refuse what there is, and was not to; the
 *                        first finding is explained, ret has the others
 *          ULV_E_ARG     unknown flags
 *          ULV_E_MEDIUM, ULV_E_NO_MEMORY, ULV_E_DENIED  the storage does not
 *                        take it
 * Context: serial; steps the system until the answer is there
 * Since:   0.1
 */
ULV_API ulv_status ulv_policy_replace(ulv_system *system, const void *policy,
                                      size_t bytes, uint32_t flags,
                                      struct ulv_policy_review *ret,
                                      struct ulv_diag *diag);

/**
 * The policy in force: compiled, borrowed until another one is.
 *
 * @param system  a system
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API const struct ulv_policy *ulv_policy_in_force(const ulv_system *system);

#ifdef __cplusplus
}
#endif

#endif
