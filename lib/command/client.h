/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The client's end of a command channel: send requests, take their answers.
 * Many may be under way; an answer is known by its number. Nothing blocks; the
 * caller waits for the doorbell.
 *
 * For the command role (client of the ultravisor) and for the boot process
 * (client of the command role).
 */
#ifndef COMMAND_CLIENT_H
#define COMMAND_CLIENT_H

#include <ultravisor/sys/host.h>

#include "channel/channel.h"
#include "command/codec.h"

/* Requests that await their answer, at most: a ring holds the answers. */
#define ULV_COMMAND_UNDER_WAY_MAX 192u

struct ulv_command_transaction {
    uint32_t options, precondition_count, operation_count;
    uint64_t deadline; /* [ns] from when the server reads it; 0: none */
    const struct ulv_precondition *preconditions;
    const struct ulv_operation *operations;
};

/* What is yet to be sent of the last transaction: scatter.c. */
struct ulv_command_rest {
    struct ulv_operation *operations; /* NULL: nothing */
    uint32_t count, sent;
    uint64_t request;
};

struct ulv_command_client {
    const struct ulv_host *host;
    struct ulv_channel_end end;
    uint64_t next_request;
    /* Kinds of the latest requests, by their numbers; and whether answered. */
    uint16_t asked[ULV_COMMAND_UNDER_WAY_MAX];
    /* Our WATCHes by their numbers, 0: none, and the last event of each; who
     * looks at both: NULL until something is watched. */
    struct ulv_command_watched {
        uint64_t number, sequence;
    } watch[ULV_WATCHES_MAX];
    ulv_status (*heed)(struct ulv_command_client *client,
                       const struct ulv_message *m);
    uint8_t session[16]; /* our GUID, the same in every HELLO */
    uint64_t lease_next, lease_end; /* ids that are ours */
    void *answer; /* ULV_COMMAND_MESSAGE_MAX, private */
    struct ulv_command_rest rest;
};

/* An error leaves nothing behind.
 * Errors: NO_MEMORY, PEER_PROTOCOL, PEER_INDEX, STATE. */
ulv_status ulv_command_client_init(struct ulv_command_client *client,
                                   const struct ulv_host *host, void *p,
                                   uint64_t bytes);
void ulv_command_client_fini(struct ulv_command_client *client);
/* The channel was made anew, in the place of one whose server is gone: greet,
 * then ask again what was not answered. It is the same client; no request that
 * it sent is under way any more, nor is a WATCH.
 * Errors: PEER_PROTOCOL, PEER_INDEX, STATE: it has no channel. */
ulv_status ulv_command_client_again(struct ulv_command_client *client, void *p,
                                    uint64_t bytes);

/*
 * Send a request; *ret_ring: ring the server's doorbell. Its number is
 * next_request - 1 afterwards.
 * Errors: FULL (take answers, or wait for the doorbell), LIMIT (too many
 * operations or preconditions), NO_MEMORY (for those that do not fit into one
 * message), PEER_*.
 */
ulv_status ulv_command_send_hello(struct ulv_command_client *client,
                                  bool *ret_ring);
ulv_status ulv_command_send_transaction(
    struct ulv_command_client *client,
    const struct ulv_command_transaction *transaction, bool *ret_ring);
/* One that was sent before, under its number: it is carried out once. */
ulv_status ulv_command_send_again(
    struct ulv_command_client *client, uint64_t number,
    const struct ulv_command_transaction *transaction, bool *ret_ring);
ulv_status ulv_command_send_query(struct ulv_command_client *client,
                                  uint32_t kind, uint64_t after,
                                  bool *ret_ring);
/* As in struct ulv_message_cursor; what: ULV_CURSOR_*. */
struct ulv_command_reading {
    uint32_t what, kinds;
    uint64_t cursor, partition;
};
ulv_status ulv_command_send_cursor(struct ulv_command_client *client,
                                   const struct ulv_command_reading *reading,
                                   bool *ret_ring);
/* Take that one back, or end a WATCH. */
ulv_status ulv_command_send_cancel(struct ulv_command_client *client,
                                   uint64_t target, bool *ret_ring);
/* As in struct ulv_message_watch. Errors: LIMIT (ULV_WATCHES_MAX) */
struct ulv_command_watching {
    uint64_t after, partition;
    uint32_t kinds;
    char key[16], value[48];
};
ulv_status
ulv_command_send_watch(struct ulv_command_client *client,
                       const struct ulv_command_watching *watching,
                       bool *ret_ring);

/**
 * Send what there is now room for, as ulv_command_scatter() does. The next
 * answer or event, copied out and checked; the lease of a HELLO is taken. An
 * answer to one of the latest requests is of its kind; compare the number.
 * Events of a WATCH leave no sequence number out.
 * @param ret  borrowed until the next call
 * Errors: EMPTY (the doorbell was asked for), PEER_*; PEER_PROTOCOL also when
 * the server has disconnected this client.
 */
ulv_status ulv_command_receive(struct ulv_command_client *client,
                               const struct ulv_message **ret,
                               bool *ret_ring);

/* ---- scatter.c; where ULV_LARGE_TRANSACTIONS ----------------------------- */

/* A copy is to follow the TRANSACTION that is sent next.
 * Errors: FULL (others are yet to be sent), NO_MEMORY. */
ulv_status ulv_command_scatter_keep(struct ulv_command_client *client,
                                    const struct ulv_operation *operations,
                                    uint32_t count);
void ulv_command_scatter_drop(struct ulv_command_client *client);
/* Send what there is room for; if that is not all, the doorbell was asked for.
 * Errors: PEER_*. */
ulv_status ulv_command_scatter(struct ulv_command_client *client,
                               bool *ret_ring);

/* Whether a part of a transaction is still to be sent: until then nothing else
 * can be. */
static inline bool
ulv_command_is_scattering(const struct ulv_command_client *client)
{
    return ULV_LARGE_TRANSACTIONS && client->rest.request != 0;
}

/* A new id of our lease; 0: none left, send HELLO. */
uint64_t ulv_command_client_id(struct ulv_command_client *client);

#endif
