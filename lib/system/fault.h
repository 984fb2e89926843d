/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef SYSTEM_FAULT_H
#define SYSTEM_FAULT_H

#include <ultravisor/fault.h>

/* Keep a record: of an end by a fault, or of a refusal (reason NONE). */
void ulv_system_keep_fault(ulv_system *system, ulv_id partition,
                           const struct ulv_end *end);
void ulv_system_drop_faults(ulv_system *system);

#endif
