/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A system: one host, divided. Creating it discovers the machine, fills the
 * resource database by one transaction and starts the infrastructure
 * partitions; destroying it ends everything it started.
 *
 * For every program that uses the library; start here. The library starts no
 * thread, installs no signal handler, prints nothing: it does its work inside
 * the calls below, so a program calls ulv_system_step() in its event loop.
 */
#ifndef ULTRAVISOR_SYSTEM_H
#define ULTRAVISOR_SYSTEM_H

#include <ultravisor/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ulv_host;
struct ulv_storage;

typedef struct ulv_system ulv_system;

/* Where the roles live. */
#define ULV_PLACEMENT_IN_PROCESS UINT32_C(0) /* all in the caller's process */
#define ULV_PLACEMENT_PROCESSES  UINT32_C(1) /* one process a role, sandboxed */

struct ulv_system_opts {
    uint32_t size;
    uint32_t placement; /* ULV_PLACEMENT_* */
    /* Backend by name; NULL: the first usable of kvm, process. */
    const char *backend;
    /* Memory to divide among the nodes [bytes, multiple of 2 MiB, or of 4 MiB
     * if the library was built with page_map_order=10]; 0: a quarter of what is
     * free. Of a node 1 TiB counts at most. */
    uint64_t memory;
    /* A compiled policy, copied; NULL: the one that ulv_policy_replace() put
     * into the storage, or else ulv_policy_default(). */
    const void *policy;
    size_t policy_bytes;
    /* Programs the library starts; NULL: the installed ones. */
    const char *role_program;
    const char *launcher_program;
    /* Processes: how long a role may take to follow its view before it is
     * killed [ns]; 0: one second. */
    ulv_nsec settle_limit;
    /* Guests of so many processors or more, and those that doorbells interrupt,
     * run each of them in a thread of the library's, where the backend can do
     * that. 0: in process none does, they run, in turns, inside
     * ulv_system_step(); in processes 2. */
    uint32_t threads_from;
    /* Not 0: a page of a guest's memory is taken from the host when it is first
     * touched. A guest is made sooner, and takes no more than it touches; but a
     * commit does not find out that the host has too little: that ends who
     * touches a page that cannot be had, the program or the guest's monitor, as
     * the kernel decides. 0: all of it is there once it is committed, and what
     * is not to be had is NO_MEMORY then. A host that gives out the machine's
     * own frames has nothing to be lazy with. */
    uint32_t lazy_memory;
    /* In process, where the backend can do that (kvm), a thread of the
     * library's makes the machine of the next guest before it is started: of
     * the first, and, once a second has run, of each that follows. Not 0: there
     * is no such thread, and a start takes as long as it takes. */
    uint32_t no_spare;
    /* Where the resource database outlasts the program, and an ultravisor that
     * dies, which is then started again while guests run (doc/restart.md); it
     * outlives the system, and is used by the thread that steps that. NULL:
     * nothing does. A machine that was divided before is found again:
     * partitions are there, with new memory and stopped, without their channels
     * and devices. Memory is to be the same. */
    const struct ulv_storage *storage;
};

#define ULV_SYSTEM_OPTS_INIT                                                   \
    {                                                                          \
        (uint32_t)sizeof(struct ulv_system_opts), 0, NULL, 0, NULL, 0, NULL,   \
            NULL, 0, 0, 0, 0, NULL                                             \
    }

/**
 * Divide the host.
 *
 * @param host        what the library is linked into; outlives the system
 * @param opts        NULL: all defaults
 * @param ret_system  the system; destroy it with ulv_system_destroy()
 * @param diag        NULL or where the failure is explained
 *
 * Errors:  ULV_E_ARG          an option is out of its range
 *          ULV_E_UNSUPPORTED  the host lacks something; diag names it, and for
 *                             each backend why it cannot be used
 *          ULV_E_FORMAT       the policy is none; diag says what is wrong
 *          ULV_E_PEER_GONE    a role could not be started, or died at once
 *          ULV_E_TIMEOUT      one did not answer within 20 s; diag names it
 *          ULV_E_FORMAT       or the storage has no journal of this version, or
 *                             a damaged one; diag says where
 *          ULV_E_STATE        the journal is of another machine
 *          ULV_E_PEER_PROTOCOL, ULV_E_NO_MEMORY, ULV_E_LIMIT, ULV_E_HOST
 * Context: serial; may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_system_create(const struct ulv_host *host,
                                     const struct ulv_system_opts *opts,
                                     ulv_system **ret_system,
                                     struct ulv_diag *diag);

/**
 * End every partition and role, give back every page and descriptor.
 *
 * @param system  NULL is allowed
 *
 * Context: serial; may block until the processes of the system are reaped
 * Since:   0.1
 */
ULV_API void ulv_system_destroy(ulv_system *system);

/**
 * The revision of the last transaction that this system's caller committed;
 * starting and stopping are transactions too. 0: none yet.
 *
 * @param system  a system
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API uint64_t ulv_system_revision(const ulv_system *system);

/**
 * What becomes of a committed transaction when the program ends: "none" (it is
 * gone) or "storage" (it was in the storage before its commit returned).
 *
 * @param system  a system
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API const char *ulv_system_durability(const ulv_system *system);

/**
 * Have the resource database verify all that holds of it, from scratch: one
 * owner for each page, processor, quantum and device, counts that equal sums,
 * nothing that dangles. It takes time with all records; other requests wait.
 *
 * @param system  the system
 * @param diag    NULL or what is wrong: the object, what it is, and should be
 *
 * Errors:  ULV_E_INTERNAL   something is wrong: a defect of the library
 *          ULV_E_PEER_GONE  the command or the ultravisor partition is dead
 * Context: serial; steps the system until the answer is there
 * Since:   0.1
 */
ULV_API ulv_status ulv_system_check(ulv_system *system, struct ulv_diag *diag);

/**
 * Wait until a revision is settled: every monitor and I/O partition concerned
 * has followed it, and what it took away is free, or has its new owner. Each
 * committed revision settles; who does not follow is killed.
 *
 * @param system    a system
 * @param revision  from ulv_system_revision(), or of an ULV_EVENT_COMMITTED
 * @param deadline  on the host's clock [ns], or ULV_FOREVER
 * @param diag      NULL or where the failure is explained
 *
 * Errors:  ULV_E_TIMEOUT, ULV_E_PEER_GONE (the ultravisor partition is dead)
 * Context: serial; steps the system
 * Since:   0.1
 */
ULV_API ulv_status ulv_wait_settled(ulv_system *system, uint64_t revision,
                                    ulv_nsec deadline, struct ulv_diag *diag);

/**
 * Do what is to be done, and wait for more until the deadline.
 *
 * Returns as soon as something was done, so that the caller can look at its
 * events; in process, running guests run inside this call.
 *
 * @param system    a system
 * @param deadline  on the host's clock [ns]; 0: no wait, ULV_FOREVER: no end
 *
 * Errors:  ULV_E_TIMEOUT  nothing happened until the deadline
 *          ULV_E_HOST     the host cannot wait
 * Context: serial; may block until the deadline
 * Since:   0.1
 */
ULV_API ulv_status ulv_system_step(ulv_system *system, ulv_nsec deadline);

/**
 * The host's clock, for deadlines.
 *
 * @param system  a system
 *
 * Context: any
 * Since:   0.1
 */
ULV_API ulv_nsec ulv_system_now(const ulv_system *system);

/**
 * The name of the backend that runs guests, and why others were passed over.
 *
 * @param system  a system
 * @param ret_passed_over  NULL or where a line per unusable backend before it
 *                    is returned ("kvm: /dev/kvm: no such file"); "" if none.
 *                    Valid as long as the system.
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API const char *ulv_system_backend(const ulv_system *system,
                                       const char **ret_passed_over);

/**
 * Id of a partition by name, among those that exist now.
 *
 * The infrastructure partitions are "idle", "boot", "ultravisor",
 * "operations", "command", "io-a" and "io-b". Names of guests are known to the
 * process that created the system.
 *
 * @param system  a system
 * @param name    its name
 * @param ret_id  the id
 *
 * Errors:  ULV_E_NOT_FOUND
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_system_find(ulv_system *system, const char *name,
                                   ulv_id *ret_id);

/**
 * Kill a role or a guest's monitor at once, without a farewell: SIGKILL to its
 * process, or in process its object is dropped as it stands.
 *
 * @param system     a system
 * @param partition  an infrastructure partition but boot and idle, or a guest
 *                   that runs (its monitor is killed)
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_NOT_FOUND, ULV_E_ENDED, ULV_E_ARG (boot, idle)
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_system_kill(ulv_system *system, ulv_id partition,
                                   struct ulv_diag *diag);

/* A role as the keeper sees it. */
struct ulv_role {
    ulv_id partition;
    uint32_t kind;  /* ULV_PARTITION_* */
    uint32_t alive; /* 1: it runs */
    int64_t process; /* the host's process number; 0: in the caller's process */
    char name[ULV_NAME_MAX + 1];
};

/**
 * The roles and monitors that the keeper has started, in order of start.
 *
 * @param system  a system
 * @param idx     from 0
 * @param ret     filled
 *
 * Errors:  ULV_E_NOT_FOUND  no more
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_system_role(ulv_system *system, uint32_t idx,
                                   struct ulv_role *ret);

/**
 * The library's version, "0.1.0".
 *
 * Context: any
 * Since:   0.1
 */
ULV_API const char *ulv_version(void);

/**
 * Names of the backends built in, and whether each can be used on this host.
 *
 * @param host  the host
 * @param idx   from 0
 * @param ret_name  the name; valid for ever
 * @param diag  NULL or where it is said why it cannot be used
 *
 * Errors:  ULV_E_NOT_FOUND    no backend of this index
 *          ULV_E_UNSUPPORTED, ULV_E_DENIED, ULV_E_HOST  it cannot be used
 * Context: any; no side effects
 * Since:   0.1
 */
ULV_API ulv_status ulv_backend_probe(const struct ulv_host *host, uint32_t idx,
                                     const char **ret_name,
                                     struct ulv_diag *diag);

#ifdef __cplusplus
}
#endif

#endif
