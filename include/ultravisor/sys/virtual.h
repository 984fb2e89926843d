/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A host in virtual time: a whole system, each role a process of its own, in
 * one thread, on a clock that moves only when everybody waits. Settle limits,
 * graces and schedules run in no real time, and the same program sees the same
 * events twice.
 *
 * For tests, of the library and of programs that use it: pass
 * ulv_virtual_host() to ulv_system_create() with the backend "mock" and either
 * placement. With ULV_PLACEMENT_PROCESSES a process can be told to be late, or
 * never to answer again. It is no sandbox, and nobody's memory is apart.
 *
 * A process does its work at once, and what it says is heard when the time that
 * the work takes is over. It runs inside the caller's waits: step a system
 * with a deadline, not with 0.
 */
#ifndef ULTRAVISOR_SYS_VIRTUAL_H
#define ULTRAVISOR_SYS_VIRTUAL_H

#include <ultravisor/sys/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ULV_VIRTUAL_PROCESSES 64u  /* that can be there at a time */
#define ULV_VIRTUAL_STEP_NS   1000 /* what a turn of a process takes at least */

typedef struct ulv_virtual ulv_virtual;

/**
 * Make a host of two processors and one node of memory.
 *
 * @param base  where the memory comes from: ulv_posix_host(), or any host;
 *              outlives what is made
 * @param seed  of its random bytes and delays: same seed, same run
 * @param ret   the host; destroy it with ulv_virtual_destroy()
 *
 * Errors:  ULV_E_NO_MEMORY
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_virtual_create(const struct ulv_host *base,
                                      uint64_t seed, ulv_virtual **ret);

/**
 * Give everything back. Systems made from it are destroyed before.
 *
 * @param v  NULL is allowed
 *
 * Returns how many processes, handles and mappings were left: 0 is right.
 * Context: serial
 * Since:   0.1
 */
ULV_API uint64_t ulv_virtual_destroy(ulv_virtual *v);

/**
 * The table for ulv_system_create(); valid until v is destroyed.
 *
 * @param v  a host in virtual time
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API const struct ulv_host *ulv_virtual_host(ulv_virtual *v);

/**
 * Let a process be busy: it does nothing and nothing it said is heard until the
 * time is over. It can be killed meanwhile, and then that is lost.
 *
 * @param v     a host in virtual time
 * @param name  of its partition: "io-a", or a guest's, whose monitor it is
 * @param ns    from now [ns]; ULV_FOREVER: it never answers again; 0: it goes
 *              on
 *
 * Errors:  ULV_E_NOT_FOUND  no process of that name runs
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_virtual_stall(ulv_virtual *v, const char *name,
                                     ulv_nsec ns);

/**
 * Let every turn of every process take a random time more.
 *
 * @param v          a host in virtual time
 * @param most_ns    0 .. most_ns [ns]
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_virtual_delay(ulv_virtual *v, ulv_nsec most_ns);

/**
 * The caller is away: everybody else has his turns, and nobody hears what the
 * processes say before the time is over.
 *
 * @param v   a host in virtual time
 * @param ns  for so long [ns]
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_virtual_advance(ulv_virtual *v, ulv_nsec ns);

#ifdef __cplusplus
}
#endif

#endif
