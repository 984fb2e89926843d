/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A link between two processes: a sequenced-packet socket, one packet a
 * message, handles as descriptors. Both processes may be on any side of the
 * trust boundary: lengths and counts of the peer are checked, descriptors
 * that are too many are closed, never leaked.
 */
#ifndef PORT_POSIX_LINK_H
#define PORT_POSIX_LINK_H

#include "port/posix/posix.h"

/**
 * Make both ends: ours as a link, the peer's as a descriptor to pass to
 * ulv_posix_process_start(), which is closed by the caller.
 *
 * Errors:  ULV_E_NO_MEMORY, ULV_E_LIMIT (descriptors), ULV_E_HOST
 * Context: any
 */
ulv_status ulv_posix_link_create(const struct ulv_host *host,
                                 struct ulv_link **ret, ulv_handle *ret_peer);

/**
 * Make a link from the descriptor of an end. Takes the descriptor over on
 * success only.
 *
 * Errors:  ULV_E_ARG        not a sequenced-packet socket
 *          ULV_E_NO_MEMORY, ULV_E_HOST
 * Context: any
 */
ulv_status ulv_posix_link_open(const struct ulv_host *host, ulv_handle socket,
                               struct ulv_link **ret);

#endif
