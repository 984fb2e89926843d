/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A guest's memory, saved: all of it once, then what was written meanwhile. For
 * system/save.c.
 */
#ifndef SYSTEM_SAVE_MEMORY_H
#define SYSTEM_SAVE_MEMORY_H

#include "system/save_file.h"
#include "system/shape.h"

struct save_memory {
    ulv_system *system;
    ulv_id partition;
    const struct shape *shape;
    struct save_writer *writer;
    uint8_t *copy; /* SAVE_CHUNK_MAX */
    bool step;     /* the system, between two pieces */
};

/* Errors: NO_MEMORY. */
ulv_status ulv_save_memory_init(struct save_memory *m, struct ulv_diag *diag);
void ulv_save_memory_fini(struct save_memory *m);
bool ulv_save_is_zero(const uint8_t *page);

/* All pages but those that are zero. */
ulv_status ulv_save_put_memory(struct save_memory *m, struct ulv_diag *diag);
/* Pages of a bitmap, in the order of the layout's ranges. */
ulv_status ulv_save_put_written(struct save_memory *m, const uint64_t *bitmap,
                                struct ulv_diag *diag);

#endif
