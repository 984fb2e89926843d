/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <ultravisor/sys/backend.h>

#include "base/base.h"

static const char *const fault_text[] = {
    [ULV_FAULT_NONE] = "no fault",
    [ULV_FAULT_READ] = "read where there is no memory",
    [ULV_FAULT_WRITE] = "write where there is no writable memory",
    [ULV_FAULT_EXECUTE] = "execution where there is no code",
    [ULV_FAULT_INSTRUCTION] = "instruction that is undefined or not allowed",
    [ULV_FAULT_PROTECTION] = "protection fault",
    [ULV_FAULT_ARITHMETIC] = "arithmetic fault",
    [ULV_FAULT_PORT] = "access to an I/O port",
    [ULV_FAULT_TRIPLE] = "triple fault",
    [ULV_FAULT_KILLED] = "killed from outside",
    [ULV_FAULT_BACKEND] = "the backend could not go on",
    [ULV_FAULT_RUNAWAY] = "ran longer than allowed without a system call",
    [ULV_FAULT_REPORTED] = "reported by the guest",
    [ULV_FAULT_UNRESPONSIVE] = "monitor unresponsive",
    [ULV_FAULT_MONITOR] = "monitor died",
    [ULV_FAULT_EMULATION] = "instruction that the host could not carry out",
};

const char *
ulv_fault_text(uint32_t kind)
{
    if (kind >= ULV_COUNT_OF(fault_text))
        return "unknown fault";
    return fault_text[kind];
}
