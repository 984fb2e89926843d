/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The regions of memory that a backend was told to map: what every backend
 * checks, and looks a guest address up in.
 */
#ifndef MONITOR_REGIONS_H
#define MONITOR_REGIONS_H

#include <ultravisor/sys/backend.h>

/* of a backend that has a fixed number of them */
#define ULV_REGIONS_MAX 256u

struct ulv_region {
    uint64_t guest, bytes;
    uint8_t *p; /* where the monitor has mapped the same bytes */
    uint32_t access; /* ULV_GUEST_* */
    uint32_t slot;   /* the backend's own */
};

struct ulv_regions {
    uint64_t low, high; /* guest addresses that may be mapped */
    uint32_t max, count;
    struct ulv_region *region; /* by guest address; a backend may move it */
};

/* region: room for max, or the backend makes room before it adds one. */
void ulv_regions_init(struct ulv_regions *r, uint64_t low, uint64_t high,
                      struct ulv_region *region, uint32_t max);
/**
 * Whether a further region can be: as the contract of
 * ulv_backend_ops.map has it.
 * Errors: ARG (empty, no whole pages, wraps), LIMIT (beyond high, or one too
 * many), EXISTS (below low, or overlaps).
 */
ulv_status ulv_regions_check(const struct ulv_regions *r, uint64_t guest,
                             uint64_t bytes);
/* After a check that said OK. Others may move. */
struct ulv_region *ulv_regions_add(struct ulv_regions *r, uint64_t guest,
                                   uint64_t bytes, void *p, uint32_t access);
/* The region that is exactly this one; NULL: none. */
struct ulv_region *ulv_regions_find(struct ulv_regions *r, uint64_t guest,
                                    uint64_t bytes);
void ulv_regions_remove(struct ulv_regions *r, struct ulv_region *region);
/* Where bytes of the guest are, in one region and with that access; NULL. */
uint8_t *ulv_regions_at(const struct ulv_regions *r, uint64_t guest,
                        uint64_t bytes, uint32_t access);
/* The instruction at registers.rip, if it lies in a region. */
void ulv_regions_take_instruction(const struct ulv_regions *r,
                                  struct ulv_exit_fault *fault);

#endif
