/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Processes that play a role: started from a program file, never forked off,
 * holding nothing but their standard streams and their link to the keeper.
 */
#ifndef PORT_POSIX_SPAWN_H
#define PORT_POSIX_SPAWN_H

#include "port/posix/posix.h"

/* The descriptor at which a role process finds its link. */
#define ULV_POSIX_LINK_DESCRIPTOR 3

struct ulv_posix_process {
    int32_t pid;
    uint32_t rsvd_;
    /* Watch this: ready when the process has ended. */
    ulv_handle handle;
};

/* How a process ended. */
struct ulv_posix_end {
    int32_t exit_code; /* of exit(), or -1 */
    int32_t signal;    /* that killed it, or 0 */
};

/**
 * Start a program with link (duplicated) as descriptor 3; descriptors 0, 1
 * and 2 are ours, everything else is closed, whoever opened it. Its
 * environment is empty but for LD_LIBRARY_PATH and what sanitizers read, if
 * these are set here.
 *
 * @param program    path of the program file
 * @param arguments  as argv, ends with NULL
 *
 * Errors:  ULV_E_NOT_FOUND, ULV_E_DENIED, ULV_E_NO_MEMORY, ULV_E_LIMIT,
 *          ULV_E_HOST; the diagnostic names the program
 * Context: any; the process dies with the thread that started it, if it
 *          calls ulv_posix_role_begin()
 */
ulv_status
ulv_posix_process_start(const char *program, const char *const *arguments,
                        ulv_handle link, struct ulv_posix_process *ret,
                        struct ulv_diag *diag);

/**
 * Kill it (SIGKILL). Nothing happens if it has ended.
 *
 * Context: any
 */
void ulv_posix_process_kill(const struct ulv_posix_process *process);

/**
 * Reap it if it has ended: then the handle is closed and *process is void.
 *
 * Errors:  ULV_E_AGAIN  it is still running
 *          ULV_E_HOST   somebody else reaped it; void all the same
 * Context: serial
 */
ulv_status ulv_posix_process_reap(struct ulv_posix_process *process,
                                  struct ulv_posix_end *ret);

/**
 * The first thing a role process does: ask to be killed when its parent dies,
 * and take up its link.
 *
 * Errors:  ULV_E_ENDED  the parent is gone already
 *          ULV_E_ARG    descriptor 3 is not a link
 *          ULV_E_NO_MEMORY, ULV_E_HOST
 * Context: serial, once
 */
ulv_status
ulv_posix_role_begin(const struct ulv_host *host, struct ulv_link **ret);

#endif
