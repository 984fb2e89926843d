/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Images for the mock backend: deterministic, without a processor. A "guest" is
 * a list of steps that lies at the entry address, so that an ordinary ELF image
 * whose one segment holds steps runs on it.
 *
 * For tests of what lies above a backend, and for programs that want a system
 * whose guests compute nothing.
 */
#ifndef ULTRAVISOR_SYS_MOCK_H
#define ULTRAVISOR_SYS_MOCK_H

#include <stdint.h>

/* What a step does. All steps are 48 bytes, little-endian. */
#define ULV_MOCK_END     0u /* the guest is gone */
#define ULV_MOCK_CALL    1u /* number, argument[]: a system call */
#define ULV_MOCK_FAULT   2u /* number: ULV_FAULT_*, argument[0]: address */
#define ULV_MOCK_SPIN    3u /* runs until the budget is used up, for ever */
#define ULV_MOCK_REPEAT  4u /* number: go back so many steps, argument[0]
                               times */
#define ULV_MOCK_STORE   5u /* argument[0]: guest address, [1]: 64-bit value */
#define ULV_MOCK_EXPECT  6u /* the last answer was status argument[0]; another
                               one ends the guest with a fault */

#define ULV_MOCK_RUN     7u /* runs for number ns of its host's clock */
#define ULV_MOCK_HANG    8u /* one stay in the guest that takes number ns,
                               whatever its budget, and no kick ends;
                               ULV_FOREVER: no end. Only where the host has
                               `spend` */
#define ULV_MOCK_RULE    9u /* number: ULV_MOCK_ON_*; argument[0]: of these
                               calls from now on let so many be as they are,
                               the next one takes argument[1] ns (`spend`) and
                               returns status argument[2]; where that is not 0
                               it does nothing else. A few at a time: LIMIT
                               of a rule too many is a fault REPORTED */

#define ULV_MOCK_VECTOR 10u /* in a handler: a system call, number, whose
                               argument 0 is the vector */
#define ULV_MOCK_RESUME 11u /* the end of a handler; anywhere else a fault */

/* Calls of the backend that a rule is about. */
#define ULV_MOCK_ON_MAP   0u
#define ULV_MOCK_ON_UNMAP 1u

#define ULV_MOCK_RULES 16u /* that wait at a time, of a machine */

struct ulv_mock_step {
    uint32_t kind;
    uint32_t rsvd_;
    uint64_t number;
    uint64_t argument[4];
};

#endif
