/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A compiled policy: what the operations partition holds and the command
 * partition decides by. Made from JSON by ulv_policy_compile() on Linux, or by
 * a build for firmware. All numbers little-endian. Also the protocol by which
 * the one fetches it from the other, over a channel of type POLICY.
 */
#ifndef ULTRAVISOR_ABI_POLICY_H
#define ULTRAVISOR_ABI_POLICY_H

#include <stdint.h>

#define ULV_POLICY_MAGIC     UINT64_C(0x314c4f505f564c55) /* "ULV_POL1" */
#define ULV_POLICY_RULES_MAX 32u

/* which node, where the caller leaves it open */
#define ULV_POLICY_NODE_MOST_FREE 0u
#define ULV_POLICY_NODE_FIRST     1u

/* which I/O partition serves first, where the caller leaves it open */
#define ULV_POLICY_SIDE_LEAST_LOADED 0u
#define ULV_POLICY_SIDE_FIRST        1u

/* A pair of I/O partitions that may serve devices whose name matches. */
struct ulv_policy_rule {
    char device[32]; /* exact, or a prefix and a final '*' */
    char primary[32], standby[32]; /* names; order does not matter */
};

struct ulv_policy {
    uint64_t magic;
    uint64_t memory_per_guest;    /* [bytes] */
    uint64_t silence_limit;       /* [ns] given to guests; 0 = none */
    uint32_t processors_per_guest;
    uint32_t guests;              /* that may exist at a time */
    uint32_t node;                /* ULV_POLICY_NODE_* */
    uint32_t side;                /* ULV_POLICY_SIDE_* */
    uint32_t rule_count;          /* a device that no rule names is refused */
    uint32_t restarts;            /* of a guest that resets itself, within
                                     ULV_RESTART_WINDOW; 0 = it stays down */
    struct ulv_policy_rule rule[ULV_POLICY_RULES_MAX];
};

/* record types on the policy channel */
#define ULV_POLICY_GET  1u /* client to server, empty */
#define ULV_POLICY_IS   2u /* server to client: struct ulv_policy */

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_policy_rule) == 96, "abi");
_Static_assert(sizeof(struct ulv_policy) == 48 + 32 * 96, "abi");
#endif

#endif
