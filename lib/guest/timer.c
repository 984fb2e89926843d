/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "guest/timer.h"

/* Of two that are due at once the one that was set first. */
static bool
is_before(const struct guest_timer *a, const struct guest_timer *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

/* Two heaps into one; before is a previous sibling, or the parent of a first
 * child. */
static struct guest_timer *
meld(struct guest_timer *a, struct guest_timer *b)
{
    struct guest_timer *parent = is_before(a, b) ? a : b;
    struct guest_timer *child = parent == a ? b : a;

    child->before = parent;
    child->next = parent->child;
    if (parent->child != NULL)
        parent->child->before = child;
    parent->child = child;
    parent->next = parent->before = NULL;
    return parent;
}

/* Siblings into one heap: in pairs from the first, then from the last. */
static struct guest_timer *
meld_all(struct guest_timer *timer)
{
    struct guest_timer *pairs = NULL, *all = NULL;

    while (timer != NULL) {
        struct guest_timer *a = timer, *b = timer->next, *rest;

        rest = b == NULL ? NULL : b->next;
        a->next = a->before = NULL;
        if (b != NULL) {
            b->next = b->before = NULL;
            a = meld(a, b);
        }
        a->next = pairs;
        pairs = a;
        timer = rest;
    }
    while (pairs != NULL) {
        struct guest_timer *rest = pairs->next;

        pairs->next = NULL;
        all = all == NULL ? pairs : meld(all, pairs);
        pairs = rest;
    }
    return all;
}

void
timers_add(struct guest_timers *timers, struct guest_timer *timer,
           uint64_t time)
{
    /* not before the next pass of one that is under way */
    if (timers->passing && time <= timers->now)
        time = timers->now + 1;
    timer->time = time;
    timer->order = timers->order++;
    timer->child = timer->next = timer->before = NULL;
    timer->is_set = true;
    timers->first =
        timers->first == NULL ? timer : meld(timers->first, timer);
}

void
timers_remove(struct guest_timers *timers, struct guest_timer *timer)
{
    struct guest_timer *children = meld_all(timer->child);

    timer->is_set = false;
    timer->child = NULL;
    if (timers->first == timer) {
        timers->first = children;
        return;
    }
    if (timer->before->child == timer)
        timer->before->child = timer->next;
    else
        timer->before->next = timer->next;
    if (timer->next != NULL)
        timer->next->before = timer->before;
    timer->next = timer->before = NULL;
    if (children != NULL)
        timers->first = meld(timers->first, children);
}

uint64_t
timers_next(const struct guest_timers *timers)
{
    return timers->first == NULL ? UINT64_MAX : timers->first->time;
}

uint32_t
timers_run(struct guest_timers *timers, uint64_t now)
{
    uint32_t count = 0;

    timers->passing = true;
    timers->now = now;
    while (timers->first != NULL && timers->first->time <= now) {
        struct guest_timer *timer = timers->first;
        uint64_t due = timer->time, period = timer->period, missed;

        timers_remove(timers, timer);
        /* set again before it runs, so that it can cancel itself; periods
         * that nobody had time for are left out */
        if (period != 0) {
            missed = (now - due) / period;
            timers_add(timers, timer,
                       period <= (UINT64_MAX - due) / (missed + 1)
                           ? due + period * (missed + 1)
                           : UINT64_MAX);
        }
        count++;
        timer->run(timer->argument);
    }
    timers->passing = false;
    return count;
}
