/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The client's end of a command channel: send a request, take its answer.
 * Nothing blocks; the caller waits for the doorbell.
 *
 * For the command role (client of the ultravisor) and for the boot process
 * (client of the command role).
 */
#ifndef COMMAND_CLIENT_H
#define COMMAND_CLIENT_H

#include <ultravisor/sys/host.h>

#include "channel/channel.h"
#include "command/codec.h"

struct ulv_command_client {
    const struct ulv_host *host;
    struct ulv_channel_end end;
    uint64_t next_request;
    uint16_t asked; /* kind of the latest request */
    uint8_t session[16]; /* our GUID, the same in every HELLO */
    uint64_t lease_next, lease_end; /* ids that are ours */
    void *answer; /* ULV_COMMAND_MESSAGE_MAX, private */
};

/* An error leaves nothing behind.
 * Errors: NO_MEMORY, PEER_PROTOCOL, PEER_INDEX, STATE. */
ulv_status ulv_command_client_init(struct ulv_command_client *client,
                                   const struct ulv_host *host, void *p,
                                   uint64_t bytes);
void ulv_command_client_fini(struct ulv_command_client *client);

/*
 * Send a request; *ret_ring: ring the server's doorbell.
 * Errors: FULL, LIMIT (too many operations or preconditions), PEER_*.
 */
ulv_status ulv_command_send_hello(struct ulv_command_client *client,
                                  bool *ret_ring);
ulv_status
ulv_command_send_transaction(struct ulv_command_client *client,
                             uint32_t options,
                             const struct ulv_precondition *preconditions,
                             uint32_t precondition_count,
                             const struct ulv_operation *operations,
                             uint32_t operation_count, bool *ret_ring);
ulv_status ulv_command_send_query(struct ulv_command_client *client,
                                  uint32_t kind, uint64_t after,
                                  bool *ret_ring);

/**
 * The next answer, copied out and checked; the lease of a HELLO is taken. An
 * answer to the latest request is of its kind; compare the number.
 * @param ret  borrowed until the next call
 * Errors: EMPTY (the doorbell was asked for), PEER_*; PEER_PROTOCOL also when
 * the server has disconnected this client.
 */
ulv_status ulv_command_receive(struct ulv_command_client *client,
                               const struct ulv_message **ret,
                               bool *ret_ring);

/* A new id of our lease; 0: none left, send HELLO. */
uint64_t ulv_command_client_id(struct ulv_command_client *client);

#endif
