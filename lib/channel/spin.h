/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * How long to look before falling asleep. A wake-up across processors costs
 * twice ULV_SPIN_MAX and more, so to look for that long wins while the peer is
 * at work on another processor, and loses while it is not. So a look that was
 * in vain halves the next, one that was not makes it whole again, and now and
 * then a whole one finds out whether times have changed.
 */
#ifndef CHANNEL_SPIN_H
#define CHANNEL_SPIN_H

#include <ultravisor/types.h>

#define ULV_SPIN_MAX   UINT64_C(30000) /* [ns] */
#define ULV_SPIN_TRIAL 64u             /* of so many looks one is whole */

struct ulv_spin {
    uint32_t halved; /* ULV_SPIN_MAX that often */
    uint32_t looks;
};

static inline ulv_nsec
ulv_spin_bound(struct ulv_spin *spin)
{
    return ++spin->looks % ULV_SPIN_TRIAL == 0 ? ULV_SPIN_MAX
                                               : ULV_SPIN_MAX >> spin->halved;
}

static inline void
ulv_spin_learn(struct ulv_spin *spin, bool found)
{
    if (found)
        spin->halved = 0;
    else if (spin->halved < 15)
        spin->halved++;
}

#endif
