/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The trace of a guest: its system calls and why it came back, with times. A
 * monitor keeps the last ULV_TRACE_COUNT records; it is always on. Readable
 * while the guest runs and after it has ended, until it is started again or
 * destroyed.
 */
#ifndef ULTRAVISOR_TRACE_H
#define ULTRAVISOR_TRACE_H

#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ULV_TRACE_COUNT 1024u

#define ULV_TRACE_CALL UINT32_C(1)  /* number: ULV_CALL_*, argument: its first,
                                       result: its status, or ULV_TRACE_LATER */
#define ULV_TRACE_WAKE UINT32_C(2)  /* result: its status, argument: its mask */
#define ULV_TRACE_TURN UINT32_C(3)  /* it used up its turn, without a call */
#define ULV_TRACE_FAULT UINT32_C(4) /* number: ULV_FAULT_*, argument: address */
#define ULV_TRACE_VIEW UINT32_C(5)  /* argument: generation now followed */

#define ULV_TRACE_LATER INT64_C(1) /* no answer yet, or none ever */

struct ulv_trace_record {
    uint64_t sequence; /* from 1, gap-free unless records were overwritten */
    ulv_nsec time;     /* on the host's clock */
    uint32_t kind;     /* ULV_TRACE_* */
    uint32_t number;
    uint64_t argument;
    int64_t result;
};

/**
 * Read records of a partition's trace, ascending.
 *
 * A monitor writes them into memory that it shares with the caller: what they
 * say is the monitor's word. Cost to the guest: a clock and five stores a
 * record.
 *
 * @param system     a system
 * @param partition  a guest partition that was started
 * @param after      0, or the sequence of the last record of the call before
 * @param buf        room for records
 * @param room       how many fit
 * @param ret_count  how many were written; fewer than room: no more are there
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_NOT_FOUND, ULV_E_STATE (never started, or the host has no
 *          trace: bare machines)
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_partition_trace(ulv_system *system, ulv_id partition,
                                       uint64_t after,
                                       struct ulv_trace_record *buf,
                                       uint32_t room, uint32_t *ret_count,
                                       struct ulv_diag *diag);

#ifdef __cplusplus
}
#endif

#endif
