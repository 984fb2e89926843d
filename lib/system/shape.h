/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The shape of a guest partition, as its view has it: what a saved one has to
 * fit. For system/save.c.
 */
#ifndef SYSTEM_SHAPE_H
#define SYSTEM_SHAPE_H

#include <ultravisor/abi/save.h>
#include <ultravisor/abi/view.h>

#include "system/system_priv.h"

struct shape {
    const struct ulv_host *host;
    struct ulv_view_partition partition;
    uint64_t view_bytes;
    uint64_t memory_bytes;
    uint32_t processor_count;
    struct ulv_save_range *ranges; /* neighbours are one */
    uint32_t range_count, range_capacity;
    struct ulv_save_channel channels[ULV_SLOT_COUNT]; /* by slot */
    ulv_id ids[ULV_SLOT_COUNT];                       /* of the same */
    uint32_t channel_count;
};

/* Errors: BUSY (something is being taken from it), NO_MEMORY, HOST. On failure
 * nothing is left. */
ulv_status ulv_shape_take(struct shape *s, ulv_system *system,
                          const struct keeper_partition *p,
                          struct ulv_diag *diag);
void ulv_shape_close(struct shape *s);

#endif
