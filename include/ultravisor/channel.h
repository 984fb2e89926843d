/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The program's own end of a channel to a partition: records in both
 * directions, without copying. doc/formats/channel.md says what the peer sees.
 */
#ifndef ULTRAVISOR_CHANNEL_H
#define ULTRAVISOR_CHANNEL_H

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
 * Give the record back that ulv_channel_peek() showed; nothing, if the channel
 * was destroyed since.
 *
 * @param channel  an end
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_channel_release(ulv_channel *channel);

#ifdef __cplusplus
}
#endif

#endif
