/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A link between two roles in one process: two bounded queues and two events.
 * Freestanding; contract in <ultravisor/sys/host.h>, struct ulv_link_ops.
 */
#ifndef SYSTEM_LINK_H
#define SYSTEM_LINK_H

#include <ultravisor/sys/host.h>

/* Messages that may wait in one direction; one more is FULL. */
#define ULV_LINK_QUEUE_MAX 64

/**
 * Make both ends of a link. Each is closed on its own with ops->close.
 *
 * The host must have events and handle_duplicate. handle_duplicate is what
 * passes a handle on.
 *
 * Errors:  ULV_E_NO_MEMORY, ULV_E_UNSUPPORTED (host without events), and what
 *          event_create returns
 * Context: serial, both ends together: one thread steps every role
 */
ulv_status ulv_link_create(const struct ulv_host *host, struct ulv_link **ret_a,
                           struct ulv_link **ret_b);

/* Whether it is an end of such a link. */
bool ulv_link_is_near(const struct ulv_link *link);

/**
 * Receive on an end of such a link without a copy.
 *
 * @param ret_message  valid until the next one is taken, or received, or the
 *                     end is closed (borrowed)
 *
 * Errors:  as ops->receive
 * Context: serial, as above
 */
ulv_status ulv_link_take(struct ulv_link *link, const void **ret_message,
                         size_t *ret_len, ulv_handle *handles,
                         uint32_t *ret_handle_count);

#endif
