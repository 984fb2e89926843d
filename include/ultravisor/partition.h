/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a partition does: start it from an image, wait for its end, read why
 * it ended, look into its memory.
 */
#ifndef ULTRAVISOR_PARTITION_H
#define ULTRAVISOR_PARTITION_H

#include <ultravisor/abi/command.h>
#include <ultravisor/sys/backend.h>
#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What to start: an image of the SDK, a static ELF64 for x86-64; or, in a
 * partition that was made for it (ulv_transaction_stock()), a kernel as
 * bzImage, or as ELF with an entry for PVH, as vmlinux. */
struct ulv_image {
    struct ulv_source kernel;
    const char *cmdline;      /* of a stock kernel, or NULL */
    struct ulv_source initrd; /* the same; kind NONE: none */
};

/* What lies at an address of a guest's. */
#define ULV_MAPPING_NONE    UINT32_C(0) /* nothing, or no address is known */
#define ULV_MAPPING_BACKEND UINT32_C(1) /* the backend's, below the memory */
#define ULV_MAPPING_MEMORY  UINT32_C(2) /* id: the extent */
#define ULV_MAPPING_OFFERED UINT32_C(3) /* memory not accepted, or given back */
#define ULV_MAPPING_CHANNEL UINT32_C(4) /* id: the channel */
#define ULV_MAPPING_VIEW    UINT32_C(5)

struct ulv_mapping {
    uint32_t kind; /* ULV_MAPPING_* */
    uint32_t rsvd_;
    ulv_id id;     /* or 0 */
    uint64_t guest_address, bytes; /* all of it */
};

/* How a partition ended. */
struct ulv_end {
    uint32_t reason; /* ULV_END_REASON_* */
    uint32_t rsvd_;
    uint64_t code;   /* STOP: the guest's exit code */
    struct ulv_exit_fault fault; /* FAULT: what, where, registers */
    struct ulv_mapping mapping;  /* FAULT: what lies at fault.address */
    char text[192];  /* the same in words, one line */
};

/**
 * Load an image and run it.
 *
 * Returns when the partition runs, or could not be started. One that has ended
 * may be started again: its memory is zero then, its channels are new and of a
 * further epoch, its console's stream begins at 0. An end of one that is open
 * here is gone: close it and open it again.
 *
 * Where the policy lets it restart, a guest that asks to be reset starts again
 * by itself, so often, as ULV_EVENT_RESET says; ulv_partition_wait() waits on.
 *
 * @param system     a system
 * @param partition  a guest partition with memory and a processor
 * @param image      borrowed for the call; one that lies in the caller's memory
 *                   as long as the partition runs, if it may be restarted
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_FORMAT  not an image for this machine, or one that does not
 *                        fit the partition's memory; diag names the place
 *          ULV_E_STATE   it runs, it has no memory or no processor, or it ran
 *                        before and a guest at the other end of one of its
 *                        channels runs; on a bare machine: it ran before and
 *                        has channels
 *          ULV_E_NOT_FOUND  no such guest, or no such file
 *          ULV_E_MEDIUM, ULV_E_DENIED, ULV_E_UNSUPPORTED, ULV_E_HOST  the
 *                        image cannot be read, or its monitor not be started
 *          ULV_E_NO_MEMORY, ULV_E_LIMIT (also: no ids are left)
 *          ULV_E_PEER_GONE  command, ultravisor or its monitor is dead
 *          ULV_E_PEER_PROTOCOL, ULV_E_PEER_INDEX, ULV_E_PEER_LENGTH  what one
 *                        of them says is no answer
 * Context: serial; steps the system
 * Since:   0.1
 */
ULV_API ulv_status ulv_partition_start(ulv_system *system, ulv_id partition,
                                       const struct ulv_image *image,
                                       struct ulv_diag *diag);

/**
 * Stop a partition that runs. It ends with ULV_END_REASON_KILLED.
 *
 * @param system     a system
 * @param partition  a guest partition
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_NOT_FOUND, ULV_E_STATE (does not run), ULV_E_NO_MEMORY
 *          ULV_E_PEER_GONE  the command or the ultravisor partition is dead;
 *                           ulv_system_kill() does without them
 *          ULV_E_PEER_PROTOCOL, ULV_E_PEER_INDEX, ULV_E_PEER_LENGTH, ULV_E_HOST
 * Context: serial; steps the system until it has ended
 * Since:   0.1
 */
ULV_API ulv_status ulv_partition_stop(ulv_system *system, ulv_id partition,
                                      struct ulv_diag *diag);

/**
 * Stop a partition where it stands, or let it go on. It keeps its memory, its
 * channels and its clock; what rings meanwhile it finds afterwards.
 *
 * @param system     a system
 * @param partition  a guest partition that runs
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_NOT_FOUND, ULV_E_STATE (does not run; is paused already, or is
 *          not), ULV_E_PEER_GONE
 * Context: serial; steps the system until the partition does not run
 * Since:   0.1
 */
ULV_API ulv_status ulv_partition_pause(ulv_system *system, ulv_id partition,
                                       struct ulv_diag *diag);
/** As ulv_partition_pause(), the other way.
 *
 * @param system     a system
 * @param partition  a guest partition that is paused
 * @param diag       NULL or where the failure is explained
 *
 * Context: serial; steps the system
 */
ULV_API ulv_status ulv_partition_resume(ulv_system *system, ulv_id partition,
                                        struct ulv_diag *diag);

/**
 * Run the system until a partition has ended.
 *
 * @param system     a system
 * @param partition  a guest partition that was started
 * @param ret_end    filled: why
 * @param deadline   on the host's clock [ns], or ULV_FOREVER
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_TIMEOUT, ULV_E_NOT_FOUND, ULV_E_STATE (never started)
 * Context: serial; steps the system
 * Since:   0.1
 */
ULV_API ulv_status ulv_partition_wait(ulv_system *system, ulv_id partition,
                                      struct ulv_end *ret_end,
                                      ulv_nsec deadline,
                                      struct ulv_diag *diag);

/* What a partition has of the processors, and what it has used of them. */
struct ulv_usage {
    uint32_t size;
    uint32_t quanta;    /* of each period, all its virtual processors together;
                           of idle: all that nobody has */
    uint32_t dedicated; /* processors it has for itself */
    uint32_t rsvd_;
    ulv_nsec used;    /* processor time of its role or monitor and of its guest;
                         of idle: what nobody used */
    ulv_nsec elapsed; /* time of all processors since the start: the sum of
                         what all used, idle and those that are gone */
    char degraded[128]; /* what of its map the host does not let us keep, one
                           line, or "" */
};

#define ULV_USAGE_INIT                                                         \
    {                                                                          \
        (uint32_t)sizeof(struct ulv_usage), 0, 0, 0, 0, 0, { 0 }               \
    }

/**
 * How much of the processors a partition has, and has used; doc/scheduling.md.
 *
 * @param system     a system
 * @param partition  any partition, that of kind ULV_PARTITION_IDLE too
 * @param ret        filled; ret->size as initialised by ULV_USAGE_INIT
 *
 * Errors:  ULV_E_ARG (size), ULV_E_NOT_FOUND, ULV_E_PEER_GONE (the ultravisor
 *          partition is dead)
 * Context: serial; steps the system
 * Since:   0.1
 */
ULV_API ulv_status ulv_partition_usage(ulv_system *system, ulv_id partition,
                                       struct ulv_usage *ret);

/**
 * Read or write a guest's memory, running or ended, until it is destroyed.
 *
 * @param system     a system
 * @param partition  a guest partition
 * @param address    guest-physical
 * @param buf        the caller's bytes
 * @param len        [bytes]; the range lies inside the partition's memory
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_ARG  outside its memory;  ULV_E_NOT_FOUND
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_partition_read(ulv_system *system, ulv_id partition,
                                      ulv_gpa address, void *buf, size_t len,
                                      struct ulv_diag *diag);
/** As ulv_partition_read(), the other way.
 *
 * @param system     a system
 * @param partition  a guest partition
 * @param address    guest-physical
 * @param buf        the caller's bytes
 * @param len        [bytes]
 * @param diag       NULL or where the failure is explained
 *
 * Context: serial
 */
ULV_API ulv_status ulv_partition_write(ulv_system *system, ulv_id partition,
                                       ulv_gpa address, const void *buf,
                                       size_t len, struct ulv_diag *diag);

/**
 * Read records of the resource database, ascending by id.
 *
 * @param system  a system
 * @param kind    ULV_QUERY_*; the record type is the one of that name in
 *                abi/command.h
 * @param after   0, or the last id (log: revision) of the call before
 * @param buf     room for records
 * @param bytes   its size [bytes], at least one record
 * @param ret_count  how many were written; fewer than fit: no more are there
 *
 * Errors:  ULV_E_ARG, ULV_E_PEER_GONE (the ultravisor partition is dead)
 * Context: serial; steps the system
 * Since:   0.1
 */
ULV_API ulv_status ulv_system_query(ulv_system *system, uint32_t kind,
                                    ulv_id after, void *buf, size_t bytes,
                                    uint32_t *ret_count);

#ifdef __cplusplus
}
#endif

#endif
