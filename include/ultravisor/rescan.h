/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A machine that changes while a system runs: what was plugged in comes into
 * the resource database, what was pulled out leaves it, and its owner.
 *
 * For programs that hear of such a change (from udev, or whoever manages the
 * host) and those that look from time to time: nothing is looked for unless
 * asked.
 */
#ifndef ULTRAVISOR_RESCAN_H
#define ULTRAVISOR_RESCAN_H

#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ULV_RESCAN_DRY_RUN UINT32_C(1) /* say what would be; change nothing */

#define ULV_MACHINE_ADDED   UINT32_C(1) /* it is idle's; of memory: more is */
#define ULV_MACHINE_REMOVED UINT32_C(2) /* it has no record any more */
/* Of processors: who runs on it goes on where the host lets him, and nobody new
 * gets it; and back. Of memory: a node has less, or is gone; who has some of
 * that goes on with it, and nobody gets it when he has given it back. */
#define ULV_MACHINE_OFFLINE UINT32_C(3)
#define ULV_MACHINE_ONLINE  UINT32_C(4)

struct ulv_machine_change {
    ulv_id object; /* its record; in a dry run one that is added gets this id
                      if nothing else is added before */
    ulv_id owner;  /* who has lost it, or whose alone it is; or 0 */
    uint32_t what; /* ULV_MACHINE_* */
    uint32_t kind; /* ULV_QUERY_HARDWARE, ULV_QUERY_PROCESSORS,
                      ULV_QUERY_MEMORY */
    char name[24]; /* of a processor or node the host's number */
    uint64_t bytes; /* of memory: so much more, or less, for the pool */
};

#define ULV_RESCAN_CHANGES_MAX 256u

/* What has changed since the system was made, or looked last. */
struct ulv_rescan {
    uint32_t size;  /* sizeof, set by the caller */
    uint32_t count; /* of changes; the first of them are told */
    uint32_t told;
    uint32_t rsvd_;
    uint64_t revision; /* of the database, which has them */
    struct ulv_machine_change change[ULV_RESCAN_CHANGES_MAX];
};

/**
 * Ask the host again which devices, processors and memory there are, and make
 * the database follow, by one transaction.
 *
 * A device is the same by kind, name, model, class and size. One that is gone
 * is taken from its owner, also while that runs, for which an ULV_EVENT_FAULT
 * of that partition names it; its functions go with it, and its labels. If not
 * all devices can be listed, none changes.
 *
 * A processor is the same by the host's number. One that is not online, or not
 * allowed to this thread any more, is retired until it is again; each partition
 * that runs on it is told by an ULV_EVENT_FAULT.
 *
 * A node of memory is the same by the host's number. The pool keeps the share
 * of it that it had when the system was made, whatever the node's size is now,
 * and takes of a new node the share that it has of all others, at most what is
 * free there. What it loses is taken from the end of the node's frames: those
 * that are free are given to nobody, a partition that has some keeps them, as
 * the host has moved what is in them, and is told by an ULV_EVENT_FAULT and by
 * ULV_VIEW_RETIRED. Less than 128 MiB is no change of a node. A host that is
 * given the machine's own frames is not asked for memory.
 *
 * An ultravisor that is started again meanwhile is asked again; what its
 * predecessor did is in the database and not told.
 *
 * @param system  a system
 * @param flags   0, or ULV_RESCAN_DRY_RUN
 * @param ret     filled; ret->size is set by the caller
 * @param diag    NULL or where the failure is explained
 *
 * Errors:  ULV_E_ARG        unknown flags, or ret->size is too small
 *          ULV_E_LIMIT      the host has more than 4096 devices, or has shown
 *                           more than 64 nodes of memory
 *          ULV_E_PEER_GONE  the ultravisor partition is dead, or died of it
 *                           again and again
 *          ULV_E_NO_MEMORY, and those of the host and of the storage
 * Context: serial; steps the system until the answer is there
 * Since:   0.1
 */
ULV_API ulv_status ulv_system_rescan(ulv_system *system, uint32_t flags,
                                     struct ulv_rescan *ret,
                                     struct ulv_diag *diag);

#ifdef __cplusplus
}
#endif

#endif
