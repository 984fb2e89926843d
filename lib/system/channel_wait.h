/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The steps of waiting for one of the caller's own ends: submit, look, ask.
 * channel_wait.c waits for those that it is given, channel_set.c for a set.
 */
#ifndef SYSTEM_CHANNEL_WAIT_H
#define SYSTEM_CHANNEL_WAIT_H

#include "system/system_priv.h"

/* Give the peer all that was published and passed, and wake it if it sleeps. */
void ulv_awaited_submit(ulv_channel *channel);
/* What there is, without asking for it: ready and status. */
void ulv_awaited_look(struct ulv_channel_awaited *w);
/* Ask to be rung. Returns whether there is something after all. */
bool ulv_awaited_ask(struct ulv_channel_awaited *w);
/* Whether nothing will come any more; looks at its last words and says why. */
bool ulv_awaited_is_over(struct ulv_channel_awaited *w);
/* How long to look before falling asleep; 0: not at all. */
ulv_nsec ulv_awaited_look_until(ulv_system *system, ulv_nsec deadline);

static inline void
ulv_awaited_relax(void)
{
    __asm__ volatile("pause");
}

#endif
