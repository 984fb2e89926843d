/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef GUEST_GUEST_PRIV_H
#define GUEST_GUEST_PRIV_H

#include <ultravisor/guest.h>

#include "channel/channel.h"

/* What a struct guest_channel holds. */
struct line {
    struct ulv_channel_end end;
    uint32_t slot; /* of the doorbell */
};

_Static_assert(sizeof(struct line) <= sizeof(struct guest_channel),
               "a line fits its opaque bytes");

static inline const struct line *
line_seen(const struct guest_channel *channel)
{
    return (const struct line *)(const void *)channel->opaque_;
}

static inline struct line *
line_of(struct guest_channel *channel)
{
    return (struct line *)(void *)channel->opaque_;
}

/* As guest_channel_attach(), of an end that can do more: its features. */
int32_t guest_channel_attach_able(struct guest_channel *channel,
                                  const struct ulv_view_channel *found,
                                  uint32_t features);
void guest_view_init(const void *view);

/* Where system calls go. */
extern uint64_t guest_gate_address;
/* Where the stack of processor 0 began. */
extern uint64_t guest_stack_end;

#endif
