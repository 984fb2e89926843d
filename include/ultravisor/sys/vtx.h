/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The VT-x backend, for a host that is the machine's only program: CPL0, in
 * 64-bit mode, with a task register loaded and host->physical. Source: Intel
 * SDM vol. 3C, chapters 23 to 30.
 *
 * The first machine puts the processor into VMX operation, the last takes it
 * out again, and CR0 and CR4 are then as they were. As long as there is one,
 * page tables (CR3), segments, their bases and the SYSENTER registers stay as
 * they are: an exit comes back to them. All machines and their processors
 * belong to one processor of the machine. While a guest runs interrupts are
 * off; one that comes ends the stay and is served when the caller's flag is
 * back: a caller that keeps its flag off and leaves one pending gets no
 * further. A kick takes effect after a millisecond or so. After a stay DR7 is
 * reset, IA32_DEBUGCTL is 0 and LDTR is empty (SDM vol. 3C 27.5).
 *
 * Guests use general registers only: x87, MMX, SSE and what came later fault
 * as undefined instructions.
 */
#ifndef ULTRAVISOR_SYS_VTX_H
#define ULTRAVISOR_SYS_VTX_H

#include <ultravisor/sys/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const struct ulv_backend_ops ulv_backend_vtx;

#ifdef __cplusplus
}
#endif

#endif
