/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Timers in a pairing heap that lies in the timers themselves: no memory to
 * run out of. Source: Fredman, Sedgewick, Sleator, Tarjan, The pairing heap,
 * Algorithmica 1 (1986).
 */
#ifndef GUEST_TIMER_H
#define GUEST_TIMER_H

#include <ultravisor/guest.h>

/* Set a timer that is not set. */
void timers_add(struct guest_timers *timers, struct guest_timer *timer,
                uint64_t time);
/* Unset a timer that is set. */
void timers_remove(struct guest_timers *timers, struct guest_timer *timer);
/* When the next one is due; UINT64_MAX: none is set. */
uint64_t timers_next(const struct guest_timers *timers);
/* Run what is due at a time. What is set meanwhile comes due later, so this
 * ends. Returns how many ran. */
uint32_t timers_run(struct guest_timers *timers, uint64_t now);

#endif
