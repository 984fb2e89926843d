/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Pages that a plan frees and gives out again. In the books that is one step;
 * whoever holds the memory makes all that is new before he takes anything away,
 * so that he can still refuse, and has these pages not free yet.
 */
#include "database/database_priv.h"

struct pages {
    ulv_id id; /* of what has or had them */
    uint64_t frame, bytes;
};

/* What was an extent or a channel until this plan. */
static bool
was_pages(const struct undo *dead, struct pages *ret)
{
    const struct record *r = dead->p;

    if (dead->bytes == sizeof(struct extent) && r->kind == ULV_QUERY_EXTENTS) {
        const struct extent *e = dead->p;

        *ret = (struct pages){ r->id, e->frame, e->bytes };
        return true;
    }
    if (dead->bytes == sizeof(struct channel) &&
        r->kind == ULV_QUERY_CHANNELS) {
        const struct channel *c = dead->p;

        *ret = (struct pages){ r->id, c->frame, c->bytes };
        return true;
    }
    return false;
}

static bool
is_given(const struct ulv_effect *e, struct pages *ret, ulv_id *ret_to)
{
    if (e->kind == ULV_EFFECT_EXTENT_GRANT) {
        *ret = (struct pages){ e->u.extent.id, e->u.extent.frame,
                               e->u.extent.bytes };
        *ret_to = e->u.extent.partition;
        return true;
    }
    if (e->kind == ULV_EFFECT_CHANNEL_CREATE) {
        *ret = (struct pages){ e->u.channel.id, e->u.channel.frame,
                               e->u.channel.bytes };
        *ret_to = e->u.channel.client;
        return true;
    }
    return false;
}

ulv_status
ulv_plan_check_regrants(const struct ulv_plan *plan, struct ulv_diag *diag)
{
    struct pages old, new;
    ulv_id to;

    for (const struct undo *dead = plan->dead; dead != NULL;
         dead = dead->next) {
        if (!was_pages(dead, &old))
            continue;
        for (uint32_t i = 0; i < plan->effect_count; i++) {
            if (!is_given(&plan->effects[i], &new, &to) || new.id == old.id ||
                !ulv_ranges_overlap(old.frame, old.bytes, new.frame,
                                    new.bytes))
                continue;
            return ulv_fail(diag, ULV_E_CONFLICT, to, new.frame, new.bytes,
                            "partition %u would get %z at frame %x that this "
                            "transaction frees: release in one, give out in "
                            "the next",
                            to, new.bytes, new.frame);
        }
    }
    return ULV_OK;
}
