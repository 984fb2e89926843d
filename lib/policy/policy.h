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

/* Total on any bytes; bytes is aligned to 8. Errors: FORMAT (text: field;
 * diag: value, bound), UNSUPPORTED (rules, where there are none). */
ulv_status ulv_policy_check(const void *bytes, size_t len,
                            struct ulv_diag *diag);

/* Memory that a guest has on a node. */
struct ulv_policy_home {
    ulv_id partition;
    uint64_t bytes;
    uint32_t node;
    uint32_t rsvd_;
};

/* A processor that a guest runs on. */
struct ulv_policy_seat {
    ulv_id partition;
    ulv_id processor;
};

/* What an object is known by: LABEL: "key=value"; of a zone also ZONE: its
 * name, and POLICY: what it refers to. */
struct ulv_policy_tag {
    ulv_id object;
    uint32_t kind; /* ULV_POLICY_OF_* */
    uint32_t rsvd_;
    char text[64];
};

/* The host as it is now. Borrowed. Partitions, devices and channels: ids go
 * up; tags: their objects' do. */
struct ulv_policy_facts {
    const struct ulv_partition_record *partitions;
    const struct ulv_memory_record *nodes;
    const struct ulv_device_record *devices;
    uint32_t partition_count, node_count, device_count;
    /* those that ulv_policy_needs() names; or none */
    uint32_t home_count, channel_count, processor_count, seat_count, tag_count;
    const struct ulv_policy_home *homes;
    const struct ulv_channel_record *channels;
    const struct ulv_processor_record *processors;
    const struct ulv_policy_seat *seats;
    const struct ulv_policy_tag *tags;
};

/* What a policy looks at beside partitions, nodes and devices. */
#define ULV_POLICY_NEEDS_HOMES      1u
#define ULV_POLICY_NEEDS_CHANNELS   2u
#define ULV_POLICY_NEEDS_PROCESSORS 4u /* and seats */
#define ULV_POLICY_NEEDS_TAGS       8u
uint32_t ulv_policy_needs(const struct ulv_policy *policy);

/* Each decision, and what is refused; borrowed for the call. */
struct ulv_policy_reasons {
    void (*add)(void *self, const struct ulv_policy_decision *decision);
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

/**
 * What of the host as it is now a policy would refuse: one REFUSED decision
 * for each, whose operation_idx is none. Returns how many.
 * Context: any
 */
uint32_t ulv_policy_review(const struct ulv_policy *policy,
                           const struct ulv_policy_facts *facts,
                           const struct ulv_policy_reasons *findings);

#endif
