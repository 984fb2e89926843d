/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The command protocol: what runs over a channel of type COMMAND between a
 * client (the command partition, or a program that asks it) and a server (the
 * ultravisor partition, or the command partition that passes on what policy
 * allows). One message is one ring record, its type is the message kind. All
 * numbers little-endian. doc/formats/command.md has the tables and the rules.
 */
#ifndef ULTRAVISOR_ABI_COMMAND_H
#define ULTRAVISOR_ABI_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#define ULV_COMMAND_VERSION 1u

/* message kinds; an answer is its request's kind | ULV_MESSAGE_ANSWER */
#define ULV_MESSAGE_HELLO       1u
#define ULV_MESSAGE_TRANSACTION 2u
#define ULV_MESSAGE_QUERY       3u
#define ULV_MESSAGE_ANSWER      0x100u

#define ULV_ID_LEASE_COUNT 65536u /* ids a HELLO leases */

#define ULV_OPERATION_COUNT_MAX    512u /* a transaction */
#define ULV_PRECONDITION_COUNT_MAX 64u

/* Every message starts with this. */
struct ulv_message {
    uint32_t bytes; /* of the whole message */
    uint16_t kind;
    uint16_t version;
    uint64_t request; /* the client's number; repeated in the answer */
};

struct ulv_message_hello {
    struct ulv_message m;
    uint8_t session[16]; /* the client's GUID: retries are known by it */
};

struct ulv_message_hello_answer {
    struct ulv_message m;
    int32_t status;
    uint32_t rsvd_;
    uint64_t lease_first; /* ULV_ID_LEASE_COUNT ids from here: the client's */
    uint64_t revision;
};

/* options */
#define ULV_TRANSACTION_DRY_RUN 1u

struct ulv_message_transaction {
    struct ulv_message m;
    uint32_t options;
    uint32_t precondition_count;
    uint32_t operation_count;
    uint32_t rsvd_;
    uint64_t deadline; /* ns from receipt; 0 = none */
    /* preconditions, then operations follow */
};

/* The object must have this version; version 0 = must not exist. */
struct ulv_precondition {
    uint64_t object;
    uint64_t version;
};

struct ulv_message_transaction_answer {
    struct ulv_message m;
    int32_t status;
    uint32_t operation_idx; /* of the one that failed; UINT32_MAX = none */
    uint64_t revision;      /* the new one, also the ticket for settling */
    uint64_t object, value, bound; /* as in struct ulv_diag */
    char text[192];
};

/* operations */
#define ULV_OP_ADD_PROCESSOR     1u
#define ULV_OP_ADD_MEMORY        2u
#define ULV_OP_CREATE_PARTITION  3u
#define ULV_OP_DESTROY_PARTITION 4u
#define ULV_OP_ASSIGN_MEMORY     5u
#define ULV_OP_RELEASE_MEMORY    6u
#define ULV_OP_ASSIGN_PROCESSORS 7u
#define ULV_OP_OFFER             8u
#define ULV_OP_ATTACH            9u
#define ULV_OP_CONNECT           10u
#define ULV_OP_REHOME            11u
#define ULV_OP_REVOKE            12u
#define ULV_OP_SET_INTENT        13u
#define ULV_OP_SET_STATE         14u
#define ULV_OP_MOVE_MEMORY       15u
#define ULV_OP_SETTLE            16u
#define ULV_OP_GRANT             17u
#define ULV_OP_SET_QUANTA        18u

#define ULV_NODE_ANY UINT32_MAX

#define ULV_PROCESSOR_SHARED    0u
#define ULV_PROCESSOR_DEDICATED 1u

#define ULV_DEVICE_BLOCK   1u
#define ULV_DEVICE_CONSOLE 2u

struct ulv_op_add_processor {
    uint64_t id;
    uint32_t package, core, thread, node;
    uint32_t os_number; /* the host's number of it */
    uint32_t rsvd_;
};
struct ulv_op_add_memory {
    uint64_t id;    /* of the node's pool */
    uint64_t base;  /* frame address, multiple of the block below */
    uint64_t bytes; /* multiple of 2 MiB */
    uint32_t node;
    uint32_t rsvd_;
};
struct ulv_op_create_partition {
    uint64_t id;
    uint64_t capabilities;
    uint64_t silence_limit;
    uint32_t kind;
    uint32_t restarts; /* when it resets itself, within ULV_RESTART_WINDOW */
    char name[32];
};
/* [ns]: so many restarts at most in a stretch of this length. */
#define ULV_RESTART_WINDOW UINT64_C(60000000000)
#define ULV_RESTARTS_MAX   1000u

struct ulv_op_destroy_partition {
    uint64_t id;
};
struct ulv_op_assign_memory {
    uint64_t partition;
    uint64_t bytes;
    uint32_t node; /* ULV_NODE_ANY */
    uint32_t rsvd_;
};
struct ulv_op_release_memory {
    uint64_t partition;
    uint64_t guest_address;
    uint64_t bytes;
};
struct ulv_op_assign_processors {
    uint64_t partition;
    uint32_t count;
    uint32_t mode;
    uint64_t processor; /* id; 0: the ultravisor chooses. Else count is 1 */
    uint32_t quanta;    /* SHARED: of each period, to each of them; 0: they
                           run in those that nobody has */
    uint32_t rsvd_;
};
struct ulv_op_offer {
    uint64_t id; /* of the device */
    uint64_t primary, standby; /* I/O partitions; standby 0 = none */
    uint64_t bytes; /* of the medium; 0 for a console */
    uint32_t kind;  /* ULV_DEVICE_* */
    uint32_t flags; /* ULV_BLOCK_READ_ONLY */
    char name[32];
};
struct ulv_op_attach {
    uint64_t channel; /* id of the new channel */
    uint64_t partition;
    uint64_t device;
    uint32_t flags; /* ULV_BLOCK_READ_ONLY asked */
    uint32_t rsvd_;
};
struct ulv_op_connect {
    uint64_t channel;
    uint64_t server, client; /* partitions */
    uint64_t bytes; /* of each ring; a power of two, 4 KiB .. 16 MiB */
    uint8_t type[16];
};
struct ulv_op_rehome {
    uint64_t device;
    uint64_t server; /* the standby */
};
struct ulv_op_revoke {
    uint64_t channel;
};
struct ulv_op_set_intent {
    uint64_t partition;
    uint32_t intent; /* ULV_INTENT_* */
    uint32_t rsvd_;
    uint64_t image; /* RUNNING: number under which the keeper has the image */
};
/* More quanta for a virtual processor, or fewer: two of these in a transaction
 * move them. What is given up comes first. */
struct ulv_op_set_quanta {
    uint64_t partition;
    uint32_t vcpu_idx; /* of a shared one */
    uint32_t quanta;   /* 0 .. ULV_QUANTA */
};
/* Whole extents, from guest to guest: taken from the one, and when its monitor
 * has let go of them, given to the other, scrubbed. */
struct ulv_op_move_memory {
    uint64_t partition; /* that has it */
    uint64_t guest_address;
    uint64_t bytes;
    uint64_t to;
};
/* Only the ultravisor's own transactions hold these. */
struct ulv_op_settle {
    uint64_t object; /* an extent or a channel that nobody has any more */
};
struct ulv_op_grant {
    uint64_t partition;
    uint64_t frame; /* free; what ULV_OP_MOVE_MEMORY took away */
    uint64_t bytes;
};
struct ulv_op_set_state {
    uint64_t partition;
    uint32_t state;  /* ULV_STATE_* */
    uint32_t reason; /* ULV_END_REASON_* */
    uint64_t code;
};

struct ulv_operation {
    uint32_t kind;
    uint32_t rsvd_;
    union {
        struct ulv_op_add_processor add_processor;
        struct ulv_op_add_memory add_memory;
        struct ulv_op_create_partition create_partition;
        struct ulv_op_destroy_partition destroy_partition;
        struct ulv_op_assign_memory assign_memory;
        struct ulv_op_release_memory release_memory;
        struct ulv_op_assign_processors assign_processors;
        struct ulv_op_offer offer;
        struct ulv_op_attach attach;
        struct ulv_op_connect connect;
        struct ulv_op_rehome rehome;
        struct ulv_op_revoke revoke;
        struct ulv_op_set_intent set_intent;
        struct ulv_op_set_state set_state;
        struct ulv_op_move_memory move_memory;
        struct ulv_op_settle settle;
        struct ulv_op_grant grant;
        struct ulv_op_set_quanta set_quanta;
        uint64_t words[11];
    } u;
};

/* Partition states. */
#define ULV_STATE_DEFINED  0u
#define ULV_STATE_STARTING 1u
#define ULV_STATE_RUNNING  2u
#define ULV_STATE_STOPPED  3u /* ended by itself or asked to */
#define ULV_STATE_FAULTED  4u
#define ULV_STATE_LOST     5u /* an infrastructure role's process is dead */

/* Why a partition ended. */
#define ULV_END_REASON_NONE   0u
#define ULV_END_REASON_STOP   1u /* ULV_CALL_STOP; code = exit code */
#define ULV_END_REASON_RESET  2u
#define ULV_END_REASON_FAULT  3u /* code = ULV_FAULT_* */
#define ULV_END_REASON_KILLED 4u /* from outside */
#define ULV_END_REASON_IMAGE  5u /* could not be loaded; code = status */

/* queries */
#define ULV_QUERY_PARTITIONS 1u
#define ULV_QUERY_CHANNELS   2u
#define ULV_QUERY_DEVICES    3u
#define ULV_QUERY_PROCESSORS 4u
#define ULV_QUERY_MEMORY     5u
#define ULV_QUERY_LOG        6u
#define ULV_QUERY_EXTENTS    7u
#define ULV_QUERY_USAGE      8u

struct ulv_message_query {
    struct ulv_message m;
    uint32_t kind; /* ULV_QUERY_* */
    uint32_t rsvd_;
    uint64_t after; /* records with an id (log: revision) above this */
};

/* Records with ascending ids, as many as fit a message. */
struct ulv_message_query_answer {
    struct ulv_message m;
    int32_t status;
    uint32_t kind;
    uint32_t record_bytes;
    uint32_t record_count;
    uint64_t revision; /* the one all records are of */
    uint32_t more;     /* 1: ask again after the last id */
    uint32_t rsvd_;
    /* records follow */
};

struct ulv_partition_record {
    uint64_t id, version;
    uint32_t kind, state, intent, end_reason;
    uint64_t end_code;
    uint64_t memory_bytes;
    uint32_t processor_count, channel_count;
    uint64_t capabilities;
    char name[32];
};
struct ulv_channel_record {
    uint64_t id, version;
    uint64_t server, client, device;
    uint64_t bytes;
    uint32_t epoch;
    uint32_t state[2]; /* ULV_END_* as the ultravisor last saw it */
    uint32_t rsvd_;
    uint8_t type[16];
};
struct ulv_device_record {
    uint64_t id, version;
    uint64_t serving, standby;
    uint64_t bytes;
    uint32_t kind, flags;
    char name[32];
};
struct ulv_processor_record {
    uint64_t id, version;
    uint64_t owner;
    uint32_t package, core, thread, node, os_number, mode;
    uint32_t share_count; /* partitions that share it */
    uint32_t idle_quanta; /* of each period, that nobody has */
};
struct ulv_memory_record {
    uint64_t id, version;
    uint64_t base, bytes, free_bytes;
    uint32_t node;
    uint32_t rsvd_;
};
struct ulv_extent_record {
    uint64_t id, version;
    uint64_t partition;
    uint64_t guest_address, frame, bytes;
    uint32_t node;
    uint32_t flags; /* ULV_EXTENT_DRAINING */
    uint64_t heir;  /* DRAINING: the partition that gets it, or 0 */
};
#define ULV_EXTENT_DRAINING 1u
/* What a partition has of the processors, and what it has used. The times of
 * all partitions, idle included, and of those that are gone, are elapsed. */
struct ulv_usage_record {
    uint64_t id;      /* of the partition */
    uint64_t used;    /* processor time [ns], as last reported; of idle: what
                         nobody used */
    uint64_t elapsed; /* time of all processors since the start [ns] */
    uint64_t gone;    /* used by partitions that are destroyed [ns] */
    uint32_t quanta;  /* of each period, all its virtual processors together;
                         of idle: all that nobody has */
    uint32_t dedicated; /* processors it has for itself */
};
struct ulv_log_record {
    uint64_t revision;
    uint64_t time; /* ns on the ultravisor's clock */
    uint64_t request;
    uint64_t session; /* 0: the ultravisor's own */
    uint32_t operation_count;
    uint32_t kind; /* of the first operation */
    uint64_t object; /* of the first operation */
    char text[80];   /* what it did, one line */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_message) == 16, "abi");
_Static_assert(sizeof(struct ulv_message_hello) == 32, "abi");
_Static_assert(sizeof(struct ulv_message_hello_answer) == 40, "abi");
_Static_assert(sizeof(struct ulv_message_transaction) == 40, "abi");
_Static_assert(sizeof(struct ulv_precondition) == 16, "abi");
_Static_assert(sizeof(struct ulv_message_transaction_answer) == 248, "abi");
_Static_assert(sizeof(struct ulv_operation) == 96, "abi");
_Static_assert(sizeof(struct ulv_message_query) == 32, "abi");
_Static_assert(sizeof(struct ulv_message_query_answer) == 48, "abi");
_Static_assert(sizeof(struct ulv_partition_record) == 96, "abi");
_Static_assert(sizeof(struct ulv_channel_record) == 80, "abi");
_Static_assert(sizeof(struct ulv_device_record) == 80, "abi");
_Static_assert(sizeof(struct ulv_processor_record) == 56, "abi");
_Static_assert(sizeof(struct ulv_memory_record) == 48, "abi");
_Static_assert(sizeof(struct ulv_extent_record) == 64, "abi");
_Static_assert(sizeof(struct ulv_usage_record) == 40, "abi");
_Static_assert(sizeof(struct ulv_log_record) == 128, "abi");
#endif

#endif
