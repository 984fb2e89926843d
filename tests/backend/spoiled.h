/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Backends that do one thing wrong, and the case that has to see it. */
#ifndef SPOILED_H
#define SPOILED_H

#include <ultravisor/sys/backend.h>

/* Only a spoiled backend makes the kit wait so long. */
#define SPOILED_PATIENCE UINT64_C(500000000)

#define ON_ALL  "kvm process mock"
#define ON_CODE "kvm process"

struct spoil {
    const char *what; /* is wrong with it */
    const char *name; /* of the case */
    const char *word; /* in its reason */
    const char *backends; /* on which it shows */
    void (*apply)(struct ulv_backend_ops *ops);
};

struct spoil_list {
    const struct spoil *rows;
    size_t count;
};

extern const struct spoil_list machine_spoils, run_spoils, state_spoils,
    interrupt_spoils, debug_spoils;

/* The backend with that done to it; good until the next call. */
const struct ulv_backend_ops *spoil(const struct ulv_backend_ops *real,
                                    const struct spoil *row);

/* ---- for those who spoil ------------------------------------------------- */

/* What is behind the one that is spoiled. */
extern const struct ulv_backend_ops *spoiled_real;
/* Memory of the last machine, or of something else; NULL at first. */
extern uint8_t *spoiled_ram;
extern uint32_t spoiled_flag; /* 0 at first */

/* map, which sets spoiled_ram. */
ulv_status spoiled_map_and_tell(void *machine, ulv_gpa guest, uint64_t bytes,
                                ulv_handle memory, uint64_t offset, void *p,
                                uint32_t access);

#endif
