/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The ring of trace records in memory that a monitor shares with the keeper.
 * One writes, the other reads beside it and may be lapped; neither waits.
 */
#ifndef MONITOR_TRACE_H
#define MONITOR_TRACE_H

#include <ultravisor/trace.h>

struct ulv_trace {
    uint64_t written; /* records so far */
    uint64_t rsvd_[511];
    struct ulv_trace_record record[ULV_TRACE_COUNT]; /* sequence % count */
};

/* The memory object, in whole pages. */
#define ULV_TRACE_BYTES                                                        \
    ((sizeof(struct ulv_trace) + UINT64_C(4095)) & ~UINT64_C(4095))

/* sequence is filled in. */
void ulv_trace_add(struct ulv_trace *trace,
                   const struct ulv_trace_record *record);
/* Any bytes yield records or none. */
uint32_t ulv_trace_read(const struct ulv_trace *trace, uint64_t after,
                        struct ulv_trace_record *buf, uint32_t room);

#endif
