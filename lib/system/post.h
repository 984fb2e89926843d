/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One end of a link with an outbox: messages go out in order and none is lost
 * while the other side is slow; a side that does not read for POST_WAITING_MAX
 * messages is treated as gone.
 */
#ifndef SYSTEM_POST_H
#define SYSTEM_POST_H

#include "system/message.h"

/* A transaction leads to a letter for each of its operations, and some. */
#define POST_WAITING_MAX 8192u

struct post_letter;

struct post {
    const struct ulv_host *host;
    ulv_handle waits; /* set of watched handles, not owned */
    struct ulv_link *link; /* owned; NULL: closed */
    struct post_letter *first, **last;
    uint32_t waiting_count;
    uint8_t *buf; /* ULV_LINK_MESSAGE_MAX, for receive; NULL: of a near link */
    bool watched; /* the link is in the wait set */
    bool gone;    /* the peer is gone */
};

/* Takes the link over, also on failure (NO_MEMORY), and watches it. */
ulv_status ulv_post_init(struct post *post, const struct ulv_host *host,
                         ulv_handle waits, struct ulv_link *link);
void ulv_post_fini(struct post *post);

/**
 * Send, or keep until there is room. The handles stay the caller's.
 * A post whose peer is gone swallows everything: its end is seen by receive.
 * Errors: NO_MEMORY (not sent), LIMIT (tail too long).
 */
ulv_status ulv_post_send(struct post *post, const struct say *say,
                         const void *tail, const ulv_handle *handles,
                         uint32_t handle_count);

/* Send at once or not at all: what stays with us is lost when we die.
 * Errors: as above, FULL. */
ulv_status ulv_post_send_now(struct post *post, const struct say *say,
                             const void *tail);

/* Send what must not be lost: if it is, for want of memory, the link is broken
 * and both sides will see that it is. */
void ulv_post_tell(struct post *post, const struct say *say, const void *tail,
                   const ulv_handle *handles, uint32_t handle_count);

/* Send what waits. */
void ulv_post_flush(struct post *post);

/**
 * The next message; its shape is checked: the tail lies inside, and as many
 * handles came as the kind demands. Whether the sender may say such a thing is
 * for the caller to ask; the handles are his.
 * Errors: AGAIN, PEER_GONE, PEER_PROTOCOL (closes what came with it).
 */
ulv_status ulv_post_receive(struct post *post, struct heard *ret);

#endif
