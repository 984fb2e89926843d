/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The command protocol's messages: decoded from bytes that were copied out of
 * shared memory once, everything structural checked by a table that is made of
 * command.toml, as abi/command.h and the tables of doc/formats/command.md are.
 *
 * For the server and the client; total on any bytes.
 */
#ifndef COMMAND_CODEC_H
#define COMMAND_CODEC_H

#include <ultravisor/abi/command.h>
#include <ultravisor/types.h>

#include "base/base.h"

/* Each direction of a command channel: as small as the largest message allows,
 * for each has its memory before it is used. */
#define ULV_COMMAND_RING_BYTES UINT64_C(65536)
/* The largest message; a record of such a ring holds it. */
#define ULV_COMMAND_MESSAGE_MAX                                                \
    (sizeof(struct ulv_message_transaction) +                                  \
     ULV_PRECONDITION_COUNT_MAX * sizeof(struct ulv_precondition) +            \
     ULV_OPERATION_MESSAGE_MAX * sizeof(struct ulv_operation))
/* Operations of a transaction, where this is built. */
#define ULV_COMMAND_OPERATIONS_MAX                                             \
    (ULV_LARGE_TRANSACTIONS ? ULV_OPERATION_COUNT_MAX                          \
                            : ULV_OPERATION_MESSAGE_MAX)

#define ULV_COMMAND_EVENT_MAX                                                  \
    (sizeof(struct ulv_message_event) +                                        \
     ULV_CHANGE_LABELS_MAX * sizeof(struct ulv_change_label))

struct ulv_command_request {
    uint32_t kind; /* ULV_MESSAGE_* */
    uint64_t request;
    union {
        const struct ulv_message *message;
        const struct ulv_message_cancel *cancel;
        const struct ulv_message_watch *watch;
        const struct ulv_message_cursor *cursor;
        const struct ulv_message_hello *hello;
        const struct ulv_message_query *query;
        const struct ulv_message_transaction *transaction;
        const struct ulv_message_operations *operations;
    } u;
    /* transaction: point into the bytes decoded */
    const struct ulv_precondition *preconditions;
    const struct ulv_operation *operations; /* of OPERATIONS, too */
};

/**
 * Decode a request.
 * @param bytes  private memory, 8-byte aligned, left as it is
 * Errors: PEER_LENGTH (lengths and counts), PEER_PROTOCOL (version, kind,
 * reserved fields).  Context: any
 */
ulv_status ulv_command_decode(const void *bytes, size_t len,
                              struct ulv_command_request *ret);
/* What a message says that was decoded before; a TRANSACTION's operations may
 * all be in it. */
void ulv_command_describe(const struct ulv_message *m,
                          struct ulv_command_request *ret);
/* As ulv_command_decode, for an answer or an event. */
ulv_status ulv_command_decode_answer(const void *bytes, size_t len);

#endif
