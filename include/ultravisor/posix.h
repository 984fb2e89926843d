/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The host table for Linux: what a program passes to ulv_system_create().
 *
 * For programs on Linux. Other ports have a header of their own.
 */
#ifndef ULTRAVISOR_POSIX_H
#define ULTRAVISOR_POSIX_H

#include <ultravisor/abi/policy.h>
#include <ultravisor/export.h>
#include <ultravisor/import.h>
#include <ultravisor/sys/host.h>
#include <ultravisor/sys/storage.h>
#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The host table of this process: constant, without state, good for any
 * number of systems. Every handle is a file descriptor, closed on exec.
 *
 * Its functions ignore self, and log is NULL. A program that wants its log
 * lines, or has an allocator of its own, copies the table, sets these members
 * and points self at whatever they need.
 *
 * Context: any
 * Since:   0.1
 */
ULV_API const struct ulv_host *ulv_posix_host(void);

/**
 * The descriptor to poll in the program's own event loop: readable when
 * ulv_system_step() has something to do, also when a guest has waited until its
 * deadline. The loop needs no time limit of its own. It stays the library's.
 *
 * Events that a call has left are taken before polling: they make nothing
 * readable.
 *
 * @param system  a system made with this host
 *
 * Context: any
 * Since:   0.1
 */
ULV_API int ulv_posix_fd(const ulv_system *system);

/**
 * Whether memory of guests comes in large pages on this host, in words:
 * "transparent, as the library advises", or "none: ..." and why. Large pages
 * that are reserved (hugetlbfs) are not used: they cannot be mapped in part.
 *
 * Context: any
 * Since:   0.1
 */
ULV_API const char *ulv_posix_huge_pages(void);

/**
 * Compile a policy from JSON, for ulv_system_opts.policy. Every key may be left
 * out; then it is as in the default policy.
 *
 *     { "memory_per_guest": "1GiB", "processors_per_guest": 4, "guests": 64,
 *       "silence_limit_ms": 0, "restarts_per_minute": 0,
 *       "node": "most_free", "side": "least_loaded",
 *       "io": [ { "device": "disk-*", "primary": "io-a",
 *                 "standby": "io-b" } ] }
 *
 * Sizes are bytes, or "256M", "1GiB". node: "most_free" or "first". side:
 * "least_loaded" or "first". device: a name, or a prefix and a final "*".
 *
 * @param name  of the file, for diagnostics
 * @param text  UTF-8
 * @param len   its length [bytes, at most 1 MiB]
 * @param ret   the compiled policy
 * @param diag  NULL or where the failure is explained
 *
 * Errors:  ULV_E_FORMAT  "policy.json:3:14: ...", or the key that is unknown,
 *                        missing, of the wrong type, or not a word it takes
 *          ULV_E_LIMIT   a value or length out of range: key, value, bound
 *          ULV_E_NO_MEMORY
 * Context: any
 * Since:   0.1
 */
ULV_API ulv_status ulv_policy_compile(const char *name, const char *text,
                                      size_t len, struct ulv_policy *ret,
                                      struct ulv_diag *diag);

/**
 * Save a partition, as ulv_partition_save(), into a file that only its owner
 * may read. It is written under another name in the same folder and renamed
 * when it is on the medium: a file of that name is replaced by a whole one or
 * stays as it was.
 *
 * @param system     a system made with this host
 * @param partition  a guest partition that runs
 * @param path       the file
 * @param rounds     as of ulv_partition_save()
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  those of ulv_partition_save()
 *          ULV_E_NO_MEMORY  the medium is full
 *          ULV_E_NOT_FOUND, ULV_E_DENIED, ULV_E_HOST  it cannot be written
 * Context: serial; steps the system, may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_posix_save(ulv_system *system, ulv_id partition,
                                  const char *path, uint32_t rounds,
                                  struct ulv_diag *diag);

/**
 * Start a stub for gdb, as ulv_debug_start(), on a Unix socket that is made
 * under a path, for its owner only (mode 0600), and removed when the stub is
 * stopped: "target remote PATH" in gdb.
 *
 * @param system     a system made with this host
 * @param partition  a guest partition
 * @param path       nothing may be there; at most 107 bytes
 * @param flags      as of ulv_debug_start()
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  those of ulv_debug_start()
 *          ULV_E_EXISTS  something is there
 *          ULV_E_LIMIT, ULV_E_ARG, ULV_E_NOT_FOUND, ULV_E_DENIED  the path
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_posix_debug(ulv_system *system, ulv_id partition,
                                   const char *path, uint32_t flags,
                                   struct ulv_diag *diag);

/**
 * The same on a socket that listens already, of any family: whoever made it
 * has seen to who may connect.
 *
 * @param system     a system made with this host
 * @param partition  a guest partition
 * @param fd         stays the caller's
 * @param flags      as of ulv_debug_start()
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  those of ulv_debug_start();  ULV_E_ARG  it does not listen
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_posix_debug_listening(ulv_system *system,
                                             ulv_id partition, int fd,
                                             uint32_t flags,
                                             struct ulv_diag *diag);

/**
 * A storage in a directory, for ulv_system_opts.storage: files "checkpoint",
 * "next", "segment-0", "segment-1", "policy" and "policy-next" that only their
 * owner may read. The
 * directory is there, and is empty or has a journal already. One program has
 * it at a time.
 *
 * @param directory    path
 * @param ret_storage  to be closed by its own function close
 * @param diag         NULL or where the failure is explained
 *
 * Errors:  ULV_E_NOT_FOUND, ULV_E_DENIED, ULV_E_HOST  it cannot be opened
 *          ULV_E_ARG     it is no directory, or has something else in it
 *          ULV_E_BUSY    another program has it
 *          ULV_E_NO_MEMORY
 * Context: any; may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_posix_storage_open(const char *directory,
                                          struct ulv_storage **ret_storage,
                                          struct ulv_diag *diag);

/**
 * Write the database of a storage that no system uses as JSON, as
 * ulv_system_export() does. doc/formats/database-json.md
 *
 * @param storage  stays as it is
 * @param write    takes the text, in pieces of at most 64 KiB
 * @param opaque   passed to write
 * @param diag     NULL or where the failure is explained
 *
 * Errors:  what write returned, and those of ulv_storage_read()
 * Context: any; may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_posix_export(const struct ulv_storage *storage,
                                    ulv_export_fn write, void *opaque,
                                    struct ulv_diag *diag);

/**
 * Fill a storage from JSON that was exported. All of it is checked before
 * anything is written.
 *
 * @param storage  an empty one
 * @param name     of the file, for diagnostics
 * @param text     UTF-8
 * @param len      its length [bytes, at most 2 GiB - 1]
 * @param diag     NULL or where the failure is explained: the object, the
 *                 value, the bound if there is one, and in the text the line
 *
 * Errors:  ULV_E_FORMAT  the text, or what it says
 *          ULV_E_LIMIT   len
 *          those of ulv_storage_fill()
 * Context: any; may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_posix_import(const struct ulv_storage *storage,
                                    const char *name, const char *text,
                                    size_t len, struct ulv_diag *diag);

/* A machine that a text describes: doc/formats/machine.md */
struct ulv_posix_machine;

/**
 * Read the description of a machine, to be divided in place of the one that
 * Linux shows: for tests, and where sysfs says less than is known.
 *
 *     { "nodes": [ { "number": 0, "bytes": "16GiB" } ],
 *       "processors": [ { "number": 0, "core": 0 },
 *                       { "number": 1, "core": 1 } ],
 *       "devices": [ { "kind": "disk", "name": "sda", "bytes": "1GiB" } ] }
 *
 * @param name         of the file, for diagnostics
 * @param text         UTF-8
 * @param len          its length [bytes, at most 1 MiB]
 * @param ret_machine  for ulv_posix_machine_close()
 * @param diag         NULL or where the failure is explained
 *
 * Errors:  ULV_E_FORMAT  "machine.json:3:14: ...", or the entry, its value and
 *                        what is wrong with it
 *          ULV_E_LIMIT   a value or length out of range: key, value, bound
 *          ULV_E_NO_MEMORY
 * Context: any
 * Since:   0.1
 */
ULV_API ulv_status ulv_posix_machine_open(
    const char *name, const char *text, size_t len,
    struct ulv_posix_machine **ret_machine, struct ulv_diag *diag);

/**
 * The host table of this process, whose processors, nodes and devices are the
 * description's. It is good for any number of systems, until the machine is
 * closed.
 *
 * @param machine  a machine
 *
 * Context: any
 * Since:   0.1
 */
ULV_API const struct ulv_host *
ulv_posix_machine_host(const struct ulv_posix_machine *machine);

/**
 * Read another description, of what it has become: for ulv_system_rescan() of
 * the systems with its host, and for those that are made from then on.
 *
 * @param machine  says what it said before if this fails
 * @param name     as of ulv_posix_machine_open()
 * @param text     as there
 * @param len      as there
 * @param diag     NULL or where the failure is explained
 *
 * Errors:  those of ulv_posix_machine_open()
 * Context: serial; with those systems
 * Since:   0.1
 */
ULV_API ulv_status ulv_posix_machine_read(struct ulv_posix_machine *machine,
                                          const char *name, const char *text,
                                          size_t len, struct ulv_diag *diag);

/**
 * After the last system with its host is destroyed.
 *
 * @param machine  NULL is allowed
 *
 * Context: any
 * Since:   0.1
 */
ULV_API void ulv_posix_machine_close(struct ulv_posix_machine *machine);

#ifdef __cplusplus
}
#endif

#endif
