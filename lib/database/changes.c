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
    c->host = host;
    c->ring =
        host->alloc(host->self, ULV_CHANGES_COUNT * sizeof(*c->ring), 8);
    c->labels =
        host->alloc(host->self, ULV_CHANGES_COUNT * sizeof(*c->labels), 8);
    if (c->ring == NULL || c->labels == NULL) {
        ulv_changes_fini(c);
        return ULV_E_NO_MEMORY;
    }
    c->newest = c->floor = revision;
    return ULV_OK;
}

void
ulv_changes_fini(struct ulv_changes *c)
{
    if (c->host != NULL) {
        c->host->free(c->host->self, c->ring,
                      ULV_CHANGES_COUNT * sizeof(*c->ring));
        c->host->free(c->host->self, c->labels,
                      ULV_CHANGES_COUNT * sizeof(*c->labels));
    }
    memset(c, 0, sizeof(*c));
}

static struct ulv_change *
entry(const struct ulv_changes *c, uint64_t number)
{
    return &c->ring[number % ULV_CHANGES_COUNT];
}

struct ulv_changes_labels *
ulv_changes_add(struct ulv_changes *c, const struct ulv_change *change)
{
    struct ulv_changes_labels *labels = &c->labels[c->end % ULV_CHANGES_COUNT];

    if (c->end - c->first == ULV_CHANGES_COUNT)
        c->floor = ULV_MAX(c->floor, entry(c, c->first++)->revision);
    *entry(c, c->end++) = *change;
    labels->count = 0;
    labels->of = 0;
    return labels;
}

/* ---- labels -------------------------------------------------------------- */

uint64_t
ulv_changes_label_sum(const char key[16], const char value[48])
{
    uint64_t sum = (uint64_t)ulv_crc32c(0, key, ulv_string_length(key, 16))
                   << 32;

    sum |= ulv_crc32c(0, value, ulv_string_length(value, 48));
    return sum == ULV_CHANGE_LABEL_MANY ? 1 : sum;
}

void
ulv_changes_label(struct ulv_changes_labels *labels, uint64_t sum)
{
    for (uint32_t i = 0; i < labels->count; i++) {
        if (labels->sum[i] == sum)
            return;
    }
    if (labels->count < ULV_CHANGE_LABELS_MAX)
        labels->sum[labels->count++] = sum;
    else
        labels->sum[ULV_CHANGE_LABELS_MAX - 1] = ULV_CHANGE_LABEL_MANY;
}

ulv_status
ulv_changes_by_label(struct ulv_changes_filter *filter, const char key[16],
                     const char value[48])
{
    if (ulv_string_length(key, 16) == 16 ||
        ulv_string_length(value, 48) == 48 ||
        (key[0] == '\0' && value[0] != '\0'))
        return ULV_E_ARG;
    filter->label = ulv_changes_label_sum(key, value);
    filter->label_mask = 0;
    if (key[0] != '\0')
        filter->label_mask = value[0] != '\0'
                                 ? UINT64_MAX
                                 : UINT64_C(0xffffffff) << 32;
    return ULV_OK;
}

/* One that has more than are kept passes: better too much than too little. */
static bool
has_label(const struct ulv_changes_filter *filter,
          const struct ulv_changes_labels *labels)
{
    for (uint32_t i = 0; i < labels->count; i++) {
        if (labels->sum[i] == ULV_CHANGE_LABEL_MANY ||
            ((labels->sum[i] ^ filter->label) & filter->label_mask) == 0)
            return true;
    }
    return filter->label_mask == 0;
}

const struct ulv_changes_labels *
ulv_changes_labels(const struct ulv_changes *c,
                   const struct ulv_changes_place *place)
{
    static const struct ulv_changes_labels none = { .count = 0 };

    return place->told == UINT64_MAX
               ? &none
               : &c->labels[place->told % ULV_CHANGES_COUNT];
}

/* ---- readers ------------------------------------------------------------- */

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
    return (struct ulv_changes_place){ .after = after,
                                       .at = low,
                                       .told = UINT64_MAX };
}

static bool
passes(const struct ulv_changes *c, const struct ulv_changes_filter *filter,
       uint64_t number)
{
    const struct ulv_change *change = entry(c, number);
    bool concerned = filter->partition == 0;

    if (change->change == 0 || /* it came to nothing */
        (filter->kinds != 0 && (filter->kinds >> change->kind & 1) == 0))
        return false;
    for (uint32_t i = 0; !concerned && i < ULV_CHANGE_PARTITIONS; i++)
        concerned = change->partition[i] == filter->partition;
    return concerned &&
           has_label(filter, &c->labels[number % ULV_CHANGES_COUNT]);
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
        if (passes(c, filter, place->at))
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
    place->told = place->at++;
    *ret = *entry(c, place->told);
    *ret_more = advance(c, filter, place) &&
                entry(c, place->at)->revision == ret->revision;
    return true;
}
