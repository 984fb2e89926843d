/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "spoiled.h"

#include <string.h>
#include <unistd.h>

#include "base/base.h"

#define RESULT 0x8000 /* where the guests of the kit store first */
#define PAGE   UINT64_C(4096)

const struct ulv_backend_ops *spoiled_real;
static struct ulv_backend_ops spoiled;
static uint8_t *ram; /* of the last machine */
static uint32_t flag;

/* ---- machines ------------------------------------------------------------ */

static ulv_status
probe_without_version(const struct ulv_host *host,
                      struct ulv_backend_caps *ret_caps, struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->probe(host, ret_caps, diag);

    ret_caps->version[0] = '\0';
    return status;
}

static void
has_no_version(struct ulv_backend_ops *ops)
{
    ops->probe = probe_without_version;
}

static ulv_status
probe_with_too_many_regions(const struct ulv_host *host,
                            struct ulv_backend_caps *ret_caps,
                            struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->probe(host, ret_caps, diag);

    ret_caps->regions_max += 5;
    return status;
}

static void
promises_too_many_regions(struct ulv_backend_ops *ops)
{
    ops->probe = probe_with_too_many_regions;
}

static ulv_status
init_with_any_gate(void *machine, const struct ulv_machine_cfg *cfg,
                   struct ulv_diag *diag)
{
    struct ulv_machine_cfg good = *cfg;

    good.gate = ULV_GUEST_GATE;
    return spoiled_real->machine_init(machine, &good, diag);
}

static void
takes_any_gate(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_with_any_gate;
}

static ulv_status
init_and_leak_descriptor(void *machine, const struct ulv_machine_cfg *cfg,
                         struct ulv_diag *diag)
{
    (void)dup(0);
    return spoiled_real->machine_init(machine, cfg, diag);
}

static void
leaks_a_descriptor(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_and_leak_descriptor;
}

static ulv_status
init_and_leak_memory(void *machine, const struct ulv_machine_cfg *cfg,
                     struct ulv_diag *diag)
{
    /* what it is given back as is not what it was asked for */
    cfg->host->free(cfg->host->self, cfg->host->alloc(cfg->host->self, 64, 16),
                    48);
    return spoiled_real->machine_init(machine, cfg, diag);
}

static void
leaks_memory(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_and_leak_memory;
}

static ulv_status
init_and_believe_the_host(void *machine, const struct ulv_machine_cfg *cfg,
                          struct ulv_diag *diag)
{
    void *p = cfg->host->alloc(cfg->host->self, 64, 16);

    cfg->host->free(cfg->host->self, p, 64);
    return spoiled_real->machine_init(machine, cfg, diag);
}

static void
does_not_notice_a_refusal(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_and_believe_the_host;
}

static void
lacks_a_function(struct ulv_backend_ops *ops)
{
    ops->vcpu_kick = NULL;
}

/* ---- memory -------------------------------------------------------------- */

static ulv_status
map_and_tell(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
             uint64_t offset, void *p, uint32_t access)
{
    if (guest.value == ULV_GUEST_RAM_BASE)
        ram = p;
    return spoiled_real->map(machine, guest, bytes, memory, offset, p, access);
}

static ulv_status
map_writable(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
             uint64_t offset, void *p, uint32_t access)
{
    return spoiled_real->map(machine, guest, bytes, memory, offset, p,
                             access | ULV_GUEST_WRITE);
}

static void
lets_guests_write(struct ulv_backend_ops *ops)
{
    ops->map = map_writable;
}

static ulv_status
map_executable(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
               uint64_t offset, void *p, uint32_t access)
{
    return spoiled_real->map(machine, guest, bytes, memory, offset, p,
                             access | ULV_GUEST_EXECUTE);
}

static void
lets_guests_execute(struct ulv_backend_ops *ops)
{
    ops->map = map_executable;
}

static ulv_status
map_anything(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
             uint64_t offset, void *p, uint32_t access)
{
    ulv_status status =
        spoiled_real->map(machine, guest, bytes, memory, offset, p, access);

    return status == ULV_E_ARG || status == ULV_E_EXISTS ? ULV_OK : status;
}

static void
refuses_nothing(struct ulv_backend_ops *ops)
{
    ops->map = map_anything;
}

static ulv_status
map_from_the_start(void *machine, ulv_gpa guest, uint64_t bytes,
                   ulv_handle memory, uint64_t offset, void *p,
                   uint32_t access)
{
    return spoiled_real->map(machine, guest, bytes, memory, 0,
                             (uint8_t *)p - offset, access);
}

static void
forgets_the_offset(struct ulv_backend_ops *ops)
{
    ops->map = map_from_the_start;
}

static ulv_status
map_a_page_less(void *machine, ulv_gpa guest, uint64_t bytes,
                ulv_handle memory, uint64_t offset, void *p, uint32_t access)
{
    if (bytes > ULV_MIB(2))
        bytes -= PAGE;
    return spoiled_real->map(machine, guest, bytes, memory, offset, p, access);
}

static void
forgets_the_last_page(struct ulv_backend_ops *ops)
{
    ops->map = map_a_page_less;
}

static ulv_status
map_a_page_more(void *machine, ulv_gpa guest, uint64_t bytes,
                ulv_handle memory, uint64_t offset, void *p, uint32_t access)
{
    /* of which it has nothing: what lies behind it is somebody else's */
    if (bytes == PAGE)
        (void)spoiled_real->map(machine, (ulv_gpa){ guest.value + PAGE }, PAGE,
                                memory, offset, p, access);
    return spoiled_real->map(machine, guest, bytes, memory, offset, p, access);
}

static void
maps_a_page_more(struct ulv_backend_ops *ops)
{
    ops->map = map_a_page_more;
}

static ulv_status
unmap_nothing(void *machine, ulv_gpa guest, uint64_t bytes)
{
    (void)machine;
    (void)guest;
    (void)bytes;
    return ULV_OK;
}

static void
forgets_unmap(struct ulv_backend_ops *ops)
{
    ops->unmap = unmap_nothing;
}

static ulv_status
unmap_and_scrub(void *machine, ulv_gpa guest, uint64_t bytes)
{
    if (guest.value != ULV_GUEST_RAM_BASE && ram != NULL)
        memset(ram, 0, bytes);
    return spoiled_real->unmap(machine, guest, bytes);
}

static ulv_status
map_and_remember(void *machine, ulv_gpa guest, uint64_t bytes,
                 ulv_handle memory, uint64_t offset, void *p, uint32_t access)
{
    if (guest.value != ULV_GUEST_RAM_BASE)
        ram = p;
    return spoiled_real->map(machine, guest, bytes, memory, offset, p, access);
}

static void
scrubs_what_it_unmaps(struct ulv_backend_ops *ops)
{
    ops->map = map_and_remember;
    ops->unmap = unmap_and_scrub;
}

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
        ram[RESULT] = 1; /* as the next instruction would */
    return status;
}

static void
carries_out_what_is_behind_a_fault(struct ulv_backend_ops *ops)
{
    ops->map = map_and_tell;
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

    if (++flag % 8 == 0)
        ram[RESULT + 8]--;
    return status;
}

static void
loses_a_store_in_a_pause(struct ulv_backend_ops *ops)
{
    flag = 0;
    ops->map = map_and_tell;
    ops->vcpu_run = run_and_lose_a_count;
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
    if (__atomic_add_fetch(&flag, 1, __ATOMIC_RELAXED) % 8 != 0)
        spoiled_real->vcpu_kick(vcpu);
}

static void
loses_a_kick(struct ulv_backend_ops *ops)
{
    flag = 0;
    ops->vcpu_kick = kick_sometimes;
}

static void
kick_and_say_so(void *vcpu)
{
    flag = 1;
    spoiled_real->vcpu_kick(vcpu);
}

/* It comes back with nothing, and the call it had is never seen. */
static ulv_status
run_and_drop(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason == ULV_EXIT_CALL && flag == 1) {
        ret->reason = ULV_EXIT_INTERRUPTED;
        flag = 0;
    }
    return status;
}

static void
drops_a_call_for_a_kick(struct ulv_backend_ops *ops)
{
    flag = 0;
    ops->vcpu_kick = kick_and_say_so;
    ops->vcpu_run = run_and_drop;
}

/* ---- the rest ------------------------------------------------------------ */

static ulv_status
registers_of_another_time(void *vcpu, struct ulv_registers *ret)
{
    ulv_status status = spoiled_real->vcpu_registers(vcpu, ret);

    ret->rbx = ret->rax;
    return status;
}

static void
tells_other_registers(struct ulv_backend_ops *ops)
{
    ops->vcpu_registers = registers_of_another_time;
}

static ulv_status
doorbell_of_paper(void *machine, uint32_t slot, ulv_handle bell)
{
    (void)bell;
    return spoiled_real->doorbell(machine, slot, ULV_NO_HANDLE);
}

static void
sets_no_doorbell(struct ulv_backend_ops *ops)
{
    ops->doorbell = doorbell_of_paper;
}

static void
hold_nobody(void *vcpu, bool hold)
{
    (void)vcpu;
    (void)hold;
}

static void
holds_nobody(struct ulv_backend_ops *ops)
{
    ops->vcpu_hold = hold_nobody;
}

static void *kicked_first;

static ulv_status
init_and_remember(void *vcpu, void *machine, uint32_t idx, ulv_gpa entry,
                  ulv_gpa stack, uint64_t argument, struct ulv_diag *diag)
{
    if (idx == 0)
        kicked_first = vcpu;
    return spoiled_real->vcpu_init(vcpu, machine, idx, entry, stack, argument,
                                   diag);
}

static void
kick_the_first(void *vcpu)
{
    (void)vcpu;
    spoiled_real->vcpu_kick(kicked_first);
}

static void
kicks_the_first_processor(struct ulv_backend_ops *ops)
{
    ops->vcpu_init = init_and_remember;
    ops->vcpu_kick = kick_the_first;
}

static ulv_status
init_with_one_argument(void *vcpu, void *machine, uint32_t idx, ulv_gpa entry,
                       ulv_gpa stack, uint64_t argument,
                       struct ulv_diag *diag)
{
    static uint64_t first;

    first = idx == 0 ? argument : first;
    return spoiled_real->vcpu_init(vcpu, machine, idx, entry, stack, first,
                                   diag);
}

static void
gives_all_processors_one_argument(struct ulv_backend_ops *ops)
{
    ops->vcpu_init = init_with_one_argument;
}

static ulv_status
start_nowhere(void *vcpu, ulv_gpa entry, ulv_gpa stack, uint64_t argument)
{
    (void)vcpu;
    (void)entry;
    (void)stack;
    (void)argument;
    return ULV_OK;
}

static void
starts_no_processor(struct ulv_backend_ops *ops)
{
    ops->vcpu_start = start_nowhere;
}

#define ALL "kvm process mock"
#define CODE "kvm process"

const struct spoil spoils[] = {
    { "lacks a function", "the table is whole", "required", ALL,
      lacks_a_function },
    { "has no version", "a probe says what can be", "version", ALL,
      has_no_version },
    { "takes any gate", "what is no gate is refused", "a gate at 0x1", ALL,
      takes_any_gate },
    { "leaks a descriptor", "machines that are gone have left nothing",
      "handles", ALL, leaks_a_descriptor },
    { "leaks memory", "machines come and go", "16 bytes", ALL, leaks_memory },
    { "promises too many regions", "regions up to the limit", "ULV_E_LIMIT",
      ALL, promises_too_many_regions },
    { "lets guests write", "a store arrives, or faults", "not at 0x20000000",
      CODE, lets_guests_write },
    { "lets guests write", "read-only memory is not written",
      "a fault expected", CODE, lets_guests_write },
    { "lets guests execute", "data is not executed", "a fault expected", CODE,
      lets_guests_execute },
    { "refuses nothing", "misaligned and empty ranges are refused", "ULV_E_ARG",
      ALL, refuses_nothing },
    { "refuses nothing", "overlaps are refused", "ULV_E_EXISTS", ALL,
      refuses_nothing },
    { "refuses nothing", "what is the backend's is refused", "ULV_E_EXISTS",
      ALL, refuses_nothing },
    { "forgets the offset", "a region is the memory at its offset",
      "the guest reads", CODE, forgets_the_offset },
    { "forgets the last page", "a large region", "a read expected", CODE,
      forgets_the_last_page },
    { "maps a page more", "holes fault where they are", "a fault expected",
      CODE, maps_a_page_more },
    { "forgets unmap", "unmap takes what was mapped", "ULV_OK", ALL,
      forgets_unmap },
    { "forgets unmap", "memory comes and goes between two calls",
      "ULV_E_EXISTS", "kvm mock", forgets_unmap },
    { "forgets unmap", "memory is taken from a guest", "a fault expected",
      "kvm", forgets_unmap },
    { "scrubs what it unmaps", "memory is taken from a guest", "is gone",
      "kvm", scrubs_what_it_unmaps },
    { "forgets unmap", "memory is taken from all processors", "no exit",
      "kvm", forgets_unmap },
    { "swaps arguments", "a call has its number and arguments", "argument 1",
      ALL, swaps_arguments },
    { "answers in the wrong register", "each call has its own answer",
      "a call expected", ALL, answers_in_the_wrong_register },
    { "answers in the wrong register", "an answer comes back in rax and rdx",
      "rax is", CODE, answers_in_the_wrong_register },
    { "answers one call late", "each call has its own answer",
      "a call expected", CODE, answers_one_call_late },
    { "tells the page of a fault", "accesses to what is not there",
      "0x10000abc", CODE, tells_the_page_of_a_fault },
    { "takes writes for reads", "accesses to what is not there", "not", ALL,
      takes_writes_for_reads },
    { "tells other instructions", "instructions that are not allowed",
      "other bytes", CODE, tells_other_instructions },
    { "mixes registers of a fault", "a fault has the registers", "register",
      CODE, mixes_registers_of_a_fault },
    { "runs on after a fault", "a fault is for good", "no exit", ALL,
      runs_on_after_a_fault },
    { "carries out what is behind a fault", "ports", "went on", ALL,
      carries_out_what_is_behind_a_fault },
    { "does not fill the exit", "a budget ends a run", "exit reason", ALL,
      does_not_fill_the_exit },
    { "lets nobody run", "a guest gets further with each budget",
      "stays where it is", "kvm", lets_nobody_run },
    { "lets nobody run", "a call ends a run before its budget", "exit reason",
      "kvm mock", lets_nobody_run },
    { "loses a store in a pause", "paused anywhere, a guest counts right",
      "counted together", "kvm", loses_a_store_in_a_pause },
    { "loses kicks", "a kick before a run ends it", "its budget", CODE,
      loses_kicks },
    { "loses a kick", "a kick from another thread ends a run", "kick 8", CODE,
      loses_a_kick },
    { "drops a call for a kick", "a kick counts once", "behind a kick", ALL,
      drops_a_call_for_a_kick },
    { "tells other registers", "the registers at a call", "rbx", "kvm",
      tells_other_registers },
    { "sets no doorbell", "a doorbell rings without an exit", "call number",
      "kvm", sets_no_doorbell },
    { "holds nobody", "a guest that is held stands still", "has counted",
      "process", holds_nobody },
    { "holds nobody", "a guest in a thread that is held stands still",
      "has counted", "kvm", holds_nobody },
    { "kicks the first processor", "a kick is for its processor",
      "exit reason 0", "kvm", kicks_the_first_processor },
    { "gives all processors one argument", "processors call in turns",
      "argument 0", "kvm", gives_all_processors_one_argument },
    { "starts no processor", "a processor is started anew", "argument 0",
      "kvm", starts_no_processor },
    { "does not notice a refusal", "a host that refuses", "not noticed", ALL,
      does_not_notice_a_refusal },
};

const size_t spoil_count = ULV_COUNT_OF(spoils);

const struct ulv_backend_ops *
spoil(const struct ulv_backend_ops *backend, const struct spoil *row)
{
    spoiled_real = backend;
    spoiled = *backend;
    ram = NULL;
    row->apply(&spoiled);
    return &spoiled;
}
