/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the parts of the process backend share. */
#ifndef BACKEND_PROCESS_PROCESS_PRIV_H
#define BACKEND_PROCESS_PROCESS_PRIV_H

#include "backend/process/process.h"

#include <stdbool.h>
#include <sys/types.h>

#include "backend/process/table.h"
#include "monitor/regions.h"

#ifndef ULV_LAUNCHER_PATH
#define ULV_LAUNCHER_PATH "ultravisor-launcher"
#endif

/* The launcher lies above. */
#define ULV_PROCESS_ADDRESS_MAX UINT64_C(0x500000000000)

/* Of a region, until the start: our descriptor of its memory. */
struct backing {
    int fd;
    uint64_t offset;
};

struct machine {
    struct ulv_machine_cfg cfg;
    bool made;
    int pages_fd, call_fd, answer_fd;
    int debug_fd; /* -1: it is not to be debugged */
    struct call_page *page; /* shared with the guest */
    struct ulv_regions regions;
    struct ulv_region region[REGIONS_MAX];
    struct backing backing[REGIONS_MAX]; /* by the region's slot */
};

struct vcpu {
    struct machine *machine;
    bool made;
    int pidfd, epoll_fd, kick_fd;
    int32_t pid;   /* ours to wait for, so nobody else's */
    ulv_nsec time; /* processor time, as last seen */
    bool ended, answered;
    /* of one that is debugged (debug.c) */
    bool held;
    bool stopped;    /* in its handler, with these */
    struct ulv_registers registers;
    bool breaks, steps; /* what it is asked for */
    bool call_waits; /* a call came with the word that it stopped */
};

ulv_status ulv_process_probe(const struct ulv_host *host,
                             struct ulv_backend_caps *ret_caps,
                             struct ulv_diag *diag);

void ulv_process_close(int *fd);
/* From errno. */
ulv_status ulv_process_error(struct ulv_diag *diag, const char *what);
const char *ulv_process_launcher(const struct ulv_machine_cfg *cfg);

/* The guest's process, stopped before its first instruction. On failure
 * ulv_process_end is still called. */
ulv_status ulv_process_start(struct vcpu *v, const uint64_t start[3],
                             struct ulv_diag *diag);
void ulv_process_kill(const struct vcpu *v);
/* Kill, and wait until nothing of it is left. */
void ulv_process_end(struct vcpu *v);

/* The guest can write the page at any time: each word is read once. */
void ulv_process_copy_page(const struct call_page *from, struct call_page *to);
/* Its end, as the page says it. */
void ulv_process_take_fault(struct vcpu *v, const struct call_page *page,
                            struct ulv_exit *out);
/* SIGSTOP, and wait until it is so; SIGCONT. */
void ulv_process_hold(const struct vcpu *v, bool hold);

/* debug.c: a guest that can be debugged stops in a handler of the launcher's,
 * says with which registers, and waits. All of that is in a process that may
 * be hostile: it can lie about itself, or not answer. */
/* After the launcher is let in: until it stands before its first instruction.
 * Errors: HOST. */
ulv_status ulv_process_await_entry(struct vcpu *v, struct ulv_diag *diag);
/* It said something, count times: whether that was a stop; *out is why. */
bool ulv_process_stopped(struct vcpu *v, uint64_t count, struct ulv_exit *out);
/* Let it go on from a stop. */
void ulv_process_go_on(struct vcpu *v);
ulv_status ulv_process_registers(void *vcpu, struct ulv_registers *ret);
ulv_status ulv_process_set_registers(void *vcpu,
                                     const struct ulv_registers *registers);
ulv_status ulv_process_debug(void *vcpu, const struct ulv_debug *debug);

#endif
