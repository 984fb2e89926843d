/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Other programs. The one that has the system hands an end of a channel to
 * another process, as one descriptor; nothing but that descriptor gives the
 * right to it, and whoever closes its last copy, or dies, is out. A program
 * that is given a command channel so asks the system for transactions by the
 * functions below, many at a time; what it may not ask is what the policy and
 * the ultravisor refuse to the program that has the system, too.
 *
 * For programs on both sides. No images, disks or files pass by this way: they
 * are given by the program that has the system. doc/formats/admission.md is for
 * programs without this library.
 */
#ifndef ULTRAVISOR_CLIENT_H
#define ULTRAVISOR_CLIENT_H

#include <ultravisor/abi/command.h>
#include <ultravisor/system.h>
#include <ultravisor/sys/host.h>
#include <ultravisor/watch.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the program that has the system ------------------------------------- */

/**
 * Make a command channel for another program.
 *
 * @param system         a system
 * @param ret_channel    its id: ulv_transaction_revoke() puts the program out
 * @param ret_admission  to be given to the other program, and closed here
 *                       (owned); the channel is destroyed when its last copy is
 *                       closed
 * @param diag           NULL or where the failure is explained
 *
 * Errors:  ULV_E_UNSUPPORTED  the host cannot hand anything to a program
 *          those of a transaction that connects
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_client_admit(ulv_system *system, ulv_id *ret_channel,
                                    ulv_handle *ret_admission,
                                    struct ulv_diag *diag);

/**
 * Hand this program's own end of a channel that ulv_transaction_connect() made
 * with ULV_SELF to another program, in place of ulv_channel_open(). When the
 * last copy of the admission is closed the end is detached, and can be opened
 * or handed out again.
 *
 * @param system         a system
 * @param channel        not open here
 * @param ret_admission  to be given to the other program, and closed here
 *                       (owned)
 * @param diag           NULL or where the failure is explained
 *
 * Errors:  ULV_E_NOT_FOUND (no such channel, or no end of it is here),
 *          ULV_E_BUSY (open, or handed out), ULV_E_UNSUPPORTED, ULV_E_LIMIT,
 *          ULV_E_NO_MEMORY, ULV_E_HOST
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_hand_out(ulv_system *system, ulv_id channel,
                                        ulv_handle *ret_admission,
                                        struct ulv_diag *diag);

/* ---- the other program --------------------------------------------------- */

typedef struct ulv_client ulv_client;

/* What is asked for; ULV_OP_* with ids of ulv_client_id(). */
struct ulv_client_transaction {
    uint32_t options; /* ULV_TRANSACTION_* */
    uint32_t precondition_count, operation_count;
    uint32_t rsvd_;
    uint64_t deadline; /* [ns] from when it is read: not begun later; 0: none */
    const struct ulv_precondition *preconditions;
    const struct ulv_operation *operations;
};

/* An answer, or an event of a watch. */
struct ulv_client_answer {
    uint32_t size; /* sizeof, set by the caller */
    uint32_t kind; /* ULV_MESSAGE_* of the request, or ULV_MESSAGE_EVENT */
    uint64_t request;      /* its number */
    ulv_status status;     /* ULV_OK, or why not */
    uint32_t operation_idx; /* of the one that failed; UINT32_MAX: none */
    uint64_t revision;     /* the new one; of a query, that of its records */
    struct ulv_diag diag;  /* what failed */
    const void *records; /* of a query; borrowed until the next answer */
    uint32_t record_bytes, record_count;
    uint32_t more; /* 1: ask again after the last id; of an event: the next is
                      of the same revision */
    uint32_t rsvd_;
    uint64_t sequence;        /* of an event: 1, 2, ... of its watch */
    struct ulv_change change; /* what it tells of */
};

/**
 * Open the command channel that was admitted, and greet.
 *
 * @param host        e.g. ulv_posix_host(); outlives the client
 * @param admission   taken over, also on failure
 * @param deadline    of the greeting, on the host's clock [ns], or ULV_FOREVER
 * @param ret_client  the client; close it with ulv_client_close()
 * @param diag        NULL or where the failure is explained
 *
 * Errors:  ULV_E_ARG (no admission), ULV_E_PEER_PROTOCOL (not of a command
 *          channel, or one that cannot be), ULV_E_TIMEOUT, ULV_E_PEER_GONE,
 *          ULV_E_STATE (revoked), ULV_E_UNSUPPORTED, ULV_E_NO_MEMORY,
 *          ULV_E_LIMIT, ULV_E_HOST
 * Context: serial; may block until the deadline
 * Since:   0.1
 */
ULV_API ulv_status ulv_client_open(const struct ulv_host *host,
                                   ulv_handle admission, ulv_nsec deadline,
                                   ulv_client **ret_client,
                                   struct ulv_diag *diag);

/**
 * Close it; requests under way go on. NULL is allowed.
 *
 * @param client  a client
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_client_close(ulv_client *client);

/**
 * An id that nobody has: of those that the latest greeting leased.
 *
 * @param client  a client
 *
 * Returns 0 when they are used up: ulv_client_greet() again.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_client_id(ulv_client *client);

/**
 * Ask for more ids; they are there when it is answered.
 *
 * @param client       a client
 * @param ret_request  its number
 *
 * Errors:  as of ulv_client_transact()
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_client_greet(ulv_client *client, uint64_t *ret_request);

/**
 * Ask for a transaction. Many may be under way; they are begun in their order,
 * and each is answered. One of more than ULV_OPERATION_MESSAGE_MAX operations
 * goes out while ulv_client_receive() or ulv_client_wait() is called.
 *
 * @param client       a client
 * @param transaction  copied
 * @param ret_request  its number
 *
 * Errors:  ULV_E_FULL  take answers first: 256 are under way, the ring is full,
 *                      or not all of the one before is sent
 *          ULV_E_LIMIT  more than ULV_OPERATION_COUNT_MAX operations, or
 *                       ULV_PRECONDITION_COUNT_MAX preconditions
 *          ULV_E_NO_MEMORY, ULV_E_PEER_GONE, ULV_E_PEER_INDEX
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status
ulv_client_transact(ulv_client *client,
                    const struct ulv_client_transaction *transaction,
                    uint64_t *ret_request);

/**
 * Ask for records.
 *
 * @param client       a client
 * @param kind         ULV_QUERY_*
 * @param after        those with a higher id (of the log: revision)
 * @param ret_request  its number
 *
 * Errors:  as of ulv_client_transact()
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_client_query(ulv_client *client, uint32_t kind,
                                    uint64_t after, uint64_t *ret_request);

/**
 * Take a request back that was not begun, or end a watch.
 *
 * @param client       a client
 * @param target       its number
 * @param ret_request  of this one
 *
 * Errors:  as of ulv_client_transact(); the answer says NOT_FOUND if it was
 *          begun or is unknown
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_client_cancel(ulv_client *client, uint64_t target,
                                     uint64_t *ret_request);

/**
 * Hear of each record that is made, changed or removed; what is answered first
 * says whether it can be. <ultravisor/watch.h> says what is told.
 *
 * @param client       a client
 * @param opts         with its size set
 * @param ret_request  its number, in each event
 *
 * Errors:  ULV_E_ARG (size, label), ULV_E_LIMIT (ULV_WATCHES_MAX are open), and
 *          as of ulv_client_transact()
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_client_watch(ulv_client *client,
                                    const struct ulv_watch_opts *opts,
                                    uint64_t *ret_request);

/**
 * The next answer or event.
 *
 * @param client  a client
 * @param ret     with its size set; filled
 *
 * Errors:  ULV_E_EMPTY          none is there
 *          ULV_E_PEER_GONE      and none will come: the system has ended, or
 *                               has put this program out
 *          ULV_E_PEER_PROTOCOL  nor here: the other side was disconnected, or
 *                               has disconnected this one
 *          ULV_E_PEER_INDEX, ULV_E_PEER_LENGTH, ULV_E_ARG (size)
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_client_receive(ulv_client *client,
                                      struct ulv_client_answer *ret);

/**
 * Wait until ulv_client_receive() returns something else than EMPTY.
 *
 * @param client    a client
 * @param deadline  on the host's clock [ns], or ULV_FOREVER
 *
 * Errors:  ULV_E_TIMEOUT, ULV_E_HOST
 * Context: serial; may block until the deadline
 * Since:   0.1
 */
ULV_API ulv_status ulv_client_wait(ulv_client *client, ulv_nsec deadline);

/**
 * A handle to watch, on Linux a descriptor to poll: ready when there may be
 * something to receive. Ask ulv_client_receive() for EMPTY before each sleep.
 *
 * @param client  a client
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_handle ulv_client_handle(const ulv_client *client);

#ifdef __cplusplus
}
#endif

#endif
