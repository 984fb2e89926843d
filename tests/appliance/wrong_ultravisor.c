/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The ultravisor of the library, and what a fault in it could do: it orders
 * grants of frames that are not its to give. Takes the place of the library's
 * own where a test links it.
 */
#define ulv_role_ultravisor honest_ultravisor
#include "system/role_ultravisor.c"
#undef ulv_role_ultravisor

#include "whole.h"

#define WRONG_TICKET UINT64_C(0x100000000)

struct wrong wrong;

static void
give_order(struct ultravisor_role *r, uint32_t n)
{
    struct say say = { .kind = SAY_ORDER };
    struct ulv_effect effect = { .kind = ULV_EFFECT_EXTENT_GRANT };

    effect.u.extent.id = WRONG_TICKET + n;
    effect.u.extent.partition = r->role.partition;
    effect.u.extent.frame = wrong.frame[n];
    effect.u.extent.bytes = 4096;
    say.u.order.ticket = WRONG_TICKET + n;
    say.u.order.effect_count = 1;
    say.tail_bytes = sizeof(effect);
    (void)ulv_post_send(&r->role.post, &say, &effect, NULL, 0);
}

static void
wrong_step(struct role *role, struct role_need *need)
{
    struct ultravisor_role *r = self_of(role);

    /* one at a time, between two honest ones */
    if (wrong.given != wrong.answers)
        return;
    if (r->plan == NULL && r->errands == NULL && wrong.given < wrong.orders) {
        give_order(r, wrong.given++);
        need->again = true;
        return;
    }
    ultravisor_step(role, need);
}

static ulv_status
wrong_hear(struct role *role, struct heard *heard)
{
    if (heard->say.kind == SAY_ORDER_DONE &&
        heard->say.u.order_done.ticket >= WRONG_TICKET) {
        whole_say("order %u: %s", (uint64_t)wrong.answers,
                  heard->say.u.order_done.diag.status == ULV_E_DENIED
                      ? "denied"
                      : "NOT DENIED");
        wrong.answers++;
        return ULV_OK;
    }
    return ultravisor_hear(role, heard);
}

const struct role_ops ulv_role_ultravisor = {
    .bytes = sizeof(struct ultravisor_role),
    .init = ultravisor_init,
    .fini = ultravisor_fini,
    .hear = wrong_hear,
    .step = wrong_step,
};
