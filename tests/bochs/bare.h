/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a test in an emulated machine stands on: a serial port, a host with a
 * heap, an end. Not a port: one thread, no memory objects, no handles.
 */
#ifndef TESTS_BOCHS_BARE_H
#define TESTS_BOCHS_BARE_H

#include <ultravisor/sys/host.h>

#include "base/base.h"

/* From bochsrc: ips=4000000, a tick of the time stamp an instruction. */
#define BARE_NS_A_TICK 250

void bare_main(void);
/* A vector, perhaps an error code, rip ... as the processor pushed them. */
void bare_trap(const uint64_t *frame);
/* Ends the machine. */
void bare_end(void);
/* One line, as ulv_text_format. */
void bare_say(const char *format, ...);

extern struct ulv_host bare_host;
extern uint64_t bare_live; /* bytes allocated and not freed */
extern uint64_t bare_interrupts; /* of the timer */
/* A periodic interrupt by the first PIT, through the first PIC. */
void bare_start_timer(void);
void bare_stop_timer(void);

#endif
