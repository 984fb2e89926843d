/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Policy rules, and the decisions made from them: what the command partition
 * refuses, and what it fills in where the caller left it open.
 *
 * For the command role and for whoever compiles a policy.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <ultravisor/abi/command.h>
#include <ultravisor/abi/policy.h>
#include <ultravisor/types.h>

/* 1 GiB and 4 processors a guest, 64 guests, any device by io-a and io-b. */
void ulv_policy_default(struct ulv_policy *ret);

/* Total on any bytes. Errors: FORMAT (text: field; diag: value, bound). */
ulv_status ulv_policy_check(const void *bytes, size_t len,
                            struct ulv_diag *diag);

/* The host as it is now. Borrowed. */
struct ulv_policy_facts {
    const struct ulv_partition_record *partitions;
    const struct ulv_memory_record *nodes;
    const struct ulv_device_record *devices;
    uint32_t partition_count, node_count, device_count;
};

/* A line for each decision. */
struct ulv_policy_reasons {
    void (*add)(void *self, const char *line);
    void *self;
};

/**
 * Decide about a transaction: refuse it, or fill in its operations.
 * @param operations  changed in place
 * Errors: POLICY (diag: value, bound; text: rule), NOT_FOUND (of the I/O pair
 * neither runs), ARG (a name without an end).
 * Context: any
 */
ulv_status ulv_policy_decide(const struct ulv_policy *policy,
                             const struct ulv_policy_facts *facts,
                             struct ulv_operation *operations, uint32_t count,
                             const struct ulv_policy_reasons *reasons,
                             struct ulv_diag *diag);

#endif
