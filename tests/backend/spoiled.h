/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Backends that do one thing wrong, and the case that has to see it. */
#ifndef SPOILED_H
#define SPOILED_H

#include <ultravisor/sys/backend.h>

/* Only a spoiled backend makes the kit wait so long. */
#define SPOILED_PATIENCE UINT64_C(500000000)
#define SPOILS_MAX       64u

struct spoil {
    const char *what; /* is wrong with it; test_conformance__... */
    const char *name; /* of the case */
    const char *word; /* in its reason */
    const char *backends; /* on which it shows */
    void (*apply)(struct ulv_backend_ops *ops);
};

extern const struct spoil spoils[], state_spoils[];
extern const size_t spoil_count, state_spoil_count;

/* What is behind the one that is spoiled. */
extern const struct ulv_backend_ops *spoiled_real;

/* The backend with that done to it; good until the next call. */
const struct ulv_backend_ops *spoil(const struct ulv_backend_ops *real,
                                    const struct spoil *row);

#endif
