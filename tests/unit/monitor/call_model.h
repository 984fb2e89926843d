/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a monitor must answer to each system call, and what must come of it. */
#ifndef TESTS_UNIT_MONITOR_CALL_MODEL_H
#define TESTS_UNIT_MONITOR_CALL_MODEL_H

#include "call_world.h"

struct expected {
    int64_t status;
    uint64_t value;
    uint32_t end;      /* ULV_END_REASON_*: the guest has ended so */
    bool waits;        /* until a bell rings, the view changes, or: */
    ulv_nsec deadline; /* of the host's clock */
    uint32_t rung;     /* 1 + the channel whose peer hears its bell; 0: none */
};

/* What happens when the monitor looks at its view; now: in any case. */
void model_follow(struct world *w, bool now);
/* What the bells of its channels have to tell the guest joins w->pending. */
void model_collect(struct world *w);
struct expected model_call(struct world *w, const struct ulv_exit_call *call);

#endif
