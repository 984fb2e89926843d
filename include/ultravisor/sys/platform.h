/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a system asks of a host that is an operating system: how a role becomes
 * a process. Reached through ulv_host.platform; a host without one (firmware)
 * keeps all roles in process.
 *
 * For authors of ports.
 */
#ifndef ULTRAVISOR_SYS_PLATFORM_H
#define ULTRAVISOR_SYS_PLATFORM_H

#include <ultravisor/sys/host.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a process ended. */
#define ULV_PROCESS_EXITED    UINT32_C(0) /* code is its exit code */
#define ULV_PROCESS_SIGNALLED UINT32_C(1) /* code is the signal's number */
#define ULV_PROCESS_FORBIDDEN UINT32_C(2) /* the same: its sandbox killed it,
                                             for a call that it may not make */

struct ulv_process_end {
    uint32_t signalled; /* ULV_PROCESS_* */
    uint32_t code;
};

/* A set of processors, by the host's own numbers: bit n % 64 of word n / 64. */
struct ulv_processor_set {
    uint64_t bits[16];
};

struct ulv_platform {
    uint32_t size;
    uint32_t rsvd_;

    /* Required. Run program with one link to us and nothing else of ours;
     * *ret_process is watchable: ready when the process has ended.
     * *ret_number is for humans. The process dies with us. */
    ulv_status (*process_start)(void *self, const char *program,
                                const char *name, struct ulv_link **ret_link,
                                ulv_handle *ret_process, int64_t *ret_number,
                                struct ulv_diag *diag);
    /* Required. At once, without a farewell. */
    void (*process_kill)(void *self, ulv_handle process);
    /* Required. AGAIN while it runs; afterwards it is reaped, and *ret says
     * how it ended; call handle_close next. */
    ulv_status (*process_reap)(void *self, ulv_handle process,
                               struct ulv_process_end *ret);

    /* Optional. Let the process whose number that is, and what it starts from
     * now on, run on those processors only; others: on all that we may use
     * but those. Fails with DENIED, UNSUPPORTED or HOST and a diag text that
     * says what was not done, and why. */
    ulv_status (*process_bind)(void *self, int64_t number,
                               const struct ulv_processor_set *set,
                               bool others, struct ulv_diag *diag);
    /* Optional. Processor time that all its threads have used [ns]; it is
     * not yet reaped. Errors: HOST. */
    ulv_status (*process_time)(void *self, int64_t number, ulv_nsec *ret);

    /* Optional, both or neither. A link whose other end is a handle, to be
     * given to a program that opens it there; the handle is its caller's. */
    ulv_status (*link_create)(const struct ulv_host *host,
                              struct ulv_link **ret, ulv_handle *ret_peer);
    /* Takes the handle over, but not on failure. Errors: ARG (it is none),
     * NO_MEMORY. */
    ulv_status (*link_open)(const struct ulv_host *host, ulv_handle peer,
                            struct ulv_link **ret);
};

/* Whether this host has links for other programs. */
static inline bool
ulv_platform_has_links(const struct ulv_host *host)
{
    return host->platform != NULL &&
           host->platform->size >= sizeof(struct ulv_platform) &&
           host->platform->link_create != NULL;
}

#ifdef __cplusplus
}
#endif

#endif
