/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Pages that a plan frees and gives out again. In the books that is one step;
 * whoever holds the memory makes all that is new before he takes anything away,
 * so that he can still refuse, and has these pages not free yet.
 */
#include "database/database_priv.h"

struct pages {
    ulv_id id; /* of what has or had them */
    ulv_id to; /* who gets them */
    uint64_t frame, bytes;
    uint64_t reach; /* of what is given, sorted: how far this and those before
                       it come; a plan can give pages, take them, and give
                       them again */
};

/* What was an extent or a channel until this plan. */
static bool
was_pages(const struct undo *dead, struct pages *ret)
{
    const struct record *r = dead->p;

    if (dead->bytes == sizeof(struct extent) && r->kind == ULV_QUERY_EXTENTS) {
        const struct extent *e = dead->p;

        *ret = (struct pages){ r->id, 0, e->frame, e->bytes, 0 };
        return true;
    }
    if (dead->bytes == sizeof(struct channel) &&
        r->kind == ULV_QUERY_CHANNELS) {
        const struct channel *c = dead->p;

        *ret = (struct pages){ r->id, 0, c->frame, c->bytes, 0 };
        return true;
    }
    return false;
}

static bool
is_given(const struct ulv_effect *e, struct pages *ret)
{
    if (e->kind == ULV_EFFECT_EXTENT_GRANT) {
        *ret = (struct pages){ e->u.extent.id, e->u.extent.partition,
                               e->u.extent.frame, e->u.extent.bytes, 0 };
        return true;
    }
    if (e->kind == ULV_EFFECT_CHANNEL_CREATE) {
        *ret = (struct pages){ e->u.channel.id, e->u.channel.client,
                               e->u.channel.frame, e->u.channel.bytes, 0 };
        return true;
    }
    return false;
}

/* given: NULL, or where they go. Returns how many there are. */
static uint32_t
collect_given(const struct ulv_plan *plan, struct pages *given)
{
    uint32_t count = 0;
    struct pages one;

    for (uint32_t i = 0; i < plan->effect_count; i++) {
        if (!is_given(&plan->effects[i], &one))
            continue;
        if (given != NULL)
            given[count] = one;
        count++;
    }
    return count;
}

/* Let what is at the root of a heap sink to where it belongs. */
static void
sink(struct pages *heap, uint32_t root, uint32_t count)
{
    const struct pages sinking = heap[root];

    for (uint32_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && heap[child + 1].frame > heap[child].frame)
            child++;
        if (heap[child].frame <= sinking.frame)
            break;
        heap[root] = heap[child];
    }
    heap[root] = sinking;
}

static void
sort_by_frame(struct pages *given, uint32_t count)
{
    uint64_t reach = 0;

    for (uint32_t i = count / 2; i-- > 0;)
        sink(given, i, count);
    for (uint32_t left = count; left > 1;) {
        const struct pages last = given[--left];

        given[left] = given[0];
        given[0] = last;
        sink(given, 0, left);
    }
    for (uint32_t i = 0; i < count; i++) {
        reach = ULV_MAX(reach, given[i].frame + given[i].bytes);
        given[i].reach = reach;
    }
}

/* What somebody else gets of these pages, or NULL. The first that reaches into
 * them has some of them, and so has each behind it that begins before their
 * end: nothing is passed over but what is the same. */
static const struct pages *
find_given(const struct pages *given, uint32_t count, const struct pages *old)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (given[middle].reach <= old->frame)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count && given[low].frame < old->frame + old->bytes; low++) {
        if (given[low].id != old->id)
            return &given[low];
    }
    return NULL;
}

ulv_status
ulv_plan_check_regrants(struct ulv_database *db, const struct ulv_plan *plan,
                        struct ulv_diag *diag)
{
    const uint32_t count = collect_given(plan, NULL);
    const struct pages *new;
    struct pages *given, old;

    if (plan->dead == NULL || count == 0)
        return ULV_OK;
    given = ulv_db_scratch(db, count * sizeof(*given));
    if (given == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, count, 0,
                        "no memory to look at what is given out");
    (void)collect_given(plan, given);
    sort_by_frame(given, count);
    for (const struct undo *dead = plan->dead; dead != NULL;
         dead = dead->next) {
        if (!was_pages(dead, &old))
            continue;
        new = find_given(given, count, &old);
        if (new != NULL)
            return ulv_fail(diag, ULV_E_CONFLICT, new->to, new->frame,
                            new->bytes,
                            "partition %u would get %z at frame %x that this "
                            "transaction frees: release in one, give out in "
                            "the next",
                            new->to, new->bytes, new->frame);
    }
    return ULV_OK;
}
