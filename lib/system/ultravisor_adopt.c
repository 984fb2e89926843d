/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An ultravisor that was started again under a keeper that lives: guests run,
 * channels are in use, and the keeper has what the dead one had ordered. The
 * journal says what that should be; it is ordered once more, and the keeper
 * compares. Nothing is committed by it: the revision stays what it was.
 *
 * R = the journal is read, K = the keeper knows its revision and has finished
 * or undone what was ordered last, O = all of it is ordered, V = the views are
 * published, in new segments, H = the keeper hands those out.
 *
 * 1. R K O V H: everybody reads on in the new chain.
 * 2. R K O X R K O V H: it died again; what the keeper made for O is made anew.
 * 3. What must fail: R O K: what an order led to, whose transaction is in the
 *    journal and of which the keeper was not told COMMITTED, would be compared
 *    with what was there before it.
 *
 * What the dead one was told and had not committed the keeper tells again, when
 * the views are handed out.
 */
#include "base/base.h"
#include "system/ultravisor.h"

ulv_status
ulv_ultravisor_adopt_all(struct ultravisor_role *r,
                         const struct say_adopt *say)
{
    struct errand *e;

    if (r->booted)
        return ULV_E_PEER_PROTOCOL;
    e = ulv_ultravisor_new_errand(r, 0);
    if (e == NULL)
        return ULV_E_NO_MEMORY;
    e->boot = e->adopts = true;
    r->settled = r->settle.told = say->settled;
    return ULV_OK;
}

static uint32_t
count_drains(const struct ultravisor_role *r)
{
    uint32_t effect_count, count = 0;
    const struct ulv_effect *e = ulv_plan_effects(r->plan, &effect_count);

    for (uint32_t i = 0; i < effect_count; i++)
        count += e[i].kind == ULV_EFFECT_DRAIN ? 1 : 0;
    return count;
}

/* What drains is marked so in its header before its ends are asked to let go;
 * the dead one may not have come to that. (What was taken away at once is
 * cleared.) */
static void
revoke_again(struct ultravisor_role *r, ulv_id object)
{
    struct say say = { .kind = SAY_RING };

    if (!ulv_ultravisor_revoke(r, object))
        return; /* it is memory */
    say.u.object = object;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

/* Of what was committed and had not settled it is not known who was awaited:
 * everybody is, before anything more settles. */
static void
await_all(struct ultravisor_role *r, const struct say_generation *follow,
          uint32_t count)
{
    uint32_t effect_count;
    const struct ulv_effect *e = ulv_plan_effects(r->plan, &effect_count);
    const uint64_t revision = r->settled + 1;

    for (uint32_t i = 0; i < count; i++) {
        if (follow[i].generation != 0)
            ulv_settle_await(&r->settle, revision, follow[i].partition,
                             follow[i].generation, 0);
    }
    for (uint32_t i = 0; i < effect_count; i++) {
        if (e[i].kind != ULV_EFFECT_DRAIN)
            continue;
        revoke_again(r, e[i].u.removal.id);
        ulv_settle_await(&r->settle, revision, 0, 0, e[i].u.removal.id);
    }
}

void
ulv_ultravisor_adopt(struct ultravisor_role *r)
{
    const struct ulv_host *host = r->role.host;
    const uint64_t revision = ulv_database_revision(r->db);
    const size_t bytes = (r->views.count + 1) * sizeof(struct say_generation);
    struct say_generation *follow = host->alloc(host->self, bytes, 8);
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t count;

    diag.status =
        ulv_settle_reserve(&r->settle, r->views.count + count_drains(r));
    if (follow == NULL || diag.status != ULV_OK)
        diag.status = ulv_fail(&diag, ULV_E_NO_MEMORY, 0, r->views.count, 0,
                               "no memory to adopt what there is");
    else
        diag.status = ulv_views_prepare_all(&r->views, r->db, &diag);
    if (diag.status == ULV_OK) {
        count = ulv_views_publish(&r->views, r->db, follow);
        await_all(r, follow, count);
        ulv_ultravisor_tell_committed(r, revision, follow, count);
    } else {
        ulv_ultravisor_tell_keeper(r, SAY_ABORTED);
    }
    ulv_database_abort(r->db, r->plan);
    ulv_ultravisor_finish(r, &diag, UINT32_MAX, revision);
    ulv_ultravisor_tell_settled(r);
    host->free(host->self, follow, bytes);
}
