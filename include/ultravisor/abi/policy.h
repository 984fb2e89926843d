/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A compiled policy: what the operations partition holds and the command
 * partition decides by. Made from JSON by ulv_policy_compile() on Linux, or by
 * a build for firmware. All numbers little-endian, no pointers. Also the
 * protocol by which the one fetches it from the other, over a channel of type
 * POLICY, and what a decision looks like to a program.
 */
#ifndef ULTRAVISOR_ABI_POLICY_H
#define ULTRAVISOR_ABI_POLICY_H

#include <stdint.h>

#define ULV_POLICY_MAGIC     UINT64_C(0x324c4f505f564c55) /* "ULV_POL2" */
#define ULV_POLICY_VERSION   2u
#define ULV_POLICY_RULES_MAX 32u /* of each kind */

/* which node, where the caller leaves it open */
#define ULV_POLICY_NODE_MOST_FREE 0u
#define ULV_POLICY_NODE_FIRST     1u
#define ULV_POLICY_NODE_PACK      2u /* that has least free, and enough */
#define ULV_POLICY_NODE_SPREAD    3u /* with fewest pieces of those that the
                                        rule is of */

/* which I/O partition serves first, where the caller leaves it open */
#define ULV_POLICY_SIDE_LEAST_LOADED 0u
#define ULV_POLICY_SIDE_FIRST        1u
#define ULV_POLICY_SIDE_PACK         2u /* that serves most of those */
#define ULV_POLICY_SIDE_SPREAD       3u /* that serves fewest of those */

/* No bound, or what a rule leaves to the policy's own. */
#define ULV_POLICY_OPEN 0xffffffffu

/* Which guests a rule is of. */
#define ULV_POLICY_OF_ALL    0u
#define ULV_POLICY_OF_NAME   1u
#define ULV_POLICY_OF_LABEL  2u /* "key=value" */
#define ULV_POLICY_OF_NONE   3u /* a reservation: nobody */
#define ULV_POLICY_OF_ZONE   4u /* its name */
#define ULV_POLICY_OF_POLICY 5u /* what the guest, or its zone, refers to */

struct ulv_policy_selector {
    uint32_t kind; /* ULV_POLICY_OF_* */
    uint32_t rsvd_;
    char pattern[32]; /* exact, or a prefix and a final '*' */
};

/* A pair of I/O partitions that may serve devices whose name matches. */
struct ulv_policy_rule {
    char device[32]; /* exact, or a prefix and a final '*' */
    char primary[32], standby[32]; /* names; order does not matter */
};

/* Most of each resource, of one guest or of all together. */
struct ulv_policy_limit {
    char name[32];
    struct ulv_policy_selector of;
    uint64_t memory;     /* [bytes]; UINT64_MAX: no bound */
    uint32_t processors; /* these four: ULV_POLICY_OPEN: no bound */
    uint32_t channels;
    uint32_t devices;
    uint32_t guests;   /* together only */
    uint32_t together; /* 1: all of them, 0: each */
    uint32_t rsvd_;
};

/* Where memory comes from and who serves devices. */
struct ulv_policy_placement {
    char name[32];
    struct ulv_policy_selector of;
    uint32_t node; /* ULV_POLICY_NODE_*, or ULV_POLICY_OPEN */
    uint32_t side; /* ULV_POLICY_SIDE_*, or ULV_POLICY_OPEN */
    uint16_t weight[64]; /* of node 0 .. 63; what is free counts so often */
};

/* what two are together on, or apart */
#define ULV_POLICY_OVER_NODE      0u
#define ULV_POLICY_OVER_IO        1u /* I/O partition that serves */
#define ULV_POLICY_OVER_PAIR      2u /* pair of them */
#define ULV_POLICY_OVER_PACKAGE   3u
#define ULV_POLICY_OVER_CORE      4u
#define ULV_POLICY_OVER_PROCESSOR 5u

struct ulv_policy_affinity {
    char name[32];
    struct ulv_policy_selector a, b; /* the same: among themselves */
    uint32_t over;   /* ULV_POLICY_OVER_* */
    uint32_t apart;  /* 1: never on the same, 0: on the same */
    uint32_t prefer; /* 1: where it can be, 0: or it is refused */
    uint32_t rsvd_;
};

/* How often a guest that resets itself starts again. */
struct ulv_policy_restart {
    char name[32];
    struct ulv_policy_selector of;
    uint32_t times;  /* in a window, 0: it stays down */
    uint32_t window; /* [ms]; 0: ULV_RESTART_WINDOW */
};

/* What of a node nobody gets but those it is for. */
struct ulv_policy_reservation {
    char name[32];
    struct ulv_policy_selector of;
    uint64_t memory; /* [bytes] */
    uint32_t processors;
    uint32_t node;
};

struct ulv_policy {
    uint64_t magic;
    uint64_t memory_per_guest;    /* [bytes] */
    uint64_t silence_limit;       /* [ns] given to guests; 0 = none */
    uint32_t processors_per_guest;
    uint32_t guests;              /* that may exist at a time */
    uint32_t node;                /* ULV_POLICY_NODE_MOST_FREE or FIRST */
    uint32_t side;                /* ULV_POLICY_SIDE_LEAST_LOADED or FIRST */
    uint32_t rule_count;          /* a device that no rule names is refused */
    uint32_t restarts;            /* of a guest that resets itself, within
                                     ULV_RESTART_WINDOW; 0 = it stays down */
    uint32_t version;             /* ULV_POLICY_VERSION */
    uint32_t bytes;               /* of this struct */
    uint32_t limit_count;
    uint32_t placement_count;
    uint32_t affinity_count;
    uint32_t restart_count;
    uint32_t reservation_count;
    uint32_t rsvd_;
    struct ulv_policy_rule rule[ULV_POLICY_RULES_MAX];
    /* of these, the first that is of a guest counts */
    struct ulv_policy_placement placement[ULV_POLICY_RULES_MAX];
    struct ulv_policy_restart restart[ULV_POLICY_RULES_MAX];
    /* of these, all */
    struct ulv_policy_limit limit[ULV_POLICY_RULES_MAX];
    struct ulv_policy_affinity affinity[ULV_POLICY_RULES_MAX];
    struct ulv_policy_reservation reservation[ULV_POLICY_RULES_MAX];
};

/* ---- decisions ----------------------------------------------------------- */

/* what was decided */
#define ULV_DECISION_NODE       1u /* where memory comes from */
#define ULV_DECISION_SIDE       2u /* who serves a device first */
#define ULV_DECISION_PROCESSOR  3u /* on which one a virtual one runs */
#define ULV_DECISION_RESTARTS   4u /* how often it may start again */
#define ULV_DECISION_LIMIT      5u /* whether it may have so much */
#define ULV_DECISION_RESERVED   6u /* whether it may have what is held back */

/* what became of a candidate */
#define ULV_CANDIDATE_TAKEN       0u
#define ULV_CANDIDATE_OUTRANKED   1u /* another is better; value, bound: what
                                        it has, what that one has */
#define ULV_CANDIDATE_NO_ROOM     2u /* value: free, bound: asked */
#define ULV_CANDIDATE_RESERVED    3u /* the same, without what rule holds */
#define ULV_CANDIDATE_APART       4u /* value: who is there; by rule */
#define ULV_CANDIDATE_TOGETHER    5u /* value: who is elsewhere; by rule */
#define ULV_CANDIDATE_NOT_RUNNING 6u

#define ULV_DECISION_REFUSED 1u /* nothing of the transaction is done */
#define ULV_DECISION_DRY_RUN 2u /* nothing was to be done */

#define ULV_DECISION_CANDIDATES_MAX 16u

struct ulv_policy_candidate {
    uint64_t what; /* number of a node; id of an I/O partition, processor */
    uint64_t value, bound;
    uint32_t verdict; /* ULV_CANDIDATE_* */
    uint32_t rsvd_;
    char rule[32]; /* that keeps it out, or empty */
};

struct ulv_policy_decision {
    uint64_t sequence; /* from 1, without gaps but for what was dropped */
    uint64_t request;  /* number of the transaction in its session */
    uint64_t object;   /* the partition, or the device */
    uint64_t chosen;   /* what of the candidates; a number; or the other */
    uint64_t value;    /* REFUSED: what was asked */
    uint64_t bound;    /* what is allowed */
    uint32_t kind;     /* ULV_DECISION_* */
    uint32_t flags;
    uint32_t operation_idx;   /* in the transaction */
    uint32_t candidate_count; /* the first CANDIDATES_MAX are kept */
    char rule[32];            /* by which; or a key of the policy */
    char text[192];           /* the same in one line */
    struct ulv_policy_candidate candidate[ULV_DECISION_CANDIDATES_MAX];
};

/* ---- the channel --------------------------------------------------------- */

/* Each direction of the policy channel: a record of it, of which none is larger
 * than a quarter of the ring, holds a policy, and all that is found of one. */
#define ULV_POLICY_RING_BYTES UINT64_C(131072)
#define ULV_POLICY_RECORD_MAX (ULV_POLICY_RING_BYTES / 4 - 8)

/* record types on the policy channel */
#define ULV_POLICY_GET  1u /* client to server, empty */
#define ULV_POLICY_IS   2u /* server to client: struct ulv_policy */
#define ULV_POLICY_OFFER    3u /* server to client: look at another one, and
                                  put it in force: struct ulv_policy_offer */
#define ULV_POLICY_REVIEWED 4u /* client to server: struct ulv_policy_reviewed,
                                  then its findings */

/* what is to be done with it */
#define ULV_POLICY_PREVIEW        1u /* nothing */
#define ULV_POLICY_UNLESS_REFUSED 2u /* nothing, if it would refuse any of what
                                        there is */

#define ULV_POLICY_FINDINGS_MAX 120u /* told; all are counted */

struct ulv_policy_offer {
    uint64_t number;
    uint32_t flags;
    uint32_t rsvd_;
    struct ulv_policy policy;
};

/* One thing as it is now that the policy would refuse. */
struct ulv_policy_finding {
    uint64_t object; /* partition, device, pool of a node; 0: several */
    uint64_t value;  /* what there is */
    uint64_t bound;  /* what would be allowed */
    uint32_t kind;   /* ULV_DECISION_* */
    uint32_t rsvd_;
    char rule[32];
    char text[192]; /* the same in one line */
};

struct ulv_policy_reviewed {
    uint64_t number;
    uint64_t revision; /* of what was looked at */
    int32_t status;    /* 0, or why it was not looked at */
    uint32_t in_force; /* 1: it is */
    uint32_t count;    /* of findings */
    uint32_t told;     /* that follow */
    char text[192];    /* of the status */
};

/* ---- in a storage -------------------------------------------------------- */

#define ULV_POLICY_STORED UINT64_C(0x0a4c4f50564c55) /* "ULVPOL\n" */

/* The policy follows. */
struct ulv_policy_stored {
    uint64_t magic;
    uint32_t bytes; /* of the policy */
    uint32_t crc;   /* CRC-32C of it */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_policy_stored) == 16, "abi");
_Static_assert(sizeof(struct ulv_policy_selector) == 40, "abi");
_Static_assert(sizeof(struct ulv_policy_rule) == 96, "abi");
_Static_assert(sizeof(struct ulv_policy_limit) == 104, "abi");
_Static_assert(sizeof(struct ulv_policy_placement) == 208, "abi");
_Static_assert(sizeof(struct ulv_policy_affinity) == 128, "abi");
_Static_assert(sizeof(struct ulv_policy_restart) == 80, "abi");
_Static_assert(sizeof(struct ulv_policy_reservation) == 88, "abi");
_Static_assert(sizeof(struct ulv_policy) == 80 + 32 * 704, "abi");
_Static_assert(sizeof(struct ulv_policy_finding) == 256, "abi");
_Static_assert(sizeof(struct ulv_policy_reviewed) == 224, "abi");
_Static_assert(sizeof(struct ulv_policy_offer) <= ULV_POLICY_RECORD_MAX,
               "a record of the policy channel");
_Static_assert(sizeof(struct ulv_policy_reviewed) +
                       ULV_POLICY_FINDINGS_MAX *
                           sizeof(struct ulv_policy_finding) <=
                   ULV_POLICY_RECORD_MAX,
               "a record of the policy channel");
_Static_assert(sizeof(struct ulv_policy_candidate) == 64, "abi");
_Static_assert(sizeof(struct ulv_policy_decision) == 288 + 16 * 64, "abi");
#endif

#endif
