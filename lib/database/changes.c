/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: every entry of a revision above the floor is in the ring; a reader
 * whose place is behind revision R has seen what its filter lets through of all
 * up to R, and of R + 1 what lies before its entry. So it has missed something,
 * or may have, exactly if R is below the floor.
 *
 * 5: an entry of revision 5; | = newest; ^ = a reader's place.
 *
 * 1. 4 5 5 6 | ^    all was seen; 7 7 | comes: it is told both.
 * 2. 4 5 ^ 5 6 |    the ring overwrites 4 and the first 5: the floor is 5, and
 *    the reader, which is behind 4, hears LOST 5, then 6.
 * 3. 4 5 | 6 6      6 is undone: 4 5 |, whatever it has overwritten is lost.
 * 4. What must fail: a reader behind 3 of the ring of 1, told 5 as if 4 were
 *    all before it. The floor was raised to 3 when its last entry went.
 */
#include "database/changes.h"

#include "base/base.h"

ulv_status
ulv_changes_init(struct ulv_changes *c, const struct ulv_host *host,
                 uint64_t revision)
{
    memset(c, 0, sizeof(*c));
    c->ring =
        host->alloc(host->self, ULV_CHANGES_COUNT * sizeof(*c->ring), 8);
    if (c->ring == NULL)
        return ULV_E_NO_MEMORY;
    c->host = host;
    c->newest = c->floor = revision;
    return ULV_OK;
}

void
ulv_changes_fini(struct ulv_changes *c)
{
    if (c->host != NULL)
        c->host->free(c->host->self, c->ring,
                      ULV_CHANGES_COUNT * sizeof(*c->ring));
    memset(c, 0, sizeof(*c));
}

static struct ulv_change *
entry(const struct ulv_changes *c, uint64_t number)
{
    return &c->ring[number % ULV_CHANGES_COUNT];
}

void
ulv_changes_add(struct ulv_changes *c, const struct ulv_change *change)
{
    if (c->end - c->first == ULV_CHANGES_COUNT)
        c->floor = ULV_MAX(c->floor, entry(c, c->first++)->revision);
    *entry(c, c->end++) = *change;
}

void
ulv_changes_show(struct ulv_changes *c, uint64_t revision)
{
    c->newest = revision;
}

void
ulv_changes_undo(struct ulv_changes *c, uint64_t revision)
{
    while (c->end > c->first && entry(c, c->end - 1)->revision > revision)
        c->end--;
    c->newest = ULV_MIN(c->newest, revision);
    /* what it pushed out is of it, or gone for good */
    c->floor = ULV_MIN(c->floor, revision);
}

void
ulv_changes_lose(struct ulv_changes *c, uint64_t revision)
{
    c->first = c->end;
    c->newest = c->floor = revision;
}

struct ulv_changes_place
ulv_changes_place(const struct ulv_changes *c, uint64_t after)
{
    uint64_t low = c->first, high = c->end;

    while (low < high) { /* the first entry above after */
        uint64_t middle = low + (high - low) / 2;

        if (entry(c, middle)->revision > after)
            high = middle;
        else
            low = middle + 1;
    }
    return (struct ulv_changes_place){ .after = after, .at = low };
}

static bool
passes(const struct ulv_changes_filter *filter,
       const struct ulv_change *change)
{
    bool concerned = filter->partition == 0;

    if (change->change == 0 || /* it came to nothing */
        (filter->kinds != 0 && (filter->kinds >> change->kind & 1) == 0))
        return false;
    for (uint32_t i = 0; !concerned && i < ULV_CHANGE_PARTITIONS; i++)
        concerned = change->partition[i] == filter->partition;
    return concerned;
}

/* Go on to the next that passes; false: none that is seen. */
static bool
advance(const struct ulv_changes *c, const struct ulv_changes_filter *filter,
        struct ulv_changes_place *place)
{
    for (; place->at < c->end; place->at++) {
        const struct ulv_change *change = entry(c, place->at);

        if (change->revision > c->newest)
            break;
        if (change->revision <= place->after)
            continue; /* seen elsewhere: the place was ahead of the ring */
        place->after = change->revision - 1;
        if (passes(filter, change))
            return true;
    }
    place->after = ULV_MAX(place->after, c->newest);
    return false;
}

bool
ulv_changes_next(const struct ulv_changes *c,
                 const struct ulv_changes_filter *filter,
                 struct ulv_changes_place *place, struct ulv_change *ret,
                 bool *ret_more)
{
    *ret_more = false;
    if (place->after < c->floor && place->after < c->newest) {
        memset(ret, 0, sizeof(*ret));
        ret->revision = ULV_MIN(c->floor, c->newest);
        ret->change = ULV_CHANGE_LOST;
        *place = ulv_changes_place(c, ret->revision);
        return true;
    }
    place->at = ULV_MAX(place->at, c->first);
    if (place->after >= c->newest || !advance(c, filter, place))
        return false;
    *ret = *entry(c, place->at++);
    *ret_more = advance(c, filter, place) &&
                entry(c, place->at)->revision == ret->revision;
    return true;
}
