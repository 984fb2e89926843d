/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a loop runs on in a guest. */
#include <ultravisor/guest.h>

static uint64_t
loop_time(void *self)
{
    (void)self;
    return guest_time();
}

static uint64_t
loop_wait(void *self, uint64_t time)
{
    (void)self;
    return guest_wait_mask(time);
}

static void
loop_follow(void *self)
{
    (void)self;
    (void)guest_memory_follow();
}

static bool
loop_is_revoked(void *self, const struct guest_channel *channel)
{
    (void)self;
    return guest_channel_is_revoked(channel);
}

static const struct guest_loop_calls calls = { .time = loop_time,
                                               .wait = loop_wait,
                                               .follow = loop_follow,
                                               .is_revoked = loop_is_revoked };

void
guest_loop_init(struct guest_loop *loop)
{
    *loop = (struct guest_loop){ .calls = &calls };
}
