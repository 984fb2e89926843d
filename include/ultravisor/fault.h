/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fault records: what went wrong, where, and what the machine looked like. A
 * system keeps the last ULV_FAULTS_KEPT of them, also of partitions that are
 * destroyed: one for each partition that ended by a fault, and one for each
 * order or message that was refused, against who sent it.
 */
#ifndef ULTRAVISOR_FAULT_H
#define ULTRAVISOR_FAULT_H

#include <ultravisor/partition.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ULV_FAULTS_KEPT 64u

struct ulv_fault_record {
    uint32_t size; /* sizeof, set by the caller */
    uint32_t rsvd_;
    uint64_t sequence; /* from 1; what is missing was dropped */
    ulv_nsec time;     /* on the host's clock */
    ulv_id partition;  /* whose fault it is, or 0 */
    char name[ULV_NAME_MAX + 1]; /* of the partition, then; or empty */
    struct ulv_end end; /* reason FAULT; NONE: a refusal, only text is set */
};

#define ULV_FAULT_DESCRIPTION_MAX 2048u

/**
 * The oldest fault record with a sequence above after.
 *
 * @param system  a system
 * @param after   0, or the sequence of the record read last
 * @param ret     filled; ret->size is set by the caller
 *
 * Errors:  ULV_E_AGAIN  there is none;  ULV_E_ARG  ret->size is too small
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_fault_next(const ulv_system *system, uint64_t after,
                                  struct ulv_fault_record *ret);

/**
 * How a partition ended, in words: the line of ulv_end.text, and for a fault
 * of the guest's own what lies at the address it touched, the bytes of the
 * instruction, and all registers, several lines.
 *
 * @param end    what ulv_partition_wait() or ulv_fault_next() gave
 * @param buf    room for text; it ends in a zero byte
 * @param bytes  of buf; ULV_FAULT_DESCRIPTION_MAX suffice, less cuts it
 *
 * Returns: the length of the text in buf [bytes]
 * Context: any
 * Since:   0.1
 */
ULV_API size_t ulv_fault_describe(const struct ulv_end *end, char *buf,
                                  size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
