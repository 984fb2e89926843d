/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A stub for debuggers of one partition: what debug.c (connections, and how the
 * guest stands) and debug_target.c (what the protocol asks of it) share.
 */
#ifndef SYSTEM_DEBUG_H
#define SYSTEM_DEBUG_H

#include <ultravisor/debug.h>

#include "debug/stub.h"
#include "system/system_priv.h"

/* What a debugger may say before it has to wait for an answer. */
#define DEBUG_INPUT_MAX 8192u

struct debugger {
    struct debugger *next;
    ulv_system *system;
    ulv_id partition;
    struct ulv_debug_port port;
    uint32_t caps; /* ULV_DEBUG_CAN_*, of the backend */

    ulv_handle connection;         /* ULV_NO_HANDLE: no debugger */
    struct ulv_stub_target target; /* ulv_debug_target, with self */
    struct ulv_stub stub;
    uint8_t in[DEBUG_INPUT_MAX];
    size_t in_len;

    bool asked;  /* the monitor, to halt the guest */
    bool stands; /* the guest does, and we know how: */
    bool ended;  /* it has ended, and is only looked at */
    struct ulv_stub_stop stop;
    uint64_t there, known, changed; /* processors, a bit each */
    struct ulv_registers registers[ULV_STUB_PROCESSORS_MAX];
    struct ulv_debug points; /* breakpoints of the processor */
};

extern const struct ulv_stub_target ulv_debug_target;

struct keeper_partition *ulv_debug_partition(const struct debugger *d);
/* To the monitor; tail: what has changed of registers. */
ulv_status ulv_debug_tell(struct debugger *d, uint32_t action, uint64_t run,
                          uint64_t step);

#endif
