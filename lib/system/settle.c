/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/settle.h"

#include "base/base.h"

struct unsettled {
    struct unsettled *next;
    uint64_t revision;
    ulv_id partition, object;
    uint64_t generation;
};

ulv_status
ulv_settle_reserve(struct settle *s, uint32_t count)
{
    for (const struct unsettled *u = s->spare; u != NULL && count > 0;
         u = u->next)
        count--;
    for (; count > 0; count--) {
        struct unsettled *u = s->host->alloc(s->host->self, sizeof(*u), 8);

        if (u == NULL)
            return ULV_E_NO_MEMORY;
        u->next = s->spare;
        s->spare = u;
    }
    return ULV_OK;
}

void
ulv_settle_await(struct settle *s, uint64_t revision, ulv_id partition,
                 uint64_t generation, ulv_id object)
{
    struct unsettled *u = s->spare;

    s->spare = u->next;
    u->revision = revision;
    u->partition = partition;
    u->generation = generation;
    u->object = object;
    u->next = s->first;
    s->first = u;
}

static void
forget(struct settle *s, struct unsettled **at)
{
    struct unsettled *u = *at;

    *at = u->next;
    s->host->free(s->host->self, u, sizeof(*u));
}

void
ulv_settle_followed(struct settle *s, ulv_id partition, uint64_t generation)
{
    struct unsettled **at = &s->first;

    while (*at != NULL) {
        if ((*at)->object == 0 && (*at)->partition == partition &&
            (*at)->generation <= generation)
            forget(s, at);
        else
            at = &(*at)->next;
    }
}

uint64_t
ulv_settle_object_gone(struct settle *s, ulv_id object)
{
    struct unsettled **at = &s->first;
    uint64_t revision;

    while (*at != NULL && (*at)->object != object)
        at = &(*at)->next;
    if (*at == NULL || object == 0)
        return 0;
    revision = (*at)->revision;
    forget(s, at);
    return revision;
}

bool
ulv_settle_changed(struct settle *s, uint64_t revision, uint64_t *ret_revision)
{
    uint64_t settled = revision;

    for (const struct unsettled *u = s->first; u != NULL; u = u->next)
        settled = ULV_MIN(settled, u->revision - 1);
    if (settled <= s->told)
        return false;
    s->told = *ret_revision = settled;
    return true;
}

void
ulv_settle_fini(struct settle *s)
{
    while (s->first != NULL)
        forget(s, &s->first);
    while (s->spare != NULL)
        forget(s, &s->spare);
}
