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
    struct call_page *page; /* shared with the guest */
    struct ulv_regions regions;
    struct backing backing[REGIONS_MAX]; /* by the region's slot */
};

struct vcpu {
    struct machine *machine;
    bool made;
    int pidfd, epoll_fd, kick_fd;
    int32_t pid;   /* ours to wait for, so nobody else's */
    ulv_nsec time; /* processor time, as last seen */
    bool ended, answered;
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

#endif
