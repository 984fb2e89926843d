/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What can be spoiled about runs, answers and kicks. */
#include "spoiled.h"

#include "base/base.h"

#define PAGE   UINT64_C(4096)
#define RESULT 0x8000 /* where the guests of the kit store first */

/* ---- running ------------------------------------------------------------- */

static ulv_status
run_with_moved_fault(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_FAULT)
        ret->u.fault.address &= ~(PAGE - 1);
    return status;
}

static void
tells_the_page_of_a_fault(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_with_moved_fault;
}

static ulv_status
run_with_other_kind(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_FAULT &&
        ret->u.fault.kind == ULV_FAULT_WRITE)
        ret->u.fault.kind = ULV_FAULT_READ;
    return status;
}

static void
takes_writes_for_reads(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_with_other_kind;
}

static ulv_status
run_with_other_bytes(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_FAULT)
        ret->u.fault.instruction[0] ^= 1;
    return status;
}

static void
tells_other_instructions(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_with_other_bytes;
}

static ulv_status
run_with_other_registers(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_FAULT)
        ret->u.fault.registers.r11 = ret->u.fault.registers.r12;
    return status;
}

static void
mixes_registers_of_a_fault(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_with_other_registers;
}

static ulv_status
run_on(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_ENDED)
        ret->reason = ULV_EXIT_INTERRUPTED;
    return status;
}

static void
runs_on_after_a_fault(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_on;
}

static ulv_status
run_one_more(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_FAULT)
        spoiled_ram[RESULT] = 1; /* as the next instruction would */
    return status;
}

static void
carries_out_what_is_behind_a_fault(struct ulv_backend_ops *ops)
{
    ops->map = spoiled_map_and_tell;
    ops->vcpu_run = run_one_more;
}

static ulv_status
run_and_swap(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);
    uint64_t *argument = ret->u.call.argument;
    uint64_t second = argument[1];

    if (ret->reason == ULV_EXIT_CALL) {
        argument[1] = argument[2];
        argument[2] = second;
    }
    return status;
}

static void
swaps_arguments(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_and_swap;
}

static ulv_status
run_and_leave(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    struct ulv_exit out;
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, &out);

    if (out.reason != ULV_EXIT_INTERRUPTED)
        *ret = out;
    return status;
}

static void
does_not_fill_the_exit(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_and_leave;
}

static ulv_status
run_without_budget(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    (void)budget_ns;
    return spoiled_real->vcpu_run(vcpu, 0, ret);
}

static void
lets_nobody_run(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_without_budget;
}

static ulv_status
run_and_lose_a_count(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (++spoiled_flag % 8 == 0)
        spoiled_ram[RESULT + 8]--;
    return status;
}

static void
loses_a_store_in_a_pause(struct ulv_backend_ops *ops)
{
    spoiled_flag = 0;
    ops->map = spoiled_map_and_tell;
    ops->vcpu_run = run_and_lose_a_count;
}

static ulv_status
run_and_forget_the_address(void *vcpu, ulv_nsec budget_ns,
                           struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_FAULT)
        ret->u.fault.address = 0;
    return status;
}

static void
forgets_the_address_of_a_fault(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_and_forget_the_address;
}

static ulv_status
run_with_no_arithmetic(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_FAULT &&
        ret->u.fault.kind == ULV_FAULT_ARITHMETIC)
        ret->u.fault.kind = ULV_FAULT_INSTRUCTION;
    return status;
}

static void
knows_no_arithmetic(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_with_no_arithmetic;
}

#define BLOCK_MIDDLE 0x100000 /* of what the guest fills and searches */

static ulv_status
run_and_spoil_the_block(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    spoiled_ram[BLOCK_MIDDLE] ^= 1;
    return status;
}

static void
spoils_a_long_instruction(struct ulv_backend_ops *ops)
{
    ops->map = spoiled_map_and_tell;
    ops->vcpu_run = run_and_spoil_the_block;
}

static ulv_status
init_elsewhere(void *vcpu, void *machine, uint32_t idx, ulv_gpa entry,
               ulv_gpa stack, uint64_t argument, struct ulv_diag *diag)
{
    stack.value -= 8;
    return spoiled_real->vcpu_init(vcpu, machine, idx, entry, stack, argument,
                                   diag);
}

static void
starts_with_another_stack(struct ulv_backend_ops *ops)
{
    ops->vcpu_init = init_elsewhere;
}

/* ---- answers and kicks --------------------------------------------------- */

static void
answer_in_wrong_register(void *vcpu, int64_t status, uint64_t value)
{
    spoiled_real->vcpu_answer(vcpu, (int64_t)value, (uint64_t)status);
}

static void
answers_in_the_wrong_register(struct ulv_backend_ops *ops)
{
    ops->vcpu_answer = answer_in_wrong_register;
}

/* The one that was given for the call before. */
static void
answer_late(void *vcpu, int64_t status, uint64_t value)
{
    static int64_t last_status;
    static uint64_t last_value;

    spoiled_real->vcpu_answer(vcpu, last_status, last_value);
    last_status = status;
    last_value = value;
}

static void
answers_one_call_late(struct ulv_backend_ops *ops)
{
    ops->vcpu_answer = answer_late;
}

static void
kick_in_vain(void *vcpu)
{
    (void)vcpu;
}

static void
loses_kicks(struct ulv_backend_ops *ops)
{
    ops->vcpu_kick = kick_in_vain;
}

static void
kick_sometimes(void *vcpu)
{
    if (__atomic_add_fetch(&spoiled_flag, 1, __ATOMIC_RELAXED) % 8 != 0)
        spoiled_real->vcpu_kick(vcpu);
}

static void
loses_a_kick(struct ulv_backend_ops *ops)
{
    spoiled_flag = 0;
    ops->vcpu_kick = kick_sometimes;
}

static void
kick_and_say_so(void *vcpu)
{
    __atomic_store_n(&spoiled_flag, 1, __ATOMIC_RELAXED);
    spoiled_real->vcpu_kick(vcpu);
}

/* It comes back with nothing, and the call it had is never seen. */
static ulv_status
run_and_drop(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_CALL && spoiled_flag == 1) {
        ret->reason = ULV_EXIT_INTERRUPTED;
        spoiled_flag = 0;
    }
    return status;
}

static void
drops_a_call_for_a_kick(struct ulv_backend_ops *ops)
{
    spoiled_flag = 0;
    ops->vcpu_kick = kick_and_say_so;
    ops->vcpu_run = run_and_drop;
}

/* What was said first, and nothing that was said since. */
static void
answer_first(void *vcpu, int64_t status, uint64_t value)
{
    if (spoiled_flag == 0)
        spoiled_real->vcpu_answer(vcpu, status, value);
    spoiled_flag = 1;
}

static ulv_status
run_and_clear(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    spoiled_flag = 0;
    return spoiled_real->vcpu_run(vcpu, budget_ns, ret);
}

static void
keeps_the_first_answer(struct ulv_backend_ops *ops)
{
    ops->vcpu_answer = answer_first;
    ops->vcpu_run = run_and_clear;
}

static void *last_vcpu;

static ulv_status
init_and_remember_the_last(void *vcpu, void *machine, uint32_t idx,
                           ulv_gpa entry, ulv_gpa stack, uint64_t argument,
                           struct ulv_diag *diag)
{
    last_vcpu = vcpu;
    return spoiled_real->vcpu_init(vcpu, machine, idx, entry, stack, argument,
                                   diag);
}

static void
answer_the_last(void *vcpu, int64_t status, uint64_t value)
{
    (void)vcpu;
    spoiled_real->vcpu_answer(last_vcpu, status, value);
}

static void
answers_another_machine(struct ulv_backend_ops *ops)
{
    ops->vcpu_init = init_and_remember_the_last;
    ops->vcpu_answer = answer_the_last;
}

static bool
answer_badly(void *self, const struct ulv_exit_call *call, int64_t *ret_status,
             uint64_t *ret_value)
{
    (void)self;
    (void)call;
    *ret_status = 0;
    *ret_value = 0;
    return true;
}

static ulv_status
init_with_bad_answers(void *machine, const struct ulv_machine_cfg *cfg,
                      struct ulv_diag *diag)
{
    struct ulv_machine_cfg other = *cfg;

    if (cfg->call != NULL)
        other.call = answer_badly;
    return spoiled_real->machine_init(machine, &other, diag);
}

static void
answers_badly_on_the_spot(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_with_bad_answers;
}

static ulv_status
run_and_lose_for_a_kick(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (__atomic_exchange_n(&spoiled_flag, 0, __ATOMIC_RELAXED) != 0)
        spoiled_ram[RESULT + 24]--;
    return status;
}

static void
loses_a_store_for_a_kick(struct ulv_backend_ops *ops)
{
    ops->map = spoiled_map_and_tell;
    ops->vcpu_kick = kick_and_say_so;
    ops->vcpu_run = run_and_lose_for_a_kick;
}

static const struct spoil rows[] = {
    { "swaps arguments", "a call has its number and arguments", "argument 1",
      ON_ALL, swaps_arguments },
    { "answers in the wrong register", "each call has its own answer",
      "a call expected", ON_ALL, answers_in_the_wrong_register },
    { "answers in the wrong register", "an answer comes back in rax and rdx",
      "rax is", ON_CODE, answers_in_the_wrong_register },
    { "answers one call late", "each call has its own answer",
      "a call expected", ON_CODE, answers_one_call_late },
    { "tells the page of a fault", "accesses to what is not there",
      "0x10000abc", ON_CODE, tells_the_page_of_a_fault },
    { "takes writes for reads", "accesses to what is not there", "not", ON_ALL,
      takes_writes_for_reads },
    { "tells other instructions", "instructions that are not allowed",
      "other bytes", ON_CODE, tells_other_instructions },
    { "mixes registers of a fault", "a fault has the registers", "register",
      ON_CODE, mixes_registers_of_a_fault },
    { "runs on after a fault", "a fault is for good", "no exit", ON_ALL,
      runs_on_after_a_fault },
    { "carries out what is behind a fault", "ports", "went on", ON_ALL,
      carries_out_what_is_behind_a_fault },
    { "does not fill the exit", "a budget ends a run", "exit reason", ON_ALL,
      does_not_fill_the_exit },
    { "lets nobody run", "a guest gets further with each budget",
      "stays where it is", "kvm", lets_nobody_run },
    { "lets nobody run", "a call ends a run before its budget", "exit reason",
      "kvm mock", lets_nobody_run },
    { "loses a store in a pause", "paused anywhere, a guest counts right",
      "counted together", "kvm", loses_a_store_in_a_pause },
    { "loses kicks", "a kick before a run ends it", "its budget", ON_CODE,
      loses_kicks },
    { "loses a kick", "a kick from another thread ends a run", "kick 8",
      ON_CODE,
      loses_a_kick },
    { "drops a call for a kick", "a kick counts once", "behind a kick", ON_ALL,
      drops_a_call_for_a_kick },
    { "forgets the address of a fault", "an access across the end faults",
      "faults at", ON_CODE, forgets_the_address_of_a_fault },
    { "knows no arithmetic", "other faults", "not", ON_ALL,
      knows_no_arithmetic },
    { "spoils a long instruction",
      "paused in a long instruction, it is done right", "exit reason 2", "kvm",
      spoils_a_long_instruction },
    { "does not fill the exit", "without a budget a run only looks",
      "exit reason", ON_ALL, does_not_fill_the_exit },
    { "starts with another stack", "a processor starts as it was told", "rsp",
      ON_CODE, starts_with_another_stack },
    { "keeps the first answer", "the last answer before a run counts",
      "a call expected", ON_ALL, keeps_the_first_answer },
    { "answers another machine", "two machines do not mix", "", ON_ALL,
      answers_another_machine },
    { "answers badly on the spot", "calls are answered on the spot",
      "a call expected", "kvm", answers_badly_on_the_spot },
    { "drops a call for a kick", "calls go on in a storm of kicks", "", "kvm",
      drops_a_call_for_a_kick },
    { "loses a store for a kick", "counting goes on in a storm of kicks",
      "exit reason 2", "kvm", loses_a_store_for_a_kick },
};

const struct spoil_list run_spoils = { rows, ULV_COUNT_OF(rows) };
