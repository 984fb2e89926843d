/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What can be spoiled about what not every backend has. */
#include "spoiled.h"

#include <string.h>
#include <unistd.h>

#include "base/base.h"

static ulv_status
restore_nothing(void *vcpu, const void *state, size_t bytes,
                struct ulv_diag *diag)
{
    (void)vcpu;
    (void)state;
    (void)bytes;
    (void)diag;
    return ULV_OK;
}

static void
restores_nothing(struct ulv_backend_ops *ops)
{
    ops->vcpu_restore = restore_nothing;
}

static ulv_status
check_nothing(const struct ulv_host *host, const void *state, size_t bytes,
              struct ulv_diag *diag)
{
    (void)host;
    (void)state;
    (void)bytes;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0, "not here");
}

static void
goes_on_with_nothing(struct ulv_backend_ops *ops)
{
    ops->state_check = check_nothing;
}

static ulv_status
save_and_start_anew(void *vcpu, void *buf, size_t capacity, size_t *ret_bytes,
                    struct ulv_diag *diag)
{
    ulv_status status =
        spoiled_real->vcpu_save(vcpu, buf, capacity, ret_bytes, diag);

    (void)spoiled_real->vcpu_start(vcpu, (ulv_gpa){ ULV_GUEST_RAM_BASE },
                                   (ulv_gpa){ ULV_GUEST_RAM_BASE + 65536 },
                                   77);
    return status;
}

static void
disturbs_who_is_saved(struct ulv_backend_ops *ops)
{
    ops->vcpu_save = save_and_start_anew;
}

static ulv_status
save_behind_the_end(void *vcpu, void *buf, size_t capacity, size_t *ret_bytes,
                    struct ulv_diag *diag)
{
    ulv_status status =
        spoiled_real->vcpu_save(vcpu, buf, capacity, ret_bytes, diag);

    if (status != ULV_OK)
        ((uint8_t *)buf)[capacity] = 1;
    return status;
}

static void
writes_behind_the_end(struct ulv_backend_ops *ops)
{
    ops->vcpu_save = save_behind_the_end;
}

static ulv_status
collect_nothing(void *machine, ulv_gpa guest, uint64_t bytes, uint64_t *bitmap)
{
    ulv_status status =
        spoiled_real->collect(machine, guest, bytes, bitmap);

    if (status == ULV_OK)
        memset(bitmap, 0, (size_t)(bytes / 4096 + 63) / 64 * 8);
    return status;
}

static void
tells_of_no_page(struct ulv_backend_ops *ops)
{
    ops->collect = collect_nothing;
}

static ulv_status
collect_into_what_was(void *machine, ulv_gpa guest, uint64_t bytes,
                      uint64_t *bitmap)
{
    uint64_t was = bitmap[0];
    ulv_status status =
        spoiled_real->collect(machine, guest, bytes, bitmap);

    bitmap[0] |= was;
    return status;
}

static void
adds_to_the_bitmap(struct ulv_backend_ops *ops)
{
    ops->collect = collect_into_what_was;
}

static ulv_status
track_always(void *machine, bool on)
{
    (void)on;
    return spoiled_real->track(machine, true);
}

static void
tracks_for_ever(struct ulv_backend_ops *ops)
{
    ops->track = track_always;
}

static ulv_nsec
time_stands(void *vcpu)
{
    (void)vcpu;
    return 5;
}

static void
lets_time_stand(struct ulv_backend_ops *ops)
{
    ops->vcpu_time = time_stands;
}

/* ---- doorbells, events, processors --------------------------------------- */

static ulv_status
run_and_ring_nothing(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (ret->reason != ULV_EXIT_CALL || ret->u.call.number != ULV_CALL_SIGNAL)
        return status;
    spoiled_real->vcpu_answer(vcpu, 0, 0);
    return spoiled_real->vcpu_run(vcpu, budget_ns, ret);
}

static void
rings_what_is_not_set(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_and_ring_nothing;
}

/* It stays open: the kit watches it. */
static ulv_handle
event_of_nobody(void *vcpu)
{
    static int ends[2] = { -1, -1 };
    ulv_handle real = spoiled_real->vcpu_event(vcpu);

    if (ends[0] < 0 && pipe(ends) != 0)
        return ULV_NO_HANDLE;
    return real == ULV_NO_HANDLE ? real : ends[0];
}

static void
tells_of_no_exit(struct ulv_backend_ops *ops)
{
    ops->vcpu_event = event_of_nobody;
}

static ulv_status
run_until_one_faults(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    if (spoiled_flag == 1)
        ret->reason = ULV_EXIT_ENDED;
    spoiled_flag |= ret->reason == ULV_EXIT_FAULT;
    return status;
}

static void
ends_all_for_one(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_until_one_faults;
}

static void *second;

static ulv_status
init_and_remember_the_second(void *vcpu, void *machine, uint32_t idx,
                             ulv_gpa entry, ulv_gpa stack, uint64_t argument,
                             struct ulv_diag *diag)
{
    if (idx == 1)
        second = vcpu;
    return spoiled_real->vcpu_init(vcpu, machine, idx, entry, stack, argument,
                                   diag);
}

static ulv_status
run_all_but_the_second(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    if (vcpu != second)
        return spoiled_real->vcpu_run(vcpu, budget_ns, ret);
    memset(ret, 0, sizeof(*ret));
    return ULV_OK;
}

static void
runs_one_processor(struct ulv_backend_ops *ops)
{
    ops->vcpu_init = init_and_remember_the_second;
    ops->vcpu_run = run_all_but_the_second;
}

static ulv_status
registers_without_rdi(void *vcpu, struct ulv_registers *ret)
{
    ulv_status status = spoiled_real->vcpu_registers(vcpu, ret);

    ret->rdi = 0;
    return status;
}

static void
forgets_rdi(struct ulv_backend_ops *ops)
{
    ops->vcpu_registers = registers_without_rdi;
}

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

static const struct spoil rows[] = {
    { "restores nothing", "saved anywhere, a guest goes on elsewhere",
      "the guest", "kvm", restores_nothing },
    { "restores nothing", "saved at a call, it is answered elsewhere", "call",
      "kvm", restores_nothing },
    { "restores nothing", "what was not saved is not restored", "ULV_OK",
      "kvm", restores_nothing },
    { "goes on with nothing", "saved at a call, it is answered elsewhere",
      "not here", "kvm", goes_on_with_nothing },
    { "disturbs who is saved", "who was saved goes on", "argument 0", "kvm",
      disturbs_who_is_saved },
    { "writes behind the end", "too little room to be saved", "behind", "kvm",
      writes_behind_the_end },
    { "tells of no page", "pages that were written are told of",
      "written pages", "kvm", tells_of_no_page },
    { "tells of no page", "no write is lost under a guest that writes",
      "counted", "kvm", tells_of_no_page },
    { "adds to the bitmap", "pages that were written are told of",
      "written pages", "kvm", adds_to_the_bitmap },
    { "tracks for ever", "what is not tracked is not told of", "untracked",
      "kvm", tracks_for_ever },
    { "lets time stand", "the time of a processor grows", "stays 5",
      "process", lets_time_stand },
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
    { "rings what is not set", "a doorbell that is not set is a call",
      "call number", ON_CODE, rings_what_is_not_set },
    { "tells of no exit", "an event tells of an exit", "does not tell",
      "process", tells_of_no_exit },
    { "tells of no exit", "an event tells of an exit in a thread",
      "does not tell", "kvm", tells_of_no_exit },
    { "ends all for one", "a fault ends its processor", "a call expected",
      "kvm", ends_all_for_one },
    { "runs one processor", "processors run at once", "no exit", "kvm",
      runs_one_processor },
    { "gives all processors one argument", "processors call in threads",
      "argument 0", "kvm", gives_all_processors_one_argument },
    { "forgets rdi", "the registers of a processor that never ran", "rdi",
      "kvm", forgets_rdi },
};

const struct spoil_list state_spoils = { rows, ULV_COUNT_OF(rows) };
