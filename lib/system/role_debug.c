/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a monitor's role does for a debugger of its guest. */
#include "base/base.h"
#include "system/role_monitor.h"

#define PROCESSORS_MAX 64u

static struct monitor_role *
self_of(struct role *role)
{
    return ULV_CONTAINER_OF(role, struct monitor_role, role);
}

static void
go(struct monitor_role *r, const struct heard *heard)
{
    const struct say_debug *say = &heard->say.u.debug;
    struct say_registers set;

    for (uint32_t at = 0; at + sizeof(set) <= heard->say.tail_bytes;
         at += (uint32_t)sizeof(set)) {
        memcpy(&set, heard->tail + at, sizeof(set));
        (void)ulv_monitor_set_registers(r->monitor, set.processor,
                                        &set.registers);
    }
    (void)ulv_monitor_go_on(r->monitor, say->run, say->step, &say->debug);
}

static ulv_status
debug_hear(struct role *role, const struct heard *heard)
{
    struct monitor_role *r = self_of(role);

    r->debug_number = heard->say.u.debug.number;
    switch (heard->say.u.debug.action) {
    case DEBUG_READY:
        ulv_monitor_debug(r->monitor, false);
        break;
    case DEBUG_HOLD:
        ulv_monitor_debug(r->monitor, true);
        break;
    case DEBUG_HALT:
        ulv_monitor_halt(r->monitor);
        break;
    case DEBUG_GO:
        go(r, heard);
        break;
    case DEBUG_LET:
        ulv_monitor_let(r->monitor);
        break;
    default:
        return ULV_E_PEER_PROTOCOL;
    }
    return ULV_OK;
}

static void
debug_step(struct role *role)
{
    struct monitor_role *r = self_of(role);
    struct say say = { .kind = SAY_STOPPED };
    struct say_stopped *stopped = &say.u.stopped;
    struct say_registers known[PROCESSORS_MAX];
    struct ulv_monitor_stop why;
    uint32_t count = 0;

    if (!ulv_monitor_halted(r->monitor, &why))
        return;
    stopped->processor = why.processor;
    stopped->cause = why.cause;
    stopped->address = why.address;
    stopped->number = r->debug_number;
    stopped->there = ulv_monitor_processors(r->monitor);
    memset(known, 0, sizeof(known));
    for (uint32_t i = 0; i < PROCESSORS_MAX; i++) {
        if ((stopped->there >> i & 1) == 0 ||
            ulv_monitor_registers(r->monitor, i, &known[count].registers) !=
                ULV_OK)
            continue;
        stopped->known |= UINT64_C(1) << i;
        known[count++].processor = i;
    }
    say.tail_bytes = count * (uint32_t)sizeof(known[0]);
    ulv_post_tell(&role->post, &say, known, NULL, 0);
}

const struct role_debug ulv_role_debug = {
    .hear = debug_hear,
    .step = debug_step,
};
