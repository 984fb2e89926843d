/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Typing to a guest's console. What the guest says comes as events: event.h.
 */
#ifndef ULTRAVISOR_CONSOLE_H
#define ULTRAVISOR_CONSOLE_H

#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

/* So many bytes are kept for a guest that does not read. */
#define ULV_CONSOLE_INPUT_KEPT 4096u

/**
 * Type to the console of a guest, before it was started for the first time too.
 *
 * What is taken reaches the guest once, in order, whichever I/O partition dies
 * meanwhile, as long as the guest runs: what it has not read when it ends is
 * gone. A guest that is restored has what was in its channel when it was saved,
 * and nothing of what was typed to its partition before it was.
 * doc/formats/console.md says the same of each step.
 *
 * @param system     a system
 * @param partition  a guest partition that has a console; of several, the last
 * @param bytes      any bytes: no line discipline, no echo
 * @param len        how many [bytes]
 * @param ret_taken  how many were taken, from the first on; fewer than len:
 *                   no more found room, ULV_EVENT_CONSOLE_ROOM says when some
 *                   is there
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_AGAIN      nothing was taken, for ULV_CONSOLE_INPUT_KEPT bytes
 *                           are kept: the guest reads none, or not so fast
 *          ULV_E_NOT_FOUND  no such guest, or it has no console
 *          ULV_E_STATE      it has ended, and was not started again
 *          ULV_E_PEER_GONE  nobody is left who could serve its console
 *          ULV_E_NO_MEMORY
 *          ULV_E_UNSUPPORTED  on a bare machine
 * Context: serial; the guest has it when the system was stepped
 * Since:   0.1
 */
ULV_API ulv_status ulv_console_write(ulv_system *system, ulv_id partition,
                                     const void *bytes, size_t len,
                                     size_t *ret_taken, struct ulv_diag *diag);

#ifdef __cplusplus
}
#endif

#endif
