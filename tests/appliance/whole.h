/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef WHOLE_H
#define WHOLE_H

#include <ultravisor/sys/host.h>
#include <ultravisor/ultravisor.h>

/* As ulv_text_format(). */
void whole_say(const char *format, ...);

/* wrong_ultravisor.c: how many orders it shall give, of which frames, how many
 * it has given, and how many were answered. */
#define WRONG_ORDERS 3u
struct wrong {
    uint32_t orders, given, answers;
    uint64_t frame[WRONG_ORDERS];
};
extern struct wrong wrong;

/* bare_loop.c: ticks from VMCALL to VMCALL where nothing is done between. */
uint64_t whole_bare_loop(const struct ulv_host *host);

/* whole_moves.c: change what two guests have that run memory_guard, then stop
 * them. */
bool whole_moves(ulv_system *system, const ulv_id guest[2],
                 struct ulv_diag *diag);

#endif
