/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What machine this is: processors and nodes of memory, read from sysfs.
 */
#ifndef PORT_POSIX_DISCOVER_H
#define PORT_POSIX_DISCOVER_H

#include "port/posix/posix.h"

/* Where to look; tests point these at trees of their own. */
struct ulv_posix_roots {
    const char *sys;  /* "/sys" */
    const char *proc; /* "/proc" */
    /* Also processors outside of this thread's affinity mask. */
    bool every_processor;
};

/**
 * Find the processors that are online and that this thread may run on.
 * Without sysfs they are all of one package and node, a core each.
 *
 * @param capacity   entries at ret; the first that many are filled
 * @param ret_count  how many there are
 *
 * Errors:  ULV_E_FORMAT  a file does not hold what it should; named
 *          ULV_E_HOST    there is none
 * Context: any
 */
ulv_status
ulv_posix_find_processors(const struct ulv_posix_roots *roots,
                          struct ulv_host_processor *ret, uint32_t capacity,
                          uint32_t *ret_count, struct ulv_diag *diag);

/**
 * Find the nodes that are online; one without memory has 0 bytes. Without nodes
 * in sysfs there is one, 0, with what /proc/meminfo says.
 *
 * Errors and context: as ulv_posix_find_processors()
 */
ulv_status ulv_posix_find_nodes(const struct ulv_posix_roots *roots,
                                struct ulv_host_node *ret, uint32_t capacity,
                                uint32_t *ret_count, struct ulv_diag *diag);

#endif
