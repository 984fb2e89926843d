/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What can be spoiled about interrupts. */
#include "spoiled.h"

#include "base/base.h"

#define INTERRUPTS "kvm mock"

static ulv_status
init_without_interrupts(void *machine, const struct ulv_machine_cfg *cfg,
                        struct ulv_diag *diag)
{
    struct ulv_machine_cfg other = *cfg;

    other.interrupts = 0;
    return spoiled_real->machine_init(machine, &other, diag);
}

static void
overlooks_that_it_is_to_interrupt(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_without_interrupts;
}

static ulv_status
inject_any(void *vcpu, uint32_t vector)
{
    return spoiled_real->vcpu_inject(vcpu, vector % ULV_VECTOR_COUNT);
}

static void
takes_any_vector(struct ulv_backend_ops *ops)
{
    ops->vcpu_inject = inject_any;
}

static ulv_status
inject_in_vain(void *vcpu, uint32_t vector)
{
    (void)vcpu;
    (void)vector;
    return ULV_OK;
}

static void
loses_interrupts(struct ulv_backend_ops *ops)
{
    ops->vcpu_inject = inject_in_vain;
}

static ulv_status
inject_but_one(void *vcpu, uint32_t vector)
{
    return vector == 33 ? ULV_OK : spoiled_real->vcpu_inject(vcpu, vector);
}

static void
loses_a_vector(struct ulv_backend_ops *ops)
{
    ops->vcpu_inject = inject_but_one;
}

static ulv_status
inject_every_other(void *vcpu, uint32_t vector)
{
    return ++spoiled_flag % 2 == 0 ? ULV_OK
                                   : spoiled_real->vcpu_inject(vcpu, vector);
}

static void
loses_every_other_interrupt(struct ulv_backend_ops *ops)
{
    ops->vcpu_inject = inject_every_other;
}

static bool
withdraw_nothing(void *vcpu, uint32_t vector)
{
    (void)vcpu;
    (void)vector;
    return false;
}

static void
withdraws_nothing(struct ulv_backend_ops *ops)
{
    ops->vcpu_withdraw = withdraw_nothing;
}

static ulv_status
handle_first(void *vcpu, ulv_gpa entry, ulv_gpa stack)
{
    return spoiled_flag++ != 0 ? ULV_OK
                               : spoiled_real->vcpu_handler(vcpu, entry, stack);
}

static void
keeps_the_first_handler(struct ulv_backend_ops *ops)
{
    ops->vcpu_handler = handle_first;
}

static ulv_status
run_with_arithmetic(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_FAULT)
        ret->u.fault.kind = ULV_FAULT_ARITHMETIC;
    return status;
}

static void
tells_of_its_own_division(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_with_arithmetic;
}

static ulv_status
handle_on_memory(void *vcpu, ulv_gpa entry, ulv_gpa stack)
{
    (void)stack;
    return spoiled_real->vcpu_handler(
        vcpu, entry, (ulv_gpa){ ULV_GUEST_RAM_BASE + ULV_MIB(1) });
}

static void
finds_a_stack_of_its_own(struct ulv_backend_ops *ops)
{
    ops->vcpu_handler = handle_on_memory;
}

/* The guest's own count of handlers that are entered. */
static ulv_status
inject_into_a_handler(void *vcpu, uint32_t vector)
{
    spoiled_ram[0x9018] = 1;
    return spoiled_real->vcpu_inject(vcpu, vector);
}

static void
interrupts_a_handler(struct ulv_backend_ops *ops)
{
    ops->map = spoiled_map_and_tell;
    ops->vcpu_inject = inject_into_a_handler;
}

static void
hold_and_say_so(void *vcpu, bool hold)
{
    spoiled_flag = hold;
    spoiled_real->vcpu_hold(vcpu, hold);
}

static ulv_status
inject_unless_held(void *vcpu, uint32_t vector)
{
    return spoiled_flag != 0 ? ULV_OK : spoiled_real->vcpu_inject(vcpu, vector);
}

static void
loses_interrupts_while_held(struct ulv_backend_ops *ops)
{
    ops->vcpu_hold = hold_and_say_so;
    ops->vcpu_inject = inject_unless_held;
}

/* The vcpu that got a handler first. */
static void *first;

static ulv_status
handle_and_remember(void *vcpu, ulv_gpa entry, ulv_gpa stack)
{
    if (spoiled_flag++ == 0)
        first = vcpu;
    return spoiled_real->vcpu_handler(vcpu, entry, stack);
}

static ulv_status
inject_first(void *vcpu, uint32_t vector)
{
    (void)vcpu;
    return spoiled_real->vcpu_inject(first, vector);
}

static ulv_status
bind_first(void *vcpu, uint32_t vector, ulv_handle bell)
{
    (void)vcpu;
    return spoiled_real->vcpu_bind(first, vector, bell);
}

static void
interrupts_the_first_processor(struct ulv_backend_ops *ops)
{
    ops->vcpu_handler = handle_and_remember;
    ops->vcpu_inject = inject_first;
    ops->vcpu_bind = bind_first;
}

static ulv_status
start_in_vain(void *vcpu, ulv_gpa entry, ulv_gpa stack, uint64_t argument)
{
    (void)vcpu;
    (void)entry;
    (void)stack;
    (void)argument;
    return ULV_OK;
}

static void
does_not_start_anew(struct ulv_backend_ops *ops)
{
    ops->vcpu_start = start_in_vain;
}

static ulv_status
bind_in_vain(void *vcpu, uint32_t vector, ulv_handle bell)
{
    (void)bell;
    return spoiled_real->vcpu_bind(vcpu, vector, ULV_NO_HANDLE);
}

static void
hears_no_bells(struct ulv_backend_ops *ops)
{
    ops->vcpu_bind = bind_in_vain;
}

static ulv_status
bind_for_good(void *vcpu, uint32_t vector, ulv_handle bell)
{
    return bell == ULV_NO_HANDLE ? ULV_OK
                                 : spoiled_real->vcpu_bind(vcpu, vector, bell);
}

static void
hears_bells_for_good(struct ulv_backend_ops *ops)
{
    ops->vcpu_bind = bind_for_good;
}

static bool
sleep_in_vain(void *vcpu, bool sleep)
{
    return sleep || spoiled_real->vcpu_sleep(vcpu, sleep);
}

static void
does_not_sleep(struct ulv_backend_ops *ops)
{
    ops->vcpu_sleep = sleep_in_vain;
}

static bool
sleep_in_any_case(void *vcpu, bool sleep)
{
    return spoiled_real->vcpu_sleep(vcpu, sleep) ||
           (sleep && spoiled_real->vcpu_sleep(vcpu, sleep));
}

static void
sleeps_over_interrupts(struct ulv_backend_ops *ops)
{
    ops->vcpu_sleep = sleep_in_any_case;
}

static ulv_status
restore_and_withdraw(void *vcpu, const void *state, size_t bytes,
                     struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->vcpu_restore(vcpu, state, bytes, diag);

    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++)
        (void)spoiled_real->vcpu_withdraw(vcpu, i);
    return status;
}

static void
forgets_what_is_pending(struct ulv_backend_ops *ops)
{
    ops->vcpu_restore = restore_and_withdraw;
}

static ulv_status
restore_and_inject(void *vcpu, const void *state, size_t bytes,
                   struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->vcpu_restore(vcpu, state, bytes, diag);

    if (status == ULV_OK)
        (void)spoiled_real->vcpu_inject(vcpu, 5);
    return status;
}

static void
makes_interrupts_up(struct ulv_backend_ops *ops)
{
    ops->vcpu_restore = restore_and_inject;
}

static ulv_status
restore_and_disturb(void *vcpu, const void *state, size_t bytes,
                    struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->vcpu_restore(vcpu, state, bytes, diag);
    struct ulv_registers r;

    if (spoiled_real->vcpu_registers(vcpu, &r) == ULV_OK) {
        r.r8 ^= 1;
        r.r12 ^= 1;
        r.rbx ^= 1;
        (void)spoiled_real->vcpu_set_registers(vcpu, &r);
    }
    return status;
}

static void
disturbs_registers(struct ulv_backend_ops *ops)
{
    ops->vcpu_restore = restore_and_disturb;
}

static ulv_status
restore_without_handler(void *vcpu, const void *state, size_t bytes,
                        struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->vcpu_restore(vcpu, state, bytes, diag);

    (void)spoiled_real->vcpu_handler(vcpu, (ulv_gpa){ 0 }, (ulv_gpa){ 0 });
    return status;
}

static void
forgets_the_handler(struct ulv_backend_ops *ops)
{
    ops->vcpu_restore = restore_without_handler;
}

static ulv_status
restore_anything(void *vcpu, const void *state, size_t bytes,
                 struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->vcpu_restore(vcpu, state, bytes, diag);

    return status == ULV_E_CONFLICT ? ULV_OK : status;
}

static void
restores_what_is_unlike(struct ulv_backend_ops *ops)
{
    ops->vcpu_restore = restore_anything;
}

static const struct spoil rows[] = {
    { "overlooks that it is to interrupt", "what cannot interrupt says so",
      "a machine with interrupts", "process",
      overlooks_that_it_is_to_interrupt },
    { "takes any vector", "interrupts that cannot be are refused",
      "a vector too high", INTERRUPTS, takes_any_vector },
    { "forgets what is pending", "saved with vectors pending, they come "
      "elsewhere", "not 0xa0a", INTERRUPTS, forgets_what_is_pending },
    { "forgets what waits for a handler", "saved in a handler, it ends "
      "elsewhere", "not 0xa0a", INTERRUPTS, forgets_what_is_pending },
    { "forgets the handler", "a handler is saved, or that there is none",
      "vcpu_inject of vector 3 said", INTERRUPTS, forgets_the_handler },
    { "makes interrupts up", "no interrupt is lost by saving, or comes twice",
      "interrupts came of 1", "kvm", makes_interrupts_up },
    { "disturbs registers",
      "saved anywhere among interrupts, a guest goes on", "exit reason",
      "kvm", disturbs_registers },
    { "restores what is unlike",
      "what has interrupts is not restored where none are",
      "restoring it says", INTERRUPTS, restores_what_is_unlike },
    { "loses interrupts", "an interrupt comes once", "not 0xa0a", INTERRUPTS,
      loses_interrupts },
    { "loses a vector", "all vectors come", "not 0xa0a", INTERRUPTS,
      loses_a_vector },
    { "loses every other interrupt", "nothing interrupts a handler",
      "not 0xa0a", INTERRUPTS, loses_every_other_interrupt },
    { "interrupts a handler", "nothing interrupts a handler", "a call expected",
      "kvm", interrupts_a_handler },
    { "withdraws nothing", "an interrupt is withdrawn", "vcpu_withdraw says no",
      INTERRUPTS, withdraws_nothing },
    { "keeps the first handler", "a handler takes the place of another",
      "not 0xf0a", INTERRUPTS, keeps_the_first_handler },
    { "tells of its own division", "the end of no handler is a fault",
      "arithmetic", INTERRUPTS, tells_of_its_own_division },
    { "finds a stack of its own", "a handler without a stack faults",
      "a fault expected", "kvm", finds_a_stack_of_its_own },
    { "interrupts a handler", "what is interrupted goes on as it was",
      "exit reason 2", "kvm", interrupts_a_handler },
    { "loses every other interrupt", "an interrupt waits for its guest",
      "one at a time", "kvm", loses_every_other_interrupt },
    { "loses interrupts while held",
      "an interrupt waits while its guest is held", "was lost", "kvm",
      loses_interrupts_while_held },
    { "interrupts the first processor", "an interrupt is for its processor",
      "came", "kvm", interrupts_the_first_processor },
    { "does not start anew", "a processor that starts has no interrupts",
      "started anew", INTERRUPTS, does_not_start_anew },
    { "loses a vector", "a storm of interrupts", "vector 33 never came", "kvm",
      loses_a_vector },
    { "loses a vector", "interrupts among kicks", "vector 33 never came", "kvm",
      loses_a_vector },
    { "hears no bells", "a bell interrupts", "never came", "kvm",
      hears_no_bells },
    { "hears bells for good", "a bell that is bound no more", "not 0xc0c",
      "kvm", hears_bells_for_good },
    { "interrupts the first processor", "a bell is for its processor",
      "never came", "kvm", interrupts_the_first_processor },
    { "hears no bells", "a bell interrupts a guest that runs beside",
      "did not interrupt", "kvm", hears_no_bells },
    { "does not sleep", "an interrupt ends sleep", "", "kvm", does_not_sleep },
    { "sleeps over interrupts", "nothing is slept over",
      "was interrupted before", "kvm", sleeps_over_interrupts },
};

const struct spoil_list interrupt_spoils = { rows, ULV_COUNT_OF(rows) };
