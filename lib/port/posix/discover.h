/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What machine this is: processors, nodes of memory, devices: from sysfs.
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

/**
 * Find the machine's devices: PCI functions and then their virtual ones, disks
 * that have a size, taps; each by name. A folder that is not there has none.
 * Where one node is online, PCI functions are all on it.
 *
 * Errors:  ULV_E_FORMAT  a name or a file is not what it should be; named
 *          ULV_E_LIMIT   a folder with more than 4096 entries
 *          ULV_E_NO_MEMORY
 * Context: any
 */
ulv_status ulv_posix_find_devices(const struct ulv_posix_roots *roots,
                                  struct ulv_host_device *ret,
                                  uint32_t capacity, uint32_t *ret_count,
                                  struct ulv_diag *diag);

/* Digits at *at into *ret; moves *at behind them. */
bool ulv_posix_parse_number(const char **at, uint64_t *ret);
/* Of a PCI function: "0000:00:1f.2"; ret may be NULL. */
bool ulv_posix_parse_address(const char *name, uint64_t *ret);
/* One of a device, as the database takes it, of fewer bytes than room. */
bool ulv_posix_is_name(const char *name, size_t room);
/* The node that is online, if there is one and no other; else ULV_NODE_ANY.
 * Errors: as ulv_posix_find_nodes(). */
ulv_status ulv_posix_only_node(const struct ulv_posix_roots *roots,
                               uint32_t *ret, struct ulv_diag *diag);

#endif
