/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The event loop. What a channel has is read from the channel before each
 * wait, so no doorbell that somebody else heard is missed. Makes no system
 * call by itself: tested on the host.
 */
#include "guest/guest_priv.h"
#include "guest/timer.h"

#define BUSY_STEPS 64u /* in a row, before it looks at the view again */

void
guest_loop_stop(struct guest_loop *loop, int code)
{
    loop->code = code;
    loop->is_over = true;
}

uint64_t
guest_loop_time(const struct guest_loop *loop)
{
    return loop->calls->time(loop->self);
}

void
guest_loop_watch(struct guest_loop *loop, struct guest_watch *watch)
{
    const struct ulv_channel_end *end = &line_seen(watch->channel)->end;

    watch->peer = ulv_channel_peer_state(end);
    watch->epoch = ulv_channel_epoch(end);
    watch->revoked = false;
    watch->room = 0;
    watch->next = loop->first;
    loop->first = watch;
}

void
guest_loop_unwatch(struct guest_loop *loop, struct guest_watch *watch)
{
    struct guest_watch **at = &loop->first;

    while (*at != NULL && *at != watch)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = watch->next;
    if (loop->cursor == watch)
        loop->cursor = watch->next;
}

void
guest_watch_room(struct guest_watch *watch, uint32_t bytes)
{
    watch->room = bytes == 0 ? 1 : bytes;
}

void
guest_timer_cancel(struct guest_loop *loop, struct guest_timer *timer)
{
    if (timer->is_set)
        timers_remove(&loop->timers, timer);
}

void
guest_timer_set(struct guest_loop *loop, struct guest_timer *timer,
                uint64_t time)
{
    guest_timer_cancel(loop, timer);
    timers_add(&loop->timers, timer, time);
}

void
guest_timer_set_in(struct guest_loop *loop, struct guest_timer *timer,
                   uint64_t duration)
{
    uint64_t now = guest_loop_time(loop);

    guest_timer_set(loop, timer,
                    duration < UINT64_MAX - now ? now + duration : UINT64_MAX);
}

/* What there is to say of a channel now; else it is asked to ring. */
static uint32_t
look(struct guest_watch *watch)
{
    struct ulv_channel_end *end = &line_of(watch->channel)->end;
    uint32_t peer = ulv_channel_peer_state(end);
    uint32_t epoch = ulv_channel_epoch(end), what = 0;

    if (peer != watch->peer || epoch != watch->epoch)
        what |= GUEST_PEER;
    watch->peer = peer;
    watch->epoch = epoch;
    if (ulv_ring_rx_wait(&end->rx))
        what |= GUEST_READABLE;
    if (watch->room != 0 && ulv_ring_tx_wait(&end->tx, watch->room)) {
        what |= GUEST_WRITABLE;
        watch->room = 0;
    }
    if (watch->revoked)
        what |= GUEST_REVOKED;
    watch->revoked = false;
    return what;
}

static uint32_t
run_watches(struct guest_loop *loop)
{
    uint32_t ran = 0;

    loop->cursor = loop->first;
    while (loop->cursor != NULL && !loop->is_over) {
        struct guest_watch *watch = loop->cursor;
        uint32_t what = look(watch);

        loop->cursor = watch->next;
        if (what == 0)
            continue;
        if (line_of(watch->channel)->end.rx.closed != ULV_OK)
            guest_loop_unwatch(loop, watch);
        ran++;
        watch->run(watch->argument, what);
    }
    loop->cursor = NULL;
    return ran;
}

static void
hear(struct guest_loop *loop, uint64_t mask)
{
    if ((mask & ULV_WAIT_VIEW_MASK) != 0) {
        loop->calls->follow(loop->self);
        for (struct guest_watch *w = loop->first; w != NULL; w = w->next)
            w->revoked = loop->calls->is_revoked(loop->self, w->channel);
        if (loop->on_view != NULL)
            loop->on_view(loop->argument);
    }
    if ((mask & ULV_WAIT_WAKE_MASK) != 0 && loop->on_wake != NULL)
        loop->on_wake(loop->argument);
}

bool
guest_loop_step(struct guest_loop *loop, uint64_t time)
{
    uint32_t ran;
    uint64_t next;

    if (loop->is_over)
        return false;
    ran = loop->timers.first == NULL
              ? 0
              : timers_run(&loop->timers, guest_loop_time(loop));
    if (!loop->is_over)
        ran += run_watches(loop);
    if (loop->is_over)
        return false;
    if (ran != 0 && ++loop->busy < BUSY_STEPS)
        return true;
    loop->busy = 0;
    next = timers_next(&loop->timers);
    if (ran != 0)
        time = 0; /* only see what rang */
    hear(loop, loop->calls->wait(loop->self, next < time ? next : time));
    return !loop->is_over;
}

int
guest_loop_run(struct guest_loop *loop)
{
    while (guest_loop_step(loop, UINT64_MAX))
        continue;
    return loop->code;
}
