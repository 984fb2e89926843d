/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Which processors a role's process may run on, and what each role has used of
 * them. What the host does not let us set is said, and the rest goes on.
 */
#include "base/base.h"
#include "system/keeper.h"

/* A platform of before these two were there, or one without: nothing is set. */
static bool
can_schedule(const struct keeper *k)
{
    return k->processes && k->platform->size >= sizeof(*k->platform) &&
           k->platform->process_bind != NULL &&
           k->platform->process_time != NULL;
}

void
ulv_keeper_bind(struct keeper *k, struct keeper_partition *p)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    bool own = p->processors.any;

    if (!k->processes && p->processors.promised)
        ulv_string_copy(diag.text, sizeof(diag.text),
                        "all guests share the caller's thread: what the map "
                        "gives it is a limit, not a promise");
    if (can_schedule(k) && (own || k->dedicated_ever))
        (void)k->platform->process_bind(
            k->host->self, p->number, own ? &p->processors.set : &k->dedicated,
            !own, &diag);
    ulv_string_copy(p->degraded, sizeof(p->degraded), diag.text);
    if (diag.text[0] != '\0')
        ulv_keeper_tell(k, ULV_EVENT_LOG, p->id, 0, "%s: %s", p->name,
                        p->degraded);
}

void
ulv_keeper_bind_roles(struct keeper *k)
{
    for (struct keeper_partition *p = k->partitions; p != NULL; p = p->next) {
        if (p->alive && p->kind != ULV_PARTITION_GUEST)
            ulv_keeper_bind(k, p);
    }
}

void
ulv_keeper_processor(struct keeper *k, const struct ulv_effect_processor *e)
{
    struct keeper_partition *p = ulv_keeper_partition(k, e->partition);
    bool dedicated = e->mode == ULV_PROCESSOR_DEDICATED;
    uint64_t bit = UINT64_C(1) << e->os_number % 64;
    uint32_t word = e->os_number / 64;

    if (p == NULL || word >= ULV_COUNT_OF(k->dedicated.bits))
        return;
    p->processors.any = true;
    p->processors.promised |= dedicated || e->quanta != 0;
    p->processors.set.bits[word] |= bit;
    if (!dedicated)
        return;
    k->dedicated.bits[word] |= bit;
    k->dedicated_ever = true;
    ulv_keeper_bind_roles(k);
}

void
ulv_keeper_processor_gone(struct keeper *k,
                          const struct ulv_effect_processor *e)
{
    struct keeper_partition *p = ulv_keeper_partition(k, e->partition);
    struct ulv_processor_set gone = { 0 };
    const uint32_t word = e->os_number / 64;

    if (p == NULL || word >= ULV_COUNT_OF(gone.bits))
        return;
    gone.bits[word] = UINT64_C(1) << e->os_number % 64;
    p->processors.set.bits[word] &= ~gone.bits[word];
    p->processors.any = false;
    for (uint32_t i = 0; i < ULV_COUNT_OF(gone.bits); i++)
        p->processors.any |= p->processors.set.bits[i] != 0;
    p->processors.promised &= p->processors.any;
    if (e->mode == ULV_PROCESSOR_DEDICATED)
        ulv_keeper_give_back(k, &gone);
}

void
ulv_keeper_give_back(struct keeper *k, const struct ulv_processor_set *set)
{
    for (uint32_t i = 0; i < ULV_COUNT_OF(set->bits); i++)
        k->dedicated.bits[i] &= ~set->bits[i];
    if (k->dedicated_ever)
        ulv_keeper_bind_roles(k);
}

void
ulv_keeper_measure(struct keeper *k, struct keeper_partition *p)
{
    ulv_nsec all;

    if (p->process == ULV_NO_HANDLE || !can_schedule(k) ||
        k->platform->process_time(k->host->self, p->number, &all) != ULV_OK)
        return;
    p->used += all - ULV_MIN(all, p->measured);
    p->measured = all;
}

void
ulv_keeper_account(struct keeper *k, struct keeper_partition *p)
{
    struct say say = { .kind = SAY_USED };

    ulv_keeper_measure(k, p);
    if (p->used == 0)
        return;
    say.u.used.partition = p->id;
    say.u.used.time = p->used;
    p->used = 0;
    ulv_keeper_inform(k, &say);
}
