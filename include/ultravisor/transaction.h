/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A transaction: the one way in which resources are assigned. A builder
 * collects operations; errors stick and surface at commit; commit does all of
 * it or none.
 *
 * The request goes to the command partition, which decides what policy leaves
 * open and refuses what it forbids, and from there over the command channel to
 * the ultravisor partition, which refuses what does not fit.
 */
#ifndef ULTRAVISOR_TRANSACTION_H
#define ULTRAVISOR_TRANSACTION_H

#include <ultravisor/abi/view.h>
#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ulv_transaction ulv_transaction;

#define ULV_ANY_NODE UINT32_MAX

/* processors */
#define ULV_SHARED    UINT32_C(0)
#define ULV_DEDICATED UINT32_C(1)

#define ULV_ANY_PROCESSOR UINT64_C(0)

/* attach */
#define ULV_DISK_READ_WRITE UINT32_C(0)
#define ULV_DISK_READ_ONLY  UINT32_C(1)

/* The partition the caller itself is (boot). */
#define ULV_SELF UINT64_MAX

/**
 * Begin a transaction; nothing is asked of anybody before commit.
 *
 * @param system  the system; a transaction does not outlive it
 *
 * Returns NULL when the host has no memory; every other call accepts NULL and
 * commit then returns ULV_E_NO_MEMORY.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_transaction *ulv_transaction_begin(ulv_system *system);

/**
 * Create a partition.
 *
 * @param t     a transaction
 * @param name  1 .. ULV_NAME_MAX bytes, unique among partitions that exist
 * @param kind  ULV_PARTITION_GUEST
 *
 * Returns its id, real at once; 0 when the transaction has failed already.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_transaction_partition(ulv_transaction *t, const char *name,
                                         uint32_t kind);

/**
 * Destroy a partition that does not run; what it had goes back to idle.
 *
 * @param t          a transaction
 * @param partition  a guest partition
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_destroy(ulv_transaction *t, ulv_id partition);

/**
 * Offer a read-only medium, served by a pair of I/O partitions.
 *
 * @param t        a transaction
 * @param primary  the I/O partition that shall serve first; 0: the command
 *                 partition decides between the two
 * @param standby  the other one of the pair, or 0
 * @param source   the medium; opened when the transaction commits
 *
 * Returns the id of the device; 0 when the transaction has failed already.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_transaction_offer(ulv_transaction *t, ulv_id primary,
                                     ulv_id standby, struct ulv_source source);

/**
 * Offer a medium as ulv_transaction_offer() does, to be written too. Nobody
 * else can offer it for that meanwhile, here or from another program:
 * ULV_E_BUSY. A copy (of memory, or of what a function reads) is not written.
 *
 * @param t        a transaction
 * @param primary  as for ulv_transaction_offer()
 * @param standby  as for ulv_transaction_offer()
 * @param source   the medium; opened when the transaction commits
 * @param flags    ULV_DISK_READ_WRITE or ULV_DISK_READ_ONLY
 *
 * Returns the id of the device; 0 when the transaction has failed already.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_transaction_offer_disk(ulv_transaction *t, ulv_id primary,
                                          ulv_id standby,
                                          struct ulv_source source,
                                          uint32_t flags);

/**
 * Give a partition memory: before its start, or while it runs; then its view
 * lists it, and it is mapped when the guest accepts it.
 *
 * @param t          a transaction
 * @param partition  a partition
 * @param bytes      [bytes, multiple of 4 KiB]
 * @param node       a memory node, or ULV_ANY_NODE
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_memory(ulv_transaction *t, ulv_id partition,
                                    uint64_t bytes, uint32_t node);

/**
 * Take memory from a partition. From one that runs: its view says so, the guest
 * may give it up, and after ULV_REVOKE_GRACE it is gone; ulv_wait_settled()
 * tells when it is free. A guest that touches it then ends by its own fault.
 *
 * @param t          a transaction
 * @param partition  a guest partition
 * @param address    guest address of an extent: ULV_QUERY_EXTENTS
 * @param bytes      [bytes] of one or more whole extents that lie together
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_release(ulv_transaction *t, ulv_id partition,
                                     ulv_gpa address, uint64_t bytes);

/**
 * Move memory between guests: as ulv_transaction_release(), and what was taken
 * is given, scrubbed, to the other.
 *
 * @param t          a transaction
 * @param partition  the guest partition that has it
 * @param address    guest address there
 * @param bytes      [bytes] of one or more whole extents that lie together
 * @param to         the guest partition that gets it
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_move(ulv_transaction *t, ulv_id partition,
                                  ulv_gpa address, uint64_t bytes, ulv_id to);

/**
 * Say what a partition that this transaction makes sees, and may use, of the
 * host's processors. Without it: ULV_CPU_BASELINE, so that it can be saved here
 * and go on where there are other processors. doc/processor.md
 *
 * @param t          a transaction
 * @param partition  one that was made in it before
 * @param level      ULV_CPU_* of sys/backend.h
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_processor_level(ulv_transaction *t,
                                             ulv_id partition, uint32_t level);

/**
 * Let doorbells interrupt a partition that this transaction makes: class 09 of
 * its system calls. A backend that cannot interrupt its guests refuses to start
 * it, in words (`kvm` and `mock` can).
 *
 * @param t          a transaction
 * @param partition  one that was made in it before
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_interrupts(ulv_transaction *t, ulv_id partition);

/**
 * Say that a partition that this transaction makes runs a stock kernel, and no
 * guest of the SDK: it has memory from address 0, devices of a PC, no system
 * calls, and of all channels it uses a console only. doc/stock-kernels.md
 *
 * @param t          a transaction
 * @param partition  one that was made in it before
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_stock(ulv_transaction *t, ulv_id partition);

/**
 * Give a partition processors.
 *
 * @param t          a transaction
 * @param partition  a partition
 * @param count      how many virtual processors; version 0.1 runs one
 * @param mode       ULV_SHARED or ULV_DEDICATED
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_processors(ulv_transaction *t, ulv_id partition,
                                        uint32_t count, uint32_t mode);

/**
 * Give a partition one virtual processor, and say of which processor and how
 * much of it: a period of a processor has ULV_QUANTA quanta of ULV_QUANTUM_NS,
 * and each belongs to one virtual processor or to idle.
 *
 * @param t          a transaction
 * @param partition  a guest partition
 * @param processor  its id: ULV_QUERY_PROCESSORS; or ULV_ANY_PROCESSOR
 * @param mode       ULV_SHARED or ULV_DEDICATED
 * @param quanta     SHARED: of each period, 1 .. ULV_QUANTA; 0: it runs in
 *                   those that are idle's, with whoever else does
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_processor(ulv_transaction *t, ulv_id partition,
                                       ulv_id processor, uint32_t mode,
                                       uint32_t quanta);

/**
 * Give a virtual processor more quanta, or fewer, also while it runs. Two of
 * these in one transaction move quanta: first what is given up.
 *
 * @param t          a transaction
 * @param partition  a guest partition
 * @param vcpu_idx   which of its virtual processors, from 0; a shared one
 * @param quanta     of each period, 0 .. ULV_QUANTA
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_quanta(ulv_transaction *t, ulv_id partition,
                                    uint32_t vcpu_idx, uint32_t quanta);

/**
 * Attach an offered device to a partition over a new block channel.
 *
 * @param t          a transaction
 * @param partition  the client
 * @param device     what ulv_transaction_offer() returned
 * @param flags      as it was offered: ULV_DISK_READ_WRITE or _READ_ONLY
 *
 * Returns the id of the channel; 0 when the transaction has failed already.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_transaction_attach(ulv_transaction *t, ulv_id partition,
                                      ulv_id device, uint32_t flags);

/**
 * Give a partition a console, served by a pair of I/O partitions; its output
 * arrives as ULV_EVENT_CONSOLE.
 *
 * @param t          a transaction
 * @param partition  the client
 * @param primary    as for ulv_transaction_offer()
 * @param standby    as for ulv_transaction_offer()
 *
 * Returns the id of the channel; 0 when the transaction has failed already.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_transaction_console(ulv_transaction *t, ulv_id partition,
                                       ulv_id primary, ulv_id standby);

/**
 * Connect two partitions, or a partition and the caller, by a channel.
 *
 * @param t       a transaction
 * @param client  a partition
 * @param server  a partition, or ULV_SELF: then open it by ulv_channel_open()
 * @param type    what is spoken over it
 *
 * Returns the id of the channel; 0 when the transaction has failed already.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_transaction_connect(ulv_transaction *t, ulv_id client,
                                       ulv_id server,
                                       const struct ulv_guid *type);

/**
 * The same with rings of another size, and with memory beside them that both
 * ends have mapped: for records that name pieces of it (<ultravisor/bulk.h>),
 * or whatever both agree on. ulv_channel_area() and guest_channel_area() say
 * where it is. It is taken from the pool in one piece.
 *
 * @param t           a transaction
 * @param client      as for ulv_transaction_connect()
 * @param server      the same
 * @param type        the same; there 64 KiB and 0 are the two sizes
 * @param ring_bytes  of each ring: a power of two, 4 KiB to 16 MiB
 * @param bulk_bytes  a multiple of 4096, at most ULV_BULK_BYTES_MAX; 0: none
 *
 * Returns the id of the channel; 0 when the transaction has failed already.
 * Sizes that cannot be make the commit fail with ULV_E_ARG.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_transaction_connect_sized(ulv_transaction *t, ulv_id client,
                                             ulv_id server,
                                             const struct ulv_guid *type,
                                             uint64_t ring_bytes,
                                             uint64_t bulk_bytes);

/**
 * Take a channel away. A guest that runs has ULV_REVOKE_GRACE to detach.
 *
 * @param t        a transaction
 * @param channel  its id
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_revoke(ulv_transaction *t, ulv_id channel);

/**
 * Create a zone: it holds guests' partitions, and may limit what they have
 * together.
 *
 * @param t     a transaction
 * @param name  1 .. ULV_NAME_MAX bytes, unique among zones
 *
 * Returns its id, real at once; 0 when the transaction has failed already.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_transaction_zone(ulv_transaction *t, const char *name);

/**
 * Destroy a zone that no partition is in.
 *
 * @param t     a transaction
 * @param zone  its id
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_zone_destroy(ulv_transaction *t, ulv_id zone);

/**
 * Put a guest's partition into a zone, out of the one it was in.
 *
 * @param t          a transaction
 * @param partition  a guest partition
 * @param zone       its id, or 0: no zone
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_zone_set(ulv_transaction *t, ulv_id partition,
                                      ulv_id zone);

/**
 * Limit what a partition, or a zone's partitions together, may have. What is
 * beyond it is refused with ULV_E_QUOTA; so is a limit below what there is.
 *
 * @param t         a transaction
 * @param object    a guest partition, or a zone
 * @param resource  ULV_QUOTA_*
 * @param limit     [bytes, or how many], or ULV_UNLIMITED
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_quota(ulv_transaction *t, ulv_id object,
                                   uint32_t resource, uint64_t limit);

/**
 * Put a label on an object: a partition, a zone, a processor, a memory, a
 * device or a channel. It goes with the object.
 *
 * @param t       a transaction
 * @param object  its id
 * @param key     1 .. 15 printable bytes without spaces; one there is changed
 * @param value   1 .. 47 printable bytes, or empty: take the label off
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_label(ulv_transaction *t, ulv_id object,
                                   const char *key, const char *value);

/**
 * Say which part of the policy is a partition's or a zone's own, by name.
 *
 * @param t       a transaction
 * @param object  a partition, or a zone
 * @param name    1 .. ULV_NAME_MAX bytes, or empty: none
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_policy(ulv_transaction *t, ulv_id object,
                                    const char *name);

/**
 * Give a guest's partition another name; its id stays.
 *
 * @param t          a transaction
 * @param partition  a guest partition
 * @param name       1 .. ULV_NAME_MAX bytes, unique among partitions that exist
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_rename(ulv_transaction *t, ulv_id partition,
                                    const char *name);

/**
 * Say how long each processor of a guest may run without a system call, also
 * while it runs: then it ends by a fault. Without it: as long as the policy
 * says when the partition is made, whose limit it cannot exceed.
 *
 * @param t          a transaction
 * @param partition  a guest partition
 * @param limit      [ns], or 0: for ever
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_silence_limit(ulv_transaction *t,
                                           ulv_id partition, ulv_nsec limit);

/**
 * Say how often a guest that resets itself is started again from its image,
 * within the time that the policy says. Without it: as often as the policy
 * says when the partition is made, whose limit it cannot exceed. A guest that
 * began to run with none has lost its image: for that it counts from its next
 * start on.
 *
 * @param t          a transaction
 * @param partition  a guest partition
 * @param restarts   0 .. ULV_RESTARTS_MAX; 0: it stays down
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_restarts(ulv_transaction *t, ulv_id partition,
                                      uint32_t restarts);

/**
 * Take processors from a guest that does not run: its last ones.
 *
 * @param t          a transaction
 * @param partition  a guest partition
 * @param count      how many, 1 or more
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_processors_release(ulv_transaction *t,
                                                ulv_id partition,
                                                uint32_t count);

/**
 * Move the last virtual processor of a guest that does not run to another, with
 * its quanta of the same processor of the host.
 *
 * @param t          a transaction
 * @param partition  the guest partition that has it
 * @param to         the guest partition that gets it
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_processor_move(ulv_transaction *t,
                                            ulv_id partition, ulv_id to);

/**
 * Give a partition a device of the machine that nobody has; or give it back. A
 * guest that runs neither gets nor loses one. The library keeps who has it; it
 * passes no device through.
 *
 * @param t          a transaction
 * @param hardware   its id: ULV_QUERY_HARDWARE
 * @param partition  a partition; 0: back to idle
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_hardware(ulv_transaction *t, ulv_id hardware,
                                      ulv_id partition);

/**
 * Move a device of the machine from the partition that has it to another.
 *
 * @param t         a transaction
 * @param hardware  its id: ULV_QUERY_HARDWARE
 * @param to        a partition
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_hardware_move(ulv_transaction *t, ulv_id hardware,
                                           ulv_id to);

/**
 * Give a partition a range of I/O ports or interrupt vectors that nobody has.
 *
 * @param t          a transaction
 * @param partition  a partition that does not run, or of the infrastructure
 * @param kind       ULV_RANGE_PORTS or ULV_RANGE_VECTORS
 * @param first      the first of them
 * @param count      how many, 1 or more
 *
 * Returns the id of the range; 0 when the transaction has failed already.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_id ulv_transaction_range(ulv_transaction *t, ulv_id partition,
                                     uint32_t kind, uint64_t first,
                                     uint64_t count);

/**
 * Move a range to another partition, or give it up.
 *
 * @param t      a transaction
 * @param range  its id: ULV_QUERY_RANGES
 * @param to     a partition; 0: nobody
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_range_move(ulv_transaction *t, ulv_id range,
                                        ulv_id to);

/**
 * Retire memory that is broken: nobody gets it any more. What a partition has
 * of it is taken as by ulv_transaction_release(), whole extents, and its view
 * says why; a channel is revoked.
 *
 * @param t      a transaction
 * @param frame  address of the first page: as extents have it
 * @param bytes  [bytes, multiple of 4 KiB, at most ULV_RETIRE_BYTES_MAX]
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_retire_memory(ulv_transaction *t, uint64_t frame,
                                           uint64_t bytes);

/**
 * Retire a processor: nobody gets it or more of it; who runs on it goes on.
 *
 * @param t          a transaction
 * @param processor  its id: ULV_QUERY_PROCESSORS
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_retire_processor(ulv_transaction *t,
                                              ulv_id processor);

/**
 * Only say what would happen: everything is checked, nothing is changed.
 *
 * @param t  a transaction
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_dry_run(ulv_transaction *t);

/**
 * Do all of it or nothing. Consumes t either way.
 *
 * @param t     a transaction
 * @param diag  NULL or where the failure is explained: the object, the value,
 *              the bound, and a line of text
 *
 * Errors:  the first error of the calls above
 *          ULV_E_POLICY    the command partition refuses it
 *          ULV_E_QUOTA     a quota of a partition or a zone would be exceeded
 *          ULV_E_NO_MEMORY, ULV_E_EXISTS, ULV_E_NOT_FOUND, ULV_E_CONFLICT,
 *          ULV_E_ARG, ULV_E_LIMIT  the ultravisor refuses it
 *          ULV_E_CONFLICT  also: it frees pages and gives them out again, which
 *                          takes two transactions
 *          ULV_E_STATE, ULV_E_BUSY  a partition runs that must not, a device is
 *                          attached already, or something is being taken away
 *          ULV_E_DENIED    not the caller's to ask: of roles, of the machine;
 *                          or the keeper refuses it
 *          ULV_E_UNSUPPORTED  the backend cannot change what a guest that runs
 *                          has
 *          ULV_E_MEDIUM, ULV_E_FORMAT, ULV_E_DENIED, ULV_E_UNSUPPORTED,
 *          ULV_E_HOST      a source cannot be used
 *          ULV_E_PEER_GONE the command or the ultravisor partition is dead
 *          ULV_E_PEER_PROTOCOL, ULV_E_PEER_INDEX, ULV_E_PEER_LENGTH  what one
 *                          of them says is no answer
 * Context: serial; steps the system until the answer is there
 * Since:   0.1
 */
ULV_API ulv_status ulv_transaction_commit(ulv_transaction *t,
                                          struct ulv_diag *diag);

/**
 * Forget it.
 *
 * @param t  a transaction; NULL is allowed
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_transaction_abort(ulv_transaction *t);

#ifdef __cplusplus
}
#endif

#endif
