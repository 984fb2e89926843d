/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * From an exception of the processor to a fault in our words: one answer for
 * all backends.
 */
#ifndef MONITOR_EXCEPTION_H
#define MONITOR_EXCEPTION_H

#include <ultravisor/sys/backend.h>

/* Exception vectors; SDM vol. 3A table 6-1. */
#define ULV_VECTOR_DIVIDE     0u
#define ULV_VECTOR_DEBUG      1u
#define ULV_VECTOR_NMI        2u
#define ULV_VECTOR_BREAKPOINT 3u
#define ULV_VECTOR_OPCODE     6u
#define ULV_VECTOR_DEVICE     7u
#define ULV_VECTOR_PROTECTION 13u
#define ULV_VECTOR_PAGE       14u
#define ULV_VECTOR_X87        16u
#define ULV_VECTOR_ALIGNMENT  17u
#define ULV_VECTOR_MACHINE    18u
#define ULV_VECTOR_SIMD       19u

/**
 * If registers.rip lies in [guest, guest + bytes), take the bytes of the
 * instruction from there.
 * @param p  where those bytes are mapped
 */
void ulv_fault_take_instruction(struct ulv_exit_fault *fault, uint64_t guest,
                                uint64_t bytes, const void *p);

/**
 * Fill kind from vector, error_code and instruction, and address: of a page
 * fault it is the caller's, of a port its number, of others the rip.
 * Any bytes yield an answer.
 */
void ulv_fault_classify(struct ulv_exit_fault *fault);

#endif
