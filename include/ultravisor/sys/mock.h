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

struct ulv_mock_step {
    uint32_t kind;
    uint32_t rsvd_;
    uint64_t number;
    uint64_t argument[4];
};

#endif
