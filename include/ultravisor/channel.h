/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The program's own end of a channel to a partition: records in both
 * directions, without copying. doc/formats/channel.md says what the peer sees.
 *
 * send, submit, peek and release lose no wake-up, of the peer or of this
 * program: after EMPTY or FULL ulv_system_step() returns, and ulv_posix_fd() is
 * readable, when there is something. For many records at once publish, look and
 * pass do the same without asking and looking who sleeps, which costs most of
 * the time; whoever uses them calls one of the others, or ulv_channel_wait(),
 * before it rests.
 */
#ifndef ULTRAVISOR_CHANNEL_H
#define ULTRAVISOR_CHANNEL_H

#include <ultravisor/abi/channel.h>
#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ulv_channel ulv_channel;

/**
 * Open this program's end of a channel that ulv_transaction_connect() made
 * with ULV_SELF.
 *
 * @param system       a system
 * @param id           the channel
 * @param ret_channel  the end; close it before the system is destroyed, also
 *                     when the channel was destroyed by a transaction: it is
 *                     unmapped then, and every use of the end is PEER_GONE
 * @param diag         NULL or where the failure is explained
 *
 * Errors:  ULV_E_NOT_FOUND (no such channel, or no end of it is here)
 *          ULV_E_BUSY       open already
 *          ULV_E_PEER_PROTOCOL, ULV_E_PEER_INDEX, ULV_E_STATE  what lies in the
 *                           channel is not what was made there
 *          ULV_E_NO_MEMORY, ULV_E_LIMIT, ULV_E_HOST
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_open(ulv_system *system, ulv_id id,
                                    ulv_channel **ret_channel,
                                    struct ulv_diag *diag);

/**
 * Detach and close; NULL is allowed.
 *
 * @param channel  an end
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_channel_close(ulv_channel *channel);

/**
 * Send one record; a copy of the bytes.
 *
 * @param channel  an end
 * @param type     the record's type, not ULV_RECORD_PAD
 * @param data     the payload
 * @param len      [bytes, at most a quarter of the ring]
 *
 * Errors:  ULV_E_FULL, ULV_E_LIMIT, ULV_E_PEER_INDEX (closed for good)
 *          ULV_E_PEER_GONE  the channel was destroyed
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_send(ulv_channel *channel, uint32_t type,
                                    const void *data, size_t len);

/**
 * Room for one record, to be filled in place; several may be reserved before
 * they are shown to the peer by one ulv_channel_submit().
 *
 * @param channel   an end
 * @param type      the record's type, not ULV_RECORD_PAD
 * @param len       [bytes, at most a quarter of the ring]
 * @param ret_slot  writable until submit or publish (borrowed), 8-byte aligned
 *
 * Errors:  ULV_E_FULL, ULV_E_LIMIT, ULV_E_PEER_INDEX (closed for good)
 *          ULV_E_PEER_GONE  the channel was destroyed
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_reserve(ulv_channel *channel, uint32_t type,
                                       size_t len, void **ret_slot);

/**
 * Show the peer all that was reserved, and wake it if it sleeps.
 *
 * @param channel  an end
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_channel_submit(ulv_channel *channel);

/**
 * Show the peer all that was reserved; a peer that is falling asleep just now
 * is woken by the next submit.
 *
 * @param channel  an end
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_channel_publish(ulv_channel *channel);

/**
 * Look at the next record in place; release it with ulv_channel_release().
 *
 * @param channel   an end
 * @param ret_type  its type
 * @param ret_data  its payload, borrowed until the release, or until a
 *                  transaction destroys the channel. The peer can change it at
 *                  any time: copy before you check.
 *
 * Errors:  ULV_E_EMPTY, ULV_E_PEER_INDEX, ULV_E_PEER_LENGTH
 *          ULV_E_PEER_GONE  the channel was destroyed
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_peek(ulv_channel *channel, uint32_t *ret_type,
                                    struct ulv_bytes *ret_data);

/**
 * As ulv_channel_peek(), but after EMPTY the peer does not know that somebody
 * waits: for who looks again soon.
 *
 * @param channel   an end
 * @param ret_type  its type
 * @param ret_data  its payload, as of peek
 *
 * Errors:  as of ulv_channel_peek()
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_look(ulv_channel *channel, uint32_t *ret_type,
                                    struct ulv_bytes *ret_data);

/**
 * Give back the record that ulv_channel_peek() showed, and those before it, and
 * wake the peer if it waits for room; nothing, if the channel was destroyed
 * since.
 *
 * @param channel  an end
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_channel_release(ulv_channel *channel);

/**
 * Be done with the record that was shown; its room is given back by and by, a
 * quarter of the ring at once, and the rest by the next release.
 *
 * @param channel  an end
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_channel_pass(ulv_channel *channel);

/* What to wait for, and what there is. */
#define ULV_CHANNEL_DATA UINT32_C(1) /* a record */
#define ULV_CHANNEL_ROOM UINT32_C(2) /* room for a record */

/* One of several channels that are waited for in one place. */
struct ulv_channel_awaited {
    ulv_channel *channel;
    uint32_t wanted;  /* ULV_CHANNEL_* */
    uint32_t room;    /* of the record there is to be room for [bytes] */
    uint32_t ready;   /* returned: what there is of it */
    ulv_status status; /* returned: ULV_OK if ready, ULV_E_AGAIN if not yet,
                          or why nothing will come, as of ulv_channel_wait() */
};

/**
 * Wait until there is a record, or room. First everything is submitted and
 * released that was published and passed. Where the peer runs in a process of
 * its own it looks for 30 us, and less if that was in vain before, then it
 * sleeps.
 *
 * @param channel   an end
 * @param wanted    ULV_CHANNEL_*, one or both
 * @param room      of the record there is to be room for [bytes]
 * @param deadline  on the host's clock [ns], or ULV_FOREVER
 *
 * Errors:  ULV_E_TIMEOUT
 *          ULV_E_PEER_GONE   nothing is there to be read, and the partition at
 *                            the other end has ended, or the channel was
 *                            destroyed
 *          ULV_E_PEER_INDEX, ULV_E_PEER_LENGTH  closed: the peer did that
 *          ULV_E_PEER_PROTOCOL  the peer has given this channel up
 *          ULV_E_HOST        the host cannot wait
 * Context: serial; steps the system; may block until the deadline
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_wait(ulv_channel *channel, uint32_t wanted,
                                    size_t room, ulv_nsec deadline);

/**
 * Wait until there is something of at least one channel, or never again
 * anything of one. All are of one system.
 *
 * @param all       what is waited for; ready and status are filled
 * @param count     of them, from 1
 * @param deadline  on the host's clock [ns], or ULV_FOREVER
 *
 * Errors:  ULV_E_TIMEOUT, ULV_E_ARG (none), ULV_E_HOST
 * Context: serial; steps the system; may block until the deadline
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_wait_any(struct ulv_channel_awaited *all,
                                        size_t count, ulv_nsec deadline);

/*
 * Ends that are waited for in one place, again and again: what a wait costs
 * does not grow with those of which there is nothing.
 */
typedef struct ulv_channel_set ulv_channel_set;

/**
 * Make an empty set; destroy it before the system.
 *
 * @param system   of all its channels
 * @param ret_set  the set
 *
 * Errors:  ULV_E_NO_MEMORY
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_set_create(ulv_system *system,
                                          ulv_channel_set **ret_set);

/**
 * Destroy a set, not its channels; NULL is allowed.
 *
 * @param set  a set
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_channel_set_destroy(ulv_channel_set *set);

/**
 * Add a channel, or wait for something else of one that is in it. Closing it
 * takes it out.
 *
 * @param set      a set
 * @param channel  in no other set
 * @param wanted   ULV_CHANNEL_*, one, both or none
 * @param room     of the record there is to be room for [bytes]
 *
 * Errors:  ULV_E_BUSY   it is in another set
 *          ULV_E_ARG    another system's, or wanted has other bits
 *          ULV_E_LIMIT  room; ULV_E_NO_MEMORY
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_set_add(ulv_channel_set *set,
                                       ulv_channel *channel, uint32_t wanted,
                                       size_t room);

/**
 * Take a channel out; nothing if it is not in the set.
 *
 * @param set      a set
 * @param channel  an end
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_channel_set_remove(ulv_channel_set *set,
                                    ulv_channel *channel);

/**
 * Wait until there is something of at least one channel, or never again
 * anything of one; as ulv_channel_wait(). Those that are told of and still have
 * something are told of again, after all others that have.
 *
 * @param set        a set
 * @param ret        filled for those that have something
 * @param room       of ret, from 1
 * @param ret_count  how many were filled; 0 on errors
 * @param deadline   on the host's clock [ns], or ULV_FOREVER
 *
 * Errors:  ULV_E_TIMEOUT, ULV_E_ARG (no room), ULV_E_HOST
 * Context: serial; steps the system; may block until the deadline
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_set_wait(ulv_channel_set *set,
                                        struct ulv_channel_awaited *ret,
                                        size_t room, size_t *ret_count,
                                        ulv_nsec deadline);

/**
 * What the channel's header says of the end at the other side: one that died is
 * detached, as one that left is; one that was taken away is revoked.
 *
 * @param channel  an end
 *
 * Returns ULV_END_* of <ultravisor/abi/channel.h>, or what the peer wrote in
 * its place. It rings nobody when it attaches or leaves.
 * Context: serial
 * Since:   0.1
 */
ULV_API uint32_t ulv_channel_peer(const ulv_channel *channel);

/**
 * The bytes that this end alone writes, or those that the peer alone does: for
 * a channel over which no records are sent, but a table is shared
 * (<ultravisor/table.h>).
 *
 * @param channel    an end
 * @param own        this end's, or the peer's
 * @param ret_bytes  how many
 *
 * Returns NULL if the channel was destroyed; otherwise borrowed as what
 * ulv_channel_peek() shows.
 * Context: serial
 * Since:   0.1
 */
ULV_API void *ulv_channel_section(ulv_channel *channel, bool own,
                                  uint64_t *ret_bytes);

/**
 * The bulk area: memory beside the rings that both ends write and read, at any
 * time. <ultravisor/bulk.h> hands out its pieces.
 *
 * @param channel    an end
 * @param ret_bytes  how many; 0 if it has none
 *
 * Returns NULL if it has none, or the channel was destroyed; otherwise borrowed
 * as what ulv_channel_peek() shows.
 * Context: serial
 * Since:   0.1
 */
ULV_API void *ulv_channel_area(ulv_channel *channel, uint64_t *ret_bytes);

/**
 * Ring the peer, whatever it waits for; ulv_system_step() returns when it rings
 * back. For a channel of a table: records ring by themselves.
 *
 * @param channel  an end
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_channel_ring(ulv_channel *channel);

/* What went through this end since it was opened. */
struct ulv_channel_counters {
    uint32_t size; /* sizeof, set by the caller */
    uint32_t rsvd_;
    uint64_t records_sent, bytes_sent;         /* of payload */
    uint64_t records_received, bytes_received; /* given back or passed */
    uint64_t doorbells_rung;
    uint64_t doorbells_spared; /* submits and releases that woke nobody */
    uint64_t waits;            /* that found nothing at once */
    uint64_t spins;            /* of these, over before it slept */
};

/**
 * Read the counters.
 *
 * @param channel  an end
 * @param ret      with its size set; filled
 *
 * Errors:  ULV_E_ARG  the size is not one that this library knows
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_channel_counters(const ulv_channel *channel,
                                        struct ulv_channel_counters *ret);

#ifdef __cplusplus
}
#endif

#endif
