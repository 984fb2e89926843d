/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What can be spoiled about debugging. */
#include "spoiled.h"

#include "base/base.h"

static ulv_status
set_no_registers(void *vcpu, const struct ulv_registers *registers)
{
    (void)vcpu;
    (void)registers;
    return ULV_OK;
}

static void
sets_no_registers(struct ulv_backend_ops *ops)
{
    ops->vcpu_set_registers = set_no_registers;
}

static ulv_status
set_all_flags(void *vcpu, const struct ulv_registers *registers)
{
    spoiled_flag = registers->rflags == UINT64_MAX;
    return spoiled_real->vcpu_set_registers(vcpu, registers);
}

static ulv_status
registers_with_all_flags(void *vcpu, struct ulv_registers *ret)
{
    ulv_status status = spoiled_real->vcpu_registers(vcpu, ret);

    if (spoiled_flag != 0)
        ret->rflags = UINT64_MAX;
    return status;
}

static void
lets_all_flags_be_set(struct ulv_backend_ops *ops)
{
    ops->vcpu_set_registers = set_all_flags;
    ops->vcpu_registers = registers_with_all_flags;
}

/* What was asked for, but for what the row says. */
static ulv_status
ask_but_for_int3(void *vcpu, const struct ulv_debug *debug)
{
    struct ulv_debug other = *debug;

    other.on = 0;
    return spoiled_real->vcpu_debug(vcpu, &other);
}

static void
stops_at_no_int3(struct ulv_backend_ops *ops)
{
    ops->vcpu_debug = ask_but_for_int3;
}

static ulv_status
ask_but_for_steps(void *vcpu, const struct ulv_debug *debug)
{
    struct ulv_debug other = *debug;

    other.step = 0;
    return spoiled_real->vcpu_debug(vcpu, &other);
}

static void
takes_no_steps(struct ulv_backend_ops *ops)
{
    ops->vcpu_debug = ask_but_for_steps;
}

static ulv_status
run_two_steps(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    const struct ulv_debug step = { .on = 1, .step = 1 };
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason != ULV_EXIT_DEBUG || ret->u.debug.cause != ULV_DEBUG_STEP)
        return status;
    (void)spoiled_real->vcpu_debug(vcpu, &step);
    return spoiled_real->vcpu_run(vcpu, budget_ns, ret);
}

static void
takes_two_steps(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_two_steps;
}

static ulv_status
ask_but_for_points(void *vcpu, const struct ulv_debug *debug)
{
    struct ulv_debug other = *debug;

    other.point_count = 0;
    return spoiled_real->vcpu_debug(vcpu, &other);
}

static void
has_no_points(struct ulv_backend_ops *ops)
{
    ops->vcpu_debug = ask_but_for_points;
}

static ulv_status
run_behind_an_int3(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);
    struct ulv_registers r;

    if (ret->reason == ULV_EXIT_DEBUG &&
        ret->u.debug.cause == ULV_DEBUG_INT3 &&
        spoiled_real->vcpu_registers(vcpu, &r) == ULV_OK) {
        r.rip++;
        (void)spoiled_real->vcpu_set_registers(vcpu, &r);
    }
    return status;
}

static void
stands_behind_an_int3(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_behind_an_int3;
}

static ulv_status
run_and_debug_faults(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_FAULT)
        ret->reason = ULV_EXIT_DEBUG;
    return status;
}

static void
debugs_whom_nobody_asked(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_and_debug_faults;
}

static ulv_status
registers_that_change(void *vcpu, struct ulv_registers *ret)
{
    ulv_status status = spoiled_real->vcpu_registers(vcpu, ret);

    ret->r9 ^= spoiled_flag++;
    return status;
}

static void
tells_registers_that_change(struct ulv_backend_ops *ops)
{
    ops->vcpu_registers = registers_that_change;
}

static const struct spoil rows[] = {
    { "stops at no int3", "an int3 is met where it lies", "exit reason",
      ON_CODE, stops_at_no_int3 },
    { "stands behind an int3", "an int3 is met where it lies", "it stands at",
      ON_ALL, stands_behind_an_int3 },
    { "debugs whom nobody asked", "an int3 that nobody asked for is a fault",
      "exit reason 4", ON_CODE, debugs_whom_nobody_asked },
    { "sets no registers", "registers that were set are gone on with",
      "registers are not", ON_CODE, sets_no_registers },
    { "lets all flags be set", "registers that were set are gone on with",
      "rflags became", ON_CODE, lets_all_flags_be_set },
    { "sets no registers", "rip that was set is gone on from", "rip is",
      ON_ALL, sets_no_registers },
    { "takes no steps", "a step is one instruction", "exit reason 1", ON_ALL,
      takes_no_steps },
    { "takes two steps", "a step is one instruction", "it stands at", ON_ALL,
      takes_two_steps },
    { "has no points", "a point is stood at", "exit reason 1", "kvm mock",
      has_no_points },
    { "has no points", "a point that is written to is told of", "no exit",
      "kvm", has_no_points },
    { "has no points", "points that cannot be are refused", "ULV_OK", ON_ALL,
      has_no_points },
    { "tells registers that change", "a guest that is held is looked at",
      "each time", ON_CODE, tells_registers_that_change },
};

const struct spoil_list debug_spoils = { rows, ULV_COUNT_OF(rows) };
