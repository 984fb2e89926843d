/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Which of many watched handles are ready, so that who watches thousands looks
 * at those only. Each belongs to a bell, which is found by its handle. On a
 * bare machine, whose few handles are all looked at, it finds nothing:
 * rung_none.c.
 */
#ifndef SYSTEM_RUNG_H
#define SYSTEM_RUNG_H

#include <ultravisor/sys/host.h>

struct bell {
    ulv_handle handle; /* set by add; 0 and no rang: in no table */
    /* It is ready. Adds and removes no bell. */
    void (*rang)(struct bell *bell);
};

/* Made of zeros, a host and the set that all of them are watched in. */
struct rung {
    const struct ulv_host *host;
    ulv_handle waits;
    struct bell **table; /* by handle, with gaps */
    uint32_t room, count;
};

/* Errors: NO_MEMORY. */
ulv_status ulv_rung_add(struct rung *rung, struct bell *bell,
                        ulv_handle handle, void (*rang)(struct bell *bell));
/* One that was never added is allowed. */
void ulv_rung_remove(struct rung *rung, struct bell *bell);
void ulv_rung_fini(struct rung *rung);
/* Call those that are ready, at most some of them: true: there may be more.
 * Where the host cannot tell none is called; see ulv_rung_can_tell(). */
bool ulv_rung_look(struct rung *rung);
bool ulv_rung_can_tell(const struct rung *rung);

#endif
